"""The processes of a run as a group: they meet, and agree on what each of them has to know.

What only one process can decide is decided by the first and told to the others: what becomes of the run's folder, which state the run goes
on from, the statistics of the data. Else processes could go on from different steps, and wait for one another without end.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
import torch.distributed
from torch import Tensor

from jukemir_like.core.errors import BUG, INTERRUPTED, WRONG_REQUEST, JukemirLikeError, RequestError
from jukemir_like.stemjepa.training.devices import Placement
from jukemir_like.stemjepa.training.meeting import meet


class Group:
    """The processes of a run. All of them call the same methods in the same order.

    Args:
        placement: of this process. Of several, torch's process group has been made (:func:`.meeting.meet`).
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.placement.rank == 0

    def from_first(self, function: Callable[[], Any]) -> Any:
        """Calls ``function`` in the first process only; returns what it returned, a JSON value, in all of them.

        Raises:
            SystemExit: it has failed in the first process, where the error is raised.

        >>> Group(Placement("cpu", devices=1)).from_first(lambda: 7)
        7
        """
        return self._exchange(function, range(1))[0]

    def each(self, function: Callable[[], Any]) -> list[Any]:
        """Calls ``function`` in every process; returns what it returned, JSON values, in all of them, in the order of ranks.

        Raises:
            SystemExit: it has failed in another process, where the error is raised.

        >>> Group(Placement("cpu", devices=1)).each(lambda: 7)
        [7]
        """
        return self._exchange(function, range(self.placement.world_size))

    def refuse(self, message: str) -> NoReturn:
        """Ends all processes, which have seen the same fault.

        Raises:
            RequestError: with ``message``, in the first process.
            SystemExit: in the others.
        """
        if self.is_first:
            raise RequestError(message)
        sys.exit(WRONG_REQUEST)

    def broadcast(self, value: Any) -> Any:
        """What the first process gives: None, numbers, strings, and tensors on the processor, in dicts, lists and tuples, of any size.

        Args:
            value: of the first process; that of the others counts for nothing.
        """
        if self._is_alone:
            return value
        tensors: list[Tensor] = []
        structure = [_without_tensors(value, tensors) if self.is_first else None]
        torch.distributed.broadcast_object_list(structure)
        device = self.placement.device  # where collective operations have their tensors
        received: list[Tensor] = []
        for number, place in enumerate(_places(structure[0])):
            tensor = tensors[number].to(device) if self.is_first else torch.empty(place.shape, dtype=place.dtype, device=device)
            torch.distributed.broadcast(tensor, 0)
            received.append(tensors[number] if self.is_first else tensor.cpu())
        return _with_tensors(structure[0], iter(received))

    def gather(self, value: Any) -> list[Any]:
        """What every process gives, anything picklable of any size, in the order of ranks: in the first process; in the others nothing."""
        if self._is_alone:
            return [value]
        values = [None] * self.placement.world_size if self.is_first else None
        torch.distributed.gather_object(value, values)
        return values or []

    @property
    def _is_alone(self) -> bool:
        return self.placement.world_size == 1

    def _exchange(self, function: Callable[[], Any], ranks: Sequence[int]) -> list[Any]:
        error: BaseException | None = None
        answer: dict[str, Any] = {}
        if self.placement.rank in ranks:
            try:
                answer = {"value": function()}
            except BaseException as raised:
                if self._is_alone:
                    raise
                error, answer = raised, {"code": _exit_code(raised)}
        if self._is_alone:
            return [answer["value"]]
        answers: list[dict[str, Any]] = [{}] * self.placement.world_size
        try:
            torch.distributed.all_gather_object(answers, answer)
        except RuntimeError as lost:  # of gloo, where a process is gone
            if error is not None:
                raise error from None
            raise RequestError(
                f"a process of the training has ended, and process {self.placement.rank} on {socket.gethostname()} cannot go on alone: "
                "look at what it printed, and run the same command to resume"
            ) from lost
        codes = [answers[rank]["code"] for rank in ranks if "code" in answers[rank]]
        if error is not None:
            raise error
        if codes:
            sys.exit(codes[0])
        return [answers[rank]["value"] for rank in ranks]


@contextmanager
def joined(placement: Placement, seconds: float) -> Iterator[Group]:
    """The group of this process, with torch's process group, by which gradients are averaged, while it is entered.

    Args:
        placement: of this process.
        seconds: how long to wait for the others.

    Raises:
        RequestError: not all processes came, or their devices do not fit together.
    """
    meet(placement, seconds)
    try:
        yield Group(placement)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _exit_code(error: BaseException) -> int:
    if isinstance(error, JukemirLikeError):
        return error.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else BUG


@dataclass(frozen=True)
class _Place:
    """Where a tensor was."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def _without_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """``value`` with a :class:`_Place` for each tensor; the tensors are appended to ``tensors``, in the order of their places."""
    if isinstance(value, Tensor):
        tensors.append(value.contiguous())
        return _Place(tuple(value.shape), value.dtype)
    if isinstance(value, Mapping):
        return {name: _without_tensors(part, tensors) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_tensors(part, tensors) for part in value)
    return value


def _places(value: Any) -> Iterator[_Place]:
    """Places of tensors, in the order of :func:`_without_tensors`."""
    if isinstance(value, _Place):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _places(part)


def _with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, _Place):
        return next(tensors)
    if isinstance(value, Mapping):
        return {name: _with_tensors(part, tensors) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_tensors(part, tensors) for part in value)
    return value
