"""From clips to songs: the four rules by which jukemir scores GiantSteps (Castellon et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULES = ("vote", "max_logit", "mean_logit", "mean_probability")


@dataclass(frozen=True)
class Songs:
    """Which clips make which song.

    Args:
        name: of the songs, in the order in which they first occur.
        song: row of ``name``, for every clip.
        first: the first clip of every song.
        table: (songs, most clips) rows of clips, short songs filled up with their first clip. present: which entries are not filler.
    """

    name: NDArray[np.str_]
    song: NDArray[np.int64]
    first: NDArray[np.int64]
    table: NDArray[np.int64]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, recordings: Sequence[str]) -> Songs:
        """Songs of clips, from the name of each clip's recording."""
        clips: dict[str, list[int]] = {}
        for row, recording in enumerate(recordings):
            clips.setdefault(recording, []).append(row)
        most = max(map(len, clips.values()))
        order = {recording: i for i, recording in enumerate(clips)}
        table = np.array([rows + rows[:1] * (most - len(rows)) for rows in clips.values()])
        present = np.arange(most) < np.array([len(rows) for rows in clips.values()])[:, None]
        return cls(np.array(list(clips)), np.array([order[recording] for recording in recordings]), table[:, 0], table, present)

    def of_songs(self, values: np.ndarray) -> np.ndarray:
        """Values of clips, (clips, …), as values of songs: those of each song's first clip."""
        return values[self.first]

    def scores(self, logits: np.ndarray, rule: str) -> NDArray[np.float32]:
        """Scores of songs from logits of clips (clips, classes), by one of :data:`RULES`; the largest is the prediction.

        ``vote``: clips whose largest logit is at the class. ``max_logit``, ``mean_logit``, ``mean_probability``: over the song's clips.
        """
        clips, present = logits.astype(np.float64)[self.table], self.present[..., None]
        if rule == "max_logit":
            return np.asarray(clips.max(1), np.float32)  # filler repeats a clip: no other maximum
        if rule == "vote":
            clips = (clips.argmax(2)[..., None] == np.arange(logits.shape[1])).astype(np.float64)
        elif rule == "mean_probability":
            clips = np.exp(clips - clips.max(2, keepdims=True))
            clips /= clips.sum(2, keepdims=True)
        total = np.where(present, clips, 0).sum(1)
        return np.asarray(total if rule == "vote" else total / present.sum(1), np.float32)
