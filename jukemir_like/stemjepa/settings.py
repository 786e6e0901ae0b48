"""The settings of a training run: every option, with its type, its default and what it means.

Which file of a run's configuration says what:

=====================================  =============================================================================
``stemjepa/config.py``                 options of the model; they are stored in the header of its weights
``stemjepa/data_settings.py``          options ``data.…``: the stems, and what is sampled of them
``stemjepa/settings.py`` (this file)   all other options, and which of all decide the result (:func:`differences`)
``stemjepa/configs/*/*.yaml``          named choices and recipes: values that differ from the defaults
``./configs/*/*.yaml``                 the user's own choices, in the folder where the command is called
``stemjepa/training/compose.py``       reads choices and overrides with Hydra, checks that a user's file
                                       contains plain values only, and builds the settings from them
=====================================  =============================================================================

Every option has one of the types below, so a configuration file cannot name a class. The defaults are those of the paper (ISMIR 2024,
section 4); what the paper gives as a fraction of a run is counted in steps here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.config import check
from jukemir_like.stemjepa.data_settings import Augmentation, Data, Dataloader

DECAYS = ("matrices", "all")
LOGGERS = ("csv", "tensorboard", "wandb")

NEUTRAL = frozenset(
    {
        "logger",
        "init.weights",  # a place; the digest of the weights that are there decides (training/initial_weights.py)
        "data.local_dir",
        "data.dataloader.num_workers",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.nodes",
        "trainer.meeting_seconds",
        "trainer.threads",
        "trainer.log_every_steps",
        "trainer.valid_every_steps",
        "trainer.valid_tracks",
        "trainer.probe_every_steps",
        "trainer.checkpoint_every_steps",
    }
)
"""Options that say where and how a run is executed; they do not decide its result, except for the last bits of floating point."""


@dataclass(frozen=True)
class Init:
    """What the networks start from.

    Args:
        weights: name of weights in the package or the cache, or the path of a file of weights; None: random ones, by the seed. The
            optimiser is fresh, and the front-end has the mean and the standard deviation of these weights: none are measured.
        predictor: take the predictor too; False: encoder and teacher only, for another predictor.
    """

    weights: str | None = None
    predictor: bool = True


@dataclass(frozen=True)
class Objective:
    """The loss, its two phases, and the teacher that makes the targets.

    Args:
        contrastive_steps: length of the first phase, in steps: pooled predictions have to find their own pooled targets in the batch.
        mix_weight: in the first phase, weight of a second such term: pooled mixes have to find the targets, both centred on the batch.
        track_weight: weight of a third such term, in both phases: a pooled mix has to find the mixes and stems of the other chunks of its
            track. What lasts longer than a chunk, such as style and sound, is learned by it. 0: none.
        temperature: of all contrastive terms.
        contrastive_weight: weight of the contrastive term after the first phase, added to the predictive one; 0: predictive alone, as in
            the paper.
        tau_half_life_steps: half-life of the teacher's moving average, in steps; None: τ rises linearly from ``tau_first`` to
            ``tau_last``, as in the paper.
        tau_first, tau_last: ends of the linear schedule.
    """

    contrastive_steps: int = 0
    mix_weight: float = 1.0
    track_weight: float = 0.0
    temperature: float = 0.1
    contrastive_weight: float = 0.0
    tau_half_life_steps: float | None = None
    tau_first: float = 0.99995
    tau_last: float = 0.99999


@dataclass(frozen=True)
class Optimiser:
    """AdamW; the learning rate warms up linearly and falls to 0 along half a cosine.

    Args:
        lr: highest learning rate, for a batch of ``reference_batch_size`` examples; it scales with the batch.
        reference_batch_size: see ``lr``.
        beta1, beta2, weight_decay: of AdamW.
        decay: what decays: ``matrices`` (those of linear layers; biases, norms and embeddings would only shrink), or ``all``, as in the
            original code.
        clip: highest norm of the gradient; 0: no clipping.
        warmup_steps: steps of the warm-up, of ``trainer.max_steps``.
    """

    lr: float = 3e-4
    reference_batch_size: int = 256
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.05
    decay: str = "matrices"
    clip: float = 3.0
    warmup_steps: int = 20_000

    def __post_init__(self) -> None:
        check(self.decay in DECAYS, f"optimiser.decay {self.decay!r}", f"choose {' or '.join(DECAYS)}")


@dataclass(frozen=True)
class Trainer:
    """On which devices, how long, and how often something is logged, validated or saved.

    Args:
        accelerator: ``cpu``, ``gpu`` or ``auto``.
        devices: processes per node; 0: one per GPU, or one on a CPU.
        nodes: machines.
        meeting_seconds: how long the processes of a run on several devices wait for one another at its start.
        max_steps: optimiser steps.
        accumulate: batches per optimiser step.
        precision: ``32`` or ``bf16``.
        compile: ``torch.compile`` the networks.
        log_every_steps: steps between two rows of the log.
        valid_every_steps: steps between two validations, besides one before the first step and one after the last; 0: no others.
        valid_tracks: held-out tracks used in a validation, and in a probe, at most.
        probe_every_steps: steps between two probes of the labels of held-out tracks, besides one before the first step and one after the
            last; 0: none at all.
        checkpoint_every_steps: steps between two saved states, from which an interrupted run resumes; 0: at the end only.
        threads: of the numerical libraries, on a CPU; 0: all processors.
    """

    accelerator: str = "auto"
    devices: int = 0
    nodes: int = 1
    meeting_seconds: float = 300.0
    max_steps: int = 300_000
    accumulate: int = 1
    precision: str = "32"
    compile: bool = False
    log_every_steps: int = 50
    valid_every_steps: int = 2_000
    valid_tracks: int = 100
    probe_every_steps: int = 0
    checkpoint_every_steps: int = 2_000
    threads: int = 0

    def __post_init__(self) -> None:
        check(self.accelerator in ("cpu", "gpu", "auto"), f"trainer.accelerator {self.accelerator!r}", "choose cpu, gpu or auto")
        check(self.precision in ("32", "bf16"), f"trainer.precision {self.precision!r}", "choose '32' or bf16")
        check(self.meeting_seconds > 0, f"trainer.meeting_seconds {self.meeting_seconds}", "it must be above 0")
        check(self.max_steps > 0, f"trainer.max_steps {self.max_steps}", "it must be above 0")
        check(self.accumulate > 0, f"trainer.accumulate {self.accumulate}", "it must be above 0")


@dataclass(frozen=True)
class Training:
    """All settings of a run.

    >>> Training().trainer.max_steps
    300000
    """

    seed: int = 0
    model: config.Model = field(default_factory=config.Model)
    init: Init = field(default_factory=Init)
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
        if self.objective.track_weight:
            _check_track_term(self)

    def to_dict(self, *, defaults: bool = False) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` reads back.

        Args:
            defaults: with options of :class:`Init` and of :class:`~.config.Vector`, of instruments by their names and of stems of their
                own, that have their defaults; without them, as before there were any, what these values are compared with and hashed to
                stays the same.
        """
        values = asdict(self)
        if not defaults:
            if self.model.predictor.instruments == config.INSTRUMENTS[0]:
                values["model"]["predictor"] = config.without_text(values["model"]["predictor"])
            for section, name, kind in ((values, "init", Init), (values["model"], "vector", config.Vector)):
                section[name] = {option.name: value for option in fields(kind) if (value := section[name][option.name]) != option.default}
                if not section[name]:
                    del section[name]
            for option, value in (("stems", Data.stems), ("held_out", Data.held_out), ("synonyms", Data.synonyms)):
                if values["data"][option] == value:
                    del values["data"][option]
        values["logger"] = list(self.logger)
        if "held_out" in values["data"]:
            values["data"]["held_out"] = list(self.data.held_out)
        values["data"]["shares"] = list(self.data.shares)
        values["data"]["data_path"] = self.data.data_path if isinstance(self.data.data_path, str) else list(self.data.data_path)
        values["data"]["sources"] = None if self.data.sources is None else list(self.data.sources)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Training:
        """Settings from plain ``values``; options that are missing have their defaults.

        Raises:
            RequestError: an unknown option, or one of a wrong type or range.

        >>> Training.from_dict({"seed": 1, "trainer": {"max_steps": 900}}).trainer.max_steps
        900
        """
        known = sorted(option.name for option in fields(cls))
        unknown = sorted(map(str, set(values) - set(known)))
        check(not unknown, f"unknown option {', '.join(unknown)} of a training run", f"known are {', '.join(known)}")
        data = dict(values.get("data", {}))
        data["dataloader"] = config.build(Dataloader, data.get("dataloader", {}), "data.dataloader")
        data["augmentation"] = config.build(Augmentation, data.get("augmentation", {}), "data.augmentation")
        plain = {name: values[name] for name in ("seed", "logger") if name in values}
        if "logger" in plain:
            plain["logger"] = tuple(plain["logger"])
        return cls(
            model=config.Model.from_dict(values.get("model", {})),
            init=config.build(Init, values.get("init", {}), "init"),
            data=config.build(Data, data, "data"),
            objective=config.build(Objective, values.get("objective", {}), "objective"),
            optimiser=config.build(Optimiser, values.get("optimiser", {}), "optimiser"),
            trainer=config.build(Trainer, values.get("trainer", {}), "trainer"),
            **plain,
        )


