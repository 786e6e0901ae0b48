"""What deformations cost, on the page: paired differences as a slow bootstrap gives them; no question of their own; any name harmless."""

import csv
import re

import numpy as np
import pytest

from jukemir_like.core.resampling import RESAMPLES, resample_groups
from jukemir_like.probes import metrics, run_names, runs
from jukemir_like.probes.tasks import Predictions
from jukemir_like.report.deformations import COLUMNS
from jukemir_like.report.report import report


@pytest.fixture
def add(cache, make_run):
    """A function that writes a clean run and one on deformed audio, in which the scores of a share of the test items are noise."""

    def write(
        task, name="mfcc", deformation="noise-20", wrong=0.5, quality=0.8, dataset="band", keep=None, relabel=None, valid=None, seed=0
    ):
        clean = make_run(cache, dataset, name, task, quality, n=60, seed=seed)
        test, of_valid = clean.predictions("test"), clean.predictions("valid")
        random = np.random.default_rng([7, seed])
        scores = test.scores.copy()
        changed = random.random(len(scores)) < wrong
        scores[changed] = 3 * random.standard_normal((changed.sum(), scores.shape[1]))
        chosen = slice(keep)
        y = test.y if relabel is None else relabel(test.y)
        predictions = {
            "valid": of_valid if valid is None else Predictions(of_valid.uid, of_valid.group, of_valid.y, valid(of_valid.scores)),
            "test": Predictions(test.uid[chosen], test.group[chosen], y[chosen], scores[chosen]),
        }
        origin = {"of": dataset, "deformation": deformation, "seed": 0, "meta": "a" * 64}
        counted = {split: len(one.uid) for split, one in predictions.items()}
        record = {
            **clean.record,
            "dataset": f"{dataset}~{deformation}",
            "metrics": {split: metrics.evaluate(task, one.y, one.scores) for split, one in predictions.items()},
            "scored": counted,
            "groups": {split: len(set(one.group)) for split, one in predictions.items()},
            "lineage": {**clean.record["lineage"], "deformed": origin},
        }
        folder = run_names.run_folder(cache, f"{dataset}~{deformation}", name, task.name, "linear", seed)
        return clean, runs.save_run(folder, record, predictions)

    return write


def rows(cache):
    with open(cache.report / "deformations.csv", newline="") as file:
        return list(csv.DictReader(file))


def page(cache):
    return (cache.report / "index.html").read_text()


@pytest.mark.parametrize("task", ["genre", "key", "tags", "emotion"])
def test_the_difference_is_that_of_the_same_items_in_the_same_resamples(cache, add, tasks, task):
    task = tasks[task]
    clean, deformed = (run.predictions("test") for run in add(task))
    report(cache)
    (row,) = (row for row in rows(cache) if row["primary"] == "true")
    assert tuple(row) == COLUMNS
    assert (row["dataset"], row["deformation"], row["representation"], row["n"]) == ("band", "noise-20", "mfcc", "60")
    order = np.argsort(clean.uid)
    value = [metrics.primary_metric(task, one.y, one.scores) for one in (clean, deformed)]
    assert float(row["clean"]) == pytest.approx(value[0])
    assert float(row["deformed"]) == pytest.approx(value[1])
    assert float(row["difference"]) == pytest.approx(value[1] - value[0])
    assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    # One resample after another, items repeated as often as they were drawn; plain percentiles, so the ends agree but roughly.
    slow = []
    for counts in np.concatenate(list(resample_groups(clean.group[order], 200, 5))):
        drawn = order[np.repeat(np.arange(len(counts)), counts)]
        if task.type == "multilabel" and metrics.count_undefined(task, clean.y[drawn])["roc_auc"] == len(task.labels):
            continue
        slow.append(
            metrics.primary_metric(task, deformed.y[drawn], deformed.scores[drawn])
            - metrics.primary_metric(task, clean.y[drawn], clean.scores[drawn])
        )
    low, high = np.quantile(slow, [0.025, 0.975])
    assert RESAMPLES > 200
    width = high - low
    assert float(row["low"]) == pytest.approx(low, abs=0.3 * width)
    assert float(row["high"]) == pytest.approx(high, abs=0.3 * width)


def test_deformed_by_nothing_nothing_is_lost(cache, add, tasks):
    add(tasks["genre"], deformation="level+0", wrong=0)
    report(cache)
    for row in rows(cache):
        assert float(row["difference"]) == 0
        assert float(row["low"]) <= 0 <= float(row["high"])
        assert float(row["p"]) == 1


