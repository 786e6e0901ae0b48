"""Families of instruments, against General MIDI as pretty_midi has it and the lists of the multitrack datasets."""

import csv

import pretty_midi
import pytest

from jukemir_like.core.stems import instrument_name
from jukemir_like.datasets.instrument_families import families, family_of, is_held_out, table
from jukemir_like.downloads.declarations import declaration_folder


def test_programs_are_of_their_family_in_general_midi_but_for_those_that_are_said():
    others = {}
    for program in range(128):
        name = instrument_name(pretty_midi.program_to_instrument_name(program))
        usual = instrument_name(pretty_midi.program_to_instrument_class(program))
        if family_of(name) != usual:
            others[name] = family_of(name)
    sections = ("string ensemble 1", "string ensemble 2", "synth strings 1", "synth strings 2", "fiddle")
    assert others == {
        **dict.fromkeys(sections, "strings"),
        **dict.fromkeys(("choir aahs", "voice oohs", "synth choir"), "vocals"),
        "timpani": "percussive",
    }


@pytest.mark.parametrize("dataset", ["medleydb", "slakh2100", "moisesdb"])
def test_classes_of_datasets_have_a_family(dataset):
    with open(declaration_folder(dataset) / "stems.csv") as file:
        names = [row["name"] for row in csv.DictReader(file) if row["channel"]]
    assert {name for name in names if family_of(name) is None} <= {"other", "Unlabeled"}


def test_what_the_table_names_is_written_as_data_has_it():
    assert all(instrument_name(name) == name for name in table())
    assert set(families()) < set(table())


def test_names_that_are_not_in_the_table_are_of_the_family_of_the_words_in_them():
    assert family_of("Lead Violin_2") == "strings"
    assert family_of("my bass guitar") == "bass"  # not of the guitars: the longest name counts
    assert family_of("trumpeter") is None


def test_held_out_are_names_and_families():
    assert is_held_out("Tenor Sax", ["tenor_sax"])
    assert is_held_out("tuba", ["Brass"])
    assert not is_held_out("tuba", ["strings", "trombone"])
