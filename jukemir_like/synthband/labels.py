"""The labels of a song: key, genre, tags, emotion and tempo, all computed from its composition."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from jukemir_like.datasets.dataset import KEYS, Task
from jukemir_like.synthband import artist
from jukemir_like.synthband.artist import Sound
from jukemir_like.synthband.casting import presets, singer_of
from jukemir_like.synthband.genres import BRUSH, ELECTRONIC, JAZZ, NAMES, ORCHESTRA, POWER, ROOM, STANDARD, TR808
from jukemir_like.synthband.plan import SECONDS, Plan
from jukemir_like.synthband.rounding import rounded
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.song import Song

INSTRUMENTS: dict[str, tuple[int, ...]] = {
    "piano": (0, 1, 3),
    "electric piano": (4, 5),
    "harpsichord or clavinet": (6, 7),
    "mallets": (11,),
    "organ": (16, 17, 18, 19),
    "acoustic guitar": (24, 25),
    "electric guitar": (26, 27, 28),
    "distorted guitar": (29, 30),
    "strings": (40, 45, 48, 49, 50, 51, 110),
    "brass and reeds": (22, 21, 59, 61, 62, 66, 68, 71, 73),
    "synthesizer": (81, 88, 89, 90, 94, 95),
    "banjo": (105,),
    "acoustic bass": (32, 42, 43, 70),
    "electric bass": (33, 34, 35),
    "slap bass": (36, 37),
    "synth bass": (38, 39),
    "choir voice": (52, 53),
    "synth voice": (54, 85, 91),
}
"""Tags of instruments → the programs that give them, in whichever stem they play."""

KITS = {
    "acoustic kit": (STANDARD, ROOM, POWER),
    "electronic kit": (ELECTRONIC, TR808),
    "jazz kit": (JAZZ, BRUSH),
    "orchestral percussion": (ORCHESTRA,),
}
REVERBERANT_ABOVE, DRY_BELOW = 0.28, 0.06
SLOW_BELOW, FAST_FROM = 84.0, 124.0
SPARSE_BELOW, DENSE_FROM = 14.0, 22.0
TAGS = (
    *INSTRUMENTS,
    *KITS,
    *("hand percussion", "slow", "medium tempo", "fast", "swing", "waltz", "major", "minor", "seventh chords", "power chords"),
    *("sparse", "dense", "loud", "quiet", "reverberant", "dry", "arpeggios", "sustained chords", "busy drums", "high voice", "low voice"),
)
EMOTIONS = ("arousal", "valence")
ANNOTATOR_NOISE = 0.25
TASKS = {
    "key": Task("key", "key", KEYS),
    "genre": Task("genre", "multiclass", NAMES),
    "tags": Task("tags", "multilabel", TAGS),
    "emotion": Task("emotion", "regression", EMOTIONS),
    "tempo": Task("tempo", "regression", ("bpm",)),
}

_HAND_PERCUSSION = frozenset(range(60, 84)) | {54, 56, 85}
_ARPEGGIOS = ("arp8", "arp16", "alberti", "pick", "loop")


def annotation(song: Song, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """The whole record of a song, as JSON values: ``uid``, ``split``, ``y`` (one entry per task) and ``extra``.

    Args:
        song: composed.
        facts: what is known since it was rendered, of an edition that is wide: a part of ``extra``. Without them the tags
            ``reverberant`` and ``dry`` are those of the artist's room in the first edition.
    """
    role, plan = song.plan.role, song.plan
    measured = measures(song)
    formula = emotion(measured["bpm"], role.mode, measured["density"], measured["register"], measured["loudness"])
    noise = stream(song.seed, "annotators", song.index).normal(0, ANNOTATOR_NOISE, 2)
    return {
        "uid": f"{song.index:05d}",
        "split": role.split,
        "y": {
            "key": KEYS[role.key],
            "genre": role.genre,
            "tags": tags(song, measured, facts),
            "emotion": [round(value + float(error), 4) for value, error in zip(formula, noise, strict=True)],
            "tempo": [measured["bpm"]],
        },
        "extra": {
            "artist": artist.name(role.artist),
            "mode": role.mode,
            **measured,
            "emotion_formula": [round(value, 4) for value in formula],
            "beats_per_bar": plan.beats_per_bar,
            "downbeat_seconds": round(plan.upbeat_seconds, 4),
            "sections": [section.name for section in plan.sections],
            "programs": {stem: [[part.bank, part.program] for part in parts] for stem, parts in song.stems.items()},
            **(_performance(song) if song.edition.is_wide else {}),
            **(facts or {}),
        },
    }


def _performance(song: Song) -> dict[str, Any]:
    """How a song of a wide edition is played and sung."""
    plan, singer = song.plan, singer_of(song)
    return {
        "tuning_hertz": plan.tuning_hertz,
        "swing": round(plan.swing, 4),
        "tempo_deviation": round(plan.feel.steepest, 5),
        "beats": _beats(plan),
        "singer": {} if singer is None else rounded(asdict(singer)),
    }


def _beats(plan: Plan) -> list[float]:
    """When the beats sound, in seconds, from the first that the recording has."""
    count = math.ceil((SECONDS - plan.upbeat_seconds) * plan.bpm / 60) + 1
    return [round(seconds, 4) for seconds in map(plan.seconds, map(float, range(count))) if seconds < SECONDS]


def measures(song: Song) -> dict[str, float]:
    """The quantities in the formula of emotion.

    Returns:
        ``bpm``; ``density``: notes of all stems that begin within the recording, per second (a chord of four is four notes);
        ``register``: mean MIDI pitch of the vocals' notes; ``loudness``: of the mono mix in dB of full scale.
    """
    audible = {
        stem: [note for part in parts for note in part.notes if _begins(song, stem, note.start)] for stem, parts in song.stems.items()
    }
    sung = audible["vocals"]
    return {
        "bpm": song.plan.bpm,
        "density": round(sum(map(len, audible.values())) / SECONDS, 3),
        "register": round(sum(note.pitch for note in sung) / max(len(sung), 1), 3),
        "loudness": song.loudness,
    }


def emotion(bpm: float, mode: str, density: float, register: float, loudness: float) -> tuple[float, float]:
    """Arousal and valence before the annotators' noise; about −2 to 2, 0 is neutral.

    With ``tempo = log2(bpm / 105)``, ``d = (density − 18) / 8``, ``r = (register − 65) / 5``, ``l = (loudness + 28) / 3`` and ``m`` 1 in
    major, −1 in minor::

        arousal = 0.7 tempo + 0.35 d + 0.1 r + 0.3 l
        valence = 0.5 m + 0.35 tempo + 0.2 r + 0.1 d

    >>> emotion(105.0, "major", 18.0, 65.0, -28.0)
    (0.0, 0.5)
    """
    tempo, d, r, l = math.log2(bpm / 105), (density - 18) / 8, (register - 65) / 5, (loudness + 28) / 3  # noqa: E741
    m = 1 if mode == "major" else -1
    return 0.7 * tempo + 0.35 * d + 0.1 * r + 0.3 * l, 0.5 * m + 0.35 * tempo + 0.2 * r + 0.1 * d


def tags(song: Song, measured: dict[str, float], facts: dict[str, Any] | None = None) -> list[str]:
    """The tags that a song has, in the order of :data:`TAGS`."""
    plan = song.plan
    reverberation = _reverberation(plan.sound, (facts or {}).get("production"))
    parts = [part for parts in song.stems.values() for part in parts if part.notes]
    melodic = {part.program for part in parts if not part.bank} | {program for bank, program in presets(song)["vocals"] if not bank}
    patterns = {part.pattern for part in song.stems["other"] if part.notes}
    kit = next(part for part in song.stems["drums"] if part.bank)
    symbols = [span.chord for span in plan.spans if plan.seconds(span.start) < SECONDS]
    strokes = sum(_begins(song, "drums", note.start) for note in kit.notes) / SECONDS
    has = {name: bool(melodic.intersection(programs)) for name, programs in INSTRUMENTS.items()}
    has |= {name: kit.program in presets for name, presets in KITS.items()}
    has |= {
        "hand percussion": sum(note.pitch in _HAND_PERCUSSION for note in kit.notes) > 8,
        "slow": plan.bpm < SLOW_BELOW,
        "medium tempo": SLOW_BELOW <= plan.bpm < FAST_FROM,
        "fast": plan.bpm >= FAST_FROM,
        "swing": plan.swing >= 0.56,
        "waltz": plan.beats_per_bar == 3,
        "major": plan.role.mode == "major",
        "minor": plan.role.mode == "minor",
        "seventh chords": sum(len(chord.intervals) > 3 for chord in symbols) > len(symbols) / 2,
        "power chords": bool(patterns & {"power", "chug", "gallop", "boogie"}),
        "sparse": measured["density"] < SPARSE_BELOW,
        "dense": measured["density"] >= DENSE_FROM,
        "loud": song.loudness >= -26.0,
        "quiet": song.loudness < -30.0,
        "reverberant": reverberation > REVERBERANT_ABOVE,
        "dry": reverberation < DRY_BELOW,
        "arpeggios": bool(patterns.intersection(_ARPEGGIOS)),
        "sustained chords": "pad" in patterns,
        "busy drums": strokes >= 11.0,
        "high voice": measured["register"] >= 67.0,
        "low voice": measured["register"] < 62.0,
    }
    return [name for name in TAGS if has[name]]


def _reverberation(sound: Sound, production: dict[str, Any] | None) -> float:
    """Seconds until the room has decayed by 60 dB, times its level against the direct sound: the studio's, on average of the stems."""
    if production is None:
        return sound.reverberation_seconds * sound.wetness
    sends = [10 ** (channel["send"] / 20) for channel in production["channels"]]
    return float(production["room"]["seconds"] * sum(sends) / len(sends))


def _begins(song: Song, stem: str, beat: float) -> bool:
    return song.plan.seconds(beat) + song.plan.late_seconds(stem) < SECONDS
