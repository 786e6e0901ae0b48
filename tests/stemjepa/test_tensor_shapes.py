"""The tensors computed from a configuration, against those of the network."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.tensor_shapes import tensor_shapes


@st.composite
def models(draw):
    heads = draw(st.integers(1, 3))
    encoder = config.Encoder(
        "custom",
        width=4 * heads * draw(st.integers(1, 3)),
        depth=draw(st.integers(1, 3)),
        heads=heads,
        mlp_ratio=draw(st.floats(0.3, 5)),
        patch_mels=draw(st.sampled_from([8, 16, 80])),
        patch_frames=draw(st.sampled_from([4, 16])),
        chunk_seconds=0.96,
    )
    kind = draw(st.sampled_from(["mlp", "transformer"]))
    depth, sources = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    conditionings = ["none", "film", "concat", *(f"concat-{count}" for count in range(1, depth + 2))]
    conditioning = draw(st.sampled_from(conditionings))
    width = 8 * draw(st.integers(1, 4))
    instruments = draw(st.sampled_from(["classes", "text"])) if kind == "transformer" or conditioning != "none" else "classes"
    text = {"instruments": instruments, "text_buckets": draw(st.integers(1, 50)), "text_width": draw(st.integers(1, 9))}
    predictor = config.Predictor(kind, sources, conditioning, width=width, depth=depth, heads=2, **text)
    return config.Model(encoder=encoder, predictor=predictor)


@settings(max_examples=40, deadline=None)
@given(models())
def test_the_tensors_computed_from_the_configuration_are_those_of_the_network(model):
    state = Network(model).state_dict()
    shapes = list(tensor_shapes(model))
    assert dict(shapes) == {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert len(shapes) == len(state)


def test_a_depth_that_nothing_could_hold_costs_nothing_until_it_is_looked_at():
    encoder = config.Encoder("custom", width=256, depth=10**12, heads=4)
    assert len(list(itertools.islice(tensor_shapes(config.Model(encoder=encoder)), 100))) == 100
