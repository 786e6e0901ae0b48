"""synthband2: the same bytes with any number of workers; soundfonts that are drawn, recorded, missing, damaged; tuned as it says."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.downloads.declarations import declaration_folder
from jukemir_like.midi.soundfonts import Soundfont, default_path, find
from jukemir_like.process import process
from jukemir_like.synthband import generation, recording
from jukemir_like.synthband.casting import cast, presets
from jukemir_like.synthband.editions import EDITIONS, SECOND
from jukemir_like.synthband.labels import TAGS, TASKS
from jukemir_like.synthband.plan import Note, Part
from jukemir_like.synthband.song import compose

pytest.importorskip("tinysoundfont")

RATE = 22050


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".records" not in path.parts
    }


def add_soundfont(folder, name="other.sf2", more=b"\0\0"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(default_path().read_bytes() + more)
    return folder


@pytest.fixture(scope="module")
def fonts(tmp_path_factory):
    return add_soundfont(tmp_path_factory.mktemp("soundfonts"))


@pytest.fixture(scope="module")
def folder(fonts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthband2")
    summary = generation.generate(folder, songs=2, seed=4, edition="synthband2", soundfonts=fonts)
    assert (summary.done, summary.failed) == (2, {})
    return folder


def test_the_number_of_workers_does_not_change_a_byte(folder, fonts, tmp_path):
    generation.generate(tmp_path, songs=2, seed=4, workers=2, edition="synthband2", soundfonts=fonts)
    assert contents(tmp_path) == contents(folder)
    kept = generation.generate(tmp_path, songs=2, seed=4, edition="synthband2", soundfonts=fonts)
    assert (kept.done, kept.kept) == (0, 2)
    assert contents(tmp_path) == contents(folder)


def test_what_is_recorded_of_a_song_is_there(folder, fonts):
    described = json.loads((folder / "synthband2.json").read_text())
    there = {font.sha256: font.to_json() for font in [*find(), *find(fonts)]}
    assert len(there) == 2
    assert described["soundfonts"] == [there[digest] for digest in sorted(there)]
    for line in (folder / "annotations.jsonl").read_text().splitlines():
        extra = json.loads(line)["extra"]
        assert set(extra["soundfonts"]) == {"bass", "drums", "other", "vocals"}
        assert all(font == there[font["sha256"]] for font in extra["soundfonts"].values())
        assert len(extra["production"]["channels"]) == 4
        assert 435 <= extra["tuning_hertz"] <= 445


def test_it_is_a_dataset_as_the_first_edition(folder, tmp_path):
    mono, stems = generation.dataset(folder, "synthband2"), generation.stems_dataset(folder, "synthband2_stems")
    assert (mono.name, set(mono.tasks), mono.group) == ("synthband2", set(TASKS), "artist")
    assert stems.stems == ("bass", "drums", "other", "vocals")
    assert list(mono.sources) == ["synthband2"]
    summary = process(stems, tmp_path / "stems")
    assert (summary.done, summary.failed) == (2, {})
    with pytest.raises(RequestError, match="run `jukemir-like download synthband2`"):
        generation.dataset(tmp_path, "synthband2")


def test_other_soundfonts_or_another_seed_in_the_folder_are_refused_in_one_line(folder, fonts, tmp_path):
    for options, what in (({"soundfonts": None}, "other soundfonts"), ({"soundfonts": fonts, "seed": 5}, "synthband2 with seed 4, not 5")):
        with pytest.raises(RequestError, match=what) as caught:
            generation.generate(folder, songs=2, edition="synthband2", **{"seed": 4, **options})
        assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match="--soundfonts is for synthband2"):
        generation.generate(tmp_path, songs=1, soundfonts=fonts)


def test_a_damaged_soundfont_is_left_out_and_named_and_the_rest_goes_on(folder, fonts, tmp_path):
    mixed = tmp_path / "fonts"
    shutil.copytree(fonts, mixed)
    (mixed / "bad.sf2").write_bytes(default_path().read_bytes()[:5000])
    copied = shutil.copytree(folder, tmp_path / "copy")
    summary = generation.generate(copied, songs=2, seed=4, edition="synthband2", soundfonts=mixed)
    assert summary.kept == 2  # nothing else is drawn
    assert [note for note in summary.notes if "bad.sf2 is no soundfont, or damaged: left out" in note]
    assert [note for note in summary.notes if note.startswith("soundfonts: TimGM6mb, ") or note.endswith(", TimGM6mb")]
    (mixed / "other.sf2").unlink()
    for bad, what in ((mixed, "holds no soundfont that can be used: .*bad.sf2"), (tmp_path / "none", "is not a folder: give --soundfonts")):
        with pytest.raises(RequestError, match=what) as caught:
            generation.generate(tmp_path / "new", songs=1, edition="synthband2", soundfonts=bad)
        assert "\n" not in str(caught.value)


def test_the_command_says_which_soundfonts_play(command, tmp_path):
    done = command("download", "synthband2", "--songs", "1", "--workers", "1", "--cache", tmp_path)
    assert (done.returncode, "soundfonts: TimGM6mb; --soundfonts DIR adds those of a folder" in done.stdout) == (0, True)
    refused = command("download", "synthband", "--soundfonts", tmp_path, "--cache", tmp_path)
    assert (refused.returncode, "--soundfonts is for synthband2" in refused.stderr) == (2, True)


@pytest.fixture(scope="module")
def many():
    (full,) = find()
    few = full.presets - {(128, 32), (0, 52)}
    return [replace(full, sha256=letter * 64, name=letter, presets=few if letter == "c" else full.presets) for letter in "abc"]


def test_an_artist_keeps_its_soundfonts_in_most_songs_and_those_without_the_programs_are_not_drawn(many):
    songs = [compose(0, index, SECOND) for index in range(80)]
    chosen = [cast(song, many) for song in songs]
    for stem in ("bass", "drums", "other", "vocals"):
        drawn = [fonts[stem].name for fonts in chosen]
        assert all(drawn.count(letter) > 4 for letter in "abc")
        same = [drawn[first] == drawn[first + more] for first in range(0, 80, 4) for more in (1, 2, 3)]
        assert 0.6 < np.mean(same) < 0.97  # 1/3 if drawn for each song
    for song, fonts in zip(songs, chosen, strict=True):
        needed = presets(song)
        assert all(needed[stem] <= font.presets for stem, font in fonts.items())
        assert fonts == cast(song, many[::-1])
    with pytest.raises(RequestError, match="no soundfont has the instruments of bass"):
        cast(songs[0], [Soundfont(many[0].path, "", "", "", presets=frozenset())])


def test_what_a_soundfont_has_and_does_not_sound_is_played_by_the_usual_one(monkeypatch):
    (usual,) = find()
    mute = replace(usual, sha256="0" * 64, name="mute")
    heard = np.zeros(recording.SAMPLES, np.float32)
    heard[::100] = 0.1
    monkeypatch.setattr(recording, "_stem", lambda song, stem, font: heard if font is usual else 0 * heard)
    monkeypatch.setattr(recording, "produce", lambda stems, rate, artist_seed, song_seed: (stems, {}))
    _, facts = recording.record(compose(0, 0, SECOND), [mute, usual])
    assert {font["name"] for font in facts["soundfonts"].values()} == {"TimGM6mb"}


def test_instruments_are_in_the_tuning_that_is_recorded():
    """The frequency of a rendered tone, by the spectrum, against the same tone at 440 Hz."""
    (font,) = find()
    song = compose(0, 0, SECOND)
    tone = Part(19, (Note(0.0, 12.0, 69, 100),))

    def frequency(hertz):
        one = replace(song, plan=replace(song.plan, tuning_hertz=hertz), stems={**song.stems, "other": (tone,)})
        samples = recording._stem(one, "other", font)[RATE : 3 * RATE]
        return np.argmax(np.abs(np.fft.rfft(samples * np.hanning(2 * RATE), 1 << 20))) * RATE / (1 << 20)

    usual = frequency(440.0)
    assert round(12 * np.log2(usual / 440)) % 12 == 0
    for hertz in (435.0, song.plan.tuning_hertz, 445.0):
        assert frequency(hertz) / usual == pytest.approx(hertz / 440, abs=2e-4)


def test_what_is_declared_is_what_is_given():
    folder = declaration_folder("synthband2")
    declared = json.loads((folder / "dataset.json").read_text())
    assert declared["tasks"] == {name: task.to_json() for name, task in TASKS.items()}
    assert set(declared["clip"]) == {"synthband2", "synthband2_stems"}
    assert list(EDITIONS) == ["synthband", "synthband2"]
    assert len(TAGS) == 43
    assert "synthetic" in (folder / "card.md").read_text()
