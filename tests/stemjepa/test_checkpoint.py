"""Weights in files: what comes back, what the safetensors package reads, and one line for everything that is no weights."""

import hashlib
import json
import os
import resource
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.stemjepa import checkpoint, config, instrument_names
from jukemir_like.stemjepa.model import Network

SOURCES = ("bass", "drums", "other", "vocals")


def tiny(**predictor):
    shape = config.Encoder("custom", width=32, depth=1, heads=2, chunk_seconds=0.96)
    return config.Model(encoder=shape, predictor=config.Predictor(width=24, depth=1, **predictor))


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Network(tiny())
    with torch.no_grad():
        made.teacher.norm.bias.fill_(0.5)  # a teacher that is not its student
    return made


@pytest.fixture
def saved(network, tmp_path):
    path = tmp_path / "some" / "w.safetensors"
    checkpoint.save(path, network, provenance={"steps": 7, "data": ["ü"]})
    return path


@pytest.mark.parametrize(
    "predictor",
    [
        {},
        {"conditioning": "film"},
        {"conditioning": "none"},
        {"kind": "transformer", "heads": 2},
        {"num_sources": 6},
        {"conditioning": "film", "instruments": "text", "text_buckets": 300, "text_width": 5},
    ],
)
def test_a_network_comes_back_as_it_was_saved(predictor, tmp_path):
    network = Network(tiny(**predictor))
    names = checkpoint.default_sources(network.settings)
    network.name_instruments(names, wordings=instrument_names.wordings(names))
    checkpoint.save(tmp_path / "w.safetensors", network, provenance={"seed": 1})
    loaded = checkpoint.load(tmp_path / "w.safetensors")
    assert loaded.model == network.settings
    assert loaded.provenance == {"seed": 1}
    assert loaded.sources == (SOURCES if predictor.get("num_sources", 4) == 4 else tuple(f"stem{number}" for number in range(6)))
    for key, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], tensor), key
    assert not any(parameter.requires_grad for parameter in loaded.network.teacher.parameters())
    assert not loaded.network.training
    if "instruments" in predictor:
        heard = loaded.network.predictor.sources.heard_names
        assert set(heard) == set(network.predictor.sources.heard_names) > {"drums", "Schlagzeug"}
        assert checkpoint.header(tmp_path / "w.safetensors").heard == network.predictor.sources.heard_names
        source = torch.arange(4)
        vectors = network.predictor.sources(source)  # whose sums are over rows as long as the longest of all ways to say the names
        torch.testing.assert_close(loaded.network.predictor.sources(source), vectors, rtol=0, atol=1e-6)


def test_the_safetensors_package_reads_the_same_tensors_and_metadata(saved, network):
    tensors = load_file(saved)
    assert tensors.keys() == network.state_dict().keys()
    assert {key.partition(".")[0] for key in tensors} == {"encoder", "teacher", "predictor"}
    assert all(torch.equal(tensors[key], tensor) for key, tensor in network.state_dict().items())
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    assert config.Model.from_dict(json.loads(metadata["model"])) == network.settings
    assert json.loads(metadata["sources"]) == list(SOURCES)
    assert json.loads(metadata["provenance"]) == {"steps": 7, "data": ["ü"]}
    assert json.loads(metadata["versions"])["torch"] == torch.__version__


