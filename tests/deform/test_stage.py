"""The stage deform: which items, what files, in any order, by any number of workers, resumed, and with bad input."""

import json

import numpy as np
import pytest
import soundfile

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Dataset, Item, Task, load_dataset
from jukemir_like.deform.stage import deform
from jukemir_like.process import process

TASKS = {"key": Task("key", "key", KEYS), "tempo": Task("tempo", "regression", ("bpm",)), "tags": Task("tags", "multilabel", ("fast",))}
RATE = 22050


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def make(cache, tmp_path, write_audio):
    """A function that processes a dataset ``d`` with a few items a split: ``make(items=…)``; items may be added to or replaced."""

    def run(more=(), name="d", **options):
        items = []
        for index in range(9):
            source = tmp_path / "source" / f"{index}.wav"
            write_audio(source, seconds=0.5, sample_rate=RATE, seed=index, subtype="PCM_16")
            split = ("train", "valid", "test")[index % 3]
            y = {"key": KEYS[index], "tempo": [100.0 + index], "tags": ["fast"]}
            items.append(Item(f"x/{index}", split, y, source, extra={"artist": f"a{index // 6}"}))
        process(Dataset(name, TASKS, [*items, *more], group="artist", sources={"made": "here"}, **options), cache.processed(name))

    return run


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".records" not in path.parts
    }


