"""Every new dataset from a user's own copy to a score: download --from, process, probe; on stand-ins of the published layouts.

The archives of a stand-in have other digests than the published ones, so the declarations are those of the package with the digests of
the stand-in in their place; what has no digest is declared as it is.
"""

import hashlib
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import soundfile

from jukemir_like import datasets
from jukemir_like.core.cache import Cache
from jukemir_like.datasets import mtg_jamendo
from jukemir_like.datasets.processed import read_processed
from jukemir_like.downloads.declarations import declaration_folder, select_assets
from jukemir_like.downloads.download import download
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.process import process

from . import stand_ins
from .conftest import FIXTURES

AUDIO = 6
"""Items of each dataset that have audio; the others are listed as failed."""


def wav(seconds=0.5, rate=16000):
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(int(seconds * rate)) / 9), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nsynth(own, built):
    stand_ins.write_nsynth(built)
    for split in stand_ins.NSYNTH_PARTS:
        members = files_of(built / "unpacked" / f"nsynth-{split}.jsonwav")
        notes = list(stand_ins.nsynth_notes(split))[:AUDIO]
        members |= {f"nsynth-{split}/audio/{note}.wav": wav() for note, _ in notes}
        stand_ins.pack(own / f"nsynth-{split}.jsonwav.tar.gz", members)


def gtzan_tempo(own, built):
    for path in (FIXTURES / "gtzan").glob("*_filtered.txt"):
        shutil.copy(path, own)
    (own / "genres_tempos.mf").write_text(stand_ins.gtzan_tempi())
    names = [line for path in own.glob("*_filtered.txt") for line in path.read_text().splitlines()[:AUDIO]]
    stand_ins.pack(own / "genres.tar.gz", {f"genres/{name}": wav() for name in names})


def mtg_jamendo_instrument(own, built):
    stand_ins.write_jamendo(own / "clone" / "data")
    mp3 = io.BytesIO()
    soundfile.write(mp3, 0.1 * np.sin(np.arange(92 * 8000) / 9), 8000, format="MP3")
    tracks = {row.split("\t")[3] for part in ("train", "validation", "test") for row in stand_ins.jamendo_rows("instrument", 0, part)}
    audible = {f"{number % 100:02d}/{number}.mp3" for number in range(1_000_000, 1_000_000 + AUDIO)}
    for shard in range(100):
        name = f"{shard:02d}"
        members = {path.replace(".mp3", ".low.mp3"): mp3.getvalue() for path in sorted(tracks) if path in audible and path[:2] == name}
        stand_ins.pack(own / f"raw_30s_audio-low-{name}.tar", members or {f"{name}/empty": name})


def fma_small(own, built):
    stand_ins.write_fma(built)
    numbers = [row[0] for row in stand_ins.fma_rows() if row[6] == "small"][:AUDIO]
    for name, members in (
        ("fma_metadata.zip", {"fma_metadata/tracks.csv": (built / "unpacked/fma_metadata/fma_metadata/tracks.csv").read_bytes()}),
        ("fma_small.zip", {f"fma_small/{number // 1000:03d}/{number:06d}.mp3": wav() for number in numbers}),
    ):
        with zipfile.ZipFile(own / name, "w", zipfile.ZIP_BZIP2) as archive:
            for member, data in members.items():
                archive.writestr(member, data)


def ballroom(own, built):
    stand_ins.write_ballroom(built)
    shutil.copy(built / "data2.tar.gz", own)
    names = list(stand_ins.ballroom_names())
    stand_ins.pack(
        own / "data1.tar.gz",
        {f"BallroomData/{dance}/{name}.wav": wav() if place < AUDIO else b"" for place, (dance, name) in enumerate(names)},
    )


def medley_solos_db(own, built):
    stand_ins.write_medley(own)
    rows = [row.split(",") for row in stand_ins.medley_rows()][:AUDIO]
    stand_ins.pack(own / "Medley-solos-DB.tar.gz", {f"Medley-solos-DB_{row[0]}-{row[2]}_{row[4]}.wav": wav() for row in rows})


BUILD = {build.__name__: build for build in (nsynth, gtzan_tempo, mtg_jamendo_instrument, fma_small, ballroom, medley_solos_db)}


@pytest.fixture(params=BUILD)
def processed(request, tmp_path, monkeypatch):
    """Name, cache and what was processed of a dataset that was taken from a folder of its archives and annotations."""
    name, own, cache = request.param, tmp_path / "own", Cache(tmp_path / "cache")
    own.mkdir()
    BUILD[name](own, tmp_path / "built")
    declare_digests_of(own, datasets.assets(name), tmp_path / "declarations")
    monkeypatch.setenv("JUKEMIR_LIKE_DECLARATIONS", str(tmp_path / "declarations"))
    summary = download(select_assets(datasets.assets(name), [name]), cache, own_copy=own)
    assert not summary.failed
    made = datasets.from_assets(name, cache)
    return name, cache, made, process(made, cache.processed(name))


def declare_digests_of(own, assets, root):
    shutil.copytree(declaration_folder(assets), root / assets)
    description = json.loads((root / assets / "dataset.json").read_text())
    path = root / assets / (description["assets"] if isinstance(description["assets"], str) else "dataset.json")
    content = json.loads(path.read_text())
    for asset in content if isinstance(content, list) else content["assets"]:
        file = own / asset["path"]
        for kind in ("sha256", "md5", "sha1"):
            if asset.get(kind):
                asset[kind] = hashlib.new(kind, file.read_bytes()).hexdigest()
        asset.pop("size", None)
    path.write_text(json.dumps(content))


def test_from_an_own_copy_to_a_score(processed, tmp_path):
    name, cache, made, summary = processed
    data = read_processed(cache.processed(name))
    assert list(data.items) == [item.uid for item in made.items]
    with_audio = [uid for uid in data.uids if data.path(uid).exists()]
    assert AUDIO <= len(with_audio) <= 3 * AUDIO + 2
    seconds = mtg_jamendo.CLIP_SECONDS if name.startswith("mtg") else 0.5
    for uid in with_audio:
        assert data.audio(uid)[0].ndim == 1
        assert data.audio(uid)[0].shape[0] / data.audio(uid)[1] == pytest.approx(seconds, abs=0.06)
    without = [item.uid for item in made.items if item.source is not None and item.uid not in with_audio]
    assert summary.exit_code == 3
    assert set(without) == set(data.failed) - {item.uid for item in made.items if item.source is None}

    process(made, cache.processed(name), metadata_only=True)  # as for vectors from elsewhere
    random = np.random.default_rng(0)
    folder = cache.representation(name, "rep")
    folder.mkdir(parents=True)
    for item in made.items:
        np.save(folder / f"{item.uid}.npy", random.normal(size=4).astype(np.float32))
    for representation in ("rep", "trivial"):
        runs = probe_dataset(cache, name, representation).runs
        assert {run.task.name for run in runs} == set(made.tasks)
        for run in runs:
            assert 0 <= run.record["metrics"]["test"][run.task.primary_metric] <= 1
            assert run.record["n"] == {split: sum(item.split == split for item in made.items) for split in ("train", "valid", "test")}
