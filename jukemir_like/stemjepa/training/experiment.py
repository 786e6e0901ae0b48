"""The same run under Dora: its folder is named by the hash of what differs from the defaults.

``dora run``, ``dora launch`` and ``dora grid`` find the package through ``jukemir_like/train.py`` in the repository, and by
``DORA_PACKAGE=jukemir_like`` elsewhere.
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
from jukemir_like.stemjepa.settings import differences
from jukemir_like.stemjepa.training import compose


class Experiment(HydraMain):  # type: ignore[misc]
    """Dora's view of a run. A wrong request ends with one line and exit code 2."""

    def __init__(self, main: Callable[[Any], None]) -> None:
        folder = os.path.relpath(compose.CONFIG_FOLDER, os.path.dirname(sys.modules[main.__module__].__file__ or ""))  # noqa: PTH120
        with _exit_on_error():
            super().__init__(main, config_name=compose.CONFIG_NAME, config_path=folder, version_base=compose.VERSION_BASE)

    def _get_dora(self) -> DoraConfig:
        with _unknown_option_is_refused("dora"):
            return super()._get_dora()

    def get_slurm_config(self) -> SlurmConfig:
        """The resources of a job, from ``./configs/slurm/local.yaml``."""
        with _exit_on_error(), _unknown_option_is_refused("slurm"):
            return super().get_slurm_config()

    def get_xp(self, argv: Sequence[str]) -> XP:
        """The experiment that these overrides describe. The same run has the same signature, however it is spelled."""
        with _exit_on_error():
            for override in argv:
                section = override.lstrip("+~").partition(".")[0]
                if section in compose.DORA_SECTIONS:  # Dora reads them before it reads the overrides
                    raise RequestError(f"{override}: {section}.* is set in ./{compose.USER_FOLDER}/{section}/local.yaml")
            settings = compose.compose_settings(argv)
        return XP(dora=self.dora, cfg=settings, argv=list(argv), delta=differences(settings))

    def get_xp_history(self, xp: XP) -> list[dict[str, Any]]:
        """What ``dora grid`` and ``dora info`` show of a run: the rows of its log."""
        from jukemir_like.stemjepa.training import metrics_log

        return metrics_log.read(xp.folder)

    def _main(self) -> None:
        experiment = get_xp()
        from jukemir_like.stemjepa.training.run import train

        try:
            train(experiment.cfg, experiment.folder)
        except JukemirLikeError as error:
            _exit(error)
        except KeyboardInterrupt:
            print("jukemir-like: interrupted; the state is saved, run the same command to resume", file=sys.stderr)  # noqa: T201
            sys.exit(INTERRUPTED)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """A wrong request ends the process."""
    try:
        with compose.hydra_errors():
            yield
    except JukemirLikeError as error:
        _exit(error)


@contextmanager
def _unknown_option_is_refused(section: str) -> Iterator[None]:
    """Dora reports an unknown option in its own sections by an AttributeError."""
    try:
        yield
    except AttributeError as error:
        raise RequestError(f"./{compose.USER_FOLDER}/{section}/local.yaml: {error}: leave it out") from error


def _exit(error: JukemirLikeError) -> NoReturn:
    print(f"jukemir-like: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)
