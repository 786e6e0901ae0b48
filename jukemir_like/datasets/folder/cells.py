"""What one cell says: nothing, a number, yes or no, a list of tags."""

from __future__ import annotations

import ast
import re
from decimal import Decimal

MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "-NaN", "NaT", "None", "null", "nil", "-", "--", "?")
"""Words for a missing value, in any case: of spreadsheets, R, pandas, SQL and people."""

_MISSING = frozenset(word.casefold() for word in MISSING)
_TRUE = frozenset({"true", "t", "yes", "y"})
_FALSE = frozenset({"false", "f", "no", "n"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?[0-9]*(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LIKE_A_NUMBER = re.compile(r"[+-]?[0-9.,][0-9.,'’_\s]*(?:[eE][+-]?[0-9]+)?\s*%?")
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LIST = re.compile(rf"\s*{_QUOTED}(?:\s*,\s*{_QUOTED}|\s*{_QUOTED})*\s*,?\s*", re.DOTALL)


def is_missing(cell: str) -> bool:
    """Whether the cell stands for no value."""
    return cell.casefold() in _MISSING


def number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """The number that the cell is written as, which may be infinite; None where it is none.

    >>> number("-1.5e1"), number("1,5"), number("1,5", decimal_comma=True), number("1_000")
    (-15.0, None, 1.5, None)
    """
    if decimal_comma and _COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    return float(cell) if _NUMBER.fullmatch(cell) else None


def is_like_a_number(cell: str) -> bool:
    """Whether the cell is a number, or one as people write it: with a decimal comma, groups of thousands, per cent."""
    return number(cell) is not None or (any(map(str.isdigit, cell)) and _LIKE_A_NUMBER.fullmatch(cell) is not None)


def has_thousands(cell: str) -> bool:
    """Whether the comma in a cell could stand between thousands: ``1,234``, not ``0,125``."""
    return re.fullmatch(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+", cell) is not None


def whole(cell: str) -> str:
    """A whole number as the name of a class: as it is written, but without a fraction of zeros or an exponent.

    >>> whole("07"), whole("3.0"), whole("1e2")
    ('07', '3', '100')
    """
    return cell if cell.isdigit() else str(int(Decimal(cell.replace(",", "."))))


def flag(cell: str) -> bool | None:
    """Yes or no, in words or as 1 and 0 (``1.0``, ``True``, ``yes``); None where it is neither."""
    word = cell.casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    value = number(cell)
    return bool(value) if value in (0.0, 1.0) else None


def tags(cell: str) -> list[str] | None:
    """The tags of a list as Python, JSON or NumPy write it; None where the cell is no list.

    >>> tags("['rock', 'pop']"), tags("['rock' 'pop']"), tags("[rock, pop]"), tags("[]"), tags("(live)")
    (['rock', 'pop'], ['rock', 'pop'], ['rock', 'pop'], [], None)
    """
    inner = cell[1:-1].strip()
    if cell == "set()" or cell in ("[]", "()", "{}"):
        return []
    if len(cell) < 3 or cell[0] + cell[-1] not in ("[]", "()", "{}"):
        return None
    if _LIST.fullmatch(inner):
        return [_whole_characters(str(ast.literal_eval(item))).strip() for item in re.findall(_QUOTED, inner, re.DOTALL)]
    if cell[0] != "[" or "'" in inner or '"' in inner:
        return None
    return [tag.strip() for tag in inner.split(",")]


def _whole_characters(text: str) -> str:
    """Pairs of surrogates, by which JSON escapes what is beyond 16 bits, as the characters that they mean."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
