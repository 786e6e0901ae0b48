"""Every way to start a container confines it in the same way: the engine, the printed line, and the check of the contract."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from jukemir_like import __version__, conformance
from jukemir_like.launch import commands, confinement, running
from jukemir_like.launch.images import Container, Mount

RESTRICTED = ("NetworkMode", "ReadonlyRootfs", "Tmpfs", "CapDrop", "SecurityOpt")
EXPECTED = {
    "NetworkMode": "none",
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "mode=1777"},
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
}
DOCKER_OPTIONS = {
    "--network": lambda value: {"NetworkMode": value},
    "--read-only": lambda: {"ReadonlyRootfs": True},
    "--tmpfs": lambda value: {"Tmpfs": dict([value.split(":")])},
    "--cap-drop": lambda value: {"CapDrop": [value]},
    "--security-opt": lambda value: {"SecurityOpt": [value]},
    "--init": lambda: {"Init": True},
    "--shm-size": lambda value: {"ShmSize": int(value)},
}


def client(**behaviour):
    """A client of an engine that is never asked: all that it does is to build requests."""
    import docker

    return type("Client", (docker.APIClient,), behaviour)(base_url="unix://nowhere.sock", version="1.43")


def of_engine(container):
    """The engine's configuration of the host for ``container``, as ``running`` asks for it."""
    requests = []

    def create(_, *arguments, **options):
        requests.append(options)
        return {"Id": "1"}

    running._create(client(info=lambda _: {}, create_container=create), container)
    return requests[0]["host_config"]


def of_line(container):
    """The same, as the options of the printed line ask for it."""
    words = iter(confinement.docker_options(container))
    configuration = {}
    for option in words:
        read = DOCKER_OPTIONS[option]
        configuration |= read(next(words)) if read.__code__.co_argcount else read()
    return configuration


def of_check():
    """The same, as the rule of the contract tries it out that wants all restrictions at once."""
    (rule,) = conformance.rules(["C13.all"])
    options = {name: value for name, value in rule.scenarios[0].options.items() if name not in ("read_only_input", "environment")}
    return client().create_host_config(**options)


def restricted(configuration):
    return {name: configuration[name] for name in RESTRICTED if name in configuration}


def test_the_restrictions_are_the_same_in_all_of_them():
    container = Container("some/image")
    assert restricted(of_engine(container)) == restricted(of_line(container)) == restricted(of_check()) == EXPECTED
    assert of_engine(container)["Init"] is of_line(container)["Init"] is True
    words = shlex.split(commands.docker(container))
    options = confinement.docker_options(container)
    assert words[3 : 3 + len(options)] == options
    assert words[words.index("--user") + 1] == "$(id -u):$(id -g)"
    assert "--containall" in shlex.split(commands.apptainer(container))


def test_the_rules_of_the_contract_try_out_every_restriction_by_itself():
    options = {}
    for rule in conformance.rules(["C13.read-only", "C13.network", "C13.capabilities", "C13.privileges"]):
        options |= rule.scenarios[0].options
    assert options == dict(confinement.RESTRICTIONS)


@pytest.mark.parametrize("configuration", [of_engine, of_line])
def test_a_download_has_a_network_and_a_mounted_temporary_folder_is_not_hidden(configuration):
    assert configuration(Container("some/image", network=True)).get("NetworkMode") in (None, "default")
    mounted = configuration(Container("some/image", mounts=(Mount(Path("/x"), "/tmp", writable=True),)))
    assert not mounted.get("Tmpfs")
    assert restricted(mounted) == {name: value for name, value in EXPECTED.items() if name != "Tmpfs"}


@pytest.mark.parametrize("configuration", [of_engine, of_line])
def test_shared_memory_is_given_where_it_is_needed(configuration):
    assert configuration(Container("some/image", shared_memory=1 << 30))["ShmSize"] == 1 << 30
    assert "ShmSize" not in configuration(Container("some/image"))


def test_a_container_runs_as_the_caller_and_with_its_groups():
    user, groups = confinement.user_and_groups({"SecurityOptions": ["name=seccomp,profile=builtin"]})
    assert user == f"{os.getuid()}:{os.getgid()}"
    assert {int(group) for group in groups} == set(os.getgroups())


def test_in_a_rootless_engine_the_caller_is_its_root():
    assert confinement.user_and_groups({"SecurityOptions": ["name=seccomp", "name=rootless"]}) == ("0:0", [])


@pytest.mark.docker
def test_the_engine_confines_launched_and_pasted_containers_alike(engine, stand_ins, start, left, tmp_path):
    (tmp_path / "in").mkdir()

    def configuration():
        """What the engine says of the one container that runs."""
        (identifier,) = left()
        inspected = engine.api.inspect_container(identifier)
        names = (*RESTRICTED, "Init", "Privileged", "CapAdd", "PidMode", "IpcMode")
        return {name: inspected["HostConfig"][name] for name in names} | {"User": inspected["Config"]["User"]}

    launched = start("audit", "echo ready; exec sleep 60")
    assert launched.stdout.readline() == b"ready\n"
    by_launch = configuration()
    launched.terminate()
    launched.wait(timeout=60)
    assert not left()

    container = Container(f"{stand_ins}/process:{__version__}", ("echo ready; exec sleep 60",))
    pasted = subprocess.Popen(["sh", "-c", f"exec {commands.docker(container)}"], stdout=subprocess.PIPE)
    try:
        assert pasted.stdout.readline() == b"ready\n"
        by_line = configuration()
    finally:
        for identifier in left():
            engine.api.kill(identifier)
        pasted.communicate(timeout=60)
    assert by_line == by_launch, json.dumps([by_line, by_launch], indent=1)
    assert restricted(by_line) == EXPECTED
    assert by_line["User"] == f"{os.getuid()}:{os.getgid()}"
