"""Protocol linear as a whole: what is held out, what is fitted in the end, what is said about it; against scikit-learn, fold by fold."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from jukemir_like.core.rows import Rows
from jukemir_like.datasets import Task
from jukemir_like.probes import held_out, regularised
from jukemir_like.probes.held_out import part
from jukemir_like.probes.protocols import RegularisationPath
from jukemir_like.probes.tasks import ProbeData, Split

SHORT = RegularisationPath(strengths=(10.0, 1.0, 0.1, 0.01), tolerance=1e-10)
KINDS = ("multiclass", "multilabel", "regression")


def items(kind="multiclass", n=120, dimension=6, clips=2, seed=0):
    random = np.random.default_rng(seed)
    hidden = np.repeat(random.normal(size=(n // clips, 3)), clips, 0)
    X = (hidden @ random.normal(size=(3, dimension)) + random.normal(size=(n, dimension))).astype(np.float32)
    y = {"multiclass": hidden.argmax(1), "multilabel": hidden > 0.2, "regression": hidden}[kind]
    names = np.char.mod("%04d", np.arange(n))
    return Split(X, y, names, np.char.mod("g%03d", np.arange(n) // clips), None)


def data_of(whole, kind="multiclass", **rows):
    return ProbeData(Task("t", kind, ("a", "b", "c")), {name: part(whole, np.asarray(of)) for name, of in rows.items()}, {}, [])


def sklearn_scores(fitted, new, strength):
    scale = StandardScaler().fit(fitted.X.astype(float))
    model = LogisticRegression(C=1 / (strength * len(fitted.y)), tol=1e-9, max_iter=10_000).fit(
        scale.transform(fitted.X.astype(float)), fitted.y
    )
    return model.decision_function(scale.transform(new.X.astype(float)))


def same_up_to_a_constant(scores, expected, tolerance=5e-3):
    centred = [values - values.mean(1, keepdims=True) for values in (scores, expected)]
    np.testing.assert_allclose(*centred, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("refit", [True, False])
def test_a_large_validation_split_selects_and_is_fitted_on_unless_not_wanted(monkeypatch, refit):
    monkeypatch.setattr(held_out, "FEW_ITEMS", 10)
    monkeypatch.setattr(held_out, "FEW_GROUPS", 5)
    whole = items()
    data = data_of(whole, train=range(60), valid=range(60, 90), test=range(90, 120))
    fitted = regularised.fit(data, replace(SHORT, refit=refit), "t")
    strength = fitted.hyperparameters["strength"]
    train = part(whole, np.arange(60))
    same_up_to_a_constant(fitted.predictions["valid"].scores, sklearn_scores(train, data.splits["valid"], strength))
    known = part(whole, np.arange(90 if refit else 60))
    same_up_to_a_constant(fitted.predictions["test"].scores, sklearn_scores(known, data.splits["test"], strength))
    assert fitted.details == {
        "selected_by": "loss",
        "held_out": "split",
        "held_out_items": 30,
        "fitted_on": len(known.y),
        "end_of_path": "weakest" if strength == 0.01 else None,
        "weakest_fitted": fitted.details["weakest_fitted"],
    }
    assert len(data.notes) == (strength == 0.01)


@pytest.mark.parametrize("valid", [True, False])
def test_without_a_validation_split_or_with_a_small_one_folds_are_held_out(valid):
    whole = items()
    splits = {"train": range(60), "valid": range(60, 90)} if valid else {"train": range(90)}
    data = data_of(whole, **splits, test=range(90, 120))
    fitted = regularised.fit(data, SHORT, "t")
    strength, known = fitted.hyperparameters["strength"], part(whole, np.arange(90))
    same_up_to_a_constant(fitted.predictions["test"].scores, sklearn_scores(known, data.splits["test"], strength))
    predicted = fitted.predictions["valid"]
    assert predicted.uid.tolist() == known.uid.tolist()
    for trial in held_out.fold_trials(known, data.task):
        same_up_to_a_constant(
            predicted.scores[trial.scored], sklearn_scores(part(known, trial.fitted), part(known, trial.scored), strength), 2e-2
        )
    assert (fitted.details["held_out"], fitted.details["folds"], fitted.details["held_out_items"]) == ("folds", 5, 90)
    assert fitted.details["fitted_on"] == 90
    why = "of train and valid: valid has 30 items (fewer than 200)" if valid else "of train: there is no validation split"
    assert data.notes[:1] == [f"t: the strength was selected by cross-validation on 90 items {why}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [6, 200], ids=["tall", "wide"])
def test_folds_together_are_as_each_by_itself(monkeypatch, kind, dimension):
    """The slow and obvious version: for each fold, every other one is held out in turn."""
    whole, number = items(kind, dimension=dimension), 4
    fold = np.arange(120) // 2 % number
    folds = [data_of(whole, kind, train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(number)]
    for f, fitted in enumerate(regularised.fit_folds(folds, SHORT, "t")):
        known = np.flatnonzero(fold != f)
        trials = [held_out.Trial(np.flatnonzero(fold[known] != g), np.flatnonzero(fold[known] == g)) for g in range(number) if g != f]
        monkeypatch.setattr(regularised, "fold_trials", lambda *_, trials=trials: trials)
        alone = regularised.fit(folds[f], SHORT, "t")
        assert fitted.hyperparameters == alone.hyperparameters
        assert fitted.details == alone.details
        assert [one["strength"] for one in fitted.candidates][: len(alone.candidates)] == [one["strength"] for one in alone.candidates]
        for split in ("valid", "test"):
            one, two = fitted.predictions[split], alone.predictions[split]
            order = np.argsort(one.uid), np.argsort(two.uid)
            assert one.uid[order[0]].tolist() == two.uid[order[1]].tolist()
            np.testing.assert_allclose(one.scores[order[0]], two.scores[order[1]], atol=1e-2 * np.abs(two.scores).max())


def test_of_large_folds_as_few_are_held_out_as_will_do(monkeypatch):
    assert len(regularised._pairs([100] * 5)) == 10
    assert regularised._pairs([1000] * 5) == [(0, 1), (2, 3), (3, 4)]
    assert len(regularised._pairs([600] * 5)) == 5
    assert regularised._pairs([10, 10, 10]) == [(0, 1), (1, 2), (0, 2)]
    monkeypatch.setattr(regularised, "MANY_ITEMS", 20)
    whole, fold = items(), np.arange(120) // 2 % 5
    folds = [data_of(whole, train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(5)]
    for f, fitted in enumerate(regularised.fit_folds(folds, SHORT, "t")):
        assert not set(fitted.predictions["valid"].uid) & set(folds[f].splits["test"].uid)
        assert fitted.details["held_out_items"] in (24, 48)


def test_folds_that_do_not_make_up_the_others_are_fitted_each_by_itself():
    whole, fold = items(), np.arange(120) // 2 % 3
    folds = [data_of(whole, train=np.flatnonzero(fold != f)[2:], test=np.flatnonzero(fold == f)) for f in range(3)]
    together = regularised.fit_folds(folds, SHORT, "t")
    for one, data in zip(together, folds, strict=True):
        np.testing.assert_array_equal(one.predictions["test"].scores, regularised.fit(data, SHORT, "t").predictions["test"].scores)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_on_disk_without_a_validation_split(kind):
    whole = items(kind)
    data = data_of(whole, kind, train=range(90), test=range(90, 120))
    on_disk = replace(data, splits={name: replace(split, X=Rows.of_array(split.X)) for name, split in data.splits.items()}, notes=[])
    by_rows, in_memory = regularised.fit(on_disk, SHORT, "t"), regularised.fit(data, SHORT, "t")
    assert by_rows.hyperparameters == in_memory.hyperparameters
    assert by_rows.details == in_memory.details
    largest = np.abs(in_memory.predictions["test"].scores).max()
    np.testing.assert_allclose(by_rows.predictions["test"].scores, in_memory.predictions["test"].scores, atol=1e-2 * largest)


def test_a_small_split_selects_where_all_items_are_of_one_group():
    whole = replace(items(), group=np.full(120, "one"))
    data = data_of(whole, train=range(60), valid=range(60, 90), test=range(90, 120))
    assert regularised.fit(data, SHORT, "t").details["held_out"] == "split"


@pytest.mark.parametrize("y", [np.zeros(120, int), np.arange(120) // 119], ids=["one class", "one item of a class"])
def test_lonely_classes(y):
    data = data_of(replace(items(), y=y), train=range(90), test=range(90, 120))
    assert regularised.fit(data, SHORT, "t").metrics["valid"]["accuracy"] == 1
    fold = np.arange(120) // 2 % 3
    folds = [data_of(replace(items(), y=y), train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(3)]
    assert all(np.isfinite(fitted.metrics["test"]["accuracy"]) for fitted in regularised.fit_folds(folds, SHORT, "t"))


def test_the_end_of_the_path_is_said():
    whole = items()
    noise = replace(whole, X=np.random.default_rng(0).normal(size=whole.X.shape).astype(np.float32))
    data = data_of(noise, train=range(90), test=range(90, 120))
    fitted = regularised.fit(data, replace(SHORT, strengths=(1000.0, 100.0)), "t")
    assert fitted.details["end_of_path"] in ("strongest", "weakest")
    assert any("of the path" in note for note in data.notes)
    only = regularised.fit(data, replace(SHORT, strengths=(1.0,)), "t")
    assert only.details["end_of_path"] is None


def test_the_path_ends_where_the_loss_has_clearly_risen_and_says_so():
    data = data_of(items(dimension=60), train=range(90), test=range(90, 120))
    fitted = regularised.fit(data, RegularisationPath(), "t")
    strengths = [one["strength"] for one in fitted.candidates]
    losses = [one["loss"] for one in fitted.candidates]
    assert len(strengths) < len(RegularisationPath().strengths)
    assert fitted.details["weakest_fitted"] == strengths[-1]
    assert losses[-1] > 1.02 * min(losses)
    whole_path = regularised.fit(data, RegularisationPath(select="metric"), "t")
    assert len(whole_path.candidates) == len(RegularisationPath().strengths)
    assert whole_path.details["weakest_fitted"] is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_within_a_point_of_the_best_strength_in_hindsight(kind):
    from bench.strengths import points_lost, simulate

    lost = [
        points_lost(simulate(kind, n, dimension, seed, clips), False)["linear"]
        for n in (200, 500)
        for dimension in (16, 200)
        for clips in (1, 4)
        for seed in range(6)
    ]
    assert np.mean(lost) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_many_folds_are_fitted_each_by_itself_and_select_inside_their_train_items(monkeypatch, kind):
    whole = items(kind, n=60)
    fold = np.arange(60) // 2 % 15
    folds = [data_of(whole, kind, train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(15)]
    fitted = []
    follow = regularised._select_and_fit

    def counted(pool, trials, *rest):
        fitted.extend(len(trial.fitted) for trial in trials)
        return follow(pool, trials, *rest)

    monkeypatch.setattr(regularised, "_select_and_fit", counted)
    together = regularised.fit_folds(folds, SHORT, "t")
    assert len(fitted) == 15 * 5  # not one for each of the 105 pairs
    for data, one in zip(folds, together, strict=True):
        alone = regularised.fit(replace(data, notes=[]), SHORT, "t")
        assert one.hyperparameters == alone.hyperparameters
        assert one.details == alone.details
        np.testing.assert_allclose(one.predictions["test"].scores, alone.predictions["test"].scores, atol=1e-2)
        assert not any("cross-validation" in note for note in data.notes)


def test_a_fold_selects_the_same_however_far_the_others_follow_the_path():
    whole = items(n=200)
    fold = np.arange(200) // 2 % 4
    path = RegularisationPath()
    folds = [data_of(whole, train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(4)]
    fitted = regularised.fit_folds(folds, path, "t")
    for one in fitted:
        losses = [candidate["loss"] for candidate in one.candidates]
        best = int(np.argmin(losses))
        risen = [place for place in range(best + 2, len(losses)) if losses[place] > 1.02 * losses[best]]
        assert risen in ([], [len(losses) - 1])  # nothing was considered after the loss had clearly risen
