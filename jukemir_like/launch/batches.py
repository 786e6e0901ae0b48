"""The command of every batch of an extraction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from jukemir_like import extract
from jukemir_like.core.cache import Cache
from jukemir_like.launch import lines as shell
from jukemir_like.launch import planning
from jukemir_like.launch.arguments import is_path
from jukemir_like.launch.images import is_stemjepa
from jukemir_like.launch.paths import absolute

_RENDERINGS = {"docker": shell.docker, "apptainer": shell.apptainer}


def lines(
    representation: str, input: str | None, output: str | None, dataset: str | None, cache: str | None, *,  # noqa: A002
    batch_size: int, runner: str, gpus: bool = False, image: str | None = None, **options: Any,
) -> Iterator[str]:  # fmt: skip
    """One line for a shell a batch, in order; they run in any order, at the same time, and from any folder.

    Args:
        representation, input, output, dataset, cache, options: as those of ``extract``.
        batch_size: files a batch.
        runner: ``docker``, ``apptainer`` or ``plain``.
        gpus: whether containers are to get them.
        image: instead of the representation's own.

    Raises:
        RequestError: no such folder, nothing in it, or what the representation's image does not take.
    """
    source, _ = extract.folders(representation, input, output, dataset, Cache.default(cache))
    for batch_idx in range(-(-len(extract.find_inputs(source)) // batch_size)):
        asked = {"batch_size": batch_size, "batch_idx": batch_idx, **options}
        if runner == "plain":
            yield shell.plain(_plain(representation, (input, output), dataset, cache, asked))
        else:
            container = planning.extraction(representation, input, output, dataset, cache, **asked)
            container = replace(container, image=image or container.image, environment={})
            yield _RENDERINGS[runner](container, gpus=gpus)


def _plain(
    representation: str, folders: tuple[str | None, ...], dataset: str | None, cache: str | None, options: Mapping[str, Any]
) -> Iterator[str]:
    """The arguments, with whole paths. A cache that matters is named: elsewhere its variable may not be set."""
    yield "extract"
    if dataset is not None or is_stemjepa(representation):
        yield from ("--cache", str(absolute(Cache.default(cache).root)))
    if dataset is not None:
        yield from ("--dataset", dataset)
    for name, value in options.items():
        if value is not None:
            whole = name == "weights" and is_path(value)
            yield from (f"--{name}", str(absolute(value)) if whole else str(value))
    yield from ("--", representation, *(str(absolute(folder)) for folder in folders if folder is not None))
