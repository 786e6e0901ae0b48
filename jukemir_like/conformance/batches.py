"""C3, C4, C6: which inputs a batch has, and that a vector does not depend on the batch, or on anything but its input's bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from jukemir_like.conformance import snapshots, synthetic_audio
from jukemir_like.conformance.input_output import FolderObservation, everything
from jukemir_like.conformance.rules import BATCH_VARIABLES, Rules
from jukemir_like.conformance.session import Observation, Outcome, Session
from jukemir_like.conformance.snapshots import is_unicode, output_of, outputs
from jukemir_like.core.errors import DONE
from jukemir_like.core.files import printable

RULES = Rules()
SIZE = 3

_FIRST, _SECOND = BATCH_VARIABLES


@dataclass(frozen=True)
class BatchesObservation(Observation):
    """All batches of a folder, into one output folder; ``outcome`` is that of the last.

    Args:
        outcomes: one per batch.
        written: the outputs that each batch wrote, if they ran one after the other.
    """

    outcomes: list[Outcome]
    written: list[set[str]]


# ---- scenarios ----


def in_turn(session: Session) -> BatchesObservation:
    """Batches of three, one after the other, of names whose order is easily got wrong."""
    source, target = session.new_folder(synthetic_audio.ordered()), session.new_folder()
    present = snapshots.take(source)
    files = {path: content for path, content in sorted(synthetic_audio.ordered().items(), key=_bytes_of_path) if path in present}
    outcomes, written = [], []
    before = snapshots.take(target)
    for index in range(-(-len(files) // SIZE)):
        outcomes.append(session.run(source, target, *_batch(index)))
        after = snapshots.take(target)
        written.append(snapshots.changed_outputs(before, after))
        before = after
    return BatchesObservation(outcomes[-1], files, before, outcomes, written)


def together(session: Session) -> BatchesObservation:
    """The same batches all at the same time, as a cluster runs them."""
    source, target = session.new_folder(synthetic_audio.ordered()), session.new_folder()
    present = snapshots.take(source)
    files = {path: content for path, content in synthetic_audio.ordered().items() if path in present}
    with ExitStack() as stack:
        containers = [stack.enter_context(session.start(source, target, *_batch(index))) for index in range(-(-len(files) // SIZE))]
        outcomes = [container.wait() for container in containers]
    return BatchesObservation(outcomes[-1], files, snapshots.take(target), outcomes, [])


@dataclass(frozen=True)
class Environment:
    """A scenario: a folder of three inputs, with variables and options that name a batch."""

    variables: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...] = field(default=("--batch_size", "1"))

    def __call__(self, session: Session) -> Observation:
        return session.observe(synthetic_audio.few(), *self.arguments, environment=dict(self.variables))


def alone(session: Session) -> Observation:
    """One input and no other."""
    return session.observe({synthetic_audio.TONE: synthetic_audio.formats()[synthetic_audio.TONE]})


def again(session: Session) -> Observation:
    """The same once more."""
    return alone(session)


def long_alone(session: Session) -> Observation:
    """The longest input and no other."""
    return session.observe({synthetic_audio.LONG: synthetic_audio.kinds()[synthetic_audio.LONG]})


def _batch(index: int) -> tuple[str, ...]:
    return "--batch_size", str(SIZE), "--batch_idx", str(index)


def _bytes_of_path(item: tuple[str, bytes]) -> bytes:
    return item[0].encode("utf-8", "surrogateescape")


# ---- C3: order ----


@RULES.rule("C3.order", "inputs are sorted by their paths, byte by byte", in_turn)
def _order(observed: BatchesObservation) -> Iterator[str]:
    paths = list(observed.inputs)
    for index, written in enumerate(observed.written):
        expected = paths[index * SIZE : (index + 1) * SIZE]
        if written != {output_of(path) for path in expected}:
            yield f"batch {index} of {SIZE} wrote {_listed(written)} instead of those of {_listed(expected)}"


# ---- C4: batches ----


@RULES.rule("C4.partition", "batches partition the folder: each input is in one, and all but the last are full", in_turn)
def _partition(observed: BatchesObservation) -> Iterator[str]:
    for index, (outcome, written) in enumerate(zip(observed.outcomes, observed.written, strict=True)):
        yield from outcome.code_faults(DONE, f"batch {index}")
        size = min(SIZE, len(observed.inputs) - index * SIZE)
        if len(written) != size:
            yield f"batch {index} wrote {len(written)} outputs instead of {size}"
    for path in observed.inputs:
        times = sum(output_of(path) in written for written in observed.written)
        if times != 1:
            yield f"{printable(path)} is in {times} batches"


@RULES.rule("C4.together", "batches may run at the same time into one folder", together)
def _together(observed: BatchesObservation) -> Iterator[str]:
    for index, outcome in enumerate(observed.outcomes):
        yield from outcome.code_faults(DONE, f"batch {index}")
    recorded = snapshots.records(observed.output)
    for path in observed.inputs:
        if snapshots.vector(observed.output, path) is None:
            yield f"{printable(path)} has no vector"
        if is_unicode(path) and recorded.get(path, {}).get("status") != "done":
            yield f"{printable(path)} has no record that it is done"


def _environment_rule(name: str, what: str, environment: Environment, expected: str) -> None:
    """Adds the rule that ``environment`` means the inputs whose names are the letters of ``expected``."""

    @RULES.rule(name, what, environment)
    def judge(observed: Observation) -> Iterator[str]:
        yield from observed.outcome.code_faults(DONE)
        written = set(outputs(observed.output))
        if written != {f"{letter}.npy" for letter in expected}:
            yield f"wrote {_listed(written)} instead of {_listed(f'{letter}.npy' for letter in expected)}"


_FIRST_IS_1, _SECOND_IS_2 = (_FIRST, "1"), (_SECOND, "2")
_environment_rule("C4.first-variable", f"{_FIRST} is the batch if --batch_idx is not given", Environment((_FIRST_IS_1,)), "b")
_environment_rule("C4.second-variable", f"or {_SECOND} is", Environment((_SECOND_IS_2,)), "c")
_environment_rule("C4.both-variables", f"{_FIRST} comes first", Environment((_FIRST_IS_1, _SECOND_IS_2)), "b")
_environment_rule("C4.empty-variable", "an empty variable is ignored", Environment(((_FIRST, ""), _SECOND_IS_2)), "c")
_environment_rule(
    "C4.option-first",
    "--batch_idx comes before the variables",
    Environment((_FIRST_IS_1, _SECOND_IS_2), ("--batch_size", "1", "--batch_idx", "0")),
    "a",
)
_environment_rule(
    "C4.variable-alone",
    "without options, all inputs are processed, with any values of the variables",
    Environment((_FIRST_IS_1,), ()),
    "abc",
)
_environment_rule(
    "C4.large-batch", "a batch may be larger than the folder", Environment((), ("--batch_size", "1000", "--batch_idx", "0")), "abc"
)


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(printable(path) for path in sorted(paths)) or "nothing"


# ---- C6: the same vector ----


@RULES.rule("C6.alone", "the same vector alone and with other inputs", alone, long_alone, everything)
def _alone(alone: Observation, long_alone: Observation, everything: FolderObservation) -> Iterator[str]:
    yield from everything.differing_vectors(alone)
    yield from everything.differing_vectors(long_alone)


@RULES.rule("C6.again", "the same vector in every run", alone, again)
def _again(first: Observation, second: Observation) -> Iterator[str]:
    yield from second.differing_vectors(first)


@RULES.rule("C6.name", "the same vector under any name", everything)
def _name(observed: FolderObservation) -> Iterator[str]:
    yield from observed.differing_vectors(observed)


@RULES.rule("C6.batch", "the same vector in any batch", in_turn, alone)
def _batches(in_batches: BatchesObservation, alone: Observation) -> Iterator[str]:
    yield from in_batches.differing_vectors(alone)
    yield from in_batches.differing_vectors(in_batches)
