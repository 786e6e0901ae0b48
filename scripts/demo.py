"""From nothing to a page with sound: `make demo` composes songs, takes the bass out of one, and lets a network choose one among all stems.

    python scripts/demo.py [--cache DIR] [--songs N]

In the cache: ``demo/library/SONG/STEM.wav``, the mix without bass, ``demo/SONG.wav``, and the page ``demo/fits.html``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DONE, SOME_FAILED
from jukemir_like.core.stems import STEMS

SONGS = 24
MISSING = "bass"


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", help="where all of it is kept", default=None)
    parser.add_argument("--songs", type=int, default=SONGS, help="how many to compose [default: %(default)s]")
    arguments = parser.parse_args()
    cache = Cache.default(arguments.cache or None)
    folder = cache.root / "demo"
    of_cache = ["--cache", str(cache.root)]
    for command in (["download", "synthband", "--songs", str(arguments.songs)], ["process", "synthband_stems"]):
        if code := run(*command, *of_cache):
            return code
    mix = write_stems(cache.processed("synthband_stems"), folder)
    page = folder / "fits.html"
    request = ["--context", str(mix), "--instrument", MISSING, "--library", str(folder / "library"), "--page", str(page)]
    code = run("retrieve", *request, *of_cache)
    if code in (DONE, SOME_FAILED):
        print(f"\nThe {MISSING} that was taken out is {mix.stem}/{MISSING}.wav. Hear all of them: open {page} in a browser.")
    return code


def run(*arguments: str) -> int:
    """Runs a command of ``jukemir-like``; returns its exit code."""
    print(f"\njukemir-like {shlex.join(arguments)}", flush=True)
    return subprocess.call([sys.executable, "-m", "jukemir_like", *arguments])


def write_stems(processed: Path, folder: Path) -> Path:
    """Writes each stem of each song as a file, and the mix of one song without :data:`MISSING`; returns the path of the mix.

    It is the first song of split test, whose stems no weights of the package were trained on, that has all of its stems.
    """
    splits = {uid: item["split"] for uid, item in json.loads((processed / "meta.json").read_text()).items()}
    chosen = None
    for uid in sorted(splits):
        song = audio.decode(processed / "wav" / f"{uid}.wav")
        name = f"synthband {uid}"
        for stem, samples in zip(STEMS, song.samples, strict=True):
            audio.write_wav(folder / "library" / name / f"{stem}.wav", audio.to_int16(samples), song.sample_rate)
        if chosen is None and splits[uid] == "test" and np.abs(song.samples).max(1).min() > 0.01:
            chosen = folder / f"{name}.wav"
            others = np.delete(song.samples, STEMS.index(MISSING), 0).sum(0)
            audio.write_wav(chosen, audio.to_int16(others / max(1.0, float(np.abs(others).max()))), song.sample_rate)
    if chosen is None:
        sys.exit("none of so few songs is of split test: give more --songs")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
