"""What a job is given is at least what its encoder's card says, grows with the input and the attempt, and fits the node."""

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.encoders import card as cards
from jukemir_like.launch import resources
from jukemir_like.launch.resources import Node, Resources, of_extraction, of_stage

NODE = Node(processors=8, memory=64_000)
NAMES = ["chroma", "mfcc", "stemjepa", "stemjepa-mine@layer=2", "hf:some-one/model", *cards.names()]
STAGES = ["process", "deform", "audit", "synthband", "evaluate-retrieval", "probe", "probe-grid"]


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


@pytest.mark.parametrize("name", NAMES)
def test_extraction_has_room_for_its_net_in_every_process_and_twice_on_a_second_attempt(cache, name):
    card = cards.read(name) if name in cards.names() else None
    asked = of_extraction(name, 256, Node(processors=8, memory=10**9), cache)
    assert asked.memory >= 8 * (card.memory if card and card.memory else 0)
    assert asked.gpus == 0
    again = of_extraction(name, 256, Node(processors=8, memory=10**9), cache, attempt=2)
    assert (again.memory, again.minutes) == (2 * asked.memory, 2 * asked.minutes)
    assert of_extraction(name, 100_000, NODE, cache).minutes > asked.minutes


@pytest.mark.parametrize("name", NAMES)
def test_what_torch_computes_gets_a_gpu_where_the_node_has_one(cache, name):
    asked = of_extraction(name, 256, Node(processors=8, memory=64_000, gpus=4), cache)
    assert asked.gpus == (name not in ("chroma", "mfcc"))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_grow_with_the_items(stage):
    few, many = (of_stage(stage, items, Node(processors=4, memory=10**9), dimension=768) for items in (100, 10**6))
    assert few.memory < many.memory
    assert few.minutes <= many.minutes


@pytest.mark.parametrize("stage", STAGES)
def test_no_job_asks_for_more_than_a_node_has(stage):
    asked = of_stage(stage, 10**7, Node(processors=2, memory=3_000, minutes=60), dimension=4800, attempt=2)
    assert asked.memory <= 3_000_000_000
    assert asked.minutes <= 60
    assert asked.cpus <= 2


@pytest.mark.parametrize("stage", ["probe", "probe-grid"])
def test_a_probe_of_folds_has_the_time_of_all_of_them_and_deformed_the_memory_for_both_audios(stage):
    node = Node(processors=4, memory=10**9)
    splits, *folded = (of_stage(stage, 2_000, node, dimension=4_800, folds=folds) for folds in (0, 3, 5, 10, 20))
    assert [asked.minutes for asked in [splits, *folded]] == sorted({asked.minutes for asked in [splits, *folded]})
    assert folded[2].minutes > 5 * splits.minutes
    deformed = of_stage(stage, 2_000, node, dimension=4_800, folds=5, deformed=True)
    assert deformed.memory - folded[1].memory == pytest.approx(4 * 4 * 2_000 * 4_800, rel=0.02)
    assert deformed.minutes == folded[1].minutes
    assert of_stage(stage, 2_000, node, dimension=4_800, deformed=True) == splits


@pytest.mark.parametrize(
    ("items", "dimension", "folds", "measured"), [(2_000, 4_800, 5, 1_166), (2_000, 4_800, 10, 2_853), (10_000, 768, 5, 580)]
)
def test_a_probe_of_folds_has_the_memory_that_was_measured(items, dimension, folds, measured):
    """MB, peaks of protocol linear on ten classes of random vectors."""
    assert of_stage("probe", items, Node(8, 10**9), dimension=dimension, folds=folds).memory > 1e6 * measured


def test_training_takes_all_gpus_that_it_may_have_and_time_by_its_examples():
    short, long = (of_stage("train", 100, Node(8, 10**9, gpus=4), examples=examples) for examples in (10**5, 10**8))
    assert short.gpus == long.gpus == 4
    assert long.minutes > 10 * short.minutes
