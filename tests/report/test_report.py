"""The page: numbers are the rows', bold only where it may be, nothing loaded from elsewhere, any name harmless."""

import base64
import csv
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.probes.protocols import RECIPES
from jukemir_like.report import report


class Page(HTMLParser):
    """Tags with their attributes, and the cells of the first table."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.ids = [], [], []
        self._in_cell = self._in_small = False
        self.tables = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.tables += tag == "table"
        if tag in ("td", "th") and self.tables == 1:
            self.cells.append({"text": "", "small": "", "best": attributes.get("class") == "best"})
            self._in_cell = True
        self._in_small = tag == "small"

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")
        self._in_small = self._in_small and tag != "small"

    def handle_data(self, data):
        if self._in_cell:
            self.cells[-1]["small" if self._in_small else "text"] += data


def fill(cache, make_run, make_stages, tasks):
    """Five tasks; mfcc knows genre, chroma knows key, both the same of the rest."""
    for task in tasks.values():
        for name in ("chroma", "mfcc", "trivial"):
            quality = {"trivial": 0}.get(name, {("genre", "mfcc"): 0.9, ("key", "chroma"): 0.9}.get((task.name, name), 0.4))
            make_run(cache, "band", name, task, quality)
    make_stages(cache, "band", list(tasks.values()), ["chroma", "mfcc"], {"bad.wav": "is <empty>"})
    return cache


@pytest.fixture
def filled(cache, make_run, make_stages, tasks):
    """A cache that the test may change."""
    return fill(cache, make_run, make_stages, tasks)


@pytest.fixture(scope="module")
def shown(tmp_path_factory, make_run, make_stages, tasks):
    """A cache with its page, which no test changes: ``(cache, what report gave)``."""
    cache = fill(Cache(tmp_path_factory.mktemp("shown")), make_run, make_stages, tasks)
    return cache, report.report(cache)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_s_numbers_are_those_of_the_rows(shown):
    filled, written = shown
    page = Page(written.page.read_text())
    rows = [row for row in rows_of(filled.report / "results.csv") if row["split"] == "test" and row["primary"] == "true"]
    assert len(rows) == 15
    shown = {cell["text"].strip(): cell["small"] for cell in page.cells}
    for row in rows:
        value = f"{100 * float(row['value']):.1f}".replace("-0.0", "0.0").replace("-", "−")
        assert value in shown
        assert f"{float(row['value']) * 100:.1f}".replace("-0.0", "0.0") in str(written)


def slow_holm(p):
    """By the definition: in ascending order, each times the number of those not yet passed, and never less than one before it."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    steps = {place: min(1, p[place] * (len(p) - rank)) for rank, place in enumerate(order)}
    return [max(steps[other] for other in order[: order.index(place) + 1]) for place in range(len(p))]


def test_p_of_all_pairs_are_corrected_together(shown):
    filled, _ = shown
    questions = {}
    for row in rows_of(filled.report / "comparisons.csv"):
        questions.setdefault((row["protocol"], row["task"], row["metric"]), []).append(row)
    assert {len(rows) for rows in questions.values()} == {3}
    for rows in questions.values():
        beside_baseline = [row for row in rows if "trivial" in (row["first"], row["second"])]
        for family in (beside_baseline, [row for row in rows if row not in beside_baseline]):
            corrected = [float(row["p_corrected"]) for row in family]
            assert corrected == pytest.approx(slow_holm([float(row["p"]) for row in family]))
    text = filled.report.joinpath("index.html").read_text()
    assert text.count("holds for all pairs of representations together") == 5


def test_few_groups_are_said_on_the_page_and_in_the_terminal(cache, make_run, tasks):
    for name in ("one", "two"):
        make_run(cache, "band", name, tasks["genre"], 0.5, n=60)
    assert "groups: with fewer" not in str(report.report(cache))
    for name in ("one", "two"):
        make_run(cache, "small", name, tasks["genre"], 0.5, n=40)
    written = report.report(cache)
    assert str(written).count("small, genre: only 8 groups: with fewer than 10, read intervals as rough") == 1
    assert written.page.read_text().count("Only 8 groups") == 1


