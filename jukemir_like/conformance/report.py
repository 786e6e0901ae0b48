"""What was found, rule by rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from jukemir_like.core.errors import DONE, SOME_FAILED

KEPT, BROKEN, NOT_CAUGHT = "kept", "broken", "not caught"


@dataclass(frozen=True)
class Finding:
    """One rule's outcome.

    Args:
        rule: its name, which begins with the contract's number.
        what: what it asks for.
        status: ``kept``, ``broken``, or ``not caught``: the image was too fast to be interrupted, so that nothing is known.
        seen: what was seen instead, a line each.
    """

    rule: str
    what: str
    status: str
    seen: tuple[str, ...] = ()


@dataclass
class Report:
    """All findings about one image.

    Args:
        image: as it was asked for.
        image_id: the digest that the engine knows it by.
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
        """The names of the rules that are not kept, and of those of which nothing is known."""
        return [finding.rule for finding in self.findings if finding.status != KEPT]

    @property
    def exit_code(self) -> int:
        """0 where every rule is kept, else 3."""
        return SOME_FAILED if self.broken else DONE

    def text(self, most: int = 5) -> str:
        """A line a rule; under one that is not kept, what was seen (``most`` lines at most); a closing line."""
        width = max((len(finding.rule) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.rule:{width}}  {'ok' if finding.status == KEPT else finding.status.upper():10}  {finding.what}")
            lines += [f"{'':{width}}  {'':10}    {seen}" for seen in finding.seen[:most]]
            if len(finding.seen) > most:
                lines.append(f"{'':{width}}  {'':10}    … and {len(finding.seen) - most} more")
        kept = len(self.findings) - len(self.broken)
        lines.append(f"{self.image}: keeps {kept} of {len(self.findings)} rules of the contract ({self.seconds:.0f} s)")
        if self.left:
            lines.append(f"left behind, for it belongs to another user: {self.left}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as numbers, strings, lists and dictionaries."""
        return asdict(self) | {"exit_code": self.exit_code}
