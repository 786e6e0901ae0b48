"""A user's own folder and table as a dataset."""

from collections import Counter

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS


@pytest.mark.parametrize(
    ("table", "type", "labels", "y"),
    [
        ("uid,label\na,rock\nb,jazz\n", "multiclass", ("jazz", "rock"), ["rock", "jazz"]),
        ("uid,label\na,loud;fast\nb,loud\n", "multilabel", ("fast", "loud"), [["loud", "fast"], ["loud"]]),
        ("uid,label\na,1.5\nb,-2\n", "regression", ("label",), [[1.5], [-2.0]]),
        ("uid,label\na,F# minor\nb,eb major\n", "key", KEYS, ["Gb minor", "Eb major"]),
        ("uid,arousal,valence\na,1,2\nb,3,4.5\n", "regression", ("arousal", "valence"), [[1.0, 2.0], [3.0, 4.5]]),
        ("uid,loud,fast\na,1,0\nb,1,1\n", "multilabel", ("loud", "fast"), [["loud"], ["loud", "fast"]]),
        ("uid\tlabel\na\trock, hard\nb\tjazz\n", "multiclass", ("jazz", "rock, hard"), ["rock, hard", "jazz"]),
    ],
)
def test_the_kind_of_task_follows_from_the_values(make, table, type, labels, y):
    made = make(table, name="labels.tsv" if "\t" in table else "labels.csv")
    (task,) = made.tasks.values()
    assert (task.type, task.labels) == (type, labels)
    assert [item.y for item in made.items] == y


def test_several_columns_of_different_kinds_are_several_tasks(make):
    made = make("path,genre,bpm\na.wav,rock,120\nb.wav,jazz,90\n")
    assert {name: task.type for name, task in made.tasks.items()} == {"genre": "multiclass", "bpm": "regression"}
    assert made.items[0].y == {"genre": "rock", "bpm": [120.0]}


def test_a_kind_can_be_said_and_columns_chosen(make):
    made = make("uid,digit,comment\na,0,x\nb,1,y\n", label_columns=["digit"], task_type="multiclass")
    assert made.tasks["digit"].type == "multiclass"
    assert [item.y for item in made.items] == ["0", "1"]


@pytest.mark.parametrize("named", ["x/a.wav", "x/a", "a", "a.wav", "./x/a.wav"])
def test_a_file_may_be_named_by_path_stem_or_bare_name(make, named):
    made = make(f"path,label\n{named},rock\n", files=["x/a.wav", "b.wav"])
    assert made.items[0].source.name == "a.wav"
    assert made.items[0].uid == "x/a"


def test_a_byte_order_mark_and_spaces_do_no_harm(make):
    made = make(b"\xef\xbb\xbfuid , label\r\n a , rock \r\nb,jazz\r\n")
    assert [item.uid for item in made.items] == ["a", "b"]
    assert [item.y for item in made.items] == ["rock", "jazz"]


def test_a_row_without_label_or_without_file_carries_its_reason(make):
    made = make("uid,label\na,rock\nb,\nz,jazz\n")
    assert made.items[0].source is not None
    assert made.items[1].extra["failed"] == "has no label"
    assert made.items[2].extra["failed"].startswith("no such audio file")
    assert made.items[1].source is made.items[2].source is None
    assert made.sources["audio_without_a_row"] == 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,label\na,rock\n", "neither a column 'uid' nor 'path'"),
        ("uid,label\n", "no rows"),
        ("uid\na\n", "no label column"),
        ("uid,label\na,rock\na,jazz\n", "already given"),
        ("uid,label\n,rock\n", "line 2: names no file"),
        ("uid,label\na,\nb,\n", "column 'label' is empty"),
        ("uid,label,split\na,rock,holdout\n", "line 2: split 'holdout' is not one of"),
        (b"uid,label\na,\xff\xfe\n", "not a table in UTF-8"),
        (b'uid,label\na,"rock\n', "not a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_clear_line(make, table, words):
    with pytest.raises(RequestError, match=words) as error:
        make(table)
    assert "\n" not in str(error.value)


def test_a_name_that_could_be_two_files_is_refused(make):
    with pytest.raises(RequestError, match=r"could be x/a\.wav or y/a\.wav"):
        make("uid,label\na,rock\n", files=["x/a.wav", "y/a.wav"])


@pytest.mark.parametrize("value", ["fast", "1e999", "inf"])
def test_a_number_that_is_none_is_refused(make, value):
    with pytest.raises(RequestError, match="not a finite number"):
        make(f"uid,label\na,1\nb,{value}\n", task_type="regression")


def test_a_key_that_is_none_is_refused(make):
    with pytest.raises(RequestError, match="'H minor'"):
        make("uid,label\na,C major\nb,H minor\n", task_type="key")


def table_of(number, groups, split=""):
    rows = "".join(f"{index},rock,{split if index < 5 else ''},g{index % groups}\n" for index in range(number))
    return f"uid,label,split,group\n{rows}", [f"{index}.wav" for index in range(number)]


def test_missing_splits_are_drawn_by_group_in_documented_shares(make):
    table, files = table_of(200, 50)
    made = make(table, files)
    homes = {}
    for item in made.items:
        homes.setdefault(item.extra["group"], set()).add(item.split)
    assert all(len(splits) == 1 for splits in homes.values())
    counts = Counter(item.split for item in made.items)
    assert abs(counts["train"] - 140) <= 8
    assert abs(counts["valid"] - 30) <= 8
    assert abs(counts["test"] - 30) <= 8


def test_the_draw_depends_on_the_seed_alone(make):
    table, files = table_of(40, 20)
    first, again, other = (make(table, files, seed=seed) for seed in (1, 1, 2))
    assert [item.split for item in first.items] == [item.split for item in again.items]
    assert [item.split for item in first.items] != [item.split for item in other.items]


def test_a_group_with_a_given_split_is_not_divided(make):
    table, files = table_of(40, 5, split="test")
    made = make(table, files)
    assert {item.split for item in made.items} == {"test"}
