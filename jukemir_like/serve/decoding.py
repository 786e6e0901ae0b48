"""Mixes are decoded in a process of its own, with limits of memory and time: a bomb, a hang or a crash ends it, and not the server."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from jukemir_like import audio
from jukemir_like.core import processes
from jukemir_like.core.errors import InputError
from jukemir_like.core.workers import Worker, WorkerDiedError, dismiss
from jukemir_like.listening import excerpts
from jukemir_like.listening.compress import SAMPLE_RATE, Mono
from jukemir_like.serve.refusals import RefusedError

SECONDS = 20 * 60
"""The longest mix."""

MEMORY = 3 << 30
"""Bytes of address space that decoding may take."""

TIME = 60.0
"""Seconds that it may take."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Request:
    """Files whose sum is a mix, the rate at which the network hears it in Hz, and how much of it is played in seconds."""

    paths: Sequence[Path]
    sample_rate: int
    seconds: float = excerpts.SECONDS
    memory: int = MEMORY
    time: float = TIME


@dataclass(frozen=True)
class Decoded:
    """A mix.

    Args:
        samples: mono, ``(samples,)``, at the rate that was asked for.
        excerpt: what is played of it.
        channels: the most that a file has.
    """

    samples: Mono
    excerpt: excerpts.Excerpt
    channels: int


def decode(request: Request) -> Decoded:
    """Decodes and adds files in a process of its own, one mix at a time.

    Raises:
        RefusedError: not audio, too long, or beyond the limits.
    """
    if not _one_at_a_time.acquire(timeout=request.time):
        raise RefusedError(503, "another mix is being decoded: try again in a moment")
    try:
        return _in_own_process(request)
    finally:
        _one_at_a_time.release()


def _in_own_process(request: Request) -> Decoded:
    worker: Worker[Request, Decoded] = Worker(_decode, [])
    try:
        worker.give(request)
        if not worker.connection.poll(request.time):
            if worker.process.pid is not None:
                processes.kill([worker.process.pid])
            raise RefusedError(422, f"the mix could not be decoded within {request.time:g} s: give a shorter one, or another format")
        result = worker.result()
    except WorkerDiedError:
        raise RefusedError(422, "the decoder ended on this mix (out of memory, or a fault in it): give it in another format") from None
    finally:
        dismiss([worker])
    if isinstance(result, InputError | OSError | MemoryError):
        reason = str(result) if isinstance(result, InputError) else "is too long or cannot be read"
        raise RefusedError(422, f"the mix {reason}: give a mix in an audio file") from result
    if isinstance(result, Exception):
        raise result
    return result


def _decode(request: Request) -> Decoded:
    _limit(request.memory, request.time)
    parts, played, channels = [], [], 0
    for path in request.paths:
        _refuse_long(path)
        decoded = audio.decode(path)
        if decoded.seconds > SECONDS:
            raise InputError(_too_long(decoded.seconds))
        channels = max(channels, len(decoded.samples))
        mono = audio.mix_down(decoded.samples)
        parts.append(audio.to_mono(mono[None], decoded.sample_rate, request.sample_rate))
        played.append(mono if len(request.paths) == 1 else audio.resample(mono, decoded.sample_rate, SAMPLE_RATE))
        rate = decoded.sample_rate if len(request.paths) == 1 else SAMPLE_RATE
    mix = audio.Audio(_sum(played)[None], rate)
    start = excerpts.start_of_excerpt(mix, request.seconds)
    excerpt = excerpts.cut(mix, start, min(request.seconds, mix.seconds))
    return Decoded(_sum(parts), excerpt, channels)


def _sum(parts: Sequence[Mono]) -> Mono:
    """The sum of sounds ``(samples,)`` of any lengths."""
    total = np.zeros(max(map(len, parts)), np.float32)
    for part in parts:
        total[: len(part)] += part
    return total


def _refuse_long(path: Path) -> None:
    """Before it is decoded, where its header tells."""
    with suppress(soundfile.LibsndfileError, RuntimeError, ValueError, OSError):
        header = soundfile.info(path)
        if header.frames < 1 << 60 and header.duration > SECONDS:  # a header without a length gives more
            raise InputError(_too_long(header.duration))


def _too_long(seconds: float) -> str:
    return f"has {seconds / 60:.0f} minutes, and the longest that is taken has {SECONDS // 60}"


def _limit(memory: int, seconds: float) -> None:
    """Limits this process to so much more memory and processor time than it has now; where the system has no such limits, to none."""
    now = 0
    with suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    used = time.process_time()
    for kind, most in ((resource.RLIMIT_AS, now + memory), (resource.RLIMIT_CPU, int(used + seconds) + 5)):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
