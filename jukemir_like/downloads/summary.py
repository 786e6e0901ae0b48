"""What a download says: the table at its end, and, for a dry run, what it would do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jukemir_like.core.cache import Cache
from jukemir_like.core.files import printable
from jukemir_like.core.records import Summary
from jukemir_like.downloads.declarations import Asset, Selection
from jukemir_like.downloads.retries import host_of
from jukemir_like.downloads.verification import AssetFolder

_MAX_ROWS = 30
_MAX_SOURCE_LENGTH = 60

Row = TypeVar("Row")
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class AssetResult:
    """What was done for one asset, or for one archive.

    Args:
        tag: of the asset.
        status: ``kept``, ``downloaded``, ``adopted``, ``unpacked`` or ``failed``.
        size: bytes of its file; None where there is none.
        source: host, or path, that it came from.
        seconds: that it took.
        reason: why it failed, or what else the user should know.
    """

    tag: str
    status: str
    size: int | None = None
    source: str = ""
    seconds: float = 0.0
    reason: str | None = None


@dataclass
class DownloadSummary(Summary):
    """What a download did: a :class:`Summary` with one row per asset.

    Args:
        rows: in the order of the declaration.
        transferred: bytes that were downloaded or copied.
    """

    rows: list[AssetResult] = field(default_factory=list)
    transferred: int = 0

    def text(self, most: int = 20) -> str:
        """The table, then the closing lines; of failed assets at most ``most``."""
        first, _, others = super().text(most).partition("\n")
        counts = first.partition(";")[0]
        speed = f", {format_bytes(round(self.transferred / self.seconds))}/s" if self.transferred and self.seconds else ""
        closing = f"{counts}; {format_bytes(self.transferred)} in {self.seconds:.1f} s{speed}"
        return "\n".join(part for part in (_results_table(self.rows), closing, others) if part)


def describe_selection(selection: Selection, cache: Cache) -> str:
    """What a download of ``selection`` would do: licence, access, folder, and size, status and sources of each asset.

    Nothing is written or verified, and nothing is requested over the network.

    >>> from jukemir_like.downloads.declarations import select_assets
    >>> print(describe_selection(select_assets("GTZAN_TEST"), Cache.default()))
    gtzan: GTZAN genre collection, fault-filtered
      licence:  audio: none stated; ...
      access:   public
      folder:   ...datasets/gtzan
    <BLANKLINE>
    asset       kind           size    here    sources
    ----------  -----------  ------  ------  -------------------------
    GTZAN_TEST  annotations  6.6 kB  no      raw.githubusercontent.com
    <BLANKLINE>
    1 of 1 files would be downloaded, 6.6 kB
    """
    sections = []
    for declaration, assets in selection:
        folder = AssetFolder(declaration, declaration.folder(cache))
        lines = [f"{declaration.name}: {declaration.title}", f"  licence:  {declaration.licence}"]
        lines.append(f"  access:   {declaration.access or 'public'}")
        lines.append(f"  folder:   {folder.path}")
        if declaration.assets:
            lines += ["", _selection_table(folder, assets), "", _selection_total(folder, assets)]
        else:
            lines += ["", "nothing would be downloaded: it is made on this machine"]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def format_bytes(size: int | None) -> str:
    """A number of bytes in powers of 1000; empty for None.

    >>> format_bytes(1234)
    '1.2 kB'
    """
    if size is None:
        return ""
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.95 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _results_table(rows: Sequence[AssetResult]) -> str:
    """One line per asset; of more than 30 assets, those with the same status and source share a line."""
    cells = [(row.tag, row.status, format_bytes(row.size), _shorten(row.source), f"{row.seconds:.1f}") for row in rows]
    if len(rows) > _MAX_ROWS:
        # of files from the user's own copy, the source is the path: they share a line by folder
        groups = _group(rows, lambda row: (row.status, row.source.rpartition("/")[0] if row.status == "adopted" else row.source))
        cells = [
            (
                _tag_range([row.tag for row in group]),
                status,
                format_bytes(sum(row.size or 0 for row in group)),
                _shorten(source),
                f"{sum(row.seconds for row in group):.1f}",
            )
            for (status, source), group in groups.items()
        ]
    return _table(cells, ("asset", "status", "size", "from", "seconds"))


def _selection_table(folder: AssetFolder, assets: Sequence[Asset]) -> str:
    """One line per asset; of more than 30 assets, those of the same kind, status and sources share a line."""
    rows = [(asset.tag, asset.kind, _total_size([asset]), _status(folder, asset), _source_hosts(asset)) for asset in assets]
    if len(rows) > _MAX_ROWS:
        pairs = list(zip(assets, rows, strict=True))
        groups = _group(pairs, lambda pair: (pair[1][1], pair[1][3].partition(" ")[0], pair[1][4]))
        rows = [
            (_tag_range([asset.tag for asset, _ in group]), kind, _total_size([asset for asset, _ in group]), status, sources)
            for (kind, status, sources), group in groups.items()
        ]
    return _table(rows, ("asset", "kind", "size", "here", "sources"))


def _selection_total(folder: AssetFolder, assets: Sequence[Asset]) -> str:
    missing = [asset for asset in assets if folder.status(asset) is None and not folder.file(asset).exists()]
    if not missing:
        return "nothing would be downloaded"
    num_archives = sum(asset.archive is not None for asset in missing)
    unpacked = f", and {num_archives:,} of them unpacked" if num_archives else ""
    size = _total_size(missing).replace("?", "of unknown size")
    return f"{len(missing):,} of {len(assets):,} files would be downloaded, {size}{unpacked}"


def _total_size(assets: Sequence[Asset]) -> str:
    known = [asset.size for asset in assets if asset.size is not None]
    total = format_bytes(sum(known)) if known else "?"
    return total if len(known) in (0, len(assets)) else f"over {total}"


def _source_hosts(asset: Asset) -> str:
    return ", ".join(dict.fromkeys(map(host_of, asset.urls))) or "none: see access"


def _status(folder: AssetFolder, asset: Asset) -> str:
    status = folder.status(asset)
    if status is not None:
        return status
    if folder.file(asset).exists():
        return "unverified"
    partial = folder.partial_file(asset)
    size = partial.stat().st_size if partial.exists() else 0
    return f"partly ({format_bytes(size)})" if size else "no"


def _group(rows: Iterable[Row], key: Callable[[Row], Group]) -> dict[Group, list[Row]]:
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _tag_range(tags: Sequence[str]) -> str:
    return tags[0] if len(tags) == 1 else f"{tags[0]} … {tags[-1]} ({len(tags):,})"


def _table(cells: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Plain columns; sizes and seconds are aligned to the right."""
    from tabulate import tabulate

    if not cells:
        return ""
    alignment = ["right" if header in ("size", "seconds") else "left" for header in headers]
    return tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True, colalign=alignment)


def _shorten(source: str) -> str:
    shown = printable(source)
    return shown if len(shown) <= _MAX_SOURCE_LENGTH else f"…{shown[1 - _MAX_SOURCE_LENGTH :]}"
