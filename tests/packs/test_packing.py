"""A pack made in one cache, moved, taken over in another: the same vectors, records and results; and what cannot be packed."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jukemir_like import extract, representations
from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, RequestError, StorageError
from jukemir_like.core.matrices import FOLDER, write_matrix
from jukemir_like.downloads.declarations import read_declaration
from jukemir_like.packs import origin, packing
from jukemir_like.packs.obtaining import describe, obtain
from jukemir_like.packs.packing import pack
from jukemir_like.probes.stage import probe_dataset

from .conftest import npy


def tree(folder):
    """Relative path → bytes of the vectors."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


def as_matrices(folder, count=2, keep=0):
    """Puts the vectors of a folder, but for the first ``keep``, into so many matrices."""
    paths = sorted(folder.rglob("*.npy"))[keep:]
    for number in range(count):
        named = [(path.relative_to(folder).with_suffix("").as_posix(), path.read_bytes()) for path in paths[number::count]]
        write_matrix(folder, f"batch-20-{number}", 6, named)
    for path in paths:
        path.unlink()


@pytest.fixture
def other(tmp_path, made):
    """Another cache, in which the same dataset is processed."""
    cache = Cache(tmp_path / "other machine" / "cache")
    shutil.copytree(made.processed("toy"), cache.processed("toy"))
    return cache


def test_moved_and_unpacked_it_probes_to_the_same_bytes(made, other, tmp_path):
    packed = pack(made, "toy", "rep", tmp_path / "toy.zip", made_by="Ada Lovelace", licence="CC0")
    (taken,) = obtain("toy", "rep", other, packed.path)
    assert (taken.done, taken.failed) == (39, {"a/07": "is empty"})
    assert tree(other.representation("toy", "rep")) == tree(made.representation("toy", "rep"))
    (here,), (there,) = (probe_dataset(cache, "toy", "rep").runs for cache in (made, other))
    assert (here.folder / "predictions.npz").read_bytes() == (there.folder / "predictions.npz").read_bytes()
    written = [json.loads((run.folder / "run.json").read_text()) for run in (here, there)]
    taken_over = written[1]["lineage"].pop("taken_over")
    for record in written:
        assert record.pop("seconds") >= 0
    assert json.dumps(written[0]) == json.dumps(written[1])  # labels, vectors, signature, versions and every number
    tables = [(cache.probe("toy", "rep") / "results.csv").read_text().splitlines() for cache in (made, other)]
    assert len(tables[0]) == len(tables[1]) > 2
    for one, two in zip(*tables, strict=True):
        assert one.split(",")[:4] == two.split(",")[:4]
    assert taken_over == {
        "source": "toy.zip",
        "sha256": packed.sha256,
        "made_by": "Ada Lovelace",
        "made": "2023-11-14",
        "made_with": packed.card.versions and f"jukemir-like {packed.card.versions['jukemir-like']}",
        "licence": "CC0",
    }


def test_the_tables_differ_in_seconds_and_in_whose_the_vectors_are_alone(made, other, tmp_path):
    from jukemir_like.probes import results

    obtain("toy", "rep", other, pack(made, "toy", "rep", tmp_path / "toy.zip").path)
    tables = []
    for cache in (made, other):
        table = results.read([probe_dataset(cache, "toy", "rep").table.path])
        for row in table:
            row["lineage"].pop("taken_over", None)
            del row["seconds"]
        tables.append(table)
    assert tables[0] == tables[1]


def test_same_vectors_same_bytes(made, tmp_path):
    first, second = pack(made, "toy", "rep", tmp_path / "1.zip"), pack(made, "toy", "rep", tmp_path / "2.zip")
    copied = Cache(tmp_path / "copy")
    shutil.copytree(made.root, copied.root)
    with records.Journal(copied.representation("toy", "rep"), "another") as journal:  # of an item that is none any more
        journal.append(records.new("gone.wav", "feedbeef00000000") | {"status": "failed", "reason": "is empty"})
    third = pack(copied, "toy", "rep", tmp_path / "3.zip")
    assert first.sha256 == second.sha256 == third.sha256 == hashlib.sha256((tmp_path / "1.zip").read_bytes()).hexdigest()


