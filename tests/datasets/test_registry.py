"""Datasets by name, options in names, and what is declared of each."""

import hashlib
import json
import re
from collections import Counter

import pytest

from jukemir_like import datasets
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.processed import read_processed
from jukemir_like.downloads.declarations import declaration_folder, declared_names, read_declaration
from jukemir_like.process import process

REAL = ["gtzan", "giantsteps", "magnatagatune", "emomusic", "musdb18", "musdb18hq"]
REAL += ["nsynth", "mtg_jamendo", "fma", "ballroom", "medley_solos_db"]
REAL += ["slakh2100", "babyslakh", "moisesdb", "medleydb"]
WITHOUT_DIGEST = ("NSYNTH_", "MTG_JAMENDO_SPLIT", "GTZAN_TEMPO", "GTZAN_FOLD", "MOISESDB", "MEDLEYDB_")
"""Beginnings of the tags of assets of which no digest is published."""
ON_REQUEST = ("MOISESDB", "MEDLEYDB_V")
"""Beginnings of the tags of assets that their owners give out on request."""


def test_every_dataset_says_what_to_download():
    assets = {name: datasets.assets(name) for name in datasets.names()}
    assert assets.pop("gtzan_ff") == "gtzan"
    assert assets.pop("gtzan_tempo") == "gtzan"
    assert assets.pop("giantsteps_clips") == "giantsteps"
    assert assets.pop("fma_small") == "fma"
    assert {assets.pop(f"mtg_jamendo_{subset}") for subset in ("genre", "instrument", "moodtheme", "top50tags")} == {"mtg_jamendo"}
    assert assets.pop("synthband_stems") == "synthband"
    assert assets.pop("synthband2_stems") == "synthband2"
    assert all(name == folder for name, folder in assets.items())
    assert datasets.assets("magnatagatune+artist_clean+tagged_only") == "magnatagatune"


def test_what_is_only_for_some_datasets_is_for_datasets_of_that_download():
    declared = {name: asset.only_for for name in declared_names() for asset in read_declaration(name).assets if asset.only_for}
    assert declared  # of gtzan, for one
    for name, needed_by in declared.items():
        assert {datasets.assets(dataset) for dataset in needed_by} == {name}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gtzan", "unknown dataset 'gtzan': choose one of babyslakh"),
        ("emomusic+tagged_only", "unknown option 'tagged_only' of dataset emomusic: choose among artist_clean"),
        ("gtzan_ff+unique", "unknown option 'unique' of dataset gtzan_ff: choose among artist_folds"),
        ("giantsteps+", "unknown option '' of dataset giantsteps: choose among unique"),
        ("magnatagatune+tagged_only+artist_clean", "is written 'magnatagatune+artist_clean+tagged_only'"),
        ("giantsteps+unique+unique", r"is written 'giantsteps\+unique'"),
    ],
)
def test_a_name_that_is_none_is_told_with_those_there_are(name, what):
    assert not datasets.is_known(name)
    for ask in (datasets.assets, datasets.options, lambda name: datasets.from_assets(name, Cache.default())):
        with pytest.raises(RequestError, match=what.replace("+", r"\+") if "\\" not in what else what):
            ask(name)


def test_options_are_told_by_name():
    assert datasets.options("magnatagatune") == ("artist_clean", "tagged_only")
    assert datasets.options("giantsteps_clips+unique") == ("unique",)
    assert datasets.options("gtzan_ff") == ("artist_folds",)
    assert datasets.options("synthband") == ()


@pytest.mark.parametrize("name", ["gtzan_ff", "giantsteps_clips+unique", "musdb18"])
def test_assets_that_are_not_there_are_told_with_the_command_that_gets_them(tmp_path, name):
    with pytest.raises(RequestError, match=f"run `jukemir-like download {re.escape(name)}` first"):
        datasets.from_assets(name, Cache(tmp_path))


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("gtzan_ff", "gtzan"),
        ("giantsteps", "giantsteps"),
        ("giantsteps_clips+unique", "giantsteps"),
        ("magnatagatune", "magnatagatune"),
        ("magnatagatune+artist_clean+tagged_only", "magnatagatune"),
        ("emomusic+artist_clean", "emomusic"),
    ],
)
def test_annotations_alone_make_metadata_that_the_probe_reads(tmp_path, request, name, fixture):
    request.getfixturevalue(fixture)
    cache = Cache(tmp_path)
    made = datasets.from_assets(name, cache)
    process(made, cache.processed(name), metadata_only=True)
    description = json.loads((cache.processed(name) / "dataset.json").read_bytes())
    assert (description["name"], description["options"]) == (name, name.split("+")[1:])
    assert (description["failed"], description["metadata_only"]) == ({}, True)
    read = read_processed(cache.processed(name))
    assert read.tasks == made.tasks
    assert list(read.items) == [item.uid for item in made.items]
    if made.group:
        assert all(read.group_of(item.uid) == item.extra[made.group] for item in made.items)


@pytest.mark.parametrize("name", REAL)
def test_what_is_declared_of_a_dataset_is_whole(name):
    declaration = read_declaration(name)
    assert declaration.assets
    assert declaration.citation.startswith("@")
    assert declaration.licence != "not declared"
    for asset in declaration.assets:
        assert bool(asset.urls) != asset.tag.startswith(ON_REQUEST), asset.tag
        assert asset.urls or declaration.access
        assert bool(asset.digest) != asset.tag.startswith(WITHOUT_DIGEST), asset.tag
    card = (declaration_folder(name) / "card.md").read_text()
    assert "\n| licence" in card
    for uid in declaration.faulty:
        assert uid in card or declaration.faulty[uid].partition(".wav")[0] in card


@pytest.mark.parametrize("name", ["gtzan_ff", "giantsteps_clips", "giantsteps"])
def test_declared_counts_are_those_of_the_published_labels(tmp_path, request, name):
    folder = request.getfixturevalue(datasets.assets(name))
    description = json.loads((declaration_folder(folder.name) / "dataset.json").read_text())
    made = datasets.from_assets(name, Cache(tmp_path))
    assert Counter(item.split for item in made.items) == description["items"][name]
    assert {task: value["labels"] for task, value in description["tasks"].items()} == {
        task: list(value.labels) for task, value in made.tasks.items()
    }


def test_files_that_are_kept_as_fixtures_have_the_declared_digests(gtzan):
    for asset in read_declaration("gtzan").assets:
        if asset.kind == "annotations" and asset.digest:
            data = (gtzan / asset.path).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (asset.sha256, asset.size)


def test_the_audio_of_giantsteps_is_declared_with_the_md5_of_its_annotations(giantsteps, giantsteps_members):
    noted = {}
    for members in giantsteps_members.values():
        noted |= {name.rpartition("/")[2].removesuffix(".md5"): data.decode().strip() for name, data in members.items() if "/md5/" in name}
    audio = {asset.path: asset for asset in read_declaration("giantsteps").assets if asset.kind == "audio"}
    assert {path.removeprefix("audio/").removesuffix(".mp3"): asset.md5 for path, asset in audio.items()} == noted
    assert len(noted) == 604 + 1486
    made = datasets.from_assets("giantsteps", Cache(giantsteps.parents[1]))
    for item in made.items:
        assert audio[str(item.source.relative_to(giantsteps))].md5 == item.extra["recording"]
