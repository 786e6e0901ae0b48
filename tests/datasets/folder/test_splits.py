"""Splits as the table names them."""

import pytest

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
