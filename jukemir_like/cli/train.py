"""``jukemir-like train``. Heavy imports happen inside it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jukemir_like.core.errors import DONE, RequestError

if TYPE_CHECKING:
    from jukemir_like.stemjepa.settings import Training

NAME = "stemjepa"
_NEEDED = ("lightning", "hydra", "omegaconf")


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="A recipe of the package or of ./configs/recipe.")
@click.option("--data", type=click.Path(), help="Folder of stems; the same as data.data_path=DIR.")
@click.option("--name", help=f"Of the run and its weights [default: that of the recipe, else {NAME}].")
@click.option("--output", type=click.Path(file_okay=False), help="Where runs and weights are kept [default: checkpoints/ of the cache].")
@click.option("--restart", is_flag=True, help="Begin anew, whatever an earlier run of this name left.")
@click.option(
    "--on_change",
    type=click.Choice(["refuse", "restart"]),
    default="refuse",
    show_default=True,
    help="Where the earlier run had other settings or tracks.",
)
@click.option("--show", is_flag=True, help="Print the whole configuration as YAML, and do not train.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    help="Where stages read and write [default: $JUKEMIR_LIKE_CACHE_DIR, else ~/.jukemir_like].",
)
def train(
    overrides: tuple[str, ...], recipe: str | None, data: str | None, name: str | None, output: str | None,
    restart: bool, on_change: str, show: bool, cache: str | None,
) -> int:  # fmt: skip
    """Train a Stem-JEPA on a folder of stems.

    OVERRIDES change the configuration: trainer.max_steps=10000, model=small, data=my_data (which reads ./configs/data/my_data.yaml), ….
    An interrupted run goes on when the same command is given again.
    """
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise RequestError(f"training needs {', '.join(missing)}: pip install 'jukemir-like[train]'")
    settings = _settings(recipe, data, overrides)
    if show:
        from omegaconf import OmegaConf

        click.echo(OmegaConf.to_yaml(settings.to_dict()).rstrip())
        return DONE
    folder, weights = _places(recipe or NAME if name is None else name, output, cache)
    from jukemir_like.core.cache import atomic
    from jukemir_like.stemjepa.training import run

    trained = run.train(settings, folder, resume=not restart, on_change=on_change)
    if int(os.environ.get("SLURM_PROCID", os.environ.get("RANK", 0))) == 0:
        with atomic(weights) as temporary:
            shutil.copyfile(trained, temporary)
        click.echo(f"weights: {weights}")
    return DONE


def _settings(recipe: str | None, data: str | None, overrides: tuple[str, ...]) -> Training:
    from jukemir_like.stemjepa.training.compose import compose_settings

    chosen = [f"recipe={recipe}"] if recipe else []
    # Quoted, for a path may hold what has a meaning in overrides.
    chosen += ["data.data_path='{}'".format(os.path.abspath(data).replace("\\", "\\\\").replace("'", "\\'"))] if data else []  # noqa: PTH100
    return compose_settings([*chosen, *overrides])


def _places(name: str, output: str | None, root: str | None) -> tuple[Path, Path]:
    """Folder of the run, and the file of its weights beside it."""
    from jukemir_like.core.cache import Cache
    from jukemir_like.stemjepa.config import SUFFIX, is_name, shown

    if not is_name(name):
        raise RequestError(
            f"--name {shown(name, 100)!r} is no name: leave out folders, suffix and control characters, do not begin with a dot, be short"
        )
    file_name = f"{name}{SUFFIX}"
    weights = Path(output).absolute() / file_name if output else Cache.default(root).checkpoint(name)
    return weights.with_suffix(""), weights
