"""What a representation costs beside what it scores: computing time, numbers of the net, size and licence of its weights.

Facts of encoders are those of their cards (:mod:`jukemir_like.encoders.card`), of Stem-JEPA those of the file of its weights.
Representations that have neither, such as mfcc, have none. Computing time is that of the records beside the vectors.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import encoder, weights
from jukemir_like.encoders.card import TRIED, Card
from jukemir_like.packs import origin, published
from jukemir_like.representations.names import parse
from jukemir_like.representations.stemjepa import parse_name
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.tensor_shapes import tensor_shapes

_MOST_LAYERS = 1000
_NUMBERED_GPU = re.compile(r"cuda(:\d+)? \((?P<name>.+)\)")


@dataclass(frozen=True)
class Facts:
    """What is known of a representation without running it; None, or empty: not known.

    Args:
        licence: of the weights.
        commercial: whether it allows commercial use.
        size: bytes of the files of weights.
        parameters: numbers of the net that computes vectors.
        tried: what was compared with the original program, a sentence.
    """

    licence: str = ""
    commercial: bool = True
    size: int | None = None
    parameters: int | None = None
    tried: str = ""


def facts(cache: Cache, representation: str) -> Facts:
    """The facts of a representation, by its name, which may choose a layer and a pool."""
    try:
        parsed = parse(representation)
        if published.is_published(parsed.base):  # by the original program: nothing was tried here
            return replace(facts(cache, parsed.base.removesuffix(published.SUFFIX)), tried="")
        if encoder.is_encoder(parsed.base, cache=cache):
            return _of_card(encoder.find_card(parsed.base, cache=cache), cache)
        if parsed.family == "stemjepa":
            return _of_stemjepa(parsed.base, cache)
    except RequestError:  # the weights are gone, or another program's name has an @ of its own
        pass
    return Facts()


def seconds_per_hour(
    cache: Cache,
    folders: Iterable[tuple[str, str]],
    *,
    device: str | None = None,
    counted_seconds: Callable[[float], float] | None = None,
) -> float | None:
    """Computing time of an hour of audio, in seconds, over all worker processes; None where no record tells.

    Args:
        cache: with the vectors and their records.
        folders: dataset and representation. Of a representation whose layers were extracted together, all of them, since the records of
            each layer have its share of the time; of one such layer alone, its share is taken as often as there were layers. Vectors that
            were taken over from elsewhere took no time here, and are left out.
        device: the records of this device alone, as :func:`device_of` names it; None: of all.
        counted_seconds: how many seconds of audio a clip counts for, by its duration; None: for its duration.
    """
    seconds = 0.0
    audio_seconds: dict[str, float] = {}
    pairs = list(folders)
    alone = {dataset for dataset, count in Counter(dataset for dataset, _ in pairs).items() if count == 1}
    for dataset, representation in pairs:
        folder = cache.representation(dataset, representation)
        if origin.read(folder) is not None:
            continue
        done = [record for record in records.read(folder).values() if record["status"] == "done" and device in (None, device_of(record))]
        seconds += sum(record.get("seconds", 0.0) * (_layers_together(record) if dataset in alone else 1) for record in done)
        durations = (record.get("audio_seconds", 0.0) for record in done)
        of_folder = sum(durations if counted_seconds is None else (counted_seconds(duration) for duration in durations if duration))
        audio_seconds[dataset] = max(audio_seconds.get(dataset, 0.0), of_folder)
    total = sum(audio_seconds.values())
    return 3600 * seconds / total if total and seconds else None


def devices_of(cache: Cache, folders: Iterable[tuple[str, str]]) -> dict[str, float]:
    """What has computed the vectors in folders (dataset and representation), sorted: :func:`device_of` → seconds of audio in one folder.

    Of several folders, that which has the most.
    """
    found: dict[str, float] = {}
    for dataset, representation in folders:
        of_folder: dict[str, float] = {}
        for record in records.read(cache.representation(dataset, representation)).values():
            if record["status"] == "done":
                device = device_of(record)
                of_folder[device] = of_folder.get(device, 0.0) + record.get("audio_seconds", 0.0)
        found |= {device: max(seconds, found.get(device, 0.0)) for device, seconds in of_folder.items()}
    return dict(sorted(found.items()))


def device_of(record: records.Record) -> str:
    """What computed the vector of a record: ``cpu``, or the name of a GPU, whichever it was of several alike. None is said: ``cpu``.

    >>> device_of({"device": "cuda:1 (NVIDIA H100)"}), device_of({})
    ('NVIDIA H100', 'cpu')
    """
    device = record.get("device")
    if not isinstance(device, str) or not device:
        return "cpu"
    numbered = _NUMBERED_GPU.fullmatch(device)
    return device if numbered is None else numbered["name"]


def _layers_together(record: records.Record) -> int:
    """How many layers shared the pass of which the record has its share."""
    number = record.get("layers_together", 1)
    return number if type(number) is int and 1 <= number <= _MOST_LAYERS else 1


def _of_card(card: Card, cache: Cache) -> Facts:
    declared = card if card.weights_name == card.name else cards.read(card.weights_name)
    sizes = [file.size for file in declared.files]
    size = sum(size or 0 for size in sizes) if sizes and None not in sizes else None
    converted = weights.converted_file(card, cache)
    if size is None and converted.is_file():
        size = converted.stat().st_size
    return Facts(card.licence, card.commercial, size, card.parameters, TRIED[card.tried])


def _of_stemjepa(name: str, cache: Cache) -> Facts:
    path = checkpoint.resolve(parse_name(name)[0], cache)
    shapes = tensor_shapes(checkpoint.header(path).model)
    parameters = sum(math.prod(shape) for tensor, shape in shapes if tensor.startswith("encoder."))
    licence = "MIT" if path.parent == checkpoint.FOLDER else ""  # the package's own, which its weights have too
    return Facts(licence, size=path.stat().st_size, parameters=parameters)