def write_item(path, samples, uid, split="test", rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return Item(uid, split, {"key": "C major", "tempo": [90.0], "tags": []}, path, extra={"artist": "new"})


def test_the_test_items_alone_are_written_with_their_uids_groups_and_splits(make, cache):
    make()
    summary = deform(cache, "d", "noise-20", seed=3)
    assert (summary.done, summary.failed) == (3, {})
    clean, deformed = load_dataset("d", cache), load_dataset("d~noise-20", cache)
    assert deformed.uids == [uid for uid, split in zip(clean.uids, clean.splits, strict=True) if split == "test"]
    assert set(deformed.splits) == {"test"}
    for uid in deformed:
        assert deformed.items[uid] == clean.items[uid]
        assert deformed.group_of(uid) == clean.group_of(uid)
        noise = deformed.audio(uid)[0] - clean.audio(uid)[0]
        ratio = np.mean(clean.audio(uid)[0].astype(float) ** 2) / np.mean(noise.astype(float) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.1)
    description = json.loads((cache.processed("d~noise-20") / "dataset.json").read_text())
    assert {name: description["deformed"][name] for name in ("of", "deformation", "seed")} == {
        "of": "d",
        "deformation": "noise-20",
        "seed": 3,
    }
    assert description["deformed"]["meta"] == clean.digest
    assert (description["items"], description["files"], description["sources"]) == ({"test": 3}, 3, {"made": "here"})
    assert deformed.tasks == clean.tasks


def test_deformed_by_nothing_the_files_are_the_clean_ones_to_the_byte(make, cache):
    make()
    deform(cache, "d", "level+0")
    clean, deformed = files(cache.processed("d") / "wav"), files(cache.processed("d~level+0") / "wav")
    assert deformed == {name: clean[name] for name in deformed}
    assert len(deformed) == 3


@pytest.mark.parametrize("name", ["noise-20", "pinknoise-10", "reverb-0.5", "mp3-64"])
def test_the_same_bytes_by_any_number_of_workers_and_after_an_interruption(make, cache, name):
    make()
    deform(cache, "d", name)
    folder = cache.processed(f"d~{name}")
    first = files(folder)
    (folder / "wav" / "x" / "2.wav").unlink()
    (folder / "wav" / "x" / "5.wav").write_bytes(b"half")
    summary = deform(cache, "d", name, workers=2)
    assert (summary.done, summary.kept) == (2, 1)
    assert files(folder) == first
    other = Cache(cache.root.parent / "other")
    other.processed("d").parent.mkdir(parents=True)
    cache.processed("d").rename(other.processed("d"))
    deform(other, "d", name, workers=3)
    assert files(other.processed(f"d~{name}")) == first


def test_random_numbers_depend_on_seed_uid_and_deformation_alone(make, cache):
    make()

    def noise(uid, name="noise-20", **options):
        deform(cache, "d", name, **options)
        return load_dataset(f"d~{name}", cache).audio(uid)[0] - load_dataset("d", cache).audio(uid)[0]

    first = noise("x/2")
    assert not np.allclose(first, noise("x/5"))
    assert not np.allclose(first, noise("x/2", seed=1))
    np.testing.assert_array_equal(first, noise("x/2"))
    # Other items of the dataset change nothing.
    meta = cache.processed("d") / "meta.json"
    meta.write_text(json.dumps({uid: record for uid, record in json.loads(meta.read_text()).items() if uid != "x/5"}))
    np.testing.assert_array_equal(first, noise("x/2"))
    assert not (cache.processed("d~noise-20") / "wav" / "x" / "5.wav").exists()


def test_another_seed_changes_noise_and_nothing_that_has_none(make, cache):
    make()
    for name, kept in (("noise-20", 0), ("mp3-64", 3)):
        deform(cache, "d", name)
        assert deform(cache, "d", name, seed=1).kept == kept


def test_labels_follow_and_it_is_said(make, cache):
    pytest.importorskip("python_stretch")
    make()
    summary = deform(cache, "d", "pitch+2")
    clean, moved = load_dataset("d", cache), load_dataset("d~pitch+2", cache)
    for uid in moved:
        assert KEYS.index(moved.label_of(uid, "key")) == KEYS.index(clean.label_of(uid, "key")) + 2
        assert moved.label_of(uid, "tempo") == clean.label_of(uid, "tempo")
    assert any(note.startswith("labels of key follow") for note in summary.notes)
    deform(cache, "d", "tempo-0.5")
    slower = load_dataset("d~tempo-0.5", cache)
    assert [slower.label_of(uid, "tempo")[0] for uid in slower] == [clean.label_of(uid, "tempo")[0] / 2 for uid in slower]
    assert len(slower.audio("x/2")[0]) == 2 * len(clean.audio("x/2")[0])


def test_one_bad_file_does_not_stop_the_others(make, cache, command):
    make()
    (cache.processed("d") / "wav" / "x" / "2.wav").write_bytes(b"no audio")
    (cache.processed("d") / "wav" / "x" / "5.wav").unlink()
    summary = deform(cache, "d", "level-6")
    assert summary.done == 1
    assert set(summary.failed) == {"x/2", "x/5"}
    assert json.loads((cache.processed("d~level-6") / "dataset.json").read_text())["failed"] == summary.failed
    done = command("deform", "d", "level-6", "level-12", "--cache", cache.root, "--workers", "1")
    assert done.returncode == 3
    assert "x/2" in done.stderr
    assert "Traceback" not in done.stderr


def test_clipping_and_silence_are_counted_and_said(make, cache, tmp_path):
    loud = write_item(tmp_path / "loud.wav", np.tile([0.1, 0.9], 500), "loud")
    silent = write_item(tmp_path / "silent.wav", np.zeros(1000), "silent")
    make(more=[loud, silent])
    summary = deform(cache, "d", "level+2")
    assert "clipped at full scale: 1 of 5 clips, at most 50 % of the samples of loud" in summary.notes
    assert json.loads((cache.processed("d~level+2") / "dataset.json").read_text())["deformed"]["clipped"] == {"loud": 0.5}
    assert soundfile.read(cache.processed("d~level+2") / "wav" / "loud.wav")[0].max() == pytest.approx(1, abs=1e-4)
    for _ in range(2):  # kept files are told as well
        summary = deform(cache, "d", "noise-20")
        assert "left as they are: 1 clips: it is silent, so that there is no signal-to-noise ratio" in summary.notes
        assert not soundfile.read(cache.processed("d~noise-20") / "wav" / "silent.wav")[0].any()


def test_what_a_clip_has_not_cannot_be_removed_from_it(make, cache, tmp_path):
    make(more=[write_item(tmp_path / "low.wav", 0.1 * np.ones(100), "low", rate=8000)])
    summary = deform(cache, "d", "lowpass-4000")
    assert summary.done == 4
    assert "left as they are: 1 clips: its sample rate of 8,000 Hz has no frequencies above 4,000 Hz" in summary.notes


@pytest.mark.parametrize("length", [1, 2, 30])
def test_very_short_clips_are_deformed_or_fail_with_a_reason(make, cache, tmp_path, length):
    make(more=[write_item(tmp_path / "short.wav", 0.3 * np.ones(length), "short")])
    names = ["level-12", "noise-20", "pinknoise-20", "mp3-32", "lowpass-4000", "reverb-1"]
    for name in names:
        assert deform(cache, "d", name).failed == {}
        assert soundfile.info(cache.processed(f"d~{name}") / "wav" / "short.wav").frames == length
    pytest.importorskip("python_stretch")
    for name in ("tempo-0.9", "pitch+2"):
        assert "too short" in deform(cache, "d", name).failed["short"]


def test_many_channels_are_mixed_down(make, cache):
    make()
    path = cache.processed("d") / "wav" / "x" / "2.wav"
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, (1000, 6))
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    assert deform(cache, "d", "mp3-32").failed == {}
    assert soundfile.info(cache.processed("d~mp3-32") / "wav" / "x" / "2.wav").channels == 1
    deform(cache, "d", "level-6")
    written, _ = soundfile.read(cache.processed("d~level-6") / "wav" / "x" / "2.wav")
    np.testing.assert_allclose(written, samples.mean(1) * 10 ** (-6 / 20), atol=5e-5)


