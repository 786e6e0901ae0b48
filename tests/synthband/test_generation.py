"""synthband in a folder: the same bytes with any number of workers and after any interruption; growing, shrinking, refusing."""

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS
from jukemir_like.process import process
from jukemir_like.synthband import generation

pytest.importorskip("tinysoundfont")


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".records" not in path.parts
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthband")
    summary = generation.generate(folder, songs=2, seed=4, workers=1)
    assert (summary.done, summary.kept, summary.failed) == (2, 0, {})
    return folder


def test_files_are_what_is_promised(folder):
    for index in range(2):
        info = soundfile.info(folder / "stems" / f"{index:05d}.wav")
        assert (info.channels, info.samplerate, info.subtype, info.frames) == (4, 22050, "PCM_16", 661_500)
        samples, _ = soundfile.read(folder / "stems" / f"{index:05d}.wav", dtype="int16")
        assert np.abs(samples.astype(int)).max() < 32_000
    description = json.loads((folder / "synthband.json").read_text())
    assert (description["songs"], description["seed"]) == (2, 4)
    assert len(description["soundfont"]) == 64


def test_the_number_of_workers_does_not_change_a_byte(folder, tmp_path):
    generation.generate(tmp_path, songs=2, seed=4, workers=2)
    assert contents(tmp_path) == contents(folder)


def test_a_larger_one_holds_the_smaller_and_renders_only_what_is_new(folder, tmp_path):
    grown = shutil.copytree(folder, tmp_path / "synthband")
    before = (grown / "stems" / "00000.wav").stat().st_mtime_ns
    summary = generation.generate(grown, songs=3, seed=4, workers=1)
    assert (summary.done, summary.kept) == (1, 2)
    assert (grown / "stems" / "00000.wav").stat().st_mtime_ns == before
    assert [item.y for item in generation.dataset(grown).items[:2]] == [item.y for item in generation.dataset(folder).items]
    summary = generation.generate(grown, songs=2, seed=4, workers=1)
    assert (summary.done, summary.kept) == (0, 2)
    assert (grown / "stems" / "00002.wav").exists()
    (grown / "stems" / "00002.wav").unlink()
    assert contents(grown) == contents(folder)


def test_what_a_killed_run_leaves_is_made_good(folder, abandon, tmp_path):
    """A missing and a damaged file, a torn line in the journal, half a table of labels, no description, a dead process's leavings."""
    left = shutil.copytree(folder, tmp_path / "synthband")
    (left / "synthband.json").unlink()
    (left / "annotations.jsonl").write_text('{"uid": "000')
    (left / "stems" / "00000.wav").unlink()
    damaged = left / "stems" / "00001.wav"
    damaged.write_bytes(damaged.read_bytes()[:100_000])
    assert abandon(left / "stems", "00002.wav").exists()
    (journal,) = (left / ".records").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-7])
    with pytest.raises(RequestError, match="download synthband"):
        generation.dataset(left)
    assert generation.generate(left, songs=2, seed=4, workers=1).done == 2
    assert contents(left) == contents(folder)
    assert generation.generate(left, songs=2, seed=4, workers=1).kept == 2


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_the_same(tmp_path):
    command = [sys.executable, "-m", "jukemir_like", "download", "synthband", "--songs", "8", "--workers", "2", "--cache"]
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True)
    for attempt in range(4):
        process = subprocess.Popen([*command, tmp_path / "killed"], start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(1.0 + 0.43 * attempt)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*command, tmp_path / "killed"], check=True, capture_output=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_another_seed_in_the_folder_is_refused_in_one_line(folder, tmp_path):
    for place in (folder, tmp_path):
        if place is tmp_path:  # killed before its description was written
            (tmp_path / ".records").mkdir()
            (tmp_path / ".records" / "download.jsonl").write_bytes((folder / ".records" / "download.jsonl").read_bytes())
        with pytest.raises(RequestError) as caught:
            generation.generate(place, songs=1, seed=5, workers=1)
        message = str(caught.value)
        assert "seed 4" in message
        assert "--cache" in message
        assert "\n" not in message


def test_without_tinysoundfont_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(RequestError, match=r"tinysoundfont is not installed.*--no-deps tinysoundfont==0\.3\.7") as caught:
        generation.generate(tmp_path, songs=1, workers=1)
    assert "\n" not in str(caught.value)


def test_another_soundfont_is_refused_in_one_line(command, tmp_path):
    fake = tmp_path / "packages" / "pretty_midi"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise SystemExit('must not be imported')")
    (fake / "TimGM6mb.sf2").write_bytes(b"RIFF another soundfont")
    paths = os.pathsep.join(filter(None, [str(tmp_path / "packages"), os.environ.get("PYTHONPATH")]))
    done = command("download", "synthband", "--songs", "1", "--cache", tmp_path / "cache", environment={"PYTHONPATH": paths})
    assert done.returncode == 2
    assert "is not the soundfont that synthband is made with" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_empty_folder_is_no_dataset(tmp_path):
    with pytest.raises(RequestError, match="run `jukemir-like download synthband`"):
        generation.dataset(tmp_path)


def test_processed_mono_is_the_mean_of_the_stems_and_stems_are_copied(folder, tmp_path):
    mono, stems = generation.dataset(folder), generation.stems_dataset(folder)
    assert set(mono.tasks) == {"key", "genre", "tags", "emotion", "tempo"}
    assert mono.group == stems.group == "artist"
    assert (mono.stems, stems.stems) == (None, ("bass", "drums", "other", "vocals"))
    assert collections.Counter(type(item.y) for item in mono.items) == {dict: 2}
    assert all(item.y["key"] in KEYS for item in mono.items)
    process(mono, tmp_path / "mono")
    process(stems, tmp_path / "stems")
    for item in mono.items:
        source, _ = soundfile.read(item.source, dtype="int16")
        mixed, rate = soundfile.read(tmp_path / "mono" / "wav" / f"{item.uid}.wav", dtype="int16")
        assert rate == 22050
        assert np.abs(source.astype(float).mean(axis=1) - mixed).max() <= 0.5
        copied, _ = soundfile.read(tmp_path / "stems" / "wav" / f"{item.uid}.wav", dtype="int16")
        assert np.array_equal(copied, source)
