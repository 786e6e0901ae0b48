"""``trainer.compile``: the networks compiled by ``torch.compile``."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.model import Network


def check(device: torch.device) -> None:
    """Compiles something small, so that what is missing is known before training begins. About ten seconds.

    Raises:
        RequestError: torch cannot compile here.
    """
    unlike_any_before = random.random()  # or the result of an earlier compilation would be taken, which needs no compiler
    try:
        torch.compile(lambda values: values.sin() + unlike_any_before)(torch.ones(8, device=device))
    except Exception as error:  # what is missing shows in many ways
        reason = " ".join(str(error).split())[:160]
        raise RequestError(
            f"trainer.compile=true, but torch.compile does not work here ({reason}): install a C++ compiler (g++) and the headers of "
            "Python (python3-dev), or leave trainer.compile out"
        ) from None


def compile_networks(network: Network, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compiles encoder, teacher and predictor, in place.

    Each is compiled for the one or two shapes of training batches, and for nothing else: within :func:`uncompiled` they run as they are
    written. torch keeps eight variants of the code that all modules share, and runs what is beyond them uncompiled for the rest of the run.

    Args:
        network: its parameters keep their names.
        backend: of ``torch.compile``.
    """
    for part in (network.encoder, network.teacher, network.predictor):
        part.compile(dynamic=False, backend=backend)


def uncompiled() -> AbstractContextManager[object]:
    """Within it, compiled networks run as they are written: in validation, whose batches have many shapes."""
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
