"""Published results stand beside ours as they were printed, and nowhere else."""

import csv
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from jukemir_like.datasets import KEYS
from jukemir_like.report import published, report

FIXTURES = Path(__file__).parents[1] / "fixtures"
TASK_OF = {"gtzan_ff": "genre", "giantsteps_clips": "key", "magnatagatune": "tags", "emomusic": "emotion"}
JUKEBOX = {
    ("magnatagatune", "roc_auc"): 91.5,
    ("magnatagatune", "average_precision"): 41.4,
    ("gtzan_ff", "accuracy"): 79.7,
    ("giantsteps_clips", "weighted_score"): 66.7,
    ("emomusic", "r2_arousal"): 72.1,
    ("emomusic", "r2_valence"): 61.7,
}


@pytest.fixture
def four(cache, make_run, tasks):
    """A cache with both of our representations on the four datasets of the paper."""
    for dataset, task in TASK_OF.items():
        for name, quality in (("chroma", 0.2), ("mfcc", 0.6), ("trivial", 0)):
            make_run(cache, dataset, name, tasks[task], quality)
    return cache


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def published_parts(text):
    return re.findall(r'<tbody class="published">(.*?)</tbody>', text, flags=re.DOTALL)


def cells(row):
    return [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL)]


def row_of(part, name):
    (row,) = re.findall(rf"<tr><th[^>]*>{name}\b(.*?)</tr>", part, flags=re.DOTALL)
    return cells(row)


def test_the_averages_of_the_paper_follow_from_its_other_columns():
    for name in ("chroma", "mfcc", "choi", "musicnn", "clmr", "jukebox"):
        auc, precision = (published.value("magnatagatune", name, metric) for metric in ("roc_auc", "average_precision"))
        arousal, valence = (published.value("emomusic", name, f"r2_{label}") for label in ("arousal", "valence"))
        genre, key = published.value("gtzan_ff", name, "accuracy"), published.value("giantsteps_clips", name, "weighted_score")
        mean = np.mean([(auc + precision) / 2, (arousal + valence) / 2, genre, key])
        assert published.average(name) == pytest.approx(mean, abs=0.00051)  # printed with one decimal of a percent
    for (dataset, metric), percent in JUKEBOX.items():
        assert published.value(dataset, "jukebox", metric) == pytest.approx(percent / 100)


def test_the_trivial_baselines_are_those_of_the_published_labels():
    with gzip.open(FIXTURES / "gtzan" / "gtzan_ff.jsonl.gz", "rt") as file:
        genres = [record["y"] for record in map(json.loads, file) if record["split"] == "test"]
    assert published.value("gtzan_ff", "trivial", "accuracy") == pytest.approx(max(Counter(genres).values()) / len(genres), abs=5e-4)
    with gzip.open(FIXTURES / "giantsteps" / "giantsteps_clips.jsonl.gz", "rt") as file:
        keys = {record["uid"][:7]: record["y"] for record in map(json.loads, file) if record["split"] == "test"}
    score = max(np.mean([mir_eval.key.weighted_score(key, guess) for key in keys.values()]) for guess in KEYS)
    assert published.value("giantsteps_clips", "trivial", "weighted_score") == pytest.approx(score, abs=5e-4)


def test_they_stand_below_ours_with_every_metric_by_its_name(four):
    headline, *parts = published_parts(report.report(four).page.read_text())
    questions = sorted(TASK_OF)
    assert len(parts) == len(questions)
    expected = {
        "emomusic": ["66.9", "72.1", "61.7", "", ""],
        "giantsteps_clips": ["66.7", "", "", ""],
        "gtzan_ff": ["79.7", "", "", ""],
        "magnatagatune": ["91.5", "41.4", "", ""],
    }
    for dataset, part in zip(questions, parts, strict=True):
        assert row_of(part, "jukebox") == expected[dataset]
        assert "not measured here" in part
        assert "Castellon et al. 2021" in part
    assert row_of(headline, "jukebox") == ["69.9", "66.9", "66.7", "79.7", "91.5"]
    assert row_of(headline, "trivial") == ["", "", "15.8", "11.0", "50.0"]


