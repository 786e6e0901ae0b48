"""The one place that calls ffmpeg: for containers that libsndfile does not know (MP4, AAC, WMA), where an ffmpeg is found.

Files may come from anybody, and ffmpeg does what they ask for: a playlist with the name of a sound makes it open other files, or hosts,
and wait for ever. So the bytes decide, here, which container it is told to expect; it is given an open file, nothing by name; and no run
goes on for longer than its file can need, or when this process is gone.
"""

from __future__ import annotations

import ctypes
import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from jukemir_like.audio.stream import after_id3_tags
from jukemir_like.core.errors import InputError

WHAT_TO_INSTALL = (
    "install ffmpeg, or the package imageio-ffmpeg, which has one in it (pip install jukemir-like[ffmpeg]); or convert it to WAV"
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # what an MP4 may begin with
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_STREAM = re.compile(r"^\s*Stream #0:\d+.*: Audio:", re.MULTILINE)
_VIDEO = re.compile(r"^\s*Stream #0:\d+.*: Video:(?!.*\(attached pic\))", re.MULTILINE)
_DURATION = re.compile(r"^\s*Duration: (\d+):(\d\d):(\d\d\.\d+),", re.MULTILINE)
_MIN_LIMIT_SECONDS = 60.0
_MIN_BYTES_PER_SECOND = 500.0  # of a file without a duration: 4 kbit/s
_MAX_MISSING_SAMPLES = 2 * 2048  # an encoder's delay and a last frame
_UNINFORMATIVE = ("At least one output", "Error opening input", "Invalid data found when processing input")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Contents:
    """What a file holds, by its header.

    Args:
        demuxer: ffmpeg's name of the container.
        streams: how many of audio.
        seconds: duration of the sound; None where it is missing, is estimated, or may be that of a video.
        limit_seconds: what decoding one of them may take.
    """

    demuxer: str
    streams: int
    seconds: float | None
    limit_seconds: float


def demuxer(file: BinaryIO) -> str | None:
    """Ffmpeg's name of the container that an open file is, from its bytes; None where it is none of those that ffmpeg is trusted with."""
    file.seek(after_id3_tags(file))
    header = file.read(16)
    if header[4:8] in _BOXES:
        return "mov"
    if header == _ASF:
        return "asf"
    if len(header) > 1 and header[0] == 0xFF and header[1] & 0xF6 == 0xF0:  # ADTS: as MPEG audio, but of layer 0
        return "aac"
    return None


def contents(file: BinaryIO, container: str) -> Contents:
    """What a file holds, of a container by :func:`demuxer`.

    Raises:
        InputError: no ffmpeg, or it cannot open the file.
    """
    messages = _run(file, container, [], _MIN_LIMIT_SECONDS, level="info").stderr.decode(errors="replace")
    if "Input #0" not in messages:
        raise InputError(f"cannot be decoded by ffmpeg ({_reason(messages)})")
    duration = _DURATION.search(messages)
    seconds = 3600 * int(duration[1]) + 60 * int(duration[2]) + float(duration[3]) if duration else None
    limit = _MIN_LIMIT_SECONDS + (seconds if seconds is not None else file.seek(0, io.SEEK_END) / _MIN_BYTES_PER_SECOND)
    unsure = "Estimating duration" in messages or _VIDEO.search(messages)
    return Contents(container, len(_STREAM.findall(messages)), None if unsure else seconds, limit)


def decode(file: BinaryIO, contents: Contents, stream: int, *, as_int16: bool = False) -> tuple[np.ndarray, int]:
    """Samples of one stream, as they come out of the decoder, and their sample rate in Hz.

    Args:
        file: open for reading.
        contents: of :func:`contents`.
        stream: its number among those of audio, from 0.
        as_int16: rounded to 16 bits.

    Returns:
        float32 or int16 of shape ``(frames, channels)``.

    Raises:
        InputError: no ffmpeg; it cannot decode the stream, or not all of it.
    """
    # AU has a header of a few numbers, and can be written to a pipe, without its length.
    codec, number_type = ("pcm_s16be", ">i2") if as_int16 else ("pcm_f32be", ">f4")
    options = ["-xerror", "-map", f"0:a:{stream}", "-vn", "-sn", "-dn", "-c:a", codec, "-f", "au", "pipe:1"]
    done = _run(file, contents.demuxer, options, contents.limit_seconds, level="error")
    messages = done.stderr.decode(errors="replace")
    if done.returncode or len(done.stdout) < 24:
        raise InputError(f"cannot be decoded by ffmpeg ({_reason(messages) or f'it ended with {done.returncode}'})")
    offset, _, _, rate, channels = struct.unpack_from(">5I", done.stdout, 4)
    values = np.frombuffer(done.stdout, number_type, offset=offset)
    values = values[: len(values) // channels * channels].reshape(-1, channels)
    if contents.seconds is not None and len(values) + _MAX_MISSING_SAMPLES < contents.seconds * rate:
        raise InputError(f"is cut short or damaged: {len(values) / rate:.1f} of {contents.seconds:.1f} s can be decoded")
    return values.astype(number_type[1:]), rate


def program() -> str:
    """The ffmpeg that is used: the one on the PATH, else that of imageio-ffmpeg; :class:`InputError` where there is none."""
    if path := shutil.which("ffmpeg"):
        return path
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise InputError(f"needs ffmpeg, and none was found: {WHAT_TO_INSTALL}") from error


def _run(file: BinaryIO, container: str, options: list[str], limit_seconds: float, *, level: str) -> subprocess.CompletedProcess[bytes]:
    executable = program()
    with _descriptor(file) as descriptor:
        # The file protocol, of which only this one name comes to be opened: MP4 needs to seek, which a pipe cannot, and the protocol
        # for descriptors came with ffmpeg 6. What an MP4 says of other files is not followed.
        source = ["-protocol_whitelist", "file", "-f", container, "-i", f"file:/dev/fd/{descriptor}"]
        closed = ["-enable_drefs", "0", "-use_absolute_path", "0"] if container == "mov" else []
        try:
            return subprocess.run(
                [executable, "-nostdin", "-hide_banner", "-v", level, *closed, *source, *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit_seconds,
                pass_fds=(descriptor,),
                preexec_fn=_end_with(os.getpid()) if _prctl is not None else None,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"cannot be decoded: ffmpeg had not finished after {limit_seconds:.0f} s") from error
        except OSError as error:
            raise InputError(
                f"needs ffmpeg, and {executable} cannot be run ({(error.strerror or '').lower()}): {WHAT_TO_INSTALL}"
            ) from error


def _end_with(parent: int) -> Callable[[], None]:
    """For the child process, before it becomes ffmpeg: the system is to kill it when its parent is gone, by SIGKILL too."""

    def request() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # type: ignore[misc]
        if os.getppid() != parent:  # it went meanwhile
            os._exit(1)

    return request


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """The descriptor of an open file; bytes become a file without a name."""
    if not isinstance(file, io.BytesIO):
        yield file.fileno()
        return
    with tempfile.TemporaryFile() as temporary:
        temporary.write(file.getbuffer())
        temporary.flush()
        yield temporary.fileno()


def _reason(messages: str) -> str:
    """The last informative line of ffmpeg's messages, without addresses in its memory."""
    lines = [re.sub(r"^\[[^]]* @ 0x[0-9a-f]+\] *|file:/dev/fd/\d+: *", "", line).strip() for line in messages.splitlines() if line.strip()]
    informative = [line for line in lines if not line.startswith(_UNINFORMATIVE)]
    return (informative or lines or [""])[-1]
