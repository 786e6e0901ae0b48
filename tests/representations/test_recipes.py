"""What chroma and mfcc have in common: librosa's numbers, one clip at a time, whatever stands beside it."""

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like import audio, representations
from jukemir_like.core.errors import InputError
from jukemir_like.representations.chroma import Chroma
from jukemir_like.representations.mfcc import MFCC

RATE = 22050


@pytest.fixture(params=["chroma", "mfcc"], scope="module")
def representation(request):
    return representations.load(request.param)


@pytest.mark.parametrize(("name", "dimension"), [("chroma", 72), ("mfcc", 120)])
def test_vectors_are_float32_and_have_the_paper_s_size(name, dimension, make_chords):
    representation = representations.load(name)
    vectors = representation([make_chords(0), make_chords(1)])
    assert (representation.name, representation.dimension, representation.sample_rate) == (name, dimension, RATE)
    assert vectors.shape == (2, dimension)
    assert vectors.dtype == np.float32


def test_the_vector_is_librosa_s(representation, sound, by_librosa, relative_error):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = representation([sound])[0]
    expected = by_librosa(representation.name, sound)
    assert np.isfinite(found).all()
    assert relative_error(found, expected) < 3e-5
    assert np.abs(found - expected).max() < (2e-3 if representation.name == "mfcc" else 1e-4)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000])
def test_a_file_s_vector_is_that_of_librosa_reading_the_file(
    representation, sample_rate, make_chords, by_librosa, relative_error, tmp_path
):
    import librosa
    import soundfile

    path = tmp_path / "song.wav"
    left, right = (make_chords(seed, seconds=5, sample_rate=sample_rate) for seed in (sample_rate, sample_rate + 1))
    soundfile.write(path, np.stack([left, right], axis=1), sample_rate, subtype="PCM_16")
    expected = by_librosa(representation.name, librosa.load(path, sr=RATE, res_type="soxr_hq")[0])
    assert relative_error(representation([audio.load(path, RATE)])[0], expected) < 3e-5


def test_a_clip_s_vector_does_not_depend_on_its_neighbours(representation, make_chords):
    clips = [make_chords(seed, samples=samples) for seed, samples in enumerate((40_000, 1024, 91_113, 40_000))]
    clips[2] *= 1e-6  # one clip's floor of 80 dB must not be another's
    alone = [representation([clip])[0] for clip in clips]
    np.testing.assert_array_equal(representation(clips), alone)
    np.testing.assert_array_equal(representation(clips[::-1]), alone[::-1])
    np.testing.assert_array_equal(representation(clips[1:3]), alone[1:3])
    assert representation([]).shape == (0, representation.dimension)


def test_a_clip_s_vector_does_not_depend_on_the_number_of_threads(representation, make_chords):
    from threadpoolctl import threadpool_limits

    clip = make_chords(3, samples=150_001)
    vectors = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            vectors.append(representation([clip]))
    np.testing.assert_array_equal(vectors[1:], vectors[:1] * 2)


def test_the_clip_is_left_as_it_was(representation, make_chords):
    clip = make_chords(4)
    before = clip.copy()
    clip.flags.writeable = False
    representation([clip])
    np.testing.assert_array_equal(clip, before)


@settings(max_examples=15, deadline=None)
@given(exponent=st.integers(-60, 60), seed=st.integers(0, 5), samples=st.integers(1024, 30_000))
def test_loudness_does_not_matter(exponent, seed, samples):
    clip = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    for representation in (Chroma(), MFCC()):
        # A power of two is exact, so the normalised clips are the same to the bit.
        np.testing.assert_array_equal(representation([clip * np.float32(2.0**exponent)]), representation([clip]))


def test_a_clip_too_short_for_second_differences_is_refused_in_one_line(representation):
    for samples in (1, 2, 512, 1023):
        with pytest.raises(InputError, match=rf"^is too short for {representation.name}: 0\.0\d\d s, needs at least 0\.046 s$"):
            representation([np.ones(samples, np.float32)])


def test_a_long_clip_needs_less_memory_beside_it_than_it_takes_itself(representation):
    clip = np.random.default_rng(0).uniform(-1, 1, 240 * RATE).astype(np.float32)
    tracemalloc.start()
    representation([clip])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.0 * clip.nbytes + 8e6
