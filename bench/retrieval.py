"""``retrieve``: the index against extraction of the same files, a query in libraries of up to 100,000 stems, and the page."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from bench import scale

SIZES = (1_000, 10_000, 100_000)
QUERIES, RUNS, SEGMENTS = 9, 5, 8
CLIPS, INDEXED, CLIP_SECONDS, RATE = (16, 256), 3, 30, 44_100
LINKED = 32  # real files; the others are links to them, of which a file can have 65,000


def section() -> str:
    """Markdown of the figures."""
    with tempfile.TemporaryDirectory() as root:
        return "\n\n".join(["## Retrieval", _index(Path(root) / "index"), _queries(Path(root) / "queries"), _page(Path(root) / "page")])


def _index(folder: Path) -> str:
    """The first search of a library beside the extraction of the same vectors of the same files, in turn."""
    for size in CLIPS:
        for number in range(size):
            _write(folder / str(size) / "library" / f"{number}.wav", CLIP_SECONDS, number)
        _write(folder / str(size) / "mix.wav", CLIP_SECONDS, max(CLIPS))
    figures: dict[tuple[str, int], list[scale.Figures]] = {}
    representation = f"stemjepa@layer={_depth()}@pool=mean"
    for run, size in itertools.product(range(INDEXED), CLIPS):
        own = folder / str(size)
        extract = [sys.executable, "-m", "jukemir_like", "extract", representation, str(own / "library"), str(own / f"vectors {run}")]
        for name, command in {"index": _retrieve(own, str(own / f"cache {run}")), "extract": extract}.items():
            figures.setdefault((name, size), []).append(scale.run(command))
    few, many = CLIPS
    head = ["", *(f"{size} stems: s, of the processor" for size in CLIPS), "MB", "a stem more: ms", "of the processor"]
    lines, each = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"], {}
    for name in ("index", "extract"):
        seconds = {size: statistics.median(one.seconds for one in figures[name, size]) for size in CLIPS}
        processor = {size: statistics.median(one.processor_seconds for one in figures[name, size]) for size in CLIPS}
        each[name] = [1000 * (of[many] - of[few]) / (many - few) for of in (seconds, processor)]
        both = " | ".join(f"{seconds[size]:.1f}, {processor[size]:.1f}" for size in CLIPS)
        megabytes = max(one.megabytes for one in figures[name, many])
        lines.append(f"| {name} | {both} | {megabytes:.0f} | {each[name][0]:.1f} | {each[name][1]:.1f} |")
    ratios = " · ".join(f"**{one / other:.2f}**" for one, other in zip(each["index"], each["extract"], strict=True))
    return "\n".join(
        [
            *lines,
            "",
            f"A stem more, index over extraction: {ratios} (target: 1 ± 0.05). Stems of {CLIP_SECONDS} s at 44.1 kHz, 16 bit. "
            "Index: `retrieve` with an empty cache, its start and the query included. `extract` has a worker per processor, and the "
            f"same layer and pool. Medians of {INDEXED} in turn.",
        ]
    )


def _queries(folder: Path) -> str:
    """Libraries whose index is there already. Its vectors are random: how long a query takes does not hang on what they are."""
    _write(folder / "mix.wav", 12, 0)
    head = ["stems in the library", "`retrieve`, s", "MB", "index, MB", "written, s", "opened, s", "a query, ms", "by segments, ms"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for size in SIZES:
        own = folder / str(size)
        _link(own / "library", size)
        os.link(folder / "mix.wav", own / "mix.wav")
        cache = str(own / "cache")
        made = [_in_process("make", own, cache, *segments) for segments in ((), ("--segments",))]
        whole = [scale.run(_retrieve(own, cache)) for _ in range(3)]
        asked = [_in_process("ask", own, cache, *segments) for segments in ((), ("--segments",))]
        lines.append(
            f"| {size:,} | {statistics.median(one.seconds for one in whole):.1f} | {max(one.megabytes for one in whole):.0f} | "
            f"{made[0]['megabytes']:.1f} | {made[0]['seconds']:.2f} | {asked[0]['opened']:.2f} | "
            f"**{1000 * asked[0]['query']:.0f}** | {1000 * asked[1]['query']:.0f} |"
        )
    lines += [
        "",
        "`retrieve` is the whole command, Python, PyTorch and prediction included (the first row is hardly anything else), MB its "
        f"peak. *A query*: `Library.nearest`, median of {QUERIES} in one process; *by segments*: with {SEGMENTS} in each stem. "
        "Targets at 100,000: a query below 200 ms, `retrieve` below 500 MB.",
    ]
    return "\n".join(lines)


def _page(folder: Path) -> str:
    """The page of a mix of 30 s and ten stems."""
    for number in range(10):
        _write(folder / "library" / f"{number}.wav", CLIP_SECONDS, number)
    _write(folder / "mix.wav", CLIP_SECONDS, 10)
    made = _in_process("page", folder)
    return (
        f"The page of a mix of {CLIP_SECONDS} s and 10 stems, of `retrieve --page`: **{made['seconds']:.1f} s** (median of {RUNS}; "
        f"{made['processor']:.1f} s of the processor), {made['megabytes']:.1f} MB, of noise and tones. Targets: 3 s, 3 MB."
    )


def _retrieve(folder: Path, cache: str) -> list[str]:
    asked = ["--context", str(folder / "mix.wav"), "--instrument", "bass", "--library", str(folder / "library"), "--cache", cache]
    return [sys.executable, "-m", "jukemir_like", "retrieve", *asked]


def _write(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    at = np.arange(int(seconds * RATE)) / RATE
    samples = 0.01 * generator.standard_normal(len(at))
    for frequency, period in zip(generator.uniform(60, 4000, 4), (0.5, 0.25, 1, 2), strict=True):  # struck tones
        samples += 0.15 * np.sin(2 * np.pi * frequency * at) * np.exp(-3 * (at % period))
    soundfile.write(path, samples, RATE, subtype="PCM_16")


def _link(folder: Path, size: int) -> None:
    for number in range(LINKED):
        _write(folder / f"{number:06}.wav", 0.1, number)
    for number in range(LINKED, size):
        os.link(folder / f"{number % LINKED:06}.wav", folder / f"{number:06}.wav")


def _depth() -> int:
    from jukemir_like.stemjepa.inference import StemJEPA

    return StemJEPA.from_pretrained().model.encoder.depth


def _in_process(what: str, *arguments: object) -> Mapping[str, float]:
    """Runs a function of this module in a process of its own, for its memory and its caches."""
    command = [sys.executable, "-m", "bench.retrieval", what, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _make(folder: Path, cache: str, segments: bool) -> dict[str, float]:
    """Writes an index in which each file has content of its own."""
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.retrieval.index import Index, file_state, index_path

    model, library = StemJEPA.from_pretrained(), folder / "library"
    random = np.random.default_rng(0)
    index = Index()
    for path in sorted(library.iterdir()):
        digest = f"{int(path.stem):064x}"
        index.files[path.name] = (file_state(path), digest)
        vectors = random.standard_normal((SEGMENTS if segments else 1, model.dimension)).astype(np.float32)
        index.added[digest] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    started = time.perf_counter()
    index.write(path := index_path(Cache(Path(cache)), library, model, segments=segments))
    return {"seconds": time.perf_counter() - started, "megabytes": path.stat().st_size / 1e6}


def _ask(folder: Path, cache: str, segments: bool) -> dict[str, float]:
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.retrieval import library as retrieval_library

    model = StemJEPA.from_pretrained()
    started = time.perf_counter()
    library = retrieval_library.open_library(model, folder / "library", Cache(Path(cache)), segments=segments)
    opened = time.perf_counter() - started
    assert not library.summary.done
    random, seconds = np.random.default_rng(1), []
    for _ in range(QUERIES):
        query = random.standard_normal(model.dimension)
        started = time.perf_counter()
        assert len(library.nearest(query, 10)) == 10
        seconds.append(time.perf_counter() - started)
    return {"opened": opened, "query": statistics.median(seconds)}


def _write_page(folder: Path) -> dict[str, float]:
    from jukemir_like.listening import page, retrieved

    found = [retrieved.Found(number + 1, 0.5, f"{number}.wav") for number in range(10)]
    figures: list[tuple[float, float]] = []
    for _ in range(RUNS + 1):
        started = time.perf_counter(), time.process_time()
        made, failed = retrieved.page(folder / "mix.wav", "bass", folder / "library", found, np.full(10, 0.5, np.float32))
        assert not failed
        page.write(folder / "page.html", made)
        figures.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    seconds, processor = (statistics.median(column) for column in zip(*figures[1:], strict=True))
    return {"seconds": seconds, "processor": processor, "megabytes": (folder / "page.html").stat().st_size / 1e6}


CALLS = {
    "make": lambda folder, cache, *segments: _make(Path(folder), cache, bool(segments)),
    "ask": lambda folder, cache, *segments: _ask(Path(folder), cache, bool(segments)),
    "page": lambda folder: _write_page(Path(folder)),
}


if __name__ == "__main__":
    print(json.dumps(CALLS[sys.argv[1]](*sys.argv[2:])))
