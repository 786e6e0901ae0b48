"""Sounds to measure: chords of harmonics at a random tuning, and everything a folder of audio may hold besides."""

import warnings

import numpy as np
import pytest

RATE = 22050


def chords(seed, seconds=6.0, sample_rate=RATE, samples=None, noise=0.02):
    """Random chords of decaying harmonics, all off 440 Hz by the same random part of a semitone, and a little noise; float32, peak 0.7."""
    random = np.random.default_rng(seed)
    samples = samples or round(seconds * sample_rate)
    music = noise * random.standard_normal(samples)
    detuning = random.uniform(-0.5, 0.5)
    begin = 0
    while begin < samples:
        end = min(samples, begin + round(sample_rate * random.uniform(0.2, 1.0)))
        time = np.arange(end - begin) / sample_rate
        root = random.integers(36, 66)
        for interval in random.choice([0, 3, 4, 7, 10, 12, 16, 19], 4, replace=False):
            frequency = 440 * 2 ** ((root + interval + detuning - 69) / 12)
            for harmonic in range(1, random.integers(3, 12)):
                if harmonic * frequency < sample_rate / 2:
                    wave = np.sin(2 * np.pi * harmonic * frequency * time + random.uniform(0, 2 * np.pi))
                    music[begin:end] += random.uniform(0.3, 1) / harmonic * np.exp(-random.uniform(0.2, 4) * time) * wave
        begin = end
    return (0.7 * music / np.abs(music).max()).astype(np.float32)


def all_sounds():
    random = np.random.default_rng(99)
    time = np.arange(5 * RATE) / RATE
    silence = np.zeros(4 * RATE)
    sounds = {f"chords {seed}": chords(seed) for seed in range(6)}
    sounds |= {
        "30 s": chords(30, seconds=30),
        "odd length": chords(7, samples=77_777),
        "one sample short of a frame": chords(8, samples=100 * 512 - 1),
        "three frames": chords(9, samples=1024),
        "shorter than a frame": chords(10, samples=1501),
        "one window": chords(11, samples=2048),
        "white noise": random.standard_normal(len(time)),
        "sweep": np.sin(2 * np.pi * (20 * time + 1000 * time**2)),
        "silence": silence,
        "digital silence around": np.concatenate([silence, chords(12, seconds=3), silence, silence]),
        "click": np.eye(1, len(time), 5000)[0],
        "least significant bits": random.integers(-1, 2, len(time)) / 32768,
        "clipped": np.clip(5 * chords(13), -1, 1),
        "offset": 0.6 + 0.2 * chords(14),
        "constant": np.full(len(time), 0.5),
        "highest frequency": np.tile([0.5, -0.5], len(time) // 2),
        "above the highest octave": np.sin(2 * np.pi * 9000 * time),
        "below the lowest octave": np.sin(2 * np.pi * 21 * time),
        "quiet": 1e-7 * chords(15),
        "very quiet": 1e-30 * chords(16),
        "loud": 1e6 * chords(17),
    }
    return {name: np.asarray(samples, np.float32) for name, samples in sounds.items()}


SOUNDS = all_sounds()


@pytest.fixture(params=SOUNDS, scope="module")
def sound(request):
    """Each of the sounds in turn."""
    return SOUNDS[request.param]


@pytest.fixture(scope="session")
def make_chords():
    """The function :func:`chords`."""
    return chords


@pytest.fixture(scope="session")
def by_librosa():
    """A function from a clip to its vector by librosa alone, as the paper's code did it: ``by_librosa("chroma", clip)``."""
    import librosa

    def vector(name, clip):
        peak = np.abs(clip).max()
        clip = clip / peak if peak > 0 else clip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of silence and of clips shorter than a window
            if name == "chroma":
                features = librosa.feature.chroma_cqt(y=clip, sr=RATE, hop_length=512, n_chroma=12)
            else:
                features = librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=20, hop_length=512)
        differences = [np.diff(features, n=order, axis=1) for order in range(3)]
        return np.concatenate([moment(difference, axis=1) for difference in differences for moment in (np.mean, np.std)])

    return vector


@pytest.fixture(scope="session")
def relative_error():
    """A function: the distance of two vectors over the length of the second (the distance itself where that is 0)."""

    def error(found, expected):
        return np.linalg.norm(found - expected) / (np.linalg.norm(expected) or 1)

    return error
