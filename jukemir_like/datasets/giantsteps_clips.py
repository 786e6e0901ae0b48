"""Which clips of 30 s a GiantSteps track gives: at 0, 30, 60 and 90 s, a shorter tail dropped.

Tracks are previews of 120 s, so the annotations alone decide all clips but those of the few tracks named here. They were read off the
labels that jukemir published for its clips; the lengths of four also stand in the README of giantsteps-key-dataset.
"""

from __future__ import annotations

from jukemir_like.datasets import Clip

CLIP_SECONDS = 30.0
PREVIEW_SECONDS = 120.0

SHORTER = {
    "0297010": 60.0,
    "0299801": 30.0,
    "0673637": 90.0,
    "5338500": 90.0,
    "1224698": 45.0,
    "1442809": 62.0,
    "3424038": 77.0,
    "4452003": 59.0,
}
"""Seconds of the tracks with fewer than four clips; of the first four only the whole clips are known."""

LAST_CLIP_SECONDS = {
    "1161234": 29.99519274376417,
    "1161249": 29.976575963718822,
    "1164898": 29.981473922902495,
    "1178656": 29.995238095238093,
    "1206025": 29.981473922902495,
    "1234668": 29.981473922902495,
    "1234669": 29.997868480725625,
    "1234670": 29.981473922902495,
    "1234751": 29.981473922902495,
    "1298595": 29.997687074829933,
    "1353830": 29.979909297052153,
    "1389887": 29.9978231292517,
    "1406309": 29.99421768707483,
    "1468437": 29.997142857142858,
    "1474122": 29.97877551020408,
    "1494159": 29.994829931972788,
    "1864037": 29.999750566893425,
    "3368117": 29.99043083900227,
}
"""Tracks that decode to a little less than they announce: seconds of their clip at 90 s."""


def clips(track: str) -> list[Clip]:
    """The clips of ``track``, its seven-digit uid."""
    seconds = SHORTER.get(track, PREVIEW_SECONDS)
    number = int(seconds // CLIP_SECONDS)
    durations = [CLIP_SECONDS] * (number - 1) + [LAST_CLIP_SECONDS.get(track, CLIP_SECONDS)]
    return [Clip(track, seconds, index, index * CLIP_SECONDS, duration) for index, duration in enumerate(durations)]
