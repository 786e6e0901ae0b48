import json
import shutil

import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.settings import Training, differences
from jukemir_like.stemjepa.training import initial_weights, state
from jukemir_like.stemjepa.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def write(settings, tmp_path):
    """A function that writes a file of random weights of the run's networks: ``write("a.safetensors", seed, **changes)``."""

    def make(name="mine.safetensors", seed=5, sources=None, **changes):
        model = settings({f"model.{option.replace('__', '.')}": value for option, value in changes.items()}).model
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = Network(model.with_statistics(-7.25, 2.5))
            for parameter in network.parameters():
                parameter.data += 0.01 * torch.randn_like(parameter)  # norms and biases too, and another teacher than the encoder
        checkpoint.save(tmp_path / name, network, provenance={}, sources=sources)
        return tmp_path / name

    return make


@pytest.fixture
def without_training(settings):
    """A function: settings of a run whose steps change nothing, so that it ends with what it started from."""

    def build(path, **changes):
        still = {"init.weights": str(path), "optimiser.lr": 0.0, "objective.tau_half_life_steps": 1e12, "objective.contrastive_steps": 0}
        return settings({**still, "trainer.max_steps": 1, "optimiser.warmup_steps": 0, **changes})

    return build


def states(path):
    return checkpoint.load(path).network.state_dict()


def test_all_networks_and_the_statistics_are_those_of_the_weights(without_training, write, tmp_path, capsys):
    made = train(without_training(write(), **{"data.statistics": True}), tmp_path / "run")
    expected, reached = states(write()), states(made)
    assert all(torch.allclose(expected[name], reached[name], atol=1e-7, rtol=0) for name in expected)
    assert not torch.equal(reached["teacher.norm.weight"], reached["encoder.norm.weight"])
    front = checkpoint.header(made).model.frontend
    assert (front.mean, front.std) == (-7.25, 2.5)
    told = capsys.readouterr().err
    assert told.count("the networks start from mine.safetensors") == 1
    assert "(-7.250, 2.500), not measured" in told
    provenance = checkpoint.header(made).provenance  # says what the run started from, but not where that was
    assert provenance["init"] == {"digest": checkpoint.header(write()).digest, "file": "mine.safetensors"}
    assert provenance["settings"]["init"] == {"weights": "mine.safetensors"}
    assert str(tmp_path).encode() not in made.read_bytes()


def test_a_run_that_started_from_weights_goes_on_with_the_same_bits(settings, write, tmp_path):
    changed = {"init.weights": str(write()), "data.statistics": True}
    expected = train(settings(changed), tmp_path / "run").read_bytes()
    (tmp_path / "run" / state.WEIGHTS).unlink()
    (tmp_path / "run" / state.STATES / "000000005.ckpt").unlink()
    assert train(settings(changed), tmp_path / "run").read_bytes() == expected
    assert train(settings({**changed, "init.weights": None}), tmp_path / "random").read_bytes() != expected


def test_other_weights_at_the_same_path_are_another_run_and_the_same_elsewhere_are_not(settings, write, tmp_path):
    path = write()
    run = settings({"init.weights": str(path)})
    train(run, tmp_path / "run")
    shutil.copy(path, tmp_path / "elsewhere.safetensors")
    train(settings({"init.weights": str(tmp_path / "elsewhere.safetensors")}), tmp_path / "run")
    assert differences(run) == differences(settings())
    before = initial_weights.identity(run)
    assert before == initial_weights.identity(settings({"init.weights": str(tmp_path / "elsewhere.safetensors")}))
    write(seed=6)
    assert initial_weights.identity(run) != before
    with pytest.raises(RequestError, match=r"holds a run with another initial_weights \(\w{64} there, \w{64} here\)"):
        train(run, tmp_path / "run")
    with pytest.raises(RequestError, match=r"holds a run with another initial_weights \(\w{64} there, None here\)"):
        train(settings(), tmp_path / "run")


def start(run):
    """The state that a run begins with, and what is said of it."""
    origin, sources = initial_weights.read(run), ("bass", "drums", "other", "vocals")
    state = initial_weights.load(run, origin, Network(run.model), sources)
    Network(run.model).load_state_dict(state)  # has all of its tensors, in their shapes
    return state, initial_weights.lines(origin, sources, predictor=run.init.predictor)


def test_instruments_are_taken_by_their_names(settings, write):
    path = write(sources=("vocals", "guitar", "drums", "bass"))
    there = states(path)["predictor.sources.weight"]
    begun, told = start(settings({"init.weights": str(path)}))
    rows = begun["predictor.sources.weight"]
    for row, other in ((0, 3), (1, 2), (3, 0)):
        assert torch.equal(rows[row], there[other])
    assert not any(torch.allclose(rows[2], row) for row in there)
    assert told[1] == "instruments that these weights do not know (vocals, guitar, drums, bass) start from random numbers: other"


def test_weights_of_more_instruments_and_of_longer_chunks_fit(settings, write):
    path = write(sources=("bass", "drums", "other", "vocals", "piano"), predictor__num_sources=5, encoder__chunk_seconds=1.28)
    begun, told = start(settings({"init.weights": str(path)}))
    assert torch.equal(begun["predictor.sources.weight"], states(path)["predictor.sources.weight"][:4])
    assert len(told) == 1


def test_weights_of_other_networks_are_refused_with_what_makes_them_fit(settings, write, tmp_path):
    path = write(encoder__width=32, encoder__depth=2, frontend__n_mels=96, predictor__width=24)
    with pytest.raises(RequestError) as refusal:
        train(settings({"init.weights": str(path)}), tmp_path / "run")
    told = str(refusal.value)
    assert "model.encoder.width is 32 there and 16 here" in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()
    overrides = [option.split("=") for option in told.rpartition("give ")[2].split()]
    fitting = {option: int(value) if value.isdecimal() else value for option, value in overrides}
    assert initial_weights.read(settings({"init.weights": str(path), **fitting}))["mean"] == -7.25


def test_another_predictor_can_be_left_out(settings, write):
    path = write(predictor__width=24)
    with pytest.raises(RequestError, match=r"give model\.predictor\.width=24, or init\.predictor=false"):
        initial_weights.read(settings({"init.weights": str(path)}))
    begun, told = start(settings({"init.weights": str(path), "init.predictor": False}))
    assert torch.equal(begun["encoder.norm.weight"], states(path)["encoder.norm.weight"])
    assert "without the predictor" in told[0]


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"frontend__f_min": 60.0}, "model.frontend.f_min"),
        ({"encoder__heads": 4}, "model.encoder.heads"),
        ({"encoder__positions": "time-first"}, "model.encoder.positions"),
        ({"predictor__conditioning": "film"}, "model.predictor.conditioning"),
    ],
)
def test_networks_of_the_same_shapes_that_mean_something_else_are_refused(settings, write, change, option):
    with pytest.raises(RequestError, match=option):
        initial_weights.read(settings({"init.weights": str(write(**change))}))


def test_weights_that_are_not_there_are_refused_before_anything_else(settings, tmp_path):
    with pytest.raises(RequestError, match="no weights are called 'nope'"):
        train(settings({"init.weights": "nope", "data.data_path": "/nowhere"}), tmp_path / "run")


def test_settings_without_such_weights_are_what_they_were_before_there_were_any():
    assert "init" not in Training().to_dict()
    assert Training().to_dict(defaults=True)["init"] == {"weights": None, "predictor": True}
    values = Training.from_dict({"init": {"weights": "a"}}).to_dict()
    assert Training.from_dict(json.loads(json.dumps(values))).init.weights == "a"
    assert config.Model.from_dict(values["model"]) == config.Model()
