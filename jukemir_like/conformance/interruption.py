"""C12: a run that is stopped in the middle, and the same command given again.

An image is interrupted as soon as it has written something new. One that is too fast for that gets more inputs; one that cannot be caught
even then is reported as such, as nothing is known about the rule.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jukemir_like.conformance import snapshots
from jukemir_like.conformance.rules import NotCaughtError, Rules
from jukemir_like.conformance.session import Observation, Outcome, RunningContainer, Session
from jukemir_like.conformance.snapshots import Snapshot, is_unchanged, output_of, outputs, records
from jukemir_like.conformance.synthetic_audio import wav
from jukemir_like.core.errors import DONE, INTERRUPTED

RULES = Rules()
LIMIT_SECONDS = 10.0
COUNTS = (48, 480, 4800)  # of inputs: the first number with which the image can be caught is used

_DIFFERENT = 8
_INPUT_SECONDS = 8.0
_WENT_ON_SECONDS = 2.0  # after a signal: an image that has done half of the work in that time has ignored it
_POLL_SECONDS = 0.002
_STATUS_SECONDS = 0.2  # between questions whether a container still runs
_KILL_SECONDS = (0.0, 0.01, 0.05)  # from something new until SIGKILL


@dataclass(frozen=True)
class Stopped:
    """A run that was sent a signal.

    Args:
        caught: whether it still had something to do.
        outcome: how it ended; its seconds are those after the signal.
        before: the output folder when the signal was sent.
        after: the output folder when the container had ended.
        resumed: the same command once more, if asked for.
    """

    caught: bool
    outcome: Outcome
    before: Snapshot
    after: Snapshot
    resumed: Observation | None = None


@dataclass(frozen=True)
class Killed:
    """Runs that were killed, one after the other, and a last one that was not.

    Args:
        caught: whether each still had something to do.
        left: the output folder after each.
        resumed: the last run.
    """

    caught: bool
    left: list[Snapshot]
    resumed: Observation


# ---- scenarios ----


@dataclass(frozen=True)
class Stop:
    """A scenario: a run that is sent ``signal``, with or without an ``init`` process; if ``resume``, the same command follows."""

    signal: str
    init: bool
    resume: bool = False

    def __call__(self, session: Session) -> Stopped:
        for count in COUNTS:
            stopped = self._stop(session, count)
            if stopped.caught or stopped.outcome.code != DONE:
                break
        return stopped

    def _stop(self, session: Session, count: int) -> Stopped:
        source, inputs = _many(session, count)
        target = session.new_folder()
        with session.start(source, target, init=self.init) as container:
            _wait_for_new_output(container, target)
            before = snapshots.take(target)
            sent = time.monotonic()
            was_running = container.send(self.signal)
            missing = count - len(_names_of_outputs(target))
            outcome = container.wait(LIMIT_SECONDS)
        seconds = time.monotonic() - sent
        after = snapshots.take(target)
        # An image that ends with 0 and all outputs was either too fast, or has ignored the signal and done the rest of the work.
        is_finished = outcome.code == DONE and len(outputs(after)) == count
        went_on = seconds > _WENT_ON_SECONDS and missing > count / 2
        caught = was_running and (went_on or not is_finished)
        resumed = Observation(session.run(source, target), inputs, snapshots.take(target)) if self.resume and caught else None
        return Stopped(caught, Outcome(outcome.code, outcome.errors, seconds), before, after, resumed)


STOPS = (
    Stop("SIGTERM", init=False, resume=True),
    Stop("SIGINT", init=False, resume=True),
    Stop("SIGTERM", init=True),
    Stop("SIGINT", init=True),
)


def killed(session: Session) -> Killed:
    """SIGKILL right at the start, and at several moments after something new was written; then a run to the end."""
    for count in COUNTS:
        source, inputs = _many(session, count)
        target = session.new_folder()
        attempts = [_kill(session, source, target, seconds) for seconds in (None, *_KILL_SECONDS)]
        left = [snapshot for snapshot in attempts if snapshot is not None]
        resumed = Observation(session.run(source, target), inputs, snapshots.take(target))
        if len(left) == len(attempts) or resumed.outcome.code != DONE:
            break
    return Killed(len(left) == len(attempts), left, resumed)


def reference(session: Session) -> Observation:
    """The same bytes, not interrupted."""
    return session.observe(_inputs(_DIFFERENT))


def _kill(session: Session, source: Path, target: Path, seconds: float | None) -> Snapshot | None:
    """Kills a run ``seconds`` after it has written something new (None: as soon as it runs); returns None if it had ended already."""
    with session.start(source, target) as container:
        if seconds is not None:
            _wait_for_new_output(container, target)
            time.sleep(seconds)
        was_running = container.send("SIGKILL")
        container.wait(LIMIT_SECONDS)
    return snapshots.take(target) if was_running else None


def _wait_for_new_output(container: RunningContainer, target: Path) -> None:
    """Waits until there is one more output, or the container has ended, or its time is over."""
    count = len(_names_of_outputs(target))
    deadline = time.monotonic() + container.limit_seconds
    last_status = time.monotonic()
    while len(_names_of_outputs(target)) <= count and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - last_status > _STATUS_SECONDS:
            last_status = time.monotonic()
            if not container.is_running():
                return


def _names_of_outputs(target: Path) -> list[str]:
    return [name for name in os.listdir(target) if name.endswith(".npy") and not name.startswith(".")]


def _inputs(count: int) -> dict[str, bytes]:
    return {f"{number:05d}.wav": wav(number % _DIFFERENT, seconds=_INPUT_SECONDS) for number in range(count)}


def _many(session: Session, count: int) -> tuple[Path, dict[str, bytes]]:
    """A folder of ``count`` inputs, and what they contain. A few files with many names each, as the disk may be small."""
    inputs = _inputs(count)
    folder = session.new_folder(dict(list(inputs.items())[:_DIFFERENT]))
    for number, path in enumerate(inputs):
        if number >= _DIFFERENT:
            (folder / path).hardlink_to(folder / f"{number % _DIFFERENT:05d}.wav")
    return folder, inputs


# ---- rules ----


def _ends(stopped: Stopped, signal: str) -> Iterator[str]:
    if not stopped.caught:
        yield from _uncaught(stopped)
    elif stopped.outcome.code is None:
        yield f"still running {LIMIT_SECONDS:.0f} seconds after {signal}"
    else:
        yield from stopped.outcome.code_faults(INTERRUPTED)


def _uncaught(stopped: Stopped) -> Iterator[str]:
    if stopped.outcome.code != DONE:  # it ended by itself, before a signal came
        yield from stopped.outcome.code_faults(INTERRUPTED)
    else:
        raise NotCaughtError(f"{COUNTS[-1]} inputs were done before a signal came")


for _stop in STOPS:
    RULES.rule(
        f"C12.{_stop.signal}{'-init' if _stop.init else ''}",
        f"after {_stop.signal}, {'with' if _stop.init else 'without'} an init process, it ends within 10 seconds with 130",
        _stop,
    )(partial(_ends, signal=_stop.signal))


@RULES.rule("C12.finished", "what is finished when it is interrupted stays", *STOPS)
def _finished(*observations: Stopped) -> Iterator[str]:
    for stop, stopped in zip(STOPS, observations, strict=True):
        for path in outputs(stopped.before):
            if path not in stopped.after:
                yield f"{path} is gone after {stop.signal}"


@RULES.rule("C12.resumed", "the same command then ends in the same result", *STOPS[:2], reference)
def _resumed(terminated: Stopped, interrupted: Stopped, reference: Observation) -> Iterator[str]:
    for stopped in (terminated, interrupted):
        if stopped.resumed is None:
            yield from _uncaught(stopped)
        else:
            yield from _result_faults(stopped.resumed, reference)
            yield from _recomputed(stopped.after, stopped.resumed)


@RULES.rule("C12.killed", "after SIGKILL at any moment, too", killed, reference)
def _killed(killed: Killed, reference: Observation) -> Iterator[str]:
    if not killed.caught:
        if killed.resumed.outcome.code == DONE:
            raise NotCaughtError(f"{COUNTS[-1]} inputs were done before it was killed")
        yield "it ended before it could be killed"
    yield from _result_faults(killed.resumed, reference)
    for snapshot in killed.left:
        yield from _recomputed(snapshot, killed.resumed)


def _result_faults(resumed: Observation, reference: Observation) -> Iterator[str]:
    """The differences between the result of a resumed run and that of a run that was not interrupted."""
    yield from resumed.faults()
    yield from resumed.differing_vectors(reference)
    recorded = records(resumed.output)
    for path, content in resumed.inputs.items():
        record = recorded.get(path, {})
        if record.get("status") != "done" or record.get("digest") != hashlib.sha256(content).hexdigest():
            yield f"{path} has no record that it is done"


def _recomputed(left: Snapshot, resumed: Observation) -> Iterator[str]:
    """The outputs that were recomputed although a record said that they were done."""
    for path, record in records(left).items():
        output = output_of(path)
        if record.get("status") == "done" and output in left and not is_unchanged(output, left, resumed.output):
            yield f"{output} was recomputed, though a record said that it was done"
