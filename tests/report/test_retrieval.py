"""What the page says of retrieval and training, against the tables it is read from."""

import base64
import re

import numpy as np
import pytest

from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.report import retrieval
from jukemir_like.report.problems import Problems
from jukemir_like.report.report import report
from jukemir_like.stemjepa.retrieval import evaluation, results, table
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings

PICTURE = b"\x89PNG\r\n\x1a\n curves"


def evaluate(noise):
    """Thirty tracks whose stems' vectors are alike but for so much noise."""
    random = np.random.default_rng(0)
    candidates = random.standard_normal((30, 4, 64))
    queries = candidates + noise * random.standard_normal((30, 4, 64))
    there = np.ones((30, 4), bool)
    made = Embeddings(queries.astype(np.float32), candidates.astype(np.float32), there, there, np.arange(30))
    return evaluation.evaluate(Embedded(made, None), STEMS)


@pytest.fixture
def cache(tmp_path):
    cache = Cache(tmp_path)
    for name, noise in (("good", 0.5), ("poor", 4.0)):
        path = tmp_path / "retrieval" / "songs_stems" / name / table.TABLE_NAME
        table.write_table(path, results.rows(evaluate(noise), weights=name, digest="0", dataset="songs_stems"))
    write_bytes(tmp_path / "checkpoints" / "good" / "training.png", PICTURE)
    return cache


def test_the_page_shows_every_score_of_the_table_and_the_best_weights_first(cache, make_run, tasks):
    make_run(cache, "songs", "chroma", tasks["tempo"], 0.5)
    report(cache)
    page = (cache.report / "index.html").read_text()
    assert page.index("<tr><th>good</th>") < page.index("<tr><th>poor</th>")
    assert "(N = 30)" in page
    (row,) = re.findall(r"<tr><th>poor</th>(.*?)</tr>", page[page.index('id="retrieval-songs_stems"') :])
    shown = re.findall(r"<td>([\d.]+)<small>([\d.]+) – ([\d.]+)</small><small>chance ([\d.]+)</small>", row)
    expected = evaluate(4.0)
    scores = [expected.score("same-instrument", instrument, "R@1") for instrument in ("all", *STEMS)]
    assert [tuple(map(float, cell)) for cell in shown] == [
        (round(100 * score.value, 1), round(100 * score.low, 1), round(100 * score.high, 1), 3.3) for score in scores
    ]


def test_a_training_s_picture_is_in_the_page_itself(cache):
    (training,) = retrieval.trainings(cache, Problems(cache.root))
    assert training["name"] == "good"
    assert base64.b64decode(training["picture"].removeprefix("data:image/png;base64,")) == PICTURE


def test_without_stems_the_page_says_nothing_of_them(tmp_path, make_run, tasks):
    cache = Cache(tmp_path)
    make_run(cache, "songs", "chroma", tasks["tempo"], 0.5)
    report(cache)
    page = (cache.report / "index.html").read_text()
    assert "Which stem fits a mix" not in page
    assert "Training of" not in page


def test_stems_alone_have_a_page_without_probes(cache):
    written = report(cache)
    page = written.page.read_text()
    assert 'id="retrieval-songs_stems"' in page
    assert 'id="results"' not in page
    with pytest.raises(RequestError, match="no finished probe"):
        report(cache, protocol="linear")
