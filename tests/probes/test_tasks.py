"""What a probe reads: labels, splits, groups and vectors, and what it says where they do not fit."""

import hashlib
import json

import numpy as np
import pytest

from jukemir_like.core import records
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.datasets.processed import read_processed as read_processed
from jukemir_like.probes import tasks, vectors
from jukemir_like.probes.stage import probe_dataset


def read(cache, task, dataset="toy"):
    processed = read_processed(cache.processed(dataset))
    uids = [uid for uid, record in processed.items.items() if record["split"]]
    return tasks.prepare(processed, processed.tasks[task], vectors.read(cache, dataset, "rep", uids, processed.failed))


def vector_path(cache, uid):
    return cache.representation("toy", "rep") / f"{uid}.npy"


def journal(cache, uid, **record):
    with records.Journal(cache.representation("toy", "rep"), "all") as file:
        file.append({"input": f"{uid}.wav", "time": 1.0, "status": "done", "reason": None, "signature": "s1", **record})


def one_line(error, *parts):
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return True


def test_labels_become_numbers_in_the_order_of_the_labels(make_dataset):
    cache = make_dataset()
    meta = json.loads((cache.processed("toy") / "meta.json").read_text())
    for task in ("genre", "key", "tags", "emotion"):
        data = read(cache, task)
        for name, split in data.splits.items():
            assert split.uid.tolist() == [uid for uid, record in meta.items() if record["split"] == name]
            for row, uid in enumerate(split.uid):
                y, labels = meta[uid]["y"][task], data.task.labels
                found = split.y[row]
                if task == "tags":
                    assert {labels[i] for i in np.flatnonzero(found)} == set(y)
                elif task == "emotion":
                    assert found.tolist() == y
                else:
                    assert labels[found] == y
                assert split.group[row] == meta[uid]["extra"]["artist"]
                np.testing.assert_array_equal(split.X[row], np.load(vector_path(cache, uid)))


def test_a_dataset_of_one_task_has_bare_labels(make_dataset):
    cache = make_dataset(tasks=("emotion",))
    assert read(cache, "emotion").train.y.shape == (60, 2)


def test_one_number_stands_for_a_list_of_one(make_dataset):
    def edit(meta, description):
        description["tasks"]["emotion"]["labels"] = ["arousal"]
        for record in meta.values():
            record["y"] = record["y"][0]

    assert read(make_dataset(tasks=("emotion",), edit=edit), "emotion").train.y.shape == (60, 1)


@pytest.mark.parametrize(("group", "expected"), [("artist", "train 0"), (None, "train/001-0"), ("label", "train/001-0")])
def test_groups_are_values_of_extra_or_the_item_itself(make_dataset, group, expected):
    cache = make_dataset(edit=lambda meta, description: description.update(group=group))
    assert read(cache, "genre").train.group[1] == expected


def test_groups_of_clips_are_their_recordings(make_dataset):
    cache = make_dataset(tasks=("key",), clips=3, edit=lambda meta, description: description.update(group="audio_uid"))
    data = read(cache, "key")
    assert data.train.group[:4].tolist() == ["train/000"] * 3 + ["train/001"]
    assert data.train.songs.names[:2].tolist() == ["train/000", "train/001"]


def test_only_keys_of_clips_are_scored_by_song(make_dataset):
    cache = make_dataset(clips=3)
    assert read(cache, "genre").train.songs is None
    assert read(cache, "key").train.songs is not None
    assert read(make_dataset(name="single"), "key", "single").train.songs is None


def test_what_is_left_out_is_counted_with_its_reason(make_dataset):
    def edit(meta, description):
        meta["train/000-0"]["split"] = None
        meta["train/001-0"]["y"]["genre"] = None
        del meta["train/002-0"]["y"]["genre"]
        meta["train/003-0"]["y"] = None
        description["failed"] = {"test/000-0": "holds no audio", "test/001-0": "holds no audio"}

    cache = make_dataset(edit=edit)
    for uid in ("test/000-0", "test/001-0", "test/002-0", "test/003-0"):
        vector_path(cache, uid).unlink()
    journal(cache, "test/002-0", status="failed", reason="gives a vector that is not finite")
    data = read(cache, "genre")
    assert {name: len(split.y) for name, split in data.splits.items()} == {"train": 56, "valid": 30, "test": 36}
    assert data.left_out["no_label"] == 3
    assert data.left_out["no_split"] == 1
    assert data.left_out["vectors"] == {"gives a vector that is not finite": 1, "holds no audio": 2, "no vector": 1}
    assert "genre: 2 items left out: holds no audio" in data.notes


