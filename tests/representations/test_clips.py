"""Files and arrays to vectors: the numbers that the extraction of a folder gives, for whatever a notebook may hand in."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import jukemir_like as jl
from jukemir_like import extract
from jukemir_like.representations.clips import load_representation

PLUGIN = Path(__file__).parents[1] / "fixtures" / "plugin"
NAMES = ["chroma", "mfcc", "stemjepa", "stemjepa-untrained", "level"]


class Recorder(jl.Representation):
    """Mean of a clip and its length; keeps what it was called with."""

    name, sample_rate, dimension, batch_size = "recorder", 8000, 2, 3
    parameters = {"recipe": 1}

    def __init__(self):
        self.calls = []

    def __call__(self, clips):
        self.calls.append([clip.copy() for clip in clips])
        return np.array([[clip.mean(), len(clip)] for clip in clips], np.float32)


class Mean(Recorder):
    """Overwrites its input and its output."""

    name = "mean"

    def __init__(self):
        super().__init__()
        self.vectors = np.zeros((self.batch_size, 2), np.float32)

    def __call__(self, clips):
        self.vectors[: len(clips)] = super().__call__(clips)
        for clip in clips:
            clip[:] = 7
        return self.vectors[: len(clips)]


@pytest.fixture(autouse=True)
def plugin(monkeypatch, tmp_path):
    """The representation ``level`` of another package, in batches of two, and an empty cache."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("LEVEL_BATCH_SIZE", "2")
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path, write_audio):
    """Clips of several formats, rates, lengths and numbers of channels."""
    write_audio(tmp_path / "in" / "a.wav", seconds=1.3, sample_rate=44100, channels=2, seed=1)
    write_audio(tmp_path / "in" / "b.flac", seconds=2.0, sample_rate=22050, seed=2)
    write_audio(tmp_path / "in" / "c.ogg", seconds=0.7, sample_rate=48000, channels=3, seed=3)
    write_audio(tmp_path / "in" / "d.mp3", seconds=1.0, sample_rate=16000, seed=4)
    write_audio(tmp_path / "in" / "e.wav", seconds=1.1, sample_rate=8000, seed=5, subtype="FLOAT")
    return tmp_path / "in"


@pytest.fixture
def recording(tmp_path):
    """Stereo floats of 44.1 kHz and the file of the same samples: ``(samples, path)``."""
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 50_001)).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", samples.T, 44100, subtype="FLOAT")
    return samples, tmp_path / "song.wav"


def as_npy(vector):
    file = io.BytesIO()
    np.save(file, vector)
    return file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_files_are_the_bytes_that_the_extraction_writes(name, folder, tmp_path):
    assert extract.extract(name, folder, tmp_path / "out").done == 5
    vectors = load_representation(name)(sorted(folder.iterdir()))
    assert vectors.dtype == np.float32
    for vector, letter in zip(vectors, "abcde", strict=True):
        assert as_npy(vector) == (tmp_path / "out" / f"{letter}.npy").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_alone_is_the_file_in_a_list_and_its_samples_are_the_file(name, recording):
    samples, path = recording
    representation = load_representation(name)
    vector = representation(str(path))
    assert vector.shape == (representation.dimension,)
    np.testing.assert_array_equal(representation(path), vector)
    np.testing.assert_array_equal(representation([path]), [vector])
    np.testing.assert_array_equal(representation(samples, sample_rate=44100), vector)


def test_a_representation_tells_what_it_is():
    mfcc = load_representation("mfcc")
    assert (mfcc.name, mfcc.sample_rate, mfcc.dimension, mfcc.parameters["n_mfcc"]) == ("mfcc", 22050, 120, 20)
    assert repr(mfcc) == "<representation mfcc: 120 numbers per clip, at 22050 Hz>"
    assert mfcc.signature == jl.representations.load("mfcc").signature


def test_options_are_those_of_the_representation(tmp_path):
    plain, fast = load_representation("stemjepa", device="cpu"), load_representation("stemjepa", precision="bf16", cache=str(tmp_path))
    assert plain.signature != fast.signature
    assert load_representation("stemjepa", cache=jl.Cache(tmp_path), weights=None).signature == plain.signature
    with pytest.raises(jl.RequestError, match="mfcc takes no weights: leave it out"):
        load_representation("mfcc", weights="mine")
    with pytest.raises(jl.RequestError, match="unknown representation 'nosuch'"):
        load_representation("nosuch")
    with pytest.raises(jl.RequestError, match="recorder is loaded already: give colour to its class"):
        load_representation(Recorder(), colour="red")


