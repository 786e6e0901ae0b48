"""Fills a folder with a synthband: composes, labels and renders every song, in worker processes, going on where a killed run stopped.

::

    folder/stems/00000.wav …      four channels, 16 bits, 22,050 Hz
    folder/annotations.jsonl      one line a song: uid, split, y, extra
    folder/synthband.json         songs, seed, and what made them
    folder/.records/              what was done with every song
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from jukemir_like import audio, records
from jukemir_like.cache import make_folder, sweep, write_bytes, write_json
from jukemir_like.datasets.synthband import SAMPLE_RATE, SECONDS, STEMS, soundfont
from jukemir_like.datasets.synthband.compose import compose
from jukemir_like.datasets.synthband.labels import annotation
from jukemir_like.datasets.synthband.render import render
from jukemir_like.errors import InputError, RequestError
from jukemir_like.parallel import Progress, map_unordered
from jukemir_like.records import Record, Summary

VERSION = 1
"""Raised when the same seed would give other songs or other labels."""

ANNOTATIONS = "annotations.jsonl"
DESCRIPTION = "synthband.json"


def fill(folder: Path, *, songs: int = 600, seed: int = 0, workers: int = 1) -> Summary:
    """Makes the first ``songs`` songs of the synthband with this ``seed`` in ``folder``; those that are there already are kept.

    Args:
        folder: made where it is missing.
        songs: at least 1. Fewer than the folder holds: the dataset shrinks to them, the other WAV files are left alone.
        seed: at least 0.
        workers: processes.

    Raises:
        RequestError: a needed package is missing, or the folder holds a synthband with another seed.
        StorageError: the folder cannot be written.
    """
    started = time.perf_counter()
    soundfont.check()
    known = records.read(folder)
    _check_seed(folder, known, seed)
    sweep(folder)
    sweep(make_folder(folder / "stems"))
    description = _description(seed)
    signature = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    summary = Summary("download synthband")
    lines: dict[int, str] = {}
    with (
        records.journal(folder, "download") as journal,
        Progress(songs, "download synthband", "song") as bar,
    ):
        work = partial(_song, folder, seed, signature)
        for (index, _), result in map_unordered(work, _wanted(songs, known, signature), min(workers, songs)):
            if isinstance(result, InputError):
                result = _record(index, seed, signature) | records.failure(result)
            if isinstance(result, Exception):
                raise result
            if result["status"] != "failed":
                lines[index] = result.pop("annotation")
            summary.count(result)
            if result["status"] != "kept":
                journal.append(result)
            bar.update()
    write_bytes(folder / ANNOTATIONS, "".join(lines[index] + "\n" for index in sorted(lines)).encode())
    write_json(folder / DESCRIPTION, {"songs": len(lines), **description})
    summary.seconds = time.perf_counter() - started
    return summary


def _description(seed: int) -> dict[str, Any]:
    """What the samples depend on."""
    return {"seed": seed, "version": VERSION, "soundfont": soundfont.SHA256, "tinysoundfont": metadata.version("tinysoundfont")}


def _check_seed(folder: Path, known: dict[str, Record], seed: int) -> None:
    held = {record.get("seed", seed) for record in known.values()}
    with suppress(OSError, ValueError, KeyError, TypeError):
        held.add(json.loads((folder / DESCRIPTION).read_bytes())["seed"])
    others = sorted(held - {seed})
    if others:
        raise RequestError(
            f"{folder} holds the synthband with seed {others[0]}, not {seed}: delete it, or choose another cache with --cache"
        )


def _wanted(songs: int, known: dict[str, Record], signature: str) -> Iterator[tuple[int, str | None]]:
    """Each song's number, with the digest of the file that an earlier run has finished."""
    for index in range(songs):
        record = known.get(_name(index), {})
        finished = record.get("status") == "done" and record.get("signature") == signature
        yield index, record.get("digest") if finished else None


def _song(folder: Path, seed: int, signature: str, wanted: tuple[int, str | None]) -> Record:
    """One song's WAV and annotation; returns its record. Runs in a worker."""
    started = time.perf_counter()
    index, finished_digest = wanted
    song = compose(seed, index)
    record = _record(index, seed, signature) | {"annotation": json.dumps(annotation(song), ensure_ascii=True, allow_nan=False)}
    path = folder / record["input"]
    record["digest"] = finished_digest
    if finished_digest is None or _digest(path) != finished_digest:
        audio.write_wav(path, render(song), SAMPLE_RATE)
        record |= {"digest": _digest(path), "status": "done"}
    return record | {"seconds": round(time.perf_counter() - started, 4)}


def _record(index: int, seed: int, signature: str) -> Record:
    return records.new(_name(index), signature, audio_seconds=SECONDS, status="kept", seed=seed, channels=len(STEMS))


def _name(index: int) -> str:
    return f"stems/{index:05d}.wav"


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
