"""C13, C14: what an image may not need, where it may not write, and what it says about itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jukemir_like.conformance import synthetic_audio
from jukemir_like.conformance.batches import alone
from jukemir_like.conformance.input_output import FolderObservation, everything, volumes
from jukemir_like.conformance.rules import Rules
from jukemir_like.conformance.session import Observation, Session
from jukemir_like.conformance.snapshots import Entry, Snapshot, outputs
from jukemir_like.core.files import printable
from jukemir_like.launch import confinement

RULES = Rules()
CONTRACT_LABEL = "org.jukemir-like.contract"
CONTRACT = "1"

_WRITABLE = ("/input", "/output", confinement.TEMPORARY)  # /input is judged by C13.input-untouched
_ROOT = "0"
_UNKNOWN_USER = "12345:54321"
_READ_ONLY_INPUT = {"read_only_input": True}
_NO_HOME = {"environment": {"HOME": "/nonexistent"}}


# ---- scenarios ----


@dataclass(frozen=True, eq=False)
class Restricted:
    """A scenario: three inputs, with ``options`` of the engine (and of :meth:`Session.start`)."""

    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, session: Session) -> Observation:
        return session.observe(synthetic_audio.few(), **self.options)


def unknown_user(session: Session) -> Observation:
    """As a user whom the image does not know, with volumes that all users may write."""
    observation, _ = session.observe_in_volumes(synthetic_audio.few(), session.new_volume({}), _UNKNOWN_USER)
    return observation


def as_root(session: Session) -> tuple[Observation, list[str]]:
    """As root, who may write anywhere; and the paths outside the mounts that were written."""
    return session.observe_in_volumes(synthetic_audio.few(), session.new_volume({}), _ROOT)


def labels(session: Session) -> dict[str, str]:
    """The image's labels."""
    return dict(session.client.images.get(session.image).labels)


# ---- C13: confinement ----


def _restriction_rule(name: str, what: str, options: Mapping[str, Any]) -> None:
    @RULES.rule(name, what, Restricted(options))
    def judge(observed: Observation) -> Iterator[str]:
        yield from observed.faults()


_restriction_rule("C13.read-only", "it needs no more than a read-only root file system with a writable /tmp", confinement.READ_ONLY_ROOT)
_restriction_rule("C13.read-only-input", "it needs no more than a read-only /input", _READ_ONLY_INPUT)
_restriction_rule("C13.network", "it needs no network", confinement.NO_NETWORK)
_restriction_rule("C13.capabilities", "it needs no capabilities", confinement.NO_CAPABILITIES)
_restriction_rule("C13.privileges", "it needs no way to new privileges", confinement.NO_NEW_PRIVILEGES)
_restriction_rule("C13.home", "it needs no home folder", _NO_HOME)


@RULES.rule(
    "C13.all",
    "it works with all of these restrictions at once, and gives the same vectors",
    Restricted({**confinement.RESTRICTIONS, **_READ_ONLY_INPUT, **_NO_HOME}),
    alone,
)
def _all(observed: Observation, alone: Observation) -> Iterator[str]:
    yield from observed.faults()
    yield from observed.differing_vectors(alone)


@RULES.rule("C13.user", f"it runs as any user, such as {_UNKNOWN_USER}", unknown_user)
def _user(observed: Observation) -> Iterator[str]:
    yield from observed.faults()


@RULES.rule("C13.not-root", "it does not run as root unless asked", volumes)
def _not_root(observed: Observation) -> Iterator[str]:
    written = outputs(observed.output)
    if not written:
        yield "there is no output whose owner could be checked"
    yield from (f"{printable(path)} belongs to root" for path, entry in written.items() if entry.user == 0)


@RULES.rule("C13.input-untouched", "/input is as before, even where it could be written to", everything)
def _input_untouched(observed: FolderObservation) -> Iterator[str]:
    before, after = _comparable(observed.input_before), _comparable(observed.input_after)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{printable(path)} was {'written' if path in after else 'removed'}"


@RULES.rule("C13.elsewhere", "it writes to /output and /tmp alone, even as root", as_root)
def _elsewhere(observed: tuple[Observation, list[str]]) -> Iterator[str]:
    observation, changed_paths = observed
    yield from observation.faults()
    for path in changed_paths:
        if not any(path == folder or path.startswith(f"{folder}/") for folder in _WRITABLE):
            yield f"{printable(path)} was written"


def _comparable(snapshot: Snapshot) -> dict[str, tuple[int, int, bytes | None] | bool]:
    """What is compared: everything about a file, but only the existence of a folder, whose date changes when a new mount is read."""
    return {path: _comparable_entry(entry) for path, entry in snapshot.items()}


def _comparable_entry(entry: Entry) -> tuple[int, int, bytes | None] | bool:
    return entry.is_folder or (entry.inode, entry.modified, entry.content)


# ---- C14: label ----


@RULES.rule("C14.label", f"the label {CONTRACT_LABEL} is {CONTRACT}", labels)
def _label(labels: Mapping[str, str]) -> Iterator[str]:
    value = labels.get(CONTRACT_LABEL)
    if value != CONTRACT:
        yield "there is none" if value is None else f"it is {printable(value)}"
