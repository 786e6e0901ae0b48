"""Batches of a folder that has a manifest give what one extraction of it gives, whatever came before."""

import contextlib
import itertools
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like import audio, extract
from jukemir_like.core import atomic, records, resumable
from jukemir_like.core.errors import RequestError
from jukemir_like.extract import inputs, manifest

PLUGIN = Path(__file__).parents[1] / "fixtures" / "plugin"


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Every folder is large enough for a manifest, and was not changed just before."""
    monkeypatch.syspath_prepend(PLUGIN)
    now = atomic.file_system_time
    monkeypatch.setattr(inputs, "WORTH_A_MANIFEST", 0)
    monkeypatch.setattr(atomic, "file_system_time", lambda folder: now(folder) + 3600)


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 80 + seed).astype(np.float32), 8000, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(["a.wav", "b/c.wav", "b/d.wav", "e.flac", "f.wav", "g.wav", "h.wav"]):
        write(tmp_path / "in" / name, seed)
    return tmp_path / "in"


def vectors(output):
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*.npy")}


def run(folder, output, batch_size=None, batch_idx=None, **options):
    return extract.extract("level", folder, output, batch_size=batch_size, batch_idx=batch_idx, **options)


@pytest.fixture
def forbid_listing(monkeypatch):
    """A function after which a test fails where a folder is listed."""
    return lambda: monkeypatch.setattr(audio, "list_audio", lambda _: pytest.fail("the folder was listed"))


def test_one_batch_lists_the_folder_for_all(folder, tmp_path, forbid_listing):
    run(folder, tmp_path / "whole")
    assert not (tmp_path / "whole" / ".records" / manifest.FILE).exists()
    run(folder, tmp_path / "out", 2, 3)
    forbid_listing()
    for index in (1, 0, 2, 3):
        run(folder, tmp_path / "out", 2, index)
    assert run(folder, tmp_path / "out", 3, 0).kept == 3
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")
    with pytest.raises(RequestError, match="past the end: 7 files make 4 batches of 2"):
        run(folder, tmp_path / "out", 2, 4)
    assert extract.count_inputs(folder, tmp_path / "out") == 7


def test_a_small_folder_gets_no_manifest(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "WORTH_A_MANIFEST", 5000)
    run(folder, tmp_path / "out", 2, 0)
    assert sorted(path.name for path in (tmp_path / "out" / ".records").iterdir()) == ["batch-2-0.jsonl", "temporary"]


def test_a_wrong_request_writes_no_manifest(folder, tmp_path):
    for arguments in ((2, 4), (0, 0), (2, None), (None, 2)):
        with pytest.raises(RequestError):
            run(folder, tmp_path / "out", *arguments)
    write(folder / "a.ogg.wav", 1)
    write(folder / "a.flac", 1)
    with pytest.raises(RequestError, match=r"a\.flac and a\.wav in .* would both write a\.npy"):
        run(folder, tmp_path / "out", 1, 0)
    assert not (tmp_path / "out").exists()


def test_a_damaged_block_is_listed_and_written_again(folder, tmp_path):
    run(folder, tmp_path / "out", 2, 0)
    path = tmp_path / "out" / ".records" / manifest.FILE
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    assert run(folder, tmp_path / "out", 7, 0).done == 5
    assert path.read_bytes() == data


def test_a_manifest_of_another_folder_is_written_again(folder, tmp_path):
    run(folder, tmp_path / "out", 2, 0)
    write(tmp_path / "other" / "z.wav", 9)
    assert run(tmp_path / "other", tmp_path / "out", 1, 0).done == 1
    assert extract.count_inputs(folder, tmp_path / "out") == 7
    assert extract.count_inputs(tmp_path / "other", tmp_path / "out") == 1


def test_layers_have_one_manifest(folder, tmp_path, forbid_listing):
    targets = [inputs.inputs_of_batch(folder, tmp_path / "out" / ".records", 2, index) for index in (0, 3)]
    assert [batch.names for batch in targets] == [["a.wav", "b/c.wav"], ["h.wav"]]
    targets[0].keep_listing()
    forbid_listing()
    assert inputs.inputs_of_batch(folder, tmp_path / "out" / ".records", 3, 2).names == ["h.wav"]


def test_the_number_of_files_of_a_processed_dataset_is_what_dataset_json_says(tmp_path, forbid_listing):
    """Where another machine has just written the folder, a listing may not have all of it yet."""
    write(tmp_path / "wav" / "a.wav", 0)
    assert extract.count_inputs(tmp_path / "wav") == 1
    for description in ({"items": {"train": 9}, "metadata_only": True}, {"stems": ["bass", "drums"]}):
        atomic.write_json(tmp_path / "dataset.json", description)
        assert extract.count_inputs(tmp_path / "wav") == 1
    atomic.write_json(tmp_path / "dataset.json", {"items": {"train": 9, "none": 2}, "files": 9, "versions": {"jukemir-like": "0.1.0"}})
    forbid_listing()
    assert extract.count_inputs(tmp_path / "wav") == 9


def journals_read(monkeypatch):
    opened, open_regular = [], records.open_regular
    monkeypatch.setattr(records, "open_regular", lambda path: opened.append(Path(path).stem) or open_regular(path))
    return opened


def test_a_batch_reads_its_own_journal_and_others_only_for_outputs_that_it_does_not_describe(folder, tmp_path, monkeypatch):
    output = tmp_path / "out"
    opened = journals_read(monkeypatch)
    for index in range(4):
        assert run(folder, output, 2, index).done + index // 3 == 2
    assert opened == [f"batch-2-{index}" for index in range(4)]
    opened.clear()
    assert run(folder, output, 2, 1).kept == 2
    assert opened == ["batch-2-1"]
    opened.clear()
    assert run(folder, output, 3, 1).kept == 3  # what batches 2-1 and 2-2 have made
    assert opened == ["batch-3-1", "batch-2-1", "batch-2-2"]
    opened.clear()
    shutil.copy(output / "a.npy", output / "f.npy")  # of which no journal says that it was made from f.wav
    assert run(folder, output, 2, 2).done == 1
    assert opened == ["batch-2-2", "batch-3-1", "batch-2-0", "batch-2-1", "batch-2-3"]
    opened.clear()
    assert run(folder, output, 2, 2).kept == 2
    assert opened == ["batch-2-2"]


def test_batches_go_on_from_a_run_over_the_whole_folder_and_the_other_way_round(folder, tmp_path):
    assert run(folder, tmp_path / "out").done == 7
    assert [run(folder, tmp_path / "out", 3, index).kept for index in range(3)] == [3, 3, 1]
    write(folder / "f.wav", 30)
    assert run(folder, tmp_path / "out", 3, 1).done == 1
    assert run(folder, tmp_path / "out").kept == 7
    assert run(folder, tmp_path / "out", 5, 0).kept == 5
    run(folder, tmp_path / "whole")
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")


def test_records_in_the_words_of_another_program_are_found(folder, tmp_path):
    """The contract says JSON, not how it is written."""
    write(folder / "ü.wav", 8)
    run(folder, tmp_path / "out")
    path = tmp_path / "out" / ".records" / "all.jsonl"
    lines = [records.json.loads(line) for line in path.read_text().splitlines()]
    spellings = [
        lambda line: records.json.dumps(line, ensure_ascii=False),
        lambda line: records.json.dumps(line, separators=(",", ":")),
        lambda line: records.json.dumps({"input": "another"} | dict(reversed(line.items()))),
        lambda line: "".join(['{"input": "another", ', records.json.dumps(line)[1:]]),
        lambda line: (
            records.json.dumps(line)
            .replace('"input": "', '"input": "\\u00' + f"{ord(line['input'][0]):02x}")
            .replace(f"{ord(line['input'][0]):02x}" + records.json.dumps(line["input"][0])[1:-1], f"{ord(line['input'][0]):02x}")
        ),
    ]
    for spelling in spellings:
        path.write_text("".join(spelling(line) + "\n" for line in lines), encoding="utf-8")
        assert [run(folder, tmp_path / "out", 4, index).kept for index in range(2)] == [4, 4], spelling(lines[0])
        for own in path.parent.glob("batch-*"):
            own.unlink()


def test_what_a_killed_batch_left_goes_with_any_other_batch_and_large_folders_are_not_listed_for_it(folder, tmp_path, abandon, monkeypatch):
    output = tmp_path / "out"
    earlier = abandon(output / "b", "c.npy")  # as versions before this one left it
    run(folder, output, 2, 0)
    assert not earlier.exists()
    left = abandon(resumable.temporary_folder(output), "x.npy")
    assert left.exists()
    swept, remove = [], resumable.remove_abandoned
    monkeypatch.setattr(resumable, "remove_abandoned", lambda folder: swept.append(folder) or remove(folder))
    run(folder, output, 2, 3)
    assert not left.exists()
    assert swept == [output / ".records" / "temporary"]
    for place in (output, output / "b", resumable.temporary_folder(output)):
        left = abandon(place, "x.npy")
        run(folder, output)
        assert not left.exists()


EVENTS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(["a.wav", "b/c.wav", "b/d.flac", "e.flac", "f.wav"]), st.integers(0, 2)),
    st.tuples(st.just("remove"), st.sampled_from(["a.wav", "b/c.wav", "b/d.flac", "f.wav"]), st.none()),
    st.tuples(st.just("batch"), st.integers(1, 4), st.integers(0, 4)),
    st.tuples(st.just("whole"), st.none(), st.none()),
    st.tuples(st.just("damage"), st.integers(0, 400), st.none()),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENTS, max_size=12), st.integers(1, 4), st.randoms(use_true_random=False))
def test_after_any_history_batches_in_any_order_give_what_one_extraction_gives(tmp_path_factory, events, batch_size, random):
    root = tmp_path_factory.mktemp("history")
    folder, output = root / "in", root / "out"
    write(folder / "always.wav", 3)
    times = itertools.count(10**9)
    for event, first, second in events:
        if event == "write":
            write(folder / first, second)
        elif event == "remove":
            (folder / first).unlink(missing_ok=True)
        elif event == "damage" and (path := output / ".records" / manifest.FILE).exists():
            data = bytearray(path.read_bytes())
            data[first % len(data)] ^= 1
            path.write_bytes(data)
        elif event in ("batch", "whole"):
            with contextlib.suppress(RequestError):  # a batch past the end
                run(folder, output, first, second)
        # The folders' times differ, however coarse those of the file system of the test are.
        for path in (folder, folder / "b"):
            if event in ("write", "remove") and path.exists():
                os.utime(path, ns=(1, next(times)))
    batches = list(range(-(-len(audio.find(folder)) // batch_size)))
    random.shuffle(batches)
    summaries = [run(folder, output, batch_size, index) for index in batches]
    assert not any(summary.failed for summary in summaries)
    fresh = root / "fresh"
    run(folder, fresh)
    expected = vectors(fresh)
    assert {name: vector for name, vector in vectors(output).items() if name in expected} == expected
    assert sum(run(folder, output, batch_size, index).kept for index in batches) == len(expected)


def test_batches_at_the_same_time_list_it_as_one_would(folder, tmp_path):
    run(folder, tmp_path / "whole")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run, args=(folder, tmp_path / "out", 1, index)) for index in range(7)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 7
    assert vectors(tmp_path / "out") == vectors(tmp_path / "whole")
    assert manifest.read(tmp_path / "out" / ".records" / manifest.FILE, folder).names(0, 9) == audio.find(folder)
    assert not list(resumable.temporary_folder(tmp_path / "out").iterdir())
