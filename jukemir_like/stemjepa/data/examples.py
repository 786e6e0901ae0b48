"""Examples to train on: a mix of some stems of a track, and another stem of it. Example n is a function of the seed and n alone.

So any number of workers and of processes, and any interruption, give the same stream. An epoch goes through all tracks once, in an order
of its own; each gives one chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jukemir_like.audio.stems.reading import SCALES, read_frames
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data import augmentation, drawing
from jukemir_like.stemjepa.data.loudness import Loudness, column_peaks
from jukemir_like.stemjepa.settings import Data

_OFFSETS = 10  # chunks of a track that are tried before another track is taken
_TRACKS = 50  # tracks that are tried at random before all are
# Frames read on both sides of a chunk, so that filters have their past and future. A whole number of samples at 16 kHz, for usual rates.
_MARGIN = 882
_ORDER, _DRAW = 0, 1  # streams of random numbers

_log = logging.getLogger(__name__)


class Examples(Dataset[dict[str, Tensor]]):
    """``examples[n]``, for n = 0, 1, … without end.

    A chunk in which fewer than two stems are active is drawn again, 10 times at most; then another track takes its place, as it does for
    one that cannot be read or holds samples that no music has (which is logged, once).

    Args:
        tracks: in the order in which ``track`` counts them; at least one.
        data: how to draw: ``context``, ``silence_db``, ``augmentation``.
        model: sample rate and length of a chunk.
        seed: of all draws.
        loudness: where the tracks' peaks are remembered; None: in the cache.

    Raises:
        RequestError: no track; and on reading, if none has two stems that sound together.
    """

    def __init__(self, tracks: Sequence[Track], data: Data, model: config.Model, seed: int, *, loudness: Loudness | None = None) -> None:
        if not tracks:
            raise RequestError("there is no track to draw examples from: give a folder of stems as data.data_path")
        self.tracks, self.data, self.seed = tuple(tracks), data, seed & 0xFFFFFFFFFFFFFFFF
        self.sample_rate, self.chunk_samples = model.frontend.sample_rate, model.chunk_samples
        self.loudness = loudness or Loudness()
        self._order: tuple[int, np.ndarray] | None = None
        self._unreadable: dict[int, str] = {}

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """``context`` and ``target`` ``(samples,)`` float32; ``source``, which stem the target is, and ``track``, whose: int64."""
        random = np.random.default_rng((self.seed, _DRAW, n))
        for index in self._candidates(n, random):
            try:
                drawn = self._draw(self.tracks[index], random)
            except InputError as error:
                drawn = None
                self._warn(index, error)
            if drawn is not None:
                context, target, source = drawn
                return {
                    "context": torch.from_numpy(context),
                    "target": torch.from_numpy(target),
                    "source": torch.tensor(source),
                    "track": torch.tensor(index),
                }
        unusable = "".join(
            f" ({len(self._unreadable)} cannot be used, the first: {printable(self.tracks[index].name)} {reason})"
            for index, reason in sorted(self._unreadable.items())[:1]
        )
        raise RequestError(
            f"no two stems were found that sound together in any of {len(self.tracks)} tracks{unusable}: look at the data, or lower "
            "data.silence_db"
        )

    def _candidates(self, n: int, random: np.random.Generator) -> Iterator[int]:
        """The track of example n, then others at random, then each: many that cannot be used must not end what a few could do."""
        yield self._track_of(n)
        for _ in range(_TRACKS - 1):
            yield int(random.integers(len(self.tracks)))
        yield from map(int, random.permutation(len(self.tracks)))

    def _track_of(self, n: int) -> int:
        epoch, position = divmod(n, len(self.tracks))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.tracks))
        return int(self._order[1][position])

    def _draw(self, track: Track, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Context, target, and which stem that is; None if no chunk was found in which two stems are active."""
        loudest = self.loudness.peaks(track)
        if np.count_nonzero(loudest) < 2:
            return None
        change = augmentation.draw(self.data.augmentation, track.channels, random)
        rate = track.sample_rate * change.speed
        frames = int(np.ceil(self.chunk_samples * rate / self.sample_rate))
        for _ in range(_OFFSETS):
            first = int(random.integers(0, max(0, track.frames - frames), endpoint=True))
            chunk = read_frames(track, first - _MARGIN, frames + 2 * _MARGIN)
            stems = drawing.active(column_peaks(chunk[_MARGIN : _MARGIN + frames]), loudest, self.data.silence_db)
            if len(stems) >= 2:
                source, others = drawing.draw(stems, self.data.context, random)
                context, target = (
                    self._at_rate(self._mix(chunk, mixed, change, track.sample_rate), rate) for mixed in (others, np.array([source]))
                )
                return context, target, source
        return None

    def _mix(self, chunk: np.ndarray, stems: np.ndarray, change: augmentation.Change, sample_rate: int) -> np.ndarray:
        """Sum of the changed ``stems`` of ``(frames, stems)``: float32 ``(frames,)``; in a fixed order, for the same bits."""
        mix = np.zeros(len(chunk), np.float32)
        for stem in stems:
            one = chunk[:, stem] * np.float32(SCALES[chunk.dtype] * change.gains[stem])
            mix += one if change.shelves is None else augmentation.equalise(one, change.shelves[stem], sample_rate)
        return mix

    def _at_rate(self, samples: np.ndarray, rate: float) -> np.ndarray:
        """A chunk with margins at ``rate`` → ``(chunk_samples,)`` at the model's. Mixed before, for resampling is linear too."""
        margin = _MARGIN
        if rate != self.sample_rate:
            samples = soxr.resample(samples, rate, self.sample_rate, quality="HQ")
            margin = round(_MARGIN * self.sample_rate / rate)
        samples = np.ascontiguousarray(samples[margin : margin + self.chunk_samples])
        return np.pad(samples, (0, self.chunk_samples - len(samples)))

    def _warn(self, index: int, error: InputError) -> None:
        if index not in self._unreadable:
            self._unreadable[index] = str(error)
            _log.warning("%s %s: other tracks take its place", printable(self.tracks[index].name), error)
