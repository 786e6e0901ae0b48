"""chroma and mfcc against librosa called directly, on 50 clips of synthband."""

import numpy as np
import pytest
import soundfile

from jukemir_like import audio, representations
from jukemir_like.core.machine import available_cpus
from jukemir_like.synthband import generation

pytestmark = pytest.mark.slow

CLIPS = 50


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The mono mixes, read by soundfile."""
    folder = tmp_path_factory.mktemp("synthband")
    generation.generate(folder, songs=CLIPS, seed=5, workers=available_cpus())
    return [soundfile.read(item.source, dtype="float32")[0].mean(axis=1) for item in generation.dataset(folder).items]


def moments(features):
    """mean0, std0, mean1, std1, mean2, std2 of ``features`` (values, frames) and of its differences along time."""
    parts = [part for order in range(3) for part in (np.diff(features, order).mean(axis=1), np.diff(features, order).std(axis=1))]
    return np.concatenate(parts)


@pytest.mark.parametrize(("name", "dimension", "relative"), [("mfcc", 120, 1e-4), ("chroma", 72, 1e-3)])
def test_vectors_agree_with_librosa_called_directly(clips, name, dimension, relative):
    import librosa

    recipes = {
        "mfcc": lambda y: librosa.feature.mfcc(y=y, sr=22050, n_mfcc=20, hop_length=512),
        "chroma": lambda y: librosa.feature.chroma_cqt(y=y, sr=22050, hop_length=512, n_chroma=12),
    }
    representation = representations.load(name)
    for clip in clips:
        expected = moments(recipes[name](clip / np.abs(clip).max()))
        (vector,) = representation([clip])
        assert vector.shape == (dimension,)
        assert np.linalg.norm(vector - expected) <= relative * np.linalg.norm(expected)


def test_the_mix_is_what_audio_load_gives(clips, tmp_path):
    soundfile.write(tmp_path / "clip.wav", clips[0], 22050, subtype="FLOAT")
    np.testing.assert_array_equal(audio.load(tmp_path / "clip.wav", 22050), clips[0])
