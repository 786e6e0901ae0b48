"""NSynth: 305,979 notes of 4 s of 1,006 instruments, each with its instrument family and its pitch (Engel et al., ICML 2017).

The splits are the three archives as they were published; instruments of train are in no other. Each archive holds ``examples.json``, which
maps a note to its fields, and ``audio/<note>.wav``; so the labels come with the audio. A uid is the note, as in
``keyboard_acoustic_004-060-025``: instrument, pitch, velocity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jukemir_like.core import files, largejson
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import Dataset, Item, Task

FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal")
"""Instrument families in the order of their published numbers."""
PITCHES = tuple(str(pitch) for pitch in range(128))
"""MIDI notes, as labels: 60 is the C in the middle of a piano."""
TASKS = {"instrument": Task("instrument", "multiclass", FAMILIES), "pitch": Task("pitch", "multiclass", PITCHES)}

_PARTS = {"train": "nsynth-train", "valid": "nsynth-valid", "test": "nsynth-test"}
_EXTRAS = ("instrument_str", "instrument_source_str", "velocity", "qualities_str")


def dataset(folder: Path, name: str = "nsynth") -> Dataset:
    """The notes that the three ``examples.json`` in ``folder`` list.

    Raises:
        RequestError: one is missing, is damaged, or has a note that does not fit or that another one has.
    """
    items: dict[str, Item] = {}
    digests = {}
    for split, part in _PARTS.items():
        root = folder / "unpacked" / f"{part}.jsonwav" / part
        path = root / "examples.json"
        tag = f"NSYNTH_{split.upper()}"
        file_digest = hashlib.sha256()
        for note, fields in _notes(path, tag, file_digest):
            fault = _fault(note, fields) or (f"is in {items[note].split} too" if note in items else None)
            if fault:
                raise RequestError(f"{path}: note {note[:60]!r} {fault}; run `jukemir-like download {tag}` again")
            y = {"instrument": fields["instrument_family_str"], "pitch": str(fields["pitch"])}
            extra = {key.removesuffix("_str"): fields[key] for key in _EXTRAS if key in fields}
            items[note] = Item(note, split, y, root / "audio" / f"{note}.wav", extra=extra)
        digests[f"{part}/examples.json"] = file_digest.hexdigest()
    return Dataset(name, dict(TASKS), list(items.values()), group="instrument", sources={"annotations": digests})


def _notes(path: Path, tag: str, digest: Any) -> Iterator[tuple[str, Any]]:
    """Name and fields of each note."""
    try:
        with files.open_regular(path) as file:
            for member in largejson.members(file, digest.update):
                yield member.name, member.value
    except FileNotFoundError as error:
        raise RequestError(f"{path} is missing: run `jukemir-like download {tag}`") from error
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: run `jukemir-like download {tag}`") from error
    except ValueError as error:
        raise RequestError(f"{path} is damaged: {error}; run `jukemir-like download {tag}` again") from error


def _fault(note: str, fields: Any) -> str | None:
    """What is wrong with a note, in words that follow its name."""
    if not isinstance(fields, Mapping) or fields.get("note_str") != note:
        return f"has the note_str {str(fields.get('note_str') if isinstance(fields, Mapping) else fields)[:60]!r}"
    family, number, pitch = (fields.get(key) for key in ("instrument_family_str", "instrument_family", "pitch"))
    if family not in FAMILIES or number != FAMILIES.index(family):
        return f"has the family {family!r} with the number {number!r}, which is none of the eleven"
    if type(pitch) is not int or not 0 <= pitch < len(PITCHES):
        return f"has the pitch {pitch!r}, not 0 to 127"
    return None if isinstance(fields.get("instrument_str"), str) else "has no instrument_str"
