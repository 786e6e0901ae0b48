"""The processes of a run on several devices find each other, or say within minutes why they do not.

They meet at one address, where the first of them listens (or torchrun does for it). That is done here, at the very start and with a time
limit of its own, because later they may have to wait for one another for long (the first validates, a node copies its data); torch then
waits half an hour, without a word.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
from collections.abc import Callable

import torch.distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.constants import default_pg_timeout

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training import addresses, unfit_devices
from jukemir_like.stemjepa.training.devices import Placement

_POLL_SECONDS = 0.1
_NETWORK_INTERFACE = "GLOO_SOCKET_IFNAME"
_WAITING = "the others are missing"


def meet(placement: Placement, seconds: float) -> None:
    """Waits for all processes of the run and makes torch's default process group of them. Nothing is done where this is the only one.

    Args:
        placement: of this process; where another process has started it, or will.
        seconds: how long to wait.

    Raises:
        RequestError: they did not meet in this time, the address cannot be used, or their devices do not fit together.
    """
    if placement.world_size == 1 or not placement.external or torch.distributed.is_initialized():
        return
    deadline = time.monotonic() + seconds
    if not addresses.resolves(placement.address):
        raise RequestError(f"{placement.address}, where the processes are to meet, does not resolve here: set MASTER_ADDR to an address")
    if placement.nodes > 1:
        placement.say(f"waiting for {placement.world_size} processes at {_place(placement)}, {seconds:g} s at most")
    if not _listens(placement):
        _wait_for_first(placement, deadline, seconds)
    group = _Group(placement, deadline, seconds)
    _call_until(
        deadline, group.join, lambda: _failure(placement, seconds, f"{group.arrived} of {placement.world_size} came; {group.phase}")
    )
    if placement.accelerator == "cuda":
        atexit.register(_leave)


def _listens(placement: Placement) -> bool:
    """Whether the others come to this process. Of torchrun's processes none does: it listens itself."""
    return placement.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def _place(placement: Placement) -> str:
    return f"{placement.address}:{placement.port}"


def _failure(placement: Placement, seconds: float, what: str) -> RequestError:
    return RequestError(
        f"the {placement.world_size} processes of the run did not meet at {_place(placement)} within {seconds:g} s ({what}): see that all "
        "were started and reach this address; set MASTER_ADDR (and MASTER_PORT) to another, or trainer.meeting_seconds to more"
    )


def _wait_for_first(placement: Placement, deadline: float, seconds: float) -> None:
    """Waits until the first process listens. Not by torch, which prints the stack of its own library at every attempt."""
    reason = ""
    while (left := deadline - time.monotonic()) > 0:
        try:
            socket.create_connection((placement.address, placement.port), timeout=left).close()
            return
        except OSError as error:
            reason = str(error.strerror or error)
            time.sleep(_POLL_SECONDS)
    raise _failure(placement, seconds, f"process {placement.rank} on {socket.gethostname()} gets no answer: {reason}")


class _Group:
    """The process group in the making.

    Attributes:
        arrived: how many processes are there, as far as this one knows.
        phase: what it is doing.
    """

    def __init__(self, placement: Placement, deadline: float, seconds: float) -> None:
        self.arrived, self.phase = 0, "the first does not answer"
        self._placement, self._deadline, self._seconds = placement, deadline, seconds

    def join(self) -> None:
        """Adds this process, waits for the others, and connects with each of them."""
        placement = self._placement
        try:
            server = TCPStore(
                placement.address, placement.port, placement.world_size, _listens(placement), default_pg_timeout, wait_for_workers=False
            )
            store = PrefixStore(f"attempt/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", server)
            store.set(f"address/{placement.rank}", addresses.towards(placement.address) or "")
            unfit_devices.tell(placement, store)
            self.arrived, self.phase = store.add("arrived", 1), _WAITING
            while self.arrived < placement.world_size:
                if time.monotonic() > self._deadline:
                    raise _failure(placement, self._seconds, f"{self.arrived} of {placement.world_size} came")
                time.sleep(_POLL_SECONDS)
                self.arrived = store.add("arrived", 0)
            self.phase = "they do not reach one another"
            unfit_devices.refuse(placement, store)
            _choose_interface(placement, store)
            if placement.accelerator == "cuda":
                torch.cuda.set_device(placement.gpu)
            backend = "nccl" if placement.accelerator == "cuda" else "gloo"
            torch.distributed.init_process_group(
                backend, store=store, rank=placement.rank, world_size=placement.world_size, timeout=default_pg_timeout
            )
        except RuntimeError as error:  # of torch's store, or of gloo
            if "EADDRINUSE" in str(error):
                raise RequestError(f"port {placement.port} of this node is taken: set MASTER_PORT to a free one") from error
            phase = "the first has ended" if self.phase == _WAITING else self.phase
            raise _failure(placement, self._seconds, f"{self.arrived} of {placement.world_size} came; {phase}") from error


def _choose_interface(placement: Placement, store: PrefixStore) -> None:
    """Says to gloo which network leads to the other nodes, where it would not find out: it looks for this node's own name.

    (NCCL looks at the interfaces themselves.)
    """
    if (
        placement.nodes == 1
        or placement.accelerator == "cuda"
        or _NETWORK_INTERFACE in os.environ
        or addresses.is_own_name_known_to_others()
    ):
        return
    other = placement.world_size - 1 if placement.rank == 0 else 0  # on another node, or on the first: the way is the same from both
    peer = store.get(f"address/{other}").decode() if placement.rank == 0 else placement.address
    if name := addresses.interface(addresses.towards(peer)):
        os.environ[_NETWORK_INTERFACE] = name


def _call_until(deadline: float, function: Callable[[], None], failure: Callable[[], RequestError]) -> None:
    """Calls ``function`` in a thread, as calls of torch do not end when a signal asks for it, nor at a deadline; raises what it raises."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    # The thread itself says better what is missing, so it gets a little longer.
    while thread.is_alive() and time.monotonic() < deadline + 10 * _POLL_SECONDS:
        thread.join(_POLL_SECONDS)
    if thread.is_alive():
        raise failure()
    if raised:
        raise raised[0]


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
