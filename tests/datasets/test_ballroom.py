"""ballroom: dances and tempi of the published layout, splits by record, and files that do not fit."""

import hashlib
from collections import defaultdict

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import ballroom as module
from jukemir_like.datasets.annotations import split_of_group

from . import stand_ins

NAMES = list(stand_ins.ballroom_names())


def test_dance_and_tempo_of_every_excerpt(tmp_path):
    stand_ins.write_ballroom(tmp_path)
    made = module.dataset(tmp_path)
    assert {item.uid: item.extra["dance"] for item in made.items} == {name: dance for dance, name in NAMES}
    for item in made.items:
        assert item.y == {"genre": item.extra["dance"].partition("-")[0], "tempo": stand_ins.ballroom_tempo(item.uid)}
        assert item.source == tmp_path / "unpacked/data1/BallroomData" / item.extra["dance"] / f"{item.uid}.wav"
    assert {item.y["genre"] for item in made.items} == set(module.GENRES)
    assert {name: task.type for name, task in made.tasks.items()} == {"genre": "multiclass", "tempo": "tempo"}


def test_a_record_is_in_one_split_and_its_name_decides_which(tmp_path):
    stand_ins.write_ballroom(tmp_path)
    splits = defaultdict(set)
    for item in module.dataset(tmp_path).items:
        splits[item.uid[:-3] if item.uid.startswith("Albums") else item.uid[:-2]].add(item.split)
        number = int(hashlib.sha1(item.extra["record"].encode()).hexdigest(), 16) % 20
        assert item.split == ("train" if number <= 13 else "valid" if number <= 16 else "test")
    assert {len(found) for found in splits.values()} == {1}
    assert set.union(*splits.values()) == {"train", "valid", "test"}


def test_published_names_of_records():
    assert module.record_of("Media-105901") == module.record_of("Media-105902") == "Media-1059"
    assert module.record_of("Albums-Step_By_Step-04") == "Albums-Step_By_Step"
    assert module.record_of("Albums-Chrisanne2-14") != module.record_of("Albums-Chrisanne3-14")


def test_an_excerpt_without_tempo_is_named(tmp_path):
    stand_ins.write_ballroom(tmp_path)
    stand_ins.pack(tmp_path / "data2.tar.gz", {f"BallroomAnnotations/ballroomGroundTruth/{name}.bpm": "90\n" for _, name in NAMES[1:]})
    with pytest.raises(RequestError, match=f"has no {NAMES[0][1]}.bpm; run `jukemir-like download BALLROOM_TEMPO` again"):
        module.dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "fast", "-3", "0", "nan"])
def test_what_is_no_tempo_is_refused(tmp_path, text):
    stand_ins.write_ballroom(tmp_path, tempi={f"BallroomAnnotations/ballroomGroundTruth/{NAMES[7][1]}.bpm": text})
    with pytest.raises(RequestError, match=rf"{NAMES[7][1]}\.bpm: '{text}' is no tempo"):
        module.dataset(tmp_path)


def test_missing_audio_is_counted(tmp_path):
    stand_ins.write_ballroom(tmp_path, NAMES[:-1])
    with pytest.raises(RequestError, match="holds 697 excerpts, not 698: run `jukemir-like download BALLROOM_AUDIO`"):
        module.dataset(tmp_path)


def test_a_name_in_two_dances_is_refused(tmp_path):
    stand_ins.write_ballroom(tmp_path, [*NAMES, ("Waltz", NAMES[0][1])])
    with pytest.raises(RequestError, match=f"{NAMES[0][1]} is a duplicate of .*ChaChaCha"):
        module.dataset(tmp_path)


def test_an_archive_of_tempi_that_is_cut_is_damaged(tmp_path):
    stand_ins.write_ballroom(tmp_path)
    path = tmp_path / "data2.tar.gz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RequestError, match=r"data2\.tar\.gz.*damaged.*run `jukemir-like download BALLROOM_TEMPO`"):
        module.dataset(tmp_path)


TWICE = (  # as Sturm and Krebs list them: four exact copies, nine of the same recording
    *(("Albums-AnaBelen_Veneo-11", "Albums-Chrisanne2-12"), ("Albums-Fire-08", "Albums-Fire-09")),
    *(("Albums-Latin_Jam2-05", "Albums-Latin_Jam2-13"), ("Albums-Secret_Garden-01", "Media-104705")),
    *(("Albums-AnaBelen_Veneo-03", "Albums-AnaBelen_Veneo-15"), ("Albums-Ballroom_Magic-03", "Albums-Ballroom_Magic-18")),
    *(("Albums-Latin_Jam-04", "Albums-Latin_Jam-13"), ("Albums-Latin_Jam-08", "Albums-Latin_Jam-14")),
    *(("Albums-Latin_Jam-06", "Albums-Latin_Jam-15"), ("Albums-Latin_Jam2-02", "Albums-Latin_Jam2-14")),
    *(("Albums-Latin_Jam2-07", "Albums-Latin_Jam2-15"), ("Albums-Latin_Jam3-02", "Media-103414"), ("Media-103402", "Media-103415")),
)


def test_of_what_is_there_twice_the_card_names_the_pair_that_the_splits_divide():
    splits = {pair: [split_of_group(module.record_of(uid)) for uid in pair] for pair in TWICE}
    divided = {pair: of_pair for pair, of_pair in splits.items() if len(set(of_pair)) > 1}
    assert divided == {("Albums-Latin_Jam3-02", "Media-103414"): ["test", "train"]}
