"""Dataset → WAV and meta.json."""

import json

import numpy as np
import pytest
import soundfile

from jukemir_like.core import records
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Clip, Dataset, Item, Task
from jukemir_like.process import process

GENRE = {"genre": Task("genre", "multiclass", ("jazz", "rock"))}


def items(folder, write_audio, number=5, **audio):
    made = []
    for index in range(number):
        source = folder / f"{index}.wav"
        write_audio(source, seconds=0.5, seed=index, **audio)
        made.append(Item(f"{index:02d}", "train", "rock", source, extra={"artist": f"a{index % 2}"}))
    return made


def files(output):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and ".records" not in path.parts
    }


def test_stereo_becomes_16_bit_mono_at_its_own_rate_by_the_plain_mean(tmp_path, write_audio):
    write_audio(tmp_path / "in" / "x.wav", sample_rate=44100, channels=2, subtype="PCM_16")
    samples, _ = soundfile.read(tmp_path / "in" / "x.wav")
    summary = process(Dataset("d", GENRE, [Item("x", "test", "jazz", tmp_path / "in" / "x.wav")]), tmp_path / "out")
    assert (summary.done, summary.failed) == (1, {})
    info = soundfile.info(tmp_path / "out" / "wav" / "x.wav")
    assert (info.samplerate, info.channels, info.subtype) == (44100, 1, "PCM_16")
    written, _ = soundfile.read(tmp_path / "out" / "wav" / "x.wav")
    np.testing.assert_allclose(written, samples.mean(axis=1), atol=0.51 / 32768)


def test_stems_keep_their_channels(tmp_path, write_audio):
    source = tmp_path / "in" / "x.wav"
    write_audio(source, channels=4, subtype="PCM_16")
    write_audio(tmp_path / "in" / "y.wav", channels=2)
    dataset = Dataset(
        "d", {}, [Item("x", None, None, source), Item("y", None, None, tmp_path / "in" / "y.wav")], stems=("b", "d", "o", "v")
    )
    summary = process(dataset, tmp_path / "out")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out" / "wav" / "x.wav")[0], soundfile.read(source)[0])
    assert summary.failed == {"y": "has 2 channels where 4 stems are expected: b, d, o, v"}


def test_clips_are_cut_after_decoding(tmp_path, write_audio):
    source = tmp_path / "in" / "x.flac"
    write_audio(source, seconds=2.5, sample_rate=8000)
    whole, _ = soundfile.read(source)
    clips = [Item(f"x-{index}", "train", "rock", source, Clip("x", 2.5, index, float(index), 1.0)) for index in range(4)]
    summary = process(Dataset("d", GENRE, clips), tmp_path / "out")
    for index in range(3):
        piece, _ = soundfile.read(tmp_path / "out" / "wav" / f"x-{index}.wav")
        np.testing.assert_array_equal(piece, whole[index * 8000 : (index + 1) * 8000])
    assert summary.failed == {"x-3": "the clip starts at 3 s, after the end at 2.5 s"}


def test_meta_json_has_the_shared_shape_and_dataset_json_says_what_it_is(tmp_path, write_audio):
    clip = Clip("x", 2.0, 1, 1.0, 1.0)
    write_audio(tmp_path / "x.wav", seconds=2)
    made = [Item("x-1", "train", "rock", tmp_path / "x.wav", clip, {"artist": "a"}), Item("z", None, "jazz", None)]
    process(Dataset("d", GENRE, made, group="artist", sources={"seed": 3}), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "meta.json").read_text()) == {
        "x-1": {
            "split": "train",
            "y": "rock",
            "clip": {"audio_uid": "x", "audio_duration": 2.0, "clip_idx": 1, "clip_offset": 1.0, "clip_duration": 1.0},
            "extra": {"artist": "a"},
        },
        "z": {"split": None, "y": "jazz", "extra": {}},
    }
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert described["tasks"] == {"genre": {"type": "multiclass", "labels": ["jazz", "rock"], "primary_metric": "accuracy"}}
    assert described["group"] == "artist"
    assert described["sources"] == {"seed": 3}
    assert {"jukemir-like", "numpy", "soundfile", "soxr", "python"} <= set(described["versions"])