def test_classes_that_train_lacks_are_named(make_dataset):
    def edit(meta, description):
        description["tasks"]["genre"]["labels"] += ["salsa", "polka"]
        meta["test/000-0"]["y"]["genre"] = "salsa"

    data = read(make_dataset(edit=edit), "genre")
    assert data.left_out["not_in_train"] == ["salsa", "polka"]
    assert any("2 of 5 labels are in no train item" in note and "salsa, polka" in note for note in data.notes)


def test_tags_without_a_positive_are_counted_by_split(make_dataset):
    def edit(meta, _):
        for uid, record in meta.items():
            if uid.startswith("test"):
                record["y"]["tags"] = [tag for tag in record["y"]["tags"] if tag != "odd"] + ["loud"]

    data = read(make_dataset(edit=edit), "tags")
    assert data.left_out["undefined"] == {
        "valid": {"roc_auc": 0, "average_precision": 0},
        "test": {"roc_auc": 2, "average_precision": 1},
    }


@pytest.mark.parametrize(
    ("task", "label", "complaint"),
    [
        ("genre", "polka", "'polka' is not among its 3 labels"),
        ("genre", ["rock"], "unhashable"),
        ("tags", ["loud", "blue"], "'blue' is not among its 4 labels"),
        ("tags", "loud", "a list of tags is expected"),
        ("emotion", [1.0], "2 finite numbers are expected"),
        ("emotion", [1.0, 1e200], "2 finite numbers are expected"),
        ("tags", {"loud": True}, "a list of tags is expected"),
        ("key", "H major", "not among its 24 labels"),
    ],
)
def test_a_label_that_does_not_fit_names_the_item(make_dataset, task, label, complaint):
    cache = make_dataset(edit=lambda meta, _: meta["valid/003-0"]["y"].update({task: label}))
    with pytest.raises(RequestError) as error:
        read(cache, task)
    assert one_line(error, "valid/003-0", task, complaint)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_split_is_named(make_dataset, split):
    def edit(meta, _):
        for record in meta.values():
            record["split"] = None if record["split"] == split else record["split"]

    with pytest.raises(RequestError) as error:
        read(make_dataset(edit=edit), "genre")
    assert one_line(error, f"split {split}", "toy", "genre")


def test_a_constant_target_has_no_r2_and_says_so(make_dataset):
    def edit(meta, _):
        for uid, record in meta.items():
            if uid.startswith("valid"):
                record["y"]["emotion"][1] = 0.25

    with pytest.raises(RequestError) as error:
        read(make_dataset(edit=edit), "emotion")
    assert one_line(error, "R²", "undefined", "valid", "valence")


def test_no_tag_that_could_be_ranked_says_so(make_dataset):
    def edit(meta, _):
        for uid, record in meta.items():
            if uid.startswith("test"):
                record["y"]["tags"] = ["loud"]

    with pytest.raises(RequestError) as error:
        read(make_dataset(edit=edit), "tags")
    assert one_line(error, "ROC-AUC", "undefined", "test")


def test_clips_of_one_recording_with_two_keys_are_refused(make_dataset):
    def edit(meta, _):
        meta["test/000-0"]["y"], meta["test/000-1"]["y"] = "C major", "D major"

    with pytest.raises(RequestError) as error:
        read(make_dataset(tasks=("key",), clips=2, edit=edit), "key")
    assert one_line(error, "different keys", "test")


def test_an_unknown_split_names_the_item(make_dataset):
    cache = make_dataset(edit=lambda meta, _: meta["train/000-0"].update(split="training"))
    with pytest.raises(RequestError) as error:
        read(cache, "genre")
    assert one_line(error, "train/000-0", "'training'")


def test_a_dataset_that_was_not_processed_says_what_to_run(make_dataset):
    cache = make_dataset()
    with pytest.raises(RequestError) as error:
        probe_dataset(cache, "other", "rep")
    assert one_line(error, "jukemir-like process other")
    (cache.processed("toy") / "meta.json").write_text('{"a": {"split": "tr')
    with pytest.raises(RequestError) as error:
        probe_dataset(cache, "toy", "rep")
    assert one_line(error, "meta.json is not JSON", "process folder --name toy")


def test_no_vectors_at_all_says_what_to_run(make_dataset):
    with pytest.raises(RequestError) as error:
        probe_dataset(make_dataset(), "toy", "chroma")
    assert one_line(error, "no vectors of chroma for toy", "jukemir-like extract")


