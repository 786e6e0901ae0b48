"""What is asked of an engine follows from what it says of itself; which launchers have ended is known of this machine's alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.launch import confinement
from jukemir_like.launch import engine as docker_engine


@pytest.mark.parametrize(
    ("information", "devices", "asked"),
    [
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, ["nvidia0", "nvidiactl"], {"Count": -1, "Capabilities": [["gpu"]]}),
        (
            {"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]},
            ["nvidia0"],
            {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]},
        ),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, [], None),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, ["nvidiactl"], None),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": None}, ["nvidia0"], None),
    ],
)
def test_gpus_are_asked_for_where_they_are_there_and_the_engine_gives_them(tmp_path, information, devices, asked):
    for name in devices:
        (tmp_path / name).touch()
    requests = docker_engine.gpu_requests(information, tmp_path)
    assert len(requests) == (asked is not None)
    for name, value in (asked or {}).items():
        assert requests[0][name] == value


@pytest.mark.parametrize(
    ("bound", "by_runtime", "by_cdi"),
    [
        (None, {"Count": -1, "DeviceIDs": None}, ["nvidia.com/gpu=all"]),
        ("2", {"Count": 0, "DeviceIDs": ["2"]}, ["nvidia.com/gpu=2"]),
        ("0,GPU-8932f937", {"Count": 0, "DeviceIDs": ["0", "GPU-8932f937"]}, ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-8932f937"]),
        ("", None, None),
        ("NoDevFiles", None, None),
        ("7", {"Count": 0, "DeviceIDs": ["7"]}, None),  # which the engine does not have
    ],
)
def test_a_container_gets_the_gpus_that_this_process_is_bound_to(tmp_path, monkeypatch, bound, by_runtime, by_cdi):
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if bound is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", bound)
    ids = confinement.visible_gpus()
    requests = docker_engine.gpu_requests({"Runtimes": {"nvidia": {}}}, tmp_path, ids)
    assert [{name: request[name] or by_runtime[name] for name in by_runtime} for request in requests] == (
        [by_runtime] if by_runtime else []
    )
    names = ["all", "0", "1", "2", "GPU-8932f937"]
    discovered = {"DiscoveredDevices": [{"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in names]}
    requests = docker_engine.gpu_requests(discovered, tmp_path, ids)
    assert [request["DeviceIDs"] for request in requests] == ([by_cdi] if by_cdi else [])


def test_no_engine_is_one_line(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(RequestError, match="no Docker engine answers") as caught:
        docker_engine.connect()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.docker
def test_missing_images_are_named(engine, stand_ins):
    from jukemir_like import __version__

    present, absent = f"{stand_ins}/process:{__version__}", f"{stand_ins}/nosuch:{__version__}"
    assert docker_engine.missing_images(engine.api, [absent, present]) == [absent]


@pytest.fixture
def other():
    """Another process, which waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_launcher_that_runs_is_not_gone(other):
    assert not docker_engine.is_launcher_gone(docker_engine.launcher_label())
    assert not docker_engine.is_launcher_gone(docker_engine.launcher_label(other.pid))


def test_a_killed_one_is_gone_even_before_its_parent_has_waited_for_it(other):
    label = docker_engine.launcher_label(other.pid)
    other.kill()
    while Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert docker_engine.is_launcher_gone(label)
    other.wait()
    assert docker_engine.is_launcher_gone(label)


def test_another_process_of_the_same_number_is_another(other):
    host, boot, space, number, began = docker_engine.launcher_label(other.pid).split(" ")
    assert docker_engine.is_launcher_gone(" ".join([host, boot, space, number, str(int(began) - 1)]))


def test_an_earlier_start_of_the_machine_is_over(other):
    host, _, space, number, began = docker_engine.launcher_label(other.pid).split(" ")
    assert docker_engine.is_launcher_gone(" ".join([host, "another-boot", space, number, began]))


@pytest.mark.parametrize("part", [0, 2])
def test_launchers_on_other_machines_and_in_other_containers_are_not_known_to_be_gone(part):
    words = [*docker_engine.launcher_label().split(" ")[:3], "999999999", "1"]
    assert docker_engine.is_launcher_gone(" ".join(words))
    words[part] = "another"
    assert not docker_engine.is_launcher_gone(" ".join(words))


@pytest.mark.parametrize("label", ["", "nonsense", "a b c d e"])
def test_a_label_of_another_form_is_of_no_known_launcher(label):
    assert not docker_engine.is_launcher_gone(label)
