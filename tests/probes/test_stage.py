"""The stage end to end: what is written, kept and computed again; and that nothing but time differs between two runs."""

import json
import os
import statistics
import subprocess
import sys
import time

import mir_eval
import numpy as np
import pytest
import sklearn.metrics

from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.datasets import KEYS
from jukemir_like.datasets.processed import read_processed as read_processed
from jukemir_like.probes import metrics, results, stage
from jukemir_like.probes.fitting import fit_together
from jukemir_like.probes.protocols import Grid, LinearEval, RegularisationPath
from jukemir_like.probes.runs import find_runs
from jukemir_like.probes.selection import Candidate, Selection
from jukemir_like.probes.songs import RULES
from jukemir_like.probes.stage import probe_dataset

SMALL = Grid(hidden=(0, 8), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), weight_decay=(0.0,), patience=4)


def probe(*args, **options):
    return probe_dataset(*args, **options).runs


def files(folder):
    """Bytes of all files of runs, without the seconds they took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "run.json":
            record = json.loads(path.read_bytes())
            assert record.pop("seconds") >= 0
            found[str(path.relative_to(folder))] = json.dumps(record).encode()
        elif path.name == "predictions.npz":
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.mark.parametrize(("protocol", "settings", "sizes"), [("linear", None, (240, 120, 160)), ("jukemir", SMALL, (120, 60, 80))])
def test_metrics_follow_from_the_predictions_and_beat_the_trivial_ones(make_dataset, protocol, settings, sizes):
    cache = make_dataset(sizes=sizes)
    trivial = {run.task.name: run for run in probe(cache, "toy", "trivial", protocol=protocol)}
    for run in probe(cache, "toy", "rep", protocol=protocol, settings=settings):
        assert run.folder == cache.probe("toy", "rep") / run.task.name / f"{protocol}-0"
        for split in ("valid", "test"):
            found = run.predictions(split)
            assert metrics.evaluate(run.task, found.y, found.scores) == run.metrics[split]
            assert next(iter(run.metrics[split])) == run.task.primary_metric
            assert (run.record["scored"][split], run.record["groups"][split]) == (len(found.y), len(set(found.group)))
        assert run.metrics["test"][run.task.primary_metric] > trivial[run.task.name].metrics["test"][run.task.primary_metric]


@pytest.mark.parametrize(("select", "value", "better"), [("loss", "loss", min), ("metric", "value", max)])
def test_selection_is_on_held_out_items_and_ties_go_to_the_stronger_penalty(make_dataset, select, value, better):
    (run,) = probe(make_dataset(), "toy", "rep", tasks=["genre"], settings=RegularisationPath(select=select))
    candidates = run.record["candidates"]
    path = sorted(RegularisationPath().strengths, reverse=True)
    assert [candidate["strength"] for candidate in candidates] == path[: len(candidates)]
    values = [float(f"{candidate[value]:.4g}") for candidate in candidates]
    first = values.index(better(values))
    assert run.record["selected"]["strength"] == candidates[first]["strength"]
    selected = next(one for one in candidates if one["strength"] == run.record["selected"]["strength"])
    assert run.metrics["valid"]["accuracy"] == selected["value"]
    assert run.record["fit"]["selected_by"] == select


def test_selection_does_not_depend_on_who_finishes_first(make_dataset):
    from jukemir_like.probes import tasks, vectors

    cache = make_dataset()
    processed = read_processed(cache.processed("toy"))
    data = tasks.prepare(processed, processed.tasks["genre"], vectors.read(cache, "toy", "rep", list(processed.items), {}))
    right = np.eye(3, dtype=np.float32)[data.splits["valid"].y]
    no_numbers, too_large = np.full_like(right, np.nan), np.where(right > 0, np.float32(np.inf), right)
    scores = {"a": right, "b": np.roll(right, 1, 1), "c": right, "d": no_numbers, "e": too_large}
    candidates = [Candidate(order, {"name": order}, {"valid": value, "test": value}, {}) for order, value in scores.items()]
    for order in (candidates, candidates[::-1], candidates[2:] + candidates[:2]):
        selection = Selection(data)
        for candidate in order:
            selection.consider(candidate)
        assert selection.selected().order == "a"
        assert [shown["name"] for shown in selection.candidates()] == list("abcde")
        assert selection.candidates()[3]["value"] is None
    nothing = Selection(data)
    nothing.consider(candidates[3])
    nothing.consider(candidates[4])
    with pytest.raises(RequestError, match="no probe for genre gave finite scores"):
        nothing.selected()


@pytest.mark.parametrize(("protocol", "settings"), [("linear", None), ("jukemir", SMALL)])
def test_songs_are_scored_by_the_rule_that_is_best_on_validation(make_dataset, protocol, settings):
    cache = make_dataset(tasks=("key",), clips=3, sizes=(120, 60, 60))
    (run,) = probe(cache, "toy", "rep", protocol=protocol, settings=settings)
    values = {}
    for rule in RULES:
        found = run.predictions("valid")
        rows = [found.clip_scores[found.clip_song == song].astype(float) for song in range(len(found.uid))]
        if rule == "vote":
            estimates = [np.bincount(clips.argmax(1), minlength=24).argmax() for clips in rows]
        elif rule == "mean_probability":
            estimates = [(np.exp(clips) / np.exp(clips).sum(1, keepdims=True)).mean(0).argmax() for clips in rows]
        else:
            estimates = [(clips.max(0) if rule == "max_logit" else clips.mean(0)).argmax() for clips in rows]
        pairs = zip(found.y, estimates, strict=True)
        values[rule] = np.mean([mir_eval.key.weighted_score(KEYS[y], KEYS[estimate]) for y, estimate in pairs])
    assert run.record["aggregation"] == max(RULES, key=values.get)
    assert run.metrics["valid"]["weighted_score"] == pytest.approx(max(values.values()), abs=1e-12)
    assert run.record["n"]["test"] == 60
    assert run.record["scored"]["test"] == 20
    assert run.predictions("test").uid.tolist() == [f"test/{i:03d}" for i in range(20)]


def test_trivial_baselines_are_their_closed_forms(make_dataset):
    cache = make_dataset()
    runs = {run.task.name: run for run in probe(cache, "toy", "trivial")}
    meta = json.loads((cache.processed("toy") / "meta.json").read_text())
    y = {split: [record["y"] for record in meta.values() if record["split"] == split] for split in ("train", "test")}
    genres = [one["genre"] for one in y["train"]]
    majority = max(sorted(set(genres)), key=genres.count)
    assert runs["genre"].metrics["test"]["accuracy"] == pytest.approx(np.mean([one["genre"] == majority for one in y["test"]]))

    def credit(key, split):
        return np.mean([mir_eval.key.weighted_score(one["key"], key) for one in y[split]])

    best = max(KEYS, key=lambda key: credit(key, "train"))
    assert runs["key"].metrics["test"]["weighted_score"] == pytest.approx(credit(best, "test"))
    tags = np.array([[tag in one["tags"] for tag in runs["tags"].task.labels] for one in y["test"]])
    assert runs["tags"].metrics["test"] == pytest.approx({"roc_auc": 0.5, "average_precision": tags.mean()})
    mean = np.mean([one["emotion"] for one in y["train"]], axis=0)
    target = np.array([one["emotion"] for one in y["test"]])
    assert runs["emotion"].metrics["test"]["r2"] == pytest.approx(sklearn.metrics.r2_score(target, np.tile(mean, (40, 1))), abs=1e-6)
    assert {run.record["configuration"]["baseline"] for run in runs.values()} == {"majority", "constant", "prior", "mean"}
    assert len({run.record["configuration_hash"] for run in runs.values()}) == 4


def test_the_constant_key_counts_songs_not_clips(make_dataset):
    def edit(meta, _):
        for uid, record in meta.items():
            if record["split"] == "train":
                record["y"] = "E major" if uid.startswith("train/000") else "C minor" if uid < "train/003" else "Gb major"
                record["clip"]["audio_uid"] = "long" if uid >= "train/003" else record["clip"]["audio_uid"]

    cache = make_dataset(tasks=("key",), clips=2, edit=edit)
    (run,) = probe(cache, "toy", "trivial")
    assert KEYS[run.predictions("test").scores[0].argmax()] == "C minor"


def test_a_finished_run_is_kept_and_a_different_request_is_not(make_dataset):
    cache = make_dataset()

    def stamp(**options):
        (run,) = probe(cache, "toy", "rep", tasks=["tags"], **options)
        return (run.folder / "run.json").stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    assert stamp(workers=2) == first
    changed = stamp(settings=RegularisationPath(strengths=(1.0,)))
    assert changed != first
    back = stamp()
    assert back != changed
    path = next(cache.representation("toy", "rep").rglob("*.npy"))
    np.save(path, np.load(path) + 1)
    assert stamp() != back


@pytest.mark.parametrize("damage", ["cut", "no predictions", "label"])
def test_a_run_that_is_not_whole_or_not_of_these_labels_is_made_again(make_dataset, damage):
    another = {"blues": "jazz", "jazz": "rock", "rock": "blues"}
    cache = make_dataset()
    (run,) = probe(cache, "toy", "rep", tasks=["genre"])
    before = files(cache.probe("toy", "rep"))
    if damage == "cut":
        (run.folder / "run.json").write_bytes((run.folder / "run.json").read_bytes()[:100])
    elif damage == "no predictions":
        (run.folder / "predictions.npz").unlink()
    else:
        cache = make_dataset(edit=lambda meta, _: meta["train/000-0"]["y"].update(genre=another[meta["train/000-0"]["y"]["genre"]]))
    (again,) = probe(cache, "toy", "rep", tasks=["genre"])
    assert (files(cache.probe("toy", "rep")) == before) == (damage != "label")
    assert again.metrics


def test_two_runs_differ_in_nothing_but_seconds(make_dataset):
    cache = make_dataset()
    seen = []
    for protocol, settings, workers in (("linear", None, 1), ("jukemir", SMALL, 1), ("linear", None, 2), ("jukemir", SMALL, 2)):
        for run in probe(cache, "toy", "rep", protocol=protocol, settings=settings, workers=workers):
            (run.folder / "done.json").unlink(missing_ok=True)
        seen.append({name: data for name, data in files(cache.probe("toy", "rep")).items() if protocol in name})
        for run in find_runs(cache, "toy", "rep"):
            (run.folder / "run.json").unlink()
        time.sleep(2.1 if len(seen) == 1 else 0)  # a ZIP archive counts time in steps of two seconds
    assert seen[0] == seen[2]
    assert seen[1] == seen[3]
    assert len(seen[0]) == len(seen[1]) == 8


def test_results_do_not_depend_on_the_threads_of_the_machine(make_dataset):
    cache = make_dataset(sizes=(600, 100, 100), dimension=200)
    script = (
        "import sys; from pathlib import Path; from jukemir_like.core.cache import Cache;"
        "from jukemir_like.probes.stage import probe_dataset;"
        "probe_dataset(Cache(Path(sys.argv[1])), 'toy', 'rep', tasks=['genre', 'emotion'])"
    )
    seen = []
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", script, str(cache.root)], check=True, env=environment)
        seen.append(files(cache.probe("toy", "rep")))
        for path in cache.probe("toy", "rep").rglob("run.json"):
            path.unlink()
    assert seen[0] == seen[1]


def test_seeds_are_runs_of_their_own(make_dataset):
    cache = make_dataset()
    runs = [probe(cache, "toy", "rep", tasks=["genre"], protocol="jukemir", settings=SMALL, seeds=(seed,))[0] for seed in (0, 1)]
    assert [run.folder.name for run in runs] == ["jukemir-0", "jukemir-1"]
    assert not np.array_equal(*[run.predictions("test").scores for run in runs])
    table = results.read([cache.probe("toy", "rep") / "results.csv"])
    assert {row["seed"] for row in table} == {0, 1, None}  # and both together


def test_the_seeds_of_lineareval_are_the_same_together_and_one_by_one_and_finished_ones_are_kept(make_dataset, monkeypatch):
    cache, settings = make_dataset(), LinearEval(max_epochs=4)
    for seed in (42, 43, 44):
        probe(cache, "toy", "rep", protocol="lineareval", settings=settings, seeds=(seed,), device="cpu")
    alone = files(cache.probe("toy", "rep"))
    for path in cache.probe("toy", "rep").rglob("lineareval-*/run.json"):
        if path.parent.name != "lineareval-43":
            path.unlink()
    asked = []
    monkeypatch.setattr(stage, "fit_together", lambda data, options, name: asked.append(options) or fit_together(data, options, name))
    runs = probe(cache, "toy", "rep", protocol="lineareval", settings=settings, device="cpu")
    assert [[of_seed.seed for of_seed in options] for options in asked] == [[42, 44]] * 4  # for each task
    assert [(run.task.name, run.seed) for run in runs[:4]] == [("genre", 42), ("genre", 43), ("genre", 44), ("key", 42)]
    assert files(cache.probe("toy", "rep")) == alone
    assert runs[0].record["fit"]["stopped_by"] == "accuracy"


def test_several_seeds_have_a_mean_an_interval_and_a_spread(make_dataset):
    probed = probe_dataset(make_dataset(), "toy", "rep", tasks=["genre"], protocol="lineareval", settings=LinearEval(max_epochs=4))
    values = [run.metrics["test"]["accuracy"] for run in probed.runs]
    (row,) = [row for row in results.read([probed.table.path]) if row["seed"] is None and row["metric"] == "accuracy"]
    assert row["value"] == pytest.approx(statistics.mean(values))
    assert row["spread"] == pytest.approx(statistics.stdev(values))
    assert row["low"] <= min(values) <= max(values) <= row["high"]
    assert (row["seeds"], row["selected"]) == (3, {})
    accuracy = next(line for line in str(probed).splitlines() if "accuracy" in line)
    assert "3 seeds" in accuracy
    assert f"{100 * row['spread']:.1f}" in accuracy
    assert "σ over seeds" in str(probed)
    assert len(str(probed).splitlines()) == 5  # header, rule, two metrics of all seeds together, path


def test_seeds_of_what_draws_nothing_have_no_spread(make_dataset):
    cache = make_dataset()
    for representation in ("rep", "trivial"):
        probed = probe_dataset(cache, "toy", representation, tasks=["genre"], seeds=(0, 1))
        assert "σ" not in str(probed)
        assert {row["spread"] for row in probed.table.rows} == {None}


def test_the_baseline_says_whose_labels_it_has_and_what_test_s_own_would_score(make_dataset):
    def edit(meta, description):
        for uid, record in meta.items():
            record["y"]["genre"] = ("rock" if uid < "test/030" else "blues") if record["split"] == "test" else "blues"

    notes = {run.task.name: run.record["notes"][-1] for run in probe(make_dataset(edit=edit), "toy", "trivial")}
    assert notes["genre"] == (
        "genre: trivial is the largest class ('blues') of train and has 25.0 % on test, "
        "where the largest class ('rock') of test itself would have 75.0 %"
    )
    assert notes["tags"] == "tags: trivial is the frequency of each tag of train"


def test_candidates_tell_how_each_point_went(make_dataset):
    (run,) = probe(make_dataset(), "toy", "rep", tasks=["emotion"], protocol="jukemir", settings=SMALL)
    candidates = run.record["candidates"]
    assert [{name: one[name] for name in run.record["selected"]} for one in candidates] == [point.to_json() for point in SMALL.points()]
    for one in candidates:
        assert one["steps"] == one["step"] + SMALL.evaluate_every * SMALL.patience
    assert run.metrics["valid"]["r2"] == max(one["value"] for one in candidates)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"protocol": "svm"}, "unknown protocol 'svm': choose one of linear, jukemir"),
        ({"tasks": ["mood"]}, "toy has no task 'mood': choose from genre, key, tags, emotion"),
        ({"protocol": "jukemir", "settings": RegularisationPath()}, "protocol jukemir takes settings of type Grid"),
    ],
)
def test_a_wrong_request_is_one_line(make_dataset, options, complaint):
    with pytest.raises(RequestError) as error:
        probe(make_dataset(), "toy", "rep", **options)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_one_line(make_dataset):
    cache = make_dataset()
    cache.probe("toy", "rep").parent.mkdir(parents=True)
    cache.probe("toy", "rep").write_text("a file where the folder must be")
    with pytest.raises(StorageError, match="cannot write"):
        probe(cache, "toy", "rep", tasks=["genre"])


def test_importing_the_package_is_cheap():
    script = "import sys, jukemir_like.probes; print([name for name in ('torch', 'numpy', 'scipy', 'sklearn') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_linear_protocol_needs_neither_torch_nor_scikit_learn(make_dataset):
    cache = make_dataset()
    script = (
        "import sys; from pathlib import Path; from jukemir_like.core.cache import Cache;"
        "from jukemir_like.probes.stage import probe_dataset;"
        "probe_dataset(Cache(Path(sys.argv[1])), 'toy', 'rep'); print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script, str(cache.root)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_task_that_cannot_be_probed_does_not_take_the_others_along(make_dataset):
    def edit(meta, _):
        for uid, record in meta.items():
            if uid.startswith("valid"):
                record["y"]["emotion"] = [0.5, 0.5]
                record["y"]["tags"] = []

    cache = make_dataset(edit=edit)
    with pytest.raises(RequestError) as error:
        probe(cache, "toy", "rep")
    assert "R² of emotion is undefined" in str(error.value)
    assert "ROC-AUC of tags is undefined" in str(error.value)
    assert [run.task.name for run in find_runs(cache, "toy", "rep")] == ["genre", "key"]
    assert {row["task"] for row in results.read([cache.probe("toy", "rep") / "results.csv"])} == {"genre", "key"}


def test_items_that_failed_are_not_in_the_trivial_baseline_either(make_dataset):
    cache = make_dataset()
    (first,) = probe(cache, "toy", "trivial", tasks=["genre"])
    cache = make_dataset(edit=lambda _, description: description.update(failed={"test/000-0": "holds no audio"}))
    (second,) = probe(cache, "toy", "trivial", tasks=["genre"])
    assert (first.record["scored"]["test"], second.record["scored"]["test"]) == (40, 39)


def test_a_test_item_whose_numbers_overflow_is_named(make_dataset):
    cache = make_dataset()
    for path in cache.representation("toy", "rep").rglob("*.npy"):
        np.save(path, 1e-3 * np.load(path))
    np.save(cache.representation("toy", "rep") / "test/002-0.npy", np.float32([3e38, -3e38] * 6))
    with pytest.raises(RequestError, match="test/002-0"):
        probe(cache, "toy", "rep", tasks=["genre"])


def test_a_dataset_without_a_validation_split_is_probed_by_protocol_linear_only(make_dataset):
    def without(meta, description):
        for record in meta.values():
            record["split"] = "train" if record["split"] == "valid" else record["split"]

    cache = make_dataset(edit=without, tasks=("genre", "emotion"))
    for run in probe(cache, "toy", "rep"):
        assert run.record["n"] == {"train": 90, "test": 40}
        assert run.record["scored"] == {"valid": 90, "test": 40}
        assert run.record["fit"]["fitted_on"] == run.record["fit"]["held_out_items"] == 90
        assert any("90 items of train: there is no validation split" in note for note in run.record["notes"])
    assert len(probe(cache, "toy", "trivial")) == 2
    with pytest.raises(RequestError, match=r"split valid has no item with a label for genre and a vector: .* or use protocol linear"):
        probe(cache, "toy", "rep", protocol="jukemir", settings=SMALL)
    assert results.tabulate_runs(cache, "toy", "rep").exit_code == 0
