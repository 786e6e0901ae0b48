"""Packs from anybody: what is not, to the byte, what was packed is one line, and nothing of it is in the cache."""

import hashlib
import json
import stat
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.packs.obtaining import obtain
from jukemir_like.packs.packing import pack

from .conftest import npy

LICENCES = ("vectors", "dataset", "representation")
VECTORS = {"a": np.arange(4, dtype="<f4"), "b/c": np.ones(4, "<f4")}
RECORD = {"digest": "0" * 64, "signature": "s", "audio_seconds": 1.0, "seconds": 0.1, "status": "done", "reason": None, "time": 0.0}


def card_of(files, **changed):
    value = {"format": "jukemir-like pack 1", "dataset": "toy", "representation": "rep", "dimension": 4, "signature": "s"}
    value |= {"licence": {"vectors": "CC0", "dataset": "CC0", "representation": "MIT"}, "made": "2026-01-01", "versions": {}}
    return value | {"vectors": {uid: hashlib.sha256(data).hexdigest() for uid, data in files.items()}} | changed


def members_of(files, card, lines=None):
    """Members of a pack: name → bytes. Written here anew, as docs/formats.md has them."""
    if lines is None:
        lines = [RECORD | {"input": f"{uid}.wav", "output_digest": hashlib.sha256(data).hexdigest()} for uid, data in files.items()]
    texts = {"pack.json": json.dumps(card).encode(), "LICENCE.txt": b"CC0"}
    texts["toy/rep/.records/pack.jsonl"] = "\n".join(json.dumps(line) for line in lines).encode()
    return texts | {f"toy/rep/{uid}.npy": data for uid, data in files.items()}


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            if data is None:
                info.external_attr, data = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            info.compress_type = compression
            archive.writestr(info, data)


FILES = {uid: npy(vector) for uid, vector in VECTORS.items()}


def test_what_is_written_by_the_documentation_is_read(tmp_path):
    write(tmp_path / "x.zip", members_of(FILES, card_of(FILES)))
    (taken,) = obtain("toy", "rep", Cache(tmp_path / "cache"), tmp_path / "x.zip")
    assert {path.relative_to(taken.folder).as_posix(): path.read_bytes() for path in taken.folder.rglob("*.npy")} == {
        f"{uid}.npy": data for uid, data in FILES.items()
    }


def test_what_a_pack_says_of_itself_cannot_control_the_terminal(tmp_path):
    write(tmp_path / "x.zip", members_of(FILES, card_of(FILES, made_by="Ada\n\x1b[31m", licence=dict.fromkeys(LICENCES, "CC0\x07"))))
    (taken,) = obtain("toy", "rep", Cache(tmp_path / "cache"), tmp_path / "x.zip")
    assert "made by Ada\\n\\x1b[31m" in taken.text()
    assert "licence: CC0\\x07" in taken.text()
    assert all(line.isprintable() for line in taken.text().split("\n"))


def replaced(**names):
    """The members with some in place of others; those that are Ellipsis are removed."""
    members = members_of(FILES, card_of(FILES))
    members |= {name.replace("__", "/").replace("_npy", ".npy"): data for name, data in names.items()}
    return {name: data for name, data in members.items() if data is not ...}


def vectors(**files):
    given = {uid: npy(array) for uid, array in files.items()}
    return members_of(given, card_of(given))


def with_card(**changed):
    return members_of(FILES, card_of(FILES, **changed))


def with_lines(change):
    lines = [RECORD | {"input": f"{uid}.wav", "output_digest": hashlib.sha256(data).hexdigest()} for uid, data in FILES.items()]
    return members_of(FILES, card_of(FILES), change(lines))


