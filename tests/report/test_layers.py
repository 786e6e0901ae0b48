"""Layers on the page: one row of what validation chose, beside a plain choice from results.csv; curves; layers that were asked for."""

import csv
import hashlib
import re

import numpy as np
import pytest

from jukemir_like.probes.layers import CHOICES
from jukemir_like.report import report

QUALITY = {"genre": {"0": 0.1, "1": 0.7, "2": 0.4, "3": 0.2}, "key": {"0": 0.1, "1": 0.3, "2": 0.8, "3": 0.2}}
ROW = "net, chosen layer"


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def record(cache, dataset="band", name="net"):
    path = cache.probe(dataset, name) / CHOICES
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


@pytest.fixture
def layers(cache, make_run, make_stages, tasks):
    """Four layers and two others; the layers were probed together."""
    for task, quality in QUALITY.items():
        for layer, value in quality.items():
            make_run(cache, "band", f"net@layer={layer}", tasks[task], value)
        make_run(cache, "band", "mfcc", tasks[task], 0.3)
        make_run(cache, "band", "trivial", tasks[task], 0)
    names = [f"net@layer={layer}" for layer in QUALITY["key"]]
    make_stages(cache, "band", [tasks[task] for task in QUALITY], [*names, "mfcc"], {"bad.wav": "is noise"})
    record(cache)
    return cache


def primary(cache, split):
    return {
        (row["task"], row["representation"]): float(row["value"])
        for row in rows_of(cache.report / "results.csv")
        if row["split"] == split and row["primary"] == "true"
    }


def chosen(cache):
    """Task → layer, by a plain maximum."""
    valid = primary(cache, "valid")
    return {task: max(QUALITY[task], key=lambda layer, task=task: valid[task, f"net@layer={layer}"]) for task in QUALITY}


def test_tables_have_one_row_of_the_chosen_layers(layers):
    written = report.report(layers)
    page = written.page.read_text()
    layer_of, test = chosen(layers), primary(layers, "test")
    assert layer_of == {"genre": "1", "key": "2"}
    for question in written.questions:
        assert set(question.answers) == {ROW, "mfcc", "trivial"}
        name = f"net@layer={layer_of[question.task.name]}"
        assert question.interval(ROW).value == pytest.approx(test[question.task.name, name])
    (row,) = re.findall(rf"<tr><th>{ROW}</th>(.*?)</tr>", page[: page.index("</table>")])
    assert re.findall(r"<small>layer (\d)</small>", row) == ["1", "2"]
    values = [float(value) for value in re.findall(r">([\d.]+)(?:</a>)?<small>", row)]
    expected = [100 * test[task, f"net@layer={layer}"] for task, layer in layer_of.items()]
    np.testing.assert_allclose(values, [np.mean(expected), *expected], atol=0.051)
    pairs = {(one["first"], one["second"]) for one in rows_of(layers.report / "comparisons.csv")}
    assert {name for pair in pairs for name in pair} == {ROW, "mfcc", "trivial"}
    assert ROW in str(written)


def test_every_layer_is_in_results_csv_with_its_interval_and_on_the_curve(layers):
    page = report.report(layers).page.read_text()
    rows = [row for row in rows_of(layers.report / "results.csv") if row["split"] == "test" and row["primary"] == "true"]
    assert {row["representation"] for row in rows} == {"mfcc", "trivial", *(f"net@layer={layer}" for layer in QUALITY["key"])}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows if row["representation"] != "trivial")
    described = re.findall(r'aria-label="Curves over layers: (.*?)"', page)
    test = primary(layers, "test")
    assert len(described) == 2
    for text, (task, layer) in zip(described, chosen(layers).items(), strict=True):
        values = ", ".join(f"{one} {100 * test[task, f'net@layer={one}']:.1f}" for one in QUALITY[task])
        assert text.endswith(f"net: {values}, chosen {layer}")


def test_layers_that_were_probed_by_name_only_are_rows_of_their_own(layers):
    (layers.probe("band", "net") / CHOICES).unlink()
    written = report.report(layers)
    names = {"mfcc", "trivial", *(f"net@layer={layer}" for layer in QUALITY["key"])}
    assert all(set(question.answers) == names for question in written.questions)
    assert "Curves over layers" not in written.page.read_text()
    pairs = {(row["first"], row["second"]) for row in rows_of(layers.report / "comparisons.csv")}
    assert {name for pair in pairs for name in pair} == names


