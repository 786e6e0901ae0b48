"""How well a network finds the missing stem: tracks are embedded, ranked in four pools, and scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jukemir_like.core import resampling
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.core.records import Summary
from jukemir_like.stemjepa import data
from jukemir_like.stemjepa.config import SOURCES
from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.embedding import BATCH_SIZE, Embedded, embed_tracks
from jukemir_like.stemjepa.retrieval.pools import Standings, standings

if TYPE_CHECKING:
    from jukemir_like.stemjepa.network import Network

ALL = "all"
"""The instrument of the scores of all queries together."""


@dataclass(frozen=True)
class Score:
    """One metric of one instrument's queries in one pool; fractions.

    Args:
        pool, instrument, metric: names; instrument is :data:`ALL` for the queries of all.
        value: NaN where there are no queries.
        low, high: of the interval; None where there is none.
        chance: of a random order.
        n_queries, n_candidates, groups: how many; candidates of a query, on average.
    """

    pool: str
    instrument: str
    metric: str
    value: float
    low: float | None
    high: float | None
    chance: float
    n_queries: int
    n_candidates: float
    groups: int


@dataclass(frozen=True)
class Evaluation:
    """Scores, in the order of pools, instruments (all of them first) and metrics, and the ranks that they come from.

    Args:
        sources: names of the instruments.
        standings: of every pool.
        scores: of every pool, instrument and metric.
        seed: of the intervals' draws.
        tracks: how many were evaluated.
        split: which; None: all.
        audio_seconds: their duration.
        failed: track → why it could not be read.
        notes: further lines worth saying.
    """

    sources: tuple[str, ...]
    standings: list[Standings]
    scores: list[Score]
    seed: int
    tracks: int
    split: str | None = None
    audio_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def score(self, pool: str, instrument: str, metric: str) -> Score:
        """The one score of these names; ``KeyError`` where there is none."""
        for score in self.scores:
            if (score.pool, score.instrument, score.metric) == (pool, instrument, metric):
                return score
        raise KeyError((pool, instrument, metric))

    def summary(self, seconds: float) -> Summary:
        """What was done, in so many seconds."""
        return Summary("evaluate-retrieval", self.tracks, 0, self.failed, self.audio_seconds, seconds, self.notes)


def evaluate(
    embedded: Embedded,
    sources: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    resamples: int = resampling.RESAMPLES,
    seed: int = resampling.SEED,
) -> Evaluation:
    """Scores of tracks that are embedded.

    Args:
        embedded: the tracks.
        sources: names of the instruments, in the order of their numbers.
        groups: of each track, what must stay together when drawing (its artist); None: every track by itself.
        resamples: of the bootstrap; 0: no intervals.
        seed: of the draws.
    """
    tracks = len(embedded.tracks.queries)
    group = np.arange(tracks) if groups is None else np.asarray(groups)
    times = np.concatenate([np.zeros((0, tracks), np.int32), *resampling.resample_groups(group, resamples, seed)])
    found = list(standings(embedded))
    scores = [score for standing in found for score in _scores(standing, sources, group, times)]
    return Evaluation(tuple(sources), found, scores, seed, tracks)


def evaluate_folder(
    network: Network,
    sources: Sequence[str],
    folder: Path,
    *,
    split: str | None = None,
    batch_size: int = BATCH_SIZE,
    bf16: bool = False,
    seed: int = resampling.SEED,
    workers: int = 1,
) -> Evaluation:
    """Scores of the tracks of ``folder``, each of which is read once.

    Args:
        network: on any device.
        sources: names of its instruments.
        folder: of stems, as :func:`~jukemir_like.stemjepa.data.find` reads them.
        split: only these tracks; None: ``test`` where tracks have a split, else all.
        batch_size: mixes encoded at once.
        bf16: compute in bfloat16.
        seed: of the intervals' draws.
        workers: processes that look at the files.

    Raises:
        RequestError: no tracks, none of this split, other instruments than the network's; or fewer than two tracks can be read.
    """
    found = _find(folder, tuple(sources), workers)
    chosen = _choose(found.tracks, split, folder)
    failed = dict(found.failures)
    read: list[data.Track] = []
    with Progress(len(chosen), "evaluate-retrieval", "track") as bar:
        audio = _read(chosen, network.settings.frontend.sample_rate, read, failed, bar)
        embedded = embed_tracks(network, audio, batch_size=batch_size, bf16=bf16)
    if len(read) < 2:
        raise RequestError(f"{len(read)} tracks of {folder} can be read: retrieval needs two or more")
    groups = [f"track {track.name}" if track.group is None else f"group {track.group}" for track in read]
    seconds = sum(track.frames / track.sample_rate for track in read)
    done = evaluate(embedded, sources, groups, seed=seed)
    return replace(done, split=_split_of(found.tracks, split), audio_seconds=seconds, failed=failed, notes=found.notes)


def _find(folder: Path, sources: tuple[str, ...], workers: int) -> data.StemFolder:
    found = data.find(folder, len(sources), workers=workers)
    if found.sources == sources or (found.sources is None and sources == SOURCES):
        return found
    if found.sources is None:
        return data.find(folder, len(sources), workers=workers, sources=sources)  # nothing says the order of channels
    if set(found.sources or ()) == set(sources) and all(len(track.files) == len(sources) for track in found.tracks):
        return data.find(folder, len(sources), workers=workers, sources=sources)  # a file a stem, called by its name: any order will do
    there = ", ".join(found.sources or ())
    raise RequestError(
        f"the stems of {folder} are {there}, those of the weights {', '.join(sources)}: give stems of the same names and order"
    )


def _split_of(tracks: Iterable[data.Track], split: str | None) -> str | None:
    """Which split is evaluated where ``split`` is asked for; None: all tracks."""
    return split or ("test" if any(track.split for track in tracks) else None)


def _choose(tracks: Sequence[data.Track], split: str | None, folder: Path) -> list[data.Track]:
    wanted = _split_of(tracks, split)
    chosen = [track for track in tracks if wanted is None or track.split == wanted]
    if not chosen and tracks:
        known = sorted({track.split for track in tracks if track.split})
        remedy = f"choose {', '.join(known)}" if known else "its tracks have none, leave --split out"
        raise RequestError(f"no track of {folder} is of split {wanted!r}: {remedy}")
    return chosen


def _read(
    tracks: Sequence[data.Track], sample_rate: int, read: list[data.Track], failed: dict[str, str], bar: Progress
) -> Iterator[np.ndarray]:
    """Stems of the tracks that can be read; these join ``read``, the others ``failed``."""
    for track in tracks:
        try:
            audio = data.read_whole(track, sample_rate)
        except InputError as error:
            failed[track.name] = str(error)
        else:
            read.append(track)
            yield audio
        bar.update()


def _scores(standing: Standings, sources: Sequence[str], group: np.ndarray, times: np.ndarray) -> Iterator[Score]:
    for number, instrument in [(None, ALL), *enumerate(sources)]:
        chosen = np.ones(len(standing.ranks), bool) if number is None else standing.source == number
        ranks, track = standing.ranks.of(chosen), standing.track[chosen]
        groups = len(np.unique(group[track]))
        chance, candidates = metrics.chance(ranks), float(ranks.size.mean()) if len(ranks) else 0.0
        for metric, of_queries in metrics.values(ranks).items():
            value = metrics.aggregate(metric, of_queries)
            samples = metrics.aggregate_resamples(metric, of_queries, times[:, track])
            found = resampling.interval(value, samples, groups)
            yield Score(standing.pool, instrument, metric, value, found.low, found.high, chance[metric], len(ranks), candidates, groups)
