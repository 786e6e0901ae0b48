"""Which soundfonts a folder holds, what they say of themselves, and which one a song gets."""

import collections
import hashlib
import shutil

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.midi import soundfonts
from jukemir_like.midi.soundfonts import Soundfont, default_path, draw, find

pytest.importorskip("tinysoundfont")


def test_the_one_that_comes_with_pretty_midi_is_the_default():
    (font,) = find()
    assert (font.path.name, font.name, font.copyright) == ("TimGM6mb.sf2", "TimGM6mb", "GPL-2.0")
    assert font.sha256 == hashlib.sha256(font.path.read_bytes()).hexdigest()
    assert font.to_json() == {"file": "TimGM6mb.sf2", "sha256": font.sha256, "name": "TimGM6mb", "copyright": "GPL-2.0"}


def test_those_of_a_folder_are_found_once_each_and_in_sub_folders(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("b.SF2", "more/a.sf3", ".hidden.sf2", "notes.txt"):
        shutil.copy(default_path(), tmp_path / name)
    with open(tmp_path / "other.sf2", "wb") as file:
        file.write(default_path().read_bytes() + b"\0\0")
    found = find(tmp_path)
    assert len(found) == 2
    assert [font.sha256 for font in found] == sorted({hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.[Ss]*")})


def test_the_copyright_is_what_the_file_says(tmp_path):
    content = default_path().read_bytes()
    place = content.index(b"INAM")
    length = int.from_bytes(content[place + 4 : place + 8], "little")
    changed = content[:place] + b"ICOP" + content[place + 4 : place + 8] + b"CC BY 4.0".ljust(length, b"\0") + content[place + 8 + length :]
    (tmp_path / "mine.sf2").write_bytes(changed)
    (font,) = find(tmp_path)
    assert (font.name, font.copyright) == ("mine", "CC BY 4.0")


def test_folders_without_soundfonts_and_damaged_ones_are_refused(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=r"is not a folder: give --soundfonts a folder of \.sf2"):
        find(tmp_path / "missing")
    with pytest.raises(RequestError, match="holds no soundfont"):
        find(tmp_path)
    for content in (b"", b"RIFF", default_path().read_bytes()[:5000]):
        (tmp_path / "bad.sf2").write_bytes(content)
        with pytest.raises(RequestError, match=r"bad\.sf2 is no soundfont, or damaged"):
            find(tmp_path)
    for missing in ("tinysoundfont", "pretty_midi"):
        monkeypatch.setattr(soundfonts, "find_spec", lambda name, missing=missing: None if name == missing else object())
        with pytest.raises(RequestError, match=f"{missing} is not installed"):
            find(tmp_path)


def test_every_soundfont_is_drawn_and_the_seed_decides(tmp_path):
    fonts = [Soundfont(tmp_path / name, name, name, "") for name in "abc"]
    songs = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    drawn = [draw(fonts, 0, song) for song in songs]
    counts = collections.Counter(font.name for font in drawn)
    assert min(counts[font.name] for font in fonts) > 40  # of 200 / 3; less has a probability below 1e-4
    assert drawn == [draw(fonts, 0, song) for song in songs]
    assert drawn != [draw(fonts, 1, song) for song in songs]


def test_only_soundfonts_that_have_the_instruments_are_drawn(tmp_path):
    fonts = [Soundfont(tmp_path / name, name, name, "", families) for name, families in (("a", {0, 16}), ("b", {0, 4, 16}), ("c", {0, 4}))]
    songs = [hashlib.sha256(bytes([number])).hexdigest() for number in range(100)]
    assert {draw(fonts, 0, song, {0, 4}).name for song in songs} == {"b", "c"}
    assert {draw(fonts, 0, song, {0}).name for song in songs} == {"a", "b", "c"}
    assert draw(fonts, 0, songs[0], {5}) is None


def test_the_default_has_all_families():
    assert find()[0].families == set(range(17))
