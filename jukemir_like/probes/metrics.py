"""Metrics of the five task types, for a split as it is or for many resamples of it at once.

Conventions
-----------
- ``y`` and ``scores`` are those of ``predictions.npz``: one row per scored item, one column per label. Values are fractions, not percent.
- ``weights`` are multiplicities: a metric with weights equals the metric on rows repeated that often. Shape (n,) gives one value, shape
  (resamples, n) gives one value per resample; None is all ones.
- The predicted class is the one with the largest score, the first of equals. Equal scores of a tag are one threshold, as in scikit-learn.
- An undefined metric is NaN: ROC-AUC of a tag without a positive or without a negative, average precision of a tag without a positive,
  R² of a constant target. Means over tags leave such tags out; :func:`count_undefined` counts them. A resample can have more of them.

Metrics
-------
- multiclass: ``accuracy``; ``macro_f1``, the mean over the classes that occur in labels or predictions
- multilabel: ``roc_auc`` and ``average_precision``, means over tags
- regression: ``r2``, the mean over outputs, and ``r2_<label>`` of each (only ``r2`` for a single output)
- key: ``weighted_score``, the MIREX score of key detection, and ``accuracy``
- tempo: ``accuracy1`` and ``accuracy2``, see :mod:`jukemir_like.probes.tempo`

Where the items of a key task are clips of songs, :class:`~jukemir_like.probes.songs.Songs` turns scores of clips into those of songs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import tempo

Array = NDArray[np.float64]

# Resamples computed together: (rows, 64) doubles of a usual test set fit into a core's cache.
_BLOCK = 64


def evaluate(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """All metrics of a task by name, the primary one first.

    Args:
        task: what is probed.
        y: labels, as in ``predictions.npz``.
        scores: float of shape (n, labels).
        weights: multiplicities of shape (n,); None for all ones.

    >>> genre = Task("genre", "multiclass", ("blues", "jazz"))
    >>> evaluate(genre, np.array([0, 1, 1, 1]), np.array([[2, 1], [0, 3], [1, 0], [0, 1]]))["accuracy"]
    0.75
    """
    return {name: float(value) for name, value in evaluate_resamples(task, y, scores, weights).items()}


def evaluate_resamples(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, Array]:
    """As :func:`evaluate`, for ``weights`` of shape (resamples, n): values of shape (resamples,)."""
    validate(task, y, scores, weights)
    if task.type == "multiclass":
        return {"accuracy": accuracy(y, scores, weights), "macro_f1": macro_f1(y, scores, weights)}
    if task.type == "key":
        return {"weighted_score": mirex_weighted_score(y, scores, weights, task.labels), "accuracy": accuracy(y, scores, weights)}
    if task.type == "multilabel":
        auc, precision = rank_tags(y, scores, weights)
        return {"roc_auc": _mean_of_defined(auc), "average_precision": _mean_of_defined(precision)}
    if task.type == "tempo":
        return {metric: _mean(tempo.is_right(y, scores, task.labels, metric), weights) for metric in tempo.FACTORS}
    each = r2_each(y, scores, weights)
    by_output = {f"r2_{label}": each[..., i] for i, label in enumerate(task.labels)} if len(task.labels) > 1 else {}
    return {"r2": np.asarray(each.mean(-1)), **by_output}


def primary_metric(task: Task, y: np.ndarray, scores: np.ndarray) -> float:
    """The task's primary metric alone: the one that selects."""
    if task.type == "multilabel":
        return float(roc_auc(y, scores))
    return next(iter(evaluate(task, y, scores).values()))


