"""stemjepa under the extraction contract: which weights a name means, and that they decide what is kept."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from jukemir_like import extract, representations
from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.model import Block, Network

SECONDS = [0.05, 0.5, 1.0, 2.3, 1.0, 3.07, 0.97]
MODEL = config.Model(config.Frontend(), config.Encoder("custom", 32, 2, 2, chunk_seconds=0.96), config.Predictor(width=24, depth=1))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with weights called ``mine``, which commands find by the environment."""
    made = Cache(tmp_path / "cache")
    train(made.checkpoint("mine"), seed=1)
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(made.root))
    return made


@pytest.fixture
def folder(tmp_path, write_audio):
    """Seven clips of five lengths at two rates."""
    for index, seconds in enumerate(SECONDS):
        write_audio(tmp_path / "in" / "sub" / f"{index}.wav", seconds=seconds, seed=index, sample_rate=(22050, 16000)[index % 2])
    return tmp_path / "in"


def train(path, seed):
    torch.manual_seed(seed)
    checkpoint.save(path, Network(MODEL), provenance={"seed": seed})


def vectors(output):
    return {str(path.relative_to(output)): np.load(path) for path in sorted(output.rglob("*.npy"))}


def test_extraction_with_two_workers_gives_what_the_library_gives(cache, folder, tmp_path, command):
    finished = command("extract", "stemjepa-mine", folder, tmp_path / "out", "--workers", "2")
    assert finished.returncode == 0, finished.stderr
    assert "7 done, 0 kept, 0 failed" in finished.stdout
    expected = StemJEPA.from_pretrained(cache.checkpoint("mine"), "cpu").embed(sorted(folder.rglob("*.wav")))
    made = vectors(tmp_path / "out")
    assert sorted(made) == [f"sub/{index}.npy" for index in range(7)]
    np.testing.assert_allclose(np.array(list(made.values())), expected, atol=1e-5)
    assert {vector.dtype.str for vector in made.values()} == {"<f4"}


def test_batches_in_any_order_give_the_vectors_of_one_run(cache, folder, tmp_path):
    extract.extract("stemjepa-mine", folder, tmp_path / "whole")
    for index in (2, 0, 1):
        extract.extract("stemjepa-mine", folder, tmp_path / "batches", batch_size=3, batch_idx=index, workers=2)
    whole, batches = vectors(tmp_path / "whole"), vectors(tmp_path / "batches")
    assert whole.keys() == batches.keys()
    for name, vector in whole.items():
        np.testing.assert_allclose(batches[name], vector, atol=1e-5)


@pytest.mark.parametrize("vector", [config.Vector(), config.Vector(1), config.Vector(1, "mean+std"), config.Vector(pool="max")])
@pytest.mark.parametrize("untrained", ["", "-untrained"])
def test_the_weights_say_which_layer_and_pool_stand_for_a_clip_where_the_name_does_not(cache, vector, untrained):
    torch.manual_seed(1)
    checkpoint.save(cache.checkpoint("other"), Network(replace(MODEL, vector=vector)), provenance={})
    layer, pool = 2 if vector.layer is None else vector.layer, vector.pool
    clips = [np.random.default_rng(0).standard_normal(16000).astype(np.float32)]
    plain, named, of_layer = (
        representations.load(f"stemjepa-{name}", cache=cache)
        for name in (f"other{untrained}", f"other{untrained}@layer={layer}@pool={pool}", f"other{untrained}@layer=0")
    )
    assert plain(clips).shape == (1, plain.dimension)
    np.testing.assert_array_equal(plain(clips), named(clips))
    assert (of_layer.layer, of_layer.pool) == ("0", pool)
    mean = representations.load(f"stemjepa-other{untrained}@layer=2@pool=mean", cache=cache)(clips)
    jepa = StemJEPA(checkpoint.load(cache.checkpoint("other")), "cpu")
    if not untrained:  # which stem fits is found by the last layer's mean, whatever stands for a clip
        np.testing.assert_allclose(jepa.embed(clips), mean, atol=1e-6)


