"""Folds: every item tested once, by a probe that has not seen its fold; against scikit-learn, and runs of single splits."""

import json

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_predict

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS
from jukemir_like.datasets.processed import read_processed
from jukemir_like.probes import fold_fitting, search
from jukemir_like.probes.arrays import compare, probe
from jukemir_like.probes.assignment import draw_folds
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.layers import probe_layers
from jukemir_like.probes.protocols import Grid
from jukemir_like.probes.results import read as read_table
from jukemir_like.probes.runs import find_runs, open_run
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.report.report import report

SMALL = Grid(hidden=(0, 4), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), weight_decay=(0.0,), patience=3)


def own_folds(number, fold_of=None, keep_split=False):
    """An edit of the small dataset: it comes in folds, whole artists in each."""

    def edit(meta, description):
        artists = sorted({record["extra"]["artist"] for record in meta.values()})
        for i, record in enumerate(meta.values()):
            fold = artists.index(record["extra"]["artist"]) % number + 1 if fold_of is None else fold_of(i, record)
            record["extra"] |= {} if fold is None else {"fold": str(fold)}
            record["split"] = record["split"] if keep_split else None
        description["folds"] = [str(fold + 1) for fold in range(number)]

    return edit


def folds_in(run, split="test"):
    predictions = run.predictions(split)
    return dict(zip(predictions.uid.tolist(), predictions.fold.tolist(), strict=True))


def problem(n=120, dimension=6, classes=3, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, dimension)).astype(np.float32)
    return X, (X[:, :classes] + 0.8 * random.normal(size=(n, classes))).argmax(1)


@pytest.mark.parametrize("seed", [0, 1])
def test_drawn_folds_have_equal_shares_of_items_and_classes_and_divide_no_group(seed):
    random = np.random.default_rng(seed)
    group = random.integers(60, size=300)
    classes = group % 3
    folds = np.array(draw_folds(group.astype(str).tolist(), [True] * 300, classes.tolist(), seed, 5))
    assert all(len(set(folds[group == one])) == 1 for one in group)
    shares = np.array([[np.mean(classes[folds == fold] == one) for one in range(3)] for fold in np.unique(folds)])
    assert np.bincount(folds.astype(int))[1:].max() - np.bincount(folds.astype(int))[1:].min() <= np.bincount(group).max()
    assert np.abs(shares - np.bincount(classes) / 300).max() < 0.12
    again = draw_folds(group.astype(str).tolist(), [True] * 300, classes.tolist(), seed, 5)
    other = draw_folds(group.astype(str).tolist(), [True] * 300, classes.tolist(), seed + 1, 5)
    assert again == folds.tolist() != other


def test_drawn_folds_have_equal_shares_of_tags():
    random = np.random.default_rng(5)
    tags = random.random((200, 4)) < (0.05, 0.1, 0.3, 0.5)
    folds = draw_folds([f"{item:03d}" for item in range(200)], [item != 7 for item in range(200)], tags.tolist(), 0, 4)
    assert folds[7] is None
    of_fold = np.array([[tags[[one == fold for one in folds]][:, tag].sum() for tag in range(4)] for fold in "1234"])
    assert (of_fold.max(0) - of_fold.min(0) <= np.maximum(2, 0.15 * tags.sum(0))).all(), of_fold


