"""Which files of a folder are the stems of one song, by names and channels; and whether the channels of a file are stems.

Programs that separate or export stems write names that say which stem of which song a file holds. Known are, in upper or lower case:

- a folder per song, a file per stem: ``Song/vocals.wav``, ``Song/no_vocals.wav`` (Demucs), ``Song/accompaniment.wav`` (Spleeter;
  Open-Unmix and MUSDB18-HQ alike);
- the stem in brackets: ``1_Song_(Vocals).wav``, ``Song (Instrumental).wav``, ``Song [Bass].wav`` (Ultimate Vocal Remover, MDX and
  others, also with the model's name after it);
- the stem at the end, after a hyphen, an underscore or a dot: ``Song - Vocals.wav``, ``Song_instrum.wav`` (MDX23, exports of mixers);
- before the tails of two services: ``Song_vocals_split_by_lalalai.wav``, ``Song-vocals-Eb minor-120bpm-440hz.wav`` (Moises).

Stereo is not stems, and neither is sound for loudspeakers. So channels are taken for stems only where nothing indicates otherwise, or where
``dataset.json`` says it (its ``stems`` are the names in the order of the channels).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jukemir_like.audio.stems.headers import FileHeader, Headers
from jukemir_like.audio.stems.tracks import without_suffix
from jukemir_like.core.errors import InputError
from jukemir_like.core.stems import STEMS

_PARTS = (
    *("vocals", "vocal", "voice", "bass", "drums", "drum", "percussion", "other", "others", "piano", "guitar", "guitars"),
    *("acoustic_guitar", "electric_guitar", "lead_guitar", "rhythm_guitar", "synth", "synthesizer", "keyboard", "strings", "brass"),
    *("wind", "woodwinds", "organ", "lead_vocals", "lead_vocal", "backing_vocals", "back_vocals", "background_vocals", "residual"),
)
_WITHOUT_VOCALS = ("instrumental", "instrumentals", "instrum", "instrum2", "inst", "accompaniment", "karaoke", "backing", "backing_track")

STEM_NAMES = frozenset([*_PARTS, *(f"no_{part}" for part in _PARTS), *_WITHOUT_VOCALS])
"""Names of stems, with underscores for blanks and hyphens."""

MIXTURES = frozenset({"mixture", "mix", "linear_mixture", "full_mix", "original"})
"""Names of what lies beside the stems of a song and is none of them."""

_BLANKS = re.compile(r"[\s_-]+")
_BRACKETS = re.compile(r"[(\[]([^()\[\]]+)[)\]]")
_SEPARATOR = re.compile(r"\s+-\s+|[-_.]")
_TAIL = re.compile(
    r"_split_by_lalalai$|-[a-g](?:#|b|♯|♭)?[ _]?(?:major|minor|maj|min)?-\d+(?:\.\d+)?bpm(?:-\d+(?:\.\d+)?hz)?$", re.IGNORECASE
)
_NUMBERED = re.compile(r"(?:track|song|title|take)?[-_ .]*\d+")
_SOUND_FIELD = re.compile(r"ambisonic|ambix|(?<![a-z])(?:b[-_ ]?format|foa|fuma|quadraphonic)(?![a-z])", re.IGNORECASE)


def stem_names(sources: Iterable[str] = (), *, only: bool = False) -> frozenset[str]:
    """Names that count as those of stems: the user's own and, but for ``only``, :data:`STEM_NAMES`."""
    return frozenset(map(normalised, sources)) | (frozenset() if only else STEM_NAMES)


def stem_of(name: str, known: frozenset[str]) -> str:
    """The stem that a file is named after (name without folder and suffix): of ``known`` or :data:`MIXTURES`, else the name in lower case.

    >>> stem_of("No Vocals", STEM_NAMES), stem_of("El Violin", STEM_NAMES)
    ('no_vocals', 'el violin')
    """
    stem = normalised(name)
    return stem if stem in known or stem in MIXTURES else name.lower()


