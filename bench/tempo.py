"""How a linear probe should predict tempo: classes, their spacing and how soft their labels are, on simulated features of known tempo.

A simulated vector is a random projection of what a representation may hold: energy at the tempo and, in a share that varies from track to
track, at its double, half, triple and third, over logarithmic lags, with noise, and bent by a tanh.
"""

from __future__ import annotations

import os

import numpy as np

from jukemir_like.probes import tempo
from jukemir_like.probes.linear import InMemory, Model, fit_path
from jukemir_like.probes.protocols import RegularisationPath

SIZES = (443, 197, 290)  # train, valid, test of gtzan_tempo
DIMENSIONS = (64, 512)
WIDTHS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08)
SEEDS = 3
LINEAR = tuple(str(bpm) for bpm in range(30, 302))
LOGARITHMIC = tuple(f"{30 * 2 ** (step / 36):.2f}" for step in range(121))
PATH = RegularisationPath((10.0, 1.0, 0.1, 0.01, 0.001))


def section() -> str:
    """Markdown of the figures: accuracy 1 and accuracy 2, in per cent, means over seeds."""
    rows = ["| trained towards | " + " | ".join(f"{d} dimensions" for d in DIMENSIONS) + " |", "|---|" + "---|" * len(DIMENSIONS)]
    data = {d: [simulate(d, seed) for seed in range(SEEDS)] for d in DIMENSIONS}
    for name, kind, labels, width in _ways():
        cells = []
        for d in DIMENSIONS:
            values = np.mean([_score(splits, kind, labels, width) for splits in data[d]], axis=0)
            cells.append(f"{100 * values[0]:.1f}, {100 * values[1]:.1f}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    text = f"{SIZES[0]} train, {SIZES[1]} valid and {SIZES[2]} test tracks, simulated; {SEEDS} draws; accuracy 1, accuracy 2 in per cent."
    return f"## Predicting tempo\n\n{text}\n\n" + "\n".join(rows) + "\n"


def _ways() -> list[tuple[str, str, tuple[str, ...], float]]:
    ways = [("the logarithm of the tempo, by ridge regression", "regression", (), 0.0)]
    for spacing, labels, widths in (("272 linear", LINEAR, (0.0, 0.03)), ("121 logarithmic", LOGARITHMIC, WIDTHS)):
        for width in widths:
            label = f"labels of width {width:g}" if width else "one class per track"
            ways.append((f"{spacing} classes, {label}, cross-entropy", "tempo", labels, width))
    return ways + [(f"121 logarithmic classes, labels of width {width:g}, ridge", "ridge", LOGARITHMIC, width) for width in (0.04, 0.06)]


def simulate(dimension: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vectors (n, dimension) and tempi (n,) of train, valid and test."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(60, dimension)) / np.sqrt(60)
    lags = np.linspace(np.log(20), np.log(500), 60)
    splits = []
    for n in SIZES:
        bpm = np.round(np.clip(np.exp(np.log(105) + 0.33 * random.normal(size=n)), 38, 240))
        energy = 0.3 * random.normal(size=(n, 60))
        for multiple, share in ((1, 1.0), (2, 0.7), (0.5, 0.6), (3, 0.3), (1 / 3, 0.25)):
            bump = np.exp(-0.5 * ((np.log(bpm * multiple)[:, None] - lags) / 0.06) ** 2)
            energy += share * random.gamma(4, 0.25, size=(n, 1)) * bump
        splits.append(((np.tanh(2 * energy @ mixing) + 0.05 * random.normal(size=(n, dimension))).astype(np.float32), bpm))
    return splits


def targets(bpm: np.ndarray, labels: tuple[str, ...], width: float) -> np.ndarray:
    """Shares (n, classes), for any width; 0 is one class per track."""
    distance = np.abs(np.log(bpm)[:, None] - np.log(tempo.tempi(labels)))
    if not width:
        return (np.arange(len(labels)) == distance.argmin(1)[:, None]).astype(np.float32)
    share = np.exp(-0.5 * (distance / width) ** 2)
    share[share < 0.01 * share.max(1, keepdims=True)] = 0
    return (share / share.sum(1, keepdims=True)).astype(np.float32)


def _score(splits: list[tuple[np.ndarray, np.ndarray]], kind: str, labels: tuple[str, ...], width: float) -> list[float]:
    (X, bpm), (X_valid, bpm_valid), (X_test, bpm_test) = splits
    features = InMemory.fit(X)
    y = targets(bpm, labels, width) if labels else np.log(bpm)[:, None]
    models = dict(fit_path("regression" if kind == "ridge" else kind, features, y, y.shape[1], PATH))

    def accuracies(model: Model, vectors: np.ndarray, truth: np.ndarray) -> list[float]:
        scores = features.scorer(vectors)(model)
        if labels:
            return [float(tempo.is_right(truth, scores, labels, metric).mean()) for metric in tempo.FACTORS]
        return [_share_of_estimates(np.exp(scores[:, 0]), truth, factors) for factors in tempo.FACTORS.values()]

    best = max(models, key=lambda strength: accuracies(models[strength], X_valid, bpm_valid)[0])
    return accuracies(models[best], X_test, bpm_test)


def _share_of_estimates(estimates: np.ndarray, truth: np.ndarray, factors: tuple[float, ...]) -> float:
    right = np.zeros(len(truth), bool)
    for factor in factors:
        right |= np.abs(estimates - factor * truth) <= tempo.TOLERANCE * factor * truth
    return float(right.mean())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(section())
