"""The loss of held-out items against scikit-learn's log_loss and a grid of scales."""

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import expit, softmax

from jukemir_like.datasets import Task
from jukemir_like.probes.losses import mean_loss

CLASSES = Task("t", "multiclass", ("a", "b", "c"))
TAGS = Task("t", "multilabel", ("a", "b"))


def noisy(n=300, columns=3, seed=0):
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(n, columns))
    return hidden, (hidden + random.normal(size=(n, columns))).astype(np.float32)


def test_classes_at_the_best_scale():
    hidden, scores = noisy()
    y = hidden.argmax(1)
    losses = [sklearn.metrics.log_loss(y, softmax(scale * scores.astype(float), 1)) for scale in np.geomspace(0.01, 20, 2000)]
    assert mean_loss(CLASSES, y, scores) == pytest.approx(min(losses), abs=1e-6)
    assert mean_loss(CLASSES, y, 3 * scores) == pytest.approx(min(losses), abs=1e-6)


def test_tags_at_the_best_scale():
    hidden, scores = noisy(columns=2)
    y = hidden > 0
    losses = [
        np.mean([sklearn.metrics.log_loss(y[:, tag], expit(scale * scores[:, tag].astype(float))) for tag in (0, 1)])
        for scale in np.geomspace(0.01, 20, 2000)
    ]
    assert mean_loss(TAGS, y, scores) == pytest.approx(min(losses), abs=1e-6)


def test_numbers_count_in_units_of_their_variance():
    hidden, scores = noisy(columns=2)
    y = hidden * (1, 1000)
    expected = np.mean([1 - sklearn.metrics.r2_score(y[:, i], scores[:, i] * scale) for i, scale in enumerate((1, 1000))])
    assert mean_loss(Task("t", "regression", ("a", "b")), y, scores * np.float32([1, 1000])) == pytest.approx(expected, rel=1e-6)


def test_items_of_a_class_that_train_lacks_are_left_out_and_numbers_that_are_not_finite_have_no_loss():
    hidden, scores = noisy()
    y = hidden[:, :2].argmax(1)
    scores[:, 2] = -np.inf
    unseen = np.append(y, 2), np.vstack([scores, [1, 2, -np.inf]]).astype(np.float32)
    assert mean_loss(CLASSES, *unseen) == mean_loss(CLASSES, y, scores)
    assert mean_loss(CLASSES, np.full(300, 2), scores) == 0
    for wrong in (np.nan, np.inf):
        scores[5, 0] = wrong
        assert np.isnan(mean_loss(CLASSES, y, scores))
