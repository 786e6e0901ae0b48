"""The question to a library: what a mix lacks, as vectors that candidates are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.meta import read_stems
from jukemir_like.deform.key_and_tempo import Change
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.interpretation import Interpretation
from jukemir_like.stemjepa.retrieval import transposing
from jukemir_like.stemjepa.retrieval.embedding import SILENT, Vectors


@dataclass(frozen=True)
class Query:
    """What was predicted of a missing stem.

    Args:
        vectors: ``(len(changes), dimension)``.
        notes: remarks on what it was predicted from.
        taken_for: what the instrument's name was taken for.
        changes: how a stem is played that is near to each of the vectors; the first is as it is.
        mix: ``(samples,)`` at the model's rate.
    """

    vectors: Vectors
    notes: list[str]
    taken_for: Interpretation | None
    changes: Sequence[Change]
    mix: np.ndarray

    @property
    def vector(self) -> Vectors:
        """The vector ``(dimension,)`` of a stem that is played as it is."""
        vector: Vectors = self.vectors[0]
        return vector


def query(model: StemJEPA, context: Path, instrument: str, *, transpose: int | None = None) -> Query:
    """Predicts the ``instrument`` that ``context``, an audio file of a mix, lacks. Channels are mixed down with equal weights.

    Args:
        model: predicts.
        context: the mix.
        instrument: what it lacks.
        transpose: candidates may be played up to so many semitones higher or lower, see :func:`.transposing.changes`. Those that have no
            key, as drums, are not: a note says so.

    Raises:
        RequestError: an unknown instrument, a file that cannot be read, or silence; transposing beyond its limit, or without
            python-stretch.

    >>> query(StemJEPA.from_pretrained(), Path("song.wav"), "bass").vector.shape
    (256,)
    """
    taken = model.interpret(instrument)
    has_key = transpose is None or transposing.has_key(taken.taken_for)
    changes = transposing.changes(transpose if has_key else 0)
    try:
        decoded = audio.decode(context)
        mix = audio.to_mono(decoded.samples, decoded.sample_rate, model.sample_rate)
        if np.abs(mix).max() < SILENT:
            raise InputError("is silent")
        vectors = transposing.predict(model, mix, instrument, changes)
    except InputError as error:
        raise RequestError(f"the context {printable(str(context))} {error}: give a mix in an audio file") from error
    notes = _notes(context, len(decoded.samples), taken.taken_for) + ([taken.note] if taken.note else [])
    if not has_key:
        notes.append(f"{printable(taken.taken_for)} are not transposed: they have no key")
    if len(changes) > 1 and (note := transposing.note_on_length(mix, model.sample_rate)):
        notes.append(note)
    return Query(vectors, notes, taken, changes, mix)


def _notes(context: Path, channels: int, instrument: str) -> list[str]:
    """Remarks on a context whose channels are more than two, or are stems according to the nearest ``dataset.json`` above it."""
    described = next((folder for folder in context.absolute().parents if (folder / "dataset.json").is_file()), None)
    try:
        names = read_stems(described) if described else None
    except RequestError:  # a file of that name by another program
        names = None
    if names is None or len(names) != channels:
        return [f"the context has {channels} channels: mixed down with equal weights"] if channels > 2 else []
    note = f"the context is {channels} stems by dataset.json ({', '.join(names)}): mixed down with equal weights"
    return [f"{note}, {instrument} among them" if instrument in names else note]
