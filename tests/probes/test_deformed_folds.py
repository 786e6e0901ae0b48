"""Probes of deformed datasets in folds: each fold's probe is fitted on the clean items of the others, and tested on its deformed ones."""

import csv
import json

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS
from jukemir_like.probes.protocols import Grid, LinearEval, RegularisationPath
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.report.report import report

OF_PROTOCOL = {
    "linear": None,
    "jukemir": Grid(hidden=(0,), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), weight_decay=(0.0,), patience=2),
    "lineareval": LinearEval(learning_rate=3e-2, max_epochs=10),
}
DRAWN = {"folds": 4, "folds_seed": 3}


def own(number, clips=1):
    """Options that turn the splits of the small dataset into folds of its own, by artist."""

    def edit(meta, description):
        artists = list(dict.fromkeys(record["extra"]["artist"] for record in meta.values()))
        for record in meta.values():
            artist = record["extra"]["artist"]
            record |= {"split": None, "extra": {"artist": artist, "fold": f"f{artists.index(artist) % number}"}}
        description["folds"] = [f"f{index}" for index in range(number)]

    return {"edit": edit, "clips": clips, "all_items": True}


def probe_both(cache, protocol="linear", **options):
    """The runs of the clean and of the deformed dataset, in pairs."""
    options = {"settings": OF_PROTOCOL[protocol], "device": "cpu", "seeds": [1], **options}
    clean, deformed = (probe_dataset(cache, name, "rep", protocol=protocol, **options).runs for name in ("toy", "toy~noise-20"))
    return zip(clean, deformed, strict=True)


def assert_equal(first, second):
    assert first.arrays().keys() == second.arrays().keys()
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[name], err_msg=name)


@pytest.mark.parametrize("protocol", OF_PROTOCOL)
@pytest.mark.parametrize(("options", "folds"), [({"all_items": True}, DRAWN), (own(3), {}), (own(5, clips=2), {}), (own(3), DRAWN)])
def test_deformed_by_nothing_they_are_those_of_the_clean_dataset(deform, protocol, options, folds):
    cache = deform(tasks=("genre", "key"), **options)
    for clean, deformed in probe_both(cache, protocol, **folds):
        assert_equal(clean.predictions("test"), deformed.predictions("test"))
        assert_equal(clean.predictions("valid"), deformed.predictions("valid"))
        for name in ("evaluation", "n", "scored", "metrics", "left_out", "selected", "folds"):
            assert clean.record[name] == deformed.record[name], name
        assert (clean.deformed, deformed.deformed.dataset) == (None, "toy")
        assert clean.folds == deformed.folds


