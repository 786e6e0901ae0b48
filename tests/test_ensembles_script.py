"""The script that writes songs for any instruments: MIDI files that `process midi` takes."""

import runpy
from pathlib import Path

from jukemir_like.midi import reading
from jukemir_like.synthband.editions import SECOND
from jukemir_like.synthband.song import compose

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "scripts" / "ensembles.py"))


def written(folder, *words):
    assert SCRIPT["main"]([str(folder), "--songs", "3", "--seconds", "7", *words]) == 0
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.mid"))}


def test_each_song_has_its_drums_a_bass_and_other_instruments_none_of_them_twice(tmp_path):
    files = written(tmp_path / "a")
    assert written(tmp_path / "b") == files
    assert written(tmp_path / "c", "--seed", "1") != files
    for index in range(3):
        song = compose(0, index, SECOND)
        content = files[f"artist {song.plan.role.artist:03d}/song {index:05d}.mid"]
        instruments = reading.parse(content)
        assert 2 <= len(instruments) <= sum(map(len, song.stems.values()))
        assert reading.end_seconds(instruments) <= 7.01
        programs = [instrument.program for instrument in instruments if not instrument.is_drums]
        assert len(set(programs)) == len(programs)
        assert sum(program in range(32, 40) for program in programs) <= 1
        assert all(any(program in family for family in SCRIPT["FAMILIES"]) or program in range(32, 40) for program in programs)
