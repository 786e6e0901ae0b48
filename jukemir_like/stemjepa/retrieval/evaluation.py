"""How well a network finds the missing stem: tracks are embedded, ranked in the pools, and scored with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jukemir_like.audio.stems.reading import read_whole
from jukemir_like.audio.stems.tracks import StemFolder, Track, numbered
from jukemir_like.core import resampling
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.core.records import Summary
from jukemir_like.core.stems import STEMS
from jukemir_like.stemjepa.data.finding import find, find_ensembles, has_own_stems
from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.embedding import BATCH_SIZE, Embedded, Stems, embed_tracks
from jukemir_like.stemjepa.retrieval.metrics import PoolRanks, rank_in_pools
from jukemir_like.stemjepa.retrieval.names import KINDS, kind_of, with_names

if TYPE_CHECKING:
    from jukemir_like.stemjepa.model import Network

ALL = "all"
"""The instrument of the scores of all queries together; as a split that is asked for, all tracks."""
OF_KIND = f"{ALL}: {{}}"
"""That of the scores of all queries for names of one kind (:data:`.names.KINDS`), where each track has stems of its own."""


@dataclass(frozen=True)
class Score:
    """One metric of the queries of one instrument in one pool; fractions.

    Args:
        pool, instrument, metric: names; instrument is :data:`ALL` for the queries of all instruments.
        value: NaN where there are no queries.
        low, high: of the interval; None where there is none.
        chance: of a random order.
        n_queries, n_candidates, groups: number of queries, of candidates of a query (on average), and of groups.
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
    """Scores in the order of pools, instruments (all of them first) and metrics, and the ranks that they are computed from.

    Args:
        sources: names of the instruments; of those that are asked for, where each track has stems of its own.
        pool_ranks: of every pool.
        scores: of every pool, instrument and metric.
        seed: of the intervals' resamples.
        tracks: number of tracks that were evaluated.
        split: their split; None: all tracks.
        audio_seconds: their duration.
        failed: track → why it could not be read.
        notes: further lines for the summary.
        kinds: instruments of the scores of several names together, beside :data:`ALL`.
        embedded, read_tracks: the vectors, and the tracks that they are of; of a folder.
    """

    sources: tuple[str, ...]
    pool_ranks: list[PoolRanks]
    scores: list[Score]
    seed: int
    tracks: int
    split: str | None = None
    audio_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kinds: tuple[str, ...] = ()
    embedded: Embedded | None = None
    read_tracks: tuple[Track, ...] = ()

    def score(self, pool: str, instrument: str, metric: str) -> Score:
        """The score of this pool, instrument and metric.

        Raises:
            KeyError: there is none.
        """
        for score in self.scores:
            if (score.pool, score.instrument, score.metric) == (pool, instrument, metric):
                return score
        raise KeyError((pool, instrument, metric))

    def summary(self, seconds: float) -> Summary:
        """The summary of the command, which took this many seconds."""
        return Summary("evaluate-retrieval", self.tracks, 0, self.failed, self.audio_seconds, seconds, self.notes)


