"""A grid that is interrupted, killed or tampered with goes on to what one run gives, to the bit."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.datasets import Task
from jukemir_like.datasets.processed import read_processed as read_processed
from jukemir_like.probes.protocols import Grid
from jukemir_like.probes.selection import Candidate, Selection
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.tasks import ProbeData, Split
from jukemir_like.probes.unfinished import UNFINISHED, UnfinishedRun

GRID = Grid(hidden=(0, 8), batch_size=(16,), learning_rate=(1e-3, 1e-2), dropout=(0.25,), weight_decay=(0.0, 1e-3), patience=12)
SCRIPT = f"""
import sys
from pathlib import Path
from jukemir_like.core import parallel, signals
signals.install()
parallel.use_one_thread_per_process()
from jukemir_like.core.cache import Cache
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.protocols import Grid
try:
    probe_dataset(Cache(Path(sys.argv[1])), "toy", "rep", tasks=["tags"], protocol="jukemir", workers=2, settings={GRID!r}, device="cpu")
except signals.Interrupted:
    signals.exit_interrupted()
"""


def whole(cache):
    return probe_dataset(cache, "toy", "rep", tasks=["tags"], protocol="jukemir", settings=GRID, device="cpu").runs[0]


def contents(run):
    record = json.loads((run.folder / "run.json").read_bytes())
    assert record.pop("seconds") > 0
    return json.dumps(record), (run.folder / "predictions.npz").read_bytes(), sorted(os.listdir(run.folder))


def candidates(path):
    try:
        with np.load(path) as stored:
            return json.loads(str(stored["candidates"]))
    except FileNotFoundError:
        return []


def interrupted(cache, how, least):
    """The folder of a run that was sent the signal when it had finished so many points."""
    folder = cache.probe("toy", "rep") / "tags" / "jukemir-0"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, cache.root], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(candidates(folder / UNFINISHED)) < least and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    assert process.wait(30) == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    return folder


@pytest.mark.parametrize(
    ("how", "moments"),
    [
        pytest.param(signal.SIGKILL, (1, 6), marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, (3,), marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, (9,), marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_grid_goes_on_to_the_same_bits(make_dataset, capfd, how, moments):
    expected = contents(whole(make_dataset()))
    cache = make_dataset(name="toy")
    for path in (cache.probe("toy", "rep") / "tags" / "jukemir-0").iterdir():
        path.unlink()
    for least in moments:
        folder = interrupted(cache, how, least)
        assert least <= len(candidates(folder / UNFINISHED)) < len(GRID.points())
    with np.load(folder / UNFINISHED) as stored:
        before = float(stored["seconds"])
    run = whole(cache)
    assert contents(run) == expected
    assert 0 < before < run.record["seconds"]  # of all runs
    assert capfd.readouterr().err == ""


def other_request(stored):
    stored["request"] = np.array(str(stored["request"]).replace('"seed": 0', '"seed": 1'))


def other_device(stored):
    stored["device"] = np.array("cuda")


def other_scores(stored):
    stored["valid"] = np.roll(stored["valid"], 1, 0)


def fewer_scores(stored):
    stored["test"] = stored["test"][1:]


def wide_scores(stored):
    stored["test"] = stored["test"].astype(np.float64)


def no_scores(stored):
    del stored["valid"]


def better(stored):
    shown = json.loads(str(stored["candidates"]))
    shown[0]["value"] = 2.0
    stored["candidates"] = np.array(json.dumps(shown))


def twice(stored):
    shown = json.loads(str(stored["candidates"]))
    stored["candidates"] = np.array(json.dumps([*shown, shown[0]]))


def unknown_point(stored):
    shown = json.loads(str(stored["candidates"]))
    shown[0]["hidden"] = 9
    stored["candidates"] = np.array(json.dumps(shown))


def one_field_more(stored):
    shown = json.loads(str(stored["candidates"]))
    shown[0]["more"] = 9
    stored["candidates"] = np.array(json.dumps(shown))


def brackets(stored):
    stored["candidates"] = np.array("[" * 100_000)


def objects(stored):
    stored["valid"] = np.array([object()])


TAMPERED = (
    other_request,
    other_device,
    other_scores,
    fewer_scores,
    wide_scores,
    no_scores,
    better,
    twice,
    unknown_point,
    one_field_more,
    brackets,
    objects,
)


def test_a_file_of_another_request_or_a_damaged_one_is_passed_over_with_a_word(make_dataset, capfd):
    cache = make_dataset()
    folder = interrupted(cache, signal.SIGKILL, 4)
    path, good = folder / UNFINISHED, (folder / UNFINISHED).read_bytes()
    with np.load(path) as stored:
        arrays = dict(stored)
    expected = None
    spoilt = [b"", b"no archive", good[: len(good) // 2], b"PK\x05\x06" + bytes(18)]
    for tamper in TAMPERED:
        changed = dict(arrays)
        tamper(changed)
        data = io.BytesIO()
        np.savez(data, **changed)
        spoilt.append(data.getvalue())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:  # terabytes are promised
        header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 50, 4)}).encode()
        archive.writestr("request.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    spoilt.append(data.getvalue())
    reader = Reader(cache)
    for place, content in enumerate(spoilt):
        path.write_bytes(content)
        assert reader(path) == (set(), [], None), place
        told = capfd.readouterr().err
        assert told.count("\n") == 1, place
        assert str(path) in told
        assert "all points are trained again" in told
    path.unlink()
    os.mkfifo(path)
    assert reader(path) == (set(), [], None)
    assert "is a named pipe" in capfd.readouterr().err
    path.unlink()
    path.write_bytes(spoilt[4])
    expected = contents(whole(cache))  # and the run is made all the same
    assert "is of another request" in capfd.readouterr().err
    path.write_bytes(good)
    for name in ("run.json", "predictions.npz"):
        (folder / name).unlink()
    assert contents(whole(cache)) == expected
    assert capfd.readouterr().err == ""


class Reader:
    """Reads the file as the run that it is of does."""

    def __init__(self, cache):
        from jukemir_like.probes import tasks, vectors

        with np.load(cache.probe("toy", "rep") / "tags" / "jukemir-0" / UNFINISHED) as stored:
            self.request = json.loads(str(stored["request"]))
        processed = read_processed(cache.processed("toy"))
        self.data = tasks.prepare(processed, processed.tasks["tags"], vectors.read(cache, "toy", "rep", list(processed.items), {}))

    def __call__(self, path):
        selection = Selection(self.data)
        found = UnfinishedRun(path.parent, self.request).read(GRID.points(), "cpu", selection.restore)
        return found, selection.candidates(), selection.best


def split(y):
    uid = np.array([str(number) for number in range(len(y))])
    return Split(np.zeros((len(y), 1), np.float32), y, uid, uid, None)


DATA = ProbeData(
    Task("genre", "multiclass", ("a", "b")), {name: split(np.array([0, 1, 0, 1])) for name in ("train", "valid", "test")}, {}, []
)
POINTS = Grid().points()
# Logits of the second class for four items: few different values, so that points tie, and some that are no numbers.
LOGITS = st.lists(st.sampled_from([-1.0, 1.0, float("nan")]), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@given(logits=st.lists(LOGITS, min_size=1, max_size=12), order=st.randoms(use_true_random=False), data=st.data())
def test_any_cut_in_any_order_gives_the_same_selection(tmp_path_factory, logits, order, data):
    made = []
    for point, values in zip(POINTS, logits, strict=False):
        scores = np.stack([np.zeros(4), values], 1).astype(np.float32)
        made.append(Candidate(point, point.to_json(), {"valid": scores, "test": scores + np.float32(1)}, {"step": 8, "steps": 16}))
    order.shuffle(made)
    cut = data.draw(st.integers(0, len(made)))
    whole, first, second = Selection(DATA), Selection(DATA), Selection(DATA)
    for candidate in made:
        whole.consider(candidate)
    for candidate in made[:cut]:
        first.consider(candidate)
    folder = tmp_path_factory.mktemp("run")
    UnfinishedRun(folder, {"seed": 0}).write(first.candidates(), first.best.scores if first.best else {}, 1.5)
    resumed = UnfinishedRun(folder, {"seed": 0})
    # What was written under "" as the device is not taken for one.
    assert resumed.read(POINTS, "", second.restore) == {candidate.order for candidate in made[:cut]}
    assert resumed.seconds == 1.5
    for candidate in made[cut:]:
        second.consider(candidate)
    assert json.dumps(second.candidates()) == json.dumps(whole.candidates())
    assert (second.best is None) == (whole.best is None)
    if whole.best is not None:
        assert second.best.order == whole.best.order
        for name in ("valid", "test"):
            assert second.best.scores[name].tobytes() == whole.best.scores[name].tobytes()
