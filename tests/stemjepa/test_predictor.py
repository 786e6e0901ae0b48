"""Predictors against published sizes and a plain version."""

import pytest
import torch

from jukemir_like.stemjepa.config import Model
from jukemir_like.stemjepa.predictor import build


def tiny(**predictor):
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 4, "chunk_seconds": 1.28}
    return Model.from_dict({"encoder": shape, "predictor": {"width": 64, "depth": 3, "heads": 4} | predictor})


@pytest.mark.parametrize(("kind", "parameters"), [("mlp", 6_564_096), ("transformer", 26_009_856)])
def test_the_published_number_of_parameters(kind, parameters):
    with torch.device("meta"):
        predictor = build(Model.from_dict({"predictor": {"kind": kind}}))
    assert sum(parameter.numel() for parameter in predictor.parameters()) == parameters


def test_more_sources_are_more_rows_of_the_embedding():
    with torch.device("meta"):
        six = build(Model.from_dict({"predictor": {"num_sources": 6}}))
    assert sum(parameter.numel() for parameter in six.parameters()) == 6_564_096 + 2 * 768


def plain_mlp(predictor, context, source, concatenated):
    """One patch after another."""
    out = torch.empty_like(context)
    for example in range(len(context)):
        for patch in range(context.shape[1]):
            hidden = context[example, patch]
            for number, layer in enumerate(predictor.layers):
                if number < concatenated:
                    hidden = torch.cat([hidden, predictor.sources.weight[source[example]]])
                hidden = layer.weight @ hidden + layer.bias
                if number < len(predictor.layers) - 1:
                    hidden = hidden.clamp(min=0)
            centred = hidden - hidden.mean()
            out[example, patch] = centred / (hidden.var(unbiased=False) + 1e-5).sqrt()
    return out


@pytest.mark.parametrize(
    ("conditioning", "concatenated"), [("concat", 1), ("concat-1", 1), ("concat-3", 3), ("concat-4", 4), ("none", 0), ("film", 0)]
)
def test_the_mlp_is_its_plain_version_on_every_patch(conditioning, concatenated):
    """FiLM begins as the plain MLP, so that it too is known at the start."""
    predictor = build(tiny(conditioning=conditioning))
    context, source = torch.randn(2, 5, 32), torch.tensor([3, 1])
    torch.testing.assert_close(predictor(context, source), plain_mlp(predictor, context, source, concatenated), rtol=1e-4, atol=1e-4)


def test_film_scales_and_shifts_every_hidden_layer():
    predictor = build(tiny(conditioning="film"))
    with torch.no_grad():
        predictor.modulation.bias.normal_()
    context, source = torch.randn(1, 1, 32), torch.tensor([0])
    hidden = context[0, 0]
    scales = predictor.modulation.bias.view(3, 2, 64)
    for layer, (scale, shift) in zip(predictor.layers[:3], scales, strict=True):
        hidden = ((layer.weight @ hidden + layer.bias) * (1 + scale) + shift).clamp(min=0)
    hidden = predictor.layers[3](hidden)
    expected = torch.nn.functional.layer_norm(hidden, (32,))
    torch.testing.assert_close(predictor(context, source)[0, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind_and_conditioning", [("mlp", "concat"), ("mlp", "concat-2"), ("mlp", "film"), ("transformer", "concat")])
def test_the_instrument_decides_what_is_predicted(kind_and_conditioning):
    kind, conditioning = kind_and_conditioning
    predictor = build(tiny(kind=kind, conditioning=conditioning))
    if conditioning == "film":
        torch.nn.init.normal_(predictor.modulation.weight)
    context = torch.randn(1, 40, 32).expand(2, -1, -1)
    bass, drums = predictor(context, torch.tensor([0, 1]))
    assert (bass - drums).abs().max() > 1e-3


def test_without_conditioning_it_does_not():
    predictor = build(tiny(conditioning="none"))
    context = torch.randn(1, 40, 32).expand(2, -1, -1)
    bass, drums = predictor(context, torch.tensor([0, 1]))
    assert torch.equal(bass, drums)


def test_patches_of_the_transformer_see_one_another_and_those_of_the_mlp_do_not():
    context = torch.randn(1, 40, 32)
    changed = context.clone()
    changed[0, 7] += 1
    for kind, sees in (("mlp", False), ("transformer", True)):
        predictor = build(tiny(kind=kind)).eval()
        before, after = (predictor(patches, torch.tensor([0]))[0] for patches in (context, changed))
        moved = (before - after).abs().amax(-1) > 1e-6
        assert moved[7]
        assert bool(moved[:7].any()) is sees
