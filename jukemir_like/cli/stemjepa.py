"""Commands of Stem-JEPA. Heavy imports happen inside them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt, is_name

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa.inference import StemJEPA

DATASET = "synthband_stems"

_weights_option = click.option("--weights", help="Name of weights in the package or the cache, or a path [default: the package's own].")
_device_option = click.option("--device", help="cpu or cuda [default: cuda where there is one].")
_threads_option = click.option("--threads", type=click.IntRange(1), help="Processors to compute on [default: all].")
_cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False),
    help="Where stages read and write [default: $JUKEMIR_LIKE_CACHE_DIR, else ~/.jukemir_like].",
)


@click.command()
@click.option("--context", required=True, type=click.Path(exists=True, dir_okay=False), help="Audio file of the mix that lacks a stem.")
@click.option("--instrument", required=True, help="The stem that it lacks, e.g. bass.")
@click.option("--library", "folder", required=True, type=click.Path(), help="Folder of audio to choose from; sub-folders included.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Files to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@_weights_option
@_device_option
@_threads_option
@_cache_option
def retrieve(
    context: str, instrument: str, folder: str, top: int, as_json: bool,
    weights: str | None, device: str | None, threads: int | None, cache: str | None,
) -> int:  # fmt: skip
    """Find the files of a library that fit a mix as its missing instrument.

    The index of the library is kept in the cache: the next search reads only files that are new or changed.
    """
    folders, path = _resolve(weights, cache)
    model = _load(path, device, threads)
    from jukemir_like.stemjepa.retrieval import library

    query = library.query(model, Path(context), instrument)
    candidates = library.open_library(model, Path(folder), folders)
    candidates.summary.notes[:0] = query.notes
    matches = candidates.nearest(query.vector, top)
    if as_json:
        request = {"context": context, "instrument": instrument, "weights": str(path), "digest": model.digest}
        click.echo(candidates.to_json(matches, request))
    else:
        click.echo(candidates.text(matches))
    click.echo(candidates.summary.text(), err=True)
    return candidates.summary.exit_code


@click.command(name="evaluate-retrieval")
@click.option("--data", type=click.Path(), help="Folder of stems; instead of --dataset.")
@click.option("--dataset", help=f"A processed dataset of stems in the cache [default: {DATASET}].")
@click.option("--split", help="Only these tracks [default: test, where tracks have a split].")
@click.option("--output", type=click.Path(file_okay=False), help="Folder of the results [default: retrieval/DATASET/WEIGHTS in the cache].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the intervals' draws.")
@click.option("--batch_size", type=click.IntRange(1), default=16, show_default=True, help="Chunks encoded at once.")
@click.option("--precision", type=click.Choice(["32", "bf16"]), default="32", show_default=True, help="bf16: faster on some machines.")
@click.option("--untrained", is_flag=True, help="The same net with random weights: what is there before it learns.")
@_weights_option
@_device_option
@_threads_option
@_cache_option
def evaluate_retrieval(
    data: str | None, dataset: str | None, split: str | None, output: str | None, seed: int, batch_size: int, precision: str,
    untrained: bool, weights: str | None, device: str | None, threads: int | None, cache: str | None,
) -> int:  # fmt: skip
    """Measure how often the missing stem of a track is found among others: retrieval.csv, a plot and a table."""
    started = time.perf_counter()
    if data is not None and dataset is not None:
        raise click.UsageError("give --data or --dataset, not both")
    folders, path = _resolve(weights, cache)
    name = (DATASET if dataset is None else dataset) if data is None else os.path.basename(os.path.abspath(data))  # noqa: PTH100, PTH119
    if not is_name(name) or not is_name(path.stem):  # the results' folder is called so
        wrong = name if not is_name(name) else path.name
        raise RequestError(f"{excerpt(wrong)!r} cannot be the name of a folder of results: give another --dataset, --data or --weights")
    folder = folders.processed(name) if data is None else Path(data)
    if not folder.is_dir():
        remedy = f"run `jukemir-like process {name}` first, or give --data DIR" if data is None else "give a folder of stems"
        raise RequestError(f"there is no folder {folder}: {remedy}")
    model = _load(path, device, threads, precision)
    sources = model.sources
    if untrained:
        model, path = type(model).untrained(model.model, device, precision), path.with_stem(f"{path.stem}-untrained")
    from jukemir_like.stemjepa.retrieval import evaluation, results

    done = evaluation.evaluate_folder(
        model.network, sources, folder, split=split, batch_size=batch_size, bf16=precision == "bf16", seed=seed
    )
    target = Path(output) if output is not None else results.folder(folders, name, path)
    results.write_table(target / results.TABLE_NAME, results.rows(done, weights=path.stem, digest=model.digest, dataset=name))
    results.write_plot(
        target / results.PLOT_NAME, done, f"Retrieval of missing stems: {path.stem} on {name}{f', {done.split}' if done.split else ''}"
    )
    click.echo(f"{results.text(done)}\nwritten: {target / results.TABLE_NAME}")
    summary = done.summary(time.perf_counter() - started)
    click.echo(summary.text(), err=bool(summary.failed))
    return summary.exit_code


def _resolve(weights: str | None, root: str | None) -> tuple[Cache, Path]:
    """The cache, and the file of weights."""
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa import checkpoint

    cache = Cache.default(root)
    return cache, checkpoint.resolve(weights, cache)


def _load(path: Path, device: str | None, threads: int | None, precision: str = "32") -> StemJEPA:
    """The network, on so many threads: here they work on one batch together, as files are few and batches are large."""
    import torch

    from jukemir_like.core import parallel
    from jukemir_like.stemjepa.inference import StemJEPA

    torch.set_num_threads(threads or parallel.available_cpus())
    return StemJEPA.from_pretrained(path, device, precision)
