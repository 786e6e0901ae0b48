"""Mean and standard deviation of the log-mel, against all values at once."""

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa import data as stems
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.normalisation import log_mel_statistics
from jukemir_like.stemjepa.model import LogMel
from jukemir_like.stemjepa.settings import Data


@pytest.fixture
def tracks(folder, write, noise):
    for number in range(5):
        write(f"{number}.wav", noise(20000, seed=number) * 10.0**-number, 22050)
    return stems.find(folder, 4).tracks


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