def test_another_layer_or_pool_of_random_weights_is_another_signature(cache):
    signatures = set()
    for vector in (config.Vector(), config.Vector(1), config.Vector(1, "mean+std"), config.Vector(pool="max")):
        checkpoint.save(cache.checkpoint("mine"), Network(replace(MODEL, vector=vector)), provenance={})
        signatures.add(representations.load("stemjepa-mine-untrained", cache=cache).signature)
    assert len(signatures) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_vectors_are_kept_while_the_weights_are_the_same_and_recomputed_when_they_change(cache, folder, tmp_path, workers):
    def run():
        return extract.extract("stemjepa-mine", folder, tmp_path / "out", workers=workers, cache=cache)

    assert (run().done, run().kept) == (7, 7)
    before, signature = vectors(tmp_path / "out"), representations.load("stemjepa-mine").signature
    train(cache.checkpoint("mine"), seed=2)
    assert representations.load("stemjepa-mine").signature != signature
    assert run().done == 7
    for name, vector in vectors(tmp_path / "out").items():
        assert np.abs(vector - before[name]).max() > 1e-2


def test_a_bad_file_is_recorded_and_the_others_are_not_spoilt(cache, folder, tmp_path):
    (folder / "sub" / "3b.wav").write_bytes(b"not audio")
    summary = extract.extract("stemjepa-mine", folder, tmp_path / "out")
    assert (summary.done, list(summary.failed)) == (7, ["sub/3b.wav"])
    assert records.read(tmp_path / "out")["sub/3b.wav"]["reason"].startswith("cannot be decoded")


def test_weights_by_path_and_precision_are_options_of_the_extraction(cache, folder, tmp_path):
    extract.extract("stemjepa-mine", folder, tmp_path / "by-name")
    extract.extract("stemjepa", folder, tmp_path / "by-path", weights=str(cache.checkpoint("mine")), workers=2)
    extract.extract("stemjepa", folder, tmp_path / "fast", weights=str(cache.checkpoint("mine")), precision="bf16")
    exact, same, fast = (vectors(tmp_path / name) for name in ("by-name", "by-path", "fast"))
    for name, vector in exact.items():
        np.testing.assert_array_equal(same[name], vector)
        assert 0 < np.linalg.norm(fast[name] - vector) / np.linalg.norm(vector) < 1e-2


def test_everything_that_changes_the_numbers_is_in_the_signature(cache):
    plain = representations.load("stemjepa-mine")
    assert plain.parameters["weights"] == checkpoint.header(cache.checkpoint("mine")).digest
    assert (plain.name, plain.sample_rate, plain.dimension) == ("stemjepa-mine", 16000, 160)
    json.dumps(plain.parameters)
    others = [representations.load("stemjepa-mine", precision="bf16"), representations.load("stemjepa-mine-untrained")]
    assert len({made.signature for made in (plain, *others)}) == 3


def test_untrained_is_the_same_net_with_random_weights_of_a_fixed_seed(cache, write_audio):
    made = representations.load("stemjepa-mine-untrained")
    clip = np.random.default_rng(0).standard_normal(20000).astype(np.float32)
    np.testing.assert_array_equal(made([clip]), StemJEPA.untrained(MODEL, "cpu", seed=0).embed(clip))
    assert np.abs(made([clip]) - representations.load("stemjepa-mine")([clip])).max() > 1e-2
    train(cache.checkpoint("mine"), seed=5)  # other weights of the same net
    assert representations.load("stemjepa-mine-untrained").signature == made.signature


def test_a_plain_name_means_the_last_layer_and_its_parameters_are_as_before_there_were_layers(cache):
    plain, last = representations.load("stemjepa-mine"), representations.load(f"stemjepa-mine@layer={MODEL.encoder.depth}")
    assert plain.parameters.keys() == {"recipe", "weights", "precision", "model"}
    assert last.parameters == plain.parameters | {"layer": "2", "pool": "mean"}
    assert (plain.layers, plain.layer, plain.pool) == (("0", "1", "2"), "2", "mean")
    clip = np.random.default_rng(0).standard_normal(20000).astype(np.float32)
    assert (
        plain([clip]).tobytes() == last([clip]).tobytes() == StemJEPA.from_pretrained(cache.checkpoint("mine"), "cpu").embed(clip).tobytes()
    )
    names = ["stemjepa-mine", "stemjepa-mine@layer=1", "stemjepa-mine@pool=max", "stemjepa-mine@layer=1@pool=max"]
    assert len({representations.load(name).signature for name in names}) == 4


class Frames(list):
    """A pool that keeps its frames."""

    def add(self, frames):
        self.append(frames.numpy().copy())


