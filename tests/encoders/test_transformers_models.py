"""Encoders of ``transformers``: every card on a tiny model with random weights, beside bare calls of the library."""

import json
import pickle
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import hub, weights
from jukemir_like.encoders.transformers_models import TransformersEncoder
from jukemir_like.representations.base import encode

transformers = pytest.importorskip("transformers")

from . import tiny_models  # noqa: E402

ORACLE = Path(__file__).parents[1] / "fixtures" / "muq_tiny.npz"


@pytest.fixture(scope="session")
def repositories(tmp_path_factory):
    """A function that gives the folder of a card's tiny repository, and its model; each is made once."""
    root, made = tmp_path_factory.mktemp("repositories"), {}

    def repository(name):
        if name not in made:
            folder = root / name
            if name in tiny_models.CONFORMERS:
                with np.load(ORACLE, allow_pickle=False) as oracle:
                    made[name] = folder, tiny_models.save_conformer(name, folder, oracle)
            else:
                folder.mkdir()
                made[name] = folder, tiny_models.save(name, folder)
        return made[name]

    return repository


@pytest.fixture(scope="session")
def prepared(repositories, tmp_path_factory):
    """A function that gives a card, and the cache that has its converted weights; each is made once."""
    root, made = tmp_path_factory.mktemp("caches"), {}

    def prepare(name):
        if name not in made:
            folder, model = repositories(name)
            cache = Cache(root / name)
            described = tiny_models.card(name, model)
            bring(described, cache, folder)
            made[name] = described, cache
        return made[name]

    return prepare


@pytest.fixture
def load(prepared):
    """A function that loads the encoder of a card: ``load("muq")``, ``load("muq", "muq@layer=0")``."""

    def encoder(name, full_name=None, **options):
        described, cache = prepared(name)
        return TransformersEncoder(described, name=full_name or name, cache=cache, **options)

    return encoder


def bring(card, cache, folder):
    resolved = hub.with_files(card, cache, folder)
    summary = weights.get(resolved, cache, TransformersEncoder.convert, own_copy=folder)
    assert not summary.failed, summary.failed
    return resolved


def clip(seconds, sample_rate, seed=0):
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = 0.3 * np.sin(2 * np.pi * 330 * (1 + seed) * time)
    return (tones * np.linspace(0.2, 1, len(time)) + 0.05 * random.standard_normal(len(time))).astype(np.float32)


