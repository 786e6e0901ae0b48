"""The check as a whole: what it refuses, what it leaves behind, and images that are no good at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukemir_like import conformance
from jukemir_like.conformance import interruption
from jukemir_like.conformance.check import _judge
from jukemir_like.conformance.rules import NOT_CAUGHT
from jukemir_like.conformance.session import IMAGE_LABEL, Observation, Outcome
from jukemir_like.core.errors import RequestError
from jukemir_like.launch.engine import gpu_requests


def left_behind(engine, image):
    """Of checks of ``image``; others may be under way."""
    filters = {"label": f"{IMAGE_LABEL}={image}"}
    return engine.containers.list(all=True, filters=filters, ignore_removed=True) + engine.volumes.list(filters=filters)


def test_rules_are_chosen_by_name_or_clause():
    assert [rule.name for rule in conformance.rules({"C14", "C3.order"})] == ["C3.order", "C14.label"]
    assert {rule.number for rule in conformance.rules()} == set(range(1, 15))


def test_a_rule_that_is_not_there_is_refused():
    with pytest.raises(RequestError, match=r"no rule C5.colour; there are C1.start"):
        conformance.check("some/image", only=["C5.dtype", "C5.colour"])


def test_the_command_line_can_import_it_without_what_is_heavy():
    program = "import sys; import jukemir_like.conformance; print(*{'docker', 'numpy', 'requests', 'soundfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_engine_is_a_wrong_request(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(RequestError, match="no Docker engine answers"):
        conformance.check("some/image")


def test_an_image_that_was_too_fast_is_not_reported_as_passed():
    done = Observation(Outcome(0, "", 1.0), {}, {})
    seen = dict.fromkeys(interruption.STOPS, interruption.Stopped(False, done.outcome, {}, {}))
    seen |= {interruption.killed: interruption.Killed(False, [], done), interruption.reference: done}
    rules = conformance.rules(["C12.SIGTERM", "C12.SIGINT", "C12.SIGTERM-init", "C12.SIGINT-init", "C12.resumed", "C12.killed"])
    assert [(_judge(rule, seen).rule, _judge(rule, seen).status) for rule in rules] == [(rule.name, NOT_CAUGHT) for rule in rules]


@pytest.mark.docker
def test_gpus_where_there_are_none_are_a_wrong_request(representation, engine):
    if gpu_requests(engine.info()):
        pytest.skip("the engine has GPUs to give")
    with pytest.raises(RequestError, match="gives containers no GPU"):
        conformance.check(representation(), gpus=True)


@pytest.mark.docker
def test_an_image_that_is_not_there_is_a_wrong_request(engine):
    for image in ("jukemir-like-test/there-is-none:such", "NO VALID NAME"):
        with pytest.raises(RequestError, match="no image"):
            conformance.check(image)


@pytest.mark.docker
@pytest.mark.slow
def test_an_image_that_cannot_start_breaks_the_rules_and_not_the_check(representation):
    image = representation(program="/bin/nothing")
    only = ["C1", "C4.together", "C8.unknown-option", "C11.kept", "C12.SIGTERM", "C12.resumed", "C12.killed", "C13.elsewhere"]
    report = conformance.check(image, only=only)
    assert report.broken == [finding.rule for finding in report.findings]
    assert "the engine cannot start it" in report.findings[0].seen[0]


@pytest.mark.docker
def test_an_image_that_does_not_end_is_ended(representation):
    report = conformance.check(representation("hangs"), only=["C1.terminal"], limit_seconds=1.0)
    assert "did not end in" in report.findings[0].seen[0]


@pytest.mark.docker
def test_nothing_is_left_behind(representation, engine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image = representation()
    report = conformance.check(image, only=["C1", "C13.user", "C13.elsewhere"])
    assert report.exit_code == 0, report.text()
    assert report.left is None
    assert left_behind(engine, image) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.docker
@pytest.mark.slow
def test_nothing_is_left_behind_when_it_is_interrupted(representation, engine, tmp_path):
    image = representation("hangs")
    # What a shell runs in the background, and so all tests with it, does not hear SIGINT unless it says that it does.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += f"from jukemir_like import conformance; conformance.check({image!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        while not any(container.status == "running" for container in left_behind(engine, image)):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in process.stderr.read()
    assert left_behind(engine, image) == []
    assert [path for path in tmp_path.iterdir() if Path(path).name.startswith("jukemir-like-conform-")] == []