@pytest.mark.parametrize(("protocol", "settings"), [("linear", None), ("jukemir", SMALL), ("lineareval", None)])
def test_each_item_is_tested_once_by_a_probe_that_has_not_seen_its_fold(make_dataset, protocol, settings):
    cache = make_dataset(edit=own_folds(4), sizes=(40, 20, 20), tasks=("emotion", "tags"))
    processed = read_processed(cache.processed("toy"))
    probed = probe_dataset(cache, "toy", "rep", protocol=protocol, settings=settings, seeds=[0])
    assert [run.folder.name for run in probed.runs] == [f"{protocol}-4folds-0"] * 2
    for run in probed.runs:
        assert folds_in(run) == {uid: processed.fold_of(uid) for uid in processed}
        assert (run.procedure, run.record["evaluation"]) == (f"{protocol}, 4 folds", {"folds": ["1", "2", "3", "4"], "seed": None})
        # Of an item in fold f counts, where it can, the probe that is tested on the fold before.
        before = {"1": "4", "2": "1", "3": "2", "4": "3"}
        assert folds_in(run, "valid") == {uid: before[processed.fold_of(uid)] for uid in processed}
        n = [(fold["n"]["train"], fold["n"]["valid"], fold["n"]["test"]) for fold in run.record["folds"]]
        assert [sum(one) for one in n] == [80] * 4
        assert [one[1] for one in n] == ([0] * 4 if protocol == "linear" else [one[2] for one in n[1:] + n[:1]])
        assert open_run(run.folder) == run


def test_folds_are_those_of_single_splits(make_dataset):
    """Protocol jukemir: each fold is the run whose splits are given as train, the next fold, and the fold."""
    cache = make_dataset(edit=own_folds(3), tasks=("genre",), sizes=(30, 16, 20))
    (run,) = probe_dataset(cache, "toy", "rep", protocol="jukemir", settings=SMALL, workers=2).runs
    processed = read_processed(cache.processed("toy"))
    for number, fold in enumerate(["1", "2", "3"]):
        following = ["2", "3", "1"][number]

        def as_split(meta, description, fold=fold, following=following):
            own_folds(3)(meta, description)
            del description["folds"]
            for record in meta.values():
                record["split"] = {fold: "test", following: "valid"}.get(record["extra"]["fold"], "train")

        single = make_dataset(edit=as_split, tasks=("genre",), sizes=(30, 16, 20), name=f"single{fold}")
        (of_split,) = probe_dataset(single, f"single{fold}", "rep", protocol="jukemir", settings=SMALL).runs
        entry = run.record["folds"][number]
        assert entry["selected"] == of_split.record["selected"]
        assert entry["metrics"] == of_split.metrics
        rows = run.predictions("test").fold == fold
        assert np.array_equal(run.predictions("test").scores[rows], of_split.predictions("test").scores)
    assert [processed.fold_of(uid) for uid in run.predictions("test").uid.tolist()] == run.predictions("test").fold.tolist()
    assert run.metrics["test"]["accuracy"] == pytest.approx(
        np.average(run.by_fold("accuracy"), weights=[fold["n"]["test"] for fold in run.record["folds"]])
    )


def test_arrays_and_the_stage_agree_to_the_bit(make_dataset):
    cache = make_dataset(tasks=("genre",))
    (run,) = probe_dataset(cache, "toy", "rep", folds=5, folds_seed=3).runs
    processed = read_processed(cache.processed("toy"))
    X = np.stack([np.load(cache.representation("toy", "rep") / f"{uid}.npy") for uid in processed])
    arguments = {"y": [processed.label_of(uid, "genre") for uid in processed], "groups": processed.groups, "dataset": "toy"}
    drawn = probe(X, uid=processed.uids, folds=5, folds_seed=3, label_names=processed.tasks["genre"].labels, **arguments)
    given = probe(X, uid=processed.uids, folds=[folds_in(run)[uid] for uid in processed], label_names=drawn.classes, **arguments)
    table = {row["metric"]: row for row in read_table([cache.probe("toy", "rep") / "results.csv"]) if row["split"] == "test"}
    for result in (drawn, given):
        by_uid = dict(zip(np.array(processed.uids)[result.indices].tolist(), result.scores, strict=True))
        assert all(
            np.array_equal(by_uid[uid], row) for uid, row in zip(run.predictions("test").uid, run.predictions("test").scores, strict=True)
        )
        assert {name: (one.value, one.low, one.high) for name, one in result.metrics.items()} == {
            name: (row["value"], row["low"], row["high"]) for name, row in table.items()
        }
        assert list(result.folds.values()) == run.by_fold("accuracy")
        assert "5 folds of 130 items (65 groups), each tested once" in str(result)
    assert (table["accuracy"]["folds"], table["accuracy"]["folds_seed"], run.folder.name) == (5, 3, "linear-5folds_seed3-0")


