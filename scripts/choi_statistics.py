r"""What choi is measured against, from a folder of songs; and choi's vectors as the paper has them, each dependent on its company.

    python scripts/choi_statistics.py FOLDER OUTPUT.json [--songs LIST.json] [--title TITLE]

takes the middle 29 s of every audio file of FOLDER as one batch, and writes the loudest mel band in it and the mean and variance of
choi's five convolutions over it. With ``--songs`` the batch is what the ``excerpts`` of LIST.json are: ``path`` below FOLDER,
``start_seconds``, ``sha256`` of the file, which is checked, and whatever else is to stand in OUTPUT. A file that this script wrote is such
a list; that of the package is made by::

    python scripts/choi_statistics.py SONGS jukemir_like/encoders/cards/choi_statistics.json \
        --songs jukemir_like/encoders/cards/choi_statistics.json

Your own statistics are used by a card whose ``statistics`` is the path of their file.

    python scripts/choi_statistics.py FOLDER VECTORS --batched [--batch_size 256] [--seed 0]

writes a vector for every audio file of FOLDER into the folder VECTORS, in the way of the published programs: the sorted files are shuffled
as by Python 2's ``random.seed(0); random.shuffle``, and each batch is measured against itself. These are not the vectors of
`jukemir-like extract`.

Both need choi's weights in the cache (``jukemir-like download choi``; ``--cache`` says which).
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

import jukemir_like
from jukemir_like import audio
from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import make_folder, write_array, write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError, RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import choi, choi_statistics
from jukemir_like.encoders.choi import Choi
from jukemir_like.encoders.choi_statistics import Statistics
from jukemir_like.encoders.nets.choi import ChoiNet, batch_statistics

SECONDS = choi.SAMPLES / 12_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="choi's statistics of a folder of songs, or its vectors by the paper's batches")
    parser.add_argument("folder", type=Path, help="of audio files")
    parser.add_argument("output", type=Path, help="JSON file to write; with --batched, folder of vectors")
    parser.add_argument("--songs", type=Path, help="JSON file whose 'excerpts' are the batch")
    parser.add_argument("--title", help="of the set of songs")
    parser.add_argument("--batched", action="store_true", help="write vectors, each measured against its batch")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="where choi's weights are")
    options = parser.parse_args(arguments)
    try:
        encoder = Choi(cards.read("choi"), cache=None if options.cache is None else Cache(options.cache), device="cpu")
        if options.batched:
            write_batched(encoder, options.folder, options.output, options.batch_size, options.seed)
        else:
            write_statistics(encoder, options.folder, options.output, options.songs, options.title)
    except JukemirLikeError as error:
        sys.exit(f"{error}")


def write_statistics(encoder: Choi, folder: Path, output: Path, songs: Path | None, title: str | None) -> None:
    """Writes the statistics of a folder's songs, or of those that are listed."""
    listed = jsonfiles.read(songs, {"excerpts": [{"path": str, "start_seconds": float}]}, "give a list of excerpts") if songs else {}
    excerpts = listed["excerpts"] if songs else [middle(folder, path) for path in audio.find(folder)]
    spectrograms = [encoder.decibels(read_excerpt(folder, excerpt)) for excerpt in excerpts]
    title = title or listed.get("title") or f"{len(excerpts)} songs of {folder.name}"
    reference, mean, variance = measure(encoder.net, spectrograms)
    statistics = Statistics(title, reference, mean.astype(np.float32), variance.astype(np.float32), tuple(excerpts))
    about = {
        "weights": encoder.header.sources,
        "made_by": {"jukemir-like": jukemir_like.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "notes": listed.get("notes", ""),
    }
    write_json(output, choi_statistics.to_json(statistics, **about))
    print(f"{output}: {len(excerpts)} excerpts, loudest band {reference:.2f} dB")


def write_batched(encoder: Choi, folder: Path, output: Path, batch_size: int, seed: int) -> None:
    """Writes a vector per song, by the statistics of its batch."""
    paths = audio.find(folder)
    shuffle_as_python_2(paths, seed)
    make_folder(output)
    for start in range(0, len(paths), batch_size):
        batch = paths[start : start + batch_size]
        spectrograms = [encoder.decibels(audio.load(folder / path, encoder.sample_rate)) for path in batch]
        for path, vector in zip(batch, batched_vectors(encoder.net, spectrograms), strict=True):
            write_array(output / PurePosixPath(path).with_suffix(".npy"), vector.astype("<f4"))
    print(f"{output}: {len(paths)} vectors in batches of {batch_size}")


def batched_vectors(net: ChoiNet, spectrograms: Sequence[np.ndarray]) -> np.ndarray:
    """Vectors by the statistics of this very batch: ``(songs, 160)``."""
    reference, mean, variance = measure(net, spectrograms)
    means, variances = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
    relative = (torch.from_numpy(choi.relative_decibels(spectrogram, reference)) for spectrogram in spectrograms)
    with torch.inference_mode():
        rows = [net(decibels[None], means, variances) for decibels in relative]
    return torch.cat(rows).numpy()


def measure(net: ChoiNet, spectrograms: Sequence[np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
    """The loudest band of a batch in dB, and mean and variance of its convolutions."""
    reference = round(max(float(spectrogram.max()) for spectrogram in spectrograms), 4)

    def batch() -> Iterator[torch.Tensor]:
        for spectrogram in spectrograms:
            yield torch.from_numpy(choi.relative_decibels(spectrogram, reference))

    return reference, *batch_statistics(net, batch)


def middle(folder: Path, path: str) -> dict[str, Any]:
    """The middle 29 s of a file, as an excerpt."""
    seconds = len(audio.load(folder / path, 12_000)) / 12_000
    start = max(0.0, round((seconds - SECONDS) / 2, 1))
    return {"path": path, "start_seconds": start, "sha256": hashlib.sha256((folder / path).read_bytes()).hexdigest()}


def read_excerpt(folder: Path, excerpt: dict[str, Any]) -> np.ndarray:
    """Samples of an excerpt at 12 kHz, at most 29 s."""
    path = folder / excerpt["path"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if excerpt.get("sha256", digest) != digest:
        raise RequestError(f"{path} is another file than the one that is listed: its SHA-256 is {digest}")
    start = round(excerpt["start_seconds"] * 12_000)
    return audio.load(path, 12_000)[start : start + choi.SAMPLES]


def shuffle_as_python_2(items: list[str], seed: int) -> None:
    """Shuffles in place as ``random.seed(seed); random.shuffle(items)`` did in Python 2."""
    generator = random.Random(seed)  # the generator is the same, shuffle draws differently from it
    for last in range(len(items) - 1, 0, -1):
        other = int(generator.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


if __name__ == "__main__":
    main()
