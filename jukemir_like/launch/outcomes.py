"""What a processed (or deformed) dataset is, in one digest: where it changes, the later stages are run again.

Neither dates nor how often it was processed count, so nothing is run again where the outcome is the same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from jukemir_like.core import records
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.datasets.deformed import split_name
from jukemir_like.datasets.meta import DESCRIPTION, META
from jukemir_like.probes.current_audio import JOURNALS

_DIGITS = 16
_FILE = "outcome.json"
_VERSION = 1  # raised when the same dataset would have another digest


def of_dataset(folders: Cache, dataset: str) -> str:
    """Digest of labels, description and audio of a dataset as it is now; empty where it is not processed.

    Versions of software, of which the description has a list, do not count. Of audio the digests in the records count, in the order in
    which they were written.
    """
    folder = folders.processed(dataset)
    files = [folder / META, folder / DESCRIPTION, *(folder / records.FOLDER / f"{journal}.jsonl" for journal in JOURNALS)]
    return _remembered(folder, [_stamp(path) for path in files]) if files[0].is_file() else ""


def of_probed(folders: Cache, dataset: str) -> str:
    """The same of all that a probe of a dataset depends on: of a deformed one also of the clean one, on which the probe is fitted."""
    parts = split_name(dataset)
    return " ".join(of_dataset(folders, name) for name in ([dataset] if parts is None else [parts[0], dataset]))


def _remembered(folder: Path, stamps: list[list[int] | None]) -> str:
    """Of a folder whose files have these stamps; kept in a file, as each job of a cluster asks, and there may be a million records."""
    path = folder / records.FOLDER / _FILE
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(path.read_bytes())
        if kept["stamps"] == stamps and kept["version"] == _VERSION:
            return str(kept["outcome"])
    digest = _digest(folder)
    with suppress(JukemirLikeError):  # where nothing can be written it is worked out each time
        write_json(path, {"version": _VERSION, "stamps": stamps, "outcome": digest})
    return digest


def _digest(folder: Path) -> str:
    description = (folder / DESCRIPTION).read_bytes() if (folder / DESCRIPTION).is_file() else b""
    with suppress(ValueError, AttributeError):  # a damaged one is reported by the stage that reads it
        description = json.dumps({name: value for name, value in json.loads(description).items() if name != "versions"}).encode()
    parts = hashlib.sha256()
    for part in ((folder / META).read_bytes(), description, _audio(folder)):
        parts.update(hashlib.sha256(part).digest())
    return parts.hexdigest()[:_DIGITS]


def _audio(folder: Path) -> bytes:
    """Digest of what was written of each item, one after the other; the same again does not count.

    A record's time does not count either: clocks may be wrong.
    """
    last: dict[str, str] = {}
    history: dict[str, bytes] = {}
    for journal, _, record in records.stream(folder):
        uid, written = record["input"], record.get("output_digest") or record["status"]
        if journal in JOURNALS and last.get(uid) != written:
            last[uid] = written
            history[uid] = hashlib.sha256(history.get(uid, b"") + written.encode()).digest()
    names = (uid.encode(errors="surrogateescape") + b"\0" + history[uid] for uid in sorted(history))
    return hashlib.sha256(b"".join(names)).digest()


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino]
