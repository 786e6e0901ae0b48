"""Folders of runs: where they are, what is in them, and what a killed writer leaves."""

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.probes import runs as run_module
from jukemir_like.probes.runs import find_runs, load_run, run_folder, save_run
from jukemir_like.probes.stage import probe_dataset


def test_runs_are_found_by_dataset_and_representation(runs):
    cache = Cache(runs[0].folder.parents[4])
    probe_dataset(cache, "toy", "trivial", tasks=["genre"])
    assert [run.folder for run in find_runs(cache, "toy", "rep")] == sorted(run.folder for run in runs)
    assert len(find_runs(cache)) == len(find_runs(cache, "toy")) == 5
    assert find_runs(cache, "t*") == []


@pytest.mark.parametrize("task", ["a/b", "..", ".", "größe", "a%2Fb", " x"])
def test_any_task_name_has_a_folder_of_its_own(tmp_path, task):
    cache = Cache(tmp_path)
    folder = run_folder(cache, "d", "r", task, "linear", 0)
    assert folder.parent.parent == cache.probe("d", "r")
    assert folder.parent.name not in (".", "..")
    others = ["a/b", "..", ".", "größe", "a%2Fb", " x"]
    assert len({run_folder(cache, "d", "r", name, "linear", 0) for name in others}) == len(others)


def test_a_killed_writer_leaves_no_record_with_other_predictions(runs, monkeypatch):
    """Killed between the two files, the folder must not look whole: predictions of one request, record of another."""
    run = runs[0]
    monkeypatch.setattr(run_module.atomic, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_run(run.folder, run.record, {split: run.predictions(split) for split in ("valid", "test")})
    assert load_run(run.folder) is None


def test_predictions_need_no_pickle_and_hold_what_is_documented(runs):
    for run in runs:
        with np.load(run.folder / "predictions.npz", allow_pickle=False) as stored:
            names = {"uid", "group", "y", "scores"}
            assert set(stored.files) == {f"{split}_{name}" for split in ("valid", "test") for name in names}
            assert stored["test_scores"].dtype == np.float32
            assert stored["test_y"].dtype == {"tags": bool, "emotion": np.float64}.get(run.task.name, np.int64)
