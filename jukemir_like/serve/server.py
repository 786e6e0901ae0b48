"""HTTP for one person, on the loopback of this machine, by the standard library; not made for a network.

The address holds a random token; without it there is nothing. The Host header must be this server's own (a name on the web that leads here
is refused), an Origin too. Files are asked for by numbers, never by paths. Bodies are limited in size, connections in number and in time
(:mod:`~.patience`).

Below ``/TOKEN/``: ``GET`` the page; ``GET stems?find=…``; ``POST mix?name=song.wav`` with the bytes of a file, or ``POST sum`` with
``{"generation": 1, "stems": [0, 3]}``, both → ``{"mix": …}``; ``POST query`` with ``{"mix": …, "instrument": …, "segments": false}`` → the
data of a listening page; ``GET audio/MIX/mix``, ``GET audio/MIX/PLACE`` → MP3; ``GET details/MIX/PLACE`` → what the page shows of that
sound; ``GET state`` → ``{"indexing": false}``. A PLACE is ``GENERATION/NUMBER`` of a file, or ``GENERATION/NUMBER/PART``. Errors are
``{"error": "one sentence"}``.
"""

from __future__ import annotations

import errno
import hmac
import io
import json
import secrets
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jukemir_like import audio
from jukemir_like.core.errors import RequestError
from jukemir_like.serve import web
from jukemir_like.serve.hearing import Place
from jukemir_like.serve.patience import Incoming, Patience
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.serve.room import Room

HOST = "127.0.0.1"
LARGEST_MIX = 100 << 20
"""Bytes of a file that is given."""

_LARGEST_QUESTION = 64 << 10
_CONNECTIONS = 16
_FAREWELL_SECONDS = 1.0  # for what is still sent to a request that was refused
_BUSY = b'{"error": "too many connections at once: try again in a moment"}'
_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"  # the page's own says the rest


