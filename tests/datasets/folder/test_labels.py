"""Which columns are labels, which tasks they make, and how that is reported by `process folder` and kept in dataset.json."""

import json

import pytest

from jukemir_like.cli import cli
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.folder import labels
from jukemir_like.datasets.processed import read_processed
from jukemir_like.probes import tasks
from jukemir_like.process import process


def described(made):
    return {column["column"]: column for column in made.understood["columns"]}


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "unnamed: 0.1", "index", "level_0"])
def test_the_index_of_a_data_frame_is_no_label(make, first):
    made = make(f"{first},uid,bpm\n0,a,120.5\n1,b,90.5\n7,c,100.5\n")
    assert list(made.tasks) == ["bpm"]
    assert described(made)[first or "Unnamed: 0"]["use"] == "ignored"


@pytest.mark.parametrize("start", [0, 1])
def test_what_counts_the_rows_is_no_label_but_by_name(make, start):
    table = "uid,no,bpm\n" + "".join(f"f{row},{start + row},{row}.5\n" for row in range(6))
    assert list(make(table).tasks) == ["bpm"]
    assert "counts the rows" in described(make(table))["no"]["notes"][0]
    assert list(make(table, label_columns=["no"]).tasks) == ["no"]
    with pytest.raises(RequestError, match=r"no label column .*'no' counts the rows.*--label"):
        make(table.replace(",bpm", ",group"))


def test_a_fold_is_no_label_but_by_name(make):
    table = "uid,Fold,genre\na,1,rock\nb,2,jazz\nc,1,rock\n"
    assert list(make(table).tasks) == ["genre"]
    assert described(make(table))["Fold"]["use"] == "fold"
    assert make(table, label_columns=["fold"]).tasks["Fold"].labels == ("1", "2")


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_reserved_columns_are_no_labels_in_any_case(make, case):
    made = make(f"{case('uid')},{case('split')},{case('group')},label\na,train,x,1.5\nb,test,y,2.5\nc,valid,x,3.5\n")
    assert list(made.tasks) == ["label"]
    assert [item.split for item in made.items] == ["train", "test", "valid"]
    assert [item.extra for item in made.items] == [{"group": "x"}, {"group": "y"}, {"group": "x"}]


def test_a_column_of_groups_that_is_not_there_is_refused(make):
    with pytest.raises(RequestError, match="no column 'artst'; its columns are: uid, artist, label"):
        make("uid,artist,label\na,x,1\n", group_column="artst")
    assert make("uid,Artist,label\na,x,1.5\nb,y,2\n", group_column="artist").items[0].extra == {"artist": "x"}
    with pytest.raises(RequestError, match="kept for"):
        make("uid,failed,label\na,x,1\n", group_column="failed")


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("yes", "no"), ("Y", "n")])
def test_flags_are_tags_however_they_are_written(make, yes, no):
    made = make(f"uid,loud,fast\na,{yes},{no}\nb,{yes},{yes}\nc,{no},{no}\n")
    assert (made.tasks["tags"].type, made.tasks["tags"].labels) == ("multilabel", ("loud", "fast"))
    assert [item.y for item in made.items] == [["loud"], ["loud", "fast"], []]
    one = make(f"uid,loud\na,{yes}\nb,{no}\nc,{yes}\n", task_type="multilabel")
    assert (one.tasks["loud"].labels, [item.y for item in one.items]) == (("loud",), [["loud"], [], ["loud"]])
    assert make(f"uid,loud\na,{yes}\nb,{no}\n").tasks["loud"].type == "multiclass"


def test_flags_beside_other_columns_are_tags_too(make):
    made = make("uid,genre,loud,fast\na,rock,1,\nb,jazz,1,0\nc,rock,0,1\n")
    assert made.tasks.keys() == {"genre", "tags"}
    assert [item.y["tags"] for item in made.items] == [None, ["loud"], ["fast"]]
    assert make("uid,genre,loud,fast\na,rock,1,1\n", column_types={"loud": "multiclass"}).tasks.keys() == {"genre", "loud", "fast"}


@pytest.mark.parametrize("word", ["NA", "NaN", "nan", "None", "null", "-", ""])
def test_a_missing_label_of_one_task_keeps_the_item_for_the_others(make, word):
    made = make(f"uid,genre,bpm,key\na,{word},120.5,C major\nb,jazz,{word},{word}\nc,rock,90.5,d minor\n")
    assert {name: task.type for name, task in made.tasks.items()} == {"genre": "multiclass", "bpm": "regression", "key": "key"}
    assert made.tasks["genre"].labels == ("jazz", "rock")
    assert made.items[0].y == {"genre": None, "bpm": [120.5], "key": "C major"}
    assert made.items[1].y == {"genre": "jazz", "bpm": None, "key": None}
    assert all(item.source is not None and "failed" not in item.extra for item in made.items)
    assert [described(made)[name]["missing"] for name in ("genre", "bpm", "key")] == [{word: 1}] * 3


