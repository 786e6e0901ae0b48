import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training import metrics_log, state
from jukemir_like.stemjepa.training.run import check_phases, train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

GENEROUS_SECONDS = 300


def weights(path):
    return checkpoint.load(path).network.state_dict()


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def states(folder):
    return sorted(path.name for path in (folder / "states").iterdir())


def newest(folder):
    return max((path.name for path in (folder / "states").glob("*.ckpt") if path.name[0] != "."), default=None)


def interrupt(folder, keep):
    """What a run leaves that was killed after the step ``keep``."""
    (folder / state.WEIGHTS).unlink()
    for path in (folder / "states").iterdir():
        if int(path.stem) > keep:
            path.unlink()


@pytest.fixture
def whole(settings, tmp_path):
    """An uninterrupted run, and its weights."""
    made = train(settings(), tmp_path / "whole")
    return tmp_path / "whole", weights(made)


def test_a_run_that_goes_on_ends_with_the_same_bits(settings, tmp_path, whole, capsys):
    folder, expected = whole
    interrupt(folder, 4)
    rows = metrics_log.read(folder)
    assert_same_bits(weights(train(settings(), folder)), expected)
    assert "going on from step 4 of 5" in capsys.readouterr().err
    assert [row["step"] for row in metrics_log.read(folder)] == [0, 1, 2, 3, 4, 5]
    for before, after in zip(rows, metrics_log.read(folder), strict=True):
        assert before.get("loss") == after.get("loss")
        assert before.get("loss/drums") == after.get("loss/drums")


def test_interrupted_after_any_step_the_file_of_weights_is_the_same(settings, tmp_path, monkeypatch):
    """Digests and signatures hang on its bytes: on figures in its header that are of several steps, or not of every one, too."""
    monkeypatch.setattr(state, "KEPT", 10)
    cadence = {"trainer.log_every_steps": 3, "trainer.valid_every_steps": 4, "data.dataloader.batch_size": 2}
    expected = train(settings(cadence), tmp_path / "whole").read_bytes()
    assert b"loss_contrastive" in expected  # of the phase before the last
    for keep in (1, 3, 4):
        folder = tmp_path / f"interrupted-{keep}"
        shutil.copytree(tmp_path / "whole", folder)
        interrupt(folder, keep)
        assert train(settings(cadence), folder).read_bytes() == expected, keep
    assert train(settings(cadence), folder).read_bytes() == expected  # and where it had been finished already
    plain = [
        {name: value for name, value in row.items() if name.rpartition("/")[2] not in metrics_log.TIMINGS}
        for row in metrics_log.read(folder)
    ]
    assert [row["step"] for row in plain] == [0, 3, 4, 5]


def test_a_damaged_state_costs_only_the_steps_since_the_one_before(settings, whole, capsys):
    folder, expected = whole
    (folder / state.WEIGHTS).unlink()
    assert states(folder) == ["000000004.ckpt", "000000005.ckpt"]
    last = folder / "states" / "000000005.ckpt"
    for damaged in (last.read_bytes()[:-1000], flipped(last.read_bytes()), b""):
        last.write_bytes(damaged)
        assert_same_bits(weights(train(settings(), folder)), expected)
        told = capsys.readouterr().err
        assert told.count("000000005.ckpt cannot be read") == 1
        assert "going on from step 4 of 5" in told


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_a_finished_run_is_not_trained_again(settings, whole):
    folder, expected = whole
    began = (folder / "states" / "000000005.ckpt").stat().st_mtime_ns
    assert_same_bits(weights(train(settings(), folder)), expected)
    assert (folder / "states" / "000000005.ckpt").stat().st_mtime_ns == began


def test_the_same_run_elsewhere_is_the_same_file_and_names_no_place(settings, whole, tmp_path):
    folder, _ = whole
    elsewhere = train(settings(), tmp_path / "elsewhere")
    assert elsewhere.read_bytes() == (folder / state.WEIGHTS).read_bytes()
    assert str(tmp_path).encode() not in elsewhere.read_bytes()


