"""What images are tried on: the same everywhere, and able to tell right from wrong."""

import hashlib
import io
import re

import numpy as np
import pytest
import soundfile

from jukemir_like.conformance import synthetic_audio
from jukemir_like.conformance.batches import SIZE
from jukemir_like.conformance.snapshots import is_hidden, output_of
from jukemir_like.conformance.synthetic_audio import encoded, wav

WRONG_ORDERS = {
    "characters": lambda path: path,
    "utf-16": lambda path: path.encode("utf-16-be", "surrogatepass"),
    "any case": lambda path: os_bytes(path.lower()),
    "folder by folder": lambda path: [os_bytes(part) for part in path.split("/")],
    "without endings": lambda path: os_bytes(path.rpartition(".")[0]),
    "numbers": lambda path: [(part.isdigit(), int(part) if part.isdigit() else 0, os_bytes(part)) for part in re.split(r"(\d+)", path)],
    "without punctuation": lambda path: (re.sub(r"[\W_]", "", path).lower(), path),
    "folders last": lambda path: ("/" in path, os_bytes(path)),
    "folders first": lambda path: ("/" not in path, os_bytes(path)),
    "names alone": lambda path: os_bytes(path.rpartition("/")[2]),
    "lengths": lambda path: (len(path), os_bytes(path)),
    "signed bytes": lambda path: list(np.frombuffer(os_bytes(path), np.int8)),
    "accents removed": lambda path: os_bytes(path.replace("é", "e")),
}


def os_bytes(path):
    return path.encode("utf-8", "surrogateescape")


def batches(paths):
    return [set(paths[start : start + SIZE]) for start in range(0, len(paths), SIZE)]


@pytest.mark.parametrize("order", WRONG_ORDERS)
def test_every_wrong_order_gives_other_batches(order):
    paths = list(synthetic_audio.ordered())
    assert batches(sorted(paths, key=WRONG_ORDERS[order])) != batches(sorted(paths, key=os_bytes))


def test_the_opposite_order_gives_other_batches():
    paths = sorted(synthetic_audio.ordered(), key=os_bytes)
    assert batches(paths[::-1]) != batches(paths)


def test_a_wav_file_is_the_same_on_every_machine():
    digest = hashlib.sha256(wav(3, seconds=0.01, channels=2)).hexdigest()
    assert digest == "b25070dafff40d3b7a5e9a56a40e024bcfab1f98e6a5f5f01966c60933cfaaff"


@pytest.mark.parametrize(("sample_rate", "channels", "seconds"), [(22050, 1, 2.0), (44100, 2, 3.0), (8000, 1, 5.0)])
def test_a_wav_file_holds_what_it_says(sample_rate, channels, seconds):
    read = soundfile.info(io.BytesIO(wav(1, seconds=seconds, sample_rate=sample_rate, channels=channels)))
    assert (read.samplerate, read.channels, read.duration, read.subtype) == (sample_rate, channels, seconds, "PCM_16")


def test_other_seeds_give_other_sounds():
    assert len({wav(seed) for seed in range(9)}) == 9


def test_flac_holds_the_same_samples_as_wav():
    flac, _ = soundfile.read(io.BytesIO(encoded(1, "FLAC")), dtype="int16")
    plain, _ = soundfile.read(io.BytesIO(wav(1)), dtype="int16")
    assert np.array_equal(flac, plain)


@pytest.mark.parametrize("format", ["OGG", "MP3"])
def test_lossy_files_last_as_long(format):
    assert soundfile.info(io.BytesIO(encoded(2, format, sample_rate=44100))).duration == pytest.approx(2.0, abs=0.1)


def test_bad_inputs_cannot_be_decoded():
    for path, content in synthetic_audio.undecodable().items():
        with pytest.raises(soundfile.LibsndfileError):
            print(path, soundfile.read(io.BytesIO(content)))


def test_inputs_and_what_is_none_are_told_apart_by_name():
    paths = [*synthetic_audio.all_kinds(), *synthetic_audio.unusual_names(), *synthetic_audio.ordered()]
    is_input = re.compile(r"(?is).*\.(wav|flac|ogg|mp3)").fullmatch
    assert {*synthetic_audio.formats(), *synthetic_audio.upper_case(), *synthetic_audio.kinds(), *synthetic_audio.sub_folders()} <= set(
        paths
    )
    assert all(is_input(path) and not is_hidden(path) for path in paths)
    assert all(is_hidden(path) for path in synthetic_audio.hidden())
    assert not any(is_input(path) or is_hidden(path) for path in synthetic_audio.other_endings())


@pytest.mark.parametrize("paths", [synthetic_audio.unusual_names(), synthetic_audio.ordered()], ids=["unusual", "ordered"])
def test_no_two_names_have_one_output_even_where_case_does_not_count(paths):
    assert len({output_of(path).lower() for path in paths}) == len(paths)
    assert all(len(os_bytes(part)) <= 255 for path in paths for part in path.split("/"))
