"""C10: what records hold."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from jukemir_like.conformance.batches import Batches, batches
from jukemir_like.conformance.failures import UNREADABLE, failing
from jukemir_like.conformance.folder import is_unicode, journals, not_records, records
from jukemir_like.conformance.inputs import Whole, strange, whole
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.conformance.vectors import alone
from jukemir_like.core.files import printable

_SLACK_SECONDS = 0.1


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_digest(value: Any) -> bool:
    return value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None)


def _is_reason(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value.splitlines()) <= 1)


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "input": _is_text,
    "digest": _is_digest,
    "audio_seconds": _is_seconds,
    "seconds": _is_seconds,
    "status": {"done", "failed"}.__contains__,
    "reason": _is_reason,
    "signature": _is_text,
}


@rule("C10.lines", ".records/*.jsonl holds a JSON object a line", whole, batches, failing)
def _lines(whole: Whole, batches: Batches, failing: Seen) -> Iterator[str]:
    for seen in (whole.output, batches.output, failing.output):
        if not journals(seen):
            yield "there is no .records/*.jsonl"
        yield from not_records(seen)


@rule("C10.all", "every input has a record", whole, batches, failing)
def _all(whole: Whole, batches: Batches, failing: Seen) -> Iterator[str]:
    for inputs, seen in ((whole.inputs, whole.output), (batches.inputs, batches.output), (failing.inputs, failing.output)):
        recorded = records(seen)
        yield from (f"{printable(path)} has none" for path in inputs if path not in recorded and is_unicode(path))


@rule("C10.fields", "records have the fields of the contract, and of these types", whole, failing)
def _fields(whole: Whole, failing: Seen) -> Iterator[str]:
    for name, record in [*records(whole.output).items(), *records(failing.output).items()]:
        for field, holds in _FIELDS.items():
            if field not in record:
                yield f"that of {name} has no {field}"
            elif not _holds(holds, record[field]):
                yield f"that of {name} has {field} = {record[field]!r}"


@rule("C10.digest", "the digest is the SHA-256 of the bytes", whole, failing)
def _digest(whole: Whole, failing: Seen) -> Iterator[str]:
    for inputs, seen in ((whole.inputs, whole.output), (failing.inputs, failing.output)):
        for name, record in records(seen).items():
            if name in inputs and name != UNREADABLE and record.get("digest") != hashlib.sha256(inputs[name]).hexdigest():
                yield f"that of {name} is {record.get('digest')!r}"


@rule("C10.done", "the status of what was done is done, without a reason", whole)
def _done(whole: Whole) -> Iterator[str]:
    for name, record in records(whole.output).items():
        if name in whole.inputs and (record.get("status") != "done" or record.get("reason") is not None):
            yield f"that of {name} is {record.get('status')!r}, the reason {record.get('reason')!r}"


@rule("C10.audio-seconds", "audio_seconds is the duration", whole)
def _audio_seconds(whole: Whole) -> Iterator[str]:
    recorded = records(whole.output)
    durations = {path: _seconds(content) for path, content in whole.inputs.items() if content[:4] == b"RIFF"}
    for path, seconds in durations.items():
        record = recorded.get(path, {})
        said: Any = record.get("audio_seconds")
        if record.get("status") != "done":  # asked elsewhere
            continue
        if not _is_seconds(said) or abs(said - seconds) > _SLACK_SECONDS:
            yield f"that of {path} is {said!r}, it lasts {seconds:.2f} s"


@rule("C10.signature", "the signature is the same for all inputs", whole, batches, alone, failing)
def _signature(*seen: Any) -> Iterator[str]:
    said = Counter(str(record.get("signature")) for one in seen for record in records(one.output).values())
    if len(said) > 1:
        yield "there are several: " + ", ".join(printable(signature)[:80] for signature in said)


@rule("C10.names", "strange names can be read in the records", strange)
def _names(strange: Seen) -> Iterator[str]:
    yield from not_records(strange.output)
    recorded = records(strange.output)
    yield from (f"{printable(path)} has no record" for path in strange.inputs if path not in recorded and is_unicode(path))
    digests = {record.get("digest") for name, record in recorded.items() if name not in strange.inputs or not is_unicode(name)}
    for path, content in strange.inputs.items():
        # How bytes that are not UTF-8 are spelled in JSON is left open, but a record there must be.
        if not is_unicode(path) and hashlib.sha256(content).hexdigest() not in digests:
            yield f"{printable(path)} has no record, under whatever spelling"


def _seconds(content: bytes) -> float:
    return (len(content) - 44) / int.from_bytes(content[28:32], "little")


def _holds(holds: Callable[[Any], bool], value: Any) -> bool:
    try:
        return holds(value)
    except TypeError:  # a list is in no set
        return False
