"""Composes the settings of a run from configuration files and overrides, with Hydra.

The files are those of ``stemjepa/configs`` and, for further choices, those of ``./configs`` in the folder where the command is called.
:mod:`jukemir_like.stemjepa.settings` says what each option means.

The user's files and the overrides contain plain values only: names, numbers, strings, lists. YAML can do more: aliases that expand to
billions of nodes, unlimited nesting, tags that construct objects. OmegaConf can do more as well: it replaces ``${…}`` by other values, also
by environment variables, whose secrets would then be stored in published weights. Hydra's own section can set environment variables and
start callbacks. All of that is refused here, before anything else reads the file.
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.settings import LOGGERS, Training
from jukemir_like.stemjepa.training import option_names, original_names

CONFIG_FOLDER = Path(__file__).parents[1] / "configs"
CONFIG_NAME = "config"
VERSION_BASE = "1.3"
USER_FOLDER = "configs"
"""Folder of the user's own choices, where the command is called."""

DORA_SECTIONS = ("dora", "slurm")
"""Sections of the configuration that are Dora's and not settings of the run."""

_INTERPOLATION = "${"
_FORBIDDEN_PATH = re.compile(r"\.\.|\bhydra\b")
# in the name of a choice: it leads out of the folders of configurations, or to Hydra's own, which configure the process

_MAX_BYTES = 20_000
_MAX_DEPTH = 20
_HEADER_CHARACTERS = 512  # Hydra looks for "# @package" in so many
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG = "tag:yaml.org,2002:str"
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
    overrides = [_checked_name(ours) for override in overrides for ours in original_names.translated(override)]
    GlobalHydra.instance().clear()
    with hydra_errors(), initialize_config_dir(str(CONFIG_FOLDER), version_base=VERSION_BASE):
        composed = compose(CONFIG_NAME, overrides)
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
            search_path.append("user", f"{PlainYamlSource.scheme()}://{folder}")


def _from_composed(values: Any) -> Training:
    """Settings from the plain values that Hydra composed."""
    values = {name: value for name, value in values.items() if name not in DORA_SECTIONS}
    original_names.translate(values, _defaults())
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
    if _INTERPOLATION in override:
        raise RequestError(f"{excerpt(override)}: values are not filled in for {_INTERPOLATION}…}}, write the value itself")
    is_group = "." not in name  # then the value is the name of a file
    if _FORBIDDEN_PATH.search(name) or (is_group and _FORBIDDEN_PATH.search(value)):
        raise RequestError(
            f"{excerpt(override)} leads out of the folders of configurations: name an option, or a choice that is in ./{USER_FOLDER}"
        )


def _checked_name(override: str) -> str:
    """The override as Hydra takes it, if there is an option or a group of its name: with ``+`` or without, whatever is there already."""
    name, _, value = override.lstrip("+~").partition("=")
    if name.partition(".")[0] in DORA_SECTIONS:
        return override
    known = _defaults() | {"logger": dict.fromkeys(LOGGERS)}
    option_names.check_name(name.partition("@")[0], known, _groups())
    if override.startswith("~"):
        return override
    if "." in name:
        return f"++{name}={value}"  # sets it, whether or not a choice has set it before
    in_package = name in _groups(CONFIG_FOLDER) or name in known
    return f"{name}={value}" if in_package else f"+{name}={value}"


def _groups(*folders: Path) -> set[str]:
    """Groups whose choices are files, in the package and in the user's folder."""
    folders = folders or (CONFIG_FOLDER, Path(USER_FOLDER))
    return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()}


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


