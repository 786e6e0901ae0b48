"""The tables that a download closes with, and that it is announced with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jukemir_like.core.files import printable
from jukemir_like.core.records import Summary
from jukemir_like.downloads.obtaining import Row

_MOST_ROWS = 30
_WIDEST_SOURCE = 60


@dataclass
class Outcome(Summary):
    """What a download did: a :class:`Summary` with one row an asset.

    Args:
        rows: in the order of the declaration.
        transferred: bytes that were fetched or copied in this run.
    """

    rows: list[Row] = field(default_factory=list)
    transferred: int = 0

    def text(self, most: int = 20) -> str:
        """The table, then the closing lines."""
        first, _, others = super().text(most).partition("\n")
        counts = first.partition(";")[0]
        speed = f", {byte_size(round(self.transferred / self.seconds))}/s" if self.transferred and self.seconds else ""
        closing = f"{counts}; {byte_size(self.transferred)} in {self.seconds:.1f} s{speed}"
        return "\n".join(part for part in (closing_table(self.rows), closing, others) if part)


def closing_table(rows: Sequence[Row]) -> str:
    """One line an asset: tag, status, size, where from, seconds; of more than 30, those that came alike share a line."""
    cells = [(row.tag, row.status, byte_size(row.size), _short(row.source), f"{row.seconds:.1f}") for row in rows]
    if len(rows) > _MOST_ROWS:
        alike: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            folder = row.source.rpartition("/")[0] if row.status == "adopted" else row.source
            alike.setdefault((row.status, folder), []).append(row)
        cells = [
            (
                group[0].tag if len(group) == 1 else f"{group[0].tag} … {group[-1].tag} ({len(group):,})",
                status,
                byte_size(sum(row.size or 0 for row in group)),
                _short(source),
                f"{sum(row.seconds for row in group):.1f}",
            )
            for (status, source), group in alike.items()
        ]
    return table(cells, ("asset", "status", "size", "from", "seconds"))


def table(cells: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Plain columns; numbers of bytes and seconds to the right."""
    from tabulate import tabulate

    if not cells:
        return ""
    alignment = ["right" if header in ("size", "seconds") else "left" for header in headers]
    return tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True, colalign=alignment)


def byte_size(size: int | None) -> str:
    """``1,234`` → ``1.2 kB``: powers of 1000, as disks are sold."""
    if size is None:
        return ""
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.95 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _short(source: str) -> str:
    shown = printable(source)
    return shown if len(shown) <= _WIDEST_SOURCE else f"…{shown[1 - _WIDEST_SOURCE :]}"
