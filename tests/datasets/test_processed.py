"""load_dataset: what meta.json and dataset.json hold, read here by hand with json, comes back as arrays, audio and tables."""

import json
import sys

import numpy as np
import pytest
import soundfile

from jukemir_like import datasets
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.datasets import Dataset, Item, Task, load_dataset
from jukemir_like.process import process
from jukemir_like.synthband import generation

PUBLISHED = [
    ("gtzan_ff", "gtzan"),
    ("giantsteps_clips+unique", "giantsteps"),
    ("magnatagatune", "magnatagatune"),
    ("emomusic+artist_clean", "emomusic"),
]


def by_hand(cache, name):
    folder = cache.processed(name)
    return json.loads((folder / "meta.json").read_bytes()), json.loads((folder / "dataset.json").read_bytes())


@pytest.fixture(params=PUBLISHED, ids=lambda param: param[0])
def annotated(request, tmp_path):
    """Name and cache of a published dataset that was processed without audio."""
    name, fixture = request.param
    request.getfixturevalue(fixture)
    cache = Cache(tmp_path)
    process(datasets.from_assets(name, cache), cache.processed(name), metadata_only=True)
    return name, cache


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    """A cache with three songs of synthband, mono and as stems, processed."""
    pytest.importorskip("tinysoundfont")
    cache = Cache(tmp_path_factory.mktemp("cache"))
    generation.generate(cache.dataset("synthband"), songs=3, seed=1)
    for name in ("synthband", "synthband_stems"):
        process(datasets.from_assets(name, cache), cache.processed(name))
    return cache


@pytest.fixture
def toy(tmp_path, write_audio):
    """A cache with a dataset of one's own: each type of task, a missing label of each, an item without audio, one without a split."""
    cache = Cache(tmp_path / "cache")
    tasks = [
        Task("genre", "multiclass", ("jazz", "rock")),
        Task("tags", "multilabel", ("loud", "fast")),
        Task("mood", "regression", ("arousal", "valence")),
        Task("key", "key", ("C major", "A minor")),
    ]
    y = [
        {"genre": "rock", "tags": ["fast"], "mood": [1.5, -2], "key": "A minor"},
        {"genre": None, "tags": None, "mood": None, "key": None},
        {"genre": "jazz", "tags": [], "mood": [0, 3], "key": "C major"},
    ]
    items = []
    for name, split, labels in zip("abc", ("train", "test", None), y, strict=True):
        source = tmp_path / f"{name}.wav"
        if name != "b":
            write_audio(source, seconds=0.25, seed=ord(name))
        items.append(Item(name, split, labels, source, extra={"artist": f"artist {name}"}))
    process(Dataset("toy", {task.name: task for task in tasks}, items, group="artist"), cache.processed("toy"))
    return cache


def test_uids_splits_and_groups_are_those_of_meta_json_in_its_order(annotated):
    name, cache = annotated
    data, (meta, description) = load_dataset(name, cache), by_hand(cache, name)
    assert (data.name, len(data), list(data), data.uids) == (name, len(meta), list(meta), list(meta))
    assert data.splits.tolist() == [record["split"] or "" for record in meta.values()]
    assert list(data.tasks) == list(description["tasks"])
    assert data.group == description["group"]
    if description["group"] is None:
        assert data.groups is None
    else:
        assert data.groups.tolist() == [str(record["extra"][description["group"]] or uid) for uid, record in meta.items()]
    assert next(iter(meta)) in data
    assert "no such uid" not in data


def test_labels_are_those_of_meta_json(annotated):
    name, cache = annotated
    data, (meta, description) = load_dataset(name, cache), by_hand(cache, name)
    ((task, described),) = description["tasks"].items()
    labels = data.labels(task)
    assert len(labels) == len(meta)
    assert (labels.task.type, list(labels.names)) == (described["type"], described["labels"])
    y = [record["y"] for record in meta.values()]
    assert labels.missing.tolist() == [label is None for label in y]
    if described["type"] == "multilabel":
        assert labels.values.tolist() == [[tag in (label or ()) for tag in described["labels"]] for label in y]
        assert labels.missing.any()
        assert labels.values.dtype == bool
    else:
        assert labels.values.tolist() == y
    np.testing.assert_array_equal(data.labels().values, labels.values)  # of a dataset with one task its name may be left out
    np.testing.assert_array_equal(np.asarray(labels), labels.values)


def test_labels_and_splits_are_the_published_ones(gtzan, published, tmp_path):
    cache = Cache(tmp_path)
    process(datasets.from_assets("gtzan_ff", cache), cache.processed("gtzan_ff"), metadata_only=True)
    data = load_dataset("gtzan_ff", tmp_path)
    genre = dict(zip(data.uids, zip(data.splits.tolist(), data.labels("genre").values.tolist(), strict=True), strict=True))
    assert genre == {uid: (record["split"], record["y"]) for uid, record in published("gtzan_ff").items()}


