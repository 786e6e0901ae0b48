"""Compiled networks: how often torch compiles them in a run, and what is said where it cannot."""

import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.retrieval import embedding
from jukemir_like.stemjepa.training import compilation
from jukemir_like.stemjepa.training.callbacks import _collapse_metrics
from jukemir_like.stemjepa.training.module import TrainingModule


@pytest.fixture
def compiled():
    """torch's counters of what it compiled."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    yield counters
    torch._dynamo.reset()


def steps(module, uncompiled):
    """Both phases of a run, with what is logged and validated in between, in batches of many shapes."""
    optimiser = module.configure_optimizers()
    samples = module.settings.model.chunk_samples
    random = np.random.default_rng(0)
    for step in range(6):
        module.step = step
        waveforms = torch.from_numpy(random.standard_normal((2, 8, samples)).astype(np.float32))
        batch = {"context": waveforms[0], "target": waveforms[1], "source": torch.arange(8) % 4, "track": torch.arange(8)}
        module(batch).backward()
        optimiser.step()
        optimiser.zero_grad()
        with uncompiled():
            _collapse_metrics(module, batch)
            tracks = [random.standard_normal((4, 2 * samples + 3000 * track)).astype(np.float32) for track in range(3)]
            embedding.embed_tracks(module.network, tracks)


@pytest.mark.slow
def test_a_run_compiles_each_network_once_per_phase_and_nothing_in_validation(settings, compiled):
    """Encoder (two shapes of batch), teacher and predictor share torch's limit of eight variants, beyond which nothing is compiled."""
    module = TrainingModule(settings())
    compilation.compile_networks(module.network, backend="eager")
    steps(module, compilation.uncompiled)
    assert compiled["stats"]["unique_graphs"] == 4 < torch._dynamo.config.recompile_limit
    assert not compiled["graph_break"]
    torch._dynamo.reset()
    compiled.clear()
    steps(module, nullcontext)
    assert compiled["stats"]["unique_graphs"] >= torch._dynamo.config.recompile_limit


def test_what_cannot_be_compiled_is_one_line(monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("No working C++ compiler found in\n  torch._inductor.config.cpp.cxx: (None, 'g++')")

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(
        RequestError, match=r"^trainer\.compile=true, but torch\.compile does not work here \(No working C\+\+ comp"
    ) as caught:
        compilation.check(torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert "g++" in str(caught.value)
    assert "leave trainer.compile out" in str(caught.value)


@pytest.mark.slow
def test_without_a_compiler_it_is_said_before_training(settings, tmp_path):
    script = (
        "import sys, torch\nfrom jukemir_like.core.errors import RequestError\nfrom jukemir_like.stemjepa.training import compilation\n"
        "try:\n    compilation.check(torch.device('cpu'))\nexcept RequestError as error:\n    sys.exit(str(error))"
    )
    environment = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("trainer.compile=true, but torch.compile does not work here (")
