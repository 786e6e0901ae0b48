"""What all tests share: numerical libraries on one thread, small audio files, and the command line as users call it."""

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# librosa compiles itself on first use and keeps the result beside its source, for all processes: two test processes that do so at once
# corrupt it, and every later one crashes. So each has its own, a copy of $COMPILED_LIBROSA where there is one: compiling takes 20 s.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="numba-")
if "COMPILED_LIBROSA" in os.environ:
    shutil.copytree(os.environ["COMPILED_LIBROSA"], os.environ["NUMBA_CACHE_DIR"], dirs_exist_ok=True)
atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import hypothesis
import numpy as np
import pytest
import soundfile

# The same examples in every run, so that a change of the code is what makes a test fail; `pytest --hypothesis-profile=search` tries others.
hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", derandomize=False, print_blob=True, deadline=None)
hypothesis.settings.load_profile("reproducible")

# A shell that runs the tests in the background ignores Ctrl-C for them, and nohup a closed terminal. What they start would inherit that; a
# signal with a handler it has as usual.
for ending in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ending) == signal.SIG_IGN:
        signal.signal(ending, lambda *_: None)

ROOT = Path(__file__).resolve().parents[1]


def pytest_itemcollected(item):
    """The Makefile reads only files in which a mark is written: one that came from elsewhere would not be run."""
    for mark in ("slow", "docker", "slurm"):
        if item.get_closest_marker(mark) and f"mark.{mark}" not in _text(item.path):
            raise pytest.UsageError(f"{item.nodeid}: pytest.mark.{mark} has to be written in the test's own file, where the Makefile looks")


@functools.cache
def _text(path):
    return path.read_text()


@pytest.fixture(autouse=True)
def _folder_of_the_test(tmp_path):
    """Removed when the test has passed; it is set up first, so all that the test replaced (``os.scandir``) is back in place by then."""


@pytest.fixture(autouse=True)
def _one_torch_thread():
    """A command that is called in this process may ask for more, and later results would differ in the last bit from those of workers."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture
def write_audio():
    """A function that writes one audio file: ``write_audio(path, seconds=…, seed=…)``; returns the samples."""

    def write(path, *, seconds=1.0, sample_rate=22050, channels=1, seed=0, subtype=None, format=None):
        random = np.random.default_rng(seed)
        time = np.arange(round(seconds * sample_rate)) / sample_rate
        tones = [np.sin(2 * np.pi * 220 * 2 ** (step / 12) * time) for step in random.choice(24, 3, replace=False)]
        samples = 0.2 * np.sum(tones, axis=0)[:, None] + 0.01 * random.standard_normal((len(time), channels))
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            soundfile.write(file, samples.astype(np.float32), sample_rate, subtype=subtype, format=format or path.suffix[1:].upper())
        return samples

    return write


@pytest.fixture
def folder(tmp_path):
    """An empty folder for a test's tracks."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def write(folder):
    """A function that writes ``(stems, frames)`` into ``folder`` and returns it: ``write("a.wav", samples, 16000)``."""

    def write_file(name, samples, sample_rate=16000, subtype="FLOAT", format=None):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            soundfile.write(file, np.asarray(samples).T, sample_rate, subtype=subtype, format=format or path.suffix[1:].upper())
        return samples

    return write_file


@pytest.fixture
def noise():
    """A function that makes stems of noise: ``noise(frames, stems=4, seed=0)``."""

    def make(frames, stems=4, seed=0):
        return np.random.default_rng(seed).uniform(-0.5, 0.5, (stems, frames)).astype(np.float32)

    return make


@pytest.fixture
def command():
    """A function that runs ``jukemir-like`` in a process of its own and returns it, finished: ``command("extract", …)``."""

    def run(*arguments, environment=None, **options):
        return subprocess.run(
            [sys.executable, "-m", "jukemir_like", *map(os.fspath, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            timeout=300,
            **options,
        )

    return run


@pytest.fixture
def without_flock(tmp_path):
    """Variables with which a Python process finds a file system without locks, as Lustre is often mounted."""
    (tmp_path / "without_flock").mkdir()
    refuses = "import errno, fcntl\ndef flock(*_): raise OSError(errno.ENOSYS, 'Function not implemented')\nfcntl.flock = flock\n"
    (tmp_path / "without_flock" / "sitecustomize.py").write_text(refuses)
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "without_flock"), *filter(None, [os.environ.get("PYTHONPATH")])])}


@pytest.fixture
def abandon():
    """A function that leaves in a folder what a process leaves that is killed while it writes ``name`` there; returns its path."""
    dies = (
        "import os, sys, pathlib\nfrom jukemir_like.core import atomic\nwith atomic.atomic_write(pathlib.Path(sys.argv[1])) as temporary:\n"
    )
    dies += "    temporary.write_bytes(b'half'); print(temporary); sys.stdout.flush(); os._exit(9)"

    def leave(folder, name):
        killed = subprocess.run([sys.executable, "-c", dies, folder / name], stdout=subprocess.PIPE, text=True, check=False)
        return Path(killed.stdout.rstrip("\n"))

    return leave


