"""synthband in a folder: generates it, in worker processes, resuming where an interrupted run stopped; and reads it as a dataset.

::

    folder/stems/00000.wav …      four channels, 16 bits, 22,050 Hz
    folder/annotations.jsonl      one line per song: uid, split, y, extra
    folder/synthband.json         number of songs, seed, and the versions that made them
    folder/.records/              one record per song
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
from jukemir_like.core import files, jsonfiles
from jukemir_like.core.atomic import make_folder, remove_abandoned, write_bytes, write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Stage
from jukemir_like.datasets.dataset import SPLITS, Dataset, Item
from jukemir_like.synthband.labels import TASKS, annotation
from jukemir_like.synthband.plan import SAMPLE_RATE, SECONDS, STEMS
from jukemir_like.synthband.song import compose

VERSION = 1
"""Raised when the same seed would give other songs or other labels."""

ANNOTATIONS = "annotations.jsonl"
DESCRIPTION = "synthband.json"

_REMEDY = "run `jukemir-like download synthband`"
_SONG_SHAPE = {"uid": str, "split": set(SPLITS), "y": {str: object}, "extra": {str: object}}


def generate(folder: Path, *, songs: int = 600, seed: int = 0, workers: int = 1) -> Summary:
    """Generates the first ``songs`` songs of the synthband with this ``seed`` in ``folder``; songs that are finished are kept.

    Args:
        folder: created if missing.
        songs: at least 1. Fewer than the folder holds: the dataset shrinks to them, the other WAV files are left alone.
        seed: at least 0.
        workers: number of processes.

    Raises:
        RequestError: a required package is missing, or the folder holds a synthband with another seed.
        StorageError: the folder cannot be written.
    """
    # Imported here, before the workers start: rendering needs SciPy, which the reader of a finished folder below does not load.
    from jukemir_like.synthband.rendering import check_instruments

    check_instruments()
    stage = Stage(Summary("download synthband"), folder, "download", unit="song")
    _check_seed(folder, stage.known, seed)
    remove_abandoned(folder)
    remove_abandoned(make_folder(folder / "stems"))
    description = _description(seed)
    signature = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    chunks = (Chunk((stage.job(_wav_name(index), folder / _wav_name(index), signature),), index) for index in range(songs))
    annotations: dict[str, str] = {}
    for record in stage.run(partial(_generate_song, seed), chunks, songs, workers):
        if record["status"] != "failed":
            annotations[record["input"]] = record["result"]
    write_bytes(folder / ANNOTATIONS, "".join(annotations[name] + "\n" for name in sorted(annotations)).encode())
    write_json(folder / DESCRIPTION, {"songs": len(annotations), **description})
    return stage.summary


def dataset(folder: Path, name: str = "synthband") -> Dataset:
    """The songs in ``folder`` as a mono dataset with five tasks: key, genre, tags, emotion, tempo.

    Raises:
        RequestError: ``folder`` does not hold a finished synthband.
    """
    return _dataset(folder, name, None)


def stems_dataset(folder: Path, name: str = "synthband_stems") -> Dataset:
    """The same songs with one channel per stem: bass, drums, other, vocals.

    Raises:
        RequestError: ``folder`` does not hold a finished synthband.
    """
    return _dataset(folder, name, STEMS)


def _dataset(folder: Path, name: str, stems: tuple[str, ...] | None) -> Dataset:
    try:
        description: dict[str, Any] = jsonfiles.read(folder / DESCRIPTION, {str: object}, _REMEDY)
        annotations = folder / ANNOTATIONS
        with files.damage_errors(annotations, _REMEDY):
            lines = [jsonfiles.parse(line) for line in files.read_regular(annotations).splitlines()]
            jsonfiles.check(lines, [_SONG_SHAPE])
            items = [
                Item(line["uid"], line["split"], line["y"], files.inside(folder / "stems", f"{line['uid']}.wav"), extra=line["extra"])
                for line in lines
            ]
    except FileNotFoundError as error:
        raise RequestError(f"{folder} does not hold a finished synthband: {_REMEDY}") from error
    return Dataset(name, dict(TASKS), items, group="artist", stems=stems, sources={"synthband": description})


def _description(seed: int) -> dict[str, Any]:
    """What the samples depend on, apart from the index of a song."""
    from jukemir_like.synthband.rendering import SOUNDFONT_SHA256

    return {"seed": seed, "version": VERSION, "soundfont": SOUNDFONT_SHA256, "tinysoundfont": metadata.version("tinysoundfont")}


def _check_seed(folder: Path, known: dict[str, list[Record]], seed: int) -> None:
    """Refuses a folder of another seed, by its records (an interrupted run has written no description yet) and its description."""
    seeds = {record["seed"] for of_song in known.values() for record in of_song if isinstance(record.get("seed"), int)}
    with suppress(OSError, ValueError, KeyError, TypeError):
        seeds.add(json.loads((folder / DESCRIPTION).read_bytes())["seed"])
    others = sorted(seeds - {seed})
    if others:
        raise RequestError(
            f"{folder} holds the synthband with seed {others[0]}, not {seed}: delete it, or choose another cache with --cache"
        )


def _generate_song(seed: int, chunk: Chunk) -> list[Record]:
    """Writes the WAV of one song; returns its record, with its annotation as the result. Runs in a worker."""
    from jukemir_like.synthband.rendering import render

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


def _wav_name(index: int) -> str:
    return f"stems/{index:05d}.wav"