def _check_track_term(settings: Training) -> None:
    """Checks that a batch has several chunks of a track, which ``objective.track_weight`` compares."""
    objective, chunks = settings.objective, settings.data.chunks_per_track
    check(objective.track_weight > 0, f"objective.track_weight {objective.track_weight}", "it must be 0 or above")
    check(chunks > 1, f"objective.track_weight {objective.track_weight:g} with one chunk of a track", "give data.chunks_per_track=2")
    part = settings.data.dataloader.batch_size / settings.trainer.accumulate
    check(part % chunks == 0, f"data.chunks_per_track {chunks}", f"it must divide the batch (of one accumulated part), {part:g}")
    used = objective.contrastive_steps or objective.contrastive_weight
    check(bool(used), "objective.track_weight without a contrastive term", "give objective.contrastive_weight or contrastive_steps")


def differences(settings: Training) -> list[tuple[str, Any]]:
    """Options that decide the result (those not in :data:`NEUTRAL`) and differ from their defaults, as (dotted name, value), sorted.

    Two runs with the same differences are the same run, even if other files and overrides configured them.

    >>> differences(Training.from_dict({"seed": 1, "trainer": {"threads": 4}}))
    [('seed', 1)]
    """
    changed = changed_options(settings.to_dict(), Training().to_dict())
    return [(option, value) for option, value, _ in changed if option not in NEUTRAL]


def changed_options(settings: Mapping[str, Any], others: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Options in which two plain configurations differ, as (dotted name, value in ``settings``, value in ``others``), sorted by name.

    >>> list(changed_options({"data": {"context": "max"}}, {"data": {"context": "one"}}))
    [('data.context', 'max', 'one')]
    """
    for name in sorted({*settings, *others}):
        value, other, path = settings.get(name), others.get(name), f"{section}{name}"
        if isinstance(value, Mapping) or isinstance(other, Mapping):
            yield from changed_options(value or {}, other or {}, f"{path}.")
        elif value != other:
            # 1 and 1.0 are the same value of an option of type float.
            yield path, float(value) if isinstance(other, float) and isinstance(value, int) else value, other
