"""Chains of Ogg streams: each is decoded, one after another."""

import io
import struct

import numpy as np
import pytest
import soundfile

from jukemir_like import audio
from jukemir_like.core.errors import InputError


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 44100), ("VORBIS", 22050), ("OPUS", 48000)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [2, 3])
def test_all_links_of_a_chain_are_decoded(music, encoded, subtype, rate, channels, count):
    links = [encoded(music(1 + seed / 10, rate, channels, seed=seed), "OGG", subtype, rate) for seed in range(count)]
    parts = [audio.decode(link).samples for link in links]
    decoded = audio.decode(b"".join(links))
    assert decoded.sample_rate == rate
    assert decoded.samples.shape[1] == sum(round((1 + seed / 10) * rate) for seed in range(count))
    assert np.array_equal(decoded.samples, np.concatenate(parts, axis=1))


def test_as_many_samples_come_as_ffmpeg_decodes(music, encoded, oracle):
    chain = encoded(music(1), "OGG", "VORBIS") + encoded(music(2, seed=1), "OGG", "VORBIS")
    # ffmpeg drops what the second link begins with, a block that only prepares the next.
    assert abs(audio.decode(chain).samples.shape[1] - oracle(chain).shape[1]) <= 1024


@pytest.mark.parametrize("other", [("VORBIS", 22050, 2), ("VORBIS", 44100, 1), ("OPUS", 48000, 2)])
def test_links_that_do_not_fit_together_are_refused(music, encoded, other):
    subtype, rate, channels = other
    chain = encoded(music(1), "OGG", "VORBIS") + encoded(music(1, rate, channels), "OGG", subtype, rate)
    with pytest.raises(InputError, match=f"several streams .*44100 Hz with 2 channels and {rate} Hz with {channels} channel.*split it"):
        audio.decode(chain)


def test_a_chain_of_stems_is_read_to_its_end(tmp_path, monkeypatch, music, encoded):
    from jukemir_like.audio.stems import finding, reading

    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    data = encoded(music(1), "OGG", "VORBIS")
    (tmp_path / "data" / "a.ogg").write_bytes(data + data)
    (track,) = finding.find(tmp_path / "data", 2, declared=("low", "high")).tracks  # or stereo would not be taken for stems
    assert track.frames == 88200
    assert np.array_equal(reading.read(track, 0, 88200), audio.decode(data + data).samples)


def checksum(page):
    """RFC 3533: the polynomial 0x04C11DB7, of the page with zeros in the place of the checksum."""
    remainder = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder & 0x80000000 else 0)) & 0xFFFFFFFF
    return struct.pack("<I", remainder)


def test_positions_that_begin_below_zero_are_no_damage(music, encoded):
    """Real soundtracks have them: the first page of sound ends below zero, which once was read as a huge position."""
    data = encoded(music(8.0), "OGG", "VORBIS")
    starts = [start for start in range(len(data)) if data.startswith(b"OggS", start)]
    pages = [bytearray(data[start:end]) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    (first,) = [page for page in pages if struct.unpack_from("<q", page, 6)[0] > 0][:1]
    first[6:14] = struct.pack("<q", -1024)
    first[22:26] = checksum(first)
    shifted = b"".join(map(bytes, pages))
    expected, _ = soundfile.read(io.BytesIO(shifted), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(audio.decode(shifted).samples, expected.T)
