"""A real HTTP server on loopback that can be told to be faulty, declarations that name it, and a cache."""

import hashlib
import itertools
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.downloads.declarations import select_assets
from jukemir_like.downloads.download import download
from jukemir_like.downloads.retries import RetryPolicy
from jukemir_like.downloads.threads import FileProgress


@dataclass
class Answer:
    """What the server is about to send; faults change it. The first fields decide the bytes, the others how they are sent."""

    data: bytes
    etag: str | None
    modified: str | None
    ranges: bool = True
    if_range: bool = True
    shift: int = 0
    status: int | None = None
    headers: dict = field(default_factory=dict)
    type: str = "application/octet-stream"
    length: bool | int = True
    chunked: bool = False
    cut: int | None = None
    reset: bool = False
    stall: tuple | None = None
    rate: float | None = None
    rate_bytes: int = 1 << 62
    piece: int = 1 << 16


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are sent apart: Nagle's wait would be measured, not the client

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        host = self.server.host
        path = self.path.partition("?")[0].lstrip("/")
        try:
            data = (host.folder / path).read_bytes()
            status = (host.folder / path).stat()
            etag = f'"{hashlib.md5(data).hexdigest()}"' if host.etags else None
            answer = Answer(data, etag, formatdate(status.st_mtime, usegmt=True) if host.dates else None)
        except OSError:
            answer = Answer(b"not here", None, None, status=404)
        if self.command == "HEAD" and path in host.announced:
            answer.length = host.announced[path]
        fault = host.next_fault(path) if self.command == "GET" else None
        if fault:
            fault(answer)
        sent = self._prepare(answer)
        host.requests.append((self.command, path, dict(self.headers), answer.status))
        self._send(answer, sent)
        host.finished.append((self.command, path))

    def _prepare(self, answer):
        """Decides status, headers and body from ``answer`` and the request, as a good server does."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        current = condition is None or not answer.if_range or condition in (answer.etag, answer.modified)
        body = answer.data
        if answer.status is None:
            answer.status = 200
            if asked and answer.ranges and current:
                start = int(asked[1])
                if start >= len(answer.data):
                    answer.status, body = 416, b""
                    answer.headers["Content-Range"] = f"bytes */{len(answer.data)}"
                else:
                    start += answer.shift
                    answer.status, body = 206, answer.data[start:]
                    answer.headers.setdefault("Content-Range", f"bytes {start}-{len(answer.data) - 1}/{len(answer.data)}")
        return body

    def _send(self, answer, body):
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        if answer.etag:
            self.send_header("ETag", answer.etag)
        if answer.modified:
            self.send_header("Last-Modified", answer.modified)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.length is True:
            self.send_header("Content-Length", str(len(body)))
        elif answer.length is not False:
            self.send_header("Content-Length", str(answer.length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._body(answer, body)
        except OSError:  # the client went away
            self.close_connection = True

    def _body(self, answer, body):
        started, sent = time.monotonic(), 0
        while sent < len(body):
            stop = len(body)
            for limit in (answer.cut, answer.stall and answer.stall[0]):
                if limit is not None and sent < limit:
                    stop = min(stop, limit)
            piece = body[sent : min(stop, sent + answer.piece)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
            sent += len(piece)
            if answer.cut is not None and sent >= answer.cut:
                if answer.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            if answer.stall and sent >= answer.stall[0]:
                self.server.host.ended.wait(answer.stall[1])
                self.close_connection = True
                return
            if answer.rate and sent < answer.rate_bytes:
                self.server.host.ended.wait(max(0.0, sent / answer.rate - (time.monotonic() - started)))
        if sent < answer.length and answer.length is not True:
            self.close_connection = True
        if answer.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def get_request(self):
        self.host.connections += 1
        return super().get_request()

    def handle_error(self, *_):
        pass


class Host:
    """Serves ``folder``. ``show(path, fault, …)``: one fault a GET of ``path``, in turn; then it is served as it should be."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir()
        self.etags = self.dates = True
        self.announced = {}  # path → the length that HEAD tells
        self.requests, self.finished, self.connections = [], [], 0  # finished: (method, path) of what was sent to its end
        self.ended = threading.Event()
        self._faults = defaultdict(lambda: iter(()))
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.host = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def url(self, path):
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def show(self, path, *faults, always=None):
        self._faults[path] = itertools.chain(faults, itertools.repeat(always))

    def next_fault(self, path):
        with self._lock:
            return next(self._faults[path], None)

    def gets(self, path=None):
        """Headers and status of the GETs so far."""
        return [(headers, status) for method, asked, headers, status in self.requests if method == "GET" and path in (None, asked)]

    def close(self):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # The faults.

    @staticmethod
    def change(**fields):
        """Any fields of the answer."""

        def fault(answer):
            for name, value in fields.items():
                setattr(answer, name, value)

        return fault

    def cut(self, after, reset=False):
        return self.change(cut=after, reset=reset)

    def stall(self, after, seconds=30):
        return self.change(stall=(after, seconds))

    def status(self, status, **headers):
        return self.change(status=status, data=b"no", headers={name.replace("_", "-"): value for name, value in headers.items()})

    @staticmethod
    def wrong_bytes(answer):
        """As many as there should be, the last one another; versions too."""
        answer.data = answer.data[:-1] + bytes([answer.data[-1] ^ 1])
        answer.etag = '"another"'

    @staticmethod
    def shorter(answer):
        """A file that was cut at its host: the header is right for what is sent."""
        answer.data = answer.data[: len(answer.data) // 2]

    @staticmethod
    def promised_more(answer):
        """The header announces the whole file, the body ends early."""
        answer.length = len(answer.data)
        answer.data = answer.data[: len(answer.data) // 2]
        answer.cut = len(answer.data)

    @staticmethod
    def page(answer):
        answer.data = b"<!DOCTYPE html><title>Sign in</title>" * 20
        answer.type = "text/html; charset=utf-8"
        answer.etag = answer.modified = None

    def redirect(self, path):
        return self.change(status=302, data=b"", headers={"Location": self.url(path)})

    @staticmethod
    def encoded(answer):
        """gzip on the fly, though nobody asked for it."""
        deflate = zlib.compressobj(wbits=31)
        answer.data = deflate.compress(answer.data) + deflate.flush()
        answer.headers["Content-Encoding"] = "gzip"
        answer.ranges = False


@pytest.fixture
def make_host(tmp_path):
    """A function that starts one more host, called by a name."""
    hosts = []

    def make(name):
        hosts.append(Host(tmp_path / f"host-{name}"))
        return hosts[-1]

    yield make
    for made in hosts:
        made.close()


@pytest.fixture
def host(make_host):
    return make_host("first")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """A function that declares dataset ``name`` with these assets; returns the selection of all that is downloaded by default."""
    root = tmp_path / "declarations"
    monkeypatch.setenv("JUKEMIR_LIKE_DECLARATIONS", str(root))

    def write(*declared, name="testset", **more):
        (root / name).mkdir(parents=True, exist_ok=True)
        value = {"name": name, "title": "A test", "licence": "CC0", "citation": "Nobody, 2026", "assets": list(declared)} | more
        (root / name / "dataset.json").write_text(json.dumps(value))
        return select_assets(name)

    return write


@pytest.fixture
def asset():
    """A function that declares one asset: its tag is TEST_ and the path in capitals, its digest that of ``data``."""

    def make(path, urls, data=None, **more):
        tag = "TEST_" + re.sub("[^A-Z0-9]+", "_", path.upper())
        value = {"tag": tag, "path": path, "kind": "audio", "urls": [urls] if isinstance(urls, str) else urls}
        if data is not None:
            value["sha256"] = hashlib.sha256(data).hexdigest()
        return value | more

    return make


@pytest.fixture
def noise():
    """A function that gives ``size`` bytes that no compression shortens and no part of which is like another."""

    def make(size, seed=0):
        return np.random.default_rng(seed).bytes(size)

    return make


@pytest.fixture
def quick():
    """As often as the command, with waits of hundredths of a second."""
    return RetryPolicy(connect_seconds=10.0, read_seconds=10.0, attempts=5, backoff_seconds=(0.01, 0.1), max_wait_seconds=3.0)


@pytest.fixture
def hasty(quick):
    """Takes a third of a second of silence for a stall."""
    return replace(quick, read_seconds=0.3, attempts=2)


@pytest.fixture
def leftovers():
    """A function that tells what hidden files, beside the records, lie in a dataset's folder."""

    def find(folder: Path):
        return sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and any(part.startswith(".") for part in path.relative_to(folder).parts) and path.parent.name != ".records"
        )

    return find


@pytest.fixture
def waits(monkeypatch):
    """The waits between attempts that were asked for, in seconds; none is waited for."""
    seconds = []
    monkeypatch.setattr(FileProgress, "sleep", lambda _, wait: seconds.append(wait))
    return seconds


@pytest.fixture
def data(noise):
    return noise(300_000)


@pytest.fixture
def get(host, declare, asset, cache, quick, data):
    """Downloads one file; returns the summary and the bytes in the cache, None where there are none."""
    (host.folder / "audio").mkdir()
    (host.folder / "audio/one.mp3").write_bytes(data)

    def run(*, urls=None, digest=True, policy=quick, **more):
        chosen = declare(asset("audio/one.mp3", urls or host.url("audio/one.mp3"), data if digest else None, **more))
        summary = download(chosen, cache, policy=policy)
        target = cache.dataset("testset") / "audio/one.mp3"
        return summary, target.read_bytes() if target.exists() else None

    return run
