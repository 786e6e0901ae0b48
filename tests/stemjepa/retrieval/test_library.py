import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.core.rows import Rows
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval import index, indexing, library


@pytest.fixture
def jepa(weights):
    return StemJEPA(checkpoint.load(weights), "cpu")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path, write_audio):
    """Five clips, of which one lies in a sub-folder and one is shorter than a chunk; old enough to be trusted."""
    for number, name in enumerate(["a.wav", "b.flac", "sub/c.wav", "d.wav", "short.wav"]):
        write_audio(tmp_path / "library" / name, seconds=0.4 if name == "short.wav" else 1.5, seed=number, channels=1 + number % 2)
    return tmp_path / "library"


@pytest.fixture
def settled(monkeypatch):
    """As if files had been written long ago."""
    monkeypatch.setattr(index, "_SETTLED_NS", -(10**18))


def test_candidates_are_ranked_as_by_the_model_itself(jepa, cache, folder, tmp_path, write_audio):
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    candidates = library.open_library(jepa, folder, cache)
    assert candidates.paths == ["a.wav", "b.flac", "d.wav", "short.wav", "sub/c.wav"]
    matches = candidates.nearest(library.query(jepa, tmp_path / "mix.wav", "drums").vector, 3)
    expected = jepa.rank(folder, tmp_path / "mix.wav", "drums", top=3)
    assert [match.rank for match in matches] == [1, 2, 3]
    assert [match.path for match in matches] == [path for path, _ in expected]
    assert [match.score for match in matches] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_what_is_known_is_not_read_again(jepa, cache, folder, settled):
    first = library.open_library(jepa, folder, cache)
    assert (first.summary.done, first.summary.kept) == (5, 0)
    assert first.summary.audio_seconds == pytest.approx(4 * 1.5 + 0.4, abs=0.01)
    for path in folder.rglob("*.*"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))  # nothing of it could be decoded …
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    known = json.loads(np.load(index.index_path(cache, folder, jepa))["table"].tobytes())
    # … and the index is told the time of this change, as if it had not happened.
    states = {name: [list(index.file_state(folder / name)), digest] for name, (_, digest) in known["files"].items()}
    arrays = dict(np.load(index.index_path(cache, folder, jepa)))
    np.savez(
        index.index_path(cache, folder, jepa),
        **arrays | {"table": np.frombuffer(json.dumps(known | {"files": states}).encode(), np.uint8)},
    )
    again = library.open_library(jepa, folder, cache)
    assert (again.summary.done, again.summary.kept, again.summary.failed) == (0, 5, {})
    assert np.array_equal(again.vectors, first.vectors)


