"""The processes of a run as a group: they meet, check that they fit together, and agree on what each of them has to know.

What only one process can decide is decided by the first and told to the others: what becomes of the run's folder, which state the run goes
on from, the statistics of the data. Else processes could go on from different steps, and wait for one another without end.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from jukemir_like.core.errors import BUG, INTERRUPTED, WRONG_REQUEST, JukemirLikeError, RequestError
from jukemir_like.stemjepa.training.devices import Placement

MEETING_SECONDS = 600.0
"""How long processes wait for those that have not come yet."""
WAITING_SECONDS = 3600.0
"""How long they wait for one that works alone."""

_LEAVING_SECONDS = 20.0


class Group:
    """The processes of a run. All of them call the same methods in the same order.

    Args:
        placement: of this process.
        store: through which they exchange small values; None: this process is alone.
    """

    def __init__(self, placement: Placement, store: Store | None = None) -> None:
        self.placement = placement
        self._store = store
        self._calls = 0

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
        return self._exchange(function, [0])[0]

    def each(self, function: Callable[[], Any]) -> list[Any]:
        """Calls ``function`` in every process; returns what it returned, JSON values, in all of them, in the order of ranks.

        Raises:
            SystemExit: it has failed in another process, where the error is raised.

        >>> Group(Placement("cpu", devices=1)).each(lambda: 7)
        [7]
        """
        return self._exchange(function, list(range(self.placement.world_size)))

    def refuse(self, message: str) -> NoReturn:
        """Ends all processes, which have seen the same fault.

        Raises:
            RequestError: with ``message``, in the first process.
            SystemExit: in the others.
        """
        self._leave()
        if self.is_first:
            raise RequestError(message)
        sys.exit(WRONG_REQUEST)

    def broadcast(self, value: Any) -> Any:
        """What the first process gives: None, numbers, strings, and tensors on the processor, in dicts, lists and tuples, of any size.

        Args:
            value: of the first process; that of the others counts for nothing.
        """
        if self._store is None:
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
        if self._store is None:
            return [value]
        values = [None] * self.placement.world_size if self.is_first else None
        torch.distributed.gather_object(value, values)
        return values or []

    def _exchange(self, function: Callable[[], Any], ranks: list[int]) -> list[Any]:
        self._calls += 1
        error: BaseException | None = None
        if self.placement.rank in ranks:
            try:
                answer = {"value": function()}
            except BaseException as raised:
                error, answer = raised, {"code": _exit_code(raised)}
            if self._store is None:
                if error is not None:
                    raise error
                return [answer["value"]]
            self._store.set(self._key(self.placement.rank), json.dumps(answer))
        answers = [self._answer(rank) for rank in ranks]
        codes = [answer["code"] for answer in answers if "code" in answer]
        if codes:
            self._leave()
            if error is not None:
                raise error
            sys.exit(codes[0])
        return [answer["value"] for answer in answers]

    def _answer(self, rank: int) -> Any:
        assert self._store is not None  # noqa: S101
        try:
            return json.loads(self._store.get(self._key(rank)))
        except torch.distributed.DistError as error:
            host = "" if rank == self.placement.rank else f" (process {self.placement.rank} on {socket.gethostname()} waited for it)"
            raise RequestError(f"process {rank} of the training has ended or does not answer{host}: look at what it printed") from error

    def _key(self, rank: int) -> str:
        return f"{self._calls}/{rank}"

    def _leave(self) -> None:
        """The store is the first process's, which therefore goes last."""
        if self._store is None:
            return
        others = self.placement.world_size - 1
        deadline = time.monotonic() + _LEAVING_SECONDS
        try:
            gone = self._store.add("gone", int(not self.is_first))
            while self.is_first and gone < others and time.monotonic() < deadline:
                time.sleep(0.02)
                gone = self._store.add("gone", 0)
        except torch.distributed.DistError:
            return


@contextmanager
def joined(placement: Placement) -> Iterator[Group]:
    """The group of this process, with torch's process group, by which gradients are averaged, while it is entered.

    Raises:
        RequestError: not all processes came, or they do not fit together: some have a GPU and others not, or two have the same.
    """
    if placement.world_size == 1:
        yield Group(placement)
        return
    store = _meet(placement)
    group = Group(placement, store)
    _check_devices(group, group.each(lambda: _own_device(placement)))
    if placement.accelerator == "cuda":
        torch.cuda.set_device(placement.gpu)
    torch.distributed.init_process_group(
        "nccl" if placement.accelerator == "cuda" else "gloo",
        store=PrefixStore("training", store),
        rank=placement.rank,
        world_size=placement.world_size,
        timeout=timedelta(seconds=WAITING_SECONDS),
    )
    try:
        yield group
    finally:
        torch.distributed.destroy_process_group()


def _exit_code(error: BaseException) -> int:
    if isinstance(error, JukemirLikeError):
        return error.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else BUG


def _meet(placement: Placement) -> Store:
    """Waits for all processes."""
    host = f"[{placement.address}]" if ":" in placement.address else placement.address
    where = f"tcp://{host}:{placement.port}"
    waiting = timedelta(seconds=MEETING_SECONDS)
    try:
        store, _, _ = next(rendezvous(where, placement.rank, placement.world_size, timeout=waiting))
    except (torch.distributed.DistError, RuntimeError) as error:
        raise RequestError(
            f"process {placement.rank} of {placement.world_size} on {socket.gethostname()} did not meet all others at "
            f"{placement.address}, port {placement.port}, in {MEETING_SECONDS:.0f} s: were all started, and can this node reach that one?"
        ) from error
    store.set_timeout(timedelta(seconds=WAITING_SECONDS))
    return PrefixStore("agreement", store)


def _own_device(placement: Placement) -> dict[str, Any]:
    gpu = str(getattr(torch.cuda.get_device_properties(placement.gpu), "uuid", "")) if placement.accelerator == "cuda" else ""
    return {"host": socket.gethostname(), "accelerator": placement.accelerator, "gpu": gpu}


def _check_devices(group: Group, found: list[Mapping[str, str]]) -> None:
    """Refuses processes with different accelerators, which could not average gradients, and two on one GPU."""
    if len({one["accelerator"] for one in found}) > 1:
        without = next(rank for rank, one in enumerate(found) if one["accelerator"] == "cpu")
        group.refuse(
            f"process {without} on {found[without]['host']} has no GPU that torch can use, and others have one: give every process one "
            "(SLURM: --gpus-per-task=1), or choose trainer=cpu"
        )
    seen: dict[tuple[str, str], int] = {}
    for rank, one in enumerate(found):
        other = seen.setdefault((one["host"], one["gpu"]), rank)
        if one["gpu"] and other != rank:
            group.refuse(
                f"processes {other} and {rank} on {one['host']} have the same GPU: start as many processes per node as it has GPUs "
                "(SLURM: --gpus-per-task=1)"
            )


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
