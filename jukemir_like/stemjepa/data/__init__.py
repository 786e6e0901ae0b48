"""The stems: which tracks a folder holds, and examples to train on that are drawn from them.

The room, in the order in which its modules import one another::

    wav           where the samples of a WAV file lie
    tracks        what a track is, and which are held out
    levels        how loud a track can be
    reading       samples of a track from where they are asked for
    native        .stem.mp4, by way of ffmpeg
    speakers      what a header says of channels: loudspeakers, a sound field
    heads         what every file of a folder holds
    naming        names of files that say which stem of which song they hold
    layouts       songs with a file per stem, and what speaks against a channel per stem
    splits        splits that folders tell
    finding       which tracks a folder holds, and what cannot be used
    loudness      the peaks that silence is measured against
    drawing       which stem is the target, which make the context
    augmentation  level, colour and pitch
    examples      example n
    loading       batches, read ahead by workers
    measuring     mean and standard deviation of the log-mel
    copying       the data on this node's own disk
"""

from jukemir_like.audio.stems.finding import declared
from jukemir_like.audio.stems.reading import read, read_whole
from jukemir_like.audio.stems.tracks import StemFolder, Track, split
from jukemir_like.stemjepa.data.copying import local_copy
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data.loudness import Loudness
from jukemir_like.stemjepa.data.measuring import statistics

__all__ = [
    "Examples",
    "Loudness",
    "StemFolder",
    "Track",
    "declared",
    "find",
    "loader",
    "local_copy",
    "read",
    "read_whole",
    "split",
    "statistics",
]