def test_trivial_is_the_baseline_of_all_other_folds(make_dataset):
    cache = make_dataset(edit=own_folds(5), tasks=("genre",))
    (run,) = probe_dataset(cache, "toy", TRIVIAL).runs
    test = run.predictions("test")
    folds = [(np.flatnonzero(test.fold != fold), np.flatnonzero(test.fold == fold)) for fold in run.folds]
    expected = cross_val_predict(DummyClassifier(strategy="prior"), np.zeros((len(test.y), 1)), test.y, cv=folds, method="predict_proba")
    np.testing.assert_allclose(test.scores, expected, rtol=1e-6)


def test_songs_are_scored_once_and_their_clips_stay_together(make_dataset):
    cache = make_dataset(clips=3, tasks=("key",), sizes=(60, 30, 30))
    (run,) = probe_dataset(cache, "toy", "rep", folds=4).runs
    processed = read_processed(cache.processed("toy"))
    for split in ("valid", "test"):
        scored = run.predictions(split)
        assert scored.uid.tolist() == list(dict.fromkeys(processed.recording_of(uid) for uid in processed))
        assert scored.clip_uid.tolist() == processed.uids
        assert scored.uid[scored.clip_song].tolist() == [processed.recording_of(uid) for uid in processed]
    assert {fold["aggregation"] for fold in run.record["folds"]} <= {"vote", "max_logit", "mean_logit", "mean_probability"}


def test_missing_vectors_do_not_move_the_others_to_other_folds(make_dataset):
    cache = make_dataset(tasks=("genre",))
    whole = folds_in(probe_dataset(cache, "toy", "rep", folds=4).runs[0])
    for uid in list(whole)[::7]:
        (cache.representation("toy", "rep") / f"{uid}.npy").unlink()
    fewer = folds_in(probe_dataset(cache, "toy", "rep", folds=4).runs[0])
    assert 0 < len(fewer) < len(whole)
    assert fewer.items() <= whole.items()


def test_items_that_are_excluded_from_all_splits_are_in_no_fold(make_dataset):
    def edit(meta, _):
        for record in list(meta.values())[::5]:
            record["split"] = None

    (run,) = probe_dataset(make_dataset(edit=edit, tasks=("genre",)), "toy", "rep", folds=3).runs
    assert len(run.predictions("test").uid) == 104
    assert not set(list(read_processed(run.folder.parents[4] / "processed" / "toy").items)[::5]) & set(run.predictions("test").uid.tolist())


def test_runs_of_splits_and_of_folds_stand_side_by_side_and_are_questions_of_their_own(make_dataset):
    cache = make_dataset(tasks=("genre", "tags"))
    for folds, seed in ((None, 0), (5, 0), (5, 1), (4, 0)):
        for name in ("rep", TRIVIAL):
            probe_dataset(cache, "toy", name, folds=folds, folds_seed=seed)
    written = report(cache)
    expected = ["linear", "linear, 4 drawn folds", "linear, 5 drawn folds", "linear, 5 drawn folds (seed 1)"]
    assert sorted({question.protocol for question in written.questions}) == expected
    assert all(set(question.answers) == {"rep", TRIVIAL} and question.comparisons for question in written.questions)
    page = written.page.read_text()
    assert "each of the 5 folds is tested once" in page
    assert "(folds: " in page
    assert len({run.folder for run in find_runs(cache)}) == 2 * 4 * 2