def test_those_of_marble_s_protocol_are_marked_with_it_and_are_in_no_average(four):
    headline, *parts = published_parts(report.report(four).page.read_text())
    expected = {  # as printed
        "MERT": {"gtzan_ff": "78.6", "giantsteps_clips": "65.6", "emomusic": ("61.2", "74.7"), "magnatagatune": ("91.3", "40.2")},
        "MusicFM": {"gtzan_ff": "83.8", "giantsteps_clips": "63.9", "emomusic": ("60.3", "76.3"), "magnatagatune": ("91.3", "40.0")},
        "MuQ": {"gtzan_ff": "85.5", "giantsteps_clips": "63.5", "emomusic": ("60.9", "75.4"), "magnatagatune": ("91.4", "40.3")},
    }
    for name, printed in expected.items():
        by_dataset = {dataset: row_of(part, name) for dataset, part in zip(sorted(TASK_OF), parts, strict=True)}
        assert by_dataset["gtzan_ff"][0] == printed["gtzan_ff"]
        assert by_dataset["giantsteps_clips"][0] == printed["giantsteps_clips"]
        assert by_dataset["emomusic"][1:3] == list(reversed(printed["emomusic"]))
        assert float(by_dataset["emomusic"][0]) == pytest.approx(sum(map(float, printed["emomusic"])) / 2, abs=0.051)
        assert by_dataset["magnatagatune"][:2] == list(printed["magnatagatune"])
        assert row_of(headline, name)[0] == ""  # the paper's average has no such row
    assert all(part.count("Zhu et al. 2025, MARBLE") == 3 and part.count("Castellon et al. 2021, jukemir") == 6 for part in parts)
    text = four.report.joinpath("index.html").read_text()
    assert "MERT, MusicFM, MuQ: Zhu et al. 2025 (arXiv 2501.01108), under the protocol of MARBLE (arXiv 2306.10548)" in text


def test_they_are_in_no_table_of_ours_and_change_nothing_that_is_bold(four, make_run, tasks):
    text = report.report(four).page.read_text()
    for name in ("results.csv", "comparisons.csv"):
        assert not {"choi", "musicnn", "clmr", "jukebox"} & {cell for row in rows_of(four.report / name) for cell in row.values()}
    assert all("best" not in part for part in published_parts(text))
    bold = re.findall(r'<td class="best"[^>]*>(?:<a[^>]*>)?([−\d.]+)', text[: text.index("</table>")])
    for dataset, task in TASK_OF.items():  # the same runs under names that nothing was published on
        for name, quality in (("chroma", 0.2), ("mfcc", 0.6), ("trivial", 0)):
            make_run(four, f"my_{dataset}", name, tasks[task], quality)
    mine = report.report(four, datasets=[f"my_{dataset}" for dataset in TASK_OF]).page.read_text()
    assert published_parts(mine) == []
    assert len(bold) == 5  # mfcc, on each and on average
    assert len(re.findall(r'<td class="best"', mine[: mine.index("</table>")])) == 4


def test_their_bars_are_hollow_and_named_published(four):
    text = report.report(four).page.read_text()
    plots = re.findall(r'<svg role="img" aria-label="Bar plot.*?</svg>', text, flags=re.DOTALL)
    assert len(plots) == 4
    for dataset, plot in zip(sorted(TASK_OF), plots, strict=True):
        bars = len([one for one in published.of(dataset) if one.representation != "trivial"])
        assert bars == (9 if dataset == "emomusic" else 10)
        assert plot.count("<pattern") == 1
        assert len(re.findall(r'style="fill: url\(#[^)]*\)', plot)) == bars
        assert len(re.findall(r"font-style: ?italic|font: italic", plot)) == bars
        assert "jukebox, published" in plot
        assert "MuQ, published, MARBLE" in plot


