"""Sentences under figures and tables: each claim is checked against the table of paired differences."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from jukemir_like.datasets import KEYS
from jukemir_like.probes import metrics
from jukemir_like.probes.runs import save_run
from jukemir_like.probes.tasks import Predictions
from jukemir_like.report import conclusions, headline, questions
from jukemir_like.report.confusions import Confusions
from jukemir_like.report.lines import CostPoint

from .test_retrieval import evaluate


@pytest.fixture
def asked(cache, make_run, tasks):
    """Runs of one task by name and quality → the question."""

    def make(qualities, task="genre", **options):
        runs = [make_run(cache, "band", name, tasks[task], quality, **options) for name, quality in qualities.items()]
        (question,) = questions.questions(runs)
        return question

    return make


def test_who_cannot_be_told_apart_from_the_first(asked):
    question = asked({"a": 0.9, "bb": 0.88, "poor": 0.2, "trivial": 0})
    says = conclusions.of_scores(question).says
    assert question.differ("a", "bb") is False
    assert question.differ("poor", "a") is True
    leaders = [name for name in question.answers if name in ("a", "bb")]
    assert f"The first two cannot be told apart: {' and '.join(leaders)}." in says


def test_the_clearly_best_is_named_with_its_distance_to_the_closest(asked):
    question = asked({"good": 0.9, "middle": 0.5, "poor": 0.2, "trivial": 0})
    assert question.best == "good"
    distance = 100 * (question.interval("good").value - question.interval("middle").value)
    says = conclusions.of_scores(question).says
    assert f"good is better than every other row; the closest, middle, is {distance:.1f} points below." in says
    assert "Every row is better than the baseline." in says


def test_what_is_no_better_than_the_baseline_is_named(asked):
    question = asked({"good": 0.9, "same": 0.01, "trivial": 0})
    assert question.differ("same", "trivial") is False
    assert "Not clearly better than the baseline: same." in conclusions.of_scores(question).says


def test_that_no_row_is_better_than_the_baseline_is_said(asked):
    question = asked({"same": 0.01, "other": 0.02, "trivial": 0})
    assert not any(question.differ(name, "trivial") for name in ("same", "other"))
    assert "No row is clearly better than the baseline." in conclusions.of_scores(question).says


@pytest.mark.parametrize(("per_group", "said"), [(25, "Only 6 groups"), (150, "Only 1 group "), (5, None)])
def test_few_groups_are_said(asked, per_group, said):
    does_not = conclusions.of_scores(asked({"a": 0.9, "bb": 0.2, "trivial": 0}, per_group=per_group)).does_not
    assert said in does_not if said else "groups" not in does_not


def test_rows_that_cannot_be_compared_are_called_neither_better_nor_alike(cache, make_run, tasks):
    runs = [make_run(cache, "band", "a", tasks["genre"], 0.9), make_run(cache, "band", "bb", tasks["genre"], 0.2, n=100)]
    (question,) = questions.questions(runs)
    assert question.differ("a", "bb") is None
    says = conclusions.of_scores(question).says
    assert "no other row can be compared with it" in says
    assert "told apart" not in says


def test_one_row_alone_is_called_neither_best_nor_worst(asked):
    assert conclusions.of_scores(asked({"a": 0.9})).says == ""


def test_the_baseline_alone_has_a_sentence(asked):
    assert conclusions.of_scores(asked({"trivial": 0})).says == "Only the baseline was probed."


def test_columns_of_the_first_table_are_counted(cache, make_run, tasks):
    qualities = {"genre": {"a": 0.9, "bb": 0.2}, "key": {"a": 0.9, "bb": 0.2}, "emotion": {"a": 0.5, "bb": 0.5}}
    runs = [make_run(cache, "band", name, tasks[task], quality) for task, of in qualities.items() for name, quality in of.items()]
    asked = questions.questions(runs)
    best = [question.best for question in asked]
    assert sorted(best, key=str) == [None, "a", "a"]
    conclusion = conclusions.of_headline(asked, [])
    assert conclusion.says == "Clearly best: a in 2 columns. In the other column no row is clearly better than every other."


def test_pairs_are_counted_without_the_baseline(asked):
    question = asked({"a": 0.9, "bb": 0.88, "poor": 0.2, "trivial": 0})
    clear = sum(bool(question.differ(*pair)) for pair in (("a", "bb"), ("a", "poor"), ("bb", "poor")))
    assert conclusions.of_differences(question).says == f"{clear} of 3 pairs of representations differ clearly."


def test_the_cheapest_is_one_that_cannot_be_told_apart_from_the_first(asked):
    question = asked({"a": 0.9, "bb": 0.88, "poor": 0.2, "trivial": 0})
    first, second = [name for name in question.answers if name in ("a", "bb")]
    points = [CostPoint(name, 1.0, None, None, seconds, None, "") for name, seconds in ((first, 90.0), (second, 30.0), ("poor", 1.0))]
    assert conclusions.of_cost(question, points).says == (
        f"{second} cannot be told apart from {first}, which has the highest score, and takes 3 times less."
    )
    points = [CostPoint(name, 1.0, None, None, seconds, None, "") for name, seconds in ((first, 30.0), (second, 90.0))]
    assert f"{second} cannot be told apart from it, but is not faster" in conclusions.of_cost(question, points).says


def test_nothing_is_said_of_times_that_are_all_the_same(asked):
    question = asked({"a": 0.9, "bb": 0.2})
    assert not conclusions.of_cost(question, [CostPoint(name, 1.0, None, None, 3.0, None, "") for name in ("a", "bb")])


def test_errors_of_keys_are_counted_by_their_distance_in_music():
    names = list(KEYS)
    truth = ["C major"] * 5
    guess = ["C major", "G major", "A minor", "C minor", "D major"]
    scores = [metrics.mirex_table()[names.index(a), names.index(b)] for a, b in zip(truth, guess, strict=True)]
    assert np.allclose(scores, [1, 0.5, 0.3, 0.2, 0])  # as mir_eval
    found = Confusions.of(np.array([names.index(one) for one in truth]), np.array([names.index(one) for one in guess]), names)
    assert conclusions.of_confusions(found, key=True).endswith("Of 4 errors, 1 a fifth above, 1 relative, 1 parallel.")
    assert conclusions.of_confusions(Confusions.of(np.array([0]), np.array([0]), ["a"]), key=False) == "No errors."


def test_retrieval_is_said_as_times_chance():
    from jukemir_like.stemjepa.retrieval import results

    rows = results.rows(evaluate(0.5), weights="good", digest="0", dataset="songs")
    row = next(row for row in rows if (row["pool"], row["instrument"], row["metric"]) == ("same-instrument", "all", "R@1"))
    score = evaluate(0.5).score("same-instrument", "all", "R@1")
    (times,) = re.findall(r"good finds the stem ([\d.]+) times", conclusions.of_retrieval({"good": row}).says)
    assert float(times) == pytest.approx(score.value * 30, rel=0.05)
    assert conclusions.of_retrieval({"good": {**row, "low": row["chance"]}}).says.startswith("good is not clearly better than chance")


@pytest.fixture
def lacking(cache, make_run, tasks):
    """A question where ``easy`` has vectors of the easier half only, and there is worse than ``all``."""
    n, task = 200, tasks["genre"]
    random = np.random.default_rng(0)
    y, is_easy = random.integers(8, size=n), np.arange(n) < n // 2
    right = {"easy": random.random(n) < 0.75, "all": random.random(n) < np.where(is_easy, 0.97, 0.3)}
    made = []
    for name, keep in (("easy", is_easy), ("all", np.ones(n, bool))):
        run = make_run(cache, "band", name, task, 0.5, n=n, per_group=2, missing=int((~keep).sum()))
        uid, group = (np.array([f"{prefix} {index // size:03d}" for index in range(n)]) for prefix, size in (("test", 1), ("artist", 2)))
        scores = np.eye(8)[np.where(right[name], y, (y + 1) % 8)].astype(np.float32)
        test = Predictions(uid[keep], group[keep], y[keep], scores[keep])
        record = {**run.record, "metrics": {**run.metrics, "test": metrics.evaluate(task, test.y, test.scores)}}
        made.append(save_run(run.folder, record, {"valid": run.predictions("valid"), "test": test}))
    (question,) = questions.questions(made)
    return question


def test_the_highest_value_on_easier_items_is_not_the_best(lacking):
    assert lacking.interval("easy").value > lacking.interval("all").value
    assert lacking.lead("easy", "all") < -0.1
    assert lacking.differ("easy", "all")
    assert lacking.best is None
    says = conclusions.of_scores(lacking).says
    assert says == "easy has the highest value, but on the items that both have, all is better."
    assert conclusions.of_headline([lacking], []).says == "No row is clearly better than every other."


@pytest.mark.parametrize("seed", range(8))
def test_every_sentence_under_scores_is_true_of_the_raw_predictions(cache, make_run, tasks, seed):
    """Names in sentences against plain accuracies and a sign test's view of the pairs, without the report's own tables."""
    random = np.random.default_rng(seed)
    names = [f"n{'x' * place}" for place in range(int(random.integers(1, 7)))]
    task = tasks["genre" if seed % 2 else "key"]
    runs = [make_run(cache, "band", name, task, float(random.uniform(0.01, 0.9)), per_group=1) for name in names]
    runs.append(make_run(cache, "band", "trivial", task, 0))
    (question,) = questions.questions(runs)
    test = {run.representation: run.predictions("test") for run in runs}
    credit = metrics.mirex_table() if task.name == "key" else np.eye(8)
    scored = {name: credit[one.y, one.scores.argmax(1)] for name, one in test.items()}
    p = {
        (a, b): stats.ttest_rel(scored[a], scored[b]).pvalue if (scored[a] != scored[b]).any() else 1.0
        for a, b in combinations(sorted(scored), 2)
    }
    plain = {}
    for beside_baseline in (True, False):
        pairs = sorted((pair for pair in p if ("trivial" in pair) is beside_baseline), key=lambda pair: p[pair])
        corrected = np.maximum.accumulate([min(1, p[pair] * (len(pairs) - rank)) for rank, pair in enumerate(pairs)])
        plain |= dict(zip(pairs, corrected, strict=True))

    def clearly(first, second):
        """None where another kind of test may see it differently."""
        value = plain[min(first, second), max(first, second)]
        return None if 0.02 < value < 0.12 else bool(value < 0.05 and scored[first].mean() > scored[second].mean())

    says = conclusions.of_scores(question).says
    best = re.findall(r"^(\w+) is better than every other row; the closest, (\w+), is ([\d.]+) points below", says)
    for name, closest, distance in best:
        assert all(clearly(name, other) is not False for other in scored if other != name)
        assert distance == f"{100 * (scored[name].mean() - scored[closest].mean()):.1f}"
        assert scored[closest].mean() == max(scored[other].mean() for other in scored if other != name)
    for together in re.findall(r"The first \w+ cannot be told apart: ([^.]+)\.", says):
        first, *others = re.split(r", | and ", together)
        assert scored[first].mean() == max(one.mean() for one in scored.values())
        assert not any(clearly(one, other) for one in (first, *others) for other in others if {one, other} <= {*scored} and one != other)
    for below in re.findall(r"Not clearly better than the baseline: ([^.]+)\.", says):
        assert not any(clearly(name, "trivial") for name in re.split(r", | and ", below) if name in scored)
    if "Every row is better than the baseline" in says:
        assert all(clearly(name, "trivial") is not False for name in names)
    if "No row is clearly better than the baseline" in says:
        assert not any(clearly(name, "trivial") for name in names)
    assert says


def test_retrieval_of_one_candidate_and_without_an_interval_claims_nothing():
    row = {"value": 1.0, "low": None, "high": None, "chance": 1.0}
    assert "nothing to find" in conclusions.of_retrieval({"good": row}).says
    unsure = conclusions.of_retrieval({"good": {**row, "chance": 0.001}}).says
    assert "1,000 times as often as chance" in unsure
    assert "no interval" in unsure
    many = conclusions.of_retrieval({f"w{place}": {**row, "low": 0.9, "chance": 0.1} for place in range(7)}).says
    assert many.endswith("2 more are in the table.")


def test_nothing_is_said_about_the_fastest_where_a_faster_one_cannot_be_compared(cache, make_run, tasks):
    runs = [make_run(cache, "band", "a", tasks["genre"], 0.9), make_run(cache, "band", "bb", tasks["genre"], 0.2, n=100)]
    (question,) = questions.questions(runs)
    points = [CostPoint(name, 1.0, None, None, seconds, None, "") for name, seconds in (("a", 90.0), ("bb", 0.5))]
    assert conclusions.of_cost(question, points).says == ""


def test_errors_of_several_seeds_are_said_to_be_of_all():
    y = np.zeros(4, int)
    found = Confusions.of(y, np.array([0, 1, 1, 7]), list(KEYS))
    assert " errors of 3 seeds together, " in conclusions.of_confusions(found, key=True, seeds=3)


def test_that_several_cannot_be_told_apart_is_said_only_if_no_two_of_them_can(asked, monkeypatch):
    """The first may be uncertain, as with many seeds: then the second and the third may differ, though neither does from the first."""
    question = asked({"a": 0.5, "bb": 0.5, "ccc": 0.5})
    first, second, third = question.answers
    assert conclusions.of_scores(question).says.startswith("The first 3 cannot be told apart")
    monkeypatch.setitem(question.corrected["accuracy"], (second, third), 0.01)
    assert conclusions.of_scores(question).says.startswith(
        f"{first} has the highest value, but cannot be told apart from {second} and {third}"
    )


def test_an_average_over_other_items_is_not_compared(cache, make_run, tasks):
    """Missing items of groups that both have: the resamples are the same, the items are not."""
    runs = [make_run(cache, "band", name, tasks[task], quality) for name, quality in (("a", 0.2), ("bb", 0.9)) for task in ("genre", "key")]
    assert questions.averages(questions.questions(runs))[0].best == "bb"
    runs[2] = make_run(cache, "band", "bb", tasks["genre"], 0.9, missing=2)  # of a group of five
    (average,) = questions.averages(questions.questions(runs))
    assert average.best is None
    assert set(average.by_representation) == {"a", "bb"}


def test_an_average_has_no_interval_where_a_column_of_it_has_none_and_says_why(cache, make_run, tasks):
    """R² of two groups has none, and what is averaged with it could be anything as well."""
    columns = [("emotion", name) for name in ("a", "bb")] + [("genre", name) for name in ("a", "bb")]
    runs = [make_run(cache, "band", name, tasks[task], 0.9, n=40, per_group=20) for task, name in columns]
    asked = questions.questions(runs)
    assert [question.interval("a").low is None for question in asked] == [True, False]
    (average,) = questions.averages(asked)
    assert [(one.low, one.high) for one in average.by_representation.values()] == [(None, None)] * 2
    assert average.best is None
    for shown in (asked, [replace(question, answers={"a": question.answers["a"]}) for question in asked]):
        said = conclusions.of_headline(shown, questions.averages(shown)).does_not
        assert "The average over band, protocol linear, has no interval: there is none in emotion of band, for a" in said
    (table,) = [headline.table(asked)]
    assert [cell.low == "" for cell in table.rows[0].cells] == [True, True, True, False]  # name, average, emotion, genre
    enough = [make_run(cache, "many", name, tasks[task], 0.9) for task, name in columns]
    (average,) = questions.averages(questions.questions(enough))
    assert (average.no_interval, [one.low is None for one in average.by_representation.values()]) == ("", [False, False])


def test_an_average_of_tasks_with_different_groups_says_so(cache, make_run, tasks):
    runs = [make_run(cache, "band", "a", tasks[task], 0.9, per_group=per_group) for task, per_group in (("genre", 5), ("key", 6))]
    (average,) = questions.averages(questions.questions(runs))
    assert average.by_representation["a"].low is None
    assert "has no interval: its tasks have different groups" in conclusions.of_headline(questions.questions(runs), [average]).does_not
