"""YAML of others: values are the text that stands there, and nothing else than plain values is made."""

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import yaml_metadata

SHAPE = {"title?": str, "stems": {str: {"instrument": (str, [str])}}}


def read(folder, text):
    path = folder / "song_METADATA.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return yaml_metadata.read(path, SHAPE, "get it again")


@pytest.mark.parametrize("title", ["1999", "no", "2001-01-01", "1e5", "null", "0x10"])
def test_values_stay_text(tmp_path, title):
    assert read(tmp_path, f"title: {title}\nstems: {{S01: {{instrument: [a, 1]}}}}\n") == {
        "title": title,
        "stems": {"S01": {"instrument": ["a", "1"]}},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: [", "is not YAML"),
        ("title: a\n", "has no stems"),
        ("- a\n", "not an object"),
        ("", "not an object"),
        ("stems: {S01: piano}\n", "stems.S01 is 'piano'"),
        (b"title: \xff\nstems: {}\n", "is not YAML"),
        ("stems: " + "[" * 1_000_000, "is nested too deeply"),
        ("\n".join(["a: &a [x]", *(f"b{n}: &b{n} [*a, *a]" for n in range(20)), "stems: {}"]), "has more than 32 aliases"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, text, reason):
    with pytest.raises(RequestError, match=r"song_METADATA\.yaml") as caught:
        read(tmp_path, text)
    assert reason in str(caught.value)
    assert "get it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_few_aliases_are_read_as_what_they_stand_for(tmp_path):
    assert read(tmp_path, "title: &a b\nstems: {S01: {instrument: *a}}\n") == {"title": "b", "stems": {"S01": {"instrument": "b"}}}


def test_tags_make_no_objects(tmp_path):
    assert read(tmp_path, "title: !!int 7\nstems: {S01: {instrument: !!python/object/apply:os.getcwd [a]}}\n") == {
        "title": "7",
        "stems": {"S01": {"instrument": ["a"]}},
    }