def test_workers_and_a_second_run_change_nothing(tmp_path, write_audio):
    dataset = Dataset("d", GENRE, items(tmp_path / "in", write_audio))
    process(dataset, tmp_path / "one", workers=1)
    process(dataset, tmp_path / "two", workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    summary = process(dataset, tmp_path / "two", workers=2)
    assert (summary.done, summary.kept) == (0, 5)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_only_what_changed_is_recomputed_and_what_left_the_dataset_goes(tmp_path, write_audio):
    made = items(tmp_path / "in", write_audio)
    process(Dataset("d", GENRE, made), tmp_path / "out")
    write_audio(tmp_path / "in" / "1.wav", seconds=0.5, seed=77)
    (tmp_path / "out" / "wav" / "02.wav").unlink()
    (tmp_path / "out" / "wav" / "mine.wav").write_bytes(b"not made by process")
    summary = process(Dataset("d", GENRE, made[:4]), tmp_path / "out")
    assert (summary.done, summary.kept) == (2, 2)
    assert sorted(path.name for path in (tmp_path / "out" / "wav").iterdir()) == ["00.wav", "01.wav", "02.wav", "03.wav", "mine.wav"]


def test_a_bad_file_is_set_aside_with_its_reason_and_the_others_are_done(tmp_path, write_audio):
    made = items(tmp_path / "in", write_audio)
    made[2].source.write_bytes(b"no audio")
    made[3].source.unlink()
    summary = process(Dataset("d", GENRE, made), tmp_path / "out", workers=2)
    assert summary.exit_code == 3
    assert summary.done == 3
    assert "not recognised" in summary.failed["02"]
    assert "no such file" in summary.failed["03"]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["failed"] == summary.failed
    assert len(json.loads((tmp_path / "out" / "meta.json").read_text())) == 5


def test_metadata_only_needs_no_audio_and_says_how_many_records_it_wrote(tmp_path):
    summary = process(Dataset("d", GENRE, [Item("x", "train", "rock", tmp_path / "absent.wav")]), tmp_path / "out", metadata_only=True)
    assert summary.done == 1
    assert "1 records in meta.json" in summary.text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json", "meta.json"]


@pytest.mark.parametrize("uid", ["", "a//b", "../x", ".hidden", "a/.b", "/x"])
def test_a_uid_that_would_leave_the_folder_or_hide_is_refused(tmp_path, uid):
    with pytest.raises(RequestError, match="cannot be a file name"):
        process(Dataset("d", GENRE, [Item(uid, "train", "rock", None)]), tmp_path / "out")


@pytest.mark.parametrize("uid", ["u" * 252, f"{'u' * 256}/x", "é" * 126, "/".join(["u" * 99] * 21)])
def test_a_uid_that_is_too_long_for_a_file_s_name_is_refused_before_any_work(tmp_path, uid):
    with pytest.raises(RequestError, match="too long"):
        process(Dataset("d", GENRE, [Item("a", "train", "rock", None), Item(uid, "train", "rock", None)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_longest_uid_is_written(tmp_path, write_audio):
    write_audio(tmp_path / "a.wav")
    uid = f"{'f' * 255}/{'u' * 251}"
    assert process(Dataset("d", GENRE, [Item(uid, "train", "rock", tmp_path / "a.wav")]), tmp_path / "out").done == 1
    assert (tmp_path / "out" / "wav" / f"{uid}.wav").is_file()


@pytest.mark.parametrize("other", ["a.wav/b", "a.npy/b", "a.wav/b/c"])
def test_uids_that_need_a_file_and_a_folder_of_one_name_are_refused(tmp_path, other):
    items = [Item(uid, "train", "rock", None) for uid in (other, "a/b", "a")]
    with pytest.raises(RequestError, match=f"uids 'a' and '{other}' of d need a file and a folder of one name"):
        process(Dataset("d", GENRE, items), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_duplicate_uid_is_refused(tmp_path):
    with pytest.raises(RequestError, match="is a duplicate"):
        process(Dataset("d", GENRE, [Item("x", "train", "rock", None)] * 2), tmp_path / "out")


def test_known_faulty_items_are_skipped_with_a_word(tmp_path, write_audio):
    write_audio(tmp_path / "a.wav")
    items = [Item("a", "train", 1, tmp_path / "a.wav"), Item("b", None, 1, None, extra={"skipped": "is cut short in every copy"})]
    summary = process(Dataset("d", {}, items), tmp_path / "out")
    assert (summary.done, summary.exit_code) == (1, 0)
    assert "skipped: b: is cut short in every copy" in summary.text()
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["skipped"] == {"b": "is cut short in every copy"}


def test_no_audio_at_all_is_one_line(tmp_path):
    items = [Item(f"{index}", None, 1, tmp_path / "wav" / f"{index}.wav") for index in range(100)]
    with pytest.raises(RequestError, match=r"no audio of d exists, such as .*/0\.wav: give --metadata_only"):
        process(Dataset("d", {}, items), tmp_path / "out")
    assert not (tmp_path / "out" / "meta.json").exists()
    assert process(Dataset("d", {}, items), tmp_path / "out", metadata_only=True).exit_code == 0
    with pytest.raises(RequestError, match="jukemir-like download gtzan`, or give"):
        process(Dataset("gtzan_ff", {}, items), tmp_path / "out")


def test_records_that_name_files_elsewhere_or_not_made_here_remove_nothing(tmp_path, write_audio):
    made = items(tmp_path / "in", write_audio, 2)
    process(Dataset("d", GENRE, made), tmp_path / "cache" / "out")
    victims = [tmp_path / "victim.wav", tmp_path / "cache" / "victim.wav", tmp_path / "cache" / "out" / "wav" / "mine.wav"]
    for victim in victims:
        victim.write_bytes(b"somebody's")
    with records.Journal(tmp_path / "cache" / "out", "zz") as journal:
        for name in ("../../../victim", "../../victim", str(tmp_path / "victim"), "mine"):
            journal.append(records.new(name, "s", digest="0" * 64, output_digest="0" * 64, time=9e9))
    process(Dataset("d", GENRE, made), tmp_path / "cache" / "out")
    assert all(victim.read_bytes() == b"somebody's" for victim in victims)


def test_older_bytes_that_are_put_back_do_not_find_the_wav_of_the_newer_ones_whatever_the_clock_said(tmp_path, write_audio, monkeypatch):
    made = items(tmp_path / "in", write_audio, 1)
    old = made[0].source.read_bytes()
    monkeypatch.setattr(records.time, "time", lambda: 4e9)  # a node whose clock ran ahead
    process(Dataset("d", GENRE, made), tmp_path / "out")
    expected = files(tmp_path / "out")
    monkeypatch.undo()
    write_audio(made[0].source, seconds=0.5, seed=99)
    assert process(Dataset("d", GENRE, made), tmp_path / "out").done == 1
    made[0].source.write_bytes(old)
    assert process(Dataset("d", GENRE, made), tmp_path / "out").done == 1
    assert files(tmp_path / "out") == expected


@pytest.fixture
def song(tmp_path):
    """A folder of two files of constant samples, and a dataset whose two stems are the sums of these files."""
    folder = tmp_path / "song"
    folder.mkdir()
    for name, value in (("loud", 0.75), ("low", 0.25)):
        soundfile.write(folder / f"{name}.wav", np.full(800, value), 8000, subtype="PCM_16")

    def dataset(*files):
        return Dataset("d", {}, [Item("song", None, {}, folder, stem_files=files)], stems=("a", "b"), notes=("a line of the dataset's",))

    return dataset


def first_samples(output):
    return soundfile.read(output / "wav" / "song.wav", dtype="int16")[0][0].tolist()


def test_sums_of_files_are_turned_down_rather_than_clipped(tmp_path, song):
    loud = song(("loud.wav", "loud.wav"), ("low.wav",))
    summary = process(loud, tmp_path / "out")
    turned_down = "1 song turned down as a whole, by up to 3.5 dB: a sum of its sources exceeded full scale (gain in .records)"
    assert summary.notes == [turned_down, "a line of the dataset's"]
    assert first_samples(tmp_path / "out") == [32767, round(32767 / 6)]
    assert records.read(tmp_path / "out")["song"]["gain"] == pytest.approx(32767 / 32768 / 1.5)
    again = process(loud, tmp_path / "out")
    assert (again.done, again.kept, again.notes) == (0, 1, summary.notes)


def test_sums_of_other_files_are_made_anew(tmp_path, song):
    process(song(("loud.wav",), ("low.wav",)), tmp_path / "out")
    assert first_samples(tmp_path / "out") == [24576, 8192]
    summary = process(song(("low.wav",), ("loud.wav",)), tmp_path / "out")
    assert (summary.done, summary.notes) == (1, ["a line of the dataset's"])
    assert first_samples(tmp_path / "out") == [8192, 24576]
    (tmp_path / "song" / "low.wav").unlink()
    assert process(song(("low.wav",), ("loud.wav",)), tmp_path / "out").failed == {
        "song": "low.wav cannot be read (no such file or directory)"
    }


def test_many_items_that_are_skipped_for_one_reason_are_one_line(tmp_path):
    items = [Item(f"a{number}", None, "rock", None, extra={"skipped": "a copy"}) for number in range(6)]
    items += [Item(f"b{number}", None, "rock", None, extra={"skipped": "silent"}) for number in range(2)]
    summary = process(Dataset("d", GENRE, items), tmp_path / "out", metadata_only=True)
    assert summary.notes[:3] == ["skipped: 6 items, such as a0: a copy", "skipped: b0: silent", "skipped: b1: silent"]
    assert len(json.loads((tmp_path / "out" / "dataset.json").read_text())["skipped"]) == 8
