"""Writes TensorFlow's checkpoints, slowly and obviously, so that tests can make small ones, and wrong ones."""

from __future__ import annotations

import struct

MAGIC = 0xDB4775248B80FB57
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def checksum(data: bytes) -> int:
    """CRC-32C bit by bit, then masked."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return (((register >> 15) | (register << 17)) + 0xA282EAD8) % 2**32


def varint(number: int) -> bytes:
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def header(shards: int = 1, endianness: int = 0) -> bytes:
    return number_field(1, shards) + (number_field(2, endianness) if endianness else b"") + bytes_field(3, number_field(1, 1))


def entry(dtype: int, shape: tuple[int, ...], shard: int, offset: int, size: int, crc: int, more: bytes = b"") -> bytes:
    dimensions = b"".join(bytes_field(2, number_field(1, length)) for length in shape)
    message = number_field(1, dtype) + bytes_field(2, dimensions) + number_field(3, shard) + number_field(4, offset)
    return message + number_field(5, size) + varint(6 << 3 | 5) + struct.pack("<I", crc) + more


def block(pairs, restart_interval: int = 16) -> bytes:
    """Entries whose keys share prefixes, and where they start anew."""
    contents, restarts, last = b"", [], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart_interval == 0:
            restarts.append(len(contents))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        contents += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return contents + b"".join(struct.pack("<I", start) for start in restarts or [0]) + struct.pack("<I", len(restarts or [0]))


def table(pairs, per_block: int = 1000, kind: bytes = b"\0", change=lambda contents: contents) -> bytes:
    """A table; ``change`` alters the contents of its blocks before their checksums are computed."""
    written = b""

    def add(contents: bytes) -> bytes:
        nonlocal written
        contents = change(contents)
        place = varint(len(written)) + varint(len(contents))
        written += contents + kind + struct.pack("<I", checksum(contents + kind))
        return place

    index = []
    for start in range(0, len(pairs), per_block):
        some = pairs[start : start + per_block]
        index.append((some[-1][0] + b"\0", add(block(some))))
    handles = add(block([])) + add(block(index, 1))
    return written + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write(folder, tensors, name: str = "model", per_block: int = 1000):
    """Writes ``{name: array}`` as a checkpoint; returns its index and its data file."""
    data, entries = b"", {}
    for key, array in sorted(tensors.items()):
        contents = array.astype(array.dtype.newbyteorder("<")).tobytes()
        entries[key.encode()] = entry(DTYPES[str(array.dtype)], array.shape, 0, len(data), len(contents), fast_checksum(contents))
        data += contents
    index, shard = folder / f"{name}.index", folder / f"{name}.data-00000-of-00001"
    index.write_bytes(table([(b"", header()), *sorted(entries.items())], per_block))
    shard.write_bytes(data)
    return index, shard


def fast_checksum(data: bytes) -> int:
    """The package's own, for tensors that are too large for :func:`checksum`; the two are compared in test_crc32c.py."""
    from jukemir_like.encoders.crc32c import crc32c, masked

    return masked(crc32c(data)) if len(data) > 100 else checksum(data)
