"""A run of an earlier version is resumed where its options mean the same now."""

import json

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import state


@pytest.fixture
def folder(tmp_path):
    """Of a run whose version did not have the options of effects."""
    settings = Training.from_dict({"data": {"augmentation": {"level_db": 3.0}}}).to_dict() | {state.TRACKS: "digest"}
    settings["data"]["augmentation"] = {"level_db": 3.0}
    (tmp_path / state.STATES).mkdir()
    (tmp_path / state.STATES / "000000250.ckpt").touch()
    (tmp_path / state.SETTINGS).write_text(json.dumps(settings))
    return tmp_path


def claim(folder, **augmentation):
    settings = Training.from_dict({"data": {"augmentation": {"level_db": 3.0, **augmentation}}}).to_dict()
    state.claim(settings | {state.TRACKS: "digest"}, folder, resume=True, on_change=state.REFUSE)


def test_a_run_is_resumed_with_defaults_for_new_options(folder):
    claim(folder)
    assert (folder / state.STATES / "000000250.ckpt").exists()
    assert json.loads((folder / state.SETTINGS).read_text())["data"]["augmentation"]["drive_db"] == 0


def test_a_run_with_a_new_option_is_another(folder):
    with pytest.raises(RequestError, match=r"another data.augmentation.drive_db \(0.0 there, 6.0 here\)"):
        claim(folder, drive_db=6.0)
