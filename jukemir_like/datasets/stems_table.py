"""Which channel each instrument of a multitrack dataset is in: a table that comes with the dataset, and that a user can replace.

It is a CSV file with the columns ``name`` and ``channel``. A name is the dataset's own, of an instrument or of a group of them; letter
case, blanks and punctuation do not matter. An empty channel leaves out what has this name. Channels are bass, drums, other and vocals, or
others that the user names: then they are in the order in which the table names them first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core import csvfiles, files
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import STEMS

LEFT_OUT = ""
"""The channel of what is left out."""
OTHER = "other"
"""The channel of what the table does not name, if it has such a channel."""

_REMEDY = "write it with the columns name and channel, as datasets/<dataset>/stems.csv"
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class StemsTable:
    """A table that was read.

    Args:
        file: its path, for messages.
        sha256: of its bytes.
        channels: name, as :func:`normalised` gives it → channel.
        stems: the channels in order.
    """

    file: str
    sha256: str
    channels: dict[str, str]
    stems: tuple[str, ...]

    def channel(self, names: Sequence[str]) -> str | None:
        """The channel of the first of ``names`` that the table has; :data:`LEFT_OUT` where that is empty; None where it has none of them.

        >>> table = StemsTable("stems.csv", "", {"bass": "bass", "tuba": "other"}, STEMS)
        >>> table.channel(["Tuba", "Bass"]), table.channel(["Double bass", "Bass"]), table.channel(["Kazoo"])
        ('other', 'bass', None)
        """
        return next((self.channels[name] for name in map(normalised, names) if name in self.channels), None)


def read(path: Path) -> StemsTable:
    r"""The table in a file.

    Raises:
        RequestError: there is no such file, or it is no such table; a name is a duplicate; there are fewer than two channels.

    >>> _ = Path("mine.csv").write_text("name,channel\nPiano,piano\nElectric Guitar,guitar\nclick track,\n")
    >>> table = read(Path("mine.csv"))
    >>> table.stems, table.channel(["electric_guitar"]), table.channel(["Click Track"])
    (('piano', 'guitar'), 'guitar', '')
    """
    try:
        rows = csvfiles.read(path, {"name": str, "channel": str}, _REMEDY)
        digest = hashlib.sha256(files.read_regular(path)).hexdigest()
    except FileNotFoundError as error:
        raise RequestError(f"there is no table of stems {printable(str(path))}") from error
    channels: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        name, channel = normalised(row["name"]), row["channel"].strip().lower()
        if not name:
            raise _error(path, line, f"{row['name'][:40]!r} is no name")
        if name in channels:
            raise _error(path, line, f"{row['name'][:40]!r} is a duplicate")
        if channel and not _CHANNEL.fullmatch(channel):
            raise _error(path, line, f"channel {channel[:40]!r} is not of letters, digits and underscores")
        channels[name] = channel
    named = tuple(dict.fromkeys(filter(None, channels.values())))
    stems = STEMS if set(named) <= set(STEMS) else named
    if len(named) < 2:
        raise RequestError(f"{printable(str(path))} names {len(named)} channels, and two or more are needed")
    return StemsTable(str(path), digest, channels, stems)


def normalised(name: str) -> str:
    """A name as it is compared: in lower case, an underscore for all between letters and digits.

    >>> normalised("Electric Bass (finger)"), normalised("fx/processed sound")
    ('electric_bass_finger', 'fx_processed_sound')
    """
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def _error(path: Path, line: int, what: str) -> RequestError:
    return RequestError(f"{printable(str(path))}, line {line}: {what}")
