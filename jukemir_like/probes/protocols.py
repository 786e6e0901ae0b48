"""The protocols and their settings: ``linear`` with its regularisation path, ``jukemir`` with its grid of 216 points, ``lineareval``.

A run is identified by what its settings change of the defaults, and by the hash of that: adding a field with a default later leaves old
hashes as they are.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from jukemir_like.core.errors import RequestError

_HALF_DECADES = tuple(float(f"{10 ** (3 - half / 2):.3g}") for half in range(19))  # 1000, 316, 100, 31.6, …, 1e-06


@dataclass(frozen=True)
class RegularisationPath:
    """Settings of protocol ``linear``.

    Args:
        strengths: L2 penalties λ of the regularisation path, for mean loss + λ/2 · ‖W‖² on standardised features. The default is 1000
            to 1e-6 in half decades; λ stays the same for more items, since it is for the mean loss.
        select: the strength that is best on held-out items by ``loss`` (:func:`jukemir_like.probes.losses.mean_loss`) or by ``metric``,
            the task's primary one.
        refit: fit again on train and valid with the selected strength; otherwise the probe is that of train alone, where there is a
            validation split to select by.
        tolerance: logistic regression has converged when a step promises to gain less than this (nats per item). Where the selected
            strength is fitted again, those of the path need a hundredth of that precision.
        max_iterations: of L-BFGS, for each strength.
    """

    strengths: tuple[float, ...] = _HALF_DECADES
    select: str = "loss"
    refit: bool = True
    tolerance: float = 1e-8
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        if not self.strengths or not all(0 < strength < math.inf for strength in self.strengths):
            raise RequestError("the path needs at least one strength, all above 0 and finite")
        if self.select not in ("loss", "metric"):
            raise RequestError(f"strengths are selected by loss or by metric, not by {self.select!r}")


@dataclass(frozen=True, order=True)
class Point:
    """One point of the grid: how a probe is trained. Points are ordered by their fields, which is what breaks ties.

    Args:
        standardise: scale features to zero mean and unit variance on the train split.
        hidden: units of the hidden layer; 0 for none.
        batch_size: items of a minibatch.
        learning_rate: Adam's.
        dropout: fraction of input features (and of hidden units) set to zero, in [0, 1); rounded to 1/256.
        weight_decay: L2 penalty as Adam takes it, added to the gradient; 0 for none.
    """

    standardise: bool
    hidden: int
    batch_size: int
    learning_rate: float
    dropout: float
    weight_decay: float

    @property
    def group(self) -> tuple[bool, int, int, float]:
        """What points must share to see the same minibatches and dropout masks; see :mod:`jukemir_like.probes.stacks`."""
        return (self.standardise, self.hidden, self.batch_size, self.dropout)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """Settings of protocol ``jukemir``; the defaults are the 216 points of Castellon et al. 2021 (arXiv 2107.05677).

    Args:
        standardise, hidden, batch_size, learning_rate, dropout, weight_decay: the values that :class:`Point` takes, all combined.
        evaluate_every: steps between two evaluations of the validation metric.
        patience: evaluations without a strict gain after which a point stops.

    Raises:
        RequestError: a value is out of range, or there is none.

    >>> len(Grid().points())
    216
    """

    standardise: tuple[bool, ...] = (False, True)
    hidden: tuple[int, ...] = (0, 512)
    batch_size: tuple[int, ...] = (64, 256)
    learning_rate: tuple[float, ...] = (1e-5, 1e-4, 1e-3)
    dropout: tuple[float, ...] = (0.25, 0.5, 0.75)
    weight_decay: tuple[float, ...] = (0.0, 1e-4, 1e-3)
    evaluate_every: int = 8
    patience: int = 256

    def __post_init__(self) -> None:
        axes = {"hidden": 0, "batch_size": 1, "learning_rate": 0, "dropout": 0, "weight_decay": 0}
        for name, least in axes.items():
            if any(value < least for value in getattr(self, name)):
                raise RequestError(f"the grid's {name} cannot be below {least}")
        if any(round(256 * value) > 255 for value in self.dropout):
            raise RequestError("the grid's dropout must be below 1")
        if not self.points() or self.evaluate_every < 1 or self.patience < 1:
            raise RequestError("the grid needs at least one value of everything, evaluate_every and patience of at least 1")

    def points(self) -> list[Point]:
        """All points, each once, in order."""
        axes = [sorted(set(getattr(self, field.name))) for field in fields(Point)]
        return [Point(*values) for values in itertools.product(*axes)]


@dataclass(frozen=True)
class LinearEval:
    """Settings of protocol ``lineareval``, by which Stem-JEPA reports: one linear layer on standardised features, by Adam.

    Args:
        batch_size: items of a minibatch.
        learning_rate: Adam's.
        max_epochs: at most.
        patience: epochs without a gain on validation after which training stops.
    """

    batch_size: int = 64
    learning_rate: float = 3e-5
    max_epochs: int = 200
    patience: int = 20

    def __post_init__(self) -> None:
        if min(self.batch_size, self.max_epochs, self.patience) < 1 or self.learning_rate <= 0:
            raise RequestError("lineareval needs a batch_size, max_epochs and patience of at least 1, and a learning_rate above 0")


Settings = RegularisationPath | Grid | LinearEval

_SETTINGS: dict[str, type[Settings]] = {"linear": RegularisationPath, "jukemir": Grid, "lineareval": LinearEval}
PROTOCOLS = tuple(_SETTINGS)
DEFAULT_PROTOCOL = "linear"
DEFAULT_SEEDS: dict[str, tuple[int, ...]] = {"linear": (0,), "jukemir": (0,), "lineareval": (42, 43, 44)}
"""Protocol → the seeds of its runs, where none are given."""

RECIPES = {"linear": 2, "jukemir": 1, "lineareval": 1}
"""Protocol → a number that is raised when the same request on the same vectors gives other results."""


def draws_random_numbers(protocol: str) -> bool:
    """Whether the seed decides anything: runs of protocol ``linear`` with other seeds are equal."""
    return protocol != "linear"


def check_settings(protocol: str, settings: Settings | None) -> Settings:
    """The settings of a protocol; its defaults for None.

    Raises:
        RequestError: unknown protocol, or settings of another one.
    """
    if protocol not in _SETTINGS:
        raise RequestError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    expected = _SETTINGS[protocol]
    if settings is not None and type(settings) is not expected:
        raise RequestError(f"protocol {protocol} takes settings of type {expected.__name__}, not {type(settings).__name__}")
    return settings or expected()


def non_default(settings: Settings) -> dict[str, Any]:
    """The fields whose values differ from the defaults, as JSON values.

    >>> non_default(RegularisationPath(strengths=(1.0, 0.1)))
    {'strengths': [1.0, 0.1]}
    """
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in fields(settings)
        if (value := getattr(settings, field.name)) != field.default
    }


def configuration_hash(protocol: str, configuration: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that identify a protocol with what is changed of its defaults.

    >>> configuration_hash("linear", {}) == configuration_hash("jukemir", {})
    False
    """
    return hashlib.sha256(json.dumps([protocol, configuration], sort_keys=True).encode()).hexdigest()[:16]


def group_points(points: Sequence[Point]) -> list[list[Point]]:
    """Points by what they share (:attr:`Point.group`), each group and all groups in order.

    >>> len(group_points(Grid().points()))
    24
    """
    ordered = sorted(points, key=lambda point: (point.group, point))
    return [list(group) for _, group in itertools.groupby(ordered, lambda point: point.group)]
