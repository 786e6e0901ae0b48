"""C8, C9: requests that are wrong, and inputs that cannot be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jukemir_like.conformance import snapshots, synthetic_audio
from jukemir_like.conformance.rules import BATCH_VARIABLES, Rules
from jukemir_like.conformance.session import Observation, Session
from jukemir_like.conformance.snapshots import output_of
from jukemir_like.conformance.synthetic_audio import wav
from jukemir_like.core.errors import SOME_FAILED, WRONG_REQUEST

RULES = Rules()
UNREADABLE = "locked.wav"

_FEW, _NONE, _ONE_OUTPUT = "three inputs", "no inputs", "two inputs with one output"
_OLDER = "older.npy"
_BAD = "bb.wav"  # between b.wav and c.wav


# ---- C8: wrong requests ----


@dataclass(frozen=True)
class WrongRequest:
    """A scenario: a request that cannot be carried out.

    Args:
        arguments: of the command line.
        variables: of the environment.
        folder: what the input folder contains.
    """

    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    folder: str = _FEW

    def __call__(self, session: Session) -> Observation:
        files, no_inputs = {
            _FEW: (synthetic_audio.few(), {}),
            _NONE: ({}, {**synthetic_audio.hidden(), **synthetic_audio.other_endings()}),
            _ONE_OUTPUT: ({**synthetic_audio.few(), "d/e.wav": wav(0), "d/e.FLAC": synthetic_audio.formats()["free.flac"]}, {}),
        }[self.folder]
        return session.observe(files, *self.arguments, no_inputs=no_inputs, environment=dict(self.variables))

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.variables] + [argument or "''" for argument in self.arguments]
        return " ".join([*words, *([f"({self.folder})"] if self.folder != _FEW else [])])


def _batch(size: str, index: str) -> WrongRequest:
    return WrongRequest(("--batch_size", size, "--batch_idx", index))


_FIRST_OF_ONE = ("--batch_size", "1", "--batch_idx", "0")
_REQUESTS: dict[tuple[str, str], tuple[WrongRequest, ...]] = {
    ("C8.unknown-option", "an unknown option: 2"): (WrongRequest(("--no_such_option",)),),
    ("C8.no-number", "a value that is not a whole number: 2"): (
        _batch("x", "0"),
        _batch("1.5", "0"),
        _batch("", "0"),
        _batch("1", "x"),
        _batch("1", "0.0"),
        _batch("1", ""),
    ),
    ("C8.out-of-range", "a value out of range: 2"): (_batch("0", "0"), _batch("-1", "0"), _batch("1", "-1")),
    ("C8.wrong-variable", "the same in a variable: 2"): (
        WrongRequest(("--batch_size", "1"), ((BATCH_VARIABLES[0], "x"),)),
        WrongRequest(("--batch_size", "1"), ((BATCH_VARIABLES[1], "-1"),)),
    ),
    ("C8.index-alone", "--batch_idx without --batch_size: 2"): (WrongRequest(("--batch_idx", "0")),),
    ("C8.size-alone", "--batch_size without a batch: 2"): (
        WrongRequest(("--batch_size", "2")),
        WrongRequest(("--batch_size", "2"), tuple((name, "") for name in BATCH_VARIABLES)),
    ),
    ("C8.past-the-end", "a batch past the end: 2"): (
        _batch("3", "1"),
        _batch("2", "2"),
        _batch("1", "99999999999999999999"),
        WrongRequest(("--batch_size", "2"), ((BATCH_VARIABLES[0], "2"),)),
    ),
    ("C8.no-inputs", "no inputs: 2"): (WrongRequest(folder=_NONE), WrongRequest(_FIRST_OF_ONE, folder=_NONE)),
    ("C8.one-output", "two inputs with one output, even if the batch has neither: 2"): (
        WrongRequest(folder=_ONE_OUTPUT),
        WrongRequest(_FIRST_OF_ONE, folder=_ONE_OUTPUT),
    ),
}
_ALL_REQUESTS = tuple(request for requests in _REQUESTS.values() for request in requests)


def _request_rule(name: str, what: str, requests: tuple[WrongRequest, ...]) -> None:
    @RULES.rule(name, what, *requests)
    def judge(*observations: Observation) -> Iterator[str]:
        for request, observed in zip(requests, observations, strict=True):
            yield from observed.outcome.code_faults(WRONG_REQUEST, str(request))


for (_name, _what), _requests in _REQUESTS.items():
    _request_rule(_name, _what, _requests)


@RULES.rule("C8.nothing-written", "where the request is wrong, nothing is written", *_ALL_REQUESTS)
def _nothing_written(*observations: Observation) -> Iterator[str]:
    for request, observed in zip(_ALL_REQUESTS, observations, strict=True):
        if observed.outcome.code == WRONG_REQUEST and observed.output:
            yield f"{request}: wrote {', '.join(sorted(observed.output))}"


@RULES.rule("C8.says-why", "and a line on standard error says why", *_ALL_REQUESTS)
def _says_why(*observations: Observation) -> Iterator[str]:
    for request, observed in zip(_ALL_REQUESTS, observations, strict=True):
        if observed.outcome.code == WRONG_REQUEST and not observed.outcome.errors.strip():
            yield f"{request}: standard error is empty"


# ---- C9: inputs that cannot be decoded ----


def failing(session: Session) -> Observation:
    """Good and bad inputs together; one of the bad ones has an output already, of which no record knows."""
    files = {**_good(), **synthetic_audio.undecodable(), UNREADABLE: synthetic_audio.few()["a.wav"], "older.wav": b"no audio any more"}
    source, target = session.new_folder(files), session.new_folder()
    (source / UNREADABLE).chmod(0)
    snapshots.write_files(target, {_OLDER: b"a vector"})
    outcome = session.run(source, target)
    return Observation(outcome, files, snapshots.take(target))


def failing_batch(session: Session) -> Observation:
    """The second of two batches, named by a scheduler's variable as an Indexed Job does; the first of its two inputs is a bad one."""
    files = {**synthetic_audio.few(), _BAD: b"no audio"}
    return session.observe(files, "--batch_size", "2", environment={BATCH_VARIABLES[1]: "1"})


