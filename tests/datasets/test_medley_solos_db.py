"""medley_solos_db: rows of the published form, and rows that do not fit."""

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import medley_solos_db as module

from . import stand_ins


def test_a_published_row(tmp_path):
    stand_ins.write_medley(tmp_path)
    item = module.dataset(tmp_path).items[0]
    assert (item.uid, item.split, item.y) == ("d07b1fc0-567d-52c2-fef4-239f31c9d40e", "valid", "flute")
    assert item.extra == {"song": "210"}
    name = "Medley-solos-DB_validation-3_d07b1fc0-567d-52c2-fef4-239f31c9d40e.wav"
    assert item.source == tmp_path / "unpacked" / "Medley-solos-DB" / name


def test_every_row_is_an_item(tmp_path):
    stand_ins.write_medley(tmp_path)
    made = module.dataset(tmp_path)
    rows = [row.split(",") for row in stand_ins.medley_rows()]
    splits = {"training": "train", "validation": "valid", "test": "test"}
    assert [(item.split, item.y, item.extra["song"], item.uid) for item in made.items] == [
        (splits[subset], instrument, song, uid) for subset, instrument, _, song, uid in rows
    ]
    assert made.group == "song"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (stand_ins.MEDLEY_ROW.replace("validation", "dev"), "line 2: subset 'dev' is not one of training, validation, test"),
        (stand_ins.MEDLEY_ROW.replace("flute", "kazoo"), "line 2: instrument 'kazoo' with number '3' is none of the eight"),
        (stand_ins.MEDLEY_ROW.replace(",3,", ",4,"), "line 2: instrument 'flute' with number '4' is none of the eight"),
        (stand_ins.MEDLEY_ROW.replace("210", "x"), "line 2: song_id 'x' is not a number"),
        (stand_ins.MEDLEY_ROW[:-2], "line 2: 'd07b1fc0-567d-52c2-fef4-239f31c9d4' is no uuid4"),
        (stand_ins.MEDLEY_ROW[:20], "line 2: 4 cells where the header has 5"),
        (f"{stand_ins.MEDLEY_ROW}\n{stand_ins.MEDLEY_ROW.replace('validation', 'test')}", "line 3: clip d07b1fc0"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_line(tmp_path, row, what):
    stand_ins.write_medley(tmp_path, [row])
    with pytest.raises(RequestError, match=r"metadata\.csv, ") as error:
        module.dataset(tmp_path)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_that_is_missing_is_told_with_the_command_that_gets_it(tmp_path):
    with pytest.raises(RequestError, match="run `jukemir-like download MEDLEY_SOLOS_DB_METADATA`"):
        module.dataset(tmp_path)
