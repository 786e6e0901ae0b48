"""Training with instruments by the text of their names: what is said, what goes on, what starts from other weights."""

import json

import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, instrument_names
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.settings import Training, differences
from jukemir_like.stemjepa.training import batches, initial_weights, state
from jukemir_like.stemjepa.training.batches import TrainingTracks
from jukemir_like.stemjepa.training.compose import compose_settings
from jukemir_like.stemjepa.training.module import TrainingModule
from jukemir_like.stemjepa.training.run import train

TEXT = {
    "model.predictor.instruments": "text",
    "model.predictor.conditioning": "film",
    "model.predictor.text_buckets": 512,
    "model.predictor.text_width": 8,
}


def test_an_example_says_a_wording_and_is_otherwise_the_same(settings, stems_folder):
    tracks = batches.find_tracks(settings()).train
    plain, said, unsaid = (settings(changes) for changes in ({}, TEXT, TEXT | {"data.synonyms": False}))
    made = [Examples(tracks, run.data, run.model, 3) for run in (plain, said, unsaid)]
    wordings = set()
    for n in range(12):
        one, two, three = (examples[n] for examples in made)
        assert one.keys() == three.keys() == two.keys() - {"wording"}
        assert all(torch.equal(one[name], two[name]) and torch.equal(one[name], three[name]) for name in one)
        assert two["wording"].dtype == torch.int64
        wordings.add(int(two["wording"]))
        assert torch.equal(Examples(tracks, said.data, said.model, 3)[n]["wording"], two["wording"])
    assert len(wordings) == 12
    assert {wording % 2 for wording in wordings} == {0, 1}
    assert not torch.equal(Examples(tracks, said.data, said.model, 4)[0]["wording"], made[1][0]["wording"])


def test_a_batch_is_predicted_by_its_wordings(settings):
    run = settings({**TEXT, "model.predictor.conditioning": "concat"})
    torch.manual_seed(0)
    module = TrainingModule(run)
    module.network.name_instruments(("bass", "drums"), wordings=[("bass", "Bassgeige"), ("drums", "Schlagzeug", "kit")])
    waveforms = torch.randn(2, 2, run.model.chunk_samples)
    batch = {"context": waveforms[0], "target": waveforms[1], "source": torch.tensor([0, 1]), "track": torch.arange(2)}
    plain = module(batch)
    assert torch.equal(module(batch | {"wording": torch.tensor([2, 1])}), plain)  # the names themselves, again
    assert not torch.equal(module(batch | {"wording": torch.tensor([2, 9])}), plain)
    assert not torch.equal(module(batch | {"wording": torch.tensor([2, 7])}), plain)


def test_names_that_are_held_out_are_never_said(settings):
    tracks = TrainingTracks([], [], ("acoustic bass", "drums", "oud"), {}, [])
    own = TEXT | {"data.stems": "instruments"}
    said = dict(zip(tracks.sources, batches.wordings(settings(own), tracks), strict=True))
    assert said["acoustic bass"][0] == "acoustic bass"
    assert {"contrabass", "upright bass", "bass"} <= set(said["acoustic bass"])
    assert [name[-1] for name in said.values()] == ["bass", "🥁", "ethnic"]  # a family is said, where it is not a name of another
    held_out = batches.wordings(settings(own | {"data.held_out": ["strings", "drum kit"]}), tracks)
    every = {name for of_name in held_out for name in of_name}
    assert "upright bass" in every
    assert not every & {"contrabass", "drum kit", "strings"}
    assert batches.wordings(settings(own | {"data.synonyms": False}), tracks) == [("acoustic bass",), ("drums",), ("oud",)]


