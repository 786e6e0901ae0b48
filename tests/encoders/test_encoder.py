"""What all encoders share: names, layers, signatures, devices, weights that are checked before the first clip."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from jukemir_like.core import devices
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.encoders import encoder, weights

from .conftest import FRAME, Tiny


@pytest.fixture
def tiny(tiny_card, tiny_file, cache):
    weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    return lambda name="tiny", **options: Tiny(tiny_card, name=name, cache=cache, **options)


def clips(*lengths):
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, length).astype(np.float32) for length in lengths]


def test_all_layers_from_one_pass_are_the_layers_one_by_one(tiny, monkeypatch):
    passes = []
    monkeypatch.setattr(Tiny, "feed", lambda self, clips, pools, feed=Tiny.feed: (passes.append(1), feed(self, clips, pools)))
    loaded = tiny()
    given = clips(1000, 250)
    together = loaded.vectors_of_layers(given, loaded.layers)
    assert (together.shape, len(passes)) == ((2, 2, 3), 1)
    for number, layer in enumerate(loaded.layers):
        np.testing.assert_array_equal(together[:, number], tiny(f"tiny@layer={layer}")(given))
    np.testing.assert_array_equal(loaded(given), together[:, 1])  # the card's layer
    for pool, dimension in (("mean", 3), ("mean+std", 6), ("max", 3)):
        assert tiny(f"tiny@pool={pool}")(given).shape == (2, dimension)


def test_a_layer_is_the_frames_of_a_plain_product(tiny, tiny_file):
    numbers = np.frombuffer(tiny_file.read_bytes(), "<f4")
    (clip,) = clips(5 * FRAME)
    expected = (clip.reshape(5, FRAME) @ numbers[:300].reshape(3, FRAME).T + numbers[300:303]).mean(axis=0)
    np.testing.assert_allclose(tiny("tiny@layer=0")([clip])[0], expected, rtol=1e-5, atol=1e-6)


def test_what_changes_the_numbers_changes_the_signature(tiny, tiny_card):
    names = ["tiny", "tiny@layer=0", "tiny@pool=max"]
    signatures = {tiny(name).signature for name in names} | {tiny(precision="bf16").signature}
    assert len(signatures) == 4
    assert tiny().signature == tiny(device="cpu").signature


def test_the_request_is_refused_in_one_line(tiny):
    for name, reason in [("tiny@layer=2", "tiny has no layer 2: choose one of 0 … 1"), ("tiny@pool=median", "no pool is called median")]:
        with pytest.raises(RequestError, match=reason):
            tiny(name)
    with pytest.raises(RequestError, match="tiny has no precision 8: choose one of 32, bf16, 16"):
        tiny(precision="8")
    with pytest.raises(RequestError, match="device 'gpu' cannot be used by torch"):
        tiny(device="gpu").device.type.upper()


def test_a_clip_without_a_frame_is_an_input_error(tiny):
    with pytest.raises(InputError, match="too short"):
        tiny()(clips(FRAME - 1))


def test_an_encoder_can_be_sent_to_another_process_before_its_first_clip(tiny):
    loaded = tiny()
    assert "net" not in vars(loaded)
    assert pickle.loads(pickle.dumps(loaded.parameters)) == loaded.parameters


def test_weights_that_are_missing_are_found_before_the_first_clip(tiny_card, cache):
    with pytest.raises(RequestError, match="jukemir-like download tiny"):
        Tiny(tiny_card, cache=cache)


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_vectors_of_half_precision_are_within_a_hundredth(tiny, precision):
    given = clips(5000, 1200, FRAME)
    for name in ("tiny", "tiny@pool=mean+std", "tiny@layer=0@pool=max"):
        exact, rounded = tiny(name, device="cpu")(given), tiny(name, device="cpu", precision=precision)(given)
        distance = np.linalg.norm(rounded - exact, axis=1)
        assert (distance > 0).all()
        assert (distance < 1e-2 * np.linalg.norm(exact, axis=1)).all()


def test_chunks_are_larger_where_there_may_be_a_gpu(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,))
    assert (tiny().batch_size, tiny(device="cpu").batch_size, tiny(device="cuda:1").gpus) == (16, 1, 1)


def test_options_are_passed_on_by_classes_that_take_more(tiny_card, tiny_file, cache, monkeypatch, tmp_path):
    """As choi's class, which takes its card and any options."""

    class Wider(Tiny):
        def __init__(self, card, *, colour="", **options):
            super().__init__(card, **options)

    class Narrower(Tiny):
        def __init__(self, card, *, name=None, cache=None):
            super().__init__(card, name=name, cache=cache)

    weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    monkeypatch.setattr(encoder, "find_card", lambda name, **options: tiny_card)
    for chosen, refused in ((Wider, {"size": 1}), (Narrower, {"device": "cpu"})):
        monkeypatch.setattr(encoder, "encoder_class", lambda card, chosen=chosen: chosen)
        (option,) = refused
        with pytest.raises(RequestError, match=f"tiny takes no {option}: leave it out"):
            encoder.load("tiny", cache=cache, **refused)
    monkeypatch.setattr(encoder, "encoder_class", lambda card: Wider)
    assert encoder.load("tiny", cache=cache, colour="red", device="cpu", precision="16").precision == "16"


def test_weights_that_were_made_of_other_files_than_the_card_names_are_refused(tiny, tiny_card, cache):
    (file,) = tiny_card.files
    other = replace(tiny_card, files=(replace(file, sha256="1" * 64),))
    reason = "was made of another tiny.bin than the card of tiny names: `jukemir-like download tiny`"
    with pytest.raises(RequestError, match=reason):
        Tiny(other, name="tiny@layer=0", cache=cache)
    assert Tiny(other, cache=cache, weights=weights.converted_file(tiny_card, cache)).header == tiny().header  # asked for by name
    member = replace(file, path="tiny.zip", sha256="2" * 64, member="a/tiny.bin", member_sha256=file.sha256)
    assert Tiny(replace(tiny_card, files=(member,)), cache=cache).header == tiny().header
    with pytest.raises(RequestError, match=reason):
        Tiny(replace(tiny_card, files=(replace(member, member_sha256="3" * 64),)), cache=cache)


def test_weights_of_another_repository_or_commit_than_the_card_names_are_refused(tiny_card, tiny_file, cache):
    card = replace(tiny_card, hub="a/b", revision="1" * 40)
    weights.get(card, cache, Tiny.convert, own_copy=tiny_file.parent)
    header = Tiny(card, cache=cache).header
    assert (header.repository, header.revision) == ("a/b", "1" * 40)
    assert Tiny(replace(card, revision=None), cache=cache).header == header
    for changed, what in (({"hub": "a/c"}, "repository"), ({"revision": "2" * 40}, "revision"), ({"settings": {"unused": []}}, "choice")):
        other = replace(card, **changed)
        with pytest.raises(RequestError, match=f"made of another {what}.*: `jukemir-like download tiny`"):
            Tiny(other, cache=cache)
        weights.get(other, cache, Tiny.convert, own_copy=tiny_file.parent)  # the remedy
        assert Tiny(other, cache=cache).header.digest == header.digest
        weights.get(card, cache, Tiny.convert, own_copy=tiny_file.parent)


def test_the_memory_that_one_process_takes_is_that_of_the_card(tiny, tiny_card):
    assert tiny().memory == tiny_card.memory
    assert Tiny(replace(tiny_card, memory=5), cache=None, weights=tiny().header.path).memory == 5
