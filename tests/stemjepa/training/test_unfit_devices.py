"""Processes whose devices do not fit together are refused before they wait for one another."""

import threading

import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training import unfit_devices
from jukemir_like.stemjepa.training.devices import Placement


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([("a", "cuda", "x"), ("a", "cuda", "y"), ("b", "cuda", "x")], None),
        ([("a", "cpu", ""), ("a", "cpu", "")], None),
        (
            [("a", "cuda", "x"), ("b", "cpu", "")],
            "process 1 on b has no GPU that torch can use, and others have one: give every process one",
        ),
        ([("a", "cuda", "x"), ("b", "cuda", "x"), ("a", "cuda", "x")], "processes 0 and 2 on a have the same GPU: start as many processes"),
    ],
)
def test_what_does_not_fit_together(found, message):
    fault = unfit_devices.find_fault([{"host": host, "accelerator": accelerator, "gpu": gpu} for host, accelerator, gpu in found])
    assert fault is None if message is None else fault.startswith(message)


def test_all_end_and_the_first_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: None)
    store = torch.distributed.HashStore()
    placements = [Placement(accelerator, devices=2, rank=rank, external=True) for rank, accelerator in enumerate(("cuda", "cpu"))]
    for placement in placements:
        unfit_devices.tell(placement, store)
    ended = {}

    def end(placement):
        with pytest.raises((RequestError, SystemExit)) as caught:
            unfit_devices.refuse(placement, store)
        ended[placement.rank] = caught.value

    threads = [threading.Thread(target=end, args=(placement,)) for placement in placements]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert str(ended[0]).startswith("process 1 on ")
    assert ended[1].code == 2


def test_processes_with_devices_of_one_kind_go_on():
    store = torch.distributed.HashStore()
    placements = [Placement("cpu", devices=2, rank=rank, external=True) for rank in range(2)]
    for placement in placements:
        unfit_devices.tell(placement, store)
    for placement in placements:
        unfit_devices.refuse(placement, store)