def array_kinds():
    return {
        "float64": lambda samples: samples.astype(np.float64),
        "tensor": torch.from_numpy,
        "tensor with a gradient": lambda samples: torch.from_numpy(samples).requires_grad_(),
        "list": lambda samples: samples.tolist(),
        "not contiguous": lambda samples: np.repeat(samples, 2, axis=-1)[..., ::2],
        "big-endian": lambda samples: samples.astype(">f4"),
        "read-only": lambda samples: np.frombuffer(samples.tobytes(), np.float32).reshape(samples.shape),
    }


@pytest.mark.parametrize("kind", array_kinds())
@pytest.mark.parametrize("channels", ["mono", "stereo"])
def test_arrays_of_any_kind_are_the_same_clip(kind, channels, recording):
    samples = recording[0] if channels == "stereo" else recording[0][0]
    if (kind, channels) == ("list", "stereo"):
        pytest.skip("a list of lists is several clips")
    chroma = load_representation("chroma")
    clip = array_kinds()[kind](samples)
    np.testing.assert_array_equal(chroma(clip, sample_rate=44100), chroma(samples, sample_rate=44100))


def test_half_precision_is_taken_for_what_it_is(recording):
    samples = recording[0][0].astype(np.float16)
    chroma = load_representation("chroma")
    expected = chroma(samples.astype(np.float32), sample_rate=44100)
    np.testing.assert_array_equal(chroma(samples, sample_rate=44100), expected)
    bfloat = torch.from_numpy(recording[0][0]).bfloat16()
    np.testing.assert_array_equal(chroma(bfloat, sample_rate=44100), chroma(bfloat.float(), sample_rate=44100))


def test_several_clips_may_come_in_any_collection(recording):
    samples, path = recording
    pandas = pytest.importorskip("pandas")
    recorder = load_representation(Recorder())
    for clips in (
        [path, str(path)],
        (path, path),
        (name for name in [path, path]),
        np.array([str(path), str(path)]),
        np.array([path, path], dtype=object),
        pandas.Series([str(path), str(path)]),
        pandas.DataFrame({"path": [str(path), str(path)]}),
        [samples, samples[:, :-1]],
        np.stack([samples, samples]),
        torch.from_numpy(np.stack([samples, samples])),
        [path, samples],
        [samples[0].tolist(), samples[0]],
    ):
        assert recorder(clips, sample_rate=44100).shape == (2, 2)
    assert recorder([]).shape == (0, 2)
    assert recorder(np.str_(path)).shape == (2,)


def test_clips_come_in_batches_and_files_are_read_when_their_batch_is_due(recording):
    representation, read = Recorder(), []

    def paths():
        for number in range(7):
            read.append((number, len(representation.calls)))
            yield recording[1]

    vectors = load_representation(representation)(paths())
    assert [len(batch) for batch in representation.calls] == [3, 3, 1]
    assert read == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2)]
    assert len(np.unique(vectors, axis=0)) == 1


