"""meta.json as it is written: item by item, the bytes that json gives of the whole."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.datasets import meta
from jukemir_like.datasets.dataset import Clip, Dataset, Item, Task

LABELS = (
    st.none() | st.text(max_size=4) | st.lists(st.floats(-1e9, 1e9), max_size=3) | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)
EXTRA = st.dictionaries(
    st.text(max_size=3), st.none() | st.integers() | st.text(st.characters(), max_size=5) | st.just("a\n b\u2028\udcff")
)
ITEMS = st.lists(
    st.builds(
        Item, st.text(min_size=1, max_size=4), st.none() | st.just("train"), LABELS, st.none(),
        st.none() | st.builds(Clip, st.text(max_size=3), st.floats(0, 99), st.integers(0, 9), st.floats(0, 9), st.floats(0, 9)), EXTRA,
    ),
    max_size=5, unique_by=lambda item: item.uid,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(ITEMS)
def test_its_bytes_are_those_of_the_whole_object_written_at_once(tmp_path_factory, items):
    folder = tmp_path_factory.getbasetemp()
    meta.write_meta(folder, Dataset("d", {"t": Task("t", "multiclass", ("a",))}, items), failed={}, skipped={}, metadata_only=True)
    expected = {}
    for item in items:
        expected[item.uid] = {"split": item.split, "y": item.y}
        if item.clip:
            names = ("audio_uid", "audio_duration", "clip_idx", "clip_offset", "clip_duration")
            expected[item.uid]["clip"] = {name: getattr(item.clip, name) for name in names}
        expected[item.uid]["extra"] = item.extra
    assert (folder / meta.META).read_text() == json.dumps(expected, indent=1) + "\n"


def test_writing_takes_no_memory_per_item(tmp_path):
    items = [Item(str(number), "train", "a", None, extra={"note": "x" * 1000}) for number in range(5000)]
    dataset = Dataset("d", {"t": Task("t", "multiclass", ("a",))}, items)
    tracemalloc.start()
    meta.write_meta(tmp_path, dataset, failed={}, skipped={}, metadata_only=True)
    assert tracemalloc.get_traced_memory()[1] < 500_000 < (tmp_path / meta.META).stat().st_size / 5
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("folder", "description", "command"),
    [
        ("gtzan_ff", {"name": "gtzan_ff"}, "run `jukemir-like process gtzan_ff` again"),
        ("mine", {"name": "gtzan_ff"}, "run `jukemir-like process gtzan_ff --name mine` again"),
        ("mine", {"name": "gtzan_ff+artist_folds"}, "run `jukemir-like process gtzan_ff+artist_folds --name mine` again"),
        ("mine", {"name": "mine"}, "run `jukemir-like process folder --name mine` again, with the options of the first time"),
        ("mine", {}, "run `jukemir-like process folder --name mine` again, with the options of the first time"),
        ("mine", None, "run `jukemir-like process folder --name mine` again, with the options of the first time"),
        ("mine~noise-20", {"name": "mine~noise-20"}, "run `jukemir-like deform mine noise-20` again"),
        ("gtzan_ff", "damaged", "run `jukemir-like process gtzan_ff` again"),
        ("mine", "damaged", "run `jukemir-like process` with `--name mine` again, with the dataset and the options of the first time"),
    ],
)
def test_the_remedy_is_the_command_that_made_it(tmp_path, folder, description, command):
    (tmp_path / folder).mkdir()
    if description is not None:
        (tmp_path / folder / "dataset.json").write_text("{" if description == "damaged" else json.dumps(description))
    assert meta.remedy(tmp_path / folder) == command
