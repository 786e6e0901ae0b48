"""What stops the training of protocol ``lineareval``: a metric on validation, of a layer's outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from jukemir_like.datasets import Task
from jukemir_like.probes.training import Evaluation, validation_metric


@dataclass(frozen=True)
class Stop:
    """What stops training: its name, and its function of outputs (any number, n, labels) on validation; NaN where they are not finite."""

    name: str
    evaluation: Evaluation


def metric(task: Task, y: np.ndarray, device: torch.device) -> Stop:
    """What stops training, by type of the task; others than these have classes.

    Args:
        task: what is probed.
        y: labels of validation.
        device: where outputs are.
    """
    if task.type == "multilabel":
        return Stop("average_precision", partial(mean_average_precision, torch.from_numpy(y).to(device)))
    if task.type == "regression":
        return Stop("r2", validation_metric(task, y, None, device))
    if task.type == "tempo":
        return Stop("accuracy1", validation_metric(task, y, None, device))
    return Stop("accuracy", validation_metric(replace(task, type="multiclass"), y, None, device))


def mean_average_precision(y: Tensor, outputs: Tensor) -> Tensor:
    """Average precision, the mean over tags with a positive; equal to :func:`jukemir_like.probes.metrics.average_precision`.

    Args:
        y: bool (n, tags).
        outputs: (any number, n, tags); NaN for those that are not finite.

    >>> mean_average_precision(torch.tensor([[True], [False], [False]]), torch.tensor([[[0.5], [0.1], [0.9]]])).tolist()
    [0.5]
    """
    keep = y.any(0)
    positive = y[:, keep].T.double()
    finite = torch.isfinite(outputs.sum((1, 2), dtype=torch.float64))
    scores, order = outputs[..., keep].transpose(1, 2).sort(-1, descending=True)
    hits = positive.expand(len(outputs), -1, -1).gather(2, order)
    count = torch.arange(1, len(y) + 1, device=y.device)
    # Equal scores are one threshold: what counts is the precision after the last of them.
    last = torch.where(scores[..., 1:] != scores[..., :-1], count[:-1] - 1, len(y) - 1)
    last = torch.cat([last, torch.full_like(last[..., :1], len(y) - 1)], -1) if len(y) > 1 else torch.zeros_like(order)
    last = last.flip(-1).cummin(-1).values.flip(-1)
    precision = (hits.cumsum(-1) / count).gather(2, last)
    values = ((hits * precision).sum(-1) / positive.sum(-1)).mean(-1)
    return torch.where(finite, values, torch.nan)
