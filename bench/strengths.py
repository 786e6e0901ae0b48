"""How well protocol ``linear`` selects: simulated features of known signal, against the best strength in hindsight and scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np

from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.fitting import FitOptions, fit, one_thread
from jukemir_like.probes.held_out import together
from jukemir_like.probes.linear import InMemory, fit_path
from jukemir_like.probes.protocols import RegularisationPath
from jukemir_like.probes.tasks import ProbeData, Split

SIZES = {60: (16, 128, 768, 4000), 200: (16, 128, 768, 4000), 1000: (16, 128, 768, 4000), 5000: (16, 128, 768)}
"""Train and valid items → dimensions."""
REPEATS = {60: 9, 200: 9, 1000: 3, 5000: 2}
TEST = 2000
PATH = RegularisationPath()
FORMER = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)


def simulate(kind: str, n: int, dimension: int, seed: int, clips: int = 1) -> ProbeData:
    """``n`` items of train (80 %) and valid, and many of test.

    Up to 12 hidden causes, of which labels are noisy linear functions, are mixed into features of different scales and drowned in noise,
    more or less by ``seed``. ``clips`` items share a label and much of the noise.
    """
    random = np.random.default_rng([n, dimension, seed, clips])
    causes, labels, noise = min(12, dimension // 2), (2, 4, 10)[seed % 3], (0.5, 2, 5)[seed // 3 % 3]
    groups = -(-(n + TEST) // clips)
    group = np.repeat(np.arange(groups), clips)[: n + TEST]
    mixing, truth = random.normal(size=(causes, dimension)), random.normal(size=(causes, labels))
    hidden, shared = random.normal(size=(groups, causes)), random.normal(size=(groups, dimension))
    own = random.normal(size=(n + TEST, dimension))
    disturbance = own if clips == 1 else (shared[group] + own) / np.sqrt(2)
    X = (hidden[group] @ mixing + noise * np.sqrt(causes) * disturbance) * np.geomspace(0.1, 10, dimension)
    target = hidden @ truth / np.sqrt(causes) + 0.5 * random.normal(size=(groups, labels))
    y = {"multiclass": target.argmax(1), "multilabel": target > 0.8, "regression": target[:, :2]}[kind][group]
    uid, names = np.char.mod("%06d", np.arange(n + TEST)), np.char.mod("%06d", group)
    ends = [0, int(0.8 * n) // clips * clips, n, n + TEST]
    splits = {
        name: Split(X[begin:end].astype(np.float32), y[begin:end], uid[begin:end], names[begin:end], None)
        for name, begin, end in zip(("train", "valid", "test"), ends[:-1], ends[1:], strict=True)
    }
    return ProbeData(Task("t", kind, tuple(f"label {i}" for i in range(y.shape[1] if y.ndim == 2 else labels))), splits, {}, [])


def by_strength(data: ProbeData) -> dict[float, float]:
    """Strength → primary metric on test, fitted on train and valid: what could be had in hindsight is the largest."""
    known, test = together([data.splits["train"], data.splits["valid"]]), data.splits["test"]
    features = InMemory.fit(known.X)
    score = features.scorer(test.X)
    models = fit_path(data.task.type, features, known.y, len(data.task.labels), RegularisationPath(tolerance=1e-7))
    return {strength: metrics.primary_metric(data.task, test.y, score(model)) for strength, model in models}


def scikit_learn(data: ProbeData) -> float:
    """Accuracy on test of LogisticRegressionCV on the same strengths: five folds by group, cross-entropy, fitted again."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.preprocessing import StandardScaler

    known, test = together([data.splits["train"], data.splits["valid"]]), data.splits["test"]
    scale = StandardScaler().fit(known.X)
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(known.X, known.y, known.group))
    if any(len(np.unique(known.y[fitted])) < len(np.unique(known.y)) for fitted, _ in folds):
        return np.nan  # it cannot score a class that it was not fitted on
    strengths = [strength for strength in PATH.strengths if 1e-4 <= strength <= 100]  # where it ends in bearable time
    model = LogisticRegressionCV(
        Cs=[1 / (strength * len(known.y)) for strength in strengths],
        cv=folds,
        scoring="neg_log_loss",
        max_iter=1000,
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(scale.transform(known.X), known.y)
    return float((model.predict(scale.transform(test.X)) == test.y).mean())


def points_lost(data: ProbeData, against_scikit_learn: bool = True) -> dict[str, float]:
    """Points of the primary metric below the best strength in hindsight (× 100)."""
    best = max(by_strength(data).values())

    def tested(**settings):
        return fit(ProbeData(data.task, data.splits, {}, []), FitOptions(RegularisationPath(**settings))).metrics["test"][
            data.task.primary_metric
        ]

    values = {"linear": tested(), "by the metric": tested(select="metric"), "not fitted again": tested(refit=False)}
    if against_scikit_learn and data.task.type == "multiclass":
        values["scikit-learn"] = scikit_learn(data)
    return {name: 100 * (best - value) for name, value in values.items()}


def section() -> str:
    """Markdown."""
    lines = [
        "## Strengths",
        "",
        "Points (accuracy, ROC-AUC or R² in %) that protocol `linear` loses to the best of its strengths in hindsight, on simulated "
        "features of known signal; means over dimensions of 16 to 4,000, little to much noise, and items alone or in groups of four; "
        f'{TEST:,} test items. *By the metric*: `select="metric"`. *Not fitted again*: `refit=False`, which matters where there is a '
        "validation split to select by. *scikit-learn*: `LogisticRegressionCV`, five folds by group, cross-entropy, fitted again; of the "
        "problems with at most a million numbers.",
        "",
        "| labels | train and valid items | problems | linear | by the metric | not fitted again | scikit-learn |",
        "|---|---|---|---|---|---|---|",
    ]
    with one_thread():
        for kind in ("multiclass", "multilabel", "regression"):
            for n, dimensions in SIZES.items():
                lost = [
                    points_lost(simulate(kind, n, dimension, seed, clips), n * dimension <= 1_000_000)
                    for dimension in dimensions
                    for clips in (1, 4)
                    for seed in range(REPEATS[n])
                ]
                names = ("linear", "by the metric", "not fitted again", "scikit-learn")
                means = {name: np.array([one.get(name, np.nan) for one in lost]) for name in names}
                cells = [f"{np.nanmean(values):.2f}" if np.isfinite(values).any() else "–" for values in means.values()]
                lines.append("| " + " | ".join([kind, f"{n:,}", str(len(lost)), *cells]) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(section())
