"""From a processed dataset to audit.json and a table: as a user runs it."""

import json

import numpy as np
import pytest

from jukemir_like.audit import audit
from jukemir_like.audit.findings import rows, sentences, share
from jukemir_like.core.errors import RequestError


@pytest.fixture
def cache(dataset, record, tune, mp3):
    """Ten items: b is a louder copy of a, in test; c is a to the sample, with another label; d has an excerpt of e; one has no audio."""
    pieces = {uid: tune(seed, 8.0) for seed, uid in enumerate("aefgh")}
    pieces["b"] = np.concatenate([np.zeros(30000, np.float32), 1.5 * mp3(pieces["a"])])
    pieces["c"] = pieces["a"]
    pieces["d"] = np.concatenate([tune(50, 3.0), pieces["e"][22050 : 7 * 22050]])
    pieces["zero"] = np.zeros(22050 * 8)
    splits = dict.fromkeys("aefgh", "train") | {"b": "test", "c": "train", "d": "test", "zero": "valid", "gone": "test"}
    records = {uid: record(split, artist=f"artist {uid}") for uid, split in splits.items()}
    records["c"]["y"] = "rock"
    records["b"]["extra"]["artist"] = "Artist A"
    records["gone"]["extra"]["skipped"] = "its file is corrupt"
    return dataset(records, samples=pieces)


def test_everything_that_was_planted_is_found(cache):
    found = audit.audit(cache, "d").content
    assert found == json.loads((cache.processed("d") / "audit.json").read_text())
    assert found["items"] == {"train": 6, "valid": 1, "test": 3}
    assert found["duplicates"]["same_samples"] == [{"items": ["a", "c"], "splits": ["train", "train"], "labels_differ": True}]
    pairs = {tuple(sorted(pair["items"])): pair for pair in found["duplicates"]["same_sound"]}
    assert sorted(pairs) == [("a", "b"), ("d", "e")]
    assert abs(pairs["a", "b"]["offset_seconds"]) == pytest.approx(30000 / 22050, abs=0.05)
    assert pairs["d", "e"]["seconds"] == pytest.approx(6, abs=1)
    assert found["duplicates"]["heard"][0] == {"split": "test", "in": "train", "of": 3, "items": 2}
    assert found["audio"]["constant"] == ["zero"]
    assert found["audio"]["without"] == {"gone": "its file is corrupt"}
    assert found["audio"]["sample_rates"] == {"22050": 9}
    assert found["splits"]["artist"]["in_several_splits"] == 1


def test_the_words_are_those_of_the_figures(cache):
    found = audit.audit(cache, "d").content
    said = " ".join(sentences(found))
    assert "33 % of the test items (1 of 3) have an artist that is in training too." in said
    assert "2 of 3 test items (67 %) sound like one in training" in said
    told = {row.what: row for row in rows(found)}
    assert told["groups with the same samples"].found == "1"
    assert "1 with different labels" in told["groups with the same samples"].detail
    assert told["pairs that sound alike"].found == "2"
    assert "2 across splits" in told["pairs that sound alike"].detail
    assert "1: its file is corrupt" in told["items without audio"].detail


def test_a_second_audit_hears_nothing_again_and_writes_the_same_bytes(cache):
    audit.audit(cache, "d", workers=2)
    first = (cache.processed("d") / "audit.json").read_bytes()
    again = audit.audit(cache, "d")
    assert (again.summary.done, again.summary.kept) == (0, 9)
    assert (cache.processed("d") / "audit.json").read_bytes() == first


def test_an_audit_of_other_labels_is_not_read(cache):
    assert audit.read(cache, "d") is None
    audit.audit(cache, "d")
    assert audit.read(cache, "d") is not None
    path = cache.processed("d") / "meta.json"
    path.write_text(path.read_text().replace("rock", "jazz"))
    assert audit.read(cache, "d") is None


def test_without_audio_the_labels_and_splits_are_audited(dataset, record, command):
    cache = dataset({"a": record("train", album="X"), "b": record("test", album="X")}, metadata_only=True)
    done = command("audit", "d", "--cache", cache.root)
    assert done.returncode == 0, done.stderr
    assert "100 % of the test items (1 of 1) have an album that is in training too." in done.stdout
    assert "There is no audio to search for duplicates." in done.stdout
    found = json.loads((cache.processed("d") / "audit.json").read_text())
    assert (found["audio"], found["duplicates"]) == (None, None)
    assert not (cache.processed("d") / ".records").exists()


def test_unknown_artists_are_said_to_be_unknown(dataset, record):
    found = audit.audit(dataset({"a": record("train", artist="X"), "b": record("valid", artist="X"), "c": record("test")}), "d").content
    said = " ".join(sentences(found))
    assert "The artists of the test items are not known here" in said
    assert "No artist" not in said
    assert "Artists in both train and valid: 1." in said


def test_exit_codes(cache, command, tmp_path):
    assert command("audit", "d", "--cache", cache.root, "--workers", "1").returncode == 0
    (cache.processed("d") / "wav" / "f.wav").write_bytes(b"RIFF")
    done = command("audit", "d", "--cache", cache.root, "--workers", "2")
    assert done.returncode == 3
    assert "failed: f: " in done.stdout
    assert json.loads((cache.processed("d") / "audit.json").read_text())["audio"]["unreadable"].keys() == {"f"}
    done = command("audit", "absent", "--cache", tmp_path)
    assert done.returncode == 2
    assert "jukemir-like process absent" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_damaged_labels_are_one_line(cache):
    (cache.processed("d") / "meta.json").write_text("{")
    with pytest.raises(RequestError, match="process folder --name d"):
        audit.audit(cache, "d")


def test_all_files_bad_still_gives_an_audit(dataset, record):
    cache = dataset({"a": record("train"), "b": record("test")}, samples={"a": np.zeros(9), "b": np.zeros(9)})
    for uid in "ab":
        (cache.processed("d") / "wav" / f"{uid}.wav").write_bytes(b"")
    made = audit.audit(cache, "d")
    assert made.exit_code == 3
    assert str(made).count("0 bytes") == 2
    assert made.content["audio"]["files"] == 0


def test_shares_read_well():
    assert [share(0, 7), share(1, 300), share(3304, 5329), share(5, 5), share(0, 0)] == ["0 %", "0.3 %", "62 %", "100 %", "0 %"]


def test_a_deformed_dataset_has_no_train_items_to_be_compared_with(dataset, record):
    origin = {"of": "clean", "deformation": "noise-20", "seed": 0, "meta": "0" * 64}
    with pytest.raises(RequestError, match="by the splits or folds of clean: audit that"):
        audit.audit(dataset({"a": record("test")}, deformed=origin), "d")
