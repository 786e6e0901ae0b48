"""Runs the whole line with Snakemake: from nothing to ``report/index.html`` in the cache.

Holds a lock on the cache while it runs; a run that was killed leaves nothing to clean up, the next one goes on from what is finished.
Where a stage fails, it says which, why and how to go on, and ends with the stage's exit code.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from jukemir_like import datasets, representations
from jukemir_like.core import processes, signals, stdio
from jukemir_like.core.atomic import file_system_time
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import BUG, DONE, INTERRUPTED, WRONG_REQUEST, RequestError
from jukemir_like.core.locks import locked
from jukemir_like.core.machine import available_cpus
from jukemir_like.encoders import encoder, hub
from jukemir_like.encoders.weights import MissingWeightsError
from jukemir_like.launch import cost_table, engine, estimates, images
from jukemir_like.packs import origin, published
from jukemir_like.representations.names import POOLS, parse
from jukemir_like.representations.stemjepa import parse_name
from jukemir_like.stemjepa import checkpoint

SCRIPTS = Path(__file__).resolve().parent
STAMPS = Path(".stages")  # in the cache, as the next
AGAIN = STAMPS / "again"
LOGS = STAMPS / "logs"
UNFINISHED = STAMPS / "unfinished"  # a run has begun, and not ended well
PAGE = Path("report", "index.html")
END_SECONDS = 40.0  # after a first signal: the longest that a stage takes, and Snakemake


def main() -> int:
    options = _options()
    cache = Path(options.cache).absolute()
    try:
        if options.cost:
            return _say_cost(options, Cache(cache))
        config = _config(options, Cache(cache))
        if options.runner == "docker" and not options.plan:
            _check_images([*_computed(config["representations"], config["datasets"], Cache(cache)), *config["layers"]])
    except RequestError as error:
        print(f"make reproduce: {error}", file=sys.stderr)
        return WRONG_REQUEST
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock", keep_file=True, on_wait=lambda: _say_in_use(cache)) as lock, tempfile.TemporaryDirectory() as temporary:
        configuration = Path(temporary) / "config.json"
        configuration.write_text(json.dumps(config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(SCRIPTS / "Snakefile"), "--directory", str(cache)]
        command += ["--profile", str(SCRIPTS / "profiles" / "local"), "--configfile", str(configuration)]
        command += ["--cores", options.jobs or str(available_cpus())]
        again = _again(cache, options.datasets.split())
        # A stage that fails or is killed takes its stamp along, and Snakemake does not miss it as long as a page is there: an older one.
        again += [str(PAGE)] if (cache / UNFINISHED).exists() else []
        if not options.plan:
            again += _ahead(cache)
            _forget_removed(cache)
            for failed in (cache / LOGS).rglob("*.failed"):
                failed.unlink()
            (cache / STAMPS).mkdir(exist_ok=True)
            (cache / UNFINISHED).touch()
        command += ["--forcerun", *dict.fromkeys(again)] if again else []
        command += ["--dry-run", "--quiet", "host"] if options.plan else []
        code = _run(command, lock)
        if code != DONE:
            return _failed(cache, code, command, stages=not options.plan)
        if not options.plan:
            (cache / UNFINISHED).unlink()
    if options.plan:
        for dataset in options.datasets.split():
            if not (Cache(cache).processed(dataset) / "meta.json").exists():
                wanted = "take over" if options.precomputed else "extract"
                names = " ".join(filter(None, [options.representations, options.layers]))
                print(f"and {wanted} {names} of {dataset}, in batches that are counted once it is processed")
    else:
        print(f"\nThe results page: {cache / PAGE}")
    return DONE


def _say_cost(options: argparse.Namespace, cache: Cache) -> int:
    names = options.representations.split()
    wanted = [published.full_name(name) for name in names] if options.precomputed else names
    estimated = estimates.estimate(options.datasets.split(), wanted, cache, layers=options.layers.split(), songs=options.songs)
    print(cost_table.table(estimated))
    return DONE


def _say_in_use(cache: Path) -> None:
    print(f"another run is using {cache}; waiting for it to end", file=sys.stderr)


def _ahead(cache: Path) -> list[str]:
    """Removes stamps of a time to come, of a clock that ran ahead: nothing would be newer. What is right is kept by the stages themselves.

    Returns what has to be made again, so that they run.
    """
    now = file_system_time(cache)
    stamps = [path for path in (cache / STAMPS).rglob("*") if not path.is_relative_to(cache / LOGS) and path.is_file()]
    ahead = [path for path in [*stamps, cache / PAGE] if path.is_file() and path.stat().st_mtime > now]
    for path in set(ahead) - {cache / PAGE}:
        path.unlink()
    if ahead:
        print(f"{len(ahead)} stages ended at a time that is still to come: a clock was wrong; they are run again", file=sys.stderr)
    return [str(PAGE)] if ahead else []


def _forget_removed(cache: Path) -> None:
    """Removes the stamps of extractions whose folder of vectors was removed: when vectors are needed, they are computed again."""
    for stage in ("extract", "extract_layers"):
        for stamps in (cache / STAMPS / stage).glob("*/*"):
            vectors = cache / "representations" / stamps.parent.name
            there = [path.name for path in vectors.iterdir() if path.is_dir()] if vectors.is_dir() else []
            if not any(_is_of(name, stamps.name, all_layers=stage == "extract_layers") for name in there):
                shutil.rmtree(stamps)


def _is_of(folder: str, representation: str, all_layers: bool) -> bool:
    """Whether a folder is the one of a representation, or of any of its layers; both names as paths spell them."""
    if not all_layers:
        return folder == representation
    base, _, pool = representation.rpartition(".")
    names = [(representation, ""), *([(base, f".{pool}")] if pool in POOLS else [])]
    return any(re.fullmatch(rf"{re.escape(name)}\.layer[^.]+{re.escape(pool)}", folder) for name, pool in names)


def _run(command: list[str], lock: int) -> int:
    """Runs Snakemake; returns its exit code. A signal that comes here goes to all that it has started, once."""
    # The lock goes along, so that it is held until Snakemake has ended even if this process is killed before.
    process = subprocess.Popen(command, pass_fds=[lock], process_group=0)
    try:
        with signals.grace_period(END_SECONDS):
            return process.wait()
    except signals.Interrupted:
        process.terminate()  # it begins nothing more, and without a word; shells wait for their stage
        for stage in _stages(process.pid):
            with suppress(ProcessLookupError):
                os.kill(stage, signal.SIGTERM)  # (SIGINT would make Python say more than a line if it has only just started)
        process.wait()
        raise


def _stages(snakemake: int) -> set[int]:
    """Processes that the shells below Snakemake wait for: not the shells, nor what a stage itself has started."""
    below = processes.descendants(snakemake)
    shells = {process for process in below if _is_shell(process)}
    begun = set().union(*map(processes.descendants, shells)) - shells
    return begun - set().union(*map(processes.descendants, begun))


def _is_shell(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip() in ("sh", "bash", "dash")
    return False


def _failed(cache: Path, code: int, command: list[str], stages: bool) -> int:
    """Says which stages have failed and why, if there were any to run; returns the exit code of the first."""
    failed = sorted((cache / LOGS).rglob("*.failed"), key=lambda path: path.stat().st_mtime_ns) if stages else []
    codes = [_code(path) for path in failed]
    for path, stage_code in zip(failed, codes, strict=True):
        log = path.with_suffix("")
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
        stage = " ".join(log.relative_to(cache / LOGS).with_suffix("").parts)
        why = f"killed by signal {stage_code - 128}" if stage_code > 128 and stage_code != INTERRUPTED else f"exit code {stage_code}"
        print(f"make reproduce: {stage} has failed ({why}): {lines[-1] if lines else 'it said nothing'}", file=sys.stderr)
        print(f"  its log: {log}", file=sys.stderr)
    if not failed:
        # It was told to be quiet. Asked what it would do, it says what it cannot.
        asked = [*command, "--dry-run", "--quiet", "host"]
        said = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        print(f"make reproduce: the workflow itself has failed:\n{said.rstrip()}", file=sys.stderr)
    print("what is finished is kept: mend that, then give the same command again, and it goes on from there", file=sys.stderr)
    return codes[0] if codes else code


def _code(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else BUG


def _again(cache: Path, wanted: list[str]) -> list[str]:
    """The downloads in which something was missing: they are tried once more, and what follows; what is there is kept."""
    known = {datasets.assets(dataset) for dataset in wanted if datasets.is_known(dataset)}
    return [str(STAMPS / "download" / path.name) for path in sorted((cache / AGAIN).glob("*")) if path.name in known]


def _config(options: argparse.Namespace, cache: Cache) -> dict[str, object]:
    """What the Snakefile needs to know; names are checked here, so that a wrong one is one line and not a workflow that fails."""
    config: dict[str, list[str]] = {name: getattr(options, name).split() for name in ("datasets", "representations", "layers", "protocol")}
    for dataset in config["datasets"]:
        if not (cache.processed(dataset) / "meta.json").exists():  # a user's own, or one that was processed before
            datasets.assets(dataset)
    if options.precomputed:
        config["representations"] = [published.full_name(name) for name in config["representations"]]
    named = [*config["representations"], *config["layers"]]
    recipes = {name: recipe for name in named if (recipe := _recipe(name))}
    for representation in config["representations"]:
        if published.is_published(representation):
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
        if protocol not in ("linear", "jukemir"):
            raise RequestError(f"unknown PROTOCOL {protocol!r}: choose linear, jukemir, or both with a space between them")
    if not all(seed.isascii() and seed.isdigit() for seed in options.seed.split()):
        raise RequestError(f"SEED {options.seed!r} is not a number, or several with spaces between them")
    seeds = [int(seed) for seed in options.seed.split()]
    if not any(images.family_of(name).name == "stemjepa" for name in named):
        alone = next((dataset for dataset in config["datasets"] if datasets.stems_of(dataset) == dataset), None)
        if alone:
            raise RequestError(f"{alone} has stems and no labels: only stemjepa says something of it, add it to REPRESENTATIONS")
    return {
        **config,
        "seeds": seeds,
        "songs": options.songs,
        "synthband_seed": 0,
        "batch_size": options.batch_size,
        "training_dataset": options.training_dataset,
        "trained": {recipe: _training(recipe, options.steps) for recipe in sorted(set(recipes.values()))},
        "again": str(AGAIN),
        "runner": options.runner,
    }


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


def _computed(names: list[str], wanted: list[str], cache: Cache) -> list[str]:
    """Those of which vectors of some dataset are computed here: neither published nor of packs."""
    return [name for name in names if not published.is_published(name) and not _is_taken_over(name, wanted, cache)]


def _check_images(names: list[str]) -> None:
    """That there is an engine and an image of every stage, before the first one is started."""
    stages = {images.STAGES[stage].image for stage in ("download", "process", "probe")}
    stages |= {images.image_of(name) for name in names}
    stages |= {images.STAGES["train"].image for name in names if _recipe(name)}
    missing = engine.missing_images(engine.connect(), sorted(images.reference(name) for name in stages))
    if missing:
        raise engine.missing_image_error(missing)


def _recipe(representation: str) -> str | None:
    """The recipe of the package that a representation is trained by, where it is one of Stem-JEPA and not in the package."""
    name = parse_name(representation)[0] if images.family_of(representation).name == "stemjepa" else None
    ours = {path.stem for path in (checkpoint.FOLDER.parent / "configs" / "recipe").glob("*.yaml")} - set(checkpoint.names())
    return name if name in ours else None


def _training(recipe: str, steps: int | None) -> dict[str, str]:
    """How the recipe is trained: overrides that shorten all its phases alike to ``steps``, and the digest of what it then says.

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
    return {"overrides": " ".join(overrides), "digest": digest}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--datasets", required=True, help="names, with spaces between them")
    parser.add_argument("--representations", required=True, help="names, with spaces between them")
    parser.add_argument("--layers", default="", help="representations of which all layers are extracted and probed")
    parser.add_argument("--precomputed", action="store_true", help="the vectors that were published with jukemir, instead of own ones")
    parser.add_argument("--protocol", default="linear", help="linear, jukemir, or both with a space between them")
    parser.add_argument("--seed", default="0", help="numbers, with spaces between them")
    parser.add_argument("--training-dataset", default="synthband_stems", help="stems that recipes are trained on")
    parser.add_argument("--steps", type=int, help="of training, instead of the recipe's own")
    parser.add_argument("--songs", type=int, default=600, help="size of the embedded dataset")
    parser.add_argument("--batch-size", type=int, default=256, help="files a batch of extraction")
    parser.add_argument("--runner", choices=["local", "docker"], default="local", help="run the stages here, or each in its image")
    parser.add_argument("--jobs", default="", help="processors to use [default: all]")
    parser.add_argument("--plan", action="store_true", help="only say what would run")
    parser.add_argument("--cost", action="store_true", help="with --plan: what it would cost, instead; names may be empty: all")
    return parser.parse_args()


def program() -> None:
    stdio.prepare()
    signals.install()
    is_interrupted = False
    try:
        code = stdio.close(main())
        signals.disarm()
    except signals.Interrupted:
        is_interrupted = True
    if is_interrupted:
        signals.exit_interrupted()
    sys.exit(code)


if __name__ == "__main__":
    program()
