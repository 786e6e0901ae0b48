"""Dataset → WAV and ``meta.json``.

Every source file is decoded once, cut into its clips, mixed down (unless the dataset is one of stems) and written as 16-bit PCM at the
source's own rate; MIDI files are rendered, recordings are separated into pseudo-stems. Runs in worker processes and resumes an interrupted
run; a bad file is reported with its reason and does not stop the others.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.audio.stems import reading, summing
from jukemir_like.core import records
from jukemir_like.core.atomic import make_folder
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Stage, clean_up, unchanged
from jukemir_like.datasets import registry
from jukemir_like.datasets.dataset import Clip, Dataset, Item, uid_collision, uid_fault
from jukemir_like.datasets.folder.labels import description_lines
from jukemir_like.datasets.meta import WAV_FOLDER, wav_path, write_meta
from jukemir_like.midi import reading as midi
from jukemir_like.midi.rendering import render
from jukemir_like.separation import pseudo_stems

_RECIPE = 2  # raised when the same source would give other samples
_MOST_SKIPPED = 5  # lines about items that are skipped for the same reason


def process(dataset: Dataset, output: Path, *, workers: int = 1, metadata_only: bool = False) -> Summary:
    """Writes ``output/wav/<uid>.wav``, ``output/meta.json`` and ``output/dataset.json``.

    Args:
        dataset: what to process.
        output: folder, created if missing.
        workers: number of processes.
        metadata_only: write no audio.

    Returns:
        Counts of WAV files (without audio: of records), with ``failed`` by uid. Items that failed stay in ``meta.json`` and are named in
        ``dataset.json``.

    Raises:
        RequestError: two items have the same uid, a uid cannot be the name of a file, or none of the audio exists.
        StorageError: ``output`` cannot be written.

    >>> from jukemir_like.datasets import Dataset, Item, Task
    >>> song = Item("song", "train", "pop", Path("song.wav"))
    >>> summary = process(Dataset("mine", {"genre": Task("genre", "multiclass", ("pop", "rock"))}, [song]), Path("processed"))
    >>> summary.done, sorted(path.name for path in Path("processed").glob("[!.]*"))
    (1, ['dataset.json', 'meta.json', 'wav'])
    """
    started = time.perf_counter()
    _check_uids(dataset)
    summary = Summary(f"process {dataset.name}")
    make_folder(output)
    failed = {item.uid: str(item.extra["failed"]) for item in dataset.items if "failed" in item.extra}
    skipped = {item.uid: str(item.extra["skipped"]) for item in dataset.items if "skipped" in item.extra}
    summary.notes += _skipped_lines(skipped)
    if not metadata_only:
        _check_audio(dataset)
        _write_audio(dataset, output, workers, summary)
    wav_files = None if metadata_only else summary.done + summary.kept
    summary.failed = dict(sorted((failed | summary.failed).items()))
    if metadata_only:
        summary.done = len(dataset.items) - len(summary.failed)
        summary.notes.append(f"{len(dataset.items):,} records in meta.json; no audio was asked for")
    summary.notes += dataset.notes
    if dataset.understood is not None:
        summary.notes += description_lines(dataset.understood)
    write_meta(output, dataset, failed=summary.failed, skipped=skipped, metadata_only=metadata_only, wav_files=wav_files)
    summary.seconds = time.perf_counter() - started
    return summary


def _skipped_lines(skipped: Mapping[str, str]) -> list[str]:
    """A line per item; one for all of them where many have the same reason."""
    uids: dict[str, list[str]] = {}
    for uid, reason in skipped.items():
        uids.setdefault(reason, []).append(uid)
    lines = []
    for reason, of_reason in uids.items():
        if len(of_reason) > _MOST_SKIPPED:
            lines.append(f"skipped: {len(of_reason):,} items, such as {printable(of_reason[0])}: {reason}")
        else:
            lines += [f"skipped: {printable(uid)}: {reason}" for uid in of_reason]
    return lines


def _write_audio(dataset: Dataset, output: Path, workers: int, summary: Summary) -> None:
    make_folder(output / WAV_FOLDER)
    stage = Stage(summary, output, "process")
    uids = [item.uid for item in dataset.items]
    clean_up(wav_path(output, uid) for uid in [*uids, "any"])
    stage.remove_others(uids, partial(wav_path, output))
    with_audio = [item for item in dataset.items if item.source is not None]
    # One chunk per source: a worker decodes it once for all of its clips.
    chunks = (
        Chunk(tuple(stage.job(item.uid, wav_path(output, item.uid), _signature(item, dataset.stems)) for item in items), items)
        for items in (list(group) for _, group in groupby(with_audio, key=lambda item: item.source))
    )
    finished = stage.run(partial(_process_source, dataset.stems), chunks, len(with_audio), workers)
    gains = [record["gain"] for record in finished if "gain" in record]
    if gains:
        songs, its = ("1 song", "its") if len(gains) == 1 else (f"{len(gains):,} songs", "their")
        what = "a sum of {} sources" if any(item.separation is None for item in with_audio) else "one of {} channels"
        summary.notes.append(
            f"{songs} turned down as a whole, by up to {-20 * math.log10(min(gains)):.1f} dB: {what.format(its)} exceeded full "
            "scale (gain in .records)"
        )


def _process_source(stems: tuple[str, ...] | None, chunk: Chunk) -> list[Record]:
    """Writes the WAV files of the clips of one source; returns their records. Runs in a worker."""
    started = time.perf_counter()
    item = chunk.source[0]
    source = item.source
    try:
        with unchanged(*_files(source, item)):
            digest = _digest(source, item, stems)
            finished = [job.kept_record(digest) for job in chunk.jobs]
            if all(record is not None for record in finished):
                return [record | {"status": "kept"} for record in finished if record is not None]
            decoded, gain = _decode(source, item, stems)
    except InputError as error:
        return [job.record() | records.failure(error) for job in chunk.jobs]
    written = []
    for job, item in zip(chunk.jobs, chunk.source, strict=True):
        record = job.record(digest=digest) | ({} if gain == 1 else {"gain": gain})
        try:
            clip = _cut(decoded.samples, decoded.sample_rate, item.clip)
            if item.separation is not None:
                record["output_digest"], gain = pseudo_stems.write(job.output, clip[0], decoded.sample_rate, item.separation)
                record |= {} if gain == 1 else {"gain": gain}
            else:
                record["output_digest"] = audio.write_wav(job.output, clip, decoded.sample_rate)
            record["audio_seconds"] = round(clip.shape[1] / decoded.sample_rate, 3)
        except InputError as error:
            record |= records.failure(error)
        written.append(record)
    seconds = round((time.perf_counter() - started) / len(written), 4)
    return [record | {"seconds": seconds} for record in written]


def _files(source: Path, item: Item) -> list[Path]:
    """What is read: the source, or the files that its stems are sums of."""
    return [source] if item.stem_files is None else summing.files_below(source, item.stem_files)


def _digest(source: Path, item: Item, stems: tuple[str, ...] | None) -> str:
    if item.rendering is not None:
        return midi.digest(source)
    if item.stem_files is not None:
        return summing.digest(source, item.stem_files)
    return reading.digest(source, stems) if stems and item.separation is None else audio.digest(source)


def _decode(source: Path, item: Item, stems: tuple[str, ...] | None) -> tuple[audio.Audio, float]:
    """The samples, and the gain that they have been given."""
    if item.rendering is not None:
        rendered = render(source, item.rendering)
        return rendered.audio, rendered.gain
    if item.stem_files is not None:
        summed = summing.decode(source, item.stem_files)
        return summed.audio, summed.gain
    return reading.decode(source, stems) if stems and item.separation is None else audio.decode_mono(source), 1.0


def _cut(samples: Any, sample_rate: int, clip: Clip | None) -> Any:
    """The samples of a clip of ``(channels, samples)``; all of them without a clip."""
    if clip is None:
        return samples
    start = round(clip.clip_offset * sample_rate)
    cut = samples[:, start : start + round(clip.clip_duration * sample_rate)]
    if cut.shape[1] == 0:
        raise InputError(f"the clip starts at {clip.clip_offset:g} s, after the end at {samples.shape[1] / sample_rate:g} s")
    return cut


def _signature(item: Item, stems: tuple[str, ...] | None) -> str:
    """Digest of everything but the bytes of the source that determines the samples of a WAV."""
    clip = None if item.clip is None else [item.clip.clip_offset, item.clip.clip_duration]
    more: list[Any] = [] if item.stem_files is None else [item.stem_files]
    more += [] if item.rendering is None else [item.rendering.signature()]
    more += [] if item.separation is None else [item.separation.to_json()]
    return hashlib.sha256(json.dumps([_RECIPE, clip, stems, *more]).encode()).hexdigest()[:16]


def _check_uids(dataset: Dataset) -> None:
    seen = set()
    for item in dataset.items:
        reason = uid_fault(item.uid)
        if reason is not None:
            raise RequestError(f"uid {_shortened(item.uid)} of {dataset.name} {reason}")
        if item.uid in seen:
            raise RequestError(f"uid {_shortened(item.uid)} is a duplicate in {dataset.name}: every uid must be unique")
        seen.add(item.uid)
    collision = uid_collision(item.uid for item in dataset.items)
    if collision is not None:
        one, other = map(_shortened, collision)
        raise RequestError(f"uids {one} and {other} of {dataset.name} need a file and a folder of one name: give one of them another uid")


def _shortened(uid: str) -> str:
    shown = printable(uid)
    return repr(shown if len(shown) <= 100 else f"{shown[:100]}…")


def _check_audio(dataset: Dataset) -> None:
    """Raises one error where none of a dataset's audio exists, instead of one failure for each of its files."""
    sources = {item.source for item in dataset.items if item.source is not None}
    if sources and not any(source.exists() for source in sources):
        command = f"run `jukemir-like download {registry.assets(dataset.name)}`, or " if registry.is_known(dataset.name) else ""
        raise RequestError(f"no audio of {dataset.name} exists, such as {min(sources)}: {command}give --metadata_only")
