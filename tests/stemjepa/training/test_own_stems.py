"""Training on tracks with stems of their own: the instruments of the weights, what is held out, and runs to the end of both predictors."""

import json

import numpy as np
import pytest
import soundfile

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.compose import compose_settings
from jukemir_like.stemjepa.training.run import train

SONGS = {
    "train": (("bass", "cello", "drums"), ("bass", "drums", "oud"), ("bass", "cello", "drums", "tenor sax"), ("drums", "oud")),
    "valid": (("bass", "drums", "oboe"), ("cello", "drums", "oud")),
    "test": (("bass", "violin"),),
}


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory):
    """A folder per song with a file per instrument, 1 s each: tones of the song's own."""
    root = tmp_path_factory.mktemp("ensembles")
    time = np.arange(16000) / 16000
    for part, songs in SONGS.items():
        for song, names in enumerate(songs):
            for octave, name in enumerate(names):
                path = root / part / f"song {song}" / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, 0.2 * np.sin(2 * np.pi * 110 * 2 ** (octave + song / 7) * time), 16000)
    return root


@pytest.fixture
def on_ensembles(settings, ensembles):
    def build(**changes):
        return settings({"data.data_path": str(ensembles), "data.stems": "instruments"} | changes)

    return build


def test_the_instruments_are_the_names_of_the_tracks_to_train_on(on_ensembles):
    found = batches.find_tracks(on_ensembles())
    assert found.sources == ("bass", "cello", "drums", "oud", "tenor sax")
    assert [track.numbers for track in found.train] == [(0, 1, 2), (0, 2, 3), (0, 1, 2, 4), (2, 3)]
    assert [track.numbers for track in found.valid] == [(0, 2, -1), (1, 2, 3)]
    assert batches.with_instruments(on_ensembles(), found).model.predictor.num_sources == 5


def test_families_and_names_are_held_out_and_said(on_ensembles):
    held_out = batches.find_tracks(on_ensembles(**{"data.held_out": ["Strings", "Tenor_sax"]}))
    assert held_out.sources == ("bass", "drums", "oud")
    assert [track.numbers for track in held_out.train] == [(0, -1, 1), (0, 1, 2), (0, -1, 1, -1), (1, 2)]
    assert held_out.notes[-1] == "held out of the tracks to train on, as targets and in mixes: 3 stems of 2 names: cello, tenor sax"
    with pytest.raises(RequestError, match=r"data\.held_out tenor saxx: no stem is called so; families are bass, brass"):
        batches.find_tracks(on_ensembles(**{"data.held_out": ["tenor saxx"]}))
    with pytest.raises(RequestError, match="1 instruments are left"):
        batches.find_tracks(on_ensembles(**{"data.held_out": ["strings", "reed", "bass", "drums"]}))


def test_names_decide_whether_a_run_is_the_same(on_ensembles, ensembles, tmp_path):
    import shutil

    shutil.copytree(ensembles, tmp_path / "again")
    one, same = (batches.find_tracks(on_ensembles(**{"data.data_path": str(path)})).digest() for path in (ensembles, tmp_path / "again"))
    (tmp_path / "again/train/song 3/oud.wav").rename(tmp_path / "again/train/song 3/lute.wav")
    other = batches.find_tracks(on_ensembles(**{"data.data_path": str(tmp_path / "again")})).digest()
    assert one == same != other


@pytest.mark.parametrize("instruments", ["classes", "text"])
def test_a_run_has_an_instrument_for_each_name(on_ensembles, tmp_path, instruments):
    run = on_ensembles(
        **{
            "data.held_out": ["strings"],
            "model.predictor.instruments": instruments,
            "model.predictor.conditioning": "film",
            "model.predictor.text_buckets": 256,
            "trainer.max_steps": 2,
            "objective.contrastive_steps": 1,
            "optimiser.warmup_steps": 1,
        }
    )
    loaded = checkpoint.load(train(run, tmp_path / "run"))
    assert loaded.sources == ("bass", "drums", "oud", "tenor sax")
    assert loaded.model.predictor.num_sources == 4
    assert json.loads((tmp_path / "run" / "data.json").read_text())["tracks"] == {"train": 4, "valid": 2}
    assert "valid/same-instrument/R@1" in (tmp_path / "run" / "metrics.csv").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.stems=four", "choose usual or instruments"),
        ("data.held_out=[strings]", r"it is for data\.stems=instruments"),
        (("data.stems=instruments", "data.sources=[a,b,c,d]"), "leave it out"),
        (("data.stems=instruments", "data.held_out=['']"), "give names"),
    ],
)
def test_options_that_do_not_fit_are_refused(override, message):
    with pytest.raises(RequestError, match=message):
        compose_settings([override] if isinstance(override, str) else list(override))


def test_the_usual_stems_leave_no_trace_in_the_settings():
    values = compose_settings([]).to_dict()
    assert not {"stems", "held_out"} & set(values["data"])
