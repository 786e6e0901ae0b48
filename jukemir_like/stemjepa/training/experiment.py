"""The same run under Dora: its folder is named by the hash of what differs from the defaults.

``dora run``, ``dora launch`` and ``dora grid`` find the package through ``jukemir_like/train.py`` in the repository, and by
``DORA_PACKAGE=jukemir_like`` elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import dora.grid
import dora.launch
from dora.conf import DoraConfig, SlurmConfig, update_from_hydra
from dora.hydra import HydraMain
from dora.shep import Shepherd
from dora.xp import XP, get_xp

from jukemir_like.core.errors import INTERRUPTED, JukemirLikeError, RequestError
from jukemir_like.stemjepa.settings import differences
from jukemir_like.stemjepa.training import compose, initial_weights


@dataclass
class Resources(SlurmConfig):  # type: ignore[misc]
    """What a job asks of SLURM: Dora's options, and on how many nodes its GPUs are, which Dora itself decides (8 GPUs on each).

    Args:
        nodes: nodes, with as many GPUs on each and a task per GPU; without GPUs one task on each.

    >>> Resources(gpus=4, nodes=2).check()
    """

    nodes: int = 1

    def check(self) -> None:
        """Checks that the GPUs can be divided over the nodes.

        Raises:
            RequestError: they cannot.
        """
        if self.nodes < 1 or self.gpus % self.nodes:
            raise RequestError(f"slurm.gpus {self.gpus} on slurm.nodes {self.nodes}: give a multiple of the nodes, the GPUs of all of them")


class NodesShepherd(Shepherd):  # type: ignore[misc]
    """Dora's part that submits jobs, which also asks for :attr:`Resources.nodes`."""

    def _get_submitit_executor(self, name: str, folder: Path, slurm_config: SlurmConfig) -> Any:
        nodes = getattr(slurm_config, "nodes", 1)
        if nodes == 1:
            return super()._get_submitit_executor(name, folder, slurm_config)
        of_node = Resources(**{**vars(slurm_config), "gpus": slurm_config.gpus // nodes, "nodes": 1})
        executor = super()._get_submitit_executor(name, folder, of_node)
        executor.update_parameters(nodes=nodes)
        return executor


# Dora has no other way to choose the class that submits.
dora.launch.Shepherd = dora.grid.Shepherd = NodesShepherd  # type: ignore[attr-defined]


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
        resources = Resources()
        with _exit_on_error(), _unknown_option_is_refused("slurm"):
            update_from_hydra(resources, self._base_cfg.slurm)
            resources.check()
        return resources

    def get_xp(self, argv: Sequence[str]) -> XP:
        """The experiment that these overrides describe. The same run has the same signature, however it is spelled."""
        with _exit_on_error():
            for override in argv:
                section = override.lstrip("+~").partition(".")[0]
                if section in compose.DORA_SECTIONS:  # Dora reads them before it reads the overrides
                    raise RequestError(f"{override}: {section}.* is set in ./{compose.USER_FOLDER}/{section}/local.yaml")
            settings = compose.compose_settings(argv)
            delta = [*differences(settings), *initial_weights.identity(settings)]
        return XP(dora=self.dora, cfg=settings, argv=list(argv), delta=delta)

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
