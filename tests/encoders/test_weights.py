"""Weights of encoders: adopted, verified, converted once, read strictly."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import weights
from jukemir_like.encoders.card import WeightFile
from jukemir_like.encoders.weights import LazyTensor

from .conftest import Tiny


@pytest.fixture
def adopted(tiny_card, tiny_file, cache):
    weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    return weights.converted_file(tiny_card, cache)


def test_weights_of_an_own_copy_are_verified_and_converted_once(tiny_card, tiny_file, cache):
    first = weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    assert first.done == 1
    path = weights.locate(tiny_card, cache)
    assert any("converted to" in note for note in first.notes)
    changed = path.stat().st_mtime_ns
    again = weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    assert again.kept == 1
    assert not again.notes
    assert path.stat().st_mtime_ns == changed
    numbers = np.frombuffer(tiny_file.read_bytes(), "<f4")
    np.testing.assert_array_equal(load_file(path)["first.weight"].flatten(), numbers[:300])
    assert weights.read_header(path).sources == {"tiny.bin": f"sha256:{tiny_card.files[0].sha256}"}


def test_another_file_is_refused_and_nothing_is_converted(tiny_card, tiny_file, cache):
    tiny_file.write_bytes(tiny_file.read_bytes()[::-1])
    summary = weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    assert list(summary.failed) == ["tiny.bin"]
    assert not weights.converted_file(tiny_card, cache).exists()


def test_an_installed_package_is_an_own_copy(tiny_card, tiny_file, cache, tmp_path, monkeypatch):
    package = tmp_path / "site" / "tiny_package" / "model"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    (package / ".hidden").write_bytes(tiny_file.read_bytes())
    monkeypatch.syspath_prepend(tmp_path / "site")
    card = replace(tiny_card, files=(replace(tiny_card.files[0], package="tiny_package/model/.hidden"),))
    summary = weights.get(card, cache, Tiny.convert)
    assert (summary.done, summary.rows[0].status) == (1, "adopted")
    assert weights.locate(card, cache).exists()
    assert "tiny_package" not in sys.modules


def test_the_member_of_an_archive_is_taken_from_where_it_lies_alone(tiny_card, tiny_file, cache, tmp_path, monkeypatch):
    """From an installed package, and from an unpacked copy; where neither is, the archive is what is downloaded."""
    package = tmp_path / "site" / "tiny_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tiny.bin").write_bytes(tiny_file.read_bytes())
    member = tiny_card.files[0].sha256
    archive = WeightFile(
        "tiny-1.0.zip", sha256="0" * 64, unpack=True, member="tiny/tiny.bin", member_sha256=member, package="tiny_package/tiny.bin"
    )
    card = replace(tiny_card, files=(archive,))
    assert weights.get(card, cache, Tiny.convert).failed.keys() == {"tiny-1.0.zip"}  # it has no source
    assert weights.get(card, cache, Tiny.convert, own_copy=tiny_file.parent).rows[0].status == "adopted"
    monkeypatch.syspath_prepend(tmp_path / "site")
    other = type(cache)(tmp_path / "other")
    assert weights.get(card, other, Tiny.convert).rows[0].source == str(package / "tiny.bin")
    assert weights.read_header(weights.locate(card, other)).digest == weights.read_header(weights.locate(card, cache)).digest


def test_a_user_s_card_that_does_not_fit_its_family_is_one_line(tiny_card, tiny_file, cache):
    def convert(card, files):
        return {"first": card.settings["filters"]}

    with pytest.raises(RequestError, match=r"the card of tiny does not fit the family tiny \(KeyError: 'filters'\)"):
        weights.get(tiny_card, cache, convert, own_copy=tiny_file.parent)
    assert not weights.converted_file(tiny_card, cache).exists()


def test_the_missing_are_one_line_with_the_command(tiny_card, cache):
    with pytest.raises(RequestError, match=r"the weights of tiny are not in the cache: `jukemir-like download tiny` gets them \(1.3 kB\)"):
        weights.locate(tiny_card, cache)


def test_a_licence_that_forbids_commercial_use_is_said(tiny_card, tiny_file, cache):
    card = replace(tiny_card, licence="CC BY-NC 4.0", commercial=False)
    summary = weights.get(card, cache, Tiny.convert, own_copy=tiny_file.parent)
    assert "licence of Tiny: CC BY-NC 4.0: no commercial use" in summary.notes
    assert weights.declaration(card).licence == "CC BY-NC 4.0: no commercial use"


def test_a_flipped_byte_is_found_wherever_it_is(adopted):
    whole = adopted.read_bytes()
    expected = {name: tuple(tensor.shape) for name, tensor in load_file(adopted).items()}
    lines = []
    for place in [*range(0, len(whole), 37), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        adopted.write_bytes(damaged)
        try:
            header = weights.read_header(adopted)
            loaded = weights.load(header, expected)
        except RequestError as error:
            lines.append(str(error))
        else:  # only what says where the weights are from has changed
            assert all(torch.equal(loaded[name], tensor) for name, tensor in _tensors(whole, adopted).items())
            assert place < 400
    assert lines
    assert not any("\n" in line for line in lines)
    adopted.write_bytes(whole[:-1])
    with pytest.raises(RequestError, match="cut short"):
        weights.read_header(adopted)


def _tensors(data, path):
    path.with_suffix(".whole").write_bytes(data)
    return load_file(path.with_suffix(".whole"))


def test_weights_of_another_net_or_of_other_programs_are_refused(adopted):
    header = weights.read_header(adopted)
    with pytest.raises(RequestError, match=r"is of another net: third.weight is missing, expected is \(2,\)"):
        weights.load(header, {**header.shapes, "third.weight": (2,)})
    save_file({"a": torch.zeros(2)}, adopted)
    with pytest.raises(RequestError, match="holds no weights that jukemir-like converted"):
        weights.read_header(adopted)


def test_the_digest_is_computed_again_only_where_the_file_has_changed(adopted, monkeypatch):
    header = weights.read_header(adopted)
    weights.check(header)
    monkeypatch.setattr(weights.hashlib, "sha256", lambda: pytest.fail("the tensors were read again"))
    weights.check(header)


def test_lazy_tensors_are_made_one_after_another_and_give_the_same_file(tiny_card, tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.randn(4).half(), "c": torch.randn(1).bfloat16()}
    made = []

    def lazy(name):
        tensor = tensors[name]
        return LazyTensor(weights._DTYPES[str(tensor.dtype)], tuple(tensor.shape), lambda: made.append(name) or tensor)

    weights.save(tmp_path / "eager", tiny_card, tensors, {"x": "y"})
    weights.save(tmp_path / "lazy", tiny_card, {name: lazy(name) for name in tensors}, {"x": "y"})
    assert made == ["a", "b", "c"]
    assert (tmp_path / "lazy").read_bytes() == (tmp_path / "eager").read_bytes()
    assert all(torch.equal(load_file(tmp_path / "lazy")[name], tensor) for name, tensor in tensors.items())


def test_nothing_is_written_beside_weights_that_no_download_has_written(tiny_card, tiny_file, cache, tmp_path):
    weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    elsewhere = tmp_path / "elsewhere" / "tiny.safetensors"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(weights.converted_file(tiny_card, cache).read_bytes())
    weights.check(weights.read_header(elsewhere))
    assert list(elsewhere.parent.iterdir()) == [elsewhere]
