"""Copies trained weights into the package: as float16, with the log and the plot of their training.

    python scripts/embed_weights.py WEIGHTS.safetensors CACHE/checkpoints/RUN

writes ``WEIGHTS.safetensors``, and ``metrics.csv`` and ``training.png`` of a finished run as ``WEIGHTS.csv`` and ``WEIGHTS.png``, into
``jukemir_like/stemjepa/weights/``. The weights are those of the run, or an average of them with others (``average_weights.py``).
"""

from __future__ import annotations

import sys
from pathlib import Path

from jukemir_like.core.atomic import write_bytes
from jukemir_like.stemjepa import checkpoint

MAX_BYTES = 16_000_000


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(str(__doc__))
    weights, run = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    trained = checkpoint.load(weights)
    target = checkpoint.FOLDER / f"{weights.stem}{checkpoint.SUFFIX}"
    checkpoint.save(target, trained.network, provenance=trained.provenance, sources=trained.sources, half=True)
    for source, suffix in (("metrics.csv", ".csv"), ("training.png", ".png")):
        write_bytes(target.with_suffix(suffix), (run / source).read_bytes())
    size = target.stat().st_size
    print(f"{target}: {size / 1e6:.1f} MB, digest {checkpoint.header(target).digest}")
    if size > MAX_BYTES:
        sys.exit(f"larger than {MAX_BYTES / 1e6:.0f} MB: too large for the package")


if __name__ == "__main__":
    main()
