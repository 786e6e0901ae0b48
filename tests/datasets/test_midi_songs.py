"""A folder of MIDI files: from the folder to a table of retrieval, and which songs are used, how."""

import csv
import json
import shutil
from dataclasses import replace

import click
import numpy as np
import pytest

from jukemir_like.cli import data as data_commands
from jukemir_like.cli import retrieval
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets.midi_songs import midi_dataset
from jukemir_like.datasets.processed import read_processed
from jukemir_like.midi import soundfonts as soundfonts_module
from jukemir_like.midi.soundfonts import default_path
from jukemir_like.process import process

from .midi_stand_ins import BASS, CHOIR, PIANO, write_song

pytest.importorskip("tinysoundfont")


def run(command, *words):
    return command.main([*map(str, words)], standalone_mode=False)


@pytest.fixture
def soundfonts(tmp_path):
    """Two soundfonts."""
    (tmp_path / "soundfonts").mkdir()
    shutil.copy(default_path(), tmp_path / "soundfonts" / "a.sf2")
    (tmp_path / "soundfonts" / "b.sf2").write_bytes(default_path().read_bytes() + b"\0\0")
    return tmp_path / "soundfonts"


@pytest.fixture
def music(tmp_path):
    """Eight songs by four artists, one of them twice, and three that cannot be used."""
    for number in range(8):
        write_song(
            tmp_path / "music" / f"artist {number // 2}" / f"song {number}.mid", number, programs=(PIANO, BASS, CHOIR)[: 2 + number % 2]
        )
    folder = tmp_path / "music" / "artist 0"
    shutil.copy(folder / "song 0.mid", tmp_path / "music" / "artist 3" / "again.MIDI")
    write_song(folder / "short.mid", 20, seconds=5)
    write_song(folder / "solo.mid", 21, programs=(PIANO, 40), drums=False)
    (folder / "broken.mid").write_bytes((folder / "song 0.mid").read_bytes()[:60])
    (folder / "notes.txt").write_text("not music")
    return tmp_path / "music"