def test_a_file_written_anew_with_its_size_and_time_kept_is_noticed(jepa, cache, folder, settled):
    before = library.open_library(jepa, folder, cache)
    status = (folder / "a.wav").stat()
    samples, rate = soundfile.read(folder / "b.flac")
    soundfile.write(folder / "a.wav", np.resize(samples.T[::-1], (33075,)), rate, subtype="PCM_16")
    assert (folder / "a.wav").stat().st_size == status.st_size
    os.utime(folder / "a.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = library.open_library(jepa, folder, cache)
    assert after.summary.done == 1
    assert not np.allclose(after.vectors[0], before.vectors[0])
    assert np.array_equal(after.vectors[1:], before.vectors[1:])


def test_a_file_that_changes_within_a_clock_s_tick_of_being_read_is_read_again(jepa, cache, folder):
    library.open_library(jepa, folder, cache)
    kept = index.Index.read(index.index_path(cache, folder, jepa))
    assert all(state is None for state, _ in kept.files.values())  # written a moment ago
    assert library.open_library(jepa, folder, cache).summary.done == 0  # read, and known by their content


def test_the_index_follows_the_folder(jepa, cache, folder, write_audio, settled):
    before = library.open_library(jepa, folder, cache)
    write_audio(folder / "new.wav", seed=77)
    (folder / "d.wav").rename(folder / "renamed.wav")
    shutil.copy(folder / "a.wav", folder / "copy of a.wav")
    (folder / "short.wav").unlink()
    after = library.open_library(jepa, folder, cache)
    assert after.paths == ["a.wav", "b.flac", "copy of a.wav", "new.wav", "renamed.wav", "sub/c.wav"]
    assert after.summary.done == 1
    assert np.array_equal(after.vectors[after.paths.index("renamed.wav")], before.vectors[before.paths.index("d.wav")])
    assert np.array_equal(after.vectors[2], after.vectors[0])
    fresh = library.open_library(jepa, folder, Cache(cache.root / "other"))
    np.testing.assert_allclose(after.vectors, fresh.vectors, atol=1e-5)
    kept = index.Index.read(index.index_path(cache, folder, jepa))
    assert (len(kept.rows), len(kept.vectors)) == (5, 5)  # of the removed file nothing is left


def test_other_weights_have_an_index_of_their_own(jepa, cache, folder, network, tmp_path):
    first = library.open_library(jepa, folder, cache)
    network.teacher.norm.bias.data += 1.0
    network.teacher.norm.weight.data[::2] *= 3
    checkpoint.save(tmp_path / "weights" / "small.safetensors", network, provenance={})  # the same name and place
    other = library.open_library(StemJEPA(checkpoint.load(tmp_path / "weights" / "small.safetensors"), "cpu"), folder, cache)
    assert other.summary.done == 5
    assert not np.allclose(first.vectors, other.vectors)
    assert library.open_library(jepa, folder, cache).summary.done == 0


def test_bad_files_are_told_each_time_and_stop_nothing(jepa, cache, folder, settled):
    (folder / "text.wav").write_bytes(b"no audio at all")
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "cut.wav").write_bytes((folder / "a.wav").read_bytes()[:3000])
    soundfile.write(folder / "silence.wav", np.zeros(8000), 16000)
    for _ in range(2):
        found = library.open_library(jepa, folder, cache)
        assert set(found.summary.failed) == {"text.wav", "empty.mp3", "cut.wav"}
        assert "empty" in found.summary.failed["empty.mp3"]
        assert found.silent == ["silence.wav"]
        assert len(found.paths) == 5
        assert found.summary.exit_code == 3
    (folder / "text.wav").write_bytes((folder / "a.wav").read_bytes())
    assert set(library.open_library(jepa, folder, cache).summary.failed) == {"empty.mp3", "cut.wav"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_tried_again(jepa, cache, folder):
    (folder / "a.wav").chmod(0)
    assert "permission denied" in library.open_library(jepa, folder, cache).summary.failed["a.wav"]
    (folder / "a.wav").chmod(0o644)
    assert library.open_library(jepa, folder, cache).summary.failed == {}


def test_a_link_to_nowhere_is_told(jepa, cache, folder):
    (folder / "gone.wav").symlink_to("nowhere.wav")
    assert library.open_library(jepa, folder, cache).summary.failed == {"gone.wav": "cannot be read (no such file or directory)"}


def test_what_is_no_file_is_told_and_stops_nothing(jepa, cache, folder):
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "itself").symlink_to("itself")
    found = library.open_library(jepa, folder, cache)
    assert found.summary.failed == {"pipe.wav": "is a named pipe, not a file", "zero.wav": "is a device, not a file"}
    assert len(found.paths) == 5


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:100], lambda data: data[:300] + b"\xff" * 50 + data[350:], lambda _: b"x"]
)
def test_a_damaged_index_is_made_again(jepa, cache, folder, damage):
    first = library.open_library(jepa, folder, cache).vectors
    path = index.index_path(cache, folder, jepa)
    path.write_bytes(damage(path.read_bytes()))
    again = library.open_library(jepa, folder, cache)
    assert np.array_equal(again.vectors, first)
    assert library.open_library(jepa, folder, cache).summary.done == 0


def test_what_an_interrupted_run_has_finished_is_kept(jepa, cache, folder, monkeypatch):
    class Interrupt(BaseException):
        pass

    calls = []
    plain = jepa.embed

    def embed(clips, **options):
        calls.append(len(clips))
        if len(calls) == 3:
            raise Interrupt
        return plain(clips, **options)

    monkeypatch.setattr(indexing, "_SECONDS_AT_ONCE", 1)
    monkeypatch.setattr(jepa, "embed", embed)
    with pytest.raises(Interrupt):
        library.open_library(jepa, folder, cache)
    monkeypatch.setattr(jepa, "embed", plain)
    after = library.open_library(jepa, folder, cache)
    assert (after.summary.done, after.summary.kept) == (3, 2)


def test_a_full_disk_is_one_line_and_the_old_index_stays(jepa, cache, folder, write_audio):
    library.open_library(jepa, folder, cache)
    path = index.index_path(cache, folder, jepa)
    before = path.read_bytes()
    write_audio(folder / "new.wav", seed=50)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(StorageError, match="file is larger than"):
            library.open_library(jepa, folder, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_names_that_are_not_utf8_survive(jepa, cache, folder):
    strange = os.fsdecode(b"caf\xe9\n.wav")
    shutil.copy(folder / "a.wav", folder / strange)
    for _ in range(2):
        found = library.open_library(jepa, folder, cache)
        assert strange in found.paths
    matches = found.nearest(found.vectors[0], 10)
    found.text(matches).encode()
    assert len(found.text(matches).splitlines()) == 2 + 6
    assert {entry["path"] for entry in json.loads(found.to_json(matches, {}))["results"]} == set(found.paths)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a folder"),
        (lambda folder: [path.unlink() for path in folder.rglob("*.*")], "no audio files"),
        (lambda folder: [path.write_bytes(b"x") for path in folder.rglob("*.*")], "none of the 5 audio files"),
    ],
)
def test_a_library_without_candidates_is_one_line(jepa, cache, folder, prepare, words):
    prepare(folder)
    with pytest.raises(RequestError, match=words) as raised:
        library.open_library(jepa, folder, cache)
    assert "\n" not in str(raised.value)


