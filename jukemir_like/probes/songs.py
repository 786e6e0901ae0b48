"""From scores of clips to scores of the songs that they are clips of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULES = ("vote", "max_logit", "mean_logit", "mean_probability")
"""How scores of clips become scores of their song, see :meth:`Songs.scores`. Validation chooses one; of equals the first."""


@dataclass(frozen=True)
class Songs:
    """Which clips belong to which song, and the four rules by which jukemir scores GiantSteps by song (Castellon et al. 2021).

    Args:
        names: of the songs, in the order in which they first occur.
        song_of_clip: row of ``names`` for every clip.
        first_clip: row of the first clip of every song.
        clips: (songs, most clips) rows of clips; short songs are padded with their first clip.
        present: (songs, most clips) which entries of ``clips`` are not padding.
    """

    names: NDArray[np.str_]
    song_of_clip: NDArray[np.int64]
    first_clip: NDArray[np.int64]
    clips: NDArray[np.int64]
    present: NDArray[np.bool_]

    @classmethod
    def from_recordings(cls, recordings: Sequence[str]) -> Songs:
        """Songs of clips, from the name of each clip's recording.

        >>> songs = Songs.from_recordings(["b", "a", "b"])
        >>> songs.names.tolist(), songs.song_of_clip.tolist(), songs.clips.tolist()
        (['b', 'a'], [0, 1, 0], [[0, 2], [1, 1]])
        """
        clips: dict[str, list[int]] = {}
        for row, recording in enumerate(recordings):
            clips.setdefault(recording, []).append(row)
        most = max(map(len, clips.values()))
        order = {recording: i for i, recording in enumerate(clips)}
        table = np.array([rows + rows[:1] * (most - len(rows)) for rows in clips.values()])
        present = np.arange(most) < np.array([len(rows) for rows in clips.values()])[:, None]
        return cls(np.array(list(clips)), np.array([order[recording] for recording in recordings]), table[:, 0], table, present)

    def per_song(self, values: np.ndarray) -> np.ndarray:
        """Values of clips, (clips, …), as values of songs: those of each song's first clip."""
        return values[self.first_clip]

    def scores(self, logits: np.ndarray, rule: str) -> NDArray[np.float32]:
        """Scores of songs from logits of clips (clips, classes), by one of :data:`RULES`; the largest is the prediction.

        ``vote``: number of clips whose largest logit is at the class. ``max_logit``, ``mean_logit``, ``mean_probability``: over the
        song's clips.
        """
        clips, present = logits.astype(np.float64)[self.clips], self.present[..., None]
        if rule == "max_logit":
            return np.asarray(clips.max(1), np.float32)  # padding repeats a clip, so the maximum stays the same
        if rule == "vote":
            clips = (clips.argmax(2)[..., None] == np.arange(logits.shape[1])).astype(np.float64)
        elif rule == "mean_probability":
            clips = np.exp(clips - clips.max(2, keepdims=True))
            clips /= clips.sum(2, keepdims=True)
        total = np.where(present, clips, 0).sum(1)
        return np.asarray(total if rule == "vote" else total / present.sum(1), np.float32)
