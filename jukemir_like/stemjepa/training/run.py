"""A whole training run: settings and a folder in, weights out.

The folder holds ``settings.json``, ``data.json``, ``metrics.csv``, ``training.png``, ``states/`` to go on from and, at the end,
``weights.safetensors``.
"""

from __future__ import annotations

import logging
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from jukemir_like import __version__
from jukemir_like.core import jsonfiles, parallel, signals
from jukemir_like.core.cache import make_folder, storage_errors, sweep, write_json
from jukemir_like.core.errors import JukemirLikeError, RequestError
from jukemir_like.core.locks import locked
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import feeding, identity, logs, page, schedule, state, table
from jukemir_like.stemjepa.training.interruption import SECONDS as INTERRUPTED_SECONDS
from jukemir_like.stemjepa.training.interruption import Interruption
from jukemir_like.stemjepa.training.module import Module
from jukemir_like.stemjepa.training.places import Environment, Place, place
from jukemir_like.stemjepa.training.processes import Processes
from jukemir_like.stemjepa.training.validating import Validation
from jukemir_like.stemjepa.training.watching import Watching

WEIGHTS = "weights.safetensors"
SETTINGS = "settings.json"
TRACKS = "tracks"  # in it, beside the settings: the digest of what is trained on
REFUSE, RESTART = "refuse", "restart"
STATES = "states"
DATA = "data.json"  # how the data were understood: another layout of the same tracks is the same run, so it stands beside the settings


