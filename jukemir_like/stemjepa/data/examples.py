"""Examples to train on: a mix of some stems of a track, and another stem of it.

Example n is a function of the seed and n alone, so that any number of workers and of processes, and any interruption, give the same
stream. An epoch goes through all tracks once, in an order of its own; each track gives one chunk.

From top to bottom: the data set; which stem is the target, and which make the context; augmentation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
from jukemir_like.stemjepa.data.loudness import Loudness, column_peaks
from jukemir_like.stemjepa.settings import Augmentation, Data

_CHUNKS_TRIED = 10  # chunks of a track that are tried before another track takes its place
_TRACKS_TRIED = 50  # tracks that are tried at random before each is tried once
# Frames read on both sides of a chunk, which the filters of resampling need. A whole number of samples at 16 kHz, for usual rates.
_MARGIN = 882
_ORDER_STREAM, _EXAMPLE_STREAM = 0, 1  # streams of random numbers

_log = logging.getLogger(__name__)


class Examples(Dataset[dict[str, Tensor]]):
    """``examples[n]``, for n = 0, 1, … without end.

    A chunk in which fewer than two stems are active is sampled again, 10 times at most. Then another track takes its place, as it does for
    a track that cannot be read or has samples that no music has (which is logged once per track).

    Args:
        tracks: in the order in which ``track`` counts them; at least one.
        data: how to sample: ``context``, ``silence_db``, ``augmentation``.
        model: sample rate and length of a chunk.
        seed: of all random choices.
        loudness: where the tracks' peaks are kept; None: in the cache.

    Raises:
        RequestError: no track; and from ``examples[n]``, if no track has two stems that are active together.
    """

    def __init__(self, tracks: Sequence[Track], data: Data, model: config.Model, seed: int, *, loudness: Loudness | None = None) -> None:
        if not tracks:
            raise RequestError("there is no track to train on: give a folder of stems as data.data_path")
        self.tracks, self.data, self.seed = tuple(tracks), data, seed & 0xFFFFFFFFFFFFFFFF
        self.sample_rate, self.chunk_samples = model.frontend.sample_rate, model.chunk_samples
        self.loudness = loudness or Loudness()
        self._order: tuple[int, np.ndarray] | None = None  # of the tracks in an epoch
        self._unusable: dict[int, str] = {}

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """``context`` and ``target`` ``(samples,)`` float32; ``source``, the number of the target's stem, and ``track``: int64."""
        random = np.random.default_rng((self.seed, _EXAMPLE_STREAM, n))
        for index in self._candidates(n, random):
            try:
                example = self._sample(self.tracks[index], random)
            except InputError as error:
                example = None
                self._warn(index, error)
            if example is not None:
                context, target, source = example
                return {
                    "context": torch.from_numpy(context),
                    "target": torch.from_numpy(target),
                    "source": torch.tensor(source),
                    "track": torch.tensor(index),
                }
        unusable = "".join(
            f" ({len(self._unusable)} cannot be used, the first: {printable(self.tracks[index].name)} {reason})"
            for index, reason in sorted(self._unusable.items())[:1]
        )
        raise RequestError(
            f"no two stems were found that are active together in any of {len(self.tracks)} tracks{unusable}: look at the data, or "
            "lower data.silence_db"
        )

    def _candidates(self, n: int, random: np.random.Generator) -> Iterator[int]:
        """The track of example n, then others at random, then each once: a few usable tracks among many others are enough."""
        yield self._track_of(n)
        for _ in range(_TRACKS_TRIED - 1):
            yield int(random.integers(len(self.tracks)))
        yield from map(int, random.permutation(len(self.tracks)))

    def _track_of(self, n: int) -> int:
        epoch, position = divmod(n, len(self.tracks))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, _ORDER_STREAM, epoch)).permutation(len(self.tracks))
        return int(self._order[1][position])

    def _sample(self, track: Track, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Context, target, and the number of the target's stem; None if no chunk was found in which two stems are active."""
        loudest = self.loudness.peaks(track)
        if np.count_nonzero(loudest) < 2:
            return None
        augmentation = sample_augmentation(self.data.augmentation, track.channels, random)
        rate = track.sample_rate * augmentation.speed
        frames = int(np.ceil(self.chunk_samples * rate / self.sample_rate))
        for _ in range(_CHUNKS_TRIED):
            first = int(random.integers(0, max(0, track.frames - frames), endpoint=True))
            chunk = read_frames(track, first - _MARGIN, frames + 2 * _MARGIN)
            active = active_stems(column_peaks(chunk[_MARGIN : _MARGIN + frames]), loudest, self.data.silence_db)
            if len(active) >= 2:
                source, context_stems = sample_stems(active, self.data.context, random)
                context, target = (
                    self._at_rate(self._mix(chunk, stems, augmentation, track.sample_rate), rate)
                    for stems in (context_stems, np.array([source]))
                )
                return context, target, source
        return None

    def _mix(self, chunk: np.ndarray, stems: np.ndarray, augmentation: SampledAugmentation, sample_rate: int) -> np.ndarray:
        """Sum of the augmented ``stems`` of ``(frames, stems)``: float32 ``(frames,)``; in a fixed order, for the same bits."""
        mix = np.zeros(len(chunk), np.float32)
        for stem in stems:
            samples = chunk[:, stem] * np.float32(SCALES[chunk.dtype] * augmentation.gains[stem])
            mix += samples if augmentation.shelves is None else equalise(samples, augmentation.shelves[stem], sample_rate)
        return mix

    def _at_rate(self, samples: np.ndarray, rate: float) -> np.ndarray:
        """A chunk with margins at ``rate`` → ``(chunk_samples,)`` at the model's. Resampling is linear, so the mix is resampled once."""
        margin = _MARGIN
        if rate != self.sample_rate:
            samples = soxr.resample(samples, rate, self.sample_rate, quality="HQ")
            margin = round(_MARGIN * self.sample_rate / rate)
        samples = np.ascontiguousarray(samples[margin : margin + self.chunk_samples])
        return np.pad(samples, (0, self.chunk_samples - len(samples)))

    def _warn(self, index: int, error: InputError) -> None:
        if index not in self._unusable:
            self._unusable[index] = str(error)
            _log.warning("%s %s: other tracks take its place", printable(self.tracks[index].name), error)


# Target and context


def active_stems(peaks: np.ndarray, loudest: np.ndarray, silence_db: float) -> np.ndarray:
    """Indices of the active stems: those whose peak in the chunk is above their loudest peak in the track by ``silence_db`` (negative).

    Args:
        peaks: in the chunk, ``(stems,)``, linear.
        loudest: in the track, ``(stems,)``, linear.
        silence_db: in dB.

    >>> active_stems(np.array([0.5, 0.001, 0.2]), np.array([1.0, 1.0, 0.2]), silence_db=-40)
    array([0, 2])
    """
    return np.flatnonzero(peaks > loudest * 10 ** (silence_db / 20))


def sample_stems(active: np.ndarray, context: str, random: np.random.Generator) -> tuple[int, np.ndarray]:
    """The target, and the stems of the context in rising order.

    The target is uniform over the active stems. The context is sampled from the n other active stems; the target is never among them:

    =========  ===================================================================================
    uniform    k of them at random, where k is uniform in 1 … n (the paper's)
    max        all of them
    one        one of them
    one-plus   one of them with probability ½, else all of them
    =========  ===================================================================================

    Args:
        active: indices of the active stems, at least two.
        context: ``uniform``, ``max``, ``one`` or ``one-plus``.
        random: gives the random numbers.

    >>> sample_stems(np.array([0, 1, 3]), "max", np.random.default_rng(0))
    (3, array([0, 1]))
    """
    target = int(random.choice(active))
    others = active[active != target]
    if context == "uniform":
        number = int(random.integers(1, len(others), endpoint=True))
    elif context == "one" or (context == "one-plus" and random.random() < 0.5):
        number = 1
    else:
        number = len(others)
    return target, np.sort(random.choice(others, number, replace=False))


# Augmentation: random changes of level, colour and pitch, so that none of them shows a network which stems belong together.
#
# Level and colour are sampled for each stem. Pitch is sampled once per track, which is played faster or slower: its tempo changes with it,
# and all stems stay together in time. This costs nothing where a track must be resampled anyway.

_LOW_HZ, _HIGH_HZ = (80.0, 400.0), (2000.0, 6000.0)  # ranges of the corners of the shelves


@dataclass(frozen=True)
class SampledAugmentation:
    """The augmentation of one chunk.

    Args:
        speed: how many times faster it is played.
        gains: linear, one per stem.
        shelves: ``(stems, 4)``: corner in Hz and gain in dB of a low shelf, then of a high shelf; None: no change of colour.
    """

    speed: float
    gains: np.ndarray
    shelves: np.ndarray | None


def sample_augmentation(settings: Augmentation, stems: int, random: np.random.Generator) -> SampledAugmentation:
    """Samples an augmentation for a track of ``stems`` stems. Options that are 0 take no random numbers.

    >>> sample_augmentation(Augmentation(), 4, np.random.default_rng(0))
    SampledAugmentation(speed=1.0, gains=array([1., 1., 1., 1.]), shelves=None)
    """
    speed, gains, shelves = 1.0, np.ones(stems), None
    if settings.pitch_semitones:
        speed = float(2 ** (random.uniform(-settings.pitch_semitones, settings.pitch_semitones) / 12))
    if settings.level_db:
        gains = 10 ** (random.uniform(-settings.level_db, settings.level_db, stems) / 20)
    if settings.eq_db:
        shelves = np.empty((stems, 4))
        for column, (lowest, highest) in ((0, _LOW_HZ), (2, _HIGH_HZ)):
            shelves[:, column] = np.exp(random.uniform(np.log(lowest), np.log(highest), stems))
            shelves[:, column + 1] = random.uniform(-settings.eq_db, settings.eq_db, stems)
    return SampledAugmentation(speed, gains, shelves)


def equalise(samples: np.ndarray, shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mono ``(samples,)`` through a low and a high shelf of first order, which are one second-order section; float32.

    The curve is smooth, flat between the corners and within the shelves' gains. About 0.6 ms for 4 s at 22,050 Hz.

    >>> equalise(np.ones(4), shelves=np.array([100, 0, 4000, 0]), sample_rate=16000)  # gains of 0 dB
    array([1., 1., 1., 1.], dtype=float32)
    """
    from scipy.signal import sosfilt  # takes 0.3 s to import, and training without eq_db does not need it

    return np.asarray(sosfilt(shelving_filter(shelves, sample_rate), samples), dtype=np.float32)


def shelving_filter(shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """The filter of :func:`equalise` as scipy's ``sos``: shape ``(1, 6)``, float64.

    A low shelf is (s + √g·w)/(s + w/√g), a high one (g·s + √g·w)/(s + √g·w), with its gain g and its corner w, at which it has half of its
    gain in dB. Both are transformed to discrete time by the bilinear transform, with the corner prewarped so that it stays where it was.
    """
    low_hz, low_db, high_hz, high_db = shelves
    numerator, denominator = np.ones(1), np.ones(1)
    for corner, gain_db, is_high in ((low_hz, low_db, False), (high_hz, high_db, True)):
        root = 10 ** (gain_db / 40)  # √g
        warped = np.tan(np.pi * min(float(corner), 0.45 * sample_rate) / sample_rate)
        above = (root**2, root * warped) if is_high else (1.0, root * warped)
        below = (1.0, root * warped) if is_high else (1.0, warped / root)
        # s becomes (1 - 1/z)/(1 + 1/z), so a·s + b becomes ((a + b) + (b - a)/z) over a common 1 + 1/z, which cancels.
        numerator = np.convolve(numerator, (above[0] + above[1], above[1] - above[0]))
        denominator = np.convolve(denominator, (below[0] + below[1], below[1] - below[0]))
    return np.asarray(np.concatenate([numerator, denominator])[None] / denominator[0])
