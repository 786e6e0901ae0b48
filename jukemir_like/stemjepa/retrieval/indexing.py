"""Files of a library are read, embedded by the teacher, and added to its index."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from jukemir_like import audio
from jukemir_like.core import files, records
from jukemir_like.core.errors import InputError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval.embedding import QUIET, SILENT, Vectors
from jukemir_like.stemjepa.retrieval.index import Index, State

SILENCE = "is silent"
_SAVE_SECONDS = 60.0  # between two writes of the index, at least
_SAVE_SHARE = 0.05  # of the time, at most, is spent on writes: each writes the whole index, and they must not add up as it grows
_SECONDS_AT_ONCE = 240  # of audio that is embedded at once
_BYTES_AHEAD = 64 << 20  # of files that are read ahead, or as many files as there are threads: an hour of MP3, ten minutes of WAV


def embed_files(
    model: StemJEPA, folder: Path, changed: dict[str, State | None], index: Index, path: Path, summary: records.Summary, *, segments: bool
) -> None:
    """Embeds the files in ``changed`` into ``index``, which is written to ``path`` every :data:`_SAVE_SECONDS`, or less often."""
    saved, pause = time.monotonic(), _SAVE_SECONDS
    with Progress(len(changed), "index", "file") as bar:
        clips = _new_clips(folder, changed, index, summary.failed, model.sample_rate, bar)
        groups = _groups(clips, _SECONDS_AT_ONCE * model.sample_rate)
        for group, embedded in _embed_ahead(model, groups, _embed_chunks if segments else _embed_whole):
            for digest, vector in zip(group, embedded, strict=True):
                if np.isfinite(vector).all():
                    index.added[digest] = normalise(vector).astype(np.float32)
                    summary.done += 1
                    summary.audio_seconds += len(group[digest]) / model.sample_rate
                else:
                    index.reasons[digest] = "gives a vector that is not finite"
                bar.update()
            if (started := time.monotonic()) - saved > pause:
                index.write(path)
                saved = time.monotonic()
                pause = max(_SAVE_SECONDS, (saved - started) / _SAVE_SHARE)


def _embed_ahead(
    model: StemJEPA, groups: Iterator[dict[str, np.ndarray]], embed: Callable[[StemJEPA, list[np.ndarray]], list[Vectors]]
) -> Iterator[tuple[dict[str, np.ndarray], list[Vectors]]]:
    """Groups in order, with their vectors; on a CPU several at a time, each by one thread.

    The threads of one product wait for each other: two took 23 ms for a stem for which two products side by side take 15.
    """
    threads = torch.get_num_threads()
    at_once = threads if model.device.type == "cpu" else 1
    waiting: deque[tuple[dict[str, np.ndarray], Future[list[Vectors]]]] = deque()
    with (
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),  # which every call sets, and sets back, for all threads
        ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(threads // at_once,)) as pool,
    ):
        try:
            for group in groups:
                waiting.append((group, pool.submit(embed, model, [*group.values()])))
                while len(waiting) > at_once:
                    group, embedded = waiting.popleft()
                    yield group, embedded.result()
            while waiting:
                group, embedded = waiting.popleft()
                yield group, embedded.result()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)


def _embed_whole(model: StemJEPA, clips: list[np.ndarray]) -> list[Vectors]:
    """Of each clip its vector, ``(1, dimension)``."""
    return [*model.embed(clips, which="target")[:, np.newaxis]]


def _embed_chunks(model: StemJEPA, clips: list[np.ndarray]) -> list[Vectors]:
    """Of each clip the vectors of its whole chunks, ``(chunks, dimension)``; zeros for one that is silent beside the others."""
    length = model.model.chunk_samples
    cut = [[clip[start : start + length] for start in range(0, max(len(clip) - length, 0) + 1, length)] for clip in clips]
    vectors = iter(model.embed([chunk for chunks in cut for chunk in chunks], which="target"))
    embedded = []
    for chunks in cut:
        peaks = np.array([np.abs(chunk).max() for chunk in chunks])
        loud = (peaks >= SILENT) & (peaks >= QUIET * peaks.max())
        of_clip = np.stack([next(vectors) for _ in chunks])
        of_clip[~loud] = 0.0
        embedded.append(of_clip)
    return embedded


def _new_clips(
    folder: Path, changed: dict[str, State | None], index: Index, failed: dict[str, str], sample_rate: int, bar: Progress
) -> Iterator[tuple[str, np.ndarray]]:
    """Digest and audio of the files whose content is new; the others are counted by ``bar``."""
    seen: set[str] = set()
    for name, state, reading in _read_ahead(folder, changed, index, sample_rate):
        try:
            digest, channels, clip = reading.result()
        except (OSError, MemoryError) as error:  # may not occur next time
            index.files.pop(name, None)
            failed[name] = records.failure(error)["reason"] if isinstance(error, MemoryError) else files.refusal(error)
            bar.update()
            continue
        index.add(name, digest, state)
        is_new = not index.has(digest) and digest not in seen
        if is_new and channels > 2:
            index.channels[digest] = channels
        if is_new and isinstance(clip, np.ndarray):
            seen.add(digest)
            yield digest, clip
            continue
        if is_new and isinstance(clip, str) and clip:  # a fault of the content, which is remembered
            index.reasons[digest] = clip
        bar.update()


def _read_ahead(
    folder: Path, changed: dict[str, State | None], index: Index, sample_rate: int
) -> Iterator[tuple[str, State | None, Future[tuple[str, int, np.ndarray | str]]]]:
    """Files and their states in order, with what :func:`_read` gives: some are read while others are embedded, see :data:`_BYTES_AHEAD`."""
    waiting: deque[tuple[str, State | None, Future[tuple[str, int, np.ndarray | str]]]] = deque()
    with ThreadPoolExecutor(threads := torch.get_num_threads()) as pool:
        try:
            for name, state in changed.items():
                waiting.append((name, state, pool.submit(_read, folder / name, index, sample_rate)))
                while len(waiting) > threads and sum(state[0] if state else _BYTES_AHEAD for _, state, _ in waiting) > _BYTES_AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, index: Index, sample_rate: int) -> tuple[str, int, np.ndarray | str]:
    """Of a file, which is read once: the digest, the number of channels, and the audio, or why it has none; "" if ``index`` has it."""
    content = files.read_regular(path)
    digest = hashlib.sha256(content).hexdigest()
    if index.has(digest):
        return digest, 0, ""
    channels = 0
    try:
        decoded = audio.decode(content)
        channels = len(decoded.samples)
        clip = audio.to_mono(decoded.samples, decoded.sample_rate, sample_rate)
        if np.abs(clip).max() < SILENT:
            raise InputError(SILENCE)
    except InputError as error:
        return digest, channels, str(error)
    return digest, channels, clip


def _groups(clips: Iterator[tuple[str, np.ndarray]], samples: int) -> Iterator[dict[str, np.ndarray]]:
    """Groups (digest → audio) of clips that together have ``samples`` or more; the last may have fewer."""
    group: dict[str, np.ndarray] = {}
    for digest, clip in clips:
        group[digest] = clip
        if sum(map(len, group.values())) >= samples:
            yield group
            group = {}
    if group:
        yield group
