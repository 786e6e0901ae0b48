"""The network and its losses against published sizes, closed forms, independent libraries and plain versions.

In the order of the model: front-end, encoder, predictor, teacher, losses, network.
"""

import itertools
import math

import librosa
import numpy as np
import pytest
import torch
from torch import nn

from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.config import Frontend, Model
from jukemir_like.stemjepa.model import (
    Attention,
    Block,
    Encoder,
    LogMel,
    MlpPredictor,
    Network,
    PatchEmbedding,
    build_predictor,
    contrastive_loss,
    predictive_loss,
    sincos_positions,
)

# Front-end

PAPER = Frontend()
FINE = Frontend(sample_rate=22050, n_fft=2048, hop_length=441, n_mels=96, f_min=30.0, f_max=11025.0)
EPSILON = np.finfo(np.float32).eps


def librosa_log_mel(clip, frontend):
    power = librosa.feature.melspectrogram(
        y=clip,
        sr=frontend.sample_rate,
        n_fft=frontend.n_fft,
        hop_length=frontend.hop_length,
        n_mels=frontend.n_mels,
        fmin=frontend.f_min,
        fmax=frontend.f_max,
        pad_mode="reflect",
    )
    return (np.log(power + EPSILON) - frontend.mean) / frontend.std


@pytest.fixture(params=[PAPER, FINE], ids=["paper", "fine"])
def frontend(request):
    return request.param


def test_filters_are_librosas(frontend):
    expected = librosa.filters.mel(
        sr=frontend.sample_rate, n_fft=frontend.n_fft, n_mels=frontend.n_mels, fmin=frontend.f_min, fmax=frontend.f_max
    )
    np.testing.assert_allclose(LogMel(frontend).filters.numpy(), expected, atol=1e-7)


def test_log_mel_is_librosas(frontend):
    rng = np.random.default_rng(0)
    time = np.arange(3 * frontend.sample_rate) / frontend.sample_rate
    clip = 0.3 * np.sin(2 * np.pi * (100 + 300 * time) * time) + 0.05 * rng.standard_normal(len(time))
    clip[: frontend.sample_rate // 2] = 0
    clip = clip.astype(np.float32)
    ours = LogMel(frontend)(torch.from_numpy(clip)).numpy()
    theirs = librosa_log_mel(clip, frontend)[:, : ours.shape[1]]
    assert ours.shape == (frontend.n_mels, len(clip) // frontend.hop_length)
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


def test_eight_seconds_are_800_frames():
    assert LogMel(PAPER)(torch.zeros(2, 3, 128_000)).shape == (2, 3, 80, 800)


def test_silence_is_the_logarithm_of_epsilon_and_no_padding_value():
    silent = LogMel(PAPER)(torch.zeros(16_000))
    expected = (np.log(EPSILON) - PAPER.mean) / PAPER.std
    torch.testing.assert_close(silent, torch.full_like(silent, float(expected)))


def test_a_row_does_not_depend_on_its_neighbours():
    clips = torch.randn(3, 16_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LogMel(PAPER)(clips)[1], LogMel(PAPER)(clips[1]), rtol=1e-5, atol=1e-5)


def test_autocast_does_not_reach_it():
    clip = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    plain = LogMel(PAPER)(clip)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LogMel(PAPER)(clip), plain)


# Encoder


def count(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def tiny_encoder(**encoder):
    shape = {"size": "custom", "width": 32, "depth": 2, "heads": 4, "chunk_seconds": 1.28}
    return Model.from_dict({"encoder": shape | encoder})


def test_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert count(Encoder(Model())) == 85_253_376


def test_base_has_192000_frozen_position_numbers():
    assert sincos_positions(5, 50, 768).numel() == 192_000


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


@pytest.mark.parametrize("time_first", [False, True])
def test_positions_are_the_sines_and_cosines_of_the_paper(time_first):
    table = sincos_positions(2, 3, 16, time_first=time_first)
    for band in range(2):
        for step in range(3):
            for axis, place in enumerate((step, band) if time_first else (band, step)):
                for k in range(4):
                    angle = place / 10_000 ** (k / 4)
                    assert table[band * 3 + step, axis * 8 + k] == pytest.approx(math.sin(angle), abs=1e-6)
                    assert table[band * 3 + step, axis * 8 + 4 + k] == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_encoder_and_transformer_predictor_have_the_positions_that_are_chosen(kind):
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 4, "chunk_seconds": 1.28}
    predictor = {"kind": kind, "width": 16, "heads": 4, "depth": 1}
    first, usual = (
        Network(Model.from_dict({"encoder": shape | chosen, "predictor": predictor})) for chosen in ({"positions": "time-first"}, {})
    )
    parts = [(first.encoder, usual.encoder), (first.teacher, usual.teacher)]
    parts += [(first.predictor, usual.predictor)] if kind == "transformer" else []
    for ours, other in parts:
        half = ours.width // 2
        torch.testing.assert_close(ours.positions, torch.cat([other.positions[:, half:], other.positions[:, :half]], 1), rtol=0, atol=0)


def test_the_mlp_predictor_begins_as_pytorch_begins_where_that_is_chosen():
    model = Model.from_dict({"encoder": {"size": "tiny"}, "predictor": {"initialisation": "pytorch"}})
    torch.manual_seed(0)
    layers = MlpPredictor(model).layers
    torch.manual_seed(0)
    nn.Embedding(4, 192)
    sizes = [384, 1024, 1024, 1024, 1024, 1024, 192]
    for layer, theirs in zip(layers, [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)], strict=True):
        torch.testing.assert_close(layer.weight, theirs.weight, rtol=0, atol=0)
        torch.testing.assert_close(layer.bias, theirs.bias, rtol=0, atol=0)
    assert not any(layer.bias.any() for layer in MlpPredictor(Model.from_dict({"encoder": {"size": "tiny"}})).layers)