def train(settings: Training, folder: Path, *, resume: bool = True, on_change: str = REFUSE) -> Path:
    """Trains, and returns the file of weights in ``folder``.

    Args:
        settings: what to train, on what, how.
        folder: of the run; made where it is not there.
        resume: go on from what an interrupted run of the same settings and tracks left there; else it is removed first.
        on_change: what to do where the folder is that of another run: ``refuse``, or ``restart``, which removes it first.

    Raises:
        RequestError: the settings cannot be carried out, or the folder is that of another run.
        StorageError: the folder cannot be written.
    """
    schedule.check(settings)
    here = place(settings.trainer)
    feeding.micro_batch(settings, here)
    material = feeding.material(settings, workers=settings.data.dataloader.num_workers or 1)
    if here.rank == 0:
        _claim(settings.to_dict() | {TRACKS: material.digest()}, folder, resume=resume, on_change=on_change)
        write_json(folder / DATA, material.told())
    if not here.external and here.world_size > 1:
        Processes(settings, folder, here.world_size).run()
        return folder / WEIGHTS
    _quieten()
    threads = torch.get_num_threads()
    with _alone(folder) if here.rank == 0 else nullcontext():
        try:
            if here.accelerator == "cpu":
                torch.set_num_threads(settings.trainer.threads or max(1, parallel.available_cpus() // here.devices))
            return _Run(settings, material, folder, here).whole()
        finally:
            torch.set_num_threads(threads)


def _claim(told: dict[str, Any], folder: Path, *, resume: bool, on_change: str) -> None:
    """Makes the folder the run's that was told this, or refuses one that is another's."""
    make_folder(folder)
    change = _change(told, folder) if resume else None
    if change and on_change == REFUSE:
        raise RequestError(f"{folder} holds a run with another {change}: choose another name, or start it anew")
    if change or not resume:
        state.clear(folder / STATES)
        for path in (folder / SETTINGS, folder / table.NAME, folder / WEIGHTS, folder / page.PICTURE):
            with storage_errors(path):
                path.unlink(missing_ok=True)
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    write_json(folder / SETTINGS, told)
    make_folder(folder / STATES)
    for part in (folder, folder / STATES):
        sweep(part)


def _change(told: dict[str, Any], folder: Path) -> str | None:
    """In what the run that ``folder`` can go on with differs from this; None: in nothing, or there is no such run."""
    path = folder / SETTINGS
    if not state.any_in(folder / STATES):
        return None
    try:
        before = jsonfiles.read(path, {str: object}, "choose another name or folder for this run")
    except FileNotFoundError:
        return None
    for option, now, then in identity.differing(told, before):
        if option not in identity.NEUTRAL:
            return f"{option} ({then} there, {now} here)"
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder against other processes of this machine, as far as its file system can."""
    with storage_errors(folder), locked(folder / ".lock", wait=False, keep_file=True, required=False) as lock:
        if lock is None:
            raise RequestError(f"another process trains in {folder}: wait for it, or choose another name")
        yield


@contextmanager
def _one_line() -> Iterator[None]:
    """An error of a worker process comes with the worker's traceback, as text; its last line is the message."""
    try:
        yield
    except JukemirLikeError as error:
        lines = str(error).strip().splitlines()
        if len(lines) > 1:
            raise type(error)(lines[-1].partition(": ")[2]) from None
        raise


def _quieten() -> None:
    """Lightning's advice to its own users is none for ours."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")


class _Run:
    """The stations of a run in one process."""

    def __init__(self, settings: Training, material: feeding.Material, folder: Path, here: Place) -> None:
        self.material, self.folder, self.here = material, folder, here
        self.weights = folder / WEIGHTS
        self.say(f"training on {len(self.material.train):,} tracks, {len(self.material.valid):,} held out, in {folder}")
        if here.rank == 0:
            feeding.tell(self.material.failed)
            for note in self.material.notes:
                self.say(note)
        self.state = state.latest(folder / STATES, self.say)
        self.settings = self._measured(settings)

    def whole(self) -> Path:
        torch.manual_seed(self.settings.seed)
        module = Module(self.settings)
        step = self._restore(module)
        with Interruption() as stop, signals.patience(INTERRUPTED_SECONDS):
            watching = Watching(module, self.material.sources, self.folder / STATES, self._validation(), stop, self.say)
            trainer = self._trainer(watching, step)
            if step < self.settings.trainer.max_steps:
                if self.settings.trainer.compile:
                    for part in (module.network.encoder, module.network.teacher, module.network.predictor):
                        part.compile()
                with _one_line():
                    trainer.fit(module, feeding.train_loader(self.settings, self.material.train, self.here, step))
        if self.here.rank == 0:
            feeding.set_aside(self.material.train)
        stop.deliver()
        if trainer.is_global_zero:
            self._finish(module)
        return self.weights

    def _measured(self, settings: Training) -> Training:
        """With the statistics of the data: those of the state, where the run goes on."""
        if self.state is None:
            return feeding.with_statistics(settings, self.material.train)
        front = self.state["run"]["settings"]["model"]["frontend"]
        return replace(settings, model=settings.model.with_statistics(front["mean"], front["std"]))

    def _restore(self, module: Module) -> int:
        if self.state is None:
            return 0
        module.load_state_dict(self.state["state_dict"])
        module.step, module.seconds = self.state["run"]["step"], self.state["run"]["seconds"]
        module.optimiser_state = self.state["optimizer_states"][0]
        if self.here.rank == 0:  # what the log and the file of weights tell is the same, too
            module.latest.update(self.state["run"].get("latest", {}))
            module.tally.restore(self.state["run"].get("tally"))
        self.state = None  # half of the memory
        self.say(f"going on from step {module.step:,} of {self.settings.trainer.max_steps:,}")
        return module.step

    def _validation(self) -> Validation | None:
        if not self.material.valid:
            self.say("no tracks are held out: nothing is validated (data.valid_path or data.valid_fraction would)")
            return None
        return Validation(self.settings, self.material.valid, self.material.sources)

    def _trainer(self, watching: Watching, step: int) -> lightning.Trainer:
        options, here = self.settings.trainer, self.here
        strategy: Any = "auto"
        if here.world_size > 1:
            strategy = lightning.pytorch.strategies.DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
        if here.accelerator == "cuda":
            torch.set_float32_matmul_precision("high")
        return lightning.Trainer(
            accelerator=here.accelerator,
            devices=here.devices,
            num_nodes=here.nodes,
            strategy=strategy,
            plugins=[Environment(here), state.Direct()],
            precision="bf16-mixed" if options.precision == "bf16" else "32-true",
            accumulate_grad_batches=options.accumulate,
            max_epochs=-1,
            max_steps=options.max_steps - step,
            logger=logs.loggers(self.settings, self.folder, step) if here.rank == 0 else False,
            callbacks=[watching],
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=self.folder,
        )

    def _finish(self, module: Module) -> None:
        latest = module.latest or (table.read(self.folder) or [{}])[-1]
        provenance = {  # nothing of when and how fast: the same run again is the same file
            "settings": _without_places(self.settings.to_dict()),
            "steps": module.step,
            "tracks": len(self.material.train),
            "data": self.material.digest(),
            "versions": versions(),
            "metrics": {name: value for name, value in latest.items() if name.rpartition("/")[2] not in table.TIMINGS},
        }
        checkpoint.save(self.weights, module.network, provenance=provenance, sources=self.material.sources)
        page.write(self.folder, self.material.sources)
        print(page.table(self.folder, self.material.sources))  # noqa: T201

    def say(self, line: str) -> None:
        """One line, from the first process only."""
        if self.here.rank == 0:
            print(f"jukemir-like: {line}", file=sys.stderr)  # noqa: T201


def _without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """With names of the data's folders instead of paths, which are this machine's."""
    names = {option: Path(path).name for option in ("data_path", "valid_path") if (path := settings["data"][option])}
    return {**settings, "data": settings["data"] | names}


def versions() -> dict[str, str]:
    """Of the software whose numbers these are."""
    return {
        "jukemir-like": __version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
    }
