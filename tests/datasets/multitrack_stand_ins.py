"""Stand-ins of datasets of many sources per song, in the published layouts, with audio.

Published: names of folders, files and fields; the instruments of ``Track00001`` of Slakh2100 (``SLAKH_TRACK``) and of one song of MedleyDB
(``NIGHT_OWL``); the taxonomy of MoisesDB; that BabySlakh says ``audio_rendered: false`` of instruments that have a file. Invented: all
audio, the instruments of other songs, which songs there are, the split that they are in, artists and UUIDs of MoisesDB. Not verified with
an archive: that ``trackType`` of MoisesDB is spelled as in the taxonomy of its library, and that the archives of MedleyDB are called
and laid out so (folders ``V1`` and ``V2`` without descriptions, which are in the repository of the dataset).
"""

import io
import json
import tarfile
import uuid
import zipfile

import numpy as np
import soundfile
import yaml

SLAKH_TRACK = {
    "S00": ("Guitar", "Distortion Guitar", 30),
    "S01": ("Drums", "Drums", 128),
    "S02": ("Piano", "Bright Acoustic Piano", 1),
    "S03": ("Bass", "Electric Bass (finger)", 33),
    "S04": ("Strings (continued)", "Choir Aahs", 52),
    "S05": ("Organ", "Percussive Organ", 17),
    "S06": ("Sound Effects", "FX 8 (sci-fi)", 103),
}
"""The first instruments of Track00001: class, program's name, program. S06 was not rendered."""
RECORDING = "TROOHTB128F931F9DF"
"""That the MIDI file of Track00001 was matched to."""

NIGHT_OWL = {
    "S01": "electric bass", "S02": "drum set", "S03": "distorted electric guitar", "S05": "clean electric guitar", "S08": "male singer",
    "S09": "synthesizer", "S10": "vocalists", "S11": "tambourine", "S12": "fx/processed sound",
}  # fmt: skip
"""Stems of AClassicEducation_NightOwl, without those of the same instrument."""

MUSDB18_FROM_MEDLEYDB = """\
A Classic Education - NightOwl
Aimee Norwich - Child
Alexander Ross - Goodbye Bolero
Alexander Ross - Velvet Curtain
Auctioneer - Our Future Faces
AvaLuna - Waterduct
BigTroubles - Phantom
Celestial Shore - Die For Us
Clara Berry And Wooldog - Air Traffic
Clara Berry And Wooldog - Stella
Clara Berry And Wooldog - Waltz For My Victims
Creepoid - OldTree
Dreamers Of The Ghetto - Heavy Love
Faces On Film - Waiting For Ga
Grants - PunchDrunk
Helado Negro - Mitad Del Mundo
Hezekiah Jones - Borrowed Heart
Hop Along - Sister Cities
Invisible Familiars - Disturbing Wildlife
Lushlife - Toynbee Suite
Matthew Entwistle - Dont You Ever
Meaxic - Take A Step
Meaxic - You Listen
Music Delta - 80s Rock
Music Delta - Beatles
Music Delta - Britpop
Music Delta - Country1
Music Delta - Country2
Music Delta - Disco
Music Delta - Gospel
Music Delta - Grunge
Music Delta - Hendrix
Music Delta - Punk
Music Delta - Reggae
Music Delta - Rock
Music Delta - Rockabilly
Night Panther - Fire
Port St Willow - Stay Even
Secret Mountains - High Horse
Snowmine - Curfews
Steven Clark - Bounty
Strand Of Oaks - Spacestation
Sweet Lights - You Let Me Down
The Districts - Vermont
The Scarlet Brand - Les Fleurs Du Mal
The So So Glos - Emergency
"""
"""The songs of MUSDB18 whose source is MedleyDB by tracklist.csv of its site."""

