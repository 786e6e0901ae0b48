"""Song i of a synthband: its plan, the parts of its four stems and its loudness."""

from __future__ import annotations

from dataclasses import dataclass

from jukemir_like.synthband import artist
from jukemir_like.synthband.accompaniment import accompaniment
from jukemir_like.synthband.bass import bass
from jukemir_like.synthband.drums import drums
from jukemir_like.synthband.melody import melody
from jukemir_like.synthband.plan import Plan, make_plan
from jukemir_like.synthband.score import STEMS, Part
from jukemir_like.synthband.seeding import stream


@dataclass(frozen=True)
class Song:
    """A composed song.

    Args:
        seed: of the dataset.
        index: of the song in it.
        plan: tempo, key, form and chords.
        stems: the parts of each of :data:`~jukemir_like.synthband.score.STEMS`.
        loudness: root mean square of the mono mix to be rendered, in dB of full scale.
    """

    seed: int
    index: int
    plan: Plan
    stems: dict[str, tuple[Part, ...]]
    loudness: float


def compose(seed: int, index: int) -> Song:
    """Composes song ``index`` of the dataset with ``seed``. Depends on nothing else.

    >>> song = compose(0, 0)
    >>> song.plan.role.genre, sorted(song.stems)
    ('bossa', ['bass', 'drums', 'other', 'vocals'])
    """
    role = artist.role(seed, index)
    plan = make_plan(role, artist.sound(seed, role.artist, role.genre), stream(seed, "plan", index))
    players = {"bass": bass, "drums": drums, "other": accompaniment, "vocals": melody}
    stems = {stem: tuple(players[stem](plan, stream(seed, stem, index))) for stem in STEMS}
    loudness = -32.0 + 8.0 * plan.energy + float(stream(seed, "loudness", index).normal(0, 1.0))
    return Song(seed, index, plan, stems, round(min(max(loudness, -35.0), -23.0), 2))
