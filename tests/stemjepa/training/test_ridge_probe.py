"""The probe against scikit-learn's ridge regression, and on labels whose score is known."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from jukemir_like.stemjepa.training.ridge_probe import FOLDS, STRENGTHS, folds_of, predict, score


def data(items=40, features=70, targets=3, noise=0.5, seed=0):
    random = np.random.default_rng(seed)
    X = random.standard_normal((items, features)) * random.uniform(0.1, 10, features) + random.uniform(-5, 5, features)
    y = StandardScaler().fit_transform(X)[:, :5] @ random.standard_normal((5, targets)) + noise * random.standard_normal((items, targets))
    return X, y


@pytest.mark.parametrize("features", [70, 12])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_predictions_are_those_of_scikit_learn_with_the_same_folds(features, noise):
    X, y = data(features=features, noise=noise)
    folds = folds_of([str(item // 2) for item in range(40)])
    expected = np.empty_like(y)
    for fold in range(FOLDS):
        test = folds == fold
        scaler = StandardScaler().fit(X[~test])
        model = RidgeCV(STRENGTHS * features).fit(scaler.transform(X[~test]), y[~test])
        expected[test] = model.predict(scaler.transform(X[test]))
    assert predict(X, y, folds) == pytest.approx(expected, abs=1e-6)


def test_folds_keep_groups_together_and_are_always_the_same():
    groups = [f"artist {item // 3}" for item in range(60)]
    folds = folds_of(groups)
    assert len({(group, fold) for group, fold in zip(groups, folds.tolist(), strict=True)}) == 20
    assert np.bincount(folds).tolist() == [12] * FOLDS
    assert folds_of(groups).tolist() == folds.tolist()
    assert len(list(GroupKFold(FOLDS).split(folds, groups=folds))) == FOLDS  # as many as there are


def test_scores_are_scikit_learns_of_the_same_predictions():
    X, y = data(items=60, targets=2, noise=1.0)
    groups, names = [str(item) for item in range(60)], ("a", "b")
    predicted = predict(X, y, folds_of(groups))
    assert score(X, y.tolist(), "regression", names, groups)[""] == pytest.approx(r2_score(y, predicted), abs=1e-9)
    has = (y > 0).astype(float)
    tags = [[name for name, one in zip(names, row, strict=True) if one] for row in has]
    expected = roc_auc_score(has, predict(X, has, folds_of(groups)))
    assert score(X, tags, "multilabel", names, groups)[""] == pytest.approx(expected, abs=1e-9)


def test_labels_that_vectors_tell_are_found_and_others_are_not():
    X, y = data(items=100, features=20, targets=1, noise=0.0)
    groups, random = [str(item) for item in range(100)], np.random.default_rng(1)
    told = ["high" if value > 0 else "low" for value in y[:, 0]]
    found = score(X, told, "multiclass", ("high", "low", "never"), groups)
    assert found[""] > 0.85
    assert found[" by chance"] == max(told.count("high"), told.count("low")) / 100
    assert score(X, random.permutation(told).tolist(), "key", ("high", "low"), groups)[""] < 0.7
    assert score(X, (100 + y[:, 0]).tolist(), "tempo", ("tempo",), groups)[""] > 0.8


@pytest.mark.parametrize(
    ("kind", "labels", "groups", "reason"),
    [
        ("multiclass", ["a", "b"] * 4, range(8), "8 groups of tracks have a label, 10 are needed"),
        ("multiclass", ["a", "b"] * 10, [0] * 20, "1 groups of tracks have a label"),
        ("multiclass", ["a"] * 12, range(12), "the same label"),
        ("regression", [[1.0]] * 12, range(12), "the same label"),
        ("multilabel", [["a"]] * 12, range(12), "no tag is on some tracks"),
    ],
)
def test_what_has_no_score_says_why(kind, labels, groups, reason):
    assert reason in score(np.eye(len(labels)), labels, kind, ("a", "b"), list(map(str, groups)))
