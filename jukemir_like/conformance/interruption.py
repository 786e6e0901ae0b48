"""C12: stopped in the middle, and gone on with.

An image is interrupted as soon as it has made something new. One that is too fast for that is given more to do; one that cannot be
caught at all is reported so, for nothing is known of it then.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jukemir_like.conformance.folder import Snapshot, is_untouched, look, output_of, outputs, records
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import NotCaughtError, rule
from jukemir_like.conformance.run import Run, Seen, Started
from jukemir_like.conformance.sounds import wav
from jukemir_like.conformance.vectors import different
from jukemir_like.core.errors import DONE, INTERRUPTED

LIMIT_SECONDS = 10.0
COUNTS = (48, 480, 4800)  # of inputs: the first that lets the image be caught
_DIFFERENT = 8
_INPUT_SECONDS = 8.0
_WENT_ON_SECONDS = 2.0  # after a signal: who has done half of the work in that time has not heard it
_POLL_SECONDS = 0.002
_MOMENTS_SECONDS = (0.0, 0.01, 0.05)  # after something new: of SIGKILL


@dataclass(frozen=True)
class Stopped:
    """A run that was sent a signal.

    Args:
        caught: whether it had still something to do.
        run: how it ended; its seconds are those after the signal.
        before: the output folder when the signal was sent.
        after: when the container had ended.
        resumed: the same command once more, if asked for.
    """

    caught: bool
    run: Run
    before: Snapshot
    after: Snapshot
    resumed: Seen | None = None


@dataclass(frozen=True)
class Killed:
    """A run that was killed again and again, and then not.

    Args:
        caught: whether it had still something to do every time.
        left: the output folder after each time.
        resumed: the last run.
    """

    caught: bool
    left: list[Snapshot]
    resumed: Seen


@dataclass(frozen=True)
class Stop:
    """A scenario: a run that is sent ``signal``, with or without an ``init`` process; if ``resume``, the same command follows."""

    signal: str
    init: bool
    resume: bool = False

    def __call__(self, laboratory: Laboratory) -> Stopped:
        for count in COUNTS:
            stopped = self._stop(laboratory, count)
            if stopped.caught or stopped.run.code != DONE:
                break
        return stopped

    def _stop(self, laboratory: Laboratory, count: int) -> Stopped:
        source, inputs = _many(laboratory, count)
        target = laboratory.new_folder()
        with laboratory.started(source, target, init=self.init) as started:
            _wait_for_new(started, target)
            before = look(target)
            sent = time.monotonic()
            reached = started.send(self.signal)
            missing = count - len(_names(target))
            ended = started.end(LIMIT_SECONDS)
        seconds = time.monotonic() - sent
        after = look(target)
        finished = ended.code == DONE and len(outputs(after)) == count
        went_on = seconds > _WENT_ON_SECONDS and missing > count / 2
        caught = reached and (went_on or not finished)
        resumed = Seen(laboratory.run(source, target), inputs, look(target)) if self.resume and caught else None
        return Stopped(caught, Run(ended.code, ended.errors, seconds), before, after, resumed)


def killed(laboratory: Laboratory) -> Killed:
    """SIGKILL right at the start, and at several moments after something new was made; then a run to the end."""
    for count in COUNTS:
        source, inputs = _many(laboratory, count)
        target = laboratory.new_folder()
        caught = [_kill(laboratory, source, target, moment) for moment in (None, *_MOMENTS_SECONDS)]
        left = [seen for seen in caught if seen is not None]
        resumed = Seen(laboratory.run(source, target), inputs, look(target))
        if len(left) == len(caught) or resumed.run.code != DONE:
            break
    return Killed(len(left) == len(caught), left, resumed)


def reference(laboratory: Laboratory) -> Seen:
    """The same bytes, not interrupted."""
    return laboratory.see(_inputs(_DIFFERENT))


def _kill(laboratory: Laboratory, source: Path, target: Path, moment: float | None) -> Snapshot | None:
    """Kills a run ``moment`` seconds after it has made something new (None: as soon as it runs); None where it had ended."""
    with laboratory.started(source, target) as started:
        if moment is not None:
            _wait_for_new(started, target)
            time.sleep(moment)
        reached = started.send("SIGKILL")
        started.end(LIMIT_SECONDS)
    return look(target) if reached else None


def _wait_for_new(started: Started, target: Path) -> None:
    """Until there is an output more, or the container has ended, or the time is over."""
    count = len(_names(target))
    end = time.monotonic() + started.limit_seconds
    asked = time.monotonic()
    while len(_names(target)) <= count and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - asked > 0.2:
            asked = time.monotonic()
            if not started.is_running():
                return


def _names(target: Path) -> list[str]:
    return [name for name in os.listdir(target) if name.endswith(".npy") and not name.startswith(".")]


def _inputs(count: int) -> dict[str, bytes]:
    return {f"{number:05d}.wav": wav(number % _DIFFERENT, seconds=_INPUT_SECONDS) for number in range(count)}


def _many(laboratory: Laboratory, count: int) -> tuple[Path, dict[str, bytes]]:
    """A folder of ``count`` inputs, and what they hold. Few files under many names: the disk of a test machine is small."""
    inputs = _inputs(count)
    folder = laboratory.new_folder(dict(list(inputs.items())[:_DIFFERENT]))
    for number, path in enumerate(inputs):
        if number >= _DIFFERENT:
            (folder / path).hardlink_to(folder / f"{number % _DIFFERENT:05d}.wav")
    return folder, inputs


STOPS = (
    Stop("SIGTERM", init=False, resume=True),
    Stop("SIGINT", init=False, resume=True),
    Stop("SIGTERM", init=True),
    Stop("SIGINT", init=True),
)


def _ends(stopped: Stopped, signal: str) -> Iterator[str]:
    if not stopped.caught:
        yield from _uncaught(stopped)
    elif stopped.run.code is None:
        yield f"still running {LIMIT_SECONDS:.0f} seconds after {signal}"
    else:
        yield from stopped.run.ended(INTERRUPTED)


def _uncaught(stopped: Stopped) -> Iterator[str]:
    if stopped.run.code != DONE:  # it ended by itself, before a signal came
        yield from stopped.run.ended(INTERRUPTED)
    else:
        raise NotCaughtError(f"{COUNTS[-1]} inputs were done before a signal came")


for _stop in STOPS:
    _process = "-init" if _stop.init else ""
    rule(
        f"C12.{_stop.signal}{_process}",
        f"after {_stop.signal}, {'with' if _stop.init else 'without'} an init process, it ends within 10 seconds with 130",
        _stop,
    )(partial(_ends, signal=_stop.signal))


@rule("C12.finished", "what is finished when it is interrupted stays", *STOPS)
def _finished(*stops: Stopped) -> Iterator[str]:
    for stop, stopped in zip(STOPS, stops, strict=True):
        for path in outputs(stopped.before):
            if path not in stopped.after:
                yield f"{path} is gone after {stop.signal}"


@rule("C12.resumed", "the same command then ends in the same result", *STOPS[:2], reference)
def _resumed(terminated: Stopped, interrupted: Stopped, reference: Seen) -> Iterator[str]:
    for stopped in (terminated, interrupted):
        if stopped.resumed is None:
            yield from _uncaught(stopped)
        else:
            yield from _same_result(stopped.resumed, reference)
            yield from _kept(stopped.after, stopped.resumed)


@rule("C12.killed", "after SIGKILL at any moment, too", killed, reference)
def _killed(killed: Killed, reference: Seen) -> Iterator[str]:
    if not killed.caught:
        if killed.resumed.run.code == DONE:
            raise NotCaughtError(f"{COUNTS[-1]} inputs were done before it was killed")
        yield "it ended before it could be killed"
    yield from _same_result(killed.resumed, reference)
    for left in killed.left:
        yield from _kept(left, killed.resumed)


def _same_result(resumed: Seen, whole: Seen) -> Iterator[str]:
    """Says what a run that went on has not done as one that was not interrupted."""
    yield from resumed.run.ended(DONE)
    yield from resumed.missing()
    yield from different(resumed, whole)
    recorded = records(resumed.output)
    for path, content in resumed.inputs.items():
        record = recorded.get(path, {})
        if record.get("status") != "done" or record.get("digest") != hashlib.sha256(content).hexdigest():
            yield f"{path} has no record that it is done"


def _kept(left: Snapshot, resumed: Seen) -> Iterator[str]:
    """Says what was made again although a record said that it was done."""
    for path, record in records(left).items():
        output = output_of(path)
        if record.get("status") == "done" and output in left and not is_untouched(output, left, resumed.output):
            yield f"{output} was made again, though a record said that it was done"
