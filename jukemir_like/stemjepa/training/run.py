"""A whole training run: settings and a folder in, weights out.

The folder contains ``settings.json``, ``data.json``, ``metrics.csv``, ``training.png``, ``states/`` to resume from and, at the end,
``weights.safetensors``. With several devices the run is one process per device (:mod:`~.devices`), each of which is this program::

    python -m jukemir_like.stemjepa.training.run SETTINGS.json FOLDER
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from jukemir_like.core import machine, signals, stdio
from jukemir_like.core.atomic import write_json
from jukemir_like.core.errors import DONE, INTERRUPTED, JukemirLikeError, RequestError
from jukemir_like.core.temporary import temporary_folder
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import batches, devices, initial_weights, state
from jukemir_like.stemjepa.training.batches import TrainingTracks
from jukemir_like.stemjepa.training.group import Group, joined
from jukemir_like.stemjepa.training.wandb_key import check_wandb

DATA = "data.json"
"""How the data were understood. The same tracks in another layout are the same run, so this is not part of ``settings.json``."""

PROGRAM = "jukemir_like.stemjepa.training.run"
"""This module by its name; as a program it is called ``__main__``."""

_STEPS_PER_WARMUP_STEP = 15  # of the paper's run


def train(settings: Training, folder: Path, *, resume: bool = True, on_change: str = state.REFUSE) -> Path:
    """Trains, and returns the file of weights in ``folder``.

    Args:
        settings: what to train, on what, how.
        folder: of the run; created if it does not exist.
        resume: go on from what an interrupted run of the same settings and tracks left there; else it is removed first.
        on_change: what to do where the folder is that of another run: ``refuse``, or ``restart``, which removes it first.

    Raises:
        RequestError: the settings cannot be carried out, the folder is that of another run, or the processes of the run do not meet.
        StorageError: the folder cannot be written.
        KeyboardInterrupt: a signal stopped the run; its state is saved.
        SystemExit: one of several processes failed; it has printed why.
    """
    check_phases(settings)
    placement = devices.find_placement(settings.trainer, batch_size=settings.data.dataloader.batch_size)
    batches.micro_batch_size(settings, placement)
    workers = batches.loader_workers(settings, placement)
    origin = None
    if not placement.external:
        check_wandb(settings)
        origin = initial_weights.read(settings)

    def prepare(tracks: TrainingTracks) -> None:
        identity = settings.to_dict() | {state.TRACKS: tracks.digest()}
        if origin is not None:
            identity[initial_weights.DIGEST] = origin["digest"]
        state.claim(identity, folder, resume=resume, on_change=on_change)
        write_json(folder / DATA, tracks.to_dict())

    if placement.world_size > 1 and not placement.external:
        with state.lock_folder(folder):
            prepare(batches.find_tracks(settings, workers=workers or 1))
        _train_in_processes(settings, folder, placement.world_size)
        return folder / state.WEIGHTS
    with joined(placement, settings.trainer.meeting_seconds) as group, ExitStack() as locks:
        if placement.external:
            group.from_first(lambda: check_wandb(settings))  # the first process logs; the others need no key
            origin = group.from_first(lambda: initial_weights.read(settings))
        data = _common_tracks(settings, group, workers)

        def take_folder() -> None:
            locks.enter_context(state.lock_folder(folder))
            prepare(data)

        group.from_first(take_folder)  # no process looks into the folder before it is this run's
        # Lightning takes seconds to import: neither a refusal nor the process that only starts others waits for it.
        from jukemir_like.stemjepa.training.fit import fit

        threads = torch.get_num_threads()
        try:
            if placement.accelerator == "cpu":
                torch.set_num_threads(settings.trainer.threads or machine.cpus_per_process(placement.devices))
            return fit(batches.with_instruments(settings, data), data, folder, group, origin)
        finally:
            torch.set_num_threads(threads)


def _common_tracks(settings: Training, group: Group, workers: int) -> TrainingTracks:
    """The tracks of the run, which every process has found; all have to find the same, for example n is one of its own in each of them."""
    found: list[TrainingTracks] = []

    def find() -> str:
        found.append(batches.find_tracks(settings, workers=workers or 1))
        return found[0].digest()

    digests = group.each(find)
    other = next((rank for rank, digest in enumerate(digests) if digest != digests[0]), None)
    if other is not None:
        group.refuse(f"process {other} finds other tracks in {', '.join(settings.data.folders)} than process 0: give the same on all nodes")
    return found[0]


def check_phases(settings: Training) -> None:
    """Checks that warm-up and contrastive phase fit into the run.

    Raises:
        RequestError: one of them is negative or longer than the run.
    """
    steps = settings.trainer.max_steps
    wrong, remedies = [], []
    for option, value, works in (
        ("optimiser.warmup_steps", settings.optimiser.warmup_steps, steps // _STEPS_PER_WARMUP_STEP),
        ("objective.contrastive_steps", settings.objective.contrastive_steps, steps * 3 // 4),
    ):
        if not 0 <= value <= steps:
            wrong.append(f"{option} {value}")
            remedies.append(f"{option}={0 if value < 0 else works}")
    if wrong:
        raise RequestError(f"{' and '.join(wrong)}: make it 0 to trainer.max_steps, {steps}, for example {' '.join(remedies)}")


def main(settings_file: str, folder: str) -> int:
    """Trains as one of several processes; returns the exit code.

    Args:
        settings_file: settings of the run as JSON.
        folder: of the run.
    """
    devices.end_with_parent()
    try:
        train(Training.from_dict(json.loads(Path(settings_file).read_text())), Path(folder))
    except JukemirLikeError as error:
        print(f"jukemir-like: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _train_in_processes(settings: Training, folder: Path, count: int) -> None:
    with temporary_folder() as temporary, signals.grace_period(devices.GRACE_SECONDS):
        settings_file = temporary / "settings.json"
        settings_file.write_text(json.dumps(settings.to_dict()))
        devices.run_processes([sys.executable, "-m", PROGRAM, str(settings_file), str(folder.absolute())], count)


if __name__ == "__main__":
    stdio.prepare()
    sys.exit(stdio.close(main(*sys.argv[1:])))
