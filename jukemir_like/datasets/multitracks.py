"""From songs of many sources (an instrument, a microphone, a track of a mixer) to a dataset with one channel per stem.

A table says in which channel each source is (:mod:`.stems_table`); the sources of a channel are summed when the dataset is processed. What
the table does not name goes to the channel ``other``, or is refused; either is said, with how many sources it concerns. A song whose
sources are all in one channel is left out: nothing could be retrieved in it.

Or each song has a channel for each of its instruments, under the instrument's own name: then the table only leaves out what it gives no
channel to, and that of a user renames.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import instrument_name
from jukemir_like.datasets.dataset import OWN_STEMS, Dataset, Item
from jukemir_like.datasets.stems_table import LEFT_OUT, OTHER, StemsTable, read
from jukemir_like.downloads.declarations import declaration_folder

TABLE = "stems.csv"
_MOST_NAMED = 8  # names in a line


@dataclass(frozen=True)
class Source:
    """One file of a song.

    Args:
        file: relative to the song's folder.
        names: what the dataset calls it, the most specific name first.
        instrument: its name where each instrument has a channel of its own; None: the first of ``names``.
    """

    file: str
    names: tuple[str, ...]
    instrument: str | None = None


@dataclass(frozen=True)
class Song:
    """One song.

    Args:
        uid: of the item.
        split: of the item.
        folder: below which the files are.
        sources: its files.
        extra: of the item; holds the grouping value.
        left_out: why it is not used; None: it is used.
    """

    uid: str
    split: str | None
    folder: Path
    sources: tuple[Source, ...]
    extra: dict[str, Any] = field(default_factory=dict)
    left_out: str | None = None


def table_of(declaration: str, own: Path | None) -> StemsTable:
    """The user's ``own`` table, else the one that is declared with the dataset.

    Raises:
        RequestError: it cannot be read.

    >>> table_of("slakh2100", None).channel(["Slap Bass 1", "Bass"])
    'bass'
    """
    return read(declaration_folder(declaration) / TABLE if own is None else own)


def stems_dataset(
    name: str,
    songs: Sequence[Song],
    table: StemsTable,
    *,
    group: str,
    refuse_unknown: bool = False,
    sources: Mapping[str, Any] | None = None,
) -> Dataset:
    """The dataset of ``songs`` with the channels of ``table``.

    Args:
        name: of the dataset.
        songs: all of them, also those that are left out.
        table: which source is in which channel.
        group: the key of ``extra`` whose songs must stay together.
        refuse_unknown: raise an error for names that the table does not have.
        sources: what else is known of what it was made from.

    Raises:
        RequestError: the table lacks names, and they are refused or it has no channel ``other`` for them; a file is outside of its song's
            folder.
    """
    chosen = _Choices(table)
    items = [_item(song, table, chosen) for song in songs]
    if chosen.unknown and (refuse_unknown or OTHER not in table.stems):
        reason = "" if refuse_unknown else ", and it has no channel other for them"
        raise RequestError(f"{printable(table.file)} lacks names that {name} has{reason}: {_listed(chosen.unknown)}; add rows for them")
    described = {"file": Path(table.file).name, "sha256": table.sha256, "channels": chosen.by_channel}
    described |= {"left_out": dict(chosen.left_out), "unknown": dict(chosen.unknown)}
    return Dataset(
        name, {}, items, group=group, stems=table.stems, sources={**(sources or {}), "stems_table": described}, notes=tuple(chosen.lines())
    )


def instruments_dataset(
    name: str,
    songs: Sequence[Song],
    table: StemsTable,
    *,
    group: str,
    renamed: bool = False,
    sources: Mapping[str, Any] | None = None,
) -> Dataset:
    """The dataset of ``songs`` with a channel for each instrument of a song, in the order of the alphabet; those of one name are summed.

    Args:
        name: of the dataset.
        songs: all of them, also those that are left out.
        table: what it has no channel for is left out.
        group: the key of ``extra`` whose songs must stay together.
        renamed: the channels of the table are the names of the instruments that it lists.
        sources: what else is known of what it was made from.

    Raises:
        RequestError: a file is outside of its song's folder.
    """
    counts, left_out, summed = Counter[str](), Counter[str](), 0
    items = []
    for song in songs:
        by_name: dict[str, list[Source]] = defaultdict(list)
        for source in () if song.left_out is not None else song.sources:
            _check_inside(song, source)
            channel = table.channel(source.names)
            if channel == LEFT_OUT:
                left_out[source.names[0]] += 1
                continue
            by_name[_instrument(source, channel if renamed else None)].append(source)
        items.append(_item_of_instruments(song, dict(sorted(by_name.items()))))
        if items[-1].stem_files is not None:
            counts.update(by_name.keys())
            summed += sum(len(of_name) - 1 for of_name in by_name.values())
    described: dict[str, Any] = {"file": Path(table.file).name, "sha256": table.sha256, "instruments": dict(sorted(counts.items()))}
    described |= {"left_out": dict(left_out), "summed": summed}
    lines = [f"instruments: {len(counts):,} names, {counts.total():,} stems: {_listed(counts)}"]
    lines += [f"sources summed with another of the same name in their song: {summed:,}"] * bool(summed)
    lines += [f"sources left out, as the table says: {_listed(left_out)}"] * bool(left_out)
    all_sources = {**(sources or {}), "stems_table": described}
    return Dataset(name, {}, items, group=group, sources=all_sources, notes=tuple(lines), stems_per_item=True)


def _instrument(source: Source, renamed: str | None) -> str:
    name = instrument_name((renamed or "").replace("_", " ") or source.instrument or source.names[0])
    return name or instrument_name(Path(source.file).stem)


def _item_of_instruments(song: Song, by_name: Mapping[str, Sequence[Source]]) -> Item:
    if song.left_out is not None or len(by_name) < 2:
        there = f"its only instrument is {next(iter(by_name))}" if by_name else "it has no sources"
        reason = song.left_out or f"too few stems: {there}, and two instruments are needed"
        return Item(song.uid, None, {}, None, extra=song.extra | {"skipped": reason})
    stem_files = tuple(tuple(source.file for source in of_name) for of_name in by_name.values())
    named = {stem: [source.names[0] for source in of_name] for stem, of_name in by_name.items()}
    extra = song.extra | {OWN_STEMS: list(by_name), "sources": named}
    return Item(song.uid, song.split, {}, song.folder, extra=extra, stem_files=stem_files)


class _Choices:
    """What became of the sources of all songs: how many of each name."""

    def __init__(self, table: StemsTable):
        self.table = table
        self.channels: dict[str, Counter[str]] = {stem: Counter() for stem in table.stems}
        self.left_out: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    @property
    def by_channel(self) -> dict[str, dict[str, int]]:
        return {stem: dict(sorted(counts.items())) for stem, counts in self.channels.items()}

    def channel(self, source: Source) -> str:
        """The channel of a source, which is counted; :data:`LEFT_OUT`: it is left out."""
        channel = self.table.channel(source.names)
        shown = source.names[0]
        if channel is None:
            self.unknown[shown] += 1
            channel = OTHER
        if channel == LEFT_OUT:
            self.left_out[shown] += 1
        elif channel in self.channels:
            self.channels[channel][shown] += 1
        return channel

    def lines(self) -> Iterable[str]:
        """For the user."""
        counts = ", ".join(f"{stem} {counts.total():,}" for stem, counts in self.channels.items())
        yield f"sources by channel, by the table {printable(self.table.file)}: {counts}"
        if self.left_out:
            yield f"sources left out, as the table says: {_listed(self.left_out)}"
        if self.unknown:
            yield f"sources in other because the table lacks their names: {_listed(self.unknown)}"


def _item(song: Song, table: StemsTable, chosen: _Choices) -> Item:
    if song.left_out is not None:
        return Item(song.uid, None, {}, None, extra=song.extra | {"skipped": song.left_out})
    by_channel: dict[str, list[Source]] = defaultdict(list)
    for source in song.sources:
        _check_inside(song, source)
        channel = chosen.channel(source)
        if channel != LEFT_OUT:
            by_channel[channel].append(source)
    if len(by_channel) < 2:
        there = f"all its sources are in {next(iter(by_channel))}" if by_channel else "it has no sources"
        return Item(song.uid, None, {}, None, extra=song.extra | {"skipped": f"too few stems: {there}, and two channels are needed"})
    stem_files = tuple(tuple(source.file for source in by_channel[stem]) for stem in table.stems)
    named = {stem: [source.names[0] for source in by_channel[stem]] for stem in table.stems if by_channel[stem]}
    return Item(song.uid, song.split, {}, song.folder, extra=song.extra | {"sources": named}, stem_files=stem_files)


def _check_inside(song: Song, source: Source) -> None:
    if not files.is_inside(source.file):
        raise RequestError(f"{printable(str(song.folder))}: the file {source.file[:60]!r} of a source is not in this folder")


def _listed(counts: Counter[str]) -> str:
    """Names and how many there are of each, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{printable(name)[:60]} ({count:,})" for name, count in ordered[:_MOST_NAMED])
    return shown if len(ordered) <= _MOST_NAMED else f"{shown} and {len(ordered) - _MOST_NAMED} more names"