def test_a_drawing_does_not_replace_the_folds_of_the_dataset(make_dataset):
    cache = make_dataset(edit=own_folds(4), tasks=("genre",))
    own, drawn = (probe_dataset(cache, "toy", "rep", folds=folds).runs[0] for folds in (None, 4))
    assert (own.folder.name, drawn.folder.name) == ("linear-4folds-0", "linear-4folds_seed0-0")
    assert (own.procedure, drawn.procedure) == ("linear, 4 folds", "linear, 4 drawn folds")


def test_two_results_are_compared_in_the_same_folds_only():
    X, y = problem()
    result = probe(X, y, folds=4)
    difference = compare(result, probe(X[:, :1], y, folds=4))
    assert (difference.n, difference.value > 0.1) == (120, True)
    for other in ({"folds": 5}, {"folds": 4, "folds_seed": 1}):
        with pytest.raises(RequestError, match="tested in different folds, or in none"):
            compare(result, probe(X, y, **other))


def test_layers_are_chosen_by_the_validation_of_all_folds(make_dataset):
    cache = make_dataset(tasks=("genre",))
    source = cache.representation("toy", "rep")
    random = np.random.default_rng(0)
    for layer in (1, 2):
        for path in source.rglob("*.npy"):
            target = cache.representation("toy", f"rep@layer={layer}") / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            vector = np.load(path)
            np.save(target, vector if layer == 2 else random.normal(size=len(vector)).astype(np.float32))
    (choice,) = probe_layers(cache, "toy", "rep", folds=4).choices
    assert (choice.protocol, choice.layer) == ("linear, 4 drawn folds", "2")
    (run,) = choice.runs["2"]
    assert choice.valid["2"] == run.metrics["valid"]["accuracy"]
    valid = run.predictions("valid")
    assert choice.valid["2"] == pytest.approx(np.mean(valid.scores.argmax(1) == valid.y))


