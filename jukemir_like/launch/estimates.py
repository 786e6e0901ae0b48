"""What it costs to extract representations of datasets: core hours, hours of a GPU, downloads, audio and vectors, before anything is run.

Each speed was measured (:mod:`~jukemir_like.launch.speeds`): by the records of this cache, where it has some of the representation, else
for this package, on another machine. What was not measured is not guessed: it is missing in the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from jukemir_like import representations
from jukemir_like.core.cache import Cache, is_name
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import catalogue, encoder
from jukemir_like.launch import speeds
from jukemir_like.launch.amounts import Amount, amount_of
from jukemir_like.launch.layer_names import layer_names, stemjepa_model
from jukemir_like.launch.speeds import CPU, Speed
from jukemir_like.packs import published
from jukemir_like.report import costs
from jukemir_like.representations.names import parse
from jukemir_like.representations.pooling import pooled_dimension
from jukemir_like.stemjepa import checkpoint, config

DATASETS = ("gtzan_ff", "giantsteps", "magnatagatune", "emomusic")
"""Those of the table where none are named."""

LEAST_SECONDS = 900.0
"""Of audio in records without which they do not count: of few clips, most of the time is that of the first one, which loads the net."""

_HEADER_BYTES = 128  # of a vector's file
_PACKAGE, _BASE = "stemjepa", "stemjepa-base"  # as speeds calls them


@dataclass(frozen=True)
class Costed:
    """A representation, as far as its costs go.

    Args:
        name: as users type it.
        dimension: length of a vector.
        layers: how many vectors there are of a clip: 1, or one per layer.
        speeds: at most one per device; empty: none was measured.
        weights: whose download it needs, and how many bytes that is; None: not known.
        archives: of vectors that are downloaded, not computed: dataset → bytes.
    """

    name: str
    dimension: int
    layers: int = 1
    speeds: tuple[Speed, ...] = ()
    weights: tuple[str, int | None] | None = None
    archives: dict[str, int | None] | None = None

    def hours(self, amount: Amount, gpu: bool = False) -> float | None:
        """Of a processor core, or of a GPU, for one dataset; None: not measured."""
        if self.archives is not None:
            return None if gpu else 0.0
        speed = next((speed for speed in self.speeds if (speed.device != CPU) is gpu), None)
        if speed is None:
            return None
        seconds = sum(speed.charged_seconds(length) * count for length, count in amount.clips.items())
        return seconds / 3600 * speed.seconds / 3600

    def vector_bytes(self, amount: Amount) -> int:
        """Of the vectors of one dataset."""
        return amount.count * self.layers * (4 * self.dimension + _HEADER_BYTES)


@dataclass(frozen=True)
class Estimate:
    """What a run of all representations on all datasets costs.

    Args:
        amounts: of the datasets.
        rows: a representation each.
    """

    amounts: tuple[Amount, ...]
    rows: tuple[Costed, ...]

    def hours(self, row: Costed, gpu: bool = False) -> float | None:
        """Of one representation on all datasets; None: not measured."""
        return total([row.hours(amount, gpu) for amount in self.amounts])

    @cached_property
    def core_hours(self) -> float:
        """Of all representations that were measured."""
        return sum(hours for row in self.rows if (hours := self.hours(row)) is not None)

    @property
    def not_measured(self) -> list[str]:
        """Names of the representations of which no speed of a processor is known."""
        return [row.name for row in self.rows if self.hours(row) is None]

    @property
    def weights(self) -> int:
        """Bytes of all weights of which the size is known, each counted once."""
        return sum(size for name, size in {row.weights for row in self.rows if row.weights is not None} if size is not None)

    @property
    def vectors(self) -> int:
        """Bytes of all vectors."""
        return sum(row.vector_bytes(amount) for row in self.rows for amount in self.amounts)


def estimate(
    wanted_datasets: Sequence[str], wanted: Sequence[str], cache: Cache, *, layers: Sequence[str] = (), songs: int = 600
) -> Estimate:
    """What it costs to extract representations of datasets; what the cache has already is counted too.

    Args:
        wanted_datasets: names; empty: :data:`DATASETS`.
        wanted: names of representations; empty, and no ``layers``: all that are known.
        cache: whose records say how fast this machine is, and how much audio there is.
        layers: representations of which all layers are extracted.
        songs: how many the embedded dataset has.

    Raises:
        RequestError: an unknown dataset or representation, or nothing says how much audio there is.

    >>> from pathlib import Path
    >>> made = estimate(["gtzan_ff"], ["mfcc"], Cache(Path("nowhere")))
    >>> made.vectors == 930 * (120 * 4 + 128)
    True
    """
    chosen = list(wanted_datasets or DATASETS)
    names = list(wanted or ([] if layers else representations.names()))
    amounts = tuple(amount_of(name, cache, songs) for name in dict.fromkeys(chosen))
    rows = [_with_own_speeds(_describe(name, chosen, cache), [name], cache) for name in dict.fromkeys(names)]
    return Estimate(amounts, (*rows, *(_all_layers(name, chosen, cache) for name in dict.fromkeys(layers))))


def processor_speed(name: str, cache: Cache) -> Speed | None:
    """How fast a representation is computed on one core, by the records of ``cache`` or as measured for this package; None: not known."""
    try:
        speeds_of = _with_own_speeds(_describe(name, (), cache), [name], cache).speeds
    except RequestError:  # weights that are still to be trained or downloaded, or another program's representation
        return None
    return next((speed for speed in speeds_of if speed.device == CPU), None)


def _describe(name: str, chosen: Sequence[str], cache: Cache) -> Costed:
    """A representation with the speeds that were measured for this package."""
    if published.is_published(name):
        sizes = {dataset: published.asset(dataset, name).size for dataset in chosen}
        return Costed(name, published.DIMENSIONS[name.removesuffix(published.SUFFIX)], archives=sizes)
    parsed = parse(name)
    if encoder.is_encoder(parsed.base, cache=cache):
        card = encoder.find_card(parsed.base, cache=cache)
        costed = Costed(name, _dimension(card, name), weights=(card.weights_name, catalogue.download_size(card)[0]))
        of_package, layer = parsed.base, parsed.layer
    elif parsed.family == "stemjepa":
        model = stemjepa_model(name, cache)
        width, layer = model.dimension, parsed.layer
        _check_layer(name, tuple(map(str, range(model.encoder.depth + 1))))
        costed = Costed(name, pooled_dimension(parsed.pool or "mean", width))
        of_package = _size_of(model)
    else:
        costed = Costed(name, representations.load(name, cache=cache).dimension)
        of_package, layer = name, None
    return replace(costed, speeds=tuple(_at_layer(speed, layer) for speed in speeds.read().get(of_package, ())))


def _all_layers(name: str, chosen: Sequence[str], cache: Cache) -> Costed:
    """Of a representation of which all layers are extracted, in one pass."""
    parsed, layers = parse(name), layer_names(name, cache)
    if not layers:
        raise RequestError(f"{name} has no layers: leave it out of LAYERS")
    names = [str(parsed.with_layer(layer)) for layer in layers]
    return _with_own_speeds(replace(_describe(names[-1], chosen, cache), name=name, layers=len(layers)), names, cache)


def _dimension(card: cards.Card, name: str) -> int:
    parsed = parse(name)
    if not card.layer_names:
        if parsed.layer is not None or parsed.pool is not None:
            raise RequestError(f"{parsed.base} has no layers or pools to choose: leave @ and what follows it out")
        return card.width
    _check_layer(name, card.layer_names)
    return pooled_dimension(parsed.pool or card.pool, card.width)


def _check_layer(name: str, layers: Sequence[str]) -> None:
    parsed = parse(name)
    if parsed.layer not in (None, *layers):
        raise RequestError(f"{parsed.base} has no layer {parsed.layer}: choose one of {layers[0]} … {layers[-1]}")


def _size_of(model: config.Model) -> str:
    """Under which name the speed of such a model was measured; empty: under none."""
    measured = {_PACKAGE: checkpoint.header(checkpoint.resolve()).model, _BASE: config.Model(encoder=config.Encoder("base"))}
    return next((name for name, other in measured.items() if _shape(other) == _shape(model)), "")


def _shape(model: config.Model) -> tuple[config.Frontend, config.Encoder]:
    """What decides a model's speed."""
    return replace(model.frontend, mean=0.0, std=1.0), model.encoder


