"""The network against a slow and obvious version of it in NumPy, and its size against that of the published checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from jukemir_like.encoders.musicnn import patches_of, spectrogram
from jukemir_like.encoders.nets import musicnn
from jukemir_like.encoders.nets.musicnn import MusicnnNet

from ..musicnn_variables import random_variables

FIXTURES = Path(__file__).parents[2] / "fixtures" / "encoders"
FRAMES = 20


def slowly(variables, patch):
    """Features ``(frames, channels)``, their mean and maximum, and tags of one patch ``(frames, 96)``, in float64."""
    numbers = {name: value.astype(np.float64) for name, value in variables.items()}

    def normalise(values, index):  # channels last
        prefix = "batch_normalization" + (f"_{index}" if index else "")
        gamma, beta, mean, variance = (numbers[f"{prefix}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance"))
        return gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta

    def convolve(values, index, before, after):
        """Convolution over time, padded with zeros, and over the second axis as far as the kernel goes, then ReLU."""
        prefix = "conv2d" + (f"_{index}" if index else "")
        kernel, bias = numbers[f"{prefix}/kernel"][:, :, 0], numbers[f"{prefix}/bias"]
        padded = np.pad(values, ((before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2])  # frames, places, kernel's frames, bands
        return np.maximum(0, np.tensordot(windows, kernel, 2) + bias)  # frames, places, maps

    normalised = normalise(patch.astype(np.float64)[..., None], 0)[..., 0]
    front = [normalise(convolve(normalised, index, 3, 3), index + 1).max(axis=1) for index in (0, 1)]
    for index, length in ((2, 128), (3, 64), (4, 32)):
        front.append(normalise(convolve(normalised, index, (length - 1) // 2, length // 2), index + 1).max(axis=1))
    front = np.concatenate(front, axis=1)
    one = normalise(convolve(front, 5, 3, 3)[:, 0], 6)
    two = one + normalise(convolve(one, 6, 3, 3)[:, 0], 7)
    three = two + normalise(convolve(two, 7, 3, 3)[:, 0], 8)
    features = np.concatenate([front, one, two, three], axis=1)
    mean, maximum = features.mean(axis=0), features.max(axis=0)
    interleaved = np.empty(2 * len(mean))
    interleaved[0::2], interleaved[1::2] = maximum, mean
    hidden = np.maximum(0, normalise(interleaved, 9) @ numbers["dense/kernel"] + numbers["dense/bias"])
    logits = normalise(hidden, 10) @ numbers["dense_1/kernel"] + numbers["dense_1/bias"]
    return features, mean, maximum, 1 / (1 + np.exp(-logits))


def test_the_network_is_its_slow_version():
    net = MusicnnNet(filters=3, hidden=5, tags=4).eval()
    variables = random_variables(net)
    net.load_state_dict(musicnn.tensors(net, variables))
    patches = np.random.default_rng(1).uniform(0, 4, (2, FRAMES, 96)).astype(np.float32)
    with torch.inference_mode():
        features = net.features(torch.from_numpy(patches))
        mean, maximum = net(torch.from_numpy(patches))
        tags = net.tags(mean, maximum)
    for i, patch in enumerate(patches):
        expected = slowly(variables, patch)
        for own, slow in zip((features[i].T, mean[i], maximum[i], tags[i]), expected, strict=True):
            np.testing.assert_allclose(own.numpy(), slow, rtol=1e-4, atol=1e-5 * max(1, np.abs(slow).max()))


def test_the_large_network_of_the_original_with_random_numbers():
    """Its graph, by TensorFlow 2.21, restored from a checkpoint of these variables, of the patches of the small ones' oracle."""
    net = MusicnnNet(filters=512, hidden=500).eval()
    net.load_state_dict(musicnn.tensors(net, random_variables(net)))
    with np.load(FIXTURES / "musicnn_vibe_ace.npz", allow_pickle=False) as arrays:
        patches = patches_of(spectrogram(arrays["audio"].astype(np.float32) / 32768))
    with torch.inference_mode():
        mean, maximum = net(torch.from_numpy(patches))
        own = {"mean_pool": mean, "max_pool": maximum, "tags": net.tags(mean, maximum)}
    with np.load(FIXTURES / "musicnn_big_random.npz", allow_pickle=False) as expected:
        for name, values in own.items():
            assert np.abs(values.numpy() - expected[name]).max() < 1e-5 * max(1, np.abs(expected[name]).max())


@pytest.mark.parametrize(("filters", "hidden", "parameters", "size"), [(64, 200, 792_079, 9_465_596), (512, 500, 7_993_819, 95_817_164)])
def test_the_published_checkpoints_have_room_for_just_this_network(filters, hidden, parameters, size):
    """The sizes are of the published files, with Adam's state: two numbers for each that is trained, and two more."""
    with torch.device("meta"):
        net = MusicnnNet(filters, hidden)
    state = net.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    statistics = sum(tensor.numel() for name, tensor in state.items() if name.endswith((".mean", ".variance")))
    assert 4 * (3 * (parameters - statistics) + statistics + 2) == size
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    assert net.channels == 561 + 3 * filters


def test_each_variable_is_one_tensor():
    net = MusicnnNet(2, 3)
    pairs = musicnn._variables(net)
    assert sorted(name for name, _ in pairs) == sorted(net.state_dict())
    assert len({variable for _, variable in pairs}) == len(pairs) == 64


def test_variables_of_another_network_are_refused():
    net = MusicnnNet(2, 3)
    variables = random_variables(net)
    with pytest.raises(ValueError, match=r"'conv2d_5/bias' of shape \(2,\), which does not fit|of shape .* which does not fit"):
        musicnn.tensors(MusicnnNet(4, 3), variables)
    with pytest.raises(ValueError, match="lacks tensor 'dense/bias'"):
        musicnn.tensors(net, {name: value for name, value in variables.items() if name != "dense/bias"})
    with pytest.raises(ValueError, match="has the unexpected tensor 'conv2d_9/bias'"):
        musicnn.tensors(net, variables | {"conv2d_9/bias": np.zeros(2, np.float32)})
    # As many numbers, in a shape that would fit if axes were merged.
    with pytest.raises(ValueError, match="does not fit"):
        musicnn.tensors(net, variables | {"dense/kernel": variables["dense/kernel"].T})
