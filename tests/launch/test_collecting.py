"""What became of all batches: against a count of the files themselves."""

import json
import tracemalloc

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like import extract
from jukemir_like.cli import cli
from jukemir_like.core import records
from jukemir_like.core.errors import RequestError
from jukemir_like.launch.collecting import Batch, Failure, collect


@pytest.fixture
def write(tmp_path):
    """A function that writes a journal: ``write("batch-2-0", a="done", b="is empty")``; anything but ``done`` is why it failed."""
    clock = iter(range(1, 1000))

    def journal(name, at=None, **statuses):
        with records.Journal(tmp_path / "out", name) as opened:
            for key, status in statuses.items():
                record = records.new(f"{key}.wav", "signature") | {"time": float(next(clock) if at is None else at)}
                opened.append(record | ({} if status == "done" else {"status": "failed", "reason": status}))
                if status == "done":
                    (tmp_path / "out" / f"{key}.npy").touch()

    return journal


@pytest.fixture
def source(tmp_path):
    """A folder of five inputs, ``a.wav`` to ``e.wav``."""
    (tmp_path / "in").mkdir()
    for name in "abcde":
        (tmp_path / "in" / f"{name}.wav").touch()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_everything_done(write, source, out):
    write("batch-2-0", a="done", b="done")
    write("batch-2-1", c="done", d="done")
    write("batch-2-2", e="done")
    collected = collect(out, source=source)
    assert collected.batches == {0: Batch(2), 1: Batch(2), 2: Batch(1)}
    assert (collected.exit_code, collected.to_repeat, collected.notes) == (0, [], [])
    assert collected.text() == f"{out}: 3 of 3 batches of 2 complete; 5 files done, 0 failed, 0 missing"


def test_what_failed_and_what_is_missing_is_told_with_its_batch_and_how_to_repeat_it(write, source, out):
    write("batch-2-0", a="done", b="is empty")
    write("batch-2-1", c="done")  # was interrupted
    collected = collect(out, source=source)
    assert collected.batches == {0: Batch(1, 1, 0), 1: Batch(1, 0, 1), 2: Batch(0, 0, 1)}
    assert collected.failures == [Failure("b.wav", "is empty", 0)]
    assert collected.exit_code == 3
    lines = collected.text().splitlines()
    assert lines[:5] == [
        f"{out}: 0 of 3 batches of 2 complete; 2 files done, 1 failed, 2 missing",
        "  batch 0: 1 done, 1 failed",
        "  batch 1: 1 done, 1 missing",
        "  batch 2: 1 missing",
        "  failed: b.wav (batch 0): is empty",
    ]
    assert "  sbatch --array=0-2 FILE" in lines
    assert lines[-1].endswith("--batch_size 2 --batches 0-2")


def test_the_latest_record_of_an_input_counts_whatever_its_journal(write, source, out):
    write("all", at=5, a="done", b="is empty")
    write("batch-2-0", at=3, a="is empty", b="done")
    collected = collect(out, source=source)
    assert collected.batches[0] == Batch(1, 1, 0)
    assert collected.failures == [Failure("b.wav", "is empty", 0)]
    write("batch-2-0", at=9, b="done")
    assert collect(out, source=source).batches[0] == Batch(2)


def test_inputs_that_are_none_any_more_do_not_count(write, source, out):
    write("batch-2-0", a="done", aa="is empty", b="done")
    assert collect(out, source=source, batch_size=5).failures == []


@pytest.mark.parametrize("is_known", [True, False])
def test_vectors_that_are_not_there_any_more_are_missing(write_audio, source, out, is_known):
    for name in ("a", "b", "c", "d", "e", "deep.er/f.g"):
        write_audio(source / f"{name}.wav", seconds=0.3)
    for index in range(3):
        assert extract.extract("mfcc", source, out, batch_size=2, batch_idx=index).exit_code == 0
    known = source if is_known else None
    assert collect(out, source=known).exit_code == 0
    (out / "deep.er" / "f.g.npy").unlink()
    collected = collect(out, source=known)
    assert (collected.done, collected.missing, collected.to_repeat, collected.exit_code) == (5, 1, [2], 3)