def test_a_run_ends_with_weights_that_know_the_names_and_their_synonyms(settings, tmp_path):
    run = settings({**TEXT, "trainer.max_steps": 3})
    path = train(run, tmp_path / "run")
    header = checkpoint.header(path)
    assert header.model.predictor.instruments == "text"
    assert set(header.heard) == {name for of_name in instrument_names.wordings(header.sources) for name in of_name}
    torch.manual_seed(0)
    before = Network(run.model).predictor.sources.parts.weight
    after = checkpoint.load(path).network.predictor.sources.parts.weight
    changed = (before != after).any(1)
    said = {feature for name in header.heard for of_word in instrument_names.features(name) for feature in of_word}
    assert changed.any()
    assert set(changed.nonzero()[:, 0].tolist()) <= {instrument_names.number(feature, 512) for feature in {*said, ""}}
    assert "synonyms" not in header.provenance["settings"]["data"]


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_bits(settings, tmp_path):
    expected = train(settings(TEXT), tmp_path / "run").read_bytes()
    (tmp_path / "run" / state.WEIGHTS).unlink()
    (tmp_path / "run" / state.STATES / "000000005.ckpt").unlink()
    assert train(settings(TEXT), tmp_path / "run").read_bytes() == expected
    assert train(settings({**TEXT, "data.synonyms": False}), tmp_path / "names").read_bytes() != expected


@pytest.fixture
def weights(settings, tmp_path):
    torch.manual_seed(3)
    network = Network(settings(TEXT).model)
    network.name_instruments(names := ("bass", "drums", "tuba", "vocals"), heard=["Bassgeige"])
    checkpoint.save(tmp_path / "text.safetensors", network, provenance={}, sources=names)
    return tmp_path / "text.safetensors"


def test_a_run_starts_from_the_text_encoder_and_from_what_it_has_heard(settings, weights, tmp_path):
    still = {"init.weights": str(weights), "optimiser.lr": 0.0, "objective.contrastive_steps": 0, "objective.tau_half_life_steps": 1e12}
    run = settings({**TEXT, **still, "trainer.max_steps": 1, "optimiser.warmup_steps": 0})
    origin = initial_weights.read(run)
    (_, told) = initial_weights.lines(origin, ("bass", "drums", "other", "vocals"), predictor=True)
    assert told.endswith("(bass, drums, tuba, vocals) start from what their names share with those: other")
    made = train(run, tmp_path / "run")
    before, after = (checkpoint.load(path).network.predictor.sources for path in (weights, made))
    assert torch.equal(before.parts.weight, after.parts.weight)
    assert {"tuba", "Bassgeige", "bass", "other", "Schlagzeug"} <= set(after.heard_names)
    assert checkpoint.header(made).sources == ("bass", "drums", "other", "vocals")


def test_weights_of_classes_and_of_text_are_not_the_same_networks(settings, weights):
    with pytest.raises(RequestError, match=r"model\.predictor\.instruments is text there and classes here") as caught:
        initial_weights.read(settings({**TEXT, "model.predictor.instruments": "classes", "init.weights": str(weights)}))
    assert "init.predictor=false" in str(caught.value)
    alone = settings({"init.weights": str(weights), "init.predictor": False})
    assert initial_weights.read(alone)["heard"] == []
    initial_weights.load(alone, initial_weights.read(alone), Network(alone.model), ("bass", "drums", "other", "vocals"))


def test_settings_of_classes_are_as_before_there_was_text():
    plain = Training().to_dict()
    assert not {"instruments", "text_buckets", "text_width"} & plain["model"]["predictor"].keys()
    assert "synonyms" not in plain["data"]
    assert {"instruments", "text_buckets"} <= Training().to_dict(defaults=True)["model"]["predictor"].keys()
    assert differences(Training.from_dict({"model": {"predictor": {"text_buckets": 99}}})) == []  # which decides nothing
    text = compose_settings(["model.predictor.instruments=text", "data.synonyms=false"])
    assert Training.from_dict(json.loads(json.dumps(text.to_dict()))) == text
    assert dict(differences(text))["model.predictor.instruments"] == "text"


def test_the_recipe_is_text_by_film_contrastive_first():
    run = compose_settings(["recipe=successor", "data.data_path=/stems"])
    assert (run.model.predictor.conditioning, run.model.predictor.instruments, run.data.stems) == ("film", "text", "instruments")
    assert 0 < run.objective.contrastive_steps < run.trainer.max_steps
    with pytest.raises(RequestError, match="choose conditioning film"):
        compose_settings(["recipe=successor", "model.predictor.conditioning=none"])
    with pytest.raises(RequestError, match="choose classes or text"):
        compose_settings(["model.predictor.instruments=names"])
    with pytest.raises(RequestError, match="at most 16,777,216"):
        compose_settings(["model.predictor.text_buckets=100000000"])