def test_a_pack_that_is_taken_over_and_packed_again_says_both(made, other, tmp_path):
    first = pack(made, "toy", "rep", tmp_path / "first.zip", made_by="Ada")
    obtain("toy", "rep", other, first.path)
    second = pack(other, "toy", "rep", tmp_path / "second.zip", made_by="Bob")
    assert second.card.taken_over.sha256 == first.sha256
    third = Cache(tmp_path / "third")
    (taken,) = obtain("toy", "rep", third, second.path)
    assert "the pack was made of vectors that were taken over from first.zip" in taken.text()
    assert "toy is not processed in this cache" in taken.text()
    assert tree(third.representation("toy", "rep")) == tree(made.representation("toy", "rep"))


@pytest.mark.parametrize(
    ("ada", "bob", "words"),
    [
        ("Ada", "Bob", "Ada (first.zip), packed again by Bob"),
        (None, "Bob", "not stated (first.zip), packed again by Bob"),
        ("Ada", None, "Ada (first.zip), packed again by not stated"),
    ],
)
def test_who_computed_vectors_is_still_known_after_they_were_packed_again(made, other, tmp_path, monkeypatch, ada, bob, words):
    monkeypatch.setattr(packing, "__version__", "0.0.1")
    first = pack(made, "toy", "rep", tmp_path / "first.zip", made_by=ada)
    obtain("toy", "rep", other, first.path)
    monkeypatch.setattr(packing, "__version__", "0.0.2")
    second = pack(other, "toy", "rep", tmp_path / "second.zip", made_by=bob)
    third = Cache(tmp_path / "third")
    shutil.copytree(made.processed("toy"), third.processed("toy"))
    obtain("toy", "rep", third, second.path)
    found = origin.read(third.representation("toy", "rep"))
    assert found == origin.Origin("second.zip", second.sha256, words, "2023-11-14", "jukemir-like 0.0.1", "not stated")
    (run,) = probe_dataset(third, "toy", "rep").runs
    assert f"made by {words}, 2023-11-14" in run.taken_over
    again = pack(third, "toy", "rep", tmp_path / "third.zip", made_by="Carol")
    fourth = Cache(tmp_path / "fourth")
    obtain("toy", "rep", fourth, again.path)
    assert origin.read(fourth.representation("toy", "rep")).made_by == f"{words} (second.zip), packed again by Carol"


def test_a_pack_is_an_ordinary_zip_with_documented_members(made, tmp_path):
    packed = pack(made, "toy", "rep", tmp_path / "toy.zip", licence="CC0")
    with zipfile.ZipFile(packed.path) as archive:
        names = archive.namelist()
        assert names[:3] == ["pack.json", "LICENCE.txt", "toy/rep/.records/pack.jsonl"]
        assert names[3:] == [f"toy/rep/{uid}.npy" for uid in sorted(packed.card.vectors)]
        assert "Licence of the vectors:        CC0" in archive.read("LICENCE.txt").decode()
        assert "secret" not in archive.read("toy/rep/.records/pack.jsonl").decode()  # documented fields alone
        card = json.loads(archive.read("pack.json"))
        assert (card["format"], card["dimension"], card["signature"]) == ("jukemir-like pack 1", 6, "feedbeef00000000")
        assert card["meta"] == hashlib.sha256((made.processed("toy") / "meta.json").read_bytes()).hexdigest()
        archive.extractall(tmp_path / "by hand" / "representations")
    by_hand = Cache(tmp_path / "by hand")
    shutil.copytree(made.processed("toy"), by_hand.processed("toy"))
    (run,) = probe_dataset(by_hand, "toy", "rep").runs  # unzipped into representations/, it works as well
    assert run.record["lineage"]["signature"] == "feedbeef00000000"


def test_of_a_representation_that_is_known_its_parameters_are_packed(tmp_path, write_audio):
    cache = Cache(tmp_path / "cache")
    for number in range(3):
        write_audio(tmp_path / "music" / f"{number}.wav", seed=number)
    extract.extract("mfcc", tmp_path / "music", cache.representation("mine", "mfcc"))
    packed = pack(cache, "mine", "mfcc", tmp_path / "mine.zip")
    assert packed.card.parameters == representations.load("mfcc").parameters
    assert packed.card.signature == representations.load("mfcc").signature
    assert "mine is not processed in this cache" in str(packed)
    elsewhere = Cache(tmp_path / "elsewhere")
    obtain("mine", "mfcc", elsewhere, packed.path)
    with pytest.raises(RequestError, match=r"were taken over from mine\.zip"):
        extract.extract("mfcc", tmp_path / "music", elsewhere.representation("mine", "mfcc"))


