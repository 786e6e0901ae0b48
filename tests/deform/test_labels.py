"""Labels that follow: keys with the pitch, tempi with the tempo; all others stay."""

import pytest

from jukemir_like.datasets import KEYS, Task
from jukemir_like.deform.labels import follow, remarks
from jukemir_like.deform.names import parse

KEY = Task("key", "key", KEYS)
BPM = Task("tempo", "regression", ("bpm",))
OTHERS = [
    (Task("genre", "multiclass", ("jazz", "rock")), "jazz"),
    (Task("tags", "multilabel", ("fast", "slow")), ["slow"]),
    (Task("emotion", "regression", ("arousal", "valence")), [0.1, 0.2]),
]
SEMITONE = {"C": 0, "Db": 1, "D": 2, "Eb": 3, "E": 4, "F": 5, "Gb": 6, "G": 7, "Ab": 8, "A": 9, "Bb": 10, "B": 11}


@pytest.mark.parametrize("semitones", [-12, -3, -1, 0, 2, 7, 11])
def test_every_key_moves_by_the_semitones_and_keeps_its_mode(semitones):
    deformation = parse(f"pitch{semitones:+d}")
    for key in KEYS:
        tonic, mode = key.split()
        moved_tonic, moved_mode = follow(KEY, key, deformation).split()
        assert moved_mode == mode
        assert (SEMITONE[moved_tonic] - SEMITONE[tonic] - semitones) % 12 == 0


def test_tempi_scale_with_the_tempo():
    assert follow(BPM, [120.0], parse("tempo-0.5")) == [60.0]
    assert follow(BPM, 90, parse("tempo-2")) == 180.0


@pytest.mark.parametrize("name", ["level-12", "noise-20", "pinknoise-20", "mp3-32", "lowpass-4000", "reverb-1", "tempo-0.9", "pitch+2"])
def test_all_other_labels_stay(name):
    deformation = parse(name)
    for task, label in OTHERS:
        assert follow(task, label, deformation) == label
    if deformation.kind != "pitch":
        assert follow(KEY, "A minor", deformation) == "A minor"
    if deformation.kind != "tempo":
        assert follow(BPM, [120.0], deformation) == [120.0]


def test_a_missing_label_stays_missing():
    for nothing in (None, ""):
        assert follow(KEY, nothing, parse("pitch+2")) == nothing
        assert follow(BPM, nothing, parse("tempo-0.9")) == nothing


def test_what_follows_and_what_may_not_hold_is_said():
    tasks = [KEY, BPM, *(task for task, _ in OTHERS)]
    following, kept = remarks(tasks, parse("tempo-0.9"))
    assert following == "labels of tempo follow the tempo"
    assert kept.startswith("labels of key, genre, tags, emotion are those of the clean audio")
    assert remarks(tasks, parse("tempo-1")) == remarks(tasks, parse("pitch+0")) == remarks(tasks, parse("noise-20")) == []
