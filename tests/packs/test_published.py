"""The vectors that jukemir published, from a host that stands in for theirs: all 24 archives, and what can be wrong with one."""

import errno
import fcntl
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest

from jukemir_like import extract
from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.downloads.declarations import read_declaration
from jukemir_like.packs import origin, published
from jukemir_like.packs.obtaining import describe, obtain
from jukemir_like.packs.packing import pack
from jukemir_like.probes.stage import probe_dataset

from .conftest import DIMENSIONS, LABELS, npy, published_uids, tarred, vectors, write_processed


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


def test_all_archives_of_the_paper_are_declared():
    declared = read_declaration("precomputed")
    assert {asset.tag for asset in declared.assets} == {
        f"PRECOMPUTED-{dataset}-{representation}".upper() for dataset in LABELS for representation in DIMENSIONS
    }
    for asset in declared.assets:
        assert asset.urls == (f"https://nlp.stanford.edu/data/cdonahue/jukemir/precomputed/{asset.path}",)
        assert asset.kind == "extra"
    assert len({asset.sha256 for asset in declared.assets}) == 24
    assert published.DIMENSIONS == DIMENSIONS


@pytest.mark.parametrize("dataset", LABELS)
def test_each_archive_becomes_a_representation_of_its_own(stand, cache, dataset):
    uids = published_uids(dataset)[:3]
    for representation, dimension in DIMENSIONS.items():
        *_, taken = obtain(dataset, representation, cache)
        assert (taken.done, taken.kept, taken.failed, taken.dimension) == (3, 0, {}, dimension)
        folder = cache.representation(dataset, f"{representation}-jukemir")
        assert files(folder) == {
            name.rpartition("/")[2]: data for name, data in vectors(dataset, representation, uids).items()
        }  # float32 as they were, to the byte
        digest = hashlib.sha256((stand.folder / f"{dataset}-{representation}.tar.gz").read_bytes()).hexdigest()
        recorded = records.read(folder)
        assert {record["signature"] for record in recorded.values()} == {f"sha256:{digest}"}
        assert {name: record["output_digest"] for name, record in recorded.items()} == {
            f"{uid}.wav": hashlib.sha256((folder / f"{uid}.npy").read_bytes()).hexdigest() for uid in uids
        }
        assert origin.read(folder).sha256 == digest
        assert not cache.representation(dataset, representation).exists()
    assert "the archive has 3" in taken.text()
    assert f"{dataset} is not processed in this cache" in taken.text()


def test_what_is_there_is_kept_without_the_network_and_what_was_lost_comes_back(stand, cache):
    obtain("gtzan_ff", "mfcc", cache)
    folder = cache.representation("gtzan_ff", "mfcc-jukemir")
    before = files(folder)
    stand.requests.clear()
    (cache.dataset("precomputed") / "gtzan_ff-mfcc.tar.gz").unlink()  # of no use any more
    (kept,) = obtain("gtzan_ff", "mfcc-jukemir", cache)
    assert (kept.done, kept.kept, stand.requests) == (0, 3, [])
    next(folder.glob("*.npy")).write_bytes(b"damaged")
    assert obtain("gtzan_ff", "mfcc", cache)[-1].done == 3
    assert files(folder) == before


