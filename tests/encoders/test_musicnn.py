"""musicnn against the original program's outputs, librosa, and what its module promises of loud, short and long clips."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import musicnn, weights
from jukemir_like.encoders.card import WeightFile
from jukemir_like.encoders.musicnn import TAGS, Musicnn
from jukemir_like.encoders.nets.musicnn import MusicnnNet

from . import bundles
from .musicnn_variables import random_variables

ORACLE = Path(__file__).parents[1] / "fixtures" / "encoders" / "musicnn_vibe_ace.npz"
PATCH_SAMPLES = 186 * 256


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLE, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def music(oracle):
    return oracle["audio"].astype(np.float32) / 32768


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_card(filters=2, hidden=3):
    files = (WeightFile("model.index"), WeightFile("model.data-00000-of-00001"))
    width = 2 * (561 + 3 * filters)
    return replace(
        cards.read("musicnn-msd"),
        name="tiny",
        width=width,
        files=files,
        settings={"filters": filters, "hidden": hidden, "vocabulary": "msd"},
    )


def with_state_of_adam(variables):
    """The variables, and what TensorFlow saves with them."""
    weights_of_net = {name: value for name, value in variables.items() if "moving" not in name}
    slots = {f"{name}/{slot}": np.ones_like(value) for name, value in weights_of_net.items() for slot in ("Adam", "Adam_1")}
    return variables | slots | {"beta1_power": np.float32(0.9), "beta2_power": np.float32(0.999)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a checkpoint of a tiny network."""
    folder = tmp_path_factory.mktemp("checkpoint")
    bundles.write(folder, with_state_of_adam(random_variables(MusicnnNet(2, 3))))
    return folder


