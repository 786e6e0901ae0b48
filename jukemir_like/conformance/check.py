"""The check: scenarios in parallel, then the rules that judge what they observed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.conformance import batches, failures, input_output, interruption, record_fields, restrictions, resume
from jukemir_like.conformance.rules import BROKEN, KEPT, NOT_CAUGHT, ConformanceReport, Finding, NotCaughtError, Rule, Scenario
from jukemir_like.conformance.session import Session
from jukemir_like.core import signals
from jukemir_like.core.errors import RequestError
from jukemir_like.core.machine import available_cpus
from jukemir_like.core.progress import Progress
from jukemir_like.launch import engine

if TYPE_CHECKING:
    from docker import DockerClient

RULES: tuple[Rule, ...] = tuple(
    sorted(
        [
            *input_output.RULES,
            *batches.RULES,
            *failures.RULES,
            *record_fields.RULES,
            *resume.RULES,
            *interruption.RULES,
            *restrictions.RULES,
        ],
        key=lambda rule: rule.number,
    )
)
"""All rules, in the order of the contract."""

_END_SECONDS = 30.0  # after a first signal, as the engine has many containers to end
_MOST_FAULTS = 100  # of one rule
_LONG: tuple[Scenario, ...] = (*interruption.STOPS, interruption.killed, batches.in_turn, batches.together, resume.resumed)


def check(
    image: str, *, only: Collection[str] | None = None, gpus: bool = False, weights: Sequence[Path] = (), workers: int | None = None,
    limit_seconds: float = 600.0,
) -> ConformanceReport:  # fmt: skip
    """Checks whether ``image`` keeps the contract.

    Args:
        image: name or digest of an image that the engine has.
        only: names of rules (``C5.dtype``) or of clauses (``C5``); None: all.
        gpus: whether its containers get all GPUs.
        weights: folders of weights that its containers see, read-only, in ``/cache/weights``.
        workers: containers that run at the same time; None: one per processor.
        limit_seconds: the longest that one run may take.

    Raises:
        RequestError: no engine, no such image, no such rule.
    """
    started = time.monotonic()
    chosen = rules(only)
    with _engine() as client:
        image_id = _image_id(client, image)
        session = Session(client, image_id, gpus=gpus, weights=weights, limit_seconds=limit_seconds)
        report = ConformanceReport(image, image_id)
        try:
            with signals.grace_period(_END_SECONDS), signals.on_forced_exit(session.close):
                observations = _observe(session, chosen, workers or available_cpus())
            report.findings = [_judge(rule, observations) for rule in chosen]
        finally:
            report.left = session.close()
    report.seconds = round(time.monotonic() - started, 1)
    return report


def rules(only: Collection[str] | None = None) -> list[Rule]:
    """The rules that are named in ``only``, themselves or by their clause; None: all.

    Raises:
        RequestError: there is no rule or clause of that name.

    >>> [rule.name for rule in rules(["C14", "C3.order"])]
    ['C3.order', 'C14.label']
    """
    if only is None:
        return list(RULES)
    for name in only:
        if not any(name in (rule.name, rule.clause) for rule in RULES):
            raise RequestError(f"there is no rule {name}; there are {' '.join(rule.name for rule in RULES)}")
    return [rule for rule in RULES if {rule.name, rule.clause} & set(only)]


def _observe(session: Session, chosen: list[Rule], workers: int) -> dict[Scenario, Any]:
    """Runs every scenario that the rules need, once; returns what each observed."""
    # The long ones first, so that none is left to wait for at the end.
    scenarios = sorted(dict.fromkeys(scenario for rule in chosen for scenario in rule.scenarios), key=lambda one: one not in _LONG)
    with ThreadPoolExecutor(workers, thread_name_prefix="conform") as pool:
        submitted: dict[Future[Any], Scenario] = {}
        try:
            for scenario in scenarios:
                submitted[pool.submit(scenario, session)] = scenario
            with Progress(len(scenarios), "conform", "case") as bar:
                for future in as_completed(submitted):
                    future.result()
                    bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            session.stop()
            raise
    return {scenario: future.result() for future, scenario in submitted.items()}


def _judge(rule: Rule, observations: dict[Scenario, Any]) -> Finding:
    try:
        faults = tuple(islice(rule.judge(*(observations[scenario] for scenario in rule.scenarios)), _MOST_FAULTS))
    except NotCaughtError as error:
        return Finding(rule.name, rule.what, NOT_CAUGHT, (str(error),))
    return Finding(rule.name, rule.what, BROKEN if faults else KEPT, faults)


@contextmanager
def _engine() -> Iterator[DockerClient]:
    engine.connect().close()  # raises an error of one line where no engine answers
    import docker

    with closing(docker.from_env(timeout=60, max_pool_size=32)) as client:
        yield client


def _image_id(client: DockerClient, image: str) -> str:
    import docker

    try:
        return str(client.images.get(image).id)
    except (docker.errors.APIError, docker.errors.NullResource):  # no such image, or a name that no image can have
        raise engine.missing_image_error([image]) from None
