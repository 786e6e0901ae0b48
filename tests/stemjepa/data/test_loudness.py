"""Peaks of tracks: exact, and measured once."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.audio.stems.reading import read, read_whole
from jukemir_like.core.errors import InputError
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data.loudness import Loudness, _key, column_peaks


@given(st.integers(0, 700), st.integers(1, 9), st.sampled_from([np.int16, np.int32, np.float32]), st.integers(0, 99))
def test_peaks_of_columns_are_those_of_the_plain_formula(frames, stems, kind, seed):
    random = np.random.default_rng(seed)
    if kind is np.float32:
        values, scale = random.normal(size=(frames, stems)).astype(kind), 1
    else:
        limits = np.iinfo(kind)
        values, scale = random.integers(limits.min, limits.max, (frames, stems), dtype=kind, endpoint=True), -float(limits.min)
        values[: frames // 2] = limits.min  # its absolute value is not in the type
    expected = np.abs(values.astype(np.float64)).max(axis=0, initial=0) / scale
    assert np.allclose(column_peaks(values), expected, rtol=1e-12)


def test_peaks_are_of_the_whole_track_and_remembered(folder, write, noise, cache):
    samples = 0.1 * noise(600_000, 3)
    samples[0, 1], samples[1, 300_000], samples[2, -1] = 0.5, -0.25, 0.125
    write("a.wav", samples)
    (track,) = find(folder, 3).tracks
    assert list(Loudness().peaks(track)) == [0.5, 0.25, 0.125]
    journals = list((cache / "stems").rglob("*.jsonl"))
    status = (folder / "a.wav").stat()
    write("a.wav", np.zeros((3, 600_000)))
    os.utime(folder / "a.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(pickle.loads(pickle.dumps(Loudness())).peaks(track)) == [0.5, 0.25, 0.125]  # unchanged by size and time: not read
    os.utime(folder / "a.wav", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert list(Loudness().peaks(track)) == [0, 0, 0]
    assert journals


def test_a_cache_that_cannot_be_written_costs_only_time(folder, write, noise, tmp_path):
    write("a.wav", noise(1000))
    (tmp_path / "file").write_bytes(b"")
    (track,) = find(folder, 4).tracks
    assert np.allclose(Loudness(tmp_path / "file").peaks(track), np.abs(read(track, 0, 1000)).max(axis=1))


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "NaN or infinite"), (-np.inf, "NaN or infinite"), (1e30, r"1e\+30 times full scale"), (-32768, "3.28e.04 times full scale")],
)
def test_samples_that_no_music_has_are_an_error_that_is_remembered(folder, write, noise, value, reason):
    samples = noise(9000)
    samples[3, 7000] = value
    write("a.wav", samples)
    write("b.wav", noise(9000) * 900)  # loud, and finite
    bad, good = find(folder, 4).tracks
    loudness = Loudness()
    assert loudness.refused([bad, good]) == {}  # nothing is measured for it
    for _ in range(2):
        with pytest.raises(InputError, match=reason):
            loudness.peaks(bad)
    assert loudness.peaks(good).max() > 400
    with pytest.raises(InputError, match=reason):
        read_whole(bad, 16000)
    assert list(Loudness().refused([bad, good])) == ["a"]
    with pytest.raises(InputError, match=reason):
        Loudness().peaks(bad)


def test_a_peak_that_an_earlier_version_remembered_is_checked_too(folder, write, noise):
    samples = noise(900)
    samples[0, 5] = 1e30
    write("a.wav", samples)
    (track,) = find(folder, 4).tracks
    loudness = Loudness()
    loudness._store(_key(track), [1e30, 0.5, 0.5, 0.5])
    with pytest.raises(InputError, match="times full scale"):
        loudness.peaks(track)
