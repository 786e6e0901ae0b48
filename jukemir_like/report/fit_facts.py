"""How the probes of a question were selected and fitted, in words: the field ``fit`` of ``run.json``, of which any part may be missing.

The fields of protocol ``linear`` (:mod:`jukemir_like.probes.regularised`) have sentences of their own; any other field is shown as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jukemir_like.probes.runs import Run

_LONGEST = 60  # characters of one fact; longer ones are in the details of the run only
_MOST_NAMES = 5
_MOST_VALUES = 4  # of one fact, in one line
_SELECTED_BY = {"loss": "the loss on held-out items", "metric": "the primary metric on held-out items"}
_ENDS = {"strongest": "the strongest regularisation of the path", "weakest": "the weakest regularisation of the path"}


def facts(run: Run) -> dict[str, Any]:
    """The field ``fit`` of a run; empty where there is none."""
    value = run.record.get("fit")
    return {str(name): one for name, one in value.items()} if isinstance(value, Mapping) else {}


def in_words(fit: Mapping[str, Any]) -> str:
    """All facts, one after another, but for very long ones.

    >>> in_words({"selected_by": "loss", "held_out": "folds", "folds": 5, "held_out_items": 80, "fitted_on": 80, "end_of_path": None})
    'selected by the loss on held-out items; held out: 5 folds, 80 items; fitted on 80 items'
    >>> in_words({"refitted": True, "seeds": {"number": 3}, "curve": [0.1] * 40})
    'refitted: yes; seeds number: 3'
    """
    return "; ".join(f"{fact}{value}" for fact, value in _facts(fit))


def lines(runs_by_name: Mapping[str, Sequence[Run]]) -> list[str]:
    """What is told of a question: in one line what all rows have in common, then what differs; nothing where no run tells anything.

    Args:
        runs_by_name: row of a question → its runs.
    """
    told = {name: dict(_facts({**facts(runs[0]), "end_of_path": None})) for name, runs in runs_by_name.items() if runs}
    told = {name: one for name, one in told.items() if one}
    if not told:
        return []
    first = next(iter(told.values()))
    common = [fact for fact, value in first.items() if all(one.get(fact) == value for one in told.values())]
    said = [f"Probes: {'; '.join(f'{fact}{first[fact]}' for fact in common)}."] if common else []
    varied: dict[str, dict[str, list[str]]] = {}
    for name, one in told.items():
        for fact, value in one.items():
            if fact not in common:
                varied.setdefault(fact, {}).setdefault(value, []).append(name)
    for fact, names_by_value in varied.items():
        values = [f"{value} ({_names(names)})" for value, names in names_by_value.items()]
        more = f" and {len(values) - _MOST_VALUES} more values" if len(values) > _MOST_VALUES else ""
        said.append(f"{fact[:1].upper()}{fact[1:]}{', '.join(values[:_MOST_VALUES])}{more}.")
    return said


def at_an_end(runs_by_name: Mapping[str, Sequence[Run]]) -> str:
    """A warning where the selected strength is an end of the path, so that a longer path may do better; empty where none is."""
    names: dict[str, list[str]] = {}
    for name, runs in runs_by_name.items():
        for end in {str(end) for end in (facts(run).get("end_of_path") for run in runs) if end}:
            names.setdefault(_ENDS.get(end, end), []).append(name)
    return " ".join(f"Selected was {end}, so a longer one may do better: {_names(of_end)}." for end, of_end in sorted(names.items()))


def _facts(fit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Facts as the beginning and the end of a phrase."""
    rest = dict(fit)
    selected_by = rest.pop("selected_by", None)
    if selected_by:
        yield "selected by ", _SELECTED_BY.get(str(selected_by), str(selected_by))
    held_out, folds, items = (rest.pop(name, None) for name in ("held_out", "folds", "held_out_items"))
    if held_out:
        how = {"split": "the validation split", "folds": f"{folds} folds" if isinstance(folds, int) else "folds"}
        number = [f"{items:,} items"] if isinstance(items, int) else []
        yield "held out: ", ", ".join([how.get(str(held_out), str(held_out)), *number])
    fitted_on = rest.pop("fitted_on", None)
    if isinstance(fitted_on, int):
        yield "fitted on ", f"{fitted_on:,} items"
    end = rest.pop("end_of_path", None)
    if end:
        yield "end of the path: ", str(end)
    yield from ((f"{name}: ", value) for name, value in _flat(rest) if len(value) <= _LONGEST)


def _flat(fit: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Facts of all depths as words; those without a value are left out."""
    for name, value in fit.items():
        words = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{words} ")
        elif isinstance(value, bool):
            yield words, "yes" if value else "no"
        elif isinstance(value, float):
            yield words, f"{value:.4g}"
        elif isinstance(value, str):
            yield words, value
        elif value is not None:
            yield words, json.dumps(value, ensure_ascii=False)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"
