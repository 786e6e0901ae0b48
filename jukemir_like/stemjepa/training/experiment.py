"""The same run under Dora: its folder is named by the hash of what differs from the defaults.

``dora run``, ``dora launch`` and ``dora grid`` find the package through ``jukemir_like/train.py`` in the repository, elsewhere by
``DORA_PACKAGE=jukemir_like``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from dora.conf import DoraConfig, SlurmConfig
from dora.hydra import HydraMain
from dora.xp import XP, get_xp

from jukemir_like.core.errors import INTERRUPTED, JukemirLikeError, RequestError
from jukemir_like.stemjepa.training import composing
from jukemir_like.stemjepa.training.identity import differences


class Experiment(HydraMain):  # type: ignore[misc]
    """Dora's view of a run. Requests that cannot be carried out end in one line and exit code 2."""

    def __init__(self, main: Callable[[Any], None]) -> None:
        folder = os.path.relpath(composing.CONFIGS, os.path.dirname(sys.modules[main.__module__].__file__ or ""))  # noqa: PTH120
        with _ending():
            super().__init__(main, config_name=composing.NAME, config_path=folder, version_base=composing.VERSION_BASE)

    def _get_dora(self) -> DoraConfig:
        with _own_options("dora"):
            return super()._get_dora()

    def get_slurm_config(self) -> SlurmConfig:
        """What a job asks for, by ``./configs/slurm/local.yaml``."""
        with _ending(), _own_options("slurm"):
            return super().get_slurm_config()

    def get_xp(self, argv: Sequence[str]) -> XP:
        """The experiment of these overrides. The same run has the same signature, however it is spelt."""
        with _ending():
            for override in argv:
                section = override.lstrip("+~").partition(".")[0]
                if section in composing.BESIDE:  # Dora reads them before it reads the overrides
                    raise RequestError(f"{override}: {section}.* is set in ./{composing.OWN}/{section}/local.yaml")
            settings = composing.compose_settings(argv)
        return XP(dora=self.dora, cfg=settings, argv=list(argv), delta=differences(settings))

    def get_xp_history(self, xp: XP) -> list[dict[str, Any]]:
        """What ``dora grid`` and ``dora info`` show of a run: the lines of its table."""
        from jukemir_like.stemjepa.training.table import read

        return read(xp.folder)

    def _main(self) -> None:
        experiment = get_xp()
        from jukemir_like.stemjepa.training.run import train

        try:
            train(experiment.cfg, experiment.folder)
        except JukemirLikeError as error:
            _end(error)
        except KeyboardInterrupt:
            print("jukemir-like: interrupted; the state is kept, run the same command to go on", file=sys.stderr)  # noqa: T201
            sys.exit(INTERRUPTED)


@contextmanager
def _ending() -> Iterator[None]:
    """A request that cannot be carried out ends the process."""
    try:
        with composing.refusals():
            yield
    except JukemirLikeError as error:
        _end(error)


@contextmanager
def _own_options(section: str) -> Iterator[None]:
    """Options of Dora's that it does not know, as it says it."""
    try:
        yield
    except AttributeError as error:
        raise RequestError(f"./{composing.OWN}/{section}/local.yaml: {error}: leave it out") from error


def _end(error: JukemirLikeError) -> NoReturn:
    print(f"jukemir-like: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)
