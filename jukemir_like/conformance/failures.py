"""C9, C10: inputs that cannot be decoded, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator

from jukemir_like.conformance import material
from jukemir_like.conformance.folder import look, output_of, place, records
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.conformance.sounds import wav
from jukemir_like.core.errors import SOME_FAILED

UNREADABLE = "locked.wav"
_OLDER = "older.npy"


def good() -> dict[str, bytes]:
    """Inputs that come before the bad ones, and one that comes after."""
    return {**material.few(), "z.wav": wav(3)}


def failing(laboratory: Laboratory) -> Seen:
    """Good and bad inputs together; for one of the bad ones there is an output already, of which no record knows."""
    inputs = {**good(), **material.bad(), UNREADABLE: material.few()["a.wav"], "older.wav": b"no audio any more"}
    source, target = laboratory.new_folder(inputs), laboratory.new_folder()
    (source / UNREADABLE).chmod(0)
    place(target, {_OLDER: b"a vector"})
    run = laboratory.run(source, target)
    return Seen(run, inputs, look(target))


def _bad(seen: Seen) -> list[str]:
    """The inputs that can only fail: whether one may be read is for the file system to say, and some let everybody."""
    return [path for path in seen.inputs if path not in good() and (path != UNREADABLE or _locked(seen))]


def _locked(seen: Seen) -> bool:
    return records(seen.output).get(UNREADABLE, {}).get("status") != "done"


@rule("C9.code", "finished, but some inputs failed: 3", failing)
def _code(failing: Seen) -> Iterator[str]:
    yield from failing.run.ended(SOME_FAILED)


@rule("C9.no-output", "a file that cannot be decoded has no output", failing)
def _no_output(failing: Seen) -> Iterator[str]:
    for path in _bad(failing):
        if output_of(path) in failing.output and output_of(path) != _OLDER:
            yield f"{path} has one"


@rule("C9.older-output", "and an older one is removed", failing)
def _older_output(failing: Seen) -> Iterator[str]:
    if _OLDER in failing.output:
        yield f"{_OLDER} is still there"


@rule("C9.others", "the others have theirs", failing)
def _others(failing: Seen) -> Iterator[str]:
    yield from failing.missing(*good())


@rule("C10.failed", "a failed input has a record that says failed, and why in one line", failing)
def _failed(failing: Seen) -> Iterator[str]:
    recorded = records(failing.output)
    for path in _bad(failing):
        record = recorded.get(path)
        if record is None:
            yield f"{path} has no record"
        elif record.get("status") != "failed":
            yield f"the status of {path} is {record.get('status')!r}"
        elif not isinstance(record.get("reason"), str) or len(record["reason"].splitlines()) != 1:
            yield f"the reason of {path} is {record.get('reason')!r}"


@rule("C10.no-digest", "the digest is null where the bytes could not be read", failing)
def _no_digest(failing: Seen) -> Iterator[str]:
    record = records(failing.output).get(UNREADABLE, {})
    if _locked(failing) and ("digest" not in record or record["digest"] is not None):
        yield f"of {UNREADABLE}, which nobody may read, it is {record.get('digest')!r}"
