"""emomusic: the sample of the published labels, the standardisation, rows that do not fit, and the artist-clean splits."""

import csv
import hashlib
import io
from collections import Counter, defaultdict

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import emomusic as module


def songs(tables):
    return list(csv.DictReader(io.StringIO(tables["songs_info.csv"].decode(), newline="")))


def test_the_published_sample_agrees(emomusic, published):
    made = {}
    for item in module.dataset(emomusic).items:
        made[item.uid] = {
            "uid": item.uid,
            "split": item.split,
            "mean_arousal": item.extra["arousal"],
            "mean_valence": item.extra["valence"],
        }
    assert made == published("emomusic")


def test_labels_are_standardised_over_all_rows_that_are_not_test(emomusic, published):
    rated = [(r["mean_arousal"], r["mean_valence"], r["split"]) for r in published("emomusic").values()]
    fitted = np.array([row[:2] for row in rated if row[2] != "test"])
    expected = (np.array([row[:2] for row in rated]) - fitted.mean(axis=0)) / fitted.std(axis=0)
    made = module.dataset(emomusic)
    np.testing.assert_allclose([item.y for item in made.items], expected, atol=1e-12)
    np.testing.assert_allclose([made.sources["mean"], made.sources["std"]], [fitted.mean(axis=0), fitted.std(axis=0)])
    assert made.tasks["emotion"].labels == ("arousal", "valence")


def test_standardised_labels_are_ratings_again_by_the_published_statistics(published):
    mean, std = np.array(module.PUBLISHED["mean"]), np.array(module.PUBLISHED["std"])
    assert module.standardise((4.75606, 4.97386), tuple(mean), tuple(std)) == [0.0, 0.0]
    for record in published("emomusic").values():
        rating = (record["mean_arousal"], record["mean_valence"])
        np.testing.assert_allclose(np.array(module.standardise(rating, tuple(mean), tuple(std))) * std + mean, rating, atol=1e-12)


def test_statistics_are_of_the_population():
    assert module.statistics([(1.0, 2.0), (3.0, 8.0)]) == ((2.0, 5.0), (1.0, 3.0))


def test_the_split_follows_from_the_normalised_name_of_the_artist():
    digit = int(hashlib.sha1(b"the new mystikal troubadours").hexdigest(), 16) % 10
    expected = "valid" if digit in (8, 9) else "train"
    for spelled in ("The New Mystikal Troubadours", " the  NEW Mystikal Troubadours!", "The\tNew 7 Mystikal Tröubadours".replace("ö", "o")):
        assert module.split_of(spelled, "development") == expected
    assert module.split_of("The New Mystikal Troubadours", "evaluation") == "test"
    assert module.ascii_artist("Béla 2 Fleck-&  the Flecktones") == "bla fleck the flecktones"


def test_a_song_is_known_by_its_row(emomusic):
    item = module.dataset(emomusic).items[0]
    assert item.source == emomusic / "unpacked" / "clips_45sec" / "clips_45seconds" / "2.mp3"
    assert {key: item.extra[key] for key in ("artist", "title", "genre", "segment_start", "segment_end")} == {
        "artist": "The New Mystikal Troubadours",
        "title": "Tonight  A Lonely Century",
        "genre": "Blues",
        "segment_start": 48.0,
        "segment_end": 93.0,
    }


def test_every_segment_is_45_seconds_as_published(emomusic):
    assert {item.extra["segment_end"] - item.extra["segment_start"] for item in module.dataset(emomusic).items} == {45.0}


@pytest.mark.parametrize(("written", "seconds"), [("1.3", 90.0), ("0.05", 5.0), ("0.5", 50.0), ("4", 240.0), ("12.34", 754.0)])
def test_what_follows_the_point_are_seconds(written, seconds):
    assert module.seconds(written) == seconds


@pytest.mark.parametrize("folder", ["clips_45seconds", "clips_45sec", "."])
def test_the_audio_is_found_in_whatever_folder_the_archive_has(emomusic, folder):
    place = emomusic / "unpacked" / "clips_45sec" / folder
    place.mkdir(parents=True)
    (place / "2.mp3").write_bytes(b"x")
    assert module.dataset(emomusic).items[0].source.samefile(place / "2.mp3")


