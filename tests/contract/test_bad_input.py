"""Audio as people really have it, through the command line: each file gets a vector or a reason, and the others are done."""

import io
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like import extract
from jukemir_like.core import records
from jukemir_like.core.errors import RequestError

PLUGIN = Path(__file__).parents[1] / "fixtures" / "plugin"

DIMENSIONS = {"chroma": 72, "mfcc": 120}
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000)


def encoded(samples, sample_rate=22050, subtype="PCM_16", format="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, subtype=subtype, format=format)
    return buffer.getvalue()


def noise(seconds, sample_rate=22050, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * sample_rate), channels))


GOOD = {
    **{f"rate-{rate}.wav": encoded(noise(1.5, rate), rate) for rate in RATES},
    "24 bit.wav": encoded(noise(1.5), subtype="PCM_24"),
    "float.wav": encoded(noise(1.5), subtype="FLOAT"),
    "loud float.wav": encoded(50 * noise(1.5), subtype="FLOAT"),
    "six channels.wav": encoded(noise(1.5, channels=6)),
    "silent.wav": encoded(np.zeros(30000)),
    "flac named.wav": encoded(noise(1.5), format="FLAC"),
    "mp3 named.wav": encoded(noise(1.5), format="MP3", subtype="MPEG_LAYER_III"),
    "wav named.mp3": encoded(noise(1.5)),
    "UPPER.WAV": encoded(noise(1.5)),
    "  spaces  and 'quotes'\t.wav": encoded(noise(1.5)),
    "-dash.wav": encoded(noise(1.5)),
    "ünïcode 音.wav": encoded(noise(1.5)),
    "not utf-8 \udcff\udcfe.wav": encoded(noise(1.5)),
    "line\nbreak.wav": encoded(noise(1.5)),
    "n" * 251 + ".wav": encoded(noise(1.5)),
    "a/b/c/d/deep.wav": encoded(noise(1.5)),
}
BAD = {
    "empty.wav": (b"", "empty"),
    "garbage.wav": (b"\x00\x01garbage" * 999, "not recognised"),
    "text.mp3": (b"I am a text file\n" * 99, "not recognised"),
    "truncated.wav": (encoded(noise(2))[:30000], "cut short"),
    "header only.wav": (encoded(noise(0)), "no samples"),
    "nan.wav": (encoded(np.array([[0.1], [np.nan], [0.2]] * 20000), subtype="FLOAT"), "NaN"),
    "infinite.wav": (encoded(np.array([[0.1], [np.inf], [0.2]] * 20000), subtype="FLOAT"), "infinite"),
    "one sample.wav": (encoded(np.array([[0.5]])), "too short"),
    "unknown.m4a": (b"\x00\x00\x00\x20ftypM4A " + bytes(999), "ffmpeg"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("audio")
    for name, data in {**GOOD, **{name: data for name, (data, _) in BAD.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "absent.wav").symlink_to(root / "nowhere")
    (root / "notes.txt").write_text("not audio")
    (root / ".hidden.wav").write_bytes(b"hidden")
    return root


@pytest.mark.parametrize("representation", ["chroma", "mfcc"])
def test_each_file_gets_a_vector_or_a_reason_and_none_stops_the_others(command, folder, tmp_path, representation):
    output = tmp_path / "out"
    finished = command("extract", representation, folder, output, "--workers", "2")
    assert finished.returncode == 3, finished.stderr
    assert "Traceback" not in finished.stderr
    assert f"{len(GOOD)} done, 0 kept, {len(BAD) + 1} failed" in finished.stderr
    found = records.read(output)
    for name in GOOD:
        vector = np.load((output / name).with_suffix(".npy"), allow_pickle=False)
        assert vector.shape == (DIMENSIONS[representation],)
        assert vector.dtype.str == "<f4"
        assert np.isfinite(vector).all()
        assert found[name]["status"] == "done"
    for name, (_, reason) in BAD.items():
        assert found[name]["status"] == "failed"
        assert reason in found[name]["reason"]
        assert "\n" not in found[name]["reason"]
        assert not (output / name).with_suffix(".npy").exists()
    assert "no such file" in found["absent.wav"]["reason"]
    assert len(list(output.rglob("*.npy"))) == len(GOOD)


def test_the_same_sound_at_any_rate_width_and_container_gives_nearly_the_same_vector(command, tmp_path):
    time = np.arange(3 * 192000) / 192000
    tones = 0.3 * (np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 554.37 * time))
    for rate in (22050, 44100, 48000, 192000):
        step = np.arange(3 * rate) / rate
        samples = np.interp(step, time, tones)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{rate}.wav").write_bytes(encoded(samples, rate, "PCM_24"))
    assert command("extract", "chroma", tmp_path / "in", tmp_path / "out").returncode == 0
    vectors = [np.load(path) for path in sorted((tmp_path / "out").glob("*.npy"))]
    for vector in vectors[1:]:
        np.testing.assert_allclose(vector[:12], vectors[0][:12], atol=0.02)


def mount(kind, target, options=""):
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *(["-o", options] if options else []), kind, str(target)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a small file system: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    target = tmp_path / "disk"
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("needs root, to mount a small file system")
    mount("small", target, "size=64k")
    yield target
    subprocess.run(["umount", str(target)], check=True)


def many(folder, number=40, seconds=1.5):
    folder.mkdir()
    for index in range(number):
        (folder / f"{index:02d}.wav").write_bytes(encoded(noise(seconds)))
    return folder


def test_a_full_disk_is_one_line_and_what_was_finished_is_kept(command, tmp_path, small_disk):
    inputs = many(tmp_path / "in")
    finished = command("extract", "mfcc", inputs, small_disk / "out", "--workers", "2")
    assert finished.returncode == 2
    assert "disk is full" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    made = list((small_disk / "out").glob("*.npy"))
    assert made
    assert all(np.load(path).shape == (120,) for path in made)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert command("extract", "mfcc", inputs, small_disk / "out").returncode == 0
    assert len(list((small_disk / "out").glob("*.npy"))) == 40


def test_a_full_disk_with_vectors_of_paper_size_is_one_line_too(command, tmp_path, small_disk):
    inputs = many(tmp_path / "in", 10, seconds=0.5)
    before = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH")]))}
    finished = command("extract", "large", inputs, small_disk / "out", "--workers", "2", environment=before)
    assert finished.returncode == 2
    assert "disk is full" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert all(np.load(path).shape == (3840,) for path in (small_disk / "out").glob("*.npy"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert command("extract", "large", inputs, small_disk / "out", environment=before).returncode == 0
    assert len(list((small_disk / "out").glob("*.npy"))) == 10


def test_what_is_not_a_file_is_named_and_the_others_get_their_vector(command, tmp_path):
    """A named pipe, a device, a link to itself, to nothing and to a folder, a socket; and a folder that is called as a file."""
    inputs = many(tmp_path / "in", 2)
    os.mkfifo(inputs / "pipe.wav")
    (inputs / "zero.wav").symlink_to("/dev/zero")
    (inputs / "itself.wav").symlink_to("itself.wav")
    (inputs / "nowhere.wav").symlink_to("nowhere")
    (inputs / "loop").symlink_to("loop")
    (inputs / "folder.wav").mkdir()
    (inputs / "folder.wav" / "inside.wav").write_bytes((inputs / "00.wav").read_bytes())
    os.mknod(inputs / "socket.wav", stat.S_IFSOCK | 0o600)
    finished = command("extract", "mfcc", inputs, tmp_path / "out")
    assert finished.returncode == 3
    found = records.read(tmp_path / "out")
    assert {name: record["reason"] for name, record in found.items()} == {
        "00.wav": None,
        "01.wav": None,
        "folder.wav/inside.wav": None,
        "pipe.wav": "is a named pipe, not a file",
        "zero.wav": "is a device, not a file",
        "itself.wav": "cannot be read (too many levels of symbolic links)",
        "nowhere.wav": "cannot be read (no such file or directory)",
        "socket.wav": "cannot be read (no such device or address)",
    }
    assert all(name in finished.stderr for name, record in found.items() if record["reason"])
    assert "3 done" in finished.stderr


def test_a_folder_that_may_not_be_read_is_named_and_the_others_get_their_vector():
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o777)
        many(Path(root) / "in", 2)
        locked = Path(root) / "in" / "locked"
        locked.mkdir()
        locked.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root may read everything
            summary = extract.extract("mfcc", Path(root) / "in", Path(root) / "out")
            with pytest.raises(RequestError, match=r"locked cannot be read \(permission denied\)"):
                extract.find_inputs(Path(root) / "in")
        finally:
            os.seteuid(user)
            locked.chmod(0o700)
    assert summary.done == 2
    assert summary.failed == {"locked": "folder cannot be read (permission denied)"}
    assert summary.exit_code == 3


def test_a_full_disk_while_processing_is_one_line(command, tmp_path, small_disk):
    inputs = many(tmp_path / "in", 3)
    (tmp_path / "labels.csv").write_text("uid,label\n00,x\n01,y\n02,x\n")
    finished = command("process", "folder", "--audio", inputs, "--labels", tmp_path / "labels.csv", "--cache", small_disk)
    assert finished.returncode == 2
    assert "disk is full" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not list(small_disk.rglob("meta.json"))


def test_a_read_only_output_folder_is_one_line(command, tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    finished = command("extract", "mfcc", many(tmp_path / "in", 2), small_disk / "out")
    assert finished.returncode == 2
    assert "read-only" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_an_output_that_is_a_file_is_one_line(command, tmp_path):
    (tmp_path / "out").touch()
    finished = command("extract", "mfcc", many(tmp_path / "in", 2), tmp_path / "out")
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1


def test_writes_nothing_but_the_output(tmp_path):
    """A home that does not exist, a working folder that is not the project's, any user's umask."""
    inputs = many(tmp_path / "in", 2)
    before = sorted(tmp_path.rglob("*"))
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = [sys.executable, "-m", "jukemir_like", "extract", "chroma", str(inputs), str(tmp_path / "out")]
    finished = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    after = [path for path in sorted(tmp_path.rglob("*")) if tmp_path / "out" not in (path, *path.parents)]
    assert after == before


def test_labels_for_absent_files_and_files_without_labels(command, tmp_path):
    inputs = many(tmp_path / "in", 3)
    (tmp_path / "labels.csv").write_text("uid,label\n00,x\n01,\n77,y\n")
    finished = command("process", "folder", "--audio", inputs, "--labels", tmp_path / "labels.csv", "--cache", tmp_path / "cache")
    assert finished.returncode == 3
    assert "01: has no label" in finished.stderr
    assert "77: no such audio file" in finished.stderr
    assert [path.name for path in Path(tmp_path / "cache" / "processed" / "folder" / "wav").iterdir()] == ["00.wav"]