def test_the_digest_is_that_of_the_file_and_the_same_network_gives_the_same_bytes_in_every_process(saved, tmp_path):
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert checkpoint.load(saved).digest == checkpoint.header(saved).digest == digest
    script = (
        "import sys; from pathlib import Path; from jukemir_like.stemjepa import checkpoint\n"
        "loaded = checkpoint.load(Path(sys.argv[1])); checkpoint.save(Path(sys.argv[2]), loaded.network, provenance=loaded.provenance)"
    )
    subprocess.run(
        [sys.executable, "-c", script, saved, tmp_path / "again.safetensors"], check=True, env={**os.environ, "PYTHONHASHSEED": "5"}
    )
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_half_the_size_is_float16_and_loads_as_float32(network, saved, tmp_path):
    checkpoint.save(tmp_path / "half.safetensors", network, provenance={}, half=True)
    assert {tensor.dtype for tensor in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    assert (tmp_path / "half.safetensors").stat().st_size < 0.62 * saved.stat().st_size  # the header does not shrink
    loaded = checkpoint.load(tmp_path / "half.safetensors").network.state_dict()
    for key, tensor in network.state_dict().items():
        assert loaded[key].dtype == torch.float32
        assert torch.equal(loaded[key], tensor.half().float())


def test_weights_that_float16_cannot_hold_are_not_stored_as_infinity(network, tmp_path):
    with torch.no_grad():
        network.encoder.norm.weight[3] = 1e5
    with pytest.raises(RequestError, match=r"encoder\.norm\.weight holds values beyond"):
        checkpoint.save(tmp_path / "w.safetensors", network, provenance={}, half=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["whole", "encoder"])
def test_a_compiled_network_is_saved_without_its_prefixes(network, saved, tmp_path, part):
    if part == "whole":
        compiled = torch.compile(network)
    else:
        network.encoder = torch.compile(network.encoder)
        compiled = network
    assert any("_orig_mod" in key for key in compiled.state_dict())
    checkpoint.save(tmp_path / "w.safetensors", compiled, provenance={"steps": 7, "data": ["ü"]})
    assert (tmp_path / "w.safetensors").read_bytes() == saved.read_bytes()


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoint.load(saved)
    assert torch.equal(torch.rand(3), expected)


def test_the_header_is_read_without_torch(saved):
    script = (
        "import sys; from pathlib import Path; from jukemir_like.stemjepa import checkpoint\n"
        "print(checkpoint.header(Path(sys.argv[1])).model.dimension, 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, saved], capture_output=True, text=True, check=True).stdout.split() == [
        "160",
        "False",
    ]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (("bass", "drums"), "the model has 4"),
        (("bass", "bass", "other", "vocals"), "the model has 4"),
        *(
            ((name, "a", "b", "c"), "cannot be the name of an instrument")
            for name in ("", "..", "a/b", "/etc", "a\0", "a\nb", "\ud800", "x" * 101)
        ),
    ],
)
def test_sources_that_do_not_fit_the_model_or_are_no_names_are_refused(network, tmp_path, sources, message):
    with pytest.raises(RequestError, match=message):
        checkpoint.save(tmp_path / "w.safetensors", network, provenance={}, sources=sources)


def one_line(path, match):
    for read in (checkpoint.load, checkpoint.header):
        with pytest.raises(RequestError, match=match) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    one_line(tmp_path / "no.safetensors", "is missing: check the path")


def test_a_folder(tmp_path):
    one_line(tmp_path, "is a folder, not a file")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle(tmp_path, network, zipped):
    torch.save(network.state_dict(), tmp_path / "w.safetensors", _use_new_zipfile_serialization=zipped)
    one_line(tmp_path / "w.safetensors", "is a PyTorch pickle")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF....WAVEfmt ", b"\2\0\0\0\0\0\0\0[]", b"\7\0\0\0\0\0\0\0" + b'{"a":1}'])
def test_a_file_of_another_kind(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    one_line(tmp_path / "w.safetensors", "is not a safetensors file")


@pytest.mark.parametrize("missing", [1, 20_000])
def test_a_truncated_file(saved, missing):
    os.truncate(saved, saved.stat().st_size - missing)
    one_line(saved, "is cut short or damaged")


def test_safetensors_of_something_else(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "w.safetensors")
    one_line(tmp_path / "w.safetensors", "holds no configuration of a Stem-JEPA")


def rewrite(path, tensors=None, **metadata):
    """The file as it is, but for some tensors and metadata, by the safetensors package."""
    with safe_open(path, "pt") as file:
        old = file.metadata()
    save_file(load_file(path) | (tensors or {}), path, old | metadata)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"format": "jukemir-like stemjepa 99"}, "this version reads"),
        ({"model": "{"}, "describes no Stem-JEPA"),
        ({"model": '{"encoder": {"layers": 3}}'}, "unknown option encoder.layers"),
        ({"sources": '["bass"]'}, "the model has 4"),
        ({"sources": "4"}, "describes no Stem-JEPA"),
    ],
)
def test_a_header_that_makes_no_model(saved, metadata, reason):
    rewrite(saved, **metadata)
    one_line(saved, reason)


