"""The log of a run: a table that every run has, and TensorBoard or Weights & Biases where they are asked for.

A run that goes on keeps the lines up to the step from which it goes on, and replaces those after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from jukemir_like.core.atomic import make_folder, storage_errors, write_bytes
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import table

PROJECT = "stemjepa"


class Table(Logger):  # type: ignore[misc]
    """``metrics.csv`` of a run's folder.

    Args:
        folder: of the run.
        step: lines after it are removed; 0 starts anew.
    """

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__()
        self.path = folder / table.NAME
        self.rows = [row for row in table.read(folder) if row["step"] <= step] if step else []
        self.columns = list(dict.fromkeys(column for row in self.rows for column in row))
        self._rewrite()

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: ``settings.json`` has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": float(step or 0), **metrics}
        if self.rows and self.rows[-1]["step"] == row["step"]:  # what validation finds stands in the line of its step
            self.rows[-1].update(row)
            whole = True
        else:
            self.rows.append(row)
            whole = False
        new = [column for column in row if column not in self.columns]
        self.columns += new
        if new or whole:
            self._rewrite()
            return
        with storage_errors(self.path), open(self.path, "a", newline="", encoding="utf-8") as file:
            file.write(table.text(self.columns, [row], header=False))

    def _rewrite(self) -> None:
        write_bytes(self.path, table.text(self.columns or ["step"], self.rows).encode())


def loggers(settings: Training, folder: Path, step: int) -> list[Any]:
    """The table, and what ``settings.logger`` names beside it.

    Raises:
        RequestError: a package that a logger needs is not installed.
    """
    made: list[Any] = [Table(folder, step)]
    for name in settings.logger:
        if name == "tensorboard":
            with _named(name):
                made.append(TensorBoardLogger(make_folder(folder), name="tensorboard", version="", purge_step=step + 1 if step else None))
        elif name == "wandb":
            with _named(name):
                # The same run of Weights & Biases, however often it is taken up again.
                identity = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
                made.append(WandbLogger(name=folder.name, save_dir=make_folder(folder), project=PROJECT, id=identity, resume="allow"))
                made[-1].log_hyperparams(settings.to_dict())
    return made


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Says which logger's package is missing."""
    try:
        yield
    except ImportError as error:
        raise RequestError(f"logger={name} needs the package {name}: pip install {name}, or choose logger=csv") from error
