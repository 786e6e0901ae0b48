"""Probes on vectors that stay on disk give what those in memory give, and never read more than a chunk at once; vectors in either form."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest
import torch

from jukemir_like.core import records
from jukemir_like.core import rows as rows_module
from jukemir_like.core.errors import DamagedFileError, RequestError, StorageError
from jukemir_like.core.matrices import FOLDER, write_matrix
from jukemir_like.core.rows import MatrixFile, Rows
from jukemir_like.datasets import Task
from jukemir_like.probes import inputs, vectors
from jukemir_like.probes.arrays import probe
from jukemir_like.probes.chunked_path import RotatedRows
from jukemir_like.probes.fitting import FitOptions, fit
from jukemir_like.probes.linear import Rotation, fit_path, standardisation
from jukemir_like.probes.protocols import Grid, RegularisationPath
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.tasks import ProbeData, Split

TASKS = ("genre", "key", "tags", "emotion")
SMALL = Grid(hidden=(0, 8), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), weight_decay=(0.0,), patience=2)
DIMENSION = 12


def as_matrices(cache, count=3, keep=0):
    """Puts the vectors of the small dataset, but for the first ``keep``, into so many matrices."""
    folder = cache.representation("toy", "rep")
    paths = sorted(folder.rglob("*.npy"))[keep:]
    for number, part in enumerate(np.array_split(np.array(paths, object), count)):
        named = [(path.relative_to(folder).with_suffix("").as_posix(), path.read_bytes()) for path in part]
        write_matrix(folder, f"batch-9-{number}", DIMENSION, named)
    for path in paths:
        path.unlink()


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of seven vectors; yields the sizes of what was read at once."""
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 7 * 4 * DIMENSION)
    sizes = []

    def take(self, indices, real=Rows.take):
        taken = real(self, indices)
        sizes.append(len(taken))
        return taken

    monkeypatch.setattr(Rows, "take", take)
    return sizes


def same_runs(chunked, in_memory, tolerance):
    """Runs with equal predictions, and the same choice among candidates."""
    for run, other in zip(chunked, in_memory, strict=True):
        assert run.record["selected"] == other.record["selected"]
        assert run.record["lineage"] == other.record["lineage"]
        for split in ("valid", "test"):
            one, two = run.predictions(split), other.predictions(split)
            np.testing.assert_array_equal(one.uid, two.uid)
            largest = np.abs(two.scores[np.isfinite(two.scores)]).max()
            np.testing.assert_allclose(one.scores, two.scores, rtol=tolerance, atol=tolerance * largest)
            if two.y.ndim == 1:
                np.testing.assert_array_equal(one.scores.argmax(1), two.scores.argmax(1))
        for one, two in zip(run.record["candidates"], other.record["candidates"], strict=True):
            name = "loss" if "loss" in one else "value"
            assert one[name] == pytest.approx(two[name], abs=tolerance)


LINEAR = RegularisationPath(tolerance=1e-10)


@pytest.mark.parametrize(
    ("protocol", "settings", "largest", "form", "tasks"),
    [
        ("linear", LINEAR, 7, "files", TASKS),
        ("linear", LINEAR, 7, "matrices", ("genre", "emotion")),  # what is read is nothing to a task, and 24 keys take longest
        ("linear", LINEAR, 7, "mixed", ("genre", "tags")),
        ("jukemir", SMALL, 16, "files", ("key", "tags")),
        ("jukemir", SMALL, 16, "mixed", ("key", "tags")),
    ],
)
def test_in_chunks_as_in_memory(make_dataset, small_chunks, protocol, settings, largest, form, tasks):
    cache = make_dataset(sizes=(60, 30, 40), tasks=tasks)
    request = {"protocol": protocol, "settings": settings, "device": "cpu"}
    in_memory = probe_dataset(cache, "toy", "rep", **request).runs
    in_memory = [type(run)(run.folder, run.record) for run in in_memory]
    kept = {run.folder: (run.record, {split: run.predictions(split) for split in ("valid", "test")}) for run in in_memory}
    if form != "files":
        as_matrices(cache, keep=20 if form == "mixed" else 0)
    for run in in_memory:
        (run.folder / "run.json").unlink()
    chunked = probe_dataset(cache, "toy", "rep", chunks_above=0, **request).runs
    assert max(small_chunks) <= largest  # a chunk, or a minibatch
    for run in chunked:
        record, predictions = kept[run.folder]
        assert run.record["chunks"] == {"bytes": 130 * DIMENSION * 4, "above": 0}
        chunks = "vectors of 0.0 MB were read in chunks: the last digits may differ from those of vectors in memory"
        assert chunks in run.record["notes"]
        assert [note for note in run.record["notes"] if note != chunks] == record["notes"]
        # L-BFGS ends where a step promises less than 1e-8: rounding decides where in a flat valley that is. Training takes the same steps.
        same_runs([run], [Stored(record, predictions)], 1e-2 if protocol == "linear" else 1e-4)
    assert not list(cache.probe("toy", "rep").glob(".*"))  # the temporary file is gone
    again = probe_dataset(cache, "toy", "rep", **request).runs
    assert [run.record for run in again] == [run.record for run in chunked]  # finished is finished, whatever is large


