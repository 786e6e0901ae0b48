"""Rules of the contract, and the report about whether an image keeps them.

A *scenario* runs the image and returns what was observed; a *rule* judges what scenarios observed and yields one line per fault. However
many rules need a scenario, it runs once, and only if one of the chosen rules needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from jukemir_like.conformance.session import Session
from jukemir_like.core.errors import DONE, SOME_FAILED

KEPT, BROKEN, NOT_CAUGHT = "kept", "broken", "not caught"

Scenario = Callable[[Session], Any]
Judge = Callable[..., Iterable[str]]


class NotCaughtError(Exception):
    """The image had finished before it could be interrupted, so that nothing is known about the rule."""


BATCH_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""As the contract names them (C4); not taken from this package's own extraction, which is checked like any other."""


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        name: the contract's clause, a dot and a word: ``C5.dtype``.
        what: what it asks for.
        scenarios: whose observations, in this order, are the arguments of ``judge``.
        judge: yields the faults.
    """

    name: str
    what: str
    scenarios: tuple[Scenario, ...]
    judge: Judge

    @property
    def clause(self) -> str:
        """The contract's clause: ``C5``."""
        return self.name.partition(".")[0]

    @property
    def number(self) -> int:
        """The number of the clause."""
        return int(self.clause[1:])


class Rules(list[Rule]):
    """The rules of a module, in order; :meth:`rule` adds them.

    >>> rules = Rules()
    >>> @rules.rule("C1.start", "it starts", lambda session: "what was observed")
    ... def judge(observed):
    ...     yield f"it does not: {observed}"
    >>> rules[0].clause, list(rules[0].judge("nothing"))
    ('C1', ['it does not: nothing'])
    """

    def rule(self, name: str, what: str, *scenarios: Scenario) -> Callable[[Judge], Judge]:
        """A decorator for the function that judges the rule."""

        def add(judge: Judge) -> Judge:
            self.append(Rule(name, what, scenarios, judge))
            return judge

        return add


@dataclass(frozen=True)
class Finding:
    """The result of one rule.

    Args:
        rule: its name, which begins with the contract's clause.
        what: what it asks for.
        status: ``kept``, ``broken``, or ``not caught``: the image was too fast to be interrupted, so that nothing is known.
        seen: what was observed instead, one line per fault.
    """

    rule: str
    what: str
    status: str
    seen: tuple[str, ...] = ()


@dataclass
class ConformanceReport:
    """All findings about one image.

    Args:
        image: as it was named.
        image_id: the digest by which the engine knows it.
        findings: in the order of the contract.
        seconds: wall-clock time.
        left: folder that could not be removed, or None.
    """

    image: str
    image_id: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    left: str | None = None

    @property
    def broken(self) -> list[str]:
        """The names of the rules that are broken, and of those about which nothing is known."""
        return [finding.rule for finding in self.findings if finding.status != KEPT]

    @property
    def exit_code(self) -> int:
        """0 if every rule is kept, else 3."""
        return SOME_FAILED if self.broken else DONE

    def text(self, most: int = 5) -> str:
        """One line per rule; under one that is not kept, what was observed (``most`` lines at most); a closing line."""
        width = max((len(finding.rule) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.rule:{width}}  {'ok' if finding.status == KEPT else finding.status.upper():10}  {finding.what}")
            lines += [f"{'':{width}}  {'':10}    {line}" for line in finding.seen[:most]]
            if len(finding.seen) > most:
                lines.append(f"{'':{width}}  {'':10}    … and {len(finding.seen) - most} more")
        kept = len(self.findings) - len(self.broken)
        lines.append(f"{self.image}: keeps {kept} of {len(self.findings)} rules of the contract ({self.seconds:.0f} s)")
        if self.left:
            lines.append(f"not removed, as it belongs to another user: {self.left}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as numbers, strings, lists and dictionaries."""
        return asdict(self) | {"exit_code": self.exit_code}
