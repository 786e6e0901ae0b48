"""What a run keeps in its folder in order to be resumed: the settings it belongs to, and the full state after some steps.

A state is a Lightning checkpoint: networks, optimiser, step, sums for the log. It is written under a temporary name and renamed; the last
two are kept, so that one that a failing disk damaged costs no more than the steps since the one before. It is read without unpickling code.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.atomic import atomic_write, make_folder, remove_abandoned, storage_errors, write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.core.locks import locked
from jukemir_like.stemjepa.settings import NEUTRAL, Training, changed_options
from jukemir_like.stemjepa.training import metrics_log

if TYPE_CHECKING:
    import lightning

WEIGHTS = "weights.safetensors"
SETTINGS = "settings.json"
TRACKS = "tracks"
"""Key in ``settings.json``, next to the settings: the digest of the tracks that are trained on."""
STATES = "states"
REFUSE, RESTART = "refuse", "restart"
KEPT = 2

_SUFFIX = ".ckpt"

State = dict[str, Any]


def claim(identity: dict[str, Any], folder: Path, *, resume: bool, on_change: str) -> None:
    """Prepares ``folder`` for a run: it keeps what the run can be resumed from, and nothing of another run.

    Args:
        identity: the settings as plain values, and the digest of the tracks as :data:`TRACKS`.
        folder: of the run; created if it does not exist.
        resume: False: remove what is in the folder.
        on_change: :data:`REFUSE` or :data:`RESTART` (remove) where the folder has states of another run.

    Raises:
        RequestError: the folder is that of another run.
        StorageError: the folder cannot be written.
    """
    make_folder(folder)
    change = _first_change(identity, folder) if resume else None
    if change and on_change == REFUSE:
        raise RequestError(f"{folder} holds a run with another {change}: choose another name, or restart it")
    if change or not resume:
        for path in _steps(folder / STATES):
            with storage_errors(path):
                path.unlink()
        for name in (SETTINGS, metrics_log.FILE_NAME, WEIGHTS, metrics_log.PICTURE_NAME):
            with storage_errors(folder / name):
                (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    write_json(folder / SETTINGS, identity)
    make_folder(folder / STATES)
    for part in (folder, folder / STATES):
        remove_abandoned(part)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Locks ``folder``, which is created if it does not exist, against other processes, as far as its file system can.

    Raises:
        RequestError: another process trains in it.
    """
    make_folder(folder)
    with storage_errors(folder), locked(folder / ".lock", wait=False, keep_file=True, required=False) as lock:
        if lock is None:
            raise RequestError(f"another process trains in {folder}: wait for it, or choose another name")
        yield


def save(trainer: lightning.Trainer, folder: Path, step: int) -> None:
    """Writes the state after ``step`` steps into ``folder`` and removes those before the last two. All ranks call it, the first writes.

    Raises:
        StorageError: the state cannot be written; the states before it are kept.
    """
    path = folder / f"{step:09d}{_SUFFIX}"
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path)  # takes part in the collective operations, and writes nothing
        return
    with atomic_write(path) as temporary:
        trainer.save_checkpoint(temporary)
    with storage_errors(folder):
        for old in _steps(folder)[:-KEPT]:
            old.unlink(missing_ok=True)


def latest(folder: Path, warn: Callable[[str], None]) -> State | None:
    """The newest readable state in ``folder``; None without any.

    Args:
        folder: of the states.
        warn: gets one line for each newer state that cannot be read.
    """
    for path in reversed(_steps(folder)):
        try:
            return _read(path)
        except Exception as error:  # a damaged archive fails in torch in many ways
            reason = " ".join(str(error).split())[:120]
            warn(f"{path} cannot be read ({reason}): going on from the state before it")
    return None


def _first_change(identity: dict[str, Any], folder: Path) -> str | None:
    """The first option in which the run that ``folder`` can resume differs from this one; None: no difference, or no such run."""
    if not _steps(folder / STATES):
        return None
    try:
        before = jsonfiles.read(folder / SETTINGS, {str: object}, "choose another name or folder for this run")
    except FileNotFoundError:
        return None
    for option, now, then in changed_options(identity, _with_defaults(before, Training().to_dict())):
        if option not in NEUTRAL:
            return f"{option} ({then} there, {now} here)"
    return None


def _with_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Plain ``values`` as an earlier version may have written them, with the ``defaults`` of options that it did not have."""
    filled = dict(defaults)
    for name, value in values.items():
        default = defaults.get(name)
        filled[name] = _with_defaults(value, default) if isinstance(value, Mapping) and isinstance(default, Mapping) else value
    return filled


def _steps(folder: Path) -> list[Path]:
    """Files of states in ``folder``, oldest first."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _read(path: Path) -> State:
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:  # torch does not check the checksums
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"checksum of {damaged}")
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    missing = {"state_dict", "optimizer_states", "run"} - state.keys()
    if missing:
        raise ValueError(f"without {', '.join(sorted(missing))}")
    return state
