"""stemjepa's embedding: seconds of audio a second by size and precision, beside what the processor's matrix products allow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench import timing

POOLS = ("mean", "mean+std")
SIZES, PRECISIONS = ("tiny", "base"), {"32": "fp32", "bf16": "bf16"}
CLIP_SECONDS, RUNS, PRODUCTS = 32, 5, 20


def section() -> str:
    """Markdown of the embedding's figures."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    figures = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bench.embedding", "figures"],
            env={**os.environ, **one_thread},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout.splitlines()[-1]
    )
    lines = [
        "## stemjepa's embedding",
        "",
        "| a 32 s clip, one core | seconds of audio a second | GFLOP/s | a matrix product's | used | front-end's share |",
        "|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        for precision, name in PRECISIONS.items():
            own = figures[size][precision]
            speed, flops = CLIP_SECONDS / own["seconds"], own["flops"] / own["seconds"] / 1e9
            used, frontend = flops / own["product"], own["frontend_seconds"] / own["seconds"]
            lines.append(f"| {size}, {name} | {speed:.1f} | {flops:.0f} | {own['product']:.0f} | {used:.0%} | {frontend:.1%} |")
    lines += ["", "| bf16 beside fp32 | extraction is faster by | a matrix product by | vectors differ by |", "|---|---|---|---|"]
    for size in SIZES:
        exact, fast = figures[size]["32"], figures[size]["bf16"]
        faster, product = exact["seconds"] / fast["seconds"], fast["product"] / exact["product"]
        lines.append(f"| {size} | **{faster:.2f}** | {product:.2f} | {figures[size]['difference']:.1e} |")
    lines += ["", "| all layers beside one | mean | mean+std |", "|---|---|---|"]
    for size in SIZES:
        one, every = figures[size]["32"]["seconds"], figures[size]["layers"]
        lines.append(f"| {size}, fp32 | **{every['mean'] / one:.2f}** | **{every['mean+std'] / one:.2f}** |")
    return "\n".join(
        [
            *lines,
            "",
            f"Medians of {RUNS} calls of `StemJEPA.embed` in turn with the others, in one process and thread, in processor seconds. "
            "Front-end and pooling are included, the operations are those of the encoder alone; the matrix product is one of its largest, "
            "2,000 tokens by width by four times the width. Vectors differ relative to their length. bf16 is to be 1.6 times as fast where "
            "the processor makes twice the products in it; where it does not, fp32 is the better choice. Vectors of all layers, from one "
            "pass, are to take less than 1.1 times as long as one of the last layer.",
        ]
    )


def _figures() -> dict[str, Any]:
    import numpy as np
    import torch

    from jukemir_like.stemjepa import config
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.model import LogMel

    clip = (0.1 * np.random.default_rng(0).standard_normal(CLIP_SECONDS * 16000)).astype(np.float32)
    found: dict[str, Any] = {}
    for size in SIZES:
        model = config.Model(encoder=config.Encoder(size))
        width = model.encoder.width
        vectors: dict[str, Any] = {}
        calls: dict[str, Callable[[], object]] = {}
        for precision, kind in {"32": torch.float32, "bf16": torch.bfloat16}.items():
            calls[precision] = _embedding(StemJEPA.untrained(model, "cpu", precision), clip, vectors, precision)
            calls[f"product {precision}"] = _products(torch.randn(2000, width).to(kind), torch.randn(4 * width, width).to(kind))
        for pool in POOLS:
            calls[f"layers {pool}"] = _all_layers(StemJEPA.untrained(model, "cpu"), clip, pool)
        chunks, frontend = torch.from_numpy(clip).view(-1, model.chunk_samples), LogMel(model.frontend)
        calls["frontend"] = lambda frontend=frontend, chunks=chunks: frontend(chunks)
        with torch.inference_mode():
            seconds = timing.calls_in_turn(calls, RUNS)
        found[size] = {"difference": float(np.linalg.norm(vectors["bf16"] - vectors["32"]) / np.linalg.norm(vectors["32"]))}
        found[size]["layers"] = {pool: seconds[f"layers {pool}"] for pool in POOLS}
        for precision in PRECISIONS:
            found[size][precision] = {
                "seconds": seconds[precision],
                "frontend_seconds": seconds["frontend"],
                "flops": len(chunks) * _flops(model),
                "product": PRODUCTS * 2 * 2000 * 4 * width**2 / seconds[f"product {precision}"] / 1e9,
            }
    return found


def _products(left: Any, right: Any) -> Callable[[], object]:
    import torch

    output = left.new_empty(len(left), len(right))  # else the time would be that of fresh memory, too
    return lambda: [torch.mm(left, right.T, out=output) for _ in range(PRODUCTS)]


def _embedding(net: Any, clip: Any, vectors: dict[str, Any], precision: str) -> Callable[[], object]:
    return lambda: vectors.update({precision: net.embed(clip)})


def _all_layers(net: Any, clip: Any, pool: str) -> Callable[[], object]:
    from jukemir_like.representations.pooling import make_pool

    layers = range(net.model.encoder.depth + 1)
    if pool == "mean":
        return lambda: net.embed_layers(clip, layers)

    def feed() -> list[Any]:
        pools = {layer: make_pool(pool) for layer in layers}
        net.feed([clip], [pools])
        return [one.vector() for one in pools.values()]

    return feed


def _flops(model: Any) -> int:
    """Operations of the encoder for a chunk: linear layers, and the two products of attention."""
    shape, tokens = model.encoder, model.bands * model.steps
    linear = 4 * shape.width**2 + 2 * shape.width * round(shape.mlp_ratio * shape.width)
    block = 2 * tokens * linear + 4 * tokens**2 * shape.width
    return int(shape.depth * block + 2 * tokens * shape.patch_mels * shape.patch_frames * shape.width)


if __name__ == "__main__":
    print(json.dumps(_figures()) if sys.argv[1:] == ["figures"] else section())
