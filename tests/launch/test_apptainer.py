"""Images become files once, and stages run in them; by a stand-in for Apptainer that does what a shell does."""

import os
import shlex
import subprocess
import sys
import time

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import apptainer
from jukemir_like.launch.images import Container, Mount

REGISTRY = "registry.test/stages/probe:1"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that makes the stand-in: what it does for ``build``, and for any other command. It notes how it is called."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()

    def make(build='echo "$4" > "$3"', run="exit 0"):
        path = tmp_path / "bin" / "apptainer"
        path.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nif [ "$1" = build ]; then {build}; else {run}; fi\n')
        path.chmod(0o755)

    make()
    return make


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def calls(tmp_path):
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_an_image_is_converted_once(program, cache, tmp_path):
    apptainer.prepare([REGISTRY, REGISTRY], cache)
    apptainer.prepare([REGISTRY], cache)
    (call,) = calls(tmp_path)
    assert call.endswith(f" docker://{REGISTRY}")
    assert apptainer.sif_path(REGISTRY, cache).read_text() == f"docker://{REGISTRY}\n"
    assert not [path for path in (cache.root / "images").iterdir() if path.name.startswith(".tmp-")]


def test_an_image_of_the_engine_is_converted_again_when_it_is_another(program, cache, tmp_path, monkeypatch):
    built = ["a" * 12, "a" * 12, "b" * 12]
    for identifier in built:
        monkeypatch.setattr(apptainer, "_identifier", lambda _, identifier=identifier: identifier)
        apptainer.prepare(["stemjepa/probe:1"], cache)
    assert [call.split()[-1] for call in calls(tmp_path)] == ["docker-daemon:stemjepa/probe:1"] * 2
    files = [path for path in (cache.root / "images").glob("*.sif") if not path.is_symlink()]
    assert [path.name for path in files] == [f"stemjepa_probe_1-{built[-1]}.sif"]
    assert apptainer.sif_path("stemjepa/probe:1", cache).resolve() == files[0]


def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(program, cache):
    program(build='echo "INFO: Starting build" >&2; echo "FATAL: no such image" >&2; echo half > "$3"; exit 255')
    with pytest.raises(RequestError, match=f"^apptainer cannot convert docker://{REGISTRY}: FATAL: no such image$"):
        apptainer.prepare([REGISTRY], cache)
    assert not list((cache.root / "images").glob("*.sif"))


def test_without_apptainer_or_its_file_it_is_refused(program, cache, monkeypatch):
    with pytest.raises(RequestError, match=r"there is no .*registry.test_stages_probe_1.sif"):
        apptainer.run(Container(REGISTRY), cache)
    monkeypatch.setenv("PATH", "/nowhere")
    for call in (lambda: apptainer.prepare([REGISTRY], cache), lambda: apptainer.run(Container(REGISTRY), cache)):
        with pytest.raises(RequestError, match="there is no apptainer on the PATH"):
            call()


def test_a_stage_sees_its_folders_and_its_words_and_exit_code_are_passed_on(program, cache, tmp_path, capfd):
    program(run="echo words; echo complaints >&2; exit 3")
    apptainer.prepare([REGISTRY], cache)
    container = Container(
        REGISTRY,
        ("--workers", "2"),
        ("jukemir-like", "audit"),
        (Mount(tmp_path / "in", "/input"), Mount(tmp_path / "out", "/output", True)),
    )
    assert apptainer.run(container, cache) == 3
    captured = capfd.readouterr()
    assert captured.out == "words\n"
    assert "complaints" in captured.err
    sif = apptainer.sif_path(REGISTRY, cache)
    binds = f"--bind {tmp_path}/in:/input:ro --bind {tmp_path}/out:/output"
    assert calls(tmp_path)[-1] == f"exec --containall {binds} {sif} jukemir-like audit --workers 2"
    assert (tmp_path / "out").is_dir()


def test_a_signal_ends_the_stage_which_says_so_itself(program, cache, tmp_path):
    program(run=f"trap 'echo ended >&2; exit 130' INT; touch {tmp_path}/begun; while :; do sleep 0.05; done")
    apptainer.prepare([REGISTRY], cache)
    code = (
        "import sys; from pathlib import Path; from jukemir_like.core import signals; from jukemir_like.core.cache import Cache\n"
        "from jukemir_like.launch import apptainer; from jukemir_like.launch.images import Container\n"
        f"signals.install(); sys.exit(apptainer.run(Container({REGISTRY!r}), Cache(Path({str(cache.root)!r}))))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=20) == 130
    assert process.stderr.read() == "ended\n"


@pytest.mark.parametrize("name", ["stemjepa/probe:1", "registry.test:5000/a/b:1.0+x", "a b;$(c)/d:1"])
def test_the_name_of_a_file_is_one_word_of_a_shell(name, cache):
    path = apptainer.sif_path(name, cache).name
    assert shlex.quote(path) == path
