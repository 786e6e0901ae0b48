"""Metrics by the names that the page gives them."""

from __future__ import annotations

_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "macro ROC-AUC",
    "average_precision": "macro average precision",
    "r2": "R²",
    "weighted_score": "MIREX weighted score",
    "accuracy1": "accuracy 1",
    "accuracy2": "accuracy 2",
}


def metric_name(metric: str) -> str:
    """The name of a metric in words.

    >>> metric_name("roc_auc"), metric_name("r2_valence")
    ('macro ROC-AUC', 'R² of valence')
    """
    known = _METRICS.get(metric)
    return known or metric.replace("r2_", "R² of ", 1)
