"""Every real dataset, on its stand-in, from download to the results page by the command that users give."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jukemir_like.stemjepa.checkpoint import EMBEDDED

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def reproduce(cache, declarations, datasets, representations):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", cache, "--datasets", datasets]
    command += ["--representations", representations, "--jobs", "2"]
    environment = {**os.environ, "JUKEMIR_LIKE_DECLARATIONS": str(declarations)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done


def described(cache, dataset):
    folder = cache / "processed" / dataset
    return json.loads((folder / "dataset.json").read_text()), json.loads((folder / "meta.json").read_text()), folder / "wav"


def scores(cache):
    with open(cache / "report" / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("raw", "dataset", "items", "with_audio", "task"),
    [
        ("gtzan", "gtzan_ff", 80, 80, "genre"),
        ("giantsteps", "giantsteps_clips", None, None, "key"),
        ("magnatagatune", "magnatagatune", 75, 72, "tags"),
        ("emomusic", "emomusic", 62, 62, "emotion"),
    ],
)
def test_from_the_host_to_the_page(tmp_path, stand_in, raw, dataset, items, with_audio, task):
    declarations = stand_in(raw)
    cache = tmp_path / "cache"
    reproduce(cache, declarations, dataset, "mfcc")
    description, meta, wav = described(cache, dataset)
    there = {path.stem for path in wav.glob("*.wav")}
    assert not description["failed"]
    if items is None:  # clips: as many as the labels that jukemir published have
        items = with_audio = len(meta)
        assert {record["clip"]["clip_offset"] for record in meta.values()} == {0, 30, 60, 90}
    assert (len(meta), len(there)) == (items, with_audio)
    found = [row for row in scores(cache) if row["representation"] == "mfcc" and row["split"] == "test" and row["primary"] == "true"]
    assert [row["task"] for row in found] == [task]
    assert (cache / "report" / "index.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    "name", [pytest.param("musdb18", marks=pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")), "musdb18hq"]
)
def test_stems_from_the_host_to_the_page(tmp_path, stand_in, name):
    declarations = stand_in(name)
    cache = tmp_path / "cache"
    reproduce(cache, declarations, name, "stemjepa")
    description, _, wav = described(cache, name)
    assert description["stems"] == ["bass", "drums", "other", "vocals"]
    assert description["items"] == {"train": 3, "valid": 2, "test": 3}
    assert len(list(wav.glob("*.wav"))) == 8
    with open(cache / "retrieval" / name / EMBEDDED / "retrieval.csv", newline="") as file:
        assert {row["n_queries"] for row in csv.DictReader(file) if (row["pool"], row["instrument"]) == ("same-instrument", "all")} == {
            "12"
        }
    assert name in (cache / "report" / "index.html").read_text()


def test_songs_of_many_sources_from_the_host_to_the_page(tmp_path, stand_in):
    declarations = stand_in("slakh2100")
    cache = tmp_path / "cache"
    reproduce(cache, declarations, "slakh2100", "stemjepa")
    description, _, wav = described(cache, "slakh2100")
    assert description["items"] == {"train": 1, "valid": 1, "test": 2, "none": 2}
    assert set(description["skipped"]) == {"Track00049", "Track01878"}
    assert len(list(wav.glob("*.wav"))) == 4
    with open(cache / "retrieval" / "slakh2100" / EMBEDDED / "retrieval.csv", newline="") as file:
        assert {row["n_queries"] for row in csv.DictReader(file) if (row["pool"], row["instrument"]) == ("all", "all")} == {"8"}
    assert "slakh2100" in (cache / "report" / "index.html").read_text()


def test_what_was_missing_is_tried_again_by_the_next_run(tmp_path, stand_in, hosts):
    declarations = stand_in("giantsteps")
    cache, (served, _) = tmp_path / "cache", hosts
    lost = sorted((served / "giantsteps" / "audio").glob("*.mp3"))[0]
    lost.rename(lost.with_suffix(".away"))
    reproduce(cache, declarations, "giantsteps", "mfcc")
    failed = described(cache, "giantsteps")[0]["failed"]
    assert list(failed) == [f"{int(lost.name.partition('.')[0]):07d}"]
    lost.with_suffix(".away").rename(lost)
    reproduce(cache, declarations, "giantsteps", "mfcc")
    assert described(cache, "giantsteps")[0]["failed"] == {}
