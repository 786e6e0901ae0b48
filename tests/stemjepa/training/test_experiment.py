"""What Dora asks SLURM for; that SLURM gives it is tested on a cluster (``test_slurm.py``)."""

import pytest

from jukemir_like.core.errors import RequestError

pytest.importorskip("dora", reason="needs the extra [train]")
from jukemir_like.stemjepa.training import experiment
from jukemir_like.stemjepa.training.experiment import NodesShepherd, Resources


@pytest.mark.parametrize(
    ("gpus", "nodes", "expected"),
    [
        (4, 1, {"nodes": 1, "ntasks_per_node": 4, "gres": "gpu:4", "mem": "128GB"}),
        (4, 2, {"nodes": 2, "ntasks_per_node": 2, "gres": "gpu:2", "mem": "64GB"}),
        (12, 3, {"nodes": 3, "ntasks_per_node": 4, "gres": "gpu:4", "mem": "128GB"}),
        (16, 1, {"nodes": 2, "ntasks_per_node": 8, "gres": "gpu:8", "mem": "256GB"}),  # Dora's own rule
        (0, 2, {"nodes": 2, "ntasks_per_node": 1, "mem": "32GB"}),
    ],
)
def test_a_job_gets_its_gpus_on_so_many_nodes_and_a_task_for_each(tmp_path, monkeypatch, gpus, nodes, expected):
    given = {}

    class Executor:
        def __init__(self, **options):
            pass

        def update_parameters(self, **parameters):
            given.update(parameters)

    monkeypatch.setattr("submitit.SlurmExecutor", Executor)
    resources = Resources(gpus=gpus, nodes=nodes, mem_per_gpu=32, cpus_per_gpu=8)
    resources.check()
    NodesShepherd._get_submitit_executor(object.__new__(NodesShepherd), "job", tmp_path, resources)
    assert {name: given.get(name) for name in expected} == expected
    assert ("gres" in given) == bool(gpus)
    assert given["cpus_per_task"] == 8


@pytest.mark.parametrize(("gpus", "nodes"), [(3, 2), (4, 0), (1, 2)])
def test_gpus_that_cannot_be_divided_over_nodes_are_refused(gpus, nodes):
    with pytest.raises(RequestError, match=f"^slurm.gpus {gpus} on slurm.nodes {nodes}: give a multiple"):
        Resources(gpus=gpus, nodes=nodes).check()


def test_dora_submits_by_this_class():
    import dora.grid
    import dora.launch

    assert dora.launch.Shepherd is dora.grid.Shepherd is experiment.NodesShepherd