def test_pools_are_those_of_the_frames(cache):
    random = np.random.default_rng(0)
    clips = [random.standard_normal(length).astype(np.float32) for length in (20000, 3000, 40000)]
    kept = [{1: Frames()} for _ in clips]
    StemJEPA.from_pretrained(cache.checkpoint("mine"), "cpu").feed(clips, kept)
    frames = [np.concatenate(of_clip[1]).astype(np.float64) for of_clip in kept]
    for pool, expected in {
        "mean": [one.mean(0) for one in frames],
        "mean+std": [np.concatenate([one.mean(0), one.std(0)]) for one in frames],
        "max": [one.max(0) for one in frames],
    }.items():
        made = representations.load(f"stemjepa-mine@layer=1@pool={pool}")
        assert made(clips).shape == (3, made.dimension)
        np.testing.assert_allclose(made(clips), expected, atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "mean+std"])
def test_all_layers_take_the_passes_of_one(cache, folder, tmp_path, monkeypatch, pool):
    passes = []
    forward = Block.forward
    monkeypatch.setattr(Block, "forward", lambda self, tokens: (passes.append(len(tokens)), forward(self, tokens))[1])
    name = f"stemjepa-mine@pool={pool}"
    extract.extract(name, folder, tmp_path / "first use")  # a network is tried once when it is built
    passes.clear()
    extract.extract(name, folder, tmp_path / "one")
    one, passes[:] = sum(passes), []
    summary = extract.extract(name, folder, tmp_path / "all", layers="all")
    assert summary.done == 3 * 7
    assert 2 * 7 <= one <= sum(passes) <= 1.1 * one
    last = vectors(tmp_path / "all" / f"stemjepa-mine.layer2.{pool}")
    assert last.keys() == vectors(tmp_path / "one").keys()
    for path, vector in vectors(tmp_path / "one").items():
        np.testing.assert_array_equal(last[path], vector)
    extract.extract(f"stemjepa-mine@layer=1@pool={pool}", folder, tmp_path / "first")
    for path, vector in vectors(tmp_path / "first").items():
        np.testing.assert_allclose(vectors(tmp_path / "all" / f"stemjepa-mine.layer1.{pool}")[path], vector, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stemjepa-mine@layer=3", r"stemjepa-mine has no layer 3: choose one of 0 … 2"),
        ("stemjepa-mine@pool=sum", "no pool is called sum"),
        ("stemjepa-mne", r"no weights are called 'mne' \(known: .*mine"),
        ("stemjepa-", "names no weights"),
        ("stemjepa-a/b", "names no weights"),
        ("stemjepa-w.safetensors", "names no weights"),
    ],
)
def test_a_name_that_means_no_weights_is_one_line(cache, folder, tmp_path, command, name, reason):
    with pytest.raises(RequestError, match=reason):
        representations.load(name)
    finished = command("extract", name, folder, tmp_path / "out")
    assert finished.returncode == 2
    assert finished.stderr.startswith("jukemir-like: ")
    assert finished.stderr.count("\n") == 1


def test_an_option_that_a_representation_does_not_take_is_refused(folder, tmp_path):
    with pytest.raises(RequestError, match="chroma takes no weights"):
        extract.extract("chroma", folder, tmp_path / "out", weights="mine")


def test_weights_that_changed_between_loading_and_use_are_not_used(cache):
    made = representations.load("stemjepa-mine")
    train(cache.checkpoint("mine"), seed=2)
    with pytest.raises(RequestError, match="has changed since"):
        made([np.zeros(1000, np.float32)])


def test_a_signature_needs_no_torch_and_vectors_need_no_training_libraries(cache):
    script = (
        "import sys, numpy; from jukemir_like.representations import load\n"
        "made = load('stemjepa-mine'); made.signature; early = 'torch' in sys.modules\n"
        "made([numpy.zeros(4096, 'f4')])\n"
        "print(early, sorted({'lightning', 'hydra', 'dora', 'omegaconf', 'tensorboard', 'matplotlib', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.split("\n")[0] == "False []"


@pytest.mark.skipif(checkpoint.EMBEDDED not in checkpoint.names(), reason="this tree has no weights of its own")
@pytest.mark.parametrize("name", ["stemjepa", "stemjepa-untrained"])
def test_stemjepa_works_with_no_download(name, folder, tmp_path, command):
    finished = command("extract", name, folder, tmp_path / "out", environment={"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "nothing")})
    assert finished.returncode == 0, finished.stderr
    assert len(vectors(tmp_path / "out")) == 7