def evaluate(
    embedded: Embedded,
    sources: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    resamples: int = resampling.RESAMPLES,
    seed: int = resampling.SEED,
    known: Sequence[str] | None = None,
) -> Evaluation:
    """Scores embedded tracks.

    Args:
        embedded: the tracks.
        sources: names of the instruments, in the order of their numbers.
        groups: of each track, the group that it is resampled with (its artist); None: every track is its own group.
        resamples: number of resamples of the bootstrap; 0: no intervals.
        seed: of the resamples.
        known: where each track has stems of its own, which of ``sources`` the weights were trained with: names are scored by kind too.

    >>> from jukemir_like.stemjepa.retrieval.embedding import Embeddings
    >>> vectors, every = np.eye(8, dtype=np.float32).reshape(2, 4, 8), np.ones((2, 4), bool)  # 2 tracks of 4 stems; perfect predictions
    >>> embedded = Embedded(Embeddings(vectors, vectors, every, every, np.arange(2)), None)
    >>> evaluation = evaluate(embedded, STEMS)
    >>> evaluation.score("all", "drums", "R@1").value, evaluation.score("all", "drums", "R@1").chance
    (1.0, 0.125)
    """
    tracks = len(embedded.tracks.queries)
    group = np.arange(tracks) if groups is None else np.asarray(groups)
    times = np.concatenate([np.zeros((0, tracks), np.int32), *resampling.resample_groups(group, resamples, seed)])
    pool_ranks = list(rank_in_pools(embedded))
    asked = list(range(len(sources)))
    kinds: dict[str, list[int]] = {}
    if known is not None:
        asked = sorted(set(pool_ranks[0].source.tolist()), key=lambda number: sources[number])
        kinds = {OF_KIND.format(kind): [number for number in asked if kind_of(sources[number], known) == kind] for kind in KINDS}
    parts = {ALL: None, **kinds, **{sources[number]: [number] for number in asked}}
    scores = [score for ranks in pool_ranks for score in _scores(ranks, parts, group, times)]
    few = resampling.few_groups(len(np.unique(group)), resampling.effective_groups(group)) if resamples else None
    names = tuple(sources[number] for number in asked)
    return Evaluation(names, pool_ranks, scores, seed, tracks, notes=[few] if few else [], kinds=tuple(kinds))


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
    own_stems: bool = False,
) -> Evaluation:
    """Scores the tracks of ``folder``, each of which is read once.

    Args:
        network: on any device.
        sources: names of its instruments.
        folder: of stems, as :func:`~jukemir_like.stemjepa.data.finding.find` reads them.
        split: only these tracks; :data:`ALL`: every track; None: ``test`` where tracks have a split, else all.
        batch_size: mixes encoded at once.
        bf16: compute in bfloat16.
        seed: of the intervals' resamples.
        workers: processes that read the headers of the files.
        own_stems: each track has stems of its own, as many as it has, and is asked for each of them by its name. So it is anyway where the
            folder's ``dataset.json`` says so.

    Raises:
        RequestError: no tracks, none of this split, other instruments than the network's; or fewer than two tracks can be read.
    """
    own_stems = own_stems or has_own_stems(folder)
    found = find_ensembles(folder, workers=workers) if own_stems else _find(folder, tuple(sources), workers)
    chosen = _choose(found.tracks, split, folder)
    known = tuple(sources) if own_stems else None
    if own_stems:
        network, sources = with_names(network, sources, sorted({name for track in chosen for name in track.stems}))
        chosen = [numbered(track, sources) for track in chosen]
    failed = dict(found.failures)
    evaluated: list[Track] = []
    with Progress(len(chosen), "evaluate-retrieval", "track") as bar:
        stems = _read(chosen, network.settings.frontend.sample_rate, evaluated, failed, bar)
        embedded = embed_tracks(network, stems, batch_size=batch_size, bf16=bf16)
    if len(evaluated) < 2:
        raise RequestError(f"{len(evaluated)} tracks of {folder} can be read: retrieval needs two or more")
    groups = [f"track {track.name}" if track.group is None else f"group {track.group}" for track in evaluated]
    seconds = sum(track.frames / track.sample_rate for track in evaluated)
    evaluation = evaluate(embedded, sources, groups, seed=seed, known=known)
    return replace(
        evaluation,
        split=_split_of(found.tracks, split),
        audio_seconds=seconds,
        failed=failed,
        notes=[*found.notes, *evaluation.notes],
        embedded=embedded,
        read_tracks=tuple(evaluated),
    )


