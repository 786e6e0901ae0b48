"""What a training run is told. Every option has one of the types below: a configuration file can name no class.

The defaults are the paper's (ISMIR 2024, section 4), but for what the paper leaves to the length of a run, which is counted in steps here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.config import check

CONTEXTS = ("uniform", "max", "one", "one-plus")
LOGGERS = ("csv", "tensorboard", "wandb")


@dataclass(frozen=True)
class Dataloader:
    """How examples are fetched.

    Args:
        batch_size: examples an optimiser step, over all devices and accumulated batches.
        num_workers: processes that read, a device; 0: the training process itself.
    """

    batch_size: int = 256
    num_workers: int = 2


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in a whole track (all stems alike in time and pitch, each by itself in level and colour); 0: nothing.

    Args:
        level_db: each stem's gain is drawn from ± this.
        eq_db: each stem is filtered by a smooth random curve within ± this.
        pitch_semitones: the track is resampled by a factor drawn from ± this many semitones; all stems by the same.
    """

    level_db: float = 0.0
    eq_db: float = 0.0
    pitch_semitones: float = 0.0


@dataclass(frozen=True)
class Data:
    """The stems.

    Args:
        data_path: folder, searched recursively for tracks. With a ``meta.json`` in it, as ``jukemir-like process`` writes: its train split.
        valid_path: folder of held-out tracks; None: the valid split of ``meta.json``, else ``valid_fraction`` of the tracks.
        valid_fraction: of the tracks, drawn by the seed.
        sources: names of the stems, in the order of the channels; None: those of ``dataset.json`` beside ``meta.json``, else bass, drums,
            other, vocals for four of them, else stem0, stem1, ….
        context: how the mix is drawn from the other active stems: uniform, max (all), one, one-plus.
        silence_db: a stem is active in a chunk if its peak there is above its loudest peak in the track by this (negative) number.
        statistics: measure mean and standard deviation of the log-mel before training, instead of the model's own.
        local_dir: copy the data to this node's disk first.
        dataloader: how examples are fetched.
        augmentation: what is changed at random.
    """

    data_path: str = ""
    valid_path: str | None = None
    valid_fraction: float = 0.05
    sources: tuple[str, ...] | None = None
    context: str = "uniform"
    silence_db: float = -40.0
    statistics: bool = True
    local_dir: bool = False
    dataloader: Dataloader = field(default_factory=Dataloader)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.sources is not None:
            object.__setattr__(self, "sources", tuple(self.sources))
        check(self.context in CONTEXTS, f"data.context {self.context!r}", f"choose one of {', '.join(CONTEXTS)}")


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Args:
        contrastive_steps: the first steps, in which pooled predictions are to find their own pooled targets in the batch.
        mix_weight: in these steps, of a second such term: pooled mixes are to find them themselves, both less their means over the batch.
        temperature: of both.
        contrastive_weight: of the contrastive term in the steps after it, beside the predictive one; 0: predictive alone, as in the paper.
        tau_half_life_steps: the teacher's; None: τ goes linearly from ``tau_first`` to ``tau_last``, as in the paper.
        tau_first, tau_last: of the linear schedule.
    """

    contrastive_steps: int = 0
    mix_weight: float = 1.0
    temperature: float = 0.1
    contrastive_weight: float = 0.0
    tau_half_life_steps: float | None = None
    tau_first: float = 0.99995
    tau_last: float = 0.99999


@dataclass(frozen=True)
class Optimiser:
    """AdamW; the learning rate warms up linearly and goes to 0 by a half cosine.

    Args:
        lr: the highest learning rate, for a batch of ``reference_batch_size``; it scales with the batch.
        reference_batch_size: see ``lr``.
        beta1, beta2, weight_decay: AdamW's.
        clip: highest norm of the gradient.
        warmup_steps: of ``trainer.max_steps``.
    """

    lr: float = 3e-4
    reference_batch_size: int = 256
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.05
    clip: float = 3.0
    warmup_steps: int = 20_000


@dataclass(frozen=True)
class Trainer:
    """Where and how long.

    Args:
        accelerator: ``cpu``, ``gpu`` or ``auto``.
        devices: processes a node; 0: all that are there.
        nodes: machines.
        max_steps: optimiser steps.
        accumulate: batches an optimiser step.
        precision: ``32`` or ``bf16``.
        compile: ``torch.compile`` the networks.
        log_every_steps: a line in the log.
        valid_every_steps: validation, and a line in the log of it.
        valid_tracks: held-out tracks that it looks at, at most.
        checkpoint_every_steps: full state, to go on from.
        threads: of the numerical libraries, on a CPU; 0: all processors.
    """

    accelerator: str = "auto"
    devices: int = 0
    nodes: int = 1
    max_steps: int = 300_000
    accumulate: int = 1
    precision: str = "32"
    compile: bool = False
    log_every_steps: int = 50
    valid_every_steps: int = 2_000
    valid_tracks: int = 100
    checkpoint_every_steps: int = 2_000
    threads: int = 0

    def __post_init__(self) -> None:
        check(self.accelerator in ("cpu", "gpu", "auto"), f"trainer.accelerator {self.accelerator!r}", "choose cpu, gpu or auto")
        check(self.precision in ("32", "bf16"), f"trainer.precision {self.precision!r}", "choose '32' or bf16")
        check(self.max_steps > 0, f"trainer.max_steps {self.max_steps}", "it must be above 0")
        check(self.accumulate > 0, f"trainer.accumulate {self.accumulate}", "it must be above 0")


@dataclass(frozen=True)
class Training:
    """A whole run."""

    seed: int = 0
    model: config.Model = field(default_factory=config.Model)
    data: Data = field(default_factory=Data)
    objective: Objective = field(default_factory=Objective)
    optimiser: Optimiser = field(default_factory=Optimiser)
    trainer: Trainer = field(default_factory=Trainer)
    logger: tuple[str, ...] = ("csv", "tensorboard")

    def __post_init__(self) -> None:
        unknown = sorted(set(self.logger) - set(LOGGERS))
        check(not unknown, f"unknown logger {', '.join(unknown)}", f"choose from {', '.join(LOGGERS)}")
        stems, names = self.model.predictor.num_sources, self.data.sources
        check(
            names is None or len(names) == stems,
            f"data.sources are {len(names or ())}, model.predictor.num_sources is {stems}",
            "name as many stems as there are sources",
        )
        if names is not None:
            config.check_sources(names, stems)

    def to_dict(self) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` reads back."""
        values = asdict(self)
        values["logger"] = list(self.logger)
        values["data"]["sources"] = None if self.data.sources is None else list(self.data.sources)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Training:
        """The run that plain ``values`` describe; what they leave out has its default.

        Raises:
            RequestError: an unknown option, or one of a wrong type or range.
        """
        sections = {"seed", "model", "data", "objective", "optimiser", "trainer", "logger"}
        unknown = sorted(map(str, set(values) - sections))
        check(not unknown, f"unknown option {', '.join(unknown)} of a training run", f"known are {', '.join(sorted(sections))}")
        data = dict(values.get("data", {}))
        data["dataloader"] = config.build(Dataloader, data.get("dataloader", {}), "data.dataloader")
        data["augmentation"] = config.build(Augmentation, data.get("augmentation", {}), "data.augmentation")
        return cls(
            seed=values.get("seed", 0),
            model=config.Model.from_dict(values.get("model", {})),
            data=config.build(Data, data, "data"),
            objective=config.build(Objective, values.get("objective", {}), "objective"),
            optimiser=config.build(Optimiser, values.get("optimiser", {}), "optimiser"),
            trainer=config.build(Trainer, values.get("trainer", {}), "trainer"),
            logger=tuple(values.get("logger", ("csv", "tensorboard"))),
        )
