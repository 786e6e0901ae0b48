"""``retrieve`` and ``evaluate-retrieval``: which stems fit a mix, and how often the right one is found."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jukemir_like.cli import options
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.parallel import wait_without_spinning
from jukemir_like.core.stems import KINDS

if TYPE_CHECKING:
    import numpy as np

    from jukemir_like.core.cache import Cache
    from jukemir_like.listening.page import Page
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.retrieval import library as retrieval_library
    from jukemir_like.stemjepa.retrieval.queries import Query

DATASET = "synthband_stems"


@click.command()
@click.option("--context", required=True, type=click.Path(exists=True, dir_okay=False), help="Audio file of the mix that lacks a stem.")
@click.option(
    "--instrument",
    required=True,
    help="The stem that it lacks: bass, drums, other or vocals; in any words for weights that are conditioned by text.",
)
@click.option("--library", "folder", required=True, type=click.Path(), help="Folder of audio to choose from; sub-folders included.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Files to show.")
@click.option("--segments", is_flag=True, help="Find which part of which file fits: of each file, the chunk that fits best.")
@click.option(
    "--transpose",
    type=click.IntRange(1, 6),
    metavar="SEMITONES",
    help="Also find files that fit when played up to so many semitones higher or lower, 6 at the most.",
)
@click.option(
    "--stretch",
    type=click.IntRange(1, 10),
    metavar="PERCENT",
    help="Say how much faster or slower each file found is in time with the mix, up to so much, 10 at the most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@options.page
@options.page_seconds
@options.weights
@options.device
@options.threads
@options.partial_ok
@options.cache
def retrieve(
    context: str, instrument: str, folder: str, top: int, segments: bool, transpose: int | None, stretch: int | None, as_json: bool,
    page: str | None, page_seconds: float, weights: str | None, device: str | None, threads: int | None, cache: str | None,
) -> int:  # fmt: skip
    """Find the files of a library that fit a mix as its missing instrument.

    The index of the library is kept in the cache: the next search reads only files that are new or changed. --page writes a page on which
    the mix is heard with each of them.

    Key and tempo of a file must be those of the mix, unless --transpose or --stretch are given: then the table says how each file is to
    be played, and the page plays it so. The files themselves are not changed. Drums and other percussion are not transposed. --stretch
    does not change which files are found; where no tempo fits, the table has a ?.
    """
    wait_without_spinning()
    folders, path = _resolve(weights, cache)
    model = _load(path, device, threads)
    from jukemir_like.stemjepa.retrieval import library

    if stretch is not None and page is not None:
        from jukemir_like.deform import stretching

        stretching.load()  # refuses at once where it is missing, and not after the search
    query = library.query(model, Path(context), instrument, transpose=transpose)
    candidates = library.open_library(model, Path(folder), folders, segments=segments)
    candidates.summary.notes[:0] = query.notes
    matches, scores = candidates.search(query.vectors, top, query.changes)
    if stretch is not None:
        from jukemir_like.stemjepa.retrieval import tempos

        matches, unread = tempos.fit(matches, candidates.folder, query.mix, model.sample_rate, stretch)
        candidates.summary.failed.update(unread)
    request: dict[str, Any] = {"context": context, "instrument": instrument, "weights": str(path), "digest": model.digest}
    if query.taken_for is not None and (model.is_text_conditioned or query.taken_for.note):
        request["taken_for"] = query.taken_for.to_json()
    if not as_json:
        click.echo(candidates.text(matches))
    heard = None
    try:
        if page is not None:
            facts = [("weights", f"{path.stem}, {model.digest[:16]}"), *_facts(query, transpose, stretch)]
            heard, unheard = _page_of(matches, scores, candidates, Path(context), instrument, facts, page_seconds)
            candidates.summary.failed |= {name: reason for name, reason in unheard.items() if name not in candidates.summary.failed}
    finally:
        if as_json:  # after the page, which tells of candidates that cannot be heard
            click.echo(candidates.to_json(matches, request))
    if page is not None and heard is not None:
        from jukemir_like.listening.page import write

        write(Path(page), heard)
    click.echo(candidates.summary.text(), err=True)
    if page is not None:
        click.echo(f"written: {printable(page)} (open it in a browser)", err=True)
    return candidates.summary.exit_code


def _facts(query: Query, transpose: int | None, stretch: int | None) -> list[tuple[str, str]]:
    """What a page says of the question, besides mix, instrument and library."""
    facts = [("taken for", query.taken_for.taken_for)] if query.taken_for is not None and query.taken_for.note else []
    if any(change.semitones for change in query.changes):
        facts.append(("transposed", f"by up to {transpose} semitone{'s' if transpose != 1 else ''}"))
    return facts + ([("stretched", f"by up to {stretch} %")] if stretch else [])


def _page_of(
    matches: Sequence[retrieval_library.Match], scores: np.ndarray, candidates: retrieval_library.Library, context: Path, instrument: str,
    facts: list[tuple[str, str]], seconds: float,
) -> tuple[Page, dict[str, str]]:  # fmt: skip
    """The page of what was found, and which candidates could not be read: path → reason."""
    from jukemir_like.listening import retrieved

    found = [
        retrieved.Found(match.rank, match.score, match.path, match.start_seconds, match.change, match.tempo_unknown) for match in matches
    ]
    return retrieved.page(context, instrument, candidates.folder, found, scores, facts=facts, seconds=seconds)


@click.command(name="evaluate-retrieval")
@click.option("--data", type=click.Path(), help="Folder of stems; instead of --dataset.")
@click.option("--dataset", help=f"A processed dataset of stems in the cache [default: {DATASET}].")
@click.option("--split", help="Only these tracks; all: every track [default: test, where tracks have a split].")
@click.option(
    "--stems",
    type=click.Choice(KINDS),
    help="instruments: each track has stems of its own, which its files name [default: usual, but for a dataset whose tracks have].",
)
@click.option("--output", type=click.Path(file_okay=False), help="Folder of the results [default: retrieval/DATASET/WEIGHTS in the cache].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the resampling from which intervals come.")
@click.option("--batch_size", type=click.IntRange(1), default=16, show_default=True, help="Chunks encoded at once.")
@click.option("--precision", type=click.Choice(["32", "bf16"]), default="32", show_default=True, help="bf16: faster on some machines.")
@click.option("--untrained", is_flag=True, help="The same network with random weights: the scores before training.")
@options.page
@options.weights
@options.device
@options.threads
@options.partial_ok
@options.cache
def evaluate_retrieval(
    data: str | None, dataset: str | None, split: str | None, stems: str | None, output: str | None, seed: int, batch_size: int,
    precision: str, untrained: bool, page: str | None, weights: str | None, device: str | None, threads: int | None, cache: str | None,
) -> int:  # fmt: skip
    """Measure how often the missing stem of a track is found among others: retrieval.csv, a plot and a table."""
    from jukemir_like.stemjepa.config import excerpt, is_name

    started = time.perf_counter()
    if data is not None and dataset is not None:
        raise click.UsageError("give --data or --dataset, not both")
    wait_without_spinning()
    folders, path = _resolve(weights, cache)
    name = (DATASET if dataset is None else dataset) if data is None else os.path.basename(os.path.abspath(data))  # noqa: PTH100, PTH119
    if not is_name(name) or not is_name(path.stem):  # they name the folder of results
        unusable = name if not is_name(name) else path.name
        raise RequestError(f"{excerpt(unusable)!r} cannot be the name of a folder of results: give another --dataset, --data or --weights")
    folder = folders.processed(name) if data is None else Path(data)
    if not folder.is_dir():
        remedy = f"run `jukemir-like process {name}` first, or give --data DIR" if data is None else "give a folder of stems"
        raise RequestError(f"there is no folder {folder}: {remedy}")
    model = _load(path, device, threads, precision)
    from jukemir_like.stemjepa.retrieval import evaluation, results, table
    from jukemir_like.stemjepa.weights_names import name_of

    sources, of_weights = model.sources, name_of(path, model.digest, folders)
    if untrained:
        model, of_weights = type(model).untrained(model.model, device, precision), f"{of_weights}-untrained"

    evaluated = evaluation.evaluate_folder(
        model.network,
        sources,
        folder,
        split=split,
        batch_size=batch_size,
        bf16=precision == "bf16",
        seed=seed,
        own_stems=stems == "instruments",
    )
    target = Path(output) if output is not None else results.folder(folders, name, of_weights)
    rows = results.rows(evaluated, weights=of_weights, digest=model.digest, dataset=name)
    table.write_table(target / table.TABLE_NAME, rows)
    evaluated_split = f", {evaluated.split}" if evaluated.split else ""
    results.write_plot(target / results.PLOT_NAME, evaluated, f"Retrieval of missing stems: {of_weights} on {name}{evaluated_split}")
    click.echo(f"{results.text(evaluated)}\nwritten: {target / table.TABLE_NAME}")
    unheard: dict[str, str] = {}
    if page is not None:
        from jukemir_like.listening import evaluated as listening
        from jukemir_like.listening.page import write

        facts = [("digest", model.digest[:16])] if model.digest else []
        written, unheard = listening.page(evaluated, dataset=name, weights=of_weights, facts=facts)
        write(Path(page), written)
        click.echo(f"written: {printable(page)} (open it in a browser)")
    summary = evaluated.summary(time.perf_counter() - started)
    summary.failed.update(unheard)
    click.echo(summary.text(), err=bool(summary.failed))
    return summary.exit_code


def _resolve(weights: str | None, root: str | None) -> tuple[Cache, Path]:
    """The cache, and the file of weights."""
    from jukemir_like.stemjepa import checkpoint

    cache = options.open_cache(root)
    return cache, checkpoint.resolve(weights, cache)


def _load(path: Path, device: str | None, threads: int | None, precision: str = "32") -> StemJEPA:
    """The network. All threads work on one batch together, as files are few and batches are large."""
    import torch

    from jukemir_like.core import machine
    from jukemir_like.stemjepa.inference import StemJEPA

    torch.set_num_threads(threads or machine.available_cpus())
    return StemJEPA.from_pretrained(path, device, precision)
