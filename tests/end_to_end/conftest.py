"""Stand-ins for the hosts of the real datasets: small archives in every real layout, declared with their own URLs and digests.

Annotations are those of tests/fixtures, cut to a few records; audio is synthband's. The first URL of every asset is gone (404).
"""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like.datasets import musdb
from jukemir_like.datasets.giantsteps import SHORTER_TRACKS
from jukemir_like.synthband import generation
from jukemir_like.synthband.plan import STEMS

from ..datasets import multitrack_stand_ins

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"


class Band:
    """Songs to cut real datasets' audio from; each call gives another piece."""

    def __init__(self, folder):
        self.songs = [soundfile.read(path, dtype="float32")[0].T for path in sorted((folder / "stems").rglob("*.wav"))]
        self.number = 0

    def stems(self, seconds):
        self.number += 1
        song = np.roll(self.songs[self.number % len(self.songs)], -997 * self.number, axis=1)
        return np.tile(song, (1, int(seconds // 30) + 1))[:, : int(seconds * 22050)]

    def audio(self, seconds, format, sample_rate=22050, **options):
        """The bytes of a mono file."""
        target = io.BytesIO()
        mono = self.stems(seconds).mean(0)
        soundfile.write(target, mono[:: 22050 // sample_rate], sample_rate, format=format, **options)
        return target.getvalue()


def tar(members):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def zipped(members):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def gtzan(band):
    wanted = {"train": 4, "valid": 2, "test": 2}
    files, audio = {}, {}
    for split, number in wanted.items():
        names = (FIXTURES / "gtzan" / f"{split}_filtered.txt").read_text().splitlines()
        kept = [
            name for index, name in enumerate(names) if sum(other.split("/")[0] == name.split("/")[0] for other in names[:index]) < number
        ]
        files[f"{split}_filtered.txt"] = "\n".join(kept).encode()
        audio |= {f"genres/{name}": band.audio(6, "WAV", subtype="PCM_16") for name in kept}
    audio["genres/._blues.00000.wav"] = b"what a Mac adds"
    return files | {"genres.tar.gz": tar(audio)}


def giantsteps(band):
    files, archives = {}, {}
    for name in ("key-annotations", "mtg-key-annotations"):
        with tarfile.open(FIXTURES / "giantsteps" / f"{name}.tar.xz") as archive:
            archives[name] = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    with gzip.open(FIXTURES / "giantsteps" / "giantsteps_clips.jsonl.gz") as file:
        published = [json.loads(line) for line in file]
    wanted = {"train": 12, "valid": 6, "test": 12}
    kept = set()
    for split, number in wanted.items():
        tracks = sorted({record["uid"].partition("-")[0] for record in published if record["split"] == split})
        kept |= {f"{int(track)}" for track in tracks[:number]}
    one = {seconds: band.audio(seconds, "MP3") for seconds in (120, 60)}
    for name, members in archives.items():
        for path in [path for path in members if "/md5/" in path]:
            track = Path(path).name.partition(".")[0]
            if track not in kept:
                del members[path]
                continue
            seconds = SHORTER_TRACKS.get(f"{int(track):07d}", 120.0)
            audio = one[120 if seconds > 60 else 60] + b"TAG" + track.encode().ljust(125, b"\0")  # ID3v1: other bytes, the same sound
            files[f"audio/{track}.LOFI.mp3"] = audio
            members[path] = hashlib.md5(audio).hexdigest().encode()
        files[f"{name}.zip"] = zipped(members)
    return files


def magnatagatune(band):
    tables = {}
    for name in ("clip_info_final", "annotations_final"):
        with gzip.open(FIXTURES / "magnatagatune" / f"{name}.csv.gz", "rt", newline="") as file:
            tables[name] = file.read().splitlines(keepends=True)
    tagged = {row.split("\t")[0] for row in tables["annotations_final"][1:]}
    kept, count = set(), dict.fromkeys("tve-", 0)
    for row in tables["clip_info_final"][1:]:
        path = row.rstrip("\r\n").split("\t")[-1].strip('"')
        split = "-" if not path else "t" if path[0] in "0123456789ab" else "v" if path[0] == "c" else "e"
        if count[split] < {"t": 40, "v": 12, "e": 20, "-": 3}[split] and (split == "-" or row.split("\t")[0] in tagged):
            count[split] += 1
            kept.add(row.split("\t")[0])
    files = {f"{name}.csv": "".join([rows[0], *(row for row in rows[1:] if row.split("\t")[0] in kept)]) for name, rows in tables.items()}
    paths = [row.rstrip("\r\n").split("\t")[-1].strip('"') for row in files["clip_info_final.csv"].splitlines()[1:]]
    whole = zipped({path: band.audio(5, "MP3", 11025) for path in paths if path})
    parts = {f"mp3.zip.00{part + 1}": whole[part * len(whole) // 3 : (part + 1) * len(whole) // 3] for part in range(3)}
    return {name: text.encode() for name, text in files.items()} | parts


def emomusic(band):
    annotations = (FIXTURES / "emomusic" / "annotations.tar.gz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(annotations)) as archive:
        songs = archive.extractfile("songs_info.csv").read().decode().splitlines()[1:]
    clips = {f"clips_45seconds/{int(song.split(',')[0])}.mp3": band.audio(8, "MP3", 22050) for song in songs}
    return {"annotations.tar.gz": annotations, "clips_45sec.tar.gz": tar(clips)}


SONGS = {"train": [*sorted(musdb.VALID)[:2], "A - One", "B - Two", "C - Three"], "test": ["D - Four", "E - Five", "F - Six"]}


def wavs(band, folder):
    """A file a stem, and the mixture; stereo, as MUSDB18's are."""
    parts = dict(zip(STEMS, band.stems(9), strict=True))
    for name, samples in {**parts, "mixture": sum(parts.values())}.items():
        soundfile.write(folder / f"{name}.wav", np.tile(samples, (2, 1)).T, 22050)
    return folder


def musdb18hq(band, folder):
    files = {}
    for part, songs in SONGS.items():
        for song in songs:
            files |= {f"{part}/{song}/{path.name}": path.read_bytes() for path in sorted(wavs(band, folder).glob("*.wav"))}
    return {"musdb18hq.zip": zipped(files)}


def musdb18(band, folder):
    files = {}
    for part, songs in SONGS.items():
        for song in songs:
            inputs = [wavs(band, folder) / f"{name}.wav" for name in ("mixture", "drums", "bass", "other", "vocals")]
            maps = [word for number in range(5) for word in ("-map", f"{number}:a")]
            options = [word for path in inputs for word in ("-i", path)]
            subprocess.run(["ffmpeg", "-v", "error", "-y", *options, *maps, "-c:a", "aac", folder / "song.mp4"], check=True)
            files[f"{part}/{song}.stem.mp4"] = (folder / "song.mp4").read_bytes()
    return {"musdb18.zip": zipped(files)}


def slakh2100(band):
    """As published, with audio that is not: tones in noise."""
    return {"slakh2100_flac_redux.tar.gz": tar(multitrack_stand_ins.slakh(9.0, 16000))}


def contents_digest(data, strip):
    """As documented: SHA-256 over the sorted lines of digest and path."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name.split("/", strip)[-1], archive.read(name)) for name in archive.namelist() if not name.endswith("/")]
    lines = sorted(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def declare(name, files, url, target):
    """A copy of the dataset's declaration in which the assets of ``files`` lie at ``url``, with their own digests; without the others."""
    shutil.copytree(ROOT / "datasets" / name, target)
    declaration = json.loads((target / "dataset.json").read_text())
    separate = isinstance(declaration["assets"], str)
    where = target / (declaration["assets"] if separate else "dataset.json")
    assets = [asset for asset in (json.loads(where.read_text()) if separate else declaration["assets"]) if asset["path"] in files]
    assert {asset["path"] for asset in assets} == set(files)
    for asset in assets:
        data = files[asset["path"]]
        asset["urls"] = [f"{url}/gone/{asset['path']}", f"{url}/{name}/{asset['path']}"]
        for kind in ("sha256", "md5"):
            if asset.get(kind):
                asset[kind] = hashlib.new(kind, data).hexdigest()
        if asset.get("contents"):
            asset["contents"]["sha256"] = contents_digest(data, asset["contents"]["strip"])
        if asset.get("size"):
            asset["size"] = len(data)
    where.write_text(json.dumps(assets if separate else {**declaration, "assets": assets}))


@pytest.fixture(scope="session")
def band(tmp_path_factory):
    folder = tmp_path_factory.mktemp("band")
    generation.generate(folder, songs=12, seed=5)
    return Band(folder)


@pytest.fixture(scope="session")
def hosts(tmp_path_factory):
    """The served folder, and its URL."""
    folder = tmp_path_factory.mktemp("hosts")

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def stand_in(band, hosts, tmp_path_factory):
    """A function from raw datasets' names to the folder of their declarations; what these name is served."""
    served, url = hosts
    made = {name: globals()[name] for name in ("gtzan", "giantsteps", "magnatagatune", "emomusic", "musdb18", "musdb18hq", "slakh2100")}

    def make(*names):
        declarations = tmp_path_factory.mktemp("declarations")
        for name in names:
            scratch = (tmp_path_factory.mktemp("scratch"),) if name.startswith("musdb") else ()
            files = made[name](band, *scratch)
            declare(name, files, url, declarations / name)
            for path, data in files.items():
                (served / name / path).parent.mkdir(parents=True, exist_ok=True)
                (served / name / path).write_bytes(data)
        return declarations

    return make
