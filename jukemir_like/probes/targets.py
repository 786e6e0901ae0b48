"""Labels as what a probe's outputs are trained towards, one column per output: the same for every protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.datasets import Task
from jukemir_like.probes.tempo import soft_labels


def targets(task: Task, y: np.ndarray) -> NDArray[np.float32]:
    """Targets (n, labels): one-hot classes, tags, values, or shares of neighbouring tempi.

    Args:
        task: what is probed.
        y: labels, as in ``predictions.npz``.

    >>> targets(Task("genre", "multiclass", ("blues", "jazz")), np.array([1, 0])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if task.type == "tempo":
        return soft_labels(y, task.labels).astype(np.float32)
    return np.asarray(y[:, None] == np.arange(len(task.labels)) if y.ndim == 1 else y, np.float32)
