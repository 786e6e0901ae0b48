"""Vectors of names: beside a slow version word by word, and what a predictor that is trained with them knows of names it never heard."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.instrument_names import features, number
from jukemir_like.stemjepa.instrument_text import InstrumentText
from jukemir_like.stemjepa.model import Network, build_predictor, predictive_loss

NAMES = [("electric guitar",), ("Double Bass", "Kontrabass", "contrabass"), ("drums",)]


def made(names=NAMES, seed=0, buckets=4096):
    torch.manual_seed(seed)
    text = InstrumentText(buckets, part_width=8, width=12)
    text.give_names(names)
    return text


def plain(text, name, keep=lambda feature: True):
    """The vector of a name, in float64 by NumPy, embedding by embedding."""
    table, of_words, weights = text.parts.weight.detach().double().numpy(), [], []
    whole = any(keep(of_word[0]) for of_word in features(name))
    for of_word in features(name):
        kept = [number(feature if keep(feature) else "", len(table)) for feature in of_word if keep(feature) or not whole]
        if kept:
            of_words.append(np.mean([table[row] for row in kept], axis=0))
            weights.append(len(kept) / len(of_word))
    mean = np.average(of_words, axis=0, weights=weights) if of_words else table[0]  # the CRC-32 of nothing is 0
    hidden = F.gelu(torch.from_numpy(layer(text.fc1, mean))).numpy()
    output = layer(text.fc2, hidden)
    return (output - output.mean()) / np.sqrt(output.var() + 1e-5)


def layer(linear, vector):
    return linear.weight.detach().double().numpy() @ vector + linear.bias.detach().double().numpy()


def test_vectors_are_those_of_the_plain_version():
    text = made()
    expected = [plain(text, names[0]) for names in NAMES]
    np.testing.assert_allclose(text(torch.arange(3)).detach().numpy(), expected, atol=1e-5)
    heard = {feature for names in NAMES for name in names for of_word in features(name) for feature in of_word}
    for name in ("guitar", "bass drum solo", "Electric DRUMS", "kazoo", "contrabassoon"):
        np.testing.assert_allclose(text.encode([name])[0].detach().numpy(), plain(text, name, heard.__contains__), atol=1e-5)
    assert text.heard_names == tuple(name for names in NAMES for name in names)


def test_a_wording_chooses_among_the_ways_to_say_a_name():
    text = made()
    itself, ways, nothing = [0, 2, 4, 6, 8, 30], [(1, 0), (8 + 3, 1), (16 + 5, 2), (24 + 1, 0), (2**31 - 8 * 3 - 7, 0)], [7, 15, 2**31 - 1]
    expected = [(wording, "Double Bass") for wording in itself]
    expected += [(wording, NAMES[1][way]) for wording, way in ways] + [(wording, "") for wording in nothing]
    said = text(torch.ones(len(expected), dtype=torch.int64), torch.tensor([wording for wording, _ in expected]))
    for row, (_, name) in enumerate(expected):
        np.testing.assert_allclose(said[row].detach().numpy(), plain(text, name), atol=1e-5)


def test_a_vector_depends_on_the_name_alone():
    text = made()
    alone = text.encode(["clean guitar"])
    assert torch.allclose(text.encode(["x", "clean guitar", "a very long name of a drum"])[1], alone[0], atol=1e-6)
    assert torch.equal(text.encode(["GUITARS, clean"]), alone)
    other = made(NAMES[::-1])  # other numbers
    assert torch.equal(other(torch.tensor([2]))[0], text(torch.tensor([0]))[0])


def test_what_training_has_not_heard_says_nothing():
    text = made()
    unsaid = text(torch.tensor([0]), torch.tensor([7]))
    assert torch.equal(text.encode(["電"]), unsaid)
    assert torch.equal(text.encode([""]), unsaid)
    assert torch.equal(text.encode(["guitar"]), text.encode(["guitar 樂器"]))  # where a whole word was heard, the others count for nothing
    near = [F.cosine_similarity(text.encode([name]), unsaid).item() for name in ("guitarra", "guitarra 樂器", "guitarra 樂器 電 箏")]
    assert near[0] < near[1] < near[2] < 1
    assert text.heard_share("樂器") == 0
    assert text.heard_share("guitar 樂器") == 0.5
    assert text.heard_share("") == 0


def test_without_names_it_is_an_error_and_names_move_with_the_module():
    with pytest.raises(RuntimeError, match="give_names"):
        InstrumentText(16, 4, 4)(torch.tensor([0]))
    text = made()
    assert {name for name, _ in text.state_dict().items()} == {"parts.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    assert {buffer.dtype for buffer in text.double().buffers()} == {torch.float64, torch.int64}


def test_the_gradient_reaches_the_embeddings_of_the_names_of_the_batch_alone():
    text = made()
    text(torch.tensor([0, 0])).square().sum().add(text(torch.tensor([0])).sum()).backward()
    (text(torch.tensor([0])) * torch.arange(12.0)).sum().backward()
    reached = set(text.parts.weight.grad.abs().sum(1).nonzero()[:, 0].tolist())
    assert reached == {number(feature, 4096) for of_word in features("electric guitar") for feature in of_word}
    assert text.fc1.weight.grad.abs().sum() > 0


def tiny(conditioning="film", kind="mlp"):
    encoder = config.Encoder("custom", width=16, depth=1, heads=2, chunk_seconds=0.64)
    predictor = config.Predictor(kind, 2, conditioning, width=32, depth=2, heads=2, instruments="text", text_buckets=2048, text_width=16)
    return config.Model(encoder=encoder, predictor=predictor)


@pytest.mark.parametrize(("kind", "conditioning"), [("mlp", "film"), ("mlp", "concat"), ("mlp", "concat-3"), ("transformer", "concat")])
def test_a_predictor_takes_numbers_or_vectors(kind, conditioning):
    torch.manual_seed(0)
    predictor = build_predictor(tiny(conditioning, kind))
    if conditioning == "film":
        torch.nn.init.normal_(predictor.modulation.weight, std=0.1)
    predictor.sources.give_names([("bass",), ("drums",)])
    context, source = torch.randn(3, 20, 16), torch.tensor([1, 0, 1])
    by_number, by_name = predictor(context, source), predictor(context, predictor.sources.encode(["drum", "bass", "drums"]))
    assert torch.allclose(by_number, by_name, atol=1e-5)
    assert not torch.allclose(by_number, predictor(context, 1 - source), atol=1e-2)


def test_two_names_are_learned_and_others_are_understood_by_what_they_share():
    """Patches of a mix → those of one of two instruments, by another matrix for each."""
    torch.manual_seed(0)
    predictor = build_predictor(tiny())
    predictor.sources.give_names([("electric guitar", "e-guitar"), ("upright bass", "acoustic bass")])
    matrices = torch.randn(2, 16, 16)
    optimiser = torch.optim.AdamW(predictor.parameters(), lr=3e-3)

    def loss(said, meant, seed):
        context = torch.randn(32, 5, 16, generator=torch.Generator().manual_seed(seed))
        return predictive_loss(predictor(context, said), context @ matrices[meant])

    for step in range(120):
        source = torch.arange(32) % 2
        wording = torch.randint(0, 100, (32,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss(predictor.sources(source, wording), source, step).mean().backward()
        optimiser.step()
    with torch.no_grad():
        for name, meant in (("distorted guitar", 0), ("electro-guitars", 0), ("double bass", 1), ("bassist", 1), ("guitars (acoustic)", 0)):
            said = predictor.sources.encode([name]).expand(32, -1)
            own, other = loss(said, torch.full((32,), meant), 999).mean(), loss(said, torch.full((32,), 1 - meant), 999).mean()
            assert own < 0.8 * other, (name, own, other)
        trained = loss(torch.arange(32) % 2, torch.arange(32) % 2, 999).mean()
        assert trained < 0.6


def test_the_network_gives_its_predictor_the_names():
    network = Network(tiny())
    network.name_instruments(["bass", "drums"], wordings=[("bass",), ("drums", "Schlagzeug")])
    assert network.predictor.sources.heard_share("Schlagzeug") == 1
    network = Network(tiny())
    network.name_instruments(["bass", "drums"])
    assert network.predictor.sources.heard_share("Schlagzeug") < 1
    waveforms = torch.randn(2, network.settings.chunk_samples)
    views = network(waveforms, waveforms, torch.tensor([0, 1]), torch.tensor([5, 5]))
    assert torch.equal(views.prediction, network(waveforms, waveforms, torch.tensor([0, 1])).prediction)
    of_classes = Network(config.Model(encoder=network.settings.encoder, predictor=config.Predictor(width=32, depth=2)))
    of_classes.name_instruments(["bass", "drums", "other", "vocals"])  # needs none
    assert of_classes.predictor.sources.weight.shape == (4, 16)