def test_beside_vectors_of_ones_own_they_have_a_name_of_their_own(made, tmp_path):
    path = pack(made, "toy", "rep", tmp_path / "toy.zip").path
    with pytest.raises(RequestError, match=r"holds vectors that were computed here: .*--representation rep-from-WORD"):
        obtain("toy", "rep", made, path)
    (taken,) = obtain("toy", "rep-from-ada", made, path)
    assert taken.folder == made.representation("toy", "rep-from-ada")
    (kept,) = obtain("toy", "rep-from-ada", made, path)
    assert (kept.done, kept.kept, kept.failed) == (0, 39, {"a/07": "is empty"})
    for name in ("rep-ada", "rep-from-", "rep-from-a/b", "other", "re"):
        with pytest.raises(RequestError, match="is a pack of rep, not of"):
            obtain("toy", name, made, path)
    with pytest.raises(RequestError, match="is a pack of dataset toy, not of gtzan_ff"):
        obtain("gtzan_ff", "rep", made, path)


@pytest.mark.parametrize("name", ["jukebox-jukemir", "mfcc-jukemir@layer=1"])
def test_a_pack_does_not_pass_for_published_vectors(made, other, tmp_path, name):
    shutil.copytree(made.representation("toy", "rep"), made.representation("toy", name))
    path = pack(made, "toy", name, tmp_path / "toy.zip").path
    base, _, layer = name.partition("@")
    own = f"{base}-from-WORD{layer and '@'}{layer}"
    for act in (obtain, describe):
        with pytest.raises(RequestError, match=f"{name} is the name of published vectors, .*: give --representation {own}$"):
            act("toy", name, other, path)
    assert not other.representation("toy", name).exists()
    (taken,) = obtain("toy", own.replace("WORD", "bob"), other, path)
    assert tree(taken.folder) == tree(made.representation("toy", "rep"))


def test_an_output_that_cannot_be_written_is_one_line(made, tmp_path, command):
    (tmp_path / "file").touch()
    places = ["/proc/x.zip", "/proc/nosuch/x.zip", tmp_path / "file" / "x.zip", tmp_path / ("x" * 300 + ".zip")]
    for place in places:
        with pytest.raises((RequestError, StorageError), match=r"cannot write|name that is too long") as caught:
            pack(made, "toy", "rep", Path(place))
        assert str(Path(place).parent) in str(caught.value)
        assert "\n" not in str(caught.value)
    refused = command("pack", "toy", "rep", "--output", "/proc/x.zip", "--cache", made.root)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "cannot write /proc/x.zip" in refused.stderr


def test_a_representation_with_a_layer_is_packed_as_it_is_called(made, tmp_path):
    name = "hf:org/model@layer=7@pool=max"
    shutil.copytree(made.representation("toy", "rep"), made.representation("toy", name))
    packed = pack(made, "toy", name, tmp_path / "toy.zip")
    assert packed.card.representation == name
    assert packed.card.folder == "toy/hf--org--model.layer7.max"
    own = "hf:org/model-from-ada@layer=7@pool=max"
    for wanted in ("hf:org/model@layer=8@pool=max", "hf:org/model", "hf:org/model-from-ada", "hf:org/model@layer=7@pool=max-from-ada"):
        with pytest.raises(RequestError, match=r"no pool|is a pack of hf:org/model@layer=7@pool=max"):
            obtain("toy", wanted, made, packed.path)
    (taken,) = obtain("toy", own, made, packed.path)
    assert taken.folder == made.representation("toy", own)
    assert tree(taken.folder) == tree(made.representation("toy", "rep"))


def test_another_pack_does_not_replace_one(made, other, tmp_path):
    obtain("toy", "rep", other, pack(made, "toy", "rep", tmp_path / "one.zip").path)
    another = pack(made, "toy", "rep", tmp_path / "two.zip", made_by="somebody else").path
    with pytest.raises(RequestError, match=r"were taken over from one\.zip"):
        obtain("toy", "rep", other, another)
    assert origin.read(other.representation("toy", "rep")).source == "one.zip"


def test_what_would_be_done_is_told(made, other, tmp_path):
    path = pack(made, "toy", "rep", tmp_path / "toy.zip", made_by="Ada").path
    shown = describe("toy", "rep", other, path)
    assert "made by Ada" in shown
    assert "39 vectors of 6 numbers" in shown
    assert not other.representation("toy", "rep").exists()


