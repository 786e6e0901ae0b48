"""Runs the whole line with Snakemake: from nothing to ``report/index.html`` in the cache.

Holds a lock on the cache while it runs; a run that was killed leaves nothing to clean up, the next one goes on from what is finished.
Where a stage fails, it says which, why and how to go on, and ends with the stage's exit code. With ``--runner slurm`` stages are jobs of a
cluster: Snakemake submits them from here, and they are cancelled where this ends before them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jukemir_like.cli.options import PARTIAL_OK_VARIABLE
from jukemir_like.core import signals, stdio
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DONE, WRONG_REQUEST, JukemirLikeError, RequestError
from jukemir_like.core.locks import locked
from jukemir_like.core.temporary import temporary_folder
from jukemir_like.launch import (
    apptainer,
    cluster,
    cost_table,
    engine,
    estimates,
    failures,
    reproduction,
    snakemake,
    stamps,
    workflow,
)
from jukemir_like.launch.snakemake import LOG as SNAKEMAKE_LOG
from jukemir_like.launch.stamps import LOGS, PAGE, STAMPS, UNFINISHED
from jukemir_like.packs import published

SCRIPTS = Path(__file__).resolve().parent
CONFIGURATION = STAMPS / "config.json"  # where nodes of a cluster see it


def main() -> int:
    options = _options()
    os.environ.pop(PARTIAL_OK_VARIABLE, None)  # the workflow knows what to do where some inputs failed
    cache = Path(options.cache).absolute()
    try:
        with signals.not_replaced():
            if options.cost:
                return _say_cost(options, Cache(cache))
            _check_runner(options)
            config = reproduction.configuration(options, Cache(cache))
            _say_not_deformed(options, Cache(cache))
            on_cluster = _cluster_options(options, config, cache) if options.runner == "slurm" else []
            if config["container"] and not options.plan:
                computed = [*reproduction.computed(config["representations"], config["datasets"], Cache(cache)), *config["layers"]]
                _prepare_images(reproduction.images_of(computed, Cache(cache)), config["container"], Cache(cache))
    except JukemirLikeError as error:
        print(f"make reproduce: {error}", file=sys.stderr)
        return WRONG_REQUEST
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock", keep_file=True, on_wait=lambda: _say_in_use(cache)) as lock, temporary_folder() as temporary:
        configuration = temporary / "config.json"
        if options.runner == "slurm" and not options.plan:
            configuration = cache / CONFIGURATION
            _say_shared(cache)
            if left := cluster.cancel(_job_prefix(cache)):
                print(f"{left} jobs of a run before were left in the queue, and are cancelled", file=sys.stderr)
            configuration.parent.mkdir(exist_ok=True)
        config["run"] = uuid.uuid4().hex
        write_json(configuration, config)
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(SCRIPTS / "Snakefile"), "--directory", str(cache)]
        command += ["--configfile", str(configuration), "--profile", str(SCRIPTS / "profiles" / ("slurm" if on_cluster else "local"))]
        command += on_cluster or ["--cores", str(config["cores"])]
        again = stamps.of_incomplete_downloads(cache, options.datasets.split())
        # A stage that fails or is killed takes its stamp along, and Snakemake does not miss it as long as a page is there: an older one.
        again += [str(PAGE)] if (cache / UNFINISHED).exists() else []
        if not options.plan:
            again += stamps.remove_ahead(cache)
            if unfounded := stamps.remove_unfounded(cache):  # of a run that was killed
                print(f"stages of a run before had not ended, and are run again: {', '.join(unfounded)}", file=sys.stderr)
            stamps.forget_removed(cache)
            failures.forget(cache / LOGS)
            stamps.begin(cache, config["run"])
        command += ["--forcerun", *dict.fromkeys(again)] if again else []
        command += ["--dry-run", "--quiet", "host"] if options.plan else []
        (cache / SNAKEMAKE_LOG).unlink(missing_ok=True)
        if on_cluster and not options.plan:
            (cache / LOGS).mkdir(exist_ok=True)
            code = snakemake.run_on_cluster(command, lock, _job_prefix(cache), cache)
        else:
            code = snakemake.run(command, lock)
        if code != DONE:
            return _failed(cache, code, command, stages=not options.plan)
        if not options.plan:
            (cache / UNFINISHED).unlink()
    if options.plan:
        for dataset in options.datasets.split():
            if not (Cache(cache).processed(dataset) / "meta.json").exists():
                computed = [] if options.precomputed else options.representations.split()
                computed += [f"{name} (all layers)" for name in options.layers.split()]
                if options.precomputed and options.representations:
                    print(f"and take over {options.representations} of {dataset}")
                if computed:
                    print(f"and extract {' '.join(computed)} of {dataset}, in batches that are counted once it is processed")
    else:
        print(f"\nThe results page: {cache / PAGE}")
    return DONE


def _check_runner(options: argparse.Namespace) -> None:
    """Refuses two programs for containers; says what is of no use on this machine."""
    if options.runner == "docker" and options.container:
        raise RequestError(f"RUNNER=docker and CONTAINER={options.container} are two programs for containers: leave one out")
    of_cluster = {"PARTITION": options.partition, "ACCOUNT": options.account, "GPUS": options.gpus}
    given = [f"{name}={value}" for name, value in of_cluster.items() if value not in ("", None)]
    if given and options.runner != "slurm":
        print(f"make reproduce: {' '.join(given)} counts with RUNNER=slurm only; this runs here", file=sys.stderr)


def _say_not_deformed(options: argparse.Namespace, cache: Cache) -> None:
    passed_over = reproduction.not_deformed(options.datasets.split(), cache) if options.deform.split() else {}
    if passed_over:
        reasons = ", ".join(f"{name} ({why})" for name, why in passed_over.items())
        print(f"make reproduce: DEFORM passes over {reasons}", file=sys.stderr)


def _say_cost(options: argparse.Namespace, cache: Cache) -> int:
    names = options.representations.split()
    wanted = [published.full_name(name) for name in names] if options.precomputed else names
    estimated = estimates.estimate(options.datasets.split(), wanted, cache, layers=options.layers.split(), songs=options.songs)
    print(cost_table.table(estimated))
    return DONE


def _say_in_use(cache: Path) -> None:
    print(f"another run is using {cache}; waiting for it to end", file=sys.stderr)


def _failed(cache: Path, code: int, command: list[str], stages: bool) -> int:
    """Says which stages have failed and why, if there were any to run; returns the exit code of the first."""
    failed = failures.find(cache / LOGS) if stages else []
    snakemake_log = cache / SNAKEMAKE_LOG
    for failure in failed:
        print(f"make reproduce: {failure.stage} has failed ({failure.why}): {failure.words}", file=sys.stderr)
        print(f"  its log: {failure.log}", file=sys.stderr)
    if not failed and stages and snakemake_log.is_file():
        print("make reproduce: a job has failed before its stage began:", *failures.said_of_jobs(snakemake_log), sep="\n", file=sys.stderr)
        print(f"  its log: {snakemake_log}", file=sys.stderr)
    elif not failed:
        # It was told to be quiet. Asked what it would do, it says what it cannot.
        asked = [*command, "--dry-run", "--quiet", "host"]
        said = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        print(f"make reproduce: the workflow itself has failed:\n{said.rstrip()}", file=sys.stderr)
    print("what is finished is kept: mend that, then give the same command again, and it goes on from there", file=sys.stderr)
    return failed[0].code if failed else code


def _cluster_options(options: argparse.Namespace, config: dict[str, Any], cache: Path) -> list[str]:
    """What Snakemake is told about the cluster; what the Snakefile is told of it goes into ``config``."""
    plan = workflow.plan(
        partition=options.partition,
        account=options.account,
        gpus=options.gpus,
        jobs=options.jobs,
        status_seconds=options.status_seconds,
        extractions=workflow.extractions(
            [*config["datasets"], *config["deformed"]],
            config["representations"],
            config["layers"],
        ),
    )
    config |= {"node": asdict(plan.node), "cores": plan.node.processors, "array_size": plan.array_size}
    os.environ |= plan.environment
    return [*plan.options, f"--slurm-jobname-prefix={_job_prefix(cache)}"]


def _say_shared(cache: Path) -> None:
    shared = dict.fromkeys((str(cache), sys.prefix, str(SCRIPTS.parent)))
    print(f"jobs are submitted to SLURM; all its nodes must see, under the same paths: {', '.join(shared)}", file=sys.stderr)


def _job_prefix(cache: Path) -> str:
    """How the names of all jobs begin that work on a cache. Those that run while nobody holds the lock are of a run that was killed."""
    return f"jukemir-like-{hashlib.sha256(str(cache.resolve()).encode()).hexdigest()[:12]}"


def _prepare_images(names: list[str], program: str, cache: Cache) -> None:
    """Sees to it that there is an image of every stage, before the first one is started."""
    if program == "apptainer":
        apptainer.prepare(names, cache)
    elif missing := engine.missing_images(engine.connect(), names):
        raise engine.missing_image_error(missing)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--datasets", required=True, help="names, with spaces between them")
    parser.add_argument("--representations", required=True, help="names, with spaces between them")
    parser.add_argument("--layers", default="", help="representations of which all layers are extracted and probed")
    parser.add_argument("--deform", default="", help="deformations of the test audio, as noise-20, with spaces between them")
    parser.add_argument("--precomputed", action="store_true", help="the vectors that were published with jukemir, instead of own ones")
    parser.add_argument("--protocol", default="linear", help="linear, jukemir, lineareval; several with spaces between them")
    parser.add_argument("--seed", default="", help="numbers, with spaces between them [default: 0; of lineareval 42, 43, 44]")
    parser.add_argument("--folds", default="", help="how many to draw of each dataset [default: its own folds, or its splits]")
    parser.add_argument("--training-dataset", default="synthband_stems", help="stems that recipes are trained on")
    parser.add_argument("--steps", type=int, help="of training, instead of the recipe's own")
    parser.add_argument("--songs", type=int, default=600, help="size of the embedded dataset")
    parser.add_argument("--batch-size", type=int, default=256, help="files a batch of extraction")
    runners = "run the stages here, each in its image, or as jobs of a SLURM cluster"
    parser.add_argument("--runner", choices=["local", "docker", "slurm"], default="local", help=runners)
    parser.add_argument("--container", choices=["", "apptainer"], default="", help="run each stage in its image by this program")
    parser.add_argument("--jobs", default="", help="processors to use [default: all]; of a cluster, jobs that are submitted at one time")
    parser.add_argument("--partition", default="", help="of the cluster [default: its own]")
    parser.add_argument("--account", default="", help="of the cluster, whose time is used")
    parser.add_argument("--gpus", type=int, help="of jobs that are faster with them, 0: none [default: one, where there is one]")
    parser.add_argument("--status-seconds", type=int, help="between two questions to the cluster what became of the jobs")
    parser.add_argument("--plan", action="store_true", help="only say what would run")
    parser.add_argument("--cost", action="store_true", help="with --plan: what it would cost, instead; names may be empty: all")
    return parser.parse_args()


def program() -> None:
    stdio.prepare()
    signals.install()
    is_interrupted = False
    try:
        with signals.not_replaced():
            code = main()
        code = stdio.close(code)
        signals.disarm()
    except signals.Interrupted:
        is_interrupted = True
    if is_interrupted:
        signals.exit_interrupted()
    sys.exit(code)


if __name__ == "__main__":
    program()