def test_without_the_inputs_only_batches_that_have_begun_are_known(write, out):
    write("batch-2-0", a="done", b="done")
    write("batch-2-3", g="done")
    write("batch-2-2", e="is empty")
    collected = collect(out)
    assert collected.batches == {0: Batch(2), 1: Batch(0, 0, 2), 2: Batch(0, 1, 1), 3: Batch(1)}
    assert (collected.to_repeat, collected.missing, collected.exit_code) == ([1, 2], 3, 3)
    assert "after 3 is not known" in collected.notes[0]


def test_a_last_batch_of_which_nothing_is_recorded_is_missing(write, out):
    write("batch-2-0", a="done", b="done")
    write("batch-2-1")
    assert collect(out).to_repeat == [1]


def test_files_whose_batch_is_not_known_make_no_false_alarm(write, out):
    write("all", a="done", b="done", c="done")
    write("batch-2-0")  # in which all were kept
    write("batch-2-1", d="done")
    collected = collect(out)
    assert (collected.done, collected.exit_code) == (4, 0)
    assert any("--input FOLDER tells" in note for note in collected.notes)


def test_an_extraction_that_was_not_done_in_batches(write, source, out):
    write("all", a="done", b="is empty", c="done", d="done")
    without, known = collect(out), collect(out, source=source)
    assert (without.batch_size, without.batches, without.exit_code) == (None, {}, 3)
    assert (known.done, len(known.failures), known.missing) == (3, 1, 1)
    assert "sbatch" not in known.text()


def test_of_batches_of_several_sizes_one_is_chosen(write, source, out):
    write("batch-2-0", a="done", b="done")
    write("batch-3-0", a="done", b="done", c="is empty")
    with pytest.raises(RequestError, match="batches of 2, 3 files: give --batch_size"):
        collect(out, source=source)
    assert collect(out, source=source, batch_size=3).batches == {0: Batch(2, 1, 0), 1: Batch(0, 0, 2)}


def test_a_folder_into_which_nothing_was_extracted_is_refused_unless_the_inputs_are_known(source, out):
    with pytest.raises(RequestError, match="nothing is recorded"):
        collect(out)
    assert collect(out, source=source, batch_size=2).to_repeat == [0, 1, 2]


def test_lines_are_limited(write, out):
    write("batch-1-0", a="x")
    for number in range(1, 30):
        write(f"batch-1-{number}", **{f"a{number:02}": "is empty"})
    collected = collect(out)
    lines = collected.text(most=3).splitlines()
    assert sum(line.startswith("  failed: ") for line in lines) == 3
    assert sum(line.startswith("  batch ") for line in lines) == 3
    assert "  … and 27 failures more (--most)" in lines
    assert len(collected.text(most=100).splitlines()) > 60


def test_the_tasks_of_an_array_that_holds_several_batches_are_named(write, out):
    for number in (0, 3, 5):
        write(f"batch-1-{number}", **{f"a{number}": "is empty"})
    text = collect(out).text(max_array_size=4)
    assert "  sbatch --array=0-2 FILE  (task T has the batches T, T + 3 …)" in text
    assert text.endswith("--batches 0-5")


def test_names_are_shown_so_that_a_terminal_can(tmp_path, out):
    with records.Journal(out, "all") as journal:
        journal.append(records.new("a\nb\udcff.wav", "s") | {"status": "failed", "reason": "is empty"})
    line = collect(out).text().splitlines()[1]
    assert line.isprintable()
    assert line.startswith("  failed: a")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["done", "failed"]), st.integers(0, 5), st.booleans()), max_size=12))
