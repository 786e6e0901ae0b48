"""Weights of strangers whose predictor is conditioned by text: used as they are, or refused whole, in one line."""

import json
import tracemalloc

import pytest
import torch
from safetensors.torch import load_file, save_file

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.model import Network

SOURCES = ("bass", "jazz trumpet", "drums")
WRONG = [None, True, 0, -1, 7, 0.5, 10**7, 2**63, "", "classes", "words", "a\nb", [], {}]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    torch.manual_seed(0)
    predictor = config.Predictor(num_sources=3, conditioning="film", width=8, depth=1, instruments="text", text_buckets=40, text_width=6)
    network = Network(config.Model(encoder=config.Encoder("custom", width=8, depth=1, heads=2, chunk_seconds=0.64), predictor=predictor))
    network.name_instruments(SOURCES, heard=["tuba"])
    path = tmp_path_factory.mktemp("own") / "w.safetensors"
    checkpoint.save(path, network, provenance={}, sources=SOURCES)
    return path


@pytest.fixture
def changed(own, tmp_path):
    """A function: the weights with other keys of the header (None: without it), or tensors."""

    def write(tensors=None, **keys):
        with open(own, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            metadata = json.loads(file.read(length))["__metadata__"]
        told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items() if value is not None}
        kept = {key: value for key, value in metadata.items() if key not in keys}
        save_file(load_file(own) | (tensors or {}), tmp_path / "w.safetensors", kept | told)
        return tmp_path / "w.safetensors"

    return write


def model(own, **predictor):
    described = checkpoint.header(own).model.to_dict()
    return described | {"predictor": described["predictor"] | predictor}


def refusal(path):
    with pytest.raises(RequestError) as caught:
        StemJEPA.from_pretrained(path, "cpu")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize("option", ["instruments", "text_buckets", "text_width", "num_sources"])
@pytest.mark.parametrize("value", WRONG, ids=str)
def test_options_that_tensors_or_names_contradict_are_refused(own, changed, option, value):
    refusal(changed(model=model(own, **{option: value})))


@pytest.mark.parametrize(
    "heard", ["x", 5, {}, [5], [None], ["a" * 101], [["bass"]], '["bass"', "[" * 50_000 + "]" * 50_000, '{"a": 1}', ["a"] * 100_001]
)
def test_what_is_no_list_of_names_is_refused(changed, heard):
    assert "describes no Stem-JEPA" in refusal(changed(heard=heard))


@pytest.mark.parametrize("heard", [None, [], ["bass", "bass"], ["", "...", "\ud800", "🎺"], ["trombone"] * 500])
def test_any_list_of_names_is_used_as_it_is(own, changed, heard):
    theirs, ours = StemJEPA.from_pretrained(changed(heard=heard), "cpu"), StemJEPA.from_pretrained(own, "cpu")
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(0)).numpy()
    for name in SOURCES:
        assert (theirs.predict(noise, name) == ours.predict(noise, name)).all()
    assert ours.interpret("tuba").heard == 1
    if heard and "trombone" in heard:
        assert theirs.interpret("trombone").heard == 1
    else:
        with pytest.raises(RequestError, match="nothing in the instrument 'tuba'"):
            theirs.interpret("tuba")


def test_other_names_of_the_same_number_are_used_and_tensors_are_checked(own, changed):
    assert StemJEPA.from_pretrained(changed(sources=["kazoo", "oud", "koto"]), "cpu").sources == ("kazoo", "oud", "koto")
    assert "the model has 3" in refusal(changed(sources=["kazoo", "oud"]))
    assert "is of size" in refusal(changed({"predictor.sources.parts.weight": torch.zeros(40, 7)}))
    assert "infinite or NaN" in refusal(changed({"predictor.sources.fc1.bias": torch.full((8,), torch.nan)}))
    assert "unknown tensor predictor.sources.weight" in refusal(changed({"predictor.sources.weight": torch.zeros(3, 8)}))


def test_a_header_that_claims_terabytes_costs_no_memory(own, changed):
    path = changed(model=model(own, text_buckets=1 << 24, text_width=10**9))
    tracemalloc.start()
    try:
        assert "is of size" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
