"""Recordings to train on that anyone may have: the music of games in Debian's archive, all of it freely licensed. 3.7 GB are downloaded.

    python scripts/free_music.py DIR [PACKAGE …]

brings the packages into ``DIR/packages`` (by ``apt-get download``; those that lie there are used), and writes the middle 80 s of each of
their recordings of 40 s or more as mono WAV at 22,050 Hz to ``DIR/music/PACKAGE/``, their licences to ``DIR/copyright/``. Then::

    jukemir-like process pseudo_stems --audio DIR/music

For Debian and its relatives; ``apt-get update`` first. Packages that cannot be had and files that cannot be read are named and left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core.errors import InputError

PACKAGES = (
    "a7xpg-data", "amoebax-data", "ardentryst", "asc-music", "btanks-data", "caveexpress-data", "colobot-common-sounds", "drascula-music",
    "endless-sky-data", "extremetuxracer-data", "fillets-ng-data", "flare-game", "freedink-data", "freedroidrpg-data", "freeorion-data",
    "fretsonfire-songs-muldjord", "fretsonfire-songs-sectoid", "glob2-data", "gunroar-data", "hedgewars-data", "holotz-castle-data",
    "lincity-ng-data", "lordsawar-data", "lugaru-data", "marsshooter-data", "megaglest-data", "mu-cade-data", "naev-data", "nexuiz-music",
    "noiz2sa-data", "openclonk-data", "parsec47-data", "pathological", "pushover-data", "supertux-data", "supertuxkart-data",
    "titanion-data", "torus-trooper-data", "tumiki-fighters-data", "unknown-horizons", "warmux-data", "widelands-data", "xmoto-data",
)  # fmt: skip
SECONDS, SHORTEST, SAMPLE_RATE = 80, 40, 22_050
_ARCHIVES = (".pk3", ".wz", ".zip", ".stk")  # archives of games, which are ZIP files
_QUIETEST = 1e-3  # root mean square


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="free_music.py", description="Freely licensed recordings to train on.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    options = parser.parse_args(arguments)
    kept, left_out = 0, 0
    for package in options.packages:
        archive = bring(package, options.folder / "packages")
        if archive is None:
            print(f"{package} cannot be had: try `apt-get update`", file=sys.stderr)
            left_out += 1
            continue
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            if not unpack(archive, Path(temporary)):
                left_out += 1
                continue
            licence = Path(temporary) / "usr/share/doc" / package / "copyright"
            if licence.is_file():
                target = options.folder / "copyright" / package
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(licence.read_bytes())
            written = [write(path, options.folder / "music" / package) for path in recordings(Path(temporary))]
        kept += sum(written)
        print(f"{package}: {sum(written)} recordings", file=sys.stderr)
    print(f"{kept} recordings in {options.folder / 'music'}; packages left out: {left_out}")
    return 1 if left_out else 0


def bring(package: str, folder: Path) -> Path | None:
    """The file of a package in ``folder``; downloaded, where there is none. None: it cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    for download in (False, True):
        if download:
            subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=False, stderr=subprocess.DEVNULL)
        if found := sorted(folder.glob(f"{package}_*.deb")):
            return found[-1]
    return None


def unpack(package: Path, folder: Path) -> bool:
    """Writes the files of a package, and those of the archives in it; whether it could be read. Archives that cannot are named."""
    done = subprocess.run(["dpkg", "-x", str(package), str(folder)], check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"{package.name} cannot be unpacked: {(done.stderr.strip().splitlines() or ['no reason is given'])[-1]}", file=sys.stderr)
        return False
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ARCHIVES and path.is_file()):
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(path.with_name(f"{path.name}.unpacked"))  # which drops ".." and roots of names
        except Exception as error:  # zipfile's, of bytes that are no archive: BadZipFile, struct.error, zlib.error …
            print(f"{path.name} cannot be unpacked: {error}", file=sys.stderr)
    return True


def recordings(folder: Path) -> Iterator[Path]:
    """Audio files, sorted; of several of one name the first alone."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and audio.is_audio(path) and path.stem not in seen:
            seen.add(path.stem)
            yield path


def write(source: Path, folder: Path) -> bool:
    """Writes the middle of a recording; whether there was enough to be heard in it."""
    try:
        samples = audio.load(source, SAMPLE_RATE)
    except InputError as error:
        print(f"{source.name}: {error}", file=sys.stderr)
        return False
    length = min(len(samples), SECONDS * SAMPLE_RATE)
    first = (len(samples) - length) // 2
    middle = samples[first : first + length]
    if length < SHORTEST * SAMPLE_RATE or float(np.sqrt(np.mean(np.square(middle)))) < _QUIETEST:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    audio.write_wav(folder / f"{source.stem}.wav", audio.to_int16(middle), SAMPLE_RATE)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
