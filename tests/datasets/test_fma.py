"""fma_small: the table's three rows of header, its small subset, silent tracks, and rows that do not fit."""

import csv
from collections import Counter

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import fma as module

from . import stand_ins


@pytest.fixture(scope="module")
def rows():
    return list(stand_ins.fma_rows())


def test_the_8000_tracks_of_the_small_subset_with_genre_split_and_artist(tmp_path, rows):
    stand_ins.write_fma(tmp_path, rows)
    before = csv.field_size_limit()
    made = module.small_dataset(tmp_path)
    assert csv.field_size_limit() == before
    small = {f"{row[0]:06d}": row for row in rows if row[6] == "small"}
    assert [item.uid for item in made.items] == list(small)
    splits = {"training": "train", "validation": "valid", "test": "test"}
    for item in made.items:
        row = small[item.uid]
        assert item.y == row[7]
        assert (item.extra["artist"], item.extra["title"]) == (str(row[3]), row[8])
        if item.uid not in module.SILENT:
            assert item.split == splits[row[5]]
            assert item.source == tmp_path / f"unpacked/fma_small/fma_small/{item.uid[:3]}/{item.uid}.mp3"
    assert set(Counter(item.y for item in made.items)) == set(module.GENRES)


def test_tracks_without_audio_have_no_split_and_say_why(tmp_path, rows):
    stand_ins.write_fma(tmp_path, rows)
    silent = {item.uid: item for item in module.small_dataset(tmp_path).items if item.uid in module.SILENT}
    assert silent.keys() == {"099134", "108925", "133297"}
    assert {(item.split, item.source) for item in silent.values()} == {(None, None)}
    assert {uid: item.extra["skipped"] for uid, item in silent.items()} == module.SILENT


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        (0, "x", "track_id 'x' is not a number"),
        (5, "dev", "has the split 'dev' and the genre"),
        (7, "", "and the genre ''"),
        (7, "Polka", "and the genre 'Polka'"),
        (6, "medium", "has 7,999 tracks of the small subset, not 8,000"),
    ],
)
def test_a_row_that_does_not_fit_is_told(tmp_path, rows, column, value, what):
    changed = [list(row) for row in rows]
    changed[3][column] = value
    stand_ins.write_fma(tmp_path, changed)
    with pytest.raises(RequestError, match=r"tracks\.csv") as error:
        module.small_dataset(tmp_path)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_duplicate_is_refused(tmp_path, rows):
    stand_ins.write_fma(tmp_path, [*rows, rows[5]])
    with pytest.raises(RequestError, match=f"track {rows[5][0]} is a duplicate"):
        module.small_dataset(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, 0.999])
def test_a_table_that_is_cut_is_refused(tmp_path, rows, keep):
    path = stand_ins.write_fma(tmp_path, rows)
    text = path.read_text()
    path.write_text(text[: keep if keep >= 1 or keep == 0 else int(keep * len(text))])
    with pytest.raises(RequestError, match=r"tracks\.csv"):
        module.small_dataset(tmp_path)


def test_a_table_that_is_missing_is_told_with_the_command_that_gets_it(tmp_path):
    with pytest.raises(RequestError, match=r"tracks\.csv is missing: run `jukemir-like download FMA_METADATA`"):
        module.small_dataset(tmp_path)
