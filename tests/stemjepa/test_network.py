import torch

from jukemir_like.stemjepa.config import Model
from jukemir_like.stemjepa.network import Network
from jukemir_like.stemjepa.objective import contrastive, predictive


def tiny():
    torch.manual_seed(0)
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 4, "chunk_seconds": 1.28}
    return Network(Model.from_dict({"encoder": shape, "predictor": {"width": 64, "depth": 1}}))


def batch(size=4, samples=20480):
    drawn = torch.Generator().manual_seed(1)
    return *(0.1 * torch.randn(2, size, samples, generator=drawn)), torch.randint(4, (size,), generator=drawn)


def gradients(network):
    return {name: None if parameter.grad is None else float(parameter.grad.abs().sum()) for name, parameter in network.named_parameters()}


def test_no_gradient_reaches_the_teacher_and_one_reaches_all_else():
    network = tiny()
    views = network(*batch())
    predictive(views.prediction, views.target).mean().backward()
    for name, size in gradients(network).items():
        assert (size is None) if name.startswith("teacher.") else (size is not None and size > 0), name


def test_the_encoder_learns_from_the_targets_too_where_the_teacher_is_not_asked():
    """The encoder's gradient must differ from the one through the context alone."""
    alone, both = tiny(), tiny()
    for network, detach in ((alone, True), (both, False)):
        views = network(*batch(), by_teacher=False)
        target = views.target.detach() if detach else views.target
        contrastive(network.pooled(views.prediction), network.pooled(target), 0.1).mean().backward()
    name = "encoder.patch_embed.proj.weight"
    assert not torch.allclose(dict(alone.named_parameters())[name].grad, dict(both.named_parameters())[name].grad)


def test_the_teacher_begins_as_the_encoder_so_both_ways_agree_at_first():
    network = tiny()
    with torch.no_grad():
        by_teacher, by_encoder = network(*batch()), network(*batch(), by_teacher=False)
    for one, other in zip(by_teacher, by_encoder, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_pooling_averages_over_time_and_keeps_bands_apart():
    network = tiny()
    bands, steps, width = 5, 8, 32
    patches = torch.randn(2, bands * steps, width)
    pooled = network.pooled(patches)
    for band in range(bands):
        torch.testing.assert_close(pooled[:, band * width : (band + 1) * width], patches[:, band * steps : (band + 1) * steps].mean(1))
