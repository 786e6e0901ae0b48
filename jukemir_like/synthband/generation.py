"""An edition of synthband in a folder: generates it, in worker processes, resuming an interrupted run; and reads it as a dataset.

::

    folder/stems/00000.wav …      four channels, 16 bits, 22,050 Hz
    folder/annotations.jsonl      one line per song: uid, split, y, extra
    folder/synthband.json         number of songs, seed, and the versions that made them; named after the edition
    folder/.records/              one record per song
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.core import files, jsonfiles
from jukemir_like.core.atomic import make_folder, remove_abandoned, write_bytes, write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Stage
from jukemir_like.datasets.dataset import SPLITS, Dataset, Item
from jukemir_like.midi.soundfonts import Soundfont, find, find_usable
from jukemir_like.synthband.editions import EDITIONS, FIRST, SECOND, Edition
from jukemir_like.synthband.labels import TASKS, annotation
from jukemir_like.synthband.plan import SAMPLE_RATE, SECONDS, STEMS
from jukemir_like.synthband.song import compose

ANNOTATIONS = "annotations.jsonl"

_SONG_SHAPE = {"uid": str, "split": set(SPLITS), "y": {str: object}, "extra": {str: object}}


def generate(
    folder: Path, *, songs: int = 600, seed: int = 0, workers: int = 1, edition: str = FIRST.name, soundfonts: Path | None = None
) -> Summary:
    """Generates the first ``songs`` songs of an edition of synthband with this ``seed`` in ``folder``; songs that are finished are kept.

    Args:
        folder: created if missing.
        songs: at least 1. Fewer than the folder holds: the dataset shrinks to them, the other WAV files are left alone.
        seed: at least 0.
        workers: number of processes.
        edition: ``synthband`` or ``synthband2``.
        soundfonts: of ``synthband2``, a folder of those that songs are played with beside the one that pretty_midi carries; None: with
            that one alone. Damaged ones are left out and named.

    Raises:
        RequestError: a required package is missing, there is no soundfont that can be used, or the folder holds the edition with another
            seed or other soundfonts.
        StorageError: the folder cannot be written.
    """
    # Imported here, before the workers start: rendering needs SciPy, which the reader of a finished folder below does not load.
    from jukemir_like.synthband.rendering import check_instruments

    chosen = EDITIONS[edition]
    if soundfonts is not None and not chosen.is_wide:
        raise RequestError(f"{edition} is made with one soundfont: --soundfonts is for {SECOND.name}")
    check_instruments()
    stage = Stage(Summary(f"download {edition}"), folder, "download", unit="song")
    fonts = _soundfonts(soundfonts, stage.summary) if chosen.is_wide else ()
    description = _description(chosen, seed, fonts)
    _check_seed(chosen, folder, stage.known, seed)
    _check_soundfonts(chosen, folder, stage.known, description)
    remove_abandoned(folder)
    remove_abandoned(make_folder(folder / "stems"))
    signature = hashlib.sha256(json.dumps(_signed(description), sort_keys=True).encode()).hexdigest()[:16]
    if fonts and not all((folder / _wav_name(index)).exists() for index in range(songs)):
        from jukemir_like.synthband.recording import prepare

        prepare(fonts)
    chunks = (Chunk((stage.job(_wav_name(index), folder / _wav_name(index), signature),), index) for index in range(songs))
    annotations: dict[str, str] = {}
    for record in stage.run(partial(_generate_song, chosen, seed, fonts), chunks, songs, workers):
        if record["status"] != "failed":
            annotations[record["input"]] = record["result"]
    write_bytes(folder / ANNOTATIONS, "".join(annotations[name] + "\n" for name in sorted(annotations)).encode())
    write_json(folder / _description_name(chosen), {"songs": len(annotations), **description})
    return stage.summary


def dataset(folder: Path, name: str = "synthband") -> Dataset:
    """The songs in ``folder``, of any edition, as a mono dataset with five tasks: key, genre, tags, emotion, tempo.

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
    held = [edition for edition in EDITIONS.values() if (folder / _description_name(edition)).exists()]
    edition = held[0] if held else EDITIONS.get(name.removesuffix("_stems"), FIRST)
    remedy = f"run `jukemir-like download {edition.name}`"
    try:
        description: dict[str, Any] = jsonfiles.read(folder / _description_name(edition), {str: object}, remedy)
        annotations = folder / ANNOTATIONS
        with files.damage_errors(annotations, remedy):
            lines = [jsonfiles.parse(line) for line in files.read_regular(annotations).splitlines()]
            jsonfiles.check(lines, [_SONG_SHAPE])
            items = [
                Item(line["uid"], line["split"], line["y"], files.inside(folder / "stems", f"{line['uid']}.wav"), extra=line["extra"])
                for line in lines
            ]
    except FileNotFoundError as error:
        raise RequestError(f"{folder} does not hold a finished {edition.name}: {remedy}") from error
    return Dataset(name, dict(TASKS), items, group="artist", stems=stems, sources={edition.name: description})


