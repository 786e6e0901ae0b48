"""The loudest peak of every stem in its track, which silence is measured against. Computed once per track and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jukemir_like.audio.stems.reading import SCALES, check_peak, read_frames
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core import processes, records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, StorageError

_BLOCK_FRAMES = 1 << 18  # read at once: a few megabytes


class Loudness:
    """Peaks of tracks, measured by this process or by any that wrote into the same folder before.

    Args:
        folder: where they are kept; None: ``stems`` of the cache. Where it cannot be written, each process measures all tracks itself.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Cache.default().root / "stems"
        self._stored: dict[str, list[float] | str] | None = None  # by key, in the folder
        self._measured: dict[tuple[Path, ...], list[float] | str] = {}  # peaks, or why there are none

    def peaks(self, track: Track) -> np.ndarray:
        """Largest absolute sample of every stem over the whole track, float64 of shape ``(stems,)``.

        Raises:
            InputError: a file cannot be read, or has samples that no music has (:mod:`jukemir_like.audio.stems.reading`).
        """
        if track.files not in self._measured:
            self._measured[track.files] = self._peaks(track)
        return _checked(self._measured[track.files])

    def refused(self, tracks: Iterable[Track]) -> dict[str, str]:
        """Those of ``tracks`` that were measured and cannot be used: name → reason. Nothing is measured."""
        self._stored = self._read()
        reasons = {}
        for track in tracks:
            try:
                _checked(self._measured.get(track.files) or self._stored.get(_key(track)) or [])
            except InputError as error:
                reasons[track.name] = str(error)
        return reasons

    def _peaks(self, track: Track) -> list[float] | str:
        if self._stored is None:
            self._stored = self._read()
        key = _key(track)
        if key in self._stored:
            return self._stored[key]
        result = _measure(track)
        self._store(key, result)
        return result

    def _read(self) -> dict[str, list[float] | str]:
        stored = records.read(self.folder)
        return {key: record["peaks"] if "peaks" in record else record["reason"] for key, record in stored.items() if _is_peaks(record)}

    def _store(self, key: str, result: list[float] | str) -> None:
        fields = {"status": "failed", "reason": result} if isinstance(result, str) else {"peaks": result}
        try:
            with records.Journal(self.folder, f"peaks-{processes.identity()}") as journal:  # of its own, so that it has one writer
                journal.append(records.new(key, "peaks", **fields))
        except (StorageError, OSError):
            pass  # it only saves time: the track is measured again by the next process

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_stored": None}  # a worker process reads the folder itself


def column_peaks(values: np.ndarray) -> np.ndarray:
    """Largest absolute value of every column of ``(frames, stems)``, scaled as samples in [-1, 1]; float64 of shape ``(stems,)``.

    >>> column_peaks(np.array([[0, 16384], [-32768, 1]], np.int16))
    array([1. , 0.5])
    """
    frames, stems = values.shape
    if not frames:
        return np.zeros(stems)
    # Several frames per row make NumPy's innermost loop long: 20 times faster than over rows of four values.
    frames_per_row = max(1, 256 // stems)
    in_rows = frames // frames_per_row * frames_per_row
    parts = [values[in_rows:]] if in_rows < frames else []
    if in_rows:
        body = values[:in_rows].reshape(-1, frames_per_row * stems)
        parts += [np.concatenate([body.max(axis=0), body.min(axis=0)]).reshape(-1, stems)]
    extremes = np.concatenate(parts).astype(np.float64)
    return np.asarray(np.abs(extremes).max(axis=0) * SCALES[values.dtype])


def _measure(track: Track) -> list[float] | str:
    """Peaks of the stems, or why there are none."""
    peaks = np.zeros(track.channels)
    for first in range(0, track.frames, _BLOCK_FRAMES):
        values = read_frames(track, first, min(_BLOCK_FRAMES, track.frames - first))
        peaks = np.maximum(peaks, column_peaks(values))
        try:
            check_peak(float(peaks.max()))
        except InputError as error:
            return str(error)
    result: list[float] = peaks.tolist()
    return result


def _checked(result: list[float] | str) -> np.ndarray:
    """Peaks as an array; raises :class:`InputError` for a reason why there are none, or for peaks that no music has."""
    if isinstance(result, str):
        raise InputError(result)
    check_peak(max(result, default=0.0))  # earlier versions stored all that was finite
    return np.array(result)


def _is_peaks(record: records.Record) -> bool:
    peaks, reason = record.get("peaks"), record.get("reason")
    has_peaks = isinstance(peaks, list) and all(isinstance(peak, int | float) for peak in peaks)
    return has_peaks or (peaks is None and record.get("signature") == "peaks" and isinstance(reason, str))


def _key(track: Track) -> str:
    """Digest of the files' names, sizes and times of change."""
    try:
        parts = [(os.fspath(file.absolute()), status.st_size, status.st_mtime_ns) for file in track.files for status in (file.stat(),)]
    except OSError as error:
        raise InputError(f"cannot be read ({os.strerror(error.errno or 0).lower()})") from error
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()[:32]
