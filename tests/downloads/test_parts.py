"""Several files read as one: as if they had been put together."""

import io
import random
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.downloads.archives import MultiPartFile, open_parts


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 2), st.integers(-1, 40))),
)
def test_it_is_read_as_one_file_would_be(tmp_path_factory, pieces, moves):
    folder = tmp_path_factory.mktemp("parts")
    paths = [folder / f"{number}" for number in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    whole = io.BytesIO(b"".join(pieces))
    with MultiPartFile(paths) as parts:
        for offset, whence, count in moves:
            place = {0: 0, 1: whole.tell(), 2: len(whole.getvalue())}[whence] + offset
            if place < 0:
                with pytest.raises(OSError, match="before the beginning"):
                    parts.seek(offset, whence)
                continue
            assert parts.seek(offset, whence) == whole.seek(place)
            expected = whole.read(count)
            found = b""
            while piece := parts.read(count if count < 0 else count - len(found)):  # a raw file may give less than asked for
                found += piece
                if len(found) == count:
                    break
            assert found == expected
            assert parts.tell() == whole.tell()


def test_a_zip_in_three_parts_is_read_and_not_held_in_memory(tmp_path):
    whole = tmp_path / "whole.zip"
    source = random.Random(0)
    with zipfile.ZipFile(whole, "w") as archive:
        for number in range(16):
            archive.writestr(f"{number}.bin", source.randbytes(1 << 20))
    data = whole.read_bytes()
    paths = [tmp_path / f"x.zip.00{number}" for number in (1, 2, 3)]
    for path, (start, stop) in zip(paths, [(0, 5_000_001), (5_000_001, 5_000_002), (5_000_002, len(data))], strict=True):
        path.write_bytes(data[start:stop])
    del data
    with zipfile.ZipFile(whole) as expected:
        tracemalloc.start()
        with open_parts(paths) as file, zipfile.ZipFile(file) as archive:
            assert archive.namelist() == expected.namelist()
            for name in archive.namelist():
                with archive.open(name) as member:
                    while member.read(1 << 16):  # the CRC is checked at its end
                        pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_part_that_is_missing_leaves_no_file_open(tmp_path):
    (tmp_path / "1").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        open_parts([tmp_path / "1", tmp_path / "2"])