class Stored:
    """What a run was before its files were written again."""

    def __init__(self, record, predictions):
        self.record, self.predictions = record, predictions.__getitem__


def test_what_is_small_is_read_as_ever_from_either_form_to_the_bit(make_dataset):
    cache = make_dataset(clips=2)
    first = probe_dataset(cache, "toy", "rep").runs
    files = [(run.folder / "predictions.npz").read_bytes() for run in first]
    as_matrices(cache)
    assert [run.record for run in probe_dataset(cache, "toy", "rep").runs] == [run.record for run in first]  # kept: the same digest
    for run in first:
        assert "chunks" not in run.record
        (run.folder / "run.json").unlink()
    assert [(run.folder / "predictions.npz").read_bytes() for run in probe_dataset(cache, "toy", "rep").runs] == files


def test_workers_read_the_same_rows(make_dataset):
    cache = make_dataset(tasks=("genre",))
    as_matrices(cache)
    runs = []
    for workers in (1, 2):
        (run,) = probe_dataset(cache, "toy", "rep", protocol="jukemir", settings=SMALL, device="cpu", workers=workers, chunks_above=0).runs
        runs.append((run.folder / "predictions.npz").read_bytes())
        (run.folder / "run.json").unlink()
    assert runs[0] == runs[1]


def test_fewer_train_items_than_numbers_are_read_into_memory(make_dataset):
    cache = make_dataset(sizes=(8, 30, 40), tasks=("emotion",))
    (in_memory,) = probe_dataset(cache, "toy", "rep").runs
    before = in_memory.record, {split: in_memory.predictions(split) for split in ("valid", "test")}
    (in_memory.folder / "run.json").unlink()
    same_runs(probe_dataset(cache, "toy", "rep", chunks_above=0).runs, [Stored(*before)], 1e-6)


def test_a_row_that_no_record_describes_is_one_line(make_dataset):
    cache = make_dataset(tasks=("genre",))
    folder = cache.representation("toy", "rep")
    paths = sorted(folder.rglob("*.npy"))
    with records.Journal(folder, "all") as journal:
        for path in paths:
            name = path.relative_to(folder).with_suffix("").as_posix()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            journal.append(records.new(f"{name}.wav", "recipe", digest="0") | {"output_digest": digest})
    as_matrices(cache, count=1)
    (run,) = probe_dataset(cache, "toy", "rep").runs
    assert run.record["lineage"]["signature"] == "recipe"
    (matrix,) = (folder / FOLDER).glob("*.npy")
    numbers = np.load(matrix)
    numbers[3, 0] += 1
    np.save(matrix, numbers)
    message = (
        rf"{matrix.name} \(row {paths[3].relative_to(folder).with_suffix('')}\) is not what was written there: it was changed since: run "
    )
    for above in (0, 1 << 40):
        with pytest.raises(DamagedFileError, match=message):
            probe_dataset(cache, "toy", "rep", chunks_above=above)
    numbers[3, 0] = np.nan
    np.save(matrix, numbers)
    with pytest.raises(DamagedFileError, match=r"\(row .*\) holds a number that is not finite"):
        probe_dataset(cache, "toy", "rep", chunks_above=0)
    matrix.write_bytes(matrix.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"is truncated: .*: run `jukemir-like extract` for rep on toy again"):
        probe_dataset(cache, "toy", "rep")


def test_other_sizes_and_no_room_for_a_temporary_file_are_one_line(make_dataset, monkeypatch):
    cache = make_dataset(tasks=("genre",))
    monkeypatch.setattr(vectors, "check_free_space", lambda *_, advice: (_ for _ in ()).throw(StorageError(f"no room: {advice}")))
    with pytest.raises(StorageError, match="no room: extract with --matrix"):
        probe_dataset(cache, "toy", "rep", chunks_above=0)
    monkeypatch.undo()
    np.save(cache.representation("toy", "rep") / "test" / "000-0.npy", np.zeros(5, "<f4"))
    with pytest.raises(RequestError, match="vectors differ in size"):
        probe_dataset(cache, "toy", "rep", chunks_above=0)
    assert not list(cache.probe("toy", "rep").glob(".*"))


def test_a_memory_map_is_probed_as_an_array_is(tmp_path, monkeypatch, small_chunks):
    random = np.random.default_rng(0)
    X = random.normal(size=(200, DIMENSION)).astype(np.float32)
    y = np.where(X[:, 0] + 0.3 * random.normal(size=200) > 0, "loud", "soft")
    in_memory = probe(X, y)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(inputs, "CHUNKS_ABOVE", 0)
    chunked = probe(mapped, y)
    assert max(small_chunks) == 7
    np.testing.assert_allclose(chunked.scores, in_memory.scores, atol=1e-2)  # where L-BFGS ends in a flat valley is decided by rounding
    assert chunked.metrics == in_memory.metrics
    assert any("read in chunks" in note for note in chunked.notes)
    X[150, 3] = np.inf
    with pytest.raises(RequestError, match="not finite in float32, in item 150"):
        probe(X, y)


