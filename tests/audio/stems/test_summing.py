"""Stems that are sums of files: against sums by NumPy of the very samples that were written."""

import numpy as np
import pytest
import soundfile

from jukemir_like.audio.stems import summing
from jukemir_like.core.errors import InputError

RATE = 8000


@pytest.fixture
def parts(tmp_path):
    """Three files of 16 bits, of different lengths, one in stereo; their samples as floats."""
    random = np.random.default_rng(0)
    values = {}
    for name, shape in (("a.wav", (900,)), ("b.flac", (1000, 2)), ("deep/c.wav", (950,))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        integers = random.integers(-6000, 6000, shape).astype(np.int16)
        soundfile.write(tmp_path / name, integers, RATE, subtype="PCM_16")
        values[name] = (integers.reshape(len(integers), -1).astype(np.float64) / 32768).mean(axis=1)
    return tmp_path, values


def padded(samples, length=1000):
    return np.pad(samples, (0, length - len(samples)))


def test_stems_are_sums_and_those_without_files_silence(parts):
    folder, values = parts
    song = summing.decode(folder, (("a.wav", "b.flac"), (), ("deep/c.wav",)))
    assert (song.audio.samples.shape, song.audio.sample_rate, song.gain) == ((3, 1000), RATE, 1.0)
    np.testing.assert_allclose(song.audio.samples[0], padded(values["a.wav"]) + padded(values["b.flac"]), atol=1e-7)
    assert not song.audio.samples[1].any()
    np.testing.assert_allclose(song.audio.samples[2], padded(values["deep/c.wav"]), atol=1e-7)


def test_the_order_of_shorter_and_longer_files_does_not_matter(parts):
    folder, _ = parts
    one, other = (summing.decode(folder, (names,)).audio.samples for names in (("a.wav", "b.flac"), ("b.flac", "a.wav")))
    np.testing.assert_array_equal(one, other)


def test_what_exceeds_full_scale_is_turned_down_with_all_stems_alike(parts):
    folder, values = parts
    song = summing.decode(folder, (("a.wav",) * 12, ("deep/c.wav",)))
    loud = 12 * values["a.wav"]
    assert np.abs(loud).max() > 1
    assert song.gain == pytest.approx(32767 / 32768 / np.abs(loud).max(), rel=1e-6)
    np.testing.assert_allclose(song.audio.samples[0], song.gain * padded(loud, 950), atol=1e-6)
    np.testing.assert_allclose(song.audio.samples[1], song.gain * values["deep/c.wav"], atol=1e-6)
    assert np.abs(song.audio.samples).max() <= 32767 / 32768 + 1e-7


def test_the_digest_is_of_contents_and_of_the_stem_that_they_are_in(parts):
    folder, _ = parts
    files = (("a.wav", "b.flac"), ("deep/c.wav",))
    before = summing.digest(folder, files)
    assert summing.digest(folder, files) == before
    assert summing.digest(folder, (("a.wav",), ("b.flac", "deep/c.wav"))) != before
    (folder / "a.wav").write_bytes((folder / "deep" / "c.wav").read_bytes())
    assert summing.digest(folder, files) != before


def test_a_file_that_cannot_be_used_is_named(parts):
    folder, _ = parts
    for call in (summing.decode, summing.digest):
        with pytest.raises(InputError, match=r"^stems/S03\.flac "):
            call(folder, (("a.wav", "stems/S03.flac"),))
    (folder / "text.wav").write_text("no audio")
    with pytest.raises(InputError, match=r"^text\.wav "):
        summing.decode(folder, (("text.wav",),))
    soundfile.write(folder / "fast.wav", np.zeros(10), 2 * RATE)
    with pytest.raises(InputError, match="different sample rates: 8000, 16000 Hz"):
        summing.decode(folder, (("a.wav",), ("fast.wav",)))


def test_files_are_each_listed_once(tmp_path):
    assert summing.files_below(tmp_path, (("b", "a"), (), ("b",))) == [tmp_path / "b", tmp_path / "a"]
