"""The first edition is what it was; the second differs in the ways that it says, and its labels are those of what is played."""

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from jukemir_like.synthband.editions import FIRST, SECOND
from jukemir_like.synthband.feel import AS_WRITTEN
from jukemir_like.synthband.labels import annotation
from jukemir_like.synthband.plan import SECONDS, STEMS
from jukemir_like.synthband.rendering import render
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.song import compose, perform

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "synthband_first_edition.json").read_text())
RATE = 22050


@pytest.fixture(scope="module")
def second():
    return [compose(0, index, SECOND) for index in range(60)]


def sha256(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def events(index):
    song = compose(0, index)
    played = []
    for stem in STEMS:
        for number, part in enumerate(song.stems[stem]):
            performed = perform(part, song.plan, song.plan.late_seconds(stem), stream(0, f"performance {stem}", index, number))
            played.append([stem, number, [[*event[:4], round(event.value, 3)] for event in performed]])
    return played


def test_the_first_edition_is_composed_and_performed_as_recorded():
    assert sha256([annotation(compose(0, index)) for index in range(40)]) == RECORDED["annotations"]
    assert {index: sha256(events(int(index))) for index in RECORDED["events"]} == RECORDED["events"]


def test_the_first_edition_sounds_as_recorded():
    """To the bit with the versions that it was recorded with; else nearly: the last bits of elementary functions are theirs."""
    pytest.importorskip("tinysoundfont")
    here = {name: metadata.version(name) for name in RECORDED["versions"]}, platform.machine()
    same_versions = here == (RECORDED["versions"], RECORDED["machine"])
    for index in list(RECORDED["audio"])[:1]:
        stems = render(compose(0, int(index)))
        assert stems[:, 5000::40000] == pytest.approx(np.array(RECORDED["samples"][index]), abs=3e-4)
        if same_versions:
            assert hashlib.sha256(stems.tobytes()).hexdigest() == RECORDED["audio"][index]


def test_the_first_edition_is_as_written_and_the_second_the_same_songs(second):
    for song in second:
        first = compose(0, song.index, FIRST)
        assert (first.plan.feel.drift, first.plan.feel.place("bass"), first.plan.tuning_hertz) == ((), 0.0, 440.0)
        assert (first.plan.feel.looseness, first.plan.feel.touch, first.plan.feel.wander) == (1.0, 1.0, AS_WRITTEN.wander)
        assert (song.plan.role, song.plan.bpm, song.plan.spans) == (first.plan.role, first.plan.bpm, first.plan.spans)
        assert song.stems["bass"] == first.stems["bass"]


def test_the_tempo_is_the_mean_of_what_the_drums_play_and_drifts_as_far_as_is_said(second):
    """Beats by the onsets of drums that are written on beats; their spacing, and how it changes."""
    moved = 0
    for song in second[:40]:
        plan = song.plan
        (kit, *_) = song.stems["drums"]
        written = [note.start for note in kit.notes]
        notes = perform(kit, plan, plan.late_seconds("drums"), np.random.default_rng(0))
        starts = sorted(event.sample / RATE for event in notes if event.order == 2)
        on_beats = sorted({beat for beat in written if beat == int(beat) and plan.seconds(beat) < SECONDS})
        onsets = [min(starts, key=lambda start, beat=beat: abs(start - plan.seconds(beat))) for beat in on_beats]
        spacing = (onsets[-1] - onsets[0]) / (on_beats[-1] - on_beats[0])
        assert 60 / spacing == pytest.approx(plan.bpm, rel=0.015), song.index
        record = annotation(song)
        assert record["y"]["tempo"] == [plan.bpm]
        beats = np.array(record["extra"]["beats"])
        local = 60 / np.diff(beats)
        assert np.abs(plan.bpm / local - 1).max() <= record["extra"]["tempo_deviation"] + 1e-3
        # From beat 0 to the end of the recording there are as many beats as the label says.
        end = (SECONDS - plan.upbeat_seconds) * plan.bpm / 60
        assert np.interp(SECONDS, [plan.seconds(b) for b in np.arange(0, end + 2)], np.arange(0, end + 2)) == pytest.approx(end, abs=0.15)
        moved += np.std(local) / plan.bpm > 0.003
        assert record["extra"]["tempo_deviation"] <= 0.08
        assert plan.role.genre != "house" or not plan.feel.drift
    assert 12 < moved < 40


def test_swing_is_where_the_offbeats_are(second):
    swings = []
    for song in second:
        plan, unit = song.plan, song.plan.swing_unit
        pairs = [(plan.seconds(n * unit), plan.seconds((n + 0.5) * unit), plan.seconds((n + 1) * unit)) for n in range(12)]
        assert np.mean([(off - on) / (after - on) for on, off, after in pairs]) == pytest.approx(plan.swing, abs=0.004)
        assert annotation(song)["extra"]["swing"] == pytest.approx(plan.swing, abs=1e-4)
        assert ("swing" in annotation(song)["y"]["tags"]) == (plan.swing >= 0.56)
        swings.append(plan.swing)
    first = [compose(0, song.index).plan.swing for song in second]
    assert sum(swing > 0.505 for swing in swings) > sum(swing > 0.505 for swing in first) + 2
    assert max(swings) <= 0.7


def test_players_wander_more_or_less_by_artist(second):
    """The part of a deviation that the one before predicts, and the sizes."""
    looseness = {song.plan.role.artist: song.plan.feel.looseness for song in second}
    wander = [song.plan.feel.wander for song in second[::4]]
    assert len(set(looseness.values())) == len(looseness)
    assert min(looseness.values()) >= 0.6
    assert max(looseness.values()) <= 1.8
    assert (min(wander) >= 0.2, max(wander) <= 0.9) == (True, True)
    tunings = {song.plan.role.artist: song.plan.tuning_hertz for song in second}
    assert all(435 <= hertz <= 445 for hertz in tunings.values())
    assert np.ptp(list(tunings.values())) > 7