def test_another_run_is_not_mixed_into_a_folder(settings, whole):
    folder, expected = whole
    with pytest.raises(RequestError, match=r"another optimiser\.lr \(0\.1 there, 0\.2 here\)"):
        train(settings({"optimiser.lr": 0.2}), folder)
    assert_same_bits(weights(folder / state.WEIGHTS), expected)
    anew = weights(train(settings({"optimiser.lr": 0.2}), folder, resume=False))
    assert not torch.equal(anew["predictor.layers.0.weight"], expected["predictor.layers.0.weight"])


def test_a_run_does_not_go_on_with_other_tracks(settings, whole):
    """It would end with weights that neither set of tracks gives."""
    folder, expected = whole
    data = Path(settings().data.data_path)
    extra = data / "one more.wav"
    shutil.copy(next(iter(sorted(data.rglob("*.wav")))), extra)
    try:
        with pytest.raises(RequestError, match="another tracks"):
            train(settings(), folder)
        assert_same_bits(weights(folder / state.WEIGHTS), expected)
        before = json.loads((folder / state.SETTINGS).read_text())[state.TRACKS]
        train(settings(), folder, on_change="restart")
        assert json.loads((folder / state.SETTINGS).read_text())[state.TRACKS] != before
    finally:
        extra.unlink()


def test_where_and_how_a_run_is_done_does_not_matter(settings, whole):
    folder, expected = whole
    interrupt(folder, 4)
    changes = {"data.dataloader.num_workers": 1, "trainer.checkpoint_every_steps": 3, "trainer.valid_tracks": 1}
    assert_same_bits(weights(train(settings(changes), folder)), expected)


def test_weights_say_where_they_come_from(settings, whole):
    loaded = checkpoint.load(whole[0] / state.WEIGHTS)
    assert loaded.sources == ("bass", "drums", "other", "vocals")
    told = loaded.provenance
    assert (told["steps"], told["tracks"]) == (5, 6)
    assert len(told["data"]) == 64
    expected = settings().to_dict()
    expected["data"]["data_path"] = Path(expected["data"]["data_path"]).name
    assert told["settings"] == expected
    assert told["versions"]["torch"] == torch.__version__
    assert 0 <= told["metrics"]["valid/same-instrument/R@1"] <= 1


def test_weights_say_nothing_of_the_machine(settings, whole):
    content = (whole[0] / state.WEIGHTS).read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
    known = {socket.gethostname(), str(Path.home()), str(whole[0]), str(Path(settings().data.data_path)), *os.environ.values()}
    assert [text for text in known if len(text) > 8 and text in header] == []


def test_the_table_holds_what_is_watched(whole):
    rows = metrics_log.read(whole[0])
    first, second, last = rows[0], rows[1], rows[-1]
    assert first["valid/same-instrument/R@1 by chance"] == 0.5
    assert {"valid/all/R@5", "valid/all-but-context/R@10", "valid/segments/recall_auc", "valid/loss_predictive"} <= first.keys()
    assert {"loss", "loss_contrastive", "lr", "tau", "gradient_norm", "spread", "effective_rank", "examples_per_second"} <= second.keys()
    assert "loss_predictive" not in second
    assert last["loss"] == pytest.approx(last["loss_predictive"] + 0.5 * last["loss_contrastive"], rel=1e-4)
    by_stem = [last[f"loss/{stem}"] for stem in ("bass", "drums", "other", "vocals") if f"loss/{stem}" in last]
    assert min(by_stem) <= last["loss"] <= max(by_stem)
    assert second["teacher_student_cosine"] == pytest.approx(1, abs=1e-6)
    assert last["teacher_student_cosine"] < 1
    assert last["lr"] == pytest.approx(0.1 * 4 / 256 * 0.25)  # cosine at two thirds of the way down
    assert last["tau"] == pytest.approx(0.5 ** (1 / 3), rel=1e-4)


