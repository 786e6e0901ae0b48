"""``extract``, ``probe`` and ``report``: the commands that compare representations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jukemir_like.cli import options

if TYPE_CHECKING:
    from jukemir_like.probes.runs import Run


@click.command()
@click.argument("representation", envvar=options.REPRESENTATION_VARIABLE)
@options.input_and_output
@click.option("--batch_size", type=int, help="Files per batch.")
@click.option("--batch_idx", type=int, help="Which batch, from 0 [default: SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, where set].")
@click.option("--layers", metavar="all|L,L,…", help="Vectors of these layers from one pass, into OUTPUT/NAME.layerL/.")
@options.matrix
@options.representation_options
@options.workers
@options.partial_ok
@options.cache
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None,  # noqa: A002
    batch_size: int | None, batch_idx: int | None, layers: str | None, matrix: bool, workers: int | None, cache: str | None,
    **representation_options: Any,
) -> int:  # fmt: skip
    """Extract REPRESENTATION of every audio file of INPUT into OUTPUT, one .npy per file.

    `stemjepa` has the weights in the package, `stemjepa-NAME` those called NAME, `stemjepa-untrained` random ones. Encoders of others (see
    `jukemir-like list`) need their weights: `jukemir-like download ENCODER`. With --dataset, vectors by the --weights of another file are
    kept under a name of their own, which is printed. `NAME@layer=7@pool=max` chooses a layer, and how its frames
    become a vector: mean, mean+std or max.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like import extract as extraction

    folders = options.open_cache(cache)
    if dataset is not None:
        input, output = options.given("input", "output")  # noqa: A001
    kept_as = extraction.kept_name(representation, representation_options["weights"], dataset, folders)
    if kept_as != representation:
        click.echo(f"jukemir-like: vectors by these weights are kept as those of {kept_as}", err=True)
        representation = kept_as
    source, target = extraction.folders(representation, input, output, dataset, folders, layers=layers)
    if batch_size is not None and batch_idx is None:
        batch_idx = extraction.batch_idx_of_environment()
    summary = extraction.extract(
        representation,
        source,
        target,
        batch_size=batch_size,
        batch_idx=batch_idx,
        workers=workers,
        layers=layers,
        matrix=matrix,
        cache=folders,
        **representation_options,
    )
    return options.finish(summary)


@click.command()
@click.argument("dataset")
@click.argument("representation")
@click.option("--task", "tasks", multiple=True, help="A task of the dataset [default: all]; may be repeated.")
@click.option(
    "--protocol",
    type=click.Choice(["linear", "jukemir", "lineareval"]),
    default="linear",
    show_default=True,
    help="linear: regularisation path, seconds; jukemir: grid of 216 points; lineareval: one linear layer, three seeds.",
)
@click.option("--seed", "seeds", type=click.IntRange(0), multiple=True, help="May be repeated [default: 0; lineareval: 42, 43, 44].")
@click.option(
    "--folds",
    type=click.IntRange(2),
    metavar="K",
    help="Draw K folds, by group and class, each tested once [default: DATASET's own, or its splits].",
)
@click.option("--folds_seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the drawing.")
@click.option("--layers", metavar="all|L,L,…", help="Probe these layers of REPRESENTATION, and choose one by validation.")
@click.option(
    "--chunks_above", type=click.FloatRange(0), metavar="GB", help="Read vectors of more GB in chunks, in little memory [default: 1]."
)
@options.workers
@options.partial_ok
@options.cache
def probe(
    dataset: str, representation: str, tasks: tuple[str, ...], protocol: str, seeds: tuple[int, ...], folds: int | None,
    folds_seed: int, layers: str | None, chunks_above: float | None, workers: int | None, cache: str | None,
) -> int:  # fmt: skip
    """Probe REPRESENTATION (or `trivial`: the baselines) on the tasks of DATASET.

    Finished probes are kept; those whose files are damaged are run again.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like.core.files import printable
    from jukemir_like.probes.layers import probe_layers
    from jukemir_like.probes.stage import probe_dataset

    folders = options.open_cache(cache)
    request: dict[str, Any] = {"tasks": tasks or None, "protocol": protocol, "seeds": seeds or None, "workers": workers}
    request |= {"folds": folds, "folds_seed": folds_seed}
    if chunks_above is not None:
        request["chunks_above"] = int(chunks_above * 1e9)
    if layers is None:
        probed: Any = probe_dataset(folders, dataset, representation, **request)
        runs = probed.runs
    else:
        probed = probe_layers(folders, dataset, representation, layers, **request)
        runs = [run for of_layer in probed.layers.values() for run in of_layer.runs]
    click.echo(probed)
    for note in probed.notes:
        click.echo(f"note: {printable(note)}", err=True)
    incomplete = next(filter(_lacks_vectors, runs), None)
    if incomplete is not None:
        collect = f"jukemir-like commands collect --dataset {dataset} --representation {incomplete.representation}"
        click.echo(f"note: not everything is extracted: `{collect}` tells which batches are missing", err=True)
    return int(probed.exit_code)


def _lacks_vectors(run: Run) -> bool:
    """Whether the run left out items whose vector is missing though no record says why: they were never extracted here."""
    from jukemir_like.probes.vectors import NO_VECTOR

    return run.taken_over is None and NO_VECTOR in run.record["left_out"].get("vectors", {})


@click.command()
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset; may be repeated.")
@click.option("--representation", "representations", multiple=True, help="Only this representation; may be repeated.")
@click.option("--protocol", type=click.Choice(["linear", "jukemir", "lineareval"]), help="Only this protocol.")
@click.option("--show", "shown", multiple=True, metavar="NAME@layer=L", help="A row for this layer, beside that of the chosen layer.")
@options.partial_ok
@options.cache
def report(
    datasets: tuple[str, ...], representations: tuple[str, ...], protocol: str | None, shown: tuple[str, ...], cache: str | None
) -> int:
    """Write report/index.html from all probes in the cache, and print the table.

    Of a representation whose layers were probed together (probe --layers) the tables have one row, of the layers that validation chose.

    Files that are damaged are left out: the page and the last lines name them, and the exit code is 3.
    """
    options.prepare_workers()
    from jukemir_like.report.report import report as run

    written = run(options.open_cache(cache), datasets or None, representations or None, protocol, shown)
    click.echo(written)
    return written.exit_code
