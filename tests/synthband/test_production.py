"""The studio of synthband2: what holds for every production, whatever was drawn."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from jukemir_like.studio.levels import active_level
from jukemir_like.synthband import production, taste
from jukemir_like.synthband.production import produce

RATE = 22050
SEEDS = st.integers(0, 2**31)


def band(samples, seed=0):
    """Notes of a bass, clicks, chords and a voice, roughly."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    drums = random.normal(0, 1, samples) * np.exp(-20 * (time % 0.25))
    chord = np.sin(2 * np.pi * np.array([[220], [277], [330]]) * time).sum(axis=0)
    return 0.2 * np.stack([signal.square(2 * np.pi * 60 * time), drums, chord, np.sin(2500 * time)]).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(artist=SEEDS, song=SEEDS, samples=st.sampled_from([0, 1, 2, 3, 100, 2205, 9000]), rate=st.sampled_from([8000, RATE, 44100]),
       kind=st.sampled_from(["band", "silence", "full scale", "one click", "tiny", "huge"]))  # fmt: skip
def test_odd_stems(artist, song, samples, rate, kind):
    stems = band(samples) if kind == "band" else np.zeros((4, samples), np.float32)
    if kind == "full scale":
        stems[:] = np.where(np.arange(samples) % 7 < 3, 1, -1)
    if kind == "one click":
        stems[:, samples // 2 : samples // 2 + 1] = 1
    if kind in ("tiny", "huge"):
        stems = band(samples) * np.float32(1e-12 if kind == "tiny" else 1e6)
    before = stems.copy()
    produced, described = produce(stems, rate, artist_seed=artist, song_seed=song)
    np.testing.assert_array_equal(stems, before)
    assert produced.shape == stems.shape
    assert produced.dtype == np.float32
    assert np.isfinite(produced).all()
    assert np.abs(produced).max(initial=0) <= 1
    assert np.abs(produced.sum(axis=0)).max(initial=0) <= 1
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    if kind == "silence":
        assert not produced.any()


def test_the_same_seeds_give_the_same_bits_and_others_do_not():
    stems = band(RATE)
    first, described = produce(stems, RATE, artist_seed=1, song_seed=2)
    again, described_again = produce(stems, RATE, artist_seed=1, song_seed=2)
    np.testing.assert_array_equal(first, again)
    assert described == described_again
    for artist, song in ((1, 3), (2, 2)):
        assert np.abs(produce(stems, RATE, artist_seed=artist, song_seed=song)[0] - first).max() > 0.01


def test_a_silent_stem_stays_silent_on_every_medium():
    media = set()
    for seed in range(24):
        silent = seed % 4
        stems = band(RATE // 4)
        stems[silent] = 0
        produced, described = produce(stems, RATE, artist_seed=seed, song_seed=0)
        media.add(described["medium"]["name"])
        assert not produced[silent].any()
        assert all(produced[row].any() for row in range(4) if row != silent)
    assert len(media) >= 5


def test_an_artist_keeps_a_sound():
    """Settings of two songs of an artist are closer than those of two artists."""

    def numbers(artist, song):
        found = taste.production(artist, song)
        tones = [value for one in found.channels for value in (one.balance, one.low, one.middle, one.high, one.send)]
        return np.array([*tones, 10 * np.log(found.room.seconds), found.mastering.low, found.mastering.high, found.mastering.loudness])

    rows = np.array([[numbers(artist, 100 * artist + song) for song in range(4)] for artist in range(40)])
    within, between = rows.var(axis=1).mean(axis=0), rows.mean(axis=1).var(axis=0)
    assert (within > 0.01).all()
    assert (between > 1.5 * within).all()


def test_every_choice_occurs_and_most_artists_differ():
    songs = [taste.production(seed, seed) for seed in range(300)]
    assert {one.medium.name for one in songs} == set(taste.MEDIA)
    for row in range(4):
        channels = [one.channels[row] for one in songs]
        assert 0.6 < np.mean([one.squeeze is not None for one in channels]) < 0.9
        assert 0.3 < np.mean([one.drive > 0 for one in channels]) < 0.7
    assert 0.35 < np.mean([one.channels[2].chorus > 0 for one in songs]) < 0.55
    loudness = [one.mastering.loudness for one in songs]
    assert min(loudness) < -22
    assert max(loudness) > -10


def test_the_balance_of_stems_is_the_one_that_was_drawn(monkeypatch):
    monkeypatch.setattr(production, "_MOST_RAISED", 200)
    stems = band(2 * RATE)
    for seed in range(8):
        produced, described = produce(stems, RATE, artist_seed=seed, song_seed=seed)
        levels = np.array([active_level(after, RATE) / active_level(before, RATE) for after, before in zip(produced, stems, strict=True)])
        drawn = np.array([one["balance"] for one in described["channels"]])
        moved = 20 * np.log10(levels) - drawn  # the mastering's gain, which is the same for all where it is still
        assert np.ptp(moved) < 3 + described["measured"]["glued"] + described["measured"]["limited"]
