"""The resumable loop: what is kept is right whatever clocks, crashes and other people did in between."""

import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import atomic, records, resumable
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.core.records import Summary
from jukemir_like.core.resumable import Chunk, Stage

NAMES = ("a", "sub/b")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def output_of(folder, name):
    return folder / "out" / f"{name}.out"


def expected(source, signature):
    """What the output must hold: it depends on the bytes of the input and on the signature alone."""
    return b"of " + source + signature.encode()


def work(folder, crashes, chunk):
    made = []
    for job in chunk.jobs:
        record = job.record()
        try:
            source = (folder / "in" / job.input).read_bytes()
            if source == b"bad":
                raise InputError("is bad")
        except (OSError, InputError):
            made.append(record | records.failure(InputError("cannot be used")))
            continue
        record["digest"] = digest(source)
        finished = job.kept_record(record["digest"])
        if finished is None:
            record["output_digest"] = atomic.write_bytes(job.output, expected(source, job.signature))
            if crashes:
                raise RequestError("stands for a kill between the output and its record")
        made.append(record if finished is None else finished | {"status": "kept"})
    return made


def run(folder, signature="s", journal="all", crashes=False):
    ran = Stage(Summary("test"), folder / "out", journal)
    chunks = [Chunk((ran.job(name, output_of(folder, name), signature),)) for name in NAMES]
    for _ in ran.run(lambda chunk: work(folder, crashes, chunk), chunks, len(chunks), 1):
        pass
    return ran.summary


EVENTS = st.one_of(
    st.tuples(st.just("write input"), st.sampled_from(NAMES), st.sampled_from([b"one", b"two", b"bad"])),
    st.tuples(st.just("remove input"), st.sampled_from(NAMES)),
    st.tuples(st.just("write output"), st.sampled_from(NAMES), st.sampled_from([b"of ones", b"of twos", b"of onet", b""])),
    st.tuples(st.just("remove output"), st.sampled_from(NAMES)),
    st.tuples(st.just("set clock"), st.sampled_from([0.0, 1e9, 2e9])),
    st.tuples(st.just("forget times")),
    st.tuples(st.just("run"), st.sampled_from("st"), st.sampled_from(["all", "batch-1-0", "0"])),
    st.tuples(st.just("crash"), st.sampled_from("st"), st.sampled_from(["all", "batch-1-0"])),
)


def happen(folder, clock, event, *arguments):
    if event == "write input":
        atomic.write_bytes(folder / "in" / arguments[0], arguments[1])
    elif event == "remove input":
        (folder / "in" / arguments[0]).unlink(missing_ok=True)
    elif event == "write output":
        atomic.write_bytes(output_of(folder, arguments[0]), arguments[1])
    elif event == "remove output":
        output_of(folder, arguments[0]).unlink(missing_ok=True)
    elif event == "set clock":
        clock[0] = arguments[0]
    elif event == "forget times":
        for journal in (folder / "out" / records.FOLDER).glob("*.jsonl"):
            lines = [{k: v for k, v in json.loads(line).items() if k != "time"} for line in journal.read_text().splitlines()]
            journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    elif event == "crash":
        with contextlib.suppress(RequestError):
            run(folder, *arguments, crashes=True)
    else:
        run(folder, *arguments)


@given(events=st.lists(EVENTS, max_size=14))
def test_after_any_history_the_outputs_are_those_of_the_inputs_as_they_are(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("stage")
    clock = [1.5e9]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records.time, "time", lambda: clock[0])
        for event in events:
            happen(folder, clock, *event)
        run(folder)
        again = run(folder)
    for name in NAMES:
        source = folder / "in" / name
        if source.exists() and source.read_bytes() != b"bad":
            assert output_of(folder, name).read_bytes() == expected(source.read_bytes(), "s")
            assert name not in again.failed
        else:
            assert not output_of(folder, name).exists()
            assert name in again.failed
    assert again.done == 0  # what is right is not made twice
    assert again.kept + len(again.failed) == len(NAMES)


