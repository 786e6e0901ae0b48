"""Extraction on GPUs that are faked: who decodes, who computes and where, what fails and what does not, and what is said and recorded."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from jukemir_like import audio, extract, representations
from jukemir_like.core import devices, records, workers
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.extract import chunks
from jukemir_like.representations import base
from jukemir_like.representations.base import Representation


class Noted(Representation):
    """Mean and length of a clip, as a net would give them; where it is computed is noted in a folder."""

    name, sample_rate, dimension, parameters = "noted", 8000, 2, {"recipe": 1}

    def __init__(self, folder=None, chunk=4, device=None):
        self.folder, self.batch_size, self._device = folder, chunk, device
        self.gpus = devices.gpus_of(device)
        self.opened = None

    def where(self):
        return devices.describe(self.opened)

    def why_no_gpu(self):
        return devices.why_no_gpu() if self._device is None else ""

    def __call__(self, clips):
        if self.opened is None:
            self.opened = devices.open_device(self._device)
            (self.folder / f"computes {os.getpid()} {devices.name_in_worker(self._device)}").touch()
        for clip in clips:
            if len(clip) == 1603:
                raise InputError("is of the length that is refused")
            if len(clip) == 1609:
                os._exit(9)
            if len(clip) == 1617:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if len(clip) == 1625:
                raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronous")
        return np.array([[clip.mean(), len(clip)] for clip in clips], np.float32)


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """The folder of notes; forked workers find the representation, and note that they decode."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    chunks._load.cache_clear()
    load, decode = base.load, audio.load

    def load_noted(name, **options):
        return Noted(folder, **options) if name == "noted" else load(name, **options)

    def note_and_decode(path, sample_rate):
        (folder / f"decodes {os.getpid()}").touch()
        return decode(path, sample_rate)

    monkeypatch.setattr(representations, "load", load_noted)
    monkeypatch.setattr(audio, "load", note_and_decode)
    return folder


@pytest.fixture
def clips(tmp_path, write_audio):
    """A folder of 24 clips."""
    for number in range(24):
        write_audio(tmp_path / "in" / f"{number:02}.wav", seconds=0.1 + number / 100, sample_rate=8000, seed=number)
    return tmp_path / "in"


def vectors(output):
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.npy"))}


def processes(notes, kind):
    return {path.name.split()[1] for path in notes.iterdir() if path.name.startswith(kind)}


def computed_on(notes):
    return Counter(path.name.split()[2] for path in notes.iterdir() if path.name.startswith("computes"))


@pytest.fixture
def expected(noted, clips, tmp_path):
    """The vectors that one process on the processor writes."""
    extract.extract("noted", clips, tmp_path / "expected", device="cpu")
    for note in noted.iterdir():
        note.unlink()
    chunks._load.cache_clear()
    return vectors(tmp_path / "expected")