def test_vectors_of_different_sizes_name_two_files(make_dataset):
    cache = make_dataset()
    np.save(vector_path(cache, "valid/001-0"), np.zeros(7, np.float32))
    with pytest.raises(RequestError) as error:
        read(cache, "genre")
    assert one_line(error, "train/000-0.npy has 12", "valid/001-0.npy has 7")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (np.full(12, np.inf, np.float32), "not finite"),
        (np.zeros((3, 4), np.float32), "no vector"),
        (np.arange(12), "no vector"),
        (np.zeros(0, np.float32), "no vector"),
        (b"", "no NumPy file"),
        (b"RIFF....WAVE", "no NumPy file"),
    ],
)
def test_a_damaged_vector_names_its_file(make_dataset, content, complaint):
    cache = make_dataset()
    path = vector_path(cache, "valid/001-0")
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(RequestError) as error:
        read(cache, "genre")
    assert one_line(error, "valid/001-0.npy", complaint)


def test_a_truncated_vector_names_its_file(make_dataset):
    cache = make_dataset()
    path = vector_path(cache, "valid/001-0")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RequestError) as error:
        read(cache, "genre")
    assert one_line(error, "valid/001-0.npy is truncated")


def test_vectors_in_double_precision_are_read_too(make_dataset):
    cache = make_dataset()
    for path in cache.representation("toy", "rep").rglob("*.npy"):
        np.save(path, np.load(path).astype(np.float64))
    assert read(cache, "genre").train.X.dtype == np.float32


def test_vectors_made_by_two_versions_are_not_mixed(make_dataset):
    cache = make_dataset()
    journal(cache, "train/000-0")
    processed = read_processed(cache.processed("toy"))
    assert vectors.read(cache, "toy", "rep", list(processed.items), {}).signature == "s1"
    journal(cache, "train/001-0", signature="s2")
    with pytest.raises(RequestError) as error:
        read(cache, "genre")
    assert one_line(error, "different versions of rep (s1, s2)")


def test_the_digest_of_vectors_sees_every_byte_and_name(make_dataset):
    cache = make_dataset()
    uids = list(read_processed(cache.processed("toy")).items)

    def digest():
        return vectors.read(cache, "toy", "rep", uids, {}).digest

    first, path = digest(), vector_path(cache, uids[5])
    assert digest() == first
    vector = np.load(path)
    np.save(path, np.nextafter(vector, np.inf))
    assert digest() != first
    np.save(path, vector)
    assert digest() == first
    path.rename(path.with_name("other.npy"))
    assert digest() != first


def test_the_record_that_names_a_vector_s_bytes_tells_its_signature_whichever_is_the_last(make_dataset):
    """A clock that ran ahead, and an output that another writer has replaced since."""
    cache = make_dataset()
    uids = list(json.loads((cache.processed("toy") / "meta.json").read_text()))
    for uid in uids:
        written = hashlib.sha256(vector_path(cache, uid).read_bytes()).hexdigest()
        journal(cache, uid, output_digest="0" * 64, signature="of another", time=9e9)
        journal(cache, uid, output_digest=written, signature="of these", time=1.0)
        journal(cache, uid, output_digest="1" * 64, signature="a third", time=8e9)
    assert vectors.read(cache, "toy", "rep", uids, {}).signature == "of these"


def test_a_vector_that_was_changed_after_it_was_written_is_refused_by_name(make_dataset):
    cache = make_dataset()
    uids = list(json.loads((cache.processed("toy") / "meta.json").read_text()))
    for uid in uids:
        journal(cache, uid, output_digest=hashlib.sha256(vector_path(cache, uid).read_bytes()).hexdigest())
    np.save(vector_path(cache, uids[7]), np.zeros_like(np.load(vector_path(cache, uids[7]))))
    with pytest.raises(DamagedFileError) as error:
        vectors.read(cache, "toy", "rep", uids, {})
    assert one_line(error, f"{uids[7]}.npy is not what was written there", "run `jukemir-like extract` for rep on toy again")


def test_records_that_name_no_bytes_count_by_their_order(make_dataset):
    """Those of images of others: the contract leaves `output_digest` to them."""
    cache = make_dataset()
    uids = list(json.loads((cache.processed("toy") / "meta.json").read_text()))
    for uid in uids:
        journal(cache, uid, signature="s1", time=1.0)
        journal(cache, uid, signature="s2", time=2.0)
    assert vectors.read(cache, "toy", "rep", uids, {}).signature == "s2"
