"""C1, C2: a folder of everything that a folder may hold, as it comes, in one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jukemir_like.conformance import material
from jukemir_like.conformance.folder import Snapshot, look, output_of, outputs, records
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.conformance.watch import written_in
from jukemir_like.core.files import printable


@dataclass(frozen=True)
class Whole(Seen):
    """A run over the whole folder.

    Args:
        input_before: the input folder before the run.
        input_after: and after it.
        written: names in the output folder that were written to.
    """

    input_before: Snapshot
    input_after: Snapshot
    written: frozenset[str]


def inputs() -> dict[str, bytes]:
    """What :func:`whole` is to work on."""
    return {**material.formats(), **material.upper_case(), **material.kinds(), **material.sub_folders()}


def whole(laboratory: Laboratory) -> Whole:
    """All formats, lengths and depths, with what is hidden and what is no input among them; no option, no terminal."""
    source = laboratory.new_folder({**inputs(), **material.hidden(), **material.others()})
    (source / "nothing in it").mkdir()
    target = laboratory.new_folder()
    before = look(source)
    with written_in(target) as written:
        run = laboratory.run(source, target)
    return Whole(run, inputs(), look(target), before, look(source), frozenset(written))


def strange(laboratory: Laboratory) -> Seen:
    """Names that are easily lost."""
    return laboratory.see(material.strange())


def terminal(laboratory: Laboratory) -> Seen:
    """With a terminal, as ``docker run -it`` gives one."""
    return laboratory.see(material.few(), tty=True, stdin_open=True)


def volumes(laboratory: Laboratory) -> Seen:
    """With named volumes, the output's a new one, as whom the image says."""
    seen, _ = laboratory.see_in_volumes(material.few(), laboratory.new_volume(), user=None)
    return seen


@rule("C1.start", "IMAGE alone, without options, does the whole folder", whole)
def _start(whole: Whole) -> Iterator[str]:
    yield from whole.run.ended(0)
    if not outputs(whole.output):
        yield "no output at all"


@rule("C1.terminal", "with a terminal it does the same", terminal)
def _terminal(terminal: Seen) -> Iterator[str]:
    yield from terminal.complete()


@rule("C1.volumes", "named volumes do, new ones too, as the image's own user", volumes)
def _volumes(volumes: Seen) -> Iterator[str]:
    yield from volumes.complete()


@rule("C2.endings", ".wav, .flac, .ogg and .mp3 are inputs", whole)
def _endings(whole: Whole) -> Iterator[str]:
    yield from whole.missing(*material.formats())


@rule("C2.upper-case", "and so they are in any case", whole)
def _upper_case(whole: Whole) -> Iterator[str]:
    yield from whole.missing(*material.upper_case())


@rule("C2.kinds", "any rate, length and number of channels", whole)
def _kinds(whole: Whole) -> Iterator[str]:
    yield from whole.missing(*material.kinds())


@rule("C2.sub-folders", "sub-folders are searched, whatever they are called", whole)
def _sub_folders(whole: Whole) -> Iterator[str]:
    recorded = records(whole.output)
    found = {output_of(path).rpartition("/")[2]: path for path in material.sub_folders()}
    taken = {path.rpartition("/")[2] for path in outputs(whole.output)}  # where an output belongs is asked elsewhere
    for name, path in found.items():
        if name not in taken and path not in recorded:
            yield f"{path} was not found"
    if "folder.wav" in recorded or "folder.npy" in whole.output:
        yield "the folder folder.wav was taken for an input"


@rule("C2.hidden", "hidden files and files in hidden folders are no inputs", whole)
def _hidden(whole: Whole) -> Iterator[str]:
    yield from _taken(whole, material.hidden())


@rule("C2.others", "nor are files with other endings", whole)
def _others(whole: Whole) -> Iterator[str]:
    yield from _taken(whole, material.others())


def _taken(seen: Seen, no_inputs: dict[str, bytes]) -> Iterator[str]:
    recorded: dict[str, Any] = records(seen.output)
    for path in no_inputs:
        if path in recorded or _vector_of_other(path) in seen.output:
            yield f"{path} was taken for an input"


def _vector_of_other(path: str) -> str:
    """Where a program that takes any file would write; ``wav`` → ``wav.npy``."""
    folder, _, name = path.rpartition("/")
    return output_of(path) if "." in name[1:] else f"{folder}/{name}.npy".lstrip("/")


@rule("C2.names", "a name may contain any byte", strange)
def _names(strange: Seen) -> Iterator[str]:
    yield from strange.complete()
    expected = {output_of(path) for path in strange.inputs}
    yield from (f"{printable(path)} is the output of no input" for path in outputs(strange.output) if path not in expected)
