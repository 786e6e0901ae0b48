"""The images themselves: size, who runs, what they may touch, signals, what is said to be in them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from jukemir_like import __version__

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
MOST_MEGABYTES = {"download": 700, "process": 700, "representations_chroma": 700, "representations_mfcc": 700}
MOST_MEGABYTES |= {"representations": 1400, "train": 1400, "probe": 1400}
ENCODERS = [f"representations_{family}" for family in ("choi", "musicnn", "clmr", "jukebox", "crepe")]
MOST_MEGABYTES |= dict.fromkeys(ENCODERS, 1300) | {"representations_hf": 1500}
IMAGES = sorted(MOST_MEGABYTES)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Twelve files of ten seconds, in a folder that any user may read."""
    import soundfile

    folder = tmp_path_factory.mktemp("songs")
    for number in range(12):
        noise = np.random.default_rng(number).normal(0, 0.1, 220_500)
        soundfile.write(folder / f"{number:02}.wav", noise + 0.2 * np.sin(np.arange(220_500) * (0.02 + 0.003 * number)), 22_050)
    for path in (*folder.parents[:3], folder):
        path.chmod(path.stat().st_mode | 0o555)
    return folder


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "output"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def docker(*arguments, **options):
    return subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, **options)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_not_larger_than_it_may_be(image, images):
    assert images[image].attrs["Size"] / 1e6 < MOST_MEGABYTES[image]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_where_it_comes_from(image, images):
    labels = images[image].labels
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    assert labels["org.opencontainers.image.revision"].removesuffix("-changed") == commit
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", labels["org.opencontainers.image.base.digest"])
    assert {f"stemjepa/{image}:latest", f"stemjepa/{image}:{__version__}"} <= set(images[image].tags)
    assert labels["org.opencontainers.image.version"] == __version__
    assert re.fullmatch(r"free-music.safetensors@sha256:[0-9a-f]{64}", labels["org.jukemir-like.weights"])
    assert images[image].attrs["Config"]["User"] == "1000:1000"
    if image.startswith("representations"):
        assert labels["org.jukemir-like.contract"] == "1"


def test_chroma_and_mfcc_have_no_torch_and_the_others_have_one_without_what_they_do_not_need(images):
    look = "import importlib.util as u; print(*[n for n in ('torch', 'requests', 'lightning', 'matplotlib', 'docker') if u.find_spec(n)])"
    found = {}
    for image in IMAGES:
        found[image] = docker("run", "--rm", "--entrypoint", "python", images[image].id, "-c", look).stdout.split()
    assert found["representations_chroma"] == found["representations_mfcc"] == found["process"] == []
    assert found["download"] == ["requests"]
    assert found["representations"] == found["probe"] == ["torch", "matplotlib"]
    assert found["train"] == ["torch", "lightning", "matplotlib"]
    assert all(found[name] == ["torch", "requests"] for name in (*ENCODERS, "representations_hf"))


@pytest.mark.parametrize("image", ["representations_chroma", "train"])
def test_the_bill_of_materials_is_what_pip_and_dpkg_say(image, images, bills):
    listed = {(one["name"].lower(), one["version"]) for one in bills[image]["components"] if one.get("purl", "").startswith("pkg:pypi/")}
    frozen = docker("run", "--rm", "--entrypoint", "pip", images[image].id, "list", "--format", "json").stdout
    assert listed == {(one["name"].lower(), one["version"]) for one in json.loads(frozen)}
    debian = {one["name"] for one in bills[image]["components"] if one.get("purl", "").startswith("pkg:deb/")}
    asked = docker("run", "--rm", "--entrypoint", "dpkg-query", images[image].id, "-W", "-f", "${db:Status-Status} ${Package}\n").stdout
    assert debian == {line.split()[1] for line in asked.splitlines() if line.startswith("installed ")}
    weights = [one["hashes"][0]["content"] for one in bills[image]["components"] if one["type"] == "machine-learning-model"]
    package = "/opt/venv/lib/python3*/site-packages/jukemir_like"
    sums = docker("run", "--rm", "--entrypoint", "sh", images[image].id, "-c", f"sha256sum {package}/stemjepa/weights/*.safetensors").stdout
    assert weights == [line.split()[0] for line in sums.splitlines()]
    assert len(weights) == 1