def test_a_context_that_says_nothing_is_refused(jepa, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 16000)
    (tmp_path / "text.wav").write_bytes(b"no audio")
    for name, words in (("silence.wav", "is silent"), ("text.wav", "cannot be decoded")):
        with pytest.raises(RequestError, match=words):
            library.query(jepa, tmp_path / name, "bass")
    with pytest.raises(RequestError, match="bass, drums, other, vocals"):
        library.query(jepa, tmp_path / "silence.wav", "kazoo")


def test_opening_an_unchanged_library_reads_and_embeds_no_file_and_writes_no_index(jepa, cache, folder, monkeypatch, settled):
    library.open_library(jepa, folder, cache)

    def refuse(*arguments, **options):
        raise AssertionError("called")

    monkeypatch.setattr(indexing.files, "read_regular", refuse)
    monkeypatch.setattr(jepa, "embed", refuse)
    monkeypatch.setattr(index.Index, "write", refuse)
    assert library.open_library(jepa, folder, cache).summary.kept == 5


@pytest.mark.parametrize("top", [1, 2, 7, 2499, 2500, 9000])
def test_the_nearest_of_many_are_those_of_a_whole_sort_with_equal_ones_in_their_order(top):
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 20, 2500) / 20
    assert library._best(scores, top).tolist() == sorted(range(2500), key=lambda position: (-scores[position], position))[:top]
    vectors = generator.standard_normal((2500, 8)).astype(np.float32)
    vectors[-1] = 3.0  # constant: its score is 0
    order = generator.permutation(2500)  # of the index, which is not that of the paths
    stored = normalise(vectors[np.argsort(order)]).astype(np.float32)
    candidates = library.Library(
        Path(), [f"{number:04}" for number in range(2500)], Rows.of_array(stored), order, [], records.Summary("library")
    )
    query = vectors[1100]
    cosines = [0.0 if row.std() == 0 else np.corrcoef(row, query)[0, 1] for row in vectors]  # the cosine of centred vectors
    matches, scores = candidates.search(query, top)
    assert matches == candidates.nearest(query, top)
    assert np.array_equal(scores, candidates.scores(query))
    assert [int(match.path) for match in matches] == sorted(range(2500), key=lambda position: -cosines[position])[:top]
    assert [match.score for match in matches] == pytest.approx(sorted(cosines, reverse=True)[:top], abs=1e-6)


def test_segments_are_the_chunks_of_each_file_one_after_the_other(jepa, cache, folder, tmp_path, write_audio):
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    length = jepa.model.chunk_samples
    quiet = write_audio(folder / "quiet.wav", seconds=4 * length / jepa.sample_rate, sample_rate=jepa.sample_rate, seed=7)
    quiet[length : 2 * length] *= 1e-3  # a chunk 60 dB below the others
    soundfile.write(folder / "quiet.wav", quiet, jepa.sample_rate, subtype="FLOAT")
    candidates = library.open_library(jepa, folder, cache, segments=True)
    vector = library.query(jepa, tmp_path / "mix.wav", "drums").vector
    expected = {}
    for path in candidates.paths:
        clip = library.audio.load(folder / path, jepa.sample_rate)
        count = max(1, len(clip) // length)  # a slow obvious version: each chunk by itself
        scores = [dict(jepa.rank([clip[n * length : (n + 1) * length]], tmp_path / "mix.wav", "drums"))[0] for n in range(count)]
        if path == "quiet.wav":
            scores[1] = -1.0
        expected[path] = max(scores), int(np.argmax(scores))
    matches = candidates.nearest(vector, 9)
    assert [match.path for match in matches] == sorted(expected, key=lambda path: -expected[path][0])
    for match in matches:
        assert (match.score, match.start_seconds) == pytest.approx(
            (expected[match.path][0], expected[match.path][1] * jepa.model.encoder.chunk_seconds), abs=1e-5
        )
    assert candidates.scores(vector).tolist() == pytest.approx([expected[path][0] for path in candidates.paths], abs=1e-5)
    again = library.open_library(jepa, folder, cache, segments=True)
    assert (again.summary.kept, again.chunks) == (6, candidates.chunks)
    assert np.array_equal(again.vectors, candidates.vectors)
    assert len(library.open_library(jepa, folder, cache).vectors) == 6  # whole files have another index


@pytest.mark.parametrize("rows", [[], [1], [2, 0, 9], [-1], "x", None])
def test_an_index_of_segments_whose_counts_are_not_those_of_its_rows_is_computed_again(jepa, cache, folder, rows, settled):
    opened = library.open_library(jepa, folder, cache, segments=True)
    path = index.index_path(cache, folder, jepa, segments=True)
    arrays = dict(np.load(path))
    table = json.loads(arrays["table"].tobytes()) | {"rows": rows}
    np.savez(path, **arrays | {"table": np.frombuffer(json.dumps(table).encode(), np.uint8)})
    again = library.open_library(jepa, folder, cache, segments=True)
    assert again.summary.done == 5
    assert np.allclose(again.vectors, opened.vectors, atol=1e-5)