def test_of_a_dataset_in_folds_all_items_are_written(cache, tmp_path, write_audio):
    items = []
    for index in range(4):
        write_audio(tmp_path / f"{index}.wav", seconds=0.2)
        items.append(Item(f"{index}", None, "C major", tmp_path / f"{index}.wav", extra={"fold": f"{index % 2}"} if index else {}))
    process(Dataset("f", {"key": TASKS["key"]}, items, folds=("0", "1")), cache.processed("f"))
    assert deform(cache, "f", "level-6").done == 3
    assert [record["extra"]["fold"] for record in load_dataset("f~level-6", cache).items.values()] == ["1", "0", "1"]
    assert load_dataset("f~level-6", cache).folds == ("0", "1")


def test_all_items_can_be_deformed_and_those_of_test_are_the_same(make, cache, command):
    make()
    deform(cache, "d", "noise-20")
    tested = files(cache.processed("d~noise-20") / "wav")
    summary = deform(cache, "d", "noise-20", all_items=True)
    assert (summary.done, summary.kept) == (6, 3)
    clean, deformed = load_dataset("d", cache), load_dataset("d~noise-20", cache)
    assert (deformed.uids, list(deformed.splits)) == (clean.uids, list(clean.splits))
    assert tested.items() < files(cache.processed("d~noise-20") / "wav").items()
    assert json.loads((cache.processed("d~noise-20") / "dataset.json").read_text())["items"] == {"train": 3, "valid": 3, "test": 3}
    assert deform(cache, "d", "noise-20").kept == 3
    assert files(cache.processed("d~noise-20") / "wav") == tested
    done = command("deform", "d", "noise-20", "--all_items", "--cache", cache.root)
    assert done.stdout.startswith("deform d~noise-20: 6 done")


def test_a_dataset_without_splits_can_be_deformed_whole(cache, tmp_path, write_audio):
    write_audio(tmp_path / "0.wav", seconds=0.2)
    process(Dataset("n", {"key": TASKS["key"]}, [Item("0", None, "C major", tmp_path / "0.wav")]), cache.processed("n"))
    with pytest.raises(RequestError, match="give --all_items to deform all, for folds that are drawn"):
        deform(cache, "n", "level-6")
    assert deform(cache, "n", "level-6", all_items=True).done == 1


def test_requests_that_cannot_be_are_one_line(make, cache, tmp_path):
    with pytest.raises(RequestError, match="run `jukemir-like process d` first"):
        deform(cache, "d", "noise-20")
    make()
    deform(cache, "d", "noise-20")
    with pytest.raises(RequestError, match="d~noise-20 is deformed already: deform d"):
        deform(cache, "d~noise-20", "level-6")
    with pytest.raises(RequestError, match="unknown deformation 'hum'"):
        deform(cache, "d", "hum")
    process(Dataset("s", {}, [Item("x", "test", None, None)], stems=("bass", "drums")), cache.processed("s"))
    with pytest.raises(RequestError, match="s has stems: only mono datasets can be deformed"):
        deform(cache, "s", "noise-20")
    process(Dataset("t", TASKS, [Item("x", "train", {}, tmp_path / "source" / "0.wav")]), cache.processed("t"))
    with pytest.raises(RequestError, match="t has no item in split test, and none in a fold"):
        deform(cache, "t", "noise-20")
    process(Dataset("m", TASKS, [Item("x", "test", {}, None)]), cache.processed("m"), metadata_only=True)
    with pytest.raises(RequestError, match="process it with its audio first"):
        deform(cache, "m", "noise-20")
    with pytest.raises(RequestError, match=r"d~mp3-32 is not in .*: run `jukemir-like deform d mp3-32` first"):
        load_dataset("d~mp3-32", cache)


def test_on_the_command_line(make, cache, command):
    make()
    done = command("deform", "d", "noise-20", "level-6", "--cache", cache.root)
    assert done.returncode == 0
    assert done.stdout.startswith("deform d~noise-20: 3 done")
    wrong = command("deform", "d", "mp3-64", "noise-020", "--cache", cache.root)
    assert (wrong.returncode, wrong.stderr) == (2, "jukemir-like: deformation 'noise-020' is written 'noise-20'\n")
    assert not cache.processed("d~mp3-64").exists()
    own = command("process", "folder", "--audio", cache.root, "--labels", "labels.csv", "--name", "my~songs", "--cache", cache.root)
    assert own.returncode == 2
    assert "would be taken for a deformed dataset" in own.stderr


def test_a_damaged_description_is_one_line(make, cache):
    make()
    deform(cache, "d", "level-6")
    path = cache.processed("d~level-6") / "dataset.json"
    description = json.loads(path.read_text())
    for wrong in ("x", {"of": "d"}, description["deformed"] | {"seed": "a"}):
        path.write_text(json.dumps(description | {"deformed": wrong}))
        with pytest.raises(RequestError, match="run `jukemir-like deform d level-6` again"):
            load_dataset("d~level-6", cache)
