"""Examples to train on: a mix of some stems of a track, and another stem of it.

Example n is a function of the seed and n alone, so that any number of workers and of processes, and any interruption, give the same
stream. An epoch goes through all tracks once, in an order of its own; each track gives one chunk. Where folders have shares,
each has epochs of its own, and of every 1,000 examples each has its share, in random order.

From top to bottom: the data set; which stem is the target, and which make the context.
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
from jukemir_like.stemjepa.data.augmentation import SampledAugmentation, augment, sample_augmentation
from jukemir_like.stemjepa.data.loudness import Loudness, column_peaks
from jukemir_like.stemjepa.data_settings import Data

_CHUNKS_TRIED = 10  # chunks of a track that are tried before another track takes its place
_TRACKS_TRIED = 50  # tracks that are tried at random before each is tried once
# Frames read on both sides of a chunk, which the filters of resampling need. A whole number of samples at 16 kHz, for usual rates.
_MARGIN = 882
_ORDER_STREAM, _EXAMPLE_STREAM, _FOLDER_STREAM = 0, 1, 2  # streams of random numbers
_WORDINGS = 1 << 31  # so many that every synonym is as probable as any other
_BLOCK = 1000  # examples of which every folder has its share

_log = logging.getLogger(__name__)


class Examples(Dataset[dict[str, Tensor]]):
    """``examples[n]``, for n = 0, 1, … without end.

    A chunk in which fewer than two stems are active is sampled again, 10 times at most. Then another track takes its place, as it does for
    a track that cannot be read or has samples that no music has (which is logged once per track). Of a track with stems of its own, those
    whose number is -1 are neither targets nor in mixes.

    Args:
        tracks: in the order in which ``track`` counts them; at least one.
        data: how to sample: ``context``, ``silence_db``, ``augmentation``, ``synonyms``, and the ``shares`` of the folders that the tracks
            are in.
        model: sample rate and length of a chunk, and whether instruments are named.
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
        self._words = model.predictor.instruments == "text" and data.synonyms
        # Without shares all tracks are one folder.
        of_folder = np.array([track.folder if data.shares else 0 for track in self.tracks])
        self._pools = [np.flatnonzero(of_folder == folder) for folder in range(max(1, len(data.shares)))]
        self._counts = examples_of_folders(data.shares)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # folder → an epoch, and the order of its tracks
        self._block: tuple[int, np.ndarray] | None = None  # the folders of its examples
        self._unusable: dict[int, str] = {}

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """``context`` and ``target`` ``(samples,)`` float32; ``source``, the number of the target's stem, and ``track``: int64.

        Where instruments are said by synonyms, ``wording`` too: int64, a random number that chooses among the ways to say the stem's name.
        """
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
                    **({"wording": torch.tensor(random.integers(_WORDINGS))} if self._words else {}),
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
        turn = n // self.data.chunks_per_track  # consecutive examples are of the same track
        folder, number = self._folder_of(turn) if len(self._pools) > 1 else (0, turn)
        pool = self._pools[folder]
        yield int(pool[self._place_of(folder, number)])
        for _ in range(_TRACKS_TRIED - 1):
            yield int(pool[random.integers(len(pool))])
        yield from map(int, pool[random.permutation(len(pool))])

    def _folder_of(self, turn: int) -> tuple[int, int]:
        """The folder whose turn it is, and how many turns before it are this folder's."""
        block, position = divmod(turn, _BLOCK)
        if self._block is None or self._block[0] != block:
            folders = np.repeat(np.arange(len(self._counts)), self._counts)
            self._block = block, np.random.default_rng((self.seed, _FOLDER_STREAM, block)).permutation(folders)
        folder = int(self._block[1][position])
        return folder, block * int(self._counts[folder]) + int(np.count_nonzero(self._block[1][:position] == folder))

    def _place_of(self, folder: int, number: int) -> int:
        """The place in its folder of the track of the folder's example ``number``."""
        count = len(self._pools[folder])
        epoch, position = divmod(number, count)
        order = self._orders.get(folder)
        if order is None or order[0] != epoch:
            of_folder = (folder,) if folder else ()  # the first has the order that it has alone
            order = epoch, np.random.default_rng((self.seed, _ORDER_STREAM, epoch, *of_folder)).permutation(count)
            self._orders[folder] = order
        return int(order[1][position])

    def _sample(self, track: Track, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Context, target, and the number of the target's stem; None if no chunk was found in which two stems are active."""
        loudest = self.loudness.peaks(track)
        if track.numbers:  # a stem that has none is never active
            loudest = np.where(np.array(track.numbers) < 0, np.inf, loudest)
        if np.count_nonzero(np.isfinite(loudest) & (loudest > 0)) < 2:
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
                return context, target, track.numbers[source] if track.numbers else source
        return None

    def _mix(self, chunk: np.ndarray, stems: np.ndarray, augmentation: SampledAugmentation, sample_rate: int) -> np.ndarray:
        """Sum of the augmented ``stems`` of ``(frames, stems)``: float32 ``(frames,)``; in a fixed order, for the same bits."""
        mix = np.zeros(len(chunk), np.float32)
        for stem in stems:
            mix += augment(chunk[:, stem], SCALES[chunk.dtype], augmentation, stem, sample_rate)
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


def examples_of_folders(shares: Sequence[float]) -> np.ndarray:
    """How many of 1,000 examples each folder has: its share rounded, so that they sum to 1,000 and the largest remainders are rounded up.

    >>> examples_of_folders((2, 1)).tolist()
    [667, 333]
    """
    exact = _BLOCK * np.asarray(shares, float) / max(sum(shares), np.finfo(float).tiny)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: _BLOCK - counts.sum()]] += 1
    return counts


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