PERCUSSION = "a-tonal percussion (claps, shakers, congas, cowbell etc)"
MOISES_TRACKS = [
    ("vocals", "lead male singer"), ("vocals", "background vocals"), ("bass", "bass guitar"), ("drums", "full acoustic drumkit"),
    ("percussion", PERCUSSION), ("guitar", "acoustic guitar"), ("other", "click track"),
]  # fmt: skip


def sound(number, rate, seconds=2.0, channels=1, suffix=".wav"):
    """The bytes of a file: a tone in noise, another one for each number."""
    random = np.random.default_rng(number)
    time = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (110 + 37 * (number % 23)) * time) * (1 + np.sin(2 * np.pi * (1 + number % 5) * time)) / 2
    samples = 0.06 * tone[:, None] + 0.006 * random.standard_normal((len(time), channels))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=suffix[1:].upper(), subtype="PCM_16")
    return file.getvalue()


def slakh_song(number, *, rate=44100, suffix=".flac", instruments=SLAKH_TRACK, silent=("S06",), baby=False, recording=None, seconds=2.0):
    """The files of one song, by their paths in its folder."""
    midi = uuid.uuid5(uuid.NAMESPACE_OID, f"midi {number}").hex
    recording = recording or f"TR{number:016d}"
    described = {
        "UUID": midi,
        "audio_dir": "stems",
        "lmd_midi_dir": f"lmd_matched/{recording[2]}/{recording[3]}/{recording[4]}/{recording}/{midi}.mid",
        "midi_dir": "MIDI",
        "normalization_factor": -13.0,
        "normalized": True,
        "overall_gain": 0.18270259567062658,
        "stems": {
            key: {
                "audio_rendered": key not in silent and not baby,
                "inst_class": of_class,
                "is_drum": program == 128,
                "midi_program_name": name,
                "midi_saved": not baby,
                "plugin_name": "None",
                "program_num": program,
            }
            for key, (of_class, name, program) in instruments.items()
        },
        "target_peak": -1.0,
    }
    files = {
        "metadata.yaml": yaml.safe_dump(described).encode(),
        "all_src.mid": b"MThd",
        f"mix{suffix}": sound(number, rate, 0.1, suffix=suffix),
    }
    for place, key in enumerate(instruments):
        files[f"MIDI/{key}.mid"] = b"MThd"
        if key not in silent:
            files[f"stems/{key}{suffix}"] = sound(100 * number + place, rate, seconds, suffix=suffix)
    return files


def slakh(seconds=2.0, rate=44100):
    """The files of an archive: five songs, one of them omitted, one of two guitars."""
    guitars = {"S00": ("Guitar", "Distortion Guitar", 30), "S01": ("Guitar", "Electric Guitar (jazz)", 26)}
    songs = {
        "train/Track00001": slakh_song(1, recording=RECORDING, seconds=seconds, rate=rate),
        "validation/Track01501": slakh_song(1501, recording=RECORDING, seconds=seconds, rate=rate),
        "test/Track01876": slakh_song(1876, seconds=seconds, rate=rate),
        "test/Track01877": slakh_song(1877, seconds=seconds, rate=rate),
        "test/Track01878": slakh_song(1878, instruments=guitars, seconds=seconds, rate=rate),
        "omitted/Track00049": slakh_song(49, seconds=seconds, rate=rate),
    }
    return _placed({f"slakh2100_flac_redux/{folder}": files for folder, files in songs.items()})


def babyslakh(seconds=2.0):
    songs = {number: slakh_song(number, rate=16000, suffix=".wav", baby=True, seconds=seconds) for number in (1, 2, 3)}
    return _placed({f"babyslakh_16k/Track{number:05d}": files for number, files in songs.items()})


MOISES_ARTISTS = ("Kolibri", "Ana Lua", "Ana Lua", "The Lamps", "Northern Sea", "Vega")


