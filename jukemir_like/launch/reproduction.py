"""What ``make reproduce`` is asked for, checked, and as the workflow needs it: datasets, representations, probes, trainings."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from itertools import product
from typing import Any

from jukemir_like import datasets, representations
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.machine import available_cpus
from jukemir_like.datasets.deformed import deformed_name, split_name
from jukemir_like.datasets.meta import DESCRIPTION, META, read_description
from jukemir_like.deform import effects, names
from jukemir_like.encoders import encoder, hub
from jukemir_like.encoders.weights import MissingWeightsError
from jukemir_like.launch import images, planning
from jukemir_like.launch.stamps import AGAIN
from jukemir_like.packs import origin, published
from jukemir_like.probes.fitting import are_fitted_together
from jukemir_like.probes.protocols import DEFAULT_SEEDS, PROTOCOLS, check_settings
from jukemir_like.representations.names import parse
from jukemir_like.representations.stemjepa import parse_name
from jukemir_like.stemjepa import checkpoint


def configuration(options: argparse.Namespace, cache: Cache) -> dict[str, Any]:
    """What the Snakefile needs to know; names are checked here, so that a wrong one is one line and not a workflow that fails.

    Args:
        options: as ``scripts/reproduce.py`` has them.
        cache: where datasets, weights and vectors are.

    Raises:
        RequestError: something that is asked for does not exist, or does not go together.
    """
    lists = ("datasets", "representations", "layers", "protocol", "deform")
    config: dict[str, list[str]] = {name: getattr(options, name).split() for name in lists}
    for dataset in config["datasets"]:
        check_dataset(dataset, cache)
    deformations = list(dict.fromkeys(config.pop("deform")))
    for deformation in deformations:
        effects.check_libraries(names.parse(deformation))
    passed_over = not_deformed(config["datasets"], cache) if deformations else {}
    config["deformed"] = [
        deformed_name(*pair) for pair in product([one for one in config["datasets"] if one not in passed_over], deformations)
    ]
    if options.precomputed:
        config["representations"] = [published.full_name(name) for name in config["representations"]]
    named = [*config["representations"], *config["layers"]]
    recipes = {name: recipe for name in named if (recipe := _recipe(name))}
    for representation in config["representations"]:
        if published.is_published(representation):
            if deformations:
                raise RequestError(f"vectors of {representation} are published of clean audio alone: leave out DEFORM")
            for dataset in config["datasets"]:
                published.asset(dataset, representation)
        elif representation not in recipes and not _is_taken_over(representation, config["datasets"], cache):
            _has_layers(representation, cache)
    for representation in config["layers"]:
        if parse(representation).layer is not None:
            raise RequestError(f"{representation} names a layer already: LAYERS are names without one")
        if representation not in recipes and not _has_layers(representation, cache):
            raise RequestError(f"{representation} has no layers: leave it out of LAYERS")
    for protocol in config["protocol"]:
        if protocol not in PROTOCOLS:
            raise RequestError(f"unknown PROTOCOL {protocol!r}: choose of {', '.join(PROTOCOLS)}; several with spaces between them")
    if not all(seed.isascii() and seed.isdigit() for seed in options.seed.split()):
        raise RequestError(f"SEED {options.seed!r} is not a number, or several with spaces between them")
    seeds = list(dict.fromkeys(int(seed) for seed in options.seed.split()))
    if options.folds and not (options.folds.isascii() and options.folds.isdigit() and int(options.folds) > 1):
        raise RequestError(f"FOLDS {options.folds!r} is no number from 2: each fold is tested by a probe of the others")
    if not any(images.family_of(name).name == "stemjepa" for name in named):
        alone = next((dataset for dataset in config["datasets"] if datasets.stems_of(dataset) == dataset), None)
        if alone:
            raise RequestError(f"{alone} has stems and no labels: only stemjepa says something of it, add it to REPRESENTATIONS")
    return {
        **config,
        "probes": [probe for protocol in config["protocol"] for probe in probe_jobs(protocol, seeds or DEFAULT_SEEDS[protocol])],
        "folds": int(options.folds) if options.folds else None,
        "songs": options.songs,
        "synthband_seed": 0,
        "batch_size": options.batch_size,
        "training_dataset": options.training_dataset,
        "trained": {recipe: _training(recipe, options.steps) for recipe in sorted(set(recipes.values()))},
        "again": str(AGAIN),
        "runner": options.runner,
        "container": "docker" if options.runner == "docker" else options.container,
        "cores": _cores(options),
        "array_size": None,
    }


def check_dataset(name: str, cache: Cache) -> None:
    """Raises where ``name`` is no dataset of this workflow."""
    if parts := split_name(name):
        raise RequestError(f"{name} is {parts[0]} deformed: give {parts[0]} in DATASETS and {parts[1]} in DEFORM")
    if not (cache.processed(name) / META).exists():  # a user's own, or one that was processed before
        datasets.assets(name)


def not_deformed(wanted: Sequence[str], cache: Cache) -> dict[str, str]:
    """The datasets that DEFORM passes over, and why: those of which no probe is tested."""
    reasons = {}
    for name in wanted:
        if datasets.stems_of(name) == name:
            reasons[name] = "it has stems and no labels"
        elif not datasets.is_known(name) and (cache.processed(name) / DESCRIPTION).exists():
            description = read_description(cache.processed(name))
            if description.stems is not None or description.stems_per_track:
                reasons[name] = "it has stems, and only mono can be deformed"
            elif not description.tasks:
                reasons[name] = "it has no labels"
    return reasons


def probe_jobs(protocol: str, seeds: Sequence[int]) -> list[str]:
    """The jobs of a protocol, as their stamps are named: one per seed, or one for all seeds where it fits them together."""
    if are_fitted_together(check_settings(protocol, None)):
        return [f"{protocol}-{'+'.join(map(str, seeds))}"]
    return [f"{protocol}-{seed}" for seed in seeds]


def _cores(options: argparse.Namespace) -> int:
    """Processors of this machine that may be used."""
    if options.jobs and not (options.jobs.isascii() and options.jobs.isdigit() and int(options.jobs)):
        raise RequestError(f"JOBS {options.jobs!r} is no number from 1")
    return int(options.jobs) if options.jobs and options.runner != "slurm" else available_cpus()


def _has_layers(representation: str, cache: Cache) -> bool:
    """Whether a representation has layers to choose; :class:`RequestError` where there is none of its name.

    The weights of an encoder may still be missing: they are downloaded. Of a model of the hub that is not here, nothing is known yet.
    """
    parsed = parse(representation)
    if parsed.family == "hf":
        hub.name_of(parsed.base)
    try:
        return bool(representations.load(representation, cache=cache).layers)
    except MissingWeightsError:
        return parsed.family == "hf" or encoder.find_card(parsed.base, cache=cache).layers is not None


def _is_taken_over(representation: str, wanted: list[str], cache: Cache) -> bool:
    """Whether its vectors of all datasets are of packs, so that nothing has to be computed."""
    return all(origin.read(cache.representation(dataset, representation)) is not None for dataset in wanted)


def computed(names: list[str], wanted: list[str], cache: Cache) -> list[str]:
    """Those of which vectors of some dataset are computed here: neither published nor of packs."""
    return [name for name in names if not published.is_published(name) and not _is_taken_over(name, wanted, cache)]


def images_of(names: list[str], cache: Cache) -> list[str]:
    """Full names of the images of all stages, where representations ``names`` are computed."""
    stages = {images.STAGES[stage].image for stage in ("download", "process", "deform", "probe")}
    stages |= {images.image_of(name, planning.described_by(name, None, cache)) for name in names}
    stages |= {images.STAGES["train"].image for name in names if _recipe(name)}
    return sorted(images.reference(name) for name in stages)


def _recipe(representation: str) -> str | None:
    """The recipe of the package that a representation is trained by, where it is one of Stem-JEPA and not in the package."""
    name = parse_name(representation)[0] if images.family_of(representation).name == "stemjepa" else None
    ours = {path.stem for path in (checkpoint.FOLDER.parent / "configs" / "recipe").glob("*.yaml")} - set(checkpoint.names())
    return name if name in ours else None


def _training(recipe: str, steps: int | None) -> dict[str, str | int]:
    """How the recipe is trained: overrides that shorten all its phases alike to ``steps``, the digest of what it then says, its examples.

    When the digest changes, the weights are trained again.
    """
    from jukemir_like.stemjepa.training.compose import compose_settings

    overrides: list[str] = []
    if steps:
        whole = compose_settings([f"recipe={recipe}"])
        phases = {"optimiser.warmup_steps": whole.optimiser.warmup_steps, "objective.contrastive_steps": whole.objective.contrastive_steps}
        overrides = [f"{phase}={length * steps // whole.trainer.max_steps}" for phase, length in phases.items()]
        overrides.append(f"trainer.max_steps={steps}")
    settings = compose_settings([f"recipe={recipe}", *overrides]).to_dict()
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    examples = settings["trainer"]["max_steps"] * settings["data"]["dataloader"]["batch_size"]
    return {"overrides": " ".join(overrides), "digest": digest, "examples": examples}