def bare_states(name, model, samples, sample_rate):
    """States of a clip that is no longer than a chunk, by the library alone: its feature extractor, its model."""
    extractors = {"ast": "ASTFeatureExtractor", "whisper-base": "WhisperFeatureExtractor", "clap-music": "ClapFeatureExtractor"}
    settings = tiny_models.preprocessor(name)
    kind = getattr(transformers, settings.get("feature_extractor_type", extractors.get(name)))
    inputs = kind(**settings)(samples, sampling_rate=sample_rate, return_tensors="pt")
    with torch.inference_mode():
        if name == "wav2vec2-base":
            return model.wav2vec2(inputs.input_values, output_hidden_states=True).hidden_states
        if name == "ast":
            states = model.audio_spectrogram_transformer(inputs.input_values, output_hidden_states=True).hidden_states
            return [state[:, 2:].reshape(1, 12, 12, 16).mean(dim=1)[:, : -(-(1 + (len(samples) - 400) // 160) // 10)] for state in states]
        if name == "whisper-base":
            states = model.model.encoder(inputs.input_features, output_hidden_states=True).hidden_states
            return [state[:, : -(-len(samples) // 320)] for state in states]
        if name == "clap-music":
            audio = model.audio_model(inputs.input_features, is_longer=inputs.is_longer).pooler_output
            return [model.audio_projection(audio)[:, None]]
        if name in ("encodec", "dac"):
            return [model.encoder(torch.as_tensor(inputs.input_values)).transpose(1, 2)]
        return model(inputs.input_values, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("name", tiny_models.LIBRARY)
def test_every_layer_is_that_of_a_bare_call_of_the_library(name, load, repositories):
    encoder, (_, model) = load(name), repositories(name)
    samples = clip(0.83, encoder.sample_rate)
    expected = [state[0].mean(dim=0).numpy() for state in bare_states(name, model, samples, encoder.sample_rate)]
    made = encoder.vectors_of_layers([samples], encoder.layers)[0]
    assert len(made) == len(expected) == encoder.card.layers + 1
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=2e-5)
    for layer in encoder.layers:
        one = load(name, f"{name}@layer={layer}")
        np.testing.assert_array_equal(one([samples])[0], made[int(layer)])


@pytest.mark.parametrize("name", tiny_models.CONFORMERS)
def test_the_conformer_is_that_of_the_original_program(name, load):
    """Oracle: muq 0.1.0 with transformers 4.57.6, random weights (see fixtures/README.md)."""
    encoder = load(name)
    audio = (np.random.default_rng(3).standard_normal((2, 25000)) * 0.1).astype(np.float32)
    encoder.card.settings["chunk_seconds"] = 2.0
    try:
        made = encoder.vectors_of_layers(list(audio), encoder.layers)
    finally:
        encoder.card.settings["chunk_seconds"] = 1.0
    with np.load(ORACLE, allow_pickle=False) as oracle:
        np.testing.assert_allclose(made, oracle["hidden"].mean(axis=2).transpose(1, 0, 2), atol=1e-4)


@pytest.mark.parametrize("name", tiny_models.ALL)
def test_a_vector_is_the_same_alone_and_in_company(name, load):
    encoder = load(name)
    seconds = encoder.chunk_samples / encoder.sample_rate
    clips = [clip(length * seconds, encoder.sample_rate, seed) for seed, length in enumerate((1.0, 0.4, 2.3, 1.0, 0.7))]
    together = encoder(clips)
    for number, samples in enumerate(clips):
        alone = encoder([samples])[0]
        assert np.abs(alone - together[number]).max() < 1e-5 * max(1, np.abs(alone).max())
    assert np.abs(together[0] - together[3]).max() > 1e-4  # it hears something


@pytest.mark.parametrize("name", ["hubert-base", "mert-330m", "whisper-base", "encodec"])
def test_chunks_count_by_their_frames(name, load):
    encoder = load(name)
    length = encoder.chunk_samples
    samples = clip(2.4 * length / encoder.sample_rate, encoder.sample_rate)
    parts = [samples[begin : begin + length] for begin in (0, length, 2 * length)]
    frames, sums = [], []
    for part in parts:
        states = encoder._states(encoder.prepare(part)[None])[-1][0].detach().numpy()
        states = states[: encoder.frames(len(part), len(states))]
        frames.append(len(states))
        sums.append(states.sum(axis=0, dtype=np.float64))
    np.testing.assert_allclose(encoder([samples])[0], sum(sums) / sum(frames), atol=1e-5)
    assert frames[2] < frames[0]


def test_a_tail_without_a_frame_belongs_to_the_chunk_before(load):
    encoder = load("hubert-base")
    samples = clip(1.01, 16000)  # 160 samples are left, and a frame needs 400
    whole = encoder._states(encoder.prepare(samples)[None])[-1][0].mean(dim=0)
    np.testing.assert_allclose(encoder([samples])[0], whole.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", tiny_models.ALL)
def test_a_clip_of_one_sample_is_refused_and_the_others_go_on(name, load):
    encoder = load(name)
    short, good = encode(encoder, [np.zeros(1, np.float32), clip(0.5, encoder.sample_rate)])
    assert isinstance(short, InputError)
    assert f"{name} needs {encoder.model.least_samples:,} for one frame" in str(short)
    assert good.shape == (encoder.dimension,)
    (least,) = encode(encoder, [clip(encoder.model.least_samples / encoder.sample_rate, encoder.sample_rate)])
    assert np.isfinite(least).all()


def test_silence_has_a_vector(load):
    for name in ("hubert-base", "whisper-base", "muq"):
        assert np.isfinite(load(name)([np.zeros(24000, np.float32)])).all()


def test_no_socket_is_opened_and_nothing_is_asked(load, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in ("mert-95m", "whisper-base", "muq"):
        encoder = load(name)
        encoder([clip(0.5, encoder.sample_rate)])


def test_what_decides_the_numbers_is_in_the_parameters(load, prepared):
    encoder = load("mert-95m")
    assert encoder.parameters["chunk_samples"] == 24000
    assert encoder.parameters["hub"] == "m-a-p/MERT-v1-95M"
    assert set(encoder.parameters["described"]) == {"config.json", "preprocessor_config.json"}
    json.dumps(encoder.parameters)
    described, cache = prepared("mert-95m")
    longer = replace(described, settings={"chunk_seconds": 2.0})
    assert TransformersEncoder(longer, cache=cache).signature != encoder.signature


# Refusals.


@pytest.fixture
def bad(repositories, tmp_path):
    """A function that copies a tiny repository, changes it, and tries to bring it: ``bad("hubert-base", change)``."""

    def attempt(name, change, **changes):
        import shutil

        source, model = repositories(name)
        folder = tmp_path / "copy"
        shutil.copytree(source, folder)
        change(folder)
        cache = Cache(tmp_path / "cache")
        bring(replace(tiny_models.card(name, model), **changes), cache, folder)

    return attempt


def change_config(**values):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def change_tensors(edit):
    def change(folder):
        from safetensors.torch import load_file, save_file

        path = folder / "model.safetensors"
        tensors = load_file(path)
        edit(tensors)
        save_file(tensors, path)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_tensors(lambda t: t.pop("encoder.layers.1.final_layer_norm.bias")), "have no tensor encoder.layers.1.final_layer_norm"),
        (
            change_tensors(lambda t: t.pop(min(name for name in t if "pos_conv" in name))),
            "have no tensor encoder.pos_conv_embed",
        ),
        (change_tensors(lambda t: t.update(extra=torch.zeros(2))), "have a needless tensor extra"),
        (change_tensors(lambda t: t.update({"encoder.layer_norm.bias": torch.zeros(5)})), "another shape of tensor encoder.layer_norm"),
        (change_tensors(lambda t: t["encoder.layer_norm.bias"].fill_(float("nan"))), "are damaged: tensor encoder.layer_norm.bias"),
        (change_config(auto_map={"AutoModel": "code.Model"}), "asks for code of its own to be run"),
        (change_config(model_type="bark"), "a model of type 'bark', which is no audio encoder that can be run"),
        (change_config(num_hidden_layers=3), "the card of hubert-base says layers = 2, its repository 3"),
        (change_config(hidden_act="no such"), "not accepted by transformers"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x08"), "no file of safetensors"),
    ],
)
def test_what_is_not_the_model_is_refused_in_one_line(bad, change, reason):
    with pytest.raises(RequestError, match=reason) as caught:
        bad("hubert-base", change)
    assert "\n" not in str(caught.value)


def test_a_chunk_that_the_net_cannot_take_is_refused(bad):
    with pytest.raises(RequestError, match=r"chunk_seconds = 2.0, and the model takes up to 1 s: correct the card"):
        bad("whisper-base", lambda _: None, settings={"chunk_seconds": 2.0})


@pytest.mark.parametrize("setting", ["feature_extractor_cqt", "deepnorm"])
def test_a_mert_that_is_not_hubert_is_refused(bad, setting):
    with pytest.raises(RequestError, match=f"{setting}: true"):
        bad("mert-95m", change_config(**{setting: True}))


class Attack:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("way", ["pickle", "torch", "no tensors"])
def test_a_pickle_that_would_run_code_is_not_read(bad, way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def change(folder):
        value = {"weight": Attack()} if way != "no tensors" else {"weight": [1, 2]}
        with open(folder / "pytorch_model.bin", "wb") as file:
            pickle.dump(value, file) if way == "pickle" else torch.save(value, file)

    reason = "holds no dictionary of tensors" if way == "no tensors" else "holds more than tensors"
    with pytest.raises(RequestError, match=reason):
        bad("mert-95m", change)
    assert not Path("harm").exists()


def test_parts_of_published_models_that_the_encoder_does_not_need_are_left_out(prepared):
    for name, absent in (("wav2vec2-base", "quantizer"), ("whisper-base", "decoder"), ("clap-music", "text_model"), ("muq", "quantizer")):
        described, cache = prepared(name)
        assert not any(absent in tensor for tensor in weights.read_header(weights.locate(described, cache)).shapes)


def test_a_user_may_leave_out_more(bad):
    bad("hubert-base", change_tensors(lambda t: t.update(extra=torch.zeros(2))), settings={"chunk_seconds": 1.0, "unused": ["extra"]})


def test_an_unknown_setting_of_a_card_is_refused(bad):
    with pytest.raises(RequestError, match="settings of the card of hubert-base: the unknown chunks"):
        bad("hubert-base", lambda _: None, settings={"chunks": 1.0})


def test_a_layer_that_there_is_not(load):
    with pytest.raises(RequestError, match="hubert-base has no layer 13: choose one of 0 … 2"):
        load("hubert-base", "hubert-base@layer=13")


def test_a_model_that_gives_nan_fails_the_clip(load):
    encoder = load("hubert-base")
    with torch.no_grad():
        encoder.net.encoder.layers[1].final_layer_norm.bias[0] = float("nan")
    (vector,) = encode(encoder, [clip(0.5, 16000)])
    assert isinstance(vector, InputError)


def test_a_description_that_changed_since_is_noticed(load, prepared):
    _, cache = prepared("hubert-base")
    path = cache.weights("hubert-base") / "config.json"
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    try:
        with pytest.raises(RequestError, match=r"config\.json has changed since"):
            load("hubert-base")
    finally:
        path.write_bytes(before)


def test_without_the_library_one_line_says_what_to_install(load, monkeypatch):
    monkeypatch.setattr("jukemir_like.encoders.transformers_models.find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"pip install 'jukemir-like\[encoders\]'"):
        load("hubert-base")


def test_batches_are_halved_when_memory_runs_out(load, monkeypatch):
    encoder = load("hubert-base")
    samples = clip(7.5, 16000)
    expected = encoder([samples])
    sizes = []

    def states(inputs, run=encoder._states):
        sizes.append(len(inputs))
        if len(inputs) > 2:
            raise MemoryError
        return run(inputs)

    monkeypatch.setattr(encoder, "_states", states)
    np.testing.assert_allclose(encoder([samples]), expected, atol=1e-5)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr(encoder, "_states", lambda _: (_ for _ in ()).throw(MemoryError))
    (error,) = encode(encoder, [samples])
    assert str(error) == "is 7.5 s long, for which the memory here has no room"
    monkeypatch.setattr(encoder, "_states", lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(RequestError, match=r"the GPU has no room for one clip of 7\.5 s by hubert-base: "):
        encode(encoder, [samples])


def test_a_chunk_that_does_not_fit_alone_fails_its_clip_and_no_other(load, monkeypatch):
    encoder = load("hubert-base")
    short, long = clip(0.5, 16000), clip(1.0, 16000)

    def states(inputs, run=encoder._states):
        if inputs.shape[1] > len(short):
            raise MemoryError
        return run(inputs)

    (expected,) = encoder([short])
    monkeypatch.setattr(encoder, "_states", states)
    first, failed, last = encode(encoder, [short, long, short])
    np.testing.assert_allclose([first, last], [expected, expected], atol=1e-5)
    assert isinstance(failed, InputError)


def test_half_precision_stays_close(load):
    exact, fast = load("hubert-base"), load("hubert-base", precision="bf16")
    samples = [clip(1.0, 16000)]
    difference = np.linalg.norm(fast(samples) - exact(samples)) / np.linalg.norm(exact(samples))
    assert 0 < difference < 1e-2
    assert fast.signature != exact.signature


def test_the_cards_of_this_package_are_of_models_that_can_be_run():
    names = [name for name in cards.names() if cards.read(name).family == "transformers"]
    assert sorted(names) == sorted(tiny_models.ALL)
    for name in names:
        described = cards.read(name)
        assert (described.tried, described.layer in described.layer_names, described.hub is not None) == ("structure", True, True)
