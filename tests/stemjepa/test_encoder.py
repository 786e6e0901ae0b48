"""The encoder against published sizes and plain versions of its parts."""

import math

import pytest
import torch
from torch import nn

from jukemir_like.stemjepa.config import Model
from jukemir_like.stemjepa.encoder import Attention, Block, Encoder, PatchEmbedding, positions


def count(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def tiny(**encoder):
    shape = {"size": "custom", "width": 32, "depth": 2, "heads": 4, "chunk_seconds": 1.28}
    return Model.from_dict({"encoder": shape | encoder})


def test_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert count(Encoder(Model())) == 85_253_376


def test_base_has_192000_frozen_position_numbers():
    assert positions(5, 50, 768).numel() == 192_000


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_sizes_have_the_parameters_of_their_vit(size):
    width, depth = {"tiny": (192, 12), "small": (384, 12)}[size]
    expected = depth * (12 * width**2 + 13 * width) + 257 * width + 2 * width
    with torch.device("meta"):
        assert count(Encoder(Model.from_dict({"encoder": {"size": size}}))) == expected


def test_patch_embedding_is_the_strided_convolution_it_stands_for():
    embedding = PatchEmbedding(32, 16, 8)
    convolution = nn.Conv2d(1, 32, (16, 8), (16, 8))
    convolution.weight.data = embedding.proj.weight.data.view(32, 1, 16, 8)
    convolution.bias.data = embedding.proj.bias.data
    log_mel = torch.randn(2, 80, 40)
    torch.testing.assert_close(embedding(log_mel), convolution(log_mel[:, None]).flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_attention_is_torchs():
    ours, theirs = Attention(32, 4), nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = ours.proj.weight.data, ours.proj.bias.data
    tokens = torch.randn(2, 7, 32)
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens)[0], rtol=1e-4, atol=1e-5)


def test_block_is_torchs_pre_norm_layer():
    ours = Block(32, 4)
    theirs = nn.TransformerEncoderLayer(32, 4, 128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    names = {
        "self_attn.in_proj_weight": "attn.qkv.weight",
        "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj.weight": "attn.proj.weight",
        "self_attn.out_proj.bias": "attn.proj.bias",
        **{f"{a}.{kind}": f"{b}.{kind}" for a, b in (("linear1", "mlp.fc1"), ("linear2", "mlp.fc2")) for kind in ("weight", "bias")},
    }
    own = ours.state_dict()
    theirs.load_state_dict({name: own[names.get(name, name)] for name in theirs.state_dict()})
    tokens = torch.randn(2, 7, 32)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-4, atol=1e-5)


def test_positions_are_the_sines_and_cosines_of_the_paper():
    table = positions(2, 3, 16)
    for band in range(2):
        for step in range(3):
            for axis, place in enumerate((band, step)):
                for k in range(4):
                    angle = place / 10_000 ** (k / 4)
                    assert table[band * 3 + step, axis * 8 + k] == pytest.approx(math.sin(angle), abs=1e-6)
                    assert table[band * 3 + step, axis * 8 + 4 + k] == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_shorter_input_has_the_positions_of_the_beginning_of_every_band():
    """Slicing the flat table would give the second band the first band's later positions."""
    model = tiny()
    encoder = Encoder(model).eval()
    with torch.no_grad():
        for block in encoder.blocks:
            block.attn.proj.weight.zero_(), block.mlp.fc2.weight.zero_()
        log_mel = torch.randn(1, 80, 128)
        whole = encoder(log_mel).view(1, model.bands, model.steps, -1)
        begun = encoder(log_mel[..., :48]).view(1, model.bands, 3, -1)
    torch.testing.assert_close(begun, whole[:, :, :3])


def test_linear_layers_begin_xavier_uniform_with_zero_biases():
    encoder = Encoder(tiny())
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            assert layer.weight.abs().max() <= bound
            assert layer.weight.abs().max() > 0.9 * bound
            assert not layer.bias.any()


def test_layer_norms_have_the_published_epsilon():
    assert {layer.eps for layer in Encoder(tiny()).modules() if isinstance(layer, nn.LayerNorm)} == {1e-5}
