"""Names of settings in the original code's configuration files (arXiv 2408.02514), and what they are here.

What its example of a data file contains is understood, in files and in overrides; every other option is answered with its name here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt

UNDERSTOOD = {
    "data.dataset.data_path": ("data.data_path",),
    "data.dataset.sample_rate": ("model.frontend.sample_rate",),
    "data.transform.norm_stats": ("model.frontend.mean", "model.frontend.std"),
}
"""Original option → option here; of ``norm_stats``, a list, one for each of its two numbers."""

_NOTHING = "nothing here: leave it out"
_IN_STEPS = "counted in optimiser steps, not in epochs"
_CUSTOM = "with model.encoder.size=custom"

ANSWERS = {
    "ckpt_path": "nothing here: the same command resumes an interrupted run",
    "paths.data_dir": "data.data_path",
    "data.dataset.duration": "model.encoder.chunk_seconds",
    "data.dataset.num_sources_context": "data.context",
    "data.dataset.num_trials": _NOTHING,
    "data.dataset.silence_threshold": "data.silence_db, in dB below the loudest peak of the stem in its track",
    "data.dataloader.devices": _NOTHING,
    "data.dataloader.persistent_workers": _NOTHING,
    "data.dataloader.pin_memory": _NOTHING,
    "data.transform.center": _NOTHING,
    "data.transform.fmax": "model.frontend.f_max",
    "data.transform.fmin": "model.frontend.f_min",
    "data.transform.hop_length": "model.frontend.hop_length",
    "data.transform.n_fft": "model.frontend.n_fft",
    "data.transform.n_mels": "model.frontend.n_mels",
    "data.transform.power": _NOTHING,
    "data.transform.sr": "model.frontend.sample_rate",
    "data.transform.verbose": _NOTHING,
    "data.transform.win_length": "model.frontend.n_fft, which is the length of the window too",
    "model.base_lr": "optimiser.lr",
    "model.compile": "trainer.compile",
    "model.encoder.embed_dim": f"model.encoder.width, {_CUSTOM}",
    "model.encoder.img_size": "model.frontend.n_mels and model.encoder.chunk_seconds",
    "model.encoder.num_heads": f"model.encoder.heads, {_CUSTOM}",
    "model.encoder.patch_size": "model.encoder.patch_mels and model.encoder.patch_frames",
    "model.ma_callback.final_tau": "objective.tau_last",
    "model.ma_callback.initial_tau": "objective.tau_first",
    "model.optimizer.betas": "optimiser.beta1 and optimiser.beta2",
    "model.optimizer.lr": "optimiser.lr",
    "model.optimizer.weight_decay": "optimiser.weight_decay",
    "model.predictor.embed_dim": "model.predictor.width",
    "model.predictor.hidden_dims": "model.predictor.width and model.predictor.depth",
    "model.predictor.num_heads": "model.predictor.heads",
    "model.scheduler.warmup_epochs": f"optimiser.warmup_steps, {_IN_STEPS}",
    "trainer.accumulate_grad_batches": "trainer.accumulate",
    "trainer.gradient_clip_val": "optimiser.clip",
    "trainer.max_epochs": f"trainer.max_steps, {_IN_STEPS}",
    "trainer.num_nodes": "trainer.nodes",
    "trainer.strategy": "nothing here: several devices are one process for each, leave it out",
}
"""Original option → what it is called here."""

CHOICES = {"trainer=mps": "is not possible here, as only NVIDIA's GPUs and processors are trained on: choose trainer=cpu"}
"""Original choices for which there is no file ``configs/GROUP/NAME.yaml``, and why."""


def translated(override: str) -> list[str]:
    """The overrides that say here what ``override`` said in the original: itself, where it is not one of the original's.

    Raises:
        RequestError: it is one that has another name here, or none.

    >>> translated("data.dataset.data_path=/stems"), translated("seed=1")
    (['data.data_path=/stems'], ['seed=1'])
    """
    name, equals, value = override.lstrip("+").partition("=")
    answer = CHOICES.get(f"{name}{equals}{value}")
    if answer is not None:
        raise RequestError(f"{override} {answer}")
    _refuse_renamed(name)
    if name not in UNDERSTOOD:
        return [override]
    if len(UNDERSTOOD[name]) == 1:
        return [f"{UNDERSTOOD[name][0]}={value}"]
    try:
        numbers = yaml.safe_load(value)
    except yaml.YAMLError:
        numbers = value
    values = [f"{option}={number}" for option, number in _pairs(name, numbers)]
    return [*values, "data.statistics=false"]


def translate(values: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Moves options of the original in composed ``values`` to their places here.

    Where the option here is set as well, it stays: the original's comes from a file, and the other one from an override.

    Args:
        values: as Hydra composed them; changed.
        defaults: those of all options.

    Raises:
        RequestError: one of them has another name here, or none.

    >>> values = {"data": {"data_path": "", "dataset": {"data_path": "/stems"}}}
    >>> translate(values, {"data": {"data_path": ""}})
    >>> values
    {'data': {'data_path': '/stems'}}
    """
    for name in list(_names(values)):
        _refuse_renamed(name)
    for name in UNDERSTOOD:
        *sections, option = name.split(".")
        place = _section(values, sections)
        if option not in place:
            continue
        for ours, value in _pairs(name, place.pop(option)):
            *own_sections, own_option = ours.split(".")
            own = _section(values, own_sections)
            if own.get(own_option) == _section(defaults, own_sections).get(own_option):
                own[own_option] = value
        if name == "data.transform.norm_stats":
            values["data"]["statistics"] = False  # they are to be used, not to be measured anew
    for section in ("dataset", "transform"):
        if _section(values, ["data"]).get(section) == {}:
            del values["data"][section]


def _refuse_renamed(name: str) -> None:
    if name in ANSWERS:
        raise RequestError(f"{name}, an option of the original code, is {ANSWERS[name]}")


def _pairs(name: str, value: Any) -> list[tuple[str, Any]]:
    """The options here that ``name`` stands for, with their values."""
    options = UNDERSTOOD[name]
    if len(options) == 1:
        return [(options[0], value)]
    numbers = value if isinstance(value, list) else []
    if len(numbers) != len(options) or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise RequestError(f"{name} is {excerpt(repr(value), 60)}: give [mean, standard deviation] of the log-mel")
    return list(zip(options, map(float, numbers), strict=True))


def _section(values: Mapping[str, Any], names: list[str]) -> Any:
    """The section of this name; an empty one where there is none."""
    for name in names:
        inner = values.get(name)
        values = inner if isinstance(inner, Mapping) else {}
    return values


def _names(values: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Dotted names of all options and sections."""
    for name, value in values.items():
        yield f"{section}{name}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{section}{name}.")
