"""A training run in one process: from its settings and tracks, or a saved state, to weights.

With several devices each process executes this, Lightning averages the gradients, and the first process writes files and messages.
"""

from __future__ import annotations

import logging
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import ClusterEnvironment, TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy

from jukemir_like.core import parallel, signals
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.core.version import __version__
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import batches, compilation, initial_weights, log_mel_statistics, metrics_log, state
from jukemir_like.stemjepa.training.batches import TrainingTracks
from jukemir_like.stemjepa.training.callbacks import Interruption, StepCallback
from jukemir_like.stemjepa.training.devices import GRACE_SECONDS, Placement
from jukemir_like.stemjepa.training.group import Group
from jukemir_like.stemjepa.training.initial_weights import Origin
from jukemir_like.stemjepa.training.label_probe import LabelProbe
from jukemir_like.stemjepa.training.metrics_log import MetricsLog
from jukemir_like.stemjepa.training.module import TrainingModule
from jukemir_like.stemjepa.training.validation import Validation


def fit(settings: Training, data: TrainingTracks, folder: Path, group: Group, origin: Origin | None = None) -> Path:
    """Trains from the beginning or from the latest state in ``folder``; returns the file of weights, which the first process writes.

    Args:
        settings: of the run.
        data: its tracks.
        folder: of the run, prepared by :func:`.state.claim`. Only the first process reads and writes it.
        group: the processes of the run, of which this is one.
        origin: the weights that the networks start from; None: random ones.

    Raises:
        RequestError: the tracks cannot be trained on, the loss is not finite, a logger's package is missing, or torch cannot compile.
        StorageError: the folder cannot be written.
        KeyboardInterrupt: a signal stopped the run; its state is saved.
    """
    _silence_lightning()
    parallel.keep_freed_memory()  # else a batch's pages are cleared anew in each step
    placement = group.placement
    say, workers = placement.say, batches.loader_workers(settings, placement)
    say(f"training on {len(data.train):,} tracks, {len(data.valid):,} held out, in {folder}")
    for line in (*batches.left_out_lines(data.failed), *data.notes, *_machine_lines(placement, workers)):
        say(line)
    saved = group.broadcast(state.latest(folder / state.STATES, say) if group.is_first else None)
    if origin is not None and saved is None:
        for line in initial_weights.lines(origin, data.sources, predictor=settings.init.predictor):
            say(line)
    settings = _with_statistics(settings, data, saved, origin, group, workers)
    with torch.random.fork_rng(devices=[]), float32_products(placement.accelerator):
        torch.manual_seed(settings.seed)
        module = TrainingModule(settings)
        heard = origin["heard"] if origin is not None else ()
        module.network.name_instruments(data.sources, wordings=batches.wordings(settings, data), heard=heard)
        if saved is not None:
            _restore(module, saved, placement)
            say(f"going on from step {module.step:,} of {settings.trainer.max_steps:,}")
        elif origin is not None:
            state_of_first = initial_weights.load(settings, origin, module.network, data.sources) if group.is_first else None
            module.network.load_state_dict(group.broadcast(state_of_first))
        del saved  # half of the memory
        _train(module, data, folder, group)
    if group.is_first:
        _write_results(module, data, folder, origin)
    return folder / state.WEIGHTS


def _train(module: TrainingModule, data: TrainingTracks, folder: Path, group: Group) -> None:
    """The steps that are left."""
    settings, placement, say = module.settings, group.placement, group.placement.say
    first_step = module.step
    with Interruption() as interruption, signals.grace_period(GRACE_SECONDS):
        workers = batches.loader_workers(settings, placement)
        validation = Validation(settings, data.valid, data.sources, group, workers) if data.valid else None
        if validation is None:
            say("no tracks are held out: nothing is validated (data.valid_path or data.valid_fraction would)")
        probing = data.valid and settings.trainer.probe_every_steps > 0
        probe = LabelProbe(settings, data.valid, group, workers) if probing else None
        log = MetricsLog(folder, first_step) if placement.rank == 0 else None
        callback = StepCallback(module, data.sources, folder / state.STATES, log, validation, probe, interruption, say)
        trainer = _trainer(settings, folder, placement, callback, first_step)
        if first_step < settings.trainer.max_steps:
            if settings.trainer.compile:
                group.each(lambda: compilation.check(placement.device))
                compilation.compile_networks(module.network)
            with _one_line_errors():
                trainer.fit(module, batches.train_loader(settings, data.train, placement, first_step))
    if placement.rank == 0:
        for line in batches.refused_lines(data.train):
            say(line)
    interruption.deliver()


def _machine_lines(placement: Placement, workers: int) -> list[str]:
    """What is said of devices and workers: what was chosen here, and what the run has where it has a GPU."""
    lines = [placement.note] if placement.note else []
    if placement.accelerator == "cuda":
        gpus = f"{placement.world_size} GPUs" if placement.world_size > 1 else "one GPU"
        lines.append(f"{gpus} ({torch.cuda.get_device_name(placement.gpu)}), {workers} loader workers each")
    return lines


