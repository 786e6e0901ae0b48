"""``python -m bench [SECTION …]``: runs the measurements and writes docs/benchmarks.md (with names: only prints those sections)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from bench import timing
from jukemir_like import __version__

SECTIONS = ("stages", "features", "stems", "training", "embedding", "probe")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    chosen = sys.argv[1:] or SECTIONS
    sections = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr)
        sections.append(import_module(f"bench.{name}").section().strip() + "\n")
        print(sections[-1])
    if len(chosen) == len(SECTIONS):
        head = (
            "# Benchmarks\n\nWritten by `make bench`; medians of interleaved runs. Trust the ratios, not the last digit.\n\n"
            f"jukemir-like {__version__}, {datetime.now(UTC):%Y-%m-%d}, {timing.machine()}.\n"
        )
        PAGE.write_text("\n".join([head, *sections]))
        print(f"written to {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