def test_as_jukemir_was_called(images, songs, output):
    """Its own command line, with a terminal: the batch that is asked for, no more."""
    image = images["representations_chroma"].id
    command = f"docker run -it --rm -v {songs}:/input -v {output}:/output {image} --batch_size 5 --batch_idx 2"
    done = subprocess.run(["script", "--quiet", "--return", "--command", command, "/dev/null"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in output.glob("*.npy")) == ["10.npy", "11.npy"]


@pytest.mark.parametrize("user", [(), ("--user", "4321:4321")], ids=["its own user", "another"])
def test_new_named_volumes_can_be_written_by_the_image_as_it_stands(engine, images, songs, user):
    volume = engine.volumes.create()
    try:
        mounts = ("-v", f"{songs}:/input:ro", "-v", f"{volume.name}:/output")
        done = docker("run", "--rm", *user, *mounts, images["representations_mfcc"].id)
        assert done.returncode == 0, done.stderr
        listed = docker("run", "--rm", "--entrypoint", "ls", *mounts, images["representations_mfcc"].id, "/output").stdout.split()
        assert listed == [f"{number:02}.npy" for number in range(12)]
    finally:
        volume.remove(force=True)


def test_a_container_uses_as_many_processors_as_it_is_given(images):
    asks = "from jukemir_like.core.machine import available_cpus; print(available_cpus())"
    for given, expected in (("1", "1"), ("0.5", "1")):
        done = docker("run", "--rm", "--cpus", given, "--entrypoint", "python", images["representations_chroma"].id, "-c", asks)
        assert done.stdout.strip() == expected


@pytest.mark.parametrize("init", [(), ("--init",)], ids=["as process 1", "with an init"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("wait", [0.3, 0.6, 0.9])
def test_signals_end_it_before_the_work_is_done_and_what_is_done_stays(engine, images, songs, output, init, number, wait):
    """Of the image with torch, which takes longest to begin: also while it is still importing."""
    name = f"jukemir-like-test-{os.getpid()}-{time.monotonic_ns()}"
    command = ["docker", "run", "--rm", "--name", name, *init, "-v", f"{songs}:/input:ro", "-v", f"{output}:/output"]
    running = subprocess.Popen([*command, images["representations"].id, "--workers", "1"], stderr=subprocess.PIPE, text=True)
    while not any(one.name == name for one in engine.containers.list(ignore_removed=True)):
        assert running.poll() is None
        time.sleep(0.02)
    time.sleep(wait)
    before = set(output.glob("*.npy"))
    docker("kill", "--signal", number.name, name, check=True)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert before <= set(output.glob("*.npy"))
    assert len(list(output.glob("*.npy"))) < len(list(songs.iterdir()))
    assert "run the same command to go on" in errors


@pytest.mark.slow
@pytest.mark.parametrize("image", ["representations_mfcc", "representations"])  # and chroma's: the README's commands check it
def test_our_images_keep_the_contract(image, images):
    from jukemir_like import conformance

    report = conformance.check(images[image].id)
    assert report.exit_code == 0, report.text()


@pytest.mark.parametrize(("image", "name"), [("choi", "choi"), ("jukebox", "jukebox"), ("hf", "mert-95m")])
def test_an_encoder_without_its_weights_is_refused_in_one_line(images, songs, output, image, name):
    mounts = ("-v", f"{songs}:/input:ro", "-v", f"{output}:/output")
    done = docker("run", "--rm", "--network", "none", *mounts, images[f"representations_{image}"].id)
    assert done.returncode == 2
    assert re.fullmatch(rf"jukemir-like: the weights of {name} are not in the cache.*`jukemir-like download {name}` .*\n", done.stderr)
    assert not list(output.iterdir())


@pytest.fixture(scope="module")
def choi_weights(tmp_path_factory, absent):
    """The folder of choi's converted weights in a cache."""
    own_copy = os.environ.get("JUKEMIR_LIKE_TEST_WEIGHTS") or pytest.skip("JUKEMIR_LIKE_TEST_WEIGHTS names no folder of weights")
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "jukemir_like", "download", "choi", "--from", own_copy, "--cache", cache]
    subprocess.run(command, check=True, capture_output=True)
    for path in (*cache.parents[:3], *cache.rglob("*"), cache):
        path.chmod(path.stat().st_mode | 0o555)
    return cache / "weights" / "choi"


@pytest.mark.slow
def test_an_encoder_s_image_keeps_the_contract_with_its_weights_mounted(images, choi_weights):
    from jukemir_like import conformance

    report = conformance.check(images["representations_choi"].id, weights=[choi_weights])
    assert report.exit_code == 0, report.text()


@pytest.mark.slow
def test_weights_that_are_built_in_are_listed_and_need_no_mount(base_image, choi_weights, songs, output, tmp_path):
    prefix = f"jukemir-like-test-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, ROOT / "scripts" / "images.py", "--base", base_image, "--osv", "", "--output", tmp_path, "--prefix", prefix]
    command += ["--weights", "choi", "--cache", choi_weights.parents[1], "representations_choi"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    image = f"{prefix}/representations_choi"
    try:
        mounts = ("-v", f"{songs}:/input:ro", "-v", f"{output}:/output")
        done = docker("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", *mounts, image)
        assert done.returncode == 0, done.stderr
        assert len(list(output.glob("*.npy"))) == 12
        assert '"choi.safetensors"' in (tmp_path / "representations_choi.cdx.json").read_text()
    finally:
        docker("rmi", f"{image}:latest", f"{image}:{__version__}")


@pytest.mark.slow
def test_a_representation_of_another_package_becomes_an_image_that_keeps_the_contract(images, engine, tmp_path):
    """As docs/extending.md says it, but for the installation, for which a network may be needed."""
    from jukemir_like import conformance

    guide = (ROOT / "docs" / "extending.md").read_text()
    lines = re.search(r"```dockerfile\n(.*?)```", guide, re.DOTALL)[1].splitlines()
    packages = "/opt/venv/lib/python3.11/site-packages"
    installed = [f"RUN cp -r /source/* {packages}" if line.startswith("RUN pip install") else line for line in lines]
    assert installed != lines
    shutil.copytree(ROOT / "tests" / "fixtures" / "plugin", tmp_path, dirs_exist_ok=True)
    (tmp_path / "Dockerfile").write_text("\n".join(installed))
    made = docker("build", "--quiet", tmp_path, check=True).stdout.strip()
    try:
        report = conformance.check(made, only=["C1", "C5", "C8", "C13", "C14"])
        assert report.exit_code == 0, report.text()
    finally:
        engine.images.remove(made, force=True)
