"""Songs with a channel for each of their instruments: from multitrack datasets and MIDI files to a table of retrieval."""

import csv
import json

import click
import numpy as np
import pytest
import soundfile

from jukemir_like import datasets
from jukemir_like.cli import data as data_commands
from jukemir_like.cli import retrieval
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import meta
from jukemir_like.datasets.processed import read_processed
from jukemir_like.deform.stage import deform

from . import multitrack_stand_ins as stand_ins
from .midi_stand_ins import BASS, CHOIR, PIANO, write_song

ARCHIVES = {
    "slakh2100": ("slakh2100_flac_redux", lambda: stand_ins.slakh(0.3, 8000)),
    "babyslakh": ("babyslakh_16k", lambda: stand_ins.babyslakh(0.3)),
    "moisesdb": ("moisesdb", lambda: stand_ins.moisesdb(0.3, 8000)),
}


@pytest.fixture
def assets(tmp_path):
    """A function that unpacks the stand-in of a dataset into a cache, which it returns."""

    def unpack(name):
        if name == "medleydb":
            stand_ins.write(tmp_path / "datasets/medleydb/unpacked/medleydb-master", stand_ins.medleydb_metadata())
            stand_ins.write(tmp_path / "datasets/medleydb/unpacked/MedleyDB_V1", stand_ins.medleydb(0.3, 8000))
        else:
            archive, files = ARCHIVES[name]
            stand_ins.write(tmp_path / "datasets" / name / "unpacked" / archive, files())
        return Cache(tmp_path)

    return unpack


def run(command, *words):
    return command.main([*map(str, words)], standalone_mode=False)


def songs_of(name, cache, **options):
    made = datasets.from_assets(name, cache, instruments=True, **options)
    return made, {item.uid: item for item in made.items}


def test_slakh_has_the_programs_of_each_song(assets):
    made, songs = songs_of("slakh2100", assets("slakh2100"))
    assert (made.stems, made.stems_per_item, made.group) == (None, True, "recording")
    assert dict(zip(songs["Track00001"].extra["stems"], songs["Track00001"].stem_files, strict=True)) == {
        "bright acoustic piano": ("stems/S02.flac",),
        "choir aahs": ("stems/S04.flac",),
        "distortion guitar": ("stems/S00.flac",),
        "drums": ("stems/S01.flac",),
        "electric bass (finger)": ("stems/S03.flac",),
        "percussive organ": ("stems/S05.flac",),
    }
    assert songs["Track01878"].extra["stems"] == ["distortion guitar", "electric guitar (jazz)"]  # of two guitars: no four stems are in it
    assert "skipped" in songs["Track00049"].extra
    assert made.sources["stems_table"]["instruments"]["drums"] == 4


def test_moisesdb_has_the_stems_of_its_taxonomy_and_sums_their_tracks(assets):
    made, songs = songs_of("moisesdb", assets("moisesdb"))
    used = [item for item in songs.values() if "skipped" not in item.extra]
    assert len(used) == 6
    for item in used:
        assert item.extra["stems"] == ["bass", "drums", "guitar", "percussion", "vocals"]
        for name, files in zip(item.extra["stems"], item.stem_files, strict=True):
            assert {file.partition("/")[0] for file in files} == {name}
    (solo,) = (item for item in songs.values() if item.extra["artist_name"] == "Solo")
    assert solo.extra["skipped"] == "too few stems: its only instrument is guitar, and two instruments are needed"
    summed = sum(len(files) - 1 for item in used for files in item.stem_files)
    assert summed > 0
    assert f"sources summed with another of the same name in their song: {summed:,}" in made.notes
    assert "sources left out, as the table says: other: click track (7)" in made.notes


def test_medleydb_has_its_instruments_and_one_drum_kit(assets):
    _, songs = songs_of("medleydb", assets("medleydb"))
    assert songs["Phoenix_ScotchMorris"].extra["stems"] == ["double bass", "kazoo", "violin"]
    assert songs["LizNelson_Rainfall"].extra["stems"] == ["acoustic guitar", "female singer"]  # without its Main System
    night_owl = songs["AClassicEducation_NightOwl"].extra
    assert {"drums", "tambourine", "fx processed sound"} < set(night_owl["stems"])
    assert night_owl["sources"]["drums"] == ["drum set"]
    assert songs["EthanHein_HarmonicaFigure"].extra["skipped"].startswith("too few stems")


