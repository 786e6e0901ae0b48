"""C3, C4: which inputs a batch holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from jukemir_like.conformance import material
from jukemir_like.conformance.folder import is_unicode, look, output_of, outputs, records, touched, vector_of
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Run, Seen
from jukemir_like.core.files import printable

SIZE = 3
_FIRST, _SECOND = "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"


@dataclass(frozen=True)
class Batches(Seen):
    """All batches of a folder into one output folder; ``run`` is the last.

    Args:
        runs: one a batch.
        written: the outputs that each of them wrote, where they ran one after the other.
    """

    runs: list[Run]
    written: list[set[str]]


@dataclass(frozen=True)
class Environment:
    """A scenario: a folder of three, with variables and options that say which batch."""

    variables: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...] = field(default=("--batch_size", "1"))

    def __call__(self, laboratory: Laboratory) -> Seen:
        return laboratory.see(material.few(), *self.arguments, environment=dict(self.variables))


def batches(laboratory: Laboratory) -> Batches:
    """Batches of three of names whose order is easily got wrong."""
    source, target = laboratory.new_folder(material.ordered()), laboratory.new_folder()
    present = look(source)
    inputs = {path: content for path, content in sorted(material.ordered().items(), key=_bytes) if path in present}
    runs, written = [], []
    before = look(target)
    for index in range(-(-len(inputs) // SIZE)):
        runs.append(laboratory.run(source, target, "--batch_size", str(SIZE), "--batch_idx", str(index)))
        after = look(target)
        written.append(touched(before, after))
        before = after
    return Batches(runs[-1], inputs, before, runs, written)


def together(laboratory: Laboratory) -> Batches:
    """The same batches all at once, as a cluster runs them."""
    inputs = material.ordered()
    source, target = laboratory.new_folder(inputs), laboratory.new_folder()
    present = look(source)
    inputs = {path: content for path, content in inputs.items() if path in present}
    with ExitStack() as stack:
        started = [
            stack.enter_context(laboratory.started(source, target, "--batch_size", str(SIZE), "--batch_idx", str(index)))
            for index in range(-(-len(inputs) // SIZE))
        ]
        runs = [one.end() for one in started]
    return Batches(runs[-1], inputs, look(target), runs, [])


def _bytes(item: tuple[str, bytes]) -> bytes:
    return item[0].encode("utf-8", "surrogateescape")


@rule("C3.order", "inputs are sorted by their paths, byte by byte", batches)
def _order(batches: Batches) -> Iterator[str]:
    paths = list(batches.inputs)
    for index, written in enumerate(batches.written):
        expected = paths[index * SIZE : (index + 1) * SIZE]
        if written != {output_of(path) for path in expected}:
            yield f"batch {index} of {SIZE} made {_listed(written)} instead of those of {_listed(expected)}"


@rule("C4.partition", "batches divide the folder: each input is in one, and all but the last are full", batches)
def _partition(batches: Batches) -> Iterator[str]:
    for index, (run, written) in enumerate(zip(batches.runs, batches.written, strict=True)):
        yield from run.ended(0, f"batch {index}")
        size = min(SIZE, len(batches.inputs) - index * SIZE)
        if len(written) != size:
            yield f"batch {index} made {len(written)} outputs instead of {size}"
    for path in batches.inputs:
        times = sum(output_of(path) in written for written in batches.written)
        if times != 1:
            yield f"{printable(path)} is in {times} batches"


@rule("C4.together", "batches may run at the same time into one folder", together)
def _together(together: Batches) -> Iterator[str]:
    for index, run in enumerate(together.runs):
        yield from run.ended(0, f"batch {index}")
    recorded = records(together.output)
    for path in together.inputs:
        if vector_of(together.output, path) is None:
            yield f"{printable(path)} has no vector"
        if is_unicode(path) and recorded.get(path, {}).get("status") != "done":
            yield f"{printable(path)} has no record that it is done"


def _batch_rule(name: str, what: str, environment: Environment, expected: str) -> None:
    """Declares that ``environment`` means the inputs whose names are the letters of ``expected``."""

    @rule(name, what, environment)
    def judge(seen: Seen) -> Iterator[str]:
        yield from seen.run.ended(0)
        made = set(outputs(seen.output))
        if made != {f"{letter}.npy" for letter in expected}:
            yield f"made {_listed(made)} instead of {_listed(f'{letter}.npy' for letter in expected)}"


_batch_rule("C4.first-variable", f"{_FIRST} is the batch where --batch_idx is not given", Environment(((_FIRST, "1"),)), "b")
_batch_rule("C4.second-variable", f"or {_SECOND} is", Environment(((_SECOND, "2"),)), "c")
_batch_rule("C4.both-variables", f"{_FIRST} is asked first", Environment(((_FIRST, "1"), (_SECOND, "2"))), "b")
_batch_rule("C4.empty-variable", "an empty variable is passed over", Environment(((_FIRST, ""), (_SECOND, "2"))), "c")
_batch_rule(
    "C4.option-first",
    "--batch_idx is asked before the variables",
    Environment(((_FIRST, "1"), (_SECOND, "2")), ("--batch_size", "1", "--batch_idx", "0")),
    "a",
)
_batch_rule(
    "C4.variable-alone", "without options, all inputs are done, whatever the variables say", Environment(((_FIRST, "1"),), ()), "abc"
)
_batch_rule("C4.large-batch", "a batch may be larger than the folder", Environment((), ("--batch_size", "1000", "--batch_idx", "0")), "abc")


def _listed(paths: object) -> str:
    return ", ".join(printable(path) for path in sorted(paths)) or "nothing"  # type: ignore[call-overload]
