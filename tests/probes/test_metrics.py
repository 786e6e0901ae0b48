"""Metrics against scikit-learn and mir_eval, and weights against repeated rows."""

import mir_eval
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import metrics

TASKS = {
    "multiclass": Task("t", "multiclass", ("a", "b", "c", "d")),
    "multilabel": Task("t", "multilabel", ("a", "b", "c", "d")),
    "regression": Task("t", "regression", ("a", "b", "c", "d")),
    "key": Task("t", "key", KEYS),
}


def draw(kind, n, seed, coarse=False):
    """Labels and scores; coarse scores have many ties."""
    random = np.random.default_rng(seed)
    labels = len(TASKS[kind].labels)
    scores = random.normal(size=(n, labels))
    if coarse:
        scores = np.round(scores)
    if kind == "multilabel":
        return random.random((n, labels)) < 0.3, scores
    if kind == "regression":
        return scores + random.normal(size=scores.shape), scores
    return random.integers(labels, size=n), scores


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_classes_as_scikit_learn_has_them(seed, coarse):
    y, scores = draw("multiclass", 37, seed, coarse)
    y[y == 3] = 0  # a class that only predictions have
    found = metrics.evaluate(TASKS["multiclass"], y, scores)
    predicted = scores.argmax(1)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(y, predicted), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(y, predicted, average="macro"), abs=1e-12)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_tags_as_scikit_learn_has_them(seed, coarse):
    y, scores = draw("multilabel", 61, seed, coarse)
    found = metrics.evaluate(TASKS["multilabel"], y, scores)
    assert found["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(y, scores, average="macro"), abs=1e-12)
    assert found["average_precision"] == pytest.approx(sklearn.metrics.average_precision_score(y, scores, average="macro"), abs=1e-12)


def test_values_as_scikit_learn_has_them():
    y, scores = draw("regression", 41, 0)
    found = metrics.evaluate(TASKS["regression"], y + 1e6, scores + 1e6)
    each = sklearn.metrics.r2_score(y, scores, multioutput="raw_values")
    assert found["r2"] == pytest.approx(each.mean(), abs=1e-6)
    assert [found[f"r2_{label}"] for label in "abcd"] == pytest.approx(each, abs=1e-6)


def test_all_pairs_of_keys_as_mir_eval_has_them():
    expected = [[mir_eval.key.weighted_score(reference, estimate) for estimate in KEYS] for reference in KEYS]
    assert metrics.mirex_table().tolist() == expected
    estimates = np.eye(24)[np.tile(np.arange(24), 24)]
    found = metrics.evaluate(TASKS["key"], np.repeat(np.arange(24), 24), estimates)
    assert found["weighted_score"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert found["accuracy"] == pytest.approx(1 / 24, abs=1e-12)


def test_keys_are_rated_by_name_when_a_dataset_has_only_some_in_another_order():
    some = ("A minor", "G major", "C major")
    task = Task("t", "key", some)
    y, scores = np.array([2, 2, 2, 0]), np.eye(3)[[0, 1, 2, 1]]
    pairs = [("C major", "A minor"), ("C major", "G major"), ("C major", "C major"), ("A minor", "G major")]
    expected = np.mean([mir_eval.key.weighted_score(*pair) for pair in pairs])
    assert metrics.evaluate(task, y, scores)["weighted_score"] == pytest.approx(expected, abs=1e-12)
    with pytest.raises(RequestError, match="'H major' is not a key"):
        metrics.mirex_table(("H major",))


@pytest.mark.parametrize("kind", TASKS)
@given(n=st.integers(2, 30), seed=st.integers(0, 10**6), coarse=st.booleans(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_weights_are_repetitions(kind, n, seed, coarse, data):
    y, scores = draw(kind, n, seed, coarse)
    weights = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any)))
    rows = np.repeat(np.arange(n), weights)
    with_weights, repeated = metrics.evaluate(TASKS[kind], y, scores, weights), metrics.evaluate(TASKS[kind], y[rows], scores[rows])
    assert with_weights == pytest.approx(repeated, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", TASKS)
def test_many_resamples_are_what_each_is(kind):
    y, scores = draw(kind, 50, 3, coarse=True)
    weights = np.random.default_rng(0).multinomial(50, np.full(50, 1 / 50), size=150)
    together = metrics.evaluate_resamples(TASKS[kind], y, scores, weights)
    for i in (0, 63, 64, 149):
        alone = metrics.evaluate(TASKS[kind], y, scores, weights[i])
        assert {name: value[i] for name, value in together.items()} == pytest.approx(alone, abs=1e-12)


def test_weighted_areas_as_scikit_learn_weighs_them():
    y, scores = draw("multilabel", 80, 1, coarse=True)
    weights = np.random.default_rng(2).random(80) * 3
    found = metrics.evaluate(TASKS["multilabel"], y, scores, weights)
    for name, reference in (("roc_auc", sklearn.metrics.roc_auc_score), ("average_precision", sklearn.metrics.average_precision_score)):
        assert found[name] == pytest.approx(np.mean([reference(y[:, i], scores[:, i], sample_weight=weights) for i in range(4)]), abs=1e-12)


def test_tags_without_a_positive_or_without_a_negative_are_left_out_and_counted():
    y, scores = draw("multilabel", 30, 0)
    y[:, 0], y[:, 1] = False, True
    found = metrics.evaluate(TASKS["multilabel"], y, scores)
    assert found["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(y[:, 2:], scores[:, 2:]), abs=1e-12)
    assert found["average_precision"] == pytest.approx(sklearn.metrics.average_precision_score(y[:, 1:], scores[:, 1:]), abs=1e-12)
    assert metrics.count_undefined(TASKS["multilabel"], y) == {"roc_auc": 2, "average_precision": 1}


def test_nothing_defined_is_not_a_number_and_makes_no_warning(recwarn):
    y = np.zeros((5, 4), bool)
    assert all(np.isnan(value) for value in metrics.evaluate(TASKS["multilabel"], y, np.zeros((5, 4))).values())
    constant = metrics.evaluate(TASKS["regression"], np.full((5, 4), 0.1), np.zeros((5, 4)))
    assert all(np.isnan(value) for value in constant.values())
    weights = np.array([0, 0, 0, 0, 3])  # a resample of one row only
    assert np.isnan(metrics.evaluate(TASKS["regression"], *draw("regression", 5, 0), weights)["r2"])
    assert not recwarn.list


def test_the_first_of_equal_scores_is_the_prediction():
    assert metrics.accuracy(np.array([0, 1]), np.zeros((2, 3))) == 0.5


def test_shapes_and_scores_that_do_not_fit_are_refused():
    y, scores = draw("multilabel", 6, 0)
    for wrong in ((y.astype(int), scores), (y, scores[:, :2]), (y[:, 0], scores), (y, np.full_like(scores, np.nan))):
        with pytest.raises(ValueError, match=r"labels? of|scores? "):
            metrics.evaluate(TASKS["multilabel"], *wrong)
    with pytest.raises(ValueError, match="weights"):
        metrics.evaluate(TASKS["multilabel"], y, scores, np.ones(5))
