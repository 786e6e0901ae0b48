"""Models of transformers beside a bare loop over the same model and batches, and all layers beside one.

To add one, append to :data:`MODELS`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import timing

CLIP_SECONDS, RUNS = 30, 3
MODELS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "hubert-base": ("Hubert", {}, "Wav2Vec2", {"do_normalize": True}),
    "ast": ("AST", {}, "AST", {}),
}
"""Card → the class of ``transformers`` and its settings, at its published size; that of its feature extractor, and its settings."""


def section() -> str:
    """Markdown of the figures."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.pretrained", "figures"]
    found = subprocess.run(command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, check=True, text=True)
    figures = json.loads(found.stdout.splitlines()[-1])
    lines = [
        "## Models of transformers",
        "",
        f"| a {CLIP_SECONDS} s clip, one core | bare loop, s | here, s | ratio | all layers, s | all / one | to build the net, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in figures.items():
        ratio, layers = own["one"] / own["bare"], own["all"] / own["one"]
        lines.append(
            f"| {name} | {own['bare']:.2f} | {own['one']:.2f} | **{ratio:.2f}** | {own['all']:.2f} | **{layers:.2f}** | {own['net']:.2f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Random weights at the published size. Medians of {RUNS} calls in turn with the others, in one process and thread, in CPU "
            "seconds. The bare loop has the library's feature extractor, the same chunks in the same batches, and the mean of one layer. "
            "*To build the net*: made and its weights read, without the import of the library.",
        ]
    )


def _figures() -> dict[str, dict[str, float]]:
    return {name: _measure(name, *described) for name, described in MODELS.items()}


def _measure(name: str, model: str, settings: dict[str, Any], extractor: str, of_extractor: dict[str, Any]) -> dict[str, float]:
    import numpy as np
    import torch
    import transformers

    from jukemir_like.core.cache import Cache
    from jukemir_like.encoders import card as cards
    from jukemir_like.encoders import hub, weights
    from jukemir_like.encoders.transformers_models import TransformersEncoder

    torch.manual_seed(0)
    net = getattr(transformers, f"{model}Model")(getattr(transformers, f"{model}Config")(**settings)).eval()
    prepare = getattr(transformers, f"{extractor}FeatureExtractor")(**of_extractor)
    with tempfile.TemporaryDirectory() as folder:
        repository, cache = Path(folder) / "repository", Cache(Path(folder) / "cache")
        net.save_pretrained(repository)
        prepare.save_pretrained(repository)
        card = replace(cards.read(name), settings=cards.read(name).settings | {"model_type": net.config.model_type})
        card = hub.with_files(card, cache, repository)
        weights.get(card, cache, TransformersEncoder.convert, own_copy=repository)
        encoder = TransformersEncoder(card, cache=cache)
        started = time.process_time()
        encoder.net  # noqa: B018
        building = time.process_time() - started
        clip = (0.1 * np.random.default_rng(0).standard_normal(CLIP_SECONDS * encoder.sample_rate)).astype(np.float32)
        starts = range(0, len(clip), encoder.chunk_samples)
        chunks = [clip[start : start + encoder.chunk_samples] for start in starts]
        equal = [[chunk for chunk in chunks if len(chunk) == length] for length in sorted({len(chunk) for chunk in chunks})]

        def bare() -> Any:
            with torch.inference_mode():
                for batch in equal:
                    inputs = prepare(batch, sampling_rate=encoder.sample_rate, return_tensors="pt").input_values
                    net(inputs, output_hidden_states=True).hidden_states[int(encoder.layer)].mean(dim=(0, 1)).numpy()

        calls = {"bare": bare, "one": lambda: encoder([clip]), "all": lambda: encoder.vectors_of_layers([clip], encoder.layers)}
        return timing.calls_in_turn(calls, RUNS) | {"net": building}


if __name__ == "__main__":
    print(json.dumps(_figures()))