def test_a_dataset_with_options_is_another_one(cache, make_run, tasks):
    make_run(cache, "magnatagatune+tagged_only", "mfcc", tasks["tags"], 0.6)
    text = report.report(cache).page.read_text()
    assert published_parts(text) == []
    assert "jukebox" not in text
    assert "magnatagatune+tagged_only is another task than magnatagatune" in text


def test_a_user_s_dataset_that_happens_to_have_the_name_gets_none(cache, make_run, tasks):
    make_run(cache, "gtzan_ff", "mfcc", tasks["tempo"], 0.6)
    assert published_parts(report.report(cache).page.read_text()) == []


def test_our_average_counts_every_dataset_once_and_is_there_only_with_all_four(four, make_run, tasks):
    text = report.report(four).page.read_text()
    rows = [row for row in rows_of(four.report / "results.csv") if row["split"] == "test" and row["representation"] == "mfcc"]
    value = {(row["dataset"], row["metric"]): float(row["value"]) for row in rows}
    tags = (value["magnatagatune", "roc_auc"] + value["magnatagatune", "average_precision"]) / 2
    emotion = (value["emomusic", "r2_arousal"] + value["emomusic", "r2_valence"]) / 2
    expected = np.mean([tags, emotion, value["gtzan_ff", "accuracy"], value["giantsteps_clips", "weighted_score"]])
    (row,) = re.findall(r"<tr><th>mfcc</th>(.*?)</tr>", text[: text.index('<tbody class="published"')], flags=re.DOTALL)
    average, low, high = map(float, re.findall(r"^<td[^>]*>([\d.]+)<small>([\d.]+) – ([\d.]+)</small></td>", row)[0])
    assert average == pytest.approx(100 * expected, abs=0.051)
    assert low < average < high
    # Four independent means: the variance of their average is a sixteenth of the sum.
    widths = [float(one["high"]) - float(one["low"]) for one in rows if one["primary"] == "true"]
    assert high - low < 100 * sum(widths) / 4 * 0.8
    fewer = report.report(four, datasets=["gtzan_ff", "emomusic", "magnatagatune"]).page.read_text()
    assert "<small>of datasets</small>" not in fewer
    make_run(four, "gtzan_ff", "mfcc", tasks["genre"], 0.6, protocol="jukemir")
    assert report.report(four).page.read_text().count("<small>of datasets</small>") == 1


def test_a_difference_is_bold_only_where_its_corrected_p_is_small(cache, make_run, tasks):
    for name, quality in (("one", 0.5), ("same", 0.5), ("trivial", 0)):
        make_run(cache, "band", name, tasks["genre"], quality)
    text = report.report(cache).page.read_text()
    table = text[text.index("Paired differences") :]
    bold = {
        tuple(cells(row)[:2]) for kind, row in re.findall(r"<tr( class=\"best\")?><td>(.*?)</tr>", table) if kind for row in [f"<td>{row}"]
    }
    clear = {
        (row["first"], row["second"])
        for row in rows_of(cache.report / "comparisons.csv")
        if row["primary"] == "true" and float(row["p_corrected"]) < 0.05
    }
    assert bold == clear
    assert 0 < len(clear) < 3


def test_what_was_not_read_in_the_paper_says_so_wherever_it_is_shown(four):
    said = "from a secondary source"
    sources = {
        row["source"] for row in rows_of(Path(published.__file__).with_name("published.csv")) if row["representation"] == "Stem-JEPA"
    }
    assert sources == {f"Riou et al. 2024, {said}"}
    report.report(four)
    text = (four.report / "index.html").read_text()
    for row in re.findall(r"<th[^>]*>Stem-JEPA.*?</th>", text):  # of the first table, and of those of tasks
        assert said in row
    assert f"Stem-JEPA, {said}, EVAR" in text  # below a bar
    assert "Stem-JEPA, published" not in text
    assert len(re.findall(rf"{said} \(arXiv 2408.02514, with which the figures were not compared\)", text)) >= 4  # notes, and the first one
    assert not re.search(r"Riou et al\. 2024(?!, from a secondary source)", text)
