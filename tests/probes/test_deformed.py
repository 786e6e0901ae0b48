"""Probes of deformed datasets: fitted on clean vectors, tested on deformed ones; the same probe as the clean run's."""

import json
import shutil
from contextlib import ExitStack

import numpy as np
import pytest

from jukemir_like.core import records
from jukemir_like.core.errors import RequestError
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.core.rows import Rows
from jukemir_like.datasets import KEYS
from jukemir_like.probes import deformed, runs
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.vectors import Large


def predictions(result):
    return {run.task.name: runs.read_predictions(run) for run in result.runs}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for task in first:
        for split in ("valid", "test"):
            for name, array in first[task][split].arrays().items():
                np.testing.assert_array_equal(array, second[task][split].arrays()[name])


@pytest.mark.parametrize("clips", [1, 2])
def test_deformed_by_nothing_the_predictions_are_those_of_the_clean_run(deform, clips):
    cache = deform(clips=clips)
    assert_equal(predictions(probe_dataset(cache, "toy", "rep")), predictions(probe_dataset(cache, "toy~noise-20", "rep")))


def test_only_the_test_items_are_deformed_and_the_probe_is_the_clean_one(deform):
    cache = deform(lambda vector: -vector)
    clean, deformed = probe_dataset(cache, "toy", "rep"), probe_dataset(cache, "toy~noise-20", "rep")
    of_clean, of_deformed = predictions(clean), predictions(deformed)
    for one, other in zip(clean.runs, deformed.runs, strict=True):
        task = one.task.name
        np.testing.assert_array_equal(of_clean[task]["valid"].scores, of_deformed[task]["valid"].scores)
        np.testing.assert_array_equal(of_clean[task]["test"].uid, of_deformed[task]["test"].uid)
        np.testing.assert_array_equal(of_clean[task]["test"].group, of_deformed[task]["test"].group)
        assert one.record["selected"] == other.record["selected"]
        if task != "key":  # of 24 classes and 60 items nothing is learned
            assert other.metrics["test"][one.task.primary_metric] < one.metrics["test"][one.task.primary_metric]
        assert other.record["n"] == one.record["n"]
        assert (one.deformed, other.deformed.dataset, other.deformed.deformation) == (None, "toy", "noise-20")


