"""YAML files of a user's own, held to plain values: names, numbers, strings, lists.

YAML can do more: aliases that grow to billions of nodes, nesting without end, tags that make objects; and OmegaConf fills in ``${…}``, also
from the environment, whose secrets would then stand in published weights. All of that is refused here, before anything else reads the file.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NoReturn

import yaml  # type: ignore[import-untyped]
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt

INTERPOLATION = "${"
ELSEWHERE = re.compile(r"\.\.|\bhydra\b")
"""In the name of a choice: it leads out of the folders of configurations, or to Hydra's own, which say what Hydra does to the process."""

_MOST_BYTES, _MOST_LEVELS = 20_000, 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"


class PlainFiles(FileConfigSource):
    """Where Hydra finds ``plain://FOLDER``: the YAML files of a folder, each looked at by :func:`read` first."""

    @staticmethod
    def scheme() -> str:
        return "plain"

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path) / self._normalize_file_name(config_path)
        text = read(path)
        try:
            header = self._get_header_dict(text[:512])
        except ValueError as error:
            _refuse(path, str(error), "mend its first lines")
        if ELSEWHERE.search(header["package"] or ""):
            _refuse(path, f"is for the package {header['package']}", "name a section of a run, or _global_")
        return ConfigResult(config=OmegaConf.load(io.StringIO(text)), path=self.full_path(), provider=self.provider, header=header)


def read(path: Path) -> str:
    """The text of a file that holds plain values.

    Raises:
        RequestError: it cannot be read, is no YAML, or holds more than plain values; says where.
    """
    try:
        with files.open_regular(path) as file:
            encoded = file.read(_MOST_BYTES + 1)
        text = encoded.decode()
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: check the file") from error
    except UnicodeDecodeError:
        _refuse(path, "is not text in UTF-8", "save it so")
    if len(encoded) > _MOST_BYTES:
        _refuse(path, f"is larger than {_MOST_BYTES:,} bytes", "settings are short: is it another file?")
    try:
        _check_events(path, text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        problem, mark = getattr(error, "problem", None) or " ".join(str(error).split()), getattr(error, "problem_mark", None)
        _refuse(f"{path}, line {mark.line + 1}" if mark else path, f"is no YAML ({problem})", "mend it")
    if root is not None:
        if not isinstance(root, yaml.MappingNode):
            _refuse(path, "holds no options", "write NAME: VALUE in each line")
        _check_node(path, root, ())
    return text


def _check_events(path: Path, text: str) -> None:
    """Event by event, so that nothing has been built when it is refused."""
    levels = 0
    for event in yaml.parse(text, Loader=_LOADER):
        place = f"{path}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse(place, f"holds an anchor or alias ({event.anchor})", "write the value out")
        if getattr(event, "tag", None) is not None:
            _refuse(place, f"holds a tag ({event.tag})", "give a plain value")
        levels += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if levels > _MOST_LEVELS:
            _refuse(place, f"is nested more than {_MOST_LEVELS} deep", "options are not so deep")


def _check_node(path: Path, node: yaml.Node, names: tuple[str, ...]) -> None:
    """A value, and those in it; ``names`` lead to it."""
    place = f"{path}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.ScalarNode):
        if INTERPOLATION in node.value:
            _refuse(place, f"{'.'.join(names) or 'an option'} holds {INTERPOLATION}…}}", "nothing is filled in, write the value itself")
        if names[:1] == ("defaults",) and ELSEWHERE.search(node.value):
            _refuse(place, f"defaults lead out of the folders of configurations ({node.value})", "name a choice that is in one of them")
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _check_node(path, part, names)
    else:
        seen = set()
        for key, value in node.value:
            if key.tag != _STRING:  # a number, a list, nothing, or <<, which merges
                _refuse(
                    place, f"has an option that is no name ({getattr(key, 'value', None)})", "put it in quotation marks or leave it out"
                )
            if key.value == "hydra" and not names:
                _refuse(place, "has a section for Hydra itself", "leave it out")
            if key.value in seen:
                _refuse(f"{path}, line {key.start_mark.line + 1}", f"says {key.value} a second time", "say it once")
            seen.add(key.value)
            _check_node(path, key, names)
            _check_node(path, value, (*names, key.value))


def _refuse(place: Path | str, what: str, remedy: str) -> NoReturn:
    raise RequestError(f"{place}: {excerpt(what)}: {remedy}")
