"""Composes the settings of a run from configuration files and overrides, with Hydra.

The files are those of ``stemjepa/configs`` and, for further choices, those of ``./configs`` in the folder where the command is called. The
latter, and overrides, contain plain values of known options (:mod:`~.plain_yaml`): nothing in them is instantiated or interpolated.
:mod:`jukemir_like.stemjepa.settings` says what each option means.
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
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import plain_yaml

CONFIG_FOLDER = Path(__file__).parents[1] / "configs"
CONFIG_NAME = "config"
VERSION_BASE = "1.3"
USER_FOLDER = "configs"
"""Folder of the user's own choices, where the command is called."""

DORA_SECTIONS = ("dora", "slurm")
"""Sections of the configuration that are Dora's and not settings of the run."""

_SEEDS = 2**63


def compose_settings(overrides: Sequence[str]) -> Training:
    """The settings that ``overrides`` describe.

    Args:
        overrides: ``option=value`` or ``group=choice``, for example ``["data=my_data", "trainer.max_steps=1000"]``.

    Raises:
        RequestError: no such choice, an unknown option, or a value of a wrong type or range.

    >>> compose_settings(["recipe=reproduce", "trainer.max_steps=1000"]).trainer.max_steps
    1000
    """
    for override in overrides:
        _check_override(override)
    GlobalHydra.instance().clear()
    with hydra_errors(), initialize_config_dir(str(CONFIG_FOLDER), version_base=VERSION_BASE):
        composed = compose(
            CONFIG_NAME, [override.removeprefix("+") if override.startswith("+recipe=") else override for override in overrides]
        )
        values = OmegaConf.to_container(composed, resolve=False, throw_on_missing=True)
    return _from_composed(values)


@contextmanager
def hydra_errors() -> Iterator[None]:
    """Turns Hydra's errors about what it has to compose into a one-line :class:`RequestError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise RequestError(_one_line(error)) from error
    except RecursionError as error:
        raise RequestError("the settings are nested without end: does a configuration name itself in its defaults?") from error


class UserConfigs(SearchPathPlugin):
    """Adds ``./configs`` to Hydra's search path, after the package's own folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path(USER_FOLDER).absolute()
        if folder.is_dir() and folder != CONFIG_FOLDER:
            search_path.append("user", f"{plain_yaml.PlainYamlSource.scheme()}://{folder}")


def _from_composed(values: Any) -> Training:
    """Settings from the plain values that Hydra composed."""
    values = {name: value for name, value in values.items() if name not in DORA_SECTIONS}
    _check_shape(values, _defaults())
    values["logger"] = [name for name, wanted in values.get("logger", {}).items() if wanted]
    trainer = dict(values["trainer"])
    trainer["precision"] = str(trainer["precision"])  # 32 is a number in YAML
    return Training.from_dict(values | {"trainer": trainer})


def _defaults() -> dict[str, Any]:
    """Every option with its default, the base of the composition. Sizes that follow from other options are 0."""
    # Loggers are switches here ({csv: true}), so that the choices of the group ``logger`` can be combined: logger=[csv,wandb].
    return _plain_defaults(Training) | {"logger": {}}


def _plain_defaults(section: type) -> dict[str, Any]:
    """Defaults of a dataclass, and of the dataclasses in it, as plain values."""
    values: dict[str, Any] = {}
    for option in fields(section):
        if isinstance(option.default_factory, type) and is_dataclass(option.default_factory):
            values[option.name] = _plain_defaults(option.default_factory)
        elif option.default is not MISSING:
            values[option.name] = list(option.default) if isinstance(option.default, tuple) else option.default
    return values


def _check_override(override: str) -> None:
    name, equals, value = override.lstrip("+~").partition("=")
    if not equals and not override.startswith("~"):
        raise RequestError(f"{excerpt(override)!r} is not an override: write option=value, for example trainer.max_steps=1000")
    if plain_yaml.INTERPOLATION in override:
        raise RequestError(f"{excerpt(override)}: values are not filled in for {plain_yaml.INTERPOLATION}…}}, write the value itself")
    is_group = "." not in name  # then the value is the name of a file
    if plain_yaml.FORBIDDEN_PATH.search(name) or (is_group and plain_yaml.FORBIDDEN_PATH.search(value)):
        raise RequestError(
            f"{excerpt(override)} leads out of the folders of configurations: name an option, or a choice that is in ./{USER_FOLDER}"
        )


def _check_shape(values: Mapping[str, Any], known: Mapping[str, Any], section: str = "") -> None:
    """Checks that sections are sections, and the seed a number; the settings check the types of single options."""
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


def _register() -> None:
    """Adds the defaults, ``./configs`` and its reader to Hydra; calling it again changes nothing."""
    ConfigStore.instance().store(name="settings", node=_defaults())
    Plugins.instance().register(UserConfigs)
    Plugins.instance().register(plain_yaml.PlainYamlSource)
    logging.getLogger("hydra").setLevel(logging.ERROR)


_register()  # when this module is imported, for Dora composes a configuration before it calls anything of ours