def test_the_page_is_a_picture(whole):
    assert (whole[0] / "training.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_held_out_tracks_training_goes_on(settings, tmp_path, capsys):
    train(settings({"data.valid_fraction": 0.0}), tmp_path)
    assert "no tracks are held out" in capsys.readouterr().err
    assert not [column for row in metrics_log.read(tmp_path) for column in row if column.startswith("valid/")]


def test_held_out_tracks_without_a_mix_end_no_training(settings, tmp_path, capsys):
    for track in range(2):
        alone = np.zeros((16000, 4))
        alone[:, track] = 0.1 * np.random.default_rng(track).standard_normal(16000)
        soundfile.write(tmp_path / f"{track}.wav", alone, 16000)
    train(settings({"data.valid_path": str(tmp_path)}), tmp_path / "run")
    assert capsys.readouterr().err.count("nothing is validated: ") == 1
    assert [row["step"] for row in metrics_log.read(tmp_path / "run")] == [1, 2, 3, 4, 5]


def test_held_out_tracks_that_are_nowhere_are_said_before_training(settings, tmp_path):
    with pytest.raises(RequestError, match="no folder /nowhere"):
        train(settings({"data.valid_path": "/nowhere"}), tmp_path)


def test_bad_tracks_are_told_and_left_out(settings, stems_folder, tmp_path, capsys):
    shutil.copytree(stems_folder, tmp_path / "stems")
    soundfile.write(tmp_path / "stems" / "mono.wav", np.zeros(16000), 16000)
    train(settings({"data.data_path": str(tmp_path / "stems")}), tmp_path / "run")
    assert capsys.readouterr().err.count("left out: mono.wav") == 1


def test_a_track_with_samples_that_no_music_has_is_set_aside_by_name(settings, stems_folder, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(stems_folder, tmp_path / "stems")
    for name, value in (("absurd", 1e30), ("broken", np.nan)):
        samples = np.random.default_rng(0).uniform(-0.1, 0.1, (32000, 4)).astype(np.float32)
        samples[20000, 2] = value
        soundfile.write(tmp_path / "stems" / f"{name}.wav", samples, 16000, subtype="FLOAT")
    changes = {"data.data_path": str(tmp_path / "stems"), "data.statistics": True, "data.valid_fraction": 0.0}
    made = train(settings(changes), tmp_path / "run")
    told = capsys.readouterr().err
    assert "left out: absurd: holds samples of 1e+30 times full scale" in told
    assert "left out: broken: holds samples that are NaN or infinite" in told
    assert "left out during training: 2 of 10 tracks" in told
    front = checkpoint.load(made).model.frontend
    assert np.isfinite([front.mean, front.std]).all()


def test_what_was_understood_of_the_data_is_said_and_kept(settings, stems_folder, tmp_path, capsys):
    train(settings(), tmp_path / "run")
    line = "8 tracks: one channel per stem (bass, drums, other, vocals), in an order that nothing here says: taken as usual"
    assert capsys.readouterr().err.count(f"jukemir-like: {line}\n") == 1
    kept = json.loads((tmp_path / "run" / "data.json").read_text())
    assert kept == {
        "tracks": {"train": 6, "valid": 2}, "sources": ["bass", "drums", "other", "vocals"], "notes": [line], "left_out": {},
    }  # fmt: skip


def test_statistics_of_the_data_become_the_models_and_stay_when_a_run_goes_on(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    made = train(settings({"data.statistics": True}), tmp_path)
    assert capsys.readouterr().err.count(", measured, from 64 examples\n") == 1
    again = train(settings({"data.statistics": True}), tmp_path / "another")
    assert capsys.readouterr().err.count(", in the cache, from 64 examples\n") == 1
    assert again.read_bytes() == made.read_bytes()
    front = checkpoint.load(made).model.frontend
    assert (front.mean, front.std) != (-9.453, 3.569)
    expected = weights(made)
    interrupt(tmp_path, 4)
    kept = torch.load(tmp_path / "states" / "000000004.ckpt", weights_only=True)["run"]["settings"]["model"]["frontend"]
    assert (kept["mean"], kept["std"]) == (front.mean, front.std)
    assert_same_bits(weights(train(settings({"data.statistics": True}), tmp_path)), expected)


def test_bf16_and_six_stems(settings, tmp_path):
    random = np.random.default_rng(0)
    for track in range(4):
        soundfile.write(tmp_path / f"{track}.wav", 0.1 * random.standard_normal((16000, 6)), 16000)
    changes = {"data.data_path": str(tmp_path), "model.predictor.num_sources": 6, "trainer.precision": "bf16"}
    loaded = checkpoint.load(train(settings(changes), tmp_path / "run"))
    assert loaded.sources == tuple(f"stem{number}" for number in range(6))
    assert all(tensor.dtype == torch.float32 for tensor in loaded.network.state_dict().values())


def test_a_full_disk_leaves_the_last_whole_state(settings, tmp_path):
    train(settings({"trainer.max_steps": 2, "optimiser.warmup_steps": 1}), tmp_path / "fits")
    size = (tmp_path / "fits" / "states" / "000000002.ckpt").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))  # a file that grows beyond it cannot be written, as on a full disk
    try:
        with pytest.raises(StorageError, match=r"^cannot write .*000000001\.ckpt: "):
            train(settings(), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / "run" / "states") == []
    assert not (tmp_path / "run" / state.WEIGHTS).exists()


def test_a_loss_that_is_not_finite_is_said_and_not_saved(settings, tmp_path):
    with pytest.raises(RequestError, match="the loss is not finite at step"):
        train(settings({"optimiser.lr": 1e14, "optimiser.clip": 0.0, "optimiser.warmup_steps": 0}), tmp_path)
    kept = state.latest(tmp_path / "states", print)
    assert kept is None or all(torch.isfinite(tensor).all() for tensor in kept["state_dict"].values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.data_path": ""}, "^no data: give data.data_path"),
        ({"data.data_path": "/nowhere"}, "no folder /nowhere"),
        ({"data.dataloader.batch_size": 5, "trainer.accumulate": 2}, "batch_size 5 cannot be divided over 1 devices and 2 accumulated"),
        ({"trainer.accelerator": "gpu"}, "no GPU here"),
        ({"optimiser.warmup_steps": 100}, r"optimiser\.warmup_steps 100"),
    ],
)
def test_requests_that_cannot_be_carried_out(settings, tmp_path, changes, message):
    if changes.get("trainer.accelerator") == "gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RequestError, match=message):
        train(settings(changes), tmp_path)


