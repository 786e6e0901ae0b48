"""Who stands in several splits, counted by hand; and the one recording that GiantSteps is known to have in two."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from jukemir_like.audit import audit
from jukemir_like.audit.findings import rows
from jukemir_like.audit.splits import overlaps
from jukemir_like.core.cache import Cache
from jukemir_like.datasets.processed import read_processed

FIXTURES = Path(__file__).parents[1] / "fixtures"


def found(cache):
    return overlaps(read_processed(cache.processed("d")))


def heard(overlap, split, before):
    return next(one for one in overlap["heard"] if (one["split"], one["in"]) == (split, before))


def test_values_and_items_are_counted(dataset, record):
    splits = {"a": "train", "b": "train", "c": "valid", "d": "valid", "e": "test", "f": "test", "g": "test", "h": "test", "i": None}
    artists = dict(zip("abcdefghi", ["Ann", "Bob", "Ann", "Cy", "Ann", " bob", "BOB ", "Dee", "Ann"], strict=True))
    one = found(dataset({uid: record(split, artist=artists[uid]) for uid, split in splits.items()}))["artist"]
    assert (one["known"], one["values"], one["in_several_splits"]) == ({"train": 2, "valid": 2, "test": 4}, 4, 2)
    assert heard(one, "test", "train") == {
        "split": "test", "in": "train", "values": 2, "items": 3, "of": 4, "names": ["Bob", "Ann"],
    }  # fmt: skip
    assert (heard(one, "test", "valid")["items"], heard(one, "valid", "train")["items"]) == (1, 1)


def test_folds_are_called_so_in_the_table(dataset, record):
    records = {uid: record(None, y, fold=fold) for uid, y, fold in (("a", "jazz", "1"), ("b", "rock", "2"), ("c", "jazz", "2"))}
    shown = {row.what: row for row in rows(audit.audit(dataset(records, folds=["1", "2"]), "d").content)}
    assert shown["items"].detail == "fold 1: 1, fold 2: 2"
    assert "not in fold 1: rock" in shown["labels of genre"].detail


def test_of_folds_every_item_is_tested_and_the_other_folds_are_training(dataset, record):
    folds = dict(zip("abcdefg", "1122331", strict=True)) | {"h": None}
    artists = dict(zip("abcdefgh", ["Ann", "Bob", "Ann", "Cy", "Dee", "ann", "Bob", "Ann"], strict=True))
    records = {uid: record(None, artist=artists[uid]) for uid in folds}
    for uid, fold in folds.items():
        records[uid]["extra"] |= {} if fold is None else {"fold": fold}
    one = found(dataset(records, folds=["1", "2", "3"]))["artist"]
    assert (one["known"], one["values"], one["in_several_splits"]) == ({"train": 7, "valid": 0, "test": 7}, 4, 1)
    assert one["heard"] == [{"split": "test", "in": "train", "values": 1, "items": 3, "of": 7, "names": ["Ann"]}]


def test_an_item_with_several_artists_counts_once(dataset, record):
    records = {"a": record("train", artist=["Ann", "Bob"]), "b": record("test", artist=["Bob", "Ann", "Cy"]), "c": record("test")}
    one = found(dataset(records))["artist"]
    assert (one["values"], one["known"]["test"]) == (3, 1)
    assert (heard(one, "test", "train")["values"], heard(one, "test", "train")["items"], heard(one, "test", "train")["of"]) == (2, 1, 2)


def test_what_is_not_known_is_not_reported_as_apart(dataset, record):
    assert found(dataset({"a": record("train"), "b": record("test", artist="", album=None)})) == {}


def test_the_recording_of_a_clip_is_what_it_was_cut_from_and_the_group_counts_too(dataset, record):
    clip = {"audio_duration": 60.0, "clip_idx": 0, "clip_offset": 0.0, "clip_duration": 30.0}
    records = {
        "a-0": record("train", composer="X") | {"clip": clip | {"audio_uid": "a"}},
        "a-1": record("test", composer="Y") | {"clip": clip | {"audio_uid": "a"}},
        "b-0": record("test", composer="X") | {"clip": clip | {"audio_uid": "b"}},
    }
    both = found(dataset(records, group="composer"))
    assert sorted(both) == ["composer", "recording"]
    assert (both["recording"]["values"], both["recording"]["in_several_splits"]) == (2, 1)
    assert heard(both["composer"], "test", "train")["names"] == ["X"]


@pytest.fixture
def giantsteps(tmp_path):
    """The published annotations of GiantSteps, processed without audio."""
    from jukemir_like.datasets import from_assets
    from jukemir_like.process import process

    cache = Cache(tmp_path / "cache")
    for name in ("key-annotations", "mtg-key-annotations"):
        path = cache.dataset("giantsteps") / f"{name}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(FIXTURES / "giantsteps" / f"{name}.tar.xz") as packed, zipfile.ZipFile(path, "w") as archive:
            for member in packed:
                archive.writestr(member.name, packed.extractfile(member).read())
    process(from_assets("giantsteps", cache), cache.processed("giantsteps"), metadata_only=True)
    return cache


def test_giantsteps_has_one_recording_in_both_train_and_valid(giantsteps):
    one = overlaps(read_processed(giantsteps.processed("giantsteps")))["recording"]
    assert (one["in_several_splits"], heard(one, "valid", "train")["items"], heard(one, "test", "train")["items"]) == (1, 1, 0)
    assert heard(one, "test", "train")["of"] == 604
