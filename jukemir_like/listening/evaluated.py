"""The page of an evaluation: of each instrument the queries whose right stem is ranked lowest, and one that is found; all to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jukemir_like import audio
from jukemir_like.audio.stems import reading
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable
from jukemir_like.core.progress import Progress
from jukemir_like.listening import excerpts, sounds
from jukemir_like.listening.page import CORRECT, Candidate, Comparison, Page, made
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval.embedding import Embeddings
from jukemir_like.stemjepa.retrieval.evaluation import Evaluation

SECONDS = 10.0
"""Of an excerpt."""

POOL = "same-instrument"
"""Whose ranks the page shows: there the track alone identifies the right stem."""

_MOST_QUERIES = 16
_LEADING = 3  # candidates beside the right one


@dataclass(frozen=True)
class Query:
    """A query and its candidates.

    Args:
        instrument: its number.
        track: its number.
        order: tracks whose stem of this instrument is a candidate, best first.
        scores: their cosines, in the same order.
        channels: track → which of its stems is of this instrument.
    """

    instrument: int
    track: int
    order: np.ndarray
    scores: np.ndarray
    channels: dict[int, int]

    @property
    def rank(self) -> int:
        """Of the right stem, from 1."""
        return int(np.flatnonzero(self.order == self.track)[0]) + 1


def ranked(embeddings: Embeddings, instrument: int) -> list[Query]:
    """The queries of one instrument in :data:`POOL`, worst first; of equal ranks, the one whose right stem lies further behind the first.

    Args:
        embeddings: of whole tracks.
        instrument: its number.
    """
    numbers = embeddings.instruments
    is_it = np.arange(embeddings.has_query.shape[1]) == instrument if numbers is None else numbers == instrument
    asked, candidates = np.argwhere(embeddings.has_query & is_it), np.argwhere(embeddings.has_candidate & is_it)
    if numbers is not None and len(candidates) < 2:  # as in the evaluation: where tracks have stems of their own, one alone is no choice
        return []
    cosines = normalise(embeddings.queries[tuple(asked.T)]) @ normalise(embeddings.candidates[tuple(candidates.T)]).T
    queries, channels = [], {int(row): int(column) for row, column in candidates}
    for (row, _), of_query in zip(asked, cosines, strict=True):
        order = np.argsort(-of_query, kind="stable")
        queries.append(Query(instrument, int(row), candidates[order, 0], of_query[order], channels))
    return sorted(queries, key=lambda query: (-query.rank, query.scores[query.rank - 1] - query.scores[0], query.track))


def choose(queries: Sequence[Query], most: int) -> list[Query]:
    """At most so many of ``queries``, which are worst first: the worst, and as the last the one that is found with the widest lead."""
    hits = [query for query in queries if query.rank == 1 and len(query.order) > 1]
    best = max(hits, key=lambda query: query.scores[0] - query.scores[1], default=None)
    if best is None or most < 2:
        return list(queries[:most])
    return [*[query for query in queries if query is not best][: most - 1], best]


def page(
    evaluation: Evaluation, *, dataset: str, weights: str, facts: Sequence[tuple[str, str]] = (), seconds: float = SECONDS
) -> tuple[Page, dict[str, str]]:
    """The page, and which tracks could not be read any more: name → reason.

    Args:
        evaluation: of a folder, with its tracks and their vectors.
        dataset, weights: names.
        facts: further lines for the page: term, text.
        seconds: how much of each mix is heard.
    """
    if evaluation.embedded is None:
        raise ValueError("the evaluation has no vectors: evaluate a folder")
    names = _names(evaluation)
    by_instrument = [queries for number in sorted(names) if (queries := ranked(evaluation.embedded.tracks, number))]
    shown = sorted(sorted(by_instrument, key=_share_found)[:_MOST_QUERIES], key=lambda queries: queries[0].instrument)
    per_instrument = max(1, _MOST_QUERIES // max(1, len(shown)))
    chosen = [query for queries in shown for query in choose(queries, per_instrument)]
    asked = sum(map(len, by_instrument))
    failed: dict[str, str] = {}
    comparisons = []
    with Progress(len(chosen), "page", "query") as bar:
        for query in chosen:
            try:
                comparisons.append(_comparison(evaluation, query, names[query.instrument], seconds, failed))
            except InputError as error:
                failed[evaluation.read_tracks[query.track].name] = str(error)
            bar.update()
    of = "each instrument" if len(shown) == len(by_instrument) else f"the {len(shown)} of {len(by_instrument):,} instruments found least"
    worst = "query" if per_instrument < 3 else f"{per_instrument - 1} queries"
    hit = "" if per_instrument == 1 else "worst first, and one that is found, "
    lead = (
        f"Of {of} the {worst} whose right stem is ranked lowest, {hit}{len(comparisons)} of {asked:,} queries. With each mix are heard the "
        "stems that the network ranks first, and the right one."
    )
    notes = [
        f"Ranks are among the stems of the same instrument of all tracks (pool {POOL}). {seconds:g} s of each mix are heard, from where it "
        f"is about as loud as anywhere, and every stem at the same time of its own track. {sounds.LOUDNESS}"
    ]
    described = [("weights", weights), ("dataset", dataset), ("split", evaluation.split or "all tracks"), *facts, made()]
    return Page(f"What {weights} finds and misses in {dataset}", lead, comparisons, described, notes), failed


def _share_found(queries: Sequence[Query]) -> float:
    return sum(query.rank == 1 for query in queries) / len(queries)


def _names(evaluation: Evaluation) -> dict[int, str]:
    """Names of instruments by their numbers: those of the weights, or, where tracks have stems of their own, those of the tracks."""
    own = {number: name for track in evaluation.read_tracks for number, name in zip(track.numbers, track.stems, strict=False)}
    return own or dict(enumerate(evaluation.sources))


def _comparison(evaluation: Evaluation, query: Query, instrument: str, seconds: float, failed: dict[str, str]) -> Comparison:
    track = evaluation.read_tracks[query.track]
    stems = reading.read(track, 0, track.frames)
    mix = audio.Audio(np.delete(stems, query.channels[query.track], 0).sum(0)[None], track.sample_rate)
    start = excerpts.start_of_excerpt(mix, seconds)
    excerpt = excerpts.cut(mix, start, min(seconds, mix.seconds))
    level = sounds.level_of_mix(excerpt)
    ranks = sorted({*range(1, min(_LEADING, len(query.order)) + 1), query.rank})
    candidates = []
    for rank in ranks:
        of = evaluation.read_tracks[query.order[rank - 1]]
        name, more = f"{printable(of.name)}, {instrument}", {"rank": rank, "score": float(query.scores[rank - 1])}
        more["marks"] = [CORRECT] if rank == query.rank else []
        try:
            part = _part(of, query.channels[int(query.order[rank - 1])], start, excerpt.seconds)
        except InputError as error:
            failed[of.name] = str(error)
            candidates.append(Candidate(name, None, problem=f"cannot be heard: {error}", **more))
        else:
            candidates.append(sounds.of_stem(name, part, level, start, **more))
    score = evaluation.score(POOL, instrument, "R@1")
    return Comparison(
        name=printable(track.name),
        instrument=instrument,
        seconds=excerpt.seconds,
        of=len(query.order),
        mix=sounds.of_mix(f"{printable(track.name)} without {instrument}", excerpt),
        candidates=candidates,
        scale=(float(query.scores[-1]), float(np.median(query.scores)), float(query.scores[0])),
        group=f"{instrument}: the right one is first in {100 * score.value:.0f} % of {score.n_queries:,} queries",
        summary="found" if query.rank == 1 else f"rank {query.rank:,} of {len(query.order):,}",
    )


def _part(track: Track, channel: int, start_seconds: float, seconds: float) -> excerpts.Excerpt:
    """The excerpt of a stem; only what is heard is read."""
    rate = track.sample_rate
    first = round(start_seconds * rate) if start_seconds * rate < track.frames else 0
    samples = reading.read(track, first, min(round(seconds * rate), track.frames - first))[channel]
    return excerpts.Excerpt(excerpts.cut(audio.Audio(samples[None], rate), 0, seconds).samples, first / rate, track.frames / rate)
