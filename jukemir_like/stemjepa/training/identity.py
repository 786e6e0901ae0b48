"""What makes two runs the same run: all options but those that say where and how it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jukemir_like.stemjepa.settings import Training

NEUTRAL = frozenset(
    {
        "logger",
        "data.local_dir",
        "data.dataloader.num_workers",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.nodes",
        "trainer.threads",
        "trainer.log_every_steps",
        "trainer.valid_every_steps",
        "trainer.valid_tracks",
        "trainer.checkpoint_every_steps",
    }
)
"""Options that do not decide what comes out, but for the last bits of floating point."""


def differences(settings: Training) -> list[tuple[str, Any]]:
    """Options that are not neutral and differ from their defaults, by dotted name."""
    return [(option, value) for option, value, _ in differing(settings.to_dict(), Training().to_dict()) if option not in NEUTRAL]


def differing(settings: Mapping[str, Any], others: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Options, by dotted name, in which two configurations differ, and both values; sorted."""
    for name in sorted({*settings, *others}):
        value, other, path = settings.get(name), others.get(name), f"{section}{name}"
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            yield from differing(value, other, f"{path}.")
        elif value != other:
            # 1 and 1.0 are the same value of an option that may have a fraction.
            yield path, float(value) if isinstance(other, float) and isinstance(value, int) else value, other
