"""The digest of a processed dataset: another where labels or audio are, the same whatever dates say and however often it was processed."""

import json
import os

import pytest

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import StorageError
from jukemir_like.launch import outcomes


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


@pytest.fixture
def write(cache):
    """A function that writes labels, versions, and the records of a run of ``process``, at a time."""

    def run(audio, label="rock", version="1", time=100.0, name="toy", journal="process"):
        folder = cache.processed(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").write_text(json.dumps({uid: {"y": label} for uid in audio}))
        (folder / "dataset.json").write_text(json.dumps({"name": name, "versions": {"jukemir-like": version}}))
        with records.Journal(folder, journal) as opened:
            for uid, digest in audio.items():
                opened.append(records.new(uid, "s", digest="source", output_digest=digest) | {"time": time})
        return outcomes.of_dataset(cache, name)

    return run


def test_labels_and_audio_count(write, cache):
    assert outcomes.of_dataset(cache, "toy") == ""
    first = write({"a": "1" * 64, "b": "2" * 64})
    assert write({}, label="pop") != first
    relabelled = write({"a": "1" * 64, "b": "2" * 64}, label="pop")
    assert relabelled != first
    changed = write({"b": "3" * 64}, time=200.0)
    assert len({first, relabelled, changed}) == 3


def test_the_same_outcome_has_the_same_digest_whatever_dates_and_versions_say(write, cache):
    first = write({"a": "1" * 64, "b": "2" * 64})
    assert write({"a": "1" * 64, "b": "2" * 64}, version="2", time=5.0) == first
    for path in cache.processed("toy").rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert outcomes.of_dataset(cache, "toy") == first
    with records.Journal(cache.processed("toy"), "audit") as journal:
        journal.append(records.new("a", "s", output_digest="4" * 64))
    assert outcomes.of_dataset(cache, "toy") == first


def test_what_was_written_last_counts_though_a_clock_stood_back(write):
    first = write({"a": "1" * 64}, time=100.0)
    second = write({"a": "2" * 64}, time=50.0)
    third = write({"a": "1" * 64}, time=20.0)  # vectors of the second are there
    assert len({first, second, third}) == 3


def test_a_damaged_description_has_a_digest_too(write, cache):
    write({"a": "1" * 64})
    (cache.processed("toy") / "dataset.json").write_text("[no JSON")
    damaged = outcomes.of_dataset(cache, "toy")
    (cache.processed("toy") / "dataset.json").unlink()
    assert "" != damaged != outcomes.of_dataset(cache, "toy") != ""


def test_a_probe_of_a_deformed_dataset_depends_on_the_clean_one_too(write, cache):
    write({"a": "1" * 64})
    write({"a": "2" * 64}, name="toy~noise-20", journal="deform")
    before = outcomes.of_probed(cache, "toy~noise-20")
    assert before == f"{outcomes.of_probed(cache, 'toy')} {outcomes.of_dataset(cache, 'toy~noise-20')}"
    write({"a": "3" * 64})
    between = outcomes.of_probed(cache, "toy~noise-20")
    write({"a": "4" * 64}, name="toy~noise-20", journal="deform")
    assert len({before, between, outcomes.of_probed(cache, "toy~noise-20")}) == 3


def test_records_are_read_once_for_all_jobs(write, cache, monkeypatch):
    first = write({"a": "1" * 64})
    monkeypatch.setattr(outcomes, "_digest", lambda _: pytest.fail("the records are read again"))
    assert outcomes.of_dataset(cache, "toy") == first


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"version": 0}', "null"])
def test_a_damaged_digest_is_worked_out_again(write, cache, kept):
    first = write({"a": "1" * 64})
    path = cache.processed("toy") / records.FOLDER / "outcome.json"
    path.write_text(kept)
    assert outcomes.of_dataset(cache, "toy") == first == json.loads(path.read_text())["outcome"]


def test_where_nothing_can_be_written_it_is_worked_out_each_time(write, cache, monkeypatch):
    first = write({"a": "1" * 64})
    (cache.processed("toy") / records.FOLDER / "outcome.json").unlink()

    def refuse(path, value):
        raise StorageError(f"{path}: read-only")

    monkeypatch.setattr(outcomes, "write_json", refuse)
    assert outcomes.of_dataset(cache, "toy") == first