def test_bold_is_for_what_is_better_than_all_others_by_corrected_p(shown):
    filled, written = shown
    page = Page(written.page.read_text())
    best = [cell["text"].strip() for cell in page.cells if cell["best"]]
    rows = rows_of(filled.report / "results.csv")
    value = {
        (row["task"], row["representation"]): f"{100 * float(row['value']):.1f}"
        for row in rows
        if row["split"] == "test" and row["primary"] == "true"
    }
    differences = rows_of(filled.report / "comparisons.csv")
    expected = []
    for task in ("emotion", "genre", "key", "tags", "tempo"):
        first = max(("chroma", "mfcc", "trivial"), key=lambda name, task=task: float(value[task, name]))
        against = [
            row for row in differences if row["task"] == task and row["primary"] == "true" and first in (row["first"], row["second"])
        ]
        assert len(against) == 2
        if all(float(row["p_corrected"]) < 0.05 for row in against):
            expected.append(value[task, first])
    assert best == sorted(best, key=best.index)
    assert sorted(best) == sorted(expected)
    assert value["genre", "mfcc"] in best
    assert value["key", "chroma"] in best


def test_two_that_are_alike_are_not_bold(cache, make_run, tasks):
    for name in ("one", "two"):
        make_run(cache, "band", name, tasks["genre"], 0.5)
    assert not [cell for cell in Page(report.report(cache).page.read_text()).cells if cell["best"]]


def test_the_page_is_one_file_that_loads_nothing(shown):
    _, written = shown
    text = written.page.read_text()
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img")
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "xlink:href"):
            assert not attributes.get(name) or attributes[name].startswith(("#", "data:image/png;base64,")), (tag, attributes)
    assert "@import" not in text
    assert "url(http" not in text
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def test_links_lead_somewhere_and_names_stand_once(shown):
    _, written = shown
    page = Page(written.page.read_text())
    assert len(page.ids) == len(set(page.ids))
    links = [attributes.get(name) or "" for _, attributes in page.tags for name in ("href", "xlink:href")]
    targets = {link[1:] for link in links if link.startswith("#")}
    assert targets <= set(page.ids)
    assert {"task-0", "task-4"} <= targets


def test_names_cannot_break_the_page(cache, make_run, make_stages, tasks):
    evil = "<script>alert(1)</script>$x$"
    make_run(cache, "band", "chroma", tasks["genre"], 0.5, notes=[f"note {evil}"], configuration={"x": evil})
    make_stages(cache, "band", [tasks["genre"]], ["chroma"], {f"{evil}.wav": f"reason {evil}"})
    text = report.report(cache).page.read_text()
    assert text.count("<script") == 1  # the page's own
    assert "&lt;script&gt;" in text


def test_the_same_inputs_give_the_same_bytes(shown, filled):
    cache, _ = shown
    report.report(filled)
    names = {"index.html", "results.csv", "comparisons.csv"}
    assert {path.name for path in filled.report.iterdir()} == names
    for name in names:
        assert (filled.report / name).read_bytes() == (cache.report / name).read_bytes()


def test_confusion_matrices_are_there_for_classes_alone(shown):
    _, written = shown
    text = written.page.read_text()
    assert len(re.findall(r'aria-label="Confusion matrix of (?:chroma|mfcc)', text)) == 4  # genre and key
    assert len(re.findall(r'aria-label="Bar plot', text)) == 5


def test_it_says_what_could_not_be_used_and_what_ran(shown):
    _, written = shown
    text = written.page.read_text()
    assert "is &lt;empty&gt;" in text
    assert "extract chroma" in text
    assert "1 of 20 tags are left out" in text


