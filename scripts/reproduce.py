"""Runs the whole line with Snakemake: from nothing to ``report/index.html`` in the cache.

Holds a lock on the cache while it runs; a run that was killed leaves nothing to clean up, the next one goes on from what is finished.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent


def main() -> int:
    options = _options()
    cache = Path(options.cache).absolute()
    config = {
        "datasets": options.datasets.split(),
        "representations": options.representations.split(),
        "protocol": options.protocol.split(),
        "seeds": [int(seed) for seed in options.seed.split()],
        "songs": options.songs,
        "synthband_seed": 0,
        "batch_size": options.batch_size,
    }
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w") as lock, tempfile.TemporaryDirectory() as temporary:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another run is using {cache}; waiting for it to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        configuration = Path(temporary) / "config.json"
        configuration.write_text(json.dumps(config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(SCRIPTS / "Snakefile"), "--directory", str(cache)]
        command += ["--profile", str(SCRIPTS / "profiles" / "local"), "--configfile", str(configuration), "--cores", options.jobs or "all"]
        command += ["--dry-run"] if options.plan else []
        # The lock goes along, so that it is held until Snakemake has ended even if this process is killed before.
        process = subprocess.Popen(command, pass_fds=[lock.fileno()], env=os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
        try:
            code = process.wait()
        except KeyboardInterrupt:  # Snakemake got the signal too, and ends its stages
            process.wait()
            return 130
    if code == 0 and not options.plan:
        print(f"\nThe results page: {cache / 'report' / 'index.html'}")
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--datasets", required=True, help="names, with spaces between them")
    parser.add_argument("--representations", required=True, help="names, with spaces between them")
    parser.add_argument("--protocol", default="linear", help="linear, jukemir, or both with a space between them")
    parser.add_argument("--seed", default="0", help="numbers, with spaces between them")
    parser.add_argument("--songs", type=int, default=600, help="size of the embedded dataset")
    parser.add_argument("--batch-size", type=int, default=256, help="files a batch of extraction")
    parser.add_argument("--jobs", default="", help="processors to use [default: all]")
    parser.add_argument("--plan", action="store_true", help="only say what would run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
