"""Front-ends of pretrained encoders beside the feature extractors of ``transformers``, and librosa."""

from pathlib import Path

import librosa
import numpy as np
import pytest

from jukemir_like.encoders import log_mel

transformers = pytest.importorskip("transformers")
FIXTURES = Path(__file__).parents[1] / "fixtures"


def clip(seconds, sample_rate, seed=0):
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.05 * random.standard_normal(len(time)) + 0.01).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.03, 1.7])
def test_normalisation_is_that_of_wav2vec2(seconds):
    samples = clip(seconds, 16000)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    expected = extractor(samples, sampling_rate=16000, return_tensors="np").input_values[0]
    np.testing.assert_allclose(log_mel.normalised(samples), expected, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.03, 4.1, 30])
def test_whisper(seconds):
    samples = clip(seconds, 16000)
    expected = transformers.WhisperFeatureExtractor()(samples, sampling_rate=16000, return_tensors="np").input_features[0]
    np.testing.assert_allclose(log_mel.whisper(samples, 480000), expected, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.03, 3.3, 9.9, 10])
def test_clap(seconds):
    samples = clip(seconds, 48000)
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad", frequency_min=50, frequency_max=14000)
    expected = extractor(samples, sampling_rate=48000, return_tensors="np").input_features[0, 0]
    np.testing.assert_allclose(log_mel.clap(samples, 480000), expected, atol=1e-3)


@pytest.mark.parametrize("seconds", [0.025, 2.3, 10.24])
def test_kaldi_as_the_audio_spectrogram_transformer_has_it(seconds):
    samples = clip(seconds, 16000)
    extractor = transformers.ASTFeatureExtractor(do_normalize=False)
    expected = extractor(samples, sampling_rate=16000, return_tensors="np").input_values[0]
    made = log_mel.kaldi(samples, 128, "hann")
    np.testing.assert_allclose(made, expected[: len(made)], atol=1e-3)
    assert not expected[len(made) :].any()


def test_kaldi_as_wav2vec2_bert_has_it():
    samples = clip(2.335, 16000)  # an even number of frames
    expected = transformers.SeamlessM4TFeatureExtractor()(samples, sampling_rate=16000, return_tensors="np").input_features[0]
    frames = log_mel.kaldi(samples * 2**15, 80, "povey")
    made = (frames - frames.mean(axis=0)) / np.sqrt(frames.var(axis=0, ddof=1) + 1e-7)
    np.testing.assert_allclose(made.reshape(-1, 160), expected, atol=1e-3)


def test_torchaudio_beside_librosa():
    samples = clip(1.0, 24000)
    power = librosa.feature.melspectrogram(
        y=samples, sr=24000, n_fft=2048, hop_length=240, n_mels=128, htk=True, norm=None, pad_mode="reflect"
    )
    expected = 10 * np.log10(np.maximum(power, 1e-10))[:, :-1]
    np.testing.assert_allclose(log_mel.torchaudio(samples), expected, atol=1e-3)


def test_torchaudio_beside_the_front_end_of_muq():
    with np.load(FIXTURES / "muq_tiny.npz", allow_pickle=False) as oracle:
        audio = (np.random.default_rng(3).standard_normal((2, 25000)) * 0.1).astype(np.float32)
        np.testing.assert_allclose(log_mel.torchaudio(audio[0])[:, :20], oracle["mel"][0], atol=1e-3)
