"""One process a device, each of which runs the whole training.

They are programs of their own and not forks, for threads and CUDA do not survive a fork. When one fails, all end; when this process ends,
by SIGKILL too, so do they.

``python -m jukemir_like.stemjepa.training.processes SETTINGS FOLDER`` is one of them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from jukemir_like.core import signals, stdio
from jukemir_like.core.errors import BUG, INTERRUPTED, JukemirLikeError
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.interruption import SECONDS

_POLL_SECONDS = 0.05


class Processes:
    """The processes of a run on this machine; the first one speaks for all.

    Args:
        settings: of the run.
        folder: of the run.
        count: processes.
    """

    def __init__(self, settings: Training, folder: Path, count: int) -> None:
        self.settings, self.folder, self.count = settings, folder, count
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        """Starts them and waits for all.

        Raises:
            SystemExit: with the exit code of the process that failed first, which has said why.
        """
        before = {
            number: signal.signal(number, self._pass_on) for number in signals.EXIT_SIGNALS if signal.getsignal(number) != signal.SIG_IGN
        }
        with tempfile.TemporaryDirectory() as folder, signals.grace_period(SECONDS):
            request = Path(folder) / "settings.json"
            request.write_text(json.dumps(self.settings.to_dict()))
            try:
                port = _free_port()
                self._running = [self._start(rank, port, request) for rank in range(self.count)]
                code = self._wait()
            finally:
                for process in self._running:
                    process.kill()
                    process.wait()
                for number, handler in before.items():
                    signal.signal(number, handler)
        if code:
            sys.exit(code)

    def _start(self, rank: int, port: int, request: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        command = [sys.executable, "-m", __name__, str(request), str(self.folder.absolute())]
        # Its standard input is a pipe that nobody writes to: it ends with this process. A session of its own: Ctrl-C comes once, from here.
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)

    def _wait(self) -> int:
        while True:
            codes = [process.poll() for process in self._running]
            failed = [code for code in codes if code]
            if failed:
                return failed[0] if failed[0] > 0 else INTERRUPTED if -failed[0] in signals.EXIT_SIGNALS else BUG
            if None not in codes:
                return 0
            time.sleep(_POLL_SECONDS)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(BUG)


def main(request: str, folder: str) -> int:
    """One of the processes; returns its exit code."""
    from jukemir_like.stemjepa.training.run import train

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train(Training.from_dict(json.loads(Path(request).read_text())), Path(folder))
    except JukemirLikeError as error:
        print(f"jukemir-like: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    stdio.prepare()
    sys.exit(stdio.close(main(*sys.argv[1:])))
