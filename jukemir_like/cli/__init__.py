"""``jukemir-like``: one command a stage. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jukemir_like import __version__
from jukemir_like.cli import containers as launching
from jukemir_like.cli import stemjepa
from jukemir_like.cli.train import train
from jukemir_like.core import signals, streams
from jukemir_like.core.errors import DONE, WRONG_REQUEST, JukemirLikeError
from jukemir_like.launch import planning

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache
    from jukemir_like.core.records import Summary
    from jukemir_like.datasets import Dataset

Command = Callable[..., Any]


def main() -> None:
    """Runs the command line and exits: 0 done, 1 a bug, 2 a wrong request, 3 some inputs failed, 130 interrupted."""
    streams.prepare()
    signals.listen()
    is_interrupted = False
    try:
        code = _run()
    except signals.Interrupted:
        is_interrupted = True
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    if is_interrupted:  # not in the block above, where the exception keeps generators and what they use from ending
        signals.end()
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False, prog_name="jukemir-like")
    except JukemirLikeError as error:
        from jukemir_like.core.records import printable

        click.echo(f"jukemir-like: {printable(str(error))}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"jukemir-like: {error.format_message()} (see jukemir-like {_command_name()}--help)", err=True)
        code = WRONG_REQUEST
    signals.finish()
    return streams.close(code if isinstance(code, int) else DONE)


def _command_name() -> str:
    name = next((word for word in sys.argv[1:] if word != "--docker"), "")
    return f"{name} " if name in cli.commands else ""


@click.group(
    cls=launching.Stages,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="jukemir-like")
@click.option("--docker", is_flag=True, help="Run the stage in its image, by the Docker engine of this machine.")
@click.pass_context
def cli(context: click.Context, docker: bool) -> None:  # noqa: ARG001 -- the group looks at it
    """Which representation of audio knows what about music?

    Each command is one stage; a stage reads a folder and writes a folder. `make reproduce` runs them all.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _cache_option(command: Command) -> Command:
    return click.option(
        "--cache",
        type=click.Path(file_okay=False),
        help="Where stages read and write [default: $JUKEMIR_LIKE_CACHE_DIR, else ~/.jukemir_like].",
    )(command)


def _workers_option(command: Command) -> Command:
    return click.option("--workers", type=click.IntRange(1), help="Worker processes [default: one a processor].")(command)


def _prepare(workers: int | None) -> int:
    """One numerical thread a process, decided before NumPy is imported; returns the number of workers."""
    from jukemir_like.core import parallel

    parallel.one_thread_each()
    parallel.keep_freed_memory()
    return workers or parallel.available_cpus()


def _cache(folder: str | None) -> Cache:
    from jukemir_like.core.cache import Cache

    return Cache.default(folder)


def _finish(summary: Summary) -> int:
    click.echo(summary.text(), err=bool(summary.failed))
    return summary.exit_code


@cli.command()
@click.argument("dataset")
@click.option("--num_parallel", type=click.IntRange(1, 64), default=8, show_default=True, help="Files under way at once.")
@click.option("--delete_wrong", is_flag=True, help="Remove files in the cache that are not what is declared, and get them again.")
@click.option(
    "--from",
    "own_copy",
    type=click.Path(file_okay=False),
    help="Take the assets from this folder, your own copy, whatever its layout; nothing is downloaded.",
)
@click.option("--dry_run", is_flag=True, help="Say sizes, licence, access and sources, and what is there already; do nothing.")
@click.option("--songs", type=click.IntRange(1, 20_000), default=600, show_default=True, help="Songs of the embedded dataset.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the embedded dataset.")
@_workers_option
@_cache_option
def download(
    dataset: str, songs: int, seed: int, workers: int | None, cache: str | None, dry_run: bool, own_copy: str | None, **options: Any
) -> int:
    """Get the raw assets of DATASET, or those whose tags begin with DATASET (such as GIANTSTEPS_MTG), verified and unpacked.

    The embedded dataset, synthband, is composed and rendered here: no network is needed.
    """
    workers = _prepare(workers)
    from jukemir_like import datasets, downloads

    name = datasets.assets(dataset) if dataset.partition("+")[0] in datasets.names() else dataset
    chosen = downloads.select(name)
    if dry_run:
        click.echo(downloads.announce(chosen, _cache(cache)))
        return DONE
    if name != "synthband":
        return _finish(downloads.download(chosen, _cache(cache), own_copy=None if own_copy is None else Path(own_copy), **options))
    if own_copy is not None:
        raise click.UsageError("synthband is made here: --from is for datasets that are downloaded")
    from jukemir_like import synthband

    return _finish(synthband.download(_cache(cache).dataset(name), songs=songs, seed=seed, workers=workers))


