"""YAML files that contain plain values only: names, numbers, strings, lists.

YAML can do more: aliases that expand to billions of nodes, unlimited nesting, tags that construct objects. OmegaConf can do more as well:
it replaces ``${…}`` by other values, also by environment variables, whose secrets would then be stored in published weights. Hydra's own
section can set environment variables and start callbacks. All of that is refused here, before anything else reads the file.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import NoReturn

import yaml  # type: ignore[import-untyped]
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt

INTERPOLATION = "${"
FORBIDDEN_PATH = re.compile(r"\.\.|\bhydra\b")
"""In the name of a choice: it leads out of the folders of configurations, or to Hydra's own, which configure the process."""

_MAX_BYTES = 20_000
_MAX_DEPTH = 20
_HEADER_CHARACTERS = 512  # Hydra looks for "# @package" in so many
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG = "tag:yaml.org,2002:str"


class PlainYamlSource(ConfigSource):
    """Gives Hydra the YAML files of ``plain://FOLDER``, each checked by :func:`read` first."""

    @staticmethod
    def scheme() -> str:
        return "plain"

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._path(self._normalize_file_name(config_path))
        text = read(path)
        try:
            header = self._get_header_dict(text[:_HEADER_CHARACTERS])
        except ValueError as error:
            _refuse(path, str(error), "correct its first lines")
        if FORBIDDEN_PATH.search(header["package"] or ""):
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


def read(path: Path) -> str:
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
        if INTERPOLATION in node.value:
            option = ".".join(names) or "an option"
            _refuse(position, f"{option} contains {INTERPOLATION}…}}", "values are not filled in, write the value itself")
        if names[:1] == ("defaults",) and FORBIDDEN_PATH.search(node.value):
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