def test_counts_are_those_of_the_last_records(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("collect")
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    for name in "abcde":
        (folder / "in" / f"{name}.wav").touch()
        (folder / "out" / f"{name}.npy").touch()
    for name, status, time, in_batch in lines:
        with records.Journal(folder / "out", f"batch-2-{'abcde'.index(name) // 2}" if in_batch else "all") as journal:
            journal.append(records.new(f"{name}.wav", "s") | {"status": status, "reason": "x", "time": float(time)})
    last = {name: of_input[-1]["status"] for name, of_input in records.read_all(folder / "out").items()}
    collected = collect(folder / "out", source=folder / "in", batch_size=2)
    for number, names in enumerate(("ab", "cd", "e")):
        statuses = [last.get(f"{name}.wav") for name in names]
        assert collected.batches[number] == Batch(statuses.count("done"), statuses.count("failed"), statuses.count(None))
    assert collected.exit_code == (0 if list(last.values()) == ["done"] * 5 else 3)


def test_memory_is_that_of_the_names_not_of_the_records(out):
    folder = out / records.FOLDER
    folder.mkdir(parents=True)
    number, reason = 5000, "x" * 2000
    for index in range(100):
        (out / f"{index}.npy").touch()
    with (folder / "batch-100-0.jsonl").open("w") as file:
        for index in range(number):
            file.write(json.dumps(records.new(f"{index % 100}.wav", reason) | {"time": float(index)}) + "\n")
    tracemalloc.start()
    assert collect(out).done == 100
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3_000_000 < number * len(reason)


@pytest.mark.parametrize("words", ["", "out --dataset a --representation b", "--dataset a", "out --representation b"])
def test_the_command_needs_to_know_of_what(words):
    with pytest.raises(click.UsageError, match="give OUTPUT"):
        cli.main(["commands", "collect", *words.split()], standalone_mode=False)


def test_of_a_dataset_the_inputs_are_known(command, write_audio, tmp_path):
    for index in range(3):
        write_audio(tmp_path / "cache" / "processed" / "mine" / "wav" / f"{index}.wav", seconds=0.3, seed=index)
    words = ("--dataset", "mine", "--cache", "cache")
    assert command("extract", "mfcc", *words, "--batch_size", "2", "--batch_idx", "0", cwd=tmp_path).returncode == 0
    done = command("commands", "collect", *words, "--representation", "mfcc", cwd=tmp_path)
    assert done.returncode == 3
    assert "1 of 2 batches of 2 complete; 2 files done, 0 failed, 1 missing" in done.stdout
    assert command("extract", "mfcc", *words, "--batch_size", "2", "--batch_idx", "1", cwd=tmp_path).returncode == 0
    assert command("commands", "collect", *words, "--representation", "mfcc", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(("representation", "others"), [("mine", "mine.layer1.max"), ("mine@pool=max", "mine.layer1")])
def test_layers_of_one_pass_are_listed_each(command, write, source, tmp_path, representation, others):
    pool = ".max" if "max" in representation else ""
    vectors = tmp_path / "cache" / "representations" / "set"
    (tmp_path / "cache" / "processed" / "set").mkdir(parents=True)
    source.rename(tmp_path / "cache" / "processed" / "set" / "wav")
    vectors.mkdir(parents=True)
    for name in (f"mine.layer2{pool}", f"mine.layer10{pool}", others, f"mine-other.layer1{pool}"):
        write("batch-5-0", a="done", b="done", c="done", d="done", e="done" if name != f"mine.layer10{pool}" else "is empty")
        (tmp_path / "out").rename(vectors / name)
    of_dataset = ("commands", "collect", "--dataset", "set", "--representation", representation, "--cache", "cache")
    done = command(*of_dataset, cwd=tmp_path)
    heads = [line for line in done.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert [line.partition(":")[0] for line in heads] == [f"{vectors}/mine.layer2{pool}", f"{vectors}/mine.layer10{pool}"]
    assert ["1 failed" in line for line in heads] == [False, True]
    assert done.returncode == 3
    whole = command("commands", "collect", str(vectors), cwd=tmp_path)
    assert len([line for line in whole.stdout.splitlines() if line.startswith(str(tmp_path))]) == 4
