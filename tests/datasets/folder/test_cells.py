"""Cells: missing, numbers, flags, lists."""

import doctest
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.datasets.folder import table

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)


def test_the_examples_hold():
    assert doctest.testmod(table).failed == 0


@pytest.mark.parametrize("word", ["", "NA", "na", "N/A", "NaN", "nan", "None", "none", "null", "NULL", "-", "?", "<NA>", "NaT"])
def test_words_for_a_missing_value(word):
    assert table.is_missing(word)


def test_every_word_that_pandas_takes_for_missing_is_missing_but_those_for_broken_numbers():
    from pandas._libs.parsers import STR_NA_VALUES

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
