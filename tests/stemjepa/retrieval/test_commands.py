"""`retrieve` and `evaluate-retrieval`: each once in a process of its own, as users call it, the rest inside this one."""

import csv
import json
import sys

import click
import numpy as np
import pytest
import soundfile

from jukemir_like.cli import retrieval
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint


@pytest.fixture
def refusal(common):
    """The error of a wrong request."""

    def run(command, arguments):
        with pytest.raises((RequestError, click.ClickException)) as raised:
            command.main([*common, *arguments], standalone_mode=False)
        assert raised.value.exit_code == 2
        message = raised.value.format_message() if isinstance(raised.value, click.ClickException) else str(raised.value)
        assert "\n" not in message
        return message

    return run


def test_retrieve_prints_a_table_or_json_and_embeds_once(command, common, library, tmp_path, capsys):
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "bass", "--library", str(library), "--top", "3"]
    done = command("retrieve", *common, *request)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "path"]
    assert len(lines) == 2 + 3
    assert "4 done, 0 kept, 0 failed" in done.stderr
    assert retrieval.retrieve.main([*common, *request, "--json"], standalone_mode=False) == 0
    again = capsys.readouterr()
    assert "0 done, 4 kept, 0 failed" in again.err
    found = json.loads(again.out)
    assert [entry["path"] for entry in found["results"]] == [line.split()[2] for line in lines[2:]]
    assert (found["instrument"], found["files"], found["failed"], found["silent"]) == ("bass", 4, {}, [])


def test_segments_say_where_the_part_begins(common, library, tmp_path, capsys):
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "bass", "--library", str(library), "--segments", *common]
    assert retrieval.retrieve.main(request, standalone_mode=False) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "score", "path", "from,", "s"]
    assert retrieval.retrieve.main([*request, "--json"], standalone_mode=False) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [f"{entry['start_seconds']:g}" for entry in printed["results"]] == [row.split()[-1] for row in rows]
    assert printed["chunk_seconds"] > 0


def test_other_keys_and_tempos_have_columns_and_fields_only_if_asked_for(common, library, tmp_path, capsys):
    pytest.importorskip("python_stretch")
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "bass", "--library", str(library), *common]

    def columns_and_results(*more):
        assert retrieval.retrieve.main([*request, *more], standalone_mode=False) == 0
        header, _, *rows = capsys.readouterr().out.splitlines()
        assert retrieval.retrieve.main([*request, *more, "--json"], standalone_mode=False) == 0
        return header.split(), [row.split() for row in rows], json.loads(capsys.readouterr().out)["results"]

    header, _, plain = columns_and_results()
    assert (header, set(plain[0])) == (["rank", "score", "path"], {"rank", "score", "path"})
    header, rows, results = columns_and_results("--transpose", "2")
    assert header == ["rank", "score", "path", "semitones"]
    assert [int(row[-1]) for row in rows] == [result["semitones"] for result in results]
    assert {result["semitones"] for result in results} <= {-2, -1, 0, 1, 2}
    assert "tempo_percent" not in results[0]
    scores = {result["path"]: result["score"] for result in plain}
    assert all(result["score"] >= scores[result["path"]] for result in results)
    header, rows, results = columns_and_results("--transpose", "1", "--stretch", "5", "--segments")
    assert header == ["rank", "score", "path", "from,", "s", "semitones", "tempo"]
    assert {row[-1] for row in rows} == {"?"}  # 1.5 s are too short for a tempo
    assert [result["tempo_percent"] for result in results] == [None] * 4
    assert list(results[0]) == ["rank", "score", "path", "start_seconds", "semitones", "tempo_percent"]
    header, _, results = columns_and_results("--stretch", "5")
    assert header == ["rank", "score", "path", "tempo"]
    assert [result["score"] for result in results] == [result["score"] for result in plain]


def test_a_page_of_stems_in_other_keys_and_tempos(common, library, tmp_path, capsys):
    pytest.importorskip("python_stretch")
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "bass", "--library", str(library), *common]
    page = tmp_path / "fits.html"
    assert (
        retrieval.retrieve.main([*request, "--transpose", "3", "--stretch", "5", "--page", str(page), "--json"], standalone_mode=False) == 0
    )
    changed = [result["semitones"] for result in json.loads(capsys.readouterr().out)["results"] if result["semitones"]]
    assert changed
    data = json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])
    notes = [note for one in data["comparisons"][0]["candidates"] for note in one["notes"]]
    assert [note.split()[0].replace("−", "-") for note in notes if "semitone" in note] == [f"{semitones:+d}" for semitones in changed]
    assert notes.count("no tempo found that fits") == 4
    assert dict(data["facts"])["stretched"] == "by up to 5 %"
    assert f"{len(changed)} of them" in data["lead"]


def test_without_the_stretcher_a_search_is_refused_before_it_begins(refusal, common, library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "bass", "--library", str(library)]
    for more in (["--transpose", "2"], ["--stretch", "2", "--page", str(tmp_path / "fits.html")]):
        assert 'pip install "jukemir-like[deform]"' in refusal(retrieval.retrieve, [*request, *more])
    assert not (tmp_path / "fits.html").exists()
    assert not (tmp_path / "cache").exists()
    assert retrieval.retrieve.main([*common, *request, "--stretch", "2"], standalone_mode=False) == 0  # which only says what it would do


