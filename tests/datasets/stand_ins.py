"""Stand-ins of published datasets, laid out as `jukemir-like download` leaves them: names, columns and label sets as published.

What is invented: which item has which label, and the splits' sizes; artists, albums and durations of MTG-Jamendo but for the rows of
:data:`JAMENDO_ROWS`; tempi of GTZAN but for those of :data:`GTZAN_TEMPI`; all of NSynth's notes but :data:`NSYNTH_NOTE`; all of
Medley-solos-DB's but :data:`MEDLEY_ROW`; tracks and texts of FMA, of whose table only the columns that are read are there, and one of a
biography that is longer than the csv module's limit; Ballroom's names but for the form ``Media-NNNNNN`` and ``Albums-Some_Name-NN``.
"""

import csv
import io
import json
import tarfile
import uuid

from jukemir_like.datasets import ballroom, fma, medley_solos_db, mtg_jamendo, nsynth

NSYNTH_NOTE = {
    "note_str": "keyboard_acoustic_004-060-025",
    "sample_rate": 16000,
    "qualities_str": ["dark", "reverb"],
    "instrument_source": 0,
    "instrument_family_str": "keyboard",
    "instrument_family": 4,
    "note": 278915,
    "instrument_source_str": "acoustic",
    "qualities": [0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
    "pitch": 60,
    "instrument_str": "keyboard_acoustic_004",
    "instrument": 327,
    "velocity": 25,
}
"""A published note, of valid."""
GTZAN_TEMPI = {"blues.00000": 125, "blues.00001": 68, "blues.00002": 157, "classical.00001": 38, "country.00000": 85, "country.00069": 38}
JAMENDO_ROWS = (
    ("track_0004887", "artist_000696", "album_000751", "87/4887.mp3", "251.7", "instrument---piano"),
    ("track_0004888", "artist_000696", "album_000751", "88/4888.mp3", "87.4", "instrument---guitar"),
    ("track_0026235", "artist_003901", "album_003591", "35/26235.mp3", "30.1", "instrument---guitar"),
    (
        *("track_0015159", "artist_002208", "album_002161", "59/15159.mp3", "277.1"),
        *("instrument---drummachine", "instrument---electricguitar", "instrument---piano", "instrument---violin"),
    ),
)
"""Rows of split-0/autotagging_instrument-test.tsv."""
MEDLEY_ROW = "validation,flute,3,210,d07b1fc0-567d-52c2-fef4-239f31c9d40e"

NSYNTH_PARTS = {"train": 33, "valid": 12, "test": 22}


def nsynth_notes(split):
    """Notes of one archive; instruments of train are in no other."""
    if split == "valid":
        yield NSYNTH_NOTE["note_str"], NSYNTH_NOTE
    for number in range(NSYNTH_PARTS[split]):
        family = nsynth.FAMILIES[number % 11]
        first = {"train": 0, "valid": 500, "test": 700}[split]
        instrument = f"{family}_electronic_{first + number // 11:03d}"
        pitch = 40 + number % 7
        note = f"{instrument}-{pitch:03d}-100"
        yield (
            note,
            {
                "note_str": note,
                "sample_rate": 16000,
                "qualities_str": [],
                "instrument_source": 1,
                "instrument_family_str": family,
                "instrument_family": number % 11,
                "note": number,
                "instrument_source_str": "electronic",
                "qualities": [0] * 10,
                "pitch": pitch,
                "instrument_str": instrument,
                "instrument": first + number // 11,
                "velocity": 100,
            },
        )


def write_nsynth(folder):
    for split in NSYNTH_PARTS:
        part = folder / "unpacked" / f"nsynth-{split}.jsonwav" / f"nsynth-{split}"
        (part / "audio").mkdir(parents=True)
        (part / "examples.json").write_text(json.dumps(dict(nsynth_notes(split)), indent=2))


def gtzan_tempi():
    """The text of genres_tempos.mf."""
    names = (f"{genre}/{genre}.{number:05d}" for genre in _genres() for number in range(100))
    lines = []
    for place, name in enumerate(names):
        bpm = GTZAN_TEMPI.get(name.partition("/")[2], 60 + place * 7 % 120)
        lines.append(f"MARSYAS_DATADIR/genres44k/{name}.wav\t{bpm}\n")
    return "".join(lines)


def _genres():
    return ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def jamendo_rows(subset, split, part):
    """The rows of one file of splits: each tag twice, two tags in a row."""
    tags = mtg_jamendo.SUBSETS[subset]
    if (subset, split, part) == ("instrument", 0, "test"):
        yield from map("\t".join, JAMENDO_ROWS)
    first = 1_000_000 + 10_000 * ("train", "validation", "test").index(part) + 100_000 * split
    for number, tag in enumerate(tags):
        track = first + number
        other = tags[(number + 1) % len(tags)]
        artist, album = f"artist_{first // 10_000 * 1000 + number // 3:06d}", f"album_{track % 999_999:06d}"
        yield "\t".join([f"track_{track:07d}", artist, album, f"{track % 100:02d}/{track}.mp3", f"{90 + number % 200}.5", tag, other])


def write_jamendo(folder, subsets=tuple(mtg_jamendo.SUBSETS), splits=range(5)):
    header = "\t".join(["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"])
    for split in splits:
        (folder / "splits" / f"split-{split}").mkdir(parents=True)
        for subset in subsets:
            for part in ("train", "validation", "test"):
                path = folder / "splits" / f"split-{split}" / f"autotagging_{subset}-{part}.tsv"
                path.write_text("\n".join([header, *jamendo_rows(subset, split, part)]) + "\n")


FMA_COLUMNS = [
    ("album", "id"), ("artist", "bio"), ("artist", "id"), ("artist", "name"), ("set", "split"), ("set", "subset"),
    ("track", "genre_top"), ("track", "title"),
]  # fmt: skip


def fma_rows(small=8000):
    """Rows of tracks.csv as lists: track, then the columns; one of the medium subset between them, one with a very long biography."""
    silent = [int(uid) for uid in fma.SILENT]
    numbers = sorted({*silent, *range(2, 200_000, 17)})
    numbers = sorted(silent + [number for number in numbers if number not in silent][: small - len(silent)])
    for place, number in enumerate(numbers):
        split = ("training",) * 8 + ("validation", "test")
        genre = fma.GENRES[place % 8]
        biography = 'Lines,\nquotes "and" commas' if place % 2 else ""
        yield [
            number,
            place // 4,
            biography,
            place // 10,
            f"Artist {place // 10}",
            split[place // 10 % 10],
            "small",
            genre,
            f"Song {number}",
        ]
        if place == 10:
            yield [number + 1, 9, "long " * 60_000, 77_000, "B", "training", "medium", "Blues", "Not of the small subset"]


def write_fma(folder, rows=None):
    path = folder / "unpacked" / "fma_metadata" / "fma_metadata" / "tracks.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["", *(group for group, _ in FMA_COLUMNS)])
    table.writerow(["", *(name for _, name in FMA_COLUMNS)])
    table.writerow(["track_id", *[""] * len(FMA_COLUMNS)])
    table.writerows(fma_rows() if rows is None else rows)
    path.write_text(text.getvalue(), newline="")
    return path


def ballroom_names():
    """Dance and name of each of the 698 excerpts."""
    for number in range(698):
        dance = ballroom.DANCES[number % 10]
        of_record = f"Albums-Some_Record{number // 12}-{number % 100:02d}"
        yield dance, f"Media-{100_000 + number // 10 * 100 + number % 10 + 1}" if number % 3 else of_record


def ballroom_tempo(name):
    return 80 + sum(map(ord, name)) % 100


def write_ballroom(folder, names=None, tempi=None):
    names = list(ballroom_names()) if names is None else names
    for dance, name in names:
        path = folder / "unpacked" / "data1" / "BallroomData" / dance / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    members = {f"BallroomAnnotations/ballroomGroundTruth/{name}.bpm": f"{ballroom_tempo(name)}\n" for _, name in names}
    pack(folder / "data2.tar.gz", members | (tempi or {}))


def medley_rows(clips=240):
    yield MEDLEY_ROW
    for number in range(clips):
        instrument = number % 8
        subset = ("training", "training", "validation", "test")[number // 8 % 4]
        yield f"{subset},{medley_solos_db.INSTRUMENTS[instrument]},{instrument},{number // 4},{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}"


def write_medley(folder, rows=None):
    rows = list(medley_rows()) if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Medley-solos-DB_metadata.csv").write_text("\n".join(["subset,instrument,instrument_id,song_id,uuid4", *rows]) + "\n")


def pack(path, members):
    """A tar archive, gzipped or not by its name, of name → text or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in members.items():
            data = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
