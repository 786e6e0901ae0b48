"""Datasets: uid → label, split and source clip; processed datasets, written and opened.

``dataset`` defines tasks, items and datasets; ``registry`` has the datasets by name; one module for each published dataset reads its raw
assets (``gtzan``, ``nsynth``, ``mtg_jamendo`` and others; shared: ``annotations``, ``yaml_metadata``, and for songs of many sources
``multitracks`` and ``stems_table``), ``folder`` a user's own audio and table; ``meta`` writes and reads ``meta.json`` and ``dataset.json``,
``processed`` opens a processed dataset.
"""

from jukemir_like.datasets.dataset import (
    KEYS,
    LARGEST_VALUE,
    NUMERIC_TYPES,
    PRIMARY_METRICS,
    SPLITS,
    TEMPI,
    Clip,
    Dataset,
    Item,
    Task,
    TaskType,
)
from jukemir_like.datasets.processed import Labels, ProcessedDataset, load_dataset
from jukemir_like.datasets.registry import COMPOSED, assets, from_assets, is_known, names, options, stems_of

__all__ = [
    "COMPOSED", "KEYS", "LARGEST_VALUE", "NUMERIC_TYPES", "PRIMARY_METRICS", "SPLITS", "TEMPI", "Clip", "Dataset", "Item", "Labels",
    "ProcessedDataset", "Task", "TaskType", "assets", "from_assets", "is_known", "load_dataset", "names", "options", "stems_of",
]  # fmt: skip
