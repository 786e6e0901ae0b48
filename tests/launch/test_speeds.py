"""Every representation of the package has a measured speed, and a speed charges what a net computes."""

import math

import pytest

from jukemir_like.encoders import card as cards
from jukemir_like.launch import speeds
from jukemir_like.launch.speeds import Speed
from jukemir_like.representations import base


def test_every_representation_and_every_card_has_a_measured_speed():
    """To add one: `python -m bench.speeds NAME`."""
    assert {*base._BUILT_IN, *cards.names(), "stemjepa-base"} == speeds.read().keys()
    for name, (first, *others) in speeds.read().items():
        assert (first.name, first.device) == (name, speeds.CPU)
        assert all(speed.device != speeds.CPU for speed in others)
        for speed in (first, *others):
            assert 0 < speed.seconds < math.inf
            assert speed.machine
            assert speed.date
            assert not speed.is_own


def test_a_layer_is_measured_where_layers_take_their_time():
    jukebox = speeds.read()["jukebox"][0]
    assert str(jukebox.layer) == cards.read("jukebox").layer
    assert jukebox.layer * jukebox.seconds_per_layer < jukebox.seconds < (jukebox.layer + 1) * jukebox.seconds_per_layer


@pytest.mark.parametrize(("clip", "charged"), [(29.0, 30.0), (30.0, 30.0), (30.5, 60.0), (120.0, 120.0), (0.1, 30.0)])
def test_padding_costs_as_much_as_audio(clip, charged):
    assert Speed("net", "cpu", 1.0, padded_seconds=30.0).charged_seconds(clip) == charged
    assert Speed("net", "cpu", 1.0).charged_seconds(clip) == clip


def test_the_beginning_of_a_clip_costs_the_same_whatever_follows():
    speed = Speed("net", "cpu", 1.0, first_seconds=25.0)
    assert {speed.charged_seconds(clip) for clip in (3.0, 25.0, 120.0)} == {25.0}