def test_tensors_that_are_missing_unknown_or_of_another_size_are_named(saved):
    whole = load_file(saved)
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()

    def with_tensors(tensors):
        save_file(tensors, saved, metadata)
        with pytest.raises(RequestError) as caught:
            checkpoint.load(saved)
        return str(caught.value)

    lacking = {key: tensor for key, tensor in whole.items() if not key.startswith("teacher.")}
    assert "lacks tensor teacher.patch_embed.proj.weight" in with_tensors(lacking)
    assert "holds unknown tensor encoder.cls_token (1 in all)" in with_tensors(whole | {"encoder.cls_token": torch.ones(1)})
    assert "tensor encoder.norm.weight is of size (48,), its header's model has (32,)" in with_tensors(
        whole | {"encoder.norm.weight": torch.ones(48)}
    )


def test_a_full_disk_leaves_the_old_weights_and_nothing_else(saved, network):
    before = saved.read_bytes()
    with torch.no_grad():
        network.encoder.norm.bias.fill_(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the system refuses to write on, as it does where the disk is full
    try:
        with pytest.raises(StorageError, match=r"^cannot write .*w\.safetensors") as caught:
            checkpoint.save(saved, network, provenance={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["w.safetensors"]


def test_weights_are_found_by_name_in_the_cache_and_by_path(saved, network, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache")
    checkpoint.save(cache.checkpoint("mine"), network, provenance={})
    assert checkpoint.resolve("mine", cache) == tmp_path / "cache" / "checkpoints" / "mine.safetensors"
    assert "mine" in checkpoint.names(cache)
    assert "mine" not in checkpoint.names()
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(cache.root))
    assert checkpoint.resolve("mine") == cache.checkpoint("mine")
    for path in (saved, str(saved)):
        assert checkpoint.resolve(path, cache) == saved


def test_an_unknown_name_is_one_line_that_lists_the_known_ones(network, tmp_path):
    cache = Cache(tmp_path)
    checkpoint.save(cache.checkpoint("mine"), network, provenance={})
    with pytest.raises(RequestError, match=r"^no weights are called 'mne' \(known: .*mine.*\): choose one of them, or give the path"):
        checkpoint.resolve("mne", cache)


def test_the_packages_own_weights_come_before_the_caches(network, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "package")
    with pytest.raises(RequestError, match="no weights are called"):
        checkpoint.resolve(None, Cache(tmp_path))
    own = tmp_path / "package" / f"{checkpoint.EMBEDDED}.safetensors"
    for path in (own, Cache(tmp_path).checkpoint(checkpoint.EMBEDDED)):
        checkpoint.save(path, network, provenance={})
    assert checkpoint.resolve(None, Cache(tmp_path)) == checkpoint.resolve(checkpoint.EMBEDDED, Cache(tmp_path)) == own
    assert checkpoint.names() == [checkpoint.EMBEDDED]


def test_the_packages_own_weights_are_small_and_can_be_read():
    own = [checkpoint.FOLDER / f"{name}.safetensors" for name in checkpoint.names()]
    assert sum(path.stat().st_size for path in own) <= 16e6
    for path in own:
        assert checkpoint.load(path).provenance


@pytest.mark.parametrize("length", [0x4B50, 0x4B80], ids=["like a zip archive", "like a pickle"])
def test_weights_whose_first_bytes_happen_to_be_another_format_s_are_read(network, tmp_path, length):
    """A file begins with the length of its header: 19,280 is written as the letters PK, 19,328 begins as a pickle does."""
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, network, provenance={"note": ""})
    shorter = int.from_bytes(path.read_bytes()[:8], "little")
    checkpoint.save(path, network, provenance={"note": "x" * (length - shorter)})
    assert int.from_bytes(path.read_bytes()[:8], "little") == length
    assert len(checkpoint.load(path).provenance["note"]) == length - shorter