def _good() -> dict[str, bytes]:
    """Inputs that come before the bad ones, and one that comes after."""
    return {**synthetic_audio.few(), "z.wav": wav(3)}


def must_fail(observed: Observation) -> list[str]:
    """The inputs of :func:`failing` that can only fail. The file system decides whether one may be read, and some let everyone."""
    return [path for path in observed.inputs if path not in _good() and (path != UNREADABLE or is_locked(observed))]


def is_locked(observed: Observation) -> bool:
    """Whether the input without read permission could indeed not be read."""
    return snapshots.records(observed.output).get(UNREADABLE, {}).get("status") != "done"


@RULES.rule("C9.code", "finished, but some inputs failed: 3", failing)
def _code(observed: Observation) -> Iterator[str]:
    yield from observed.outcome.code_faults(SOME_FAILED)


@RULES.rule("C9.no-output", "a file that cannot be decoded has no output", failing)
def _no_output(observed: Observation) -> Iterator[str]:
    for path in must_fail(observed):
        if output_of(path) in observed.output and output_of(path) != _OLDER:
            yield f"{path} has one"


@RULES.rule("C9.older-output", "and an older one is removed", failing)
def _older_output(observed: Observation) -> Iterator[str]:
    if _OLDER in observed.output:
        yield f"{_OLDER} is still there"


@RULES.rule("C9.others", "the others have theirs", failing)
def _others(observed: Observation) -> Iterator[str]:
    yield from observed.missing_outputs(*_good())


@RULES.rule("C9.batch", "the same in a batch that a variable names: its other inputs have their outputs, and the code is 3", failing_batch)
def _failing_batch(observed: Observation) -> Iterator[str]:
    yield from observed.outcome.code_faults(SOME_FAILED)
    written = set(snapshots.outputs(observed.output))
    if written != {"c.npy"}:
        yield f"wrote {', '.join(sorted(written)) or 'nothing'} instead of c.npy"
