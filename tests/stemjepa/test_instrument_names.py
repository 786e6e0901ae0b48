"""Names of instruments: what does not matter in them, and the table, against General MIDI's names as pretty_midi has them."""

import csv
import os
import subprocess
import sys
import unicodedata
import zlib
from collections import Counter

import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config, instrument_names
from jukemir_like.stemjepa.instrument_names import features, meaning, number, same_instrument, synonyms, wordings, words

SLAKH = (
    *("Acoustic Piano", "Electric Piano", "Chromatic Percussion", "Organ", "Acoustic Guitar", "Clean Electric Guitar", "Synth Strings"),
    *(
        "Distorted Electric Guitar",
        "Acoustic Bass",
        "Electric Bass",
        "Violin",
        "Viola",
        "Cello",
        "Contrabass",
        "Orchestral Harp",
        "Timpani",
    ),
    *("String Ensemble", "Choir and Voice", "Orchestral Hit", "Trumpet", "Trombone", "Tuba", "French Horn", "Brass Section", "Tenor Sax"),
    *("Baritone Sax", "Oboe", "English Horn", "Bassoon", "Clarinet", "Pipe", "Synth Lead", "Synth Pad", "Drums", "Strings (continued)"),
)
MOISESDB = (
    *("vocals", "bass", "drums", "other", "guitar", "other_plucked", "percussion", "piano", "other_keys", "bowed_strings", "wind"),
    *("lead male singer", "lead female singer", "human choir", "background vocals", "bass guitar", "snare drum", "toms", "kick drum"),
    *("cymbals", "overheads", "full acoustic drumkit", "drum machine", "hi-hat", "fx/processed sound", "click track", "grand piano"),
)


@pytest.mark.parametrize(
    "names",
    [
        ("Electric Guitar (jazz)", "electric_guitar_jazz", "JAZZ ELECTRIC GUITARS", "guitar-electric.jazz", " Jazz  electric guitar 2 "),
        ("Flügelhorn", "flugelhorn", "FLÜGELHORN", unicodedata.normalize("NFD", "Flügelhorn"), "flugelhorns"),
        ("Cor d'harmonie", "cor d’harmonie", "COR DHARMONIE"),
        ("basses", "BASS", "bass 01"),
        ("ピアノ", "ﾋﾟｱﾉ"),  # full and half width
    ],
)  # fmt: skip
def test_names_that_are_the_same(names):
    assert len({words(name) for name in names}) == 1
    assert len({features(name) for name in names}) == 1


@pytest.mark.parametrize(("one", "other"), [("bass", "brass"), ("808", "909"), ("bass drum", "bass"), ("viola", "violin"), ("🎸", "🎹")])
def test_names_that_are_not(one, other):
    assert words(one) != words(other)
    assert features(one) != features(other)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_neither_case_of_plain_letters_nor_order_nor_repetition_matters(plain):
    assert words(" ".join(plain.split()[::-1])) == words(plain.upper()) == words(f"{plain} {plain}") == words(plain)
    assert all(words(plain))


def test_features_are_the_word_and_its_marked_parts():
    (of_word,) = features("Oud")
    expected = ["=oud", *("<oud>"[start:end] for start in range(5) for end in range(start + 3, 6) if end - start in (3, 4))]
    assert Counter(of_word) == Counter(expected)
    assert len(features("muted jazz trumpet")) == 3
    assert features("...") == ()


def test_numbers_are_those_of_a_checksum_that_never_changes():
    assert number("=oud", 1 << 32) == zlib.crc32(b"=oud") == 2014927759
    assert number("<ou", 100) == zlib.crc32(b"<ou") % 100
    script = "from jukemir_like.stemjepa import instrument_names as n; print([n.number(f, 8192) for f in n.features('Flügelhorn')[0]])"
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment(n)) for n in (1, 2)]
    assert runs[0].stdout == runs[1].stdout == f"{[number(feature, 8192) for feature in features('flugelhorn')[0]]}\n"


def environment(seed):
    return {**os.environ, "PYTHONHASHSEED": str(seed)}


def test_a_word_and_a_part_of_the_same_letters_are_different_features():
    (of_word,) = features("horn")
    assert len(set(of_word)) == len(of_word)
    assert "horn" in of_word[1:]


@pytest.mark.parametrize(
    ("name", "word"),
    [("", "no letters"), ("  ", "no letters"), ("!?-_/", "no letters"), ("a" * 101, "101 characters"), ("\n\0", "no letters")],
)
def test_what_cannot_be_a_name_is_one_line(name, word):
    with pytest.raises(RequestError, match=word) as caught:
        instrument_names.check_name(name)
    assert "\n" not in str(caught.value)
    instrument_names.check_name("a" * 100)
    instrument_names.check_name("🎺")


# The table


def test_the_table_knows_general_midi_slakh_and_moisesdb():
    every = (*pretty_midi.constants.INSTRUMENT_MAP, *pretty_midi.constants.INSTRUMENT_CLASSES, *SLAKH, *MOISESDB)
    assert [name for name in every if meaning(name) is None] == []


def test_every_name_of_the_table_means_one_instrument_and_can_be_the_name_of_a_stem():
    with open(instrument_names.TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for row in rows for name in (row["name"], *filter(None, map(str.strip, row["synonyms"].split(";"))))]
    counts = Counter(words(name) for name in names)
    assert [said for said, count in counts.items() if count > 1 or not said] == []
    assert [name for name in names if name != name.strip() or len(name) > 40] == []
    assert [row["name"] for row in rows if meaning(row["name"]) != row["name"]] == []
    config.check_sources([row["name"] for row in rows], len(rows))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Schlagzeug", "drums"), ("DRUM-KIT", "drums"), ("batterie", "drums"), ("e-piano", "electric piano"), ("Geige", "violin"),
        ("wokal", "vocals"), ("труба", "trumpet"), ("ギター", "guitar"), ("🎺", "trumpet"), ("Posaunen", None),
        ("muted jazz trumpet", None),
        ("Acoustic Grand Piano", "piano"), ("", None),
    ],
)  # fmt: skip
def test_meanings(name, expected):
    assert meaning(name) == expected


def test_wordings_begin_with_the_name_itself_and_never_mean_another_trained_one():
    said = wordings(["Acoustic Grand Piano", "Klavier", "kazoo"])
    assert [of_name[0] for of_name in said] == ["Acoustic Grand Piano", "Klavier", "kazoo"]
    assert said[2] == ("kazoo",)
    assert "pianoforte" in said[0]
    assert "Klavier" not in said[0]
    assert not {words(other) for other in said[0]} & {words("Klavier")}
    assert len({words(other) for other in said[0]}) == len(said[0])
    assert wordings(["drums"], but=lambda name: name.isascii())[0][1:] == tuple(name for name in synonyms("drums") if not name.isascii())
    assert synonyms("kazoo") == ()


def test_the_trained_name_that_is_the_same_comes_before_one_that_means_the_same():
    trained = ["grand piano", "Klavier", "bass"]
    assert same_instrument("klavier", trained) == "Klavier"
    assert same_instrument("Grand-Pianos", trained) == "grand piano"
    assert same_instrument("ピアノ", trained) == "grand piano"
    assert same_instrument("kazoo", trained) is None
    assert same_instrument("drums", trained) is None
