"""Datasets by name: which exist, their options, the raw assets of each, and from raw assets to a :class:`Dataset`.

Options are written in the name with ``+``: ``magnatagatune+artist_clean+tagged_only``. A dataset with options is another dataset, with its
own folder in the cache, its own scores and its own line in the report. So each has one spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import Dataset

# Name → the raw assets' folder, and the function from that folder to a Dataset. Functions are named, not imported, because a command needs
# one of them at most, and synthband, which composes its songs, stands after this package.
_BUILT_IN = {
    "babyslakh": ("babyslakh", "jukemir_like.datasets.slakh:baby_dataset"),
    "ballroom": ("ballroom", "jukemir_like.datasets.ballroom:dataset"),
    "emomusic": ("emomusic", "jukemir_like.datasets.emomusic:dataset"),
    "fma_small": ("fma", "jukemir_like.datasets.fma:small_dataset"),
    "giantsteps": ("giantsteps", "jukemir_like.datasets.giantsteps:dataset"),
    "giantsteps_clips": ("giantsteps", "jukemir_like.datasets.giantsteps:clips_dataset"),
    "gtzan_ff": ("gtzan", "jukemir_like.datasets.gtzan:dataset"),
    "gtzan_tempo": ("gtzan", "jukemir_like.datasets.gtzan:tempo_dataset"),
    "magnatagatune": ("magnatagatune", "jukemir_like.datasets.magnatagatune:dataset"),
    "medley_solos_db": ("medley_solos_db", "jukemir_like.datasets.medley_solos_db:dataset"),
    "medleydb": ("medleydb", "jukemir_like.datasets.medleydb:dataset"),
    "moisesdb": ("moisesdb", "jukemir_like.datasets.moisesdb:dataset"),
    "mtg_jamendo_genre": ("mtg_jamendo", "jukemir_like.datasets.mtg_jamendo:dataset"),
    "mtg_jamendo_instrument": ("mtg_jamendo", "jukemir_like.datasets.mtg_jamendo:dataset"),
    "mtg_jamendo_moodtheme": ("mtg_jamendo", "jukemir_like.datasets.mtg_jamendo:dataset"),
    "mtg_jamendo_top50tags": ("mtg_jamendo", "jukemir_like.datasets.mtg_jamendo:dataset"),
    "musdb18": ("musdb18", "jukemir_like.datasets.musdb:dataset"),
    "musdb18hq": ("musdb18hq", "jukemir_like.datasets.musdb:hq_dataset"),
    "nsynth": ("nsynth", "jukemir_like.datasets.nsynth:dataset"),
    "slakh2100": ("slakh2100", "jukemir_like.datasets.slakh:dataset"),
    "synthband": ("synthband", "jukemir_like.synthband.generation:dataset"),
    "synthband2": ("synthband2", "jukemir_like.synthband.generation:dataset"),
    "synthband2_stems": ("synthband2", "jukemir_like.synthband.generation:stems_dataset"),
    "synthband_stems": ("synthband", "jukemir_like.synthband.generation:stems_dataset"),
}

COMPOSED = ("synthband", "synthband2")
"""Raw assets that are not downloaded but composed and rendered."""

_OPTIONS = {
    "emomusic": ("artist_clean",),
    "giantsteps": ("unique",),
    "giantsteps_clips": ("unique",),
    "gtzan_ff": ("artist_folds",),
    "magnatagatune": ("artist_clean", "tagged_only"),
    **dict.fromkeys((name for name in _BUILT_IN if name.startswith("mtg_jamendo_")), ("split1", "split2", "split3", "split4")),
}

_IN_FOLDS = {"artist_folds"}  # options

_MULTITRACK = ("babyslakh", "medleydb", "moisesdb", "slakh2100")  # a table says which of their sources are in which channel
WITH_INSTRUMENTS = _MULTITRACK
"""Datasets whose songs can have a stem for each of their instruments, under its own name."""
_STEMS = {
    **{name: f"{name}_stems" for name in COMPOSED},
    **{name: name for name in (*_MULTITRACK, "musdb18", "musdb18hq", *(f"{name}_stems" for name in COMPOSED))},
}


def names() -> list[str]:
    """The datasets that can be processed by name, sorted; without their options.

    >>> names()[:3]
    ['babyslakh', 'ballroom', 'emomusic']
    """
    return sorted(_BUILT_IN)


def options(name: str) -> tuple[str, ...]:
    """The options of dataset ``name``: what may follow its name, each with ``+`` before it, in this order.

    Raises:
        RequestError: unknown name or option.

    >>> options("magnatagatune")
    ('artist_clean', 'tagged_only')
    """
    return _OPTIONS.get(_parse(name)[0], ())


def stems_of(name: str) -> str | None:
    """The dataset that holds the songs of dataset ``name`` as stems: itself, another one, or None.

    >>> stems_of("synthband"), stems_of("gtzan_ff")
    ('synthband_stems', None)
    """
    return _STEMS.get(name)


def is_known(name: str) -> bool:
    """Whether ``name``, options included, can be processed by name.

    >>> is_known("giantsteps+unique"), is_known("gtzan_ff+unique")
    (True, False)
    """
    try:
        _parse(name)
    except RequestError:
        return False
    return True


def assets(name: str) -> str:
    """Which raw assets dataset ``name`` is made from: the name to give to ``download``.

    Raises:
        RequestError: unknown name or option.

    >>> assets("gtzan_ff")
    'gtzan'
    """
    return _BUILT_IN[_parse(name)[0]][0]


def comes_in_folds(name: str) -> bool:
    """Whether dataset ``name``, options included, comes in folds instead of splits.

    Raises:
        RequestError: unknown name or option.

    >>> comes_in_folds("gtzan_ff"), comes_in_folds("gtzan_ff+artist_folds")
    (False, True)
    """
    return not _IN_FOLDS.isdisjoint(_parse(name)[1])


def from_assets(
    name: str, cache: Cache, *, stems_table: Path | None = None, refuse_unknown: bool = False, instruments: bool = False
) -> Dataset:
    """The dataset ``name``, options included, from its raw assets in ``cache``. Only the annotations must be present, not the audio.

    Args:
        name: of the dataset.
        cache: where its assets are.
        stems_table: of a dataset of many sources, the user's table of channels (:mod:`jukemir_like.datasets.stems_table`).
        refuse_unknown: raise an error for sources that the table does not name.
        instruments: a channel for each instrument of a song, under its own name, instead of those of the table.

    Raises:
        RequestError: unknown name or option, or its assets are missing; a table, or ``instruments``, for a dataset that takes none.
    """
    base, chosen = _parse(name)
    if (stems_table is not None or refuse_unknown) and base not in _MULTITRACK:
        raise RequestError(f"{base} takes no table of stems: {', '.join(_MULTITRACK)} do")
    if instruments and base not in WITH_INSTRUMENTS:
        raise RequestError(f"{base} has no stems under the names of instruments: {', '.join(WITH_INSTRUMENTS)} and midi have")
    folder = cache.dataset(assets(name))
    if not folder.is_dir():
        raise RequestError(f"{base} is not in {cache.root}: run `jukemir-like download {name}` first")
    module, _, attribute = _BUILT_IN[base][1].partition(":")
    build: Callable[..., Dataset] = getattr(import_module(module), attribute)
    if base in _MULTITRACK:
        return build(folder, name, stems_table=stems_table, refuse_unknown=refuse_unknown, instruments=instruments)
    return build(folder, name, chosen) if chosen else build(folder, name)


def _parse(name: str) -> tuple[str, frozenset[str]]:
    """The dataset that ``name`` begins with, and its options.

    Raises:
        RequestError: unknown dataset or option; options in another order than the alphabet's, or one twice.
    """
    base, *given = name.split("+")
    if base not in _BUILT_IN:
        raise RequestError(f"unknown dataset {base!r}: choose one of {', '.join(names())}, or 'folder' for your own")
    known = _OPTIONS.get(base, ())
    for option in given:
        if option not in known:
            choice = f"choose among {', '.join(known)}" if known else "it has none"
            raise RequestError(f"unknown option {option!r} of dataset {base}: {choice}")
    spelled = "+".join([base, *sorted(set(given))])
    if name != spelled:
        raise RequestError(f"dataset {name!r} is written {spelled!r}: options in the order of the alphabet, each once")
    return base, frozenset(given)
