"""A small cache as the stages make it, and what can become of its files."""

import copy
import itertools
import json
import os
import shutil
import signal
from contextlib import contextmanager

import numpy as np
import soundfile

from jukemir_like.audit import audit
from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.datasets import Clip, Dataset, Item, Task
from jukemir_like.extract import extract
from jukemir_like.probes.results import tabulate_runs
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.process import process
from jukemir_like.report.report import report

TASKS = {
    "genre": Task("genre", "multiclass", ("jazz", "rock")),
    "tags": Task("tags", "multilabel", ("loud", "sad")),
    "tempo": Task("tempo", "regression", ("bpm",)),
}
DEEP = 100_000
PNG = b"\x89PNG\r\n\x1a\n curves"


def make(folder):
    """Every stage on 24 clips: ``folder/cache``, and beside it files that nothing may touch."""
    random = np.random.default_rng(0)
    cache, items = Cache(folder / "cache"), []
    (folder / "audio").mkdir(parents=True)
    time = np.arange(22050) / 22050
    for number in range(24):
        path = folder / "audio" / f"{number}.wav"
        loud, fast = number % 2, number % 3 == 0
        samples = (0.1 + 0.3 * loud) * np.sin(2 * np.pi * (220 + 220 * fast) * time) + 0.02 * random.standard_normal(22050)
        soundfile.write(path, samples.astype(np.float32), 22050)
        labels = {
            "genre": ("jazz", "rock")[fast],
            "tags": [tag for tag, is_there in (("loud", loud), ("sad", number % 5 < 2)) if is_there],
            "tempo": [60.0 + 40 * loud + number],
        }
        split = ("train", "train", "valid", "test")[number // 6]
        clip = Clip(f"song {number}", 1.0, 0, 0.0, 0.5)
        items.append(Item(f"a/{number:02d}", split, labels, path, clip, {"artist": f"artist {number // 2}", "album": "one"}))
    process(Dataset("toy", TASKS, items, group="artist", sources={"seed": 0}), cache.processed("toy"))
    for name in ("chroma", "mfcc"):
        extract(name, cache.processed("toy") / "wav", cache.representation("toy", name))
        probe_dataset(cache, "toy", name, tasks=["tempo"] if name == "mfcc" else None)
    audit.audit(cache, "toy")
    for name in ("good", "poor"):
        write_bytes(cache.root / "retrieval" / "toy_stems" / name / "retrieval.csv", retrieval_table())
        write_bytes(cache.root / "checkpoints" / name / "training.png", PNG)
    report(cache)
    shutil.rmtree(folder / "audio")
    for name in ("victim", "victim.npy", "victim.wav", "victim.json", "run.json"):
        (folder / name).write_bytes(b"not ours")
    return cache


def retrieval_table():
    """As ``evaluate-retrieval`` writes it; its writer needs torch, which the rest does not."""
    header = "weights,digest,dataset,split,pool,instrument,metric,value,low,high,chance,n_queries,n_candidates,groups,seed,version"
    pools = ("same-instrument", "all", "all-but-context", "segments")
    metrics = ("R@1", "R@5", "R@10", "median_normalised_rank")
    scored = itertools.product(pools, ("all", "bass", "drums"), metrics)
    lines = [f"good,0,toy_stems,test,{','.join(names)},0.25,0.125,0.5,0.1,30,10,5,0,1.0" for names in scored]
    return "\n".join([header, *lines, ""]).encode()


RUN = "probes/toy/chroma/genre/linear-0/run.json"
OTHER = "probes/toy/chroma/tags/linear-0/predictions.npz"
FILES = {
    "run": RUN,
    "predictions": OTHER,
    "meta": "processed/toy/meta.json",
    "dataset": "processed/toy/dataset.json",
    "audit": "processed/toy/audit.json",
    "retrieval": "retrieval/toy_stems/poor/retrieval.csv",
    "picture": "checkpoints/poor/training.png",
    "vector": "representations/toy/chroma/a/05.npy",
    "process records": "processed/toy/.records/process.jsonl",
    "extract records": "representations/toy/chroma/.records/all.jsonl",
    "audit records": "processed/toy/.records/audit/.records/audit.jsonl",
    "fingerprint": "processed/toy/.records/audit/a/05.npy",
}


# what becomes of a whole file: name → function of its path
def _write(content):
    def damage(path):
        data = path.read_bytes()
        path.write_bytes(content(data) if callable(content) else content)

    return damage


def _instead(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


WHOLE = {
    "empty": _write(b""),
    "half": _write(lambda data: data[: len(data) // 2]),
    "without its end": _write(lambda data: data[:-1]),
    "binary": _write(bytes(range(256)) * 8),
    "not UTF-8": _write(lambda data: data.replace(b"a", b"\xff", 1)),
    "a byte changed": _write(lambda data: data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 1]) + data[len(data) // 3 + 1 :]),
    "UTF-16": _write(lambda data: data.decode("latin-1").encode("utf-16")),
    "a list": _write(b"[]\n"),
    "an object": _write(b"{}\n"),
    "null": _write(b"null\n"),
    "a list of lists": _write(b"[[1, 2], [3]]\n"),
    "nested lists": _write(b"[" * DEEP + b"]" * DEEP),
    "nested objects": _write(b'{"a":' * DEEP),
    "lines of zeros": _write(b"\0" * 4096 + b"\n"),
    "a named pipe": _instead(os.mkfifo),
    "a folder": _instead(os.mkdir),
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a link to a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "gone": os.unlink,
}

_RAW = "@raw@"
VALUES = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -7,
    "a fraction": 0.123,
    "huge": 10**400,
    "large": 1e200,
    "NaN": (_RAW, b"NaN"),
    "infinite": (_RAW, b"-Infinity"),
    "overflowing": (_RAW, b"1e999"),
    "5,000 digits": (_RAW, b"9" * 5000),
    "empty text": "",
    "text": "word",
    "leads out": "../../../victim",
    "absolute": "/victim",
    "NUL": "a\0b",
    "newline": "one\ntwo\x1b[31m",
    "half a character": "\ud83d",
    "no UTF-8": "\udcff",
    "script": "<script>alert(1)</script>",
    "long": "x" * 5000,
    "a list": [],
    "an object": {},
    "a list of text": ["word"],
    "nested": (_RAW, b"[" * DEEP + b"]" * DEEP),
    "nested a little": (_RAW, b"[" * 200 + b"]" * 200),
}
GONE, IN_A_LIST, IN_AN_OBJECT, TWICE = "gone", "in a list", "in an object", "twice"
HOWS = (*VALUES, GONE, IN_A_LIST, IN_AN_OBJECT, TWICE)
NAMES = ("", "word", "../../../victim", "/victim", "a\0b", "\ud83d", "<script>", "x" * 300)


def places(value, most=2, path=()):
    """Paths to everything in a JSON value; of many alike the first ``most``."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (name, one) in enumerate(inner):
        alike = isinstance(value, list) or len(value) > 22  # uids, not fields
        if not alike or number < most:
            yield from places(one, most, (*path, name))


def changed(value, path, how):
    """JSON bytes with something else at ``path``; None where that cannot be."""
    value = copy.deepcopy(value)
    if not path:
        holder, name = [value], 0
        top = holder
    else:
        top = holder = value
        for step in path[:-1]:
            holder = holder[step]
        name = path[-1]
    raw = None
    if how == GONE:
        if not path:
            return None
        del holder[name]
    elif how == IN_A_LIST:
        holder[name] = [holder[name]]
    elif how == IN_AN_OBJECT:
        holder[name] = {"a": holder[name]}
    elif how == TWICE:
        if not isinstance(holder, dict):
            return None
        holder["@twice@"] = holder[name]
    else:
        new = VALUES[how]
        if isinstance(new, tuple):
            new, raw = new
        holder[name] = new
    text = json.dumps(top if path else top[0]).encode()
    if how == TWICE:
        text = text.replace(b'"@twice@"', json.dumps(name).encode())
    return text if raw is None else text.replace(json.dumps(_RAW).encode(), raw)


def renamed(value, path, name):
    """JSON bytes where the last name of ``path`` is another; None where there is no name."""
    value = copy.deepcopy(value)
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    if not path or not isinstance(holder, dict) or name in holder:
        return None
    holder[name] = holder.pop(path[-1])
    return json.dumps(value).encode()


class Hangs(BaseException):
    """A stage took far longer than it may."""


@contextmanager
def limit(seconds):
    def end(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(stage, seconds=60):
    """What a stage gave, or the error that it ended with; anything but a :class:`JukemirLikeError` goes through."""
    with limit(seconds):
        try:
            made = stage()
        except JukemirLikeError as error:
            return error
        str(made)
        return made


STAGES = {
    "probe": lambda cache: probe_dataset(cache, "toy", "chroma", tasks=["genre"]),
    "score": lambda cache: tabulate_runs(cache, "toy", "chroma"),
    "audit": lambda cache: audit.audit(cache, "toy"),
    "report": report,
}


def state(folder):
    """Everything beside the cache: path → bytes, and when it was written."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir()) if path.is_file()}
