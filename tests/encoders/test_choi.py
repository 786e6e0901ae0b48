"""choi against slow and obvious versions: SciPy's convolutions, which reverse kernels as Theano's do, and torch's batch normalisation."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.audio import mel
from jukemir_like.core.atomic import write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import choi, choi_statistics, weights
from jukemir_like.encoders.choi import Choi
from jukemir_like.encoders.encoder import load
from jukemir_like.encoders.nets.choi import POOLS, ChoiNet, batch_statistics, convert

CARD = cards.read("choi")
DIGEST = "71f9f33c26fba153"
REAL = CARD.files[0]


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A file as the authors published it, with other numbers."""
    path = tmp_path_factory.mktemp("choi") / REAL.path
    write(path)
    return path


def write(path, **instead):
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.create_group("ConvBNEluDr")
        for block in range(1, 6):
            values = {
                f"convolution2d_{block}_W": rng.standard_normal((32, 1 if block == 1 else 32, 3, 3)) / (3 if block == 1 else 17),
                f"convolution2d_{block}_b": rng.standard_normal(32),
                f"batchnormalization_{block}_gamma": rng.uniform(-0.5, 1.5, 32),
                f"batchnormalization_{block}_beta": rng.standard_normal(32),
            }
            for name, value in (values | {name: value for name, value in instead.items() if name in values}).items():
                if value is not None:
                    group[name] = value.astype(np.float32)


