"""C8: requests that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jukemir_like.conformance import material
from jukemir_like.conformance.laboratory import Laboratory
from jukemir_like.conformance.rule import rule
from jukemir_like.conformance.run import Seen
from jukemir_like.conformance.sounds import wav
from jukemir_like.core.errors import WRONG_REQUEST

_FEW, _NONE, _TWICE = "three inputs", "no inputs", "two inputs with one output"
_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")


@dataclass(frozen=True)
class Request:
    """A scenario: a request that cannot be carried out.

    Args:
        arguments: of the command line.
        variables: of the environment.
        folder: what the input folder holds.
    """

    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    folder: str = _FEW

    def __call__(self, laboratory: Laboratory) -> Seen:
        inputs, besides = {
            _FEW: (material.few(), {}),
            _NONE: ({}, {**material.hidden(), **material.others()}),
            _TWICE: ({**material.few(), "d/e.wav": wav(0), "d/e.FLAC": material.formats()["free.flac"]}, {}),
        }[self.folder]
        return laboratory.see(inputs, *self.arguments, besides=besides, environment=dict(self.variables))

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.variables] + [argument or "''" for argument in self.arguments]
        return " ".join([*words, *([f"({self.folder})"] if self.folder != _FEW else [])])


def _batch(size: str, index: str) -> Request:
    return Request(("--batch_size", size, "--batch_idx", index))


_REQUESTS: dict[tuple[str, str], tuple[Request, ...]] = {
    ("C8.unknown-option", "an unknown option: 2"): (Request(("--no_such_option",)),),
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
        Request(("--batch_size", "1"), ((_VARIABLES[0], "x"),)),
        Request(("--batch_size", "1"), ((_VARIABLES[1], "-1"),)),
    ),
    ("C8.index-alone", "--batch_idx without --batch_size: 2"): (Request(("--batch_idx", "0")),),
    ("C8.size-alone", "--batch_size without a batch: 2"): (
        Request(("--batch_size", "2")),
        Request(("--batch_size", "2"), tuple((name, "") for name in _VARIABLES)),
    ),
    ("C8.past-the-end", "a batch past the end: 2"): (
        _batch("3", "1"),
        _batch("2", "2"),
        _batch("1", "99999999999999999999"),
        Request(("--batch_size", "2"), ((_VARIABLES[0], "2"),)),
    ),
    ("C8.no-inputs", "no inputs: 2"): (Request(folder=_NONE), Request(("--batch_size", "1", "--batch_idx", "0"), folder=_NONE)),
    ("C8.one-output", "two inputs with one output, also where the batch holds neither: 2"): (
        Request(folder=_TWICE),
        Request(("--batch_size", "1", "--batch_idx", "0"), folder=_TWICE),
    ),
}
_ALL = tuple(request for requests in _REQUESTS.values() for request in requests)


def _declare(name: str, what: str, requests: tuple[Request, ...]) -> None:
    @rule(name, what, *requests)
    def judge(*answers: Seen) -> Iterator[str]:
        for request, answer in zip(requests, answers, strict=True):
            yield from answer.run.ended(WRONG_REQUEST, str(request))


for (_name, _what), _requests in _REQUESTS.items():
    _declare(_name, _what, _requests)


@rule("C8.nothing-written", "where the request is wrong, nothing is written", *_ALL)
def _nothing_written(*answers: Seen) -> Iterator[str]:
    for request, answer in zip(_ALL, answers, strict=True):
        if answer.run.code == WRONG_REQUEST and answer.output:
            yield f"{request}: wrote {', '.join(sorted(answer.output))}"


@rule("C8.says-why", "and a line on standard error says why", *_ALL)
def _says_why(*answers: Seen) -> Iterator[str]:
    for request, answer in zip(_ALL, answers, strict=True):
        if answer.run.code == WRONG_REQUEST and not answer.run.errors.strip():
            yield f"{request}: said nothing"
