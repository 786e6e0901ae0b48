"""The three protocols of probes: what they cost and where they differ on the same vectors; ``lineareval`` against plain PyTorch.

``python -m bench.protocols speed`` or ``simulate`` prints one of the two alone.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time

import numpy as np

from jukemir_like.core.machine import available_cpus
from jukemir_like.core.parallel import use_one_thread_per_process
from jukemir_like.datasets import Task
from jukemir_like.probes.fitting import FitOptions, fit_together
from jukemir_like.probes.protocols import DEFAULT_SEEDS, Grid, LinearEval, RegularisationPath
from jukemir_like.probes.tasks import ProbeData, Split

SEEDS = DEFAULT_SEEDS["lineareval"]
RUNS = 3
SHAPES = {  # what it is like → items of train, valid and test, dimension, classes
    "emomusic, mfcc": ((504, 115, 125), 160, 10),
    "gtzan_ff, 768": ((443, 197, 290), 768, 10),
    "24 classes, 768": ((5000, 1000, 1000), 768, 24),
    "gtzan_ff, stemjepa": ((443, 197, 290), 3840, 10),
}


def simulate(sizes, dimension, classes, *, signal, causes, seed=0):
    """Features of known causes, and classes drawn from the softmax of known logits: the best possible accuracy is known, too.

    Returns the data, and the accuracy on test of whoever knows the logits.
    """
    random = np.random.default_rng(seed)
    n = sum(sizes)
    hidden = random.normal(size=(n, causes))
    logits = signal * hidden @ random.normal(size=(causes, classes)) / np.sqrt(causes)
    chance = np.exp(logits - logits.max(1, keepdims=True))
    y = (chance.cumsum(1) / chance.sum(1, keepdims=True) > random.random((n, 1))).argmax(1)
    X = (hidden @ random.normal(size=(causes, dimension)) / np.sqrt(causes) + random.normal(size=(n, dimension))).astype(np.float32)
    uid, split = np.array([f"{i:06d}" for i in range(n)]), np.repeat(["train", "valid", "test"], sizes)
    splits = {name: Split(X[split == name], y[split == name], uid[split == name], uid[split == name], None) for name in np.unique(split)}
    test = split == "test"
    return ProbeData(Task("task", "multiclass", tuple(f"class {i}" for i in range(classes))), splits, {}, []), float(
        (logits[test].argmax(1) == y[test]).mean()
    )


def plain(data, settings, seed):
    """One seed of ``lineareval`` as one writes it in PyTorch: a layer, autograd, Adam, minibatches by indexing. Returns the epochs."""
    import torch

    torch.manual_seed(seed)
    X = {name: torch.from_numpy(split.X) for name, split in data.splits.items()}
    mean, scale = X["train"].mean(0), X["train"].std(0, correction=0)
    X = {name: (features - mean) / scale for name, features in X.items()}
    y = {name: torch.from_numpy(split.y) for name, split in data.splits.items()}
    layer = torch.nn.Linear(X["train"].shape[1], len(data.task.labels))
    optimiser = torch.optim.Adam(layer.parameters(), settings.learning_rate)
    loss = torch.nn.CrossEntropyLoss()
    best, best_epoch, state, epoch = -1.0, 0, None, 0
    while epoch < settings.max_epochs and epoch - best_epoch < settings.patience:
        epoch += 1
        order = torch.randperm(len(y["train"]))
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            optimiser.zero_grad()
            loss(layer(X["train"][rows]), y["train"][rows]).backward()
            optimiser.step()
        with torch.no_grad():
            value = (layer(X["valid"]).argmax(1) == y["valid"]).double().mean().item()
        if value >= best:
            best, best_epoch, state = value, epoch, copy.deepcopy(layer.state_dict())
    layer.load_state_dict(state)
    with torch.no_grad():
        layer(X["test"])
    return epoch


def speed():
    """Lines of Markdown: seconds per epoch of all seeds, plain and ours."""
    settings, workers = LinearEval(), available_cpus()
    lines = [
        f"Seeds {', '.join(map(str, SEEDS))}, seconds by the clock, medians of {RUNS} runs in turn, {workers} processors. *Plain*: "
        "`torch.nn.Linear`, autograd, `torch.optim.Adam`, minibatches by indexing (no `DataLoader`), one seed after the other, one thread. "
        "Ours: all seeds together, from 2,048 dimensions on in a thread each; *on one processor*: `--workers 1`, no threads. All divided "
        "by the epochs that they trained, which differ a little, as their random numbers do.",
        "",
        "| like | train × dimension, classes | epochs, ours | plain, s | ours, s | ms an epoch and seed, plain | ours | ratio "
        "| on one processor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (sizes, dimension, classes) in SHAPES.items():
        data, _ = simulate(sizes, dimension, classes, signal=3, causes=60)
        found = {"plain": [], "ours": [], "alone": []}
        for _ in range(RUNS):
            started = time.perf_counter()
            epochs = sum(plain(data, settings, seed) for seed in SEEDS)
            found["plain"].append((time.perf_counter() - started, epochs))
            for way, number in (("ours", workers), ("alone", 1)):
                started = time.perf_counter()
                probes = fit_together(data, [FitOptions(settings, seed, number, "cpu") for seed in SEEDS])
                found[way].append((time.perf_counter() - started, sum(probe.details["epochs"] for probe in probes)))
        seconds = {way: statistics.median(one for one, _ in runs) for way, runs in found.items()}
        each = {way: 1000 * seconds[way] / runs[0][1] for way, runs in found.items()}
        cells = [name, f"{sizes[0]:,} × {dimension:,}, {classes}", found["ours"][0][1] // len(SEEDS), f"{seconds['plain']:.1f}"]
        cells += [f"**{seconds['ours']:.2f}**", f"{each['plain']:.2f}", f"{each['ours']:.2f}", f"**{each['plain'] / each['ours']:.1f}**"]
        cells += [f"{each['plain'] / each['alone']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        print(lines[-1], file=sys.stderr)
    return lines


CASES = {  # items of train, valid and test, dimension, classes, how strong the signal is
    "few items": ((100, 40, 5000), 64, 5, 3),
    "usual": ((400, 150, 5000), 256, 10, 4),
    "more dimensions than items": ((400, 150, 5000), 1024, 10, 4),
    "many items": ((5000, 1000, 5000), 256, 10, 4),
}
DRAWS = 3
GRID_CASE = "few items"  # whose first draw protocol jukemir is fitted to, too


def score(protocol, settings, data):
    """Accuracy on test, the mean over the protocol's seeds, its deviation over them, and the processor seconds of all."""
    started = time.process_time()
    probes = fit_together(data, [FitOptions(settings, seed, device="cpu") for seed in DEFAULT_SEEDS[protocol]])
    values = [probe.metrics["test"]["accuracy"] for probe in probes]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0, time.process_time() - started


