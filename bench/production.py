"""Producing songs of synthband: processor time for four stems of 30 s, at two sample rates."""

from __future__ import annotations

import statistics
import time

SECONDS, ARTISTS, RUNS = 30, 24, 3
RATES = (22050, 44100)


def section() -> str:
    """Markdown of the figures."""
    import numpy as np

    from jukemir_like.synthband.production import produce

    rows = []
    for rate in RATES:
        random = np.random.default_rng(0)
        swell = 0.02 + np.abs(np.sin(2 * np.pi * np.array([[1.0], [2.0], [0.5], [0.25]]) * np.arange(SECONDS * rate) / rate))
        stems = (0.1 * random.standard_normal(swell.shape) * swell).astype(np.float32)
        seconds = []
        for seed in range(ARTISTS):
            turns = []
            for _ in range(RUNS):
                started = time.process_time()
                produce(stems, rate, artist_seed=seed, song_seed=seed)
                turns.append(time.process_time() - started)
            seconds.append(statistics.median(turns))
        mean = statistics.fmean(seconds)
        rows.append(f"| {rate:,} Hz | {1000 * mean:.0f} | {1000 * min(seconds):.0f} to {1000 * max(seconds):.0f} | {SECONDS / mean:.0f} |")
    return "\n".join(
        [
            "## Production",
            "",
            f"| four stems of {SECONDS} s | ms of one core | of {ARTISTS} artists | times real time |",
            "|---|---|---|---|",
            *rows,
            "",
            f"`synthband.production.produce` of noise that swells, a song each of {ARTISTS} artists; processor time, {RUNS} runs.",
        ]
    )