def test_labels_that_moved_are_what_the_predictions_are_scored_against(deform):
    def move(y):
        return KEYS[(KEYS.index(y) + 2) % 12 + 12 * (KEYS.index(y) // 12)]

    cache = deform(tasks=("key",), name="pitch+2", relabel=move)
    (clean,), (deformed,) = probe_dataset(cache, "toy", "rep").runs, probe_dataset(cache, "toy~pitch+2", "rep").runs
    first, second = clean.predictions("test"), deformed.predictions("test")
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal((first.y + 2) % 12, second.y % 12)
    np.testing.assert_array_equal(clean.predictions("valid").y, deformed.predictions("valid").y)


def test_the_baseline_is_that_of_the_clean_dataset(deform):
    cache = deform()
    assert_equal(predictions(probe_dataset(cache, "toy", "trivial")), predictions(probe_dataset(cache, "toy~noise-20", "trivial")))


def test_vectors_that_stay_on_disk_give_the_same(deform):
    cache = deform(lambda vector: 1.1 * vector)
    in_memory = probe_dataset(cache, "toy~noise-20", "rep").runs
    shutil.rmtree(cache.root / "probes")
    for one, other in zip(in_memory, probe_dataset(cache, "toy~noise-20", "rep", chunks_above=0).runs, strict=True):
        assert "chunks" in other.record
        assert other.metrics["test"] == pytest.approx(one.metrics["test"], abs=0.05)  # another strength may be selected


def test_vectors_of_which_only_some_stay_on_disk_are_joined_in_order(deform, monkeypatch):
    cache = deform(lambda vector: 1.1 * vector)
    processed = deformed.read_dataset(cache, "toy~noise-20")
    in_memory = deformed.read_vectors(cache, processed, "rep", processed.uids, None)
    monkeypatch.setattr(deformed, "_share", lambda large, part, uids: large if "train/000-0" in part else None)
    with ExitStack() as opened:
        joined = deformed.read_vectors(cache, processed, "rep", processed.uids, Large(0, cache.root / "temporary", opened))
        assert isinstance(joined.X, Rows)
        np.testing.assert_array_equal(joined.X.take(np.arange(len(joined.X))), in_memory.X)
    assert (joined.row, joined.digest) == (in_memory.row, in_memory.digest)


def test_a_run_is_kept_until_clean_or_deformed_vectors_change(deform):
    cache = deform()

    def probe():
        (run,) = probe_dataset(cache, "toy~noise-20", "rep", tasks=["genre"]).runs
        return (run.folder / "run.json").stat().st_mtime_ns

    first = probe()
    assert probe() == first
    for dataset, uid in (("toy", "train/000-0"), ("toy~noise-20", "test/000-0")):
        path = cache.representation(dataset, "rep") / f"{uid}.npy"
        np.save(path, np.load(path) + 1)
        second = probe()
        assert second != first
        first = second


def test_a_missing_vector_is_left_out_and_counted(deform):
    cache = deform()
    (cache.representation("toy~noise-20", "rep") / "test" / "000-0.npy").unlink()
    (run,) = probe_dataset(cache, "toy~noise-20", "rep", tasks=["genre"]).runs
    assert (run.record["scored"]["test"], run.record["left_out"]["vectors"]) == (39, {"no vector": 1})


def test_what_cannot_be_is_one_line(deform):
    cache = deform()
    clean = cache.processed("toy") / "meta.json"
    meta = json.loads(clean.read_text())
    clean.write_text(json.dumps(meta, indent=1))
    with pytest.raises(RequestError, match=r"toy has other items or labels than .*: run `jukemir-like deform toy noise-20` again"):
        probe_dataset(cache, "toy~noise-20", "rep")
    with pytest.raises(RequestError, match="run `jukemir-like deform toy mp3-32` first"):
        probe_dataset(cache, "toy~mp3-32", "rep")
    path = cache.processed("toy~noise-20") / "dataset.json"
    description = json.loads(path.read_text())
    description["deformed"]["meta"] = digest_or_none(clean)
    path.write_text(json.dumps(description))
    with pytest.raises(RequestError, match=r"lacks 90 of 130 items, and in folds each is tested: .* toy noise-20 --all_items`, and"):
        probe_dataset(cache, "toy~noise-20", "rep", folds=3)


def test_vectors_of_two_versions_are_refused(deform):
    cache = deform()
    for dataset, signature, uid in (("toy", "old", "train/000-0"), ("toy~noise-20", "new", "test/000-0")):
        path = cache.representation(dataset, "rep") / f"{uid}.npy"
        line = {"input": f"{uid}.wav", "status": "done", "signature": signature, "output_digest": digest_or_none(path)}
        (cache.representation(dataset, "rep") / ".records").mkdir()
        (cache.representation(dataset, "rep") / ".records" / "all.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(RequestError, match="were computed by different versions: run `jukemir-like extract` for both again"):
        probe_dataset(cache, "toy~noise-20", "rep")


def record(folder, journal, name, **digests):
    with records.Journal(folder, journal) as opened:
        opened.append({field: value for field, value in records.new(name, "").items() if field != "signature"} | digests)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("deform", r"1 of 40 vectors .* run `jukemir-like extract rep --dataset toy~noise-20 --cache .*` again"),
        ("process", r"1 of 40 test items, such as test/000-0\): run `jukemir-like deform toy noise-20`"),
    ],
)
def test_audio_that_changed_since_is_refused_though_labels_are_the_same(deform, stage, message):
    cache = deform()
    clean, folder, vectors = cache.processed("toy"), cache.processed("toy~noise-20"), cache.representation("toy~noise-20", "rep")
    uid = next(iter(json.loads((folder / "meta.json").read_text())))
    record(clean, "process", uid, output_digest="clean")
    record(folder, "deform", uid, digest="clean", output_digest="seed 0")
    record(vectors, "extract", f"{uid}.wav", digest="seed 0", output_digest=digest_or_none(vectors / f"{uid}.npy"))
    first = probe_dataset(cache, "toy~noise-20", "rep")
    changed = {"process": (clean, {"output_digest": "other"}), "deform": (folder, {"digest": "clean", "output_digest": "seed 1"})}[stage]
    record(changed[0], stage, uid, **changed[1])
    with pytest.raises(RequestError, match=message):
        probe_dataset(cache, "toy~noise-20", "rep")
    record(changed[0], stage, uid, **({"output_digest": "clean"} if stage == "process" else {"digest": "clean", "output_digest": "seed 0"}))
    assert_equal(predictions(first), predictions(probe_dataset(cache, "toy~noise-20", "rep")))
