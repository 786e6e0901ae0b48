"""Stems in other keys and tempos than the mix: ``python -m bench.transposed CACHE [--songs N]`` prints the tables of docs/retrieval.md.

``CACHE`` holds ``synthband_stems``, processed, of a seed that the weights were not trained on. Of every song each stem is once transposed
by -3 to 3 semitones and once played 6 % slower to 6 % faster, both drawn; the mix without it is played in all these keys and tempos.
Vectors are kept in ``CACHE/transposed``. Candidates are the stems of all songs of the same instrument.

Then the tempo by the rhythm, :mod:`jukemir_like.stemjepa.retrieval.tempos`, for mixes and stems of different songs, whose tempos are known.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.progress import Progress
from jukemir_like.core.resampling import RESAMPLES, interval, resample_groups
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets.meta import read_meta
from jukemir_like.deform import stretching
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval import tempos
from jukemir_like.stemjepa.retrieval.embedding import SILENT

SEMITONES = (-3, -2, -1, 0, 1, 2, 3)
PERCENTS = (-6, -4, -2, 0, 2, 4, 6)
AS_IT_IS = 3  # the place of 0 in both
RATE = 22050
SONGS_OF_PAIRS = 40
LIMIT = 6


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transposed", description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--songs", type=int, help="only so many")
    options = parser.parse_args(arguments)
    folder = Cache(options.cache).processed("synthband_stems")
    meta, _ = read_meta(folder)
    uids = sorted(meta)[: options.songs]
    songs = embedded(folder, uids, options.cache / "transposed")
    artists = np.array([meta[uid]["extra"]["artist"] for uid in uids])
    print(f"{len(uids)} songs of {len(set(artists))} artists\n")
    pitched = [STEMS.index(name) for name in ("bass", "other", "vocals")]
    print(table("semitones", songs["semi"], songs["plain"], songs["query_semi"], AS_IT_IS + songs["j"], pitched, artists))
    print(table("percent", songs["tempo"], songs["plain"], songs["query_tempo"], AS_IT_IS + songs["p"] // 2, range(len(STEMS)), artists))
    print(rhythms(folder, {uid: meta[uid]["extra"]["bpm"] for uid in uids[:SONGS_OF_PAIRS]}))


def embedded(folder: Path, uids: Sequence[str], kept: Path) -> dict[str, np.ndarray]:
    """Vectors of all songs; NaN where a stem is silent."""
    kept.mkdir(exist_ok=True)
    model = StemJEPA.from_pretrained()
    songs = []
    with Progress(len(uids), "songs", "song") as bar:
        for number, uid in enumerate(uids):
            path = kept / f"{uid}.npz"
            if not path.exists():
                np.savez(path, **of_song(model, audio.decode(folder / "wav" / f"{uid}.wav").samples, number))
            songs.append(dict(np.load(path)))
            bar.update()
    return {name: np.stack([song[name] for song in songs]) for name in songs[0]}


def of_song(model: StemJEPA, stems: np.ndarray, number: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([0, number])
    semitones, percent = int(random.integers(-3, 4)), int(2 * random.integers(-3, 4))
    nothing = np.full((len(STEMS), model.dimension), np.nan, np.float32)
    vectors = {name: nothing.copy() for name in ("plain", "semi", "tempo")}
    queries = {name: np.repeat(nothing[:, None], len(SEMITONES), 1) for name in ("query_semi", "query_tempo")}
    for stem, name in enumerate(STEMS):
        mix = np.delete(stems, stem, 0).sum(0)
        if min(np.abs(stems[stem]).max(), np.abs(mix).max()) < SILENT:
            continue
        vectors["plain"][stem] = model.embed(stems[stem], which="target")
        vectors["tempo"][stem] = model.embed(changed(stems[stem], 0, percent), which="target")
        queries["query_tempo"][stem] = [model.predict(changed(mix, 0, other), name)[0] for other in PERCENTS]
        if name != "drums":
            vectors["semi"][stem] = model.embed(changed(stems[stem], semitones, 0), which="target")
            queries["query_semi"][stem] = [model.predict(changed(mix, other, 0), name)[0] for other in SEMITONES]
    return vectors | queries | {"j": np.array(semitones), "p": np.array(percent)}


def changed(samples: np.ndarray, semitones: int, percent: int) -> np.ndarray:
    return stretching.change(samples, RATE, semitones, 1 + percent / 100) if semitones or percent else samples


def table(
    unit: str, others: np.ndarray, plain: np.ndarray, queries: np.ndarray, right: np.ndarray, stems: Sequence[int], artists: np.ndarray
) -> str:
    """Markdown: candidates that were changed, and as they are; asked without and with a search for the change."""
    lines = [f"| {unit} | queries | R@1 | R@10 | mean normalised rank | right one tried |", "|---|---|---|---|---|---|"]
    unchanged = np.full_like(right, AS_IT_IS)
    ways: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [("as they are", lambda cosines: cosines[:, AS_IT_IS]), ("best", best)]
    for library, candidates, wanted in (("changed", others, right), ("as they are", plain, unchanged)):
        for way, reduce in ways:
            found = np.array([entry for stem in stems for entry in ranks(candidates[:, stem], queries[:, stem], reduce, wanted)])
            song, rank, of, chosen = found.T
            values = {"R@1": rank <= 1, "R@10": rank <= 10, "rank": rank / of, "right": chosen}
            cells = [percents(value.astype(float), artists[song.astype(int)], name == "rank") for name, value in values.items()]
            lines.append(
                f"| library {library}, tried {way} | {len(found)} | {' | '.join(cells[:3])} | {cells[3] if way == 'best' else '–'} |"
            )
    return "\n".join(lines) + "\n"


def best(cosines: np.ndarray) -> np.ndarray:
    return np.asarray(cosines.max(1))


def ranks(
    candidates: np.ndarray, queries: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray], right: np.ndarray
) -> list[tuple[float, ...]]:
    """Of each song: its number, the rank of its stem, the number of candidates, and whether its best version is the right one."""
    songs = np.flatnonzero(np.isfinite(candidates[:, 0]))
    unit, found = normalise(candidates[songs]), []
    for row, song in enumerate(songs):
        cosines = unit @ normalise(queries[song]).T
        scores = reduce(cosines)
        rank = 1 + (scores > scores[row]).sum() + ((scores == scores[row]).sum() - 1) / 2
        found.append((song, rank, len(songs), cosines[row].argmax() == right[song]))
    return found


def percents(values: np.ndarray, groups: np.ndarray, ranking: bool) -> str:
    blocks = [weights @ values / weights.sum(1) for weights in resample_groups(groups, RESAMPLES, 0)]
    samples = np.concatenate(blocks)
    around = interval(float(values.mean()), samples, len(set(groups)), scale="ranking" if ranking else "fraction")
    return f"{100 * around.value:.1f} [{100 * (around.low or 0):.1f}, {100 * (around.high or 0):.1f}]"


def rhythms(folder: Path, tempo_of: dict[str, float]) -> str:
    """Markdown: how often the tempo of a stem of another song is found, and how often one is found where none is within the limit."""
    lines = [
        f"| stem | pairs within {LIMIT} % | tempo found | right to 0.3 % | pairs further apart | tempo found |",
        "|---|---|---|---|---|---|",
    ]
    of_mixes, of_stems = {}, {}
    for uid in tempo_of:
        stems = audio.decode(folder / "wav" / f"{uid}.wav").samples
        for stem in range(len(STEMS)):
            if np.abs(stems[stem]).max() >= SILENT:
                of_mixes[uid, stem] = tempos.rhythm(np.delete(stems, stem, 0).sum(0), RATE)
                of_stems[uid, stem] = tempos.rhythm(stems[stem], RATE)
    for stem, name in enumerate(STEMS):
        near, far = [], []
        for one, other in permutations([uid for uid, of in of_stems if of == stem], 2):
            wanted = 100 * (tempo_of[one] / tempo_of[other] - 1)
            percent = tempos.percent_faster(of_mixes[one, stem], of_stems[other, stem], LIMIT)
            if abs(wanted) <= LIMIT - 0.3:
                near.append((percent is not None, percent is not None and abs(percent - wanted) < 0.3))
            elif abs(wanted) > LIMIT + 0.3:
                far.append(percent is not None)
        found, right = np.array(near).sum(0)
        lines.append(f"| {name} | {len(near)} | {found} | {right} | {len(far)} | {sum(far)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
