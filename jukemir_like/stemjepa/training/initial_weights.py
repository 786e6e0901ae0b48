"""Networks that start from a file of weights and not from random numbers: ``init.weights``.

The optimiser, the learning rate and the step are those of a new run. What the weights hold is decided by their digest, not by the place
where they are: other weights at the same path are another run, the same ones elsewhere are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.settings import Training, changed_options

DIGEST = "initial_weights"
"""Key of the digest of these weights, next to the settings, where it is a part of what makes two runs different."""

_OF_NO_MATTER = {
    "frontend.mean", "frontend.std",  # taken over
    "encoder.size",  # a name of width, depth and heads
    "encoder.chunk_seconds",  # positions are computed
    "predictor.num_sources",  # instruments are taken by their names
    "predictor.initialisation",
    "vector.layer", "vector.pool",
}  # fmt: skip
_ENCODER_SIZE = ("width", "depth", "heads")
_INSTRUMENTS = "predictor.sources.weight"

Origin = dict[str, Any]
"""Of weights, as JSON values: ``file``, their file's name; ``digest``; ``sources``; ``mean`` and ``std`` of the log-mel; ``heard``, names
that training has heard, of a predictor that is conditioned by text and is taken."""


def read(settings: Training) -> Origin | None:
    """What the networks of a run start from; None: random numbers.

    Raises:
        RequestError: there are no such weights, or their networks are not those of the settings.

    >>> read(Training()) is None
    True
    """
    if settings.init.weights is None:
        return None
    path = _path(settings)
    header = checkpoint.header(path)
    _check_fit(path, header.model, settings)
    front = header.model.frontend
    heard = list(header.heard) if settings.init.predictor else []
    origin = {"file": path.name, "digest": header.digest, "sources": list(header.sources), "heard": heard}
    return origin | {"mean": front.mean, "std": front.std}


def lines(origin: Origin, sources: Sequence[str], *, predictor: bool) -> list[str]:
    """What is said of it at the beginning of the run.

    Args:
        origin: of the weights.
        sources: names of the run's stems.
        predictor: whether the predictor is taken too.
    """
    taken = "all of them" if predictor else "without the predictor"
    said = [
        f"the networks start from {excerpt(origin['file'], 100)} ({origin['digest'][:12]}), {taken}; "
        f"mean and standard deviation of the log-mel are those of these weights ({origin['mean']:.3f}, {origin['std']:.3f}), not measured"
    ]
    new = [name for name in sources if name not in origin["sources"]]
    if predictor and new:
        known = ", ".join(map(excerpt, origin["sources"]))
        begin = "what their names share with those" if origin["heard"] else "random numbers"
        said.append(f"instruments that these weights do not know ({known}) start from {begin}: {', '.join(new)}")
    return said


def load(settings: Training, origin: Origin, network: Network, sources: Sequence[str]) -> dict[str, Tensor]:
    """The state of ``network`` with everything that is taken from the weights. Instruments are taken by their names.

    Args:
        settings: of the run.
        origin: what :func:`read` has returned.
        network: of the run, with random weights.
        sources: names of the run's stems.

    Raises:
        RequestError: the file has changed since it was read.
    """
    path = _path(settings)
    loaded = checkpoint.load(path)
    if loaded.digest != origin["digest"]:
        raise RequestError(f"{path} has changed since the run began: run the same command again")
    state, taken = dict(network.state_dict()), loaded.network.state_dict()
    if not settings.init.predictor:
        taken = {name: tensor for name, tensor in taken.items() if not name.startswith("predictor.")}
    if _INSTRUMENTS in taken:
        rows = state[_INSTRUMENTS].clone()
        for number, source in enumerate(sources):
            if source in loaded.sources:
                rows[number] = taken[_INSTRUMENTS][loaded.sources.index(source)]
        taken[_INSTRUMENTS] = rows
    return state | taken


def identity(settings: Training) -> list[tuple[str, str]]:
    """What the weights add to :func:`.settings.differences`: their digest, if there are any.

    Raises:
        RequestError: as :func:`read`.

    >>> identity(Training())
    []
    """
    origin = read(settings)
    return [(DIGEST, origin["digest"])] if origin is not None else []


def _path(settings: Training) -> Path:
    return checkpoint.resolve(settings.init.weights)


def _check_fit(path: Path, there: config.Model, settings: Training) -> None:
    """Refuses weights of other networks, and says in which options they differ, and what makes the run like them."""
    here, ignored = settings.model, set(_OF_NO_MATTER)
    if there.predictor.kind == here.predictor.kind:
        ignored.add("predictor.heads" if here.predictor.kind == "mlp" else "predictor.conditioning")
    different = [
        (option, theirs, ours)
        for option, theirs, ours in changed_options(asdict(there), asdict(here))
        if option not in ignored and (settings.init.predictor or not option.startswith("predictor."))
    ]
    if not different:
        return
    facts = ", ".join(f"model.{option} is {theirs} there and {ours} here" for option, theirs, ours in different)
    overrides = {option: theirs for option, theirs, _ in different}
    if any(f"encoder.{name}" in overrides for name in _ENCODER_SIZE):
        size = {f"encoder.{name}": getattr(there.encoder, name) for name in ("size", *_ENCODER_SIZE)}
        overrides = size | overrides
    remedy = "give " + " ".join(f"model.{option}={value}" for option, value in overrides.items())
    if all(option.startswith("predictor.") for option in overrides):
        remedy += ", or init.predictor=false to take the encoder alone"
    raise RequestError(f"init.weights: the networks of {excerpt(path)} are not those of this run ({facts}): {remedy}")
