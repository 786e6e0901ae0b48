"""``results.csv``: written with intervals, read back, refused where it is something else."""

import csv
import json

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.probes import results
from jukemir_like.probes.intervals import resample_runs
from jukemir_like.probes.runs import RUN


def table(runs):
    return [row for run in runs for row in results.rows(run)]


def test_what_is_written_is_read_again_with_its_types(runs, tmp_path):
    rows = table(runs)
    rows[0]["low"], rows[0]["high"] = 0.1, 1 / 3
    results.write(tmp_path / "all.csv", rows)
    key = lambda row: (row["task"], row["split"], row["metric"])  # noqa: E731
    assert sorted(results.read([tmp_path / "all.csv"]), key=key) == sorted(rows, key=key)


def test_a_plain_csv_reader_finds_the_documented_columns(runs):
    path = runs[0].folder.parents[1] / "results.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == results.COLUMNS
    for column in ("configuration", "selected", "versions", "lineage"):
        assert isinstance(json.loads(rows[0][column]), dict)
    expected = [
        ("key", "valid", "weighted_score"),
        ("key", "valid", "accuracy"),
        ("key", "test", "weighted_score"),
        ("key", "test", "accuracy"),
    ]
    assert [(row["task"], row["split"], row["metric"]) for row in rows if row["task"] == "key"] == expected
    assert {row["primary"] for row in rows if row["metric"] == "weighted_score"} == {"true"}
    assert {row["low"] for row in rows if row["split"] == "valid"} == {""}
    assert all(row["low"] for row in rows if row["split"] == "test")
    for column in results.COLUMNS:
        assert column in results.__doc__


def test_the_order_of_rows_does_not_depend_on_the_order_of_runs(runs, tmp_path):
    results.write(tmp_path / "a.csv", table(runs))
    results.write(tmp_path / "b.csv", table(runs[::-1]))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_intervals_reach_their_rows_only(runs):
    rows = results.rows(runs[0], {"accuracy": (0.25, 0.75)})
    assert [(row["low"], row["high"]) for row in rows if (row["split"], row["metric"]) == ("test", "accuracy")] == [(0.25, 0.75)]
    assert sum(row["low"] is not None for row in rows) == 1


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="other columns"):
        results.read([tmp_path / "x.csv"])
    with pytest.raises(RequestError, match="cannot read"):
        results.read([tmp_path / "missing.csv"])


def test_the_table_has_the_intervals_of_test_metrics_and_shows_them(runs):
    run = runs[0]
    cache = Cache(run.folder.parents[4])
    table = results.tabulate_runs(cache, "toy", "rep")
    path = cache.probe("toy", "rep") / results.TABLE
    assert table.path == path
    rows = results.read([path])
    expected = resample_runs([run]).bounds
    assert {(row["split"], row["metric"]): (row["low"], row["high"]) for row in rows if row["task"] == "genre"} == {
        ("test", "accuracy"): expected["accuracy"],
        ("test", "macro_f1"): expected["macro_f1"],
        ("valid", "accuracy"): (None, None),
        ("valid", "macro_f1"): (None, None),
    }
    row = next(row for row in rows if (row["task"], row["split"], row["metric"]) == ("genre", "test", "accuracy"))
    assert f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" in str(table)
    first = path.read_bytes()
    results.tabulate_runs(cache, "toy", "rep")
    assert path.read_bytes() == first
    with open(path, newline="") as file:
        assert tuple(next(csv.reader(file))) == results.COLUMNS


def test_damaged_runs_are_left_out_and_named(runs):
    cache = Cache(runs[0].folder.parents[4])
    (runs[0].folder / RUN).write_text("{")
    table = results.tabulate_runs(cache, "toy", "rep")
    assert table.exit_code == 3
    assert {row["task"] for row in table.rows} == {run.task.name for run in runs[1:]}
    assert f"left out: {runs[0].folder / RUN}" in str(table)


def test_a_table_without_a_run_says_what_to_do(tmp_path):
    with pytest.raises(RequestError, match="jukemir-like probe songs chroma"):
        results.tabulate_runs(Cache(tmp_path), "songs", "chroma")