def test_two_processes_do_not_train_in_one_folder(settings, tmp_path):
    import fcntl

    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RequestError, match="another process trains"):
            train(settings(), tmp_path / "run")


def test_a_missing_wandb_is_said_in_one_line(settings, tmp_path, monkeypatch):
    import lightning.pytorch.loggers.wandb as theirs

    monkeypatch.setattr(theirs, "_WANDB_AVAILABLE", False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(RequestError, match=r"^logger=wandb needs the package wandb: pip install wandb"):
        train(settings(logger=["wandb"]), tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_without_a_mix_is_one_line(settings, tmp_path, workers):
    for track in range(3):
        alone = np.zeros((16000, 4))
        alone[:, track] = 0.1 * np.random.default_rng(track).standard_normal(16000)
        soundfile.write(tmp_path / f"{track}.wav", alone, 16000)
    changes = {"data.data_path": str(tmp_path), "data.dataloader.num_workers": workers, "data.valid_fraction": 0.0}
    with pytest.raises(RequestError, match=r"no two stems were found") as caught:
        train(settings(changes), tmp_path / "run")
    assert "\n" not in str(caught.value)


def process(settings, folder):
    """A run in a process of its own; it starts others, where the settings ask for several devices."""
    settings_file = folder.parent / f"{folder.name}.json"
    settings_file.write_text(json.dumps(settings.to_dict()))
    return subprocess.Popen(
        [sys.executable, "-m", "jukemir_like.stemjepa.training.run", str(settings_file), str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


FORK_SERVER = """
import os, sys
from jukemir_like.stemjepa.training import fit, run
for line in sys.stdin:
    settings_file, folder, log = line.rstrip("\\n").split("\\t")
    process = os.fork()
    if process == 0:
        os.dup2(os.pipe()[0], 0)  # stays open, as the standard input of a process that was started for a device
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.exit(run.main(settings_file, folder))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def fork():
    """A function like ``process``, for many runs: each is forked from one process, for Lightning takes seconds to import."""
    server = subprocess.Popen([sys.executable, "-c", FORK_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(settings, folder):
        settings_file, log = folder.parent / f"{folder.name}.json", folder.parent / f"{folder.name}.err"
        settings_file.write_text(json.dumps(settings.to_dict()))
        print(settings_file, folder, log, sep="\t", file=server.stdin, flush=True)
        return Forked(server, int(server.stdout.readline()), log)

    yield start
    server.stdin.close()
    assert server.wait(GENEROUS_SECONDS) == 0
    server.stdout.close()


class Forked:
    """A process that the server forked; like :class:`subprocess.Popen`."""

    def __init__(self, server, process, log):
        self.server, self.process, self.log = server, process, log
        self.stderr = self

    def read(self):
        self.wait()
        return self.log.read_text()

    def send_signal(self, number):
        os.kill(self.process, number)

    def poll(self):
        return None if alive(self.process) else self.wait()

    def wait(self, _=None):
        if self.server is not None:
            self.code, self.server = int(self.server.stdout.readline()), None
        return self.code


def wait_until(condition, running=None):
    """A deadline that only a process that hangs misses."""
    deadline = time.monotonic() + GENEROUS_SECONDS
    while not condition():
        assert running is None or running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def logged(folder):
    """Rows in the log of a run that may be writing them."""
    path = folder / metrics_log.FILE_NAME
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def finished(running):
    """What it said, when it is done."""
    told = running.stderr.read()
    assert running.wait(GENEROUS_SECONDS) == 0, told
    return told


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


KILLED = {"trainer.max_steps": 100, "trainer.checkpoint_every_steps": 7, "trainer.valid_every_steps": 0}


@pytest.fixture(scope="module")
def not_killed(tmp_path_factory, fork):
    """A function: weights of a run with the settings ``KILLED`` that is left alone; the first call trains."""
    folder = tmp_path_factory.mktemp("alone") / "whole"

    def run(settings):
        if not folder.exists():
            finished(fork(settings(KILLED), folder))
        return weights(folder / state.WEIGHTS)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_anywhere_and_run_again_it_ends_with_the_same_bits(settings, tmp_path, fork, not_killed, number):
    """With a process that reads ahead, which ends with the run; how many there are does not matter for the bits."""
    folder, with_worker = tmp_path / "killed", settings({**KILLED, "data.dataloader.num_workers": 1})
    for rows in (2, 17) if number == signal.SIGKILL else (5,):  # after the first new state; the step under way is at any point then
        before = newest(folder)
        running = fork(with_worker, folder)
        wait_until(lambda before=before: newest(folder) != before, running)
        enough = logged(folder) + rows
        wait_until(lambda enough=enough: logged(folder) >= enough, running)
        running.send_signal(number)
        assert running.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        assert not (folder / state.WEIGHTS).exists()
    assert "going on from step " in finished(fork(settings(KILLED), folder))
    assert_same_bits(weights(folder / state.WEIGHTS), not_killed(settings))
    assert [name for name in states(folder) if name[0] == "."] == []


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(settings, tmp_path):
    long = settings({"trainer.max_steps": 100_000, "trainer.devices": 2, "trainer.valid_every_steps": 0})
    running = process(long, tmp_path / "run")
    wait_until(lambda: newest(tmp_path / "run") is not None, running)
    children = [int(number) for number in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]
    assert len(children) == 2
    running.kill()
    running.wait()
    wait_until(lambda: not any(alive(child) for child in children))


LONG = {"data.dataloader.batch_size": 8, "optimiser.lr": 0.01, "trainer.max_steps": 80, "trainer.checkpoint_every_steps": 0}


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """A function: the folder of an uninterrupted run of two processes with the settings ``LONG``; the first call trains."""
    folder = tmp_path_factory.mktemp("two") / "whole"

    def run(settings):
        if not folder.exists():
            finished(process(settings({**LONG, "trainer.devices": 2}), folder))
        return folder

    return run


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_the_same_batch(settings, tmp_path, two_processes):
    """Losses, gradients and monitors: negatives come from both, and gradients go back to both."""
    train(settings(LONG), tmp_path / "one")
    one, two = metrics_log.read(tmp_path / "one"), metrics_log.read(two_processes(settings))
    assert [row["step"] for row in one] == [row["step"] for row in two] == list(range(81))
    for expected, found in zip(one[:6], two[:6], strict=True):  # later, differences in the last bits have grown
        assert expected.keys() == found.keys()
        for column in ("loss", "loss/bass", "gradient_norm", "effective_rank", "valid/loss_contrastive"):
            if column in expected:
                assert found[column] == pytest.approx(expected[column], rel=2e-3), (column, expected["step"])


@pytest.mark.slow
def test_two_interrupted_processes_go_on_to_the_same_bits(settings, tmp_path, two_processes):
    folder, long = tmp_path / "stopped", settings({**LONG, "trainer.devices": 2, "trainer.valid_every_steps": 0})
    running = process(long, folder)
    wait_until(lambda: logged(folder) >= 20, running)
    running.send_signal(signal.SIGTERM)
    assert running.wait(GENEROUS_SECONDS) == 130
    assert "going on from step " in finished(process(long, folder))
    assert_same_bits(weights(folder / state.WEIGHTS), weights(two_processes(settings) / state.WEIGHTS))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a compiler")
def test_compiled_networks_train_alike_and_their_weights_have_the_same_names(settings, tmp_path):
    plain = checkpoint.load(train(settings({"optimiser.lr": 0.001}), tmp_path / "plain"))
    compiled = checkpoint.load(train(settings({"optimiser.lr": 0.001, "trainer.compile": True}), tmp_path / "compiled"))
    assert list(compiled.network.state_dict()) == list(plain.network.state_dict())
    losses = [[row["loss"] for row in metrics_log.read(tmp_path / name) if "loss" in row] for name in ("plain", "compiled")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("option", ["optimiser.warmup_steps", "objective.contrastive_steps"])
@pytest.mark.parametrize("value", [-1, 6])
def test_a_phase_that_does_not_fit_into_the_run_is_refused(settings, option, value):
    with pytest.raises(RequestError, match=f"^{option} {value}: "):
        check_phases(settings({option: value}))


def test_the_values_that_are_printed_work(settings):
    """The warm-up of the paper, 20,000 steps, does not fit into a short run."""
    changes = {"trainer.max_steps": 900, "optimiser.warmup_steps": 20_000, "objective.contrastive_steps": 8_500}
    with pytest.raises(RequestError, match=r"^optimiser.warmup_steps 20000 and objective.contrastive_steps 8500: ") as caught:
        check_phases(settings(changes))
    printed = dict(re.findall(r"(\S+)=(\d+)", str(caught.value)))
    assert printed == {"optimiser.warmup_steps": "60", "objective.contrastive_steps": "675"}
    check_phases(settings(changes | {name: int(value) for name, value in printed.items()}))
