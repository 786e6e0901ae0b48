"""``python -m bench [SECTION …]``: runs the measurements and writes them into docs/benchmarks.md (all of them, or those named)."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from bench import timing
from jukemir_like import __version__

SECTIONS = {
    "assets": "Downloading",
    "stages": "Stages",
    "processing": "Processing",
    "deforming": "Deforming",
    "production": "Production",
    "scale": "A million files",
    "features": "chroma and mfcc",
    "stems": "Stems",
    "training": "Training",
    "embedding": "stemjepa's embedding",
    "encoders": "Encoders",
    "pretrained": "Models of transformers",
    "speeds": "Speeds",
    "retrieval": "Retrieval",
    "probe": "Probes",
    "coverage": "Intervals and comparisons",
    "tempo": "Predicting tempo",
    "strengths": "Strengths",
    "protocols": "Protocols",
    "containers": "Containers",
}
"""Module of this package → heading of its section, in the order of the page."""
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
HEAD = "# Benchmarks\n\nWritten by `make bench`; medians of interleaved runs. Trust the ratios, not the last digit.\n"


def main() -> None:
    for name in sys.argv[1:] or SECTIONS:
        print(f"measuring {name} …", file=sys.stderr)
        heading, _, text = import_module(f"bench.{name}").section().strip().partition("\n")
        assert heading == f"## {SECTIONS[name]}", heading
        measured = f"*jukemir-like {__version__}, {datetime.now(UTC):%Y-%m-%d}, {timing.machine()}.*"
        section = f"{heading}\n\n{measured}\n{text}\n"
        print(section)
        write(section)


def write(section: str) -> None:
    """Puts one section into the page, in place of what stood there under its heading."""
    page = PAGE.read_text() if PAGE.exists() else HEAD
    kept = [part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:] if heading_of(part) != heading_of(section)]
    order = [f"## {heading}" for heading in SECTIONS.values()]
    parts = sorted([*kept, section], key=lambda part: order.index(heading_of(part)))
    PAGE.write_text("\n".join([HEAD, *(part.strip() + "\n" for part in parts)]))


def heading_of(section: str) -> str:
    return section.partition("\n")[0]


if __name__ == "__main__":
    main()
