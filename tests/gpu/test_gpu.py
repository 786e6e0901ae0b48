"""What to run first on a real GPU: ``make test-gpu``. On a processor the same code runs with the processor in the GPU's place."""

import numpy as np
import pytest
import torch

from bench import gpu as bench
from jukemir_like import representations
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card
from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.module import TrainingModule

ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")]
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]
NEURAL = ["stemjepa", "stemjepa-untrained", "stemjepa@layer=2@pool=mean+std", *card.names()]


def load(name, device, precision="32"):
    try:
        return representations.load(name, device=device, precision=precision)
    except RequestError as error:
        pytest.skip(f"{error}")


@pytest.fixture(scope="module")
def clips():
    """Two clips of 30 s, at 44.1 kHz: tones that come and go, and a little noise."""
    time = np.arange(30 * 44100) / 44100
    random = np.random.default_rng(0)
    tones = [
        sum(np.sin(2 * np.pi * 110 * note * time) * (1 + np.sin(2 * np.pi * time / note)) for note in (number, 3, 5)) for number in (1, 2)
    ]
    return [(0.05 * tone + 0.01 * random.standard_normal(len(time))).astype(np.float32) for tone in tones]


def vector(representation, clip):
    from jukemir_like.audio.conversion import resample

    return representation([resample(clip, 44100, representation.sample_rate)])[0]


def difference(one, other):
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("stemjepa", "cpu"),
        ("stemjepa-untrained@layer=2@pool=mean+std", "cpu"),
        *(pytest.param(name, "cuda", marks=ON_GPU) for name in NEURAL),
    ],
)
def test_vectors_are_those_of_a_processor(name, device, clips):
    """float32 to 1e-5 of their length, bfloat16 to 1e-2."""
    for clip in clips[: 1 if device == "cpu" else 2]:
        expected = vector(load(name, "cpu"), clip)
        assert difference(vector(load(name, device), clip), expected) < 1e-5
        if device == "cuda":
            assert difference(vector(load(name, device, "bf16"), clip), expected) < 1e-2


def losses(device, precision):
    """Of five steps, both phases, with the same weights and batches on any device."""
    settings = Training.from_dict(
        {
            "model": {"encoder": {"size": "custom", "width": 64, "depth": 2, "heads": 4, "chunk_seconds": 0.64}},
            "objective": {"contrastive_steps": 2, "contrastive_weight": 0.5},
            "optimiser": {"warmup_steps": 1},
            "trainer": {"max_steps": 5},
        }
    )
    torch.manual_seed(0)
    module = TrainingModule(settings)
    batches = [torch.randn(2, 16, settings.model.chunk_samples) for _ in range(5)]
    module.to(device)
    optimiser = module.configure_optimizers()
    found = []
    for step, waveforms in enumerate(batches):
        module.step = step
        numbers = torch.arange(16, device=device)
        context, target = waveforms.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = module({"context": context, "target": target, "source": numbers % 4, "track": numbers})
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        model.update_teacher(module.network.teacher, module.network.encoder, 0.5)
        found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_losses_are_those_of_a_processor(device):
    expected = losses("cpu", "32")
    assert losses(device, "32") == pytest.approx(expected, rel=1e-3)
    assert losses(device, "bf16") == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), DEVICES[1]])
def test_speed_memory_and_the_grid(device, capsys):
    """The figures, which are printed; their limits hold on a GPU alone."""
    torch_device = torch.device(device)
    figures = bench.measure(torch_device)
    with capsys.disabled():
        print(bench.table(figures, torch.cuda.get_device_name() if device == "cuda" else "a processor"))
    assert figures.grid_difference < 1e-3
    assert figures.run_examples > 0
    if device == "cuda":
        assert figures.utilised >= 0.5
        assert figures.loop_seconds >= 0.7 * figures.extraction_seconds


def test_operations_of_a_step_are_those_of_the_formula():
    """Encoder three times (forward, and backward twice as much) and teacher once; predictor three times."""
    from bench.embedding import _flops

    settings = bench.training_settings(bench.SMALL)
    encoder, predictor = _flops(settings.model), settings.model.predictor
    network = model.Network(settings.model)
    tokens = settings.model.bands * settings.model.steps
    of_predictor = 2 * tokens * sum(layer.weight.numel() for layer in network.predictor.layers)
    expected = bench.SMALL.batch_size * (4 * encoder + 3 * of_predictor)
    assert predictor.kind == "mlp"
    assert bench.count_operations(bench.SMALL) == pytest.approx(expected, rel=0.05)