def test_moments_and_axes_are_those_of_all_rows_at_once(monkeypatch):
    random = np.random.default_rng(0)
    X = (random.normal(size=(300, 20)) * np.geomspace(0.01, 100, 20) + np.linspace(-1e3, 1e3, 20)).astype(np.float32)
    X[:, 7] = 0.1  # constant up to rounding
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 11 * 80)
    for one, other in zip(standardisation(Rows.of_array(X)), standardisation(X), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    chunked, (rotation, _) = RotatedRows.fit(Rows.of_array(X)), Rotation.fit(X)
    np.testing.assert_allclose(chunked.variance, rotation.variance, rtol=1e-9)
    np.testing.assert_allclose(np.abs((chunked.basis * rotation.basis).sum(0)), 1, rtol=1e-9)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_models_are_those_of_scikit_learn(kind, monkeypatch):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    hidden = random.normal(size=(300, 4))
    X = (hidden @ random.normal(size=(4, 15)) + random.normal(size=(300, 15)) + 5).astype(np.float32)
    y = {"multiclass": hidden[:, :3].argmax(1), "multilabel": hidden[:, :3] > 0.3, "regression": hidden[:, :3] + 7}[kind]
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 37 * 60)
    rows = Rows.of_array(X)
    fitted = RotatedRows.fit(rows)
    ((_, model),) = fit_path(kind, fitted, y, 3, RegularisationPath(strengths=(0.01,), tolerance=1e-10))
    scores = fitted.scorer(rows)(model)
    standard = StandardScaler().fit_transform(X.astype(float))
    if kind == "regression":
        expected = Ridge(alpha=0.01 * 300).fit(standard, y).predict(standard)
    else:
        oracle = LogisticRegression(C=1 / (0.01 * 300), tol=1e-8, max_iter=10_000)
        if kind == "multiclass":
            expected = oracle.fit(standard, y).decision_function(standard)
            scores, expected = (values - values.mean(1, keepdims=True) for values in (scores, expected))
        else:
            expected = np.stack([oracle.fit(standard, y[:, tag]).decision_function(standard) for tag in range(3)], 1)
    np.testing.assert_allclose(scores, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_memory_does_not_grow_with_the_number_of_vectors(tmp_path, monkeypatch, kind):
    """But for labels and predictions: for each item a few numbers, and less than its vector takes."""
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 1 << 16)
    dimension, peaks = 256, []
    random = np.random.default_rng(0)
    X = random.normal(size=(12_000, dimension)).astype("<f4")
    (tmp_path / "x").write_bytes(X.tobytes())
    y = {"multiclass": X[:, :3].argmax(1), "multilabel": X[:, :3] > 0, "regression": X[:, :3].astype(float)}[kind]
    task = Task("t", kind, ("a", "b", "c"))
    for n in (6_000, 12_000):
        ends, splits = np.linspace(0, n, 4).astype(int), {}
        for name, begin, end in zip(("train", "valid", "test"), ends[:-1], ends[1:], strict=True):
            uid = np.arange(begin, end).astype(str)
            rows = Rows.of_file(MatrixFile(tmp_path / "x", 0), n, dimension)[np.arange(begin, end)]
            splits[name] = Split(rows, y[begin:end], uid, uid, None)
        tracemalloc.start()
        fit(ProbeData(task, splits, {}, []), FitOptions(RegularisationPath(strengths=(1.0, 0.1), max_iterations=2)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 6_000 * 4 * dimension / 5


def test_minibatches_and_outputs_are_those_of_a_tensor(tmp_path, small_chunks):
    from jukemir_like.probes import chunked_features
    from jukemir_like.probes.chunked_features import ChunkedFeatures

    X = np.random.default_rng(0).normal(size=(40, DIMENSION)).astype("<f4")
    (tmp_path / "x").write_bytes(X.tobytes())
    moments = standardisation(X)
    tensor = torch.from_numpy(((X - moments[0]) / moments[1]).astype(np.float32))
    features = ChunkedFeatures(Rows.of_file(MatrixFile(tmp_path / "x", 0), *X.shape), moments, torch.device("cpu"))
    indices, out = torch.tensor([5, 0, 39, 5]), torch.empty(4, DIMENSION)
    chunked_features.take(features, indices, out)
    assert torch.equal(out, tensor[indices])  # to the bit
    weights = torch.randn(3, DIMENSION, 2, generator=torch.Generator().manual_seed(0))
    one, other = (chunked_features.outputs(lambda x: x @ weights, given) for given in (features, tensor))
    assert one.shape == (3, 40, 2)
    torch.testing.assert_close(one, other)
    assert max(small_chunks) == 7
    assert json.dumps(features.shape) == "[40, 12]"
