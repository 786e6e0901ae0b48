"""What a column is taken for, by its values and as the user says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS
from jukemir_like.datasets.folder import columns
from jukemir_like.datasets.folder.table import LabelTable, Row


def column(values, type=None, separator=","):
    rows = [Row(line, {"x": value}) for line, value in enumerate(values, start=2)]
    table = LabelTable("labels.csv", ("x",), frozenset(), {}, rows, separator, "UTF-8", "")
    return columns.read_column(columns.ColumnValues(table, "x"), type)


def labels(made, values):
    return [made.label(value) for value in values]


@pytest.mark.parametrize(
    ("values", "type", "wanted"),
    [
        (["0", "9", "3", "9", "0", "3"], "multiclass", ["0", "9", "3", "9", "0", "3"]),
        (["0", "1"], "multiclass", ["0", "1"]),
        (["17", "17", "170", "170"], "multiclass", ["17", "17", "170", "170"]),
        (["1.0", "", "2.0", "1.0", "2.0"], "multiclass", ["1", None, "2", "1", "2"]),
        (["01", "02", "01", "02"], "multiclass", ["01", "02", "01", "02"]),
        (["120", "90", "131", "90"], "regression", [120.0, 90.0, 131.0, 90.0]),
        (["0.5", "1.0", "0.5", "1.0"], "regression", [0.5, 1.0, 0.5, 1.0]),
        (["True", "False", "NaN", "True"], "multiclass", ["True", "False", None, "True"]),
        (["rock", "NA", "jazz", "-", "none"], "multiclass", ["rock", None, "jazz", None, None]),
        (["Eb minor", "?", "d# minor"], "key", ["Eb minor", None, "Eb minor"]),
        (["rock;pop", "pop", ""], "multilabel", [["rock", "pop"], ["pop"], None]),
        (["rock|pop", "pop"], "multilabel", [["rock", "pop"], ["pop"]]),
        (["['rock', 'pop']", "['pop']", "[]"], "multilabel", [["rock", "pop"], ["pop"], []]),
        (["80s", "90s", "80s"], "multiclass", ["80s", "90s", "80s"]),
        (["(live)", "studio"], "multiclass", ["(live)", "studio"]),
    ],
)
def test_the_values_say_what_a_column_is(values, type, wanted):
    made = column(values)
    assert made.type == type
    assert labels(made, values) == wanted


@pytest.mark.parametrize(
    ("values", "type", "wanted"),
    [
        (["0", "1", "0"], "regression", [0.0, 1.0, 0.0]),
        (["1.5", "2.5", "1.5"], "multiclass", ["1.5", "2.5", "1.5"]),
        (["a;b", "a", "a;b"], "multiclass", ["a;b", "a", "a;b"]),
        (["C major", "a", "b"], "multiclass", ["C major", "a", "b"]),
        (["rock", "pop"], "multilabel", [["rock"], ["pop"]]),
        (["120", "90", "fast"], "multiclass", ["120", "90", "fast"]),
        (["['a']", "['a']"], "multiclass", ["['a']", "['a']"]),
    ],
)
def test_the_user_decides(values, type, wanted):
    made = column(values, type)
    assert (made.type, labels(made, values)) == (type, wanted)


@pytest.mark.parametrize(
    ("separator", "values"), [(";", ["1,5", "2"]), (";", ["1,234", "2"]), ("\t", ["1,5", "2,25"]), ("|", ["0,125", "1"])]
)
def test_decimal_commas_are_read_where_there_is_no_doubt(separator, values):
    made = column(values, separator=separator)
    assert labels(made, values) == [float(value.replace(",", ".")) for value in values]
    assert "decimal commas" in made.notes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["120", "90", "fast", "80"], "line 4: column 'x' holds 'fast', which is not a plain finite number"),
        (["120", "90", "1e999"], "line 4: .*'1e999'"),
        (["120", "-inf", "90"], "line 3: .*'-inf'"),
        (["1,5", "2,5"], "line 2: .*'1,5'"),
        (["1,234", "2,500"], "line 2: .*'1,234'"),
        (["12 %", "15 %"], "line 2: .*'12 %'"),
        (["1 000", "2 000"], "line 2: .*'1 000'"),
        (["120", "90", "12;5"], "line 4: .*'12;5'"),
        (["C major", "D minor", "H minor"], "line 4: .*'H minor'.*not a key"),
        (["['a']", "['b']", "b"], "line 4: .*'b'.*not a list"),
        (["['a', None]", "['b']", "['c']"], "line 2: .*not a list"),
        (["[0.5, 1.5]", "[1.5, 2.5]"], "line 2: .*a column of its own"),
        (["rock;NA", "rock"], "line 2: .*a missing value is among them"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_line_and_the_way_out(values, words):
    with pytest.raises(RequestError, match=words):
        column(values)


def test_thousands_are_not_decimals_where_both_could_be():
    with pytest.raises(RequestError, match="'1,234'"):
        column(["1,234", "2,500"], separator="\t")


@pytest.mark.parametrize(
    ("values", "type", "words"),
    [
        (["3", "3", "4", "4"], None, "--task x=regression"),
        (["3", "4", "5", "6"], None, "--task x=multiclass"),
        (["a|b", "a"], None, "with '|' between them"),
        (["rock, pop", "jazz"], None, "commas are part of a label"),
        (["Rock", "rock", "jazz"], None, "Rock, rock"),
        (["rock", "rock"], None, "only one label"),
        (["2.5", "2.5"], None, "same number"),
        (["a", "b", "c"], None, "3 of 3 classes have one item"),
        (["rock", "80", "jazz"], None, "words and numbers, such as '80'"),
        (["C major", "D minor"], None, "sharps read as flats"),
        (["rock", "rock"], "multiclass", "only one label"),
    ],
)
def test_what_could_be_otherwise_is_said(values, type, words):
    assert any(words in note for note in column(values, type).notes)


def test_a_clear_column_needs_no_word():
    assert column(["rock", "jazz", "rock", "jazz"]).notes == ()
    assert column(["1.5", "2.5"]).notes == ()
    assert column(["3", "3", "4", "4"], "multiclass").notes == ()


def test_missing_values_are_counted_by_word():
    assert column(["rock", "NA", "NA", "-", "", "None"]).missing == {"": 1, "-": 1, "NA": 2, "None": 1}


def test_keys_are_the_24_of_all_datasets():
    assert column(["C major", "a minor"]).labels == KEYS


@given(st.lists(st.integers(-50, 50), min_size=1), st.randoms())
def test_the_order_of_rows_decides_nothing(numbers, random):
    values = list(map(str, numbers))
    shuffled = random.sample(values, len(values))
    assert column(values).type == column(shuffled).type
    assert column(values).labels == column(shuffled).labels
