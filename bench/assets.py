"""Downloading on loopback: against a plain loop over requests, with and without a digest afterwards; memory; thousands of small files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import timing

MEGABYTES = 1000
SMALL, SMALL_BYTES = 2000, 100_000

SERVER = """
import http.server, os, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def copyfile(self, source, output):
        output.flush()
        started, sent = time.monotonic(), 0
        while count := os.sendfile(self.connection.fileno(), source.fileno(), None, 1 << 20):
            sent += count
            if self.path.endswith("?line"): time.sleep(max(0, sent / 200e6 - (time.monotonic() - started)))
    def log_message(self, *_): pass
os.chdir(sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
PLAIN = """
import sys, requests
with requests.get(sys.argv[1], stream=True) as answer, open(sys.argv[2], "wb") as file:
    for chunk in answer.iter_content(1 << 20): file.write(chunk)
"""
DIGEST = """
import hashlib, sys
with open(sys.argv[2], "rb") as file: hashlib.file_digest(file, "sha256")
"""
SMALL_PLAIN = """
import sys, requests, hashlib; from pathlib import Path; from concurrent.futures import ThreadPoolExecutor
Path(sys.argv[2]).mkdir()
def get(number):
    data = requests.get(f"{sys.argv[1]}/{number}.mp3").content
    hashlib.md5(data).hexdigest(); Path(sys.argv[2], f"{number}.mp3").write_bytes(data)
with ThreadPoolExecutor(8) as pool: list(pool.map(get, range(int(sys.argv[3]))))
"""


def section() -> str:
    """Markdown of the download's figures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMPDIR")) as folder:
        root = Path(folder)
        with _serving(root / "host") as address:
            return "\n".join(["## Downloading", "", _large(root, address), "", _small(root, address), ""])


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", SERVER, folder], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def _large(root: Path, address: str) -> str:
    output, cache = root / "plain.bin", root / "cache"
    os.environ["JUKEMIR_LIKE_DECLARATIONS"] = str(root / "declarations")
    made = {megabytes: _write(root, f"large-{megabytes}.bin", megabytes, address) for megabytes in (100, MEGABYTES)}
    url = f"{address}/large-{MEGABYTES}.bin"
    _declare(root, [made[100]], "tenth")
    _declare(root, [made[MEGABYTES]], "loopback")
    _declare(root, [made[MEGABYTES] | {"urls": [f"{url}?line"]}], "line")

    def clear(_: str) -> None:
        shutil.rmtree(cache, ignore_errors=True)
        output.unlink(missing_ok=True)

    def download(name: str) -> list[str]:
        return [sys.executable, "-m", "jukemir_like", "download", name, "--cache", str(cache)]

    lines = [f"| one file of {MEGABYTES:,} MB, whole processes | from | seconds | MB/s | peak MB |", "|---|---|---|---|---|"]
    for source, title, suffix in (("loopback", "loopback", ""), ("line", "a host that sends 200 MB/s", "?line")):
        commands = {
            "requests": [sys.executable, "-c", PLAIN, url + suffix, str(output)],
            "requests, then SHA-256 of the file": [sys.executable, "-c", PLAIN + DIGEST, url + suffix, str(output)],
            "`jukemir-like download`": download(source),
        }
        for name, figure in timing.in_turn(commands, runs=5, before=clear).items():
            speed = MEGABYTES / figure.seconds
            lines.append(f"| {name} | {title} | {figure.seconds:.2f} | {speed:,.0f} | {figure.megabytes:.0f} |")
    kept = timing.in_turn({"kept": download("line")}, runs=5)["kept"].seconds
    clear("")
    memory = timing.run(download("tenth"))[1]
    lines += [
        "",
        f"Of 100 MB the peak is {memory:.0f} MB. Run again, the verified file is kept in {kept:.2f} s. Medians of 5 runs in turn.",
    ]
    return "\n".join(lines)


def _small(root: Path, address: str) -> str:
    cache, output = root / "cache", root / "plain"
    declared = []
    for number in range(SMALL):
        data = os.urandom(SMALL_BYTES)
        (root / "host" / f"{number}.mp3").write_bytes(data)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        declared.append(
            {"tag": f"SMALL_{number}", "path": f"audio/{number}.mp3", "kind": "audio", "urls": [f"{address}/{number}.mp3"], "md5": digest}
        )
    _declare(root, declared, "small")
    figures = timing.in_turn(
        {
            "`requests.get`, 8 threads": [sys.executable, "-c", SMALL_PLAIN, address, str(output), str(SMALL)],
            "`jukemir-like download`": [sys.executable, "-m", "jukemir_like", "download", "small", "--cache", str(cache)],
        },
        runs=3,
        before=lambda _: [shutil.rmtree(folder, ignore_errors=True) for folder in (cache, output)] and None,
        warm_up=False,
    )
    lines = [f"| {SMALL:,} files of {SMALL_BYTES / 1000:.0f} kB, MD5 of each | seconds | peak MB |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {made.seconds:.1f} | {made.megabytes:.0f} |" for name, made in figures.items()])


def _write(root: Path, name: str, megabytes: int, address: str) -> dict[str, object]:
    digest, piece = hashlib.sha256(), os.urandom(1_000_000)
    with open(root / "host" / name, "wb") as file:
        for number in range(megabytes):
            part = number.to_bytes(8, "little") + piece[8:]
            digest.update(part)
            file.write(part)
    return {"tag": f"LARGE_{megabytes}", "path": name, "kind": "audio", "urls": [f"{address}/{name}"], "sha256": digest.hexdigest()}


def _declare(root: Path, declared: list[dict[str, object]], name: str) -> None:
    folder = root / "declarations" / name
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"name": name, "assets": declared}))


if __name__ == "__main__":
    print(section())
