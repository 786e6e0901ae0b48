"""Rounding of what a song's record says."""

from __future__ import annotations

from typing import Any


def rounded(value: Any) -> Any:
    """Numbers to four digits, in dictionaries and lists.

    >>> rounded({"hertz": (440.0123, 1)})
    {'hertz': [440.0, 1]}
    """
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
