"""The script that measures a set of songs: what it freezes gives the vectors that the paper's way gives for the same songs."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import weights
from jukemir_like.encoders.choi import SAMPLES, Choi
from jukemir_like.encoders.nets.choi import ChoiNet

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "scripts" / "choi_statistics.py"))
CARD = cards.read("choi")

# Of Python 2.7.18: random.seed(0); songs = range(20); random.shuffle(songs)
SHUFFLED_BY_PYTHON_2 = [0, 15, 17, 13, 1, 12, 11, 2, 19, 9, 18, 5, 3, 10, 6, 8, 4, 7, 14, 16]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    torch.manual_seed(0)
    path = weights.converted_file(CARD, cache)
    path.parent.mkdir(parents=True)
    weights.save(path, CARD, ChoiNet().state_dict(), {CARD.files[0].path: f"sha256:{CARD.files[0].sha256}"})
    return cache


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for name, colour in (("a", 0.1), ("b", 0.9)):
        noise = rng.standard_normal(SAMPLES)
        soundfile.write(folder / f"{name}.wav", 0.1 * (noise + colour * np.roll(noise, 1)), 12000, subtype="FLOAT")
    return folder


def run(cache, *arguments):
    SCRIPT["main"]([*map(str, arguments), "--cache", str(cache.root)])


def test_songs_are_shuffled_as_by_python_2():
    songs = list(range(20))
    SCRIPT["shuffle_as_python_2"](songs, 0)
    assert songs == SHUFFLED_BY_PYTHON_2


def test_frozen_statistics_of_a_folder_give_the_vectors_of_its_batch(cache, songs, tmp_path):
    run(cache, songs, tmp_path / "own.json")
    run(cache, songs, tmp_path / "vectors", "--batched")
    card = replace(CARD, settings=CARD.settings | {"statistics": str(tmp_path / "own.json")})
    clips = [audio.load(songs / f"{name}.wav", 12000) for name in "ab"]
    frozen = Choi(card, cache=cache, device="cpu")(clips)
    batched = np.stack([np.load(tmp_path / "vectors" / f"{name}.npy") for name in "ab"])
    np.testing.assert_allclose(frozen, batched, rtol=1e-4, atol=1e-5)
    value = json.loads((tmp_path / "own.json").read_text())
    assert [excerpt["path"] for excerpt in value["excerpts"]] == ["a.wav", "b.wav"]
    assert value["weights"] == {CARD.files[0].path: f"sha256:{CARD.files[0].sha256}"}

    run(cache, songs, tmp_path / "again.json", "--songs", tmp_path / "own.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "own.json").read_text()

    run(cache, songs, tmp_path / "alone", "--batched", "--batch_size", 1)
    alone = np.stack([np.load(tmp_path / "alone" / f"{name}.npy") for name in "ab"])
    assert np.abs(alone - batched).max() > 1e-3  # the published way: a vector depends on its company


def test_another_file_under_a_listed_name_is_refused(cache, songs, tmp_path):
    listed = {"excerpts": [{"path": "a.wav", "start_seconds": 0.0, "sha256": "0" * 64}]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    with pytest.raises(SystemExit, match=r"a\.wav is another file than the one that is listed"):
        run(cache, songs, tmp_path / "x.json", "--songs", tmp_path / "list.json")
    assert not (tmp_path / "x.json").exists()