def _soundfonts(folder: Path | None, summary: Summary) -> tuple[Soundfont, ...]:
    """The soundfont that pretty_midi carries and those of ``folder``, by digest; notes what is left out and what is used."""
    found = {soundfont.sha256: soundfont for soundfont in find()}
    if folder is not None:
        usable, faults = find_usable(folder)
        if not usable:
            raise RequestError(f"{printable(str(folder))} holds no soundfont that can be used: {'; '.join(faults)}")
        found = {soundfont.sha256: soundfont for soundfont in usable} | found
        summary.notes += [f"{fault}: left out" for fault in faults]
    names = [found[digest].name for digest in sorted(found)]
    more = "; --soundfonts DIR adds those of a folder" if folder is None else ""
    summary.notes.append(f"soundfonts: {', '.join(names)}{more}")
    return tuple(found[digest] for digest in sorted(found))


def _description(edition: Edition, seed: int, soundfonts: Sequence[Soundfont]) -> dict[str, Any]:
    """What the samples depend on, apart from the index of a song."""
    from jukemir_like.synthband.rendering import SOUNDFONT_SHA256

    used = {"soundfonts": [soundfont.to_json() for soundfont in soundfonts]} if soundfonts else {"soundfont": SOUNDFONT_SHA256}
    return {"seed": seed, "version": edition.version, **used, "tinysoundfont": metadata.version("tinysoundfont")}


def _signed(description: dict[str, Any]) -> dict[str, Any]:
    """A description without the names of files, which may change."""
    return description | ({"soundfonts": _digests(description)} if "soundfonts" in description else {})


def _digests(description: dict[str, Any]) -> list[str]:
    return [soundfont["sha256"] for soundfont in description["soundfonts"]]


def _check_seed(edition: Edition, folder: Path, known: dict[str, list[Record]], seed: int) -> None:
    """Refuses a folder of another seed, by its records (an interrupted run has written no description yet) and its description."""
    seeds = {record["seed"] for of_song in known.values() for record in of_song if isinstance(record.get("seed"), int)}
    with suppress(OSError, ValueError, KeyError, TypeError):
        seeds.add(json.loads((folder / _description_name(edition)).read_bytes())["seed"])
    others = sorted(seeds - {seed})
    if others:
        raise RequestError(
            f"{folder} holds the {edition.name} with seed {others[0]}, not {seed}: delete it, or choose another cache with --cache"
        )


def _check_soundfonts(edition: Edition, folder: Path, known: dict[str, list[Record]], description: dict[str, Any]) -> None:
    """Refuses a folder whose songs are drawn from other soundfonts, which would all be rendered anew."""
    if not edition.is_wide:
        return
    used = {record["drawn_from"] for of_song in known.values() for record in of_song if isinstance(record.get("drawn_from"), str)}
    with suppress(OSError, ValueError, KeyError, TypeError):
        used.add(_drawn_from(_digests(json.loads((folder / _description_name(edition)).read_bytes()))))
    if used - {_drawn_from(_digests(description))}:
        raise RequestError(
            f"{folder} holds the {edition.name} with other soundfonts: give the same folder with --soundfonts, delete it, "
            "or choose another cache with --cache"
        )


def _drawn_from(digests: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]


def _generate_song(edition: Edition, seed: int, soundfonts: Sequence[Soundfont], chunk: Chunk) -> list[Record]:
    """Writes the WAV of one song; returns its record, with its annotation as the result. Runs in a worker."""
    started = time.perf_counter()
    (job,) = chunk.jobs
    song = compose(seed, chunk.source, edition)
    record = job.kept_record(None)
    if record is not None:
        record = record | {"status": "kept"}
    else:
        record = job.record(audio_seconds=SECONDS, seed=seed, channels=len(STEMS))
        if edition.is_wide:
            from jukemir_like.synthband.recording import record as record_song

            record["drawn_from"] = _drawn_from([soundfont.sha256 for soundfont in soundfonts])
            samples, record["facts"] = record_song(song, soundfonts)
        else:
            from jukemir_like.synthband.rendering import render

            samples = render(song)
        record["output_digest"] = audio.write_wav(job.output, samples, SAMPLE_RATE)
        record["seconds"] = round(time.perf_counter() - started, 4)
    return [record | {"result": json.dumps(annotation(song, record.get("facts")), ensure_ascii=True, allow_nan=False)}]


def _description_name(edition: Edition) -> str:
    return f"{edition.name}.json"


def _wav_name(index: int) -> str:
    return f"stems/{index:05d}.wav"
