import json
import shutil

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.core.errors import DamagedFileError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data_settings import Data
from jukemir_like.stemjepa.training import metrics_log, state
from jukemir_like.stemjepa.training.batches import find_tracks
from jukemir_like.stemjepa.training.label_probe import labels_of_run, read_labels
from jukemir_like.stemjepa.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def labelled(tmp_path):
    """A processed dataset: tracks of high and of low tones, half of them held out, with their genre and a task that few have labels for."""
    folder, meta, time = tmp_path / "labelled", {}, np.arange(16000) / 16000
    (folder / "wav").mkdir(parents=True)
    for number in range(28):
        high, random = number % 2, np.random.default_rng(number)
        tones = np.array([np.sin(2 * np.pi * (150 + 2500 * high) * (1 + stem / 7) * time) for stem in range(4)])
        samples = 0.1 * tones.T + 0.01 * random.standard_normal((16000, 4))
        soundfile.write(folder / "wav" / f"{number:02}.wav", samples, 16000, subtype="PCM_16")
        y = {"genre": "high" if high else "low", "rare": ["a"] if number < 4 else None}
        meta[f"{number:02}"] = {"split": "train" if number < 12 else "valid", "y": y, "extra": {}}
    (folder / "meta.json").write_text(json.dumps(meta))
    tasks = {"genre": {"type": "multiclass", "labels": ["high", "low"]}, "rare": {"type": "multilabel", "labels": ["a"]}}
    tasks["nobody"] = {"type": "key", "labels": ["C major", "A minor"]}
    (folder / "dataset.json").write_text(json.dumps({"name": "labelled", "tasks": tasks, "stems": ["bass", "drums", "other", "vocals"]}))
    return folder


def test_labels_are_those_of_the_tracks(labelled):
    tracks = find(labelled, 4).tracks
    rare, genre = sorted(read_labels(labelled, tracks[2:5]), key=lambda task: task["name"], reverse=True)
    assert (genre["name"], genre["type"], genre["of_tracks"]) == ("genre", "multiclass", ["low", "high", "low"])
    assert rare["of_tracks"] == [["a"], ["a"], None]
    assert read_labels(labelled / "wav", tracks) == []
    (labelled / "dataset.json").write_text("{")
    with pytest.raises(DamagedFileError):
        read_labels(labelled, tracks)


@pytest.mark.parametrize("labels", [["high", "low"], ["low", "high"]])
def test_labels_of_several_folders_are_those_of_the_folder_of_each_track(labelled, settings, tmp_path, labels):
    other = shutil.copytree(labelled, tmp_path / "other")
    description = json.loads((other / "dataset.json").read_text())
    description["tasks"]["genre"]["labels"] = labels
    (other / "dataset.json").write_text(json.dumps(description))
    meta = json.loads((other / "meta.json").read_text())
    for item in meta.values():
        item["y"]["genre"] = {"low": "high", "high": "low"}[item["y"]["genre"]]
    (other / "meta.json").write_text(json.dumps(meta))
    data = Data(data_path=(str(labelled), str(other)))
    tracks = find_tracks(settings({"data.data_path": data.data_path})).valid
    assert {track.folder for track in tracks} == {0, 1}
    expected = [{0: ("low", "high"), 1: ("high", "low")}[track.folder][int(track.name[-2:]) % 2] for track in tracks]
    tasks = {task["name"]: task["of_tracks"] for task in labels_of_run(data, tracks)}
    if labels == ["high", "low"]:
        assert tasks == {"genre": expected}
    else:
        first = [label if track.folder == 0 else None for track, label in zip(tracks, expected, strict=True)]
        second = [label if track.folder == 1 else None for track, label in zip(tracks, expected, strict=True)]
        assert tasks == {"genre": first, "genre of other": second}


@pytest.mark.slow
def test_probes_are_in_the_log_and_change_nothing_of_the_training(labelled, settings, tmp_path, capsys):
    changes = {"data.data_path": str(labelled), "trainer.log_every_steps": 5, "trainer.checkpoint_every_steps": 3}
    plain = train(settings(changes), tmp_path / "plain")
    assert not [column for row in metrics_log.read(tmp_path / "plain") for column in row if column.startswith("probe/")]
    capsys.readouterr()
    probed = train(settings({**changes, "trainer.probe_every_steps": 2}, logger=["csv", "tensorboard"]), tmp_path / "probed")
    captured = capsys.readouterr()
    expected, reached = (checkpoint.load(path).network.state_dict() for path in (plain, probed))
    assert all(torch.equal(expected[name], reached[name]) for name in expected)
    rows = {int(row["step"]): row for row in metrics_log.read(tmp_path / "probed") if "probe/genre" in row}
    assert sorted(rows) == [0, 2, 4, 5]
    assert rows[0]["probe/genre by chance"] == 0.5
    assert rows[0]["probe/genre"] > 0.8  # even random weights tell them
    assert captured.err.count("rare is not probed: 0 groups") == 0  # no held-out track has a label for it
    assert captured.err.count("probe/genre ") >= 4
    assert "probe, held out: genre" in captured.out
    assert "probe/genre" in checkpoint.header(probed).provenance["metrics"]
    assert "probe/seconds" not in checkpoint.header(probed).provenance["metrics"]
    assert (tmp_path / "probed" / "training.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert any(b"probe/genre" in path.read_bytes() for path in (tmp_path / "probed" / "tensorboard").iterdir())

    (tmp_path / "probed" / state.WEIGHTS).unlink()
    (tmp_path / "probed" / state.STATES / "000000005.ckpt").unlink()
    again = train(settings({**changes, "trainer.probe_every_steps": 2}), tmp_path / "probed")
    resumed = checkpoint.load(again).network.state_dict()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    values = {int(row["step"]): row["probe/genre"] for row in metrics_log.read(tmp_path / "probed") if "probe/genre" in row}
    assert values == {step: row["probe/genre"] for step, row in rows.items()}


def test_without_labels_one_line_says_so(settings, tmp_path, capsys):
    shorter = {"trainer.max_steps": 1, "optimiser.warmup_steps": 0, "objective.contrastive_steps": 0}
    train(settings({"trainer.probe_every_steps": 2, **shorter}), tmp_path)
    assert capsys.readouterr().err.count("nothing is probed: ") == 1
