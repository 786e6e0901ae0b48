"""The script that brings freely licensed recordings: from packages that dpkg-deb has made to WAV files."""

import runpy
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "scripts" / "free_music.py"))


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb, which makes and unpacks packages of Debian")
def test_the_middle_of_each_recording_of_a_package_is_written(tmp_path, capsys):
    rate, time = 8000, np.arange(90 * 8000) / 8000
    build, tree = tmp_path / "build", tmp_path / "tree"
    tone = (0.3 * np.sin(2 * np.pi * 440 * time) * (time > 60)).astype(np.float32)  # silent up to 60 s
    build.mkdir()
    soundfile.write(build / "theme.flac", np.stack([tone, tone], axis=1), rate)
    soundfile.write(build / "click.wav", tone[-rate:], rate)
    soundfile.write(build / "silence.wav", np.zeros(60 * rate), rate)
    soundfile.write(build / "short.ogg", tone[50 * rate :], rate)  # 40 s, as long as the shortest
    (build / "broken.ogg").write_bytes(b"OggS nothing")
    music = tree / "usr/share/games/toy/music"
    music.mkdir(parents=True)
    for name in ("theme.flac", "click.wav", "silence.wav", "broken.ogg"):
        shutil.copy(build / name, music)
    with zipfile.ZipFile(music / "more.pk3", "w") as archive:
        archive.write(build / "short.ogg", "sound/short.ogg")
        archive.write(build / "theme.flac", "copy/theme.flac")
        archive.write(build / "short.ogg", "../../../../../../outside.ogg")
    (music / "damaged.zip").write_bytes((music / "more.pk3").read_bytes()[:-40])
    (tree / "usr/share/doc/toy-data").mkdir(parents=True)
    (tree / "usr/share/doc/toy-data/copyright").write_text("CC-BY-SA")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text("Package: toy-data\nVersion: 1\nArchitecture: all\nMaintainer: nobody <a@b.c>\nDescription: toy\n")
    packages = tmp_path / "out" / "packages"
    packages.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-b", str(tree), str(packages / "toy-data_1_all.deb")], check=True, capture_output=True)

    (packages / "broken-data_1_all.deb").write_bytes((packages / "toy-data_1_all.deb").read_bytes()[:900])
    assert SCRIPT["main"]([str(tmp_path / "out"), "broken-data", "toy-data"]) == 1
    found = {path.name: soundfile.read(path) for path in (tmp_path / "out" / "music" / "toy-data").iterdir()}
    assert sorted(found) == ["outside.wav", "short.wav", "theme.wav"]
    assert list(tmp_path.rglob("outside.ogg")) == []
    samples, at = found["theme.wav"]
    assert (at, len(samples)) == (22050, 80 * 22050)
    heard = np.flatnonzero(np.abs(samples) > 0.05)
    assert heard[0] / at == pytest.approx(55, abs=0.01)  # the middle 80 of 90 s begin at 5 s
    assert np.abs(np.fft.rfft(samples[-at:])).argmax() == 440
    assert (tmp_path / "out/copyright/toy-data").read_text() == "CC-BY-SA"
    captured = capsys.readouterr()
    assert all(
        line in captured.err for line in ("broken.ogg: ", "damaged.zip cannot be", "broken-data_1_all.deb cannot be", "toy-data: 3 ")
    )
    assert captured.out.endswith("packages left out: 1\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["copyright", "music", "packages"]


def test_a_package_that_cannot_be_had_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 100\n")  # in the place of Debian's archive, which is not reached from here
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert SCRIPT["main"]([str(tmp_path / "out"), "no-such-package"]) == 1
    captured = capsys.readouterr()
    assert "no-such-package cannot be had" in captured.err
    assert "packages left out: 1" in captured.out