def moises_song(number, artist, tracks, seconds=2.0, rate=44100):
    """UUID and files of one song."""
    stems, files = {}, {}
    for place, (stem, kind) in enumerate(tracks):
        track = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {place}"))
        stems.setdefault(stem, []).append({"id": track, "trackType": kind, "extension": "wav", "has_bleed": stem == "percussion"})
        files[f"{stem}/{track}.wav"] = sound(100 * number + place, rate, seconds, channels=2)
    described = {"artist": artist, "song": f"Song {number}", "genre": "pop"}
    described["stems"] = [{"stemName": stem, "tracks": of_stem} for stem, of_stem in stems.items()]
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"song {number}")), files | {"data.json": json.dumps(described).encode()}


def moisesdb(seconds=2.0, rate=44100):
    """Seven songs, the last one of a guitar and a click."""
    songs = [moises_song(number, artist, MOISES_TRACKS, seconds, rate) for number, artist in enumerate(MOISES_ARTISTS)]
    songs.append(moises_song(9, "Solo", [("guitar", "acoustic guitar"), ("other", "click track")], seconds, rate))
    return _placed({f"moisesdb/moisesdb_v0.1/{uid}": files for uid, files in songs})


MEDLEY_SONGS = {
    "AClassicEducation_NightOwl": NIGHT_OWL,
    "ClaraBerryAndWooldog_Boys": {"S01": "piano", "S02": "female singer"},
    "LizNelson_Rainfall": {"S01": "acoustic guitar", "S02": "female singer", "S03": "Main System"},
    "Phoenix_ScotchMorris": {"S01": "violin", "S02": "double bass", "S03": "kazoo"},
    "Mozart_DiesBildnis": {"S01": "piano", "S02": "male singer"},
    "Schumann_Mignon": {"S01": "piano", "S02": "female singer"},
    "KarimDouaidy_Hopscotch": {"S01": "oud", "S02": "darbuka", "S03": "cello"},
    "ChrisJacoby_PigsFoot": {"S01": "drum set", "S02": "electric bass", "S03": "banjo"},
    "EthanHein_HarmonicaFigure": {"S01": "harmonica"},
}


def medley_description(uid, instruments):
    artist, _, title = uid.partition("_")
    stems = {
        key: {
            "component": "",
            "filename": f"{uid}_STEM_{key[1:]}.wav",
            "instrument": instrument,
            "raw": {"R01": {"filename": f"{uid}_RAW_{key[1:]}_01.wav", "instrument": instrument}},
        }
        for key, instrument in instruments.items()
    }
    described = {"album": "", "artist": artist, "excerpt": "no", "genre": "Rock", "has_bleed": "yes" if artist == "Phoenix" else "no"}
    described |= {"mix_filename": f"{uid}_MIX.wav", "raw_dir": f"{uid}_RAW", "stem_dir": f"{uid}_STEMS", "stems": stems, "title": title}
    return yaml.safe_dump(described).encode()


def medley_song(uid, instruments, seconds=2.0, rate=44100):
    number = sorted(MEDLEY_SONGS).index(uid)
    files = {f"{uid}_MIX.wav": sound(number, rate, 0.1, 2)}
    for place, key in enumerate(instruments):
        files[f"{uid}_STEMS/{uid}_STEM_{key[1:]}.wav"] = sound(100 * number + place, rate, seconds, channels=2)
        files[f"{uid}_RAW/{uid}_RAW_{key[1:]}_01.wav"] = sound(100 * number + place, rate, 0.1)
    return files


def medleydb(seconds=2.0, rate=44100, songs=tuple(MEDLEY_SONGS), version="V1"):
    return _placed({f"{version}/{uid}": medley_song(uid, MEDLEY_SONGS[uid], seconds, rate) for uid in songs})


def medleydb_metadata():
    return {
        f"medleydb-master/medleydb/data/Metadata/{uid}_METADATA.yaml": medley_description(uid, instruments)
        for uid, instruments in MEDLEY_SONGS.items()
    }


def write(folder, files):
    """Files by their paths below a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def pack(path, files):
    """A ZIP or a gzipped tar archive, by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def _placed(folders):
    return {f"{folder}/{name}": data for folder, files in folders.items() for name, data in files.items()}