def test_an_interrupted_grid_goes_on_in_the_fold_where_it_was(make_dataset, monkeypatch):
    cache = make_dataset(tasks=("genre",), sizes=(30, 20, 20))
    request = {"protocol": "jukemir", "settings": SMALL, "folds": 3}
    expected = probe_dataset(make_dataset(tasks=("genre",), sizes=(30, 20, 20)), "toy", "rep", **request).runs[0]
    arrays, record = dict(np.load(expected.folder / "predictions.npz")), dict(expected.record)
    for path in expected.folder.iterdir():
        path.unlink()
    trained = []
    train = search.train

    def interrupted(data, job, *rest):
        trained.append(job)
        if len(trained) == 6:  # of four jobs per fold, the second of the second fold
            raise KeyboardInterrupt
        return train(data, job, *rest)

    monkeypatch.setattr(search, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe_dataset(cache, "toy", "rep", **request)
    folder = expected.folder
    assert sorted(path.name for path in folder.iterdir()) == ["unfinished-1.npz", "unfinished-2.npz"]
    (run,) = probe_dataset(cache, "toy", "rep", **request).runs
    assert len(trained) == 6 + 3 + 4
    assert all(np.array_equal(arrays[name], array) for name, array in np.load(folder / "predictions.npz").items())
    assert {**run.record, "seconds": 0} == {**record, "seconds": 0}
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.npz", "run.json"]


def test_a_finished_run_of_folds_is_kept_and_a_damaged_one_is_not(make_dataset, monkeypatch):
    cache = make_dataset(edit=own_folds(4), tasks=("genre",))
    (run,) = probe_dataset(cache, "toy", "rep").runs
    before, folds = (run.folder / "run.json").stat().st_mtime_ns, folds_in(run)
    probe_dataset(cache, "toy", "rep")
    assert (run.folder / "run.json").stat().st_mtime_ns == before
    arrays = dict(np.load(run.folder / "predictions.npz"))
    arrays["test_fold"] = np.full(len(arrays["test_fold"]), "x")
    np.savez(run.folder / "predictions.npz", **arrays)
    damaged = []
    assert not find_runs(cache, on_damage=lambda error: damaged.append(str(error)))
    assert "names a fold that is none of 1, 2, 3, 4" in damaged[0]
    assert folds_in(probe_dataset(cache, "toy", "rep").runs[0]) == folds


# Input that folds make difficult


def test_a_fold_that_lacks_a_class_is_tested_and_that_is_said():
    X, y = problem()
    folds = np.arange(120) % 4
    y[folds == 2] = np.minimum(y[folds == 2], 1)
    result = probe(X, y, folds=folds, label_names=["a", "b", "c"])
    assert "y: folds that lack classes, and are tested all the same: 2 (c)" in result.notes
    assert len(result.scores) == 120


def test_a_class_of_one_fold_only_is_said():
    X, y = problem()
    folds = np.arange(120) % 3
    y[folds != 1] = np.minimum(y[folds != 1], 1)
    notes = "\n".join(probe(X, y, folds=folds, label_names=["a", "b", "c"]).notes)
    assert "classes of a single fold, which no probe that is tested on it can learn: c (fold 1)" in notes


@pytest.mark.parametrize("protocol", ["linear", "jukemir", "lineareval"])
def test_a_fold_of_one_item_is_tested(protocol):
    X, y = problem()
    folds = np.append(np.arange(119) % 3, 3)
    result = probe(X, y, folds=folds, protocol=protocol, settings=SMALL if protocol == "jukemir" else None)
    assert (result.fold.tolist().count("3"), len(result.scores)) == (1, 120)
    assert any("folds of one item: 3" in note for note in result.notes)


def test_every_item_can_be_a_fold():
    X, y = problem(n=24)
    result = probe(X, y, folds=24)
    assert (len(result.folds), len(result.scores), set(result.folds.values())) == (24, 24, {0.0, 1.0})
    numbers = probe(X, X[:, 0] + 0.1, folds=24)
    assert numbers.value > 0.9
    assert set(numbers.folds.values()) == {None}  # R² of one item


def test_one_class_in_the_train_items_of_a_fold_is_predicted():
    X, _ = problem(n=60)
    y = np.where(np.arange(60) < 30, "a", "b")
    result = probe(X, y, folds=np.where(y == "a", "1", "2"))
    assert result.value == 0.0
    assert any("fitted on one class, and predict it always: 1, 2" in note for note in result.notes)


def test_regression_validates_where_the_metric_is_defined():
    """Protocol jukemir: a fold of one item cannot validate, so the one after it does."""
    X, _ = problem(n=61)
    folds = np.append(np.arange(60) % 3, 9)
    result = probe(X, X[:, 0] + 1, folds=folds, protocol="jukemir", settings=SMALL)
    assert len(result.scores) == 61


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "1 folds: there must be two or more"),
        ({"folds": 130}, "130 folds of 120 groups: no group is divided"),
        ({"folds": 5, "groups": ["a", "b"] * 60}, "5 folds of 2 groups"),
        ({"folds": ["x"] * 120}, "are in 1 fold: a probe of one fold is fitted on the others"),
        ({"folds": [None] * 120}, "are in 0 folds"),
        ({"folds": [1, 2] * 60, "groups": ["a"] * 120}, "group 'a' has items in folds 1 and 2 .*shared_groups=True"),
        ({"folds": [1, 2] * 60, "protocol": "jukemir"}, "two folds leave nothing to fit on"),
        ({"folds": [1, 2] * 60, "protocol": "lineareval"}, "two folds leave nothing to fit on"),
        ({"folds": 3, "split": ["train"] * 120}, "give split or folds, not both"),
        ({"folds": [1, 2]}, "120"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message):
    X, y = problem()
    with pytest.raises(RequestError, match=message) as refused:
        probe(X, y, **arguments)
    assert "\n" not in str(refused.value)


def test_groups_that_folds_divide_are_accepted_where_asked_for():
    X, y = problem()
    result = probe(X, y, folds=[1, 2, 3] * 40, groups=["a", "b"] * 60, shared_groups=True)
    assert "2 groups have items in several folds: a probe may recognise them" in result.notes


