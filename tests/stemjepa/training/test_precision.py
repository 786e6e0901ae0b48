"""What each part of a training step is computed in, and on which device: as a GPU would be asked, seen on a processor and on no device."""

import copy
from collections import defaultdict

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.retrieval import embedding
from jukemir_like.stemjepa.training import validation
from jukemir_like.stemjepa.training.module import TrainingModule

PRODUCTS = {torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm}


class Products(TorchDispatchMode):
    """Collects the types of the factors of all matrix products."""

    def __init__(self):
        super().__init__()
        self.types = defaultdict(int)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in PRODUCTS:
            for factor in args[-2:]:
                self.types[factor.dtype] += 1
        return function(*args, **(kwargs or {}))


def bf16():
    return torch.autocast("cpu", torch.bfloat16)


def test_products_of_the_contrastive_loss_are_float32_under_autocast():
    rows = [torch.randn(6, 8, dtype=torch.bfloat16, requires_grad=True) for _ in range(2)]
    with Products() as products, bf16():
        inside = model.contrastive_loss(*rows, temperature=0.1)
    with products:
        inside.mean().backward()
    assert dict(products.types) == {torch.float32: 2 * 3}  # of the cosines, and of the gradients of both sides
    assert torch.equal(inside, model.contrastive_loss(*rows, temperature=0.1))
    with Products() as products, bf16():
        torch.zeros(2, 2) @ torch.zeros(2, 2)
    assert dict(products.types) == {torch.bfloat16: 2}  # so it would have been


def test_front_end_is_float32_and_networks_are_bfloat16(settings):
    run = settings()
    network = model.Network(run.model)
    waveforms = torch.randn(4, run.model.chunk_samples)
    with Products() as products, bf16():
        log_mel = network.frontend(waveforms)
    assert set(products.types) == {torch.float32}
    with Products() as products, bf16():
        patches = network.encoder(log_mel)
        network.predictor(patches, torch.arange(4))
    assert set(products.types) == {torch.bfloat16}
    assert network.pooled(patches.bfloat16()).dtype == torch.float32


def test_after_a_step_in_bfloat16_all_that_is_kept_is_float32(settings):
    module = TrainingModule(settings({"trainer.precision": "bf16"}))
    optimiser = module.configure_optimizers()
    with bf16():
        loss = module(batch(module.settings, "cpu"))
    loss.backward()
    optimiser.step()
    model.update_teacher(module.network.teacher, module.network.encoder, 0.5)
    kept = [*module.state_dict().values(), *(value for state in optimiser.state.values() for value in state.values())]
    assert {tensor.dtype for tensor in kept} == {torch.float32}
    assert loss.dtype == torch.float32


def batch(settings, device, size=4):
    waveforms = torch.randn(2, size, settings.model.chunk_samples).to(device)
    numbers = torch.arange(size).to(device)
    return {"context": waveforms[0], "target": waveforms[1], "source": numbers % settings.model.predictor.num_sources, "track": numbers}


PREDICTORS = [{}, {"conditioning": "film"}, {"kind": "transformer", "width": 16, "depth": 1, "heads": 2}]


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("step", [0, 3])  # of either phase
def test_a_training_step_computes_on_one_device(settings, predictor, step, monkeypatch):
    """The meta device stands for a GPU: an operation on a tensor of it and one on the processor raises an error."""
    adam = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, fused, **options: adam(groups, **options))  # none is fused for this device
    module = TrainingModule(settings({f"model.predictor.{name}": value for name, value in predictor.items()}))
    module.step = step
    module.to("meta")
    optimiser = module.configure_optimizers()
    loss = module(batch(module.settings, "meta"))
    loss.backward()
    module.configure_gradient_clipping(optimiser)
    optimiser.step()
    model.update_teacher(module.network.teacher, module.network.encoder, 0.5)
    of_state = [state[name] for state in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq")]
    sums = module.loss_sums._sums
    kept = [loss, module.gradient_norm, sums, *module.views, *module.state_dict().values(), *of_state]
    assert {tensor.device.type for tensor in kept} == {"meta"}


def test_monitors_compute_on_one_device():
    patches = torch.zeros(8, 10, 16, device="meta")
    for value in (
        validation.spread(patches[:, 0]), validation.mean_cosine(patches, patches), model.predictive_loss(patches, patches),
        embedding._mean(patches, torch.ones(8, device="meta"), 5),
    ):  # fmt: skip
        assert value.device.type == "meta"


def test_a_tensor_elsewhere_is_an_error(settings):
    module = TrainingModule(settings()).to("meta")
    mixed = batch(module.settings, "meta") | {"source": torch.zeros(4, dtype=torch.long)}
    with pytest.raises(RuntimeError):
        module(mixed)


def test_a_copy_of_the_network_on_no_device_has_all_its_names(settings):
    network = model.Network(settings().model)
    assert list(copy.deepcopy(network).to("meta").state_dict()) == list(network.state_dict())
