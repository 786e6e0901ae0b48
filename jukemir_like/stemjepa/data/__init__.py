"""Stems → batches of examples to train on.

``examples`` samples example n, with its augmentation, ``loading`` reads batches of them ahead in worker processes, ``loudness`` keeps the
peaks of tracks, which silence is measured against, ``normalisation`` measures the log-mel of a data set, and ``local_copy`` copies the
data to this node's disk. ``finding`` finds the tracks of a folder; :mod:`jukemir_like.audio.stems` reads them.
"""

from jukemir_like.audio.stems.reading import read, read_whole
from jukemir_like.audio.stems.tracks import StemFolder, Track, split
from jukemir_like.stemjepa.data.finding import find

__all__ = ["StemFolder", "Track", "find", "read", "read_whole", "split"]
