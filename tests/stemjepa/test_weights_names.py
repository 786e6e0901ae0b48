import shutil

import pytest
import torch

from jukemir_like import extract
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.stemjepa import StemJEPARepresentation
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.config import is_name
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.weights_names import name_of, representation_with

EMBEDDED = checkpoint.EMBEDDED
MODEL = config.Model.from_dict(
    {"encoder": {"size": "custom", "width": 16, "depth": 1, "heads": 2, "patch_mels": 80}, "predictor": {"width": 16, "depth": 1}}
)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def write(tmp_path):
    """A function that writes weights, other ones for each seed."""

    def make(path, seed=0):
        torch.manual_seed(seed)
        checkpoint.save(tmp_path / path, Network(MODEL), provenance={})
        return tmp_path / path

    return make


def name(path, cache):
    return name_of(path, checkpoint.header(path).digest, cache)


def test_runs_whose_files_are_all_called_weights_have_names_of_their_own(write, cache):
    paths = [write(f"xps/{run}/weights.safetensors", seed) for seed, run in enumerate(["4d2e", "91ab"])]
    names = [name(path, cache) for path in paths]
    assert [one[:5] for one in names] == ["4d2e-", "91ab-"]
    before = names[0]
    write("xps/4d2e/weights.safetensors", 7)  # trained again
    assert name(paths[0], cache)[:5] == "4d2e-"
    assert name(paths[0], cache) != before


def test_a_file_elsewhere_never_takes_the_name_of_others(write, cache):
    mine = write("cache/checkpoints/mine.safetensors", 1)
    assert name(mine, cache) == name(checkpoint.resolve("mine", cache), cache) == "mine"
    others = [write("a/mine.safetensors", 2), write("b/mine.safetensors", 3), write(f"a/{EMBEDDED}.safetensors", 4)]
    shadowed = write(f"cache/checkpoints/{EMBEDDED}.safetensors", 5)  # the name means the package's
    names = {name(path, cache) for path in (*others, shadowed)}
    assert len(names) == 4
    assert not names & {"mine", EMBEDDED}


def test_the_same_weights_are_called_the_same_wherever_they_lie(write, cache, tmp_path):
    mine = write("cache/checkpoints/mine.safetensors", 1)
    (tmp_path / "cache" / "checkpoints" / "mine").mkdir()
    own = shutil.copy(mine, tmp_path / "cache" / "checkpoints" / "mine" / "weights.safetensors")
    assert name(own, cache) == "mine"
    copied = shutil.copy(checkpoint.resolve(), tmp_path / f"{EMBEDDED}.safetensors")
    assert name(copied, cache) == EMBEDDED
    one, other = write("x/y.safetensors", 2), tmp_path / "y.safetensors"
    shutil.copy(one, other)
    assert name(one, cache) == name(other, cache)


@pytest.mark.parametrize("odd", ["epoch=9 step=1", "ö" * 100, "a" * 190, "v1.layer3"])
def test_odd_names_are_still_names(write, cache, odd):
    path = write(f"{odd}.safetensors")
    assert is_name(name(path, cache))
    called = representation_with("stemjepa-untrained@layer=1", path, cache)
    assert called.startswith("stemjepa-")
    assert called.endswith("-untrained@layer=1")
    assert StemJEPARepresentation(called, weights=path, cache=cache).name == called
    assert representation_with(called, path, cache) == called


def test_representations_are_those_of_their_weights(write, cache):
    write("cache/checkpoints/mine.safetensors", 1)
    assert representation_with("stemjepa", "mine", cache) == representation_with("stemjepa-other", "mine", cache) == "stemjepa-mine"
    assert representation_with("stemjepa", EMBEDDED, cache) == "stemjepa"
    assert representation_with(f"stemjepa-{EMBEDDED}", EMBEDDED, cache) == f"stemjepa-{EMBEDDED}"
    run = write("xps/4d2e/weights.safetensors", 2)
    assert representation_with("stemjepa", run, cache) == f"stemjepa-4d2e-{checkpoint.header(run).digest[:8]}"


def test_extraction_into_the_cache_goes_by_them_and_elsewhere_does_not(write, cache):
    run = str(write("xps/4d2e/weights.safetensors", 2))
    kept_as = extract.kept_name("stemjepa@pool=max", run, "music", cache)
    assert kept_as.startswith("stemjepa-4d2e-")
    assert kept_as.endswith("@pool=max")
    assert extract.kept_name(kept_as, run, "music", cache) == kept_as
    assert extract.kept_name("stemjepa", run, None, cache) == "stemjepa"
    assert extract.kept_name("stemjepa", None, "music", cache) == "stemjepa"
    with pytest.raises(RequestError, match="would replace the vectors of musicnn-msd: give INPUT and OUTPUT"):
        extract.kept_name("musicnn-msd", run, "music", cache)


def test_vectors_of_the_package_and_of_two_runs_are_kept_side_by_side(write, cache, write_audio, monkeypatch, capsys):
    from jukemir_like.cli.representations import extract as command

    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(cache.root))
    write_audio(cache.processed("music") / "wav" / "a.wav", seconds=1)
    for seed, run in enumerate(["4d2e", "91ab"]):
        write(f"xps/{run}/weights.safetensors", seed)
    root = cache.root.parent
    for run in ("4d2e", "91ab"):
        words = ["stemjepa", "--dataset", "music", "--weights", str(root / "xps" / run / "weights.safetensors"), "--workers", "1"]
        assert command.main([*words, "--layers", "0,1"], standalone_mode=False) == 0
        assert f"are kept as those of stemjepa-{run}-" in capsys.readouterr().err
    folders = sorted(path.name.replace(".", "-").split("-")[1] for path in (cache.root / "representations" / "music").iterdir())
    assert folders == ["4d2e", "4d2e", "91ab", "91ab"]
