"""Which file a row means: by path, without extension, by bare name, never a file that it does not name; and its split."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.folder.dataset import folder_dataset


def files_of(made):
    return {item.uid: None if item.source is None else item.source.name for item in made.items}


def failures(made):
    return {item.uid: item.extra["failed"].partition(" in ")[0] for item in made.items if "failed" in item.extra}


def test_a_path_with_a_folder_means_the_file_there_alone(make):
    made = make("path,label\nA/03.wav,rock\nB/03.wav,jazz\n", files=["A/03.wav"])
    assert files_of(made) == {"A/03": "03.wav", "B/03": None}
    assert failures(made) == {"B/03": "no such audio file"}
    assert files_of(make("path,label\nB/03,jazz\nA/03,rock\n")) == {"B/03": None, "A/03": "03.wav"}


def test_dots_are_part_of_a_name(make):
    names = [f"blues.{number:05d}" for number in range(3)]
    made = make("uid,label\n" + "".join(f"{name},x\n" for name in names), files=[f"{name}.wav" for name in names])
    assert files_of(made) == {name: f"{name}.wav" for name in names}


def test_a_uid_with_a_dot_and_no_file_takes_no_other_s(make):
    made = make("uid,label\nintro,x\nintro.3,y\n", files=["intro.wav"])
    assert files_of(made) == {"intro": "intro.wav", "intro.3": None}


def test_an_extension_is_taken_off_once(make):
    made = make("path,label\na.mp3,x\nb.wav,y\n", files=["a.mp3.wav", "b.wav.flac", "b.flac"])
    assert {item.source.name for item in made.items} == {"a.mp3.wav", "b.wav.flac"}
    assert [item.uid for item in made.items] == ["a.mp3", "b.wav"]


def test_another_extension_than_the_file_s_is_said(make):
    made = make("path,label\nx/a.mp3,x\nb.wav,y\n", files=["x/a.flac", "b.wav"])
    assert made.items[0].source.name == "a.flac"
    assert any("1, such as x/a.mp3 is x/a.flac" in note for note in made.understood["notes"])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_accent_may_be_one_code_point_or_two(make, form):
    other = "NFD" if form == "NFC" else "NFC"
    name = unicodedata.normalize(form, "é/caffè")
    made = make(f"path,label\n{unicodedata.normalize(other, name)}.wav,x\n", files=[f"{name}.wav"])
    assert files_of(made) == {name: f"{name}.wav".rpartition("/")[2]}


def test_the_same_spelling_comes_first_and_a_choice_between_others_is_refused(make):
    composed, one, two = "\u1e9b\u0323", "\u017f\u0323\u0307", "\u017f\u0307\u0323"
    assert {unicodedata.normalize("NFC", name) for name in (composed, one, two)} == {composed}
    made = make(f"path,label\n{composed}.wav,x\n{one}.wav,y\n", files=[f"{composed}.wav", f"{one}.wav"])
    assert [item.source.name for item in made.items] == [f"{composed}.wav", f"{one}.wav"]
    with pytest.raises(RequestError, match="could be"):
        make(f"path,label\n{two}.wav,x\n", files=[])


@pytest.mark.parametrize(
    ("table", "files", "words"),
    [
        ("path,label\nx/a.wav,r\na,s\n", ["x/a.wav"], "line 3: 'x/a' was already given in line 2"),
        ("uid,path,label\nu,a.wav,r\nv,a,s\n", ["a.wav"], "line 3: 'a' is a.wav, and so was line 2"),
        ('uid,label\na,"x\ny"\n\na,s\n', ["a.wav"], "line 5: 'a' was already given in line 2"),
        ("path,label\na.wav,r\na.mp3,s\n", ["a.wav", "a.mp3"], "line 3: 'a' was already given in line 2: .*uid"),
        ("path,label\n../a.wav,r\n", ["a.wav"], "line 2: uid '../a' cannot be a file name"),
        ("path,label\n/etc/a.wav,r\n", ["a.wav"], "line 2: uid '/etc/a' cannot be a file name"),
        ("uid,path,label\n.hidden,a.wav,r\n", ["a.wav"], "line 2: uid '.hidden' cannot be"),
        (f"uid,path,label\n{'u' * 252},a.wav,r\n", ["a.wav"], r"line 2: .*too long \(252 bytes\)"),
    ],
)
def test_two_rows_for_one_file_and_names_that_no_file_can_have_are_refused(make, table, files, words):
    with pytest.raises(RequestError, match=words):
        make(table, files)


def test_a_whole_path_into_the_folder_and_one_of_windows_are_read(make, tmp_path):
    made = make(f"path,label\n{tmp_path}/audio/x/a.wav,r\nx\\b.wav,s\n", files=["x/a.wav", "x/b.wav"])
    assert [item.uid for item in made.items] == ["x/a", "x/b"]


def test_where_no_row_has_a_file_the_folder_is_named(make):
    made = make("path,label\nmusic/a.wav,r\n", files=["a.wav"])
    assert any("no row names an existing file" in note for note in made.understood["notes"])


@pytest.mark.parametrize("name", ["a\nb", "a\tb"])
def test_odd_names_are_printed_on_one_line(make, name):
    with pytest.raises(RequestError) as refused:
        make(f'uid,label\n"{name}",x\n"{name}",y\n', files=[])
    assert str(refused.value).isprintable()


NAMES = st.text(st.sampled_from("ab.13"), min_size=1, max_size=4).filter(lambda name: not name.startswith(".") and ".." not in name)
PATHS = st.builds("/".join, st.lists(NAMES, min_size=1, max_size=2))


@given(st.sets(PATHS, min_size=1, max_size=4), st.sets(PATHS, min_size=1, max_size=4))
def test_a_row_never_gets_a_file_that_it_does_not_name(tmp_path_factory, on_disk, named):
    root = tmp_path_factory.mktemp("match")
    for name in on_disk:
        if not any(other.startswith(f"{name}.wav/") for other in on_disk):
            (root / f"{name}.wav").parent.mkdir(parents=True, exist_ok=True)
            (root / f"{name}.wav").touch()
    (root / "labels.csv").write_text("path,label\n" + "".join(f"{name},x\n" for name in sorted(named)))
    try:
        made = folder_dataset(root, root / "labels.csv")
    except RequestError:
        return
    assert len({item.source for item in made.items if item.source}) == sum(item.source is not None for item in made.items)
    for name, item in zip(sorted(named), made.items, strict=True):
        if item.source is not None:
            file = item.source.relative_to(root).as_posix()
            assert file.removesuffix(".wav") == name or ("/" not in name and item.source.name == f"{name}.wav")
        else:
            assert name not in on_disk


WORDS = {
    "train": ["train", "Training", "TRAIN"],
    "valid": ["valid", "val", "validation", "dev", "Development"],
    "test": ["test", "testing", "eval", "Evaluation"],
}


@pytest.mark.parametrize(("word", "split"), [(word, split) for split, words in WORDS.items() for word in words])
@pytest.mark.parametrize("column", ["split", "Split", "SPLIT"])
def test_the_usual_words_for_the_three_splits(make, column, word, split):
    made = make(f"uid,{column},label\na,{word},1.5\nb,{word},2.5\n")
    assert [item.split for item in made.items] == [split, split]
    assert list(made.tasks) == ["label"]
    assert not any("assigned" in note for note in made.understood["notes"])


@pytest.mark.parametrize("word", ["", "NA", "nan", "None"])
def test_a_missing_split_is_assigned_and_reported(make, word):
    made = make(f"uid,split,label\na,test,1.5\nb,{word},2.5\n", seed=3)
    assert made.items[1].split == "train"
    assert "splits assigned at random, with seed 3: 1 of 2" in made.understood["notes"]


def test_items_without_a_group_are_not_one_group(make):
    made = make("uid,group,label\n" + "".join(f"f{row},NA,{row}.5\n" for row in range(20)))
    assert {item.split for item in made.items} == {"train", "valid", "test"}
    assert "items without a group, each one by itself: 20" in made.understood["notes"]
