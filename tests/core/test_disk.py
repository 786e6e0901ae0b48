"""Free space is that of the disk on which a path lies or will lie, and a reserve of it stays free."""

import shutil

import pytest

from jukemir_like.core.disk import RESERVE_BYTES, check_free_space, free_bytes
from jukemir_like.core.errors import StorageError


@pytest.fixture
def free(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    asked = []

    def disk_usage(path):
        asked.append(path)
        return usage._replace(free=RESERVE_BYTES + 1000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return asked


def test_of_a_path_that_is_not_there_yet_the_folder_above_it_is_asked(tmp_path, free):
    assert free_bytes(tmp_path / "not" / "yet" / "there.bin") == RESERVE_BYTES + 1000
    assert free == [tmp_path]


@pytest.mark.parametrize(("needed", "reserve"), [(1000, RESERVE_BYTES), (RESERVE_BYTES + 1000, 0), (0, 10 * RESERVE_BYTES)])
@pytest.mark.usefixtures("free")
def test_what_fits_beside_the_reserve_passes(tmp_path, needed, reserve):
    check_free_space(tmp_path, needed, "cannot copy", advice="use another disk", reserve_bytes=reserve)


@pytest.mark.parametrize(("needed", "reserve"), [(1001, RESERVE_BYTES), (RESERVE_BYTES + 1001, 0)])
@pytest.mark.usefixtures("free")
def test_one_byte_more_is_one_line_with_what_to_do(tmp_path, needed, reserve):
    with pytest.raises(StorageError) as caught:
        check_free_space(tmp_path, needed, "cannot copy", advice="use another disk", reserve_bytes=reserve)
    assert str(caught.value) == f"cannot copy: {needed / 1e9:.2f} GB are needed, 0.07 GB are free: use another disk"
