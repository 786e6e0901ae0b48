"""Stamps that must not count: of a time to come, of vectors that were removed, of downloads in which something was missing."""

import os
import time

import pytest

from jukemir_like.launch import stamps


@pytest.fixture
def stamp(tmp_path):
    """A function that writes a stamp in ``tmp_path`` and returns its path."""

    def write(*parts):
        path = tmp_path.joinpath(stamps.STAMPS, *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    return write


def test_stamps_of_a_time_to_come_are_removed_and_logs_are_not(stamp, tmp_path, capsys):
    past, ahead, log = stamp("process", "a"), stamp("audit", "a"), stamp("logs", "audit", "a.log")
    for path in (ahead, log):
        os.utime(path, (time.time() + 10_000,) * 2)
    assert stamps.remove_ahead(tmp_path) == ["report/index.html"]
    assert (past.exists(), ahead.exists(), log.exists()) == (True, False, True)
    assert "1 stages ended at a time that is still to come" in capsys.readouterr().err
    assert stamps.remove_ahead(tmp_path) == []


@pytest.mark.parametrize(
    ("stage", "name", "folder", "stays"),
    [
        ("extract", "mfcc", "mfcc", True),
        ("extract", "mfcc", "chroma", False),
        ("extract", "stemjepa", "stemjepa.layer2", False),
        ("extract_layers", "stemjepa", "stemjepa.layer2", True),
        ("extract_layers", "stemjepa", "stemjepa", False),
        ("extract_layers", "stemjepa.mean+std", "stemjepa.layer2.mean+std", True),
        ("extract_layers", "stemjepa.mean+std", "stemjepa.layer2", False),
    ],
)
def test_stamps_stay_as_long_as_the_vectors_are_there(stamp, tmp_path, stage, name, folder, stays):
    path = stamp(stage, "toy", name, "256-0")
    (tmp_path / "representations" / "toy" / folder).mkdir(parents=True)
    stamps.forget_removed(tmp_path)
    assert path.exists() == stays


def test_incomplete_downloads_of_wanted_datasets_are_tried_again(stamp, tmp_path):
    for name in ("emomusic", "magnatagatune", "unknown"):
        stamp("again", name)
    assert stamps.of_incomplete_downloads(tmp_path, ["emomusic", "mine"]) == [".stages/download/emomusic"]


def test_an_extraction_whose_vectors_were_removed_has_no_stamp_any_more(tmp_path):
    for folder in (
        *("extract/a/mfcc", "extract/a/x.max", "extract/b/mfcc", "extract/a/[m]fcc", "extract/a/clmr"),
        *("extract_layers/a/mert", "extract_layers/a/mert.max", "extract_layers/a/mert.mean+std", "extract_layers/a/me"),
        *("extract_layers/a/hf--o--n.max", "extract_layers/b/mert", "extract_layers/c/mert"),
    ):
        (tmp_path / ".stages" / folder).mkdir(parents=True)
        (tmp_path / ".stages" / folder / "256-0").touch()
    vectors = ("a/mfcc", "a/x.max", "a/mert.layer0", "a/mert.layer12.mean+std", "a/hf--o--n.max.layer3", "b/mert.layer1.max", "b/mert")
    for folder in vectors:
        (tmp_path / "representations" / folder).mkdir(parents=True)
    (tmp_path / "representations" / "a" / "clmr").touch()
    stamps.forget_removed(tmp_path)
    left = {str(path.parent.relative_to(tmp_path / ".stages")) for path in (tmp_path / ".stages").rglob("256-0")}
    assert left == {
        *("extract/a/mfcc", "extract/a/x.max"),
        *("extract_layers/a/mert", "extract_layers/a/mert.mean+std", "extract_layers/a/hf--o--n.max"),
    }
    stamps.forget_removed(tmp_path / "nothing")


def end(cache, name, run):
    path = cache / stamps.LOGS / f"{name}.log.ended"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{run}\n")


def test_stamps_of_stages_that_have_ended_in_their_run_count(stamp, tmp_path):
    stamp("process", "old")
    stamps.begin(tmp_path, "2")
    new = stamp("extract", "toy", "mfcc", "256-0")
    end(tmp_path, "extract/toy/mfcc/256-0", "2")
    stamp("again", "toy")
    assert stamps.remove_unfounded(tmp_path) == []
    assert new.exists()


@pytest.mark.parametrize("ended", [None, "1"], ids=["it never has", "in a run before"])
def test_a_stamp_of_a_stage_that_has_not_ended_takes_those_of_its_run_along(stamp, tmp_path, ended):
    name = "extract/toy/mfcc/256-0"
    old, wrong = stamp("process", "toy"), stamp("extract", "toy", "mfcc", "256-0")
    os.utime(wrong, (0, 0))
    stamps.begin(tmp_path, "2")
    wrong.touch()
    on_it = stamp("probe", "toy", "mfcc", "linear-0")
    end(tmp_path, "probe/toy/mfcc/linear-0", "2")
    if ended:
        end(tmp_path, name, ended)
    assert stamps.remove_unfounded(tmp_path) == [name]
    assert (old.exists(), wrong.exists(), on_it.exists()) == (True, False, False)


def test_where_no_run_has_begun_all_stamps_count(stamp, tmp_path):
    path = stamp("process", "toy")
    assert stamps.remove_unfounded(tmp_path) == []
    (tmp_path / stamps.UNFINISHED).touch()  # of versions that noted nothing there
    assert stamps.remove_unfounded(tmp_path) == []
    assert path.exists()
