"""The validation metric of many probes at once, where their outputs are: what training looks at every few steps.

Equal to the primary metric of :mod:`jukemir_like.probes.metrics`. Songs: the best of the four rules, as it will be reported.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jukemir_like.datasets import Task
from jukemir_like.probes.metrics import key_table
from jukemir_like.probes.songs import Songs

Look = Callable[[Tensor], Tensor]


def look(task: Task, y: np.ndarray, songs: Songs | None, device: torch.device) -> Look:
    """A function from outputs (points, n, labels) to the primary metric (points,), float64; NaN where outputs are not finite.

    Args:
        task: what is probed.
        y: validation labels, as in ``predictions.npz``.
        songs: which clips make which song, where songs are scored.
        device: where the outputs will be.
    """
    if task.type == "regression":
        measure = _r2(torch.from_numpy(y).to(device))
    elif task.type == "multilabel":
        measure = _roc_auc(torch.from_numpy(y).to(device))
    elif task.type == "multiclass":
        measure = _credit(torch.from_numpy(y).to(device), torch.eye(len(task.labels), dtype=torch.float64, device=device))
    else:
        credit = torch.from_numpy(key_table(task.labels)).to(device)
        measure = _credit(torch.from_numpy(y if songs is None else songs.of_songs(y)).to(device), credit)
        if songs is not None:
            measure = _best_rule(measure, songs, device)

    def finite_or_nan(outputs: Tensor) -> Tensor:
        sound = torch.isfinite(outputs.sum((1, 2), dtype=torch.float64))
        return torch.where(sound, measure(torch.where(sound[:, None, None], outputs, 0)), torch.nan)

    return finite_or_nan


def _credit(y: Tensor, table: Tensor) -> Look:
    """Mean of ``table[y, estimate]``: accuracy, where it is the unit matrix."""
    # Whole tenths add up exactly, in any order.
    rows = (table * 10).round().long()[y]

    def measure(outputs: Tensor) -> Tensor:
        estimates = outputs.argmax(2)
        return rows.expand(len(outputs), -1, -1).gather(2, estimates[..., None]).sum((1, 2)).double() / (10 * len(y))

    return measure


def _best_rule(measure: Look, songs: Songs, device: torch.device) -> Look:
    table, present = torch.from_numpy(songs.table).to(device), torch.from_numpy(songs.present).to(device)[..., None]

    def best(outputs: Tensor) -> Tensor:
        clips = outputs[:, table]  # (points, songs, clips, labels)
        votes = torch.nn.functional.one_hot(clips.argmax(3), clips.shape[3]) * present
        rules = votes.sum(2), clips.amax(2), (clips * present).double().sum(2) / present.sum(1), _mean_probability(clips, present)
        return torch.stack([measure(scores) for scores in rules]).amax(0)

    return best


def _mean_probability(clips: Tensor, present: Tensor) -> Tensor:
    return (clips.double().softmax(3) * present).sum(2) / present.sum(1)


def _r2(y: Tensor) -> Look:
    total = ((y - y.mean(0)) ** 2).sum(0)

    def measure(outputs: Tensor) -> Tensor:
        return (1 - ((y - outputs) ** 2).sum(1) / total).mean(1)

    return measure


def _roc_auc(y: Tensor) -> Look:
    """Mann-Whitney statistics from one sort of all columns: keys hold the score's order above the label's bit.

    In a column sorted upwards each positive counts the negatives before it. Among equal scores negatives come first, and are counted
    in full; where there are such ties, a sort with positives first counts none, and half of the sum is right.
    """
    keep = y.any(0) & (~y).any(0)
    positive = y[:, keep].T.contiguous().long()
    pairs = (positive.sum(1) * (1 - positive).sum(1)).double()

    def measure(outputs: Tensor) -> Tensor:
        scores = (outputs[:, :, keep].transpose(1, 2).float() + 0.0).contiguous()  # + 0.0: one zero, not two
        bits = scores.view(torch.int32)
        order = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() * 2
        keys = _sorted(order + positive)
        won = _negatives_before(keys, 1)
        tied = ((keys[..., 1:] - keys[..., :-1] == 1) & (keys[..., 1:] & 1 == 1)).any(-1)
        if tied.any():
            turned = _sorted((order + (1 - positive))[tied])
            won[tied] = (won[tied] + _negatives_before(turned, 0)) / 2
        return (won / pairs).mean(1)

    return measure


def _negatives_before(keys: Tensor, positive_bit: int) -> Tensor:
    bit = keys & 1
    is_positive = bit if positive_bit else 1 - bit
    return ((1 - is_positive).cumsum(-1) * is_positive).sum(-1).double()


def _sorted(keys: Tensor) -> Tensor:
    """Sorted along the last dimension; on a CPU by NumPy, whose vectorised sort is ten times faster than PyTorch's."""
    return keys.sort(-1).values if keys.is_cuda else torch.from_numpy(np.sort(keys.numpy(), axis=-1))
