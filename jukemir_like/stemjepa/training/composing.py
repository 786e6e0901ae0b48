"""Settings from configuration files and overrides, composed by Hydra.

The files are those of ``stemjepa/configs`` and, for choices that are not there, of ``./configs`` where the command is called. They hold
plain values of known options: nothing in them is ever instantiated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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

from jukemir_like.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa import settings as options
from jukemir_like.stemjepa.settings import Training

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
BESIDE = ("dora", "slurm")  # sections that are not about the run


class OwnConfigs(SearchPathPlugin):
    """Adds ``./configs`` after the package's own folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path(OWN).absolute()
        if folder.is_dir() and folder != CONFIGS:
            search_path.append("own", f"file://{folder}")


def compose_settings(overrides: Sequence[str]) -> Training:
    """The run that ``overrides`` describe: ``data=my_data``, ``trainer.max_steps=1000``, ….

    Raises:
        RequestError: no such choice, an unknown option, or a value of a wrong type or range.
    """
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise RequestError(f"{override!r} is no override: write option=value, for example trainer.max_steps=1000")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base=VERSION_BASE):
            composed = compose(
                NAME, [override.removeprefix("+") if override.startswith("+recipe=") else override for override in overrides]
            )
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise RequestError(_one_line(error)) from error
    return from_composed(values)


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
    logging.getLogger("hydra").setLevel(logging.ERROR)


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
        value, path = values.get(name, default), f"{section}{name}"
        if isinstance(default, Mapping):
            if not isinstance(value, Mapping):
                raise RequestError(f"{path} is {value!r}: it is a section, give its options: {path}.NAME=VALUE")
            _check_shape(value, default, f"{path}.")
    seed = values.get("seed", 0)
    if not section and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise RequestError(f"seed is {seed!r}: give a whole number from 0")


def _one_line(error: Exception) -> str:
    text = str(error).split("Config search path")[0].split("full_key:")[0]
    return " ".join(text.replace("\n", " ").split()).rstrip(".")


register()
