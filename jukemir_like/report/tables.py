"""A table of the page: one model, from which its HTML, its CSV and its LaTeX are made, so that the three say the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jukemir_like.core.files import printable
from jukemir_like.core.resampling import Interval
from jukemir_like.report.formatting import percent

_MINUS = "−"


@dataclass(frozen=True)
class Cell:
    """What one cell shows.

    Args:
        text: the value, or words; empty where there is nothing.
        low, high: ends of its interval, as shown; both empty where there is none.
        below: more lines in small print.
        best: whether it is printed bold.
        link: anchor in the page that it leads to.
        title: shown where a pointer rests on it.
        code: whether it is printed in the font of code.
    """

    text: str = ""
    low: str = ""
    high: str = ""
    below: tuple[str, ...] = ()
    best: bool = False
    link: str = ""
    title: str = ""
    code: bool = False

    @property
    def ends(self) -> str:
        """The interval in one piece; empty where there is none.

        >>> Cell("56.5", "51.2", "61.0").ends
        '51.2 – 61.0'
        """
        return f"{self.low} – {self.high}" if self.low else ""


@dataclass(frozen=True)
class Column:
    """The header of a column: its name and smaller lines below it.

    Args:
        name: of the column.
        below: smaller lines.
        text: aligned to the left, as the first column always is; numbers are aligned to the right.
        wrap: long text, which may be broken into lines.
    """

    name: str
    below: tuple[str, ...] = ()
    text: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Row:
    """Cells from left to right. A caption has one cell, which stands above the rows that follow it.

    Args:
        cells: one per column.
        kind: what it holds: our own results, the trivial baseline, results that others published, or the caption above those.
        anchor: the row's own, in the page; empty: none.
        best: whether the whole row is printed bold.
    """

    cells: tuple[Cell, ...]
    kind: Literal["", "trivial", "published", "caption"] = ""
    anchor: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        anchor: unique in the page.
        title: what it shows, in a few words, for those who do not see it.
        columns, rows: all rows but captions have a cell for each column.
        named: whether the first cell of a row is its name, which stays in sight when the table is scrolled.
        pinned: how many columns behind the first stay in sight too.
    """

    anchor: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    named: bool = True
    pinned: int = 0

    def has_interval(self, column: int) -> bool:
        """Whether any cell of a column has an interval."""
        return any(row.cells[column].low for row in self.rows if row.kind != "caption")

    def has_below(self, column: int) -> bool:
        """Whether any cell of a column has small print."""
        return any(row.cells[column].below for row in self.rows if row.kind != "caption")

    def csv(self) -> str:
        """The table as CSV with a header of one line, as RFC 4180 has it but for its line ends.

        An interval has two columns of its own, ``… low`` and ``… high``, and small print one, ``… note``. Captions become a column
        ``rows``: the one that a row stands under. Numbers have the decimals of the page and ASCII's minus; a dash where there is no value
        is an empty cell.

        >>> row = Row((Cell("mfcc"), Cell("−0.6", "−2.3", "0.0", best=True)))
        >>> print(Table("t", "scores", (Column("test, %"), Column("R²", ("emomusic",))), (row,)).csv(), end="")
        "test, %","R², emomusic","R², emomusic low","R², emomusic high",best
        mfcc,-0.6,-2.3,0.0,"R², emomusic"
        """
        captions = any(row.kind == "caption" for row in self.rows)
        bold = any(row.best or any(cell.best for cell in row.cells) for row in self.rows)
        header = [", ".join((column.name, *column.below)) for column in self.columns]
        names: list[str] = []
        for place, name in enumerate(header):
            ends = [f"{name} low", f"{name} high"] if self.has_interval(place) else []
            names += [name, *ends, *([f"{name} note"] if self.has_below(place) else [])]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*map(printable, names), *(["rows"] if captions else []), *(["best"] if bold else [])])
        caption = ""
        for row in self.rows:
            if row.kind == "caption":
                caption = row.cells[0].text
                continue
            values: list[str] = []
            for place, cell in enumerate(row.cells):
                values.append(cell.text if self.columns[place].text or place == 0 else _number(cell.text))
                values += [_number(cell.low), _number(cell.high)] if self.has_interval(place) else []
                values += ["; ".join(cell.below)] if self.has_below(place) else []
            best = ["; ".join(name for name, cell in zip(header, row.cells, strict=True) if cell.best or row.best)] if bold else []
            writer.writerow(map(printable, [*values, *([caption] if captions else []), *best]))
        return file.getvalue()


def score(found: Interval, *, best: bool = False, below: Sequence[str] = (), link: str = "", title: str = "") -> Cell:
    """The cell of a score: in percent, with its interval.

    >>> score(Interval(0.565, 0.512, 0.61, 0)).ends
    '51.2 – 61.0'
    """
    known = found.low is not None and found.high is not None
    low, high = (percent(found.low), percent(found.high)) if known else ("", "")
    return Cell(percent(found.value), low, high, tuple(below), best, link, title)


def _number(text: str) -> str:
    """A number as programs read it; a dash becomes an empty cell."""
    return "" if text == "–" else text.replace(_MINUS, "-")
