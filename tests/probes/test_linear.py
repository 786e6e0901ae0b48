"""Regression paths against scikit-learn at the same strength."""

import numpy as np
import pytest
import scipy.optimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from jukemir_like.probes.lbfgs import minimise
from jukemir_like.probes.linear import InMemory, Model, fit_path, mean_model, standardisation
from jukemir_like.probes.protocols import RegularisationPath

STRENGTHS = (10.0, 0.1, 0.001)


def features(n, dimension, seed=0):
    """Correlated features of very different scales and means."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(n, 5))
    X = hidden @ random.normal(size=(5, dimension)) + random.normal(size=(n, dimension))
    return hidden, (X * np.geomspace(0.01, 100, dimension) + np.linspace(-50, 50, dimension)).astype(np.float32)


def fitted(kind, X, y, labels, strengths=STRENGTHS, **settings):
    features = InMemory.fit(X)
    models = fit_path(kind, features, y, labels, RegularisationPath(strengths=strengths, **settings))
    return {strength: lambda new, model=model: features.scorer(new)(model) for strength, model in models}


@pytest.mark.parametrize("shape", [(200, 12), (40, 90)], ids=["tall", "wide"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_classes_as_scikit_learn_fits_them(shape, strength):
    hidden, X = features(*shape)
    y = hidden[:, :4].argmax(1)
    scale = StandardScaler().fit(X.astype(float))
    oracle = LogisticRegression(C=1 / (strength * len(X)), tol=1e-8, max_iter=10_000).fit(scale.transform(X.astype(float)), y)
    _, new = features(50, shape[1], seed=1)
    scores = fitted("multiclass", X, y, 4, tolerance=1e-11)[strength](new)
    expected = oracle.decision_function(scale.transform(new.astype(float)))
    centred = scores - scores.mean(1, keepdims=True)  # a constant added to all classes changes nothing
    np.testing.assert_allclose(centred, expected - expected.mean(1, keepdims=True), atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(200, 12), (40, 90)], ids=["tall", "wide"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_tags_are_fitted_each_by_itself_as_scikit_learn_does(shape, strength):
    hidden, X = features(*shape)
    y = hidden[:, :3] > (0.0, 0.5, -0.5)
    scale = StandardScaler().fit(X.astype(float))
    _, new = features(50, shape[1], seed=1)
    scores = fitted("multilabel", X, y, 3, tolerance=1e-10)[strength](new)
    for tag in range(3):
        oracle = LogisticRegression(C=1 / (strength * len(X)), tol=1e-8, max_iter=10_000).fit(scale.transform(X.astype(float)), y[:, tag])
        expected = oracle.decision_function(scale.transform(new.astype(float)))
        np.testing.assert_allclose(scores[:, tag], expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(200, 12), (40, 90)], ids=["tall", "wide"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_values_as_scikit_learn_fits_them(shape, strength):
    hidden, X = features(*shape)
    y = hidden[:, :2] * (1, 30) + (5, -7)
    scale = StandardScaler().fit(X.astype(float))
    oracle = Ridge(alpha=strength * len(X)).fit(scale.transform(X.astype(float)), y)
    _, new = features(50, shape[1], seed=1)
    expected = oracle.predict(scale.transform(new.astype(float)))
    np.testing.assert_allclose(fitted("regression", X, y, 2)[strength](new), expected, rtol=1e-3, atol=1e-3)


def test_default_tolerance_reaches_the_objective_of_scikit_learn():
    hidden, X = features(300, 30)
    y = hidden[:, :4].argmax(1)
    in_memory = InMemory.fit(X)
    models = fit_path("multiclass", in_memory, y, 4, RegularisationPath(strengths=STRENGTHS))
    standard = StandardScaler().fit_transform(X.astype(float))

    def objective(weights, bias, strength):
        logits = standard @ weights + bias
        loss = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - logits[np.arange(len(y)), y]
        return loss.mean() + strength / 2 * (weights**2).sum()

    for strength, model in models:
        oracle = LogisticRegression(C=1 / (strength * len(X)), tol=1e-9, max_iter=10_000).fit(standard, y)
        best = objective(oracle.coef_.T, oracle.intercept_, strength)
        assert objective(in_memory.basis @ model.weights, model.bias, strength) <= best + 1e-5


def test_a_class_absent_from_train_is_never_predicted_and_leaves_the_others_as_they_are():
    hidden, X = features(120, 8)
    y = hidden[:, :3].argmax(1)
    spread = np.array([0, 2, 3])[y]  # class 1 of 4 has no item
    with_gap, without = fitted("multiclass", X, spread, 4)[0.1](X), fitted("multiclass", X, y, 3)[0.1](X)
    assert (with_gap.argmax(1) != 1).all()
    np.testing.assert_array_equal(with_gap[:, [0, 2, 3]], without)


def test_a_tag_that_train_never_or_always_has_gets_one_score():
    hidden, X = features(100, 8)
    y = np.column_stack([np.zeros(100, bool), hidden[:, 0] > 0, np.ones(100, bool)])
    scores = fitted("multilabel", X, y, 3)[0.1](X)
    assert np.isfinite(scores).all()
    assert np.ptp(scores[:, 0]) == np.ptp(scores[:, 2]) == 0
    assert scores[0, 0] < 0 < scores[0, 2]
    assert np.ptp(scores[:, 1]) > 0


@pytest.mark.parametrize("y", [np.zeros(30, int), np.r_[np.zeros(29, int), 1]], ids=["one class only", "a class with one item"])
def test_lonely_classes_can_be_fitted(y):
    _, X = features(30, 4)
    scores = fitted("multiclass", X, y, 2)[0.001](X)
    assert (scores.argmax(1) == y).all()


def test_constant_features_are_ignored():
    hidden, X = features(60, 6)
    y = hidden[:, :3].argmax(1)
    constants = np.tile(np.float32([0, 3.3, -1e6]), (60, 1))
    wider = np.hstack([X, constants])
    plain, padded = fitted("multiclass", X, y, 3)[0.1](X), fitted("multiclass", wider, y, 3)[0.1](wider)
    np.testing.assert_allclose(plain, padded, atol=1e-3)
    everything_constant = fitted("multiclass", constants, y, 3)[0.1](constants)
    np.testing.assert_allclose(np.exp(everything_constant[0]) / np.exp(everything_constant[0]).sum(), np.bincount(y) / 60, atol=1e-4)


def test_standardisation_is_scikit_learns_also_for_large_means_and_constants():
    random = np.random.default_rng(0)
    X = np.column_stack([random.normal(1e4, 1, 50), random.normal(0, 1e-6, 50), np.full(50, 0.1), np.zeros(50)]).astype(np.float32)
    oracle = StandardScaler().fit(X.astype(float))
    mean, scale = standardisation(X)
    np.testing.assert_allclose(mean, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale, oracle.scale_, rtol=1e-9)


@pytest.mark.parametrize("dimension", [2, 30])
def test_lbfgs_finds_the_minimum_that_scipy_finds(dimension):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(2 * dimension, dimension)) * np.geomspace(0.1, 10, dimension)
    sign = random.choice([-1.0, 1.0], 2 * dimension)

    def function(w):
        margin = sign * (matrix @ w)
        value = np.logaddexp(0, -margin).sum() + 0.05 * w @ w
        return value, -(matrix * sign[:, None]).T @ (1 / (1 + np.exp(margin))) + 0.1 * w

    solver = minimise(np.ones(dimension), 1e-12, 500)
    point = next(solver)
    while True:
        try:
            point = solver.send(function(point))
        except StopIteration as finished:
            found = finished.value
            break
    expected = scipy.optimize.minimize(function, np.ones(dimension), jac=True, method="L-BFGS-B", tol=1e-14).x
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_mean_model_takes_each_label_from_the_models_that_fitted_it():
    first = Model(np.array([[1.0, 2.0, 0.0]]), np.array([0.0, 4.0, -np.inf]))
    second = Model(np.array([[3.0, 0.0, 0.0]]), np.array([2.0, -np.inf, -np.inf]))
    mean = mean_model([first, second])
    np.testing.assert_array_equal(mean.weights, [[2.0, 2.0, 0.0]])
    np.testing.assert_array_equal(mean.bias, [1.0, 4.0, -np.inf])
    assert mean_model([]) is None