def test_tags_without_a_positive_beside_a_negative_are_one_line():
    X, _ = problem(n=8)
    with pytest.raises(RequestError, match="in no fold of the data has a tag both a positive and a negative"):
        probe(X, np.eye(8, dtype=bool), folds=8)


def test_clips_of_a_recording_in_two_folds_are_one_line():
    X, _ = problem(n=40)
    recordings = [f"song {i // 2}" for i in range(40)]
    keys = [KEYS[i // 2 % 5] for i in range(40)]
    with pytest.raises(RequestError, match="the clips of 'song 0' are in folds 1 and 2"):
        probe(X, keys, folds=[1, 2] * 20, recordings=recordings, shared_groups=True)


def test_labels_that_are_all_in_one_fold_leave_the_other_tasks(make_dataset):
    def edit(meta, description):
        own_folds(3)(meta, description)
        for record in meta.values():
            if record["extra"]["fold"] != "2":
                record["y"]["genre"] = None

    cache = make_dataset(edit=edit, tasks=("genre", "emotion"))
    with pytest.raises(RequestError, match=r"^genre: the items of toy with a label and a vector are in 1 fold"):
        probe_dataset(cache, "toy", "rep")
    assert [run.task.name for run in find_runs(cache)] == ["emotion"]


def test_items_without_a_fold_and_folds_without_an_item_are_said(make_dataset):
    cache = make_dataset(edit=own_folds(5, lambda i, _: None if i % 10 == 0 else i % 3 + 1), tasks=("genre",))
    notes = probe_dataset(cache, "toy", "rep").notes
    assert any("13 items left out: no fold" in note for note in notes)
    assert any("folds without an item are not tested: 4, 5" in note for note in notes)
    assert any("groups have items in several folds" in note for note in notes)


def test_a_dataset_without_splits_can_be_drawn(make_dataset, command):
    def edit(meta, _):
        for record in meta.values():
            record["split"] = None

    cache = make_dataset(edit=edit, tasks=("genre",))
    refused = command("probe", "toy", "rep", "--cache", cache.root)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "--folds K" in refused.stderr
    done = command("probe", "toy", "rep", "--folds", "4", "--cache", cache.root)
    assert done.returncode == 0, done.stderr
    assert "linear, 4 drawn folds" in done.stdout
    record = json.loads((cache.probe("toy", "rep") / "genre" / "linear-4folds-0" / "run.json").read_text())
    assert record["n"]["test"] == 130


def test_seeds_of_a_fold_are_fitted_together(make_dataset, monkeypatch):
    cache = make_dataset(tasks=("genre",), sizes=(30, 20, 20))
    calls = []
    together = fold_fitting.fit_together
    monkeypatch.setattr(
        fold_fitting, "fit_together", lambda data, options, name: calls.append(len(options)) or together(data, options, name)
    )
    runs = probe_dataset(cache, "toy", "rep", protocol="lineareval", folds=3).runs
    assert ([run.seed for run in runs], calls) == ([42, 43, 44], [3, 3, 3])


@pytest.mark.parametrize(("protocol", "settings"), [("linear", None), ("lineareval", None)])
def test_vectors_that_are_read_in_chunks_give_the_same_but_for_the_order_of_sums(make_dataset, protocol, settings):
    request = {"protocol": protocol, "settings": settings, "seeds": [1], "folds": 3}
    cache = make_dataset(tasks=("emotion",), sizes=(40, 20, 20))
    whole = probe_dataset(cache, "toy", "rep", **request).runs[0].predictions("test")
    (run,) = probe_dataset(
        make_dataset(tasks=("emotion",), sizes=(40, 20, 20), name="other"), "other", "rep", **request, chunks_above=0
    ).runs
    assert "chunks" in run.record
    np.testing.assert_allclose(run.predictions("test").scores, whole.scores, atol=2e-3)