def test_on_a_file_system_without_locks_vectors_are_taken_over_as_elsewhere(stand, cache, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert obtain("gtzan_ff", "mfcc", cache)[-1].done == 3
    assert not [path for path in cache.root.rglob("*") if "held" in path.name]


def test_a_truncated_archive_is_refused_and_nothing_is_left(stand, cache):
    data = (stand.folder / "gtzan_ff-jukebox.tar.gz").read_bytes()
    stand.damage("gtzan_ff", "jukebox", data[: len(data) // 2])
    (downloaded,) = obtain("gtzan_ff", "jukebox", cache)
    assert downloaded.exit_code == 3
    assert "PRECOMPUTED-GTZAN_FF-JUKEBOX" in downloaded.failed
    assert not cache.representation("gtzan_ff", "jukebox-jukemir").exists()
    stand.damage("gtzan_ff", "jukebox", data)
    assert obtain("gtzan_ff", "jukebox", cache)[-1].done == 3


def test_an_archive_that_was_published_truncated_is_refused_too(stand, cache):
    data = (stand.folder / "gtzan_ff-jukebox.tar.gz").read_bytes()
    stand.put("gtzan_ff", "jukebox", data[: len(data) // 2])
    with pytest.raises(RequestError, match=r"gtzan_ff-jukebox\.tar\.gz cannot be taken over: .* is damaged"):
        obtain("gtzan_ff", "jukebox", cache)
    parent = cache.representation("gtzan_ff", "jukebox-jukemir").parent
    assert list(parent.iterdir()) == []


def test_uids_are_compared_with_the_processed_dataset(stand, cache):
    uids = published_uids("gtzan_ff")
    split_of = dict.fromkeys(uids[:6], "train") | {uids[6]: None} | dict.fromkeys(uids[7:9], "test")
    write_processed(cache, "gtzan_ff", split_of, skipped=[uids[7]])
    given = [*uids[:4], uids[10]]  # uids[4], [5] and [8] are missing; [6] has no split, [7] no audio, [10] is of no item
    stand.put("gtzan_ff", "chroma", tarred(vectors("gtzan_ff", "chroma", given)))
    for state in ("done", "kept"):
        *_, taken = obtain("gtzan_ff", "chroma", cache)
        assert getattr(taken, state) == 5
        assert taken.failed == dict.fromkeys((uids[4], uids[5], uids[8]), "has no vector in the archive")
        assert taken.exit_code == 3
        assert f"1 vectors are of no item of gtzan_ff and are not used: {uids[10]}" in taken.text()


def test_vectors_of_another_dataset_are_refused(stand, cache):
    write_processed(cache, "gtzan_ff", {"0" * 64: "train"})
    with pytest.raises(RequestError, match=r"no uid of gtzan_ff-mfcc\.tar\.gz is one of gtzan_ff as processed here"):
        obtain("gtzan_ff", "mfcc", cache)
    stand.put("gtzan_ff", "clmr", tarred(vectors("emomusic", "clmr", published_uids("emomusic")[:2])))
    with pytest.raises(RequestError, match="has no vector of gtzan_ff: is it the right archive"):
        obtain("gtzan_ff", "clmr", cache)


def test_what_is_no_vector_is_left_out_or_failed_and_said(stand, cache):
    uid, *others = published_uids("gtzan_ff")[:6]
    numbers = np.arange(120.0)
    members = {
        f"./gtzan_ff/mfcc/{uid}.npy": npy(numbers),  # float64
        f"gtzan_ff/mfcc/{others[0]}.npy": npy(numbers[:72]),
        f"gtzan_ff/mfcc/{others[1]}.npy": npy(np.full(120, np.inf)),
        f"gtzan_ff/mfcc/{others[2]}.npy": npy(numbers.reshape(1, 120)),
        f"gtzan_ff/mfcc/{others[3]}.npy": b"\x93NUMPY",
        f"gtzan_ff/mfcc/{others[4]}.npy": npy(np.array([None] * 120, object)),
        f"gtzan_ff/mfcc/._{uid}.npy": b"AppleDouble",
        f"../../gtzan_ff/mfcc/{uid}.npy": npy(numbers),
        f"/gtzan_ff/mfcc/{uid}.npy": npy(numbers),
        f"emomusic/mfcc/{uid}.npy": npy(numbers),
    }
    stand.put("gtzan_ff", "mfcc", tarred(members))
    *_, taken = obtain("gtzan_ff", "mfcc", cache)
    assert (taken.done, sorted(taken.failed)) == (1, sorted(others))
    assert "its vector is float64 of shape (72,), not 120 numbers" in taken.failed[others[0]]
    assert "not finite" in taken.failed[others[1]]
    assert "4 files in the archive are no vectors of it" in taken.text()
    folder = cache.representation("gtzan_ff", "mfcc-jukemir")
    vector = np.load(folder / f"{uid}.npy")
    assert vector.dtype.str == "<f4"
    assert vector.tolist() == numbers.tolist()
    assert records.read(folder)[f"{others[0]}.wav"]["status"] == "failed"


def test_links_in_an_archive_are_left_out(stand, cache):
    uids, file = published_uids("gtzan_ff")[:2], io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        link = tarfile.TarInfo(f"gtzan_ff/mfcc/{uids[0]}.npy")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        info, data = tarfile.TarInfo(f"gtzan_ff/mfcc/{uids[1]}.npy"), npy(np.zeros(120, np.float32))
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    stand.put("gtzan_ff", "mfcc", file.getvalue())
    *_, taken = obtain("gtzan_ff", "mfcc", cache)
    assert (taken.done, set(files(taken.folder))) == (1, {f"{uids[1]}.npy"})


@pytest.mark.parametrize(
    ("dataset", "representation", "words"),
    [
        ("gtzan_ff", "stemjepa", "no vectors of 'stemjepa' were published: choose one of chroma, mfcc, choi, musicnn, clmr, jukebox"),
        ("synthband", "mfcc", "no vectors of dataset 'synthband' were published: choose one of emomusic"),
        ("gtzan", "mfcc", "choose one of emomusic, giantsteps_clips, gtzan_ff, magnatagatune"),
    ],
)
def test_what_was_never_published_is_a_wrong_request(cache, dataset, representation, words):
    with pytest.raises(RequestError, match=words):
        obtain(dataset, representation, cache)


def test_vectors_that_were_computed_here_are_never_written_over(stand, cache):
    folder = cache.representation("gtzan_ff", "mfcc-jukemir")
    folder.mkdir(parents=True)
    (folder / "mine.npy").write_bytes(npy(np.zeros(3)))
    with pytest.raises(RequestError, match="holds vectors that were computed here: remove it first"):
        obtain("gtzan_ff", "mfcc", cache)
    assert files(folder) == {"mine.npy": npy(np.zeros(3))}


def test_extraction_does_not_write_among_them(stand, cache, write_audio, tmp_path):
    obtain("gtzan_ff", "mfcc", cache)
    write_audio(tmp_path / "music" / "a.wav")
    folder = cache.representation("gtzan_ff", "mfcc-jukemir")
    before = files(folder)
    with pytest.raises(RequestError, match=r"were taken over from gtzan_ff-mfcc\.tar\.gz .*: extract into another folder"):
        extract.extract("mfcc", tmp_path / "music", folder)
    assert files(folder) == before


def test_a_dataset_with_options_has_the_vectors_of_its_archive(stand, cache):
    *_, taken = obtain("magnatagatune+artist_clean", "mfcc", cache)
    assert taken.folder == cache.representation("magnatagatune+artist_clean", "mfcc-jukemir")
    assert taken.done == 3


def test_all_archives_at_once_are_not_downloaded(command, cache):
    done = command("download", "precomputed", "--cache", cache.root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "PRECOMPUTED-EMOMUSIC-CHOI" in done.stderr
    assert "--representation" in done.stderr


@pytest.mark.parametrize("as_folder", [True, False])
def test_an_own_copy_needs_no_network(stand, cache, tmp_path, as_folder):
    own = tmp_path / "own"
    own.mkdir()
    (stand.folder / "gtzan_ff-mfcc.tar.gz").rename(own / "renamed.tar.gz")
    *_, taken = obtain("gtzan_ff", "mfcc", cache, own if as_folder else own / "renamed.tar.gz")
    assert (taken.done, stand.requests) == (3, [])


def test_what_would_be_done_is_told(stand, cache):
    shown = describe("gtzan_ff", "jukebox", cache)
    assert "PRECOMPUTED-GTZAN_FF-JUKEBOX" in shown
    assert "none stated" in shown
    assert not cache.root.exists()


def test_results_say_whose_vectors_they_are(stand, cache, command):
    uids = published_uids("gtzan_ff")[:60]
    write_processed(cache, "gtzan_ff", {uid: ("train", "valid", "test")[number % 3] for number, uid in enumerate(uids)})
    stand.put("gtzan_ff", "mfcc", tarred(vectors("gtzan_ff", "mfcc", uids)))
    done = command("download", "gtzan_ff", "--representation", "mfcc", "--cache", cache.root)
    assert done.returncode == 0, done.stderr
    assert "take over mfcc-jukemir of gtzan_ff: 60 done, 0 kept, 0 failed; vectors of 120 numbers" in done.stdout
    assert "licence: vectors: none stated" in done.stdout
    (run,) = probe_dataset(cache, "gtzan_ff", "mfcc-jukemir").runs
    lineage = json.loads((run.folder / "run.json").read_text())["lineage"]
    digest = hashlib.sha256((stand.folder / "gtzan_ff-mfcc.tar.gz").read_bytes()).hexdigest()
    assert lineage["signature"] == f"sha256:{digest}"
    assert lineage["taken_over"]["sha256"] == digest
    assert "Castellon" in lineage["taken_over"]["made_by"]
    probed = command("probe", "gtzan_ff", "mfcc-jukemir", "--cache", cache.root)
    assert "note: mfcc-jukemir on gtzan_ff: vectors taken over from gtzan_ff-mfcc.tar.gz" in probed.stderr
    reported = command("report", "--cache", cache.root)
    assert reported.returncode == 0, reported.stderr
    page = (cache.report / "index.html").read_text()
    assert "vectors taken over from gtzan_ff-mfcc.tar.gz" in page
    assert "Castellon" in page


def test_probing_what_is_not_there_tells_how_to_get_it(tmp_path):
    cache = Cache(tmp_path)
    write_processed(cache, "gtzan_ff", {"0" * 64: "train"})
    with pytest.raises(RequestError, match="run `jukemir-like download gtzan_ff --representation mfcc-jukemir`"):
        probe_dataset(cache, "gtzan_ff", "mfcc-jukemir")


def test_an_option_that_the_dataset_has_not_is_refused_before_anything_is_done(stand, cache):
    for dataset in ("gtzan_ff+x", "magnatagatune+x", "gtzan_ff+"):
        for act in (obtain, describe):
            with pytest.raises(RequestError, match="unknown option"):
                act(dataset, "jukebox", cache)
    assert (stand.requests, cache.root.exists()) == ([], False)


def test_who_computed_published_vectors_and_when_is_still_known_after_they_were_packed(stand, cache, tmp_path):
    obtain("gtzan_ff", "mfcc", cache)
    packed = pack(cache, "gtzan_ff", "mfcc-jukemir", tmp_path / "x.zip", made_by="Bob")
    assert packed.card.made == "2021"
    other = Cache(tmp_path / "other")
    obtain("gtzan_ff", "mfcc-jukemir-from-bob", other, packed.path)
    found = origin.read(other.representation("gtzan_ff", "mfcc-jukemir-from-bob"))
    assert found.made_by == "Castellon, Donahue and Liang (arXiv 2107.05677) (gtzan_ff-mfcc.tar.gz), packed again by Bob"
    assert (found.made, found.made_with) == ("2021", None)