def test_clips_of_a_track_are_one_group_where_no_key_is_named(tmp_path):
    meta = {f"x-{n}": {"split": "train", "y": "rock", "clip": {"audio_uid": "x"}} for n in range(2)} | {"z": {"split": "test", "y": "jazz"}}
    folder = Cache(tmp_path).processed("d")
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "dataset.json").write_text(json.dumps({"tasks": {"genre": {"type": "multiclass", "labels": ["rock", "jazz"]}}}))
    data = load_dataset("d", tmp_path)
    assert (data.group, data.groups.tolist()) == (None, ["x", "x", "z"])


def test_a_missing_label_is_stated_for_every_type_of_task(toy):
    data = load_dataset("toy", toy)
    assert data.splits.tolist() == ["train", "test", ""]
    assert data.groups.tolist() == ["artist a", "artist b", "artist c"]
    for task in data.tasks:
        assert data.labels(task).missing.tolist() == [False, True, False]
    assert data.labels("genre").values.tolist() == ["rock", "", "jazz"]
    assert data.labels("key").values.tolist() == ["A minor", "", "C major"]
    assert data.labels("tags").values.tolist() == [[False, True], [False, False], [False, False]]
    np.testing.assert_array_equal(data.labels("mood").values, [[1.5, -2], [np.nan, np.nan], [0, 3]])
    assert repr(data) == "ProcessedDataset('toy', 3 items, tasks: genre, tags, mood, key)"


def test_all_tasks_of_synthband(band):
    data, (meta, description) = load_dataset("synthband", band.root), by_hand(band, "synthband")
    assert list(data.tasks) == ["key", "genre", "tags", "emotion", "tempo"]
    for task in ("key", "genre"):
        assert data.labels(task).values.tolist() == [record["y"][task] for record in meta.values()]
    for task in ("emotion", "tempo"):
        assert data.labels(task).values.tolist() == [record["y"][task] for record in meta.values()]
    tags = data.labels("tags")
    assert [[tags.names[n] for n in np.flatnonzero(row)] for row in tags.values] == [record["y"]["tags"] for record in meta.values()]
    assert not any(data.labels(task).missing.any() for task in data.tasks)
    assert data.sources == description["sources"]


def test_audio_is_the_wav(band):
    mono, stems = load_dataset("synthband", band), load_dataset("synthband_stems", band)
    for uid in mono:
        samples, sample_rate = mono.audio(uid)
        expected, rate = soundfile.read(mono.path(uid), dtype="float32")
        assert (samples.dtype, samples.shape, sample_rate) == (np.float32, (661_500,), rate)
        np.testing.assert_array_equal(samples, expected)
        samples, _ = stems.audio(uid)
        np.testing.assert_array_equal(samples, soundfile.read(stems.path(uid), dtype="float32")[0].T)
    assert (mono.stems, stems.stems) == (None, ("bass", "drums", "other", "vocals"))
    assert mono.path("00001") == band.root / "processed" / "synthband" / "wav" / "00001.wav"


def test_the_example_of_the_docstring_runs(band, monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(band.root))
    data = load_dataset("synthband")
    assert len(data) == 3
    genre = data.labels("genre")
    assert len(genre.values[data.splits == "train"]) == (data.splits == "train").sum()
    samples, sample_rate = data.audio(data.uids[0])
    assert (samples.shape, sample_rate) == ((661_500,), 22050)
    assert data.cite().startswith("synthband: composed and rendered songs with stems (synthband)")


def test_a_table_for_pandas_has_a_row_per_item(toy, band):
    frame = load_dataset("toy", toy).to_pandas()
    assert list(frame.columns) == [
        *("split", "group", "genre", "tags.loud", "tags.fast", "mood.arousal", "mood.valence", "key", "extra.artist"),
    ]
    assert (frame.index.name, list(frame.index)) == ("uid", ["a", "b", "c"])
    assert frame["genre"].isna().tolist() == [False, True, False]
    assert frame["tags.fast"].dropna().tolist() == [True, False]
    assert frame["mood.valence"].dropna().tolist() == [-2, 3]
    assert frame["split"].isna().tolist() == [False, False, True]
    frame, (meta, _) = load_dataset("synthband", band).to_pandas(), by_hand(band, "synthband")
    assert len(frame) == 3
    for uid, record in meta.items():
        row = frame.loc[uid]
        assert (row["split"], row["group"], row["key"]) == (record["split"], record["extra"]["artist"], record["y"]["key"])
        assert row["emotion.valence"] == record["y"]["emotion"][1]
        assert row["tags.slow"] == ("slow" in record["y"]["tags"])
        assert row["extra.programs"] == record["extra"]["programs"]
    assert frame["tags.slow"].dtype == bool


def test_a_table_of_clips_says_where_they_lie(giantsteps, tmp_path):
    cache = Cache(tmp_path)
    process(datasets.from_assets("giantsteps_clips", cache), cache.processed("giantsteps_clips"), metadata_only=True)
    frame, (meta, _) = load_dataset("giantsteps_clips", cache).to_pandas(), by_hand(cache, "giantsteps_clips")
    assert frame["clip.clip_offset"].tolist() == [record["clip"]["clip_offset"] for record in meta.values()]
    assert frame["extra.id"].tolist() == [record["extra"]["id"] for record in meta.values()]