def test_a_shorter_input_has_the_positions_of_the_beginning_of_every_band():
    """Slicing the flat table would give the second band the first band's later positions."""
    model = tiny_encoder()
    encoder = Encoder(model).eval()
    with torch.no_grad():
        for block in encoder.blocks:
            block.attn.proj.weight.zero_(), block.mlp.fc2.weight.zero_()
        log_mel = torch.randn(1, 80, 128)
        whole = encoder(log_mel).view(1, model.bands, model.steps, -1)
        begun = encoder(log_mel[..., :48]).view(1, model.bands, 3, -1)
    torch.testing.assert_close(begun, whole[:, :, :3])


def test_states_are_what_enters_the_first_block_leaves_every_other_and_is_normalised_at_the_end():
    encoder = Encoder(tiny_encoder(depth=3)).eval()
    log_mel = torch.randn(2, 80, 128)
    seen = []
    encoder.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for block in encoder.blocks[:-1]:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        encoded = encoder(log_mel)
        expected, seen = seen, []
        states = list(encoder.states(log_mel))
    assert len(states) == len(expected) == 4
    for state, hooked in zip(states, expected, strict=True):
        torch.testing.assert_close(state, hooked, rtol=0, atol=0)
    torch.testing.assert_close(states[-1], encoded, rtol=0, atol=0)


def test_states_behind_the_one_that_is_wanted_are_not_computed():
    encoder, calls = Encoder(tiny_encoder(depth=3)), []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, inputs, output: calls.append(module))
    states = encoder.states(torch.randn(1, 80, 128))
    next(states), next(states)
    assert len(calls) == 1


def test_linear_layers_begin_xavier_uniform_with_zero_biases():
    encoder = Encoder(tiny_encoder())
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            assert layer.weight.abs().max() <= bound
            assert layer.weight.abs().max() > 0.9 * bound
            assert not layer.bias.any()


def test_layer_norms_have_the_published_epsilon():
    assert {layer.eps for layer in Encoder(tiny_encoder()).modules() if isinstance(layer, nn.LayerNorm)} == {1e-5}


# Predictor


def tiny_predictor(**predictor):
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 4, "chunk_seconds": 1.28}
    return Model.from_dict({"encoder": shape, "predictor": {"width": 64, "depth": 3, "heads": 4} | predictor})


@pytest.mark.parametrize(("kind", "parameters"), [("mlp", 6_564_096), ("transformer", 26_009_856)])
def test_the_published_number_of_parameters(kind, parameters):
    with torch.device("meta"):
        predictor = build_predictor(Model.from_dict({"predictor": {"kind": kind}}))
    assert sum(parameter.numel() for parameter in predictor.parameters()) == parameters