def _find(folder: Path, sources: tuple[str, ...], workers: int) -> StemFolder:
    """The tracks of a folder with the stems in the order of the network's instruments."""
    found = find(folder, len(sources), workers=workers)
    if found.sources == sources or (found.sources is None and sources == STEMS):
        return found
    if found.sources is None:  # nothing describes the order of the channels
        return find(folder, len(sources), workers=workers, sources=sources)
    if set(found.sources) == set(sources) and all(len(track.files) == len(sources) for track in found.tracks):
        return find(folder, len(sources), workers=workers, sources=sources)  # one file per stem, identified by its name in any order
    raise RequestError(
        f"the stems of {folder} are {', '.join(found.sources)}, those of the weights {', '.join(sources)}: "
        "give stems of the same names and order"
    )


def _split_of(tracks: Iterable[Track], split: str | None) -> str | None:
    """The split that is evaluated for the option ``split``; None: all tracks."""
    if split == ALL:
        return None
    return split or ("test" if any(track.split for track in tracks) else None)


def _choose(tracks: Sequence[Track], split: str | None, folder: Path) -> list[Track]:
    wanted = _split_of(tracks, split)
    chosen = [track for track in tracks if wanted is None or track.split == wanted]
    if not chosen and tracks:
        known = sorted({track.split for track in tracks if track.split})
        remedy = f"choose {', '.join(known)} or {ALL}" if known else "its tracks have none, leave --split out"
        raise RequestError(f"no track of {folder} is of split {wanted!r}: {remedy}")
    return chosen


def _read(
    tracks: Sequence[Track], sample_rate: int, evaluated: list[Track], failed: dict[str, str], bar: Progress
) -> Iterator[Stems | np.ndarray]:
    """Stems of the tracks that can be read, which are appended to ``evaluated``; the others are added to ``failed``."""
    for track in tracks:
        try:
            stems = read_whole(track, sample_rate)
        except InputError as error:
            failed[track.name] = str(error)
        else:
            evaluated.append(track)
            yield Stems(stems, np.array(track.numbers)) if track.numbers else stems
        bar.update()


def _scores(pool_ranks: PoolRanks, parts: Mapping[str, Sequence[int] | None], group: np.ndarray, times: np.ndarray) -> Iterator[Score]:
    """The scores of one pool; ``times`` is ``(resamples, tracks)``, how often each track is in each resample.

    ``parts`` has the numbers of the instruments that each ``instrument`` of a score stands for; None: all.
    """
    for instrument, numbers in parts.items():
        mask = np.ones(len(pool_ranks.ranks), bool) if numbers is None else np.isin(pool_ranks.source, numbers)
        ranks, track = pool_ranks.ranks.select(mask), pool_ranks.track[mask]
        groups = len(np.unique(group[track]))
        effective = resampling.effective_groups(group[track])
        least = float(np.mean(1 / ranks.size)) if len(ranks) else 0.0  # of a normalised rank
        chance, candidates = metrics.chance(ranks), float(ranks.size.mean()) if len(ranks) else 0.0
        for metric, of_queries in metrics.values(ranks).items():
            value = metrics.aggregate(metric, of_queries)
            samples = metrics.aggregate_resamples(metric, of_queries, times[:, track])
            low, high = _ends(metric, value, samples, effective, least)
            yield Score(pool_ranks.pool, instrument, metric, value, low, high, chance[metric], len(ranks), candidates, groups)


def _ends(metric: str, value: float, samples: np.ndarray, groups: float, least: float) -> tuple[float | None, float | None]:
    """The interval of a metric. Mean normalised ranks and areas lie between 1 / N, ``least``, and 1; they are means of rankings."""
    if metric.startswith("R@"):
        around = resampling.interval(value, samples, groups)
    elif metric == "median_normalised_rank":
        around = resampling.interval(value, samples, groups, scale="median")
    else:
        span = max(1 - least, np.finfo(np.float64).tiny)
        around = resampling.interval((value - least) / span, (samples - least) / span, groups, scale="ranking")
        if around.low is not None and around.high is not None:
            return min(least + span * around.low, value), max(least + span * around.high, value)
    return around.low, around.high
