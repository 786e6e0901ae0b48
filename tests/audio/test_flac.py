"""FLACs whose header gives no length, or a wrong one, and such as were joined."""

import struct

import numpy as np
import pytest

from jukemir_like import audio
from jukemir_like.audio import flac
from jukemir_like.audio.stems import finding, reading
from jukemir_like.core.errors import InputError

FRAMES = 20000


@pytest.fixture(scope="module", params=[("PCM_16", 1), ("PCM_16", 2), ("PCM_24", 2), ("PCM_S8", 1)])
def original(request, music, encoded):
    """Bytes, and samples as libsndfile decodes them."""
    subtype, channels = request.param
    data = encoded(music(FRAMES / 44100, channels=channels), "FLAC", subtype)
    return data, audio.decode(data).samples


def with_total(data, total, at=0):
    (field,) = struct.unpack_from(">Q", data, at + 18)
    return data[: at + 18] + struct.pack(">Q", field >> 36 << 36 | total) + data[at + 26 :]


@pytest.mark.parametrize("total", [0, 1, 4095, 4096, 8192, 19999, 20000])
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125)], ids=["", "ID3v1"])
def test_all_frames_are_decoded_whatever_the_header_says(original, total, behind):
    data, samples = original
    assert np.array_equal(audio.decode(with_total(data, total) + behind).samples, samples)


@pytest.mark.parametrize("total", [20001, 24576, 2**36 - 1])
def test_fewer_samples_than_the_header_says_are_refused(original, total):
    with pytest.raises(InputError, match=f"cut short: 20,000 of {total:,} samples"):
        audio.decode(with_total(original[0], total))


def test_a_cut_file_without_a_length_is_refused(original):
    data = with_total(original[0], 0)
    with pytest.raises(InputError, match="does not say how long it is"):
        audio.decode(data[:-500])


@pytest.mark.parametrize("totals", [(20000, 20000), (0, 20000), (20000, 0), (0, 0)])
def test_files_that_were_joined_are_decoded_one_after_another(original, totals):
    data, samples = original
    joined = b"".join(with_total(data, total) for total in totals)
    assert np.array_equal(audio.decode(joined).samples, np.concatenate([samples, samples], axis=1))


def test_joined_files_of_other_rates_are_refused(music, encoded):
    data = encoded(music(0.5), "FLAC") + encoded(music(0.5, 22050, 1), "FLAC", sample_rate=22050)
    with pytest.raises(InputError, match=r"44100 Hz with 2 channels and 22050 Hz with 1 channel\): split it"):
        audio.decode(data)


def test_a_tag_before_the_file_is_passed_over(original):
    data, samples = original
    assert np.array_equal(audio.decode(b"ID3\x03\0\0\0\0\0\x64" + bytes(100) + with_total(data, 0)).samples, samples)


def test_stems_of_a_stream_are_read(tmp_path, monkeypatch, original):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    data, samples = original
    (tmp_path / "data").mkdir()
    if len(samples) < 2:
        return
    (tmp_path / "data" / "a.flac").write_bytes(with_total(data, 0))
    (tmp_path / "data" / "b.flac").write_bytes(data)
    first, second = finding.find(tmp_path / "data", 2, declared=("low", "high")).tracks  # or stereo would not be taken for stems
    assert first.frames == second.frames == FRAMES
    assert np.array_equal(reading.read(first, 0, FRAMES), samples)
    assert np.array_equal(reading.read(second, 0, FRAMES), samples)


def test_checksums_are_those_that_are_published():
    # Remainders of "123456789" by the catalogue of parametrised CRC algorithms: CRC-8/SMBUS and CRC-16/UMTS
    assert flac._crc(b"123456789", 8, 0x07) == 0xF4
    assert flac._crc(b"123456789", 16, 0x8005) == 0xFEE8
