"""Batches of a dataset are slices of the whole listing, or there are none."""

import json
import re
import threading
import time

import pytest

from jukemir_like import extract
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Dataset, Item, Task
from jukemir_like.datasets.meta import read_description, read_file_count
from jukemir_like.extract import listing
from jukemir_like.process import process


@pytest.fixture
def processed(tmp_path, write_audio):
    items = []
    for index in range(5):
        path = tmp_path / "in" / f"{index}.wav"
        write_audio(path, seconds=0.3, seed=index)
        items.append(Item(str(index), "train", "ab"[index % 2], path))
    (tmp_path / "in" / "3.wav").write_bytes(b"no audio")
    items.append(Item("without", "train", "a", None))
    process(Dataset("mine", {"genre": Task("genre", "multiclass", ("a", "b"))}, items), tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(listing, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(listing, "_PAUSE_SECONDS", 0.02)


def test_process_counts_the_files_that_it_has_written(processed, tmp_path):
    assert read_file_count(processed) == len(list((processed / "wav").glob("*.wav"))) == 4
    assert read_description(processed).failed.keys() == {"3"}
    assert read_file_count(tmp_path) is None


@pytest.mark.usefixtures("short")
def test_a_file_too_few_or_too_many_is_refused_and_never_a_shorter_batch(processed, tmp_path):
    (processed / "wav" / "1.wav").rename(tmp_path / "1.wav")
    refusal = "has 3 audio files, and .*dataset.json says 4: run `jukemir-like process folder --name mine` again"
    with pytest.raises(RequestError, match=refusal):
        listing.list_confirmed(processed / "wav")
    with pytest.raises(RequestError, match=refusal):
        extract.extract("mfcc", processed / "wav", tmp_path / "out", batch_size=2, batch_idx=1)
    whole = extract.extract("mfcc", processed / "wav", tmp_path / "out")  # the whole folder is what is in it, and that is said
    assert whole.done == 3
    assert any(re.search(refusal, note) for note in whole.notes)
    (tmp_path / "1.wav").rename(processed / "wav" / "1.wav")
    assert extract.extract("mfcc", processed / "wav", tmp_path / "out", batch_size=2, batch_idx=1).kept == 2
    assert not any("says 4" in note for note in extract.extract("mfcc", processed / "wav", tmp_path / "out").notes)
    (processed / "wav" / "another.wav").write_bytes(b"")
    with pytest.raises(RequestError, match=r"has 5 audio files, and .* says 4: remove those that are not of the dataset .*, or run "):
        listing.list_confirmed(processed / "wav")


def test_a_listing_of_before_is_waited_for(processed, tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "_PAUSE_SECONDS", 0.01)
    hidden = tmp_path / "wav"
    (processed / "wav").rename(hidden)

    def appear():
        time.sleep(0.1)
        hidden.rename(processed / "wav")

    other_node = threading.Thread(target=appear)
    other_node.start()
    assert listing.list_confirmed(processed / "wav").names == [b"0.wav", b"1.wav", b"2.wav", b"4.wav"]
    other_node.join()


@pytest.mark.usefixtures("short")
def test_folders_of_others_are_taken_as_they_are(processed, tmp_path):
    (processed / "wav" / "1.wav").unlink()
    (processed / "wav").rename(processed / "audio")
    assert len(listing.list_confirmed(processed / "audio").names) == 3
    (processed / "audio").rename(processed / "wav")
    for description in ({}, {"stems": None}, {"files": 4}, {"files": "4", "versions": {"jukemir-like": "0.1.0"}}, []):
        (processed / "dataset.json").write_text(json.dumps(description))
        assert len(listing.list_confirmed(processed / "wav").names) == 3
    (processed / "dataset.json").unlink()
    assert len(listing.list_confirmed(processed / "wav").names) == 3