class Server(ThreadingHTTPServer):
    """Listens at once; answers when :attr:`room` is set and ``serve_forever`` is called.

    Args:
        port: 0: a free one.
        folder: for mixes, while they are received and decoded.

    Attributes:
        room: what it answers from.
        patience: how long connections are waited for.
        clock: seconds, from any beginning.

    Raises:
        RequestError: the port is in use.

    >>> with Server(0, Path()) as server:
    ...     server.address.startswith("http://127.0.0.1:")
    True
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    room: Room
    clock: Callable[[], float]

    def __init__(self, port: int, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self.patience, self.clock = Patience(), time.monotonic
        self._connections = threading.BoundedSemaphore(_CONNECTIONS)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise RequestError(f"port {port} of this machine {reason}: give another --port, or none") from error

    @property
    def prefix(self) -> str:
        """Of the path of every address."""
        return f"/{self.token}/"

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_port}{self.prefix}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, as long as there are not too many."""
        if not self._connections.acquire(blocking=False):
            with suppress(OSError):
                request.setblocking(False)
                head = f"HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(_BUSY)}\r\n\r\n"
                request.sendall(head.encode() + _BUSY)
                request.recv(_LARGEST_QUESTION)  # closed with bytes unread, a connection is reset, and the answer is lost
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that was broken off is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    """One request, after which the connection is closed."""

    server: Server
    server_version = "jukemir-like"
    sys_version = ""

    def setup(self) -> None:
        """As ever, with limits of time."""
        super().setup()
        self.connection.settimeout(self.server.patience.silence)
        self.rfile.close()
        self.incoming = Incoming(self.connection, self.server.patience, self.server.clock)
        self.rfile = io.BufferedReader(self.incoming)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: addresses hold the token."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the standard library refuses: as JSON."""
        self.close_connection = True
        self.request_version = getattr(self, "request_version", "") or "HTTP/1.0"
        self.command = getattr(self, "command", None) or "GET"
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
        self._send_json(code, {"error": "this request is not understood"})

    def do_GET(self) -> None:
        """The page, the library, sounds."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A mix, or a question."""
        self._answer(self._post)

    def _answer(self, method: Any) -> None:
        try:
            status, kind, content, policy = method(*self._checked())
        except RefusedError as error:
            self._send_json(error.status, {"error": str(error)})
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        except Exception:
            traceback.print_exc()
            self._send_json(500, {"error": "an error of the program: what the terminal shows tells more"})
        else:
            self._send(status, kind, content, policy)

    def _checked(self) -> tuple[list[str], dict[str, str]]:
        """The parts of the path behind the token, and the parameters."""
        port = self.server.server_port
        own = {f"{HOST}:{port}", f"localhost:{port}"}
        hosts, origins = self.headers.get_all("Host") or [], self.headers.get_all("Origin") or []
        if len(hosts) != 1 or hosts[0].strip() not in own or any(origin.removeprefix("http://") not in own for origin in origins):
            raise RefusedError(403, "this is not the address that was printed: open that one")
        try:
            address = urlsplit(self.path)
        except ValueError:
            raise RefusedError(404, "there is nothing at this address") from None
        first, *rest = address.path.removeprefix("/").split("/")
        if not hmac.compare_digest(first.encode(errors="replace"), self.server.token.encode()) or not rest:
            raise RefusedError(404, "there is nothing at this address: open the one that was printed")
        parameters = {name: values[0] for name, values in parse_qs(address.query, max_num_fields=None).items()}
        return list(map(unquote, rest)), parameters

    def _get(self, parts: list[str], parameters: dict[str, str]) -> tuple[int, str, bytes, str]:
        room = self.server.room
        match parts:
            case [""]:
                return 200, "text/html; charset=utf-8", web.page(room, LARGEST_MIX).encode(), _PAGE_POLICY
            case ["stems"]:
                return _json(room.stems(parameters.get("find", "")))
            case ["audio", mix, "mix"]:
                return 200, "audio/mpeg", room.sound_of_mix(mix), _POLICY
            case ["audio", mix, _, _] | ["audio", mix, _, _, _]:
                return 200, "audio/mpeg", room.sound(mix, Place(*map(_number, parts[2:]))), _POLICY
            case ["details", mix, _, _] | ["details", mix, _, _, _]:
                return _json(room.details(mix, Place(*map(_number, parts[2:]))))
            case ["state"]:
                return _json(room.state())
        raise RefusedError(404, "there is nothing at this address")

    def _post(self, parts: list[str], parameters: dict[str, str]) -> tuple[int, str, bytes, str]:
        room = self.server.room
        match parts:
            case ["mix"]:
                name = parameters.get("name", "")
                if len(name) > 1000 or not audio.is_audio(Path(name)):
                    raise RefusedError(415, f"this is no audio file by its name: give one of {', '.join(sorted(audio.EXTENSIONS))}")
                with tempfile.NamedTemporaryFile(suffix=Path(name).suffix, dir=self.server.folder) as file:
                    self._receive(file, LARGEST_MIX)
                    return _json(room.add(Path(file.name), name))
            case ["sum"]:
                asked = self._question()
                generation, stems = asked.get("generation"), asked.get("stems")
                if type(generation) is not int or not isinstance(stems, list) or any(type(one) is not int for one in stems):
                    raise RefusedError(400, "give generation, a number, and stems, a list of numbers")
                return _json(room.add_stems(generation, stems))
            case ["query"]:
                asked = self._question()
                mix, instrument, segments = asked.get("mix"), asked.get("instrument"), asked.get("segments", False)
                if not isinstance(mix, str) or not isinstance(instrument, str) or type(segments) is not bool:
                    raise RefusedError(400, "give mix and instrument, two texts, and segments, true or false")
                return _json(room.ask(mix, instrument, segments=segments))
        raise RefusedError(404, "there is nothing at this address")

    def _question(self) -> dict[str, Any]:
        with tempfile.SpooledTemporaryFile(_LARGEST_QUESTION) as file:
            self._receive(file, _LARGEST_QUESTION)
            file.seek(0)
            try:
                asked = json.loads(file.read())
            except (ValueError, RecursionError):
                asked = None
        if not isinstance(asked, dict):
            raise RefusedError(400, "the body is no object in JSON")
        return asked

    def _receive(self, file: Any, most: int) -> None:
        """The body, to ``file``; its size is refused before anything of it is read."""
        declared = self.headers.get_all("Content-Length") or []
        if len(declared) != 1 or not (declared[0].isascii() and declared[0].isdigit()) or "Transfer-Encoding" in self.headers:
            raise RefusedError(411, "the size of the body must be declared, once")
        if len(declared[0]) > 15 or int(declared[0]) > most:
            raise RefusedError(413, f"this is too large: at most {most / (1 << 20):.4g} MiB are taken")
        left = int(declared[0])
        self.incoming.allow(self.server.patience.of_body(left))
        while left:
            try:
                part = self.rfile.read1(min(left, 1 << 20))
            except TimeoutError:
                part = b""
            if not part:
                raise RefusedError(408, "the body did not come, or came too slowly")
            file.write(part)
            left -= len(part)
        file.flush()

    def _send_json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode(), _POLICY)

    def _send(self, status: int, kind: str, content: bytes, policy: str) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Connection", "close"),
                ("Cache-Control", "no-store"),
                ("Content-Security-Policy", policy),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self._drain()

    def _drain(self) -> None:
        """Reads some of a body that was refused: closed with bytes unread, a connection is reset, and the answer is lost."""
        self.connection.shutdown(socket.SHUT_WR)
        self.incoming.allow(_FAREWELL_SECONDS)
        for _ in range(64):
            if not self.incoming.read(1 << 16):
                return


def _json(content: dict[str, Any]) -> tuple[int, str, bytes, str]:
    return 200, "application/json", json.dumps(content, allow_nan=False).encode(), _POLICY


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RefusedError(404, "there is nothing at this address")
    return int(text)