@pytest.mark.parametrize("protocol", OF_PROTOCOL)
def test_only_what_is_tested_is_deformed(deform, protocol):
    cache = deform(lambda vector: -vector, all_items=True, tasks=("genre", "tags", "emotion"))
    for clean, deformed in probe_both(cache, protocol, **DRAWN):
        assert_equal(clean.predictions("valid"), deformed.predictions("valid"))
        first, second = clean.predictions("test"), deformed.predictions("test")
        for name in ("uid", "group", "y", "fold"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        metric = clean.task.primary_metric
        assert deformed.metrics["test"][metric] < clean.metrics["test"][metric]


@pytest.mark.parametrize("clips", [1, 2])
@pytest.mark.parametrize("task", ["genre", "tags", "emotion"])
def test_each_fold_is_as_a_dataset_whose_train_is_the_other_folds(deform, make_dataset, task, clips):
    """By splits: a dataset for each fold, in which that fold is test with its deformed vectors, and all others are train."""
    settings = RegularisationPath(strengths=(0.1,))
    cache = deform(lambda vector: 0.5 * vector + 0.2, tasks=(task,), **own(3, clips))
    ((_, deformed),) = probe_both(cache, settings=settings)
    meta, description = (json.loads((cache.processed("toy") / name).read_text()) for name in ("meta.json", "dataset.json"))
    del description["folds"]
    pooled = deformed.predictions("test")
    for fold in ("f0", "f1", "f2"):
        splits = {uid: {**record, "split": "test" if record["extra"]["fold"] == fold else "train"} for uid, record in meta.items()}
        folder = cache.processed(f"by-hand-{fold}")
        folder.mkdir()
        (folder / "meta.json").write_text(json.dumps(splits))
        (folder / "dataset.json").write_text(json.dumps({**description, "name": folder.name}))
        for uid, record in splits.items():
            source = cache.representation("toy~noise-20" if record["split"] == "test" else "toy", "rep") / f"{uid}.npy"
            target = cache.representation(folder.name, "rep") / f"{uid}.npy"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        (run,) = probe_dataset(cache, folder.name, "rep", settings=settings).runs
        by_hand = run.predictions("test")
        rows = pooled.fold == fold
        np.testing.assert_array_equal(np.sort(by_hand.uid), np.sort(pooled.uid[rows]))
        of_hand = dict(zip(by_hand.uid.tolist(), _of_classes(task, by_hand.scores), strict=True))
        for uid, scores in zip(pooled.uid[rows].tolist(), _of_classes(task, pooled.scores[rows]), strict=True):
            np.testing.assert_allclose(scores, of_hand[uid], atol=2e-3)


def _of_classes(task, scores):
    """Scores of classes are the same where they differ by one number."""
    return scores - scores.mean(1, keepdims=True) if task == "genre" else scores


def test_labels_that_moved_are_what_the_predictions_are_scored_against_and_not_what_is_fitted(deform):
    def move(y):
        return KEYS[(KEYS.index(y) + 2) % 12 + 12 * (KEYS.index(y) // 12)]

    cache = deform(relabel=move, all_items=True, tasks=("key",))
    ((clean, deformed),) = probe_both(cache, **DRAWN)
    first, second = clean.predictions("test"), deformed.predictions("test")
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal((first.y + 2) % 12, second.y % 12)
    assert_equal(clean.predictions("valid"), deformed.predictions("valid"))


def test_the_baseline_is_that_of_the_clean_dataset(deform):
    cache = deform(lambda vector: -vector, all_items=True)
    clean, deformed = (probe_dataset(cache, name, "trivial", **DRAWN).runs for name in ("toy", "toy~noise-20"))
    for one, other in zip(clean, deformed, strict=True):
        assert_equal(one.predictions("test"), other.predictions("test"))


def test_vectors_that_stay_on_disk_give_the_same(deform):
    cache = deform(lambda vector: 1.1 * vector, all_items=True)
    settings = RegularisationPath(strengths=(0.1,))
    in_memory = probe_dataset(cache, "toy~noise-20", "rep", settings=settings, **DRAWN).runs
    for run in in_memory:
        for path in run.folder.iterdir():
            path.unlink()
    on_disk = probe_dataset(cache, "toy~noise-20", "rep", settings=settings, chunks_above=0, **DRAWN).runs
    for one, other in zip(in_memory, on_disk, strict=True):
        assert "chunks" in other.record
        assert other.metrics["test"] == pytest.approx(one.metrics["test"], abs=1e-3)


def test_a_deformed_item_without_a_vector_is_fitted_on_and_not_tested_and_is_counted(deform):
    cache = deform(all_items=True, tasks=("genre",))
    (cache.representation("toy~noise-20", "rep") / "train" / "000-0.npy").unlink()
    ((clean, deformed),) = probe_both(cache, **DRAWN)
    assert deformed.record["left_out"]["vectors"] == {"not tested, deformed: no vector": 1}
    assert any("1 items left out: not tested, deformed: no vector" in note for note in deformed.record["notes"])
    assert_equal(clean.predictions("valid"), deformed.predictions("valid"))
    kept = np.flatnonzero(clean.predictions("test").uid != "train/000-0")
    assert_equal(clean.predictions("test").take(kept), deformed.predictions("test"))
    trained = [[fold["n"]["train"] for fold in run.record["folds"]] for run in (clean, deformed)]
    assert trained[0] == trained[1]
    assert (clean.record["n"]["test"], deformed.record["n"]["test"]) == (130, 129)


def test_a_clean_item_without_a_vector_is_neither_fitted_on_nor_tested(deform):
    cache = deform(all_items=True, tasks=("genre",))
    (cache.representation("toy", "rep") / "train" / "000-0.npy").unlink()
    for run in next(probe_both(cache, **DRAWN)):
        assert run.record["n"]["test"] == 129
        assert run.record["left_out"]["vectors"] == {"no vector": 1}


def test_a_fold_of_which_nothing_is_deformed_is_one_line(deform):
    cache = deform(tasks=("genre",), **own(3))
    meta = json.loads((cache.processed("toy") / "meta.json").read_text())
    for uid, record in meta.items():
        if record["extra"]["fold"] == "f1":
            (cache.representation("toy~noise-20", "rep") / f"{uid}.npy").unlink()
    with pytest.raises(RequestError, match="nothing is to be tested in fold f1 of toy~noise-20"):
        probe_dataset(cache, "toy~noise-20", "rep")


def test_of_all_items_deformed_those_of_test_are_tested_by_splits(deform):
    cache = deform(lambda vector: -vector, all_items=True)
    by_splits = probe_dataset(cache, "toy~noise-20", "rep").runs
    for run in by_splits:
        assert run.record["n"] == {"train": 60, "valid": 30, "test": 40}


@pytest.fixture
def on_the_page(deform):
    """Rows of ``deformations.csv``, and the page, after both datasets were probed in folds."""

    def make(clean=DRAWN, deformed=DRAWN):
        cache = deform(lambda vector: vector[::-1], all_items=True, tasks=("genre", "tags"))
        runs = [probe_dataset(cache, name, "rep", **folds).runs for name, folds in (("toy", clean), ("toy~noise-20", deformed))]
        report(cache)
        path = cache.report / "deformations.csv"
        rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        return runs, rows, (cache.report / "index.html").read_text()

    return make


def test_the_page_compares_folds_in_pairs_as_the_metrics_of_folds_are_made(on_the_page):
    """ROC-AUC ranks within a fold, which it would not if the folds were lost on the way."""
    (clean, deformed), rows, page = on_the_page()
    found = {(row["task"], row["metric"]): row for row in rows}
    for one, other in zip(clean, deformed, strict=True):
        for metric, value in one.metrics["test"].items():
            row = found[one.task.name, metric]
            assert (row["protocol"], row["n"]) == ("linear, 4 drawn folds (seed 3)", "130")
            assert float(row["clean"]) == pytest.approx(value)
            assert float(row["difference"]) == pytest.approx(other.metrics["test"][metric] - value)
            assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    assert "has nothing to be compared with" not in page


def test_folds_without_clean_results_of_the_same_folds_are_said(on_the_page):
    _, rows, page = on_the_page(clean={})
    assert rows == []
    assert "toy~noise-20 (linear, 4 drawn folds (seed 3)) has nothing to be compared with: probe toy so, too" in page