def test_a_run_that_did_not_end_is_named_and_left_out(filled):
    broken = filled.probe("band", "mfcc") / "genre" / "linear-0" / "run.json"
    broken.write_text("{")
    text = report.report(filled).page.read_text()
    assert "probes/band/mfcc/genre/linear-0" in text
    assert len([row for row in rows_of(filled.report / "results.csv") if row["primary"] == "true" and row["split"] == "test"]) == 14


def test_damaged_predictions_are_named_and_left_out(cache, make_run, tasks):
    make_run(cache, "band", "chroma", tasks["genre"], 0.5)
    predictions = make_run(cache, "band", "mfcc", tasks["genre"], 0.5).folder / "predictions.npz"
    predictions.write_bytes(predictions.read_bytes()[:500])
    text = report.report(cache).page.read_text()
    assert "probes/band/mfcc/genre/linear-0" in text
    assert {row["representation"] for row in rows_of(cache.report / "results.csv")} == {"chroma"}


def test_scores_of_labels_or_vectors_that_have_changed_since_are_shown_and_said_to_be_old(cache, make_run, make_stages, tasks):
    lineage = {"vectors": "b" * 64, "task": "c" * 16, "sources": {}}
    make_stages(cache, "band", [tasks["genre"]], ["chroma", "mfcc", "level"])  # records with the signature d…
    (cache.processed("band") / "meta.json").write_text("{}")
    meta = hashlib.sha256(b"{}").hexdigest()
    make_run(cache, "band", "chroma", tasks["genre"], 0.5, lineage={**lineage, "meta": meta, "signature": "d" * 16})
    make_run(cache, "band", "mfcc", tasks["genre"], 0.5, lineage={**lineage, "meta": "a" * 64, "signature": "d" * 16})
    make_run(cache, "band", "level", tasks["genre"], 0.5, lineage={**lineage, "meta": "a" * 64, "signature": "e" * 16})
    make_run(cache, "gone", "chroma", tasks["genre"], 0.5, lineage={**lineage, "meta": "a" * 64, "signature": "d" * 16})
    written = report.report(cache)
    old = [line for line in str(written).splitlines() if line.startswith("  old: ")]
    assert old == [
        "  old: probes/band/level/genre/linear-0 was made from other labels and vectors of another version than the cache has now: "
        "run `jukemir-like probe band level` again",
        "  old: probes/band/mfcc/genre/linear-0 was made from other labels than the cache has now: "
        "run `jukemir-like probe band mfcc` again",
    ]
    assert "2 of the 4 scores are" in written.page.read_text()
    assert written.exit_code == 0


def test_scores_of_another_version_of_the_protocol_are_said_to_be_old(cache, make_run, tasks):
    for name, protocol, recipe in (
        ("chroma", "linear", 1),
        ("mfcc", "linear", RECIPES["linear"]),
        ("level", "jukemir", RECIPES["jukemir"]),
    ):
        make_run(cache, "band", name, tasks["genre"], 0.5, protocol=protocol, recipe=recipe)
    old = [line for line in str(report.report(cache)).splitlines() if line.startswith("  old: ")]
    assert old == [
        "  old: probes/band/chroma/genre/linear-0 was probed by another version of protocol linear, whose numbers differ: "
        "run `jukemir-like probe band chroma` again"
    ]


def test_scores_on_other_labels_stand_side_by_side_without_bold_and_with_a_line(cache, make_run, tasks):
    make_run(cache, "band", "chroma", tasks["genre"], 0.2)
    make_run(cache, "band", "mfcc", tasks["genre"], 0.9, n=100)
    text = report.report(cache).page.read_text()
    assert "were scored against different labels" in text
    assert not [cell for cell in Page(text).cells if cell["best"]]
    assert rows_of(cache.report / "comparisons.csv") == []


