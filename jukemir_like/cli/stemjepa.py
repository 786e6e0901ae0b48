"""``train``, ``convert``, ``retrieve`` and ``evaluate-retrieval``: the commands of Stem-JEPA."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jukemir_like.cli import options
from jukemir_like.core.errors import DONE, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.parallel import wait_without_spinning
from jukemir_like.core.stems import KINDS

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa.inference import StemJEPA
    from jukemir_like.stemjepa.settings import Training

DATASET = "synthband_stems"
NAME = "stemjepa"  # of a run without a recipe
_NEEDED_TO_TRAIN = ("lightning", "hydra", "omegaconf")


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="A recipe of the package or of ./configs/recipe.")
@click.option("--data", type=click.Path(), help="Folder of stems; the same as data.data_path=DIR.")
@click.option("--name", help=f"Name of the run and its weights [default: that of the recipe, else {NAME}].")
@click.option("--output", type=click.Path(file_okay=False), help="Where runs and weights are kept [default: checkpoints/ of the cache].")
@click.option("--restart", is_flag=True, help="Start from the beginning, even if there is an earlier run of this name.")
@click.option(
    "--on_change",
    type=click.Choice(["refuse", "restart"]),
    default="refuse",
    show_default=True,
    help="Where the earlier run had other settings or tracks.",
)
@click.option("--show", is_flag=True, help="Print the whole configuration as YAML, and do not train.")
@options.cache
def train(
    overrides: tuple[str, ...], recipe: str | None, data: str | None, name: str | None, output: str | None,
    restart: bool, on_change: str, show: bool, cache: str | None,
) -> int:  # fmt: skip
    """Train a Stem-JEPA on a folder of stems.

    OVERRIDES change the configuration: trainer.max_steps=10000, model=small, data=my_data (which reads ./configs/data/my_data.yaml), ….
    An interrupted run continues when the same command is given again.
    """
    missing = [package for package in _NEEDED_TO_TRAIN if importlib.util.find_spec(package) is None]
    if missing:
        raise RequestError(f"training needs {', '.join(missing)}: pip install 'jukemir-like[train]'")
    wait_without_spinning()
    settings = _settings(recipe, data, overrides)
    if show:
        from omegaconf import OmegaConf

        click.echo(OmegaConf.to_yaml(settings.to_dict(defaults=True)).rstrip())
        return DONE
    folder, weights = _run_and_weights(recipe or NAME if name is None else name, output, cache)
    from jukemir_like.core.atomic import atomic_write
    from jukemir_like.stemjepa.training import run

    with _default_cache(cache):
        trained = run.train(settings, folder, resume=not restart, on_change=on_change)
    if int(os.environ.get("SLURM_PROCID", os.environ.get("RANK", 0))) == 0:
        with atomic_write(weights) as temporary:
            shutil.copyfile(trained, temporary)
        click.echo(f"weights: {weights}")
    return DONE


@contextmanager
def _default_cache(root: str | None) -> Iterator[None]:
    """Within it ``root``, if given, is the cache of this process and of those that it starts."""
    if root is None:
        yield
        return
    from jukemir_like.core.cache import ENVIRONMENT_VARIABLE

    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = str(options.open_cache(root).root)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT_VARIABLE]
        else:
            os.environ[ENVIRONMENT_VARIABLE] = before


def _settings(recipe: str | None, data: str | None, overrides: tuple[str, ...]) -> Training:
    from jukemir_like.stemjepa.training.compose import compose_settings

    chosen = [f"recipe={recipe}"] if recipe else []
    # Quoted, as a path may contain characters that have a meaning in overrides.
    chosen += ["data.data_path='{}'".format(os.path.abspath(data).replace("\\", "\\\\").replace("'", "\\'"))] if data else []  # noqa: PTH100
    return compose_settings([*chosen, *overrides])


def _run_and_weights(name: str, output: str | None, root: str | None) -> tuple[Path, Path]:
    """The folder of the run, and the file of its weights next to it."""
    from jukemir_like.core.cache import reads_as_options
    from jukemir_like.stemjepa.config import SUFFIX, excerpt, is_name

    if not is_name(name):
        raise RequestError(
            f"--name {excerpt(name, 100)!r} is no name: leave out folders, suffix and control characters, do not begin with a dot, be short"
        )
    if reads_as_options(name):
        raise RequestError(f"--name {name!r} reads as a layer or a pool of another representation: leave out its last dot")
    file_name = f"{name}{SUFFIX}"
    weights = Path(output).absolute() / file_name if output else options.open_cache(root).checkpoint(name)
    return weights.with_suffix(""), weights


@click.command()
@click.argument("file", type=click.Path())
@click.option("--name", help="Name of the converted weights [default: that of FILE].")
@click.option("--output", type=click.Path(file_okay=False), help="Where they are kept [default: checkpoints/ of the cache].")
@click.option("--sources", help="Instruments in the order of their numbers [default: bass,drums,other,vocals where there are four].")
@click.option("--heads", type=click.IntRange(1), help="Attention heads of the encoder [default: one per 64 channels at the paper's sizes].")
@click.option("--mean", type=float, help="Mean of the log-mel that it was trained on [default: the paper's].")
@click.option("--std", type=float, help="Its standard deviation [default: the paper's].")
@options.cache
def convert(
    file: str, name: str | None, output: str | None, sources: str | None, heads: int | None, mean: float | None, std: float | None,
    cache: str | None,
) -> int:  # fmt: skip
    """Convert weights that the original code of Stem-JEPA trained.

    FILE is a checkpoint of Lightning, a file of weights or a state dict (.ckpt, .pt, .pth, .safetensors). No code in it is run. The same
    numbers come out as from the original.
    """
    path = Path(file)
    _, weights = _run_and_weights(path.stem if name is None else name, output, cache)
    if (mean is None) != (std is None):
        raise click.UsageError("give both --mean and --std, or neither")
    import tempfile

    from jukemir_like.core.files import sha256
    from jukemir_like.stemjepa import checkpoint, config, conversion

    if re.fullmatch(r"[\w.+-]+", weights.stem) is None:  # epoch=9-step=100, as Lightning names files
        raise RequestError(f"{weights.stem!r} cannot be part of the name of a representation: give a --name of letters, digits, . _ + -")
    if (checkpoint.FOLDER / weights.name).exists():
        raise RequestError(f"weights of the package are called {weights.stem}: choose another --name")
    frontend = config.Frontend(mean=mean, std=std) if mean is not None and std is not None else None
    names = [source.strip() for source in sources.split(",")] if sources is not None else None
    converted = conversion.convert(path, sources=names, heads=heads, frontend=frontend)
    if weights.exists():
        with tempfile.TemporaryDirectory() as temporary:
            converted.save(again := Path(temporary) / weights.name)
            if sha256(again) != sha256(weights):
                raise RequestError(f"{weights} holds other weights: choose another --name, or remove it")
    else:
        converted.save(weights)
    for note in converted.notes:
        click.echo(f"jukemir-like: {note}", err=True)
    model = converted.network.settings
    encoder, chunk = model.encoder, f"chunks of {model.encoder.chunk_seconds:g} s"
    shape = f"width {encoder.width}, depth {encoder.depth}, heads {encoder.heads}"
    click.echo(f"{encoder.size} encoder ({shape}), {chunk}, {model.predictor.kind} predictor of {', '.join(converted.sources)}")
    click.echo(f"weights: {weights}")
    return DONE


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
    if as_json:
        request: dict[str, Any] = {"context": context, "instrument": instrument, "weights": str(path), "digest": model.digest}
        if query.taken_for is not None and (model.is_text_conditioned or query.taken_for.note):
            request["taken_for"] = query.taken_for.to_json()
        click.echo(candidates.to_json(matches, request))
    else:
        click.echo(candidates.text(matches))
    if page is not None:
        from jukemir_like.listening import retrieved
        from jukemir_like.listening.page import write

        found = [
            retrieved.Found(match.rank, match.score, match.path, match.start_seconds, match.change, match.tempo_unknown)
            for match in matches
        ]
        facts = [("weights", f"{path.stem}, {model.digest[:16]}")]
        facts += (
            [("transposed", f"by up to {transpose} semitone{'s' if transpose != 1 else ''}")]
            if any(change.semitones for change in query.changes)
            else []
        )
        facts += [("stretched", f"by up to {stretch} %")] if stretch else []
        written, unheard = retrieved.page(Path(context), instrument, Path(folder), found, scores, facts=facts, seconds=page_seconds)
        write(Path(page), written)
        candidates.summary.failed |= {name: reason for name, reason in unheard.items() if name not in candidates.summary.failed}
    click.echo(candidates.summary.text(), err=True)
    if page is not None:
        click.echo(f"written: {printable(page)} (open it in a browser)", err=True)
    return candidates.summary.exit_code


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
