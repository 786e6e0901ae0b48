"""A command's arguments as they were given here, for the same command in a container."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.core import ParameterSource

from jukemir_like.launch.paths import Paths

_WRITTEN = {"cache", "output"}
_STEMS = re.compile(r"(\+{0,2}data\.(?:data_path|valid_path))=(.+)", re.DOTALL)


def given(context: click.Context, paths: Paths) -> Iterator[str]:
    """What was given on the command line, options first; paths as the container sees them."""
    parameters = [
        parameter
        for parameter in context.command.params
        if parameter.name in context.params and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    for option in options:
        value = context.params[str(option.name)]
        name = max(option.opts, key=len)
        for one in value if option.multiple else (value,):
            if option.is_flag:
                yield name
            else:
                seen = _seen(option, str(one), paths)
                yield from (f"{name}={seen}",) if seen.startswith("-") else (name, seen)
    arguments = [parameter for parameter in parameters if not isinstance(parameter, click.Option)]
    if arguments:
        yield "--"
    for argument in arguments:
        value = context.params[str(argument.name)]
        for one in value if argument.nargs != 1 else (value,):
            yield _seen(argument, str(one), paths)


def _seen(parameter: click.Parameter, value: str, paths: Paths) -> str:
    """``value`` as the container is told it."""
    if parameter.name == "overrides":
        stems = _STEMS.fullmatch(value)
        return f"{stems[1]}='{_quoted(paths.read(_unquoted(stems[2])))}'" if stems else value
    if isinstance(parameter.type, click.Path) or (parameter.name == "weights" and is_path(value)):
        return (paths.write if parameter.name in _WRITTEN else paths.read)(value)
    return value


def is_path(weights: str) -> bool:
    """Whether ``weights`` are given by their file, and not by their name."""
    from jukemir_like.stemjepa import checkpoint

    return "/" in weights or weights.endswith(checkpoint.SUFFIX)


def _unquoted(value: str) -> str:
    """Of an override's value, which may stand in quotes."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(f"\\{value[0]}", value[0]).replace("\\\\", "\\")
    return value


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