def test_without_pandas_one_line_says_how_to_install_it(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RequestError, match="run `pip install pandas`"):
        load_dataset("toy", toy).to_pandas()


def test_what_to_cite(annotated, toy):
    name, cache = annotated
    text, base = load_dataset(name, cache).cite(), name.partition("+")[0]
    assert f"({name})" in text.splitlines()[0]
    assert "\nLicence: " in text
    assert "\n@" in text
    assert "What is wrong with it" in text
    assert {"gtzan_ff": "jazz.00054.wav is corrupt", "giantsteps_clips": "recordings are there twice"}.get(base, "test") in text.replace(
        "`", ""
    )
    assert load_dataset("toy", toy).cite().startswith("toy: a dataset of your own")


def test_a_known_dataset_under_another_name_is_cited_as_what_it_is(gtzan, tmp_path):
    cache = Cache(tmp_path)
    process(datasets.from_assets("gtzan_ff", cache), cache.processed("mine"), metadata_only=True)
    assert "@article{tzanetakis2002musical" in load_dataset("mine", cache).cite()


def test_what_is_not_processed_is_told_with_the_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path))
    with pytest.raises(RequestError) as refused:
        load_dataset("gtzan_ff")
    assert "run `jukemir-like download gtzan_ff`, then `jukemir-like process gtzan_ff`" in str(refused.value)
    other = tmp_path / "other"
    with pytest.raises(RequestError) as refused:
        load_dataset("giantsteps_clips+unique", other)
    assert f"`jukemir-like download giantsteps_clips+unique --cache {other}`" in str(refused.value)
    assert f"`jukemir-like process giantsteps_clips+unique --cache {other}`" in str(refused.value)


def test_an_unknown_name_is_told_with_those_there_are(toy):
    with pytest.raises(RequestError) as refused:
        load_dataset("nosuch", toy)
    assert f"unknown dataset 'nosuch': processed in {toy.root} are toy;" in str(refused.value)
    assert "emomusic, fma_small, giantsteps" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(RequestError, match=r"unknown dataset 'giantsteps_': "):
        load_dataset("giantsteps_", toy)
    with pytest.raises(RequestError, match=r"the datasets of its download are gtzan_ff"):
        load_dataset("gtzan", toy)
    with pytest.raises(RequestError, match="unknown option 'unique' of dataset gtzan_ff"):
        load_dataset("gtzan_ff+unique", toy)
    with pytest.raises(RequestError, match="cannot be the name of a dataset"):
        load_dataset("../toy", toy)


def test_an_unknown_task_or_uid_is_told_with_those_there_are(toy):
    data = load_dataset("toy", toy)
    with pytest.raises(RequestError, match="toy has no task 'gnre': choose from genre, tags, mood, key"):
        data.labels("gnre")
    with pytest.raises(RequestError, match="toy has 4 tasks: choose from genre"):
        data.labels()
    with pytest.raises(RequestError, match="toy has no item 'x': its 3 uids begin with a, b, c"):
        data.audio("x")


def test_an_item_without_audio_says_why(toy, gtzan, tmp_path):
    with pytest.raises(RequestError, match=r"b of toy has no audio: .*no such file"):
        load_dataset("toy", toy).audio("b")
    cache = Cache(tmp_path)
    process(datasets.from_assets("gtzan_ff", cache), cache.processed("gtzan_ff"), metadata_only=True)
    data = load_dataset("gtzan_ff", cache)
    with pytest.raises(RequestError, match=r"has no audio: .*\.wav is missing, run `jukemir-like process gtzan_ff` again"):
        data.audio(data.uids[0])


def test_a_skipped_item_says_why(magnatagatune, tmp_path):
    cache = Cache(tmp_path)
    process(datasets.from_assets("magnatagatune", cache), cache.processed("magnatagatune"), metadata_only=True)
    data = load_dataset("magnatagatune", cache)
    skipped = next(uid for uid, record in by_hand(cache, "magnatagatune")[0].items() if "skipped" in record["extra"])
    with pytest.raises(RequestError, match="its MP3 in the published archive is corrupt"):
        data.audio(skipped)


@pytest.mark.parametrize("label", ["pop", ["rock"], 3])
def test_a_label_that_the_task_does_not_have_is_told_with_its_uid(toy, label):
    path = toy.processed("toy") / "meta.json"
    meta = json.loads(path.read_text())
    meta["c"]["y"]["genre"] = label
    path.write_text(json.dumps(meta))
    with pytest.raises(RequestError, match="label of c in toy does not fit task genre"):
        load_dataset("toy", toy).labels("genre")


def test_damaged_files_are_told_with_the_command(toy):
    data = load_dataset("toy", toy)
    data.path("a").write_bytes(b"no audio")
    with pytest.raises(DamagedFileError, match=r"a\.wav .*run `jukemir-like process folder --name toy` again"):
        data.audio("a")
    (toy.processed("toy") / "meta.json").write_text('{"a": {"split": "tr')
    with pytest.raises(DamagedFileError, match="is not JSON"):
        load_dataset("toy", toy)
