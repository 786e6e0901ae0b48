"""What is asked of an engine follows from what it says of itself."""

import os

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.launch import engine as engine_room


def test_a_container_runs_as_the_caller_and_with_its_groups():
    user, groups = engine_room.user({"SecurityOptions": ["name=seccomp,profile=builtin"]})
    assert user == f"{os.getuid()}:{os.getgid()}"
    assert {int(group) for group in groups} == set(os.getgroups())


def test_in_a_rootless_engine_the_caller_is_its_root():
    assert engine_room.user({"SecurityOptions": ["name=seccomp", "name=rootless"]}) == ("0:0", [])


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
    made = engine_room.gpu_requests(information, tmp_path)
    assert len(made) == (asked is not None)
    for name, value in (asked or {}).items():
        assert made[0][name] == value


def test_no_engine_is_one_line(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(RequestError, match="no Docker engine answers") as caught:
        engine_room.connect()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.docker
def test_missing_images_are_named(engine, stand_ins):
    from jukemir_like import __version__

    there, absent = f"{stand_ins}/process:{__version__}", f"{stand_ins}/nosuch:{__version__}"
    assert engine_room.missing(engine.api, [absent, there]) == [absent]
