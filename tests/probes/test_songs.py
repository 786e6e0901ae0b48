"""Rules by which clips become songs, against a loop over songs."""

import numpy as np
import pytest
import scipy.special

from jukemir_like.probes.songs import RULES, Songs


def obvious(logits, recordings, rule):
    """Scores by song, one song after the other."""
    made = []
    for name in dict.fromkeys(recordings):
        clips = np.array([row for row, recording in zip(logits, recordings, strict=True) if recording == name], float)
        if rule == "vote":
            made.append(np.bincount(clips.argmax(1), minlength=clips.shape[1]))
        elif rule == "max_logit":
            made.append(clips.max(0))
        elif rule == "mean_logit":
            made.append(clips.mean(0))
        else:
            made.append(scipy.special.softmax(clips, 1).mean(0))
    return np.array(made)


@pytest.mark.parametrize("rule", RULES)
def test_rules_of_songs_with_different_numbers_of_interleaved_clips(rule):
    random = np.random.default_rng(0)
    recordings = [f"song {i}" for i in random.integers(7, size=30)]
    logits = random.normal(size=(30, 5)).astype(np.float32)
    songs = Songs.from_recordings(recordings)
    assert songs.names.tolist() == list(dict.fromkeys(recordings))
    np.testing.assert_allclose(songs.scores(logits, rule), obvious(logits, recordings, rule), rtol=1e-6)


def test_values_of_songs_are_those_of_their_first_clip():
    songs = Songs.from_recordings(["b", "a", "b", "c", "a"])
    assert songs.per_song(np.array([10, 11, 12, 13, 14])).tolist() == [10, 11, 13]
    assert songs.song_of_clip.tolist() == [0, 1, 0, 2, 1]


def test_rules_can_disagree():
    """Two weak votes for 0 against one sure clip of 1: the rules differ as their names say."""
    songs, logits = Songs.from_recordings(["s"] * 3), np.array([[0.2, 0.0, -9.0], [0.2, 0.0, -9.0], [-5.0, 9.0, -9.0]], np.float32)
    assert {rule: int(songs.scores(logits, rule).argmax()) for rule in RULES} == {
        "vote": 0,
        "max_logit": 1,
        "mean_logit": 1,
        "mean_probability": 1,
    }


def test_a_class_that_cannot_be_predicted_stays_so():
    songs, logits = Songs.from_recordings(["s", "s", "t"]), np.array([[-np.inf, 0.0], [-np.inf, 1.0], [-np.inf, 2.0]], np.float32)
    for rule in RULES:
        assert songs.scores(logits, rule).argmax(1).tolist() == [1, 1]
