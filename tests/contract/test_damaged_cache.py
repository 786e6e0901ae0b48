"""Files of the cache that are damaged, tampered with or somebody else's: no traceback in any stage, one line that names the file."""

import io
import json
import random
import shutil
import zipfile
from functools import partial

import numpy as np
import pytest
from numpy.lib import format as npy

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, JukemirLikeError
from jukemir_like.probes import results, runs
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.report import datasets
from jukemir_like.report.problems import Problems
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.retrieval.table import read_table

from . import damaged
from .damaged import FILES, HOWS, NAMES, STAGES, WHOLE, changed, outcome, places, renamed

ON_THE_PAGE = ("run", "predictions", "dataset", "retrieval", "picture")
"""What the page shows, whatever else is damaged."""
STILL_WHOLE = {
    *((how, "picture") for how in ("half", "without its end", "a byte changed", "not UTF-8")),  # its head is looked at
    *(("without its end", kind) for kind in ("run", "dataset", "retrieval")),  # a newline
    ("an object", "dataset"),
    *(("gone", kind) for kind in ("run", "dataset", "retrieval", "picture")),  # there is none: said in another way, or not missed
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    damaged.make(folder)
    return folder


@pytest.fixture
def fresh(made, tmp_path):
    """A function that gives a new copy, which may be damaged; in the end nothing beside it was written or removed."""
    copies, before = [], damaged.state(made)

    def copy():
        if copies:
            shutil.rmtree(copies[-1] / "cache")
        copies.append(tmp_path / str(len(copies)))
        shutil.copytree(made, copies[-1])
        return Cache(copies[-1] / "cache")

    yield copy
    assert {path.name for path in tmp_path.iterdir()} == {folder.name for folder in copies}
    for folder in copies:
        assert {path.name: content for path, content in damaged.state(folder).items()} == {
            path.name: content for path, content in before.items()
        }


def check_line(error, *names):
    message = str(error)
    assert isinstance(error, JukemirLikeError)
    assert error.exit_code == 2
    assert "\n" not in message
    assert len(message) < 1000
    assert all(name in message for name in names), message


def check_page(written, *names):
    """The page is there, shows what is whole, and says on itself and at its end what it left out."""
    text = written.page.read_text()
    lines = str(written).split("\n")
    assert text.count("<script") == 1  # the page's own
    assert 'id="results"' in text
    assert written.exit_code == (3 if written.problems.damaged else 0)
    for name in names:
        assert any(name in line and "left out" in line for line in lines), (name, lines)
        assert name in text


@pytest.mark.parametrize("how", WHOLE)
def test_the_page_is_made_of_the_rest_whatever_becomes_of_a_file_of_each_kind(fresh, how):
    cache = fresh()
    for kind, path in FILES.items():
        if not kind.endswith("records"):
            WHOLE[how](cache.root / path)
    written = outcome(lambda: STAGES["report"](cache))
    check_page(written, *(FILES[kind] for kind in ON_THE_PAGE if (how, kind) not in STILL_WHOLE and _spoilt(how, kind)))


def _spoilt(how, kind):
    """Whether a change of one byte, wherever it hits, must be seen: text may be another text."""
    return how != "a byte changed" or kind == "predictions"


@pytest.mark.parametrize("how", WHOLE)
def test_a_damaged_file_is_one_line_in_every_stage(fresh, how, request):
    """Of each kind one after the other; the fast tests take two kinds for every damage, in turn."""
    kinds = list(FILES)
    turn = 2 * list(WHOLE).index(how)
    for kind in [kinds[(turn + step) % len(kinds)] for step in range(2)]:
        check_stages(fresh(), how, kind)


@pytest.mark.slow
@pytest.mark.parametrize("how", WHOLE)
def test_any_damaged_file_is_one_line_in_every_stage(fresh, how):
    for kind in FILES:
        check_stages(fresh(), how, kind)


def check_stages(cache, how, kind):
    path = cache.root / FILES[kind]
    WHOLE[how](path)
    for name in ("probe", "score", "audit"):
        made = outcome(lambda name=name: STAGES[name](cache))
        if isinstance(made, Exception):
            check_line(made, str(path))
            assert kind in NEEDED[name] or how == "a folder", (name, made)  # which no file can be written over


NEEDED = {"probe": ("meta", "dataset", "vector"), "score": ("run", "predictions"), "audit": ("meta", "dataset", "audit records", "audit")}
"""What a stage cannot do without; ``score`` only where no other run is whole."""


FIELDS = {"run": 1500, "meta": 200, "dataset": 200, "audit": 2000, "process records": 60, "extract records": 60, "audit records": 100}
"""Kind of file → how many of its mutations are tried, as time allows."""


def mutations(value, most):
    """(where, how, function that gives JSON bytes) of everything that may become of every field, and of every name."""
    for path in places(value, most):
        for how in HOWS:
            yield path, how, partial(changed, value, path, how)
        for name in NAMES:
            yield path, f"called {name[:20]!r}", partial(renamed, value, path, name)


@pytest.mark.parametrize("kind", FIELDS)
def test_what_becomes_of_a_field_is_read_or_refused_in_one_line(fresh, kind):
    check_fields(fresh, kind, number=10, pages=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FIELDS)
def test_whatever_becomes_of_any_field_is_read_or_refused_in_one_line(fresh, kind):
    check_fields(fresh, kind, number=FIELDS[kind], pages=4)


def check_fields(fresh, kind, number, pages):
    """So many mutations are read, or refused in one line; of those that are read, the page is made ``pages`` times."""
    cache = fresh()
    path = cache.root / FILES[kind]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True) if kind.endswith("records") else [whole]
    every = list(mutations(json.loads(lines[0]), 1))
    chosen = random.Random(0).sample(every, min(number, len(every)))
    accepted = 0
    for where, how, make in chosen:
        data = make()
        if data is None:  # there is no such field, or name
            continue
        path.write_bytes(data + b"\n" + b"".join(lines[1:]))
        try:
            made = outcome(lambda: read(kind, cache))
            if isinstance(made, Exception):
                check_line(made, "toy")
                continue
            accepted += 1
            if accepted <= pages:
                check_page(outcome(lambda: STAGES["report"](cache)))
        except BaseException as error:
            error.add_note(f"{FILES[kind]}: {'.'.join(map(str, where))} {how}")
            raise
    assert number < 200 or 0 < accepted < len(chosen) or kind.endswith("records")