@pytest.mark.parametrize("word", ["NA", "NaN", "None", "null", "-", ""])
def test_two_outputs_stay_one_regression_where_values_are_missing(make, word):
    made = make(f"uid,arousal,valence\na,1.5,{word}\nb,3,4.5\nc,2.5,1\n")
    assert (made.tasks["values"].type, made.tasks["values"].labels) == ("regression", ("arousal", "valence"))
    assert [item.y for item in made.items] == [None, [3.0, 4.5], [2.5, 1.0]]
    assert made.items[0].extra["failed"] == "has no label"


def test_types_are_said_for_all_columns_or_for_one(make):
    table = "uid,mood,tempo\na,3,1\nb,3,2\nc,4,1\n"
    assert {task.type for task in make(table).tasks.values()} == {"multiclass"}
    assert make(table, task_type="regression").tasks["values"].labels == ("mood", "tempo")
    mixed = make(table, task_type="regression", column_types={"mood": "multiclass"})
    assert {name: task.type for name, task in mixed.tasks.items()} == {"mood": "multiclass", "tempo": "regression"}
    with pytest.raises(RequestError, match="no column 'mod'"):
        make(table, column_types={"mod": "key"})
    with pytest.raises(RequestError, match="'uid' is not a label column"):
        make(table, column_types={"uid": "key"})
    with pytest.raises(RequestError, match="unknown type of task 'number': choose one of"):
        make(table, column_types={"mood": "number"})


def test_a_tag_that_all_have_is_said(make):
    made = make("uid,loud,fast\na,yes,no\nb,yes,yes\n")
    assert any("all items have the same value" in note for note in described(made)["loud"]["notes"])
    assert not any("all items have the same value" in note for note in described(made)["fast"]["notes"])


def test_a_column_called_as_the_flags_task_is_refused(make):
    with pytest.raises(RequestError, match="column 'tags' has the name of the task of loud, fast"):
        make("uid,tags,loud,fast\na,x;y,1,0\nb,x,1,0\n")


def test_a_name_that_no_folder_can_have_is_refused(make):
    with pytest.raises(RequestError, match="too long"):
        make(f"uid,{'é' * 60}\na,x\n")


TABLE = """;path;Genre;bpm;Split;digit;moods;live;vocal;fold
0;A/03.wav;rock;120,5;train;1.0;a|b;True;no;1
1;b;rock;99,1;evaluation;2.0;a;False;yes;2
2;c.1;NA;n/a;dev;1.0;b|c;True;yes;3
3;d;jazz;70;Training;2.0;a;;no;4
4;e;jazz;71,5;test;;c;False;no;5
5;f;jazz;71,5;val;1.0;-;False;no;5
"""


@pytest.fixture
def own(tmp_path, write_audio):
    """The arguments of `process folder` for a folder of six files and a table of them."""
    for number, name in enumerate(["A/03", "b", "c.1", "d", "e", "f"]):
        write_audio(tmp_path / "audio" / f"{name}.wav", seconds=0.1, seed=number)
    (tmp_path / "labels.csv").write_text(TABLE)
    return ["process", "folder", "--audio", tmp_path / "audio", "--labels", tmp_path / "labels.csv", "--cache", tmp_path / "cache"]


