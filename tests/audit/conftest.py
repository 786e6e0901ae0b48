"""Small pieces of music, and processed datasets in the documented format."""

import io

import numpy as np
import pytest
import soundfile

from jukemir_like import audio
from jukemir_like.audit import fingerprints
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache

SAMPLE_RATE = 22050


def tune(seed, seconds=12.0, sample_rate=SAMPLE_RATE):
    """Chords of decaying harmonics on one scale, with noises as drums: the same band every time, another piece for every seed."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    samples = np.zeros(len(time))
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    start = 0.0
    while start < seconds:
        place = slice(round(start * sample_rate), round((start + 1.5) * sample_rate))
        rest = time[place] - start
        for step in random.choice(scale, 3, replace=False):
            pitch = 220 * 2 ** (step / 12)
            note = sum(np.sin(2 * np.pi * pitch * overtone * rest) / overtone for overtone in range(1, 6))
            samples[place] += 0.08 * note * np.exp(-4 * rest)
        samples[place] += 0.1 * random.standard_normal(len(rest)) * np.exp(-30 * rest)
        start += random.choice([0.2, 0.3, 0.4])
    return samples.astype(np.float32)


def mp3(samples, sample_rate=SAMPLE_RATE):
    """Encoded at 64 kbit/s and decoded again."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="MP3", bitrate_mode="CONSTANT", compression_level=0.6)
    assert 60_000 < 8 * len(file.getvalue()) / (len(samples) / sample_rate) < 68_000
    return soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")[0]


def codes_of(samples, sample_rate=SAMPLE_RATE):
    """The fingerprint of a 16-bit WAV of ``samples``."""
    rounded = audio.to_int16(samples).astype(np.float32) / 32768
    return fingerprints.fingerprint(audio.resample(rounded, sample_rate, fingerprints.SAMPLE_RATE))


def write_dataset(folder, records, *, tasks=None, group=None, samples=None, **more):
    """``dataset.json``, ``meta.json`` and ``wav/``: uid → record, uid → samples at 22,050 Hz. Returns the cache and the dataset's name."""
    processed = Cache(folder).processed("d")
    tasks = tasks or {"genre": {"type": "multiclass", "labels": ["jazz", "rock"], "primary_metric": "accuracy"}}
    description = {"name": "d", "tasks": tasks, "group": group, "stems": None, "failed": {}, "sources": {}, "versions": {}}
    write_json(processed / "dataset.json", description | more)
    write_json(processed / "meta.json", records)
    for uid, one in (samples or {}).items():
        audio.write_wav(processed / "wav" / f"{uid}.wav", one, SAMPLE_RATE)
    return Cache(folder), "d"


@pytest.fixture(scope="session", name="tune")
def tune_fixture():
    return tune


@pytest.fixture(scope="session", name="mp3")
def mp3_fixture():
    return mp3


@pytest.fixture(scope="session", name="codes_of")
def codes_of_fixture():
    return codes_of


@pytest.fixture
def dataset(tmp_path):
    """A function that writes a processed dataset: ``dataset({uid: record}, samples={uid: array}, …)``; returns its cache."""
    return lambda records, **more: write_dataset(tmp_path / "cache", records, **more)[0]


@pytest.fixture(scope="session")
def record():
    """A function that makes a record of ``meta.json``."""
    return lambda split, y="jazz", **extra: {"split": split, "y": y, "extra": extra}
