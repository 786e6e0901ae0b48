"""slakh2100, babyslakh, moisesdb and medleydb: from the user's copy of an archive to a table of retrieval, and what each layout says."""

import csv
import hashlib
import json
import shutil

import click
import numpy as np
import pytest
import soundfile

from jukemir_like import datasets
from jukemir_like.cli import data as data_commands
from jukemir_like.cli import retrieval
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets import medleydb, multitracks
from jukemir_like.datasets.multitracks import Song, Source
from jukemir_like.datasets.processed import read_processed
from jukemir_like.datasets.stems_table import StemsTable
from jukemir_like.downloads.declarations import declaration_folder
from jukemir_like.process import process

from . import multitrack_stand_ins as stand_ins

ARCHIVES = {
    "slakh2100": lambda seconds, rate: {"slakh2100_flac_redux.tar.gz": stand_ins.slakh(seconds, rate)},
    "babyslakh": lambda seconds, rate: {"babyslakh_16k.tar.gz": stand_ins.babyslakh(seconds)},
    "moisesdb": lambda seconds, rate: {"moisesdb.zip": stand_ins.moisesdb(seconds, rate)},
    "medleydb": lambda seconds, rate: {
        "medleydb-master.zip": stand_ins.medleydb_metadata(),
        "MedleyDB_V1.tar.gz": stand_ins.medleydb(seconds, rate, tuple(stand_ins.MEDLEY_SONGS)[:4]),
        "MedleyDB_V2.tar.gz": stand_ins.medleydb(seconds, rate, tuple(stand_ins.MEDLEY_SONGS)[4:], "V2"),
    },
}
USED = {"slakh2100": 4, "babyslakh": 3, "moisesdb": 6, "medleydb": 8}
SKIPPED = {"slakh2100": 2, "babyslakh": 0, "moisesdb": 1, "medleydb": 1}


@pytest.fixture(params=ARCHIVES)
def own(request, tmp_path, monkeypatch):
    """Name of a dataset, a folder of its archives, and a cache; the declaration is the package's with the digests of these archives."""
    name = request.param
    folder = tmp_path / "own"
    for path, files in ARCHIVES[name](9.0, 16000).items():
        stand_ins.pack(folder / path, files)
    declared = tmp_path / "declarations" / name
    shutil.copytree(declaration_folder(name), declared)
    description = json.loads((declared / "dataset.json").read_text())
    for asset in description["assets"]:
        assert asset["size"] is None
        if asset["md5"]:
            asset["md5"] = hashlib.md5((folder / asset["path"]).read_bytes()).hexdigest()
    (declared / "dataset.json").write_text(json.dumps(description))
    monkeypatch.setenv("JUKEMIR_LIKE_DECLARATIONS", str(declared.parent))
    return name, folder, Cache(tmp_path / "cache")


def run(command, *words):
    return command.main([str(word) for word in words], standalone_mode=False)


