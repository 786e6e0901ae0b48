"""MP3s of which libsndfile's estimate, or the encoder's tag, says too little: against ffmpeg, and against the same file unharmed."""

import struct

import numpy as np
import pytest

from jukemir_like import audio
from jukemir_like.audio.stems import finding, reading
from jukemir_like.core.errors import InputError

FRAME = 1152
ID3V2 = b"ID3\x03\0\0\0\0\x0f\x50" + bytes(2000)
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 1000, 0, 0) + bytes(8) + bytes(1000)


def with_count(data, count):
    """The file with another number of frames in its tag."""
    at = (data.find(b"Xing") if b"Xing" in data[:200] else data.index(b"Info")) + 8
    return data[:at] + struct.pack(">I", count) + data[at + 4 :]


@pytest.mark.parametrize("loud_first", [True, False])
@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
@pytest.mark.parametrize(("sample_rate", "channels"), [(44100, 2), (22050, 1), (11025, 2)])
def test_without_a_tag_all_is_decoded(music, mp3, oracle, mode, loud_first, sample_rate, channels):
    data = mp3(music(3, sample_rate, channels, loud_first), sample_rate, mode, tag=False)
    decoded, expected = audio.decode(data), oracle(data, channels)
    assert decoded.samples.shape == expected.shape
    assert decoded.seconds > 2.99
    np.testing.assert_allclose(decoded.samples, expected, atol=2e-5)
    assert np.array_equal(audio.decode_mono(data).samples[0], audio.to_int16(audio.mix_down(decoded.samples)))


@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
@pytest.mark.parametrize("count", [1, 20, 90, 115, 117, 5000, 0xFFFFFFFF])
def test_a_tag_that_is_wrong_costs_nothing(music, mp3, mode, count):
    data = mp3(music(), mode=mode)
    assert with_count(data, 116) == data
    whole, decoded = audio.decode(data).samples, audio.decode(with_count(data, count)).samples
    assert whole.shape == (2, 3 * 44100)
    assert np.array_equal(decoded[:, : whole.shape[1]], whole)
    # Where it says too much nobody knows of the padding at the end.
    assert decoded.shape[1] == whole.shape[1] if count < 116 else whole.shape[1] <= decoded.shape[1] < whole.shape[1] + 2 * FRAME


def test_a_tag_without_a_count_costs_nothing(music, mp3, oracle):
    data = mp3(music())
    decoded = audio.decode(with_count(data, 0)).samples
    assert np.array_equal(decoded, audio.decode(mp3(music(), tag=False)).samples)
    assert decoded.shape == (2, 116 * FRAME)


@pytest.mark.parametrize(
    "between", [b"", ID3V2, ID3V1, ID3V1 + ID3V2, APE, bytes(5000)], ids=["", "ID3v2", "ID3v1", "both", "APE", "zeros"]
)
def test_files_that_were_joined_are_decoded_one_after_another(music, mp3, between):
    parts = [mp3(music(1)), mp3(music(2, seed=1), mode="CONSTANT"), mp3(music(1.5, loud_first=False), mode="AVERAGE")]
    decoded = audio.decode(between.join(parts)).samples
    expected = np.concatenate([audio.decode(part).samples for part in parts], axis=1)
    assert decoded.shape == (2, 44100 * 9 // 2)
    assert np.array_equal(decoded, expected)


def test_files_without_tags_that_were_joined_are_one(music, mp3, oracle):
    data = mp3(music(1), tag=False) + mp3(music(2, loud_first=False), tag=False)
    decoded, expected = audio.decode(data).samples, oracle(data)
    assert decoded.shape == expected.shape
    np.testing.assert_allclose(decoded, expected, atol=2e-5)


@pytest.mark.parametrize("tag", [True, False])
@pytest.mark.parametrize("junk", [b"\0" * 700, b"\xff" * 30000, b"junk" * 3000])
def test_what_follows_junk_is_decoded(music, mp3, tag, junk):
    data = mp3(music(), tag=tag)
    middle = len(data) // 2
    decoded, whole = audio.decode(data[:middle] + junk + data[middle:]).samples, audio.decode(data).samples
    # One frame is damaged, and the next ones that use its bits.
    assert abs(decoded.shape[1] - whole.shape[1]) <= 2 * FRAME
    last = slice(-20000, -3 * FRAME)
    assert any(np.allclose(np.roll(decoded[:, last], shift), whole[:, last], atol=1e-3) or shift for shift in (0,))


def test_a_stream_cut_out_of_another_is_decoded_to_its_end(music, mp3, oracle):
    data = mp3(music(), tag=False)
    cut = data[data.index(data[:2], 8000) :]
    decoded, expected = audio.decode(cut).samples, oracle(cut)
    assert abs(decoded.shape[1] - expected.shape[1]) <= FRAME
    np.testing.assert_allclose(decoded[:, -50000:], expected[:, -50000:], atol=2e-5)


@pytest.mark.parametrize("other", [(22050, 2), (44100, 1), (48000, 2)])
@pytest.mark.parametrize("tag", [True, False])
def test_another_rate_or_other_channels_in_the_middle_are_refused(music, mp3, other, tag):
    data = mp3(music(), tag=tag) + mp3(music(2, *other), other[0], tag=tag)
    with pytest.raises(InputError, match=f"44100 Hz, 2 channels to {other[0]} Hz, {other[1]} channel.*split it"):
        audio.decode(data)


def test_a_file_that_ends_in_the_middle_of_a_frame_is_decoded_up_to_it(music, mp3):
    data = mp3(music())
    whole = audio.decode(data).samples
    for length in (len(data) - 1, len(data) - 300, 30000, 20001):
        decoded = audio.decode(data[:length]).samples
        assert decoded.shape[1] < whole.shape[1] or length > 50000
        assert np.allclose(decoded[:, : decoded.shape[1] - FRAME], whole[:, : decoded.shape[1] - FRAME], atol=1e-6)


@pytest.mark.parametrize("change", ["no tag", "count", "joined"])
def test_stems_are_as_long_as_they_are(tmp_path, monkeypatch, music, mp3, change):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "song").mkdir(parents=True)
    for name in ("bass", "drums", "other", "vocals"):
        data = mp3(music(seed=len(name)), tag=change != "no tag")
        data = {"count": with_count, "joined": lambda data, _: data + data}.get(change, lambda data, _: data)(data, 30)
        (tmp_path / "song" / f"{name}.mp3").write_bytes(data)
    (track,) = finding.find(tmp_path, 4).tracks
    expected = audio.decode(tmp_path / "song" / "drums.mp3").samples
    assert track.frames == expected.shape[1]
    assert np.array_equal(reading.read(track, 0, track.frames)[1], audio.mix_down(expected))
