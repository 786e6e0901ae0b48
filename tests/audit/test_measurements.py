"""Every WAV is heard once, and again only where its bytes are others."""

import hashlib
import os
import struct

import numpy as np
import pytest
import soundfile

from jukemir_like.audit import measurements
from jukemir_like.audit.fingerprints import FRAMES_PER_SECOND
from jukemir_like.core import records


@pytest.fixture
def processed(dataset, record, tune):
    """Five items: two tunes, one of them twice, with another header; nothing; next to nothing."""
    samples = {"a": tune(0, 4.0), "b": tune(1, 5.0), "sub/c": tune(0, 4.0), "zero": np.zeros(22050), "hum": np.full(22050, 2.0**-12)}
    samples["hum"][::2] *= -1
    folder = dataset({uid: record("train") for uid in samples}, samples=samples).processed("d")
    path = folder / "wav" / "sub" / "c.wav"
    data = path.read_bytes()
    note = b"LIST" + struct.pack("<I", 16) + b"INFOISFT" + struct.pack("<I", 4) + b"abc\0"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) + len(note) - 8) + data[8:12] + note + data[12:])
    return folder


UIDS = ["a", "b", "sub/c", "zero", "hum"]


def test_what_a_header_says_does_not_change_the_digest_of_the_samples(processed):
    heard, summary = measurements.measure(processed, UIDS)
    assert summary.done == 5
    assert heard["a"]["digest"] != heard["sub/c"]["digest"]
    for uid in UIDS:
        samples = soundfile.read(processed / "wav" / f"{uid}.wav", dtype="int16")[0]
        assert heard[uid]["samples_digest"] == hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
    assert heard["a"]["samples_digest"] == heard["sub/c"]["samples_digest"] != heard["b"]["samples_digest"]


def test_the_digest_of_stems_is_that_of_the_interleaved_samples_however_long():
    random = np.random.default_rng(0)
    samples = random.integers(-32768, 32768, (3, (1 << 20) + 1000)).astype(np.int16)
    expected = hashlib.sha256(samples.T.astype("<i2").tobytes()).hexdigest()
    assert measurements.samples_digest(samples / np.float32(32768)) == expected


def test_levels_lengths_and_rates_are_the_file_s(processed):
    heard, _ = measurements.measure(processed, UIDS)
    samples = soundfile.read(processed / "wav" / "b.wav")[0]
    assert heard["b"]["level_db"] == pytest.approx(20 * np.log10(np.std(samples)), abs=0.06)
    assert (heard["b"]["sample_rate"], heard["b"]["channels"], heard["b"]["audio_seconds"]) == (22050, 1, 5.0)
    assert heard["b"]["frames"] == pytest.approx((5.0 - 2048 / 5500) * FRAMES_PER_SECOND, abs=2)
    assert heard["b"]["frames"] == len(measurements.stored_fingerprint(processed, "b"))
    assert heard["zero"]["level_db"] is None
    assert heard["hum"]["level_db"] == pytest.approx(-72.2, abs=0.1)
    assert [uid for uid in UIDS if heard[uid]["constant"]] == ["zero"]


def test_a_second_time_only_what_changed_is_heard_again(processed, tune):
    first, _ = measurements.measure(processed, UIDS, workers=2)
    codes = measurements.stored_fingerprint(processed, "a")
    soundfile.write(processed / "wav" / "a.wav", tune(7, 4.0), 22050, subtype="PCM_16")
    (measurements.folder(processed) / "b.npy").unlink()
    second, summary = measurements.measure(processed, UIDS)
    assert (summary.done, summary.kept) == (2, 3)
    assert second["b"]["samples_digest"] == first["b"]["samples_digest"]
    assert second["a"]["samples_digest"] != first["a"]["samples_digest"]
    assert (measurements.stored_fingerprint(processed, "a") != codes).any()
    third, summary = measurements.measure(processed, UIDS)
    assert (summary.done, summary.kept, third) == (0, 5, second)


def test_workers_change_nothing(processed):
    def measured(workers):
        heard, _ = measurements.measure(processed, UIDS, workers=workers)
        return {uid: {name: heard[uid][name] for name in measurements.MEASURED} for uid in UIDS}

    one = measured(1)
    codes = {uid: measurements.stored_fingerprint(processed, uid) for uid in UIDS}
    for path in measurements.folder(processed).rglob("*.npy"):
        path.unlink()
    assert measured(2) == one
    for uid in UIDS:
        np.testing.assert_array_equal(measurements.stored_fingerprint(processed, uid), codes[uid])


def test_a_bad_file_is_named_with_its_reason_and_the_others_are_heard(processed):
    (processed / "wav" / "a.wav").write_bytes(b"no audio")
    data = (processed / "wav" / "b.wav").read_bytes()
    (processed / "wav" / "b.wav").write_bytes(data[: len(data) // 2])
    heard, summary = measurements.measure(processed, UIDS, workers=2)
    assert sorted(heard) == ["hum", "sub/c", "zero"]
    assert "not recognised" in summary.failed["a"]
    assert "cut short" in summary.failed["b"]
    assert summary.exit_code == 3


def test_what_process_recorded_is_left_alone(processed):
    (processed / ".records").mkdir()
    line = '{"input": "a", "digest": "x", "status": "done", "signature": "s", "time": 1.0}\n'
    (processed / ".records" / "process.jsonl").write_text(line)
    measurements.measure(processed, UIDS)
    assert records.read(processed) == {"a": {"input": "a", "digest": "x", "status": "done", "signature": "s", "time": 1.0}}


def test_fingerprints_of_items_that_are_gone_go_too(processed):
    measurements.measure(processed, UIDS)
    measurements.measure(processed, UIDS[:2])
    found = sorted(os.path.relpath(path, measurements.folder(processed)) for path in measurements.folder(processed).rglob("*.npy"))
    assert found == ["a.npy", "b.npy"]
