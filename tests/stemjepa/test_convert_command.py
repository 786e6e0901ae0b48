"""`jukemir-like convert`: a file of the original code becomes weights that every other command can name."""

import json
import re
import shlex

import click
import numpy as np
import pytest
import torch

from jukemir_like.cli import cli, stemjepa
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training.compose import compose_settings

from .test_conversion import FIXTURE, HEADS, lightning, small_state, state_dict

PAGE = (FIXTURE.parents[2] / "docs" / "original.md").read_text()


@pytest.fixture(scope="module")
def shapes():
    with np.load(FIXTURE, allow_pickle=False) as archive:
        return json.loads(str(archive["config"]))["shapes"]["mlp"]


@pytest.fixture(scope="module")
def state(shapes):
    return small_state(shapes)


@pytest.fixture
def file(state, tmp_path):
    lightning(state, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


@pytest.fixture
def convert(tmp_path):
    """Converts in this process; returns the exit code."""

    def run(*arguments):
        common = ["--heads", str(HEADS), "--cache", str(tmp_path / "cache")]
        return stemjepa.convert.main([*common, *map(str, arguments)], standalone_mode=False)

    return run


def test_converted_weights_are_named_like_their_file_and_extract(command, file, tmp_path, write_audio):
    cache = ("--cache", str(tmp_path / "cache"))
    done = command("convert", str(file), "--heads", str(HEADS), *cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "custom encoder (width 32, depth 2, heads 4), chunks of 1.6 s, mlp predictor of bass, drums, other, vocals",
        f"weights: {tmp_path / 'cache' / 'checkpoints' / 'last.safetensors'}",
    ]
    assert len(done.stderr.splitlines()) == 2  # what the file does not tell
    write_audio(tmp_path / "music" / "a.wav", seconds=2, sample_rate=16_000)
    done = command("extract", "stemjepa-last", str(tmp_path / "music"), str(tmp_path / "vectors"), "--device", "cpu", *cache)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "vectors" / "a.npy").shape == (5 * 32,)


def test_options_name_what_the_file_does_not_tell(convert, file, tmp_path, capsys):
    told = ["--sources", "a, b,c,d", "--mean", -7, "--std", 2]
    assert convert(file, "--name", "theirs", "--output", tmp_path / "out", *told) == 0
    header = checkpoint.header(tmp_path / "out" / "theirs.safetensors")
    assert (header.sources, header.model.frontend.mean, header.model.frontend.std) == (("a", "b", "c", "d"), -7.0, 2.0)
    assert not capsys.readouterr().err


def test_the_same_command_again_changes_nothing_and_other_weights_are_kept(convert, file, tmp_path):
    assert convert(file) == 0
    weights = tmp_path / "cache" / "checkpoints" / "last.safetensors"
    before = weights.stat().st_mtime_ns
    assert convert(file) == 0
    with pytest.raises(RequestError, match="holds other weights: choose another --name"):
        convert(file, "--mean", 0, "--std", 1)
    assert weights.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--mean", "1"], "both --mean and --std"),
        (["--std", "1"], "both --mean and --std"),
        (["--mean", "0", "--std", "-1"], "std -1"),
        (["--name", "free-music"], "weights of the package are called free-music"),
        (["--name", "epoch=3-step=100"], "give a --name"),
        (["--name", "a/b"], "is no name"),
        (["--sources", "a,b"], "the model has 4"),
        (["--sources", "a,,b,c"], "cannot be the name of an instrument"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(convert, file, tmp_path, arguments, reason):
    with pytest.raises((RequestError, click.ClickException), match=reason) as caught:
        convert(file, *arguments)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "cache").exists()


def test_lightnings_names_of_files_need_another(convert, file):
    with pytest.raises(RequestError, match="'epoch=3-step=100' cannot be part of the name of a representation: give a --name"):
        convert(file.rename(file.with_name("epoch=3-step=100.ckpt")))


@pytest.mark.parametrize("weights", ["last.ckpt", "./last.ckpt"])
def test_weights_of_the_original_are_answered_with_the_command(file, monkeypatch, weights):
    monkeypatch.chdir(file.parent)
    with pytest.raises(RequestError, match=r"jukemir-like convert (FILE|last\.ckpt)"):
        checkpoint.load(checkpoint.resolve(weights))


def test_tensors_of_the_original_in_safetensors_are_answered_with_the_command(state, tmp_path):
    from safetensors.torch import save_file

    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(RequestError, match="jukemir-like convert FILE"):
        checkpoint.load(tmp_path / "w.safetensors")


def test_no_layer_is_left_as_it_was_initialised(convert, file, tmp_path):
    """Two conversions in one process with other random states give the same file."""
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        convert(file, "--name", name)
    files = [tmp_path / "cache" / "checkpoints" / f"{name}.safetensors" for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_commands_of_the_page_run(shapes, tmp_path, write_audio, monkeypatch, capsys):
    """In a folder with its files; trainings are shown, and not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("last.ckpt", "epoch=299-step=23700.ckpt"):
        lightning(state_dict(shapes), tmp_path / name)
    write_audio(tmp_path / "music" / "a.wav", seconds=8)
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "my_data.yaml").write_text(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)[0])
    lines = re.findall(r"^jukemir-like .*", PAGE, re.M)
    assert len(lines) == 5
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "jukemir-like"
        options = ["--show"] if arguments[0] == "train" else ["--device", "cpu"] if arguments[0] == "extract" else []
        assert cli.main([*arguments, *options], standalone_mode=False) == 0
        shown = capsys.readouterr().out
        assert arguments[0] != "train" or ("data_path: /path/to/stems" in shown and "decay: all" in shown and "statistics: false" in shown)
    assert {path.stem for path in (tmp_path / "cache" / "checkpoints").iterdir()} >= {"last", "theirs"}
    assert np.load(tmp_path / "vectors" / "a.npy").shape == (5 * 192,)


def test_the_options_of_the_page_exist():
    table = PAGE.split("## What the original does otherwise")[1].split("Other differences")[0]
    chosen = [f"{name}={value}" for name, value in re.findall(r"`([a-z_.]+)=([a-z-]+)`", table)]
    assert compose_settings(chosen) == compose_settings(["recipe=original"])
