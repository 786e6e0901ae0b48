"""Example n: what is in it can be read off stems whose samples say which stem and which frame they are."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.data.augmentation import equalise, sample_augmentation, shelving_filter
from jukemir_like.stemjepa.data.examples import Examples, active_stems, sample_stems
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data_settings import CONTEXTS, Augmentation, Data
from jukemir_like.stemjepa.training import log_mel_statistics

CHUNK = 7680
BASE = 1 << 15  # so that the first frame is at half of the last one's level


def coded(frames):
    """Stem s has (32768 + frame)·4^s at frame: sums of them tell their stems and frame, exactly in float32."""
    return (BASE + np.arange(frames)) * 4.0 ** np.arange(4)[:, None] * 2.0**-24


def decoded(samples, factor):
    """First frame of a chunk of a coded sum; all others must follow it."""
    frames = samples.double().numpy() * 2**24 / factor - BASE
    assert np.array_equal(frames, frames[0] + np.arange(len(frames)))
    return int(frames[0])


@pytest.fixture
def tracks(folder, write):
    """Seven coded tracks of 1 to 2 s."""
    for number in range(7):
        write(f"{number}.wav", coded(16000 + 2000 * number))
    return find(folder, 4).tracks


@pytest.mark.parametrize("context", ["uniform", "max", "one", "one-plus"])
def test_context_and_target_are_different_stems_of_one_chunk_of_one_track(tracks, model, context):
    examples = Examples(tracks, Data(context=context), model, 3)
    sizes, firsts = set(), set()
    for n in range(60):
        example = examples[n]
        assert {name: (value.dtype, tuple(value.shape)) for name, value in example.items()} == {
            "context": (torch.float32, (CHUNK,)),
            "target": (torch.float32, (CHUNK,)),
            "source": (torch.int64, ()),
            "track": (torch.int64, ()),
        }
        source = int(example["source"])
        first = decoded(example["target"], 4**source)
        assert 0 <= first <= tracks[example["track"]].frames - CHUNK
        subset = float(example["context"][0].double()) * 2**24 / (BASE + first)
        others = {stem for stem in range(4) if int(subset) >> (2 * stem) & 3}
        assert subset == sum(4**stem for stem in others)
        assert source not in others
        assert decoded(example["context"], subset) == first
        sizes.add(len(others))
        firsts.add(first)
    assert sizes == {"uniform": {1, 2, 3}, "max": {3}, "one": {1}, "one-plus": {1, 3}}[context]
    assert len(firsts) > 50


def test_an_epoch_has_every_track_once_in_an_order_of_its_own(tracks, model):
    examples = Examples(tracks, Data(), model, 0)
    epochs = [[int(examples[7 * epoch + n]["track"]) for n in range(7)] for epoch in range(5)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_chunks_of_a_track_follow_each_other_and_are_of_other_places(tracks, model):
    alone, together = (Examples(tracks, Data(chunks_per_track=chunks), model, 0) for chunks in (1, 3))
    order = [int(alone[n]["track"]) for n in range(14)]
    examples = [together[n] for n in range(42)]
    assert [int(example["track"]) for example in examples] == [track for track in order for _ in range(3)]
    assert len({tuple(example["target"][:50].tolist()) for example in examples}) > 35


def test_an_example_depends_on_seed_and_number_alone(tracks, model):
    data = Data(augmentation=Augmentation(6, 6, 2))
    one = Examples(tracks, data, model, 5)
    expected = {n: one[n] for n in (0, 3, 10**9, 12)}
    torch.manual_seed(2)
    other = pickle.loads(pickle.dumps(Examples(tracks, data, model, 5)))
    for n in (12, 10**9, 0, 3):
        assert all(torch.equal(expected[n][name], value) for name, value in other[n].items())


def test_another_seed_draws_another_order_and_other_chunks(tracks, model):
    orders = {tuple(int(Examples(tracks, Data(), model, seed)[n]["track"]) for n in range(7)) for seed in range(5)}
    chunks = {float(Examples(tracks[-1:], Data(), model, seed)[0]["target"][0]) for seed in range(5)}
    assert len(orders) == len(chunks) == 5


@pytest.mark.parametrize(("rate", "frames"), [(22050, 10584), (44100, 21168), (48000, 23040), (8000, 3840)])
def test_tones_of_another_rate_are_mixed_and_come_out_at_their_pitch(folder, write, model, rate, frames):
    hertz, levels = np.array([[220.0], [523.3], [987.8], [3000.0]]), np.array([[0.3], [0.2], [0.25], [0.1]])
    write("a.wav", levels * np.sin(2 * np.pi * hertz * np.arange(frames) / rate), rate)  # just one chunk, so that it starts at 0
    expected = levels * np.sin(2 * np.pi * hertz * np.arange(CHUNK) / 16000)
    examples = Examples(find(folder, 4).tracks, Data(context="max"), model, 0)
    for n in range(4):
        example = examples[n]
        source = int(example["source"])
        others = [stem for stem in range(4) if stem != source]
        inside = slice(400, -400)
        assert np.allclose(example["target"][inside], expected[source, inside], atol=1e-4)
        assert np.allclose(example["context"][inside], expected[others].sum(axis=0)[inside], atol=1e-4)


def test_a_chunk_inside_a_track_is_a_piece_of_the_whole_resampled(folder, write, noise, model):
    """Nothing rings at the ends of a chunk, as it would if it were cut out before it is resampled."""
    samples = noise(48000)
    write("a.wav", samples, 48000)
    whole = soxr.resample(np.ascontiguousarray(samples.T), 48000, 16000, quality="HQ").T
    examples = Examples(find(folder, 4).tracks, Data(), model, 0)
    matched = 0
    for n in range(30):
        example = examples[n]
        target, stem = example["target"].numpy(), whole[int(example["source"])]
        start = int(np.correlate(stem, target, "valid").argmax())
        matched += 100 < start < 16000 - CHUNK - 100 and np.allclose(stem[start : start + CHUNK], target, atol=1e-4)
    assert matched > 4  # a third of the offsets fall on the samples of the whole


def test_stems_stay_together_in_time_whatever_is_changed(folder, write, model):
    tone = np.sin(2 * np.pi * 1000 * np.arange(60000) / 22050) * np.linspace(0.3, 0.6, 60000)
    write("a.wav", np.tile(tone, (4, 1)), 22050)
    tracks = find(folder, 4).tracks
    pitched = Examples(tracks, Data(context="one", augmentation=Augmentation(pitch_semitones=3)), model, 0)
    hertz = []
    for n in range(40):
        example = pitched[n]
        assert torch.equal(example["context"], example["target"])
        spectrum = np.abs(np.fft.rfft(example["target"].numpy() * np.hanning(CHUNK), 1 << 18))
        hertz.append(spectrum.argmax() * 16000 / (1 << 18))
    semitones = 12 * np.log2(np.array(hertz) / 1000)
    assert -3.01 < semitones.min() < -2
    assert 2 < semitones.max() < 3.01
    levelled = Examples(tracks, Data(context="one", augmentation=Augmentation(level_db=6)), model, 0)
    decibels = []
    for n in range(40):
        context, target = levelled[n]["context"].double(), levelled[n]["target"].double()
        ratio = float(context @ target / (target @ target))
        assert torch.allclose(context, ratio * target, atol=1e-5)
        decibels.append(20 * np.log10(ratio))
    assert 6 < np.ptp(decibels) <= 24
    coloured = Examples(tracks, Data(context="one", augmentation=Augmentation(eq_db=6)), model, 0)
    assert not torch.allclose(coloured[0]["context"], coloured[0]["target"], atol=1e-3)


def test_a_quiet_stem_counts_and_a_silent_passage_does_not(folder, write, noise, model):
    samples = noise(32000) * np.array([[1.0], [0.001], [1.0], [0.0]])
    samples[2, :16000] = 0.0005 * samples[2, 16000:]  # far below its own loudest, above the quiet stem's
    write("a.wav", samples)
    examples = Examples(find(folder, 4).tracks, Data(context="max"), model, 0)
    sources = set()
    for n in range(60):
        example = examples[n]
        source = int(example["source"])
        sources.add(source)
        target = example["target"].numpy()
        if source == 2:  # so the chunk reaches into its second half
            assert np.abs(target).max() > 0.4
    assert sources == {0, 1, 2}


def test_a_track_shorter_than_a_chunk_ends_in_silence(folder, write, noise, model):
    samples = noise(3000)
    write("a.wav", samples)
    example = Examples(find(folder, 4).tracks, Data(), model, 0)[0]
    assert np.array_equal(example["target"][:3000], samples[int(example["source"])])
    assert not example["target"][3000:].any()
    assert not example["context"][3000:].any()


def test_other_tracks_take_the_place_of_what_gives_nothing(folder, write, noise, model, caplog):
    alone = noise(16000)
    alone[1:] = 0
    write("alone.wav", alone)
    turns = noise(64000)
    for stem in range(4):  # one after the other, with more than a chunk between
        turns[stem, : 16000 * stem] = turns[stem, 16000 * stem + 4000 :] = 0
    write("turns.wav", turns)
    write("gone.wav", noise(16000))
    write("good.wav", noise(16000))
    tracks = find(folder, 4).tracks
    good = [track.name for track in tracks].index("good")
    (folder / "gone.wav").unlink()
    examples = Examples(tracks, Data(), model, 0)
    assert {int(examples[n]["track"]) for n in range(20)} == {good}
    assert [record.getMessage() for record in caplog.records] == [
        "gone cannot be read (no such file or directory): other tracks take its place"
    ]
    same = Examples(tracks, Data(), model, 0)
    assert all(torch.equal(examples[n]["target"], same[n]["target"]) for n in range(8))
    bad = Examples([track for track in tracks if track.name in ("alone", "turns")], Data(), model, 0)
    with pytest.raises(RequestError, match="no two stems were found that are active together"):
        bad[0]


def test_one_good_track_among_many_bad_ones_is_enough(folder, write, noise, model):
    for number in range(150):
        samples = noise(8000)
        samples[number % 4, 4000] = (1e30, np.nan, np.inf)[number % 3]
        write(f"{number:03d}.wav", samples)
    write("good.wav", noise(8000))
    tracks = find(folder, 4).tracks
    examples, other = (Examples(tracks, Data(), model, 0) for _ in range(2))
    for n in range(20):
        assert tracks[examples[n]["track"]].name == "good"
    assert all(torch.equal(examples[n]["target"], other[n]["target"]) for n in (7, 3))
    with pytest.raises(RequestError, match=r"any of 3 tracks \(3 cannot be used, the first: 000 holds samples of 1e\+30"):
        Examples(tracks[:3], Data(), model, 0)[0]


def test_numbers_at_the_edges_of_floats_are_used(folder, write, noise, model):
    write("offset.wav", noise(8000) + 0.5)
    write("denormal.wav", noise(8000) * np.float32(1e-40))
    write("constant.wav", np.full((4, 8000), 0.25, np.float32))
    tracks = find(folder, 4).tracks
    examples = Examples(tracks, Data(), model, 0)
    assert {tracks[examples[n]["track"]].name for n in range(3)} == {"offset", "denormal", "constant"}
    measured = log_mel_statistics.measure(tracks, Data(), model, 0, least=6, most=6)
    assert np.isfinite([measured.mean, measured.std]).all()


def test_no_track_is_a_wrong_request(model):
    with pytest.raises(RequestError, match="no track"):
        Examples([], Data(), model, 0)


def test_integers_of_32_bits_mix_as_floats_do(folder, write, noise, model):
    write("a/x.wav", noise(9000), subtype="PCM_32")
    write("b/x.wav", noise(9000), subtype="FLOAT")
    tracks = {track.name[0]: track for track in find(folder, 4).tracks}
    for n in range(4):
        one, other = (Examples([replace(tracks[name], name="x")], Data(), model, 0)[n] for name in "ab")
        assert all(torch.allclose(one[name].double(), other[name].double(), atol=1e-6) for name in one)


# Target and context

DRAWS = 6000


@given(stems=st.sets(st.integers(0, 20), min_size=2), context=st.sampled_from(CONTEXTS), seed=st.integers(0, 2**32))
def test_the_target_is_never_in_the_context_which_is_never_empty(stems, context, seed):
    target, others = sample_stems(np.array(sorted(stems)), context, np.random.default_rng(seed))
    assert target in stems
    assert target not in others
    assert set(others) <= stems
    assert 1 <= len(others) == len(set(others))


@pytest.mark.parametrize(
    ("context", "sizes"), [("uniform", [1 / 3, 1 / 3, 1 / 3]), ("max", [0, 0, 1]), ("one", [1, 0, 0]), ("one-plus", [1 / 2, 0, 1 / 2])]
)
def test_how_many_stems_make_the_context_in_each_mode(context, sizes):
    random = np.random.default_rng(0)
    active = np.array([0, 2, 3, 7])
    draws = [sample_stems(active, context, random) for _ in range(DRAWS)]
    spread = 4 * np.sqrt(0.25 / DRAWS)
    found = np.bincount([len(others) for _, others in draws], minlength=4)[1:] / DRAWS
    assert np.allclose(found, sizes, atol=spread)
    assert np.allclose(np.bincount([target for target, _ in draws])[active] / DRAWS, 0.25, atol=spread)
    partners = np.bincount(np.concatenate([others for target, others in draws if target == 2]), minlength=8)[[0, 3, 7]]
    assert np.allclose(partners / partners.sum(), 1 / 3, atol=4 * spread)


def test_active_is_relative_to_the_stem_itself():
    loudest = np.array([1.0, 0.001, 0.5, 0.0])
    peaks = np.array([0.0101, 0.0000101, 0.0049, 0.0])
    assert list(active_stems(peaks, loudest, -40.0)) == [0, 1]
    assert list(active_stems(peaks, loudest, -60.0)) == [0, 1, 2]


# Augmentation


def test_what_is_switched_off_changes_nothing_and_draws_nothing():
    random = np.random.default_rng(0)
    change = sample_augmentation(Augmentation(), 4, random)
    assert (change.speed, list(change.gains), change.shelves) == (1.0, [1.0] * 4, None)
    assert random.random() == np.random.default_rng(0).random()


def test_draws_fill_their_ranges_and_stems_have_their_own():
    random = np.random.default_rng(0)
    changes = [sample_augmentation(Augmentation(level_db=6, eq_db=9, pitch_semitones=2), 4, random) for _ in range(2000)]
    decibels = 20 * np.log10([change.gains for change in changes])
    semitones = 12 * np.log2([change.speed for change in changes])
    shelves = np.array([change.shelves for change in changes])
    for values, most in ((decibels, 6), (semitones, 2), (shelves[..., 1], 9), (shelves[..., 3], 9)):
        assert 0.98 * most < values.max() <= most
        assert -most <= values.min() < -0.98 * most
    assert np.abs(np.corrcoef(decibels.T)[~np.eye(4, dtype=bool)]).max() < 0.1


@settings(max_examples=60)
@given(
    low=st.tuples(st.floats(80, 400), st.floats(-12, 12)),
    high=st.tuples(st.floats(2000, 6000), st.floats(-12, 12)),
    rate=st.sampled_from([16000, 22050, 44100, 48000]),
)
def test_the_curve_has_the_shelves_gains_at_its_ends_and_corners_and_stays_within(low, high, rate):
    sos = shelving_filter(np.array([*low, *high]), rate)
    hertz = np.array([1e-3, low[0], np.sqrt(low[0] * high[0]), high[0], rate / 2 - 1e-3])
    assert np.abs(np.roots(sos[0, 3:])).max() < 1  # stable
    at = 20 * np.log10(np.abs(freqz_sos(sos, hertz, fs=rate)[1]))
    assert at[0] == pytest.approx(low[1], abs=1e-3)
    assert at[-1] == pytest.approx(high[1], abs=1e-3)
    grid = 20 * np.log10(np.abs(freqz_sos(sos, np.geomspace(1, rate / 2 - 1, 300), fs=rate)[1]))
    assert np.abs(grid).max() <= max(abs(low[1]), abs(high[1])) + 1e-6
    # One shelf alone has half of its gain, in dB, at its corner.
    for shelves, corner, gain in (((*low, high[0], 0), low[0], low[1]), ((low[0], 0, *high), high[0], high[1])):
        alone = shelving_filter(np.array(shelves), rate)
        assert 20 * np.log10(np.abs(freqz_sos(alone, [corner], fs=rate)[1][0])) == pytest.approx(gain / 2, abs=1e-6)


def test_a_tone_comes_out_at_the_curves_gain():
    tone = np.sin(2 * np.pi * 3000 * np.arange(22050) / 22050).astype(np.float32)
    out = equalise(tone, np.array([200.0, 6.0, 3000.0, -8.0]), 22050)
    assert out.dtype == np.float32
    expected = np.abs(freqz_sos(shelving_filter(np.array([200.0, 6.0, 3000.0, -8.0]), 22050), [3000], fs=22050)[1][0])
    assert np.sqrt(2 * np.mean(out[5000:-5000] ** 2)) == pytest.approx(expected, rel=1e-3)
