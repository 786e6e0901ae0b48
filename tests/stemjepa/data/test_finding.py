"""A processed dataset: its files, splits and names are those of meta.json and dataset.json."""

import json

import numpy as np
import pytest

from jukemir_like.audio.stems.reading import read
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.data.finding import find


@pytest.mark.parametrize("name", ["../secret", "../wav/a", "/etc/x", "x//y", "", "a\0b"])
def test_a_name_in_meta_json_that_leads_out_of_the_folder_is_refused_as_in_every_stage(folder, write, noise, name):
    write("wav/a.wav", noise(100))
    write("secret.wav", noise(100))
    (folder / "meta.json").write_text(json.dumps({uid: {"split": "train", "y": None} for uid in ("a", name)}))
    with pytest.raises(RequestError, match=r"meta\.json is damaged: uid .* is no name of a file below"):
        find(folder, 4)


def test_a_processed_dataset_tells_splits_groups_and_names(folder, write, noise):
    meta = {}
    for uid, split, artist in (("1", "train", "x"), ("2", "valid", "y"), ("sub/3", "test", "z"), ("4", None, "x"), ("5", "train", "q")):
        meta[uid] = {"split": split, "y": None, "extra": {"artist": artist}}
        write(f"wav/{uid}.wav", noise(100, 2))
    write("wav/unlisted.wav", noise(100, 2))
    meta["6"] = meta["7"] = meta["1"]
    meta["8"] = {"split": None, "y": None, "extra": {"artist": "x", "skipped": "too few stems"}}
    (folder / "wav/5.wav").unlink()
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "dataset.json").write_text(json.dumps({"group": "artist", "stems": ["low", "high"], "failed": {"6": "is empty"}}))
    found = find(folder, 2)
    assert {track.name: (track.split, track.group) for track in found.tracks} == {
        "wav/1": ("train", "x"),
        "wav/2": ("valid", "y"),
        "wav/sub/3": ("test", "z"),
        "wav/4": (None, "x"),
    }
    assert found.sources == ("low", "high")
    assert set(found.failures) == {"wav/5.wav", "wav/6.wav", "wav/7.wav"}
    assert "is empty" in found.failures["wav/6.wav"]


@pytest.mark.parametrize("text", ["", "[]", '{"1": 3}', "\xff"])
def test_a_meta_json_that_cannot_be_read_is_a_wrong_request(folder, write, noise, text):
    write("wav/1.wav", noise(100))
    (folder / "meta.json").write_bytes(text.encode("latin1"))
    with pytest.raises(RequestError, match=r"meta\.json"):
        find(folder, 4)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("meta.json", "[]"),
        ("meta.json", "[" * 100_000),
        ("meta.json", '{"../../victim": {}}'),
        ("meta.json", '{"/victim": {}}'),
        ("meta.json", '{"a\\u0000b": {}}'),
        ("meta.json", '{"": {}}'),
        ("meta.json", '{"a": {"split": "training"}}'),
        ("meta.json", '{"a": {"extra": []}}'),
        ("dataset.json", "[]"),
        ("dataset.json", '{"group": []}'),
        ("dataset.json", '{"stems": [1, 2]}'),
        ("dataset.json", '{"failed": ["a"]}'),
    ],
)
def test_a_damaged_description_is_one_line_that_names_the_file(tmp_path, file, content):
    (tmp_path / "meta.json").write_text("{}")
    (tmp_path / file).write_text(content)
    with pytest.raises(RequestError) as error:
        find(tmp_path, 4)
    assert str(tmp_path / file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_processed_dataset_in_stereo_without_names_of_stems_is_none_of_stems(folder, write, noise):
    write("wav/1.wav", noise(64, 2))
    (folder / "meta.json").write_text('{"1": {"split": "train", "y": null}}')
    with pytest.raises(RequestError, match="stereo is not two stems"):
        find(folder, 2)


def test_dataset_json_says_that_channels_are_stems(folder, write):
    for name, value in (("a", 0.25), ("b", 0.5), ("voice", 0.5)):
        write(f"{name}.wav", np.tile([[value], [value + 1 / 512]], (1, 64)))
    with pytest.raises(RequestError) as caught:
        find(folder, 2, sources=("voice", "band"))
    line = json.loads(str(caught.value).partition("write ")[2].partition(", in their order")[0])
    assert line == {"stems": ["voice", "band"]}
    (folder / "dataset.json").write_text(json.dumps(line))  # what the line says to do
    found = find(folder, 2)
    assert [read(track, 0, 64)[:, 0].tolist() for track in found.tracks] == [[0.25, 0.25 + 1 / 512], [0.5, 0.5 + 1 / 512]]
    assert found.sources == ("voice", "band")
    assert found.notes == ["2 tracks: one channel per stem (voice, band), in the order of dataset.json"]
    assert "is called as one stem" in found.failures["voice.wav"]
    with pytest.raises(RequestError, match="names 2 stems, voice, band, where 4 are expected"):
        find(folder, 4)
    with pytest.raises(RequestError, match=r"in the order of dataset.json \(voice, band\), not in the one given \(band, voice\)"):
        find(folder, 2, sources=("band", "voice"))
    assert "called as given, not as in dataset.json: voice, band" in find(folder, 2, sources=("x", "y")).notes[1]


@pytest.mark.parametrize("processed", [False, True])
@pytest.mark.parametrize(
    "text", ["", "{", '{"stems": 3}', '{"stems": ["a", ""]}', '{"stems": ["a", "a"]}', "[" * 100000, '{"stems": [1, 2]}']
)
def test_a_dataset_json_that_cannot_be_read_is_a_wrong_request(folder, write, noise, text, processed):
    write("wav/a.wav", noise(100))
    (folder / "dataset.json").write_text(text)
    if processed:
        (folder / "meta.json").write_text('{"a": {"split": "train", "y": null}}')
    with pytest.raises(RequestError, match=r"dataset\.json") as caught:
        find(folder, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"stems": null}', '{"stems": []}', '{"tasks": 3}'])
def test_a_dataset_json_of_another_program_that_names_no_stems_says_nothing(folder, write, noise, text):
    write("a.wav", noise(100))
    (folder / "dataset.json").write_text(text)
    assert [track.name for track in find(folder, 4).tracks] == ["a"]
