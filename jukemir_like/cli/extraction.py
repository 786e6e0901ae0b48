"""``extract``."""

from __future__ import annotations

import os
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
    from jukemir_like.launch import planning

    folders = options.open_cache(cache)
    source, target = extraction.folders(representation, input, output, dataset, folders)
    if batch_size is not None and batch_idx is None:
        batch_idx = _batch_idx_of_environment(planning.BATCH_VARIABLES)
    batch = {"batch_size": batch_size, "batch_idx": batch_idx}
    return options.finish(
        extraction.extract(representation, source, target, **batch, workers=workers, cache=folders, **representation_options)
    )


def _batch_idx_of_environment(variables: tuple[str, ...]) -> int | None:
    """The value of the first of the ``variables`` that is set and not empty."""
    for variable in variables:
        value = os.environ.get(variable)
        if value:
            if not value.isdigit():
                raise click.UsageError(f"${variable} is {value!r}, not a batch index")
            return int(value)
    return None
