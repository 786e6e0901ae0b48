"""The extraction contract, through the command line and with a representation of another package (fixtures/plugin)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like import audio, extract
from jukemir_like.core import machine, records, resumable
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.mfcc import MFCC

HANG_SECONDS = 120  # no test waits as long, unless something hangs
PLUGIN = Path(__file__).parent / "fixtures" / "plugin"


@pytest.fixture
def run(command):
    """``run(representation, input, output, *options)`` with the plug-in there to be found."""

    def extract_command(*arguments, environment=None, **options):
        return command("extract", *arguments, environment={"PYTHONPATH": str(PLUGIN), **(environment or {})}, **options)

    return extract_command


@pytest.fixture
def folder(tmp_path, write_audio):
    """Seven clips in sub-folders."""
    for index, name in enumerate(["b.wav", "a/z.wav", "a/y.flac", "c d/ü.wav", "e.ogg", "f.mp3", "g.tar.wav"]):
        write_audio(tmp_path / "in" / name, seconds=0.2 + index / 10, seed=index)
    return tmp_path / "in"


def vectors(output):
    finished = (path for path in sorted(output.rglob("*.npy")) if not path.name.startswith("."))  # hidden ones are being written
    return {str(path.relative_to(output)): path.read_bytes() for path in finished}


def test_vectors_are_as_the_contract_says(run, folder, tmp_path):
    finished = run("level", folder, tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    assert "7 done, 0 kept, 0 failed" in finished.stdout
    names = [str(path.relative_to(tmp_path / "out")) for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()]
    assert sorted(names) == sorted(["b.npy", "a/z.npy", "a/y.npy", "c d/ü.npy", "e.npy", "f.npy", "g.tar.npy", ".records/all.jsonl"])
    for index, name in enumerate(["b", "a/z", "a/y", "c d/ü"]):
        vector = np.load(tmp_path / "out" / f"{name}.npy", allow_pickle=False)
        assert vector.dtype.str == "<f4"
        assert vector.shape == (3,)
        assert vector[2] == pytest.approx(0.2 + index / 10, abs=1e-3)
    lines = [json.loads(line) for line in (tmp_path / "out" / ".records" / "all.jsonl").read_text().splitlines()]
    assert sorted(line["input"] for line in lines) == sorted(extract.find_inputs(folder))
    assert {"input", "digest", "audio_seconds", "seconds", "status", "reason", "signature"} <= set(lines[0])


def test_batches_in_any_order_give_what_one_run_gives(run, folder, tmp_path):
    assert run("level", folder, tmp_path / "whole").returncode == 0
    for index in (2, 0, 3, 1):
        finished = run("level", folder, tmp_path / "batches", "--batch_size", "2", "--batch_idx", str(index), "--workers", "2")
        assert finished.returncode == 0, finished.stderr
    assert vectors(tmp_path / "batches") == vectors(tmp_path / "whole")


def test_batches_of_clips_give_the_same_vectors_and_one_bad_clip_does_not_spoil_the_others(run, folder, tmp_path, write_audio):
    run("level", folder, tmp_path / "one")
    write_audio(folder / "a" / "bad.wav", seconds=1 / 22050)
    finished = run("level", folder, tmp_path / "many", environment={"LEVEL_BATCH_SIZE": "5"})
    assert finished.returncode == 3
    assert vectors(tmp_path / "many") == vectors(tmp_path / "one")


@given(st.integers(1, 60), st.integers(1, 70))
def test_batches_partition_the_folder(files, batch_size):
    inputs = [str(number) for number in range(files)]
    batches = -(-files // batch_size)
    parts = [extract.select(inputs, batch_size, index) for index in range(batches)]
    assert [path for part in parts for path in part] == inputs
    with pytest.raises(RequestError, match="past the end"):
        extract.select(inputs, batch_size, batches)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch_size", "2"], "--batch_size needs --batch_idx"),
        (["--batch_idx", "0"], "--batch_idx needs --batch_size"),
        (["--batch_size", "2", "--batch_idx", "4"], "past the end: 7 files make 4 batches"),
        (["--batch_size", "0", "--batch_idx", "0"], "at least 1"),
        (["--batch_size", "2", "--batch_idx", "-1"], "at least 0"),
        (["--batch_size", "many", "--batch_idx", "0"], "not a valid integer"),
        (["--colour"], "No such option"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2_before_any_work(run, folder, tmp_path, options, words):
    finished = run("level", folder, tmp_path / "out", *options)
    assert finished.returncode == 2
    assert words in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variable", ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"])
def test_the_batch_index_comes_from_the_scheduler_where_none_is_given(run, folder, tmp_path, variable):
    finished = run("level", folder, tmp_path / "out", "--batch_size", "3", environment={variable: "2"})
    assert finished.returncode == 0, finished.stderr
    assert list(vectors(tmp_path / "out")) == ["g.tar.npy"]
    assert run("level", folder, tmp_path / "out", "--batch_size", "3", environment={variable: "first"}).returncode == 2


def test_an_unknown_representation_names_the_known_ones(run, folder, tmp_path):
    finished = run("nosuch", folder, tmp_path / "out")
    assert finished.returncode == 2
    assert all(name in finished.stderr for name in ("chroma", "mfcc", "level"))


@pytest.mark.parametrize(("name", "words"), [("object", "not derived from"), ("absent", "cannot be loaded")])
def test_a_plug_in_that_is_none_is_one_line(run, folder, tmp_path, name, words):
    finished = run(name, folder, tmp_path / "out")
    assert finished.returncode == 2
    assert words in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_an_absent_or_empty_folder_is_a_wrong_request(run, tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        finished = run("level", folder, tmp_path / "out")
        assert finished.returncode == 2
        assert len(finished.stderr.splitlines()) == 1


def test_two_inputs_with_one_output_are_an_error_before_any_work(run, folder, tmp_path, write_audio):
    write_audio(folder / "a" / "z.flac")
    finished = run("level", folder, tmp_path / "out", "--batch_size", "1", "--batch_idx", "6")
    assert finished.returncode == 2
    assert "a/z.flac and a/z.wav" in finished.stderr
    assert not (tmp_path / "out").exists()


def changed_since(output, marks):
    return sorted(name for name, mark in marks.items() if (output / name).stat().st_mtime_ns != mark)


def marks(output):
    return {str(path.relative_to(output)): path.stat().st_mtime_ns for path in output.rglob("*.npy")}


def test_a_second_run_keeps_everything(run, folder, tmp_path):
    output = tmp_path / "out"
    run("level", folder, output)
    before = marks(output)
    finished = run("level", folder, output, "--batch_size", "7", "--batch_idx", "0")
    assert "0 done, 7 kept, 0 failed" in finished.stdout
    assert changed_since(output, before) == []


def test_an_output_is_recomputed_if_its_input_or_the_recipe_changed_or_it_is_no_vector(run, folder, tmp_path, write_audio):
    output = tmp_path / "out"
    run("level", folder, output)
    before = marks(output)
    write_audio(folder / "b.wav", seconds=0.2, seed=99)
    (output / "e.npy").write_bytes(b"broken")
    (output / "a" / "y.npy").unlink()
    finished = run("level", folder, output)
    assert "3 done, 4 kept" in finished.stdout
    assert set(changed_since(output, before)) == {"b.npy", "e.npy", "a/y.npy"}
    finished = run("level", folder, output, environment={"LEVEL_RECIPE": "2"})
    assert "7 done, 0 kept" in finished.stdout


def test_an_output_without_a_record_is_not_trusted(run, folder, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    np.save(output / "b.npy", np.zeros(3, dtype=np.float32))
    finished = run("level", folder, output)
    assert "7 done, 0 kept" in finished.stdout
    assert np.load(output / "b.npy")[2] != 0


def test_an_input_that_turned_bad_loses_its_old_vector(run, folder, tmp_path):
    run("level", folder, tmp_path / "out")
    (folder / "b.wav").write_bytes(b"")
    finished = run("level", folder, tmp_path / "out")
    assert finished.returncode == 3
    assert "b.wav: the file is empty" in finished.stderr
    assert not (tmp_path / "out" / "b.npy").exists()
    assert records.read(tmp_path / "out")["b.wav"]["status"] == "failed"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_representation_that_fails_or_gives_nan_costs_only_that_file(run, tmp_path, write_audio, workers):
    for seconds in (1, 2, 4, 5, 6):
        write_audio(tmp_path / "in" / f"{seconds}.wav", seconds=seconds, sample_rate=8000)
    finished = run("faulty", tmp_path / "in", tmp_path / "out", "--workers", workers)
    assert finished.returncode == 3
    assert list(vectors(tmp_path / "out")) == ["1.npy", "2.npy", "6.npy"]
    assert "4.wav: unexpected ZeroDivisionError: a bug" in finished.stderr
    assert "5.wav: gives a vector that is not finite" in finished.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_weights_that_cannot_be_used_are_a_wrong_request_and_touch_nothing(run, folder, tmp_path, workers):
    run("level", folder, tmp_path / "out")
    before = vectors(tmp_path / "out")
    finished = run("refusing", folder, tmp_path / "out", "--workers", workers)
    assert finished.returncode == 2
    assert finished.stderr == "jukemir-like: the weights of refusing are damaged: get them again\n"
    assert vectors(tmp_path / "out") == before


def test_a_vector_that_somebody_replaced_is_recomputed_even_if_its_size_is_right(run, folder, tmp_path):
    run("level", folder, tmp_path / "out")
    before = vectors(tmp_path / "out")
    (tmp_path / "out" / "b.npy").write_bytes(before["e.npy"])
    assert "1 done, 6 kept" in run("level", folder, tmp_path / "out").stdout
    assert vectors(tmp_path / "out") == before


@pytest.mark.parametrize("names", [("x.wav", "x.npy/y.wav"), ("a/x.flac", "a/x.npy/b/y.wav")])
def test_an_output_that_would_be_another_one_s_folder_is_refused(run, tmp_path, write_audio, names):
    for name in names:
        write_audio(tmp_path / "in" / name)
    finished = run("level", tmp_path / "in", tmp_path / "out")
    assert finished.returncode == 2
    assert all(name in finished.stderr for name in names)
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_vanishes_after_its_digest_costs_only_itself(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PLUGIN)
    digest = audio.digest

    def digest_and_remove(path):
        try:
            return digest(path)
        finally:
            if path.name == "y.flac":
                path.unlink()

    monkeypatch.setattr(audio, "digest", digest_and_remove)
    monkeypatch.setenv("LEVEL_BATCH_SIZE", "4")
    summary = extract.extract("level", folder, tmp_path / "out")
    assert summary.done == 6
    assert summary.failed == {"a/y.flac": "cannot be read (no such file or directory)"}


@pytest.mark.parametrize("batch_size", ["1", "4"])
def test_a_file_that_kills_its_worker_costs_only_itself(run, tmp_path, write_audio, batch_size):
    for seconds in (1, 2, 3, 6, 7, 8):
        write_audio(tmp_path / "in" / f"{seconds}.wav", seconds=seconds, sample_rate=8000)
    finished = run("faulty", tmp_path / "in", tmp_path / "out", "--workers", "2", environment={"LEVEL_BATCH_SIZE": batch_size})
    assert finished.returncode == 3
    assert "3.wav: the worker process died" in finished.stderr
    assert list(vectors(tmp_path / "out")) == [f"{seconds}.npy" for seconds in (1, 2, 6, 7, 8)]


def test_a_representation_that_breaks_its_promise_writes_nothing(run, folder, tmp_path):
    finished = run("wide", folder, tmp_path / "out")
    assert finished.returncode == 3
    assert "where (1, 3) was promised" in finished.stderr
    assert vectors(tmp_path / "out") == {}


@pytest.fixture
def gate(tmp_path):
    """A folder in which the plug-in waits for a file ``open``; open at the end of the test at the latest."""
    gate = tmp_path / "gate"
    gate.mkdir()
    yield gate
    (gate / "open").touch()


def wait_until(condition):
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_and_run_again_gives_what_one_run_gives(run, folder, gate, tmp_path, how):
    run("level", folder, tmp_path / "whole")
    output = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN), "LEVEL_GATE": str(gate), "LEVEL_CLIPS_BEFORE": "5"}
    command = [sys.executable, "-m", "jukemir_like", "extract", "level", folder, output, "--workers", "2"]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    wait_until(lambda: len(vectors(output)) == 5)  # the other two wait at the gate
    process.send_signal(how)
    _, error = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or (error.count("\n") == 1 and "interrupted" in error)
    made = len(vectors(output))
    assert made == 5
    finished = run("level", folder, output)
    assert finished.returncode == 0
    kept = int(finished.stdout.split(" kept")[0].rpartition(" ")[2])
    assert kept >= made - 4  # those under way (two a worker) have no record yet
    assert vectors(output) == vectors(tmp_path / "whole")
    assert not list(output.rglob(".tmp-*"))


def test_what_a_killed_run_left_in_a_sub_folder_is_swept(run, folder, abandon, tmp_path):
    left = abandon(tmp_path / "out" / "a", "b.npy")
    assert left.exists()
    assert run("level", folder, tmp_path / "out").returncode == 0
    assert not left.exists()


def test_two_runs_at_once_on_one_output_do_no_harm(run, folder, gate, tmp_path):
    run("level", folder, tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN), "LEVEL_GATE": str(gate), "LEVEL_CLIPS_BEFORE": "0"}
    command = [sys.executable, "-m", "jukemir_like", "extract", "level", folder, tmp_path / "out", "--workers", "1"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    wait_until(lambda: (gate / "0").exists() and (gate / "1").exists())  # both are at their first clip
    (gate / "open").touch()
    assert [process.wait(HANG_SECONDS) for process in processes] == [0, 0]
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")
    assert "7 kept" in run("level", folder, tmp_path / "out").stdout


@pytest.mark.parametrize(
    ("memory", "gpus", "wanted", "started", "note"),
    [
        (1_700_000_000, 0, 16, 2, ["2 of 7 workers: each takes 1.7 GB, 4.1 GB are available"]),
        (6_000_000_000, 0, 16, 1, ["1 of 7 workers: each takes 6.0 GB, 4.1 GB are available"]),
        (1_700_000_000, 0, 2, 2, []),
        (1_700_000_000, 4, 16, 4, []),
        (None, 0, 16, 7, []),
    ],
)
def test_as_many_workers_as_there_is_memory_for(folder, tmp_path, monkeypatch, memory, gpus, wanted, started, note):
    numbers = []
    run = resumable.Stage.run
    monkeypatch.setattr(resumable.Stage, "run", lambda self, *given: (numbers.append(given[3]), run(self, *given[:3], 1))[1])
    monkeypatch.setattr(machine, "available_memory", lambda: 4_100_000_000)
    monkeypatch.setattr(MFCC, "memory", memory)
    monkeypatch.setattr(MFCC, "gpus", gpus)
    summary = extract.extract("mfcc", folder, tmp_path / "out", workers=wanted)
    assert (numbers, summary.notes, summary.done) == ([started], note, 7)
