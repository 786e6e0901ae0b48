"""``train`` and ``convert``: weights of Stem-JEPA."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jukemir_like.cli import options
from jukemir_like.core.errors import DONE, RequestError
from jukemir_like.core.parallel import wait_without_spinning
from jukemir_like.core.temporary import temporary_folder

if TYPE_CHECKING:
    from jukemir_like.stemjepa.settings import Training

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
        with temporary_folder() as temporary:
            converted.save(again := temporary / weights.name)
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