def validate(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> None:
    """Checks that shapes and types fit the task.

    Raises:
        ValueError: they do not. This is a bug in the caller, not the user's error.
    """
    classes = task.type in ("multiclass", "key")
    shape = (len(y),) if classes or task.type == "tempo" else (len(y), len(task.labels))
    kinds = {"multiclass": "iu", "key": "iu", "multilabel": "b", "tempo": "f"}
    if y.shape != shape or y.dtype.kind not in kinds.get(task.type, y.dtype.kind):
        raise ValueError(f"labels of a {task.type} task cannot be {y.dtype} of shape {y.shape}")
    if scores.shape != (len(y), len(task.labels)):
        raise ValueError(f"scores have shape {scores.shape}, not {(len(y), len(task.labels))}")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    if weights is not None and (weights.ndim not in (1, 2) or weights.shape[-1] != len(y)):
        raise ValueError(f"weights have shape {weights.shape} for {len(y)} rows")


def count_undefined(task: Task, y: np.ndarray) -> dict[str, int]:
    """How many tags each macro metric leaves out on labels ``y``; empty for task types other than multilabel.

    >>> count_undefined(Task("mood", "multilabel", ("sad", "glad")), np.array([[True, False], [True, True]]))
    {'roc_auc': 1, 'average_precision': 0}
    """
    if task.type != "multilabel":
        return {}
    positive, negative = y.any(0), (~y).any(0)
    return {"roc_auc": int((~(positive & negative)).sum()), "average_precision": int((~positive).sum())}


def accuracy(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Fraction of rows whose largest score is at the label. ``y`` (n,) int, ``scores`` (n, classes); 0 to 1.

    >>> accuracy(np.array([0, 1, 1]), np.array([[2, 1], [0, 3], [1, 0]]), weights=np.array([1, 1, 2])).item()
    0.5
    """
    return _mean((scores.argmax(1) == y).astype(np.float64), weights)


def macro_f1(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Mean F1 over the classes that occur in labels or predictions. ``y`` (n,) int, ``scores`` (n, classes); 0 to 1.

    >>> macro_f1(np.array([0, 1]), np.eye(3)[[0, 1]]).item()  # class 2 does not occur
    1.0
    """
    w = _weights(weights, len(y))
    classes = np.arange(scores.shape[1])
    labelled, predicted = y[:, None] == classes, scores.argmax(1)[:, None] == classes
    hits, sizes = w @ (labelled & predicted), w @ labelled + w @ predicted
    with np.errstate(invalid="ignore"):
        return _mean_of_defined(2 * hits / sizes)


def mirex_table(labels: tuple[str, ...] = KEYS) -> Array:
    """MIREX credit of every estimated key for every reference key: ``table[reference, estimate]``, for the keys ``labels``.

    ==== =============================================================================
    1    the same key
    .5   same mode, the estimate a perfect fifth above the reference
    .3   relative: C major and A minor
    .2   parallel: C major and C minor
    0    anything else
    ==== =============================================================================

    The rule of mir_eval 0.8.2 (Raffel et al., ISMIR 2014); later versions may also credit a fifth below.

    Raises:
        RequestError: a label is none of :data:`jukemir_like.datasets.KEYS`.

    >>> mirex_table(("C major", "G major", "A minor", "C minor"))[0].tolist()
    [1.0, 0.5, 0.3, 0.2]
    """
    table = np.zeros((24, 24))
    for reference in range(24):
        tonic, minor = reference % 12, reference // 12  # KEYS: twelve major keys in semitones from C, then twelve minor ones
        table[reference, 12 * (1 - minor) + tonic] = 0.2
        # The relative minor is three semitones below (nine above) a major key; the relative major three above a minor key.
        table[reference, 12 * (1 - minor) + (tonic + (3 if minor else 9)) % 12] = 0.3
        table[reference, 12 * minor + (tonic + 7) % 12] = 0.5
        table[reference, reference] = 1.0
    unknown = [label for label in labels if label not in KEYS]
    if unknown:
        raise RequestError(f"{unknown[0]!r} is not a key: keys are named {KEYS[0]!r}, {KEYS[1]!r}, … {KEYS[-1]!r}")
    index = [KEYS.index(label) for label in labels]
    return table[np.ix_(index, index)]


def mirex_weighted_score(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None, labels: tuple[str, ...] = KEYS) -> Array:
    """The MIREX score of key detection: mean credit (:func:`mirex_table`) of the key with the largest score.

    ``y`` (n,) int, ``scores`` (n, keys), both in the order of ``labels``; 0 to 1.

    >>> mirex_weighted_score(np.array([KEYS.index("C major")]), np.eye(24)[[KEYS.index("G major")]]).item()
    0.5
    """
    return _mean(mirex_table(labels)[y, scores.argmax(1)], weights)


def roc_auc(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Area under the ROC curve, the mean over tags with both a positive and a negative. ``y`` (n, tags) bool; 0 to 1.

    >>> roc_auc(np.array([[True], [False], [False]]), np.array([[0.5], [0.1], [0.9]])).item()
    0.5
    """
    return _mean_of_defined(rank_tags(y, scores, weights)[0])


def average_precision(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Average precision (no interpolation), the mean over tags with a positive. ``y`` (n, tags) bool; 0 to 1.

    >>> average_precision(np.array([[True], [False], [False]]), np.array([[0.5], [0.1], [0.9]])).item()
    0.5
    """
    return _mean_of_defined(rank_tags(y, scores, weights)[1])


def r2_each(y: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Coefficient of determination of every output. ``y`` and ``values`` (n, outputs); result (…, outputs), at most 1."""
    w = _weights(weights, len(y))
    # Centred first, so that Σw(y - ȳ)² = Σwy² - (Σwy)²/Σw loses no digits.
    y = y.astype(np.float64)
    centred = y - y.mean(0)
    residual = w @ (y - values) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w @ centred**2 - (w @ centred) ** 2 / w.sum(-1)[..., None]
        constant = total <= 1e-12 * np.maximum(y.var(0), np.finfo(np.float64).tiny) * w.sum(-1)[..., None]
        return np.where(constant, np.nan, 1 - residual / total)


def r2(y: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Coefficient of determination, the mean over outputs; NaN where that of one is. ``y`` and ``values`` (n, outputs).

    >>> r2(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [2.0], [3.0]])).item()
    0.5
    """
    return np.asarray(r2_each(y, values, weights).mean(-1))


def rank_tags(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> tuple[Array, Array]:
    """Areas under the ROC and precision-recall curves of many tags, for many resamples, from one sort per tag.

    A resample changes the multiplicities of rows, never their order. So each tag is sorted once, its rows are cut at the thresholds that
    have positives, and a resample costs one sum over each piece instead of a sort. With p(t) the positives at threshold t, n(t) the
    negatives at it, P(t) and N(t) those at t and above, P and N all of them, and sums over the thresholds that have positives:

    - AUC = Σ p(t) (N - N(t) + n(t) / 2) / (P N)        the Mann-Whitney statistic, a tie counting one half
    - AP  = Σ p(t) / P · P(t) / (P(t) + N(t))           the step-wise integral, as in scikit-learn

    Args:
        y: bool of shape (n, tags).
        scores: float of shape (n, tags), not NaN.
        weights: multiplicities of shape (n,) or (resamples, n); None for all ones.

    Returns:
        ROC-AUC and average precision of every tag, each of shape (tags,) or (resamples, tags). NaN where there is no positive (both) or
        no negative (AUC).
    """
    table = np.ones((1, len(y))) if weights is None else np.atleast_2d(weights)
    auc, precision = np.full((2, len(table), y.shape[1]), np.nan)
    cuts = [_cut(y[:, tag], scores[:, tag]) if y[:, tag].any() else None for tag in range(y.shape[1])]
    for start in range(0, len(table), _BLOCK):
        part = slice(start, start + _BLOCK)
        columns = np.ascontiguousarray(table[part].T, np.float64)
        for tag, cut in enumerate(cuts):
            if cut is not None:
                positives, negatives = cut
                auc[part, tag], precision[part, tag] = _areas((positives @ columns).T.copy(), (negatives @ columns).T.copy())
    single = weights is None or weights.ndim == 1
    return (auc[0], precision[0]) if single else (auc, precision)


def _cut(y: np.ndarray, scores: np.ndarray) -> tuple[Any, Any]:
    """Sparse matrices that sum weights over the pieces of one tag, from the largest score down.

    The first, (thresholds, n), sums the positives at each threshold that has any. The second, (2 · thresholds + 1, n), sums the
    negatives between thresholds and at them in turn: above the first, at the first, between first and second, …, below the last.
    """
    from scipy.sparse import csr_array

    thresholds = np.unique(scores[y])[::-1]
    positives, negatives = (rows[np.argsort(-scores[rows], kind="stable")] for rows in (np.flatnonzero(y), np.flatnonzero(~y)))
    ends = np.searchsorted(-scores[positives], -thresholds, side="right")
    above, through = (np.searchsorted(-scores[negatives], -thresholds, side=side) for side in ("left", "right"))
    bounds = np.append(np.column_stack([above, through]).ravel(), len(negatives))
    return tuple(
        csr_array((np.ones(len(rows)), rows, np.append(0, cut)), shape=(len(cut), len(y)))
        for rows, cut in ((positives, ends), (negatives, bounds))
    )  # type: ignore[return-value]


def _areas(p: Array, pieces: Array) -> tuple[Array, Array]:
    """AUC and AP of one tag from ``p`` (resamples, thresholds) and the pieces of negatives (resamples, 2 · thresholds + 1)."""
    n_through = pieces.cumsum(1)[:, 1::2]
    p_through, total_p, total_n = p.cumsum(1), p.sum(1), pieces.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (p * (total_n[:, None] - n_through + pieces[:, 1::2] / 2)).sum(1) / (total_p * total_n)
        share = np.where(p > 0, p_through / (p_through + n_through), 0)  # a resample may leave a threshold, and all above it, empty
        precision = (p * share).sum(1) / total_p
    return auc, precision


def _weights(weights: np.ndarray | None, n: int) -> Array:
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def _mean(values: Array, weights: np.ndarray | None) -> Array:
    w = _weights(weights, len(values))
    return np.asarray(w @ values / w.sum(-1))


def _mean_of_defined(values: Array) -> Array:
    """Mean over the last axis without NaNs; NaN where all are NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))
