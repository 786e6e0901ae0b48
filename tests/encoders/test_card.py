"""Cards: those of the package, and what a user's own may be."""

from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders.encoder import FAMILIES

SHORTEST = """
name = "mine"
title = "My model"
family = "transformers"
licence = "MIT"
sample_rate = 16000
width = 8
layers = 2
layer = "1"
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", cards.names())
def test_every_card_of_the_package_can_be_read_and_says_what_users_must_know(name):
    card = cards.read(name)
    assert card.name == name
    assert card.family in FAMILIES
    assert card.licence
    assert card.summary.endswith(".")
    assert card.citation.startswith("@")
    assert card.parameters
    assert card.memory
    assert card.weights_name in cards.names()
    assert card.weights or card.files or card.hub
    for file in card.files:
        assert file.urls
        assert all(url.startswith("https://") for url in file.urls)


def test_the_shortest_card_has_eight_lines(write):
    card = cards.read_file(write(SHORTEST))
    assert card.layer_names == ("0", "1", "2")
    assert (card.pool, card.tried, card.commercial, card.weights_name) == ("mean", "never", True, "mine")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('licence = "MIT"', "", "has no licence"),
        ("width = 8", 'width = "8"', "width is '8', not a whole number"),
        ("width = 8", "width = 0", "width is 0, not a number above 0"),
        ("width = 8", "width = 8\ndepth = 3", "unknown fields depth; known are"),
        ("width = 8", "width = 8\nfiles = [{path = 'a', url = 'x'}]", "files has the unknown fields url"),
        ('layer = "1"', 'layer = "3"', "layer is '3', not one of 0 … 2"),
        ('layer = "1"', "", "layers and layer belong together"),
        ('layer = "1"', 'layer = "1"\npool = "median"', "pool is 'median', not one of"),
        ('name = "mine"', 'name = "../mine"', "cannot be a file's name"),
        ('name = "mine"', 'name = "mine@layer=3"', "cannot be a file's name"),
        ('name = "mine"', "name = ", "is no card"),
        ("width = 8", "width = 8\nfiles = [{path = '../../a'}]", "path '../../a', which is no relative path"),
        ("width = 8", "width = 8\nfiles = [{path = '/a'}]", "path '/a', which is no relative path"),
        ("width = 8", "width = 8\nfiles = [{path = ''}]", "path '', which is no relative path"),
        ("width = 8", "width = 8\nfiles = [{path = '.records/a'}]", "which is no relative path"),
        ("width = 8", "width = 8\nfiles = [{path = 'a.zip', unpack = true, member = '../a'}]", "member '../a', which is no relative path"),
        ("width = 8", "width = 8\nfiles = [{path = 'mine.safetensors'}]", "which is the name of the converted weights"),
        ("width = 8", "width = 8\nfiles = [{path = 'card.toml'}]", "which is taken"),
        ("width = 8", "width = 8\nfiles = [{path = 'a'}, {path = 'a'}]", "which is there twice"),
        ("width = 8", "width = 8\nfiles = [{path = 'a', sha256 = 'FF'}]", "sha256 that is not 64 small hexadecimal digits"),
        ("width = 8", "width = 8\nfiles = [{path = 'a', urls = ['file:///etc/passwd']}]", "URL that is not http or https"),
        ("width = 8", "width = 8\nfiles = [{path = 'a.rar', unpack = true}]", "does not end in"),
        ('layer = "1"', 'layer = "1"\nsettings = { day = 2026-11-27 }', "settings.day is a date"),
        ('layer = "1"', f'layer = "1"\nsettings = {{ a = {"[" * 5000}{"]" * 5000} }}', "nested too deeply"),
        ('layer = "1"', 'layer = "1"\ntried = "yes"', "tried is 'yes'"),
    ],
)
def test_what_is_no_card_is_one_line(write, old, new, reason):
    with pytest.raises(RequestError, match=reason) as error:
        cards.read_file(write(SHORTEST.replace(old, new)))
    assert "\n" not in str(error.value)


def test_a_card_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    for name in ("missing.toml", "bytes.toml", "."):
        with pytest.raises(RequestError, match=r"card"):
            cards.read_file(tmp_path / name)


def test_an_unknown_encoder_names_the_known():
    with pytest.raises(RequestError, match="no encoder is called 'mussicnn'"):
        cards.read("mussicnn")