def _at_layer(speed: Speed, layer: str | None) -> Speed:
    """Where each layer takes its time: a speed for another layer than was measured."""
    if layer is None or speed.layer is None or speed.seconds_per_layer is None:
        return speed
    return replace(speed, seconds=speed.seconds + (int(layer) - speed.layer) * speed.seconds_per_layer, peak_mb=None)


def _with_own_speeds(costed: Costed, names: Sequence[str], cache: Cache) -> Costed:
    """The same with the speeds of the cache's records, where it has some of the vectors ``names``: of the processor, then of GPUs."""
    if costed.archives is not None:
        return costed
    known = {speed.device: speed for speed in costed.speeds}
    there = sorted(path.name for path in (cache.root / "representations").glob("*") if is_name(path.name))
    folders = [(dataset, name) for dataset in there for name in names if cache.representation(dataset, name).is_dir()]
    own: dict[str, Speed] = {}
    for device, audio_seconds in costs.devices_of(cache, folders).items():
        if audio_seconds < LEAST_SECONDS:
            continue
        like = known.get(device) or known.get(CPU) or Speed(names[0], device, math.nan)
        seconds = costs.seconds_per_hour(cache, folders, device=device, counted_seconds=like.charged_seconds)
        if seconds is not None:
            peak = like.peak_mb if device == CPU else None
            own[device] = replace(like, device=device, seconds=seconds, peak_mb=peak, how="", machine="", date="", is_own=True)
    processor = own.get(CPU) or known.get(CPU)
    gpus = [speed for device, speed in own.items() if device != CPU] or [speed for device, speed in known.items() if device != CPU]
    return replace(costed, speeds=(*([] if processor is None else [processor]), *gpus))


def total(values: Sequence[float | None]) -> float | None:
    """The sum; None where a value is not known, or there is none."""
    return None if not values or None in values else sum(value for value in values if value is not None)
