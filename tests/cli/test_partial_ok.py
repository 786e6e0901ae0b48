"""``--partial_ok``: of every stage that can end with 3, and of nothing else; it changes the exit code alone."""

import click
import pytest

from jukemir_like.cli import cli
from jukemir_like.core.errors import BUG, DONE, INTERRUPTED, SOME_FAILED, WRONG_REQUEST, InputError
from jukemir_like.launch import images, running

VARIABLE = "JUKEMIR_LIKE_PARTIAL_OK"
STAGES = {
    # a stage that can end with 3: arguments that it takes
    "download": ["synthband"],
    "process": ["synthband"],
    "deform": ["synthband", "noise-20"],
    "audit": ["synthband"],
    "extract": ["chroma", "in", "out"],
    "retrieve": ["--context", __file__, "--instrument", "bass", "--library", "in"],
    "evaluate-retrieval": [],
    "probe": ["synthband", "chroma"],
    "report": [],
}
SENTENCE = "some inputs failed; the exit code is 0, as --partial_ok asks\n"


@pytest.fixture
def ending(monkeypatch):
    """A function that lets a command end with a code, whatever it is asked, and returns the exit code: ``ending("probe", 3, …)``."""

    def end(name, code, *options):
        command = cli.commands[name]
        monkeypatch.setattr(command, "callback", lambda **_: code)
        return cli.main([name, *STAGES[name], *options], standalone_mode=False)

    return end


def test_every_stage_that_can_end_with_3_has_it():
    assert STAGES.keys() == images.STAGES.keys() - {"train", "convert"}
    having = {
        name: [option.to_info_dict() for option in command.params if option.name == "partial_ok"] for name, command in cli.commands.items()
    }
    assert {name for name, options in having.items() if options} == STAGES.keys()
    assert all(having[name] == having["extract"] for name in STAGES)
    assert not any(option.name == "partial_ok" for command in cli.commands["commands"].commands.values() for option in command.params)


@pytest.mark.parametrize("name", STAGES)
def test_3_becomes_0_by_option_or_variable_and_it_is_said(ending, monkeypatch, capsys, name):
    assert ending(name, SOME_FAILED) == SOME_FAILED
    assert capsys.readouterr().err == ""
    assert ending(name, SOME_FAILED, "--partial_ok") == DONE
    assert capsys.readouterr().err == SENTENCE
    monkeypatch.setenv(VARIABLE, "1")
    assert ending(name, SOME_FAILED) == DONE
    assert capsys.readouterr().err == SENTENCE
    for value in ("0", "", "false"):
        monkeypatch.setenv(VARIABLE, value)
        assert ending(name, SOME_FAILED) == SOME_FAILED


@pytest.mark.parametrize("code", [DONE, BUG, WRONG_REQUEST, INTERRUPTED])
def test_no_other_exit_code_is_changed(ending, capsys, code):
    assert ending("extract", code, "--partial_ok") == code
    assert capsys.readouterr().err == ""


def test_a_variable_that_is_neither_is_refused(ending, monkeypatch):
    monkeypatch.setenv(VARIABLE, "perhaps")
    with pytest.raises(click.UsageError, match="not a valid boolean"):
        ending("extract", SOME_FAILED)


def test_a_request_whose_only_input_cannot_be_used_is_not_partly_done(monkeypatch):
    def fail(**_):
        raise InputError("mix.wav is empty")

    monkeypatch.setattr(cli.commands["retrieve"], "callback", fail)
    with pytest.raises(InputError):
        cli.main(["retrieve", *STAGES["retrieve"], "--partial_ok"], standalone_mode=False)


def test_what_is_no_stage_ends_with_3_all_the_same(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    monkeypatch.setattr(cli.commands["conform"], "callback", lambda **_: SOME_FAILED)
    assert cli.main(["conform", "some/image"], standalone_mode=False) == SOME_FAILED
    monkeypatch.setattr(cli.commands["commands"].commands["collect"], "callback", lambda **_: SOME_FAILED)
    assert cli.main(["commands", "collect", "out"], standalone_mode=False) == SOME_FAILED


@pytest.mark.parametrize("words", [["extract", "level", "in", "out"], ["process", "synthband"]])
def test_in_a_container_it_is_the_command_outside_that_does_it(monkeypatch, tmp_path, words, capsys):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    planned = []
    monkeypatch.setattr(running, "run", lambda container: planned.append(container) or SOME_FAILED)
    for more, code in (([], SOME_FAILED), (["--partial_ok"], DONE)):
        assert cli.main(["--docker", *words, *more], standalone_mode=False) == code
    assert planned[0] == planned[1]  # an image of others has no such option
    assert capsys.readouterr().err == SENTENCE


def test_failures_are_recorded_and_told_as_without(command, write_audio, tmp_path):
    write_audio(tmp_path / "in" / "a.wav", seconds=0.3)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    strict = command("extract", "mfcc", "in", "strict", cwd=tmp_path)
    lenient = command("extract", "mfcc", "in", "lenient", "--partial_ok", cwd=tmp_path)
    assert (strict.returncode, lenient.returncode) == (3, 0)
    assert "1 done, 0 kept, 1 failed" in lenient.stderr
    assert lenient.stderr.splitlines()[1:] == [*strict.stderr.splitlines()[1:], SENTENCE.strip()]
    assert '"status": "failed"' in (tmp_path / "lenient" / ".records" / "all.jsonl").read_text()
    assert command("commands", "collect", "lenient", cwd=tmp_path).returncode == 3
