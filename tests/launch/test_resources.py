"""What a batch is given is at least what its encoder's card says, and grows with what makes it larger."""

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.encoders import card as cards
from jukemir_like.launch import resources
from jukemir_like.launch.resources import Resources


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


@pytest.mark.parametrize("name", cards.names())
@pytest.mark.parametrize("gpus", [True, False])
def test_every_encoder_gets_the_memory_that_its_card_says_for_each_net(cache, name, gpus):
    memory = cards.read(name).memory
    given = resources.of_batch(name, 256, cache, gpus=gpus)
    assert given.memory >= memory * (1 if gpus else given.cpus)
    assert given.gpus == int(gpus)


@pytest.mark.parametrize("name", ["chroma", "stemjepa", "mert-95m", "mert-330m@layer=7", "level"])
def test_more_files_take_longer_and_more_processors_or_a_gpu_do_not(cache, name):
    seconds = [resources.of_batch(name, size, cache).seconds for size in (1, 256, 4096, 65536)]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[-1]
    assert resources.of_batch(name, 4096, cache, cpus=16).seconds <= seconds[2]
    assert resources.of_batch(name, 4096, cache, gpus=True).seconds <= seconds[2]


def test_a_larger_net_is_given_more_time(cache):
    assert resources.of_batch("mert-330m", 4096, cache).seconds > resources.of_batch("mert-95m", 4096, cache).seconds


def test_what_is_known_better_counts(cache):
    assert resources.of_batch("mfcc", 256, cache, cpus=3, memory=2.5, hours=1.5) == Resources(3, 2_500_000_000, 5400)


@pytest.mark.parametrize(("seconds", "text"), [(60, "00:01:00"), (61, "00:02:00"), (3600, "01:00:00"), (100 * 3600, "100:00:00")])
def test_a_time_limit_is_written_in_hours_and_minutes(seconds, text):
    assert Resources(1, 1, seconds).time == text
