"""Reading stems: a random chunk beside the plain read of its bytes and beside decoding up to it; and what the loader gives."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SECONDS, SAMPLE_RATE, CHUNK_SECONDS = 180, 44100, 8
CHUNKS = 41
SONGS, SONG_SECONDS, SONG_RATE = 64, 30, 22050
BATCH, BATCHES = 32, 40


def section() -> str:
    """Markdown of the figures."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **one_thread, "JUKEMIR_LIKE_CACHE_DIR": folder}
        command = [sys.executable, "-m", "bench.stems", "measure", folder]
        found = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout)
    chunk, plain = found["chunk"], found["chunk"]["bytes"]
    lines = [
        "## Stems",
        "",
        f"| a random chunk of {CHUNK_SECONDS} s, 4 channels, 16 bits, {SAMPLE_RATE:,} Hz, of {SECONDS} s | ms | times the plain read |",
        "|---|---|---|",
    ]
    names = {
        "bytes": "one seek and one read of its bytes",
        "frames": "**its samples, as training reads them** (int16)",
        "float": "`stems.read`: the same as float32",
        "soundfile": "soundfile: seek and read as float32",
        "decoded": f"{found['decoder']}: decoded from the start of the file to the end of the chunk",
    }
    lines += [f"| {text} | {1000 * chunk[name]:.2f} | {chunk[name] / plain:.2f} |" for name, text in names.items()]
    lines += [
        "",
        f"Medians of {CHUNKS} chunks at random places, each read in turn in all ways, from the page cache. Decoding "
        f"takes **{chunk['decoded'] / chunk['frames']:.0f} times** as long as reading the samples, "
        f"{chunk['decoded'] / chunk['float']:.0f} times as long as reading them as float32.",
        "",
        "| examples: chunks of 4 s, mixed at 22,050 Hz, resampled to 16 kHz | examples a second |",
        "|---|---|",
        *(f"| {name} | {rate:,.0f} |" for name, rate in found["loader"].items()),
        "",
        f"{SONGS} songs of {SONG_SECONDS} s, batches of {BATCH}, the workers' start and the first {BATCHES // 4} batches left out.",
        "",
        f"Finding {found['found']:,} files: {found['find']:.1f} s with one worker, in the page cache.",
    ]
    return "\n".join(lines)


def _measure(folder: Path) -> dict[str, object]:
    decoder, chunk = _chunk(folder)
    count, seconds = _find(folder)
    return {"decoder": decoder, "chunk": chunk, "loader": _loader(folder / "songs"), "found": count, "find": seconds}


def _song(path: Path, seconds: float, rate: int, seed: int) -> Path:
    import numpy as np
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-8000, 8000, (round(seconds * rate), 4), dtype=np.int16)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def _chunk(folder: Path) -> tuple[str, dict[str, float]]:
    """The name of the decoder, and seconds by way of reading."""
    import numpy as np
    import soundfile

    from jukemir_like.audio.stems.reading import read, read_frames
    from jukemir_like.stemjepa.data.finding import find

    path = _song(folder / "long" / "song.wav", SECONDS, SAMPLE_RATE, 0)
    (track,) = find(path.parent, 4).tracks
    frames = CHUNK_SECONDS * SAMPLE_RATE

    def plain(first: int) -> None:
        with open(path, "rb", buffering=0) as file:
            file.seek(44 + 8 * first)
            file.read(8 * frames)

    def by_soundfile(first: int) -> None:
        with soundfile.SoundFile(path) as file:
            file.seek(first)
            file.read(frames, dtype="float32", always_2d=True)

    decoder, decode = _decoder(path, frames)
    ways: dict[str, Callable[[int], object]] = {
        "bytes": plain,
        "frames": lambda first: read_frames(track, first, frames),
        "float": lambda first: read(track, first, frames),
        "soundfile": by_soundfile,
        "decoded": decode,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for first in np.random.default_rng(0).integers(0, track.frames - frames, CHUNKS + 2):
        for name, way in ways.items():
            started = time.perf_counter()
            way(int(first))
            taken[name].append(time.perf_counter() - started)
    return decoder, {name: statistics.median(times[2:]) for name, times in taken.items()}


def _decoder(path: Path, frames: int) -> tuple[str, Callable[[int], object]]:
    """What decodes from the start: PyAV where it is installed, else ffmpeg, else libsndfile."""
    try:
        import av
    except ImportError:
        pass
    else:

        def by_av(first: int) -> None:
            done = 0
            with av.open(str(path)) as container:
                for frame in container.decode(audio=0):
                    frame.to_ndarray()
                    done += frame.samples
                    if done >= first + frames:
                        break

        return "PyAV", by_av
    program = shutil.which("ffmpeg")
    if program:
        until = [program, "-v", "error", "-i", str(path), "-f", "f32le", "-t"]
        return "ffmpeg (PyAV is not installed)", lambda first: subprocess.run(
            [*until, f"{(first + frames) / SAMPLE_RATE}", "-"], stdout=subprocess.DEVNULL, check=True
        )
    import soundfile

    def in_blocks(first: int) -> None:
        with soundfile.SoundFile(path) as file:
            for start in range(0, first + frames, 1024):
                file.read(min(1024, first + frames - start), dtype="float32", always_2d=True)

    return "libsndfile in blocks of 1,024 frames (neither PyAV nor ffmpeg is installed)", in_blocks


def _find(folder: Path) -> tuple[int, float]:
    """How many files, and the seconds that finding them takes."""
    from jukemir_like.stemjepa.data.finding import find

    number = 5000
    for index in range(number):
        _song(folder / "many" / f"{index:05d}.wav", 0.5, 8000, index)
    started = time.perf_counter()
    find(folder / "many", 4)
    return number, time.perf_counter() - started


def _loader(folder: Path) -> dict[str, float]:
    """Examples a second, by who reads and what is changed."""
    from jukemir_like.stemjepa import config
    from jukemir_like.stemjepa.data.examples import Examples
    from jukemir_like.stemjepa.data.finding import find
    from jukemir_like.stemjepa.data.loading import loader
    from jukemir_like.stemjepa.data_settings import Augmentation, Data

    for index in range(SONGS):
        _song(folder / f"{index}.wav", SONG_SECONDS, SONG_RATE, index)
    tracks = find(folder, 4).tracks
    model = config.Model(encoder=config.Encoder("tiny", chunk_seconds=4.0, patch_frames=8))
    rates = {}
    changed = Augmentation(level_db=6, eq_db=6, pitch_semitones=1)
    for name, augmentation, workers in (
        ("this process", Augmentation(), 0),
        ("two workers", Augmentation(), 2),
        ("this process; level, EQ and pitch changed", changed, 0),
        ("two workers; level, EQ and pitch changed", changed, 2),
    ):
        examples = Examples(tracks, Data(augmentation=augmentation), model, 0)
        left_out, started = BATCHES // 4, 0.0
        for number, _ in enumerate(loader(examples, batch_size=BATCH, batches=BATCHES, workers=workers), 1):
            if number == left_out:
                started = time.perf_counter()
        rates[name] = (BATCHES - left_out) * BATCH / (time.perf_counter() - started)
    return rates


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[2]))) if sys.argv[1:2] == ["measure"] else section())