def test_line_ends_spaces_a_byte_order_mark_and_a_top_folder_do_not_matter(emomusic, emomusic_tables, write_emomusic):
    before = module.dataset(emomusic)
    files = {"._songs_info.csv": b"\x00\x05\x16\x07 a file that only macOS knows"}
    for name, data in emomusic_tables.items():
        files[name] = b"\xef\xbb\xbf" + data.replace(b"\r\n", b"\n").replace(b",", b" , ").rstrip()
    folder = write_emomusic(files, top="./annotations/")
    assert module.dataset(folder).items == before.items


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("songs_info.csv", b"\n20,20.mp3,", b"\n20,20.mp3,Who, ", r"songs_info\.csv, line 3: 9 cells where the header has 8"),
        ("songs_info.csv", b"\n20,", b"\n2,", r"songs_info\.csv, line 3: song 2 is a duplicate of line 2"),
        ("songs_info.csv", b"\n20,", b"\nxx,", r"songs_info\.csv, line 3: song_id 'xx' is not a number"),
        ("songs_info.csv", b"4.1,4.55", b"4:10,4.55", r"songs_info\.csv, line 3: segment '4:10' to '4\.55' is not minutes\.seconds"),
        ("songs_info.csv", b"Blues,development", b"Blues,other", r"songs_info\.csv, line 2: set 'other' is not one of development"),
        ("songs_info.csv", b"\n20,20.mp3", b"\n9999,20.mp3", r"song 20 is not in songs_info\.csv"),
        ("static_annotations.csv", b"\n20,5.4", b"\n20,n/a", r"static_annotations\.csv, line 3: arousal 'n/a' and valence '6\.5' must be"),
        ("static_annotations.csv", b"\n20,5.4", b"\n20,54", r"static_annotations\.csv, line 3: arousal '54' and valence '6\.5' must be"),
        ("static_annotations.csv", b"\n20,5.4", b"\n20,nan", r"static_annotations\.csv, line 3: arousal 'nan'"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_told_with_its_file_and_line(emomusic_tables, write_emomusic, file, old, new, what):
    assert old in emomusic_tables[file]
    folder = write_emomusic(emomusic_tables | {file: emomusic_tables[file].replace(old, new, 1)})
    with pytest.raises(RequestError, match=what) as error:
        module.dataset(folder)
    assert "\n" not in str(error.value)


def test_a_song_without_a_rating_is_told(emomusic_tables, write_emomusic):
    data = b"\n".join(line for line in emomusic_tables["static_annotations.csv"].split(b"\n") if not line.startswith(b"20,"))
    with pytest.raises(RequestError, match=r"songs_info\.csv, line 3: song 20 is not in static_annotations\.csv"):
        module.dataset(write_emomusic(emomusic_tables | {"static_annotations.csv": data}))


def test_an_archive_that_is_missing_damaged_or_another_is_told_with_the_command_that_gets_it(emomusic, write_emomusic):
    with pytest.raises(RequestError, match=r"holds no songs_info\.csv; run `jukemir-like download EMOMUSIC_ANNOTATIONS`"):
        module.dataset(write_emomusic({"readme.txt": b"x"}))
    (emomusic / "annotations.tar.gz").write_bytes(b"<html>503</html>")
    with pytest.raises(RequestError, match=r"annotations\.tar\.gz.*run `jukemir-like download EMOMUSIC_ANNOTATIONS`"):
        module.dataset(emomusic)
    (emomusic / "annotations.tar.gz").unlink()
    with pytest.raises(RequestError, match=r"annotations\.tar\.gz is missing: run `jukemir-like download EMOMUSIC_ANNOTATIONS`"):
        module.dataset(emomusic)


def test_artist_clean_puts_each_artist_where_most_of_its_songs_are(emomusic_tables, write_emomusic):
    # the sample has one song of most artists: give every third song the artist of the one before
    header, *body = emomusic_tables["songs_info.csv"].decode().splitlines()
    cells = [line.split(",") for line in body]
    for index in range(2, len(cells), 3):
        cells[index][2] = cells[index - 1][2] = cells[index - 2][2]
    data = "\n".join([header, *(",".join(row) for row in cells)]).encode()
    folder = write_emomusic(emomusic_tables | {"songs_info.csv": data})
    whole, clean = module.dataset(folder), module.dataset(folder, "emomusic+artist_clean", frozenset({"artist_clean"}))
    votes = defaultdict(Counter)
    for item in whole.items:
        votes[module.ascii_artist(item.extra["artist"])][item.split] += 1
    assert any(len(count) > 1 for count in votes.values())
    for before, after in zip(whole.items, clean.items, strict=True):
        count = votes[module.ascii_artist(before.extra["artist"])]
        assert after.split == next(split for split in ("test", "valid", "train") if count[split] == max(count.values()))
        assert after.y == before.y
    assert (clean.name, clean.options, clean.group) == ("emomusic+artist_clean", ("artist_clean",), "artist")
