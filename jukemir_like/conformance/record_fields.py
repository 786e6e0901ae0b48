"""C10: what records contain."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from jukemir_like.conformance.batches import BatchesObservation, alone, in_turn
from jukemir_like.conformance.failures import UNREADABLE, failing, is_locked, must_fail
from jukemir_like.conformance.input_output import FolderObservation, everything, unusual_names
from jukemir_like.conformance.rules import Rules
from jukemir_like.conformance.session import Observation
from jukemir_like.conformance.snapshots import invalid_lines, is_unicode, journals, records
from jukemir_like.core.files import printable

RULES = Rules()

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


@RULES.rule("C10.failed", "a failed input has a record that says failed, and why in one line", failing)
def _failed(observed: Observation) -> Iterator[str]:
    recorded = records(observed.output)
    for path in must_fail(observed):
        record = recorded.get(path)
        if record is None:
            yield f"{path} has no record"
        elif record.get("status") != "failed":
            yield f"the status of {path} is {record.get('status')!r}"
        elif not isinstance(record.get("reason"), str) or len(record["reason"].splitlines()) != 1:
            yield f"the reason of {path} is {record.get('reason')!r}"


@RULES.rule("C10.no-digest", "the digest is null where the bytes could not be read", failing)
def _no_digest(observed: Observation) -> Iterator[str]:
    record = records(observed.output).get(UNREADABLE, {})
    if is_locked(observed) and ("digest" not in record or record["digest"] is not None):
        yield f"of {UNREADABLE}, which nobody may read, it is {record.get('digest')!r}"


@RULES.rule("C10.lines", ".records/*.jsonl contains one JSON object per line", everything, in_turn, failing)
def _lines(everything: FolderObservation, in_batches: BatchesObservation, failing: Observation) -> Iterator[str]:
    for observed in (everything, in_batches, failing):
        if not journals(observed.output):
            yield "there is no .records/*.jsonl"
        yield from invalid_lines(observed.output)


@RULES.rule("C10.all", "every input has a record", everything, in_turn, failing)
def _all(everything: FolderObservation, in_batches: BatchesObservation, failing: Observation) -> Iterator[str]:
    for observed in (everything, in_batches, failing):
        recorded = records(observed.output)
        yield from (f"{printable(path)} has none" for path in observed.inputs if path not in recorded and is_unicode(path))


@RULES.rule("C10.fields", "records have the fields of the contract, and of these types", everything, failing)
def _fields(everything: FolderObservation, failing: Observation) -> Iterator[str]:
    for name, record in [*records(everything.output).items(), *records(failing.output).items()]:
        for field, is_valid in _FIELDS.items():
            if field not in record:
                yield f"that of {name} has no {field}"
            elif not _holds(is_valid, record[field]):
                yield f"that of {name} has {field} = {record[field]!r}"


@RULES.rule("C10.digest", "the digest is the SHA-256 of the bytes", everything, failing)
def _digest(everything: FolderObservation, failing: Observation) -> Iterator[str]:
    for observed in (everything, failing):
        for name, record in records(observed.output).items():
            if name == UNREADABLE or name not in observed.inputs:
                continue
            if record.get("digest") != hashlib.sha256(observed.inputs[name]).hexdigest():
                yield f"that of {name} is {record.get('digest')!r}"


@RULES.rule("C10.done", "a finished input has the status done, and no reason", everything)
def _done(observed: FolderObservation) -> Iterator[str]:
    for name, record in records(observed.output).items():
        if name in observed.inputs and (record.get("status") != "done" or record.get("reason") is not None):
            yield f"that of {name} is {record.get('status')!r}, the reason {record.get('reason')!r}"


@RULES.rule("C10.audio-seconds", "audio_seconds is the duration", everything)
def _audio_seconds(observed: FolderObservation) -> Iterator[str]:
    recorded = records(observed.output)
    durations = {path: _wav_seconds(content) for path, content in observed.inputs.items() if content[:4] == b"RIFF"}
    for path, seconds in durations.items():
        record = recorded.get(path, {})
        recorded_seconds: Any = record.get("audio_seconds")
        if record.get("status") != "done":  # judged by C10.done
            continue
        if not _is_seconds(recorded_seconds) or abs(recorded_seconds - seconds) > _SLACK_SECONDS:
            yield f"that of {path} is {recorded_seconds!r}, it lasts {seconds:.2f} s"


@RULES.rule("C10.signature", "the signature is the same for all inputs", everything, in_turn, alone, failing)
def _signature(*observations: Observation) -> Iterator[str]:
    signatures = Counter(str(record.get("signature")) for observed in observations for record in records(observed.output).values())
    if len(signatures) > 1:
        yield "there are several: " + ", ".join(printable(signature)[:80] for signature in signatures)


@RULES.rule("C10.names", "unusual names can be read in the records", unusual_names)
def _names(observed: Observation) -> Iterator[str]:
    yield from invalid_lines(observed.output)
    recorded = records(observed.output)
    yield from (f"{printable(path)} has no record" for path in observed.inputs if path not in recorded and is_unicode(path))
    digests = {record.get("digest") for name, record in recorded.items() if name not in observed.inputs or not is_unicode(name)}
    for path, content in observed.inputs.items():
        # The contract leaves open how JSON spells bytes that are not UTF-8, but there must be a record; its digest identifies it.
        if not is_unicode(path) and hashlib.sha256(content).hexdigest() not in digests:
            yield f"{printable(path)} has no record, however its name is spelled"


def _wav_seconds(content: bytes) -> float:
    """The duration of a WAV file with a header of 44 bytes, whose bytes 28 to 31 are the bytes per second."""
    return (len(content) - 44) / int.from_bytes(content[28:32], "little")


def _holds(is_valid: Callable[[Any], bool], value: Any) -> bool:
    try:
        return is_valid(value)
    except TypeError:  # a list cannot be looked up in a set
        return False
