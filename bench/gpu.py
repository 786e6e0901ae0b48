"""What a GPU makes of it: ``python -m bench.gpu [DEVICE]`` prints tables. On ``cpu`` everything is small, and shows only that it runs.

Training and extraction are compared with what the GPU can do: a matrix product that is measured here, and a bare loop over the same net.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Args:
        model: options of the encoder.
        batch_size: examples per step.
        steps: timed ones, after as many that are not.
        product: width of the square matrix product.
        clips, clip_seconds: that are extracted.
        songs: that are trained on.
        n, dimension: examples and features of the probes' grid.
    """

    model: Mapping[str, Any] = field(default_factory=lambda: {"size": "base"})
    batch_size: int = 256
    steps: int = 20
    product: int = 8192
    clips: int = 512
    clip_seconds: int = 30
    songs: int = 64
    n: int = 6300
    dimension: int = 4800


_SMALL_MODEL = {"size": "custom", "width": 16, "depth": 1, "heads": 2, "chunk_seconds": 0.64}
SMALL = Sizes(_SMALL_MODEL, batch_size=2, steps=1, product=128, clips=2, clip_seconds=8, songs=4, n=60, dimension=8)


@dataclass
class Figures:
    """What was measured; seconds, operations per second, bytes.

    Args:
        product: operations per second of a bfloat16 matrix product.
        step_seconds, step_operations: of a training step in bfloat16.
        step_bytes: the most memory of the GPU that training took; 0 on a processor.
        run_examples: examples per second of a whole run, with its loader.
        run_utilisation: share of the time in which the GPU computed, as its driver says; None: it does not.
        extraction_seconds, loop_seconds: of all clips, by ``extract``, and by the net alone with samples in memory.
        grid_seconds, grid_difference: of the probes' grid on the device; the largest difference of its scores from a processor's.
    """

    product: float = 0.0
    step_seconds: float = 0.0
    step_operations: float = 0.0
    step_bytes: int = 0
    run_examples: float = 0.0
    run_utilisation: float | None = None
    extraction_seconds: float = 0.0
    loop_seconds: float = 0.0
    grid_seconds: float = 0.0
    grid_difference: float = 0.0

    @property
    def utilised(self) -> float:
        """MFU: operations of a training step, by those of the product in the same time."""
        return self.step_operations / self.step_seconds / self.product


def synchronise(device: torch.device) -> None:
    """Waits for the device, which computes behind the program's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(call: Callable[[], object], runs: int, device: torch.device) -> float:
    """Median seconds of a call, after as many uncounted ones."""
    seconds = []
    for _ in range(2 * runs):
        synchronise(device)
        started = time.perf_counter()
        call()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[runs:])


def measure_product(device: torch.device, width: int, runs: int) -> float:
    """Operations per second of a square bfloat16 product."""
    left, right = (torch.randn(width, width, device=device, dtype=torch.bfloat16) for _ in range(2))
    output = torch.empty_like(left)
    return 2 * width**3 / median_seconds(lambda: torch.mm(left, right, out=output), max(runs, 3), device)


def training_settings(sizes: Sizes, **trainer: Any) -> Any:
    """The paper's settings at this size, in bfloat16."""
    from jukemir_like.stemjepa.settings import Training

    steps = 2 * sizes.steps
    return Training.from_dict(
        {
            "model": {"encoder": dict(sizes.model)},
            "data": {"dataloader": {"batch_size": sizes.batch_size}, "statistics": False, "valid_fraction": 0.0},
            "optimiser": {"warmup_steps": 1},
            "trainer": {"precision": "bf16", "max_steps": steps, "log_every_steps": max(1, sizes.steps), "valid_every_steps": 0, **trainer},
            "logger": ["csv"],
        }
    )


def _batch(settings: Any, device: torch.device) -> dict[str, torch.Tensor]:
    size = settings.data.dataloader.batch_size
    waveforms = 0.1 * torch.randn(2, size, settings.model.chunk_samples, device=device)
    numbers = torch.arange(size, device=device)
    return {"context": waveforms[0], "target": waveforms[1], "source": numbers % 4, "track": numbers}


