"""Where the processes of a job meet, on clusters whose nodes know each other's names, and on those where they do not."""

import socket
import subprocess

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Trainer
from jukemir_like.stemjepa.training import addresses
from jukemir_like.stemjepa.training.devices import find_placement

TASK = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
NODE = "NodeName=n01 Arch=x86_64 CPUAlloc=2 NodeAddr=10.0.0.1 NodeHostName=n01 Port=17001 Version=22.05.8\n"


@pytest.fixture
def cluster(monkeypatch):
    """``cluster(names, answer)``: names that resolve, and what ``scontrol`` answers; None: there is none."""

    def simulate(names, answer=None):
        def run(command, **options):
            assert command == ["scontrol", "--oneliner", "show", "node", "n01"]
            if answer is None:
                raise FileNotFoundError
            if answer == "":
                raise subprocess.CalledProcessError(1, command)
            return subprocess.CompletedProcess(command, 0, answer, "")

        def look_up(name, port):
            if name not in names:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return simulate


@pytest.mark.parametrize(
    ("node_list", "name"),
    [
        ("n1", "n1"), ("n1,n2", "n1"), ("node[1-4]", "node1"), ("node[001-004,9],login", "node001"), ("a-b.c,d[1-2]", "a-b.c"),
        ("rack[2-3]n[3-4]", "rack2n3"), ("gpu[7]x,a", "gpu7x"), ("", ""), (" n1", "n1"), ("[", ""),
    ],
)  # fmt: skip
def test_the_first_name_of_a_list(node_list, name):
    assert addresses.first_name(node_list) == name


@pytest.mark.parametrize(
    ("names", "answer", "more", "address"),
    [
        ({"n01"}, None, {}, "n01"),
        ({"10.0.0.1"}, NODE, {}, "10.0.0.1"),
        ({"10.0.0.1", "10.0.0.9"}, NODE, {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.9"}, "10.0.0.1"),
        ({"10.0.0.9"}, None, {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.9"}, "10.0.0.9"),  # in a container, say
        ({"10.0.0.9"}, "", {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.9"}, "10.0.0.9"),
        ({"n02"}, NODE, {"SLURM_STEP_NODELIST": "n[02-03]"}, "n02"),
        ({"n01"}, None, {"MASTER_ADDR": "10.1.1.1"}, "10.1.1.1"),
    ],
)
def test_the_address_of_the_first_node_of_a_job(cluster, names, answer, more, address):
    cluster(names, answer)
    here = find_placement(Trainer(accelerator="cpu"), TASK | {"SLURM_JOB_NODELIST": "n[01-02]"} | more)
    assert (here.address, here.port, here.nodes, here.devices) == (address, 15007, 2, 2)


@pytest.mark.parametrize(("nodes", "name"), [({"SLURM_JOB_NODELIST": "n[01-02]"}, "n01"), ({}, "no name")])
def test_without_an_address_it_is_one_line_that_says_what_to_set(cluster, nodes, name):
    cluster(set())
    with pytest.raises(RequestError, match=f"^{name}, where .* does not resolve: set MASTER_ADDR to its address$"):
        find_placement(Trainer(accelerator="cpu"), TASK | nodes)


def test_a_job_on_one_node_asks_nobody(cluster):
    cluster(set())
    here = find_placement(Trainer(accelerator="cpu"), TASK | {"SLURM_NNODES": "1", "MASTER_PORT": "5"})
    assert (here.address, here.port) == ("127.0.0.1", 5)


@pytest.mark.parametrize(("own", "known"), [(["10.0.0.1"], True), (["127.0.1.1"], False), (["::1", "127.0.0.1"], False), ([], False)])
def test_a_name_that_leads_to_this_machine_alone_is_not_known_to_others(monkeypatch, own, known):
    def look_up(name, port):
        if not own:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in own]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert addresses.is_own_name_known_to_others() is known


def test_the_interface_of_an_address():
    names = [name for _, name in socket.if_nameindex()]
    if "lo" not in names:
        pytest.skip("there is no interface lo")
    assert addresses.interface(addresses.towards("127.0.0.1")) == "lo"
    assert addresses.interface(None) is None
    assert addresses.towards("no-such-host.invalid") is None
