"""The options ``data.…`` of a training run: which stems it hears, how examples are sampled, changed and fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from jukemir_like.core.stems import KINDS
from jukemir_like.stemjepa.config import check

CONTEXTS = ("uniform", "max", "one", "one-plus")

SMALLEST_SHARE = 1e-3
"""Of a folder, in all examples."""


@dataclass(frozen=True)
class Dataloader:
    """How examples are fetched.

    Args:
        batch_size: examples per optimiser step, over all devices and accumulated batches.
        num_workers: processes that read, per device; 0: the training process itself reads; None: as many as the processors allow, up to 8
            per GPU, or 2 where the processors train.
    """

    batch_size: int = 256
    num_workers: int | None = None


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in a whole track; 0: nothing. Time and pitch change alike in all stems, level and colour in each by itself.

    Args:
        level_db: the gain of each stem, in dB, is sampled between minus and plus this.
        eq_db: each stem is filtered by a smooth random curve between minus and plus this many dB.
        pitch_semitones: the track is resampled by a factor of at most this many semitones up or down; the same factor for all stems.
        effects_probability: of each of the following effects, for each stem by itself.
        drive_db: saturation, by a soft clipping whose drive is sampled between 0 and this.
        room_seconds: reverberation whose time is sampled between a tenth of this and this, and whose level between -25 and -5 dB.
        noise_snr_db: white noise whose signal-to-noise ratio is sampled between this and 60 dB.
        lowpass_hz: a steep low-pass whose corner is sampled between this and 16 kHz.
    """

    level_db: float = 0.0
    eq_db: float = 0.0
    pitch_semitones: float = 0.0
    effects_probability: float = 0.5
    drive_db: float = 0.0
    room_seconds: float = 0.0
    noise_snr_db: float = 0.0
    lowpass_hz: float = 0.0

    def __post_init__(self) -> None:
        share = f"data.augmentation.effects_probability {self.effects_probability}"
        check(0 <= self.effects_probability <= 1, share, "it must be from 0 to 1")
        for name, lowest, highest in (("drive_db", 0, 60), ("room_seconds", 0, 10), ("noise_snr_db", -60, 60), ("lowpass_hz", 0, 1e6)):
            value = getattr(self, name)
            check(lowest <= value <= highest, f"data.augmentation.{name} {value}", f"it must be from {lowest} to {highest:g}; 0: without")

    @property
    def has_effects(self) -> bool:
        """Whether a stem may have an effect."""
        return self.effects_probability > 0 and any((self.drive_db, self.room_seconds, self.noise_snr_db, self.lowpass_hz))


@dataclass(frozen=True)
class Data:
    """The stems to train on.

    Args:
        data_path: folder, searched recursively for tracks, or several. Of a folder with a ``meta.json``, as ``jukemir-like process``
            writes it, the train split is used.
        shares: one number per folder: how many of the examples are of its tracks, relative to the others; none: as many as it has tracks.
        valid_path: folder of held-out tracks; None: the valid split of ``meta.json``, else ``valid_fraction`` of the tracks.
        valid_fraction: fraction of the tracks to hold out, selected by the seed.
        sources: names of the stems, in the order of the channels; None: those of ``dataset.json`` next to ``meta.json``, else bass, drums,
            other, vocals for four stems, else stem0, stem1, ….
        stems: ``usual``: all tracks have the same, ``model.predictor.num_sources`` of them; ``instruments``: each has its own, two or
            more, and the weights get an instrument for each name in the tracks to train on.
        held_out: with ``stems`` ``instruments``, families (strings, brass, …) and names of instruments that are not heard in training, as
            targets or in mixes, and that the weights do not get.
        chunks_per_track: examples in a row that are of one track, at places of their own. Two or more are what ``objective.track_weight``
            needs.
        context: how the mix is sampled from the other active stems: ``uniform``, ``max`` (all of them), ``one``, ``one-plus``.
        synonyms: with ``model.predictor.instruments=text``, say the name of an example's instrument by a synonym at random, from the seed
            (``stemjepa/instrument_names.csv``); False: always as it is.
        silence_db: a stem is active in a chunk if its peak there exceeds its loudest peak in the track plus this (negative) number of dB.
        statistics: measure mean and standard deviation of the log-mel before training; False: use the model's own.
        local_dir: copy the data to this node's disk first.
        dataloader: how examples are fetched.
        augmentation: what is changed at random.
    """

    data_path: tuple[str, ...] | str = ""
    shares: tuple[float, ...] = ()
    valid_path: str | None = None
    valid_fraction: float = 0.05
    sources: tuple[str, ...] | None = None
    stems: str = KINDS[0]
    held_out: tuple[str, ...] = ()
    chunks_per_track: int = 1
    context: str = "uniform"
    synonyms: bool = True
    silence_db: float = -40.0
    statistics: bool = True
    local_dir: bool = False
    dataloader: Dataloader = field(default_factory=Dataloader)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.sources is not None:
            object.__setattr__(self, "sources", tuple(self.sources))
        if not isinstance(self.data_path, str):
            folders = tuple(self.data_path) if isinstance(self.data_path, list | tuple) else ()
            given = all(isinstance(folder, str) and folder for folder in folders) and folders
            check(bool(given), f"data.data_path is {self.data_path!r}", "give a path, or a list of paths")
            object.__setattr__(self, "data_path", folders)
        _check_shares(self)
        _check_stems(self)
        check(self.chunks_per_track > 0, f"data.chunks_per_track {self.chunks_per_track}", "it must be above 0")
        check(self.context in CONTEXTS, f"data.context {self.context!r}", f"choose one of {', '.join(CONTEXTS)}")

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of ``data_path``; none where it is empty."""
        return ((self.data_path,) if self.data_path else ()) if isinstance(self.data_path, str) else self.data_path


def _check_stems(data: Data) -> None:
    """Turns ``held_out`` into a tuple, and checks it and ``stems``."""
    check(data.stems in KINDS, f"data.stems {data.stems!r}", f"choose {' or '.join(KINDS)}")
    held_out = (data.held_out,) if isinstance(data.held_out, str) else tuple(data.held_out)
    check(all(isinstance(name, str) and name.strip() for name in held_out), f"data.held_out {list(held_out)}", "give names")
    own = data.stems == "instruments"
    check(own or not held_out, f"data.held_out with data.stems={data.stems}", "it is for data.stems=instruments")
    check(not own or data.sources is None, "data.sources with data.stems=instruments", "leave it out: the tracks name their stems")
    object.__setattr__(data, "held_out", held_out)


def _check_shares(data: Data) -> None:
    """Turns ``shares`` into a tuple of floats, and checks them."""
    shares = data.shares if isinstance(data.shares, list | tuple) else (data.shares,)
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) for share in shares)
    check(numbers and all(0 < share < math.inf for share in shares), f"data.shares {list(shares)}", "give numbers above 0")
    object.__setattr__(data, "shares", tuple(map(float, shares)))
    fits = not shares or len(shares) == len(data.folders) > 1
    check(fits, f"data.shares are {len(shares)}, data.data_path has {len(data.folders)} folders", "give one per folder")
    least = min(shares, default=1) / (sum(shares) or 1)
    check(least >= SMALLEST_SHARE, f"data.shares {list(shares)}: the least is {least:.2g} of all", f"make it {SMALLEST_SHARE} or more")
