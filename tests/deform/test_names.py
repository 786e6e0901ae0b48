"""Deformations by name: one spelling each, strictly read."""

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.deformed import deformed_name, how_to_make, split_name
from jukemir_like.deform.names import KINDS, Deformation, parse, table


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("level-12", "level", -12),
        ("level+6", "level", 6),
        ("level+0", "level", 0),
        ("level-0.5", "level", -0.5),
        ("noise-20", "noise", 20),
        ("noise-0", "noise", 0),
        ("pinknoise-7.5", "pinknoise", 7.5),
        ("mp3-32", "mp3", 32),
        ("lowpass-4000", "lowpass", 4000),
        ("reverb-0.5", "reverb", 0.5),
        ("tempo-0.9", "tempo", 0.9),
        ("tempo-1", "tempo", 1),
        ("pitch+2", "pitch", 2),
        ("pitch-3", "pitch", -3),
    ],
)
def test_a_name_is_read_and_written_the_same(name, kind, value):
    assert parse(name) == Deformation(kind, value)
    assert parse(name).name == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("noise-020", "is written 'noise-20'"),
        ("noise-20.0", "is written 'noise-20'"),
        ("noise+20", "is written 'noise-20'"),
        ("level-0", "is written 'level+0'"),
        ("pitch-0", "is written 'pitch+0'"),
        ("tempo-.9", "tempo is written tempo-0.9 or tempo-1.1"),
        ("pitch2", "pitch is written pitch+2 or pitch-3"),
        ("pitch+1.5", "pitch takes whole numbers from -12 to 12 (semitones)"),
        ("pitch+13", "from -12 to 12"),
        ("mp3-33", "mp3 takes 32, 40, 48"),
        ("mp3-128.5", "mp3 takes 32, 40, 48"),
        ("tempo-3", "from 0.5 to 2 (times)"),
        ("noise--5", "noise is written noise-20"),
        ("noise-1e1", "noise is written noise-20"),
        ("noise-20 ", "noise is written noise-20"),
        ("noise-" + "9" * 400, "noise is written noise-20"),
        ("noise-٢٠", "noise is written noise-20"),
        ("hum-50", "there are level, noise,"),
        ("", "there are level, noise,"),
        ("../x", "there are level, noise,"),
    ],
)
def test_all_other_spellings_are_one_line(name, reason):
    with pytest.raises(RequestError) as error:
        parse(name)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_every_kind_is_listed_with_spellings_that_are_read(command):
    for kind in KINDS.values():
        for example in kind.example.split():
            assert parse(example).kind == kind.name
            assert example in table()
    assert command("deform", "--list").stdout.strip() == table().strip()


def test_names_of_deformed_datasets():
    for dataset in ("synthband", "giantsteps+unique", "mine"):
        for deformation in ("level-12", "pitch+2", "tempo-0.9"):
            assert split_name(deformed_name(dataset, deformation)) == (dataset, deformation)
    assert split_name("mine") is split_name("~x") is split_name("x~") is None
    assert how_to_make("giantsteps+unique~pitch+2") == "jukemir-like deform giantsteps+unique pitch+2"
