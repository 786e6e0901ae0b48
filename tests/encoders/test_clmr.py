"""CLMR beside the original program on random weights; its frames; its checkpoint."""

import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import weights
from jukemir_like.encoders.clmr import CLMR

from . import oracles

CHECKPOINT = "clmr_epoch=10000.ckpt"


def write_checkpoint(path, state):
    """As the trainer wrote it: with the projector, counters, and objects that are not tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"model.encoder.{key}": tensor for key, tensor in state.items()}
    state |= {"model.encoder.sequential.0.1.num_batches_tracked": torch.tensor(5), "model.encoder.fc.weight": torch.zeros(50, 512)}
    state |= {"model.projector.0.weight": torch.zeros(512, 512)}
    torch.save({"epoch": 1, "callbacks": {Namespace: {"best": 0}}, "hyper_parameters": Namespace(lr=1), "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def oracle():
    arrays, configuration = oracles.read("clmr_random")
    return arrays["output"], oracles.clmr_weights(configuration["shapes"])


@pytest.fixture(scope="module")
def make(oracle, tmp_path_factory):
    """A function that gives the encoder of a card with the oracle's weights."""
    folder = tmp_path_factory.mktemp("clmr")
    checkpoint = write_checkpoint(folder / CHECKPOINT, oracle[1])
    card = cards.read("clmr")
    weights.save(folder / "clmr.safetensors", card, CLMR.convert(card, {"clmr_magnatagatune_mlp.zip": checkpoint}), {})
    return lambda name="clmr": CLMR(cards.read(name), weights=folder / "clmr.safetensors", device="cpu")


def test_the_net_equals_the_original(make, oracle):
    frames = oracles.noise((2, 1, 59409))[:, 0]
    outputs = make().net(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(outputs, oracle[0], atol=1e-5)
    np.testing.assert_allclose(make()(list(frames)), oracle[0], atol=1e-5)  # a clip of one frame


@pytest.mark.parametrize(("name", "frame"), [("clmr", 59409), ("clmr-59049", 59049)])
def test_a_vector_is_the_mean_over_all_frames_but_the_last(make, name, frame):
    clmr = make(name)
    clip = np.random.default_rng(0).uniform(-1, 1, 4 * frame).astype(np.float32)
    frames = clmr.net(torch.from_numpy(clip.reshape(4, frame))).numpy()
    for samples, count in ((4 * frame, 3), (4 * frame - 1, 3), (3 * frame + 1, 3), (2 * frame, 1), (frame + 1, 1), (frame, 1)):
        np.testing.assert_allclose(clmr([clip[:samples]])[0], frames[:count].mean(0), atol=1e-5)
    assert clmr.parameters["settings"]["frame"] == frame


def test_a_clip_shorter_than_a_frame_is_completed_with_zeros(make):
    clip = np.random.default_rng(0).uniform(-1, 1, 59409).astype(np.float32)
    clip[1000:] = 0
    np.testing.assert_array_equal(make()([clip[:1000]]), make()([clip]))
    assert np.isfinite(make()([clip[:1]])).all()
    assert "completed with zeros" in make().parameters.values()


def test_a_vector_does_not_depend_on_its_company(make):
    random = np.random.default_rng(0)
    clips = [random.uniform(-1, 1, samples).astype(np.float32) for samples in (70000, 500, 250000)]
    together = make()(clips)
    for clip, vector in zip(clips, together, strict=True):
        np.testing.assert_allclose(make()([clip])[0], vector, atol=1e-5)
    assert together.shape == (3, 512)


def test_both_variants_share_their_weights_but_no_signature(make):
    assert cards.read("clmr-59049").weights_name == "clmr"
    assert make("clmr-59049").signature != make().signature


def test_the_published_archive_is_unpacked_and_its_checkpoint_found(oracle, tmp_path, cache):
    checkpoint = write_checkpoint(tmp_path / CHECKPOINT, oracle[1])
    archive = tmp_path / "own" / "clmr_magnatagatune_mlp.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(checkpoint, f"clmr_magnatagatune_mlp/{CHECKPOINT}")
        file.writestr("clmr_magnatagatune_mlp/mlp_epoch=34-step=2589.ckpt", b"of a tagger, not needed")
    summary = weights.get(cards.read("clmr"), cache, CLMR.convert, own_copy=archive.parent)
    assert not summary.failed, summary.failed
    np.testing.assert_allclose(CLMR(cards.read("clmr"), cache=cache)(list(oracles.noise((2, 1, 59409))[:, 0])), oracle[0], atol=1e-5)


def test_a_state_dict_of_the_encoder_alone_will_do(oracle, tmp_path):
    torch.save(oracle[1], tmp_path / "encoder.pt")
    assert len(CLMR.convert(cards.read("clmr"), {"": tmp_path / "encoder.pt"})) == 11 * 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop("sequential.3.0.weight"), r"sequential\.3\.0\.weight is missing"),
        (lambda s: s.update({"sequential.3.0.weight": torch.zeros(256, 128, 5)}), r"of shape \(256, 128, 5\), expected .*\(256, 128, 3\)"),
        (lambda s: s.update({"sequential.11.0.weight": torch.zeros(3)}), r"it has the tensor 'sequential\.11"),
        (lambda s: s["sequential.0.1.bias"].fill_(float("nan")), "infinite or NaN"),
    ],
)
def test_other_weights_are_one_line(oracle, tmp_path, change, reason):
    state = {key: tensor.clone() for key, tensor in oracle[1].items()}
    change(state)
    with pytest.raises(RequestError, match=reason) as caught:
        CLMR.convert(cards.read("clmr"), {"": write_checkpoint(tmp_path / CHECKPOINT, state)})
    assert "\n" not in str(caught.value)


def test_a_folder_without_the_checkpoint_is_one_line(tmp_path):
    with pytest.raises(RequestError, match=r"holds no clmr_epoch=10000\.ckpt"):
        CLMR.convert(cards.read("clmr"), {"": tmp_path})
