"""Probes of arrays: against the stage to the bit, scikit-learn and closed forms; and what is said about input that cannot be probed."""

import csv
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.datasets.dataset import SPLIT_SHARES
from jukemir_like.datasets.processed import read_processed as read_processed
from jukemir_like.probes import results
from jukemir_like.probes.arrays import compare, probe
from jukemir_like.probes.assignment import assign_splits
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.metrics import mirex_table
from jukemir_like.probes.protocols import Grid, LinearEval, RegularisationPath
from jukemir_like.probes.runs import find_runs
from jukemir_like.probes.stage import probe_dataset

SMALL = Grid(hidden=(0, 8), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), weight_decay=(0.0,), patience=4)
SPLIT = np.repeat(["train", "valid", "test"], [120, 60, 80])


def problem(n=260, dimension=10, seed=0):
    """Vectors and the hidden causes that labels depend on."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(n, 4))
    return (hidden @ random.normal(size=(4, dimension)) + 0.7 * random.normal(size=(n, dimension))).astype(np.float32), hidden


def arrays_of(cache, dataset, representation, task):
    """What the stage reads of a dataset, as the arrays that a notebook has."""
    processed = read_processed(cache.processed(dataset))
    uids = list(processed.items)
    folder = cache.representation(dataset, representation)
    return {
        "X": np.stack([np.load(folder / f"{uid}.npy") for uid in uids]),
        "y": [processed.label_of(uid, task) for uid in uids],
        "split": [processed.items[uid].get("split") for uid in uids],
        "groups": [processed.group_of(uid) for uid in uids],
        "recordings": [processed.recording_of(uid) for uid in uids],
        "uid": uids,
        "task_type": processed.tasks[task].type,
        "label_names": processed.tasks[task].labels,
        "dataset": dataset,
    }


def check_equal(run, row_of, result, arrays):
    """Values, predictions and intervals of a run are those of a result, to the bit."""
    test = run.predictions("test")
    assert list(result.metrics) == list(run.metrics["test"])
    for metric, value in run.metrics["test"].items():
        row = row_of[metric]
        interval = result.metrics[metric]
        assert (interval.value, interval.low, interval.high) == (value, row["low"], row["high"])
    assert result.scores.tobytes() == test.scores.tobytes()
    assert result.hyperparameters == run.record["selected"]
    assert result.n == run.record["n"]
    assert result.aggregation == run.record["aggregation"]
    names = arrays["recordings"] if result.aggregation else arrays["uid"]
    assert [names[index] for index in result.indices] == test.uid.tolist()
    if result.task_type in ("multiclass", "key"):
        assert result.y_true.tolist() == [run.task.labels[index] for index in test.y]
    else:
        np.testing.assert_array_equal(result.y_true, test.y)


def test_lineareval_ends_at_its_limit_with_a_note():
    X = np.random.default_rng(0).normal(size=(200, 8))
    y = np.where(X[:, 0] > 0, "loud", "soft")
    result = probe(X, y, protocol="lineareval", seed=42, settings=LinearEval(max_epochs=3), device="cpu")
    assert 1 <= result.hyperparameters["epoch"] <= 3
    assert any("limit of 3 epochs" in note for note in result.notes)
    again = probe(X, y, protocol="lineareval", seed=42, settings=LinearEval(max_epochs=3), device="cpu")
    np.testing.assert_array_equal(result.scores, again.scores)


@pytest.mark.parametrize(("protocol", "settings"), [("linear", None), ("jukemir", SMALL), ("lineareval", LinearEval(max_epochs=3))])
@pytest.mark.parametrize("options", [{}, {"tasks": ("key",), "clips": 3, "sizes": (120, 60, 60)}], ids=["items", "songs"])
def test_arrays_give_what_the_stage_gives(make_dataset, protocol, settings, options):
    def edit(meta, _):
        if not options:
            meta["train/001-0"]["y"]["genre"] = None
            meta["train/002-0"]["split"] = None

    cache = make_dataset(edit=edit, **options)
    probed = probe_dataset(cache, "toy", "rep", protocol=protocol, settings=settings, seeds=(0,))
    trivial = {row["task"]: row for row in probe_dataset(cache, "toy", TRIVIAL).table.rows if row["split"] == "test" and row["primary"]}
    for run in probed.runs:
        arrays = arrays_of(cache, "toy", "rep", run.task.name)
        result = probe(**arrays, protocol=protocol, settings=settings)
        rows = {row["metric"]: row for row in probed.table.rows if row["task"] == run.task.name and row["split"] == "test"}
        check_equal(run, rows, result, arrays)
        baseline, row = result.baseline[result.metric], trivial[run.task.name]
        assert (baseline.value, baseline.low, baseline.high) == (row["value"], row["low"], row["high"])


@pytest.mark.slow
def test_arrays_give_what_the_command_gives_for_two_representations_of_synthband(tmp_path):
    """Composed, extracted and probed by the commands; then read, probed and compared as a notebook does."""
    cache = Cache(tmp_path)
    folder = ["--cache", str(tmp_path)]
    commands = [["download", "synthband", "--songs", "60"], ["process", "synthband"]]
    for name in ("chroma", "mfcc"):
        commands += [["extract", name, "--dataset", "synthband"], ["probe", "synthband", name]]
    commands += [["report"]]
    for command in commands:
        subprocess.run([sys.executable, "-m", "jukemir_like", *command, *folder], check=True, capture_output=True)
    compared = {}
    with open(cache.report / "comparisons.csv", newline="") as file:
        for row in csv.DictReader(file):
            compared[row["task"], row["metric"], row["first"], row["second"]] = row
    found = {}
    for name in ("chroma", "mfcc"):
        table = [row for row in results.read([cache.probe("synthband", name) / "results.csv"]) if row["split"] == "test"]
        for run in find_runs(cache, "synthband", name):
            arrays = arrays_of(cache, "synthband", name, run.task.name)
            found[run.task.name, name] = result = probe(**arrays)
            check_equal(run, {row["metric"]: row for row in table if row["task"] == run.task.name}, result, arrays)
    checked = 0
    for (task, metric, first, second), row in compared.items():
        if (task, first) in found and (task, second) in found:
            difference = compare(found[task, first], found[task, second]).differences[metric]
            interval = difference.interval
            expected = [float(row[name]) for name in ("difference", "low", "high", "p")]
            assert [interval.value, interval.low, interval.high, difference.p] == expected
            checked += 1
    assert checked >= 5


# Against scikit-learn, at the strength that was selected


def standard(X, train):
    scale = StandardScaler().fit(X[train].astype(float))
    return scale.transform(X.astype(float))


KNOWN, TEST = SPLIT != "test", SPLIT == "test"  # what is selected is fitted again on train and valid


PRECISE = RegularisationPath(tolerance=1e-10)


def test_classes_as_scikit_learn_fits_and_scores_them():
    X, hidden = problem()
    y = np.array(["blues", "jazz", "rock"])[hidden[:, :3].argmax(1)]
    result = probe(X, y, split=SPLIT, settings=PRECISE)
    train, test = KNOWN, TEST
    scaled = standard(X, train)
    oracle = LogisticRegression(C=1 / (result.hyperparameters["strength"] * train.sum()), tol=1e-8, max_iter=10_000)
    predicted = oracle.fit(scaled[train], y[train]).predict(scaled[test])
    assert result.y_pred.tolist() == predicted.tolist()
    assert result.value == sklearn.metrics.accuracy_score(y[test], predicted)
    assert result.metrics["macro_f1"].value == pytest.approx(sklearn.metrics.f1_score(y[test], predicted, average="macro"), abs=1e-12)
    assert result.classes == ("blues", "jazz", "rock")
    assert result.indices.tolist() == np.flatnonzero(test).tolist()
    assert result.y_true.tolist() == y[test].tolist()
    train = SPLIT == "train"
    share = max(np.mean(y[train] == name) for name in result.classes)
    majority = max(result.classes, key=lambda name: (y[train] == name).sum())
    assert share > 0
    assert result.baseline["accuracy"].value == pytest.approx(np.mean(y[test] == majority))


def test_tags_as_scikit_learn_fits_and_scores_them():
    X, hidden = problem()
    y = hidden[:, :3] > (0.0, 0.5, -0.5)
    result = probe(X, y, split=SPLIT, settings=PRECISE)
    train, test = KNOWN, TEST
    scaled = standard(X, train)
    oracle = LogisticRegression(C=1 / (result.hyperparameters["strength"] * train.sum()), tol=1e-8, max_iter=10_000)
    scores = np.column_stack([oracle.fit(scaled[train], y[train, tag]).decision_function(scaled[test]) for tag in range(3)])
    np.testing.assert_allclose(result.scores, scores, atol=2e-3 * np.abs(scores).max())
    assert result.value == pytest.approx(sklearn.metrics.roc_auc_score(y[test], scores, average="macro"), abs=1e-3)
    assert result.value == pytest.approx(sklearn.metrics.roc_auc_score(y[test], result.scores, average="macro"), abs=1e-12)
    assert result.metric == "roc_auc"
    np.testing.assert_array_equal(result.y_pred, result.scores > 0)


def test_numbers_as_scikit_learn_fits_and_scores_them():
    X, hidden = problem()
    y = hidden[:, :2] * (1, 30) + (5, -7)
    result = probe(X, y, split=SPLIT, label_names=("arousal", "valence"))
    train, test = KNOWN, TEST
    scaled = standard(X, train)
    predicted = Ridge(alpha=result.hyperparameters["strength"] * train.sum()).fit(scaled[train], y[train]).predict(scaled[test])
    np.testing.assert_allclose(result.y_pred, predicted, rtol=1e-3, atol=1e-3)
    assert result.value == pytest.approx(sklearn.metrics.r2_score(y[test], predicted), abs=1e-4)
    assert list(result.metrics) == ["r2", "r2_arousal", "r2_valence"]
    assert result.baseline["r2"].value == pytest.approx(
        sklearn.metrics.r2_score(y[test], np.tile(y[SPLIT == "train"].mean(0), (80, 1))), abs=1e-5
    )
    one = probe(X, y[:, 1], split=SPLIT)
    assert list(one.metrics) == ["r2"]


def test_keys_are_scored_by_their_mirex_credit():
    X, hidden = problem()
    y = np.array(["C major", "G major", "A minor", "C# minor"])[hidden.argmax(1)]
    result = probe(X, y, split=SPLIT)
    assert result.task_type == "key"
    assert result.classes == KEYS
    assert set(result.y_true) == {"C major", "G major", "A minor", "Db minor"}
    credit = mirex_table()
    expected = [credit[KEYS.index(true), KEYS.index(predicted)] for true, predicted in zip(result.y_true, result.y_pred, strict=True)]
    assert result.value == pytest.approx(np.mean(expected), abs=1e-12)


def test_interval_of_accuracy_is_that_of_the_normal_approximation():
    random = np.random.default_rng(1)
    y = random.integers(2, size=1600)
    X = np.column_stack([np.where(random.random(1600) < 0.7, y, 1 - y), random.normal(size=1600)])
    result = probe(X, y, split=np.repeat(["train", "valid", "test"], [600, 200, 800]))
    low, high = result.interval.low, result.interval.high
    error = np.sqrt(result.value * (1 - result.value) / 800)
    assert (low, high) == pytest.approx((result.value - 1.96 * error, result.value + 1.96 * error), abs=0.006)
    assert result.groups == 800


def test_items_of_a_group_are_resampled_together():
    """Every item eight times, as clips of a song: the interval of the songs, not of the clips."""
    X, hidden = problem()
    y, repeat = hidden[:, :3].argmax(1), np.repeat(np.arange(260), 8)
    alone = probe(X, y, split=SPLIT)
    grouped = probe(X[repeat], y[repeat], split=SPLIT[repeat], groups=repeat)
    apart = probe(X[repeat], y[repeat], split=SPLIT[repeat])
    width = {name: one.interval[1] - one.interval[0] for name, one in {"alone": alone, "grouped": grouped, "apart": apart}.items()}
    assert grouped.groups == 80
    assert width["grouped"] == pytest.approx(width["alone"], rel=0.15)
    assert width["apart"] == pytest.approx(width["alone"] / np.sqrt(8), rel=0.25)


# What X, y and split may be


def test_arrays_tensors_and_frames_give_the_same():
    X, hidden = problem()
    y = hidden[:, :3].argmax(1)
    names = np.array(["low", "mid", "top"])[y]
    first = probe(X, names, split=SPLIT)
    index = pd.Index([f"song {i}" for i in range(260)])
    others = [
        probe(X.astype(np.float64), names.tolist(), split=SPLIT.tolist()),
        probe(torch.from_numpy(X), names, split=pd.Series(SPLIT)),
        probe(pd.DataFrame(X, index), pd.Series(names, index, name="register"), split=pd.Series(SPLIT, index)),
        probe(X, pd.Series(names, dtype="category"), split=SPLIT),
        probe(X, torch.from_numpy(y), split=SPLIT, label_names=("low", "mid", "top")),
        probe(X, y, split=[{"train": "Training", "valid": "val", "test": "EVAL"}[one] for one in SPLIT], label_names=("low", "mid", "top")),
    ]
    for other in others:
        assert other.scores.tobytes() == first.scores.tobytes()
        assert other.metrics == first.metrics
        assert other.y_true.tolist() == first.y_true.tolist()
        assert list(other.classes) == ["low", "mid", "top"]


def tags_of(row):
    return [name for name, value in zip(("loud", "fast"), row, strict=False) if value > 0]


@pytest.mark.parametrize(
    ("labels", "task_type", "classes"),
    [
        (lambda h: np.where(h[:, 0] > 0, "yes", "no"), "multiclass", ("no", "yes")),
        (lambda h: h[:, 0] > 0, "multiclass", (False, True)),
        (lambda h: (h[:, 0] > 0).astype(int), "multiclass", (0, 1)),
        (lambda h: 2 + 9 * h[:, :3].argmax(1), "multiclass", (2, 11, 20)),
        (lambda h: np.arange(260), "regression", ("y",)),
        (lambda h: h[:, 0], "regression", ("y",)),
        (lambda h: (h[:, 0] > 0).astype(float), "regression", ("y",)),
        (lambda h: h[:, :2], "regression", ("y 0", "y 1")),
        (lambda h: pd.DataFrame(h[:, :2], columns=["arousal", "valence"]), "regression", ("arousal", "valence")),
        (lambda h: h[:, :2] > 0, "multilabel", ("y 0", "y 1")),
        (lambda h: (h[:, :2] > 0).astype(int), "multilabel", ("y 0", "y 1")),
        (lambda h: pd.DataFrame(h[:, :2] > 0, columns=["loud", "fast"]), "multilabel", ("loud", "fast")),
        (lambda h: [tags_of(row) for row in h], "multilabel", ("fast", "loud")),
        (lambda h: [set(tags_of(row)) for row in h], "multilabel", ("fast", "loud")),
        (lambda h: np.array(["C major", "a minor", "D# minor"])[h[:, :3].argmax(1)], "key", KEYS),
        (lambda h: np.array(["C major", "A minor", "polka"])[h[:, :3].argmax(1)], "multiclass", ("A minor", "C major", "polka")),
    ],
)  # fmt: skip
def test_the_type_follows_from_the_labels_and_is_noted(labels, task_type, classes):
    X, hidden = problem()
    result = probe(X, labels(hidden), split=SPLIT)
    assert (result.task_type, result.classes) == (task_type, classes)
    assert any(note.startswith(f"task type {task_type}: ") for note in result.notes)
    assert all(not note.startswith("task type") for note in probe(X, labels(hidden), split=SPLIT, task_type=task_type).notes)


def test_a_column_is_as_good_as_a_vector():
    X, hidden = problem()
    y = np.where(hidden[:, :1] > 0, "yes", "no")
    result = probe(X, pd.DataFrame(y, columns=["answer"]), split=pd.DataFrame(SPLIT), groups=np.arange(260)[:, None])
    assert (result.task_type, result.classes) == ("multiclass", ("no", "yes"))
    assert result.metrics == probe(X, y[:, 0], split=SPLIT, label_names=np.array(["no", "yes"])).metrics
    one_tag = probe(X, hidden[:, :1] > 0, split=SPLIT, task_type="multilabel")
    assert (one_tag.metric, one_tag.classes) == ("roc_auc", ("y",))


def test_the_type_can_be_given():
    X, hidden = problem()
    steps = hidden[:, :3].argmax(1)
    assert probe(X, steps, split=SPLIT, task_type="regression").metric == "r2"
    assert probe(X, steps.astype(float), split=SPLIT, task_type="multiclass").classes == (0, 1, 2)
    assert probe(X, np.where(steps == 0, "C major", "A minor"), split=SPLIT, task_type="multiclass").classes == ("A minor", "C major")


def test_missing_labels_and_splits_are_left_out_and_counted():
    X, hidden = problem()
    y = np.array(["blues", "jazz", "rock"], object)[hidden[:, :3].argmax(1)]
    y[[0, 1, 2, 3]] = None, np.nan, "", pd.NA
    split = SPLIT.astype(object)
    split[[4, 130]] = None, ""
    result = probe(X, y, split=split)
    assert result.n == {"train": 115, "valid": 59, "test": 80}
    assert any("4 items left out: no label" in note for note in result.notes)
    assert any("2 items left out: no split" in note for note in result.notes)
    kept = [i for i in range(260) if i not in (0, 1, 2, 3, 4, 130)]
    assert probe(X[kept], y[kept].tolist(), split=SPLIT[kept]).scores.tobytes() == result.scores.tobytes()
    numbers = hidden[:, :2].copy()
    numbers[200, 1] = np.nan
    assert probe(X, numbers, split=SPLIT).n["test"] == 79


def test_labels_of_a_processed_dataset_bring_their_type_names_and_gaps():
    """Any object with a task, its values and which are missing."""

    @dataclass
    class Labels:
        task: Task
        values: np.ndarray
        missing: np.ndarray

    X, hidden = problem()
    values = hidden[:, :2] > 0
    missing = np.arange(260) < 3
    values[missing] = False
    result = probe(X, Labels(Task("mood", "multilabel", ("sad", "glad")), values, missing), split=SPLIT)
    assert (result.task_type, result.classes, result.n["train"]) == ("multilabel", ("sad", "glad"), 117)


# The split that is drawn


def test_a_drawn_split_divides_no_group_and_has_every_class_in_every_split():
    X, _ = problem(n=400)
    y = np.where(np.arange(400) // 5 % 8 == 0, "rare", "usual")
    groups = np.array([f"artist {i // 5}" for i in range(400)])
    result = probe(X, y, groups=groups)
    assert result.notes[1].startswith("the splits were assigned by group with seed 0, stratified by class")
    assert sum(result.n.values()) == 400
    for name, share in SPLIT_SHARES.items():
        assert result.n[name] == pytest.approx(400 * share, abs=10)
    assert 0 < (result.y_true == "rare").sum() < 20
    again, other = probe(X, y, groups=groups), probe(X, y, groups=groups, seed=1)
    assert again.indices.tolist() == result.indices.tolist()
    assert again.metrics == result.metrics
    assert other.indices.tolist() != result.indices.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_draws_keep_groups_together_and_the_shares_of_classes(seed):
    random = np.random.default_rng(seed)
    groups = [f"g{i}" for i in random.integers(60, size=300)]
    classes = {group: int(random.choice(3, p=[0.6, 0.3, 0.1])) for group in groups}
    known = (random.random(300) < 0.9).tolist()
    strata = [classes[group] if is_known else None for group, is_known in zip(groups, known, strict=True)]
    splits = assign_splits(groups, known, strata, seed)
    assert [split is not None for split in splits] == known
    assert all(len({s for g, s in zip(groups, splits, strict=True) if g == group and s}) <= 1 for group in groups)
    for name, share in SPLIT_SHARES.items():
        assert splits.count(name) == pytest.approx(share * sum(known), abs=12)
    counts = {c: [s for s, stratum in zip(splits, strata, strict=True) if stratum == c] for c in range(3)}
    assert all(set(counts[c]) == set(SPLIT_SHARES) for c in (0, 1))


# Results and comparisons


def test_a_result_is_a_table_in_print_and_in_a_notebook():
    X, hidden = problem()
    y = np.array(["<b>", "jazz & blues", "rock"])[hidden[:, :3].argmax(1)]
    y[:2] = ["<b>", "rock"]
    result = probe(X, np.where(np.arange(260) == 5, "", y), split=SPLIT)
    shown, html = str(result), result._repr_html_()
    assert shown == result.table()
    low, high = result.interval
    cell = f"{100 * result.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    for text in (shown, html):
        assert cell in text
        assert "macro_f1" in text
        assert "1 items left out: no label" in text
        assert "119 train, 60 valid, 80 test items (80 groups)" in text
    assert f"strength {result.hyperparameters['strength']:g}" in shown
    assert "<b>" not in html
    assert cell in repr(result)
    assert "\n" not in repr(result)
    frame = result.to_pandas()
    assert (frame["true"] == frame["predicted"]).mean() == result.value
    assert frame.index.tolist() == result.indices.tolist()
    tags = probe(X, hidden[:, :2] > 0, split=SPLIT, label_names=("sad", "glad")).to_pandas()
    assert tags.columns.tolist() == ["true sad", "predicted sad", "true glad", "predicted glad"]


def test_a_comparison_is_paired():
    """Two probes that fail on nearly the same items: the difference is far surer than either value."""
    X, hidden = problem()
    y = hidden[:, :3].argmax(1)
    first, second = probe(X, y, split=SPLIT), probe(X[:, :7], y, split=SPLIT)
    difference = compare(first, second)
    assert difference.value == pytest.approx(first.value - second.value, abs=1e-12)
    low, high = difference.interval
    assert low <= difference.value <= high
    assert (difference.p < 0.05) == (low > 0 or high < 0)
    assert (difference.n, difference.groups, difference.metric) == (80, 80, "accuracy")
    back = compare(second, first)
    assert back.value == -difference.value
    same = compare(first, first)
    assert (same.value, same.p) == (0.0, 1.0)
    assert same.interval.high == -same.interval.low > 0
    for text in (str(difference), difference._repr_html_()):
        assert "paired on 80 test items" in text
        assert f"{100 * difference.value:.1f} [" in text
    assert "\n" not in repr(difference)


def test_other_items_labels_groups_or_tasks_cannot_be_compared():
    X, hidden = problem()
    y = hidden[:, :3].argmax(1)
    first = probe(X, y, split=SPLIT)
    changed = y.copy()
    changed[-1] = (changed[-1] + 1) % 3
    others = {
        "different test items \\(80 and 60, 60 in common\\)": probe(X[:240], y[:240], split=SPLIT[:240]),
        "different labels": probe(X, changed, split=SPLIT),
        "different groups": probe(X, y, split=SPLIT, groups=np.arange(260) // 2),
        "different tasks": probe(X, y, split=SPLIT, task_type="regression"),
        "different datasets, '' and 'other'": probe(X, y, split=SPLIT, dataset="other"),
    }
    for complaint, other in others.items():
        with pytest.raises(RequestError, match=complaint) as error:
            compare(first, other)
        assert "\n" not in str(error.value)


# Input that cannot be probed


def wrong(**changes):
    X, hidden = problem()
    return {"X": X, "y": np.array(["a", "b", "c"])[hidden[:, :3].argmax(1)], "split": SPLIT} | changes


BAD_X = problem()[0].copy()
BAD_X[7, 2] = np.nan
LARGE_X = problem()[0].astype(float)
LARGE_X[9, 0] = 1e300


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"y": ["a", "b"] * 100}, "X has 260 items, but y has 200"),
        ({"split": SPLIT[:100]}, "X has 260 items, but split has 100"),
        ({"groups": ["a"]}, "X has 260 items, but groups has 1"),
        ({"uid": range(259)}, "X has 260 items, but uid has 259"),
        ({"X": BAD_X}, "X holds a number that is not finite in float32, in item 7"),
        ({"X": LARGE_X}, "in item 9"),
        ({"X": np.zeros(260)}, "X must have the shape (items, dimension), not (260,)"),
        ({"X": [["a"]] * 260}, "X must be a matrix of numbers"),
        ({"X": [[1.0]] * 259 + [[1.0, 2.0]]}, "X must be a matrix of numbers"),
        ({"y": ["a"] * 260}, "one class only, 'a'"),
        ({"y": ["C major"] * 260}, "one class only, 'C major'"),
        ({"y": [None] * 260}, "y holds no label"),
        ({"y": "rock"}, "y must hold one value per item of X, not str"),
        ({"y": [1.5, "a"] * 130}, "labels of different kinds (float, str)"),
        ({"y": [[1.0], [1.0, 2.0]] * 130}, "the rows of y differ in length (1 to 2)"),
        ({"y": np.arange(260) / 7, "task_type": "multiclass"}, "which is no class"),
        ({"task_type": "key"}, "which is not a key: keys are named 'C major'"),
        ({"task_type": "regression"}, "y holds a label that is no number"),
        ({"task_type": "clustering"}, "unknown task_type 'clustering': choose one of multiclass"),
        ({"y": np.full((260, 2), 7), "task_type": "multilabel"}, "numbers other than 0 and 1"),
        ({"y": np.full(260, 1e200)}, "too large, in item 0"),
        ({"y": np.zeros(260), "task_type": "regression"}, "R² of y is undefined in split valid of the data"),
        ({"y": np.zeros((260, 3), bool)}, "ROC-AUC of y is undefined in split valid"),
        ({"label_names": ("a", "b")}, "y holds 'c', which is not among the 2 label_names"),
        ({"label_names": ("a", "b", "c", "a")}, "two labels of y have the same name: 'a'"),
        ({"y": np.zeros((260, 3)), "label_names": ("x",)}, "y has 3 columns, but there are 1 label_names"),
        ({"split": np.where(SPLIT == "test", "train", SPLIT)}, "split test of the data has no item with a label for y"),
        (
            {"split": np.where(SPLIT == "valid", "train", SPLIT), "protocol": "jukemir"},
            "split valid has no item with a label for y and a vector: this protocol stops training by it",
        ),
        (
            {"split": [{"valid": "holdout"}.get(word, word) for word in SPLIT.tolist()]},
            "split 'holdout' of item 120 is not one of train, valid, test",
        ),
        ({"split": None, "groups": ["one"] * 260}, "split test of the data has no item"),
        ({"groups": np.arange(260) % 100}, "group '0' has items in train and test (100 such groups): leave split out"),
        ({"uid": ["a"] * 260}, "uid 'a' is duplicate"),
        ({"protocol": "svm"}, "unknown protocol 'svm': choose one of linear, jukemir"),
        ({"settings": Grid()}, "protocol linear takes settings of type RegularisationPath"),
    ],
)
def test_input_that_cannot_be_probed_is_one_line(changes, complaint):
    with pytest.raises(RequestError) as error:
        probe(**wrong(**changes))
    message = str(error.value)
    assert complaint in message
    assert "\n" not in message


def test_frames_of_different_indices_are_not_matched_by_position():
    X, hidden = problem()
    frame = pd.DataFrame(X)
    y = pd.Series(hidden[:, 0])
    with pytest.raises(RequestError, match="X and y have different indices"):
        probe(frame, y[::-1], split=SPLIT)


def test_groups_in_several_splits_can_be_accepted():
    result = probe(**wrong(groups=np.arange(260) % 100), shared_groups=True)
    assert any("100 groups have items in several splits" in note for note in result.notes)
    assert result.groups == 80


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    probe(**wrong())
    assert list(tmp_path.iterdir()) == []


def test_linear_probes_of_arrays_need_neither_torch_nor_pandas():
    script = (
        "import sys, numpy as np; from jukemir_like.probes.arrays import probe; X = np.random.default_rng(0).normal(size=(100, 3));"
        "probe(X, X[:, 0] > 0); print([name for name in ('torch', 'pandas', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
