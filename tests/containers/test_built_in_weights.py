"""Which files of a cache are built into which image, and what is refused before anything is built."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def built_in(monkeypatch, tmp_path):
    """A function from names of encoders, and of images to build, to options of the build and the files in the folder they name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    specification = importlib.util.spec_from_file_location("images_script", SCRIPTS / "images.py")
    script = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "images_script", script)
    specification.loader.exec_module(script)

    def gather(encoders, images=()):
        folder = tmp_path / "gathered"
        options = script._built_in_weights(encoders, list(images), tmp_path / "weights", folder)
        assert options[::2] == ["--set"] * (len(options) // 2)
        return options[1::2], sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    return gather


@pytest.fixture(autouse=True)
def cached(tmp_path):
    for name, files in {
        "musicnn-msd": ["musicnn-msd.safetensors", ".records/download.jsonl", ".data-00000-of-00001"],
        "clmr": ["clmr.safetensors", "clmr.ckpt"],
        "hf--some--model": ["hf--some--model.safetensors", "model.safetensors", "config.json", "card.toml"],
        "choi": ["weights_layer4_theano.hdf5"],
    }.items():
        for file in files:
            path = tmp_path / "weights" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_what_extraction_reads_goes_into_the_image_of_the_family(built_in, tmp_path):
    options, files = built_in(["musicnn-msd", "clmr-59049", "clmr", "hf:some/model"])
    gathered = tmp_path / "gathered"
    assert options == [
        f"representations_musicnn.contexts.weights={gathered}/representations_musicnn",
        "representations_musicnn.args.REPRESENTATION=musicnn-msd",
        f"representations_clmr.contexts.weights={gathered}/representations_clmr",
        "representations_clmr.args.REPRESENTATION=clmr-59049",
        f"representations_hf.contexts.weights={gathered}/representations_hf",
        "representations_hf.args.REPRESENTATION=hf:some/model",
    ]
    assert files == [
        "representations_clmr/clmr/clmr.safetensors",
        *(f"representations_hf/hf--some--model/{name}" for name in ("card.toml", "config.json", "hf--some--model.safetensors")),
        "representations_musicnn/musicnn-msd/musicnn-msd.safetensors",
    ]


@pytest.mark.parametrize(
    ("encoders", "images", "reason"),
    [
        (["choi"], [], "choi has no weights in .*: `jukemir-like download choi` brings them"),
        (["mine"], [], "no encoder is called mine"),
        (["clmr"], ["representations_choi"], "the weights of clmr are built into representations_clmr, which is not among the images"),
    ],
)
def test_what_cannot_be_built_in_is_refused(built_in, encoders, images, reason):
    with pytest.raises(ValueError, match=reason):
        built_in(encoders, images)
