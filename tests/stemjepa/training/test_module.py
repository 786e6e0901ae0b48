import copy
import itertools

import pytest
import torch
from torch import nn

from jukemir_like.stemjepa.checkpoint import load
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.devices import Placement
from jukemir_like.stemjepa.training.module import TrainingModule, learning_rate, parameter_groups, tau
from jukemir_like.stemjepa.training.run import train


def module_of(settings):
    torch.manual_seed(0)
    return TrainingModule(settings)


def batch_of(settings, size=4):
    made = batches.find_tracks(settings)
    return next(iter(loader(Examples(made.train, settings.data, settings.model, 0), batch_size=size, batches=1, workers=0)))


@pytest.mark.parametrize(("decay", "track_weight"), [("matrices", 0.0), ("all", 2.0)])
def test_a_run_is_what_a_plain_loop_does(settings, tmp_path, decay, track_weight):
    """Phases, accumulated batches, clipping, learning rate, decay, and a teacher that moves after each step and not each batch."""
    changes = {
        "trainer.accumulate": 2,
        "data.dataloader.batch_size": 8,
        "optimiser.clip": 0.5,
        "optimiser.weight_decay": 0.3,
        "optimiser.decay": decay,
        "objective.track_weight": track_weight,
        "data.chunks_per_track": 2 if track_weight else 1,
    }
    run = settings(changes)
    weights = load(train(run, tmp_path)).network.state_dict()

    module = module_of(run)
    student, teacher, network = module.network.encoder, module.network.teacher, module.network
    biases_and_others = [
        [parameter for name, parameter in network.named_parameters() if parameter.requires_grad and plain(name) == choice]
        for choice in (False, True)
    ]
    optimiser = torch.optim.AdamW(
        [
            {"params": biases_and_others[0], "weight_decay": 0.3},
            {"params": biases_and_others[1], "weight_decay": 0.3 if decay == "all" else 0.0},
        ],
        lr=1.0, betas=(0.9, 0.95),
    )  # fmt: skip
    loaded = iter(batches.train_loader(run, batches.find_tracks(run).train, Placement("cpu", 1), 0))
    for step in range(5):
        optimiser.zero_grad()
        for batch in itertools.islice(loaded, 2):
            contrasting = step < 2
            mels = network.frontend(batch["context"]), network.frontend(batch["target"])
            if contrasting:
                context, target = student(mels[0]), student(mels[1])
            else:
                context = student(mels[0])
                with torch.no_grad():
                    target = teacher(mels[1])
            prediction = network.predictor(context, batch["source"])
            loss = info_nce(network.pooled(prediction), network.pooled(target), batch["track"])
            if track_weight:
                loss = loss + track_weight * plain_track_loss(network.pooled(context), network.pooled(target), batch["track"])
            if contrasting:
                mix, stem = (rows - rows.mean(0) for rows in (network.pooled(context), network.pooled(target)))
                loss = loss + info_nce(mix, stem, batch["track"])
            else:
                loss = 0.5 * loss + plain_predictive(prediction, target)
            (loss / 2).backward()
        nn.utils.clip_grad_norm_([*biases_and_others[0], *biases_and_others[1]], 0.5)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(run, step)
        optimiser.step()
        tau = 0.0 if contrasting else 0.5 ** (1 / 3)
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.copy_(tau * slow + (1 - tau) * fast)
    for name, expected in network.state_dict().items():
        found = weights[name]
        if name.endswith("qkv.bias"):  # the keys' bias has no gradient but rounding errors, whose signs Adam follows
            found, expected = (torch.cat([bias[:16], bias[32:]]) for bias in (found, expected))
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


def plain(name):
    return name.endswith("bias") or "norm" in name or "sources" in name


def info_nce(query, key, track):
    query, key = (nn.functional.normalize(rows, dim=-1) for rows in (query, key))
    total = 0.0
    for one in range(len(query)):
        others = [other for other in range(len(query)) if other == one or track[other] != track[one]]
        place = others.index(one)
        forth = torch.stack([query[one] @ key[other] for other in others]) / 0.1
        back = torch.stack([key[one] @ query[other] for other in others]) / 0.1
        total = total + (forth.logsumexp(0) - forth[place] + back.logsumexp(0) - back[place]) / 2
    return total / len(query)


def plain_track_loss(mix, stem, track):
    mix, stem = (nn.functional.normalize(rows - rows.mean(0), dim=-1) for rows in (mix, stem))
    total = 0.0
    for one in range(len(mix)):
        others = [other for other in range(len(mix)) if other != one]
        wanted = [place for place, other in enumerate(others) if track[other] == track[one]]
        for rows in (mix, stem):
            logits = torch.stack([mix[one] @ rows[other] for other in others]) / 0.1
            total = total + (logits.logsumexp(0) - logits[wanted].mean()) / 2
    return total / len(mix)


