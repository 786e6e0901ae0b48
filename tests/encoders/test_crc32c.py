"""CRC-32C against published values and against the definition, bit by bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.encoders import crc32c as module
from jukemir_like.encoders.crc32c import crc32c, masked

from .bundles import checksum


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of the algorithm's catalogue
        (bytes(32), 0x8A9136AA),  # these four: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values(data, expected):
    assert crc32c(data) == expected


@given(st.integers(0, 3000), st.integers(0, 2**32 - 1))
def test_any_length_as_bit_by_bit(length, seed):
    data = np.random.default_rng(seed).bytes(length)
    assert masked(crc32c(data)) == checksum(data)


@given(st.integers(1, 40), st.integers(0, 600))
def test_pieces_are_combined_whatever_their_number(pieces, rest):
    data = np.random.default_rng(pieces).bytes(pieces * module._PIECE + rest)
    table = module._bytes_table()
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    assert crc32c(data) == register ^ 0xFFFFFFFF


def test_several_blocks_of_pieces(monkeypatch):
    data = np.random.default_rng(0).bytes(7 * module._PIECE + 5)
    whole = crc32c(data)
    monkeypatch.setattr(module, "_PIECES_AT_ONCE", 2)
    assert crc32c(data) == whole == crc32c(memoryview(data)) == crc32c(bytearray(data))