@cli.command()
@click.argument("dataset")
@click.option("--audio", type=click.Path(file_okay=False), help="Folder of audio, for `folder`.")
@click.option(
    "--labels",
    type=click.Path(dir_okay=False),
    help="Table of labels, for `folder` (CSV, TSV): columns uid or path, label(s), split and group optional.",
)
@click.option(
    "--label", "label_columns", multiple=True, help="A label column of the table [default: all that look like labels]; may be repeated."
)
@click.option(
    "--task",
    "task_types",
    metavar="[COLUMN=]TYPE",
    multiple=True,
    help="Read the label columns, or this one, as multiclass, multilabel, regression or key [default: by values]; may be repeated.",
)
@click.option("--group", default="group", show_default=True, help="Column whose items must not be divided between splits.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draw of missing splits.")
@click.option("--name", help="Name of the dataset in the cache [default: DATASET].")
@click.option("--metadata_only", is_flag=True, help="Write meta.json and dataset.json, no audio.")
@_workers_option
@_cache_option
def process(dataset: str, workers: int | None, cache: str | None, metadata_only: bool, name: str | None, **options: Any) -> int:
    """Turn DATASET (or `folder`: your own audio) into WAV and meta.json.

    Of your own table it says at the end what it understood: columns, tasks, labels, missing values, items by split; so does dataset.json.
    Whole numbers that repeat are classes, unless `--task COLUMN=regression` says otherwise; cells that are empty, NA, NaN, None, null, -
    or ? are missing labels.
    """
    workers = _prepare(workers)
    from jukemir_like import datasets
    from jukemir_like.process import process as run

    folders = _cache(cache)
    name = dataset if name is None else name
    output = folders.processed(name)
    if dataset == "folder" and datasets.is_known(name):
        raise click.UsageError(f"{name} is the name of a known dataset, which would be overwritten: give --name another one")
    made = _folder_dataset(name, **options) if dataset == "folder" else datasets.load(dataset, folders)
    return _finish(run(made, output, workers=workers, metadata_only=metadata_only))


def _folder_dataset(
    name: str, *, audio: str | None, labels: str | None, task_types: tuple[str, ...], group: str, **options: Any
) -> Dataset:
    from jukemir_like.datasets import folder

    if audio is None or labels is None:
        raise click.UsageError("a dataset of your own needs --audio DIR and --labels FILE")
    types: dict[str, Any] = {column: kind for column, _, kind in (task.rpartition("=") for task in task_types)}
    if len(types) < len(task_types):
        raise click.UsageError(
            "--task says twice what the same columns are: give each COLUMN=TYPE once, and TYPE alone once for the others"
        )
    return folder.dataset(
        Path(audio), Path(labels), name=name, task_type=types.pop("", None), column_types=types, group_column=group, **options
    )


@cli.command()
@click.argument("representation")
@click.argument("input", type=click.Path(), required=False)
@click.argument("output", type=click.Path(), required=False)
@click.option("--dataset", help="Instead of INPUT and OUTPUT: the folders of this dataset in the cache.")
@click.option("--batch_size", type=int, help="Files a batch.")
@click.option("--batch_idx", type=int, help="Which batch, from 0 [default: SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, where set].")
@click.option("--weights", help="Of stemjepa: a name in the package or the cache, or a path [default: the package's own].")
@click.option("--precision", type=click.Choice(["32", "bf16"]), help="Of stemjepa [default: 32].")
@_workers_option
@_cache_option
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None,  # noqa: A002
    batch_size: int | None, batch_idx: int | None, workers: int | None, cache: str | None, **options: Any,
) -> int:  # fmt: skip
    """Extract REPRESENTATION of every audio file of INPUT into OUTPUT, one .npy a file.

    `stemjepa` has the weights in the package, `stemjepa-NAME` those called NAME, `stemjepa-untrained` random ones.
    """
    workers = _prepare(workers)
    from jukemir_like.extract import extract as run

    folders = _cache(cache)
    source, target = planning.source_and_target(representation, input, output, dataset, folders)
    if batch_size is not None and batch_idx is None:
        batch_idx = _batch_idx_of_environment()
    return _finish(
        run(representation, source, target, batch_size=batch_size, batch_idx=batch_idx, workers=workers, cache=folders, **options)
    )