def song_and_stem(name: str, known: frozenset[str]) -> tuple[str, str] | None:
    """Song and stem (of ``known`` or :data:`MIXTURES`) of a file's name that has both; None for any other name.

    >>> song_and_stem("1_Song_(No Vocals)", STEM_NAMES)
    ('1_Song', 'no_vocals')
    >>> song_and_stem("Song-vocals-Eb minor-120bpm", STEM_NAMES), song_and_stem("Kind of bass", STEM_NAMES)
    (('Song', 'vocals'), None)
    """
    for match in _BRACKETS.finditer(name):
        stem = normalised(match[1])
        if stem in known or stem in MIXTURES:
            rest = name[match.end() :].rstrip()
            return (song + rest, stem) if (song := name[: match.start()].rstrip(" _-.")) else None
    shorter = _TAIL.sub("", name)
    for match in _SEPARATOR.finditer(shorter):  # the first one that fits leaves the longest name of a stem: no_vocals, not vocals
        stem = normalised(shorter[match.end() :])
        if (stem in known or stem in MIXTURES) and (song := shorter[: match.start()].rstrip(" _-.")):
            return song, stem
    return None


def is_mixture_of(name: str, song: str) -> bool:
    """Whether a file called ``name`` is what ``song`` was separated from: of the same name, but for a number put before it."""
    return name.lower() in (song.lower(), re.sub(r"^\d+_", "", song).lower())


def are_numbered(names: Iterable[str]) -> bool:
    """Whether all names are numbers, as tracks of albums have them: ``01``, ``Track 2``."""
    return all(_NUMBERED.fullmatch(name.lower()) for name in names)


def is_sound_field(path: str) -> bool:
    """Whether a relative path says that its channels are those of a recording of a sound field: Ambisonics, quadraphonic sound."""
    return _SOUND_FIELD.search(path) is not None


def normalised(name: str) -> str:
    """A name of a stem as it is compared: in lower case, underscores for blanks and hyphens.

    >>> normalised(" Lead-Vocals")
    'lead_vocals'
    """
    return _BLANKS.sub("_", name.strip().lower())


@dataclass(frozen=True)
class Song:
    """Files of one song, a file per stem.

    Args:
        stems: name of a stem and relative path, for each file.
        mixtures: relative paths of files of the song that are no stem.
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


def group_into_songs(
    headers: Headers, num_sources: int, sources: Sequence[str] | None, *, declared: bool
) -> tuple[dict[str, Song], tuple[str, ...] | None]:
    """Songs with a file per stem, complete or not, by folder (or folder and name); and the names of their stems in order.

    Args:
        headers: of all files.
        num_sources: stems that a song should have.
        sources: their names in order; None: bass, drums, other, vocals where four are expected and a song has them; else, in alphabetical
            order, those that most songs have, if they are names of stems (:data:`STEM_NAMES`) or the same in two
            folders or more.
        declared: channels are stems by ``dataset.json``: only folders with files of these very names are songs.
    """
    known = stem_names(sources or (), only=declared)
    folders: dict[str, list[str]] = defaultdict(list)
    for path in headers:
        folders[path.rpartition("/")[0]].append(path)
    by_folder = {folder: _song_of_folder(folder, paths, known) for folder, paths in folders.items()}
    by_name = {} if declared else _songs_by_name(headers, headers, known)
    order = tuple(map(normalised, sources)) if sources else _order(by_folder, by_name, num_sources, known)
    songs = {}
    for folder, song in by_folder.items():
        has_multichannel = num_sources > 2 and any(_channels(headers[path]) == num_sources for path in song.files)
        if _is_song(song.names, order, num_sources, known, has_multichannel=has_multichannel):
            songs[folder] = song
    in_songs = {path for song in songs.values() for path in song.files}
    if in_songs and by_name:
        by_name = _songs_by_name([path for path in headers if path not in in_songs], headers, known)
    songs |= by_name
    return songs, order if songs else None


def why_not_stems(path: str, header: FileHeader, in_folder: Counter[int], known: frozenset[str], *, ordered: bool) -> str | None:
    """Why not to take each channel of a file for a stem, where there are as many as stems; None: they are stems.

    Args:
        path: its relative path.
        header: of it.
        in_folder: number of channels → how many files of its folder have it (:func:`channel_counts`).
        known: names of stems.
        ordered: which channel is which stem can be known.
    """
    name = _name(path)
    parts = song_and_stem(name, known)
    stem = stem_of(name, known) if parts is None else parts[1]
    if stem in known:
        return f"is called as one stem ({stem}), and none beside it makes a song with it"
    if header.channels == 2:
        return "is stereo, and stereo is not two stems"
    if header.meaning:
        return f"is {header.meaning} by its header"
    if is_sound_field(path):
        return "is a recording of a sound field by its name"
    if in_folder.total() > 2 * in_folder[header.channels]:
        return f"has {header.channels} channels, most files beside it have not"
    if not ordered:
        return f"has {header.channels} channels, but nothing says which is which stem"
    return None


def channel_counts(headers: Headers) -> dict[str, Counter[int]]:
    """Folder → number of channels → how many of its files have it."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for path, header in headers.items():
        if isinstance(header, FileHeader):
            counts[path.rpartition("/")[0]][header.channels] += 1
    return counts