def test_more_sources_are_more_rows_of_the_embedding():
    with torch.device("meta"):
        six = build_predictor(Model.from_dict({"predictor": {"num_sources": 6}}))
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
    predictor = build_predictor(tiny_predictor(conditioning=conditioning))
    context, source = torch.randn(2, 5, 32), torch.tensor([3, 1])
    torch.testing.assert_close(predictor(context, source), plain_mlp(predictor, context, source, concatenated), rtol=1e-4, atol=1e-4)


def test_film_scales_and_shifts_every_hidden_layer():
    predictor = build_predictor(tiny_predictor(conditioning="film"))
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
    predictor = build_predictor(tiny_predictor(kind=kind, conditioning=conditioning))
    if conditioning == "film":
        torch.nn.init.normal_(predictor.modulation.weight)
    context = torch.randn(1, 40, 32).expand(2, -1, -1)
    bass, drums = predictor(context, torch.tensor([0, 1]))
    assert (bass - drums).abs().max() > 1e-3


def test_without_conditioning_it_does_not():
    predictor = build_predictor(tiny_predictor(conditioning="none"))
    context = torch.randn(1, 40, 32).expand(2, -1, -1)
    bass, drums = predictor(context, torch.tensor([0, 1]))
    assert torch.equal(bass, drums)


def test_patches_of_the_transformer_see_one_another_and_those_of_the_mlp_do_not():
    context = torch.randn(1, 40, 32)
    changed = context.clone()
    changed[0, 7] += 1
    for kind, sees in (("mlp", False), ("transformer", True)):
        predictor = build_predictor(tiny_predictor(kind=kind)).eval()
        before, after = (predictor(patches, torch.tensor([0]))[0] for patches in (context, changed))
        moved = (before - after).abs().amax(-1) > 1e-6
        assert moved[7]
        assert bool(moved[:7].any()) is sees


# Teacher


def nets():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    other = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    return student, model.make_teacher(other)


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.99995, 1.0])
def test_an_update_is_the_formula(tau):
    student, target = nets()
    expected = [tau * t + (1 - tau) * s for t, s in zip(target.parameters(), student.parameters(), strict=True)]
    model.update_teacher(target, student, tau)
    for new, formula in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(new, formula)