def read(kind, cache):
    """Reads what ``kind`` is as the stages do; what they then make of it takes too long."""
    problems = Problems(cache.root)
    if kind == "run":
        runs.open_run((cache.root / FILES[kind]).parent)  # or predictions.npz beside it is what does not fit
    elif kind == "audit":
        datasets.audits(cache, ["toy"], problems)
    else:
        datasets.describe(cache, ["toy"], problems)
        STAGES["audit"](cache)
        STAGES["probe"](cache)
    if problems.damaged:
        raise DamagedFileError(problems.damaged[0])


CELLS = (
    "",
    "word",
    "-1",
    "2",
    "1e999",
    "nan",
    "9" * 400,
    "1_0",
    '"',
    "a\0b",
    "<script>",
    "é",
    "x" * 200_000,
    "1,2",
    "\r",
    "[" * 1000,
    '"[[[["',
)


def tables(data):
    """(what, CSV bytes) of everything that may become of a table."""
    header, first, *others = data.decode().splitlines()
    names, cells = header.split(","), first.split(",")
    for place, name in enumerate(names):
        for cell in CELLS:
            line = ",".join([*cells[:place], cell, *cells[place + 1 :]])
            yield f"{name}: {cell[:20]!r}", "\n".join([header, line, *others, ""]).encode()
        without = [",".join(row.split(",")[:place] + row.split(",")[place + 1 :]) for row in (header, first, *others)]
        yield f"no {name}", "\n".join([*without, ""]).encode()
        yield f"{name} twice", data.replace(header.encode(), ",".join([*names[:place], names[place - 1], *names[place + 1 :]]).encode())
        yield f"ends at {name}", data[: data.rfind(b"\n", 0, -1)] + b"\n" + ",".join(cells[:place]).encode()
    yield "header alone", header.encode() + b"\n"


@pytest.mark.parametrize("kind", ["retrieval", "results"])
def test_a_table_is_read_or_refused_in_one_line_whatever_becomes_of_a_cell(fresh, kind):
    cache = fresh()
    path = cache.root / {"retrieval": FILES["retrieval"], "results": "report/results.csv"}[kind]
    readers = {
        "retrieval": lambda: read_table(path),
        "results": lambda: results.read([path]),
    }
    whole = path.read_bytes()
    accepted = []
    for what, data in tables(whole) if kind == "retrieval" else list(tables(whole))[::3]:
        path.write_bytes(data)
        made = outcome(readers[kind])
        if isinstance(made, Exception):
            check_line(made, str(path))
        else:
            accepted.append((what, data))
    assert accepted
    if kind == "retrieval":
        for _, data in random.Random(0).sample(accepted, 2):
            path.write_bytes(data)
            check_page(outcome(lambda: STAGES["report"](cache)))


