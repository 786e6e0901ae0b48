"""Tables as text: separators, line ends, encodings; what does not fit is refused with its line. And the meaning of cells."""

import csv
import doctest
import io
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.folder import table


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, name="labels.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return table.read_table(path)

    return write_and_read


def test_separator_line_end_and_encoding_are_those_of_the_file(read):
    for separator, end, encoding, name in itertools.product(
        (",", ";", "\t", "|"), ("\n", "\r\n", "\r", "\r\r\n"), ("utf-8", "utf-8-sig", "utf-16"), ("x.csv", "x.TSV", "x.txt")
    ):
        text = end.join([separator.join(cells) for cells in (("uid", "lábel"), ("a", "rock"), ("b", "jazz"))]) + end
        made = read(text, name, encoding)
        assert [row.cells for row in made.rows] == [{"uid": "a", "lábel": "rock"}, {"uid": "b", "lábel": "jazz"}]
        assert (made.separator, made.encoding) == (separator, "UTF-16" if "16" in encoding else "UTF-8")


@pytest.mark.parametrize("header", ["uid,label;genre", "uid;label,genre"])
def test_the_separator_is_the_one_by_which_the_header_has_a_uid(read, header):
    assert read(f"{header}\na,b\n" if header[3] == "," else f"{header}\na;b\n").separator == header[3]


def test_lines_are_those_of_the_file(read):
    made = read('\n\nuid,label\n\na,"two\nlines"\n,\nb,x\n')
    assert [(row.line, row.cells["label"]) for row in made.rows] == [(5, "two\nlines"), (8, "x")]


def test_reserved_columns_are_known_in_any_case(read):
    made = read("UID,Path,SPLIT,Group,label\na,a.wav,train,g,x\n")
    assert made.reserved == {"uid": "UID", "path": "Path", "split": "SPLIT", "group": "Group"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\nuid,label\na,rock\n\nb,rock, hard\n", "line 6: 3 cells where the header has 2"),
        ("uid,label,other\na,rock\n", "line 2: 2 cells where the header has 3"),
        ('uid,label\na,"x\ny"\nb\n', "line 4: 1 cells"),
        ("\nuid,label,label\na,x,y\n", "line 2: the header has 'label' twice"),
        ("uid,label,UID\na,x,y\n", "line 1: the header has 'uid' and 'UID'"),
        ('uid,label\na,"x" y\n', "line 2: is not a table"),
        ('uid,label\na,x\nb,"x\n', "line 3: is not a table"),
        ("uid,label\na,x\nb,\0\n", "line 3: a NUL byte"),
        (b"uid,label\na,x\nb,r\xe9\n", "line 3: "),
        (b"PK\x03\x04\xff\xff", "UTF-8"),
        ("", "no rows"),
        ("\n\n", "no rows"),
        ("uid:label\na:x\n", r"neither a column 'uid' nor 'path'; its columns are: uid:label \(separated by ','"),
        ('uid,label\na,rock \\"n\\" roll\n', "line 2: .* quoted in another way"),
        ("uid,label\na,'it''s'\n", "line 2: .* quoted in another way"),
        ("uid,label\na," + "x" * 200_000 + "\n", "line 2: .*limit"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(read, text, words):
    with pytest.raises(RequestError, match=words) as refused:
        read(text)
    assert "\n" not in str(refused.value)


def test_only_a_file_of_a_sensible_size_is_read(tmp_path):
    with pytest.raises(RequestError, match="is a folder"):
        table.read_table(tmp_path)
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestError, match=r"1,099,511,627,776 bytes"):
        table.read_table(tmp_path / "huge.csv")


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), max_size=5), min_size=2, max_size=2), min_size=1),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_the_cells_that_python_writes_are_read(tmp_path_factory, rows, separator, quoting):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="\r\n").writerows([["uid", "label"], *rows])
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    path.write_bytes(file.getvalue().encode())
    wanted = [cells for cells in ([cell.strip() for cell in row] for row in rows) if any(cells)]
    if not wanted or any(len(cell) > 2 and cell[0] == cell[-1] == "'" and "''" in cell[1:-1] for row in wanted for cell in row):
        with pytest.raises(RequestError):
            table.read_table(path)
    else:
        assert [list(row.cells.values()) for row in table.read_table(path).rows] == wanted


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)


def test_the_examples_hold():
    assert doctest.testmod(table).failed == 0


@pytest.mark.parametrize("word", ["", "NA", "na", "N/A", "NaN", "nan", "None", "none", "null", "NULL", "-", "?", "<NA>", "NaT"])
def test_words_for_a_missing_value(word):
    assert table.is_missing(word)


def test_every_word_that_pandas_takes_for_missing_is_missing_but_those_for_broken_numbers():
    from pandas._libs.parsers import STR_NA_VALUES  # pandas has no public name for them

    broken = {"-1.#IND", "1.#QNAN", "-1.#QNAN", "#NA", "1.#IND", "#N/A N/A"}
    assert {word for word in STR_NA_VALUES if not table.is_missing(word)} == broken


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_written_with_a_point_or_a_comma(value):
    assert table.parse_number(repr(value)) == value
    assert table.parse_number(repr(value).replace(".", ","), decimal_comma=True) == value


@pytest.mark.parametrize("text", ["1_000", "1 000", "1,5", "0x10", "ten", "1.2.3", "12 %", "१", "1,234.5", "", "+", "e5", "."])
def test_what_is_no_plain_number_is_none(text):
    assert table.parse_number(text) is None


@pytest.mark.parametrize("text", ["1,5", "1,234.5", "1 000", "1'000", "12 %", "12%", "1.2.3", "3.", "1_000", "-1e-5", "inf", "1e999"])
def test_what_people_write_for_numbers_is_like_one(text):
    assert table.is_like_a_number(text)


@pytest.mark.parametrize("text", ["rock", "60s", "3/4", "C major", "2020-01-02", "a1", "", ",", "one"])
def test_words_are_not_like_numbers(text):
    assert not table.is_like_a_number(text)


@pytest.mark.parametrize("text", ["1", "1.0", "True", "TRUE", "yes", "Y", "1.", "1e0"])
def test_flags_that_say_yes(text):
    assert table.parse_flag(text) is True


@pytest.mark.parametrize("text", ["0", "0.0", "False", "false", "no", "N", "-0.0"])
def test_flags_that_say_no(text):
    assert table.parse_flag(text) is False


@given(st.lists(TEXT))
def test_lists_are_read_as_python_json_and_numpy_write_them(tags):
    assert table.parse_tags(str(tags)) == tags
    assert table.parse_tags(json.dumps(tags)) == tags
    if tags:
        assert table.parse_tags(str(tuple(tags))) == tags
        with np.printoptions(threshold=10**6):
            assert table.parse_tags(str(np.array(tags))) == tags
