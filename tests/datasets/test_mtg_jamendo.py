"""mtg_jamendo_*: published rows and lists of tags, the five splits, and files that do not fit."""

import pytest

from jukemir_like import datasets
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import mtg_jamendo as module
from jukemir_like.datasets.mtg_jamendo_tags import GENRES, INSTRUMENTS, MOODS_AND_THEMES, TOP_50
from jukemir_like.downloads.declarations import read_declaration

from . import stand_ins


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "datasets" / "mtg_jamendo"
    stand_ins.write_jamendo(folder, ("instrument", "moodtheme"), (0, 3))
    return folder


def made(folder, subset="instrument", *options):
    return module.dataset(folder, "+".join([f"mtg_jamendo_{subset}", *options]), frozenset(options))


def test_numbers_of_tags_are_those_that_the_project_states():
    assert [len(set(tags)) for tags in (GENRES, INSTRUMENTS, MOODS_AND_THEMES, TOP_50)] == [87, 40, 56, 50]
    assert set(TOP_50) < {*GENRES, *INSTRUMENTS, *MOODS_AND_THEMES}


def test_published_rows(folder):
    items = {item.uid: item for item in made(folder).items}
    for track, artist, album, path, duration, *tags in stand_ins.JAMENDO_ROWS:
        item = items[track]
        assert (item.split, item.y) == ("test", tags)  # tags are in the order of the alphabet, in the rows and in the list
        assert item.extra == {"artist": artist, "album": album, "path": path}
        assert item.clip.audio_duration == float(duration)
    item = items["track_0004887"]
    assert item.source == folder / "unpacked/raw_30s_audio-low-87/87/4887.low.mp3"
    assert (item.clip.clip_offset, item.clip.clip_duration) == (110.85, 30.0)  # (251.7 - 30) / 2
    assert items["track_0026235"].clip.clip_offset == pytest.approx(0.05)


@pytest.mark.parametrize("subset", ["instrument", "moodtheme"])
def test_items_are_those_of_the_three_files_of_the_split(folder, subset):
    for options, number in (((), 0), (("split3",), 3)):
        dataset = made(folder, subset, *options)
        expected = {}
        for split, part in (("train", "train"), ("valid", "validation"), ("test", "test")):
            for row in stand_ins.jamendo_rows(subset, number, part):
                track, _, _, _, _, *tags = row.split("\t")
                expected[track] = split, set(tags)
        assert {item.uid: (item.split, set(item.y)) for item in dataset.items} == expected
        assert dataset.tasks["tags"].labels == module.SUBSETS[subset]
        assert (dataset.group, dataset.options) == ("artist", options)
        assert all(f"split-{number}/" in file for file in dataset.sources["annotations"])


def test_two_splits_at_once_are_refused(folder):
    with pytest.raises(RequestError, match="asks for two splits"):
        made(folder, "instrument", "split1", "split3")


def test_options_are_splits():
    assert datasets.options("mtg_jamendo_genre+split2") == ("split1", "split2", "split3", "split4")


ROW = "track_0004887\tartist_000696\talbum_000751\t87/4887.mp3\t251.7\tinstrument---piano"


@pytest.mark.parametrize(
    ("new", "what"),
    [
        (ROW.replace("---piano", "---kazoo"), "line 2: tag 'instrument---kazoo' is not among the 40 of this subset"),
        (ROW.rpartition("\t")[0], "line 2: tag '' is not among the 40"),
        (ROW[:40], "line 2: "),
        (ROW.replace("track_", "song_"), "line 2: 'song_0004887' is not track_NNNNNNN"),
        (ROW.replace("87/4887", "86/4887"), "line 2: path '86/4887.mp3' is not that of track_0004887"),
        (ROW.replace("251.7", "long"), "line 2: duration 'long' is not in seconds"),
        (ROW.replace("251.7", "nan"), "line 2: duration 'nan' is not in seconds"),
        (ROW.replace("251.7", "12"), "line 2: duration '12' is not in seconds, 30 or more"),
        (ROW.replace("track_0004887", "track_0004888").replace("87/4887", "88/4888"), "line 3: track_0004888 was named before, in test"),
        (
            ROW.replace("track_0004887", "track_1000000").replace("87/4887", "00/1000000"),
            "line 2: track_1000000 was named before, in train",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_file_and_line(folder, new, what):
    path = folder / "splits/split-0/autotagging_instrument-test.tsv"
    text = path.read_text()
    assert text.count(ROW) == 1
    path.write_text(text.replace(ROW, new))
    with pytest.raises(RequestError, match=r"autotagging_instrument-test\.tsv, ") as error:
        made(folder)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_between_two_rows_lacks_tags(folder):
    path = folder / "splits/split-0/autotagging_instrument-train.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))
    with pytest.raises(RequestError, match=r"train\.tsv has no track with 10 of its tags, such as instrument---"):
        made(folder)


@pytest.mark.parametrize("text", ["", "TRACK_ID\tARTIST_ID\n", "<html>\n"])
def test_a_file_with_another_header_is_refused(folder, text):
    (folder / "splits/split-0/autotagging_instrument-train.tsv").write_text(text)
    with pytest.raises(RequestError, match=r"line 1: the header is"):
        made(folder)


def test_a_split_that_is_missing_is_told_with_the_command_that_gets_it(folder):
    (folder / "splits/split-3/autotagging_moodtheme-validation.tsv").unlink()
    with pytest.raises(RequestError, match="run `jukemir-like download MTG_JAMENDO_SPLIT3_MOODTHEME_VALIDATION`"):
        made(folder, "moodtheme", "split3")


def test_every_file_that_is_read_is_declared_under_the_tag_that_errors_name(tmp_path):
    declared = {asset.tag: asset for asset in read_declaration("mtg_jamendo").assets}
    stand_ins.write_jamendo(tmp_path / "datasets" / "mtg_jamendo")
    paths = {asset.path for asset in declared.values()}
    for subset in module.SUBSETS:
        for option in ("", "+split1", "+split2", "+split3", "+split4"):
            name = f"mtg_jamendo_{subset}{option}"
            dataset = datasets.from_assets(name, Cache(tmp_path))
            assert dataset.name == name
            assert set(dataset.sources["annotations"]) < paths
    archives = [asset for asset in declared.values() if asset.archive]
    assert len(archives) == 100
    assert len({asset.sha256 for asset in archives}) == 100
    assert {item.source.parts[-3] for item in dataset.items} <= {asset.archive.removesuffix(".tar") for asset in archives}
