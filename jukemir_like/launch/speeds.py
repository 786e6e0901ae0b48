"""How long representations take for an hour of audio: as measured for this package, and as the user's own records say.

``speeds.json`` is written by ``python -m bench speeds``: name → device → :class:`Speed`. It has every representation and encoder of this
package, and of Stem-JEPA the two sizes of published recipes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "speeds.json"
CPU = "cpu"


@dataclass(frozen=True)
class Speed:
    """What an hour of audio takes on one device.

    Args:
        name: of the representation.
        device: ``cpu``: one thread of a processor; else the name of a GPU.
        seconds: processor seconds for an hour of audio; on a GPU, seconds of its time.
        first_seconds: how much of a clip is computed, however long the clip is, and a shorter one costs as much; None: all of it.
        padded_seconds: length to which each piece of a clip is padded; None: none is.
        layer, seconds_per_layer: the layer that was measured, and what each layer more or less changes; None: layers change nothing.
        peak_mb: peak resident memory of one process; None: not measured.
        how: what was measured, where it was not a whole clip.
        machine, date: where and when.
        is_own: whether the user's own records say so.

    >>> Speed("whisper-base", "cpu", 100.0, padded_seconds=30.0).charged_seconds(45.0)
    60.0
    >>> Speed("jukebox", "cpu", 100.0, first_seconds=25.0).charged_seconds(120.0)
    25.0
    """

    name: str
    device: str
    seconds: float
    first_seconds: float | None = None
    padded_seconds: float | None = None
    layer: int | None = None
    seconds_per_layer: float | None = None
    peak_mb: int | None = None
    how: str = ""
    machine: str = ""
    date: str = ""
    is_own: bool = False

    def charged_seconds(self, clip_seconds: float) -> float:
        """How many seconds of audio a clip costs: more than it has, where a net computes padding, fewer, where it takes the beginning."""
        if self.first_seconds is not None:
            return self.first_seconds
        if self.padded_seconds is not None:
            return self.padded_seconds * math.ceil(clip_seconds / self.padded_seconds - 1e-6)
        return clip_seconds


@cache
def read() -> dict[str, tuple[Speed, ...]]:
    """What was measured for this package: name → a speed per device, the processor's first.

    >>> read()["mfcc"][0].device
    'cpu'
    """
    entries: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text())
    return {
        name: tuple(
            Speed(name, device, **{key: value for key, value in figures.items() if key != "versions"})
            for device, figures in sorted(by_device.items(), key=lambda item: (item[0] != CPU, item[0]))
        )
        for name, by_device in entries.items()
    }
