"""Vectors of a batch in one matrix: from any state, in any order, interrupted anywhere, the same matrix; and back to a file each."""

import contextlib
import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like import representations
from jukemir_like.core import matrices, records
from jukemir_like.core.errors import StorageError
from jukemir_like.core.resumable import temporary_folder
from jukemir_like.core.signals import Interrupted
from jukemir_like.core.vector_folder import VectorFolder
from jukemir_like.extract import extract
from jukemir_like.extract.batch_matrix import BatchMatrix

NAMES = ["a/y", "a/z", "b", "c d/ü"]


def write_clips(folder, names=NAMES):
    for name in names:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(len(name) * 100 + ord(name[-1]))
        soundfile.write(path, random.uniform(-0.5, 0.5, 3000), 22050)


@pytest.fixture
def clips(tmp_path):
    write_clips(tmp_path / "in")
    return tmp_path / "in"


def tree(output):
    """Relative path → bytes of all that is there but records and locks."""
    paths = (path for path in output.rglob("*") if path.is_file() and records.FOLDER not in path.parts and not path.name.endswith(".lock"))
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in paths}


def run(clips, output, *, matrix=True, batch=None, name="mfcc", **options):
    size, index = batch or (None, None)
    return extract(name, clips, output, matrix=matrix, batch_size=size, batch_idx=index, **options)


def names_of(output, name):
    return json.loads(matrices.list_of(output, name).read_bytes())["names"]


def test_a_matrix_is_what_numpy_opens_and_its_rows_are_the_vectors(clips, tmp_path):
    summary = run(clips, tmp_path / "matrix")
    (path,) = (tmp_path / "matrix").rglob("*.npy")
    assert (summary.done, summary.kept, summary.notes) == (len(NAMES), 0, [f"in one file: {path}"])
    assert run(clips, tmp_path / "files", matrix=False).notes == []
    mapped = np.load(path, mmap_mode="r")
    assert (mapped.dtype.str, mapped.shape, mapped.flags.c_contiguous) == ("<f4", (len(NAMES), 120), True)
    assert names_of(tmp_path / "matrix", "all") == NAMES
    np.testing.assert_array_equal(mapped, [np.load(tmp_path / "files" / f"{name}.npy") for name in NAMES])


def test_records_describe_a_row_by_the_digest_of_the_file_that_it_stands_for(clips, tmp_path):
    run(clips, tmp_path / "matrix")
    vectors = VectorFolder(tmp_path / "matrix", "again")
    for name in NAMES:
        data = vectors.read(name)
        file = io.BytesIO()
        np.save(file, np.load(io.BytesIO(data)))
        assert data == file.getvalue()
        assert records.read(tmp_path / "matrix")[f"{name}.wav"]["output_digest"] == hashlib.sha256(data).hexdigest()


def test_a_finished_batch_is_kept_and_nothing_is_written(clips, tmp_path):
    run(clips, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    assert run(clips, tmp_path / "out").kept == len(NAMES)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if path.is_file()} == before


def test_each_form_becomes_the_other_without_computing(clips, tmp_path):
    for matrix, name in ((True, "matrix"), (False, "files")):
        run(clips, tmp_path / name, matrix=matrix)
        first = tree(tmp_path / name)
        assert run(clips, tmp_path / name, matrix=not matrix).kept == len(NAMES)
        assert run(clips, tmp_path / name, matrix=matrix).kept == len(NAMES)
        assert tree(tmp_path / name) == first


