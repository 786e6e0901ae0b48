"""Jukebox's networks beside the original program on tiny random weights, and beside slow and obvious versions."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.nets.jukebox_conversion import JukeboxNet, convert
from jukemir_like.encoders.nets.jukebox_prior import Layer, Prior, PriorShape, attend

from . import oracles


def load(folder, depth):
    """The net with the oracle's weights, and what the original made of the noise."""
    expected, configuration = oracles.read(f"jukebox_tiny_depth{depth}")
    shape = PriorShape(configuration["width"], configuration["n_ctx"], depth, configuration["heads"], configuration["blocks"])
    files = oracles.write_jukebox(folder, configuration)
    with torch.device("meta"):
        net = JukeboxNet(shape)
    net.load_state_dict(convert(files["vqvae.pth.tar"], files["prior_level_2.pth.tar"], shape), assign=True)
    return net.eval().requires_grad_(False), expected


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load(tmp_path_factory.mktemp("jukebox"), 6)


def last_states(prior, codes, layer, **options):
    for number, states in prior.run(codes, layer, **options):
        if number == layer:
            return states
    raise AssertionError


@pytest.mark.parametrize("depth", [6, 36])
def test_codes_labels_and_states_equal_the_original(tmp_path, depth):
    net, expected = load(tmp_path / "files", depth)
    codes = net.vqvae(torch.from_numpy(oracles.noise((1, 256 * 128 + 300, 1))[0, :, 0]))
    np.testing.assert_array_equal(codes, expected["codes"][0])
    assert int(expected["y"][0, 0]) == 2_734_080  # the song that the model is told of, at any size
    np.testing.assert_allclose(net.prior.times(256), expected["x_cond"][0], atol=1e-6)
    np.testing.assert_allclose(net.prior.labels(), expected["y_cond"][0, 0], atol=1e-6)
    (states,) = last_states(net.prior, [codes], depth)
    np.testing.assert_allclose(states, expected["output"][0], atol=1e-4)


def seen_by(position, length, kind):
    """The positions that a position sees, as the paper describes the three patterns."""
    block, place = divmod(position, length)
    if kind == 0:
        return [block * length + earlier for earlier in range(place + 1)]
    if kind == 1:
        return [earlier * length + place for earlier in range(block + 1)]
    return [(block - 1) * length + earlier for earlier in range(length)] if block else []


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3), st.integers(0, 2), st.integers(0, 10))
def test_each_position_sees_what_its_kind_of_layer_shows_it(count, length, heads, kind, seed):
    width = heads * 4
    projected = np.random.default_rng(seed).standard_normal((count, 3 * width))
    expected = np.zeros((count, width))
    for position in range(count):
        seen = seen_by(position, length, kind)
        for head in range(heads if seen else 0):
            query, key, value = (projected[:, part * width + head * 4 : part * width + head * 4 + 4] for part in range(3))
            scores = np.exp(key[seen] @ query[position] / 2)
            expected[position, head * 4 : head * 4 + 4] = scores / scores.sum() @ value[seen]
    np.testing.assert_allclose(attend(torch.from_numpy(projected), heads, length, kind), expected, atol=1e-9)


def test_a_layer_is_attention_and_an_mlp_that_add_to_the_states(tiny):
    layer = tiny[0].prior.layers[1]
    states = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32))
    heads = layer.norm_1(states) @ layer.attention_in.weight + layer.attention_in.bias
    attended = attend(heads, 2, 16, 1) @ layer.attention_out.weight + layer.attention_out.bias
    hidden = layer.norm_2(states + attended) @ layer.mlp_in.weight + layer.mlp_in.bias
    hidden = hidden / (1 + torch.exp(-1.702 * hidden))
    expected = states + attended + hidden @ layer.mlp_out.weight + layer.mlp_out.bias
    np.testing.assert_allclose(layer(states.clone()), expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 100, 255])
