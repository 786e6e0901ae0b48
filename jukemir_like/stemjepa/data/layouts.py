"""How the stems of a song lie in a folder, as far as names and channels tell: a file per stem, or a channel per stem.

Stereo is not stems, and neither is sound for loudspeakers. So channels are taken for stems only where nothing speaks against it, or where
``dataset.json`` says it (its ``stems`` are the names in the order of the channels).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jukemir_like.audio.stems import naming, native
from jukemir_like.audio.stems.heads import Head
from jukemir_like.core.errors import InputError
from jukemir_like.stemjepa.config import SOURCES

Known = Mapping[str, Head | InputError]


@dataclass(frozen=True)
class Song:
    """Files of one song, a file per stem.

    Args:
        stems: name of a stem and relative path, for each file.
        mixtures: relative paths of what is beside them and no stem.
    """

    stems: tuple[tuple[str, str], ...]
    mixtures: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return (*(file for _, file in self.stems), *self.mixtures)

    @property
    def names(self) -> frozenset[str]:
        """Of its stems."""
        return frozenset(stem for stem, _ in self.stems)


def songs(
    known: Known, num_sources: int, sources: Sequence[str] | None, *, declared: bool
) -> tuple[dict[str, Song], tuple[str, ...] | None]:
    """Songs with a file per stem, whole or not, by folder (or folder and name); and the names of their stems in order.

    Args:
        known: headers by relative path.
        num_sources: stems that a song should have.
        sources: their names in order; None: bass, drums, other, vocals where four of them are there; else, in the order of the alphabet,
            those that most songs have, if they are names of stems (:mod:`.naming`) or the same in two folders or more.
        declared: channels are stems by ``dataset.json``: only folders with files of these very names are songs.
    """
    words = naming.words(sources or (), only=declared)
    folders: dict[str, list[str]] = defaultdict(list)
    for name in known:
        folders[name.rpartition("/")[0]].append(name)
    by_folder = {folder: _by_whole_names(folder, files, words) for folder, files in folders.items()}
    by_name = {} if declared else _by_parts(known, known, words)
    order = tuple(map(naming.word, sources)) if sources else _order(by_folder, by_name, num_sources, words)
    found = {}
    for folder, song in by_folder.items():
        wide = num_sources > 2 and any(_channels(known[file]) == num_sources for file in song.files)
        if _is_song(song.names, order, num_sources, words, wide):
            found[folder] = song
    taken = {file for song in found.values() for file in song.files}
    if taken and by_name:
        by_name = _by_parts([name for name in known if name not in taken], known, words)
    found |= by_name
    return found, order if found else None


def objection(name: str, head: Head, beside: Counter[int], words: frozenset[str], *, ordered: bool) -> str | None:
    """What speaks against taking each channel of a file for a stem, where there are as many as stems; None: nothing.

    Args:
        name: its relative path.
        head: of it.
        beside: numbers of channels in its folder, and how many files have them (:func:`channels`).
        words: names of stems.
        ordered: which channel is which stem can be known.
    """
    stem, part = _stem(name), naming.in_song(_stem(name), words)
    called = naming.whole(stem, words) if part is None else part[1]
    if called in words:
        return f"is called as one stem ({called}), and none beside it makes a song with it"
    if head.channels == 2:
        return "is stereo, and stereo is not two stems"
    if head.speakers:
        return f"is {head.speakers} by its header"
    if naming.sound_field(name):
        return "is a recording of a sound field by its name"
    if beside.total() > 2 * beside[head.channels]:
        return f"has {head.channels} channels, most files beside it have not"
    if not ordered:
        return f"has {head.channels} channels, but nothing says which is which stem"
    return None


def channels(known: Known) -> dict[str, Counter[int]]:
    """For each folder, how many files have so many channels."""
    numbers: dict[str, Counter[int]] = defaultdict(Counter)
    for name, head in known.items():
        if isinstance(head, Head):
            numbers[name.rpartition("/")[0]][head.channels] += 1
    return numbers


def _by_whole_names(folder: str, files: Sequence[str], words: frozenset[str]) -> Song:
    """Files of a folder as those of a song: what is called as a mixture, or as the folder, is none of its stems."""
    stems, mixtures = [], []
    for file in files:
        stem = naming.whole(_stem(file), words)
        if stem not in words and (stem in naming.MIXTURES or stem == folder.rpartition("/")[2].lower()):
            mixtures.append(file)
        else:
            stems.append((stem, file))
    return Song(tuple(stems), tuple(mixtures))


def _by_parts(names: Sequence[str] | Known, known: Known, words: frozenset[str]) -> dict[str, Song]:
    """Songs whose files stand in one folder, each called by song and stem; what has a song's name alone is its mixture."""
    parts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    whole: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folder = name.rpartition("/")[0]
        part = None if naming.whole(_stem(name), words) in words else naming.in_song(_stem(name), words)
        if part is None:
            whole[folder].append(name)
        else:
            parts[f"{folder}/{part[0]}".removeprefix("/")].append((part[1], name))
    found = {}
    for label, stems in parts.items():
        folder, _, song = label.rpartition("/")
        mixtures = [name for stem, name in stems if stem not in words]
        of_stems = tuple((stem, name) for stem, name in stems if stem in words)
        if of_stems:
            mixtures += [name for name in whole[folder] if naming.is_mixture_of(_stem(name), song) and _channels(known[name]) <= 2]
            found[label] = Song(of_stems, tuple(mixtures))
    return found


def _order(by_folder: Mapping[str, Song], by_name: Mapping[str, Song], num_sources: int, words: frozenset[str]) -> tuple[str, ...] | None:
    every = [song.names for song in (*by_folder.values(), *by_name.values())]
    if num_sources == len(SOURCES) and any(names >= set(SOURCES) for names in every):
        return SOURCES
    times = Counter(names for names in every if len(names) == num_sources and names <= words)
    repeated = Counter(song.names for song in by_folder.values() if len(song.names) == num_sources and _are_any_stems(song, words))
    times.update({names: count for names, count in repeated.items() if count > 1 and names not in times})
    return min((-count, tuple(sorted(names))) for names, count in times.items())[1] if times else None


def _are_any_stems(song: Song, words: frozenset[str]) -> bool:
    """Whether names that stand in several folders could be stems': not the numbers of an album, not several songs."""
    parts = {part[0] if (part := naming.in_song(stem, words)) else None for stem in song.names}
    return not naming.are_numbered(song.names) and (None in parts or len(parts) > 1)


def _is_song(names: frozenset[str], order: Sequence[str] | None, num_sources: int, words: frozenset[str], wide: bool) -> bool:
    """Whether these names of a folder's files are a song's stems; ``wide``: among them is one with a channel for every stem."""
    common = names & set(order or ())
    if len(common) >= (num_sources if wide else 2):
        return True
    return bool(names) and not wide and (names <= words or names <= set(order or ()))


def _channels(head: Head | InputError) -> int:
    return head.channels if isinstance(head, Head) else 0


def _stem(file: str) -> str:
    return without_suffix(file.rpartition("/")[2])


def without_suffix(name: str) -> str:
    """A name or path of audio without its suffix: ``.wav``, ``.stem.mp4``."""
    if name.lower().endswith(native.SUFFIX):
        return name[: -len(native.SUFFIX)]
    return name[: name.rindex(".")]  # all that counts as audio has a suffix
