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
@options.stemjepa_options
@options.workers
@options.cache
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None,  # noqa: A002
    batch_size: int | None, batch_idx: int | None, workers: int | None, cache: str | None, **representation_options: Any,
) -> int:  # fmt: skip
    """Extract REPRESENTATION of every audio file of INPUT into OUTPUT, one .npy per file.

    `stemjepa` has the weights in the package, `stemjepa-NAME` those called NAME, `stemjepa-untrained` random ones.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like import extract as extraction

    folders = options.open_cache(cache)
    source, target = extraction.folders(representation, input, output, dataset, folders)
    if batch_size is not None and batch_idx is None:
        batch_idx = extraction.batch_idx_of_environment()
    batch = {"batch_size": batch_size, "batch_idx": batch_idx}
    return options.finish(
        extraction.extract(representation, source, target, **batch, workers=workers, cache=folders, **representation_options)
    )
