"""The loudest peak of every stem in its track: what "silent" is measured against. Computed once a track, and remembered in the cache."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jukemir_like.audio.stems.reading import SCALES, check_peak, read_frames
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, StorageError

_STEP = 1 << 18  # frames at once: a few megabytes


class Loudness:
    """Peaks of tracks: of this process, and of all that wrote into the same folder before.

    Args:
        folder: where they are remembered; None: ``stems`` of the cache. Where it cannot be written, each process measures for itself.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Cache.default().root / "stems"
        self._remembered: dict[str, list[float] | str] | None = None
        self._known: dict[tuple[Path, ...], list[float] | str] = {}  # peaks, or why there are none

    def peaks(self, track: Track) -> np.ndarray:
        """Largest absolute sample of every stem over the whole track, float64 of shape ``(stems,)``.

        Raises:
            InputError: a file cannot be read, or holds samples that no music has (:mod:`.levels`).
        """
        if track.files not in self._known:
            self._known[track.files] = self._peaks(track)
        return _checked(self._known[track.files])

    def refused(self, tracks: Iterable[Track]) -> dict[str, str]:
        """Those of ``tracks`` that were measured and cannot be used, by name, and why; nothing is measured."""
        self._remembered = self._read()
        reasons = {}
        for track in tracks:
            try:
                _checked(self._known.get(track.files) or self._remembered.get(_key(track)) or [])
            except InputError as error:
                reasons[track.name] = str(error)
        return reasons

    def _peaks(self, track: Track) -> list[float] | str:
        if self._remembered is None:
            self._remembered = self._read()
        key = _key(track)
        if key in self._remembered:
            return self._remembered[key]
        found = _measured(track)
        self._remember(key, found)
        return found

    def _read(self) -> dict[str, list[float] | str]:
        known = records.read(self.folder)
        return {key: record["peaks"] if "peaks" in record else record["reason"] for key, record in known.items() if _is_peaks(record)}

    def _remember(self, key: str, found: list[float] | str) -> None:
        more = {"status": "failed", "reason": found} if isinstance(found, str) else {"peaks": found}
        try:
            # One writer per name: a journal for every process of every machine.
            with records.Journal(self.folder, f"peaks-{socket.gethostname()}-{os.getpid()}") as journal:
                journal.append(records.new(key, "peaks", **more))
        except (StorageError, OSError):
            pass  # a convenience: it is measured again next time

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_remembered": None}  # a worker reads the folder when it needs to


def column_peaks(values: np.ndarray) -> np.ndarray:
    """Largest absolute value of every column of ``(frames, stems)``, scaled as samples in [-1, 1]; float64 of shape ``(stems,)``."""
    frames, stems = values.shape
    if not frames:
        return np.zeros(stems)
    # Rows of many frames, so that the innermost loop is long: 20 times faster than over rows of four.
    wide = max(1, 256 // stems)
    whole = frames // wide * wide
    parts = [values[whole:]] if whole < frames else []
    if whole:
        body = values[:whole].reshape(-1, wide * stems)
        parts += [np.concatenate([body.max(axis=0), body.min(axis=0)]).reshape(-1, stems)]
    extremes = np.concatenate(parts).astype(np.float64)
    return np.asarray(np.abs(extremes).max(axis=0) * SCALES[values.dtype])


def _measured(track: Track) -> list[float] | str:
    """Peaks of the stems, or why there are none."""
    peaks = np.zeros(track.channels)
    for first in range(0, track.frames, _STEP):
        values = read_frames(track, first, min(_STEP, track.frames - first))
        peaks = np.maximum(peaks, column_peaks(values))
        try:
            check_peak(float(peaks.max()))
        except InputError as error:
            return str(error)
    found: list[float] = peaks.tolist()
    return found


def _checked(found: list[float] | str) -> np.ndarray:
    if isinstance(found, str):
        raise InputError(found)
    check_peak(max(found, default=0.0))  # earlier versions remembered whatever was finite
    return np.array(found)


def _is_peaks(record: records.Record) -> bool:
    peaks, reason = record.get("peaks"), record.get("reason")
    numbers = isinstance(peaks, list) and all(isinstance(peak, int | float) for peak in peaks)
    return numbers or (peaks is None and record.get("signature") == "peaks" and isinstance(reason, str))


def _key(track: Track) -> str:
    """Digest of the files' names, sizes and times of change."""
    try:
        parts = [(os.fspath(file.absolute()), status.st_size, status.st_mtime_ns) for file in track.files for status in (file.stat(),)]
    except OSError as error:
        raise InputError(f"cannot be read ({os.strerror(error.errno or 0).lower()})") from error
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()[:32]
