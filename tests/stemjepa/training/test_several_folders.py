"""Training on several folders: their shares in the examples, splits and provenance of each, and what does not fit together."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.data.examples import Examples, examples_of_folders
from jukemir_like.stemjepa.data_settings import Data
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.compose import compose_settings
from jukemir_like.stemjepa.training.run import train


@pytest.fixture
def folders(stems_folder, tmp_path):
    """Five tracks in ``real``, three in ``made``."""
    for number in range(8):
        folder = tmp_path / ("real" if number < 5 else "made")
        folder.mkdir(exist_ok=True)
        shutil.copy(stems_folder / f"track{number}.wav", folder)
    return [str(tmp_path / "real"), str(tmp_path / "made")]


@pytest.fixture
def several(settings, folders):
    """A function: ``several({"data.shares": [2, 1]})`` → a run on both folders with these changes."""
    return lambda changes=None: settings({"data.data_path": folders, "data.valid_fraction": 0.3, **(changes or {})})


def examples_of(run, tracks):
    return Examples(tracks, run.data, run.model, run.seed)


def test_each_folder_is_split_by_itself(several):
    found = batches.find_tracks(several())
    assert Counter(track.name.split("/")[0] for track in found.train) == {"real": 3, "made": 2}
    assert [track.name.split("/")[0] for track in found.valid] == ["real", "made", "real"]  # in turn
    assert found.folders == ("real", "made")
    described = {folder["name"]: folder for folder in found.to_dict()["folders"]}
    assert (described["real"]["train"], described["real"]["valid"], described["real"]["share"]) == (3, 2, 0.6)
    assert len({folder["digest"] for folder in described.values()} | {found.digest()}) == 3


def test_of_a_thousand_examples_each_folder_has_its_share(several):
    run = several({"data.shares": [1, 3]})
    found = batches.find_tracks(run)
    examples = examples_of(run, found.train)
    order = [examples._folder_of(n) for n in range(3000)]
    for block in range(3):
        assert Counter(folder for folder, _ in order[1000 * block : 1000 * (block + 1)]) == {0: 250, 1: 750}
    for folder in (0, 1):  # each folder's examples are counted without a gap
        assert [number for of, number in order if of == folder] == list(range(len([1 for of, _ in order if of == folder])))
    assert [examples._folder_of(n) for n in (2999, 5, 1700)] == [order[n] for n in (2999, 5, 1700)]
    tracks = [found.train[next(iter(examples._candidates(n, np.random.default_rng(0))))] for n in range(1000)]
    assert Counter(track.folder for track in tracks) == {0: 250, 1: 750}
    own = [track.name for track in tracks if track.folder == 0]
    assert all(len(set(own[start : start + 3])) == 3 for start in range(0, 249, 3))  # epochs of three tracks
    assert len({tuple(own[start : start + 3]) for start in range(0, 249, 3)}) == 6


def test_an_example_is_a_function_of_seed_and_number(several):
    run = several({"data.shares": [2, 1]})
    tracks = batches.find_tracks(run).train
    expected = {n: examples_of(run, tracks)[n] for n in (1500, 3, 0)}
    again = examples_of(run, tracks)
    for n in (0, 1500, 3):
        assert all(torch.equal(expected[n][name], value) for name, value in again[n].items())
    another = replace(run, seed=1)
    assert [examples_of(another, tracks)._folder_of(n)[0] for n in range(50)] != [again._folder_of(n)[0] for n in range(50)]


def test_without_shares_an_epoch_has_all_tracks_once(several):
    run = several()
    examples = examples_of(run, batches.find_tracks(run).train)
    assert all(sorted(int(examples[5 * epoch + n]["track"]) for n in range(5)) == list(range(5)) for epoch in range(2))


def test_one_folder_in_a_list_is_the_folder(settings, folders):
    one, listed = (batches.find_tracks(settings({"data.data_path": path})) for path in (folders[0], folders[:1]))
    assert one == listed
    assert one.folders == ()


def test_the_numbers_of_examples_sum_to_the_block():
    for shares in ((1, 1, 1), (1e-3, 1 - 1e-3), (5, 3, 2, 2), (1,)):
        counts = examples_of_folders(shares)
        assert counts.sum() == 1000
        assert np.abs(counts - 1000 * np.array(shares) / sum(shares)).max() < 1


def test_the_weights_say_which_folders_and_no_path(several, tmp_path):
    weights = train(several({"data.shares": [2, 1], "trainer.max_steps": 2}), tmp_path / "run")
    provenance = checkpoint.load(weights).provenance
    assert [(folder["name"], folder["share"]) for folder in provenance["folders"]] == [("real", 0.666667), ("made", 0.333333)]
    assert provenance["settings"]["data"]["data_path"] == ["real", "made"]
    assert provenance["settings"]["data"]["shares"] == [2.0, 1.0]
    assert str(tmp_path) not in json.dumps(provenance)


def test_held_out_tracks_of_a_folder_of_their_own(several, folders, stems_folder, tmp_path):
    shutil.copytree(stems_folder, tmp_path / "held")
    found = batches.find_tracks(several({"data.valid_path": str(tmp_path / "held"), "data.shares": [2, 1]}))
    assert (len(found.train), len(found.valid)) == (8, 8)
    assert [(folder["train"], folder["valid"]) for folder in found.by_folder()] == [(5, 0), (3, 0)]


def test_other_stems_are_refused(several, folders, tmp_path):
    (tmp_path / "made" / "dataset.json").write_text('{"stems": ["vocals", "drums", "bass", "other"]}')
    with pytest.raises(RequestError, match=r"stems of made are vocals, drums, bass, other, those of real bass, drums, other, vocals: give"):
        batches.find_tracks(several())


def test_a_folder_in_another_is_refused(settings, folders, tmp_path):
    for paths in ([str(tmp_path), folders[0]], [folders[0], f"{folders[1]}/../real"]):
        with pytest.raises(RequestError, match="one is in the other"):
            batches.find_tracks(settings({"data.data_path": paths}))


def test_folders_of_one_name_are_told_apart():
    assert batches._names(["/a/stems", "/b/stems", "/c"]) == ("stems", "stems 2", "c")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"data_path": ["a", "b"], "shares": [1]}, "data.shares are 1, data.data_path has 2 folders: give one per folder"),
        ({"data_path": "a", "shares": [1]}, "data.shares are 1, data.data_path has 1 folders"),
        ({"data_path": ["a", "b"], "shares": [1, 0]}, "give numbers above 0"),
        ({"data_path": ["a", "b"], "shares": [1, "x"]}, "give numbers above 0"),
        ({"data_path": ["a", "b"], "shares": [1, float("nan")]}, "give numbers above 0"),
        ({"data_path": ["a", "b"], "shares": [1, 1e-6]}, "the least is 1e-06 of all: make it 0.001 or more"),
        ({"data_path": ["a", 3]}, "data.data_path is ['a', 3]: give a value of type"),
        ({"data_path": 3}, "data.data_path is 3: give a path, or a list of paths"),
        ({"data_path": []}, "data.data_path is []: give a path"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(data, message):
    with pytest.raises(RequestError) as error:
        Training.from_dict({"data": data})
    assert message in str(error.value)


def test_overrides_and_files_name_several(tmp_path, monkeypatch):
    assert compose_settings(["data.data_path=[/a,'/b c']", "data.shares=[2,1]"]).data == Data(("/a", "/b c"), (2.0, 1.0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "both.yaml").write_text("data_path: [/a, /b]\nshares: [0.5, 1]\n")
    run = compose_settings(["data=both"])
    assert run.data.folders == ("/a", "/b")
    assert Training.from_dict(json.loads(json.dumps(run.to_dict()))) == run
