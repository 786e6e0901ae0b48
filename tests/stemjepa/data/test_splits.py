"""Splits that the names of folders tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.audio.stems import splits
from jukemir_like.stemjepa import data as stems


def told(*names):
    tracks, notes = splits.by_folder([stems.Track(name, (), 16000, 1, 4) for name in names])
    return {track.name: track.split for track in tracks}, notes


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("top", ["", "musdb18hq/"])
def test_train_and_test_side_by_side(top, train):
    found, notes = told(f"{top}{train}/A - a", f"{top}test/B - b", f"{top}validation/C", f"{top}bonus/D")
    assert list(found.values()) == ["train", "test", "valid", None]
    assert notes == ["splits by the names of folders: 1 train, 1 valid, 1 test; 1 in no such folder, which count as train"]


def test_a_name_alone_says_nothing():
    assert told("train/a", "train/b") == ({"train/a": None, "train/b": None}, [])
    assert told("Train", "Test") == ({"Train": None, "Test": None}, [])  # songs
    assert told("Train/Drops/a", "Beatles/Help/b")[0] == {"Train/Drops/a": None, "Beatles/Help/b": None}
    found, notes = told("songs/a", "test/b")
    assert set(found.values()) == {None}
    assert notes == ["folders are called as the split test, but none beside them is train: no splits are taken from them"]


@given(st.lists(st.tuples(st.sampled_from(["train", "valid", "test", "x", "y/train", "y/test"]), st.integers(0, 99)), unique=True))
def test_no_track_is_lost_and_only_its_split_changes(places):
    names = [f"{folder}/{number}" for folder, number in places]
    found, _ = told(*names)
    assert list(found) == names
    for name, split in found.items():
        assert split in (None, name.rpartition("/")[0].rpartition("/")[2])


def test_training_is_on_train_alone(folder, write, noise):
    for name in ("train/a", "train/b", "test/c"):
        for stem in ("bass", "drums", "other", "vocals", "mixture"):
            write(f"{name}/{stem}.wav", noise(100, 2))
    found = stems.find(folder, 4)
    assert found.notes[1] == "splits by the names of folders: 2 train, 1 test"
    train, valid = stems.split(found, 0.0, 0)
    assert [track.name for track in train + valid] == ["train/a", "train/b"]
    assert [track.split for track in stems.find(folder / "train", 4).tracks] == [None, None]
