"""Reading PyTorch's files beside torch.load itself, and that nothing in them is run."""

import os
import zipfile
from argparse import Namespace
from collections import OrderedDict

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.torch_files import read_tensors

LAYOUTS = pytest.mark.parametrize("is_zip", [True, False], ids=["since 1.6", "before 1.6"])


def state():
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(24, generator=generator)
    return OrderedDict(
        half=numbers[:9].view(3, 3).half(),
        bfloat=numbers[:5].bfloat16(),
        double=numbers[:3].double(),
        transposed=numbers.view(4, 6).T,
        part=numbers[5:11],
        shared=numbers,
        parameter=torch.nn.Parameter(numbers[:7].clone()),
        scalar=torch.tensor(3),
        mask=torch.tensor([True, False]),
        empty=torch.zeros(0, 4),
    )


class Hostile:
    """Would make a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@LAYOUTS
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}, lambda s: {"epoch": 1, "state_dict": s}])
def test_tensors_are_those_that_torch_reads(tmp_path, is_zip, wrap):
    path = tmp_path / "weights.pt"
    torch.save(wrap(state()), path, _use_new_zipfile_serialization=is_zip)
    tensors = read_tensors(path)
    assert list(tensors) == list(state())
    for name, expected in state().items():
        assert tensors[name].dtype == expected.dtype
        assert torch.equal(tensors[name], expected), name


@LAYOUTS
def test_other_objects_are_neither_run_nor_in_the_way(tmp_path, is_zip):
    path, folder = tmp_path / "checkpoint.ckpt", tmp_path / "made by a pickle"
    content = {"callbacks": {Namespace: {"best": np.float64(2)}}, "hostile": [Hostile(folder), {Hostile(folder)}], "state_dict": state()}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(Exception, match="weights_only"):  # which is why there is a reader of our own
        torch.load(path, weights_only=True)
    assert torch.equal(read_tensors(path)["half"], state()["half"])
    assert not folder.exists()


@LAYOUTS
@pytest.mark.parametrize("content", [{"epoch": 1}, [torch.zeros(3)], {3: torch.zeros(3)}, 5])
def test_a_file_without_a_state_dict_is_one_line(tmp_path, is_zip, content):
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(RequestError, match=r"x\.pt holds no state dict"):
        read_tensors(tmp_path / "x.pt")


@LAYOUTS
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, is_zip):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save(state(), whole, _use_new_zipfile_serialization=is_zip)
    content = whole.read_bytes()
    for length in [*range(0, len(content), max(1, len(content) // 60)), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(RequestError, match=r"cut\.pt"):
            read_tensors(path)


def test_a_cut_in_the_storage_of_an_empty_tensor_is_refused_too(tmp_path):
    """Storages are in the order of their addresses, so an empty one may be the last: here it is the only one."""
    torch.save({"empty": torch.zeros(0)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert read_tensors(tmp_path / "x.pt")["empty"].shape == (0,)
    (tmp_path / "x.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:-1])
    with pytest.raises(RequestError, match="cannot be read as a file of PyTorch"):
        read_tensors(tmp_path / "x.pt")


def test_text_and_missing_files_are_one_line(tmp_path):
    (tmp_path / "x.pt").write_text("<html>not found</html>")
    with pytest.raises(RequestError, match="cannot be read as a file of PyTorch"):
        read_tensors(tmp_path / "x.pt")
    with pytest.raises(RequestError, match="missing"):
        read_tensors(tmp_path / "y.pt")


def test_a_compressed_archive_is_refused(tmp_path):
    torch.save(state(), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive, zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as compressed:
        for member in archive.namelist():
            compressed.writestr(member, archive.read(member))
    with pytest.raises(RequestError, match=r"y\.pt"):
        read_tensors(tmp_path / "y.pt")


@LAYOUTS
def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path, is_zip):
    numbers = torch.zeros(24)
    torch.save({"a": numbers.as_strided((5, 6), (0, 0))}, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(RequestError, match=r"x\.pt"):
        read_tensors(tmp_path / "x.pt")
