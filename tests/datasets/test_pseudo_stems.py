"""A folder of recordings as pseudo-stems: from the folder to a table of retrieval, splits of a table, and bad files."""

import csv
import json

import click
import numpy as np
import pytest
import soundfile

from jukemir_like.cli import data as data_commands
from jukemir_like.cli import retrieval
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets.processed import read_processed
from jukemir_like.datasets.pseudo_stems import pseudo_stems_dataset
from jukemir_like.process import process
from jukemir_like.separation.pseudo_stems import Separation
from jukemir_like.stemjepa.data.finding import find

RATE = 16000


def run(command, *words):
    return command.main([*map(str, words)], standalone_mode=False)


def write_recording(path, seed, seconds=5.0):
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    samples = sum(0.15 * np.sin(2 * np.pi * frequency * time) for frequency in (random.uniform(60, 120), random.uniform(400, 900)))
    samples[:: RATE // 4] += 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([samples, 0.5 * samples], axis=1), RATE, subtype="PCM_16")


@pytest.fixture
def recordings(tmp_path):
    """Eight recordings in four folders, one of them with the name of another, and one that is none."""
    for number in range(8):
        write_recording(tmp_path / "music" / f"album {number // 2}" / f"song {number}.{'wav' if number % 2 else 'flac'}", number)
    write_recording(tmp_path / "music" / "album 0" / "song 0.wav", 20)
    (tmp_path / "music" / "album 1" / "broken.mp3").write_bytes(b"no music")
    (tmp_path / "music" / "cover.jpg").write_bytes(b"no music")
    return tmp_path / "music"


def test_from_a_folder_to_a_table_of_retrieval(tmp_path, recordings, capfd):
    cache = Cache(tmp_path / "cache")
    words = ("pseudo_stems", "--audio", recordings, "--cache", cache.root, "--workers", 2)
    assert run(data_commands.process, *words) == 3
    said = "".join(capfd.readouterr())
    assert "9 done, 0 kept, 1 failed" in said
    assert "failed: album 1/broken: cannot be decoded as audio" in said
    assert "pseudo-stems (harmonic-percussive, then low and high)" in said
    data = read_processed(cache.processed("pseudo_stems"))
    assert (data.stems, data.group, len(data), dict(data.tasks)) == (STEMS, "folder", 10, {})
    assert data.uids[:3] == ["album 0/song 0.flac", "album 0/song 0.wav", "album 0/song 1"]
    samples, rate = data.audio("album 3/song 7")
    mix, _ = soundfile.read(recordings / "album 3" / "song 7.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples.sum(axis=0), mix.mean(axis=1), atol=3 / 32768)
    assert [bool(channel.any()) for channel in samples] == [True, True, True, False]
    description = json.loads((data.folder / "dataset.json").read_text())
    assert description["sources"]["pseudo_stems"] == Separation().to_json()

    assert run(data_commands.process, *words) == 3
    assert "0 done, 9 kept, 1 failed" in "".join(capfd.readouterr())

    words = ("--dataset", "pseudo_stems", "--cache", cache.root, "--device", "cpu", "--threads", 1, "--untrained")
    assert run(retrieval.evaluate_retrieval, *words) == 3  # the broken one is listed
    assert "PSEUDO-STEMS: parts of mixes" in "".join(capfd.readouterr())
    (path,) = (cache.root / "retrieval" / "pseudo_stems").rglob("retrieval.csv")
    with open(path, newline="") as file:
        queries = {row["instrument"]: int(row["n_queries"]) for row in csv.DictReader(file) if row["pool"] == "all"}
    assert queries["vocals"] == 0
    assert queries["bass"] == queries["drums"] == queries["other"] > 0


def test_another_separation_makes_it_anew(tmp_path, recordings):
    output = tmp_path / "processed"
    process(pseudo_stems_dataset(recordings), output)
    assert process(pseudo_stems_dataset(recordings), output).kept == 9
    before = (output / "wav" / "album 0" / "song 1.wav").read_bytes()
    summary = process(pseudo_stems_dataset(recordings, separation=Separation(bass_hz=500)), output)
    assert (summary.done, summary.kept) == (9, 0)
    assert (output / "wav" / "album 0" / "song 1.wav").read_bytes() != before


def test_a_folder_is_in_one_split_and_the_seed_decides_which(recordings):
    def splits(**options):
        return {item.uid: item.split for item in pseudo_stems_dataset(recordings, **options).items}

    one = splits()
    assert len({(uid.split("/")[0], split) for uid, split in one.items()}) == 4
    assert set(one.values()) == {"train", "valid", "test"}
    assert one == splits()
    assert any(splits(seed=seed) != one for seed in range(1, 5))


def test_recordings_of_one_folder_are_groups_by_themselves(tmp_path):
    for number in range(3):
        write_recording(tmp_path / "music" / f"{number}.wav", number, seconds=0.1)
    made = pseudo_stems_dataset(tmp_path / "music")
    assert made.group is None
    assert "splits assigned at random, song by song, with seed 0: train 3, valid 0, test 0" in made.notes


def test_the_splits_of_a_table(tmp_path, recordings, capfd):
    lines = [
        "path,genre,split,artist",
        "album 0/song 1,rock,train,a",
        "album 1/song 2.flac,rock,test,b",
        "album 1/song 3,,,b",
        "lost,,valid,",
    ]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    cache = Cache(tmp_path / "cache")
    words = ("--audio", recordings, "--labels", tmp_path / "labels.csv", "--group", "artist", "--name", "mine", "--cache", cache.root)
    assert run(data_commands.process, "pseudo_stems", *words, "--label", "genre") == 3
    said = "".join(capfd.readouterr())
    assert "splits assigned at random, with seed 0: 1 of 4" in said
    assert "audio files without a row, which are left out: 7" in said
    assert "failed: lost: no such audio file in" in said
    assert "--label did not count: pseudo_stems takes no labels" in said
    found = find(cache.processed("mine"), 4)
    assert [(track.name, track.split, track.group) for track in found.tracks] == [
        ("wav/album 0/song 1", "train", "a"),
        ("wav/album 1/song 2", "test", "b"),
        ("wav/album 1/song 3", "test", "b"),
    ]
    assert found.notes[-1].startswith("PSEUDO-STEMS: ")


def test_requests_that_are_refused(tmp_path, recordings):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folds.csv").write_text("path,fold\nalbum 0/song 1,0\nalbum 1/song 2,1\n")
    with pytest.raises(RequestError, match=r"comes in folds \(fold\), each of which is tested once"):
        pseudo_stems_dataset(recordings, labels=tmp_path / "folds.csv")
    with pytest.raises(RequestError, match="holds no audio files: give --audio"):
        pseudo_stems_dataset(tmp_path / "empty")
    with pytest.raises(RequestError, match="is not a folder: give --audio"):
        pseudo_stems_dataset(tmp_path / "nowhere")
    for words, message in (
        ((), "needs --audio DIR"),
        (("--audio", recordings, "--refuse_unknown"), "are for datasets of many sources"),
        (("--audio", recordings, "--keep_families"), "are for midi"),
        (("--audio", recordings, "--name", "synthband"), "is the name of a known dataset"),
    ):
        with pytest.raises(click.UsageError, match=message):
            run(data_commands.process, "pseudo_stems", *words, "--cache", tmp_path / "cache")
