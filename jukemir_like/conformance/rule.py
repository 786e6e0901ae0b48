"""A rule: a sentence of the contract that can be seen to hold or not.

A *scenario* runs the image and returns what was seen; a *rule* judges what scenarios saw and yields a line for each thing that is not as it
should be. Scenarios run once each, however many rules look at them, and only if one of the chosen rules does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jukemir_like.conformance.laboratory import Laboratory

Scenario = Callable[[Laboratory], Any]
Judge = Callable[..., Iterable[str]]


class NotCaughtError(Exception):
    """The image had finished before it could be interrupted: nothing is known of the rule."""


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        name: the contract's number, a dot and a word: ``C5.dtype``.
        what: what it asks for.
        scenarios: whose observations, in this order, are given to ``judge``.
        judge: yields what is not as it should be.
    """

    name: str
    what: str
    scenarios: tuple[Scenario, ...]
    judge: Judge

    @property
    def number(self) -> int:
        """Of the contract's clause."""
        return int(self.name[1:].partition(".")[0])


_rules: dict[str, Rule] = {}


def rule(name: str, what: str, *scenarios: Scenario) -> Callable[[Judge], Judge]:
    """Declares the decorated function a rule."""

    def declare(judge: Judge) -> Judge:
        _rules[name] = Rule(name, what, scenarios, judge)
        return judge

    return declare


def declared() -> list[Rule]:
    """All rules that were declared, in the order of the contract."""
    return sorted(_rules.values(), key=lambda rule: rule.number)
