"""Run folders and the table made from them."""

import csv
import json

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.probes import probe, results


@pytest.fixture
def runs(make_dataset):
    return probe(make_dataset(), "toy", "rep")


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
    assert {row["low"] for row in rows} == {""}
    for column in results.COLUMNS:
        assert column in results.__doc__


def test_the_order_of_rows_does_not_depend_on_the_order_of_runs(runs, tmp_path):
    results.write(tmp_path / "a.csv", table(runs))
    results.write(tmp_path / "b.csv", table(runs[::-1]))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_intervals_reach_their_rows_only(runs):
    rows = results.rows(runs[0], {("test", "accuracy"): (0.25, 0.75)})
    assert [(row["low"], row["high"]) for row in rows if (row["split"], row["metric"]) == ("test", "accuracy")] == [(0.25, 0.75)]
    assert sum(row["low"] is not None for row in rows) == 1


def test_runs_are_found_by_dataset_and_representation(runs):
    cache = Cache(runs[0].folder.parents[4])
    probe(cache, "toy", "trivial", tasks=["genre"])
    assert [run.folder for run in results.find(cache, "toy", "rep")] == sorted(run.folder for run in runs)
    assert len(results.find(cache)) == len(results.find(cache, "toy")) == 5
    assert results.find(cache, "t*") == []


@pytest.mark.parametrize("task", ["a/b", "..", ".", "größe", "a%2Fb", " x"])
def test_any_task_name_has_a_folder_of_its_own(tmp_path, task):
    cache = Cache(tmp_path)
    folder = results.run_folder(cache, "d", "r", task, "linear", 0)
    assert folder.parent.parent == cache.probe("d", "r")
    assert folder.parent.name not in (".", "..")
    others = ["a/b", "..", ".", "größe", "a%2Fb", " x"]
    assert len({results.run_folder(cache, "d", "r", name, "linear", 0) for name in others}) == len(others)


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="other columns"):
        results.read([tmp_path / "x.csv"])
    with pytest.raises(RequestError, match="cannot read"):
        results.read([tmp_path / "missing.csv"])


def test_a_killed_writer_leaves_no_record_beside_other_predictions(runs, monkeypatch):
    """Killed between the two files, the folder must not look whole: predictions of one request, record of another."""
    run = runs[0]
    monkeypatch.setattr(results.storage, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        results.save(run.folder, run.record, {split: run.predictions(split) for split in ("valid", "test")})
    assert results.load(run.folder) is None


def test_predictions_need_no_pickle_and_hold_what_is_documented(runs):
    for run in runs:
        with np.load(run.folder / "predictions.npz", allow_pickle=False) as stored:
            names = {"uid", "group", "y", "scores"}
            assert set(stored.files) == {f"{split}_{name}" for split in ("valid", "test") for name in names}
            assert stored["test_scores"].dtype == np.float32
            assert stored["test_y"].dtype == {"tags": bool, "emotion": np.float64}.get(run.task.name, np.int64)
