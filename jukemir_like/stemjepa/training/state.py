"""The full state of a run in a file, to go on from: networks, optimiser, step.

A state is a Lightning checkpoint, written beside and renamed; the last two are kept, so that one that a failing disk spoilt costs no more
than the steps since the one before. It is read without unpickling code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from jukemir_like.core import files
from jukemir_like.core.atomic import atomic_write, storage_errors

if TYPE_CHECKING:
    import lightning

KEPT = 2
_SUFFIX = ".ckpt"

State = dict[str, Any]


def save(trainer: lightning.Trainer, folder: Path, step: int) -> Path:
    """Writes the state after ``step`` steps into ``folder`` and removes those before the last two. All ranks call it, the first writes.

    Raises:
        StorageError: it cannot be written; the states before it are kept.
    """
    path = folder / f"{step:09d}{_SUFFIX}"
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path)  # takes part in what the ranks do together, and writes nothing
        return path
    with atomic_write(path) as temporary:
        trainer.save_checkpoint(temporary)
    with storage_errors(folder):
        for old in _steps(folder)[:-KEPT]:
            old.unlink(missing_ok=True)
    return path


def latest(folder: Path, say: Callable[[str], None]) -> State | None:
    """The newest whole state in ``folder``; None without any. Says in one line of each newer one why it is passed over."""
    for path in reversed(_steps(folder)):
        try:
            return _read(path)
        except Exception as error:  # a damaged archive fails in torch in many ways
            reason = " ".join(str(error).split())[:120]
            say(f"{path} cannot be read ({reason}): going on from the state before it")
    return None


class Direct(TorchCheckpointIO):
    """Writes where it is told: Lightning's own way goes through memory and the temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002
        with open(path, "wb") as file:
            torch.save(checkpoint, file)


def any_in(folder: Path) -> bool:
    """Whether there is a state in ``folder``."""
    return bool(_steps(folder))


def clear(folder: Path) -> None:
    """Removes all states of ``folder``."""
    with storage_errors(folder):
        for path in _steps(folder):
            path.unlink()


def _steps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _read(path: Path) -> State:
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:  # torch does not look at the checksums
        spoilt = archive.testzip()
    if spoilt is not None:
        raise ValueError(f"checksum of {spoilt}")
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    missing = {"state_dict", "optimizer_states", "run"} - state.keys()
    if missing:
        raise ValueError(f"without {', '.join(sorted(missing))}")
    return state
