"""nsynth: notes of the published form, and files that do not fit."""

import json

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import nsynth as module

from . import stand_ins


@pytest.fixture
def folder(tmp_path):
    stand_ins.write_nsynth(tmp_path)
    return tmp_path


def examples(folder, split):
    return folder / f"unpacked/nsynth-{split}.jsonwav/nsynth-{split}/examples.json"


def edit(folder, split, change):
    path = examples(folder, split)
    notes = json.loads(path.read_text())
    change(notes)
    path.write_text(json.dumps(notes))


def test_a_published_note(folder):
    item = next(item for item in module.dataset(folder).items if item.uid == "keyboard_acoustic_004-060-025")
    assert (item.split, item.y) == ("valid", {"instrument": "keyboard", "pitch": "60"})
    assert item.source == folder / "unpacked/nsynth-valid.jsonwav/nsynth-valid/audio/keyboard_acoustic_004-060-025.wav"
    assert item.extra == {
        "instrument": "keyboard_acoustic_004",
        "instrument_source": "acoustic",
        "velocity": 25,
        "qualities": ["dark", "reverb"],
    }


def test_every_note_has_the_labels_of_its_record_and_the_split_of_its_archive(folder):
    made = module.dataset(folder)
    assert made.group == "instrument"
    expected = {note: (split, fields) for split in stand_ins.NSYNTH_PARTS for note, fields in stand_ins.nsynth_notes(split)}
    assert {item.uid: item.split for item in made.items} == {note: split for note, (split, _) in expected.items()}
    for item in made.items:
        fields = expected[item.uid][1]
        assert item.y == {"instrument": fields["instrument_family_str"], "pitch": str(fields["pitch"])}
        assert item.y["instrument"] == module.FAMILIES[fields["instrument_family"]]
    assert len(made.sources["annotations"]) == 3


def test_labels_are_the_eleven_families_and_all_midi_notes():
    assert len(module.FAMILIES) == 11
    assert module.TASKS["pitch"].labels == tuple(map(str, range(128)))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"note_str": "another"}, "has the note_str 'another'"),
        ({"instrument_family_str": "kazoo"}, "has the family 'kazoo' with the number"),
        ({"instrument_family": 9}, "with the number 9, which is none of the eleven"),
        ({"pitch": 128}, "has the pitch 128, not 0 to 127"),
        ({"pitch": "60"}, "has the pitch '60', not 0 to 127"),
        ({"instrument_str": None}, "has no instrument_str"),
    ],
)
def test_a_note_that_does_not_fit_is_told_with_its_file(folder, change, what):
    edit(folder, "valid", lambda notes: notes["keyboard_acoustic_004-060-025"].update(change))
    with pytest.raises(RequestError, match=r"nsynth-valid/examples\.json: note 'keyboard_acoustic_004-060-025' ") as error:
        module.dataset(folder)
    assert what in str(error.value)
    assert "run `jukemir-like download NSYNTH_VALID` again" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_note_in_two_splits_is_refused(folder):
    note, fields = next(iter(stand_ins.nsynth_notes("train")))
    edit(folder, "test", lambda notes: notes.update({note: fields}))
    with pytest.raises(RequestError, match=f"note '{note}' is in train too"):
        module.dataset(folder)


@pytest.mark.parametrize("keep", [0, 1, 0.3, 0.9])
def test_a_file_that_is_cut_is_damaged(folder, keep):
    path = examples(folder, "train")
    text = path.read_text()
    path.write_text(text[: int(keep * len(text)) if keep < 1 else -2])
    with pytest.raises(RequestError, match=r"nsynth-train/examples\.json is damaged: .*run `jukemir-like download NSYNTH_TRAIN` again"):
        module.dataset(folder)


def test_a_part_that_is_missing_is_told_with_the_command_that_gets_it(folder):
    examples(folder, "test").unlink()
    with pytest.raises(RequestError, match=r"examples\.json is missing: run `jukemir-like download NSYNTH_TEST`"):
        module.dataset(folder)
