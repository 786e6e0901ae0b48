"""Which tracks a run trains on, and which are held out."""

import os
import shutil

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training import batches


@pytest.fixture
def divided(stems_folder, tmp_path):
    """Tracks in ``train/`` (four), ``test/`` (three) and ``valid/`` (one)."""
    for number in range(8):
        part = "train" if number < 4 else "test" if number < 7 else "valid"
        (tmp_path / "divided" / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(stems_folder / f"track{number}.wav", tmp_path / "divided" / part)
    return tmp_path / "divided"


def test_folders_called_train_and_test_are_splits(settings, divided):
    material = batches.find_tracks(settings({"data.data_path": str(divided)}))
    assert [track.name for track in material.train] == [f"train/track{number}" for number in range(4)]
    assert [track.name for track in material.valid] == ["valid/track7"]
    assert material.notes[1:] == ["splits by the names of folders: 4 train, 1 valid, 3 test", "in neither part: 3 test"]
    (divided / "valid" / "track7.wav").unlink()
    material = batches.find_tracks(settings({"data.data_path": str(divided)}))
    assert {track.split for track in material.train + material.valid} == {"train"}
    assert (len(material.train), len(material.valid)) == (3, 1)


def test_held_out_tracks_are_not_trained_on_wherever_they_lie(settings, divided, stems_folder):
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.valid_path": str(divided / "test")}))
    assert [track.name for track in material.train] == [f"train/track{number}" for number in range(4)]
    assert [track.name for track in material.valid] == ["track4", "track5", "track6"]
    (divided / "train").rename(divided / "songs")
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.valid_path": f"{divided}/songs/../test"}))
    assert [track.name for track in material.train] == [f"songs/track{number}" for number in range(4)]
    assert material.notes[-1] == "in neither part: 3 test, 1 valid"
    with pytest.raises(RequestError, match="no track is left to train on"):
        batches.find_tracks(settings({"data.valid_path": str(stems_folder)}))


def test_a_stem_has_one_number_in_both_folders(settings, stems_folder, tmp_path):
    (tmp_path / "dataset.json").write_text('{"stems": ["vocals", "drums", "bass", "other"]}')
    shutil.copy(stems_folder / "track0.wav", tmp_path)
    with pytest.raises(RequestError, match="not in the one given"):
        batches.find_tracks(settings({"data.valid_path": str(tmp_path)}))


def test_what_cannot_be_copied_to_the_local_disk_is_left_out_by_name(settings, divided, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    os.mkfifo(divided / "train" / "pipe.wav")
    material = batches.find_tracks(settings({"data.data_path": str(divided), "data.local_dir": True}))
    assert material.failed == {"train/pipe.wav": "is a named pipe, not a file"}
    assert len(material.train) == 4