def test_from_an_own_copy_to_a_table_of_retrieval(own, capfd):
    name, folder, cache = own
    assert run(data_commands.download, name, "--from", folder, "--cache", cache.root) == 0
    assert run(data_commands.process, name, "--cache", cache.root, "--workers", 1) == 0
    data = read_processed(cache.processed(name))
    assert data.stems == STEMS
    used = [uid for uid in data.uids if data.path(uid).exists()]
    assert (len(used), len(data.uids) - len(used)) == (USED[name], SKIPPED[name])
    for uid in used:
        samples, rate = data.audio(uid)
        assert (samples.shape, rate) == ((4, 144_000), 16000)
        assert [bool(channel.any()) for channel in samples] == [stem in data.items[uid]["extra"]["sources"] for stem in STEMS]
    skipped = json.loads((cache.processed(name) / "dataset.json").read_text())["skipped"]
    assert set(skipped) == set(data.uids) - set(used)
    said = capfd.readouterr().out
    assert "sources by channel, by the table" in said
    assert all(f"skipped: {uid}: {reason}" in said for uid, reason in skipped.items())

    assert run(retrieval.evaluate_retrieval, "--dataset", name, "--cache", cache.root, "--device", "cpu", "--threads", 1) == 0
    (path,) = (cache.root / "retrieval" / name).rglob("retrieval.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["pool"] for row in rows} == {"all", "all-but-context", "same-instrument", "segments"}
    part = rows[0]["split"] or None
    assert part == (None if name == "babyslakh" else "test")
    evaluated = [uid for uid in used if part is None or data.items[uid]["split"] == part]
    queries = sum(len(data.items[uid]["extra"]["sources"]) for uid in evaluated)
    assert {int(row["n_queries"]) for row in rows if (row["pool"], row["instrument"]) == ("all", "all")} == {queries}


def processed_songs(name, folder, **options):
    """What the dataset in a folder of assets is, by uid."""
    made = datasets.from_assets(name, Cache(folder), **options)
    return made, {item.uid: item for item in made.items}


@pytest.fixture
def assets(tmp_path):
    """A function that unpacks the stand-in of a dataset into a cache, whose root it returns."""

    def unpack(name):
        for path, files in ARCHIVES[name](0.2, 8000).items():
            archive = path.removesuffix(".zip").removesuffix(".tar.gz")
            stand_ins.write(tmp_path / "datasets" / name / "unpacked" / archive, files)
        return tmp_path

    return unpack


def channels(item):
    return dict(zip(STEMS, item.stem_files, strict=True))


def test_slakh_has_the_published_splits_and_a_channel_by_program_or_class(assets):
    made, songs = processed_songs("slakh2100", assets("slakh2100"))
    assert {uid: item.split for uid, item in songs.items()} == {
        "Track00001": "train",
        "Track00049": None,
        "Track01501": "valid",
        "Track01876": "test",
        "Track01877": "test",
        "Track01878": None,
    }
    assert channels(songs["Track00001"]) == {
        "bass": ("stems/S03.flac",),
        "drums": ("stems/S01.flac",),
        "other": ("stems/S00.flac", "stems/S02.flac", "stems/S05.flac"),
        "vocals": ("stems/S04.flac",),
    }
    assert songs["Track00001"].extra["sources"]["vocals"] == ["Choir Aahs"]
    assert songs["Track00001"].extra["recording"] == stand_ins.RECORDING
    assert made.group == "recording"
    assert made.sources["recordings_in_several_splits"] == 1
    assert made.sources["not_rendered"] == 5  # S06 of all songs but the one of guitars
    assert made.notes[1:] == (
        "instruments without a file, which are described as not rendered: 5",
        "recordings with MIDI files in several of the published splits: 1",
    )
    assert songs["Track00049"].extra["skipped"] == "published as omitted: its MIDI file is that of another song"
    assert songs["Track01878"].extra["skipped"] == "too few stems: all its sources are in other, and two channels are needed"
    assert made.sources["stems_table"]["channels"]["bass"] == {"Electric Bass (finger)": 4}
    assert made.sources["stems_table"]["unknown"] == {}


def test_an_instrument_that_should_have_a_file_is_missed_when_it_is_processed(assets):
    root = assets("slakh2100")
    song = root / "datasets/slakh2100/unpacked/slakh2100_flac_redux/slakh2100_flac_redux/test/Track01876"
    (song / "stems" / "S03.flac").unlink()
    made, songs = processed_songs("slakh2100", root)
    assert channels(songs["Track01876"])["bass"] == ("stems/S03.flac",)
    summary = process(made, root / "out")
    assert summary.failed == {"Track01876": "stems/S03.flac cannot be read (no such file or directory)"}
    assert summary.exit_code == 3


def test_babyslakh_uses_what_has_a_file_whatever_its_descriptions_say(assets):
    _, songs = processed_songs("babyslakh", assets("babyslakh"))
    assert {item.split for item in songs.values()} == {None}
    assert sum(map(len, songs["Track00001"].stem_files)) == len(stand_ins.SLAKH_TRACK) - 1
    assert channels(songs["Track00001"])["bass"] == ("stems/S03.wav",)


def test_moisesdb_is_divided_as_by_its_own_library_and_an_artist_is_in_one_split(assets):
    made, songs = processed_songs("moisesdb", assets("moisesdb"))
    (solo,) = (item for item in songs.values() if item.extra["artist_name"] == "Solo")
    assert solo.extra["skipped"] == "too few stems: all its sources are in other, and two channels are needed"
    used = [item for item in songs.values() if item is not solo]
    for item in used:
        found = {stem: {file.partition("/")[0] for file in files} for stem, files in channels(item).items()}
        assert found == {"bass": {"bass"}, "drums": {"drums"}, "other": {"percussion", "guitar"}, "vocals": {"vocals"}}
        assert item.extra["has_bleed"]
        share = int(hashlib.sha1(item.extra["artist_name"].lower().encode()).hexdigest(), 16) % 20
        assert item.split == ("train" if share < 14 else "valid" if share < 17 else "test")
    assert made.sources["stems_table"]["left_out"] == {"other: click track": 7}
    assert made.group == "artist"
    assert "sources left out, as the table says: other: click track (7)" in made.notes


def test_medleydb_keeps_performers_apart_and_leaves_out_what_is_too_little(assets):
    made, songs = processed_songs("medleydb", assets("medleydb"))
    assert songs["EthanHein_HarmonicaFigure"].extra["skipped"].startswith("too few stems: all its sources are in other")
    assert songs["AClassicEducation_NightOwl"].split == "train"
    assert int(hashlib.sha1(b"claraberryandwooldog").hexdigest(), 16) % 20 > 16  # which alone would make it test
    assert songs["ClaraBerryAndWooldog_Boys"].split == "train"
    assert songs["Phoenix_ScotchMorris"].split == "test"
    assert songs["AClassicEducation_NightOwl"].extra["musdb18"]
    assert songs["Mozart_DiesBildnis"].extra["performer"] == songs["Schumann_Mignon"].extra["performer"]
    assert songs["Mozart_DiesBildnis"].split == songs["Schumann_Mignon"].split
    assert songs["LizNelson_Rainfall"].extra["sources"] == {"other": ["acoustic guitar"], "vocals": ["female singer"]}
    assert made.sources["stems_table"]["left_out"] == {"Main System": 1}
    assert made.sources["stems_table"]["unknown"] == {"kazoo": 1}
    assert "sources in other because the table lacks their names: kazoo (1)" in made.notes
    assert songs["Phoenix_ScotchMorris"].extra["has_bleed"]
    night_owl = channels(songs["AClassicEducation_NightOwl"])
    assert night_owl["drums"] == tuple(f"AClassicEducation_NightOwl_STEMS/AClassicEducation_NightOwl_STEM_{n}.wav" for n in ("02", "11"))


def test_performers_who_are_in_musdb18_are_those_of_its_list_of_songs():
    artists = {name.partition(" - ")[0].replace(" ", "").lower() for name in stand_ins.MUSDB18_FROM_MEDLEYDB.splitlines()}
    assert len(stand_ins.MUSDB18_FROM_MEDLEYDB.splitlines()) == 46
    assert {performer.lower() for performer in medleydb.IN_MUSDB18} == artists


def test_a_description_in_the_songs_folder_comes_first_and_songs_without_one_are_left_out(assets):
    root = assets("medleydb")
    unpacked = root / "datasets" / "medleydb" / "unpacked"
    uid = "Phoenix_ScotchMorris"
    song = unpacked / "MedleyDB_V1" / "V1" / uid
    (song / f"{uid}_METADATA.yaml").write_bytes(
        stand_ins.medley_description(uid, {"S01": ["male singer", "female singer"], "S02": ["piano", "drum set"], "S03": "tuba"})
    )
    (unpacked / "medleydb-master/medleydb-master/medleydb/data/Metadata/LizNelson_Rainfall_METADATA.yaml").unlink()
    _, songs = processed_songs("medleydb", root)
    assert songs[uid].extra["sources"] == {"other": ["piano, drum set", "tuba"], "vocals": ["male singer"]}
    assert songs["LizNelson_Rainfall"].extra["skipped"].startswith("there is no LizNelson_Rainfall_METADATA.yaml")


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_table_of_the_users_makes_other_channels_and_other_samples(assets, tmp_path, name):
    root = assets(name)
    table = tmp_path / "mine.csv"
    table.write_text("name,channel\nbass,low\nelectric bass,low\nDrums,kit\ndrum set,kit\nguitar,other\n")
    made, songs = processed_songs(name, root, stems_table=table)
    assert made.stems == ("low", "kit", "other")
    assert made.sources["stems_table"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    uid = next(item.uid for item in made.items if item.stem_files and all(item.stem_files))
    output = root / "out"
    process(made, output)
    written, _ = soundfile.read(output / "wav" / f"{uid}.wav", always_2d=True)
    for channel, files in zip(written.T, songs[uid].stem_files, strict=True):
        sums = [soundfile.read(songs[uid].source / file, always_2d=True)[0].mean(axis=1) for file in files]
        np.testing.assert_allclose(channel, np.sum(sums, axis=0), atol=1e-4)


TABLE = StemsTable("mine.csv", "0" * 64, {"bass": "bass", "kick": "drums", "hiss": ""}, STEMS)


def song(tmp_path, *names, uid="a", **more):
    sources = tuple(Source(f"{place}.wav", (name,)) for place, name in enumerate(names))
    return Song(uid, "train", tmp_path, sources, {"artist": "x"}, **more)


def test_unknown_names_are_in_other_and_said_or_refused(tmp_path):
    songs = [song(tmp_path, "Bass", "gong", "gong", "hiss", *(f"n{number}" for number in range(9)))]
    made = multitracks.stems_dataset("d", songs, TABLE, group="artist")
    assert made.items[0].stem_files == (("0.wav",), (), ("1.wav", "2.wav", *(f"{n}.wav" for n in range(4, 13))), ())
    assert made.notes == (
        "sources by channel, by the table mine.csv: bass 1, drums 0, other 11, vocals 0",
        "sources left out, as the table says: hiss (1)",
        "sources in other because the table lacks their names: gong (2), "
        + ", ".join(f"n{number} (1)" for number in range(7))
        + " and 2 more names",
    )
    with pytest.raises(RequestError, match=r"^mine\.csv lacks names that d has: gong \(2\), n0 .* and 2 more names; add rows for them$"):
        multitracks.stems_dataset("d", songs, TABLE, group="artist", refuse_unknown=True)
    without_other = StemsTable("mine.csv", "", {"bass": "low", "kick": "kit"}, ("low", "kit"))
    with pytest.raises(RequestError, match="lacks names that d has, and it has no channel other for them: gong"):
        multitracks.stems_dataset("d", songs, without_other, group="artist")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "too few stems: it has no sources, and two channels are needed"),
        (("hiss",), "too few stems: it has no sources, and two channels are needed"),
        (("bass", "Bass", "hiss"), "too few stems: all its sources are in bass, and two channels are needed"),
    ],
)
def test_songs_with_too_little_have_no_split_and_no_audio(tmp_path, names, reason):
    item = multitracks.stems_dataset("d", [song(tmp_path, *names)], TABLE, group="artist").items[0]
    assert (item.split, item.source, item.stem_files, item.extra) == (None, None, None, {"artist": "x", "skipped": reason})


