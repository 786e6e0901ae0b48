"""A host that stands in for jukemir's, with all 24 archives under their real names; and a cache with vectors to be packed."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from jukemir_like.core import records
from jukemir_like.core.cache import Cache

ROOT = Path(__file__).parents[2]
LABELS = {
    "emomusic": "emomusic/emomusic_sample.jsonl",
    "giantsteps_clips": "giantsteps/giantsteps_clips.jsonl.gz",
    "gtzan_ff": "gtzan/gtzan_ff.jsonl.gz",
    "magnatagatune": "magnatagatune/magnatagatune_sample.jsonl.gz",
}
DIMENSIONS = {"chroma": 72, "mfcc": 120, "choi": 160, "musicnn": 4194, "clmr": 512, "jukebox": 4800}  # of the paper


def published_uids(dataset):
    """The uids that jukemir published: of gtzan_ff and giantsteps_clips all, of the others a sample."""
    path = ROOT / "tests" / "fixtures" / LABELS[dataset]
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["uid"] for line in text.splitlines()]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def vectors(dataset, representation, uids):
    """Name in the archive → bytes of the file, in jukemir's layout."""
    dimension = DIMENSIONS[representation]
    random = np.random.default_rng([dimension, len(dataset)])
    return {f"{dataset}/{representation}/{uid}.npy": npy(random.standard_normal(dimension).astype(np.float32)) for uid in uids}


def tarred(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


class Stand:
    """The host: ``put`` serves another archive, and declares it with its digest; ``damage`` serves other bytes than declared."""

    def __init__(self, folder, declarations, url):
        self.folder, self.url, self.requests = folder, url, []
        self._file = declarations / "precomputed" / "dataset.json"
        shutil.copytree(ROOT / "datasets" / "precomputed", self._file.parent)

    def put(self, dataset, representation, data):
        name = f"{dataset}-{representation}.tar.gz"
        (self.folder / name).write_bytes(data)
        declared = json.loads(self._file.read_text())
        (asset,) = (asset for asset in declared["assets"] if asset["path"] == name)
        asset |= {"urls": [f"{self.url}/{name}"], "sha256": hashlib.sha256(data).hexdigest()}
        self._file.write_text(json.dumps(declared))

    def damage(self, dataset, representation, data):
        (self.folder / f"{dataset}-{representation}.tar.gz").write_bytes(data)


@pytest.fixture
def stand(tmp_path, monkeypatch):
    """The host, with a few vectors in each of the 24 archives."""
    folder = tmp_path / "host"
    folder.mkdir()
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            requests.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        made = Stand(folder, tmp_path / "declarations", f"http://127.0.0.1:{server.server_port}")
        made.requests = requests
        for dataset in LABELS:
            uids = published_uids(dataset)[:3]
            for representation in DIMENSIONS:
                made.put(dataset, representation, tarred(vectors(dataset, representation, uids)))
        monkeypatch.setenv("JUKEMIR_LIKE_DECLARATIONS", str(tmp_path / "declarations"))
        yield made
        server.shutdown()


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def write_processed(cache, dataset, split_of, label_of=lambda number: ("blues", "jazz")[number % 2], skipped=()):
    """``processed/<dataset>``, as the stage process writes it."""
    folder = cache.processed(dataset)
    folder.mkdir(parents=True)
    items = {uid: {"split": split, "y": label_of(number), "extra": {}} for number, (uid, split) in enumerate(split_of.items())}
    for uid in skipped:
        items[uid]["extra"]["skipped"] = "corrupt"
    tasks = {"genre": {"type": "multiclass", "labels": ["blues", "jazz"], "primary_metric": "accuracy"}}
    (folder / "meta.json").write_text(json.dumps(items))
    (folder / "dataset.json").write_text(json.dumps({"name": dataset, "tasks": tasks, "sources": {"seed": 0}}))


@pytest.fixture
def made(cache):
    """A cache with the vectors of ``rep`` on ``toy``: 40 items in splits, one of which failed, one of them in a sub-folder."""
    split_of = {f"a/{number:02d}" if number else "0.5 x": ("train", "train", "valid", "test")[number // 2 % 4] for number in range(40)}
    write_processed(cache, "toy", split_of)
    folder = cache.representation("toy", "rep")
    random = np.random.default_rng(0)
    with records.Journal(folder, "all") as journal:
        for number, uid in enumerate(split_of):
            record = records.new(f"{uid}.wav", "feedbeef00000000", audio_seconds=30.0, seconds=0.25, digest="ab" * 32) | {
                "time": 1.7e9 + number
            }
            if number == 7:
                journal.append(record | {"status": "failed", "reason": "is empty"})
                continue
            data = npy((random.normal(size=6) + 2 * (number % 2)).astype("<f4"))
            path = folder / f"{uid}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            journal.append(record | {"output_digest": hashlib.sha256(data).hexdigest(), "host": "secret"})
    return cache
