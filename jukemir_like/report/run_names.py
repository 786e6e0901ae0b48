"""Where a run stands on the page."""

from __future__ import annotations

from jukemir_like.probes.runs import Run


def anchor(run: Run) -> str:
    """The anchor of a run's row in the list of all runs: the last four parts of its folder."""
    return "/".join(run.folder.parts[-4:])
