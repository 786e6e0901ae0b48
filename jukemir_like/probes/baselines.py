"""Trivial baselines: what can be predicted without the audio. Every representation has to beat them.

========== ============================ ======================================================
task       baseline                     scores of every item
========== ============================ ======================================================
multiclass ``majority``                 how frequent each class is in train
key        ``constant``                 mean MIREX credit on train of always answering each key
multilabel ``prior``                    how frequent each tag is in train (AUC .5)
regression ``mean``                     mean of each output in train (R² of 0 at best)
========== ============================ ======================================================
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.probes.metrics import mirex_table
from jukemir_like.probes.tasks import SCORED_SPLITS, ProbeData

TRIVIAL = "trivial"
"""The name that stands for the baselines where a representation is named."""
BASELINES = {"multiclass": "majority", "key": "constant", "multilabel": "prior", "regression": "mean"}


def baseline_scores(data: ProbeData) -> dict[str, NDArray[np.float32]]:
    """Split → scores (n, labels) of valid and test."""
    constant = _constant_scores(data)
    return {split: np.tile(constant, (len(data.splits[split].y), 1)) for split in SCORED_SPLITS}


def _constant_scores(data: ProbeData) -> NDArray[np.float32]:
    """The scores (labels,) that every item gets. Songs count once, however many clips they have."""
    train, task = data.train, data.task
    y = train.y if train.songs is None else train.songs.per_song(train.y)
    if task.type == "key":
        return np.asarray(mirex_table(task.labels)[y].mean(0), np.float32)
    if task.type == "multiclass":
        return np.asarray(np.bincount(y, minlength=len(task.labels)) / len(y), np.float32)
    return np.asarray(y.mean(0), np.float32)
