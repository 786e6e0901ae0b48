"""What an audit found of each dataset, for the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jukemir_like import audit
from jukemir_like.audit import findings
from jukemir_like.core.cache import Cache
from jukemir_like.report.left_out import LeftOut


def audits(cache: Cache, datasets: Iterable[str], left_out: LeftOut) -> dict[str, dict[str, Any]]:
    """Dataset → its findings, of those with an ``audit.json`` that is of their present ``meta.json``; damaged ones join ``left_out``."""
    made = {}
    for number, name in enumerate(dict.fromkeys(datasets)):
        found = None
        with left_out.noting():
            found = audit.read(cache, name)
        if found is not None:
            rows = [row._asdict() for row in findings.rows(found)]
            made[name] = {"anchor": f"audit-{number}", "sentences": findings.sentences(found), "rows": rows}
    return made
