"""Labels counted by hand, and regression against NumPy."""

import numpy as np

from jukemir_like.audit.splits import label_counts
from jukemir_like.datasets.processed import read_processed


def found(cache):
    return label_counts(read_processed(cache.processed("d")))


def test_classes_are_counted_by_split(dataset, record):
    given = [("train", "jazz"), ("train", "jazz"), ("train", None), ("valid", "jazz"), ("test", "rock"), (None, "rock"), ("test", "polka")]
    one = found(dataset({str(index): record(split, y) for index, (split, y) in enumerate(given)}))["genre"]
    assert one["counts"] == {
        "jazz": {"train": 2, "valid": 1, "test": 0, "none": 0},
        "rock": {"train": 0, "valid": 0, "test": 1, "none": 1},
    }
    assert one["without_label"] == {"train": 1}
    assert one["absent"] == {"train": ["rock"], "valid": ["rock"], "test": ["jazz"]}
    assert one["undeclared"] == {"polka": 1}


def test_tags_are_counted_one_by_one_and_items_without_any_too(dataset, record):
    tasks = {"tags": {"type": "multilabel", "labels": ["loud", "slow"], "primary_metric": "roc_auc"}}
    given = {"a": ["loud", "slow"], "b": ["loud"], "c": [], "d": None}
    one = found(dataset({uid: record("train", y) for uid, y in given.items()}, tasks=tasks))["tags"]
    assert {label: counts["train"] for label, counts in one["counts"].items()} == {"loud": 2, "slow": 1}
    assert (one["without_tag"]["train"], one["without_label"]) == (1, {"train": 1})


def test_values_of_several_tasks_have_mean_and_spread(dataset, record):
    tasks = {
        "emotion": {"type": "regression", "labels": ["arousal", "valence"], "primary_metric": "r2"},
        "genre": {"type": "multiclass", "labels": ["jazz"], "primary_metric": "accuracy"},
    }
    numbers = np.random.default_rng(0).standard_normal((20, 2))
    records = {str(i): record("train" if i < 15 else "test", {"emotion": row.tolist(), "genre": "jazz"}) for i, row in enumerate(numbers)}
    both = found(dataset(records, tasks=tasks))
    valence = both["emotion"]["values"]["valence"]
    np.testing.assert_allclose(
        [valence["train"]["mean"], valence["train"]["std"]], [numbers[:15, 1].mean(), numbers[:15, 1].std()], atol=1e-5
    )
    assert (valence["test"]["n"], "valid" in valence) == (5, False)
    assert both["genre"]["counts"]["jazz"]["train"] == 15
