"""musdb18 and musdb18hq: splits by folder and name, in each layout that the archives have."""

from collections import Counter

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import musdb as module

SONGS = {
    "train": [*sorted(module.VALID), *(f"Band {index} - Song" for index in range(86))],
    "test": [f"Other {index} - Song" for index in range(50)],
}


@pytest.fixture(params=["", "musdb18"])
def musdb18(tmp_path, request):
    for part, songs in SONGS.items():
        folder = tmp_path / "unpacked" / "musdb18" / request.param / part
        folder.mkdir(parents=True)
        for song in songs:
            (folder / f"{song}.stem.mp4").touch()
        (folder / ".DS_Store").touch()
        (folder / f"._{songs[0]}.stem.mp4").touch()
    return tmp_path


@pytest.fixture(params=["", "MUSDB18-HQ"])
def musdb18hq(tmp_path, request):
    for part, songs in SONGS.items():
        for song in songs:
            folder = tmp_path / "unpacked" / "musdb18hq" / request.param / part / song
            folder.mkdir(parents=True)
            (folder / "bass.wav").touch()
    return tmp_path


def check(made):
    assert Counter(item.split for item in made.items) == {"train": 86, "valid": 14, "test": 50}
    assert {item.uid for item in made.items if item.split == "valid"} == module.VALID
    assert made.stems == ("bass", "drums", "other", "vocals")
    assert made.tasks == {}
    item = next(item for item in made.items if item.uid == "Clara Berry And Wooldog - Waltz For My Victims")
    assert (item.extra["artist"], item.extra["title"]) == ("Clara Berry And Wooldog", "Waltz For My Victims")
    return item


def test_musdb18_has_a_stem_file_a_song(musdb18):
    item = check(module.dataset(musdb18))
    assert item.source.name == "Clara Berry And Wooldog - Waltz For My Victims.stem.mp4"
    assert item.source.is_file()


def test_musdb18hq_has_a_folder_a_song(musdb18hq):
    item = check(module.hq_dataset(musdb18hq))
    assert item.source.name == "Clara Berry And Wooldog - Waltz For My Victims"
    assert item.source.is_dir()


def test_a_song_of_the_test_folder_is_test_whatever_its_name(tmp_path):
    folder = tmp_path / "unpacked" / "musdb18" / "test"
    folder.mkdir(parents=True)
    (folder / "Young Griffo - Pennies.stem.mp4").touch()
    assert [item.split for item in module.dataset(tmp_path).items] == ["test"]


def test_what_is_missing_is_told_with_the_command_that_gets_it(tmp_path):
    with pytest.raises(RequestError, match="holds no folder train or test: run `jukemir-like download musdb18hq`"):
        module.hq_dataset(tmp_path)
    (tmp_path / "unpacked" / "musdb18" / "train").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"holds no train/\*\.stem\.mp4 or test/\*\.stem\.mp4: run `jukemir-like download musdb18`"):
        module.dataset(tmp_path)