def test_a_short_clip_has_the_positions_of_a_longer_one_that_begins_the_same(tiny, count):
    net, expected = tiny
    codes = torch.from_numpy(expected["codes"][0].astype(np.int64))
    for (layer, [whole]), (_, [part]) in zip(net.prior.run([codes], 6), net.prior.run([codes[:count]], 6), strict=True):
        assert part.shape == (count, 32)
        np.testing.assert_allclose(part, whole[:count], atol=1e-4, err_msg=f"layer {layer}")


def test_states_do_not_depend_on_company_and_no_layer_behind_the_last_is_used(tiny):
    net, expected = tiny
    codes = torch.from_numpy(expected["codes"][0].astype(np.int64))
    alone = [last_states(net.prior, [codes[:count]], 4)[0] for count in (256, 30, 3)]
    with torch.device("meta"):
        partly = Prior(net.prior.shape)
    state = net.prior.state_dict()
    state |= {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items() if name.startswith(("layers.4.", "layers.5."))}
    partly.load_state_dict(state, assign=True)
    together = last_states(partly, [codes[:256], codes[:30], codes[:3]], 4)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
    assert last_states(partly, [codes], 5)[0].isnan().all()


def test_mapped_weights_give_what_copies_in_memory_give(tiny):
    net, expected = tiny
    with torch.device("meta"):
        in_memory = JukeboxNet(net.prior.shape)
    in_memory.load_state_dict({name: tensor.clone() for name, tensor in net.state_dict().items()}, assign=True)
    codes = [torch.from_numpy(expected["codes"][0].astype(np.int64))]
    assert torch.equal(last_states(net.prior, codes, 6)[0], last_states(in_memory.prior, codes, 6)[0])


def test_a_layer_copied_to_a_device_computes_the_same(tiny):
    prior, states = tiny[0].prior, torch.randn(40, 32, generator=torch.Generator().manual_seed(0))
    copied = prior.copied_layer(2, torch.device("cpu"))
    assert torch.equal(copied(states.clone()), prior.layers[2](states.clone()))


def test_matrices_in_half_precision_are_multiplied_in_single(tmp_path):
    _, configuration = oracles.read("jukebox_tiny_depth6")
    shape = PriorShape(32, 256, 6, 2, 16)
    files = oracles.write_jukebox(tmp_path / "half", configuration, half=True)
    tensors = convert(files["vqvae.pth.tar"], files["prior_level_2.pth.tar"], shape)
    assert {str(tensor.dtype) for name, tensor in tensors.items() if re.search(r"(_in|_out)\.weight", name)} == {"torch.float16"}
    assert {str(tensor.dtype) for name, tensor in tensors.items() if not re.search(r"(_in|_out)\.weight", name)} == {"torch.float32"}
    with torch.device("meta"):
        half, single = Prior(shape), Prior(shape)
    of_prior = {name.removeprefix("prior."): tensor for name, tensor in tensors.items() if name.startswith("prior.")}
    half.load_state_dict(of_prior, assign=True)
    single.load_state_dict({name: tensor.float() for name, tensor in of_prior.items()}, assign=True)
    codes = [torch.arange(100)]
    assert torch.equal(last_states(half, codes, 6)[0], last_states(single, codes, 6)[0])
    reduced = last_states(half, codes, 6, dtype=torch.bfloat16)[0]
    assert 0 < float((reduced - last_states(half, codes, 6)[0]).norm() / reduced.norm()) < 0.05


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("prior_level_2", lambda s: s.pop("prior.transformer._attn_mods.3.mlp.c_fc.w"), r"_attn_mods\.3\.mlp\.c_fc\.w is missing"),
        ("prior_level_2", lambda s: s.update({"prior.pos_emb.pos_emb": torch.zeros(9, 32)}), r"shape \(9, 32\), expected .*\(256, 32\)"),
        ("prior_level_2", lambda s: s.update({"prime_prior.x": torch.zeros(1)}), "it has the tensor 'prime_prior.x'"),
        ("vqvae", lambda s: s.pop("bottleneck.level_blocks.2.k"), r"bottleneck\.level_blocks\.2\.k is missing"),
    ],
)
def test_files_of_another_network_are_one_line(tmp_path, part, change, reason):
    _, configuration = oracles.read("jukebox_tiny_depth6")
    files = oracles.write_jukebox(tmp_path / "files", configuration)
    path = files[f"{part}.pth.tar"]
    state = oracles.jukebox_weights(configuration["vqvae_shapes" if part == "vqvae" else "prior_shapes"], 1, 0.1)
    change(state)
    torch.save({"model": state}, path)
    with pytest.raises(RequestError, match=reason) as caught:
        convert(files["vqvae.pth.tar"], files["prior_level_2.pth.tar"], PriorShape(32, 256, 6, 2, 16))
    assert "\n" not in str(caught.value)


