"""Extraction of an encoder: all layers from one pass, by a user's own card, resumed, with bad inputs, and without a socket."""

import json
import socket
import threading

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.core import devices, records
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import encoder, weights
from jukemir_like.extract import extract

from .conftest import FRAME, Tiny

CARD = """
name = "tiny"
title = "Tiny"
family = "tiny"
licence = "MIT"
sample_rate = 8000
width = 3
layers = 1
layer = "1"
"""


@pytest.fixture(autouse=True)
def forked_workers(monkeypatch):
    """Workers know the tiny family from this process, also where an earlier test has left a thread that is about to end."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.fixture
def ready(tiny_card, tiny_file, cache, tmp_path):
    """Options of an extraction whose weights are in the cache, and a folder of three clips, one of them too short."""
    weights.get(tiny_card, cache, Tiny.convert, own_copy=tiny_file.parent)
    card = tmp_path / "tiny.toml"
    card.write_text(CARD)
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for name, length in (("a", 1000), ("b", 333), ("short", FRAME - 1)):
        soundfile.write(folder / f"{name}.wav", rng.uniform(-0.5, 0.5, length), 8000)
    return folder, {"card": card, "cache": cache}


def test_all_layers_from_one_pass_are_what_each_layer_gives(ready, tmp_path, monkeypatch):
    folder, options = ready
    clips = []
    monkeypatch.setattr(Tiny, "feed", lambda self, given, pools, feed=Tiny.feed: (clips.extend(given), feed(self, given, pools)))
    summary = extract("tiny", folder, tmp_path / "all", layers="all", **options)
    assert (summary.done, summary.exit_code, list(summary.failed)) == (4, 3, ["short.wav"])
    assert summary.audio_seconds == pytest.approx((1000 + 333) / 8000, abs=2e-3)
    assert len(clips) == 3
    for layer in ("0", "1"):
        extract(f"tiny@layer={layer}", folder, tmp_path / layer, **options)
        for name in ("a", "b"):
            path = tmp_path / "all" / f"tiny.layer{layer}" / f"{name}.npy"
            assert path.read_bytes() == (tmp_path / layer / f"{name}.npy").read_bytes()
        of_layer = records.read(tmp_path / "all" / f"tiny.layer{layer}")
        assert {name: record["status"] for name, record in of_layer.items()} == {"a.wav": "done", "b.wav": "done", "short.wav": "failed"}
        assert of_layer["a.wav"]["signature"] == records.read(tmp_path / layer)["a.wav"]["signature"]


def test_only_the_layers_that_are_missing_are_written_again(ready, tmp_path):
    folder, options = ready
    (folder / "short.wav").unlink()
    extract("tiny@pool=max", folder, tmp_path / "out", layers="all", **options)
    first = tmp_path / "out" / "tiny.layer0.max" / "a.npy"
    kept = tmp_path / "out" / "tiny.layer1.max" / "a.npy"
    before, time = first.read_bytes(), kept.stat().st_mtime_ns
    first.unlink()
    summary = extract("tiny@pool=max", folder, tmp_path / "out", layers="all", **options)
    assert (summary.done, summary.kept) == (1, 3)
    assert first.read_bytes() == before
    assert kept.stat().st_mtime_ns == time
    assert extract("tiny@pool=max", folder, tmp_path / "out", layers="1", **options).kept == 2


@pytest.mark.parametrize(
    ("name", "layers", "reason"),
    [
        ("tiny", "0,7", "tiny has no layer 7: choose one of 0 … 1"),
        ("tiny@layer=0", "all", "tiny@layer=0 names a layer already"),
        ("mfcc", "all", "mfcc has no layers to choose: leave --layers out"),
    ],
)
def test_layers_that_cannot_be_are_one_line(ready, tmp_path, name, layers, reason):
    folder, options = ready
    with pytest.raises(RequestError, match=reason):
        extract(name, folder, tmp_path / "out", layers=layers, **(options if name != "mfcc" else {}))
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_a_vector_that_is_not_finite_fails_its_clip_alone(ready, tmp_path, monkeypatch):
    folder, options = ready

    def feed(self, clips, pools, feed=Tiny.feed):
        feed(self, clips, pools)
        for clip, of_clip in zip(clips, pools, strict=True):
            if len(clip) == 333:
                of_clip["1"].add(np.full((1, 3), np.nan, np.float32))

    monkeypatch.setattr(Tiny, "feed", feed)
    summary = extract("tiny", folder, tmp_path / "out", layers="all", **options)
    assert summary.failed == {"b.wav": "gives a vector that is not finite", "short.wav": "is too short for one frame"}


def test_extraction_opens_no_socket(ready, tmp_path, monkeypatch):
    folder, options = ready

    def refuse(*arguments, **more):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert extract("tiny", folder, tmp_path / "out", **options).done == 2


def test_a_card_of_another_name_and_an_option_that_is_none_are_one_line(ready):
    _, options = ready
    with pytest.raises(RequestError, match="is the card of tiny, not of mine"):
        encoder.load("mine", **options)
    with pytest.raises(RequestError, match="tiny takes no colour: leave it out"):
        encoder.load("tiny", **options, colour="red")
    assert json.dumps(encoder.load("tiny", **options).parameters)


def test_a_clip_for_which_the_gpu_has_no_room_ends_the_request_and_what_is_finished_is_kept(ready, tmp_path, monkeypatch, fake_gpus):
    folder, options = ready
    (folder / "short.wav").unlink()
    (folder / "c.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "a.wav").unlink()  # c, which is too long, comes after b

    def feed(self, clips, pools, feed=Tiny.feed):
        if sum(map(len, clips)) > 500:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        feed(self, clips, pools)

    fake_gpus(1)
    monkeypatch.setattr(encoder, "_CLIPS_ON_GPU", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Tiny, "feed", feed)
        reason = "the GPU has no room for one clip of 0.1 s by tiny: choose --precision bf16 or 16, --device cpu"
        with pytest.raises(RequestError, match=reason):
            extract("tiny", folder, tmp_path / "out", **options)
    assert {name: record["status"] for name, record in records.read(tmp_path / "out").items()} == {"b.wav": "done"}
    summary = extract("tiny", folder, tmp_path / "out", device="cpu", **options)
    assert (summary.done, summary.kept, summary.failed) == (1, 1, {})


def test_a_gpu_that_is_not_there_is_one_line(ready, tmp_path, monkeypatch):
    folder, options = ready
    monkeypatch.setattr(devices, "gpu_count", lambda here=False: 0)
    with pytest.raises(RequestError, match=r"there is no GPU that torch can use \(there is no GPU here\): choose the device cpu"):
        extract("tiny", folder, tmp_path / "out", device="cuda", workers=2, **options)


def test_what_is_extracted_and_where_may_be_set_by_variables(command, write_audio, tmp_path):
    """As in the images of encoders: a word is the representation, --dataset is not disturbed."""
    folder = tmp_path / "in"
    for name in ("a", "b"):
        write_audio(folder / f"{name}.wav")
    variables = {"JUKEMIR_LIKE_REPRESENTATION": "mfcc", "JUKEMIR_LIKE_INPUT": str(folder), "JUKEMIR_LIKE_OUTPUT": str(tmp_path / "out")}
    done = command("extract", "--batch_size", "1", "--batch_idx", "1", environment=variables)
    assert (done.returncode, [path.name for path in (tmp_path / "out").glob("*.npy")]) == (0, ["b.npy"])
    done = command("extract", "chroma", environment=variables)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "out" / "a.npy").shape == (72,)
    done = command("extract", "mfcc", "--dataset", "none", "--cache", tmp_path, environment=variables)
    reason = f"jukemir-like: {tmp_path}/processed/none/wav is not a folder: give the folder of audio files\n"
    assert (done.returncode, done.stderr) == (2, reason)
