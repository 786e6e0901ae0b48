"""Peaks of tracks: exact, and measured once."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.errors import InputError
from jukemir_like.stemjepa import stems
from jukemir_like.stemjepa.stems.loudness import Loudness, column_peaks


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
    (track,) = stems.find(folder, 3).tracks
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
    (track,) = stems.find(folder, 4).tracks
    assert np.allclose(Loudness(tmp_path / "file").peaks(track), np.abs(stems.read(track, 0, 1000)).max(axis=1))


def test_samples_that_are_not_finite_are_an_error(folder, write, noise):
    samples = noise(9000)
    samples[3, 7000] = np.nan
    write("a.wav", samples)
    (track,) = stems.find(folder, 4).tracks
    with pytest.raises(InputError, match="NaN or infinite"):
        Loudness().peaks(track)