def test_a_deformed_dataset_is_no_question_of_its_own(cache, add, tasks, make_stages):
    for deformation, wrong in (("noise-20", 0.5), ("mp3-32", 0.2)):
        for name in ("mfcc", "chroma"):
            add(tasks["genre"], name, deformation, wrong)
    make_stages(cache, "band", [tasks["genre"]])
    make_stages(cache, "band~noise-20", [tasks["genre"]])
    written = report(cache)
    assert [question.dataset for question in written.questions] == ["band"]
    text = page(cache)
    assert len(re.findall(r"<section id=\"task-\d+\">", text)) == 1
    assert "<h3>band</h3>" in text
    assert "<h3>band~noise-20</h3>" not in text
    section = text[text.index('<section id="deformations">') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 1
    assert re.findall(r"<tr><th title=\"[^\"]*\">(.*?)</th>", section) == ["noise-20", "mp3-32"]
    assert "white noise added, at an SNR of 20 dB over the clip" in section
    with open(cache.report / "comparisons.csv", newline="") as file:
        assert {row["dataset"] for row in csv.DictReader(file)} == {"band"}
    with open(cache.report / "results.csv", newline="") as file:
        assert {row["dataset"] for row in csv.DictReader(file)} == {"band", "band~noise-20", "band~mp3-32"}
    assert "noise-20" in str(written)
    assert report(cache, datasets=["band"]).deformed[0].names == ["noise-20", "mp3-32"]


def test_bold_is_what_the_interval_keeps_away_from_0(cache, add, tasks):
    add(tasks["genre"], "mfcc", wrong=0.9)
    add(tasks["genre"], "chroma", wrong=0)
    report(cache)
    section = page(cache)[page(cache).index('<section id="deformations">') :]
    cells = re.findall(r"<td( class=\"best\")?>([+−][\d.]+)<small>", section)
    assert {bool(best) for best, value in cells if value == "+0.0"} == {False}
    assert {bool(best) for best, value in cells if value != "+0.0"} == {True}
    assert len(cells) == 2


def test_no_section_and_no_table_without_deformed_datasets(cache, make_run, tasks):
    make_run(cache, "band", "mfcc", tasks["genre"], 0.5)
    report(cache)
    assert 'id="deformations"' not in page(cache)
    assert not (cache.report / "deformations.csv").exists()


def test_labels_that_follow_are_each_others_and_it_is_said(cache, add, tasks):
    _, deformed = add(tasks["key"], deformation="pitch+2", wrong=0, relabel=lambda y: (y + 2) % 12 + 12 * (y // 12))
    report(cache)
    (row,) = (row for row in rows(cache) if row["primary"] == "true")
    assert float(row["deformed"]) == pytest.approx(deformed.metrics["test"]["weighted_score"])
    assert "pitch+2: labels of key follow the pitch" in page(cache)


def test_items_without_a_vector_in_one_of_both_are_left_out_of_both(cache, add, tasks):
    clean, _ = add(tasks["genre"], keep=40)
    report(cache)
    test = clean.predictions("test")
    (row,) = (row for row in rows(cache) if row["metric"] == "accuracy")
    assert row["n"] == "40"
    assert float(row["clean"]) == pytest.approx(np.mean(test.scores[:40].argmax(1) == test.y[:40]))


def test_several_seeds_are_compared_seed_by_seed(cache, add, tasks):
    both = [add(tasks["genre"], seed=seed) for seed in (0, 1)]
    report(cache)
    (row,) = (row for row in rows(cache) if row["metric"] == "accuracy")
    change = [deformed.metrics["test"]["accuracy"] - clean.metrics["test"]["accuracy"] for clean, deformed in both]
    assert float(row["difference"]) == pytest.approx(np.mean(change))


def test_what_cannot_be_compared_is_said(cache, add, make_run, tasks):
    clean, _ = add(tasks["genre"], valid=lambda scores: scores[:, ::-1].copy())
    report(cache)
    assert "its probe is not that of the clean audio, which has changed since: probe both again" in page(cache)
    make_run(cache, "band", "chroma", tasks["genre"], 0.4)
    for path in clean.folder.iterdir():
        path.unlink()
    report(cache)
    assert "there is no clean result of mfcc to compare with, probe band too" in page(cache)
    for path in run_names.run_folder(cache, "band", "chroma", "genre", "linear", 0).iterdir():
        path.unlink()
    report(cache)
    assert "band~noise-20 has nothing to be compared with" in page(cache)


@pytest.mark.parametrize("name", ["<b>hum</b>", "noise-020", "pitch+99"])
def test_a_deformation_of_another_version_is_shown_by_its_name(cache, add, tasks, name):
    add(tasks["genre"], deformation=name.replace("/", " "))
    report(cache)
    assert "<b>hum" not in page(cache)
    assert next(row["deformation"] for row in rows(cache)) == name.replace("/", " ")
