"""What weights take a name for: trained names, synonyms, words of trained names, and what nothing is known of."""

import json

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config, interpretation
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.retrieval.names import with_names

TRAINED = ("acoustic grand piano", "trumpet", "muted trumpet", "electric bass (finger)", "drums")
MIX = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)


def network(**predictor):
    torch.manual_seed(0)
    options = {"instruments": "text", "conditioning": "film", "text_buckets": 4096, "text_width": 16} | predictor
    settings = config.Model(
        encoder=config.Encoder("custom", width=16, depth=1, heads=2, chunk_seconds=0.64),
        predictor=config.Predictor(num_sources=len(TRAINED), width=24, depth=2, **options),
    )
    made = Network(settings)
    made.name_instruments(TRAINED)
    if made.predictor.modulation is not None:
        torch.nn.init.normal_(made.predictor.modulation.weight, std=0.2)
    return made


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "words.safetensors"
    checkpoint.save(path, network(), provenance={}, sources=TRAINED)
    return path


@pytest.fixture(scope="module")
def jepa(saved):
    return StemJEPA.from_pretrained(saved, "cpu")


@pytest.mark.parametrize(
    ("name", "taken_for"),
    [
        ("drums", "drums"), ("Schlagzeug", "drums"), ("DRUM-KIT", "drums"), ("Klavier", "acoustic grand piano"), ("Trumpets", "trumpet"),
        ("🎺", "trumpet"), ("finger bass", "electric bass (finger)"),
    ],
)  # fmt: skip
def test_synonyms_are_the_trained_name_exactly(jepa, name, taken_for):
    taken = jepa.interpret(name)
    assert (taken.taken_for, taken.number, taken.heard) == (taken_for, TRAINED.index(taken_for), 1.0)
    assert taken.note == (None if name == taken_for else f"the instrument {name!r} is taken for {taken_for}")
    assert np.array_equal(jepa.predict(MIX, name), jepa.predict(MIX, taken_for))
    assert jepa.number(name) == TRAINED.index(taken_for)


def test_a_name_that_was_not_trained_is_taken_for_what_its_words_are_near_to(jepa):
    taken = jepa.interpret("muted jazz trumpet")
    assert (taken.taken_for, taken.number) == ("muted jazz trumpet", None)
    assert taken.nearest[0][0] == "muted trumpet"
    assert 0.6 < taken.heard < 0.8  # two of three words, and nothing or little of the third
    text = jepa.network.predictor.sources
    with torch.no_grad():
        asked, trained = text.encode(["muted jazz trumpet"])[0], text(torch.arange(5))
    cosines = {name: float(asked @ trained[number] / asked.norm() / trained[number].norm()) for number, name in enumerate(TRAINED)}
    assert taken.nearest == tuple((name, pytest.approx(cosines[name], abs=1e-6)) for name in sorted(cosines, key=lambda n: -cosines[n])[:3])
    assert taken.note.startswith("no instrument 'muted jazz trumpet' was trained, ")
    assert f"it is taken for one near muted trumpet ({cosines['muted trumpet']:.2f}), " in taken.note
    assert json.loads(json.dumps(taken.to_json()))["nearest"][0]["name"] == "muted trumpet"
    with pytest.raises(RequestError, match="was not trained: it has no number"):
        jepa.number("muted jazz trumpet")


def test_an_instrument_of_the_table_that_was_not_trained_is_said_by_its_name_there(jepa):
    taken = jepa.interpret("E-Bass")
    assert (taken.taken_for, taken.number) == ("electric bass", None)
    assert taken.note.startswith("no instrument 'E-Bass' was trained, so 'electric bass' is said for it, of which 100 % was heard")
    assert taken.nearest[0][0] == "electric bass (finger)"
    assert np.array_equal(jepa.predict(MIX, "E-Bass"), jepa.predict(MIX, "electric bass"))


def test_an_instrument_of_which_no_word_was_heard_is_said_by_its_family():
    made = network()
    made.name_instruments(TRAINED, wordings=[(name, "brass") if "trumpet" in name else (name,) for name in TRAINED])
    jepa = StemJEPA(checkpoint.Checkpoint(made, made.settings, TRAINED, {}, ""), "cpu")
    assert [jepa.interpret(name).taken_for for name in ("tuba", "Posaune", "cornet")] == ["brass"] * 3
    assert jepa.interpret("bass trombone").taken_for == "bass trombone"  # a word of it was heard


