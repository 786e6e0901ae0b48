"""Files and arrays as waveforms, beside soundfile's own samples."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like.core.errors import InputError
from jukemir_like.stemjepa import clips

RATE = 16000
SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def test_files_and_arrays_are_mono_float_samples_in_their_order(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([SAMPLES, SAMPLES / 2], 1), RATE, subtype="FLOAT")
    mono = soundfile.read(tmp_path / "a.wav", dtype="float32")[0].mean(1)
    found = list(clips.read_waveforms([tmp_path / "a.wav", SAMPLES.astype(np.float64), str(tmp_path / "a.wav")], RATE, RATE))
    assert [waveform.dtype for waveform in found] == [np.float32] * 3
    for waveform, expected in zip(found, (mono, SAMPLES, mono), strict=True):
        np.testing.assert_allclose(waveform, expected, atol=1e-6)


def test_the_rate_given_is_that_of_arrays_alone(tmp_path):
    soundfile.write(tmp_path / "a.wav", SAMPLES, 48000, subtype="FLOAT")
    from_file, from_array = clips.read_waveforms([tmp_path / "a.wav", SAMPLES], RATE, 32000)
    assert (len(from_file), len(from_array)) == (-(-RATE // 3), RATE // 2)


def test_clips_are_read_when_they_are_needed(tmp_path):
    found = clips.read_waveforms([SAMPLES, tmp_path / "none.wav"], RATE, RATE)
    assert len(next(found)) == RATE
    with pytest.raises(InputError, match=r"none\.wav cannot be read"):
        next(found)


@pytest.mark.parametrize("one", ["song.wav", Path("song.wav"), SAMPLES])
def test_one_clip_is_a_sequence_of_one(one):
    assert clips.as_sequence(one) == [one]
    assert clips.as_sequence([one, one]) == [one, one]


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (np.zeros(0, np.float32), "clip 1 holds no samples"),
        (np.array([0.1, np.nan], np.float32), "clip 1 holds samples that are NaN or infinite"),
        (np.array([0.1, np.inf], np.float32), "clip 1 holds samples that are NaN or infinite"),
        (np.zeros((2, 100), np.float32), "give mono float samples"),
        (np.zeros(100, np.int16), "give mono float samples"),
        ("no/such.wav", r"no/such\.wav cannot be read \(no such file"),
    ],
)
def test_audio_that_is_none_is_one_line_that_says_which(clip, reason):
    with pytest.raises(InputError, match=reason) as caught:
        list(clips.read_waveforms([SAMPLES, clip], RATE, RATE))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_audio_is_named(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"not audio")
    with pytest.raises(InputError, match=r"x\.wav cannot be decoded"):
        next(clips.read_waveforms([tmp_path / "x.wav"], RATE, RATE))