def simulation():
    """Lines of Markdown: the protocols on the same simulated vectors, of which the best possible accuracy is known."""
    lines = [
        "Simulated vectors: features of 20 hidden causes and as much noise, classes drawn from known probabilities; so the accuracy of "
        f"whoever knows these is known, too (*best possible*). Test accuracy in %, means over {DRAWS} draws of 5,000 test items; after ± "
        "the deviation over the seeds 42, 43 and 44. Processor seconds of one thread, of all seeds.",
        "",
        "| | train + valid × dimension, classes | best possible | linear | lineareval | linear, s | lineareval, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (sizes, dimension, classes, signal) in CASES.items():
        found = []
        for draw in range(DRAWS):
            data, best = simulate(sizes, dimension, classes, signal=signal, causes=20, seed=draw)
            found.append((best, score("linear", RegularisationPath(), data), score("lineareval", LinearEval(), data)))
        best = statistics.mean(one[0] for one in found)
        (linear, _, fast), (early, spread, slow) = (
            [statistics.mean(values) for values in zip(*one, strict=True)] for one in list(zip(*found, strict=True))[1:]
        )
        cells = [name, f"{sizes[0]:,} + {sizes[1]:,} × {dimension:,}, {classes}", f"{100 * best:.1f}", f"{100 * linear:.1f}"]
        cells += [f"{100 * early:.1f} ± {100 * spread:.1f}", f"{fast:.2f}", f"{slow:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], file=sys.stderr)
    sizes, dimension, classes, signal = CASES[GRID_CASE]
    data, best = simulate(sizes, dimension, classes, signal=signal, causes=20, seed=0)
    all_settings = {"linear": RegularisationPath(), "lineareval": LinearEval(), "jukemir": Grid(hidden=(0,))}
    scored = {protocol: score(protocol, settings, data) for protocol, settings in all_settings.items()}
    lines += [
        "",
        f"The first draw of *{GRID_CASE}*, under all three (best possible: {100 * best:.1f} %). Of jukemir's grid, the 108 points "
        "without a hidden layer: those with one take most of its time.",
        "",
    ]
    lines += ["| protocol | test accuracy, % | seconds of processor |", "|---|---|---|"]
    lines += [f"| {protocol} | {100 * value:.1f} | {seconds:.1f} |" for protocol, (value, _, seconds) in scored.items()]
    return lines


def section() -> str:
    """Markdown."""
    import torch

    use_one_thread_per_process()
    torch.set_num_threads(1)
    parts = ["## Protocols", "", "### The same vectors under each", "", *simulation(), "", "### lineareval, three seeds", "", *speed(), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    use_one_thread_per_process()
    print("\n".join({"speed": speed, "simulate": simulation}[sys.argv[1]]()) if sys.argv[1:] else section())