def change(path, data):
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: change(folder / "a/05.npy", npy(np.zeros(6, "<f4"))), "a/05.npy is not what its record says"),
        (lambda folder: change(folder / "a/05.npy", b""), "a/05.npy is not what its record says"),
        (lambda folder: change(folder / "new.npy", npy(np.zeros(6, "<f4"))), "new.npy has no record"),
        (lambda folder: shutil.rmtree(folder / ".records"), "has no record of what computed it"),
        (lambda folder: shutil.rmtree(folder), "no vectors of rep for toy"),
    ],
)
def test_vectors_that_are_not_what_was_written_are_not_packed(made, tmp_path, spoil, words):
    spoil(made.representation("toy", "rep"))
    with pytest.raises((DamagedFileError, RequestError), match=words):
        pack(made, "toy", "rep", tmp_path / "toy.zip")
    assert not (tmp_path / "toy.zip").exists()


def test_vectors_of_two_versions_and_of_two_sizes_are_not_packed(made, tmp_path):
    folder = made.representation("toy", "rep")
    for signature, size, words in (("other", 6, "different versions"), ("feedbeef00000000", 5, "has 5 numbers, not 6")):
        data = npy(np.ones(size, "<f4"))
        change(folder / "a/05.npy", data)
        with records.Journal(folder, "more") as journal:
            journal.append(records.new("a/05.wav", signature, output_digest=hashlib.sha256(data).hexdigest()))
        with pytest.raises(RequestError, match=words):
            pack(made, "toy", "rep", tmp_path / "toy.zip")


def test_by_the_command_line(made, other, tmp_path, command):
    done = command("pack", "toy", "rep", "--by", "Ada", "--licence", "CC0", "--cache", made.root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pack rep of toy: 39 vectors of 6 numbers" in done.stdout
    digest = hashlib.sha256((tmp_path / "toy-rep.zip").read_bytes()).hexdigest()
    assert f"sha256: {digest}" in done.stdout
    taken = command("download", "toy", "--representation", "rep", "--from", tmp_path / "toy-rep.zip", "--cache", other.root)
    assert taken.returncode == 3  # a/07 failed, there as here
    assert f"from toy-rep.zip (sha256 {digest[:12]}…), made by Ada" in taken.stderr
    assert "failed: a/07: is empty" in taken.stderr
    refused = command("download", "toy", "--representation", "nosuch", "--from", tmp_path / "toy-rep.zip", "--cache", other.root)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("keep", [0, 11])
def test_rows_of_matrices_are_packed_as_the_files_that_they_stand_for(made, tmp_path, keep):
    first = pack(made, "toy", "rep", tmp_path / "files.zip")
    folder = made.representation("toy", "rep")
    as_matrices(folder, keep=keep)
    assert pack(made, "toy", "rep", tmp_path / "matrices.zip").sha256 == first.sha256
    matrix = min((folder / FOLDER).glob("*.npy"))
    numbers = np.load(matrix)
    numbers[0] += 1
    np.save(matrix, numbers)
    with pytest.raises(DamagedFileError, match=rf"{matrix.name} \(row .*\) is not what its record says, or has none: run"):
        pack(made, "toy", "rep", tmp_path / "damaged.zip")
    matrix.write_bytes(matrix.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=rf"{matrix.name} is truncated"):
        pack(made, "toy", "rep", tmp_path / "damaged.zip")


def test_vectors_in_matrices_are_not_overwritten_by_a_pack(made, other, tmp_path):
    packed = pack(made, "toy", "rep", tmp_path / "toy.zip")
    shutil.copytree(made.representation("toy", "rep"), other.representation("toy", "rep"))
    as_matrices(other.representation("toy", "rep"))
    with pytest.raises(RequestError, match="holds vectors that were computed here"):
        obtain("toy", "rep", other, packed.path)


def test_vectors_of_deformed_audio_have_the_licence_of_the_clean_dataset(made, tmp_path):
    toy, packed = made.processed("toy"), made.processed("gtzan_ff~mp3-32")
    shutil.copytree(toy, packed)
    shutil.copytree(made.representation("toy", "rep"), made.representation("gtzan_ff~mp3-32", "rep"))
    description = json.loads((toy / "dataset.json").read_text())
    origin_of = {"of": "gtzan_ff", "deformation": "mp3-32", "seed": 0, "meta": "0" * 64}
    (packed / "dataset.json").write_text(json.dumps(description | {"name": "gtzan_ff~mp3-32", "deformed": origin_of}))
    card = pack(made, "gtzan_ff~mp3-32", "rep", tmp_path / "packed.zip").card
    assert card.licence["dataset"] == read_declaration("gtzan").licence