def test_what_is_left_out_is_not_counted(tmp_path):
    made = multitracks.stems_dataset("d", [song(tmp_path, "gong", left_out="it is a copy")], TABLE, group="artist", refuse_unknown=True)
    assert made.items[0].extra["skipped"] == "it is a copy"
    assert made.sources["stems_table"]["unknown"] == {}


@pytest.mark.parametrize("file", ["../secret.wav", "/etc/passwd", "a/../../b.wav", ""])
def test_a_file_outside_of_the_songs_folder_is_refused(tmp_path, file):
    outside = Song("a", "train", tmp_path, (Source(file, ("bass",)), Source("k.wav", ("kick",))))
    with pytest.raises(RequestError, match="of a source is not in this folder"):
        multitracks.stems_dataset("d", [outside], TABLE, group="artist")


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_dataset_that_is_not_there_is_told_with_what_gets_it(tmp_path, name):
    (tmp_path / "datasets" / name / "unpacked").mkdir(parents=True)
    with pytest.raises(RequestError, match=rf"holds no .*: run `jukemir-like download {name}"):
        datasets.from_assets(name, Cache(tmp_path))


def test_one_song_in_two_places_is_refused(assets):
    root = assets("medleydb")
    unpacked = root / "datasets" / "medleydb" / "unpacked"
    shutil.copytree(unpacked / "MedleyDB_V1", unpacked / "copy")
    with pytest.raises(RequestError, match="are the same song: remove one of them"):
        datasets.from_assets("medleydb", Cache(root))
    root = assets("moisesdb")
    unpacked = root / "datasets" / "moisesdb" / "unpacked"
    shutil.copytree(unpacked / "moisesdb", unpacked / "copy")
    with pytest.raises(RequestError, match="are the same song: remove one of them"):
        datasets.from_assets("moisesdb", Cache(root))
    root = assets("slakh2100")
    songs = root / "datasets" / "slakh2100" / "unpacked" / "slakh2100_flac_redux" / "slakh2100_flac_redux"
    shutil.copytree(songs / "test" / "Track01876", songs / "omitted" / "Track01876")
    with pytest.raises(RequestError, match="holds Track01876 in two splits"):
        datasets.from_assets("slakh2100", Cache(root))


