"""Splits: those that the names of folders give, and tracks that are held out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.audio.stems import finding, tracks
from jukemir_like.core.errors import RequestError


def told(*names):
    changed, notes = tracks.with_splits_of_folders([tracks.Track(name, (), 16000, 1, 4) for name in names])
    return {track.name: track.split for track in changed}, notes


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
    found = finding.find(folder, 4)
    assert found.notes[1] == "splits by the names of folders: 2 train, 1 test"
    train, valid = tracks.split(found, 0.0, 0)
    assert [track.name for track in train + valid] == ["train/a", "train/b"]
    assert [track.split for track in finding.find(folder / "train", 4).tracks] == [None, None]


def make_tracks(**groups):
    return [tracks.Track(name, (), 16000, 1, 4, split, group) for name, (split, group) in groups.items()]


def test_given_splits_hold_and_test_tracks_are_left_alone():
    found = tracks.StemFolder(make_tracks(a=("train", None), b=("valid", None), c=("test", None), d=(None, None)))
    train, valid = tracks.split(found, 0.5, 0)
    assert [track.name for track in train] == ["a", "d"]
    assert [track.name for track in valid] == ["b"]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_both_sides(seed):
    found = tracks.StemFolder(make_tracks(**{f"t{number:03d}": ("train", f"artist {number // 4}") for number in range(100)}))
    train, valid = tracks.split(found, 0.1, seed)
    assert sorted(track.name for track in train + valid) == [track.name for track in found.tracks]
    assert not {track.group for track in train} & {track.group for track in valid}
    assert len(valid) == 12
    assert tracks.split(found, 0.1, seed) == (train, valid)
    assert tracks.split(found, 0.1, seed + 1) != (train, valid)


def test_the_smallest_splits():
    two = tracks.StemFolder(make_tracks(a=(None, None), b=(None, None)))
    assert [len(part) for part in tracks.split(two, 0.01, 0)] == [1, 1]
    assert [len(part) for part in tracks.split(two, 0, 0)] == [2, 0]
    one = tracks.StemFolder(make_tracks(a=(None, None)))
    assert [len(part) for part in tracks.split(one, 0.5, 0)] == [1, 0]
    with pytest.raises(RequestError, match="no track is left"):
        tracks.split(tracks.StemFolder(make_tracks(a=("test", None))), 0.5, 0)
