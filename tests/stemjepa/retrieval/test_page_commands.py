"""`retrieve --page` and `evaluate-retrieval --page`, as commands: exit codes, what is printed where, and requests that go wrong."""

import base64
import io
import json
import os
import re

import click
import numpy as np
import pytest
import soundfile

from jukemir_like.cli import retrieval
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.core.stems import STEMS
from jukemir_like.stemjepa.retrieval import evaluation
from jukemir_like.stemjepa.retrieval import library as library_module

RATE = 16000


@pytest.fixture
def retrieve(common, library, tmp_path, capsys):
    """``retrieve(*words, context="mix.wav")``: exit code, standard output, standard error, and the data of the page."""

    def run(*words, context="mix.wav", page="fits.html"):
        request = ["--context", str(tmp_path / context), "--instrument", "bass", "--library", str(library), "--page", str(tmp_path / page)]
        capsys.readouterr()
        code = retrieval.retrieve.main([*common, *request, *words], standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err, data(tmp_path / page)

    return run


def data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL).group(1))


def seconds_of(sound):
    with soundfile.SoundFile(io.BytesIO(base64.b64decode(sound["audio"]["base64"]))) as file:
        return file.frames / file.samplerate


@pytest.fixture
def changing(library, monkeypatch):
    """The library changes when it is indexed: a file is removed, another one overwritten."""
    open_library = library_module.open_library

    def change_after(*arguments, **options):
        opened = open_library(*arguments, **options)
        (library / "0.wav").unlink()
        (library / "1.wav").write_text("no audio any more")
        return opened

    monkeypatch.setattr(library_module, "open_library", change_after)


@pytest.mark.usefixtures("changing")
def test_a_candidate_that_is_gone_is_shown_as_such_and_the_code_is_3(retrieve):
    code, out, err, page = retrieve()
    assert code == 3
    assert len(out.splitlines()) == 2 + 4
    lines = err.splitlines()
    assert sum(line.startswith("  failed: 0.wav: ") and "no such file" in line.lower() for line in lines) == 1
    assert sum(line.startswith("  failed: 1.wav: cannot be heard: cannot be decoded") for line in lines) == 1
    assert lines[-1].startswith("written: ")
    candidates = {one["name"]: one for one in page["comparisons"][0]["candidates"]}
    assert {name: one["audio"] is None for name, one in candidates.items()} == {
        "0.wav": True,
        "1.wav": True,
        "2.wav": False,
        "3.wav": False,
    }
    assert all(candidates[name]["problem"].startswith("cannot be heard: ") for name in ("0.wav", "1.wav"))


@pytest.mark.usefixtures("changing")
def test_json_stays_json(retrieve):
    code, out, err, _ = retrieve("--json")
    assert code == 3
    assert {entry["path"] for entry in json.loads(out)["results"]} == {f"{number}.wav" for number in range(4)}
    assert "failed: 0.wav" in err
    assert sorted(json.loads(out)["failed"]) == ["0.wav", "1.wav"]


def test_it_says_where_the_page_is_and_makes_its_folder(retrieve, tmp_path):
    code, out, err, page = retrieve(page="new/folder/Fits.HTML")
    assert code == 0
    assert err.splitlines()[-1] == f"written: {tmp_path}/new/folder/Fits.HTML (open it in a browser)"
    assert "written" not in out
    assert [one["name"] for one in page["comparisons"][0]["candidates"]] == [line.split()[2] for line in out.splitlines()[2:]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--page", "folder.html"], "is a directory"),
        (["--page", "file/fits.html"], "a file stands where a folder must be"),
        (["--page", "mix.wav"], "let it end in .html"),
        (["--page", ""], "let it end in .html"),
        (["--page", f"{300 * 'x'}.html"], "its name is too long"),
        (["--page", "/proc/fits.html"], "cannot write /proc/fits.html"),
        pytest.param(
            ["--page", "readonly/fits.html"],
            "permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere"),
        ),
        (["--page_seconds", "0"], "--page_seconds"),
        (["--page_seconds", "-30"], "--page_seconds"),
        (["--page_seconds", "601"], "--page_seconds"),
        (["--page_seconds", "nan"], "nan is no number"),
        (["--page_seconds", "inf"], "--page_seconds"),
        (["--page_seconds", "long"], "--page_seconds"),
    ],
)
def test_a_page_that_cannot_be_is_one_line(retrieve, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "readonly").mkdir(mode=0o555)
    before = (tmp_path / "mix.wav").read_bytes()
    with pytest.raises((JukemirLikeError, click.ClickException)) as raised:
        retrieve(*words)
    message = raised.value.format_message() if isinstance(raised.value, click.ClickException) else str(raised.value)
    assert raised.value.exit_code == 2
    assert says in message
    assert "\n" not in message
    assert (tmp_path / "mix.wav").read_bytes() == before
    assert not (tmp_path / "fits.html").exists()


