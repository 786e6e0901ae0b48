"""Jukebox as a representation: what becomes of a clip, layers, pools, and what is said on a processor. Its nets: test_jukebox_net."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import jukebox, weights
from jukemir_like.encoders.jukebox import Jukebox, waveform_of

from . import oracles

DEPTH = 6
SAMPLES = 256 * 128


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A function that gives the tiny encoder, with a name that may choose layer and pool."""
    _, configuration = oracles.read("jukebox_tiny_depth6")
    folder = tmp_path_factory.mktemp("jukebox")
    card = replace(cards.read("jukebox"), width=32, layers=DEPTH, layer="4", settings={"positions": 256, "heads": 2, "blocks": 16})
    files = oracles.write_jukebox(folder / "files", configuration)
    weights.save(folder / "jukebox.safetensors", card, Jukebox.convert(card, files), {})

    def make(name="jukebox", **options):
        return Jukebox(card, name=name, weights=folder / "jukebox.safetensors", device="cpu", **options)

    return make


@pytest.fixture
def clip():
    return oracles.noise(SAMPLES + 300)


def states(encoder, waveform, layer):
    """By the nets alone."""
    codes = encoder.net.vqvae(torch.from_numpy(waveform))
    for number, [of_clip] in encoder.net.prior.run([codes], layer):
        if number == layer:
            return of_clip.numpy()
    raise AssertionError


def test_a_vector_is_the_mean_over_positions_of_the_original_states(make, clip):
    expected, _ = oracles.read("jukebox_tiny_depth6")
    encoder = make("jukebox@layer=6")
    codes = encoder.net.vqvae(torch.from_numpy(waveform_of(clip)))
    np.testing.assert_array_equal(codes, expected["codes"][0])  # the noise's peak is 0.9999
    np.testing.assert_allclose(encoder([clip])[0], expected["output"][0].mean(0), atol=1e-4)
    assert (encoder.sample_rate, encoder.dimension) == (44100, 32)


def test_the_first_25_seconds_are_divided_by_their_own_peak():
    clip = np.zeros(26 * 44100, np.float32)
    clip[7], clip[25 * 44100 - 1], clip[25 * 44100] = 0.25, -0.5, 0.9
    waveform = waveform_of(clip)
    assert (len(waveform), waveform[7], waveform[-1]) == (25 * 44100, 0.5, -1.0)
    np.testing.assert_array_equal(waveform_of(np.zeros(200, np.float32)), np.zeros(200))
    assert waveform_of(np.float32([0.5, -1])).tolist() == [0.5, -1] + [0] * 126


@pytest.mark.parametrize("samples", [1, 127, 128, 1000, 16 * 128, 16 * 128 + 1, SAMPLES - 1])
def test_a_short_clip_is_the_mean_over_the_positions_that_are_there(make, clip, samples):
    encoder = make()
    of_clip = states(encoder, waveform_of(clip[:samples]), 4)
    assert len(of_clip) == max(1, samples // 128)
    np.testing.assert_allclose(encoder([clip[:samples]])[0], of_clip.mean(0), atol=1e-4)
    assert encoder.parameters["short clip"] == "the positions that are there"


def test_layers_from_one_pass_equal_single_ones(make, clip):
    layers = [str(layer) for layer in range(DEPTH + 1)]
    together = make().vectors_of_layers([clip, clip[:5000]], layers)
    assert together.shape == (2, DEPTH + 1, 32)
    for layer in layers:
        np.testing.assert_array_equal(make(f"jukebox@layer={layer}")([clip, clip[:5000]]), together[:, int(layer)])
    assert len({make(f"jukebox@layer={layer}").signature for layer in layers}) == DEPTH + 1


def test_pools(make, clip):
    of_clip = states(make(), waveform_of(clip), 4)
    np.testing.assert_allclose(make("jukebox@pool=max")([clip])[0], of_clip.max(0), atol=1e-5)
    expected = np.concatenate([of_clip.mean(0, dtype=np.float64), of_clip.std(0, dtype=np.float64)])
    np.testing.assert_allclose(make("jukebox@pool=mean+std")([clip])[0], expected, atol=1e-5)


def test_a_vector_does_not_depend_on_its_company(make, clip):
    clips = [clip, clip[:300], clip[::-1].copy(), clip[:1]]
    together = make()(clips)
    for one, vector in zip(clips, together, strict=True):
        np.testing.assert_array_equal(make()([one])[0], vector)


def test_a_layer_that_there_is_not_is_one_line(make):
    with pytest.raises(RequestError, match="no layer 7: choose one of 0 … 6"):
        make("jukebox@layer=7")


def test_precisions_are_near_and_have_signatures_of_their_own(make, clip):
    exact, reduced = make(), make(precision="bf16")
    difference = np.linalg.norm(reduced([clip]) - exact([clip])) / np.linalg.norm(exact([clip]))
    assert 0 < difference < 0.05
    assert reduced.signature != exact.signature


def test_on_a_processor_it_says_once_how_long_a_clip_takes(make, clip, capsys, monkeypatch):
    make()([clip])
    assert capsys.readouterr().err == ""  # of a tiny net nobody waits
    monkeypatch.setattr(jukebox, "_SAID_FROM_SECONDS", 0.0)
    encoder = make()
    encoder([clip[:500]])
    assert capsys.readouterr().err == ""  # too short to measure by
    encoder([clip, clip[:500]])
    encoder([clip])
    said = capsys.readouterr().err
    assert said.startswith("jukemir-like: jukebox: a clip of 24 s or more is 0.0 TFLOP; at the ")
    assert said.count("\n") == 1


def test_how_long_it_takes_follows_from_operations_and_speed():
    assert jukebox.describe_duration("jukebox", 10**13, 2.5e11).endswith("about 40 seconds")
    assert jukebox.describe_duration("jukebox", 10**13, 1e10).endswith(
        "at the 10 GFLOP/s of the first layer on this processor it takes about 17 minutes"
    )


def test_the_card_is_that_of_the_published_model():
    card = cards.read("jukebox")
    assert (card.width, card.layers, card.layer, card.sample_rate, card.commercial) == (4800, 72, "36", 44100, False)
    assert card.settings == {"positions": 8192, "heads": 8, "blocks": 128}
    assert [file.path for file in card.files] == ["vqvae.pth.tar", "prior_level_2.pth.tar"]
    assert card.tried == "structure"


def test_published_files_of_an_own_copy_are_converted_and_used(tmp_path, cache, clip, make):
    _, configuration = oracles.read("jukebox_tiny_depth6")
    oracles.write_jukebox(tmp_path / "own", configuration)
    card = make().card
    summary = weights.get(card, cache, Jukebox.convert, own_copy=tmp_path / "own")
    assert not summary.failed
    assert any("no commercial use" in note for note in summary.notes)
    np.testing.assert_array_equal(Jukebox(card, cache=cache, device="cpu")([clip]), make()([clip]))
