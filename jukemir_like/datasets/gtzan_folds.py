"""GTZAN in three artist-filtered folds (``gtzan_ff+artist_folds``): the published ones of Foleis and Tavares (2020).

After the recommendations of Sturm (arXiv 1306.1461) they leave out exact repetitions and distorted excerpts, and no artist is in two
folds. A line of ``f1_evaluate_groups.txt`` (and 2 and 3) is ``./<genre>_NNNNN.wav``, a tab, and the number of the artist: the list is the
fold. Numbers of artists are those of one list for all three. Other excerpts are left out than by the splits of ``gtzan_ff``, so scores of
the two are of other items.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, read_lines
from jukemir_like.datasets.dataset import FOLD, Dataset, Item, Task

FOLDS = ("1", "2", "3")


def dataset(folder: Path, name: str, tasks: dict[str, Task]) -> Dataset:
    """The excerpts that the three lists in ``folder`` name, in folds; grouped by artist.

    Args:
        folder: of the raw assets.
        name: of the dataset, with its option.
        tasks: the genre.

    Raises:
        RequestError: a list is missing, has a line that names no excerpt, or an excerpt or artist of another line or list.
    """
    genres = next(iter(tasks.values())).labels
    pattern = re.compile(rf"(?:\./)?({'|'.join(genres)})[_.](\d{{5}})\.wav\t(\d+)")
    items: dict[str, Item] = {}
    fold_of_artist: dict[str, str] = {}
    digests = {}
    for fold in FOLDS:
        annotations = AnnotationFile(folder / f"f{fold}_evaluate_groups.txt", f"GTZAN_FOLD{fold}")
        digests[annotations.path.name] = annotations.digest()
        for number, line in read_lines(annotations.read(), str(annotations.path)):
            where = f"{annotations.path}, line {number}"
            match = pattern.fullmatch(line)
            if match is None:
                raise RequestError(f"{where}: {line[:80]!r} is not ./<genre>_NNNNN.wav, a tab, and a number; download it again")
            genre, track, artist = match[1], f"{match[1]}.{match[2]}", match[3]
            if track in items:
                raise RequestError(f"{where}: {track} was named before, in fold {items[track].extra[FOLD]}; download it again")
            if fold_of_artist.setdefault(artist, fold) != fold:
                raise RequestError(f"{where}: artist {artist} was named before, in fold {fold_of_artist[artist]}; download it again")
            audio = folder / "unpacked" / "genres" / "genres" / genre / f"{track}.wav"
            extra = {"id": track, "artist": artist, FOLD: fold}
            items[track] = Item(hashlib.sha256(track.encode()).hexdigest(), None, genre, audio, extra=extra)
    ordered = [items[track] for track in sorted(items)]
    return Dataset(name, dict(tasks), ordered, group="artist", sources={"annotations": digests}, options=("artist_folds",), folds=FOLDS)