def test_the_published_sizes():
    with torch.device("meta"):
        net = JukeboxNet(PriorShape())
    layer = sum(tensor.numel() for tensor in net.prior.layers[0].parameters())
    assert round(layer / 1e6, 1) == 69.2
    assert round(36 * layer / 1e9, 2) == 2.49
    assert 36 * PriorShape().flop(8192) == pytest.approx(40.8e12, rel=1e-3)


CONVERSION = """
import resource, sys
from pathlib import Path
import torch, safetensors.torch
from jukemir_like.encoders import card, weights
from jukemir_like.encoders.nets.jukebox_conversion import convert
from jukemir_like.encoders.nets.jukebox_prior import PriorShape
torch.set_num_threads(1)
torch.zeros(1000, 1000) @ torch.zeros(1000, 1000)
folder, spare = Path(sys.argv[1]), int(sys.argv[2])
used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + spare, used + spare))
tensors = convert(folder / "vqvae.pth.tar", folder / "prior_level_2.pth.tar", PriorShape(768, 256, 30, 8, 16))
weights.save(folder / "jukebox.safetensors", card.read("jukebox"), tensors, {})
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_the_conversion_takes_the_memory_of_some_tensors_and_not_of_the_file(tmp_path):
    shapes = {"vqvae_shapes": oracles.read("jukebox_tiny_depth6")[1]["vqvae_shapes"], "prior_shapes": {}}
    for key, tiny_shape in oracles.read("jukebox_tiny_depth36")[1]["prior_shapes"].items():
        number = re.search(r"_attn_mods\.(\d+)\.", key)
        if number is None or int(number[1]) < 30:
            shapes["prior_shapes"][key] = [n * 24 if n in (8, 24, 32) else n for n in tiny_shape]
    oracles.write_jukebox(tmp_path / "files", shapes, half=True)
    size = (tmp_path / "files" / "prior_level_2.pth.tar").stat().st_size
    largest = 4111 * 768 * 4
    assert size > 8 * largest
    command = [sys.executable, "-c", CONVERSION, str(tmp_path / "files"), str(4 * largest)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "files" / "jukebox.safetensors").stat().st_size < size


FULL_WIDTH = """
import resource, sys
import torch
from safetensors.torch import load_file
from jukemir_like.encoders.nets.jukebox_prior import Layer, PriorShape
with torch.device("meta"):
    layer = Layer(PriorShape(), 2)
layer.load_state_dict(load_file(sys.argv[1]), assign=True)
with torch.inference_mode():
    states = layer(torch.randn(8192, 4800, generator=torch.Generator().manual_seed(0)))
assert states.shape == (8192, 4800) and states.isfinite().all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_a_layer_of_full_width_runs_in_two_gigabytes(tmp_path):
    from safetensors.torch import save_file

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Layer(PriorShape(), 2).state_dict().items()}
    random = torch.Generator().manual_seed(1)
    tensors = {name: 0.02 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    save_file({name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}, tmp_path / "layer.safetensors")
    finished = subprocess.run(
        [sys.executable, "-c", FULL_WIDTH, str(tmp_path / "layer.safetensors")], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) < 2e9