def _batch_idx_of_environment() -> int | None:
    for variable in planning.BATCH_VARIABLES:
        value = os.environ.get(variable)
        if value:
            if not value.isdigit():
                raise click.UsageError(f"${variable} is {value!r}, not a batch index")
            return int(value)
    return None


cli.add_command(train)
cli.add_command(stemjepa.retrieve)
cli.add_command(stemjepa.evaluate_retrieval)


@cli.command()
@click.argument("dataset")
@click.argument("representation")
@click.option("--task", "tasks", multiple=True, help="A task of the dataset [default: all]; may be repeated.")
@click.option(
    "--protocol",
    type=click.Choice(["linear", "jukemir"]),
    default="linear",
    show_default=True,
    help="linear: regularisation path, seconds; jukemir: grid of 216 points.",
)
@click.option("--seed", "seeds", type=click.IntRange(0), multiple=True, default=(0,), show_default=True, help="May be repeated.")
@_workers_option
@_cache_option
def probe(
    dataset: str, representation: str, tasks: tuple[str, ...], protocol: str, seeds: tuple[int, ...], workers: int | None, cache: str | None
) -> int:
    """Probe REPRESENTATION (or `trivial`: the baselines) on the tasks of DATASET.

    Finished probes are kept; those whose files are damaged are made again.
    """
    workers = _prepare(workers)
    from jukemir_like.core.records import printable
    from jukemir_like.probes import probe as run
    from jukemir_like.probes import statistics

    folders = _cache(cache)
    notes: dict[str, None] = {}
    for seed in seeds:
        runs = run(folders, dataset, representation, tasks=tasks or None, protocol=protocol, seed=seed, workers=workers)
        notes |= dict.fromkeys(note for made in runs for note in made.record["notes"])
    scored = statistics.score(folders, dataset, representation)
    click.echo(scored)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    return scored.exit_code


@cli.command()
@click.argument("dataset")
@_workers_option
@_cache_option
def audit(dataset: str, workers: int | None, cache: str | None) -> int:
    """Look for what a score on DATASET could owe to something else than the music.

    Artists, albums and recordings in several splits, audio that stands twice, labels and audio that are missing.
    """
    workers = _prepare(workers)
    from jukemir_like.audit.audit import audit as run

    audited = run(_cache(cache), dataset, workers=workers)
    click.echo(audited)
    return audited.exit_code


@cli.command()
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset; may be repeated.")
@click.option("--representation", "representations", multiple=True, help="Only this representation; may be repeated.")
@click.option("--protocol", type=click.Choice(["linear", "jukemir"]), help="Only this protocol.")
@_cache_option
def report(datasets: tuple[str, ...], representations: tuple[str, ...], protocol: str | None, cache: str | None) -> int:
    """Write report/index.html from all probes in the cache, and print the table.

    Files that are damaged are left out: the page and the last lines name them, and the exit code is 3.
    """
    _prepare(None)
    from jukemir_like.report import report as stage

    written = stage.report(_cache(cache), datasets or None, representations or None, protocol)
    click.echo(written)
    return written.exit_code


cli.add_command(launching.commands)


@cli.command()
@click.argument("image")
@click.option(
    "--rule", "rules", multiple=True, help="Only this clause of the contract (C5), or this rule of it (C5.dtype); may be repeated."
)
@click.option("--gpus", is_flag=True, help="Give the containers the GPUs.")
def conform(image: str, rules: tuple[str, ...], gpus: bool) -> int:
    """Check that IMAGE keeps the contract of a representation's image."""
    from jukemir_like.conformance import check

    checked = check(image, only=rules or None, gpus=gpus)
    click.echo(checked.text())
    return checked.exit_code


@cli.command(name="list")
def list_() -> int:
    """List the datasets, representations and weights that are there."""
    from jukemir_like import datasets, representations
    from jukemir_like.stemjepa import checkpoint

    click.echo("datasets:         " + " ".join([*datasets.names(), "folder"]))
    click.echo("representations:  " + " ".join(representations.names()))
    click.echo("weights:          " + " ".join(checkpoint.listed(_cache(None))))
    return DONE