def plain_predictive(prediction, target):
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    prediction, target = (nn.functional.normalize(patches, dim=-1) for patches in (prediction, target))
    return (2 - 2 * (prediction * target).sum(-1)).mean()


def test_no_gradient_reaches_the_teacher(settings):
    module = module_of(settings({"objective.contrastive_steps": 0}))
    module(batch_of(module.settings)).backward()
    assert all(parameter.grad is None for parameter in module.network.teacher.parameters())
    assert all(parameter.grad is not None for parameter in module.network.encoder.parameters())
    trained = {id(parameter) for group in module.configure_optimizers().param_groups for parameter in group["params"]}
    assert not trained & {id(parameter) for parameter in module.network.teacher.parameters()}


def test_the_contrastive_phase_learns_from_both_sides(settings):
    """The same batch with the target's side cut off gives another gradient of the encoder."""
    run = settings()
    module, batch = module_of(run), batch_of(run)
    module(batch).backward()
    both = module.network.encoder.patch_embed.proj.weight.grad.clone()
    module.zero_grad()
    views = module.network(batch["context"], batch["target"], batch["source"], by_teacher=False)
    module.losses(views._replace(target=views.target.detach()), batch["track"], contrasting=True).contrastive.mean().backward()
    one = module.network.encoder.patch_embed.proj.weight.grad
    assert (both - one).norm() > 0.1 * both.norm()


def test_two_chunks_of_one_track_are_no_negatives(settings):
    run = settings()
    module, batch = module_of(run), batch_of(run)
    views = module.network(batch["context"], batch["target"], batch["source"])
    of_one = module.losses(views, torch.zeros_like(batch["track"]), contrasting=True).contrastive
    torch.testing.assert_close(of_one, torch.zeros(4), atol=1e-6, rtol=0)
    assert module.losses(views, torch.arange(4), contrasting=True).contrastive.min() > 0.01


def test_the_teacher_is_the_encoder_at_the_end_of_the_contrastive_phase(settings, tmp_path):
    network = load(train(settings({"trainer.max_steps": 2, "objective.contrastive_steps": 2}), tmp_path)).network
    before = module_of(settings()).network
    for fast, slow in zip(network.encoder.parameters(), network.teacher.parameters(), strict=True):
        assert torch.equal(fast, slow)
    assert not torch.equal(network.teacher.patch_embed.proj.weight, before.teacher.patch_embed.proj.weight)


@pytest.mark.parametrize("predictor", [{}, {"kind": "transformer", "width": 16, "depth": 1, "heads": 2}, {"conditioning": "film"}])
def test_biases_norms_and_embeddings_do_not_decay(settings, predictor):
    network = module_of(settings({f"model.predictor.{name}": value for name, value in predictor.items()})).network
    decayed, others = parameter_groups(network)
    linear = [layer.weight for layer in network.modules() if isinstance(layer, nn.Linear) and layer.weight.requires_grad]
    assert {id(weight) for weight in decayed} == {id(weight) for weight in linear}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sorted(map(id, [*decayed, *others])) == sorted(map(id, trained))


def test_compiling_changes_no_name(settings):
    module = module_of(settings())
    before = list(module.state_dict())
    copied = copy.deepcopy(module)
    copied.network.encoder.compile()
    assert list(copied.state_dict()) == before


def test_learning_rate_is_that_of_torchs_schedulers(settings):
    run = settings({"trainer.max_steps": 50, "optimiser.warmup_steps": 8, "data.dataloader.batch_size": 64, "optimiser.lr": 0.02})
    highest = 0.02 * 64 / 256
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=highest)
    rise = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1 / 8, total_iters=7)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=42)
    both = torch.optim.lr_scheduler.SequentialLR(optimiser, [rise, fall], milestones=[8])
    for step in range(50):
        assert learning_rate(run, step) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12), step
        optimiser.step()
        both.step()
    assert learning_rate(run, 50) == pytest.approx(0, abs=1e-12)
    assert learning_rate(run, 7) == highest


def test_learning_rate_without_warm_up_begins_at_its_highest(settings):
    run = settings({"optimiser.warmup_steps": 0, "data.dataloader.batch_size": 256, "optimiser.lr": 1e-3})
    assert learning_rate(run, 0) == pytest.approx(1e-3)


def test_half_of_the_teacher_is_younger_than_the_half_life(settings):
    run = settings({"objective.contrastive_steps": 3, "objective.tau_half_life_steps": 20.0, "trainer.max_steps": 100})
    assert [tau(run, step) for step in range(3)] == [0, 0, 0]
    assert tau(run, 3) ** 20 == pytest.approx(0.5)


def test_linear_tau_counts_from_the_end_of_the_contrastive_phase(settings):
    run = settings({"objective.contrastive_steps": 10, "objective.tau_half_life_steps": None, "trainer.max_steps": 110})
    assert tau(run, 9) == 0
    assert tau(run, 10) == 0.99995
    assert tau(run, 60) == pytest.approx(0.99997)
    assert tau(run, 110) == pytest.approx(0.99999)
