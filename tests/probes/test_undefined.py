"""Metrics that do not exist on what validates, and protocols that have nothing to validate on: one line, or a row; never a traceback."""

import json

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.probes.arrays import probe
from jukemir_like.probes.stage import probe_dataset


def without_valid(meta, _):
    for record in meta.values():
        record["split"] = None if record["split"] == "valid" else record["split"]


def same_labels_in_train(meta, _):
    for record in meta.values():
        if record["split"] == "train":
            record["y"] |= {"tags": ["fast"], "emotion": [1.0, 2.0], "genre": "jazz"}


@pytest.mark.parametrize("seeds", [(42,), (42, 43, 44)])
def test_lineareval_without_a_validation_split_is_one_line(make_dataset, seeds):
    cache = make_dataset(tasks=("genre",), edit=without_valid)
    with pytest.raises(RequestError, match="this protocol stops training by it; give it items, or use protocol linear"):
        probe_dataset(cache, "toy", "rep", protocol="lineareval", seeds=seeds)


@pytest.mark.parametrize("representation", ["rep", "trivial"])
def test_where_train_validates_its_metric_must_exist(make_dataset, representation):
    def edit(meta, description):
        without_valid(meta, description)
        same_labels_in_train(meta, description)

    cache = make_dataset(edit=edit)
    with pytest.raises(RequestError) as raised:
        probe_dataset(cache, "toy", representation)
    assert "ROC-AUC of tags is undefined in split train of toy" in str(raised.value)
    assert "R² of emotion is undefined in split train of toy" in str(raised.value)
    assert "genre" not in str(raised.value)  # always the same class, which is a row


@pytest.mark.parametrize("representation", ["rep", "trivial"])
def test_one_fold_that_has_all_positives_and_all_values_is_a_row(make_dataset, representation):
    def edit(meta, description):
        description["folds"] = ["1", "2", "3", "4"]
        for number, (uid, record) in enumerate(meta.items()):
            record["split"], record["extra"] = None, {"artist": uid, "fold": str(number % 4 + 1)}
            if number % 4:
                record["y"] |= {"tags": [], "emotion": [1.0, 2.0], "genre": "jazz"}

    runs = probe_dataset(make_dataset(edit=edit), "toy", representation).runs
    assert [run.task.name for run in runs] == ["genre", "key", "tags", "emotion"]
    for run in runs:
        json.loads((run.folder / "run.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity
    assert runs[2].record["folds"][0]["metrics"]["valid"]["roc_auc"] is None


def test_a_label_that_only_valid_has_can_be_learned_by_what_is_fitted_on_both(make_dataset):
    notes = probe_dataset(make_dataset(tasks=("genre", "key"), edit=same_labels_in_train), "toy", "rep", tasks=["genre"]).notes
    assert "genre: 2 of 3 labels are in no train item, only a probe that is fitted on valid too can learn them: blues, rock" in notes
    assert not any("no probe can learn" in note for note in notes)


def test_a_seed_of_folds_without_folds_is_refused(make_dataset):
    with pytest.raises(RequestError, match="give --folds K, too"):
        probe_dataset(make_dataset(tasks=("genre", "key")), "toy", "rep", folds_seed=3)
    X, y = np.random.default_rng(0).normal(size=(40, 3)), ["a", "b"] * 20
    for arguments in ({}, {"folds": [1, 2, 3, 4] * 10}, {"split": ["train", "train", "valid", "test"] * 10}):
        with pytest.raises(RequestError, match="no folds are drawn"):
            probe(X, y, folds_seed=1, **arguments)


def test_a_baseline_of_small_folds_says_that_it_is_below_chance(make_dataset):
    def edit(meta, description):
        description["group"] = None
        for number, record in enumerate(meta.values()):
            record["y"] |= {"genre": ("blues", "jazz")[number % 2]}

    (run,) = probe_dataset(make_dataset(edit=edit, sizes=(12, 4, 4)), "toy", "trivial", tasks=["genre"], folds=20).runs
    assert run.metrics["test"]["accuracy"] == 0
    where = "where the largest class ('blues') of all items would have 50.0 %"
    note = f"genre: trivial is, for each fold, that of all others and has 0.0 %, {where}"
    assert note in run.record["notes"]


@pytest.mark.parametrize("arguments", [{}, {"folds": 3}])
def test_tempi_that_no_probe_chooses_from_are_counted(arguments):
    X = np.random.default_rng(0).normal(size=(60, 3))
    hertz = 2.0 + 0.01 * np.arange(60)
    hertz[:12] *= 60
    result = probe(X, hertz, task_type="tempo", **arguments)
    assert "y: 48 of 60 tempi cannot be predicted, as probes choose from 30 to 302 beats per minute" in result.notes
    assert not any("cannot be predicted" in note for note in probe(X, 60 + hertz, task_type="tempo", **arguments).notes)