def test_a_layer_that_is_asked_for_has_a_row_beside_the_chosen(layers, command):
    written = report.report(layers, layers_shown=["net@layer=1"])
    for question in written.questions:
        assert set(question.answers) == {ROW, "net@layer=1", "mfcc", "trivial"}
    (genre,) = [question for question in written.questions if question.task.name == "genre"]
    (difference,) = [one for pair, one in genre.comparisons.items() if set(pair) == {ROW, "net@layer=1"}]
    assert difference.differences["accuracy"].interval.value == 0  # the same runs
    finished = command("report", "--show", "net@layer=1", "--cache", layers.root)
    assert finished.returncode == 0, finished.stderr
    assert "net@layer=1" in finished.stdout


def test_a_representation_is_named_without_its_layer(layers):
    written = report.report(layers, representations=["net"])
    assert all(set(question.answers) == {ROW, "trivial"} for question in written.questions)
    written = report.report(layers, representations=["net@layer=0", "mfcc"])
    assert all(set(question.answers) == {"net@layer=0", "mfcc", "trivial"} for question in written.questions)


def test_the_choice_is_by_the_mean_over_seeds(layers, make_run, tasks):
    for layer, quality in (("0", 0.9), ("1", 0.2), ("2", 0.3), ("3", 0.1)):
        make_run(layers, "band", f"net@layer={layer}", tasks["genre"], quality, seed=1)
    written = report.report(layers)
    rows = [row for row in rows_of(layers.report / "results.csv") if (row["split"], row["metric"]) == ("valid", "accuracy")]
    means = {
        layer: np.mean([float(row["value"]) for row in rows if row["representation"] == f"net@layer={layer}" and row["task"] == "genre"])
        for layer in QUALITY["genre"]
    }
    (genre,) = [question for question in written.questions if question.task.name == "genre"]
    assert [run.representation for run in genre.answers[ROW].runs] == [f"net@layer={max(means, key=means.get)}"] * 2


def test_stages_of_layers_are_one_with_the_audio_counted_once(layers):
    page = report.report(layers).page.read_text()
    rows = {
        name: [re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", cells)]
        for name, cells in re.findall(r'<tr><td>band</td><td class="left">(.*?)</td>(.*?)</tr>', page)
    }
    done, failed, audio, work, _ = rows["extract net, 4 layers"]
    assert (done, failed, audio, work) == ("80", "1", rows["extract mfcc"][2], "8.0 s")
    assert rows["probe net, 4 layers, linear"][0] == "8"
    assert not [name for name in rows if "@" in name]


def test_layers_that_cannot_be_compared_are_named_and_stay_rows(layers, make_run, tasks):
    make_run(layers, "band", "net@layer=3", tasks["key"], 0.2, n=140)
    written = report.report(layers)
    assert written.exit_code == 3
    assert any("net on key of band, protocol linear, were probed on different items" in line for line in written.problems.damaged)
    assert all("net@layer=1" in question.answers for question in written.questions)


def test_runs_of_other_labels_have_no_part_in_the_choice(layers, make_run, tasks):
    meta = layers.processed("band") / "meta.json"
    meta.write_text("{}")
    old = report.report(layers)  # all are of other labels
    assert all(set(question.answers) == {ROW, "mfcc", "trivial"} for question in old.questions)
    assert len(old.problems.outdated) == 12
    lineage = {"meta": hashlib.sha256(b"{}").hexdigest(), "vectors": "f" * 64, "task": "c" * 16, "signature": "d" * 16, "sources": {}}
    for layer, quality in (("0", 0.9), ("1", 0.1)):
        make_run(layers, "band", f"net@layer={layer}", tasks["genre"], quality, seed=1, n=140, lineage=lineage)
    written = report.report(layers)
    (genre,) = [question for question in written.questions if question.task.name == "genre"]
    assert [(run.representation, run.seed) for run in genre.answers[ROW].runs] == [("net@layer=0", 1)]
    assert set(genre.answers) == {ROW, "mfcc", "trivial"}
    assert written.problems.damaged == []
    assert len(written.problems.outdated) == 12


def test_layers_with_runs_of_different_vectors_are_named_and_stay_rows(layers, make_run, tasks):
    lineage = {"meta": "a" * 64, "vectors": "f" * 64, "task": "c" * 16, "signature": "d" * 16, "sources": {}}
    for layer in QUALITY["genre"]:
        make_run(layers, "band", f"net@layer={layer}", tasks["genre"], 0.5, seed=1, lineage=lineage)
    written = report.report(layers)
    assert written.exit_code == 3
    assert any("have runs of different vectors of layer 0, 1, 2, 3" in line for line in written.problems.damaged)


def test_names_from_files_do_no_harm(cache, make_run, tasks):
    for layer in ("0", "1"):
        make_run(cache, "band", f"<b>@layer={layer}", tasks["genre"], 0.5)
    record(cache, name="<b>")
    page = report.report(cache).page.read_text()
    assert "&lt;b&gt;, chosen layer" in page
    assert "<b>, chosen" not in page
