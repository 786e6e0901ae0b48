"""Folds in a user's table: which column they are in, what is refused, and what is said."""

import json

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.processed import read_processed
from jukemir_like.process import process

FILES = tuple(f"{name}.wav" for name in "abcdef")


def rows(*folds, header="uid,genre,fold"):
    return "\n".join(
        [header, *(f"{name},{'rock' if i % 2 else 'jazz'},{fold}" for i, (name, fold) in enumerate(zip("abcdef", folds, strict=False)))]
    )


def folds_of(dataset):
    return [item.extra.get("fold") for item in dataset.items]


@pytest.mark.parametrize("header", ["fold", "Fold", "FOLDS", "fold_id", "CV fold", "k-fold"])
def test_a_column_called_as_folds_are_is_one(make, header):
    made = make(rows(1, 2, 1, 2, header=f"uid,genre,{header}"), FILES)
    assert made.folds == ("1", "2")
    assert folds_of(made) == ["1", "2", "1", "2"]
    assert {item.split for item in made.items} == {None}
    assert list(made.tasks) == ["genre"]


def test_names_are_kept_and_numbers_are_one_number_however_they_are_written(make):
    assert make(rows("fold10", "fold9", "fold9"), FILES).folds == ("fold9", "fold10")
    made = make(rows("1.0", "02", "", "10", "1"), FILES)
    assert (made.folds, folds_of(made)) == (("1", "2", "10"), ["1", "2", None, "10", "1"])
    assert "items without a fold, which probes leave out: 1 of 5" in made.understood["notes"]


def test_the_splits_of_a_table_are_used_unless_its_folds_are_asked_for(make):
    table = rows("1,train", "2,test", "1,valid", header="uid,genre,fold,split")
    made = make(table, FILES)
    described = {column["column"]: column for column in made.understood["columns"]}
    assert (made.folds, [item.split for item in made.items]) == (None, ["train", "test", "valid"])
    assert described["fold"]["use"] == "ignored"
    assert "--fold fold" in described["fold"]["notes"][0]
    asked = make(table, FILES, fold_column="fold")
    described = {column["column"]: column for column in asked.understood["columns"]}
    assert (asked.folds, {item.split for item in asked.items}) == (("1", "2"), {None})
    assert described["split"] == {"column": "split", "use": "ignored", "notes": ["the folds are used"]}


def test_an_empty_column_of_splits_does_not_count(make):
    assert make(rows("1,", "2,", header="uid,genre,fold,split"), FILES).folds == ("1", "2")


def test_any_column_can_be_that_of_folds(make):
    made = make(rows("x", "y", header="uid,genre,site"), FILES, fold_column="SITE")
    assert (made.folds, list(made.tasks)) == (("x", "y"), ["genre"])


def test_a_fold_that_is_named_as_a_label_is_one(make):
    made = make(rows(1, 2, 1, 2), FILES, label_columns=["fold"])
    assert (made.folds, list(made.tasks)) == (None, ["fold"])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (rows("train", "test", "val"), {}, "column 'fold' names splits .*: call it 'split'"),
        (rows(1, 1), {"fold_column": "fold"}, "names 1 fold: there must be two or more"),
        (rows("1,1", "2,2", header="uid,genre,fold,cv_fold"), {}, r"several columns of folds \(fold, cv_fold\)"),
        (rows(1, 2), {"fold_column": "fould"}, "no column 'fould'"),
        (rows(1, 2), {"fold_column": "genre", "label_columns": ["genre"]}, "cannot be that of the folds and of labels"),
        (
            rows("1,x", "2,x", header="uid,genre,fold,group"),
            {},
            "the folds divide 1 groups, such as 'x' .in folds 1, 2.: .*--shared_groups",
        ),
        (rows("1,x", "2,y", header="uid,genre,cv,fold"), {"fold_column": "cv", "group_column": "fold"}, "cannot be called 'fold'"),
        (rows("x" * 200, 2), {}, "give it a short name"),
    ],
)
def test_what_cannot_be_is_one_line(make, table, options, message):
    with pytest.raises(RequestError, match=message) as refused:
        make(table, FILES, **options)
    assert "\n" not in str(refused.value)


def test_groups_that_are_divided_are_accepted_where_asked_for(make):
    made = make(rows("1,x", "2,x", header="uid,genre,fold,group"), FILES, shared_groups=True)
    assert "groups that the folds divide, so that a probe may recognise them: 1" in made.understood["notes"]


def test_one_fold_is_none(make):
    made = make(rows(1, 1, 1), FILES)
    assert made.folds is None
    assert "fewer than two" in next(column for column in made.understood["columns"] if column["column"] == "fold")["notes"][0]


def test_folds_are_written_and_read(make, tmp_path):
    made = make(rows(2, 1, 2, "", header="uid,genre,fold"), FILES)
    process(made, tmp_path / "processed" / "mine", metadata_only=True)
    written = json.loads((tmp_path / "processed" / "mine" / "dataset.json").read_text())
    assert (written["folds"], written["items"]) == (["1", "2"], {"1": 1, "2": 2, "none": 1})
    assert next(column for column in written["understood"]["columns"] if column["column"] == "genre")["items"] == {"1": 1, "2": 2}
    meta = json.loads((tmp_path / "processed" / "mine" / "meta.json").read_text())
    assert meta["a"] == {"split": None, "y": "jazz", "extra": {"fold": "2"}}
    read = read_processed(tmp_path / "processed" / "mine")
    assert (read.folds, [read.fold_of(uid) for uid in read]) == (("1", "2"), ["2", "1", "2", None])


def test_the_command_prints_the_folds(command, write_audio, tmp_path):
    for number, name in enumerate("abcd"):
        write_audio(tmp_path / "audio" / f"{name}.wav", seconds=0.1, seed=number)
    (tmp_path / "labels.csv").write_text(rows(1, 2, 1, 2))
    own = ["process", "folder", "--audio", tmp_path / "audio", "--labels", tmp_path / "labels.csv", "--cache", tmp_path / "cache"]
    done = command(*own, "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "2 folds: each is tested once, by a probe of the others; there are no splits" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "column used as labels or range missing fold 1 fold 2" in lines
    assert "genre multiclass 2: jazz (2), rock (2) 0 2 2" in lines
    assert "fold fold" in lines
