"""Any table that pandas writes, in any of its ways, comes back the same or is refused in one line."""

import csv
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.folder import table
from jukemir_like.datasets.folder.dataset import folder_dataset

MISSING = ["", "NA", "nan", "None", "null", "-", "<NA>"]
TEXT = st.text(st.sampled_from("abR é,;|\t\n\r\"'\\[](){}#=:%^/·"), min_size=1, max_size=6)


def label(cell):
    """Whether a text can be a label: a table's cells have no spaces around them, and some words mean that there is none."""
    return cell == cell.strip() and cell != "" and not table.is_missing(cell) and table.parse_tags(cell) is None


KINDS = {
    "text": ("multiclass", TEXT.filter(label), str),
    "whole": ("multiclass", st.integers(-(10**6), 10**6), str),
    "flag": ("multiclass", st.booleans(), str),
    "number": ("regression", st.floats(allow_nan=False, allow_infinity=False), lambda value: [value]),
    "list": ("multilabel", st.lists(TEXT.filter(label), max_size=3, unique=True), lambda value: value),
}


@st.composite
def frames(draw):
    """A data frame, its kind, and what each row's label should come back as."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    values = draw(st.lists(st.one_of(KINDS[kind][1], st.none()) if draw(st.booleans()) else KINDS[kind][1], min_size=1, max_size=5))
    assume(any(value is not None for value in values))
    name = draw(st.sampled_from(["label", "my, label", 'the "label"', "läbel; x"]))
    column = pd.Series(values, dtype="float64" if kind == "number" else None)
    frame = pd.DataFrame({"uid": [f"f{row}" for row in range(len(values))], name: column})
    return kind, name, frame, [None if value is None else KINDS[kind][2](value) for value in values]


WAYS = {
    "sep": st.sampled_from([",", ";", "\t", "|", ":", " "]),
    "index": st.booleans(),
    "header": st.sampled_from([True, True, True, False]),
    "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]),
    "quotechar": st.sampled_from(['"', '"', "'"]),
    "doublequote": st.sampled_from([True, True, False]),
    "escapechar": st.sampled_from([None, "\\"]),
    "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]),
    "na_rep": st.sampled_from(MISSING),
    "decimal": st.sampled_from([".", ","]),
}


def read(frame, kind, name, **ways):
    """The labels of the rows as they come back from the file that pandas writes."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "labels.csv"
        frame.to_csv(path, **ways)
        return [item.y for item in folder_dataset(Path(temporary), path, column_types={name: KINDS[kind][0]}).items]


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(frames(), st.fixed_dictionaries(WAYS), st.booleans())
def test_what_pandas_writes_comes_back_the_same_or_is_refused_in_one_line(made, ways, uid_is_index):
    kind, name, frame, wanted = made
    if ways["quoting"] == csv.QUOTE_NONE:
        # Without quotes, a text in quotes is the same file as the text alone.
        assume(not any(str(value).startswith('"') and str(value).endswith('"') for value in frame[name]))
    if ways["quotechar"] == "'":
        assume(not any("\n" in str(value) or "\r" in str(value) for value in frame[name]))  # is the file of a table with more rows
    if uid_is_index:
        frame, ways = frame.set_index("uid"), ways | {"index": True}
    try:
        found = read(frame, kind, name, **ways)
    except (csv.Error, UnicodeEncodeError):  # pandas itself cannot write it
        assume(False)
    except RequestError as refused:
        assert str(refused).isprintable()  # noqa: PT017
        event(f"{kind}: refused")
    else:
        event(f"{kind}: the same")
        assert found == wanted


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_usual_ways_are_all_read(kind):
    values = {
        "text": ["rock", "R&B, soul", 'say "hi"', "größe", None, "two\nlines"],
        "whole": [3, 1, 3, None, 1, 1],
        "flag": [True, False, None, True, True, False],
        "number": [1.5, -0.25, None, 1e-7, 3.0, 1e300],
        "list": [["rock", "pop"], ["it's"], [], None, ["rock"], ["a, b"]],
    }[kind]
    wanted = [None if value is None else KINDS[kind][2](value) for value in values]
    frame = pd.DataFrame({"uid": list("abcdef"), "label": pd.Series(values, dtype="float64" if kind == "number" else None)})
    for separator, quoting, end, encoding, missing, index in itertools.product(
        ",;\t|", (csv.QUOTE_MINIMAL, csv.QUOTE_ALL), ("\n", "\r\n"), ("utf-8-sig", "utf-16"), ("", "NA"), (True, False)
    ):
        ways = {"sep": separator, "quoting": quoting, "lineterminator": end, "encoding": encoding, "na_rep": missing, "index": index}
        assert read(frame, kind, "label", **ways) == wanted, ways
    if kind == "number":
        assert read(frame, kind, "label", sep=";", decimal=",") == wanted


def test_headers_of_several_rows_are_refused(tmp_path):
    frame = pd.DataFrame([["a", 1.5, 2.5]], columns=pd.MultiIndex.from_tuples([("uid", ""), ("label", "x"), ("label", "y")]))
    for index in (True, False):
        frame.to_csv(tmp_path / "labels.csv", index=index)
        with pytest.raises(RequestError, match="line 1: the header has 'label' twice"):
            folder_dataset(tmp_path, tmp_path / "labels.csv")
    frame.set_index(("uid", "")).to_csv(tmp_path / "labels.csv")
    with pytest.raises(RequestError):
        folder_dataset(tmp_path, tmp_path / "labels.csv")


def test_arrays_in_cells_are_lists(tmp_path):
    frame = pd.DataFrame({"uid": ["a", "b"], "tags": [np.array(["rock", "pop"]), np.array(["jazz"])]})
    frame.to_csv(tmp_path / "labels.csv")
    made = folder_dataset(tmp_path, tmp_path / "labels.csv")
    assert [item.y for item in made.items] == [["rock", "pop"], ["jazz"]]
