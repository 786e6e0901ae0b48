"""The check: scenarios side by side, then their rules."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from jukemir_like.conformance import (  # noqa: F401 (each declares its rules)
    batches,
    confinement,
    failures,
    inputs,
    interruption,
    outputs,
    recording,
    resume,
    vectors,
    wrong_requests,
)
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.report import BROKEN, KEPT, NOT_CAUGHT, Finding, Report
from jukemir_like.conformance.rule import NotCaughtError, Rule, Scenario, declared
from jukemir_like.core import signals
from jukemir_like.core.errors import RequestError
from jukemir_like.core.parallel import Progress, available_cpus
from jukemir_like.launch import engine

if TYPE_CHECKING:
    from docker import DockerClient

_END_SECONDS = 30.0  # after a first signal: the engine ends many containers
_MOST_FAULTS = 100  # of a rule


def check(
    image: str, *, only: Collection[str] | None = None, gpus: bool = False, workers: int | None = None, limit_seconds: float = 600.0
) -> Report:
    """Tries out whether ``image`` keeps the contract.

    Args:
        image: name or digest of an image that the engine has.
        only: names of rules (``C5.dtype``) or of clauses (``C5``); None: all.
        gpus: whether its containers get all GPUs.
        workers: containers at a time; None: one a processor.
        limit_seconds: the longest that one run may take.

    Raises:
        RequestError: no engine, no such image, no such rule.
    """
    started = time.monotonic()
    chosen = rules(only)
    with _engine() as client:
        image_id = _find(client, image)
        laboratory = Laboratory(client, image_id, gpus=gpus, limit_seconds=limit_seconds)
        report = Report(image, image_id)
        try:
            with signals.patience(_END_SECONDS), signals.at_last(laboratory.close):
                seen = _observe(laboratory, chosen, workers or available_cpus())
            report.findings = [_judge(rule, seen) for rule in chosen]
        finally:
            report.left = laboratory.close()
    report.seconds = round(time.monotonic() - started, 1)
    return report


def rules(only: Collection[str] | None = None) -> list[Rule]:
    """The rules that are called ``only``, or are of clauses that are; None: all.

    Raises:
        RequestError: there is none of that name.
    """
    known = declared()
    if only is None:
        return known
    for name in only:
        if not any(name in _names(rule) for rule in known):
            raise RequestError(f"there is no rule {name}; there are {' '.join(rule.name for rule in known)}")
    return [rule for rule in known if _names(rule) & set(only)]


def _names(rule: Rule) -> set[str]:
    return {rule.name, rule.name.partition(".")[0]}


def _observe(laboratory: Laboratory, chosen: list[Rule], workers: int) -> dict[Scenario, Any]:
    """Runs every scenario that the rules need, once."""
    scenarios = sorted(dict.fromkeys(scenario for rule in chosen for scenario in rule.scenarios), key=_is_short)
    with ThreadPoolExecutor(workers, thread_name_prefix="conform") as pool:
        under_way: dict[Future[Any], Scenario] = {}
        try:
            for scenario in scenarios:
                under_way[pool.submit(scenario, laboratory)] = scenario
            with Progress(len(scenarios), "conform", "case") as bar:
                for future in as_completed(under_way):
                    future.result()
                    bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            laboratory.stop()
            raise
    return {scenario: future.result() for future, scenario in under_way.items()}


def _is_short(scenario: Scenario) -> bool:
    """The long ones go first, so that none is waited for at the end."""
    long = (interruption.killed, batches.batches, batches.together, resume.resumed)
    return not isinstance(scenario, interruption.Stop) and scenario not in long


def _judge(rule: Rule, seen: dict[Scenario, Any]) -> Finding:
    try:
        faults = tuple(islice(rule.judge(*(seen[scenario] for scenario in rule.scenarios)), _MOST_FAULTS))
    except NotCaughtError as error:
        return Finding(rule.name, rule.what, NOT_CAUGHT, (str(error),))
    return Finding(rule.name, rule.what, BROKEN if faults else KEPT, faults)


@contextmanager
def _engine() -> Iterator[DockerClient]:
    engine.connect().close()  # says so in a line where none answers
    import docker

    with closing(docker.from_env(timeout=60, max_pool_size=32)) as client:
        yield client


def _find(client: DockerClient, image: str) -> str:
    import docker

    try:
        return str(client.images.get(image).id)
    except (docker.errors.APIError, docker.errors.NullResource):  # no such image, or a name that no image can have
        raise engine.no_image([image]) from None