@pytest.fixture(scope="module")
def tiny(checkpoint, tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    weights.get(tiny_card(), cache, Musicnn.convert, own_copy=checkpoint)
    return Musicnn(tiny_card(), cache=cache, device="cpu")


def files_of(folder):
    return {name: folder / name for name in ("model.index", "model.data-00000-of-00001")}


# Front-end


def plain_mel_power(clip):
    """Frame by frame, in float64; librosa's filters alone (its transforms are compiled at their first use, which takes half a minute)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    padded = np.pad(clip.astype(np.float64), 256)
    frames = [padded[begin : begin + 512] * window for begin in range(0, len(clip) + 1, 256)]
    return np.abs(np.fft.rfft(frames)) ** 2 @ librosa.filters.mel(sr=16000, n_fft=512, n_mels=96).T


def clips_of_all_levels(music):
    noise = np.random.default_rng(0).uniform(-1, 1, PATCH_SAMPLES + 77).astype(np.float32)
    return [music, 30 * music, noise]


def test_the_mel_spectrogram_is_a_plain_one(music):
    for clip in clips_of_all_levels(music):
        np.testing.assert_allclose(musicnn.mel_power(clip), plain_mel_power(clip), rtol=1e-5, atol=1e-9)


@pytest.mark.slow
def test_the_mel_spectrogram_is_librosa_s(music):
    for clip in clips_of_all_levels(music):
        expected = librosa.feature.melspectrogram(y=clip, sr=16000, n_fft=512, hop_length=256, n_mels=96).T
        np.testing.assert_allclose(musicnn.mel_power(clip), expected, rtol=1e-5, atol=1e-9)


def test_the_spectrogram_is_the_logarithm_of_rounded_powers(music):
    expected = np.log10(1 + 10000 * plain_mel_power(music).astype(np.float16).astype(np.float64))
    own = musicnn.spectrogram(music)
    assert own.dtype == np.float32
    # The last bit of single precision decides how a power between two halves is rounded: one number in some ten thousand.
    assert np.mean(np.abs(own - expected) > 1e-5) < 1e-3
    np.testing.assert_allclose(own, expected, atol=1e-3)
    assert not musicnn.spectrogram(np.zeros(50_000, np.float32)).any()


@settings(max_examples=30)
@given(st.integers(1, 2 * PATCH_SAMPLES), st.floats(0, 2.0**127), st.integers(0, 2**32 - 1))
def test_whatever_the_level_the_spectrogram_is_finite(length, level, seed):
    clip = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32) * np.float32(level)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrogram = musicnn.spectrogram(clip)
    assert len(spectrogram) == max(187, 1 + length // 256)
    assert np.isfinite(spectrogram).all()
    assert spectrogram.min() >= 0
    assert spectrogram.max() <= np.log10(1 + 10000 * 65504.0) + 1e-5


# The representation


def test_loud_music_has_a_vector(tiny, music):
    assert plain_mel_power(music).max() > 6.55  # 10,000 times that is beyond half precision
    loud = 100 * music
    assert plain_mel_power(loud).max() > 65504
    assert np.isfinite(tiny([music, loud, np.float32(3e38) * np.sign(music)])).all()


@pytest.mark.parametrize("samples", [1, 255, PATCH_SAMPLES - 1])
def test_a_clip_shorter_than_a_patch_goes_on_with_zeros(tiny, music, samples):
    padded = np.zeros(PATCH_SAMPLES, np.float32)
    padded[:samples] = music[:samples]
    np.testing.assert_array_equal(tiny([music[:samples]]), tiny([padded]))
    assert tiny.parameters["shorter_clips"] == "padded with zeros"


def test_frames_behind_the_last_whole_patch_are_dropped(tiny, music):
    for frames, patches in [(187, 1), (373, 1), (374, 2), (624, 3)]:
        mean, maximum = tiny.pooled(music[: (frames - 1) * 256 + 100])
        assert mean.shape == maximum.shape == (patches, tiny.dimension // 2)
    # A sample changes the frames around it only: behind the last frame of the first patch, the vector stays.
    changed = music[: 300 * 256].copy()
    changed[187 * 256 :] = 0
    np.testing.assert_array_equal(tiny([changed]), tiny([music[: 300 * 256]]))
    assert tiny.parameters["incomplete_patch"] == "dropped"


def test_a_vector_is_the_mean_over_patches_of_means_and_then_of_maxima(tiny, music):
    mean, maximum = tiny.pooled(music)
    (vector,) = tiny([music])
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, [*mean.mean(axis=0), *maximum.mean(axis=0)], rtol=1e-5, atol=1e-5)
    alone, _ = tiny.pooled(music[: PATCH_SAMPLES + 256])
    np.testing.assert_allclose(alone[0], mean[0], atol=1e-5)


def test_a_vector_is_the_same_alone_and_in_company(tiny, music):
    clips = [music, music[:1000], 0.5 * music[20_000:], np.zeros(70_000, np.float32)]
    together = tiny(clips)
    for clip, vector in zip(clips, together, strict=True):
        np.testing.assert_allclose(tiny([clip])[0], vector, rtol=1e-5, atol=1e-5)


def test_lower_precision_stays_near_and_has_another_signature(tiny, music):
    low = Musicnn(tiny.card, weights=tiny.header.path, device="cpu", precision="16")
    exact, near = tiny([music])[0], low([music])[0]
    assert np.linalg.norm(near - exact) < 1e-2 * np.linalg.norm(exact)
    assert low.signature != tiny.signature


def test_loading_needs_no_torch(tiny):
    script = f"""
import sys
from jukemir_like.encoders.musicnn import Musicnn
from jukemir_like.encoders import card, weights
weights.read_header(__import__("pathlib").Path({str(tiny.header.path)!r}))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


# Conversion


def test_the_optimiser_s_state_is_left_out_but_checked(checkpoint, tmp_path):
    tensors = Musicnn.convert(tiny_card(), files_of(checkpoint))
    assert len(tensors) == 64
    for name, path in files_of(checkpoint).items():
        contents = bytearray(path.read_bytes())
        if "data" in name:
            contents[-1] ^= 1  # of a slot of Adam
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(RequestError, match="checksum"):
        Musicnn.convert(tiny_card(), files_of(tmp_path))


def test_files_that_are_hidden_where_they_are_published_are_found_in_an_own_copy(checkpoint, tmp_path):
    names = (".index", ".data-00000-of-00001")
    for name in names:
        for model in ("MSD_musicnn_big", "MSD_vgg"):
            path = tmp_path / "clone" / "musicnn" / model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((checkpoint / f"model{name}").read_bytes() if "big" in model else b"another")
    sizes = [(checkpoint / f"model{name}").stat().st_size for name in names]
    files = tuple(WeightFile(f"MSD_musicnn_big/{name}", size=size) for name, size in zip(names, sizes, strict=True))
    summary = weights.get(replace(tiny_card(), files=files), Cache(tmp_path / "cache"), Musicnn.convert, own_copy=tmp_path / "clone")
    assert (summary.done, summary.failed) == (2, {})


def test_the_checkpoint_of_another_network_is_refused(checkpoint, tmp_path):
    with pytest.raises(RequestError, match="is not the checkpoint of tiny: it has 'conv2d_5/kernel' of shape"):
        Musicnn.convert(tiny_card(filters=4), files_of(checkpoint))
    bundles.write(tmp_path, {"global_step": np.array(3)})
    with pytest.raises(RequestError, match="is not the checkpoint of tiny: it lacks tensor"):
        Musicnn.convert(tiny_card(), files_of(tmp_path))


@pytest.mark.parametrize("name", ["musicnn", "musicnn-msd", "musicnn-mtt"])
def test_cards(name, oracle):
    card = cards.read(name)
    with torch.device("meta"):
        net = MusicnnNet(card.settings["filters"], card.settings["hidden"])
    assert card.width == 2 * net.channels == {"musicnn": 4194}.get(name, 1506)
    assert card.parameters == sum(tensor.numel() for tensor in net.state_dict().values())
    assert [Path(file.path).name for file in card.files] == [".index", ".data-00000-of-00001"]
    vocabulary = card.settings["vocabulary"]
    assert TAGS[vocabulary] == list(oracle[f"{vocabulary.upper()}_musicnn.tag_names"])


# Real weights


@pytest.fixture(scope="module", params=["musicnn-msd", "musicnn-mtt"])
def real(request, tmp_path_factory):
    folder = os.environ.get("JUKEMIR_LIKE_TEST_WEIGHTS")
    card = cards.read(request.param)
    indices = sorted(Path(folder).rglob(card.files[0].path)) if folder else []
    if not indices:
        pytest.skip(f"no {card.files[0].path} of the package musicnn below $JUKEMIR_LIKE_TEST_WEIGHTS")
    folder = indices[0].parents[1]
    path = tmp_path_factory.mktemp("weights") / "musicnn.safetensors"
    weights.save(path, card, Musicnn.convert(card, {file.path: folder / file.path for file in card.files}), {})
    return Musicnn(card, weights=path, device="cpu")


def test_the_original_s_numbers(real, oracle, music):
    """Of the original program with its weights, by TensorFlow 2.21."""
    original = {"musicnn-msd": "MSD_musicnn", "musicnn-mtt": "MTT_musicnn"}[real.name]
    mean, maximum = real.pooled(music)
    for own, name, tolerance in ((mean, "mean_pool", 1e-5), (real.tags(music), "tags", 1e-5)):
        np.testing.assert_allclose(own, oracle[f"{original}.{name}"], rtol=tolerance, atol=tolerance)
    expected = oracle[f"{original}.max_pool"]
    assert np.abs(maximum - expected).max() < 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(maximum, expected, rtol=1e-4, atol=1e-5)
    (vector,) = real([music])
    means = [oracle[f"{original}.{name}"].mean(axis=0) for name in ("mean_pool", "max_pool")]
    np.testing.assert_allclose(vector, np.concatenate(means), rtol=1e-4, atol=1e-5)


def test_real_weights_in_lower_precision(real, music):
    low = Musicnn(real.card, weights=real.header.path, device="cpu", precision="16")
    exact, near = real([music])[0], low([music])[0]
    assert np.linalg.norm(near - exact) < 1e-2 * np.linalg.norm(exact)
