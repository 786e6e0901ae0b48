"""Images of a few megabytes that keep the contract of a representation, but for what a test names."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

BUSYBOX = Path("/bin/busybox")
PROGRAM = Path(__file__).with_name("representation.sh")


@pytest.fixture(scope="session")
def busybox():
    """A busybox that needs no libraries. Without one, tests that ask for it are skipped; with REQUIRE_DOCKER=1 they fail."""
    linked = shutil.which("ldd") and subprocess.run(["ldd", BUSYBOX], capture_output=True, check=False).returncode == 0
    if not BUSYBOX.is_file() or linked:
        message = f"needs a static {BUSYBOX} (Debian's busybox-static) to make images of"
        (pytest.fail if os.environ.get("REQUIRE_DOCKER") == "1" else pytest.skip)(message)
    return BUSYBOX.read_bytes()


@pytest.fixture
def representation(engine, busybox):
    """A function that makes an image, ``representation(fault, …)``, and returns its digest; it is removed after the test."""
    made = []

    def make(
        fault="", *, pause_seconds=0.0, user="1000:1000", label="1", folders=("tmp", "input", "output", "var"), program="/bin/busybox"
    ):
        settings = [
            f'ENTRYPOINT ["{program}", "sh", "/representation"]',
            f"USER {user}",
            f"ENV HOME=/tmp PAUSE={round(pause_seconds * 1e6)} FAULT={fault or 'none'}",
            *([f"LABEL org.jukemir-like.contract={label}"] if label else []),
        ]
        # The user who tests has a name there: the fault of needing one must not meet other tests.
        files = {
            "bin/busybox": busybox,
            "representation": PROGRAM.read_bytes(),
            "etc/passwd": f"someone:x:{os.getuid() or 1000}:{os.getgid() or 1000}::/tmp:/bin/sh\n".encode(),
        }
        answer = engine.api.import_image_from_data(_archive(files, folders), changes=settings)
        made.append(json.loads(answer.splitlines()[-1])["status"])
        return made[-1]

    yield make
    for image in made:
        engine.images.remove(image, force=True)


def _archive(files, folders):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
