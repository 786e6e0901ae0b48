"""magnatagatune: the sample of the published labels, the tables' quirks, and the options."""

import csv
import graphlib
import io
import itertools
import json
import time
from collections import Counter, defaultdict

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import magnatagatune as module
from jukemir_like.downloads.declarations import declaration_folder, read_declaration


def rows(data):
    return list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter="\t"))


def csv_bytes(table):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(table)
    return file.getvalue().encode()


def write(folder, tags, clips):
    """A dataset of the tables ``tags`` (mp3_path last, taken from ``clips``) and ``clips`` ({clip_id: (artist, mp3_path)})."""
    header = ["clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd", "original_url", "mp3_path"]
    body = [[clip, "01", "t", artist, "a", "http://u/", "0", "29", "", path] for clip, (artist, path) in clips.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clip_info_final.csv").write_bytes(csv_bytes([header, *body]))
    names = sorted({name for names in tags.values() for name in names})
    body = [[clip, *("1" if name in given else "0" for name in names), clips[clip][1]] for clip, given in tags.items()]
    (folder / "annotations_final.csv").write_bytes(csv_bytes([["clip_id", *names, "mp3_path"], *body]))
    return folder


def test_the_published_sample_agrees(magnatagatune, published):
    made = {item.uid: item for item in module.dataset(magnatagatune).items}
    expected = published("magnatagatune")
    assert {uid: item.split for uid, item in made.items()} == {uid: record["split"] for uid, record in expected.items()}
    for uid, record in expected.items():  # the sample's columns are in the order of the alphabet, the labels in that of the whole file
        assert sorted(made[uid].extra["y_all"] or []) == sorted(record["y_all"] or [])
        assert (made[uid].extra["y_all"] is None) == (record["y_all"] is None)


def test_tags_keep_the_order_of_the_columns_as_the_published_labels_do(magnatagatune, magnatagatune_tables, published):
    expected = published("magnatagatune")
    order = graphlib.TopologicalSorter()  # the order of the whole file's columns, as far as the labels betray it
    for record in expected.values():
        for before, after in itertools.pairwise(record["y_all"] or []):
            order.add(after, before)
    header, *body = rows(magnatagatune_tables["annotations_final.csv"])
    known = list(order.static_order())
    columns = ["clip_id", *known, *(name for name in header[1:-1] if name not in known), "mp3_path"]
    where = [header.index(name) for name in columns]
    table = [columns, *([row[index] for index in where] for row in body)]
    (magnatagatune / "annotations_final.csv").write_bytes(csv_bytes(table))
    made = {item.uid: item.extra["y_all"] for item in module.dataset(magnatagatune).items}
    assert made == {uid: record["y_all"] for uid, record in expected.items()}


def test_labels_are_the_50_most_frequent_tags_most_first(magnatagatune, magnatagatune_tables):
    header, *body = rows(magnatagatune_tables["annotations_final.csv"])
    counts = np.array([[int(cell) for cell in row[1:-1]] for row in body]).sum(axis=0)
    expected = [header[1 + index] for index in np.argsort(-counts, kind="stable")[:50]]
    made = module.dataset(magnatagatune)
    assert list(made.tasks["tags"].labels) == expected
    for item in made.items:
        assert item.y == (None if item.extra["y_all"] is None else [tag for tag in item.extra["y_all"] if tag in expected])


def test_of_tags_that_are_equally_frequent_the_earlier_column_comes_first():
    assert module.top_tags(["clip_id", "z", "b", "a", "mp3_path"], [["a", "b"], ["b", "a"], ["z"]]) == ("b", "a", "z")


def test_the_declared_labels_are_50_tags_that_the_tables_know(magnatagatune_tables):
    declaration = json.loads((declaration_folder("magnatagatune") / "dataset.json").read_text())
    labels = declaration["tasks"]["tags"]["labels"]
    assert len(set(labels)) == 50
    assert set(labels) <= set(rows(magnatagatune_tables["annotations_final.csv"])[0][1:-1])


def test_a_clip_without_a_path_has_neither_audio_nor_split_nor_labels(magnatagatune):
    items = [item for item in module.dataset(magnatagatune).items if not item.extra["mp3_path"]]
    assert len(items) == 144
    assert {(item.split, item.y, item.source) for item in items} == {(None, None, None)}


def test_corrupt_files_have_no_audio_and_no_split_and_say_why(magnatagatune):
    items = {item.uid: item for item in module.dataset(magnatagatune).items}
    corrupt = {uid: item for uid, item in items.items() if "skipped" in item.extra}
    assert {uid: item.extra["skipped"] for uid, item in corrupt.items()} == read_declaration("magnatagatune").faulty
    assert corrupt.keys() == {"35644", "55753", "57881"}
    for item in corrupt.values():
        assert (item.split, item.source) == (None, None)
        assert item.extra["mp3_path"]
        assert item.y


def test_where_the_audio_is_and_what_is_known_of_it(magnatagatune):
    item = next(item for item in module.dataset(magnatagatune).items if item.uid == "00002")
    path = "f/american_bach_soloists-j_s__bach_solo_cantatas-01-bwv54__i_aria-30-59.mp3"
    assert item.source == magnatagatune / "unpacked" / "mp3" / path
    known = {"artist": "American Bach Soloists", "album": "J.S. Bach Solo Cantatas", "title": "BWV54 - I Aria", "mp3_path": path}
    assert {key: item.extra[key] for key in known} == known
    assert (item.extra["segment_start"], item.extra["segment_end"], item.clip) == (30.0, 59.0, None)


def test_pieces_of_one_recording_are_told_by_its_track(magnatagatune, magnatagatune_tables):
    header, *body = rows(magnatagatune_tables["clip_info_final.csv"])
    tracks = {row[0]: (row[header.index("url")], row[header.index("track_number")]) for row in body}
    found = defaultdict(set)
    for item in module.dataset(magnatagatune).items:
        found[item.extra["recording"]].add(tracks[str(int(item.uid))])
    assert all(len(names) == 1 for names in found.values())
    assert len(found) == len(set(tracks.values()))


def test_quoted_tabs_quotes_and_line_ends_stay_in_their_cell(tmp_path):
    artist = 'The\t"Quoted"\nBand'
    folder = write(tmp_path, {"7": ["a"], "8": []}, {"7": (artist, "0/x.mp3"), "8": ("B", "c/y.mp3")})
    items = module.dataset(folder).items
    assert [(item.uid, item.extra["artist"], item.split, item.y) for item in items] == [
        ("00007", artist, "train", ["a"]),
        ("00008", "B", "valid", []),
    ]


def test_unix_line_ends_spaces_a_byte_order_mark_and_a_missing_last_line_end_do_not_matter(magnatagatune, magnatagatune_tables):
    before = module.dataset(magnatagatune)
    for name, data in magnatagatune_tables.items():
        changed = data.replace(b"\r\n", b"\n").replace(b'\t"1"', b'\t" 1 "').replace(b'\t"0"', b'\t"0 "').rstrip()
        (magnatagatune / name).write_bytes(b"\xef\xbb\xbf" + changed)
    after = module.dataset(magnatagatune)
    assert after.items == before.items
    assert after.tasks == before.tasks


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("clip_info", b'"83"\t', b'"83"\t"x"\t', "line 3: 11 cells where the header has 10"),
        ("clip_info", b'\n"83"', b'\n"2"', "line 3: clip 2 is a duplicate"),
        ("clip_info", b'\n"83"', b'\n"eighty"', "line 3: clip_id 'eighty' is not a number"),
        ("clip_info", b'"9/american', b'"x/american', "line 3: mp3_path 'x/american"),
        ("clip_info", b'"9/american', b'"../american', r"line 3: mp3_path '\.\./american"),
        ("clip_info", b'"1277"', b'"soon"', "line 3: segment 'soon' to '1306'"),
        ("annotations", b'\n"83"', b'\n"84"', "line 3: clip 84 with this mp3_path is not in clip_info"),
        ("annotations", b'\n"83"\t"0"', b'\n"83"\t"2"', "line 3: tag 'acoustic' is '2', not 0 or 1"),
        ("annotations", b'\n"83"\t"0"', b'\n"83"', "line 3: 189 cells where the header has 190"),
        ("annotations", b'\n"83"\t"0"', b'\n"83"\t"\xff"', "line 3: not UTF-8"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_file_and_line(magnatagatune, file, old, new, what):
    path = magnatagatune / f"{file}_final.csv"
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(RequestError, match=rf"{path.name}, {what}") as error:
        module.dataset(magnatagatune)
    assert "\n" not in str(error.value)


def test_a_table_without_a_column_is_told_with_those_it_has(magnatagatune):
    path = magnatagatune / "clip_info_final.csv"
    path.write_bytes(path.read_bytes().replace(b"mp3_path", b"mp4_path", 1))
    with pytest.raises(RequestError, match=r"clip_info_final\.csv has no column 'mp3_path'; its columns are: clip_id, track_number"):
        module.dataset(magnatagatune)


def test_a_table_that_is_missing_is_told_with_the_command_that_gets_it(magnatagatune):
    (magnatagatune / "annotations_final.csv").unlink()
    with pytest.raises(RequestError, match=r"annotations_final\.csv is missing: run `jukemir-like download MAGNATAGATUNE_ANNOTATIONS`"):
        module.dataset(magnatagatune)


def test_tagged_only_leaves_out_what_has_none_of_the_labels(magnatagatune, published):
    whole, tagged = module.dataset(magnatagatune), module.dataset(magnatagatune, "magnatagatune+tagged_only", frozenset({"tagged_only"}))
    labels = set(whole.tasks["tags"].labels)
    expected = {uid for uid, record in published("magnatagatune").items() if labels & set(record["y_all"] or [])}
    assert [item.uid for item in tagged.items] == [item.uid for item in whole.items if item.uid in expected]
    assert 0 < len(tagged.items) < sum(item.y is not None for item in whole.items)
    assert tagged.tasks == whole.tasks
    assert (tagged.name, tagged.options) == ("magnatagatune+tagged_only", ("tagged_only",))


def test_artist_clean_puts_each_artist_where_most_of_its_clips_are(magnatagatune):
    whole = module.dataset(magnatagatune)
    clean = module.dataset(magnatagatune, options=frozenset({"artist_clean"}))
    votes = defaultdict(list)
    for item in whole.items:
        if item.split:
            votes[item.extra["artist"].lower()].append(item.split)
    moved = 0
    for before, after in zip(whole.items, clean.items, strict=True):
        if before.split is None:
            assert after == before
            continue
        count = Counter(votes[before.extra["artist"].lower()])
        most = max(count.values())
        assert after.split == next(split for split in ("test", "valid", "train") if count[split] == most)
        moved += after.split != before.split
    assert moved > 0
    assert {item.split for item in clean.items} == {"train", "valid", "test", None}


def test_spellings_of_one_artist_are_one_artist(tmp_path):
    clips = {
        "1": ("Christopher of the Wolves", "0/a.mp3"),
        "2": ("Christopher  Of The Wolves ", "d/b.mp3"),
        "3": ("christopher of the wolves", "d/c.mp3"),
    }
    folder = write(tmp_path, {"1": ["a"], "2": [], "3": ["a"]}, clips)
    assert [item.split for item in module.dataset(folder, options=frozenset({"artist_clean"})).items] == ["test"] * 3


def test_both_options_are_a_part_of_artist_clean(magnatagatune):
    clean = module.dataset(magnatagatune, options=frozenset({"artist_clean"}))
    both = module.dataset(magnatagatune, options=frozenset({"artist_clean", "tagged_only"}))
    assert both.items == [item for item in clean.items if item.y]
    assert both.options == ("artist_clean", "tagged_only")


@pytest.mark.slow
def test_tables_of_the_published_size_are_read_in_under_ten_seconds(tmp_path):
    random = np.random.default_rng(0)
    often = np.where(np.arange(188) < 50, 0.05, 0.005)
    clips = {str(clip): (f"artist {clip % 230}", f"{random.integers(16):x}/{clip}.mp3" if clip < 25863 else "") for clip in range(31382)}
    tags = {clip: [f"tag {tag:03d}" for tag in np.flatnonzero(random.random(188) < often)] for clip, (_, path) in clips.items() if path}
    folder = write(tmp_path, tags, clips)
    started = time.process_time()  # of this process alone, whatever else the machine does
    made = module.dataset(folder, options=frozenset({"artist_clean", "tagged_only"}))
    seconds = time.process_time() - started
    assert len(made.items) == sum(any(int(tag[4:]) < 50 for tag in names) for names in tags.values())
    assert seconds < 10