@pytest.mark.parametrize(
    ("count", "visible", "device", "number", "most"),
    [
        (1, None, None, 4, ["cuda:0"]),
        (2, None, None, 4, ["cuda:0", "cuda:1"]),
        (3, None, "cuda", 4, ["cuda:0", "cuda:1", "cuda:2"]),
        (8, None, None, 8, [f"cuda:{number}" for number in range(8)]),
        (8, None, None, 3, [f"cuda:{number}" for number in range(3)]),  # a GPU needs a worker that decodes for it
        (8, None, "cuda:5", 4, ["cuda:5"]),
        (4, "2", None, 4, ["cuda:0"]),  # as SLURM's --gpus-per-task=1 binds a task
        (4, "0,3", None, 4, ["cuda:0", "cuda:1"]),
        (4, "", None, 4, ["cpu"]),
        (0, None, None, 4, ["cpu"]),
        (2, None, "cpu", 4, ["cpu"]),
    ],
)
def test_each_visible_gpu_has_one_process_and_the_workers_decode(
    noted, clips, expected, tmp_path, monkeypatch, fake_gpus, count, visible, device, number, most
):
    fake_gpus(count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    summary = extract.extract("noted", clips, tmp_path / "out", workers=number, device=device, chunk=2)
    assert (summary.done, summary.failed) == (24, {})
    assert vectors(tmp_path / "out") == expected
    found = {record["device"] for record in records.read(tmp_path / "out").values()}
    if most == ["cpu"]:
        assert found == {"cpu"}
        assert processes(noted, "computes") == processes(noted, "decodes")
        return
    assert found <= {f"{name} (Fake GPU)" for name in most}
    # Of those that were needed (a quick one may leave nothing to another) each has one.
    assert set(computed_on(noted)) <= set(most)
    assert set(computed_on(noted).values()) == {1}
    assert len(processes(noted, "decodes")) <= number
    assert not processes(noted, "computes") & processes(noted, "decodes")
    assert str(os.getpid()) not in processes(noted, "computes") | processes(noted, "decodes")


def test_all_gpus_are_used_where_each_takes_its_time(noted, clips, tmp_path, monkeypatch, fake_gpus):
    fake_gpus(4)
    call = Noted.__call__

    def wait_for_the_others(self, given):
        vectors = call(self, given)
        while len(computed_on(noted)) < 4:
            pass
        return vectors

    monkeypatch.setattr(Noted, "__call__", wait_for_the_others)
    summary = extract.extract("noted", clips, tmp_path / "out", workers=4, chunk=2)
    assert computed_on(noted) == {f"cuda:{number}": 1 for number in range(4)}
    assert summary.notes == ["computed on cuda:0 (Fake GPU), cuda:1 (Fake GPU), cuda:2 (Fake GPU), cuda:3 (Fake GPU)"]


def test_one_worker_is_this_process(noted, clips, expected, tmp_path, fake_gpus):
    fake_gpus(2)
    extract.extract("noted", clips, tmp_path / "out", workers=1)
    assert vectors(tmp_path / "out") == expected
    assert processes(noted, "computes") == processes(noted, "decodes") == {str(os.getpid())}
    assert computed_on(noted) == {"cuda:0": 1}


@pytest.mark.parametrize("number", [1, 2])
def test_a_gpu_of_a_number_that_is_not_there_is_one_line_and_no_file_has_failed(noted, clips, tmp_path, fake_gpus, number):
    fake_gpus(2)
    with pytest.raises(RequestError, match=r"^device 'cuda:5' cannot be used by torch \(CUDA error: invalid device ordinal\)"):
        extract.extract("noted", clips, tmp_path / "out", workers=number, device="cuda:5")
    assert records.read(tmp_path / "out") == {}


def test_what_is_there_is_kept_and_needs_no_gpu(noted, clips, expected, tmp_path, fake_gpus):
    fake_gpus(2)
    assert extract.extract("noted", clips, tmp_path / "out", workers=3).done == 24
    for note in noted.iterdir():
        note.unlink()
    summary = extract.extract("noted", clips, tmp_path / "out", workers=3)
    assert (summary.done, summary.kept, summary.notes) == (0, 24, [])
    assert not list(noted.iterdir())
    (tmp_path / "out" / "05.npy").unlink()
    assert extract.extract("noted", clips, tmp_path / "out", workers=3, chunk=8).done == 1
    assert len(processes(noted, "decodes")) == len(processes(noted, "computes")) == 1
    assert vectors(tmp_path / "out") == expected


def clip_of(folder, name, samples):
    import soundfile

    soundfile.write(folder / name, np.linspace(-0.5, 0.5, samples), 8000)


@pytest.mark.parametrize("count", [0, 2])
def test_bad_files_cost_only_themselves(noted, clips, expected, tmp_path, fake_gpus, count):
    """One that is no audio, one that the net refuses, one that kills the process that computes it: the same with GPUs and without."""
    fake_gpus(count)
    (clips / "00a.wav").write_bytes(b"RIFF nothing")
    clip_of(clips, "07a.wav", 1603)
    clip_of(clips, "11a.wav", 1609)
    summary = extract.extract("noted", clips, tmp_path / "out", workers=2)
    assert sorted(summary.failed) == ["00a.wav", "07a.wav", "11a.wav"]
    assert summary.failed["07a.wav"] == "is of the length that is refused"
    assert "the worker process died" in summary.failed["11a.wav"]
    assert (summary.done, summary.exit_code) == (24, 3)
    assert vectors(tmp_path / "out") == expected
    assert {record["status"] for record in records.read(tmp_path / "out").values() if "a" in record["input"][:3]} == {"failed"}


def test_a_file_that_kills_its_decoder_costs_only_itself(noted, clips, expected, tmp_path, monkeypatch, fake_gpus):
    fake_gpus(1)
    decode = audio.load
    monkeypatch.setattr(audio, "load", lambda path, rate: os._exit(9) if path.name == "03.wav" else decode(path, rate))
    summary = extract.extract("noted", clips, tmp_path / "out", workers=2)
    assert list(summary.failed) == ["03.wav"]
    assert vectors(tmp_path / "out") == {name: vector for name, vector in expected.items() if name != "03.npy"}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (1617, r"^the GPU has no room for one clip of 0\.2 s by noted: choose --precision bf16 or 16, --device cpu, a GPU that nothing"),
        (1625, r"^noted: the GPU has failed \(CUDA error: an illegal memory access was encountered\); what is finished is kept: run again"),
    ],
)
def test_a_gpu_without_room_or_with_a_fault_ends_the_request_and_no_file_has_failed(
    noted, clips, expected, tmp_path, fake_gpus, number, samples, reason
):
    fake_gpus(1)
    clip_of(clips, "24.wav", samples)
    with pytest.raises(RequestError, match=reason) as raised:
        extract.extract("noted", clips, tmp_path / "out", workers=number)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    if number > 1:  # though the traceback is kept, as in a notebook, no process keeps a GPU's memory
        assert not any(is_running(int(process)) for process in processes(noted, "computes") | processes(noted, "decodes"))
    done = records.read(tmp_path / "out")
    assert {record["status"] for record in done.values()} == {"done"}
    assert set(done) >= {f"{number:02}.wav" for number in range(16)}
    (clips / "24.wav").unlink()
    summary = extract.extract("noted", clips, tmp_path / "out", workers=number)
    assert (summary.kept, summary.done, summary.failed) == (len(done), 24 - len(done), {})
    assert vectors(tmp_path / "out") == expected