def test_a_clock_that_ran_ahead_does_not_keep_the_output_of_older_bytes(tmp_path, monkeypatch):
    """Node B, whose clock is a day ahead, makes the vector of the old bytes; node A then of the new ones; then the old bytes are back."""
    for name in NAMES:
        atomic.write_bytes(tmp_path / "in" / name, b"one")
    monkeypatch.setattr(records.time, "time", lambda: 2e9)
    assert run(tmp_path, journal="batch-2-1").done == 2
    monkeypatch.setattr(records.time, "time", lambda: 1e9)
    atomic.write_bytes(tmp_path / "in" / "a", b"two")
    assert run(tmp_path, journal="batch-2-0").done == 1
    assert output_of(tmp_path, "a").read_bytes() == b"of twos"
    atomic.write_bytes(tmp_path / "in" / "a", b"one")
    assert run(tmp_path).done == 1
    assert output_of(tmp_path, "a").read_bytes() == b"of ones"
    assert run(tmp_path).kept == 2


def test_records_from_before_outputs_had_a_digest_keep_nothing(tmp_path):
    for name in NAMES:
        atomic.write_bytes(tmp_path / "in" / name, b"one")
    run(tmp_path)
    (journal,) = (tmp_path / "out" / records.FOLDER).glob("*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        del line["output_digest"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (run(tmp_path).done, run(tmp_path).kept) == (2, 2)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["../../victim", "../victim", "/victim", "a/../../../victim", "victim", "x/../victim", "", "."])
def test_no_record_removes_or_writes_what_this_stage_did_not_make(tmp_path, name):
    atomic.write_bytes(tmp_path / "in" / "a", b"one")
    atomic.write_bytes(tmp_path / "victim.out", b"mine")
    atomic.write_bytes(tmp_path / "out" / "victim.out", b"mine too")
    with records.Journal(tmp_path / "out", "evil") as journal:
        digests = {"digest": digest(b"one"), "output_digest": digest(b"another")}
        journal.append(records.new(str(tmp_path / name) if name.startswith("/") else name, "s", **digests))
    before = snapshot(tmp_path)
    opened = Stage(Summary("test"), tmp_path / "out", "all")
    opened.remove_others(["a"], lambda uid: output_of(tmp_path, uid))
    assert snapshot(tmp_path) == before


def test_what_a_stage_made_for_inputs_that_are_gone_goes(tmp_path):
    for name in NAMES:
        atomic.write_bytes(tmp_path / "in" / name, b"one")
    run(tmp_path)
    Stage(Summary("test"), tmp_path / "out", "all").remove_others(["a"], lambda uid: output_of(tmp_path, uid))
    assert output_of(tmp_path, "a").exists()
    assert not output_of(tmp_path, "sub/b").exists()


def test_a_file_that_changes_between_its_digest_and_its_samples_is_no_input(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    with resumable.unchanged(path):
        pass
    with pytest.raises(InputError, match="was changed while it was read"), resumable.unchanged(path):
        path.write_bytes(b"more")
    with pytest.raises(InputError, match="was changed"), resumable.unchanged(path):
        path.unlink()
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "bass.wav").write_bytes(b"one")
    with pytest.raises(InputError, match="was changed"), resumable.unchanged(tmp_path / "song"):
        (tmp_path / "song" / "bass.wav").write_bytes(b"more")


@pytest.mark.parametrize("error", [RequestError("wrong weights"), StorageError("the disk is full")])
def test_what_is_not_one_input_s_fault_ends_the_run_and_touches_nothing(tmp_path, error):
    for name in NAMES:
        atomic.write_bytes(tmp_path / "in" / name, b"one")
    run(tmp_path)
    before = snapshot(tmp_path)

    def refuse(chunk):
        raise error

    ran = Stage(Summary("test"), tmp_path / "out", "all")
    chunks = [Chunk((ran.job(name, output_of(tmp_path, name), "another"),)) for name in NAMES]
    with pytest.raises(type(error), match=str(error)):
        list(ran.run(refuse, chunks, len(chunks), 1))
    assert snapshot(tmp_path) == before
