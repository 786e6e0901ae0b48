"""The soundfonts (.sf2, .sf3) that MIDI files are rendered with: those of a folder, else the one that pretty_midi carries.

Which one a song gets is drawn by the seed and the digest of the song's file, so it does not depend on the other songs. Name and copyright
are read from the file (SoundFont 2.04, section 5: the list INFO).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence, Set
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jukemir_like.core import files
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.midi.reading import DRUMS

EXTENSIONS = (".sf2", ".sf3")
DEFAULT = "TimGM6mb.sf2"
DRUM_BANK = 128
SYNTH_VERSION = "0.3.7"
"""Of tinysoundfont: the version that is tested."""

_LICENCES = {"82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1": "GPL-2.0"}  # sha256 → licence
_LARGEST_INFO = 1 << 20


@dataclass(frozen=True)
class Soundfont:
    """A soundfont file.

    Args:
        path: of the file.
        sha256: of its bytes.
        name: that the file gives itself, else its file name.
        copyright: what the file says of it, or the licence where it is known; empty where neither is.
        families: of instruments that it can play, see :attr:`.reading.Instrument.family`.
        presets: (bank, program) of bank 0 and of the drums' bank that it has.
    """

    path: Path
    sha256: str
    name: str
    copyright: str
    families: frozenset[int] = frozenset()
    presets: frozenset[tuple[int, int]] = frozenset()

    def to_json(self) -> dict[str, str]:
        """As it is recorded: without its folder."""
        return {"file": printable(self.path.name), "sha256": self.sha256, "name": self.name, "copyright": self.copyright}


def find(folder: Path | None = None) -> list[Soundfont]:
    """The soundfonts in ``folder`` and its sub-folders, by digest, each once; None: the one that pretty_midi carries.

    Raises:
        RequestError: there is no such folder or no soundfont in it, or one cannot be read; tinysoundfont or pretty_midi is missing.
    """
    found, faults = find_usable(folder)
    if faults:
        raise RequestError(f"{faults[0]}: remove it from the folder of soundfonts")
    return found


def find_usable(folder: Path | None = None) -> tuple[list[Soundfont], list[str]]:
    """As :func:`find`, without those that cannot be read or are damaged; and a line for each of these.

    Raises:
        RequestError: there is no such folder or no file of a soundfont in it; tinysoundfont or pretty_midi is missing.
    """
    if find_spec("tinysoundfont") is None:
        raise RequestError(f"tinysoundfont is not installed: run `make setup`, or `pip install --no-deps tinysoundfont=={SYNTH_VERSION}`")
    if find_spec("pretty_midi") is None:
        raise RequestError("pretty_midi is not installed: run `make setup`, or `pip install pretty_midi`")
    if folder is not None and not folder.is_dir():
        raise RequestError(f"{printable(str(folder))} is not a folder: give --soundfonts a folder of {' or '.join(EXTENSIONS)} files")
    found: dict[str, Soundfont] = {}
    faults = []
    for path in [default_path()] if folder is None else below(folder, EXTENSIONS):
        try:
            soundfont = _describe(path)
        except InputError as error:
            faults.append(f"{printable(str(path))} {error}")
        else:
            found[soundfont.sha256] = soundfont
    if not found and not faults:
        raise RequestError(f"{printable(str(folder))} holds no soundfont ({', '.join(EXTENSIONS)})")
    return [found[digest] for digest in sorted(found)], faults


def default_path() -> Path:
    """The path of the soundfont that pretty_midi carries, without importing it.

    Raises:
        RequestError: pretty_midi, or the soundfont in it, is missing.
    """
    package = find_spec("pretty_midi")
    file = Path(package.origin).parent / DEFAULT if package is not None and package.origin else None
    if file is None or not file.is_file():
        raise RequestError(f"{DEFAULT} is not installed: run `make setup`, or `pip install pretty_midi` (0.2.11 carries it)")
    return file


def draw(soundfonts: Sequence[Soundfont], seed: int, song_sha256: str, families: Set[int] = frozenset()) -> Soundfont | None:
    """The soundfont of the song whose file has this digest, of those that can play its ``families``, all equally likely; None: none can.

    >>> fonts = [Soundfont(Path(name), name, name, "", frozenset({0, number})) for number, name in enumerate("abc")]
    >>> draw(fonts, 0, "00ff") == draw(fonts, 0, "00ff"), draw(fonts, 0, "00ff", {0, 2}).name, draw(fonts, 0, "00ff", {3})
    (True, 'c', None)
    """
    able = [soundfont for soundfont in soundfonts if families <= soundfont.families]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(song_sha256, 16)])))
    return able[int(rng.random() * len(able))] if able else None


def below(folder: Path, extensions: Sequence[str]) -> list[Path]:
    """The files of ``folder`` and its sub-folders with one of the extensions, in any letter case, by path; without hidden ones."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if not name.startswith(".") and name.lower().endswith(tuple(extensions))]
    return sorted(found, key=os.fsencode)


def _describe(path: Path) -> Soundfont:
    """One soundfont.

    Raises:
        InputError: it cannot be read, or is none.
    """
    import tinysoundfont

    try:
        digest = files.sha256(path)
        synth = tinysoundfont.Synth()
        synth.sfload(os.fspath(path))
        presets = {
            (bank, program) for bank in (0, DRUM_BANK) for program in range(128) if synth.sfpreset_name(0, bank, program) is not None
        }
        families = {program // 8 for bank, program in presets if bank == 0} | ({DRUMS} if (DRUM_BANK, 0) in presets else set())
        name, owner = _info(path)
    except OSError as error:
        raise InputError(files.refusal(error)) from error
    except (RuntimeError, ValueError, struct.error) as error:
        raise InputError("is no soundfont, or damaged") from error
    return Soundfont(path, digest, name or printable(path.stem), _LICENCES.get(digest) or owner, frozenset(families), frozenset(presets))


def _info(path: Path) -> tuple[str, str]:
    """What a soundfont says of its name and its copyright; empty where it says nothing."""
    with files.open_regular(path) as file:
        _, _, form, kind, size, inner = struct.unpack("<4sI4s4sI4s", file.read(24))
        if form != b"sfbk" or kind != b"LIST" or inner != b"INFO":
            return "", ""
        content = file.read(min(size - 4, _LARGEST_INFO))
    texts, position = {}, 0
    while position + 8 <= len(content):
        tag, length = struct.unpack_from("<4sI", content, position)
        texts[tag] = content[position + 8 : position + 8 + length].partition(b"\0")[0].decode("utf-8", "replace")
        position += 8 + length + length % 2
    return printable(texts.get(b"INAM", "").strip()), printable(texts.get(b"ICOP", "").strip())