def test_why_the_processor_was_chosen_is_said_and_recorded(noted, clips, tmp_path, monkeypatch, fake_gpus):
    fake_gpus(2)
    old_driver = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."
    monkeypatch.setattr(devices, "_ask_elsewhere", lambda variable: (0, old_driver))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    summary = extract.extract("noted", clips, tmp_path / "driver", workers=2)
    assert summary.notes == [f"computed on cpu: {old_driver}"]
    assert f"\n  computed on cpu: {old_driver}" in summary.text()
    assert {(record["device"], record["why_no_gpu"]) for record in records.read(tmp_path / "driver").values()} == {("cpu", old_driver)}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert extract.extract("noted", clips, tmp_path / "hidden", workers=2).notes == ["computed on cpu: CUDA_VISIBLE_DEVICES is ''"]
    summary = extract.extract("noted", clips, tmp_path / "asked", device="cpu", workers=2)
    assert summary.notes == ["computed on cpu"]
    assert not any("why_no_gpu" in record for record in records.read(tmp_path / "asked").values())
    fake_gpus(0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert extract.extract("noted", clips, tmp_path / "none", workers=2).notes == ["computed on cpu: there is no GPU here"]


def test_what_needs_no_net_says_nothing_of_devices(clips, tmp_path):
    assert extract.extract("mfcc", clips, tmp_path / "out").notes == []
    assert not any("device" in record for record in records.read(tmp_path / "out").values())


UNTOUCHED = """
import sys, torch
from pathlib import Path
def refuse(*arguments, **more): raise SystemExit("CUDA was touched")
for name in ("is_available", "device_count", "current_device", "get_device_name", "mem_get_info", "set_device", "_lazy_init", "init"):
    setattr(torch.cuda, name, refuse)
for name in ("_cuda_getDeviceCount", "_cuda_init"):
    setattr(torch._C, name, refuse)
from jukemir_like.core import devices
devices._DEVICE_FILES = (Path(sys.argv[1]),)
devices._ask_elsewhere = refuse
from jukemir_like import extract
from jukemir_like.stemjepa.inference import StemJEPA
summary = extract.extract("stemjepa", Path(sys.argv[1]), Path(sys.argv[2]), device="cpu", workers=int(sys.argv[3]))
StemJEPA.from_pretrained(device="cpu").embed(sorted(Path(sys.argv[1]).glob("*.wav"))[:1])
print(summary.done, summary.notes)
"""


@pytest.mark.parametrize("number", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_the_device_cpu_never_touches_cuda(clips, tmp_path, number):
    for path in sorted(clips.iterdir())[3:]:
        path.unlink()
    command = [sys.executable, "-c", UNTOUCHED, clips, tmp_path / "out", number]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "3 ['computed on cpu']\n"), done.stderr


SCRIPT = """
import sys
from pathlib import Path
from jukemir_like.core import workers
workers._GPU_DRIVER = sys.argv[3]  # a library that is in every process, as that of a driver that was used
from jukemir_like import extract
print(extract.extract("mfcc", Path(sys.argv[1]), Path(sys.argv[2]), workers=2).done)
"""


def test_after_a_gpu_was_used_one_script_without_a_guard_can_still_extract(clips, tmp_path):
    """Its workers are then spawned, which must not run the script again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, clips, tmp_path / "out", "libc.so.6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "24\n"), done.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_the_meta_device_is_refused_in_one_line_and_no_file_has_failed(clips, tmp_path, number):
    with pytest.raises(RequestError, match=r"^the device meta has shapes and no numbers: choose another, such as cpu$"):
        extract.extract("stemjepa", clips, tmp_path / "out", device="meta", workers=number)
    assert records.read(tmp_path / "out") == {}


PROGRAM = """
import os, sys, time
from pathlib import Path
import numpy as np
from jukemir_like import cli, representations
from jukemir_like.representations.base import Representation
class Slow(Representation):
    name, sample_rate, dimension, parameters, batch_size, gpus = "slow", 8000, 1, {}, 2, 2
    def __call__(self, clips):
        (Path(sys.argv[2]) / str(os.getpid())).touch()
        time.sleep(1000 if len(list(Path(sys.argv[3]).glob("*.npy"))) >= 4 else 0.05)
        return np.array([[len(clip)] for clip in clips], np.float32)
representations.load = lambda name, **options: Slow()
sys.argv[1:] = ["extract", "slow", sys.argv[1], sys.argv[3], "--workers", "2"]
sys.exit(cli.main())
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_ends_with_all_its_processes_and_keeps_what_is_finished(clips, tmp_path, how):
    notes, output = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    arguments = [sys.executable, "-c", PROGRAM.replace("sys.argv[2]", repr(str(notes))).replace("sys.argv[3]", repr(str(output))), clips]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(output.glob("[0-9]*.npy"))) < 4 or not (output / ".records" / "all.jsonl").read_text():
        assert process.poll() is None, process.communicate()
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)  # which ends when all that could write to its pipes have ended
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or errors.count("\n") == 1
    lines = [json.loads(line) for path in (output / ".records").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert lines
    assert {line["status"] for line in lines} == {"done"}
    assert all((output / Path(line["input"]).with_suffix(".npy")).exists() for line in lines)
    until = time.monotonic() + 60
    while any(is_running(int(note.name)) for note in notes.iterdir()):
        assert time.monotonic() < until


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_that_a_driver_is_loaded_is_seen_without_loading_it(monkeypatch):
    assert not workers._is_loaded("libcuda.so.1")
    assert not workers._is_loaded("libnone.so.7")
    assert workers._is_loaded("libc.so.6")