def test_the_command_says_what_it_understood_and_keeps_it(command, own, tmp_path):
    done = command(*own, "--name", "mine", "--task", "digit=regression", "--task", "vocal=multiclass")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: " ".join(line.split()) for line in done.stdout.splitlines()}
    assert "6 rows, separated by ';', UTF-8" in done.stdout
    assert lines["Genre"] == "Genre multiclass 2: jazz (3), rock (2) 1 (NA 1) 2 1 2"
    assert lines["bpm"] == "bpm regression 70 to 120.5 1 (n/a 1) 2 1 2"
    assert lines["digit"] == "digit regression 1 to 2 1 (empty 1) 2 2 1"
    assert lines["moods"] == "moods multilabel 3: a (3), b (2), c (2) 1 (- 1) 2 1 2"
    assert lines["vocal"] == "vocal multiclass 2: no (4), yes (2) 0 2 2 2"
    assert lines["fold"].startswith("fold ignored is the number of a fold")
    assert "Unnamed: 0  ignored" in done.stdout
    assert "bpm: decimal commas" in done.stdout
    assert "--task moods=multiclass" in done.stdout
    assert "to change it: --task COLUMN=TYPE" in done.stdout
    described = json.loads((tmp_path / "cache" / "processed" / "mine" / "dataset.json").read_text())
    column = {column["column"]: column for column in described["understood"]["columns"]}
    assert column["Genre"] == {
        "column": "Genre", "use": "label", "task": "Genre", "type": "multiclass", "labels": {"jazz": 3, "rock": 2},
        "missing": {"NA": 1}, "items": {"train": 2, "valid": 1, "test": 2}, "notes": [],
    }  # fmt: skip
    assert column["bpm"]["range"] == [70.0, 120.5]
    assert column["Split"] == {"column": "Split", "use": "split"}
    assert described["understood"]["change"] in done.stdout
    assert described["items"] == {"train": 2, "valid": 2, "test": 2}


def test_without_audio_it_says_how_many_records_it_wrote(command, own):
    done = command(*own, "--metadata_only")
    assert "process folder: 6 done, 0 kept, 0 failed" in done.stdout
    assert "6 records in meta.json" in done.stdout
    assert "understood as:" in done.stdout


def test_a_column_s_type_is_said_once(command, own):
    done = command(*own, "--task", "bpm=regression", "--task", "bpm=key")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "twice" in done.stderr


@pytest.mark.parametrize("name", ["gtzan_ff", "magnatagatune+artist_clean"])
def test_a_folder_does_not_take_the_place_of_a_known_dataset(command, own, name):
    done = command(*own, "--name", name)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"{name} is the name of a known dataset" in done.stderr


def test_an_item_without_one_label_is_probed_on_the_others(make, tmp_path):
    splits = ["train", "train", "valid", "valid", "test", "test"]
    table = "uid,split,genre,bpm\n" + "".join(
        f"f{row},{split},{'rock' if row % 2 else 'jazz'},{row}.5\n" for row, split in enumerate(splits)
    )
    made = make(f"{table}g,train,NA,7.5\nh,test,rock,-\n", files=[f"{name}.wav" for name in ("f0", "f1", "f2", "f3", "f4", "f5", "g", "h")])
    process(made, Cache(tmp_path).processed("mine"), metadata_only=True)
    processed = read_processed(Cache(tmp_path).processed("mine"))
    sizes = {}
    for name, task in processed.tasks.items():
        data = tasks.prepare(processed, task, tasks.without_vectors(processed, list(processed.items)))
        sizes[name] = {split: len(of_split.uid) for split, of_split in data.splits.items()} | {"no_label": data.left_out["no_label"]}
    assert sizes == {
        "genre": {"train": 2, "valid": 2, "test": 3, "no_label": 1},
        "bpm": {"train": 3, "valid": 2, "test": 2, "no_label": 1},
    }


def test_of_many_tags_some_columns_are_shown_and_all_are_kept(make):
    tags = [f"t{number}" for number in range(40)]
    made = make(f"uid,{','.join(tags)}\na,{','.join('1' * 40)}\nb,{','.join('0' * 40)}\n")
    lines = labels.description_lines(made.understood)
    assert len(lines) < 20
    assert "30 more columns of tags" in lines
    assert len(made.understood["columns"]) == 41


def test_odd_names_and_labels_are_printed_on_one_line(make):
    made = make('uid,"la\nbel","\x1b[31m"\na,"x\ny",1.5\nb,"\x07",2\nc,"x\ny",-\n')
    assert all(line.isprintable() for line in labels.description_lines(made.understood))
    assert [item.y["la\nbel"] for item in made.items] == ["x\ny", "\x07", "x\ny"]


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "x" * 300, "a\nb"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["process", "folder", "--audio", ".", "--labels", "none.csv", "--name", "{}"],
        ["process", "{}"],
        ["extract", "chroma", "--dataset", "{}"],
        ["probe", "{}", "chroma"],
        ["probe", "mine", "{}"],
        ["audit", "{}"],
        ["evaluate-retrieval", "--dataset", "{}"],
        ["extract", "stemjepa-{}", "in", "out"],
        ["download", "{}"],
        ["report", "--dataset", "{}"],
    ],
)
def test_a_name_that_leads_out_of_the_cache_is_refused_by_every_stage(arguments, name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "here" / "cache"))
    with pytest.raises(RequestError):
        cli.main([argument.format(name) for argument in arguments], standalone_mode=False)
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]
    assert list((tmp_path / "here").iterdir()) == []
