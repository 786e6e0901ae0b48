"""Vectors of other audio than the dataset has now are refused: labels and items do not tell."""

import shutil
from hashlib import sha256

import pytest

from jukemir_like.core import records
from jukemir_like.core.errors import RequestError
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.datasets.meta import wav_path
from jukemir_like.packs import origin
from jukemir_like.probes.stage import probe_dataset

UIDS = ("train/000-0", "train/001-0", "test/000-0")


def digest(text):
    return sha256(text.encode()).hexdigest()


@pytest.fixture
def dataset(make_dataset):
    """A dataset of which three items have records of their audio and of their vectors: the cache, ``process`` and ``extract``."""
    cache = make_dataset(tasks=("genre",))
    vectors = cache.representation("toy", "rep")

    def process(text, *uids, **more):
        with records.Journal(cache.processed("toy"), "process") as journal:
            for uid in uids or UIDS:
                journal.append(records.new(uid, "s", digest="source", output_digest=digest(text)) | more)

    def extract(text, *uids):
        with records.Journal(vectors, "all") as journal:
            for uid in uids or UIDS:
                output = digest_or_none(vectors / f"{uid}.npy")
                journal.append(records.new(f"{uid}.wav", "s", digest=digest(text), output_digest=output))

    process("first")
    extract("first")
    return cache, process, extract


def test_it_says_how_many_which_and_what_to_run_and_probes_again_after_that(dataset):
    cache, process, extract = dataset
    first = probe_dataset(cache, "toy", "rep").runs
    process("second", "train/001-0", "test/000-0")
    words = (
        "2 of 130 vectors of rep for toy, such as that of test/000-0, are of other audio than toy has now: "
        f"run `jukemir-like extract rep --dataset toy --cache {cache.root}` again"
    )
    with pytest.raises(RequestError) as refused:
        probe_dataset(cache, "toy", "rep")
    assert str(refused.value) == words
    probe_dataset(cache, "toy", "trivial")  # which hears none
    extract("second", "train/001-0")
    with pytest.raises(RequestError, match="1 of 130 vectors"):
        probe_dataset(cache, "toy", "rep")
    extract("second", "test/000-0")
    assert [run.metrics for run in probe_dataset(cache, "toy", "rep").runs] == [run.metrics for run in first]


def test_a_vector_of_both_is_right_in_any_order_of_its_records(dataset):
    """Two files may have the same vector, such as silence."""
    cache, process, extract = dataset
    extract("second")
    probe_dataset(cache, "toy", "rep")
    process("second")
    probe_dataset(cache, "toy", "rep")


def test_a_file_that_was_put_back_counts_though_its_record_is_not_the_last(dataset):
    cache, process, _ = dataset
    path = wav_path(cache.processed("toy"), "train/001-0")
    path.parent.mkdir(parents=True)
    path.write_text("second")
    process("second", "train/001-0")
    with pytest.raises(RequestError, match="other audio"):
        probe_dataset(cache, "toy", "rep")
    path.write_text("first")
    probe_dataset(cache, "toy", "rep")


def test_what_records_do_not_tell_and_what_was_taken_over_is_not_refused(dataset):
    cache, process, _ = dataset
    with records.Journal(cache.processed("toy"), "audit") as journal:
        journal.append(records.new("train/001-0", "s", output_digest=digest("a finding")))
    probe_dataset(cache, "toy", "rep")
    process("second")
    origin.write(cache.representation("toy", "rep"), origin.Origin("rep.zip", "0" * 64))
    probe_dataset(cache, "toy", "rep")
    (cache.representation("toy", "rep") / origin.ORIGIN_FILE).unlink()
    shutil.rmtree(cache.representation("toy", "rep") / records.FOLDER)
    probe_dataset(cache, "toy", "rep")