def test_memory_is_that_of_a_batch_and_not_of_all_clips(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(20 * 8000, 0.1, np.float32), 8000)
    representation = load_representation("level")  # batches of two
    peaks = []
    for clips in (2, 30):
        tracemalloc.start()
        representation([tmp_path / "long.wav"] * clips)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_arrays_are_left_as_they_are_and_vectors_are_one_s_own():
    clips = [np.full(8000, value, np.float32) for value in (0.1, 0.2, 0.3, 0.4)]
    vectors = load_representation(Mean())(clips, sample_rate=8000)
    np.testing.assert_allclose(vectors[:, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    assert [clip[0] for clip in clips] == [np.float32(value) for value in (0.1, 0.2, 0.3, 0.4)]


@pytest.mark.parametrize("sample_rate", [44100, 44100.0, np.int64(44100), np.float32(44100)])
def test_a_sample_rate_is_any_whole_number(sample_rate, recording):
    chroma = load_representation("chroma")
    np.testing.assert_array_equal(chroma(recording[0], sample_rate=sample_rate), chroma(recording[1]))


@pytest.mark.parametrize("sample_rate", [0, -1, 44100.5, float("nan"), float("inf"), "44100", True, [44100]])
def test_another_sample_rate_is_refused(sample_rate, recording):
    with pytest.raises(jl.RequestError, match=r"^sample_rate .+: give a whole number of Hz$"):
        load_representation("chroma")(recording[0], sample_rate=sample_rate)


def test_arrays_need_a_sample_rate_and_files_do_not(recording):
    chroma = load_representation("chroma")
    for clips in (recording[0], [recording[0]], [recording[1], recording[0]]):
        with pytest.raises(jl.RequestError, match=r"^sample_rate is missing: an array needs it, in Hz, such as sample_rate=22050$"):
            chroma(clips)
    np.testing.assert_array_equal(chroma(recording[1], sample_rate=1000), chroma(recording[1]))


GOOD = np.full(4000, 0.1, np.float32)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.where(np.arange(4000) == 9, np.nan, GOOD), "holds samples that are NaN or infinite"),
        (np.where(np.arange(4000) == 9, -np.inf, GOOD), "holds samples that are NaN or infinite"),
        (np.full(4000, 1e300), "holds samples that are NaN or infinite"),
        (np.zeros(0, np.float32), "holds no samples"),
        (np.zeros((2, 0), np.float32), "holds no samples"),
        (np.zeros(1, np.float32), r"is too short for level"),
        (np.zeros((4000, 2), np.float32), r"is an array of shape \(4000, 2\), more channels than samples: give .+ its transpose .T"),
        (np.zeros((1, 2, 4000), np.float32), r"is an array of shape \(1, 2, 4000\): give \(samples,\) or \(channels, samples\)"),
        (np.zeros(4000, np.int16), "is an array of int16: give floats in .+ such as samples / 32768"),
        (np.zeros(4000, complex), "is an array of complex128: give a path or an array of floats"),
        (np.zeros(4000, bool), "is an array of bool: give a path or an array of floats"),
        ([[0.1, 0.2], [0.3]], "has channels of different lengths"),
        (None, "is an array of object: give a path or an array of floats"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named(bad, reason):
    level = load_representation("level")
    with pytest.raises(jl.InputError, match=rf"^clip 3: {reason}"):
        level([GOOD, GOOD, GOOD, bad, GOOD], sample_rate=8000)


@pytest.mark.parametrize("bad", [np.full(4000, np.nan), np.zeros(0), np.zeros(4000, int), np.zeros((4000, 2))])
def test_one_array_that_cannot_be_used_is_refused_for_the_same_reasons(bad):
    with pytest.raises(jl.InputError, match=r"^clip 0: "):
        load_representation("level")(bad, sample_rate=8000)


def test_a_file_that_cannot_be_used_is_named_by_its_path(folder, tmp_path):
    level = load_representation("level")
    (tmp_path / "empty.wav").touch()
    for path, reason in ((tmp_path / "empty.wav", "the file is empty"), (tmp_path / "no.wav", "cannot be read"), (folder, "is a folder")):
        for clips in (path, [folder / "a.wav", path]):
            with pytest.raises(jl.InputError) as raised:
                level(clips)
            assert str(raised.value).startswith(f"{path}: {reason}")


@pytest.mark.parametrize("clips", [None, 3.0, b"song.wav", {"song.wav": 1}, object()])
def test_what_is_no_clips_is_refused(clips):
    with pytest.raises(jl.RequestError, match="clips are a path, an array of floats, or a list of these, not "):
        load_representation("level")(clips, sample_rate=8000)


def test_faults_of_a_representation_are_told_apart_from_those_of_a_clip(tmp_path, write_audio):
    clips = [np.full(8000 * seconds, 0.1, np.float32) for seconds in (1, 5)]
    with pytest.raises(jl.InputError, match=r"^clip 1: gives a vector that is not finite$"):
        load_representation("faulty")(clips, sample_rate=8000)
    write_audio(tmp_path / "bug.wav", seconds=4, sample_rate=8000)
    with pytest.raises(ZeroDivisionError, match="a bug") as raised:
        load_representation("faulty")([clips[0], tmp_path / "bug.wav"], sample_rate=8000)
    assert raised.value.__notes__ == [f"This happened with {tmp_path / 'bug.wav'}."]
    with pytest.raises(jl.RequestError, match="weights of refusing are damaged"):
        load_representation("refusing")(clips, sample_rate=8000)
    with pytest.raises(ValueError, match="was promised"):
        load_representation("wide")(clips, sample_rate=8000)


def test_progress_is_shown_only_where_it_is_asked_for(recording, capfd, monkeypatch):
    chroma = load_representation("chroma")
    quiet = chroma([recording[1]] * 3)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    np.testing.assert_array_equal(chroma([recording[1]] * 3, progress=True), quiet)
    assert "chroma" in capfd.readouterr().err
