import os
import re
import signal
import subprocess
import sys
import urllib.request

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
def test_a_port_in_use_is_one_line(library, tmp_path):
    with Server(0) as server:
        done = subprocess.run(command(library, tmp_path, "--port", str(server.server_port)), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"jukemir-like: port {server.server_port} of this machine is in use: give another --port, or none\n"
