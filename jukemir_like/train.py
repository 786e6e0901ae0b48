"""Entry point for Dora, which looks for ``PACKAGE.train``: ``dora run data=my_data``. See :mod:`jukemir_like.stemjepa.training`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jukemir_like.core.parallel import wait_without_spinning
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.experiment import Experiment


def _is_run_of_dora() -> bool:
    """Whether this process is ``dora run``, by either way to call it."""
    program = Path(sys.argv[0])
    return "dora" in (program.name, program.parent.name) and "run" in sys.argv[1:]


if wait_without_spinning() and _is_run_of_dora():
    # Dora has imported torch before it came here, and OpenMP reads the variable once: the same process starts again with it. Jobs that
    # Dora submits get it from the environment.
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606


@Experiment
def main(settings: Training) -> None:
    """One run; :class:`Experiment` trains in its place."""
