"""The script of `make demo`: the mix lacks its bass and nothing else, and what goes wrong on the way ends it."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like.core.stems import STEMS

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "scripts" / "demo.py"))
RATE = 8000
BASS = STEMS.index("bass")


@pytest.fixture
def processed(tmp_path):
    """``processed({uid: (split, stems that are silent)})``: a processed dataset of songs of noise, 1 s each."""

    def write(songs, loudness=0.2):
        folder = tmp_path / "processed"
        (folder / "wav").mkdir(parents=True)
        random = np.random.default_rng(0)
        for uid, (_, silent) in songs.items():
            samples = random.uniform(-loudness, loudness, (RATE, len(STEMS)))
            samples[:, [STEMS.index(stem) for stem in silent]] = 0
            soundfile.write(folder / "wav" / f"{uid}.wav", samples, RATE)
        (folder / "meta.json").write_text(json.dumps({uid: {"split": split} for uid, (split, _) in songs.items()}))
        return folder

    return write


def test_the_song_is_the_first_of_split_test_that_has_all_stems(processed, tmp_path):
    songs = {"4": ("test", ()), "1": ("train", ()), "2": ("test", ("vocals",)), "0": ("valid", ()), "3": ("test", ())}
    assert SCRIPT["write_stems"](processed(songs), tmp_path / "demo") == tmp_path / "demo" / "synthband 3.wav"
    written = {path.relative_to(tmp_path / "demo" / "library").as_posix() for path in (tmp_path / "demo" / "library").rglob("*.wav")}
    assert written == {f"synthband {uid}/{stem}.wav" for uid in songs for stem in STEMS}


@pytest.mark.parametrize("loudness", [0.2, 0.9])
def test_the_mix_is_the_sum_of_the_other_stems(processed, tmp_path, loudness):
    """As quiet as its peaks need, where these would go over full scale."""
    folder = processed({"0": ("test", ())}, loudness)
    mix = soundfile.read(SCRIPT["write_stems"](folder, tmp_path / "demo"))[0]
    stems = soundfile.read(folder / "wav" / "0.wav")[0].T
    others = sum(samples for number, samples in enumerate(stems) if number != BASS)
    assert (abs(others).max() > 1) == (loudness == 0.9)
    np.testing.assert_allclose(mix, others / max(1, abs(others).max()), atol=2 / 32768)
    for stem, samples in zip(STEMS, stems, strict=True):
        np.testing.assert_allclose(
            soundfile.read(tmp_path / "demo" / "library" / "synthband 0" / f"{stem}.wav")[0], samples, atol=1 / 32768
        )


def test_no_song_of_split_test_is_one_line(processed, tmp_path):
    with pytest.raises(SystemExit, match="give more --songs"):
        SCRIPT["write_stems"](processed({"0": ("train", ()), "1": ("test", ("bass",))}), tmp_path / "demo")


@pytest.mark.parametrize(
    ("codes", "ends", "says"), [((2,), 2, False), ((0, 3), 3, False), ((0, 0, 2), 2, False), ((0, 0, 3), 3, True), ((0, 0, 0), 0, True)]
)
def test_the_exit_code_of_a_command_is_its_own(processed, tmp_path, monkeypatch, capsys, codes, ends, says):
    """The first command that fails ends it; the page is spoken of where there is one."""
    (tmp_path / "cache" / "processed").mkdir(parents=True)
    processed({"7": ("test", ())}).rename(tmp_path / "cache" / "processed" / "synthband_stems")
    left, ran = list(codes), []

    def call(command):
        ran.append(command[3])
        return left.pop(0)

    monkeypatch.setattr("subprocess.call", call)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--cache", str(tmp_path / "cache")])
    assert SCRIPT["main"]() == ends
    assert ran == ["download", "process", "retrieve"][: len(codes)]
    out = capsys.readouterr().out
    assert ("synthband 7/bass.wav" in out and "in a browser" in out) == says
    if len(codes) == 3:
        assert f"--context '{tmp_path}/cache/demo/synthband 7.wav'" in out  # can be copied into a shell


@pytest.mark.slow
def test_it_makes_a_page_from_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["demo.py", "--cache", str(tmp_path), "--songs", "6"])
    assert SCRIPT["main"]() == 0
    page = (tmp_path / "demo" / "fits.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1))
    (comparison,) = data["comparisons"]
    assert (comparison["instrument"], comparison["of"]) == ("bass", 6 * len(STEMS))
    assert len(comparison["candidates"]) == 10
    assert all(one["audio"] for one in comparison["candidates"])
    uid = re.fullmatch(r"synthband (\d+)\.wav", comparison["name"]).group(1)
    assert json.loads((tmp_path / "processed" / "synthband_stems" / "meta.json").read_text())[uid]["split"] == "test"
    assert f"is synthband {uid}/bass.wav" in capfd.readouterr().out
    found = next(one for one in comparison["candidates"] if one["name"] == f"synthband {uid}/bass.wav")
    assert found["marks"] == ["same-track"]
