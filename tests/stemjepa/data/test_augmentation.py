"""Which effects stems are given, and that they are a function of the seed and the example's number alone."""

import pickle

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.data.augmentation import augment, sample_augmentation
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data_settings import Augmentation, Data
from jukemir_like.stemjepa.settings import Training, differences

ALL = {"drive_db": 12.0, "room_seconds": 0.5, "noise_snr_db": 20.0, "lowpass_hz": 3000.0}


def effects_of(settings, seed=0, stems=4000):
    return sample_augmentation(settings, stems, np.random.default_rng(seed)).effects


@pytest.mark.parametrize("settings", [Augmentation(3, 3, 1), Augmentation(3, 3, 1, effects_probability=0.0, **ALL)])
def test_without_effects_no_random_numbers_are_taken(settings):
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    assert sample_augmentation(settings, 4, one).effects is None
    sample_augmentation(Augmentation(3, 3, 1), 4, other)
    assert one.random() == other.random()


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_effect_is_by_itself_and_as_frequent_as_asked_for(name):
    effects = effects_of(Augmentation(effects_probability=0.3, **{name: ALL[name]}))
    field = {"drive_db": "drive_db", "room_seconds": "room", "noise_snr_db": "snr_db", "lowpass_hz": "band_hz"}[name]
    counts = {other: sum(getattr(of, other) is not None for of in effects) for other in ("drive_db", "room", "snr_db", "band_hz")}
    assert counts.pop(field) == pytest.approx(0.3 * 4000, abs=120)
    assert set(counts.values()) == {0}


def test_what_is_sampled_fills_its_range():
    effects = effects_of(Augmentation(effects_probability=1.0, **ALL))
    values = {
        (0, 12): [of.drive_db for of in effects],
        (0.05, 0.5): [of.room[0] for of in effects],
        (-25, -5): [of.room[1] for of in effects],
        (20, 60): [of.snr_db for of in effects],
        (3000, 16000): [of.band_hz for of in effects],
    }
    for (lowest, highest), sampled in values.items():
        span = highest - lowest
        assert lowest <= min(sampled) < lowest + 0.01 * span
        assert highest - 0.01 * span < max(sampled) <= highest
    assert np.abs(np.corrcoef(list(values.values()))[~np.eye(5, dtype=bool)]).max() < 0.1
    assert len({of.seed for of in effects}) == 4000


def test_the_same_stem_sounds_the_same_again():
    augmentation = sample_augmentation(Augmentation(effects_probability=1.0, **ALL), 2, np.random.default_rng(0))
    samples = np.random.default_rng(1).integers(-9000, 9000, 5000).astype(np.int16)
    one, again, other = (augment(samples, 1 / 32768, augmentation, stem, 22050) for stem in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    assert one.dtype == np.float32


@pytest.fixture
def tracks(folder, write, noise):
    for number in range(3):
        write(f"{number}.wav", noise(20000, seed=number))
    return find(folder, 4).tracks


def test_an_example_depends_on_seed_and_number_alone(tracks, model):
    data = Data(augmentation=Augmentation(3, 3, 1, effects_probability=0.7, **ALL))
    one = Examples(tracks, data, model, 5)
    expected = {n: one[n] for n in (0, 3, 10**9, 12)}
    other = pickle.loads(pickle.dumps(Examples(tracks, data, model, 5)))
    for n in (12, 10**9, 0, 3):
        assert all(torch.equal(expected[n][name], value) for name, value in other[n].items())
    assert not torch.equal(Examples(tracks, data, model, 6)[0]["target"], expected[0]["target"])


def test_effects_change_the_sound_and_not_the_choice(tracks, model):
    plain, changed = (
        Examples(tracks, Data(augmentation=augmentation), model, 0)[1]
        for augmentation in (Augmentation(), Augmentation(effects_probability=0.0, **ALL))
    )
    assert all(torch.equal(plain[name], changed[name]) for name in plain)
    noisy = Examples(tracks, Data(augmentation=Augmentation(effects_probability=1.0, noise_snr_db=20.0)), model, 0)[1]
    assert int(noisy["track"]) == int(plain["track"])


@pytest.mark.parametrize(
    ("option", "value", "limits"),
    [("effects_probability", 1.5, "from 0 to 1"), ("drive_db", -1.0, "from 0 to 60"), ("room_seconds", 20.0, "from 0 to 10"),
     ("noise_snr_db", 80.0, "from -60 to 60"), ("lowpass_hz", -3.0, "from 0 to 1e")],
)  # fmt: skip
def test_values_out_of_range_are_refused(option, value, limits):
    with pytest.raises(RequestError, match=rf"data.augmentation.{option} {value}: it must be {limits}"):
        Training.from_dict({"data": {"augmentation": {option: value}}})


def test_a_run_without_effects_is_the_run_that_it_was():
    assert differences(Training.from_dict({"data": {"augmentation": {"level_db": 3.0}}})) == [("data.augmentation.level_db", 3.0)]