def test_as_many_seconds_are_heard_as_asked_for(retrieve):
    _, _, _, page = retrieve("--page_seconds", "1.25")
    (comparison,) = page["comparisons"]
    assert comparison["seconds"] == 1.25
    assert {seconds_of(sound) for sound in (comparison["mix"], *comparison["candidates"])} == {1.25}


@pytest.mark.parametrize(
    ("name", "samples", "rate", "says"),
    [
        ("silent", np.zeros(RATE), RATE, "silent"),
        ("short", np.zeros(0), RATE, "holds no samples"),
        ("not finite", np.full(RATE, np.nan), RATE, "finite"),
    ],
)
def test_a_mix_that_cannot_be_asked_about_is_one_line(retrieve, tmp_path, name, samples, rate, says):
    soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
    with pytest.raises(JukemirLikeError) as raised:
        retrieve(context=f"{name}.wav")
    assert raised.value.exit_code in (2, 3)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "fits.html").exists()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48000, 6), (192000, 2)])
def test_a_mix_of_any_rate_and_number_of_channels_is_heard(retrieve, tmp_path, rate, channels):
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "other.wav", random.uniform(-0.3, 0.3, (2 * rate, channels)), rate)
    code, _, err, page = retrieve(context="other.wav")
    assert code == 0
    assert ("6 channels" in err) == (channels == 6)
    (comparison,) = page["comparisons"]
    assert [seconds_of(sound) for sound in (comparison["mix"], comparison["candidates"][0])] == [2.0, 2.0]
    assert max(comparison["mix"]["peaks"]) == 100


def own_stems(folder, stems):
    for song, names in enumerate((("flute", "oud"), ("flute", "oud", "kazoo"), ("kazoo", "flute"))):
        for name, samples in zip(names, stems(song), strict=False):
            path = folder / f"song {song}" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, RATE)
    return folder


@pytest.fixture
def evaluate(common, tmp_path, capsys):
    """``evaluate(data, *words)``: exit code, standard output, standard error, and the data of the page."""

    def run(folder, *words, page="misses.html"):
        request = ["--data", str(folder), "--output", str(tmp_path / "out"), "--page", str(tmp_path / page)]
        capsys.readouterr()
        code = retrieval.evaluate_retrieval.main([*common, *request, *words], standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err, data(tmp_path / page)

    return run


def test_stems_of_free_names_are_called_by_them(evaluate, tmp_path, stems):
    code, out, _, page = evaluate(own_stems(tmp_path / "band", stems), "--stems", "instruments")
    assert code == 0
    assert f"written: {tmp_path}/misses.html (open it in a browser)" in out.splitlines()
    found = {comparison["instrument"]: comparison["of"] for comparison in page["comparisons"]}
    assert found == {"flute": 3, "oud": 2, "kazoo": 2}
    for comparison in page["comparisons"]:
        assert comparison["mix"]["name"] == f"{comparison['name']} without {comparison['instrument']}"
        assert all(one["name"].endswith(f", {comparison['instrument']}") for one in comparison["candidates"])
        assert sum("correct" in one["marks"] for one in comparison["candidates"]) == 1


@pytest.mark.parametrize("kind", [pytest.param("usual", marks=pytest.mark.slow), "own"])
def test_a_track_that_is_damaged_after_it_was_ranked_costs_only_itself(evaluate, songs, stems, tmp_path, monkeypatch, kind):
    folder, words = (songs, ()) if kind == "usual" else (own_stems(tmp_path / "band", stems), ("--stems", "instruments"))
    victim = folder / "0.wav" if kind == "usual" else folder / "song 1" / "flute.wav"
    name = "0" if kind == "usual" else "song 1"
    evaluate_folder = evaluation.evaluate_folder

    def damage_after(*arguments, **options):
        evaluated = evaluate_folder(*arguments, **options)
        victim.write_text("no audio any more")
        return evaluated

    monkeypatch.setattr(evaluation, "evaluate_folder", damage_after)
    code, out, err, page = evaluate(folder, *words)
    assert code == 3
    assert f"failed: {name}: " in err
    assert "written: " in out
    shown = [one for comparison in page["comparisons"] for one in comparison["candidates"]]
    assert any(one["audio"] is None and one["problem"].startswith("cannot be heard") for one in shown)
    assert any(one["audio"] for one in shown)
    assert {comparison["instrument"] for comparison in page["comparisons"]} >= set(STEMS if kind == "usual" else ("flute", "oud"))
    assert name not in {comparison["name"] for comparison in page["comparisons"]}  # its mix cannot be heard