@pytest.fixture
def fake_gpus(monkeypatch, tmp_path):
    """A function that sets how many GPUs this machine has. What is asked of one is done by the processor.

    ``CUDA_VISIBLE_DEVICES`` limits them as CUDA says: up to the first number that is none of theirs. Forked processes have them too.
    """
    import torch

    from jukemir_like.core import devices

    def fake(count, name="Fake GPU"):
        opened = []

        def visible(variable):
            if variable is None:
                return count
            numbers = [word.strip() for word in variable.split(",")]
            known = [number in map(str, range(count)) for number in numbers]
            return known.index(False) if False in known else len(known)

        def open_device(device):
            kind, _, number = device.partition(":")
            if kind == "cuda" and int(number or 0) >= visible(os.environ.get("CUDA_VISIBLE_DEVICES")):
                raise RuntimeError("CUDA error: invalid device ordinal\nCUDA kernel errors might be reported later")
            opened.append(device)
            return torch.device("cpu")

        monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,) if count else ())
        monkeypatch.setattr(devices, "_ask_elsewhere", lambda variable: (visible(variable), ""))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: visible(os.environ.get("CUDA_VISIBLE_DEVICES")) > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: visible(os.environ.get("CUDA_VISIBLE_DEVICES")))
        monkeypatch.setattr(devices, "_open", open_device)
        monkeypatch.setattr(devices, "describe", lambda device: f"{opened[-1]} ({name})" if opened[-1] != "cpu" else "cpu")

    return fake


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium that may play sound."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra [dev]")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def absent():
    """A function that skips for a reason, or fails where all that tests of containers need must be there (REQUIRE_DOCKER=1)."""
    return pytest.fail if os.environ.get("REQUIRE_DOCKER") == "1" else pytest.skip


@pytest.fixture(scope="session")
def engine(absent):
    """A client of the Docker engine. Without one, tests that ask for it are skipped; with REQUIRE_DOCKER=1 they fail."""
    import docker

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        absent(f"needs a Docker engine, and none answers: {str(error).splitlines()[0]}")
    yield client
    client.close()


def _partition():
    """The default partition of the cluster that answers here; empty where none does."""
    try:
        answer = subprocess.run(["sinfo", "--noheader", "--format=%R|%P"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    partitions = sorted((line.partition("|") for line in answer.splitlines()), key=lambda row: not row[2].endswith("*"))
    return partitions[0][0] if partitions else ""


@pytest.fixture(scope="session")
def slurm():
    """The partition of a SLURM cluster: one that answers, else one that .ci/slurm starts for the session.

    Where there is none and none can be started, tests that ask for it are skipped; with REQUIRE_SLURM=1 they fail.
    """
    partition = _partition()
    if partition:
        yield partition
        return
    started = subprocess.run([ROOT / ".ci" / "slurm"], capture_output=True, text=True, check=False)
    if started.returncode != 0:
        absent = pytest.fail if os.environ.get("REQUIRE_SLURM") == "1" else pytest.skip
        absent(f"needs a SLURM cluster, and none can be had: {started.stderr.strip()}")
    yield started.stdout.strip()
    subprocess.run([ROOT / ".ci" / "slurm", "stop"], check=False)


@pytest.fixture(scope="session")
def base_image(engine, absent):
    """The image to build on: $BASE_IMAGE, else what .ci/engine finds or makes."""
    chosen = os.environ.get("BASE_IMAGE")
    if chosen:
        return chosen
    found = subprocess.run([ROOT / ".ci" / "engine"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or absent(f"there is no image to build on: {found.stderr.strip()}")


@pytest.fixture(scope="session")
def built_images(engine, base_image, tmp_path_factory):
    """Images of this working tree, by name, and the folder of the lists of what is in them: what `make images` makes."""
    lists = tmp_path_factory.mktemp("images")
    command = [sys.executable, ROOT / "scripts" / "images.py", "--base", base_image, "--osv", "", "--output", lists]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    names = [path.name.partition(".")[0] for path in lists.glob("*.cdx.json")]
    return {name: engine.images.get(f"stemjepa/{name}") for name in names}, lists


@pytest.fixture(scope="session")
def images(built_images):
    """Name → image, of this working tree."""
    return built_images[0]


@pytest.fixture(scope="session")
def bills(built_images):
    """Name of an image → its bill of materials."""
    return {path.name.partition(".")[0]: json.loads(path.read_text()) for path in built_images[1].glob("*.cdx.json")}