def _song_of_folder(folder: str, paths: Sequence[str], known: frozenset[str]) -> Song:
    """Files of a folder as those of one song: what is called as a mixture, or as the folder, is none of its stems."""
    stems, mixtures = [], []
    for path in paths:
        stem = stem_of(_name(path), known)
        if stem not in known and (stem in MIXTURES or stem == folder.rpartition("/")[2].lower()):
            mixtures.append(path)
        else:
            stems.append((stem, path))
    return Song(tuple(stems), tuple(mixtures))


def _songs_by_name(paths: Iterable[str], headers: Headers, known: frozenset[str]) -> dict[str, Song]:
    """Songs whose files lie in one folder, each named after song and stem; a file with a song's name alone is its mixture."""
    of_songs: dict[str, list[tuple[str, str]]] = defaultdict(list)  # folder and song → stem, path
    others: dict[str, list[str]] = defaultdict(list)  # folder → paths
    for path in paths:
        folder, name = path.rpartition("/")[0], _name(path)
        parts = None if stem_of(name, known) in known else song_and_stem(name, known)
        if parts is None:
            others[folder].append(path)
        else:
            of_songs[f"{folder}/{parts[0]}".removeprefix("/")].append((parts[1], path))
    songs = {}
    for label, files in of_songs.items():
        folder, _, title = label.rpartition("/")
        mixtures = [path for stem, path in files if stem not in known]
        stems = tuple((stem, path) for stem, path in files if stem in known)
        if stems:
            mixtures += [path for path in others[folder] if is_mixture_of(_name(path), title) and _channels(headers[path]) <= 2]
            songs[label] = Song(stems, tuple(mixtures))
    return songs


def _order(by_folder: Mapping[str, Song], by_name: Mapping[str, Song], num_sources: int, known: frozenset[str]) -> tuple[str, ...] | None:
    every = [song.names for song in (*by_folder.values(), *by_name.values())]
    if num_sources == len(STEMS) and any(names >= set(STEMS) for names in every):
        return STEMS
    counts = Counter(names for names in every if len(names) == num_sources and names <= known)
    repeated = Counter(song.names for song in by_folder.values() if len(song.names) == num_sources and _could_be_stems(song, known))
    counts.update({names: count for names, count in repeated.items() if count > 1 and names not in counts})
    return min((-count, tuple(sorted(names))) for names, count in counts.items())[1] if counts else None


def _could_be_stems(song: Song, known: frozenset[str]) -> bool:
    """Whether names that several folders have in common could be stems': not the numbers of an album, not several songs."""
    titles = {parts[0] if (parts := song_and_stem(stem, known)) else None for stem in song.names}
    return not are_numbered(song.names) and (None in titles or len(titles) > 1)


def _is_song(
    names: frozenset[str], order: Sequence[str] | None, num_sources: int, known: frozenset[str], *, has_multichannel: bool
) -> bool:
    """Whether these names of a folder's files are a song's stems; ``has_multichannel``: one of the files has a channel for every stem."""
    common = names & set(order or ())
    if len(common) >= (num_sources if has_multichannel else 2):
        return True
    return bool(names) and not has_multichannel and (names <= known or names <= set(order or ()))


def _channels(header: FileHeader | InputError) -> int:
    return header.channels if isinstance(header, FileHeader) else 0


def _name(path: str) -> str:
    """Of a file, without folder and suffix."""
    return without_suffix(path.rpartition("/")[2])
