"""Settings from configuration files and overrides, composed by Hydra.

The files are those of ``stemjepa/configs`` and, for choices that are not there, of ``./configs`` where the command is called. The latter,
and overrides, hold plain values of known options: nothing in them is ever instantiated, or filled in from elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa import settings as options
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import plain

CONFIGS = Path(__file__).parents[1] / "configs"
NAME = "config"
VERSION_BASE = "1.3"
OWN = "configs"
"""Folder of a user's own choices, where the command is called."""

_SECTIONS = {
    "model": {"frontend": config.Frontend, "encoder": config.Encoder, "predictor": config.Predictor},
    "data": options.Data,
    "objective": options.Objective,
    "optimiser": options.Optimiser,
    "trainer": options.Trainer,
}
_SEEDS = 2**63
BESIDE = ("dora", "slurm")  # sections that are not about the run


class OwnConfigs(SearchPathPlugin):
    """Adds ``./configs`` after the package's own folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path(OWN).absolute()
        if folder.is_dir() and folder != CONFIGS:
            search_path.append("own", f"{plain.PlainFiles.scheme()}://{folder}")


def compose_settings(overrides: Sequence[str]) -> Training:
    """The run that ``overrides`` describe: ``data=my_data``, ``trainer.max_steps=1000``, ….

    Raises:
        RequestError: no such choice, an unknown option, or a value of a wrong type or range.
    """
    for override in overrides:
        _check_override(override)
    GlobalHydra.instance().clear()
    with refusals(), initialize_config_dir(str(CONFIGS), version_base=VERSION_BASE):
        composed = compose(NAME, [override.removeprefix("+") if override.startswith("+recipe=") else override for override in overrides])
        values = OmegaConf.to_container(composed, resolve=False, throw_on_missing=True)
    return from_composed(values)


@contextmanager
def refusals() -> Iterator[None]:
    """Hydra's refusals of what it is asked to compose are wrong requests."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise RequestError(_one_line(error)) from error
    except RecursionError as error:
        raise RequestError("the settings are nested without end: does a configuration name itself in its defaults?") from error


def from_composed(values: Any) -> Training:
    """Settings from what Hydra composed, as plain values."""
    values = {name: value for name, value in values.items() if name not in BESIDE}
    _check_shape(values, defaults())
    values["logger"] = [name for name, wanted in values.get("logger", {}).items() if wanted]
    trainer = dict(values["trainer"])
    trainer["precision"] = str(trainer["precision"])  # 32 is a number in YAML
    return Training.from_dict(values | {"trainer": trainer})


def defaults() -> dict[str, Any]:
    """Every option with its default, as the composition begins. Sizes that follow from others are 0."""
    return {"seed": 0, "logger": {}} | {name: _plain(section) for name, section in _SECTIONS.items()}


def register() -> None:
    """Makes the defaults and ``./configs`` known to Hydra; may be called again."""
    ConfigStore.instance().store(name="settings", node=defaults())
    Plugins.instance().register(OwnConfigs)
    Plugins.instance().register(plain.PlainFiles)
    logging.getLogger("hydra").setLevel(logging.ERROR)


def _check_override(override: str) -> None:
    name, equals, value = override.lstrip("+~").partition("=")
    if not equals and not override.startswith("~"):
        raise RequestError(f"{excerpt(override)!r} is no override: write option=value, for example trainer.max_steps=1000")
    if plain.INTERPOLATION in override:
        raise RequestError(f"{excerpt(override)}: nothing is filled in for {plain.INTERPOLATION}…}}, write the value itself")
    if plain.ELSEWHERE.search(name) or ("." not in name and plain.ELSEWHERE.search(value)):  # a group, whose value is the name of a file
        raise RequestError(
            f"{excerpt(override)} leads out of the folders of configurations: name an option, or a choice that is in ./{OWN}"
        )


def _plain(section: Any) -> Any:
    if isinstance(section, dict):
        return {name: _plain(part) for name, part in section.items()}
    if not (isinstance(section, type) and is_dataclass(section)):
        return list(section) if isinstance(section, tuple) else section
    values = {}
    for option in fields(section):
        value = option.default
        if value is MISSING:
            value = type(option.default_factory()) if option.default_factory is not MISSING else None  # type: ignore[assignment]
        values[option.name] = _plain(value)
    return values


def _check_shape(values: Mapping[str, Any], known: Mapping[str, Any], section: str = "") -> None:
    """Sections are sections, the seed is a number; single options are checked where their types stand."""
    for name, default in known.items():
        path = f"{section}{name}"
        if name not in values:  # deleted by an override, or lost with a section that a file sets to null
            raise RequestError(
                f"{path} is missing: leave the option out to keep its default; set no section to null, remove nothing from it"
            )
        value = values[name]
        if isinstance(default, Mapping):
            if not isinstance(value, Mapping):
                raise RequestError(f"{path} is {excerpt(repr(value))}: it is a section, give its options: {path}.NAME=VALUE")
            _check_shape(value, default, f"{path}.")
    if section:
        return
    seed = values.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEEDS:
        raise RequestError(f"seed is {excerpt(repr(seed))}: give a whole number from 0, below {_SEEDS:,}")
    for name, wanted in values.get("logger", {}).items():
        if not isinstance(wanted, bool):
            raise RequestError(f"logger.{excerpt(name)} is {excerpt(repr(wanted))}: give true or false")


def _one_line(error: Exception) -> str:
    text = str(error).split("Config search path")[0].split("full_key:")[0]
    return excerpt(" ".join(text.split()).rstrip("."))


register()