@contextmanager
def float32_products(accelerator: str) -> Iterator[None]:
    """While it is entered, a GPU may round the factors of float32 products to ten bits (TF32), which is several times as fast.

    Args:
        accelerator: ``cpu``, where nothing changes, or ``cuda``.
    """
    before = torch.get_float32_matmul_precision()
    if accelerator == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _with_statistics(
    settings: Training, data: TrainingTracks, saved: state.State | None, origin: Origin | None, group: Group, workers: int
) -> Training:
    """With mean and standard deviation of the log-mel: of the weights that the run starts from, else measured by the first process.

    Of a resumed run, those of its state.
    """
    known = saved["run"]["settings"]["model"]["frontend"] if saved is not None else origin
    if known is not None:
        return replace(settings, model=settings.model.with_statistics(known["mean"], known["std"]))
    if not settings.data.statistics:
        return settings
    model = settings.model

    def measure() -> list[float]:
        statistics, kept = log_mel_statistics.measured_or_kept(data.train, settings.data, model, settings.seed, workers=workers)
        group.placement.say(statistics.line(kept=kept))
        return [statistics.mean, statistics.std]

    return replace(settings, model=model.with_statistics(*group.from_first(measure)))


def _restore(module: TrainingModule, saved: state.State, placement: Placement) -> None:
    run = saved["run"]
    module.load_state_dict(saved["state_dict"])
    module.step, module.seconds = run["step"], run["seconds"]
    module.optimiser_state = saved["optimizer_states"][0]
    if placement.rank == 0:  # so that log and weights say the same as those of an uninterrupted run; the saved sums are those of all ranks
        module.latest.update(run.get("latest", {}))
        module.loss_sums.restore(run.get("tally"))


def _trainer(settings: Training, folder: Path, placement: Placement, callback: StepCallback, first_step: int) -> lightning.Trainer:
    options = settings.trainer
    strategy: Any = "auto"
    if placement.world_size > 1:
        strategy = OwnDeviceStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return lightning.Trainer(
        accelerator=placement.accelerator,
        devices=[placement.gpu] if placement.accelerator == "cuda" else 1,
        num_nodes=placement.nodes,
        strategy=strategy,
        plugins=[PlacementEnvironment(placement), DirectCheckpointIO()],
        precision="bf16-mixed" if options.precision == "bf16" else "32-true",
        accumulate_grad_batches=options.accumulate,
        max_epochs=-1,
        max_steps=options.max_steps - first_step,
        logger=metrics_log.external_loggers(settings, folder, first_step) if placement.rank == 0 else False,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def _write_results(module: TrainingModule, data: TrainingTracks, folder: Path, origin: Origin | None) -> None:
    """Writes weights and picture, and prints the summary."""
    latest = module.latest or (metrics_log.read(folder) or [{}])[-1]
    provenance: dict[str, Any] = {  # nothing about when and how fast: the same run again writes the same file
        "settings": _without_paths(module.settings.to_dict()),
        "steps": module.step,
        "tracks": len(data.train),
        "data": data.digest(),
        **({"folders": data.by_folder()} if data.folders else {}),
        "versions": _versions(),
        "metrics": {name: value for name, value in latest.items() if name.rpartition("/")[2] not in metrics_log.TIMINGS},
    }
    if origin is not None:
        provenance["settings"]["init"]["weights"] = origin["file"]  # a name is that of its file too, and a path says nothing of the machine
        provenance["init"] = {name: origin[name] for name in ("digest", "file")}
    checkpoint.save(folder / state.WEIGHTS, module.network, provenance=provenance, sources=data.sources)
    metrics_log.write_picture(folder, data.sources)
    print(metrics_log.summary(folder, data.sources))  # noqa: T201


def _without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With the names of the data's folders instead of their paths on this machine."""
    data = settings["data"]
    names: dict[str, Any] = {option: Path(data[option]).name for option in ("data_path", "valid_path") if isinstance(data[option], str)}
    if not isinstance(data["data_path"], str):
        names["data_path"] = [Path(path).name for path in data["data_path"]]
    return {**settings, "data": data | names}


def _versions() -> dict[str, str]:
    """Versions of the software that decides the weights."""
    return {
        "jukemir-like": __version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
    }


def _silence_lightning() -> None:
    """Lightning's hints are for those who write code with it, not for those who run this command."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """An error of a loader's worker process has the worker's traceback as its text; only the last line of it is the message."""
    try:
        yield
    except JukemirLikeError as error:
        lines = str(error).strip().splitlines()
        if len(lines) > 1:
            raise type(error)(lines[-1].partition(": ")[2]) from None
        raise


class OwnDeviceStrategy(DDPStrategy):
    """Knows the device of its own process alone; Lightning's would have each process see those of all processes of its node."""

    @property
    def root_device(self) -> torch.device:
        assert self.parallel_devices is not None  # noqa: S101
        return self.parallel_devices[0]


class PlacementEnvironment(ClusterEnvironment):
    """Gives Lightning the :class:`.Placement` of this process, so that it starts no processes and looks for no scheduler itself."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.placement.address

    @property
    def main_port(self) -> int:
        return self.placement.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.placement.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self.placement.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self.placement.local_rank

    def node_rank(self) -> int:
        return self.placement.node_rank


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a state straight to its file; Lightning's own class writes it to memory and to the temporary folder first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002
        with open(path, "wb") as file:
            torch.save(checkpoint, file)
