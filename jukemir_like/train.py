"""Entry point for Dora, which looks for ``PACKAGE.train``: ``dora run data=my_data``. See :mod:`jukemir_like.stemjepa.training`."""

from __future__ import annotations

from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.experiment import Experiment


@Experiment
def main(settings: Training) -> None:
    """One run; :class:`Experiment` trains in its place."""