def bomb(path):
    """An archive of a few bytes whose header declares thousands of terabytes."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("test_scores.npy", header.getvalue())


def archive(change):
    def damage(path):
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, **change(arrays))

    return damage


def with_array(name, value):
    return archive(lambda arrays: arrays | {name: value(arrays[name])})


PREDICTIONS = {
    **{f"no {name}": archive(lambda arrays, name=name: {key: array for key, array in arrays.items() if key != name})
       for name in ("test_uid", "test_group", "test_y", "test_scores", "valid_uid", "valid_scores")},
    "one more": archive(lambda arrays: arrays | {"test_more": np.zeros(3)}),
    "nothing": archive(lambda arrays: {}),
    "compressed": lambda path: np.savez_compressed(path, **dict(np.load(path))),
    "declares too much": bomb,
    "pickled": with_array("test_uid", lambda array: array.astype(object)),
    "numbers for names": with_array("test_uid", lambda array: np.arange(len(array))),
    "no characters": with_array("test_uid", lambda array: (array.view(np.uint32) + 0x110000).view(array.dtype)),
    "a name twice": with_array("test_uid", lambda array: np.repeat(array[:1], len(array))),
    "fewer names": with_array("test_uid", lambda array: array[1:]),
    "fewer groups": with_array("test_group", lambda array: array[1:]),
    "other groups": with_array("test_group", lambda array: np.repeat(array[:1], len(array))),
    "fewer labels": with_array("test_y", lambda array: array[1:]),
    "labels of another type": with_array("test_y", lambda array: array.astype(np.float64)),
    "other labels": with_array("test_y", lambda array: ~array),
    "scores of another size": with_array("test_scores", lambda array: array[:, :1]),
    "no matrix": with_array("test_scores", lambda array: array.ravel()),
    "a single number": with_array("test_scores", lambda array: np.float32(1)),
    "no scores": archive(lambda arrays: {name: array[:0] for name, array in arrays.items()}),
    "not a number": with_array("test_scores", lambda array: np.full_like(array, np.nan)),
    "infinite": with_array("test_scores", lambda array: np.full_like(array, np.inf)),
    "double precision": with_array("test_scores", lambda array: array.astype(np.float64)),
    "times": with_array("test_scores", lambda array: array.astype("m8[s]")),
}  # fmt: skip


@pytest.mark.parametrize("how", PREDICTIONS)
def test_predictions_that_cannot_be_are_refused_in_one_line(fresh, how):
    path = fresh().root / FILES["predictions"]
    PREDICTIONS[how](path)
    check_line(outcome(lambda: runs.open_run(path.parent)), str(path.parent))


@pytest.mark.parametrize("how", ["no test_uid", "declares too much", "fewer labels"])
def test_predictions_that_cannot_be_are_left_out_and_made_again_by_the_probe(fresh, how):
    cache = fresh()
    path = cache.root / FILES["predictions"]
    PREDICTIONS[how](path)
    made = outcome(lambda: STAGES["score"](cache))
    assert made.exit_code == 3
    assert len(made.damaged) == 1
    assert str(path.parent) in made.damaged[0]
    assert {row["task"] for row in made.rows} == {"genre", "tempo"}
    probe_dataset(cache, "toy", "chroma", tasks=["tags"])
    assert outcome(lambda: STAGES["score"](cache)).exit_code == 0


def test_values_that_the_predictions_do_not_give_are_not_believed(fresh):
    cache = fresh()
    path = cache.root / FILES["run"]
    record = json.loads(path.read_bytes())
    record["metrics"]["test"]["accuracy"] += 0.01
    path.write_text(json.dumps(record))
    written = STAGES["report"](cache)
    check_page(written, FILES["run"])
    assert "metrics.test.accuracy" in str(written)


UIDS = ("../../../victim", "/etc/passwd", "", "a\0b", "a//b", "a/../../../../victim", "./a", "\ud83d", "..")


@pytest.mark.parametrize("uid", UIDS)
def test_a_uid_that_leads_out_of_its_folder_is_one_line_in_every_stage(fresh, uid, tmp_path):
    cache = fresh()
    path = cache.root / FILES["meta"]
    meta = json.loads(path.read_bytes())
    path.write_text(json.dumps({uid if number == 3 else name: meta[name] for number, name in enumerate(meta)}))
    for name in ("probe", "audit"):
        check_line(outcome(lambda name=name: STAGES[name](cache)), str(path))
    check_line(outcome(lambda: find(cache.processed("toy"), 4)), str(path))
    check_page(STAGES["report"](cache))


@pytest.mark.parametrize("kind", ["process records", "extract records", "audit records"])
def test_a_record_that_leads_out_of_its_folder_deletes_nothing_there(fresh, kind):
    cache = fresh()
    path = cache.root / FILES[kind]
    (line, *others) = path.read_bytes().splitlines(keepends=True)
    evil = [json.dumps(json.loads(line) | {"input": uid}).encode() + b"\n" for uid in UIDS]
    path.write_bytes(b"".join([*evil, line, *others]))
    for name in STAGES:
        assert not isinstance(outcome(lambda name=name: STAGES[name](cache)), Exception)


def test_names_of_any_file_are_text_on_the_page(fresh):
    evil = "<script>alert(1)</script>\x1b[31m\udcff$x$"
    cache = fresh()
    for kind, change in {
        "run": lambda value: value | {"notes": [evil], "configuration": {evil: evil}, "protocol": evil, "versions": {evil: evil}},
        "dataset": lambda value: value | {"group": evil, "sources": {evil: evil}, "versions": {evil: evil}, "items": {evil: 1}},
        "audit": lambda value: value | {"splits": {evil: next(iter(value["splits"].values()))}, "items": {evil: 3}},
    }.items():
        path = cache.root / FILES[kind]
        path.write_text(json.dumps(change(json.loads(path.read_bytes()))))
    path = cache.root / FILES["retrieval"]
    path.write_text(path.read_text().replace("bass", "<script>bass\x1b"))
    written = STAGES["report"](cache)
    check_page(written)
    text = written.page.read_text()
    assert text.count("&lt;script&gt;alert(1)") >= 8
    assert "\x1b" not in text + str(written)
    assert written.exit_code == 0
