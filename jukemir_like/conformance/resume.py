"""C9–C11: a folder that changes between three runs of the same command."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.conformance import npy
from jukemir_like.conformance.folder import Snapshot, is_untouched, journals, look, output_of, place, records, vector_of
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Run
from jukemir_like.conformance.sounds import wav
from jukemir_like.core.errors import DONE, SOME_FAILED

_FIRST, _SECOND, _THIRD = range(3)  # sounds, as long as each other
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
        runs: how they ended.
        left: the output folder after each.
    """

    runs: list[Run]
    left: list[Snapshot]


def resumed(laboratory: Laboratory) -> Resumed:
    """Runs, changes one thing of each kind, runs, changes some back, runs."""
    source, target = laboratory.new_folder({path: wav(sound) for path, sound in _INPUTS.items()}), laboratory.new_folder()
    _age(source)
    runs, left = [laboratory.run(source, target)], [look(target)]
    _change(source, target, left[0])
    runs.append(laboratory.run(source, target))
    left.append(look(target))
    place(source, {"changed.wav": wav(_FIRST), "turns.wav": wav(_FIRST)})
    _age(source)
    runs.append(laboratory.run(source, target))
    left.append(look(target))
    return Resumed(runs, left)


def _change(source: Path, target: Path, seen: Snapshot) -> None:
    (target / "deleted.npy").unlink(missing_ok=True)
    second = wav(_SECOND)
    place(source, {_PLANTED: second, _NEW: second, "changed.wav": second, "turns.wav": b"no audio any more"})
    _age(source)
    (source / "touched.wav").touch()
    third = seen.get("third.npy")
    wrong = (third.content if third else None) or b""
    for name in ("planted.npy", "other-recipe.npy"):
        (target / name).unlink(missing_ok=True)
        (target / name).write_bytes(wrong)
        (target / name).chmod(0o666)
    for journal in journals(seen):
        record = records({journal: seen[journal]}).get("other-recipe.wav")
        with open(target / journal, "ab") as file:
            if record is not None:
                file.write(json.dumps({**record, "signature": f"not {record.get('signature')}"}).encode() + b"\n")
            file.write(_TORN)


def _age(source: Path) -> None:
    """Makes all inputs older than any output, and changed ones as old as they were: dates tell nothing."""
    old = time.time() // _HOUR * _HOUR - _HOUR
    for path in source.iterdir():
        os.utime(path, (old, old))


@rule("C11.kept", "what is done is kept as it is, however old the input's file", resumed)
def _kept(resumed: Resumed) -> Iterator[str]:
    first, second, third = resumed.left
    for path in ("same.wav", "second.wav", "third.wav", "touched.wav"):
        if not is_untouched(output_of(path), first, second) or not is_untouched(output_of(path), second, third):
            yield f"{output_of(path)} was made again, or never"


@rule("C11.changed", "an input with other bytes is done again, also where its length and date are the same", resumed)
def _changed(resumed: Resumed) -> Iterator[str]:
    yield from _is_vector_of(resumed, 1, "changed.wav", "second.wav")


@rule("C11.changed-back", "and again where the old bytes are back: the last line about it counts", resumed)
def _changed_back(resumed: Resumed) -> Iterator[str]:
    yield from _is_vector_of(resumed, 2, "changed.wav", "same.wav")


@rule("C11.deleted", "an output that is missing is made again", resumed)
def _deleted(resumed: Resumed) -> Iterator[str]:
    yield from _is_vector_of(resumed, 1, "deleted.wav", "same.wav")


@rule("C11.planted", "an output of which no record knows is made again", resumed)
def _planted(resumed: Resumed) -> Iterator[str]:
    yield from _is_vector_of(resumed, 1, "planted.wav", "second.wav")


@rule("C11.signature", "an output that was made otherwise, as its record's signature says, is made again", resumed)
def _signature(resumed: Resumed) -> Iterator[str]:
    yield from _is_vector_of(resumed, 1, "other-recipe.wav", "same.wav")


@rule("C9.turned-bad", "an input that has become bad loses its output: 3, and its last record says failed", resumed)
def _turned_bad(resumed: Resumed) -> Iterator[str]:
    yield from resumed.runs[1].ended(SOME_FAILED)
    if "turns.npy" in resumed.left[1]:
        yield "turns.npy is still there"
    status = records(resumed.left[1]).get("turns.wav", {}).get("status")
    if status != "failed":
        yield f"the last record about turns.wav says {status!r}"


@rule("C11.mended", "an input that failed is tried again, and is done once it is good: 0", resumed)
def _mended(resumed: Resumed) -> Iterator[str]:
    yield from resumed.runs[2].ended(DONE)
    yield from _is_vector_of(resumed, 2, "turns.wav", "same.wav")


@rule("C10.torn-line", "a line that a killed process has left half-written spoils no other", resumed)
def _torn_line(resumed: Resumed) -> Iterator[str]:
    recorded = records(resumed.left[1])
    yield from (f"{path} has no record" for path in ("same.wav", _NEW) if path not in recorded)
    for journal in journals(resumed.left[1]):
        for line in (resumed.left[1][journal].content or b"").split(b"\n"):
            if _TORN in line and line != _TORN:
                yield f"{journal} goes on in the torn line"


def _is_vector_of(resumed: Resumed, run: int, path: str, other: str) -> Iterator[str]:
    """Says so where after ``run`` the vector of ``path`` is not that which ``other`` has had from the beginning."""
    if not npy.same(vector_of(resumed.left[run], path), vector_of(resumed.left[0], other)):
        yield f"{output_of(path)} is not the vector of the bytes that {path} has by then, or is missing"
