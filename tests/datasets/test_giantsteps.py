"""giantsteps and giantsteps_clips: the published labels, keys as they are spelled, the splits by artist."""

import hashlib
from collections import Counter, defaultdict

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS
from jukemir_like.datasets import giantsteps as module
from jukemir_like.datasets.dataset import key_name
from jukemir_like.datasets.giantsteps import LAST_CLIP_SECONDS, SHORTER_TRACKS, clips


def of(members, ending):
    return next(name for name in members if name.endswith(ending))


@pytest.fixture
def rewrite(giantsteps, giantsteps_members, write_zip):
    """A function that writes an archive again with the file of that ending changed, or left out where ``change`` gives None."""

    def write(archive, ending, change):
        members = dict(giantsteps_members[archive])
        name = of(members, ending)
        members[name] = change(members[name])
        write_zip(giantsteps / f"{archive}.zip", {name: data for name, data in members.items() if data is not None})
        return giantsteps

    return write


def test_all_7035_published_records_agree(giantsteps, published):
    made = {}
    for item in module.clips_dataset(giantsteps).items:
        record = {"uid": item.uid, "split": item.split, "y": item.y}
        made[item.uid] = record | {"clip_offset": item.clip.clip_offset, "clip_duration": item.clip.clip_duration}
    assert made == published("giantsteps_clips")
    assert len(made) == 7035


def test_tracks_are_those_of_the_clips(giantsteps, published):
    tracks = {(uid.split("-")[0], record["split"], record["y"]) for uid, record in published("giantsteps_clips").items()}
    made = module.dataset(giantsteps)
    assert {(item.uid, item.split, item.y) for item in made.items} == tracks
    assert Counter(item.split for item in made.items) == {"train": 923, "valid": 236, "test": 604}
    assert all(item.clip is None for item in made.items)


def test_clips_of_a_track_are_numbered_pieces_of_its_one_file(giantsteps):
    items = {item.uid: item for item in module.clips_dataset(giantsteps).items}
    item = items["0005061-2"]
    assert item.source == giantsteps / "audio" / "5061.LOFI.mp3"
    assert vars(item.clip) == {
        "audio_uid": "0005061",
        "audio_duration": 120.0,
        "clip_idx": 2,
        "clip_offset": 60.0,
        "clip_duration": 30.0,
    }


def test_the_table_of_shorter_tracks_names_no_more_than_the_published_labels_need(published):
    offsets, durations = defaultdict(list), {}
    for uid, record in published("giantsteps_clips").items():
        offsets[uid.split("-")[0]].append(record["clip_offset"])
        if record["clip_duration"] != 30:
            durations[uid.split("-")[0]] = record["clip_duration"]
    assert SHORTER_TRACKS.keys() == {track for track, found in offsets.items() if len(found) < 4}
    assert durations == LAST_CLIP_SECONDS
    readme = {"1224698": 45.0, "1442809": 62.0, "3424038": 77.0, "4452003": 59.0}
    assert {track: SHORTER_TRACKS[track] for track in readme} == readme


def test_a_short_tail_is_dropped():
    assert [clip.clip_offset for clip in clips("3424038")] == [0.0, 30.0]
    assert [clip.clip_offset for clip in clips("0000001")] == [0.0, 30.0, 60.0, 90.0]


def test_split_by_artist_is_the_slow_and_obvious_one(giantsteps_members):
    members = giantsteps_members["mtg-key-annotations"]
    rows = [line.split("\t") for line in members[of(members, "beatport_metadata.txt")].decode().split("\n")[1:] if line]
    tracks = [[name.strip().lower() for name in row[1].split(",")] for row in rows]
    valid = {name for names in tracks for name in names if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 116 in range(100, 116)}
    for _ in range(2):
        for names in tracks:
            if any(name in valid for name in names):
                valid |= set(names)
    assert module.valid_artists(tracks) == valid
    assert 0 < len(valid) < len({name for names in tracks for name in names})


def test_no_artist_is_in_train_and_valid(giantsteps):
    splits = defaultdict(set)
    for item in module.dataset(giantsteps).items:
        for artist in item.extra.get("artist", "").lower().split(","):
            splits[artist.strip()].add(item.split)
    del splits[""]  # the test set names no artists
    assert set(map(frozenset, splits.values())) == {frozenset({"train"}), frozenset({"valid"})}


def test_recordings_that_are_there_twice_are_grouped(giantsteps):
    made = module.dataset(giantsteps)
    found = defaultdict(list)
    for item in made.items:
        found[item.extra[made.group]].append(item)
    twice = [items for items in found.values() if len(items) > 1]
    assert len(twice) == 8
    assert [sorted(item.uid for item in items) for items in twice if len({item.split for item in items}) > 1] == [["1926377", "2997186"]]