def test_from_a_folder_to_a_table_of_retrieval(tmp_path, music, soundfonts, capfd):
    cache = Cache(tmp_path / "cache")
    assert run(data_commands.process, "midi", "--audio", music, "--soundfonts", soundfonts, "--cache", cache.root, "--workers", 2) == 0
    said = capfd.readouterr().out
    data = read_processed(cache.processed("midi"))
    assert (data.stems, data.group, len(data)) == (STEMS, "folder", 12)
    used = [uid for uid in data.uids if data.path(uid).exists()]
    assert used == [f"artist {number // 2}/song {number}" for number in range(8)]
    for number, uid in enumerate(used):
        samples, rate = data.audio(uid)
        assert (samples.shape, rate) == ((4, 12 * 44100), 44100)
        heard = [float(np.abs(channel).max()) > 0.003 for channel in samples]
        assert heard == [True, True, True, number % 2 == 1]
        assert data.items[uid]["extra"]["soundfont"] in ("TimGM6mb", "a", "b")
    description = json.loads((cache.processed("midi") / "dataset.json").read_text())
    assert description["skipped"] == {
        "artist 0/broken": "is no MIDI file, or damaged (EOFError)",
        "artist 0/short": "too short: less than 6 s of music",
        "artist 0/solo": "too few stems: all its sources are in other, and two channels are needed",
        "artist 3/again": "is a copy: another file has the same bytes",
    }
    assert all(f"skipped: {uid}: {reason}" in said for uid, reason in description["skipped"].items())
    assert "MIDI files: 12, of which 8 can be rendered" in said
    assert data.items["artist 3/again"]["extra"]["copy_of"] == "artist 0/song 0"
    assert description["sources"]["midi"]["seed"] == 0
    assert len(description["sources"]["midi"]["soundfonts"]) == 2

    assert (
        run(retrieval.evaluate_retrieval, "--dataset", "midi", "--cache", cache.root, "--device", "cpu", "--threads", 1, "--untrained") == 0
    )
    (path,) = (cache.root / "retrieval" / "midi").rglob("retrieval.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["pool"] for row in rows} == {"all", "all-but-context", "same-instrument", "segments"}
    tested = [uid for uid in used if data.items[uid]["split"] == "test"]
    queries = sum(4 if int(uid[-1]) % 2 else 3 for uid in tested)
    assert queries
    assert {int(row["n_queries"]) for row in rows if (row["pool"], row["instrument"]) == ("all", "all")} == {queries}


def facts(dataset):
    return {item.uid: (item.extra["soundfont_sha256"], item.rendering.instruments) for item in dataset.items if item.rendering}


def test_more_songs_change_nothing_about_those_that_were_there(music, soundfonts):
    before = midi_dataset(music, soundfont_folder=soundfonts)
    write_song(music / "artist 0" / "a first one.mid", 50)
    after = facts(midi_dataset(music, soundfont_folder=soundfonts))
    assert len(after) == 9
    assert facts(before).items() <= after.items()
    assert len({font for font, _ in after.values()}) == 2
    assert facts(midi_dataset(music, soundfont_folder=soundfonts, seed=1)) != after


def test_an_artist_is_in_one_split_and_the_seed_decides_which(music):
    def splits(**options):
        return {item.uid: item.split for item in midi_dataset(music, **options).items if item.rendering}

    one = splits()
    assert len({(uid.split("/")[0], split) for uid, split in one.items()}) == 4
    assert set(one.values()) == {"train", "valid", "test"}
    assert one == splits(workers=2)
    assert any(splits(seed=seed) != one for seed in range(1, 5))


def test_songs_of_one_folder_are_groups_by_themselves(tmp_path):
    for number in range(3):
        write_song(tmp_path / "songs" / f"{number}.mid", number)
    made = midi_dataset(tmp_path / "songs")
    assert made.group is None
    assert [item.uid for item in made.items] == ["0", "1", "2"]


def test_the_same_seed_gives_the_same_bits_with_any_number_of_workers(tmp_path, music, soundfonts):
    digests = []
    for workers in (1, 2):
        output = tmp_path / f"processed {workers}"
        process(midi_dataset(music, soundfont_folder=soundfonts, workers=workers), output, workers=workers)
        digests.append({path.relative_to(output): path.read_bytes() for path in output.rglob("*.wav")})
    assert len(digests[0]) == 8
    assert digests[0] == digests[1]


def test_finished_songs_are_kept_until_the_soundfont_changes(tmp_path, soundfonts):
    write_song(tmp_path / "songs" / "a.mid", 1)
    output = tmp_path / "processed"
    assert process(midi_dataset(tmp_path / "songs"), output).done == 1
    assert process(midi_dataset(tmp_path / "songs"), output).kept == 1
    (soundfonts / "a.sf2").unlink()
    assert process(midi_dataset(tmp_path / "songs", soundfont_folder=soundfonts), output).done == 1


def test_families_can_be_kept_and_a_table_of_the_users_counts(tmp_path):
    write_song(tmp_path / "songs" / "a.mid", 1, programs=(PIANO, 24, BASS, CHOIR, 122))
    kept = midi_dataset(tmp_path / "songs", keep_families=True)
    assert len(kept.stems) == 17
    places = dict(zip(kept.stems, kept.items[0].rendering.instruments, strict=True))
    assert {stem: of_stem for stem, of_stem in places.items() if of_stem} == {
        "piano": (0,), "guitar": (1,), "bass": (2,), "vocals": (3,), "drums": (5,),
    }  # fmt: skip
    table = tmp_path / "mine.csv"
    table.write_text("name,channel\nPiano,keys\nDrums,drums\n")
    with pytest.raises(RequestError, match=r"lacks names that midi has.*Choir Aahs"):
        midi_dataset(tmp_path / "songs", own_table=table)
    table.write_text("name,channel\nPiano,keys\nDrums,drums\nBass,\nGuitar,\nChoir Aahs,\nSound Effects,\n")
    made = midi_dataset(tmp_path / "songs", own_table=table)
    assert (made.stems, made.items[0].rendering.instruments) == (("keys", "drums"), ((0,), (5,)))


def test_the_four_stems_of_every_program():
    """The bass programs are 33 to 40 of the General MIDI list, the voices 53 to 55 and 86, counted from 1 as there."""
    from jukemir_like.datasets import midi_songs, stems_table
    from jukemir_like.midi.reading import Instrument

    table = stems_table.read(midi_songs._STEMS)
    channels = {program + 1: table.channel(Instrument(program, False, ()).names) for program in range(128)}
    assert [program for program, channel in channels.items() if channel == "bass"] == list(range(33, 41))
    assert [program for program, channel in channels.items() if channel == "vocals"] == [53, 54, 55, 86]
    assert set(channels.values()) == {"bass", "other", "vocals"}
    assert table.channel(Instrument(0, True, ()).names) == "drums"
    families = stems_table.read(midi_songs._FAMILIES)
    left_out = [program for program in range(128) if families.channel(Instrument(program, False, ()).names) == ""]
    assert left_out == list(range(120, 128))


def test_two_files_that_differ_by_their_extension_have_both_names(tmp_path):
    for seed, name in enumerate(("a.mid", "a.midi", "b.kar")):
        write_song(tmp_path / "songs" / name, seed)
    assert [item.uid for item in midi_dataset(tmp_path / "songs").items] == ["a.mid", "a.midi", "b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["midi"], "midi needs --audio DIR"),
        (["midi", "--audio", ".", "--labels", "a.csv"], "takes no table of labels"),
        (["midi", "--audio", ".", "--keep_families", "--stems_table", "a.csv"], "not both"),
        (["midi", "--audio", ".", "--name", "gtzan_ff"], "name of a known dataset"),
        (["folder", "--audio", ".", "--labels", "a.csv", "--keep_families"], "are for midi"),
        (["slakh2100", "--soundfonts", "."], "are for midi"),
    ],
)
def test_options_that_do_not_fit_are_refused(words, message, tmp_path):
    with pytest.raises(click.UsageError, match=message):
        run(data_commands.process, *words, "--cache", tmp_path)


def test_folders_without_midi_files_are_refused(tmp_path):
    with pytest.raises(RequestError, match="is not a folder: give --audio the folder of MIDI files"):
        midi_dataset(tmp_path / "missing")
    with pytest.raises(RequestError, match=r"holds no MIDI files \(\.kar, \.mid, \.midi\)"):
        midi_dataset(tmp_path)


def test_a_song_with_instruments_that_no_soundfont_has_is_left_out(tmp_path, monkeypatch):
    (font,) = soundfonts_module.find()
    monkeypatch.setattr(soundfonts_module, "find", lambda folder: [replace(font, families=font.families - {4})])
    write_song(tmp_path / "songs" / "a.mid", 1)
    write_song(tmp_path / "songs" / "b.mid", 2, programs=(PIANO, CHOIR))
    first, second = midi_dataset(tmp_path / "songs").items
    assert (first.split, first.source, first.rendering) == (None, None, None)
    assert first.extra["skipped"] == "no soundfont has all of its families of instruments"
    assert second.rendering
