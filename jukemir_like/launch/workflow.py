"""What Snakemake is told about a cluster, so that it submits the stages of the workflow as jobs."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from jukemir_like.core.errors import RequestError
from jukemir_like.launch import cluster
from jukemir_like.launch.resources import Node

PLUGIN = "snakemake_executor_plugin_slurm"

_LEAST_MEMORY_SECONDS = 240  # its questions are up to 180 s apart

Extraction = tuple[str, str, str]
"""Stage, dataset, and representation as users name it."""


@dataclass(frozen=True)
class Plan:
    """How the workflow runs on a cluster.

    Args:
        options: of Snakemake.
        node: the most that one job can have.
        array_size: tasks of an array, at most; None: there are no arrays.
        environment: variables to be set for Snakemake.
    """

    options: list[str]
    node: Node
    array_size: int | None
    environment: dict[str, str] = field(default_factory=dict)


def plan(
    *, partition: str, account: str, gpus: int | None, jobs: str, status_seconds: int | None, extractions: Iterable[Extraction]
) -> Plan:
    """Asks the cluster what it has, and plans for it.

    Args:
        partition, account: empty: the cluster's own.
        gpus: of a job that is faster with them; None: one, where a node has one.
        jobs: how many are submitted at one time; empty: all that can run.
        status_seconds: between two questions what became of the jobs; None: as the profile says.
        extractions: their batches are submitted as arrays, unless ``jobs`` is limited.

    Raises:
        RequestError: there is no cluster, it takes no such jobs, or the plug-in of Snakemake is missing.
    """
    if importlib.util.find_spec(PLUGIN) is None:
        raise RequestError(f"RUNNER=slurm needs the package {PLUGIN.replace('_', '-')}: run `make setup`")
    cluster.check_submission(partition, account)
    node = cluster.read_node(partition)
    if gpus is not None and gpus > node.gpus:
        raise RequestError(f"GPUS={gpus}: a node of {f'partition {partition}' if partition else 'the default partition'} has {node.gpus}")
    node = replace(node, gpus=min(1, node.gpus) if gpus is None else gpus)
    accounting = cluster.has_accounting()
    # Of tasks of an array, the plug-in finds the state by squeue alone: sacct names them otherwise, and it would take one's for all.
    remembered = cluster.read_memory_seconds() >= _LEAST_MEMORY_SECONDS
    if not accounting and not remembered:
        raise RequestError("SLURM has no accounting here, and forgets jobs before anybody can ask for them: raise MinJobAge to 300 s")
    arrays = [] if jobs or not remembered else [rule_name(*extraction) for extraction in extractions]
    options = [f"--slurm-status-command={'sacct' if accounting and not arrays else 'squeue'}"]
    environment = {"SQUEUE_ARRAY": "1"}  # a line for each task, also of those that have not begun
    defaults = {"slurm_partition": partition}
    if accounting:
        defaults["slurm_account"] = account
    else:
        # The plug-in would refuse an account that it cannot look up; sbatch takes it from its variable.
        options.append("--slurm-no-account")
        environment |= {"SBATCH_ACCOUNT": account} if account else {}
    options += ["--default-resources", *(f"{name}={value}" for name, value in defaults.items() if value)] if any(defaults.values()) else []
    if status_seconds:
        options += [f"--slurm-init-seconds-before-status-checks={status_seconds}", f"--seconds-between-status-checks={status_seconds}"]
    # Jobs that are limited are no arrays: of one of which the plug-in may submit some tasks only, it submits none, and waits for ever.
    options.append(f"--jobs={jobs or 'unlimited'}")
    options += [f"--slurm-array-jobs={','.join(arrays)}"] if arrays else []
    return Plan(options, node, cluster.read_array_size() if arrays else None, environment)


def extractions(datasets: Iterable[str], representations: Iterable[str], layers: Iterable[str]) -> list[Extraction]:
    """All extractions of a workflow: stage, dataset, representation as users name it.

    >>> extractions(["gtzan_ff"], ["mfcc"], [])
    [('extract', 'gtzan_ff', 'mfcc')]
    """
    stages = {"extract": list(representations), "extract_layers": list(layers)}
    return [
        (stage, dataset, name) for dataset in dict.fromkeys(datasets) for stage, names in stages.items() for name in dict.fromkeys(names)
    ]


def rule_name(stage: str, dataset: str, representation: str) -> str:
    """The name of the workflow's rule of an extraction: letters, digits and underscores, another one for each.

    >>> rule_name("extract", "gtzan_ff", "mfcc")
    'extract_gtzan_ff_mfcc_...'
    """
    digest = hashlib.sha256(f"{dataset}/{representation}".encode()).hexdigest()[:6]
    return re.sub(r"\W+", "_", f"{stage}_{dataset}_{representation}_{digest}", flags=re.ASCII)
