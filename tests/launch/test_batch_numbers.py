"""Lists of batches, against a plain reading of SLURM's rule for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like import extract
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import batch_numbers


def slowly(text):
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


@given(st.sets(st.integers(0, 60), min_size=1))
def test_a_list_is_read_as_it_was_written(numbers):
    text = batch_numbers.as_text(numbers)
    assert batch_numbers.parse(text, 61) == sorted(numbers) == slowly(text)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_a_list_is_never_longer_than_the_plain_one(numbers):
    assert len(batch_numbers.as_text(numbers)) <= len(",".join(map(str, sorted(numbers))))


@pytest.mark.parametrize("text", ["", "x", "1,", "3-", "-3", "1.5", "1;2", "5-3", "7", "0-7", "99999999999"])
def test_what_names_no_batches_is_refused_in_one_line(text):
    with pytest.raises(RequestError, match="batch") as error:
        batch_numbers.parse(text, 7)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_the_count_is_that_of_the_batches_which_exist(tmp_path, size):
    for number in range(5):
        (tmp_path / f"{number}.wav").touch()
    files, batches = batch_numbers.count(tmp_path, size)
    inputs = extract.find_inputs(tmp_path)
    assert files == 5
    assert [path for index in range(batches) for path in extract.select(inputs, size, index)] == inputs
