"""What jobs ask for grows with the input and with the attempt, and fits the node."""

import pytest

from jukemir_like.encoders import card as cards
from jukemir_like.launch.resources import Node, of_extraction, of_stage

NODE = Node(processors=8, memory=64_000)
NAMES = ["chroma", "mfcc", "stemjepa", "stemjepa-mine@layer=2", "hf:some-one/model", *cards.names()]
STAGES = ["process", "audit", "synthband", "evaluate-retrieval", "probe", "probe-grid"]


@pytest.mark.parametrize("name", NAMES)
def test_extraction_has_room_for_its_net_in_every_process_and_twice_on_a_second_attempt(name):
    card = cards.read(name) if name in cards.names() else None
    asked = of_extraction(name, 256, Node(processors=8, memory=10**9))
    assert asked.memory * 1_000_000 >= 8 * (card.memory if card and card.memory else 0)
    assert asked.gpus == 0
    again = of_extraction(name, 256, Node(processors=8, memory=10**9), attempt=2)
    assert (again.memory, again.minutes) == (2 * asked.memory, 2 * asked.minutes)
    assert of_extraction(name, 100_000, NODE).minutes > asked.minutes


@pytest.mark.parametrize("name", NAMES)
def test_what_torch_computes_gets_a_gpu_where_the_node_has_one(name):
    asked = of_extraction(name, 256, Node(processors=8, memory=64_000, gpus=4))
    assert asked.gpus == (name not in ("chroma", "mfcc"))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_grow_with_the_items(stage):
    few, many = (of_stage(stage, items, Node(processors=4, memory=10**9), dimension=768) for items in (100, 10**6))
    assert few.memory < many.memory
    assert few.minutes <= many.minutes


@pytest.mark.parametrize("stage", STAGES)
def test_no_job_asks_for_more_than_a_node_has(stage):
    asked = of_stage(stage, 10**7, Node(processors=2, memory=3_000, minutes=60), dimension=4800, attempt=2)
    assert asked.memory <= 3_000
    assert asked.minutes <= 60
    assert asked.processors <= 2


def test_training_takes_all_gpus_that_it_may_have_and_time_by_its_examples():
    short, long = (of_stage("train", 100, Node(8, 10**9, gpus=4), examples=examples) for examples in (10**5, 10**8))
    assert short.gpus == long.gpus == 4
    assert long.minutes > 10 * short.minutes
