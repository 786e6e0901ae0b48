"""C6: a vector depends on the bytes of its own input alone."""

from __future__ import annotations

from collections.abc import Iterator

from jukemir_like.conformance import material, npy
from jukemir_like.conformance.batches import Batches, batches
from jukemir_like.conformance.folder import vector_of
from jukemir_like.conformance.inputs import Whole, whole
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.core.files import printable

_LONG = "long.wav"


def alone(laboratory: Laboratory) -> Seen:
    """One input, nothing beside it."""
    return laboratory.see({material.TONE: material.formats()[material.TONE]})


def again(laboratory: Laboratory) -> Seen:
    """The same once more."""
    return alone(laboratory)


def long_alone(laboratory: Laboratory) -> Seen:
    """The longest input, nothing beside it."""
    return laboratory.see({_LONG: material.kinds()[_LONG]})


@rule("C6.alone", "the same vector alone and beside others", alone, long_alone, whole)
def _alone(alone: Seen, long_alone: Seen, whole: Whole) -> Iterator[str]:
    yield from different(whole, alone)
    yield from different(whole, long_alone)


@rule("C6.again", "the same vector in every run", alone, again)
def _again(alone: Seen, again: Seen) -> Iterator[str]:
    yield from different(again, alone)


@rule("C6.name", "the same vector under any name", whole)
def _name(whole: Whole) -> Iterator[str]:
    yield from different(whole, whole)


@rule("C6.batch", "the same vector in any batch", batches, alone)
def _batch(batches: Batches, alone: Seen) -> Iterator[str]:
    yield from different(batches, alone)
    yield from different(batches, batches)


def different(seen: Seen, known: Seen) -> Iterator[str]:
    """Says which inputs have another vector than those of ``known`` that hold the same bytes, or that there are none of which to say so.

    Where an output is missing altogether is another rule's.
    """
    by_content = {content: path for path, content in reversed(list(known.inputs.items()))}
    compared = 0
    for path, content in seen.inputs.items():
        other = by_content.get(content)
        if other is None or (seen is known and other == path):
            continue
        one, two = vector_of(seen.output, path), vector_of(known.output, other)
        if one is None or two is None:
            continue
        compared += 1
        if not npy.same(one, two):
            yield f"{printable(path)} has another vector than {printable(other)}, which holds the same bytes"
    if not compared:
        yield "there are no two vectors to compare"
