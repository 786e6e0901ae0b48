"""C13, C14: what an image may not need, where it may not write, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jukemir_like.conformance import material
from jukemir_like.conformance.folder import Entry, Snapshot, outputs
from jukemir_like.conformance.inputs import Whole, volumes, whole
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.conformance.vectors import alone, different
from jukemir_like.core.files import printable

CONTRACT_LABEL = "org.jukemir-like.contract"
CONTRACT = "1"
_OWN = ("/input", "/output", "/tmp")  # noqa: S108
_ROOT = "0"
_SOMEBODY = "12345:54321"
_READ_ONLY = {"read_only": True, "tmpfs": {"/tmp": ""}}  # noqa: S108


@dataclass(frozen=True, eq=False)
class Limited:
    """A scenario: three inputs, with the given options of the engine."""

    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, laboratory: Laboratory) -> Seen:
        return laboratory.see(material.few(), **self.options)


def somebody(laboratory: Laboratory) -> Seen:
    """As a user of whom the image knows nothing, with volumes that are open to all."""
    seen, _ = laboratory.see_in_volumes(material.few(), laboratory.new_volume({}), _SOMEBODY)
    return seen


def as_root(laboratory: Laboratory) -> tuple[Seen, list[str]]:
    """As root, who may write anywhere; and what was written outside the mounts."""
    return laboratory.see_in_volumes(material.few(), laboratory.new_volume({}), _ROOT)


def labels(laboratory: Laboratory) -> dict[str, str]:
    """What the image says of itself."""
    return dict(laboratory.client.images.get(laboratory.image).labels)


def _declare(name: str, what: str, **options: Any) -> None:
    @rule(name, what, Limited(options))
    def judge(seen: Seen) -> Iterator[str]:
        yield from seen.complete()


_declare("C13.read-only", "a read-only root file system, with a /tmp of its own, will do", **_READ_ONLY)
_declare("C13.read-only-input", "a read-only /input will do", read_only_input=True)
_declare("C13.network", "no network will do", network_mode="none")
_declare("C13.capabilities", "no capabilities will do", cap_drop=["ALL"])
_declare("C13.privileges", "no way to new privileges will do", security_opt=["no-new-privileges"])
_declare("C13.home", "a home folder that is not there will do", environment={"HOME": "/nonexistent"})


@rule(
    "C13.all",
    "all of this at once will do, and gives the same vectors",
    Limited(
        {
            **_READ_ONLY,
            "read_only_input": True,
            "network_mode": "none",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "environment": {"HOME": "/nonexistent"},
        }
    ),
    alone,
)
def _all(seen: Seen, alone: Seen) -> Iterator[str]:
    yield from seen.complete()
    yield from different(seen, alone)


@rule("C13.user", f"it runs as any user, {_SOMEBODY} say", somebody)
def _user(somebody: Seen) -> Iterator[str]:
    yield from somebody.complete()


@rule("C13.not-root", "it does not run as root unless asked", volumes)
def _not_root(volumes: Seen) -> Iterator[str]:
    made = outputs(volumes.output)
    if not made:
        yield "nothing was made by which to tell"
    yield from (f"{printable(path)} belongs to root" for path, entry in made.items() if entry.user == 0)


@rule("C13.input-untouched", "/input is as it was, also where it could be written to", whole)
def _input_untouched(whole: Whole) -> Iterator[str]:
    before, after = _of_content(whole.input_before), _of_content(whole.input_after)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{printable(path)} was {'written' if path in after else 'removed'}"


@rule("C13.elsewhere", "it writes to /output and /tmp alone, as root too", as_root)
def _elsewhere(as_root: tuple[Seen, list[str]]) -> Iterator[str]:
    seen, changed = as_root
    yield from seen.complete()
    for path in changed:
        if not any(path == own or path.startswith(f"{own}/") for own in _OWN):
            yield f"{printable(path)} was written"


@rule("C14.label", f"the label {CONTRACT_LABEL} is {CONTRACT}", labels)
def _label(labels: Mapping[str, str]) -> Iterator[str]:
    said = labels.get(CONTRACT_LABEL)
    if said != CONTRACT:
        yield "there is none" if said is None else f"it is {printable(said)}"


def _of_content(seen: Snapshot) -> dict[str, tuple[int, int, bytes | None] | bool]:
    """What is compared: of files all, of folders only that they are there (their date is set by looking at a new mount)."""
    return {path: _parts(entry) for path, entry in seen.items()}


def _parts(entry: Entry) -> tuple[int, int, bytes | None] | bool:
    return entry.is_folder or (entry.inode, entry.modified, entry.content)
