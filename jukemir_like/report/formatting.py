"""Numbers and names as text on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST_NAMES = 5
"""Of a sentence; of more, their number is told."""


def decimal(value: float) -> str:
    """One decimal, a true minus sign, no negative zero.

    >>> decimal(-0.04), decimal(-12.34)
    ('0.0', '−12.3')
    """
    return f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")


def times(factor: float) -> str:
    """How many times, to two digits, never as a power of ten.

    >>> times(2.04), times(31.4), times(1234.5)
    ('2', '31', '1,234')
    """
    return f"{factor:,.0f}" if factor >= 99.5 else f"{factor:.2g}"


def percent(fraction: float | None, missing: str = "–") -> str:
    """A fraction in percent; ``missing`` where there is none.

    >>> percent(0.565), percent(float("nan")), percent(None, missing="")
    ('56.5', '–', '')
    """
    return missing if fraction is None or math.isnan(fraction) else decimal(100 * fraction)


def ends(low: float | None, high: float | None) -> str:
    """The ends of an interval, from fractions; empty where there is none.

    >>> ends(0.512, 0.61), ends(None, None)
    ('51.2 – 61.0', '')
    """
    return "" if low is None or high is None else f"{percent(low)} – {percent(high)}"


def listed(names: Sequence[str]) -> str:
    """Names as words of a sentence; of many only the first.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefg"))
    ('a', 'a, b and c', 'a, b, c, d and 3 more')
    >>> listed(["a", "b, chosen layer", "c"])
    'a; b, chosen layer; and c'
    """
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    if len(names) > 2 and any(", " in name for name in names):
        return f"{'; '.join(names[:-1])}; and {names[-1]}"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
