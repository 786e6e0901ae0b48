"""Files of the cache that are damaged, tampered with or somebody else's: no traceback in any stage, one line that names the file."""

import csv
import io
import json
import random
import shutil

import pytest

from jukemir_like.audit import stored
from jukemir_like.cache import Cache
from jukemir_like.damage import DamagedFileError
from jukemir_like.datasets import processed
from jukemir_like.errors import JukemirLikeError
from jukemir_like.probe import checking
from jukemir_like.report import audits, stages, stems
from jukemir_like.report.left_out import LeftOut

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
        for old in copies:
            shutil.rmtree(old / "cache")
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
    assert "<script" not in text
    assert 'id="results"' in text
    assert written.exit_code == (3 if written.left_out.damaged else 0)
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
            assert kind in NEEDED[name], (name, made)


NEEDED = {"probe": ("meta", "dataset", "vector"), "score": ("run", "predictions"), "audit": ("meta", "dataset", "audit records", "audit")}
"""What a stage cannot do without; ``score`` only where no other run is whole."""


def mutations(value, most):
    """(where, how, JSON bytes) of everything that may become of every field, and of every name."""
    for path in places(value, most):
        for how in HOWS:
            data = changed(value, path, how)
            if data is not None:
                yield path, how, data
        for name in NAMES:
            data = renamed(value, path, name)
            if data is not None:
                yield path, f"called {name[:20]!r}", data


def read(kind, cache):
    """Reads what ``kind`` is as the stages do: all that they make of it but for what takes long."""
    left_out = LeftOut(cache.root)
    if kind == "run":
        STAGES["score"](cache)
    elif kind == "meta":
        STAGES["audit"](cache)
        STAGES["probe"](cache)
    elif kind == "dataset":
        stages.describe(cache, ["toy"], left_out)
        STAGES["audit"](cache)
        STAGES["probe"](cache)
    elif kind == "audit":
        audits.audits(cache, ["toy"], left_out)
    elif kind.endswith("records"):
        STAGES["probe"](cache)
        STAGES["audit"](cache)
    return left_out


def check_fields(fresh, kind, chosen, most=2, every=1):
    """Each mutation of each field is read, or refused in one line; of those that are read, the page is made now and then."""
    cache = fresh()
    path = cache.root / FILES[kind]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True) if kind.endswith("records") else [whole]
    accepted = 0
    for where, how, data in chosen(list(mutations(json.loads(lines[0]), most))):
        path.write_bytes(data + b"\n" + b"".join(lines[1:]))
        try:
            made = outcome(lambda: read(kind, cache))
            if isinstance(made, Exception):
                check_line(made, "toy")
            else:
                accepted += 1
            if accepted % every == 1 or every == 1:
                check_page(outcome(lambda: STAGES["report"](cache)))
        except BaseException as error:
            error.add_note(f"{FILES[kind]}: {'.'.join(map(str, where))} {how}")
            raise
