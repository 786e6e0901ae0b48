"""The audio that a processed dataset has now, by the records of what wrote it, beside the audio that vectors were computed from.

Labels and items would not tell: a dataset that is processed again from other files, or deformed again with another seed, has the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from jukemir_like.core import files, records
from jukemir_like.datasets.meta import wav_path

JOURNALS = ("process", "deform")
"""Of the stages that write audio into a processed dataset."""


def digests(folder: Path, uids: Iterable[str]) -> dict[str, str]:
    """uid → SHA-256 of its WAV file as it was written last, where a record says so.

    Args:
        folder: of the processed dataset.
        uids: of which items.
    """
    wanted = set(uids)
    last: dict[str, tuple[float, str | None]] = {}  # not whole records, as there may be millions
    for journal, dated, record in records.stream(folder):
        uid = record["input"]
        if journal in JOURNALS and uid in wanted and dated >= last.get(uid, (dated,))[0]:
            last[uid] = dated, record.get("output_digest") if record["status"] == "done" else None
    return {uid: digest for uid, (_, digest) in last.items() if digest}


def changed(folder: Path, computed_from: Mapping[str, set[str]]) -> list[str]:
    """The uids, sorted, whose WAV file is another than what vectors were computed from.

    Args:
        folder: of the processed dataset.
        computed_from: uid → SHA-256 of audio, of items whose last record says that they have another. It is looked up in the file, if
            that is there: a file that was put back has no record of its own.
    """

    def is_changed(uid: str) -> bool:
        try:
            return files.sha256(wav_path(folder, uid)) not in computed_from[uid]
        except OSError:
            return True

    return sorted(filter(is_changed, computed_from))
