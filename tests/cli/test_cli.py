"""The command line: quick to start, plain when not on a terminal, exit codes as documented."""

import subprocess
import sys

import pytest

from jukemir_like.cli import cli


def test_help_loads_nothing_heavy():
    script = (
        "import sys; sys.argv = ['jukemir-like', '--help']\n"
        "from jukemir_like.cli import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'numpy', 'scipy', 'torch', 'librosa', 'sklearn', 'soundfile', 'matplotlib', 'snakemake'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help(command, name):
    done = command(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage:")
    assert name in command("--help").stdout


def test_no_command_shows_the_help(command):
    assert command().stdout == command("--help").stdout


def test_the_version_is_the_package_s(command):
    from jukemir_like import __version__

    assert __version__ in command("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "No such command"),
        (["download", "nosuch"], "unknown dataset 'nosuch'"),
        (["process", "nosuch"], "unknown dataset 'nosuch'"),
        (["process", "synthband"], "jukemir-like download synthband"),
        (["process", "folder"], "--audio DIR and --labels FILE"),
        (["process", "folder", "--audio", "/nowhere", "--labels", "/nowhere.csv"], "No such file"),
        (["extract", "chroma", "only-input"], "give INPUT and OUTPUT, or --dataset"),
        (["probe", "nosuch", "chroma"], "nosuch"),
        (["download", "synthband", "--songs", "0"], "--songs"),
        (["download", "synthband", "--songs", "20001"], "--songs"),
        (["report"], "probe"),
    ],
)
def test_a_wrong_request_is_one_line_that_says_what_to_do(command, tmp_path, arguments, words):
    done = command(*arguments, environment={"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "cache")})
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "cache").exists()


def test_a_reader_that_leaves_early_is_no_bug():
    done = subprocess.run(f"{sys.executable} -m jukemir_like --help | head -n 1", shell=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("Usage:")


def test_an_option_that_several_commands_have_is_the_same_in_all_of_them():
    commands = [*cli.commands.values(), *cli.commands["commands"].commands.values()]
    for name in ("cache", "workers", "gpus", "device", "threads", "partial_ok", "max_array_size"):
        options = [option.to_info_dict() for command in commands for option in command.params if option.name == name]
        assert len(options) > 1
        assert all(option == options[0] for option in options)


def test_options_of_tables_that_do_not_count_for_a_known_dataset_are_said(command, tmp_path):
    own = ("--metadata_only", "--cache", tmp_path)
    assert command("download", "synthband", "--songs", "1", "--workers", "1", "--cache", tmp_path).returncode == 0
    assert "did not count" not in command("process", "synthband", *own).stdout
    said = command("process", "synthband", "--seed", "0", "--label", "genre", *own)
    assert (said.returncode, said.stderr) == (0, "")
    assert "--label, --seed did not count: synthband has labels and splits of its own" in said.stdout
    (tmp_path / "labels.csv").write_text("uid,label\n" + "".join(f"{index},{'ab'[index % 2]}\n" for index in range(12)))
    (tmp_path / "audio").mkdir()
    table = ("folder", "--audio", tmp_path / "audio", "--labels", tmp_path / "labels.csv", "--name", "mine")
    assert "did not count" not in command("process", *table, "--seed", "3", *own).stdout
