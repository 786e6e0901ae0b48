"""Reads a sorted table in LevelDB's format: strictly, every byte checked.

The file is a sequence of blocks and a footer of 48 bytes. The footer has the places of two of the blocks, of the *metaindex* and of the
*index*, as varints, zeros up to its 40th byte, and a number by which such files are known. The index has the places of the blocks of
entries, in order. A block is entries, then the places of its *restarts* and their number (32 bits each, little-endian); a byte behind it
names its compression, and four more its masked CRC-32C. An entry is three varints (bytes of its key that are the same as before, further
bytes of the key, bytes of its value), the further bytes, and the value. Format: LevelDB's ``doc/table_format.md``.

Nothing is ignored here: blocks must follow one another without gaps, so that a damaged byte is found wherever it is.
"""

from __future__ import annotations

from jukemir_like.encoders.crc32c import crc32c, masked

MOST_BYTES = 1 << 20
"""The largest table that is read; that of a network of 10,000 tensors has half of it."""

_FOOTER_BYTES, _HANDLES_BYTES, _TRAILER_BYTES = 48, 40, 5
_MAGIC = bytes.fromhex("57fb808b247547db")
_LONGEST_KEY = 512  # bytes
_LONGEST_VARINT = 10  # bytes, of 64 bits


def entries(table: bytes) -> dict[bytes, bytes]:
    """Keys and values, in the order of the table.

    Raises:
        ValueError: it is no such table, or damaged; what is wrong.
    """
    if len(table) > MOST_BYTES:
        raise ValueError(f"has {len(table):,} bytes, more than a table of tensors")
    if len(table) < _FOOTER_BYTES or table[-len(_MAGIC) :] != _MAGIC:
        raise ValueError("is not the index of a TensorFlow checkpoint, or cut short")
    footer = table[-_FOOTER_BYTES:]
    metaindex, position = _handle(footer, 0)
    index, position = _handle(footer, position)
    if position > _HANDLES_BYTES or any(footer[position:_HANDLES_BYTES]):
        raise ValueError("has a damaged footer")
    expected_begin = 0
    last_key = b""
    values: dict[bytes, bytes] = {}
    for separator, encoded in _block(table, index):
        place, length = _handle(encoded, 0)
        if place[0] != expected_begin or length != len(encoded):
            raise ValueError("has a damaged index of blocks")
        for key, value in _block(table, place):
            if values and key <= last_key:
                raise ValueError("has keys out of order")
            values[key] = value
            last_key = key
        if separator < last_key:
            raise ValueError("has a damaged index of blocks")
        expected_begin = sum(place) + _TRAILER_BYTES
    for place in (metaindex, index):
        if place[0] != expected_begin:
            raise ValueError("has blocks that nothing refers to")
        expected_begin = sum(place) + _TRAILER_BYTES
    if expected_begin != len(table) - _FOOTER_BYTES:
        raise ValueError("has blocks that nothing refers to")
    if list(_block(table, metaindex)):
        raise ValueError("has blocks of an unknown kind")
    return values


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at ``position``, seven bits per byte, lowest first, and the position behind it.

    Raises:
        ValueError: it is cut short, or longer than a number of 64 bits.

    >>> varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    number = 0
    for place, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, position + place + 1
    raise ValueError("has a number that is cut short")


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Begin and size of a block, and the position behind them."""
    begin, position = varint(data, position)
    size, position = varint(data, position)
    return (begin, size), position


def _block(table: bytes, place: tuple[int, int]) -> list[tuple[bytes, bytes]]:
    """Keys and values of one block, once its checksum is found to be right."""
    begin, size = place
    end = begin + size
    if end + _TRAILER_BYTES > len(table) - _FOOTER_BYTES:
        raise ValueError("is cut short or damaged")
    if masked(crc32c(table[begin : end + 1])) != int.from_bytes(table[end + 1 : end + _TRAILER_BYTES], "little"):
        raise ValueError("is damaged (a checksum is wrong)")
    if table[end] != 0:
        raise ValueError("is compressed, which TensorFlow's own are not")
    contents = table[begin:end]
    restarts = int.from_bytes(contents[-4:], "little")
    last = size - 4 * (restarts + 1)
    if size < 4 or last < 0:
        raise ValueError("has a damaged block")
    found: list[tuple[bytes, bytes]] = []
    key, position = b"", 0
    while position < last:
        shared, position = varint(contents, position)
        further, position = varint(contents, position)
        value_size, position = varint(contents, position)
        if shared > len(key) or shared + further > _LONGEST_KEY or position + further + value_size > last:
            raise ValueError("has a damaged entry")
        key = key[:shared] + contents[position : position + further]
        position += further
        found.append((key, contents[position : position + value_size]))
        position += value_size
    return found