def test_the_student_is_left_alone_and_the_teacher_has_no_gradient():
    student, target = nets()
    before = [parameter.clone() for parameter in student.parameters()]
    model.update_teacher(target, student, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_after_a_half_life_half_of_the_teacher_is_new():
    old, tau = 1.0, model.tau_by_half_life(40)
    for _ in range(40):
        old *= tau
    assert old == pytest.approx(0.5)
    assert model.tau_by_half_life(0) == 0


def test_the_papers_schedule_is_a_line():
    taus = [model.tau_linear(step, 100) for step in (0, 50, 100, 150)]
    assert taus == pytest.approx([0.99995, 0.99997, 0.99999, 0.99999], abs=1e-9)


# Losses


def generator():
    return torch.Generator().manual_seed(0)


def standardised(target):
    return (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()


def test_a_right_direction_costs_nothing_the_opposite_four_and_an_orthogonal_one_two():
    target = torch.randn(3, 5, 16, generator=generator())
    right = standardised(target)
    assert predictive_loss(7 * right, target).numpy() == pytest.approx([0, 0, 0], abs=1e-6)
    assert predictive_loss(-right, target).numpy() == pytest.approx([4, 4, 4], abs=1e-6)
    # A vector of equal entries is orthogonal to whatever has mean zero.
    assert predictive_loss(torch.ones_like(target), target).numpy() == pytest.approx([2, 2, 2], abs=1e-5)


def test_it_is_the_squared_distance_of_unit_vectors():
    prediction, target = torch.randn(2, 4, 6, 16, generator=generator())
    unit = torch.nn.functional.normalize
    expected = (unit(prediction, dim=-1) - unit(standardised(target), dim=-1)).square().sum(-1).mean(-1)
    torch.testing.assert_close(predictive_loss(prediction, target), expected)


def test_shift_and_scale_of_a_target_patch_do_not_matter():
    prediction, target = torch.randn(2, 4, 6, 16, generator=generator())
    torch.testing.assert_close(predictive_loss(prediction, 3 * target + 5), predictive_loss(prediction, target), rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_target():
    prediction, target = (torch.randn(2, 3, 8, requires_grad=True) for _ in range(2))
    predictive_loss(prediction, target).sum().backward()
    assert prediction.grad.abs().sum() > 0
    assert target.grad is None


def test_the_contrastive_loss_is_ln_of_the_batch_where_all_are_alike():
    ones = torch.ones(8, 4)
    assert contrastive_loss(ones, ones, 0.1).numpy() == pytest.approx([math.log(8)] * 8, rel=1e-6)


def test_orthogonal_pairs_have_the_closed_form():
    """Own cosine 1, all others 0: −1/T + ln(e^{1/T} + n − 1)."""
    eye = torch.eye(6)
    expected = -2 + math.log(math.exp(2) + 5)
    assert contrastive_loss(3 * eye, eye, 0.5).numpy() == pytest.approx([expected] * 6, rel=1e-6)


def test_the_contrastive_loss_is_its_plain_version():
    query, key = torch.randn(2, 5, 8, generator=generator())
    forbidden = torch.zeros(5, 5, dtype=torch.bool)
    forbidden[0, 3] = forbidden[3, 0] = True
    cosine = torch.nn.functional.cosine_similarity(query[:, None], key[None], dim=-1) / 0.2
    for own in range(5):
        others = [j for j in range(5) if not (forbidden[own, j] and own != j)]
        forth = -cosine[own, own] + torch.logsumexp(cosine[own, others], 0)
        back = -cosine[own, own] + torch.logsumexp(cosine[others, own], 0)
        assert contrastive_loss(query, key, 0.2, forbidden)[own] == pytest.approx(float(forth + back) / 2, rel=1e-5)


def test_a_forbidden_own_pair_is_still_the_right_answer():
    query = torch.randn(4, 8, generator=generator())
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert contrastive_loss(query, query, 0.1, everything).numpy() == pytest.approx([0] * 4, abs=1e-6)


# Network


def tiny_network():
    torch.manual_seed(0)
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 4, "chunk_seconds": 1.28}
    return Network(Model.from_dict({"encoder": shape, "predictor": {"width": 64, "depth": 1}}))


def examples(size=4, samples=20480):
    drawn = torch.Generator().manual_seed(1)
    return *(0.1 * torch.randn(2, size, samples, generator=drawn)), torch.randint(4, (size,), generator=drawn)


def gradients(network):
    return {name: None if parameter.grad is None else float(parameter.grad.abs().sum()) for name, parameter in network.named_parameters()}


def test_no_gradient_reaches_the_teacher_and_one_reaches_all_else():
    network = tiny_network()
    views = network(*examples())
    predictive_loss(views.prediction, views.target).mean().backward()
    for name, size in gradients(network).items():
        assert (size is None) if name.startswith("teacher.") else (size is not None and size > 0), name


def test_the_encoder_learns_from_the_targets_too_where_the_teacher_is_not_asked():
    """The encoder's gradient must differ from the one through the context alone."""
    alone, both = tiny_network(), tiny_network()
    for network, detach in ((alone, True), (both, False)):
        views = network(*examples(), by_teacher=False)
        target = views.target.detach() if detach else views.target
        contrastive_loss(network.pooled(views.prediction), network.pooled(target), 0.1).mean().backward()
    name = "encoder.patch_embed.proj.weight"
    assert not torch.allclose(dict(alone.named_parameters())[name].grad, dict(both.named_parameters())[name].grad)


def test_the_teacher_begins_as_the_encoder_so_both_ways_agree_at_first():
    network = tiny_network()
    with torch.no_grad():
        by_teacher, by_encoder = network(*examples()), network(*examples(), by_teacher=False)
    for one, other in zip(by_teacher, by_encoder, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_pooling_averages_over_time_and_keeps_bands_apart():
    network = tiny_network()
    bands, steps, width = 5, 8, 32
    patches = torch.randn(2, bands * steps, width)
    pooled = network.pooled(patches)
    for band in range(bands):
        torch.testing.assert_close(pooled[:, band * width : (band + 1) * width], patches[:, band * steps : (band + 1) * steps].mean(1))
