"""gtzan_ff: the published labels, and lists that do not fit."""

from collections import Counter

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import gtzan as module


def test_all_930_published_records_agree(gtzan, published):
    made = {item.uid: {"uid": item.uid, "split": item.split, "y": item.y} for item in module.dataset(gtzan).items}
    assert made == published("gtzan_ff")
    assert Counter(record["split"] for record in made.values()) == {"train": 443, "valid": 197, "test": 290}


def test_the_audio_of_an_excerpt_is_in_the_folder_of_its_genre(gtzan):
    items = {item.extra["id"]: item for item in module.dataset(gtzan).items}
    assert items["jazz.00054"].source == gtzan / "unpacked/genres/genres/jazz/jazz.00054.wav"
    assert {item.source.parent.name for item in items.values()} == set(module.GENRES)
    assert all(item.source.parent.name == item.y for item in items.values())


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_do_not_matter(gtzan):
    before = module.dataset(gtzan)
    path = gtzan / "valid_filtered.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n").rstrip())
    assert module.dataset(gtzan).items == before.items


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("jazz/rock.00001.wav", "line 198: 'jazz/rock.00001.wav' is not <genre>/<genre>.NNNNN.wav"),
        ("../../etc/passwd", "line 198: '../../etc/passwd' is not"),
        ("polka/polka.00001.wav", "line 198: 'polka/polka.00001.wav' is not"),
        ("blues/blues.00029.wav", "line 198: blues.00029 was named before, in train"),
        ("blues/blues.0002\xff.wav", "line 198: not UTF-8"),
    ],
)
def test_a_line_that_does_not_fit_is_told_with_its_file_and_number(gtzan, line, what):
    path = gtzan / "valid_filtered.txt"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(RequestError, match=r"valid_filtered\.txt, ") as error:
        module.dataset(gtzan)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_list_that_is_missing_is_told_with_the_command_that_gets_it(gtzan):
    (gtzan / "test_filtered.txt").unlink()
    with pytest.raises(RequestError, match=r"test_filtered\.txt is missing: run `jukemir-like download GTZAN_TEST`"):
        module.dataset(gtzan)