BAD = {
    "a vector is missing": (replaced(toy__rep__a_npy=...), "holds 'toy/rep/b/c.npy' where toy/rep/a.npy should be"),
    "the last vector is missing": (replaced(toy__rep__b__c_npy=...), "ends where toy/rep/b/c.npy should be"),
    "another vector": (replaced(toy__rep__a_npy=FILES["b/c"]), "has another digest than its card says"),
    "one vector more": (replaced(toy__rep__d_npy=FILES["a"]), "holds 'toy/rep/d.npy', which its card does not name"),
    "a file that leads out": (replaced(**{"../../x": b"x"}), "holds '../../x', which its card does not name"),
    "a file at the root": (replaced(**{"/etc/x": b"x"}), "holds '/etc/x', which its card does not name"),
    "a link": (replaced(toy__rep__a_npy=None), "as a link or a folder, not as a file"),
    "no card": (replaced(**{"pack.json": ...}), "is not a pack: its first member is not pack.json"),
    "no records": (replaced(**{"toy/rep/.records/pack.jsonl": ...}), "where toy/rep/.records/pack.jsonl should be"),
    "too large a vector": (replaced(toy__rep__a_npy=bytes(9000)), "of more than the 4,112 bytes that it may have"),
    "a card that is none": (replaced(**{"pack.json": b"{"}), "is not JSON"),
    "another format": (with_card(format="jukemir-like pack 2"), "has the format 'jukemir-like pack 2'"),
    "a dataset that leads out": (with_card(dataset="../toy"), "has the impossible name '../toy'"),
    "a hidden representation": (with_card(representation=".rep"), "has the impossible name '.rep'"),
    "no dimension": (with_card(dimension=0), "has vectors of 0 numbers"),
    "more than it holds": (with_card(dimension=1 << 23), "declares more than it holds"),
    "a dimension of text": (with_card(dimension="4"), "dimension is '4', not a whole number"),
    "a text without end": (with_card(made_by="x" * 3000), "has a text of 3,000 characters"),
    "no vectors": (with_card(vectors={}), "has no vectors"),
    "a uid that leads out": (with_card(vectors={"../a": "0" * 64}), "that cannot be a file name"),
    "a hidden uid": (with_card(vectors={".records/x": "0" * 64}), "that cannot be a file name"),
    "a uid of half a character": (with_card(vectors={"\ud800": "0" * 64}), "half a character"),
    "uids that collide": (with_card(vectors={"a": "0" * 64, "a.npy/b": "0" * 64}), "one needs a file where the other needs a folder"),
    "no numbers": (vectors(a=np.arange(4)), "is no vector of float32"),
    "a matrix": (vectors(a=np.ones((1, 4), "<f4")), "is no vector of float32"),
    "another byte order": (vectors(a=np.ones(4, ">f4")), "is no vector of float32"),
    "too short a vector": (vectors(a=np.ones(3, "<f4")), "has 3 numbers, not 4"),
    "not finite": (vectors(a=np.array([1, np.nan, 1, 1], "<f4")), "not finite"),
    "a pickle": (members_of({"a": b"\x80\x04."}, card_of({"a": b"\x80\x04."})), "NumPy file"),
    "a record is missing": (with_lines(lambda lines: lines[:1]), "a vector in it has no record"),
    "a record twice": (with_lines(lambda lines: [lines[0], *lines]), "record 2 in it is impossible, or not the only one"),
    "another signature": (with_lines(lambda lines: [lines[0] | {"signature": "t"}, lines[1]]), "record 1 in it and the card do not fit"),
    "a record that leads out": (with_lines(lambda lines: [*lines, lines[0] | {"input": "../x.wav", "status": "failed"}]), "is impossible"),
    "a record of no vector": (with_lines(lambda lines: [*lines, lines[0] | {"input": "x.wav"}]), "record 3 in it and the card do not fit"),
    "a negative time": (with_lines(lambda lines: [lines[0] | {"seconds": -1.0}, lines[1]]), "is impossible"),
    "a record that is none": (with_lines(lambda lines: [*lines, 3]), "record 3 in it is damaged: it is 3, not an object"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, what):
    members, words = BAD[what]
    write(tmp_path / "x.zip", members)
    cache = Cache(tmp_path / "cache")
    with pytest.raises(RequestError) as caught:
        obtain("toy", "rep", cache, tmp_path / "x.zip")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "x.zip"]


def test_a_bomb_is_not_unpacked(tmp_path):
    bomb = members_of(FILES, card_of(FILES)) | {"LICENCE.txt": bytes(30 << 20)}
    write(tmp_path / "x.zip", bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(RequestError, match=r"holds a LICENCE\.txt of more than the 1,048,576 bytes"):
        obtain("toy", "rep", Cache(tmp_path / "cache"), tmp_path / "x.zip")


def test_what_is_no_pack_at_all_is_one_line(tmp_path):
    cache, path = Cache(tmp_path / "cache"), tmp_path / "x.zip"
    for data in (b"PK\x03\x04", b"PK\x03\x04" + bytes(500)):
        path.write_bytes(data)
        with pytest.raises(RequestError, match=r"x\.zip is damaged, or not a pack"):
            obtain("toy", "rep", cache, path)
    path.write_bytes(b"hello")
    with pytest.raises(RequestError, match="no vectors of 'rep' were published"):
        obtain("toy", "rep", cache, path)
    with pytest.raises(RequestError, match=r"is neither a pack nor gtzan_ff-mfcc\.tar\.gz as it was published"):
        obtain("gtzan_ff", "mfcc", cache, path)
    with pytest.raises(RequestError, match="does not exist"):
        obtain("gtzan_ff", "mfcc", cache, tmp_path / "nothing")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The bytes of a small pack that was made by the package, and the files that it gives."""
    folder = tmp_path_factory.mktemp("packed")
    write(folder / "x.zip", members_of(FILES, card_of(FILES)))
    cache = Cache(folder / "cache")
    obtain("toy", "rep", cache, folder / "x.zip")
    (cache.representation("toy", "rep") / ".taken_over.json").unlink()
    return pack(cache, "toy", "rep", folder / "y.zip").path.read_bytes()


def outcome(data):
    """The files that a pack gives; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder, "x.zip"), Cache(Path(folder, "cache"))
        path.write_bytes(data)
        refused = None
        try:
            (taken,) = obtain("toy", "rep", cache, path)
        except RequestError as error:
            refused = str(error)
        if refused is not None:
            assert "\n" not in refused
            assert [path for path in Path(folder).rglob("*") if path.is_file()] == [path]
            return None
        return {path.relative_to(taken.folder).as_posix(): path.read_bytes() for path in taken.folder.rglob("*.npy")}


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_changed_byte_is_refused_or_gives_the_same_vectors(packed, place, mask):
    data = bytearray(packed)
    data[int(place * len(data))] ^= mask
    assert outcome(bytes(data)) in (None, {f"{uid}.npy": data for uid, data in FILES.items()})


@settings(max_examples=60, deadline=None)
@given(length=st.floats(0, 1, exclude_max=True))
def test_any_truncated_pack_is_refused(packed, length):
    assert outcome(packed[: int(length * len(packed))]) is None


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_whatever_follows_the_first_bytes_of_a_zip_is_refused_in_one_line(data):
    assert outcome(b"PK\x03\x04" + data) is None