@pytest.mark.parametrize(("name", "count"), [("giantsteps", 1763 - 8), ("giantsteps_clips", 7035 - 8 * 4)])
def test_unique_keeps_each_recording_once_and_in_train_rather_than_valid(giantsteps, name, count):
    make = {"giantsteps": module.dataset, "giantsteps_clips": module.clips_dataset}[name]
    whole, unique = make(giantsteps, name), make(giantsteps, f"{name}+unique", frozenset({"unique"}))
    assert len(unique.items) == count
    assert {item.extra["recording"] for item in unique.items} == {item.extra["recording"] for item in whole.items}
    assert Counter(item.split for item in unique.items)["test"] == Counter(item.split for item in whole.items)["test"]
    uids = {item.uid[:7] for item in unique.items}
    assert "2997186" in uids  # train
    assert "1926377" not in uids  # the same recording, in valid
    assert (unique.name, unique.options, whole.options) == (f"{name}+unique", ("unique",), ())


@pytest.mark.parametrize("split", [("test", "train"), ("train", "valid")])
def test_of_two_copies_the_one_in_test_stays_then_the_one_in_train(giantsteps, split, rewrite, giantsteps_members):
    items = {item.split: item for item in reversed(module.dataset(giantsteps).items)}
    first, second = (items[name] for name in split)
    archive = "key-annotations" if first.split == "test" else "mtg-key-annotations"
    folder = rewrite(archive, f"/{first.extra['id']}.LOFI.md5", lambda _: second.extra["recording"].encode())
    kept = {item.uid for item in module.dataset(folder, options=frozenset({"unique"})).items}
    assert first.uid in kept
    assert second.uid not in kept


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("C# minor", "Db minor"), ("D# major", "Eb major"), ("F# minor", "Gb minor"), ("G# major", "Ab major"), ("A# minor", "Bb minor"),
        ("C# major ", "Db major"), ("  B  major\t", "B major"), ("d# minor", "Eb minor"), ("Db Minor", "Db minor"),
        ("Cb major", "B major"), ("E# minor", "F minor"),
        ("-", None), ("", None), ("C", None), ("H minor", None), ("C minor / F minor", None), ("A/E major", None), ("minor", None),
    ],
)  # fmt: skip
def test_keys_are_read_as_they_are_spelled(spelled, name):
    assert key_name(spelled) == name


def test_every_class_is_itself():
    assert [key_name(key) for key in KEYS] == list(KEYS)


@pytest.mark.parametrize("key", [b"-", b"C minor / F minor", b" "])
def test_a_track_without_one_key_is_left_out(rewrite, key):
    folder = rewrite("mtg-key-annotations", "annotations.txt", lambda data: data.replace(b"5061\tD# minor\t2", b"5061\t" + key + b"\t2"))
    uids = {item.uid for item in module.dataset(folder).items}
    assert "0005061" not in uids
    assert len(uids) == 1762


def test_the_table_is_read_with_windows_line_ends_spaces_and_a_byte_order_mark(rewrite, giantsteps):
    before = module.dataset(giantsteps).items
    folder = rewrite(
        "mtg-key-annotations",
        "annotations.txt",
        lambda data: b"\xef\xbb\xbf" + data.replace(b"\t", b" \t  ").replace(b"\n", b"\r\n").rstrip(b"\r\n"),
    )
    assert module.dataset(folder).items == before


@pytest.mark.parametrize(
    ("ending", "change", "what"),
    [
        (
            "annotations.txt",
            lambda data: data.replace(b"5061\tD# minor\t2", b"5061\tD# mixolydian\t2"),
            r"annotations\.txt, line 2: 'D# mixo",
        ),
        (
            "annotations.txt",
            lambda data: data.replace(b"5061\tD# minor\t2", b"5061\tD# minor"),
            r"annotations\.txt, line 2: 2 cells where the",
        ),
        ("annotations.txt", lambda data: data.replace(b"5061\t", b"5062\t"), r"annotations\.txt has no row for track 5061"),
        ("annotations.txt", lambda data: data.replace(b"MANUAL KEY", b"KEY"), r"annotations\.txt has no column 'MANUAL KEY'"),
        ("beatport_metadata.txt", lambda data: data.replace(b"\n5061\t", b"\n5062\t"), r"beatport_metadata\.txt has no row for track 5061"),
        ("beatport_metadata.txt", lambda _: None, r"holds no annotations/beatport_metadata\.txt"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_file_and_line(rewrite, ending, change, what):
    with pytest.raises(RequestError, match=what) as error:
        module.dataset(rewrite("mtg-key-annotations", ending, change))
    assert "\n" not in str(error.value)


def test_a_test_track_without_its_key_is_told(rewrite):
    with pytest.raises(RequestError, match=r"holds no annotations/key/10089\.LOFI\.key"):
        module.dataset(rewrite("key-annotations", "/10089.LOFI.key", lambda _: None))


def test_an_archive_that_is_missing_damaged_or_another_is_told_with_the_command_that_gets_it(giantsteps, write_zip):
    path = giantsteps / "key-annotations.zip"
    write_zip(path, {"other/README": b"x"})
    with pytest.raises(RequestError, match="it is not the archive that `jukemir-like download GIANTSTEPS_KEY_ANNOTATIONS`"):
        module.dataset(giantsteps)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(RequestError, match=r"key-annotations\.zip.*run `jukemir-like download GIANTSTEPS_KEY_ANNOTATIONS`"):
        module.dataset(giantsteps)
    path.unlink()
    with pytest.raises(RequestError, match=r"key-annotations\.zip is missing: run `jukemir-like download GIANTSTEPS_KEY_ANNOTATIONS`"):
        module.dataset(giantsteps)
