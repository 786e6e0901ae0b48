"""Tracks with stems of their own: which names a processed dataset gives them, and what examples are made of them."""

import json

import numpy as np
import pytest

from jukemir_like.audio.stems.tracks import numbered
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find, find_ensembles, has_own_stems
from jukemir_like.stemjepa.data_settings import Data

NAMES = {"a": ["bass", "cello", "drums"], "b": ["bass", "drums"], "c": ["Alto_Sax", "bass", "cello", "drums", "oud"]}


@pytest.fixture
def ensembles(folder, write):
    """A processed dataset; the samples of every instrument are its place in the alphabet, in 64ths."""
    place = {name: number for number, name in enumerate(("alto sax", "bass", "cello", "drums", "oud"))}
    for uid, names in NAMES.items():
        levels = np.array([place[name.replace("_", " ").lower()] + 1 for name in names])
        write(f"wav/{uid}.wav", np.ones((len(names), 16000)) * (2.0**levels / 128)[:, None])
    meta = {uid: {"split": "train", "y": {}, "extra": {"artist": uid, "stems": names}} for uid, names in NAMES.items()}
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "dataset.json").write_text(json.dumps({"group": "artist", "stems": None, "stems_per_track": True}))
    return folder


def test_names_are_those_of_meta_json(ensembles):
    assert has_own_stems(ensembles)
    found = find_ensembles(ensembles)
    assert [track.stems for track in found.tracks] == [
        ("bass", "cello", "drums"),
        ("bass", "drums"),
        ("alto sax", "bass", "cello", "drums", "oud"),
    ]
    assert [track.group for track in found.tracks] == ["a", "b", "c"]
    meta = json.loads((ensembles / "meta.json").read_text())
    del meta["b"]["extra"]["stems"]
    (ensembles / "meta.json").write_text(json.dumps(meta))
    assert find_ensembles(ensembles).failures == {"wav/b.wav": "has no list of names as extra.stems in meta.json"}


def test_they_are_not_taken_for_the_usual_stems(ensembles):
    with pytest.raises(RequestError, match=r"has stems of its own: give data\.stems=instruments"):
        find(ensembles, 3)


def test_a_dataset_of_usual_stems_gives_its_names_to_all_tracks(ensembles):
    for uid in ("a", "b", "c"):
        (ensembles / f"wav/{uid}.wav").rename(ensembles / f"wav/{uid}_.wav")
    (ensembles / "wav/a_.wav").rename(ensembles / "wav/a.wav")
    (ensembles / "meta.json").write_text(json.dumps({"a": {"split": None, "y": {}}}))
    (ensembles / "dataset.json").write_text(json.dumps({"stems": ["low", "mid", "high"]}))
    assert not has_own_stems(ensembles)
    assert [track.stems for track in find_ensembles(ensembles).tracks] == [("low", "mid", "high")]


@pytest.mark.parametrize("context", ["uniform", "max", "one"])
def test_a_stem_that_is_held_out_is_neither_a_target_nor_in_a_mix(ensembles, model, context):
    instruments = ["bass", "drums", "oud"]  # held out: alto sax and cello
    tracks = [numbered(track, instruments) for track in find_ensembles(ensembles).tracks]
    assert [track.numbers for track in tracks] == [(0, -1, 1), (0, 1), (-1, 0, -1, 1, 2)]
    levels = {"bass": 4 / 128, "drums": 16 / 128, "oud": 32 / 128}
    examples = Examples(tracks, Data(stems="instruments", context=context), model, 0)
    sources, mixes = set(), set()
    for n in range(60):
        example = examples[n]
        name = instruments[example["source"]]
        assert np.allclose(example["target"], levels[name], atol=1e-6)
        rest = round(float(example["context"][0]) * 128)
        mixes.add(rest)
        assert rest & ~sum(int(level * 128) for other, level in levels.items() if other != name) == 0
        assert rest
        sources.add((int(example["track"]), name))
    assert sources == {(0, "bass"), (0, "drums"), (1, "bass"), (1, "drums"), (2, "bass"), (2, "drums"), (2, "oud")}
    assert mixes >= ({4, 16, 32} if context != "max" else {4, 16, 20, 36, 48})


def test_a_track_with_one_instrument_that_is_not_held_out_has_no_examples(ensembles, model):
    tracks = [numbered(track, ["cello", "oud"]) for track in find_ensembles(ensembles).tracks]
    examples = Examples(tracks, Data(stems="instruments"), model, 0)
    assert {int(examples[n]["track"]) for n in range(12)} == {2}
