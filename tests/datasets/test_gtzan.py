"""gtzan_ff and gtzan_tempo: the published labels, and lists that do not fit."""

from collections import Counter

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import gtzan as module
from jukemir_like.downloads.declarations import read_declaration

from . import stand_ins


def test_all_930_published_records_agree(gtzan, published):
    made = {item.uid: {"uid": item.uid, "split": item.split, "y": item.y} for item in module.dataset(gtzan).items}
    assert made == published("gtzan_ff")
    assert Counter(record["split"] for record in made.values()) == {"train": 443, "valid": 197, "test": 290}


def test_the_audio_of_an_excerpt_is_in_the_folder_of_its_genre(gtzan):
    items = {item.extra["id"]: item for item in module.dataset(gtzan).items}
    assert items["jazz.00054"].source == gtzan / "unpacked/genres/genres/jazz/jazz.00054.wav"
    assert {item.source.parent.name for item in items.values()} == set(module.GENRES)
    assert all(item.source.parent.name == item.y for item in items.values())


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_do_not_matter(gtzan):
    before = module.dataset(gtzan)
    path = gtzan / "valid_filtered.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n").rstrip())
    assert module.dataset(gtzan).items == before.items


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("jazz/rock.00001.wav", "line 198: 'jazz/rock.00001.wav' is not <genre>/<genre>.NNNNN.wav"),
        ("../../etc/passwd", "line 198: '../../etc/passwd' is not"),
        ("polka/polka.00001.wav", "line 198: 'polka/polka.00001.wav' is not"),
        ("blues/blues.00029.wav", "line 198: blues.00029 was named before, in train"),
        ("blues/blues.0002\xff.wav", "line 198: not UTF-8"),
    ],
)
def test_a_line_that_does_not_fit_is_told_with_its_file_and_number(gtzan, line, what):
    path = gtzan / "valid_filtered.txt"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(RequestError, match=r"valid_filtered\.txt, ") as error:
        module.dataset(gtzan)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_list_that_is_missing_is_told_with_the_command_that_gets_it(gtzan):
    (gtzan / "test_filtered.txt").unlink()
    with pytest.raises(RequestError, match=r"test_filtered\.txt is missing: run `jukemir-like download GTZAN_TEST`"):
        module.dataset(gtzan)


@pytest.fixture
def with_tempi(gtzan):
    (gtzan / "genres_tempos.mf").write_text(stand_ins.gtzan_tempi())
    return gtzan


def test_the_declared_size_of_the_tempi_is_that_of_1000_rows_of_the_published_form():
    """Of the published file its form is known, and its size; not the tempi, but how many digits they have together."""
    (size,) = [asset.size for asset in read_declaration("gtzan").assets if asset.tag == "GTZAN_TEMPO"]
    digits = size - sum(len(f"MARSYAS_DATADIR/genres44k/{name}/{name}.00000.wav\t\n") * 100 for name in module.GENRES)
    assert 2000 < digits < 3000  # whole tempi of two or three digits


def test_tempi_are_those_of_the_excerpts_in_their_fault_filtered_splits(with_tempi):
    genres, made = module.dataset(with_tempi), module.tempo_dataset(with_tempi)
    assert [(item.uid, item.split, item.source) for item in made.items] == [(item.uid, item.split, item.source) for item in genres.items]
    lines = (line.split("\t") for line in stand_ins.gtzan_tempi().splitlines())
    expected = {path.rpartition("/")[2].removesuffix(".wav"): float(bpm) for path, bpm in lines}
    assert {item.extra["id"]: item.y for item in made.items}.items() <= expected.items()
    assert [item.extra["genre"] for item in made.items] == [item.y for item in genres.items]
    assert made.tasks["tempo"].primary_metric == "accuracy1"
    assert made.sources["left_out"] == 1000 - 930
    assert set(made.sources["annotations"]) == {"train_filtered.txt", "valid_filtered.txt", "test_filtered.txt", "genres_tempos.mf"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("blues.00001.wav\t68", "blues.00001.wav\tfast", "line 2: 'MARSYAS_DATADIR/genres44k/blues/blues.00001.wav\\tfast' is not"),
        ("blues.00001.wav\t68", "blues.00001.wav\t0", "line 2: "),
        ("blues.00001.wav\t68", "blues.00001.wav", "line 2: "),
        ("blues/blues.00001.wav", "blues/rock.00001.wav", "line 2: "),
        ("blues/blues.00001.wav", "blues/blues.00000.wav", "line 2: blues.00000 is a duplicate"),
        ("MARSYAS_DATADIR/genres44k/blues/blues.00001.wav\t68\n", "", "has none of blues.00001"),
    ],
)
def test_a_tempo_that_does_not_fit_is_told_with_its_line(with_tempi, old, new, what):
    path = with_tempi / "genres_tempos.mf"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(RequestError, match=r"genres_tempos\.mf") as error:
        module.tempo_dataset(with_tempi)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_tempi_that_is_cut_is_refused_wherever_it_is_cut(with_tempi):
    path = with_tempi / "genres_tempos.mf"
    text = path.read_text()
    for keep in (0, 1, len(text) // 2, len(text) - 3, text.rindex("MARSYAS")):
        path.write_text(text[:keep])
        with pytest.raises(RequestError, match=r"genres_tempos\.mf"):
            module.tempo_dataset(with_tempi)


def test_genres_need_no_tempi(gtzan):
    assert len(module.dataset(gtzan).items) == 930
    with pytest.raises(RequestError, match=r"genres_tempos\.mf is missing: run `jukemir-like download GTZAN_TEMPO`"):
        module.tempo_dataset(gtzan)
