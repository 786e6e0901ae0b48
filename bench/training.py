"""Training: what a step costs beside forward, backward and optimiser; whether the loader keeps up; the teacher's update."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

SONGS, STEPS, UNCOUNTED = 48, 60, 15
RUNS, UPDATES = 9, 20
TAU = 0.99


def section() -> str:
    """Markdown of the figures."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JUKEMIR_LIKE_CACHE_DIR": folder}
        for stage in (["download", "synthband", "--songs", str(SONGS)], ["process", "synthband_stems"]):
            subprocess.run([sys.executable, "-m", "jukemir_like", *stage], env=environment, stdout=subprocess.DEVNULL, check=True)
        command = [sys.executable, "-m", "bench.training", "measure", folder]
        found = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1])
    step, size, whole = found["step"], found["batch_size"], found["max_steps"]
    inside = sum(step[name] for name in PARTS)
    needed, given = size / step["whole"], found["loader"]
    return "\n".join(
        [
            "## Training",
            "",
            "| a step of the recipe `reproduce` | ms | share |",
            "|---|---|---|",
            *(f"| {text} | {1000 * step[name]:.0f} | {step[name] / step['whole']:.1%} |" for name, text in PARTS.items()),
            f"| **all else** (teacher, log, Lightning, waiting for data) | {1000 * (step['whole'] - inside):.0f} "
            f"| **{1 - inside / step['whole']:.1%}** |",
            f"| whole | {1000 * step['whole']:.0f} | |",
            "",
            f"Medians of {STEPS - UNCOUNTED} steps of {size} examples on all cores. The {whole} steps of the recipe so take "
            f"**{whole * step['whole'] / 60:.1f} minutes**; the training process peaks at {found['megabytes']:,.0f} MB. "
            f"The net uses {needed:.0f} examples a second; two workers of the loader, with nothing else to do, give {given:,.0f}.",
            "",
            "| the teacher's update | parameters | fused, ms | a loop over tensors, ms | ratio |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {one['parameters']:,} | {1000 * one['fused']:.2f} | {1000 * one['loop']:.2f} "
                f"| **{one['loop'] / one['fused']:.1f}** |"
                for name, one in found["teacher"].items()
            ),
            "",
            f"Medians of {RUNS} turns; the loop is `target.copy_(tau * target + (1 - tau) * online)`.",
        ]
    )


PARTS = {"forward": "forward: log-mel, networks, loss", "backward": "backward", "optimiser": "clipping and AdamW"}


def _measure(folder: Path) -> dict[str, Any]:
    import resource

    from jukemir_like.core import parallel
    from jukemir_like.stemjepa.training.compose import compose_settings

    data = folder / "processed" / "synthband_stems"
    whole = compose_settings(["recipe=reproduce"]).trainer.max_steps
    overrides = [f"data.data_path={data}", f"trainer.max_steps={STEPS}", "objective.contrastive_steps=40", "optimiser.warmup_steps=5"]
    settings = compose_settings(["recipe=reproduce", *overrides, "trainer.valid_every_steps=0", "trainer.valid_tracks=1"])
    parallel.keep_freed_memory()
    steps = _steps(settings, folder / "run")
    return {
        "step": steps,
        "batch_size": settings.data.dataloader.batch_size,
        "max_steps": whole,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loader": _loader(settings),
        "teacher": {name: _teacher(name) for name in ("tiny", "base")},
    }


def _steps(settings: Any, folder: Path) -> dict[str, float]:
    """Median seconds of a step and of its parts, taken inside a real run."""
    import torch

    from jukemir_like.stemjepa.training import run
    from jukemir_like.stemjepa.training.callbacks import StepCallback
    from jukemir_like.stemjepa.training.module import TrainingModule

    spent: dict[str, list[float]] = {name: [] for name in (*PARTS, "whole")}
    last = [0.0]

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[name].append(time.perf_counter() - started)

        return call

    def ended(self: StepCallback, *arguments: Any) -> None:
        on_end(self, *arguments)
        now = time.perf_counter()
        spent["whole"].append(now - last[0])
        last[0] = now

    on_end = StepCallback.on_train_batch_end
    StepCallback.on_train_batch_end = ended  # type: ignore[method-assign]
    TrainingModule.forward = timed("forward", TrainingModule.forward)  # type: ignore[method-assign]
    torch.Tensor.backward = timed("backward", torch.Tensor.backward)  # type: ignore[method-assign]
    TrainingModule.configure_gradient_clipping = timed("clip", TrainingModule.configure_gradient_clipping)  # type: ignore[method-assign]
    adam = import_module("torch.optim.adam")  # AdamW's step is Adam's, with another decay
    adam.adam = timed("adamw", adam.adam)  # type: ignore[attr-defined]
    spent["clip"], spent["adamw"] = [], []
    run.train(settings, folder)
    medians = {name: statistics.median(seconds[UNCOUNTED:]) for name, seconds in spent.items() if len(seconds) > UNCOUNTED}
    medians["optimiser"] = medians.get("clip", 0.0) + 2 * medians.get("adamw", 0.0)  # two groups of parameters
    return {name: medians[name] for name in (*PARTS, "whole")}


def _loader(settings: Any) -> float:
    """Examples a second from two workers."""
    from jukemir_like.stemjepa.data.examples import Examples
    from jukemir_like.stemjepa.data.loading import loader
    from jukemir_like.stemjepa.training.batches import find_tracks

    tracks = find_tracks(settings).train
    examples = Examples(tracks, settings.data, settings.model, 0)
    size, batches = settings.data.dataloader.batch_size, 24
    started, count = 0.0, 0
    for number, _ in enumerate(loader(examples, batch_size=size, batches=batches, workers=2)):
        if number == batches // 4:
            started, count = time.perf_counter(), 0
        count += size
    return (count - size) / (time.perf_counter() - started)


def _teacher(size: str) -> dict[str, float]:
    import torch

    from jukemir_like.stemjepa import config, model
    from jukemir_like.stemjepa.model import Encoder

    student = Encoder(config.Model(encoder=config.Encoder(size)))
    target = model.make_teacher(student)

    @torch.no_grad()
    def loop() -> None:
        for slow, fast in zip(target.parameters(), student.parameters(), strict=True):
            slow.copy_(TAU * slow + (1 - TAU) * fast)

    updates = UPDATES if size == "tiny" else 2
    seconds: dict[str, list[float]] = {"fused": [], "loop": []}
    calls: dict[str, Callable[[], None]] = {"fused": lambda: model.update_teacher(target, student, TAU), "loop": loop}
    for turn in range(RUNS + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(updates):
                call()
            if turn:
                seconds[name].append((time.perf_counter() - started) / updates)
    return {"parameters": sum(part.numel() for part in student.parameters())} | {
        name: statistics.median(measured) for name, measured in seconds.items()
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(_measure(Path(sys.argv[2]))))
    else:
        print(section())
