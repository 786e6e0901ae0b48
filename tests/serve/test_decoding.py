import time

import numpy as np
import pytest
import soundfile

from jukemir_like.core import workers
from jukemir_like.serve import decoding
from jukemir_like.serve.refusals import RefusedError


def test_of_any_rate_and_channels(tmp_path, write_audio):
    samples = write_audio(tmp_path / "mix.wav", seconds=3, sample_rate=48000, channels=6, subtype="FLOAT")
    decoded = decoding.decode(decoding.Request([tmp_path / "mix.wav"], 48000))
    assert decoded.channels == 6
    np.testing.assert_allclose(decoded.samples, samples.mean(1), atol=1e-6)


def test_a_sum_is_as_long_as_the_longest(tmp_path, write_audio):
    long = write_audio(tmp_path / "a.wav", seconds=3, seed=1, subtype="FLOAT")[:, 0]
    short = write_audio(tmp_path / "b.wav", seconds=2, seed=2, subtype="FLOAT")[:, 0]
    decoded = decoding.decode(decoding.Request([tmp_path / "a.wav", tmp_path / "b.wav"], 22050))
    long[: len(short)] += short
    np.testing.assert_allclose(decoded.samples, long, atol=1e-6)


def test_no_audio(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no audio" * 100)
    with pytest.raises(RefusedError, match=r"the mix cannot be decoded as audio .*: give a mix in an audio file") as caught:
        decoding.decode(decoding.Request([tmp_path / "a.wav"], 16000))
    assert caught.value.status == 422


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """Two hours of zeros, in less than a megabyte."""
    path = tmp_path_factory.mktemp("bomb") / "zeros.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(120):
            file.write(np.zeros(60 * 8000, np.int16))
    assert path.stat().st_size < 1 << 20
    return path


def test_hours_are_refused_by_the_header(bomb):
    with pytest.raises(RefusedError, match="has 120 minutes, and the longest that is taken has 20"):
        decoding.decode(decoding.Request([bomb], 16000))


@pytest.fixture
def forked(monkeypatch):
    """What is replaced here is replaced in the decoder's process too, also beside the thread that waits for the browser of other tests."""
    monkeypatch.setattr(workers.threading, "active_count", lambda: 1)


@pytest.mark.usefixtures("forked")
def test_a_bomb_is_stopped_by_the_limit_of_memory(bomb, monkeypatch):
    monkeypatch.setattr(decoding, "_refuse_long", lambda _: None)  # as if the header lied
    with pytest.raises(RefusedError, match=r"is too long|out of memory"):
        decoding.decode(decoding.Request([bomb], 16000, memory=64 << 20))


@pytest.mark.usefixtures("forked")
def test_a_hang_is_ended(tmp_path, monkeypatch, write_audio):
    write_audio(tmp_path / "a.wav")
    monkeypatch.setattr(decoding.audio, "decode", lambda _: time.sleep(3600))
    with pytest.raises(RefusedError, match=r"could not be decoded within 0\.3 s"):
        decoding.decode(decoding.Request([tmp_path / "a.wav"], 16000, time=0.3))


def test_silence_is_said(client, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    assert client.give(tmp_path / "silent.wav") == (422, {"error": "the mix is silent: give one that sounds"})


def test_only_audio_by_name_and_content(client, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    assert client.give(tmp_path / "a.txt")[0] == 415
    assert client.give(tmp_path / "a.txt", "a.wav")[0] == 422
    assert client.json("GET", "stems")[0] == 200