def test_a_failed_clip_is_left_out_and_added_when_it_can_be_used(clips, tmp_path):
    good = (clips / "b.wav").read_bytes()
    (clips / "b.wav").write_bytes(b"no audio")
    summary = run(clips, tmp_path / "out")
    assert list(summary.failed) == ["b.wav"]
    assert names_of(tmp_path / "out", "all") == ["a/y", "a/z", "c d/ü"]
    (clips / "b.wav").write_bytes(good)
    summary = run(clips, tmp_path / "out")
    assert (summary.done, summary.kept) == (1, 3)
    run(clips, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    (clips / "b.wav").write_bytes(b"no audio")
    run(clips, tmp_path / "out", matrix=False)
    assert sorted(tree(tmp_path / "out")) == ["a/y.npy", "a/z.npy", "c d/ü.npy"]


def test_where_all_clips_fail_no_matrix_stays(clips, tmp_path):
    run(clips, tmp_path / "out")
    for path in clips.rglob("*.wav"):
        path.write_bytes(b"no audio")
    assert len(run(clips, tmp_path / "out").failed) == len(NAMES)
    assert tree(tmp_path / "out") == {}


def test_a_changed_clip_replaces_its_row(clips, tmp_path):
    run(clips, tmp_path / "out")
    soundfile.write(clips / "b.wav", np.random.default_rng(9).uniform(-0.5, 0.5, 3000), 22050)
    summary = run(clips, tmp_path / "out")
    assert (summary.done, summary.kept) == (1, 3)
    run(clips, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_batches_of_another_size_take_the_rows_over(clips, tmp_path):
    for index in range(2):
        run(clips, tmp_path / "out", batch=(2, index))
    assert run(clips, tmp_path / "out", batch=(3, 0)).kept == 3
    assert names_of(tmp_path / "out", "batch-2-1") == [None, "c d/ü"]
    vectors = VectorFolder(tmp_path / "out", "again")
    assert sorted(vectors.names()) == NAMES
    run(clips, tmp_path / "out")
    run(clips, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_a_new_batch_does_not_read_the_lists_of_the_others(clips, tmp_path, monkeypatch):
    """A folder may have thousands: what a batch reads must not grow with them."""
    read = []
    monkeypatch.setattr(
        matrices, "read_matrix", lambda index, remedy, real=matrices.read_matrix: (read.append(index.stem), real(index, remedy))[1]
    )
    for index in range(4):
        run(clips, tmp_path / "out", batch=(1, index))
        run(clips, tmp_path / "out", batch=(1, index))
    own = [name for name, _ in itertools.groupby(read)]
    assert own == [f"batch-1-{index}" for index in range(4)]


def test_layers_have_a_matrix_each(tmp_path, write_audio):
    write_audio(tmp_path / "in" / "x.wav", seconds=9)
    representation = representations.load("stemjepa-untrained")
    layers = list(representation.layers)[:2]
    summary = run(tmp_path / "in", tmp_path / "out", name="stemjepa-untrained", layers=",".join(layers))
    assert summary.done == 2
    for layer in layers:
        (path,) = (tmp_path / "out" / f"stemjepa-untrained.layer{layer}").rglob("*.npy")
        assert np.load(path).shape[0] == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda index, matrix: matrix.write_bytes(matrix.read_bytes()[:-1]),
        lambda index, matrix: matrix.unlink(),
        lambda index, matrix: np.save(matrix, np.zeros((4, 3), "<f4")),
        lambda index, matrix: np.save(matrix, np.zeros((3, 120), "<f4")),
        lambda index, matrix: np.save(matrix, np.zeros((4, 120), "<f8")),
        lambda index, matrix: matrix.write_bytes(b""),
        lambda index, matrix: index.write_bytes(b'{"format": 1, "names": ['),
        lambda index, matrix: index.write_text(index.read_text().replace('"a/z"', '"../z"')),
        lambda index, matrix: index.write_text(index.read_text().replace('"a/z"', '"a/y"')),
        lambda index, matrix: index.write_text(index.read_text().replace(matrix.name, f"../{matrix.name}")),
    ],
    ids=["cut", "missing", "dimension", "rows", "type", "empty", "torn list", "name outside", "duplicate", "matrix outside"],
)
def test_a_damaged_matrix_is_named_in_one_line_and_computed_again(clips, tmp_path, damage):
    run(clips, tmp_path / "straight")
    run(clips, tmp_path / "out")
    (matrix,) = (tmp_path / "out").rglob("*.npy")
    damage(matrices.list_of(tmp_path / "out", "all"), matrix)
    summary = run(clips, tmp_path / "out")
    assert summary.done == len(NAMES)
    note, _ = summary.notes
    assert str(tmp_path / "out" / matrices.FOLDER) in note
    assert "\n" not in note
    assert note.endswith("computed again")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_a_row_with_other_numbers_or_names_is_computed_again(clips, tmp_path):
    run(clips, tmp_path / "straight")
    run(clips, tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*.npy")
    matrix = np.load(path)
    matrix[1, 7] += 1
    np.save(path, matrix)
    summary = run(clips, tmp_path / "out")
    assert (summary.done, summary.kept) == (1, 3)
    index = matrices.list_of(tmp_path / "out", "all")
    index.write_text(index.read_text().replace('"a/z"', '"?"').replace('"a/y"', '"a/z"').replace('"?"', '"a/y"'))
    summary = run(clips, tmp_path / "out")
    assert (summary.done, summary.kept) == (2, 2)
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_the_command_says_what_a_batch_has_done(clips, tmp_path, command):
    batch = ("--matrix", "--batch_size", "3", "--batch_idx", "0")
    finished = command("extract", "mfcc", clips, tmp_path / "out", *batch)
    assert finished.returncode == 0, finished.stderr
    assert "3 done, 0 kept, 0 failed" in finished.stdout
    (path,) = (tmp_path / "out").rglob("*.npy")
    assert path.name.startswith("batch-3-0-")
    assert "0 done, 3 kept" in command("extract", "mfcc", clips, tmp_path / "out", *batch).stdout


def test_no_room_for_a_matrix_is_one_line_and_the_files_stay(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("jukemir_like.core.files.free_bytes", lambda _: 1000)
    with pytest.raises(StorageError, match=r"no room in .* for a matrix of 4 vectors: .*: free some space, or extract in batches"):
        run(clips, tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == sorted(f"{name}.npy" for name in NAMES)
    monkeypatch.undo()
    assert run(clips, tmp_path / "out").kept == len(NAMES)


class Stop(Interrupted):
    """The end of a process, as a signal asks for it."""


@contextlib.contextmanager
def stopped_at(number):
    """The ``number``-th step that changes a disk is not done, and the process ends; yields a list with the steps that were begun."""
    steps = []

    def counted(function):
        def step(*args, **options):
            steps.append(function.__qualname__ if hasattr(function, "__qualname__") else function.__name__)
            if len(steps) - 1 == number:
                raise Stop
            return function(*args, **options)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync"), (os, "write")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        with contextlib.suppress(Stop):
            yield steps


START = {
    "nothing": lambda clips, output: None,
    "files": lambda clips, output: run(clips, output, matrix=False),
    "batches": lambda clips, output: [run(clips, output, batch=(2, index)) for index in range(2)],
}


@pytest.mark.parametrize("matrix", [True, False], ids=["to a matrix", "to files"])
@pytest.mark.parametrize("start", START)
def test_interrupted_at_any_step_the_next_run_ends_in_the_same(clips, tmp_path, start, matrix):
    run(clips, tmp_path / "straight", matrix=matrix)
    for number in itertools.count():
        output = tmp_path / "out"
        START[start](clips, output)
        with stopped_at(number) as steps:
            run(clips, output, matrix=matrix)
        readable = VectorFolder(output, "again") if output.exists() else None
        if start != "nothing" and readable is not None:
            assert sorted(set(readable.names())) == NAMES  # at no moment is a vector gone
            for name in NAMES:
                assert hashlib.sha256(readable.read(name)).hexdigest() == records.read(output)[f"{name}.wav"]["output_digest"]
        run(clips, output, matrix=matrix)
        assert tree(output) == tree(tmp_path / "straight"), f"stopped at step {number}, {steps[-1]}"
        shutil.rmtree(output)
        if len(steps) <= number:
            break
    assert number > 3 or (start, matrix) == ("files", False)


OPERATION = st.tuples(
    st.booleans(), st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, *range(0, 40, 3)]), st.sampled_from([None, *NAMES])
)


@settings(max_examples=15, deadline=None)
@given(st.lists(OPERATION, max_size=3), st.booleans())
def test_after_any_runs_the_last_decides(tmp_path_factory, operations, matrix):
    """Each operation: the form, the size of batches, the step at which it is stopped, and a clip that cannot be used meanwhile."""
    folder = tmp_path_factory.mktemp("runs")
    write_clips(folder / "in")
    for form, size, stop, broken in operations:
        if broken:
            (folder / "in" / f"{broken}.wav").write_bytes(b"no audio")
        batches = [None] if size is None else [(size, index) for index in range(-(-len(NAMES) // size))][::-1]
        with stopped_at(stop):
            for batch in batches:
                run(folder / "in", folder / "out", matrix=form, batch=batch)
        write_clips(folder / "in")
    run(folder / "in", folder / "out", matrix=matrix)
    run(folder / "in", folder / "straight", matrix=matrix)
    assert tree(folder / "out") == tree(folder / "straight")
    shutil.rmtree(folder)


@pytest.mark.parametrize("size", [None, 3])
def test_what_other_runs_recorded_is_known_of_rows_too(clips, tmp_path, size):
    """A kept vector has no record in the journal of the batch that put it into its matrix."""
    for batch in [None] if size is None else [(size, index) for index in range(2)]:
        run(clips, tmp_path / "out", matrix=False, batch=batch)
    for matrix in (True, True, False):
        for index in range(2):
            summary = run(clips, tmp_path / "out", matrix=matrix, batch=(2, index))
            assert (summary.done, summary.kept) == (0, 2)


@pytest.mark.parametrize("batch", [None, (4, 0)])
@pytest.mark.parametrize("after", range(1, 5))
def test_a_batch_that_is_run_twice_at_the_same_time_loses_nothing(clips, tmp_path, monkeypatch, batch, after):
    """As schedulers do when they have lost sight of a node: the first to finish removes files that the other has written."""
    counted = []

    def count(self, record, real=BatchMatrix.count):
        real(self, record)
        counted.append(record)
        if len(counted) == after:
            run(clips, tmp_path / "out", batch=batch)

    monkeypatch.setattr(BatchMatrix, "count", count)
    run(clips, tmp_path / "out", batch=batch)
    assert len(counted) == 2 * len(NAMES)
    monkeypatch.undo()
    run(clips, tmp_path / "straight", batch=batch)
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_vectors_that_are_removed_meanwhile_are_an_error_and_computed_again(clips, tmp_path, monkeypatch):
    def count(self, record, real=BatchMatrix.count):
        real(self, record)
        (tmp_path / "out" / "b.npy").unlink(missing_ok=True)

    monkeypatch.setattr(BatchMatrix, "count", count)
    with pytest.raises(StorageError, match=r"1 vectors of .*, such as b, were removed during the extraction: run again"):
        run(clips, tmp_path / "out")
    monkeypatch.undo()
    assert run(clips, tmp_path / "out").kept == 3
    run(clips, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_a_vector_that_moved_to_another_batch_is_not_left_in_the_old_one(tmp_path):
    """An input is removed, so that there is a batch less; then the one that moved changes."""
    clips, output = tmp_path / "in", tmp_path / "out"
    write_clips(clips, names := [f"{number:02}" for number in range(21)])
    for index in range(11):
        run(clips, output, batch=(2, index))
    (clips / "00.wav").unlink()
    soundfile.write(clips / "20.wav", np.random.default_rng(9).uniform(-0.5, 0.5, 3000), 22050)
    for index in range(10):
        run(clips, output, batch=(2, index))
    run(clips, tmp_path / "files", matrix=False)
    matrix, files = VectorFolder(output, "again"), VectorFolder(tmp_path / "files", "again")
    for name in names[1:]:
        assert matrix.read(name) == files.read(name)
    assert not matrices.list_of(output, "batch-2-10").exists()


def test_files_that_are_given_back_are_written_where_every_batch_cleans_up(clips, tmp_path, monkeypatch):
    for index in range(2):
        run(clips, tmp_path / "out", batch=(2, index))
    temporaries = []
    monkeypatch.setattr(Path, "replace", lambda self, target, real=Path.replace: (temporaries.append(self), real(self, target))[1])
    run(clips, tmp_path / "out", matrix=False, batch=(2, 0))
    of_vectors = [path for path in temporaries if path.suffix == ".npy"]
    assert len(of_vectors) == 2
    assert {path.parent for path in of_vectors} == {temporary_folder(tmp_path / "out")}


def test_two_batches_at_the_same_time_do_not_take_a_vector_from_each_other(clips, tmp_path, monkeypatch):
    """Of different sizes: each has written its matrix when the first takes what it has out of the other's."""
    run(clips, tmp_path / "out", batch=(2, 0))

    def drop(self, finished, lists, real=BatchMatrix._drop):
        monkeypatch.undo()
        run(clips, tmp_path / "out", batch=(2, 0))
        real(self, finished, lists)

    monkeypatch.setattr(BatchMatrix, "_drop", drop)
    run(clips, tmp_path / "out", batch=(3, 0))
    assert sorted(set(VectorFolder(tmp_path / "out", "again").names())) == NAMES[:3]


def test_files_whose_rows_another_run_gave_back_meanwhile_stay(clips, tmp_path, monkeypatch):
    def remove(self, with_vector, real=BatchMatrix._remove_files):
        monkeypatch.undo()
        run(clips, tmp_path / "out", matrix=False, batch=(2, 0))
        return real(self, with_vector)

    monkeypatch.setattr(BatchMatrix, "_remove_files", remove)
    run(clips, tmp_path / "out")
    assert sorted(set(VectorFolder(tmp_path / "out", "again").names())) == NAMES
    assert run(clips, tmp_path / "out").kept == len(NAMES)


def test_runs_in_any_form_at_the_same_time_lose_nothing(clips, tmp_path):
    runs = [(None, True), (2, True), (3, True), (2, False)]
    script = (
        "import sys; from pathlib import Path; from jukemir_like.extract import extract\n"
        "from jukemir_like.core.errors import StorageError\n"
        "for size, matrix in eval(sys.argv[3]):\n"
        "    for index in range(1 if size is None else -(-4 // size)):\n"
        "        try: extract('mfcc', Path(sys.argv[1]), Path(sys.argv[2]), matrix=matrix, batch_size=size,\n"
        "                     batch_idx=None if size is None else index)\n"
        "        except StorageError as error: assert 'run again' in str(error)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, clips, tmp_path / "out", repr(runs[first:] + runs[:first])])
        for first in range(len(runs))
    ]
    assert [process.wait() for process in started] == [0] * len(runs)
    assert sorted(set(VectorFolder(tmp_path / "out", "again").names())) == NAMES
