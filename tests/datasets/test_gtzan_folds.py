"""gtzan_ff+artist_folds: lists in the published layout (some of the published lines), and lists that do not fit."""

import pytest

from jukemir_like import datasets
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.processed import read_processed
from jukemir_like.process import process

# A few lines of each of the published lists.
LISTS = {
    "f1": "./blues_00012.wav\t1\n./blues_00013.wav\t1\n./jazz_00057.wav\t229\n./rock_00090.wav\t410\n",
    "f2": "./blues_00000.wav\t0\n./blues_00040.wav\t3\n./jazz_00054.wav\t235\n",
    "f3": "./blues_00029.wav\t2\n./jazz_00064.wav\t240\n./rock_00028.wav\t396\n",
}


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "datasets" / "gtzan"
    folder.mkdir(parents=True)
    for name, lines in LISTS.items():
        (folder / f"{name}_evaluate_groups.txt").write_text(lines)
    return Cache(tmp_path)


def test_each_list_is_a_fold_and_the_artist_is_the_group(cache):
    made = datasets.from_assets("gtzan_ff+artist_folds", cache)
    items = {item.extra["id"]: item for item in made.items}
    assert (made.folds, made.group, made.options, len(items)) == (("1", "2", "3"), "artist", ("artist_folds",), 10)
    assert {item.split for item in made.items} == {None}
    assert {track: (item.y, item.extra["fold"], item.extra["artist"]) for track, item in items.items() if item.y == "jazz"} == {
        "jazz.00054": ("jazz", "2", "235"),
        "jazz.00057": ("jazz", "1", "229"),
        "jazz.00064": ("jazz", "3", "240"),
    }
    assert items["rock.00090"].source == cache.dataset("gtzan") / "unpacked/genres/genres/rock/rock.00090.wav"
    process(made, cache.processed("gtzan_ff+artist_folds"), metadata_only=True)
    read = read_processed(cache.processed("gtzan_ff+artist_folds"))
    assert {read.fold_of(uid) for uid in read} == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("./blues_00012.wav\t9", r"f3_evaluate_groups\.txt, line 4: blues.00012 was named before, in fold 1"),
        ("./blues_00099.wav\t1", "line 4: artist 1 was named before, in fold 1"),
        ("./polka_00001.wav\t9", "line 4: .* is not ./<genre>_NNNNN.wav, a tab, and a number"),
        ("../../etc/passwd\t9", "line 4: .* is not"),
        ("./blues_00099.wav", "line 4: .* is not"),
    ],
)
def test_a_line_that_does_not_fit_is_told_with_its_file_and_number(cache, line, what):
    path = cache.dataset("gtzan") / "f3_evaluate_groups.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RequestError, match=what) as refused:
        datasets.from_assets("gtzan_ff+artist_folds", cache)
    assert "\n" not in str(refused.value)


def test_a_list_that_is_missing_is_told_with_the_command_that_gets_it(cache):
    (cache.dataset("gtzan") / "f2_evaluate_groups.txt").unlink()
    with pytest.raises(RequestError, match="run `jukemir-like download GTZAN_FOLD2`"):
        datasets.from_assets("gtzan_ff+artist_folds", cache)
