"""What is held out to select a strength: no group divided, classes spread, the same each time."""

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import held_out
from jukemir_like.probes.assignment import assign_folds
from jukemir_like.probes.held_out import fold_trials, is_small, label_counts, part, together
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.tasks import Split

GENRES = Task("genre", "multiclass", ("a", "b", "c"))


def split_of(y, group, songs=None):
    uid = np.char.mod("u%d", np.arange(len(y)))
    return Split(np.arange(2 * len(y), dtype=np.float32).reshape(-1, 2), np.asarray(y), uid, np.asarray(group), songs)


@pytest.mark.parametrize("clips", [1, 3])
def test_no_group_is_divided_and_classes_are_spread(clips):
    random = np.random.default_rng(0)
    group = np.repeat(np.char.mod("g%d", np.arange(60)), clips)
    y = np.repeat(random.permutation(np.repeat([0, 1, 2], 20)), clips)
    fold = assign_folds(group, label_counts(GENRES, y), 5)
    assert all(len(set(fold[group == name])) == 1 for name in set(group))
    counts = np.array([[((fold == f) & (y == label)).sum() for label in range(3)] for f in range(5)])
    assert (counts == 4 * clips).all()
    order = random.permutation(len(y))  # the order of the items does not matter
    assert assign_folds(group[order], label_counts(GENRES, y[order]), 5).tolist() == fold[order].tolist()


def test_rare_classes_and_tags_go_to_different_folds_and_numbers_to_even_ones():
    y = np.array([0] * 30 + [1] * 3 + [2] * 2)
    fold = assign_folds(np.arange(35).astype(str), label_counts(GENRES, y), 5)
    assert len(set(fold[y == 1])) == 3
    assert len(set(fold[y == 2])) == 2
    tags = np.zeros((40, 2), bool)
    tags[:5, 0] = tags[5:9, 1] = True
    fold = assign_folds(np.arange(40).astype(str), label_counts(Task("t", "multilabel", ("x", "y")), tags), 5)
    assert len(set(fold[tags[:, 0]])) == 5
    assert len(set(fold[tags[:, 1]])) == 4
    numbers = label_counts(Task("t", "regression", ("x",)), np.ones((23, 1)))
    assert sorted(np.bincount(assign_folds(np.arange(23).astype(str), numbers, 5))) == [4, 4, 5, 5, 5]


def test_trials_hold_out_every_item_once_and_of_many_as_many_as_needed(monkeypatch):
    split = split_of(np.arange(50) % 3, np.char.mod("g%d", np.arange(50) // 2))
    trials = fold_trials(split, GENRES)
    assert len(trials) == 5
    assert sorted(np.concatenate([trial.scored for trial in trials]).tolist()) == list(range(50))
    for trial in trials:
        assert sorted([*trial.fitted, *trial.scored]) == list(range(50))
        assert not set(split.group[trial.fitted]) & set(split.group[trial.scored])
    monkeypatch.setattr(held_out, "MANY_ITEMS", 15)
    assert len(fold_trials(split, GENRES)) == 2


def test_groups_that_are_fewer_than_folds_and_one_group_only():
    assert len(fold_trials(split_of([0, 1] * 6, np.repeat(["x", "y"], 6)), GENRES)) == 2
    with pytest.raises(RequestError, match=r"strength of the probe for genre cannot be selected: .* all 4 train items are of one group"):
        fold_trials(split_of([0, 1, 0, 1], ["x"] * 4), GENRES)


def test_songs_stay_whole_though_their_clips_are_groups_of_their_own():
    songs = Songs.from_recordings(list("aabbccddee"))
    split = split_of(np.repeat(np.arange(5), 2), np.arange(10).astype(str), songs)
    for trial in fold_trials(split, Task("key", "key", KEYS)):
        scored = part(split, trial.scored)
        assert scored.songs.present.all()
        assert scored.songs.clips.shape[1] == 2


def test_together_and_part_are_inverse():
    one, two = split_of([0, 1], ["x", "y"], Songs.from_recordings(["a", "a"])), split_of([2], ["z"], Songs.from_recordings(["b"]))
    both = together([one, two])
    assert both.songs.names.tolist() == ["a", "b"]
    again = part(both, np.array([0, 1]))
    for name in ("X", "y", "uid", "group"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
    assert again.songs.song_of_clip.tolist() == one.songs.song_of_clip.tolist()


@pytest.mark.parametrize(("items", "groups", "small"), [(200, 20, False), (199, 20, True), (200, 19, True)])
def test_which_validation_split_is_small(items, groups, small):
    assert is_small(split_of(np.zeros(items, int), np.char.mod("g%d", np.arange(items) % groups))) == small
    assert is_small(None)
