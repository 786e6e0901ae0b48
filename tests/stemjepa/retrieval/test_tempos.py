"""Tempos by rhythm: clicks and noise bursts of known tempo, and the autocorrelation against its definition."""

import numpy as np
import pytest
import soundfile

from jukemir_like.core.errors import RequestError
from jukemir_like.deform.key_and_tempo import Change
from jukemir_like.stemjepa.retrieval import library, tempos

RATE = 16000
LONG = (1, 0, 1, 1, 0, 1, 0, 0)
OTHER = (1, 1, 0, 1, 0, 0, 1, 0)


def beat(bpm, pattern=LONG, seconds=20.0, seed=0):
    """Bursts of noise on the eighths of a pattern of 4/4."""
    random = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * RATE), np.float32)
    eighth = 30 / bpm
    for number in range(int(seconds / eighth)):
        start = round(number * eighth * RATE)
        if pattern[number % len(pattern)] and start + 800 < len(samples):
            samples[start : start + 800] += random.uniform(-0.4, 0.4, 800) * np.linspace(1, 0, 800)
    return samples


@pytest.mark.parametrize("percent", [-9.0, -3.3, 0.0, 0.7, 5.0])
def test_the_tempo_of_another_pattern_is_found(percent):
    mix, stem = beat(100 * (1 + percent / 100), OTHER, seed=1), beat(100)
    assert tempos.percent_faster(tempos.rhythm(mix, RATE), tempos.rhythm(stem, RATE), 10) == pytest.approx(percent, abs=0.21)


def test_where_no_tempo_fits_there_is_none():
    mix, noise = tempos.rhythm(beat(100), RATE), np.random.default_rng(0).normal(0, 0.1, 20 * RATE)
    hum = 0.1 * np.sin(2 * np.pi * 110 * np.arange(20 * RATE) / RATE)
    for stem in (noise, hum, np.zeros(20 * RATE), beat(117), beat(100, seconds=2), np.ones(1)):
        assert tempos.percent_faster(mix, tempos.rhythm(np.asarray(stem, np.float32), RATE), 5) is None
    assert tempos.percent_faster(tempos.rhythm(np.zeros(20 * RATE, np.float32), RATE), mix, 5) is None


def test_the_rhythm_is_the_autocorrelation_of_onsets(monkeypatch):
    samples = beat(100, seconds=3)
    onsets = tempos._onsets(samples, RATE)
    centred = onsets - np.array([np.r_[np.zeros(50), onsets, np.zeros(50)][n : n + 101].sum() / 101 for n in range(len(onsets))])
    slow = [np.mean(centred[lag:] * centred[: len(centred) - lag]) for lag in range(len(centred) // 2)]
    assert tempos.rhythm(samples, RATE) == pytest.approx(slow, abs=1e-9)
    assert 57 <= np.flatnonzero(onsets > onsets.max() / 2)[0] <= 61  # the third eighth, after 0.6 s
    monkeypatch.setattr(tempos, "_BLOCK", 7)
    assert tempos._onsets(samples, RATE) == pytest.approx(onsets, abs=1e-5)


def test_of_a_long_file_the_middle_counts(monkeypatch):
    monkeypatch.setattr(tempos, "SECONDS", 10)
    long = np.concatenate([beat(140, seconds=10), beat(100, seconds=10), beat(140, seconds=10)])
    assert np.array_equal(tempos.rhythm(long, RATE), tempos.rhythm(beat(100, seconds=10), RATE))


def test_files_that_were_found_get_their_tempo_or_the_reason_why_not(tmp_path):
    soundfile.write(tmp_path / "slow.wav", beat(100), RATE)
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 20 * RATE), RATE)
    (tmp_path / "text.wav").write_text("text")
    paths = ["slow.wav", "noise.wav", "text.wav", "removed.wav"]
    matches = [library.Match(rank, 0.5, path, change=Change(2)) for rank, path in enumerate(paths, 1)]
    fitted, failed = tempos.fit(matches, tmp_path, beat(104, OTHER), RATE, 6)
    assert [match.path for match in fitted] == paths
    assert fitted[0].change.semitones == 2
    assert fitted[0].change.tempo_percent == pytest.approx(4, abs=0.21)
    assert [match.tempo_unknown for match in fitted] == [False, True, True, True]
    assert sorted(failed) == ["removed.wav", "text.wav"]
    assert "no such file" in failed["removed.wav"].lower()
    for limit in (0, 11):
        with pytest.raises(RequestError, match="give 1 to 10"):
            tempos.fit(matches, tmp_path, beat(100), RATE, limit)
