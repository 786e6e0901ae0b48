"""C11 (and what resuming shows of C9 and C10): a folder that changes between three runs of the same command."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.conformance import npy, snapshots
from jukemir_like.conformance.rules import Rules
from jukemir_like.conformance.session import Outcome, Session
from jukemir_like.conformance.snapshots import Snapshot, is_unchanged, journals, output_of, records, write_files
from jukemir_like.conformance.synthetic_audio import wav
from jukemir_like.core.errors import DONE, SOME_FAILED

RULES = Rules()

_FIRST, _SECOND, _THIRD = range(3)  # seeds of sounds; all files have the same length
_INPUTS = {
    "same.wav": _FIRST,
    "second.wav": _SECOND,
    "third.wav": _THIRD,
    "touched.wav": _FIRST,
    "changed.wav": _FIRST,
    "deleted.wav": _FIRST,
    "turns.wav": _FIRST,
    "other-recipe.wav": _FIRST,
}
_PLANTED, _NEW = "planted.wav", "new.wav"
_HOUR = 3600.0
_TORN = b'{"input": "torn.wav", "digest": "0123'


@dataclass(frozen=True)
class Resumed:
    """Three runs.

    Args:
        outcomes: how they ended.
        left: the output folder after each.
    """

    outcomes: list[Outcome]
    left: list[Snapshot]


def resumed(session: Session) -> Resumed:
    """Runs, changes one thing of each kind, runs, changes some of them back, runs."""
    source, target = session.new_folder({path: wav(sound) for path, sound in _INPUTS.items()}), session.new_folder()
    _set_old_dates(source)
    outcomes, left = [session.run(source, target)], [snapshots.take(target)]
    _change(source, target, left[0])
    outcomes.append(session.run(source, target))
    left.append(snapshots.take(target))
    write_files(source, {"changed.wav": wav(_FIRST), "turns.wav": wav(_FIRST)})
    _set_old_dates(source)
    outcomes.append(session.run(source, target))
    left.append(snapshots.take(target))
    return Resumed(outcomes, left)


def _change(source: Path, target: Path, left: Snapshot) -> None:
    (target / "deleted.npy").unlink(missing_ok=True)
    second = wav(_SECOND)
    write_files(source, {_PLANTED: second, _NEW: second, "changed.wav": second, "turns.wav": b"no audio any more"})
    _set_old_dates(source)
    (source / "touched.wav").touch()
    third = left.get("third.npy")
    wrong_vector = (third.content if third else None) or b""
    for name in ("planted.npy", "other-recipe.npy"):
        (target / name).unlink(missing_ok=True)
        (target / name).write_bytes(wrong_vector)
        (target / name).chmod(0o666)
    for journal in journals(left):
        record = records({journal: left[journal]}).get("other-recipe.wav")
        with open(target / journal, "ab") as file:
            if record is not None:
                file.write(json.dumps({**record, "signature": f"not {record.get('signature')}"}).encode() + b"\n")
            file.write(_TORN)


def _set_old_dates(source: Path) -> None:
    """Gives all inputs the same date, before that of any output, so that dates do not show what has changed."""
    old = time.time() // _HOUR * _HOUR - _HOUR
    for path in source.iterdir():
        os.utime(path, (old, old))


@RULES.rule("C11.kept", "finished outputs are kept as they are, however old the input's file", resumed)
def _kept(observed: Resumed) -> Iterator[str]:
    first, second, third = observed.left
    for path in ("same.wav", "second.wav", "third.wav", "touched.wav"):
        if not is_unchanged(output_of(path), first, second) or not is_unchanged(output_of(path), second, third):
            yield f"{output_of(path)} was recomputed, or never computed"


@RULES.rule("C11.changed", "the output of an input with other bytes is recomputed, even if its length and date are the same", resumed)
def _changed(observed: Resumed) -> Iterator[str]:
    yield from _vector_faults(observed, 1, "changed.wav", "second.wav")


@RULES.rule("C11.changed-back", "and again if the old bytes are back: the last line about it counts", resumed)
def _changed_back(observed: Resumed) -> Iterator[str]:
    yield from _vector_faults(observed, 2, "changed.wav", "same.wav")


@RULES.rule("C11.deleted", "an output that is missing is recomputed", resumed)
def _deleted(observed: Resumed) -> Iterator[str]:
    yield from _vector_faults(observed, 1, "deleted.wav", "same.wav")


@RULES.rule("C11.planted", "an output without a record is recomputed", resumed)
def _planted(observed: Resumed) -> Iterator[str]:
    yield from _vector_faults(observed, 1, "planted.wav", "second.wav")


@RULES.rule("C11.signature", "an output whose record has another signature is recomputed", resumed)
def _signature(observed: Resumed) -> Iterator[str]:
    yield from _vector_faults(observed, 1, "other-recipe.wav", "same.wav")


@RULES.rule("C9.turned-bad", "an input that has become bad loses its output: 3, and its last record says failed", resumed)
def _turned_bad(observed: Resumed) -> Iterator[str]:
    yield from observed.outcomes[1].code_faults(SOME_FAILED)
    if "turns.npy" in observed.left[1]:
        yield "turns.npy is still there"
    status = records(observed.left[1]).get("turns.wav", {}).get("status")
    if status != "failed":
        yield f"the last record about turns.wav says {status!r}"


@RULES.rule("C11.mended", "an input that failed is tried again, and is finished once it is good: 0", resumed)
def _mended(observed: Resumed) -> Iterator[str]:
    yield from observed.outcomes[2].code_faults(DONE)
    yield from _vector_faults(observed, 2, "turns.wav", "same.wav")


@RULES.rule("C10.torn-line", "a line that a killed process has left half-written damages no other", resumed)
def _torn_line(observed: Resumed) -> Iterator[str]:
    recorded = records(observed.left[1])
    yield from (f"{path} has no record" for path in ("same.wav", _NEW) if path not in recorded)
    for journal in journals(observed.left[1]):
        for line in (observed.left[1][journal].content or b"").split(b"\n"):
            if _TORN in line and line != _TORN:
                yield f"{journal} continues in the torn line"


def _vector_faults(observed: Resumed, run: int, path: str, other: str) -> Iterator[str]:
    """A fault if, after ``run``, the vector of ``path`` is not the one that ``other`` has had since the first run."""
    if not npy.are_equal(snapshots.vector(observed.left[run], path), snapshots.vector(observed.left[0], other)):
        yield f"{output_of(path)} is not the vector of the bytes that {path} has by then, or is missing"
