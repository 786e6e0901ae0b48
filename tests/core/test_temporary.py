import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from jukemir_like.core.temporary import temporary_folder

WAY_OUT = {
    "its end": "",
    "an error": "raise ValueError",
    "a signal": "signal.raise_signal(signal.SIGTERM)",
    # The first is caught, and not heeded.
    "two signals": (
        "for _ in range(2):\n        try: signal.raise_signal(signal.SIGTERM)\n"
        "        except signals.Interrupted: pass\n        time.sleep(1)\n    time.sleep(1000)"
    ),
}


@pytest.mark.parametrize("way", WAY_OUT)
def test_it_is_removed_whichever_way_a_process_ends(way, tmp_path):
    script = (
        "import os, signal, time\nfrom jukemir_like.core import signals\nfrom jukemir_like.core.temporary import temporary_folder\n"
        "signals.install()\n"
        "with temporary_folder() as folder:\n    (folder / 'sub').mkdir()\n    (folder / 'sub' / 'file').touch()\n"
        f"    print(folder.parent, flush=True)\n    {WAY_OUT[way]}\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{tmp_path}\n"
    assert os.listdir(tmp_path) == []


def test_it_is_removed_while_threads_write_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    is_over, begun = threading.Event(), threading.Event()

    def write(folder: Path) -> None:
        number = 0
        while not is_over.is_set():
            try:
                (folder / str(number)).touch()
            except FileNotFoundError:
                return
            number += 1
            begun.set()

    with temporary_folder() as folder:
        thread = threading.Thread(target=write, args=(folder,))
        thread.start()
        assert begun.wait(60)
    is_over.set()
    thread.join()
    assert os.listdir(tmp_path) == []
