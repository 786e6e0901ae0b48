"""synthband's labels: worked out again here from the notes, and what is declared is what is given."""

import collections
import json
import math
import re

import numpy as np
import pytest

from jukemir_like.datasets import KEYS
from jukemir_like.downloads.declarations import declaration_folder
from jukemir_like.synthband.labels import TAGS, TASKS, annotation
from jukemir_like.synthband.plan import STEMS
from jukemir_like.synthband.song import compose


@pytest.fixture(scope="module")
def labelled():
    songs = [compose(0, index) for index in range(200)]
    return [(song, annotation(song)) for song in songs]


def test_keys_are_the_24_in_the_order_of_the_classes(labelled):
    assert TASKS["key"].labels == KEYS
    assert {record["y"]["key"] for _, record in labelled} == set(KEYS)
    for song, record in labelled:
        tonic, mode = record["y"]["key"].split()
        assert KEYS.index(record["y"]["key"]) == KEYS.index(f"{tonic} major") + (12 if mode == "minor" else 0)
        tonics = [span.chord for span in song.plan.spans if re.match(r"[iI](?![iIvV])", span.chord.symbol)]
        assert {chord.root for chord in tonics} == {KEYS.index(f"{tonic} major")}


def test_emotion_is_the_documented_formula_and_annotators_noise(labelled):
    errors = []
    for song, record in labelled:
        notes = [
            (stem, note)
            for stem in STEMS
            for part in song.stems[stem]
            for note in part.notes
            if song.plan.seconds(note.start) + (song.plan.sound.late_seconds if stem == "vocals" else 0) < 30
        ]
        sung = [note.pitch for stem, note in notes if stem == "vocals"]
        tempo = math.log2(record["y"]["tempo"][0] / 105)
        density = (len(notes) / 30 - 18) / 8
        register = (np.mean(sung) - 65) / 5
        loudness = (record["extra"]["loudness"] + 28) / 3
        mode = 1 if record["y"]["key"].endswith("major") else -1
        arousal = 0.7 * tempo + 0.35 * density + 0.1 * register + 0.3 * loudness
        valence = 0.5 * mode + 0.35 * tempo + 0.2 * register + 0.1 * density
        assert record["extra"]["emotion_formula"] == pytest.approx([arousal, valence], abs=1e-3)
        errors.append(np.subtract(record["y"]["emotion"], [arousal, valence]))
    assert np.std(errors, axis=0) == pytest.approx([0.25, 0.25], rel=0.15)
    assert np.mean(errors, axis=0) == pytest.approx([0, 0], abs=0.05)


def test_at_least_twenty_tags_occur_and_are_not_given_to_all(labelled):
    counts = collections.Counter(tag for _, record in labelled for tag in record["y"]["tags"])
    assert set(counts) == set(TAGS)
    assert sum(0.04 < counts[tag] / len(labelled) < 0.9 for tag in TAGS) >= 20
    assert all(counts[tag] < len(labelled) for tag in TAGS)
    assert all(record["y"]["tags"] == [tag for tag in TAGS if tag in record["y"]["tags"]] for _, record in labelled)


def test_tags_say_what_is_played(labelled):
    for song, record in labelled:
        tags, bpm = set(record["y"]["tags"]), record["y"]["tempo"][0]
        programs = {part.program for stem in ("bass", "other", "vocals") for part in song.stems[stem]}
        assert ("distorted guitar" in tags) == bool(programs & {29, 30})
        assert ("slap bass" in tags) == bool(programs & {36, 37})
        assert ("electronic kit" in tags) == (song.stems["drums"][0].program in (24, 25))
        assert ("slow" in tags, "medium tempo" in tags, "fast" in tags) == (bpm < 84, 84 <= bpm < 124, bpm >= 124)
        assert ("major" in tags) != ("minor" in tags)
        assert ("minor" in tags) == record["y"]["key"].endswith("minor")
        assert ("waltz" in tags) == (record["extra"]["beats_per_bar"] == 3)
        assert ("dense" in tags) == (record["extra"]["density"] >= 22)


def test_annotations_are_json_and_hold_the_group(labelled):
    for song, record in labelled:
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert record["uid"] == f"{song.index:05d}"
        assert record["extra"]["artist"]
    artists = collections.Counter(record["extra"]["artist"] for _, record in labelled)
    assert set(artists.values()) == {4}


def test_what_is_declared_is_what_is_given():
    declared = json.loads((declaration_folder("synthband") / "dataset.json").read_text())
    assert declared["tasks"] == {name: task.to_json() for name, task in TASKS.items()}
    assert declared["defaults"] == {"songs": 600, "seed": 0}
    assert tuple(declared["stems"]) == STEMS


def test_the_card_names_every_tag_and_says_that_it_is_synthetic():
    card = (declaration_folder("synthband") / "card.md").read_text()
    assert "synthetic" in card
    assert [tag for tag in TAGS if tag not in card] == []
    assert "GPL" in card
