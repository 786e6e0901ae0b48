"""Tables of stems: the declared ones against the taxonomies as published, and users' that do not fit."""

import csv

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets import stems_table
from jukemir_like.datasets.multitracks import table_of

PROGRAMS_OF_SLAKH = {
    "Piano": "Acoustic Grand Piano", "Chromatic Percussion": "Vibraphone", "Organ": "Harmonica", "Guitar": "Guitar harmonics",
    "Strings": "Contrabass", "Strings (continued)": "Orchestra Hit", "Brass": "Tuba", "Reed": "Bassoon", "Pipe": "Whistle",
    "Synth Lead": "Lead 8 (bass + lead)", "Synth Pad": "Pad 4 (choir)", "Sound Effects": "FX 1 (rain)", "Sound effects": "Gunshot",
    "Ethnic": "Kalimba", "Percussive": "Steel Drums",
}  # fmt: skip
"""Each class that is other, as general_midi_inst_0based.txt of slakh-utils has them, with one of its programs."""
MOISES_STEMS = (
    "vocals", "bass", "drums", "other", "guitar", "other plucked", "percussion", "piano", "other keys", "bowed strings", "wind",
)  # fmt: skip
"""The taxonomy in the library of MoisesDB."""
MEDLEY = {
    "vocals": ("male singer", "female singer", "male speaker", "female speaker", "male rapper", "female rapper", "beatboxing", "vocalists"),
    "bass": ("electric bass", "double bass"),
    "drums": (
        "triangle", "sleigh bells", "cowbell", "cabasa", "high hat", "gong", "guiro", "gu", "cymbal", "castanet", "claps", "rattle",
        "shaker", "maracas", "timpani", "toms", "snare drum", "kick drum", "bass drum", "bongo", "conga", "tambourine", "darbuka",
        "doumbek", "tabla", "auxiliary percussion", "drum set", "drum machine",
    ),
    "other": (
        "erhu", "violin", "viola", "cello", "violin section", "viola section", "cello section", "string section", "acoustic guitar",
        "banjo", "guzheng", "harp", "harpsichord", "liuqin", "mandolin", "oud", "slide guitar", "ukulele", "zhongruan", "sitar", "dulcimer",
        "yangqin", "piano", "tack piano", "dizi", "flute", "flute section", "piccolo", "bamboo flute", "panpipes", "recorder",
        "alto saxophone", "baritone saxophone", "bass clarinet", "clarinet", "clarinet section", "tenor saxophone", "soprano saxophone",
        "oboe", "english horn", "bassoon", "bagpipe", "trumpet", "cornet", "trombone", "french horn", "euphonium", "tuba", "brass section",
        "french horn section", "trombone section", "horn section", "trumpet section", "harmonica", "concertina", "accordion", "bandoneon",
        "harmonium", "pipe organ", "melodica", "crowd", "chimes", "xylophone", "vibraphone", "marimba", "glockenspiel", "whistle",
        "clean electric guitar", "distorted electric guitar", "lap steel guitar", "electric piano", "electronic organ", "synthesizer",
        "theremin", "fx/processed sound", "scratches", "sampler", "Unlabeled",
    ),
    "": ("Main System",),
}  # fmt: skip
"""All labels of taxonomy.yaml of the repository of MedleyDB."""


def test_the_table_of_slakh_goes_by_programs_and_else_by_classes():
    table = table_of("slakh2100", None)
    assert table.stems == STEMS
    assert {of_class: table.channel([program, of_class]) for of_class, program in PROGRAMS_OF_SLAKH.items()} == dict.fromkeys(
        PROGRAMS_OF_SLAKH, "other"
    )
    assert table.channel(["Synth Bass 2", "Bass"]) == "bass"
    assert table.channel(["Drums", "Drums"]) == "drums"
    assert [table.channel([name, "Percussive"]) for name in ("Woodblock", "Taiko Drum", "Tinkle Bell")] == ["drums", "drums", "other"]
    assert table.channel(["Timpani", "Strings"]) == "drums"
    assert [table.channel([name, "Strings (continued)"]) for name in ("Choir Aahs", "Synth Strings 1")] == ["vocals", "other"]


def test_the_table_of_moisesdb_is_the_division_in_four_of_its_library():
    table = table_of("moisesdb", None)
    four = {stem: stem if stem in ("vocals", "bass", "drums") else "other" for stem in MOISES_STEMS}
    assert {stem: table.channel([f"{stem}: any", stem]) for stem in MOISES_STEMS} == four
    assert table.channel(["other: click track", "other"]) == stems_table.LEFT_OUT


def test_the_table_of_medleydb_has_all_labels_of_its_taxonomy():
    table = table_of("medleydb", None)
    assert {name: table.channel([name]) for names in MEDLEY.values() for name in names} == {
        name: channel for channel, names in MEDLEY.items() for name in names
    }


@pytest.mark.parametrize("name", ["slakh2100", "moisesdb", "medleydb"])
def test_declared_tables_are_as_they_are_written(name):
    table = table_of(name, None)
    with open(table.file, newline="", encoding="ascii") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "channel"]
    assert len(table.channels) == len(rows) - 1
    assert all(len(row) == 2 and row[0] == row[0].strip() and row[1] in (*STEMS, "") for row in rows[1:])


def write(folder, text):
    path = folder / "mine.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_users_channels_are_in_the_order_of_the_table_unless_they_are_the_usual(tmp_path):
    assert stems_table.read(write(tmp_path, "channel,name\nvocals,Voice\nbass,Bass\n")).stems == STEMS
    table = stems_table.read(write(tmp_path, 'name,channel,why\r\n"Piano, grand", Piano ,keys\r\nVoice,vocals,\r\nHiss,,noise\r\n'))
    assert table.stems == ("piano", "vocals")
    assert [table.channel([name]) for name in ("piano grand", "VOICE", "hiss", "gong")] == ["piano", "vocals", "", None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("name\nbass\n", "no channel"),
        ("name;channel\nbass;bass\n", "no name"),
        ("name,channel\nbass\n", "line 2: 1 cells instead of 2"),
        ("name,channel\nbass,bass\n,drums\n", "line 3: '' is no name"),
        ("name,channel\nbass,bass\nBass!,drums\n", "line 3: 'Bass!' is a duplicate"),
        ("name,channel\nbass,../bass\ndrums,drums\n", "line 2: channel '../bass' is not of letters, digits and underscores"),
        ("name,channel\nbass,bass\ntuba,bass\nhiss,\n", "names 1 channels, and two or more are needed"),
        (b"name,channel\n\xff,bass\n", "is not UTF-8"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(tmp_path, text, reason):
    with pytest.raises(RequestError, match=r"mine\.csv") as caught:
        stems_table.read(write(tmp_path, text))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RequestError, match=r"there is no table of stems .*mine\.csv"):
        stems_table.read(tmp_path / "mine.csv")
