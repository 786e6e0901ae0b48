"""Which tracks a run trains on, which are held out, and the statistics of their log-mel, against all values at once."""

import os
import shutil

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.model import LogMel
from jukemir_like.stemjepa.settings import Data
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.batches import log_mel_statistics


@pytest.fixture
def divided(stems_folder, tmp_path):
    """Tracks in ``train/`` (four), ``test/`` (three) and ``valid/`` (one)."""
    for number in range(8):
        part = "train" if number < 4 else "test" if number < 7 else "valid"
        (tmp_path / "divided" / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(stems_folder / f"track{number}.wav", tmp_path / "divided" / part)
    return tmp_path / "divided"


def test_folders_called_train_and_test_are_splits(settings, divided):
    material = batches.find_tracks(settings({"data.data_path": str(divided)}))
    assert [track.name for track in material.train] == [f"train/track{number}" for number in range(4)]
    assert [track.name for track in material.valid] == ["valid/track7"]
    assert material.notes[1:] == ["splits by the names of folders: 4 train, 1 valid, 3 test", "in neither part: 3 test"]
    (divided / "valid" / "track7.wav").unlink()
    material = batches.find_tracks(settings({"data.data_path": str(divided)}))
    assert {track.split for track in material.train + material.valid} == {"train"}
    assert (len(material.train), len(material.valid)) == (3, 1)


def test_held_out_tracks_are_not_trained_on_wherever_they_lie(settings, divided, stems_folder):
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.valid_path": str(divided / "test")}))
    assert [track.name for track in material.train] == [f"train/track{number}" for number in range(4)]
    assert [track.name for track in material.valid] == ["track4", "track5", "track6"]
    (divided / "train").rename(divided / "songs")
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.valid_path": f"{divided}/songs/../test"}))
    assert [track.name for track in material.train] == [f"songs/track{number}" for number in range(4)]
    assert material.notes[-1] == "in neither part: 3 test, 1 valid"
    with pytest.raises(RequestError, match="no track is left to train on"):
        batches.find_tracks(settings({"data.valid_path": str(stems_folder)}))


def test_a_stem_has_one_number_in_both_folders(settings, stems_folder, tmp_path):
    (tmp_path / "dataset.json").write_text('{"stems": ["vocals", "drums", "bass", "other"]}')
    shutil.copy(stems_folder / "track0.wav", tmp_path)
    with pytest.raises(RequestError, match="not in the one given"):
        batches.find_tracks(settings({"data.valid_path": str(tmp_path)}))


def test_what_cannot_be_copied_to_the_local_disk_is_left_out_by_name(settings, divided, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    os.mkfifo(divided / "train" / "pipe.wav")
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.local_dir": True}))
    assert material.failed == {"train/pipe.wav": "is a named pipe, not a file"}
    assert len(material.train) == 4


@pytest.fixture
def tracks(folder, write, noise, tmp_path, monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    for number in range(5):
        write(f"{number}.wav", noise(20000, seed=number) * 10.0**-number, 22050)
    return find(folder, 4).tracks


@pytest.fixture
def model():
    return config.Model(encoder=config.Encoder("custom", 32, 1, 2, chunk_seconds=0.48))


@pytest.mark.parametrize("examples", [1, 16, 37])
def test_they_are_those_of_all_values_of_the_drawn_examples(tracks, model, examples):
    mean, std = log_mel_statistics(tracks, Data(), model, 3, examples=examples)
    drawn = Examples(tracks, Data(), model, 3)
    log_mel = LogMel(config.Frontend(mean=0.0, std=1.0))
    values = np.concatenate([log_mel(drawn[n][part]).numpy().ravel() for n in range(examples) for part in ("context", "target")])
    assert mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-6)
    assert std == pytest.approx(values.std(dtype=np.float64), rel=1e-6)


def test_a_front_end_with_them_standardises(tracks, model):
    measured = model.with_statistics(*log_mel_statistics(tracks, Data(), model.with_statistics(3.0, 7.0), 0, examples=20))
    drawn = Examples(tracks, Data(), measured, 0)
    values = LogMel(measured.frontend)(torch.stack([drawn[n][part] for n in range(20) for part in ("context", "target")]))
    assert float(values.mean()) == pytest.approx(0, abs=1e-4)
    assert float(values.std()) == pytest.approx(1, abs=1e-4)


def test_the_same_figures_whoever_reads(tracks, model):
    assert len({log_mel_statistics(tracks, Data(), model, 0, examples=20, workers=workers) for workers in (0, 2)}) == 1


def test_no_examples_is_a_wrong_request(tracks, model):
    with pytest.raises(RequestError, match="give 1 or more"):
        log_mel_statistics(tracks, Data(), model, 0, examples=0)