def test_channels_that_are_mixed_down_are_said(common, library, tmp_path, capsys):
    random = np.random.default_rng(0)
    for name, channels in (("library/four", 4), ("library/six", 6), ("library/more", 4), ("library/two", 2), ("context", 4), ("pair", 2)):
        soundfile.write(tmp_path / f"{name}.wav", random.uniform(-0.1, 0.1, (9000, channels)), 16000)
    request = ["--instrument", "bass", "--library", str(library), "--json", *common]

    def notes(context):
        assert retrieval.retrieve.main(["--context", str(tmp_path / context), *request], standalone_mode=False) == 0
        printed = capsys.readouterr()
        found = json.loads(printed.out)["notes"]
        assert all(f"  {note}\n" in printed.err for note in found)
        return found

    of_library = "files with more than two channels, mixed down with equal weights: 2 of 4, 1 of 6 channels"
    for _ in range(2):  # as well where the index knows them
        assert notes("context.wav") == ["the context has 4 channels: mixed down with equal weights", of_library]
    assert notes("pair.wav") == [of_library]
    (tmp_path / "dataset.json").write_text('{"stems": ["bass", "drums", "other", "vocals"]}')
    says = "the context is 4 stems by dataset.json (bass, drums, other, vocals): mixed down with equal weights, bass among them"
    assert notes("context.wav") == [says, of_library]
    (tmp_path / "dataset.json").write_text('{"stems": ["voice", "band"]}')
    assert notes("pair.wav") == ["the context is 2 stems by dataset.json (voice, band): mixed down with equal weights", of_library]
    (tmp_path / "dataset.json").write_text("some other program's")
    assert notes("pair.wav") == [of_library]


def test_retrieve_goes_on_past_bad_files_and_ends_with_3(common, library, tmp_path, capsys):
    (library / "bad.wav").write_bytes(b"nothing")
    request = ["--context", str(tmp_path / "mix.wav"), "--instrument", "vocals", "--library", str(library)]
    assert retrieval.retrieve.main([*common, *request], standalone_mode=False) == 3
    printed = capsys.readouterr()
    assert "failed: bad.wav: cannot be decoded" in printed.err
    assert len(printed.out.splitlines()) == 2 + 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--instrument": "kazoo"}, "bass, drums, other, vocals"),
        ({"--library": "{}/empty"}, "no audio files in"),
        ({"--library": "{}/nowhere"}, "is not a folder"),
        ({"--context": "{}/nowhere.wav"}, "does not exist"),
        ({"--context": "{}/text.wav"}, "cannot be decoded"),
        ({"--top": "0"}, "--top"),
        ({"--transpose": "0"}, "--transpose"),
        ({"--transpose": "7"}, "--transpose"),
        ({"--transpose": "1.5"}, "--transpose"),
        ({"--stretch": "11"}, "--stretch"),
        ({"--stretch": "-2"}, "--stretch"),
        ({"--weights": "nosuch"}, "nosuch"),
    ],
)
def test_a_wrong_search_is_one_line(refusal, library, tmp_path, change, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("text")
    request = {"--context": f"{tmp_path}/mix.wav", "--instrument": "bass", "--library": str(library)}
    request |= {option: value.format(tmp_path) for option, value in change.items()}
    assert words in refusal(retrieval.retrieve, [part for pair in request.items() for part in pair])


def test_evaluate_retrieval_writes_table_and_plot_and_prints_them(command, common, songs, tmp_path, capsys):
    soundfile.write(songs / "mono.wav", np.ones(9000) * 0.1, 16000)
    done = command("evaluate-retrieval", *common, "--data", songs)
    assert done.returncode == 3, done.stderr
    assert "failed: mono.wav: is mono" in done.stderr
    name = f"small-{checkpoint.header(tmp_path / 'weights' / 'small.safetensors').digest[:8]}"  # no other weights' results are there
    folder = tmp_path / "cache" / "retrieval" / "songs" / name
    with open(folder / "retrieval.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["dataset"] for row in rows} == {"songs"}
    assert {row["weights"] for row in rows} == {name}
    assert (folder / "retrieval.png").read_bytes().startswith(b"\x89PNG")
    assert "times chance" in done.stdout
    (songs / "mono.wav").unlink()
    arguments = [*common, "--data", str(songs), "--output", str(tmp_path / "out")]
    assert retrieval.evaluate_retrieval.main(arguments, standalone_mode=False) == 0
    assert "6 done, 0 kept, 0 failed" in capsys.readouterr().out
    assert (tmp_path / "out" / "retrieval.csv").read_bytes() == (folder / "retrieval.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "a", "--dataset", "b"], "not both"),
        ([], "jukemir-like process synthband_stems"),
        (["--data", "/nowhere"], "there is no folder /nowhere"),
        (["--data", "{}/empty"], "empty"),
        (["--data", "{}/songs", "--split", "test"], "leave --split out"),
        (["--data", "{}/songs", "--weights", "nosuch"], "nosuch"),
    ],
)
def test_a_wrong_evaluation_is_one_line(refusal, songs, tmp_path, arguments, words):
    assert songs.is_dir()
    (tmp_path / "empty").mkdir()
    assert words in refusal(retrieval.evaluate_retrieval, [argument.format(tmp_path) for argument in arguments])
