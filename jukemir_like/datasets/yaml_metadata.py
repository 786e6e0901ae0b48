"""Strict reading of the YAML files in which datasets describe their songs: every value is text, as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from jukemir_like.core import files, jsonfiles

# Numbers, dates and yes are not converted: a song may be called so.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_DEPTH = 64  # of lists and objects within each other
_MAX_ALIASES = 32


def read(path: Path, shape: Any, remedy: str) -> Any:
    r"""The value in a file.

    Args:
        path: the file.
        shape: as :mod:`jukemir_like.core.jsonfiles` describes shapes; all values in it are text.
        remedy: what to do where the file is damaged.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it cannot be read, is no YAML, or not of ``shape``.

    >>> _ = Path("song.yaml").write_text("title: 1999\nstems:\n  S01: {instrument: piano}\n")
    >>> read(Path("song.yaml"), {"title": str, "stems": {str: dict}}, "get it again")
    {'title': '1999', 'stems': {'S01': {'instrument': 'piano'}}}
    """
    with files.damage_errors(path, remedy):
        data = files.read_regular(path)
        try:
            _check_structure(data)
            value = yaml.load(data, Loader=_LOADER)  # noqa: S506  builds text, lists and dictionaries alone
        except (yaml.YAMLError, UnicodeError) as error:
            raise ValueError(f"is not YAML ({' '.join(str(error).split())[:200]})") from error
        jsonfiles.check(value, shape)
        return value


def _check_structure(data: bytes) -> None:
    """Refuses what would end the process when the value is built, or take forever to look at: endless depth, aliases of aliases."""
    depth = aliases = 0
    for event in yaml.parse(data, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > _MAX_DEPTH or aliases > _MAX_ALIASES:
            raise ValueError("is nested too deeply" if depth > _MAX_DEPTH else f"has more than {_MAX_ALIASES} aliases")