def test_medleydb_without_descriptions_is_told_what_gets_them(assets):
    root = assets("medleydb")
    shutil.rmtree(root / "datasets" / "medleydb" / "unpacked" / "medleydb-master")
    with pytest.raises(RequestError, match="run `jukemir-like download MEDLEYDB_METADATA`"):
        datasets.from_assets("medleydb", Cache(root))


def test_a_damaged_description_is_said_with_its_file(assets):
    root = assets("moisesdb")
    path = sorted(root.rglob("data.json"))[0]
    path.write_text('{"stems": [{"stemName": "bass"}]}')
    with pytest.raises(RequestError, match=r"data\.json is damaged: stems\.0 has no tracks: unpack the archive again"):
        datasets.from_assets("moisesdb", Cache(root))
    root = assets("slakh2100")
    path = sorted(root.rglob("metadata.yaml"))[0]
    path.write_text("stems: {../S00: {}}\n")
    with pytest.raises(RequestError, match=r"metadata\.yaml: '\.\./S00' is no instrument SNN"):
        datasets.from_assets("slakh2100", Cache(root))


def test_tables_are_for_datasets_of_many_sources(tmp_path, assets):
    table = tmp_path / "mine.csv"
    table.write_text("name,channel\nbass,bass\ndrums,drums\n")
    with pytest.raises(RequestError, match="gtzan_ff takes no table of stems: babyslakh, medleydb, moisesdb, slakh2100 do"):
        run(data_commands.process, "gtzan_ff", "--stems_table", table, "--cache", tmp_path)
    with pytest.raises(click.UsageError, match="not for your own folder"):
        run(data_commands.process, "folder", "--refuse_unknown", "--cache", tmp_path)
    root = assets("babyslakh")
    with pytest.raises(
        RequestError, match=r"mine\.csv lacks names that babyslakh has, and it has no channel other|lacks names that babyslakh has: "
    ):
        run(data_commands.process, "babyslakh", "--stems_table", table, "--refuse_unknown", "--cache", root)
    assert run(data_commands.process, "babyslakh", "--stems_table", table, "--name", "mine", "--cache", root, "--metadata_only") == 0
    assert json.loads((root / "processed" / "mine" / "dataset.json").read_text())["sources"]["stems_table"]["file"] == "mine.csv"
