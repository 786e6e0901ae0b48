"""The table of costs, as `make plan COST=1` prints it and as docs/cluster.md shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.launch import cost_table, estimates

ROOT = Path(__file__).resolve().parents[2]


def plan(cache, datasets, representations, *more):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", cache, "--plan", "--cost"]
    arguments = ["--datasets", datasets, "--representations", representations, *more]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_the_page_shows_what_the_command_says(tmp_path):
    """If this fails: `python -m bench.speeds --page`."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    (shown,) = re.findall(r"<!-- costs: .*? -->\n\n```\n(.*?)\n```\n\n<!-- end of costs -->", page, flags=re.DOTALL)
    assert shown == cost_table.table(estimates.estimate([], [], Cache(tmp_path / "cache")))


def test_the_command_prints_the_table_and_touches_nothing(tmp_path):
    pytest.importorskip("snakemake", reason="needs the extra [workflow]")
    done = plan(tmp_path / "cache", "synthband gtzan_ff", "mfcc", "--layers", "stemjepa", "--songs", "24")
    assert (done.returncode, done.stderr) == (0, "")
    made = estimates.estimate(["synthband", "gtzan_ff"], ["mfcc"], Cache(tmp_path / "cache"), layers=["stemjepa"], songs=24)
    assert done.stdout == cost_table.table(made) + "\n"
    assert not (tmp_path / "cache").exists()


def test_what_is_unknown_is_one_line(tmp_path):
    done = plan(tmp_path / "cache", "gtzan_ff", "nosuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"make reproduce: unknown representation 'nosuch': choose one of .*\n", done.stderr)
    done = plan(tmp_path / "cache", "gtzan_ff", "mfcc jukebox", "--precomputed")
    assert done.returncode == 0
    assert "jukebox-jukemir" in done.stdout


@pytest.mark.parametrize(
    ("variables", "datasets", "representations"),
    [
        (["COST=1"], "", ""),
        (["COST=1", "DATASETS=mine"], "mine", ""),
        (["COST=1", "REPRESENTATIONS=mfcc chroma"], "", "mfcc chroma"),
        (["COST=1", "PRECOMPUTED=1"], "gtzan_ff giantsteps_clips magnatagatune emomusic", "chroma mfcc choi musicnn clmr jukebox"),
        ([], "synthband", "chroma mfcc stemjepa stemjepa-untrained stemjepa-reproduce"),
        (["COST=0"], "synthband", "chroma mfcc stemjepa stemjepa-untrained stemjepa-reproduce"),
    ],
)
def test_make_asks_for_all_where_none_is_named(variables, datasets, representations):
    environment = {"PATH": "/usr/bin:/bin"}  # in which no variable of the Makefile is set
    said = subprocess.run(["make", "-n", "plan", *variables], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    command = said[said.rindex("scripts/reproduce.py") :]
    assert re.findall(r'--datasets "([^"]*)"', command)[-1] == datasets
    assert re.findall(r'--representations "([^"]*)"', command)[-1] == representations
    assert ("--cost" in command) == ("COST=1" in variables)
