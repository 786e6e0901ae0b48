"""Batches: every example once, whoever reads, however many there are, wherever they begin."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.data import loading
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data.loading import Batches, items_ahead, loader, read_ahead
from jukemir_like.stemjepa.data_settings import Augmentation, Data


@pytest.fixture
def examples(folder, write, noise, model):
    for number in range(5):
        write(f"{number}.wav", noise(20000, seed=number), 22050)
    return Examples(find(folder, 4).tracks, Data(augmentation=Augmentation(3, 3, 1)), model, 0)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 7), st.integers(0, 9))
def test_batches_of_all_ranks_partition_the_stream(batch_size, world_size, first, batches):
    ranks = [list(Batches(batch_size, first, batches, rank, world_size)) for rank in range(world_size)]
    held = [n for rank in ranks for batch in rank for n in batch]
    step = batch_size * world_size
    assert sorted(held) == list(range(first * step, (first + batches) * step))
    assert all(len(batch) == batch_size for rank in ranks for batch in rank)
    whole = [list(Batches(step, first, batches, 0, 1))[b] for b in range(batches)]
    assert whole == [[n for rank in ranks for n in rank[b]] for b in range(batches)]


def test_a_batch_is_its_examples_stacked(examples):
    (batch,) = loader(examples, batch_size=3, first_batch=2, batches=1, rank=1, world_size=2, workers=0)
    assert same(batch, {name: torch.stack([examples[n][name] for n in (15, 16, 17)]) for name in examples[0]})
    assert all(tensor.is_contiguous() for tensor in batch.values())


def test_workers_ranks_and_interruptions_give_the_same_bytes(examples):
    here = list(loader(examples, batch_size=4, batches=6, workers=0))
    by_two = loader(examples, batch_size=4, batches=6, workers=2)
    assert len(by_two) == 6
    assert all(same(*pair) for pair in zip(here, by_two, strict=True))
    assert all(same(*pair) for pair in zip(here, by_two, strict=True))  # and again, by the same workers
    resumed = loader(examples, batch_size=4, first_batch=2, batches=4, workers=1)
    assert all(same(*pair) for pair in zip(here[2:], resumed, strict=True))
    ranks = [loader(examples, batch_size=2, batches=6, rank=rank, world_size=2, workers=0) for rank in range(2)]
    for whole, *parts in zip(here, *ranks, strict=True):
        assert same(whole, {name: torch.cat([part[name] for part in parts]) for name in whole})


@pytest.mark.parametrize("workers", [0, 1])
def test_torchs_own_random_numbers_are_left_alone(examples, workers):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(loader(examples, batch_size=2, batches=1, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_is_one_line(folder, write, noise, model, workers):
    alone = noise(20000)
    alone[1:] = 0
    write("a.wav", alone)
    examples = Examples(find(folder, 4).tracks, Data(), model, 0)
    with pytest.raises(RequestError, match=r"no two stems") as caught:
        list(loader(examples, batch_size=1, batches=1, workers=workers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": -1}, {"rank": 2, "world_size": 2}])
def test_numbers_out_of_range_are_a_wrong_request(examples, wrong):
    with pytest.raises(RequestError, match="give at least"):
        loader(examples, **{"batch_size": 1, "batches": 1} | wrong)


# A script without a guard: a worker that ran it again would start workers without end.
SCRIPT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data_settings import Data
model = config.Model(encoder=config.Encoder("custom", 32, 1, 2, chunk_seconds=0.48))
examples = Examples(find(Path(sys.argv[1]), 4).tracks, Data(), model, 0)
loader = loader(examples, batch_size=1, batches=100, workers=2)
batches = iter(loader)
next(batches), next(batches)  # one of each: both have begun
workers = multiprocessing.active_children()
print(*(worker.pid for worker in workers), flush=True)
if sys.argv[2] == "terminate workers":
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGINT)
    print(2 + sum(1 for _ in batches), flush=True)
elif sys.argv[2] == "wait":
    time.sleep(60)
"""


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("what", ["terminate workers", "end", "wait"])
def test_workers_outlive_a_clusters_sigterm_and_end_with_their_process(folder, examples, what):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, folder, what], stdout=subprocess.PIPE, text=True)
    workers = [int(number) for number in process.stdout.readline().split()]
    assert len(workers) == 2
    if what == "wait":
        assert all(map(alive, workers))
        process.kill()
    if what == "terminate workers":
        assert process.stdout.readline() == "100\n"
    assert process.wait(30) == (-signal.SIGKILL if what == "wait" else 0)
    assert wait_until(lambda: not any(map(alive, workers)))
    assert not Path(f"/proc/{process.pid}").exists()


@pytest.mark.parametrize(
    ("workers", "batch_bytes", "free", "expected"),
    [
        (2, 1 << 20, 1 << 30, (2, 4)),
        (2, 32 << 20, 1 << 30, (2, 4)),
        (2, 32 << 20, 200 << 20, (2, 1)),
        (2, 16 << 20, 64 << 20, (1, 1)),
        (2, 32 << 20, 64 << 20, (0, 1)),
        (0, 32 << 20, 64 << 20, (0, 1)),
    ],
)
def test_workers_never_have_more_ready_than_shared_memory_holds(workers, batch_bytes, free, expected):
    made, ahead = read_ahead(workers, batch_bytes, free)
    assert (made, ahead if made else 1) == expected
    assert made * (ahead + 1) * batch_bytes <= free


def test_no_gpu_is_opened_unless_memory_is_pinned_for_one(examples, monkeypatch):
    """Memory is pinned through a context on the GPU, of which each process would open one, on the first GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not loader(examples, batch_size=1, batches=1, workers=0).pin_memory
    assert loader(examples, batch_size=1, batches=1, workers=0, pin_memory=True).pin_memory


def test_eight_workers_fit_into_a_training_container_at_the_papers_size():
    from jukemir_like.launch.images import STAGES
    from jukemir_like.stemjepa.config import Model

    batch_bytes = 256 * 2 * Model().chunk_samples * 4
    assert read_ahead(8, batch_bytes, STAGES["train"].shared_memory)[0] == 8
    assert read_ahead(8, batch_bytes, 1 << 30)[0] == 1


def test_shared_memory_is_not_more_than_memory(examples, monkeypatch):
    """A container's limit of it is no promise of the machine."""
    monkeypatch.setattr(loading, "_free_shared_memory", lambda: 1 << 40)
    monkeypatch.setattr(loading, "available_memory", lambda: 1000)
    assert loader(examples, batch_size=1, batches=100, workers=2).num_workers == 0


class Squares(torch.utils.data.Dataset):
    def __getitem__(self, number):
        return f"{number} cannot be read" if number == 3 else {"square": number**2}


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_ahead_in_order_and_unchanged(workers):
    expected = [{"square": 49}, "3 cannot be read", {"square": 0}, {"square": 4}]
    assert list(items_ahead(Squares(), [7, 3, 0, 2], workers=workers)) == expected
    assert list(items_ahead(Squares(), [], workers=workers)) == []