@pytest.mark.parametrize(
    ("name", "family"), [("muted violin", "strings"), ("Akkordeon", "organ"), ("oboe", "reed"), ("electric guitar", "guitar")]
)
def test_an_instrument_of_a_family_that_was_not_heard_is_taken_for_any(jepa, name, family):
    taken = jepa.interpret(name)
    assert taken.note == f"no instrument {name!r} was trained, nor any other of its family, {family}: it is taken for any instrument"
    assert taken.to_json() == {"name": "any instrument", "trained": False, "heard": 0.0, "nearest": []}
    text = jepa.network.predictor.sources
    with torch.no_grad():
        expected = np.mean([text.encode([trained])[0].numpy() for trained in TRAINED], axis=0)
    (vector,) = interpretation.vectors(jepa.network, [taken]).numpy()
    np.testing.assert_allclose(vector, expected, atol=1e-6)
    extended, sources = with_names(jepa.network, TRAINED, [name])  # as evaluation asks for it
    assert np.array_equal(extended.predictor.sources.weight[sources.index(name)].detach().numpy(), vector)
    assert np.array_equal(jepa.predict(MIX, name), jepa.predict(MIX, "viola"))
    assert np.abs(jepa.predict(MIX, name) - jepa.predict(MIX, "muted trumpet")).max() > 1e-2


def test_a_family_that_an_earlier_training_heard_is_not_unheard():
    made = network()
    made.name_instruments(TRAINED, heard=("violin",))
    jepa = StemJEPA(checkpoint.Checkpoint(made, made.settings, TRAINED, {}, ""), "cpu")
    assert jepa.interpret("jazz violin").nearest
    assert jepa.interpret("oboe").unheard_family == "reed"


def test_predictions_of_several_names_are_those_of_each(jepa):
    names = ["drums", "muted jazz trumpet", "Klavier", "cello"]
    together = jepa.predict([MIX] * 4, names)
    for row, name in enumerate(names):
        np.testing.assert_allclose(together[row], jepa.predict(MIX, name)[0], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-2
    library = jepa.embed([MIX, MIX[::-1].copy()], which="target")
    assert len(jepa.rank(library, MIX, "muted jazz trumpet")) == 2


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "has no letters"), (" \n", "has no letters"), ("x" * 1000, "1,000 characters"), ("🪗", "nothing in the instrument"),
        ("樂器", "nothing in the instrument"), ("zzz", "nothing in the instrument"), ("a\nb", "nothing in the instrument"),
        ("\ud800", "has no letters"),
    ],
)  # fmt: skip
def test_names_that_say_nothing_are_refused_in_one_line(jepa, name, word):
    with pytest.raises(RequestError, match=word) as caught:
        jepa.predict(MIX, name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


def test_weights_of_classes_take_the_same_instrument_in_other_words_and_refuse_others_with_a_hint():
    made = network(instruments="classes")
    classes = StemJEPA(checkpoint.Checkpoint(made, made.settings, TRAINED, {}, ""), "cpu")
    for name in ("Drums", "DRUM 2", "Schlagzeug"):
        assert classes.interpret(name).note == f"the instrument {name!r} is taken for drums"
        assert np.array_equal(classes.predict(MIX, name), classes.predict(MIX, "drums"))
    usual = StemJEPA(checkpoint.Checkpoint(made, made.settings, ("bass", "drums", "other", "vocals"), {}, ""), "cpu")
    for name, hint in (("double bass", "did you mean bass?"), ("Klavier", "did you mean other?"), ("choir", "did you mean vocals?")):
        with pytest.raises(RequestError, match=f"^unknown instrument {name!r}.*{hint[:-1]}"):
            usual.interpret(name)
    with pytest.raises(RequestError, match=r"^unknown instrument 'kazoo'.*model.predictor.instruments=text take any name\)$"):
        classes.predict(MIX, "kazoo")
    assert classes.interpret("drums").note is None


@pytest.mark.slow
def test_the_command_says_what_a_name_was_taken_for(saved, command, tmp_path):
    (tmp_path / "library").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / "library" / f"{number}.wav", np.roll(MIX, 999 * number), 16000)
    soundfile.write(tmp_path / "mix.wav", MIX, 16000)
    search = ("retrieve", "--context", tmp_path / "mix.wav", "--library", tmp_path / "library", "--weights", saved)
    cache = ("--cache", tmp_path / "cache")
    done = command(*search, *cache, "--instrument", "muted jazz trumpet", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["taken_for"]["nearest"][0]["name"] == "muted trumpet"
    assert found["instrument"] == "muted jazz trumpet"
    assert any(note.startswith("no instrument 'muted jazz trumpet' was trained, ") for note in found["notes"])
    done = command(*search, *cache, "--instrument", "Schlagzeug")
    assert "the instrument 'Schlagzeug' is taken for drums" in done.stderr
    done = command(*search, *cache, "--instrument", "zzz")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