@pytest.fixture(scope="session")
def net(published):
    net = ChoiNet()
    net.load_state_dict(convert(published))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def encoder(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "choi.safetensors"
    weights.save(path, CARD, Choi.convert(CARD, {REAL.path: published}), {REAL.path: "sha256:0"})
    return Choi(CARD, weights=path, device="cpu")


def noise(seed, samples=choi.SAMPLES):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


# Front-end


def published_matrices():
    """Cosines and sines times a periodic Hann window: what the published front-end convolves with."""
    phase = 2 * np.pi * np.outer(np.arange(512), np.arange(257)) / 512
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    return window[:, None] * np.cos(phase), window[:, None] * np.sin(phase)


def test_the_spectrogram_is_theano_s_convolution_with_the_published_matrices():
    clip = noise(0)
    decibels = choi.mel_decibels(clip)
    assert (decibels.shape, decibels.dtype) == ((96, 1360), np.float32)
    padded = np.pad(clip.astype(np.float64), 256)
    filters = librosa.filters.mel(sr=12000, n_fft=512, n_mels=96)
    cosines, sines = published_matrices()
    for frame in (0, 1, 31, 32, 700, 1359):
        samples = padded[frame * 256 :][:512]
        power = (samples @ cosines[::-1]) ** 2 + (samples @ sines[::-1]) ** 2  # a convolution reverses what it convolves with
        np.testing.assert_allclose(decibels[:, frame], 10 * np.log10(filters @ power), atol=1e-3)


def test_silence_is_100_db_below_and_floored():
    decibels = choi.mel_decibels(np.zeros(choi.SAMPLES, np.float32))
    np.testing.assert_allclose(decibels, -100, atol=1e-4)
    assert (choi.relative_decibels(decibels, 20.0) == -80).all()
    assert choi.relative_decibels(np.float32([30, 10, -59, -61]), 20.0).tolist() == [10, -10, -79, -80]


@given(st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_a_shorter_clip_is_repeated_or_followed_by_zeros(length):
    clip = np.arange(1, length + 1, dtype=np.float32)
    repeated, zeros = choi.fit_length(clip), choi.fit_length(clip, "zeros")
    assert len(repeated) == len(zeros) == choi.SAMPLES
    np.testing.assert_array_equal(repeated, clip[np.arange(choi.SAMPLES) % length])
    np.testing.assert_array_equal(zeros[:length], clip)
    assert not zeros[length:].any()


def test_what_is_behind_29_s_is_not_heard(encoder):
    clip = noise(1, choi.SAMPLES + 5000)
    np.testing.assert_array_equal(encoder([clip]), encoder([clip[: choi.SAMPLES]]))


# Net


def obvious_vector(path, decibels, mean, variance):
    """The net as Theano computes it, from the published file: real convolutions, which reverse their kernels."""
    maps, means = decibels[None].astype(np.float64), []
    with h5py.File(path) as file:
        group = file["ConvBNEluDr"]
        for block, (bands, frames) in enumerate(POOLS):
            kernels, bias = group[f"convolution2d_{block + 1}_W"][()], group[f"convolution2d_{block + 1}_b"][()]
            gamma, beta = group[f"batchnormalization_{block + 1}_gamma"][()], group[f"batchnormalization_{block + 1}_beta"][()]
            convolved = np.stack(
                [
                    sum(scipy.signal.fftconvolve(one, kernel, "same") for one, kernel in zip(maps, of_map, strict=True)) + offset
                    for of_map, offset in zip(kernels, bias, strict=True)
                ]
            )
            column = (slice(None), None, None)
            normal = (convolved - mean[block][column]) / np.sqrt(variance[block][column] + 1e-3) * gamma[column] + beta[column]
            active = np.where(normal > 0, normal, np.exp(np.minimum(normal, 0)) - 1)
            height, width = active.shape[1] // bands, active.shape[2] // frames
            trimmed = active[:, : height * bands, : width * frames]
            maps = trimmed.reshape(len(active), height, bands, width, frames).max(axis=(2, 4))
            means.append(maps.mean(axis=(1, 2)))
    return np.concatenate(means)


def test_kernels_are_flipped_and_all_else_is_as_published(net, published):
    rng = np.random.default_rng(2)
    decibels = rng.uniform(-80, 0, (96, 1360)).astype(np.float32)
    mean, variance = rng.standard_normal((5, 32)).astype(np.float32), rng.uniform(0.5, 4, (5, 32)).astype(np.float32)
    vector = net(torch.from_numpy(decibels)[None], torch.from_numpy(mean), torch.from_numpy(variance))[0].numpy()
    assert vector.shape == (160,)
    np.testing.assert_allclose(vector, obvious_vector(published, decibels, mean, variance), rtol=1e-4, atol=1e-4)


def batched(net, decibels):
    """Vectors of a batch, normalised by itself: torch's batch normalisation in training."""
    maps, means = decibels[:, None], []
    for block in net.blocks:
        convolved = block.conv(maps)
        normal = torch.nn.functional.batch_norm(convolved, None, None, block.gamma, block.beta, training=True, eps=1e-3)
        maps = torch.nn.functional.max_pool2d(torch.nn.functional.elu(normal), block.pool)
        means.append(maps.mean(dim=(2, 3)))
    return torch.cat(means, dim=1)


def test_frozen_is_batched_where_the_batch_is_the_declared_set(net):
    batch = torch.from_numpy(np.random.default_rng(3).uniform(-80, 0, (2, 96, 1280)).astype(np.float32))
    mean, variance = (torch.from_numpy(moment).float() for moment in batch_statistics(net, lambda: iter(batch)))
    expected = batched(net, batch)
    np.testing.assert_allclose(net(batch, mean, variance), expected, rtol=1e-4, atol=1e-5)
    for row, clip in zip(expected, batch, strict=True):
        np.testing.assert_allclose(net(clip[None], mean, variance)[0], row, rtol=1e-4, atol=1e-5)
    # … and in no other: this is why a vector of the published program depends on its company.
    assert (batched(net, batch[:1]) - expected[:1]).abs().max() > 1e-3


# Encoder


def test_a_vector_is_the_same_alone_and_in_company(encoder):
    clips = [noise(4), 10 * noise(5, 3000), np.zeros(12000, np.float32), np.ones(1, np.float32)]
    together = encoder(clips)
    assert (together.shape, together.dtype) == ((4, 160), np.float32)
    assert np.isfinite(together).all()
    for clip, row in zip(clips, together, strict=True):
        np.testing.assert_allclose(encoder([clip])[0], row, rtol=1e-5, atol=1e-5)


def test_the_set_of_songs_is_part_of_the_signature(encoder, tmp_path):
    own = choi_statistics.read("choi_statistics")
    path = tmp_path / "own.json"
    changed = choi_statistics.Statistics(own.title, own.reference + 1, own.mean, own.variance, own.excerpts)
    write_json(path, choi_statistics.to_json(changed))
    other = Choi(with_settings(statistics=str(path)), weights=encoder.header.path, device="cpu")
    zeros = Choi(with_settings(shorter="zeros"), weights=encoder.header.path, device="cpu")
    assert len({encoder.signature, other.signature, zeros.signature}) == 3
    clip = noise(6, 5000)
    assert np.abs(other([clip]) - encoder([clip])).max() > 1e-4
    moved = tmp_path / "moved.json"
    path.rename(moved)
    assert Choi(with_settings(statistics=str(moved)), weights=encoder.header.path).signature == other.signature


def test_the_packaged_statistics_say_where_they_are_from():
    statistics = choi_statistics.read("choi_statistics")
    assert (statistics.mean.shape, statistics.variance.shape, len(statistics.excerpts)) == ((5, 32), (5, 32), 48)
    assert (statistics.variance > 0).all()
    for excerpt in statistics.excerpts:
        assert {"path", "title", "artist", "package", "licence", "start_seconds", "sha256"} <= excerpt.keys()
        assert len(excerpt["sha256"]) == 64
    assert len({excerpt["sha256"] for excerpt in statistics.excerpts}) == 48
    # Numbers that differ give vectors that differ: a new digest needs a line in the change log.
    assert statistics.digest.startswith(DIGEST)


# Refusals


def with_settings(**settings):
    return replace(CARD, settings=CARD.settings | settings)


def test_a_card_that_cannot_be_is_refused(encoder):
    path = encoder.header.path
    for card, options, reason in [
        (with_settings(shorter="noise"), {}, "shorter = 'noise': choose one of repeated, zeros"),
        (with_settings(statistics="none"), {}, "there are no statistics .*none.json: compute them by"),
        (CARD, {"name": "choi@layer=1"}, "choi has no layers"),
    ]:
        with pytest.raises(RequestError, match=reason):
            Choi(card, weights=path, **options)
    with pytest.raises(RequestError, match="choi has no precision bf16: choose one of 32"):
        load("choi", precision="bf16")


@pytest.mark.parametrize("rows", [[[1.0] * 32] * 4, [[1.0] * 31] * 5, [[1.0], [1.0, 2.0]], [[-1.0] * 32] * 5])
def test_statistics_of_another_shape_are_refused(tmp_path, rows):
    value = {"title": "x", "reference_decibels": 0.0, "mean": rows, "variance": rows, "excerpts": []}
    write_json(tmp_path / "x.json", value)
    with pytest.raises(RequestError, match=r"x\.json does not hold 5 × 32 means and variances"):
        choi_statistics.read(str(tmp_path / "x.json"))


def test_what_are_no_weights_is_refused(tmp_path):
    (tmp_path / "text").write_text("no HDF5")
    write(tmp_path / "missing", convolution2d_3_W=None)
    write(tmp_path / "shape", convolution2d_3_W=np.zeros((32, 16, 3, 3)))
    write(tmp_path / "nan", convolution2d_1_b=np.full(32, np.nan))
    for name in ("text", "missing", "shape", "nan", "nowhere"):
        with pytest.raises(RequestError, match=rf"{name} holds no weights of choi \(.+\): download them again") as refusal:
            convert(tmp_path / name)
        assert "\n" not in str(refusal.value)


# Real weights


def test_the_published_front_end_and_numbers():
    folder = os.environ.get("JUKEMIR_LIKE_TEST_WEIGHTS")
    files = [path for path in Path(folder).rglob("*.hdf5") if path.stat().st_size == REAL.size] if folder else []
    if not files:
        pytest.skip("no weights of choi below $JUKEMIR_LIKE_TEST_WEIGHTS")
    with h5py.File(files[0]) as file:
        for name, matrix in zip(("param_0", "param_1"), published_matrices(), strict=True):
            np.testing.assert_allclose(file[f"melgram/{name}"][:, 0, 0, :], matrix, atol=1e-7)
        np.testing.assert_array_equal(file["melgram/param_2"][()], mel.filters(12000, 512, 96).T)
    net = ChoiNet()
    net.load_state_dict(convert(files[0]))
    assert sum(tensor.numel() for tensor in net.state_dict().values()) == CARD.parameters
    statistics = choi_statistics.read("choi_statistics")
    decibels = choi.relative_decibels(choi.mel_decibels(noise(7)), statistics.reference)
    with torch.inference_mode():
        vector = net(torch.from_numpy(decibels)[None], torch.from_numpy(statistics.mean), torch.from_numpy(statistics.variance))[0]
    np.testing.assert_allclose(vector, obvious_vector(files[0], decibels, statistics.mean, statistics.variance), rtol=1e-4, atol=1e-4)
