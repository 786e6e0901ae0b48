"""Which columns are labels, and which tasks they make."""

import pytest

from jukemir_like.core.errors import RequestError


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
    assert "evaluation" in described(make(table))["Fold"]["notes"][0]
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
