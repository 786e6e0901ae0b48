"""Statistics of the log-mel, against all values at once."""

import os

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data_settings import Augmentation, Data
from jukemir_like.stemjepa.model import LogMel
from jukemir_like.stemjepa.training import log_mel_statistics
from jukemir_like.stemjepa.training.log_mel_statistics import measure, measured_or_kept


@pytest.fixture
def tracks(folder, write, noise, tmp_path, monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    for number in range(5):
        write(f"{number}.wav", noise(20000, seed=number) * 10.0**-number, 22050)
    return find(folder, 4).tracks


@pytest.fixture
def model():
    return config.Model(encoder=config.Encoder("custom", 32, 1, 2, chunk_seconds=0.48))


def values_of(tracks, model, examples, seed=0):
    """All values of each example: ``(examples, values)``."""
    drawn = Examples(tracks, Data(), model, seed)
    log_mel = LogMel(config.Frontend(mean=0.0, std=1.0))
    return np.stack([np.concatenate([log_mel(drawn[n][part]).numpy().ravel() for part in ("context", "target")]) for n in range(examples)])


@pytest.mark.parametrize("examples", [1, 16, 37])
def test_they_are_those_of_all_values_of_the_drawn_examples(tracks, model, examples):
    measured = measure(tracks, Data(), model, 3, least=examples, most=examples, tolerance=0)
    values = values_of(tracks, model, examples, seed=3)
    assert measured.examples == examples
    assert measured.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-6)
    assert measured.std == pytest.approx(values.std(dtype=np.float64), rel=1e-6)


def test_a_front_end_with_them_standardises(tracks, model):
    measured = measure(tracks, Data(), model.with_statistics(3.0, 7.0), 0, least=20, most=20)
    standardising = model.with_statistics(measured.mean, measured.std)
    drawn = Examples(tracks, Data(), standardising, 0)
    values = LogMel(standardising.frontend)(torch.stack([drawn[n][part] for n in range(20) for part in ("context", "target")]))
    assert float(values.mean()) == pytest.approx(0, abs=1e-4)
    assert float(values.std()) == pytest.approx(1, abs=1e-4)


def test_the_same_figures_whoever_reads(tracks, model):
    assert len({measure(tracks, Data(), model, 0, least=20, most=20, workers=workers) for workers in (0, 2)}) == 1


def test_errors_are_those_of_a_bootstrap_over_examples(tracks, model):
    measured = measure(tracks, Data(), model, 0, least=48, most=48, tolerance=0)
    values, random = values_of(tracks, model, 48).astype(np.float64), np.random.default_rng(0)
    means, squares = values.mean(1), np.square(values).mean(1)
    picked = random.integers(48, size=(20000, 48))
    mean, square = means[picked].mean(1), squares[picked].mean(1)
    assert measured.mean_error == pytest.approx(mean.std(), rel=0.05)
    assert measured.std_error == pytest.approx(np.sqrt(square - mean**2).std(), rel=0.1)


def test_no_more_examples_than_it_takes(tracks, model):
    seconds = sum(track.frames / track.sample_rate for track in tracks)
    all_of_it = -(-seconds // 0.48)
    assert 5 < all_of_it < 11
    assert measure(tracks, Data(), model, 0, least=5, tolerance=0).examples == all_of_it  # all is heard
    assert measure(tracks, Data(), model, 0, least=12, tolerance=0).examples == 12
    many = tracks * 20
    assert measure(many, Data(), model, 0, least=5, most=40, tolerance=0).examples == 40
    errors = {
        count: max(one.mean_error, one.std_error) / one.std
        for count in (16, 32, 48)
        for one in [measure(many, Data(), model, 0, least=count, most=count)]
    }
    assert errors[48] < errors[16]
    assert measure(many, Data(), model, 0, least=5, most=64, tolerance=errors[32] * 1.0001).examples == min(
        count for count, error in errors.items() if error <= errors[32] * 1.0001
    )


@pytest.fixture
def counted(monkeypatch):
    """The calls of ``measure``, which only counts its calls."""
    calls = []

    def counting(*_, **__):
        calls.append(None)
        return log_mel_statistics.Statistics(-1.25 - len(calls), 2.0, 64, 0.1, float("nan"))

    monkeypatch.setattr(log_mel_statistics, "measure", counting)
    return calls


def test_they_are_measured_once_for_the_same_files_and_options(tracks, model, counted, tmp_path):
    first, kept = measured_or_kept(tracks, Data(), model, 0)
    assert not kept
    again, kept = measured_or_kept(list(tracks), Data(local_dir=True), model.with_statistics(0.0, 1.0), 0, workers=2)
    assert kept
    assert repr(again) == repr(first)  # to the bit
    others = [
        (tracks[1:], Data(), model, 0),
        (tracks, Data(context="max"), model, 0),
        (tracks, Data(silence_db=-30.0), model, 0),
        (tracks, Data(augmentation=Augmentation(level_db=3.0)), model, 0),
        (tracks, Data(), config.Model(frontend=config.Frontend(f_min=60.0), encoder=model.encoder), 0),
        (tracks, Data(), config.Model(encoder=config.Encoder("custom", 32, 1, 2, chunk_seconds=0.64)), 0),
        (tracks, Data(), model, 1),
    ]
    for number, other in enumerate(others):
        assert not measured_or_kept(*other)[1]
        assert len(counted) == number + 2
    assert measured_or_kept(tracks, Data(), model, 0)[1]


def test_a_file_that_has_changed_is_measured_anew(tracks, model, counted):
    before = measured_or_kept(tracks, Data(), model, 0)[0]
    path = tracks[2].files[0]
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    after, kept = measured_or_kept(tracks, Data(), model, 0)
    assert not kept
    assert after != before


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"mean": "a"}', b"\x00"])
def test_a_damaged_file_in_the_cache_is_measured_anew(tracks, model, counted, tmp_path, damage):
    measured_or_kept(tracks, Data(), model, 0)
    (path,) = (tmp_path / "cache" / "stems").glob("statistics-*.json")
    path.write_bytes(damage)
    assert not measured_or_kept(tracks, Data(), model, 0)[1]
    assert measured_or_kept(tracks, Data(), model, 0)[1]


def test_a_cache_that_cannot_be_written_costs_only_time(tracks, model, counted, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        assert not measured_or_kept(tracks, Data(), model, 0, folder=tmp_path / "file")[1]


def test_what_is_said_names_the_source():
    told = log_mel_statistics.Statistics(-9.0, 3.0, 128, 0.04, 0.03).line(kept=True)
    assert told == "log-mel of the data: mean -9.000 ± 0.040, standard deviation 3.000 ± 0.030, in the cache, from 128 examples"


def test_no_examples_is_a_wrong_request(tracks, model):
    with pytest.raises(RequestError, match="give 1 or more"):
        measure(tracks, Data(), model, 0, least=0)
