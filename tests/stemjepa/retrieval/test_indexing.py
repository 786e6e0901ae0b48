"""Files are read ahead by several threads: in the same order, to the same index, and no further ahead than there are threads."""

import shutil
import threading

import numpy as np
import pytest
import soundfile

from jukemir_like.core import records
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval import indexing
from jukemir_like.stemjepa.retrieval.index import Index


@pytest.fixture
def folder(tmp_path, write_audio):
    """Clips, duplicates of them, a silent file and two that are no audio."""
    folder = tmp_path / "library"
    for number in range(12):
        write_audio(folder / f"{number:02}.wav", seconds=0.5 + 0.1 * (number % 5), seed=number // 2, channels=1 + number % 4)
    shutil.copy(folder / "03.wav", folder / "copy.wav")
    soundfile.write(folder / "05 silent.wav", np.zeros(8000), 16000)
    for name in ("04 text.wav", "08 text.wav"):
        (folder / name).write_bytes(name.encode())
    return folder


def indexed(model, folder, monkeypatch, threads):
    monkeypatch.setattr(indexing.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(indexing, "_SECONDS_AT_ONCE", 1.5)
    bars = []
    monkeypatch.setattr(indexing, "Progress", lambda *words, **options: bars.append(Progress(*words, **options)) or bars[-1])
    index, summary = Index(), records.Summary("library")
    changed = {path.name: (1, 2, 3) for path in sorted(folder.iterdir())}
    indexing.embed_files(model, folder, changed, index, folder.parent / "x.npz", summary, segments=False)
    assert [bar.n for bar in bars] == [len(changed)]
    return index, summary


def test_the_number_of_threads_that_read_changes_nothing(weights, folder, monkeypatch):
    model = StemJEPA(checkpoint.load(weights), "cpu")
    (one, of_one), (many, of_many) = (indexed(model, folder, monkeypatch, threads) for threads in (1, 5))
    assert [*one.files] == [*many.files] == sorted(path.name for path in folder.iterdir())
    assert [*one.added] == [*many.added]
    assert all(np.array_equal(vectors, many.added[digest]) for digest, vectors in one.added.items())
    assert (one.reasons, one.channels) == (many.reasons, many.channels)
    assert sorted(one.channels.values()) == [3] * 3 + [4] * 3
    assert (of_one.done, of_one.audio_seconds) == (of_many.done, of_many.audio_seconds) == (12, pytest.approx(8.1, abs=0.02))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ahead", [0, 2])
def test_files_are_read_ahead_as_far_as_their_bytes_allow(folder, monkeypatch, threads, ahead):
    """Or as many as there are threads; of a file whose size is not known, no more."""
    begun, lock = [], threading.Lock()

    def read(path, *_):
        with lock:
            begun.append(path.name)
        return path.name, 1, np.ones(1600, np.float32)

    monkeypatch.setattr(indexing, "_read", read)
    monkeypatch.setattr(indexing.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(indexing, "_BYTES_AHEAD", (threads + ahead) * 1000 if ahead else 1)
    changed = dict.fromkeys(sorted(path.name for path in folder.iterdir()), (1000, 2, 3) if ahead else None)
    with Progress(len(changed), "index", "file") as bar:
        clips = indexing._new_clips(folder, changed, Index(), {}, 16000, bar)
        for number, (digest, _) in enumerate(clips):
            assert digest == [*changed][number]
            assert number < len(begun) <= number + 1 + threads + ahead


def test_a_reader_that_is_stopped_reads_no_more(folder, monkeypatch):
    begun = []
    monkeypatch.setattr(indexing, "_read", lambda path, *_: (begun.append(path), (path.name, 1, ""))[1])
    monkeypatch.setattr(indexing.torch, "get_num_threads", lambda: 2)
    reading = indexing._read_ahead(folder, dict.fromkeys("abcdefgh"), Index(), 16000)
    next(reading)
    reading.close()
    assert len(begun) <= 3
    assert threading.active_count() == 1 or not any("ThreadPoolExecutor" in thread.name for thread in threading.enumerate())
