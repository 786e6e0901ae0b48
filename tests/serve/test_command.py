import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

from jukemir_like.serve.server import Server


def command(library, tmp_path, *more):
    return [sys.executable, "-m", "jukemir_like", "serve", "--library", str(library), "--cache", str(tmp_path / "cache"), *more]


@pytest.mark.slow
def test_it_prints_an_address_and_ends_with_ctrl_c(library, tmp_path):
    running = subprocess.Popen(command(library, tmp_path, "--segments"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", running.stdout.readline())[0]
        page = urllib.request.urlopen(address, timeout=20).read()
        assert b"Drop a mix here" in page
        assert b'<option value="parts">' in page
        os.kill(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert "parts of library" in errors


@pytest.mark.slow
def test_what_was_half_given_does_not_stay_on_the_disk(library, tmp_path):
    """Threads that receive or decode a mix end with the process, whatever they are at."""
    mixes = tmp_path / "temporary"
    mixes.mkdir()
    running = subprocess.Popen(command(library, tmp_path), stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(mixes)})
    try:
        address = urlsplit(re.search(r"http:\S+", running.stdout.readline())[0])
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            head = f"POST {address.path}mix?name=song.wav HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 200000\r\n\r\n"
            connection.sendall(head.encode() + bytes(100_000))
            deadline = time.monotonic() + 60
            while not list(mixes.rglob("*.wav")) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert list(mixes.rglob("*.wav"))
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    assert os.listdir(mixes) == []


@pytest.mark.slow
def test_a_port_in_use_is_one_line(library, tmp_path):
    with Server(0, tmp_path) as server:
        done = subprocess.run(command(library, tmp_path, "--port", str(server.server_port)), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"jukemir-like: port {server.server_port} of this machine is in use: give another --port, or none\n"