def count_operations(sizes: Sizes) -> float:
    """Operations of the matrix products of a training step, forward and backward; nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    from jukemir_like.stemjepa.training.module import TrainingModule

    settings = training_settings(replace(sizes, batch_size=2))
    module = TrainingModule(settings).to("meta")
    with FlopCounterMode(display=False) as counter:
        module(_batch(settings, torch.device("meta"))).backward()
    return counter.get_total_flops() / 2 * sizes.batch_size


def measure_step(device: torch.device, sizes: Sizes, figures: Figures) -> None:
    """A step as the run does it, on one batch that stays on the device."""
    from jukemir_like.stemjepa import model
    from jukemir_like.stemjepa.training.fit import float32_products
    from jukemir_like.stemjepa.training.module import TrainingModule

    settings = training_settings(sizes)
    module = TrainingModule(settings).to(device)
    optimiser, batch = module.configure_optimizers(), _batch(settings, device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = module(batch)
        loss.backward()
        module.configure_gradient_clipping(optimiser)
        optimiser.step()
        optimiser.zero_grad()
        model.update_teacher(module.network.teacher, module.network.encoder, 0.999)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with float32_products(device.type):
        figures.step_seconds = median_seconds(step, sizes.steps, device)
    figures.step_bytes = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    figures.step_operations = count_operations(sizes)


def measure_run(device: torch.device, sizes: Sizes, figures: Figures, folder: Path) -> None:
    """A whole run on files, with its loader."""
    import soundfile

    from jukemir_like.stemjepa.training import metrics_log, run

    (folder / "stems").mkdir()
    random = np.random.default_rng(0)
    for song in range(sizes.songs):
        noise = 0.1 * random.standard_normal((20 * SAMPLE_RATE, 4))
        soundfile.write(folder / "stems" / f"{song}.wav", noise, SAMPLE_RATE)
    settings = training_settings(sizes, accelerator="gpu" if device.type == "cuda" else "cpu", devices=1)
    settings = replace(settings, data=replace(settings.data, data_path=str(folder / "stems")))
    with _utilisation(device) as samples:
        run.train(settings, folder / "run")
    figures.run_examples = metrics_log.read(folder / "run")[-1]["examples_per_second"]
    figures.run_utilisation = statistics.median(samples) / 100 if samples else None


@contextmanager
def _utilisation(device: torch.device) -> Iterator[list[float]]:
    """Samples of what the driver says of the GPU, in percent, twice a second."""
    samples: list[float] = []
    done = threading.Event()
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]

    def sample() -> None:
        while not done.wait(0.5):
            try:
                samples.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
            except (OSError, ValueError, subprocess.CalledProcessError):
                return

    thread = threading.Thread(target=sample, daemon=True)
    if device.type == "cuda":
        thread.start()
    try:
        yield samples
    finally:
        done.set()


def measure_extraction(device: torch.device, sizes: Sizes, figures: Figures, folder: Path) -> None:
    """The stage, from files to files, beside the net alone in the same batches."""
    import soundfile

    from jukemir_like.core import devices
    from jukemir_like.core.machine import available_cpus
    from jukemir_like.extract import extract
    from jukemir_like.stemjepa import checkpoint, config
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.model import Network

    model = config.Model(encoder=config.Encoder(**sizes.model))
    torch.manual_seed(0)
    weights = folder / "random.safetensors"
    checkpoint.save(weights, Network(model), provenance={}, sources=checkpoint.default_sources(model))
    (folder / "clips").mkdir()
    random = np.random.default_rng(0)
    clips = (0.1 * random.standard_normal((sizes.clips, sizes.clip_seconds * SAMPLE_RATE))).astype(np.float32)
    for number, clip in enumerate(clips):
        soundfile.write(folder / "clips" / f"{number}.wav", clip, SAMPLE_RATE)
    net = StemJEPA.from_pretrained(weights, device=str(device), precision="bf16")
    chunks = torch.from_numpy(clips[:, : sizes.clip_seconds * SAMPLE_RATE // model.chunk_samples * model.chunk_samples])
    chunks = chunks.reshape(-1, model.chunk_samples)
    batches = [part.to(device) for part in chunks.split(64)]
    network = net.network.encoder

    def loop() -> None:
        with devices.computing(device, "bf16"):
            for batch in batches:
                network(net.network.frontend(batch)).float().mean(1).cpu()

    figures.loop_seconds = median_seconds(loop, 1, device)
    started = time.perf_counter()
    options = {"weights": str(weights), "device": device.type, "precision": "bf16"}
    extract("stemjepa", folder / "clips", folder / "vectors", workers=available_cpus(), **options)
    figures.extraction_seconds = time.perf_counter() - started


def measure_grid(device: torch.device, sizes: Sizes, figures: Figures) -> None:
    """The grid of probes on the device, beside the same points on a processor."""
    from jukemir_like.datasets import Task
    from jukemir_like.probes.protocols import Grid
    from jukemir_like.probes.search import search
    from jukemir_like.probes.tasks import ProbeData, Split

    random = np.random.default_rng(0)
    splits = {}
    mixing = random.standard_normal((6, sizes.dimension))
    for name, n in (("train", sizes.n), ("valid", sizes.n // 4), ("test", sizes.n // 4)):
        hidden = random.standard_normal((n, 6))
        uid = np.array([f"{name}{number}" for number in range(n)])
        features = (hidden @ mixing + random.standard_normal((n, sizes.dimension))).astype(np.float32)
        splits[name] = Split(features, hidden.argmax(1), uid, uid, None)
    data = ProbeData(Task("t", "multiclass", tuple(map(str, range(6)))), splits, {}, [])
    grid = Grid(
        standardise=(True,), hidden=(0, 32), batch_size=(32,), learning_rate=(1e-3, 1e-2), dropout=(0.25,), weight_decay=(0.0,), patience=3
    )
    started = time.perf_counter()
    found = {trained.point: trained for job in search(data, grid, 0, 1, device.type) for trained in job}
    synchronise(device)
    figures.grid_seconds = time.perf_counter() - started
    expected = {trained.point: trained for job in search(data, grid, 0, 1, "cpu") for trained in job}
    assert found.keys() == expected.keys()
    figures.grid_difference = max(float(np.abs(found[p].scores["test"] - expected[p].scores["test"]).max()) for p in expected)


def measure(device: torch.device, sizes: Sizes | None = None) -> Figures:
    """All figures.

    Args:
        device: ``cuda`` or ``cpu``.
        sizes: None: those of the paper on a GPU, and very small ones elsewhere.
    """
    sizes = sizes or (Sizes() if device.type == "cuda" else SMALL)
    figures = Figures(product=measure_product(device, sizes.product, sizes.steps))
    measure_step(device, sizes, figures)
    with tempfile.TemporaryDirectory() as folder:
        measure_run(device, sizes, figures, Path(folder))
        measure_extraction(device, sizes, figures, Path(folder))
    measure_grid(device, sizes, figures)
    return figures


def table(figures: Figures, name: str) -> str:
    """Markdown of the figures; ``name`` is the device's."""
    utilisation = "not known" if figures.run_utilisation is None else f"{figures.run_utilisation:.0%}"
    rows = {
        "bfloat16 product, TFLOP/s": f"{figures.product / 1e12:.2f}",
        "a training step, ms": f"{1000 * figures.step_seconds:.1f}",
        "its share of the product's speed (MFU; ≥ 50 % on a GPU)": f"**{figures.utilised:.0%}**",
        "its peak memory, GB": f"{figures.step_bytes / 1e9:.2f}",
        "a whole run, examples a second": f"{figures.run_examples:.1f}",
        "the GPU's utilisation in it": utilisation,
        "extraction, clips beside a bare loop (≥ 70 % on a GPU)": f"**{figures.loop_seconds / figures.extraction_seconds:.0%}**",
        "grid of probes, s": f"{figures.grid_seconds:.1f}",
        "its scores differ from a processor's by": f"{figures.grid_difference:.1e}",
    }
    return "\n".join([f"| {name} | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows.items())])


def main(arguments: list[str]) -> None:
    device = torch.device(arguments[0] if arguments else "cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a processor, small sizes"
    print(table(measure(device), name))


if __name__ == "__main__":
    main(sys.argv[1:])
