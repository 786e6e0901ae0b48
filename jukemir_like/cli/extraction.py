"""``extract``."""

from __future__ import annotations

from typing import Any

import click

from jukemir_like.cli import options


@click.command()
@click.argument("representation")
@options.input_and_output
@click.option("--batch_size", type=int, help="Files per batch.")
@click.option("--batch_idx", type=int, help="Which batch, from 0 [default: SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, where set].")
@click.option("--layers", metavar="all|L,L,…", help="Vectors of these layers from one pass, into OUTPUT/NAME.layerL/.")
@options.representation_options
@options.workers
@options.cache
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None,  # noqa: A002
    batch_size: int | None, batch_idx: int | None, layers: str | None, workers: int | None, cache: str | None,
    **representation_options: Any,
) -> int:  # fmt: skip
    """Extract REPRESENTATION of every audio file of INPUT into OUTPUT, one .npy per file.

    `stemjepa` has the weights in the package, `stemjepa-NAME` those called NAME, `stemjepa-untrained` random ones. Encoders of others (see
    `jukemir-like list`) need their weights: `jukemir-like download ENCODER`. `NAME@layer=7@pool=max` chooses a layer, and how its frames
    become a vector: mean, mean+std or max.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like import extract as extraction

    folders = options.open_cache(cache)
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
        cache=folders,
        **representation_options,
    )
    return options.finish(summary)
