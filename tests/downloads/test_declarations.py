"""What is declared is read as it stands, and what cannot be meant is one line that says where it stands."""

import json

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.downloads.declarations import (
    Asset,
    ContentsDigest,
    declaration_folder,
    declared_names,
    only_for_others,
    read_declaration,
    select_assets,
)

GOOD = {"tag": "TEST_ONE", "path": "a/one.zip", "kind": "audio", "urls": ["https://h/one.zip"]}


def test_every_field_is_read(declare):
    full = GOOD | {"sha256": "AB" * 32, "md5": "cd" * 16, "size": 5, "unpack": True, "unpacked_size": 7}
    contents = {"tag": "T2", "path": "x.zip", "kind": "extra", "contents": {"sha256": "12" * 32, "strip": 1}}
    declare(full, contents, title="T", licence={"songs": "CC0", "sounds": "GPL"}, access="Ask\n  them", faulty={"54": "corrupt"})
    declaration = read_declaration("testset")
    assert declaration.assets[0] == Asset(
        "TEST_ONE", "a/one.zip", "audio", ("https://h/one.zip",), "ab" * 32, "cd" * 16, 5, None, True, None, 7
    )
    assert declaration.assets[1].contents == ContentsDigest("12" * 32, 1)
    assert declaration.licence == "songs: CC0; sounds: GPL"
    assert declaration.access == "Ask them"
    assert declaration.faulty == {"54": "corrupt"}


def test_assets_may_stand_in_a_file_of_their_own(declare, tmp_path):
    (tmp_path / "declarations" / "testset").mkdir(parents=True)
    (tmp_path / "declarations" / "testset" / "dataset.json").write_text(json.dumps({"assets": "assets.json"}))
    (tmp_path / "declarations" / "testset" / "assets.json").write_text(json.dumps([GOOD]))
    assert [asset.tag for asset in read_declaration("testset").assets] == ["TEST_ONE"]


WRONG = [
    ({"path": "/etc/passwd"}, "relative path"), ({"path": "a/../../b"}, "relative path"), ({"path": ".records/x"}, "relative path"),
    ({"path": ""}, "relative path"), ({"kind": "video"}, "kind"), ({"sha256": "ab"}, "sha256"), ({"md5": "xy" * 16}, "md5"),
    ({"size": -1}, "size"), ({"size": "5"}, "size"), ({"urls": ["ftp://h/x"]}, "URL"), ({"urls": ["file:///etc/passwd"]}, "URL"),
    ({"tag": "a b"}, "tag"), ({"tag": "../x"}, "tag"), ({"colour": "red"}, "unknown fields colour"),
    ({"unpack": True, "path": "x.rar"}, "unpacked"), ({"only_for": "gtzan_tempo"}, "only_for"), ({"only_for": [1]}, "only_for"),
    ({"parts_of": "../x.zip"}, "parts"), ({"contents": {"strip": 1}}, "contents"), ({"contents": {"sha256": "no"}}, "contents"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_what_cannot_be_meant_is_one_line_that_names_the_file(declare, change, words):
    with pytest.raises(RequestError, match=words) as caught:
        declare(GOOD | change)
    assert "testset/dataset.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["tag", "path"])
def test_two_assets_do_not_share_a_tag_or_a_path(declare, key):
    with pytest.raises(RequestError, match=f"two assets have the {key}"):
        declare(GOOD, GOOD | {"tag": "B", "path": "b"} | {key: GOOD[key]})


def test_what_is_no_json_is_one_line(declare, tmp_path):
    declare(GOOD)
    (tmp_path / "declarations" / "testset" / "dataset.json").write_text("{")
    with pytest.raises(RequestError, match=r"dataset\.json is not JSON.*correct the declaration"):
        read_declaration("testset")


def test_a_site_s_declarations_come_before_the_package_s(declare, tmp_path):
    assert read_declaration("synthband").title != "mine"
    declare(name="synthband", title="mine")
    assert read_declaration("synthband").title == "mine"
    assert declaration_folder("synthband") == tmp_path / "declarations" / "synthband"
    assert declaration_folder("nosuch").name == "nosuch"


@pytest.fixture
def four(declare):
    declare(
        {"tag": "T_LABELS", "path": "a.txt", "kind": "annotations"}, {"tag": "T_AUDIO_1", "path": "b.mp3", "kind": "audio"},
        {"tag": "T_AUDIO_2", "path": "c.mp3", "kind": "audio"}, {"tag": "T_EXTRA_SQL", "path": "d.sql", "kind": "extra"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        ("testset", ["T_LABELS", "T_AUDIO_1", "T_AUDIO_2"]),
        ("T_", ["T_LABELS", "T_AUDIO_1", "T_AUDIO_2"]),
        ("T_AUDIO", ["T_AUDIO_1", "T_AUDIO_2"]),
        ("T_AUDIO_2", ["T_AUDIO_2"]),
        ("T_EXTRA_SQL", ["T_EXTRA_SQL"]),
    ],
)
def test_a_dataset_or_the_beginning_of_tags_is_selected_and_extras_only_by_name(four, given, tags):
    assert [asset.tag for _, chosen in select_assets(given) for asset in chosen] == tags


def test_what_only_some_datasets_need_is_selected_for_them_or_by_its_tag(declare):
    of_both, of_one = GOOD | {"only_for": ["one", "other+clean"]}, GOOD | {"tag": "TEST_TWO", "path": "b", "only_for": ["one"]}
    declare(of_both, of_one, GOOD | {"tag": "TEST_ALL", "path": "c"})

    def tags(*asked):
        return [asset.tag for _, chosen in select_assets(*asked) for asset in chosen]

    assert tags("testset") == tags("testset", ["other"]) == ["TEST_ALL"]
    assert tags("testset", ["one"]) == tags("TEST_") == ["TEST_ONE", "TEST_TWO", "TEST_ALL"]
    assert tags("testset", ["other+clean", "third"]) == ["TEST_ONE", "TEST_ALL"]
    assert tags("TEST_TWO") == ["TEST_TWO"]
    assert only_for_others(select_assets("testset")) == {"one, other+clean": ["TEST_ONE"], "one": ["TEST_TWO"]}
    assert only_for_others(select_assets("testset", ["one"])) == {}


@pytest.mark.parametrize(
    ("given", "words"), [("T_EXTRA", "T_EXTRA_SQL"), ("nosuch", "choose one of .*testset"), ("", "unknown"), ("..", "unknown")]
)
def test_what_is_called_nothing_is_a_wrong_request(four, given, words):
    with pytest.raises(RequestError, match=words):
        select_assets(given)


@pytest.mark.parametrize("name", declared_names())
def test_what_the_package_declares_can_be_read(name):
    assert read_declaration(name).name == name
