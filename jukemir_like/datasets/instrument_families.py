"""Which family an instrument is of, by its name: a table of the programs of General MIDI and of the classes of multitrack datasets.

The families are those of General MIDI, but that ensembles of strings and the fiddle are strings, timpani are percussive, and choirs are
vocals, as singers are; drum kits are drums.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from jukemir_like.core import csvfiles
from jukemir_like.core.stems import instrument_name

TABLE = Path(__file__).with_name("instrument_families.csv")


@lru_cache(maxsize=1)
def table() -> dict[str, str]:
    """Name, as :func:`jukemir_like.core.stems.instrument_name` writes it → family; a family has its own name as an entry."""
    rows = {row["name"]: row["family"] for row in csvfiles.read(TABLE, {"name": str, "family": str}, "reinstall the package")}
    return rows | {family: family for family in rows.values()}


def families() -> tuple[str, ...]:
    """All families, sorted."""
    return tuple(sorted(set(table().values())))


@lru_cache(maxsize=10_000)
def family_of(name: str) -> str | None:
    """The family of an instrument: by its whole name, else by the longest name of the table that is in it as whole words; None: unknown.

    >>> family_of("Tenor Sax"), family_of("muted jazz trumpet"), family_of("kazoo")
    ('reed', 'brass', None)
    """
    name = instrument_name(name)
    known = table()
    if name in known:
        return known[name]
    words = f" {' '.join(re.findall(r'[a-z0-9]+', name))} "
    inside = [entry for entry in known if f" {' '.join(re.findall(r'[a-z0-9]+', entry))} " in words]
    return known[max(inside, key=lambda entry: (len(entry), entry))] if inside else None


def is_held_out(name: str, held_out: Iterable[str]) -> bool:
    """Whether a name is among ``held_out``, or of a family that is.

    >>> is_held_out("cello", ["strings"]), is_held_out("cello", ["violin"])
    (True, False)
    """
    wanted = {instrument_name(entry) for entry in held_out}
    return instrument_name(name) in wanted or family_of(name) in wanted
