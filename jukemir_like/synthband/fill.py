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
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.core.atomic import make_folder, remove_abandoned, write_bytes, write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.stage import Chunk, Stage
from jukemir_like.synthband import SAMPLE_RATE, SECONDS, STEMS, soundfont
from jukemir_like.synthband.compose import compose
from jukemir_like.synthband.labels import annotation
from jukemir_like.synthband.render import render

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
    soundfont.check()
    stage = Stage(Summary("download synthband"), folder, "download", unit="song")
    _check_seed(folder, stage.known, seed)
    remove_abandoned(folder)
    remove_abandoned(make_folder(folder / "stems"))
    description = _description(seed)
    signature = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    chunks = (Chunk((stage.job(_name(index), folder / _name(index), signature),), index) for index in range(songs))
    lines: dict[str, str] = {}
    for record in stage.run(partial(_song, seed), chunks, songs, workers):
        if record["status"] != "failed":
            lines[record["input"]] = record["result"]
    write_bytes(folder / ANNOTATIONS, "".join(lines[name] + "\n" for name in sorted(lines)).encode())
    write_json(folder / DESCRIPTION, {"songs": len(lines), **description})
    return stage.summary


def _description(seed: int) -> dict[str, Any]:
    """What the samples depend on."""
    return {"seed": seed, "version": VERSION, "soundfont": soundfont.SHA256, "tinysoundfont": metadata.version("tinysoundfont")}


def _check_seed(folder: Path, known: dict[str, list[Record]], seed: int) -> None:
    held = {record["seed"] for found in known.values() for record in found if isinstance(record.get("seed"), int)}
    with suppress(OSError, ValueError, KeyError, TypeError):
        held.add(json.loads((folder / DESCRIPTION).read_bytes())["seed"])
    others = sorted(held - {seed})
    if others:
        raise RequestError(
            f"{folder} holds the synthband with seed {others[0]}, not {seed}: delete it, or choose another cache with --cache"
        )


def _song(seed: int, chunk: Chunk) -> list[Record]:
    """One song's WAV, and its annotation as the result; returns its record. Runs in a worker."""
    started = time.perf_counter()
    (job,) = chunk.jobs
    song = compose(seed, chunk.source)
    record = job.kept_record(None)
    if record is not None:
        record = record | {"status": "kept"}
    else:
        record = job.record(audio_seconds=SECONDS, seed=seed, channels=len(STEMS))
        record["output_digest"] = audio.write_wav(job.output, render(song), SAMPLE_RATE)
        record["seconds"] = round(time.perf_counter() - started, 4)
    return [record | {"result": json.dumps(annotation(song), ensure_ascii=True, allow_nan=False)}]


def _name(index: int) -> str:
    return f"stems/{index:05d}.wav"