class PlainYamlSource(ConfigSource):
    """Gives Hydra the YAML files of ``plain://FOLDER``, each checked by :func:`read_plain_yaml` first."""

    @staticmethod
    def scheme() -> str:
        return "plain"

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._path(self._normalize_file_name(config_path))
        text = read_plain_yaml(path)
        try:
            header = self._get_header_dict(text[:_HEADER_CHARACTERS])
        except ValueError as error:
            _refuse(path, str(error), "correct its first lines")
        if _FORBIDDEN_PATH.search(header["package"] or ""):
            _refuse(path, f"is for the package {header['package']}", "name a section of a run, or _global_")
        return ConfigResult(config=OmegaConf.load(io.StringIO(text)), path=self.full_path(), provider=self.provider, header=header)

    def available(self) -> bool:
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        return self._path(config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._path(self._normalize_file_name(config_path)).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        names: list[str] = []
        for name in os.listdir(self._path(config_path)):
            self._list_add_result(names, f"{config_path}/{name}" if config_path else name, name, results_filter)
        return sorted(set(names))

    def _path(self, config_path: str) -> Path:
        return Path(self.path) / config_path


def read_plain_yaml(path: Path) -> str:
    """The text of a YAML file that contains plain values.

    Raises:
        RequestError: the file cannot be read, is not YAML, is larger than 20,000 bytes or contains more than plain values; the message
            names file, line and remedy.
    """
    try:
        with files.open_regular(path) as file:
            encoded = file.read(_MAX_BYTES + 1)
        text = encoded.decode()
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: check the file") from error
    except UnicodeDecodeError:
        _refuse(path, "is not text in UTF-8", "save it as UTF-8")
    if len(encoded) > _MAX_BYTES:
        _refuse(path, f"is larger than {_MAX_BYTES:,} bytes", "settings are short: is it another file?")
    try:
        _check_events(path, text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        problem, mark = getattr(error, "problem", None) or " ".join(str(error).split()), getattr(error, "problem_mark", None)
        _refuse(f"{path}, line {mark.line + 1}" if mark else path, f"is not YAML ({problem})", "correct it")
    if root is not None:
        if not isinstance(root, yaml.MappingNode):
            _refuse(path, "contains no options", "write NAME: VALUE in each line")
        _check_node(path, root, ())
    return text


def _check_events(path: Path, text: str) -> None:
    """Checks aliases, tags and nesting event by event, so that nothing is built before it is checked."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        position = f"{path}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse(position, f"contains an anchor or alias ({event.anchor})", "write the value out")
        if getattr(event, "tag", None) is not None:
            _refuse(position, f"contains a tag ({event.tag})", "give a plain value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            _refuse(position, f"is nested more than {_MAX_DEPTH} deep", "options are not so deep")


def _check_node(path: Path, node: yaml.Node, names: tuple[str, ...]) -> None:
    """Checks a value and the values in it; ``names`` are the options that lead to it."""
    position = f"{path}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.ScalarNode):
        if _INTERPOLATION in node.value:
            option = ".".join(names) or "an option"
            _refuse(position, f"{option} contains {_INTERPOLATION}…}}", "values are not filled in, write the value itself")
        if names[:1] == ("defaults",) and _FORBIDDEN_PATH.search(node.value):
            _refuse(position, f"defaults lead out of the folders of configurations ({node.value})", "name a choice in one of these folders")
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _check_node(path, part, names)
    else:
        seen = set()
        for key, value in node.value:
            if key.tag != _STRING_TAG:  # a number, a list, null, or <<, which merges another mapping
                name = getattr(key, "value", None)
                _refuse(position, f"has an option whose name is not a string ({name})", "put it in quotation marks or leave it out")
            if key.value == "hydra" and not names:
                _refuse(position, "has a section for Hydra itself", "leave it out")
            if key.value in seen:
                _refuse(f"{path}, line {key.start_mark.line + 1}", f"sets {key.value} a second time", "set it once")
            seen.add(key.value)
            _check_node(path, key, names)
            _check_node(path, value, (*names, key.value))


def _refuse(position: Path | str, problem: str, remedy: str) -> NoReturn:
    raise RequestError(f"{position}: {excerpt(problem)}: {remedy}")


def _register() -> None:
    """Adds the defaults, ``./configs`` and its reader to Hydra; calling it again changes nothing."""
    ConfigStore.instance().store(name="settings", node=_defaults())
    Plugins.instance().register(UserConfigs)
    Plugins.instance().register(PlainYamlSource)
    logging.getLogger("hydra").setLevel(logging.ERROR)


_register()  # when this module is imported, for Dora composes a configuration before it calls anything of ours
