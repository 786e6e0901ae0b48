"""What ``probe`` says where vectors are missing that were never extracted."""

import pytest

from jukemir_like.cli import cli
from jukemir_like.core import records
from jukemir_like.core.errors import RequestError
from jukemir_like.core.matrices import dimension_of, write_matrix
from jukemir_like.core.vector_folder import VectorFolder
from jukemir_like.probes import vectors


@pytest.fixture
def probe(make_dataset, capsys):
    """A function that removes vectors from the small dataset, probes it, and returns what is said about extraction."""

    def run(missing, failed):
        cache = make_dataset(tasks=("genre",))
        folder = cache.representation("toy", "rep")
        for uid in (*missing, *failed):
            (folder / f"{uid}.npy").unlink()
        with records.Journal(folder, "all") as journal:
            for uid in failed:
                journal.append(records.new(f"{uid}.wav", "s") | {"status": "failed", "reason": "is empty"})
        cli.main(["probe", "toy", "rep", "--workers", "1", "--cache", str(cache.root)], standalone_mode=False)
        return [line for line in capsys.readouterr().err.splitlines() if "collect" in line]

    return run


def test_it_names_the_command_that_lists_the_batches(probe):
    (line,) = probe(missing=["train/000-0"], failed=[])
    assert "`jukemir-like commands collect --dataset toy --representation rep`" in line


@pytest.mark.parametrize("failed", [[], ["train/000-0"]])
def test_where_records_say_why_it_names_none(probe, failed):
    assert probe(missing=[], failed=failed) == []


def test_vectors_that_are_moved_into_a_matrix_meanwhile_are_not_taken_for_missing(make_dataset, monkeypatch):
    cache = make_dataset(tasks=("genre",))
    folder = cache.representation("toy", "rep")
    name = "train/000-0"
    read_many = VectorFolder.read_many

    def read_while_another_process_moves(self, names):
        data = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").unlink()
        yield from read_many(self, names)
        write_matrix(folder, "all", dimension_of(data), [(name, data)])

    monkeypatch.setattr(VectorFolder, "read_many", read_while_another_process_moves)
    with pytest.raises(RequestError, match="were moved while they were read: run again when their extraction has ended"):
        vectors.read(cache, "toy", "rep", [name, "train/001-0"], {})
