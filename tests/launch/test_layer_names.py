"""Layers of a representation without its weights, against those that it has when it is loaded; and those that no batch could extract."""

import pytest
from click.testing import CliRunner

from jukemir_like import representations
from jukemir_like.cli.launch import commands
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.launch.layer_names import check_layers, layer_names


@pytest.mark.parametrize("name", ["mfcc", "chroma", "stemjepa", "stemjepa-untrained", "stemjepa@pool=max"])
def test_the_layers_are_those_that_it_has_when_it_is_loaded(tmp_path, name):
    assert layer_names(name, Cache(tmp_path)) == representations.load(name).layers


@pytest.mark.parametrize("name", cards.names())
def test_of_every_encoder_they_are_known_before_its_weights_are_there(tmp_path, name):
    card = cards.read(name)
    assert len(layer_names(name, Cache(tmp_path))) == (0 if card.layers is None else card.layers + 1)


@pytest.mark.parametrize(
    ("name", "layers", "reason"),
    [
        ("choi", "all", "choi has no layers to choose: leave --layers out"),
        ("mfcc", "0", "mfcc has no layers to choose: leave --layers out"),
        ("stemjepa", "0, 99", "stemjepa has no layer 99: choose one of 0 … 4"),
        ("stemjepa@layer=1", "all", "stemjepa@layer=1 names a layer already"),
        ("nonsense", "all", "nonsense"),
    ],
)
@pytest.mark.parametrize("runner", ["plain", "docker", "slurm", "kubernetes"])
def test_what_every_batch_would_refuse_is_not_printed(tmp_path, write_audio, runner, name, layers, reason):
    with pytest.raises(RequestError, match=reason):
        check_layers(name, layers, Cache(tmp_path))
    write_audio(tmp_path / "in" / "a.wav", seconds=0.2)
    arguments = ["--representation", name, str(tmp_path / "in"), str(tmp_path / "out"), "--layers", layers, "--runner", runner]
    refused = CliRunner().invoke(commands, ["extract", *arguments, "--cache", str(tmp_path)])
    assert isinstance(refused.exception, RequestError)
    assert reason in str(refused.exception)
    assert refused.output == ""