def test_a_table_of_the_users_renames_and_leaves_out(assets, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("name,channel\nBass,low_end\nGuitar,guitars\nDrums,\n")
    made, songs = songs_of("slakh2100", assets("slakh2100"), stems_table=table)
    names = songs["Track00001"].extra["stems"]
    assert names == ["bright acoustic piano", "choir aahs", "guitars", "low end", "percussive organ"]
    assert songs["Track01878"].extra["skipped"] == "too few stems: its only instrument is guitars, and two instruments are needed"
    assert made.sources["stems_table"]["left_out"] == {"Drums": 4}


def test_from_a_command_to_a_table_of_retrieval(assets, capfd):
    cache = assets("babyslakh")
    assert run(data_commands.process, "babyslakh", "--stems", "instruments", "--cache", cache.root, "--workers", 1) == 0
    assert "instruments: 6 names, 18 stems: bright acoustic piano (3)" in capfd.readouterr().out
    folder = cache.processed("babyslakh_instruments")
    description = json.loads((folder / "dataset.json").read_text())
    assert (description["stems"], description["stems_per_track"], description["name"]) == (None, True, "babyslakh")
    data = read_processed(folder)
    song = cache.dataset("babyslakh") / "unpacked/babyslakh_16k/babyslakh_16k/Track00002"
    samples, rate = data.audio("Track00002")
    names = data.items["Track00002"]["extra"]["stems"]
    assert (samples.shape[0], rate) == (len(names), 16000)
    expected = soundfile.read(song / "stems" / "S03.wav")[0]
    np.testing.assert_allclose(samples[names.index("electric bass (finger)")], expected, atol=1e-4)
    with pytest.raises(RequestError, match="has stems: only mono"):
        deform(cache, "babyslakh_instruments", "level-6")
    assert meta.remedy(folder) == "run `jukemir-like process babyslakh --name babyslakh_instruments --stems instruments` again"

    words = ("--dataset", "babyslakh_instruments", "--cache", cache.root, "--device", "cpu", "--threads", 1)
    assert run(retrieval.evaluate_retrieval, *words) == 0
    (path,) = (cache.root / "retrieval").rglob("retrieval.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {row["instrument"]: int(row["n_queries"]) for row in rows if row["pool"] == "all"}
    # Of the four stems of the weights none is called like an instrument of General MIDI but drums.
    assert counts == {
        "all": 18, "all: trained names": 3, "all: new names": 6, "all: new families": 9,
        **dict.fromkeys(names, 3),
    }  # fmt: skip


def test_midi_files_have_their_programs(tmp_path, capfd):
    pytest.importorskip("tinysoundfont")
    for number in range(2):
        write_song(tmp_path / "music" / f"{number}.mid", number, seconds=6.5, programs=(PIANO, BASS, CHOIR, BASS)[: 3 + number])
    cache = Cache(tmp_path / "cache")
    words = ("--audio", tmp_path / "music", "--stems", "instruments", "--name", "mine", "--cache", cache.root, "--workers", 1)
    assert run(data_commands.process, "midi", *words) == 0
    assert "sources summed with another of the same name in their song: 1" in capfd.readouterr().out
    data = read_processed(cache.processed("mine"))
    assert [data.items[uid]["extra"]["stems"] for uid in data.uids] == [
        ["acoustic grand piano", "choir aahs", "drums", "electric bass (finger)"]
    ] * 2
    samples, _ = data.audio("1")
    assert (np.abs(samples).max(1) > 0.003).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("musdb18", "--stems", "instruments"), "musdb18 has no stems under the names of instruments"),
        (("folder", "--stems", "instruments", "--audio", ".", "--labels", "x.csv"), "--stems instruments is for"),
        (("midi", "--stems", "instruments", "--audio", ".", "--keep_families"), "--stems instruments is for"),
        (("slakh2100", "--stems", "instruments", "--refuse_unknown"), "--stems instruments is for"),
    ],
)
def test_what_does_not_fit_is_refused(words, message, tmp_path):
    with pytest.raises((click.UsageError, RequestError), match=message):
        run(data_commands.process, *words, "--cache", tmp_path)


@pytest.mark.parametrize("stems", [None, "cello", ["cello"], ["cello", ""], ["Cello", "cello"], ["cello", 3]])
def test_names_that_are_none_are_refused(stems):
    with pytest.raises(ValueError, match=r"meta\.json"):
        meta.own_stems({"extra": {"stems": stems}})