def test_names_that_are_not_utf_8_do_not_stop_the_page(cache, make_run, make_stages, tasks):
    make_run(cache, "band", "chroma", tasks["tempo"], 0.5, notes=["a \udcff note"])
    make_stages(cache, "band", [tasks["tempo"]], ["chroma"], {"caf\udce9.wav": "cannot be decoded"})
    text = report.report(cache).page.read_bytes().decode()
    assert "caf\\xe9.wav" in text


def test_the_best_average_is_bold_only_where_the_paired_interval_allows(cache, make_run, tasks):
    for name, quality in (("chroma", 0.3), ("mfcc", 0.9), ("twin", 0.9)):
        for task in ("genre", "tempo"):
            make_run(cache, "band", name, tasks[task], quality)
    assert [cell["text"] for cell in Page(report.report(cache).page.read_text()).cells if cell["best"]] == []
    page = Page(report.report(cache, representations=["chroma", "mfcc"]).page.read_text())
    assert len([cell for cell in page.cells if cell["best"]]) == 3


def test_filters_keep_the_baseline(filled):
    report.report(filled, representations=["mfcc"], datasets=["band"], protocol="linear")
    assert {row["representation"] for row in rows_of(filled.report / "results.csv")} == {"mfcc", "trivial"}


@pytest.mark.parametrize("arguments", [{"datasets": ["absent"]}, {"representations": ["mfcc", "mffc"]}, {"protocol": "jukemir"}])
def test_nothing_to_show_says_what_to_run(filled, arguments):
    with pytest.raises(RequestError, match="jukemir-like probe"):
        report.report(filled, **arguments)


def test_several_protocols_and_seeds_stand_apart(cache, make_run, tasks):
    make_run(cache, "band", "chroma", tasks["genre"], 0.5)
    for seed in (0, 1, 2):
        make_run(cache, "band", "chroma", tasks["genre"], 0.5, seed=seed, protocol="jukemir")
    text = report.report(cache).page.read_text()
    assert "band, jukemir" in text
    assert "band, linear" in text
    assert "σ over seeds" in text
    assert "seeds 0, 1, 2" in text
    (together,) = [row for row in rows_of(cache.report / "results.csv") if not row["seed"] and row["metric"] == "accuracy"]
    assert (together["protocol"], together["seeds"]) == ("jukemir", "3")
    assert float(together["spread"]) > 0


def test_what_draws_nothing_has_no_spread_over_seeds(cache, make_run, tasks):
    for seed in (0, 1, 2):
        make_run(cache, "band", "chroma", tasks["genre"], 0.5, seed=seed)
        for protocol in ("linear", "jukemir"):
            make_run(cache, "band", "trivial", tasks["genre"], 0, seed=seed, protocol=protocol)
    text = report.report(cache).page.read_text()
    assert "σ over seeds" not in text
    assert "several seeds" not in text
    assert {row["seeds"] for row in rows_of(cache.report / "results.csv")} == {"1"}


def test_trivial_says_that_it_is_of_train(cache, make_run, tasks):
    make_run(cache, "band", "trivial", tasks["genre"], 0)
    make_run(cache, "band", "chroma", tasks["genre"], 0.5)
    assert "<small>largest class of train</small>" in report.report(cache).page.read_text()


def test_the_average_counts_tags_with_the_mean_of_auc_and_precision(shown):
    filled, written = shown
    rows = [row for row in rows_of(filled.report / "results.csv") if row["split"] == "test" and row["representation"] == "mfcc"]
    value = {(row["task"], row["metric"]): float(row["value"]) for row in rows}
    tags = (value["tags", "roc_auc"] + value["tags", "average_precision"]) / 2
    expected = np.mean([value["genre", "accuracy"], value["key", "weighted_score"], tags, value["emotion", "r2"], value["tempo", "r2"]])
    assert f"{100 * expected:.1f}" in [cell["text"].strip() for cell in Page(written.page.read_text()).cells]
