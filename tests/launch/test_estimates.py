"""Costs by hand: a cache with records that stands in for a user's own, speeds that are round numbers, and sums on paper."""

import json
import re

import pytest

from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.launch import cost_table, estimates, speeds
from jukemir_like.launch.speeds import Speed
from jukemir_like.packs import origin, published

GPU = "NVIDIA H100"
IN_PART = f"elsewhere, see below; {GPU} elsewhere"
SPEEDS = {
    "mfcc": (Speed("mfcc", "cpu", 36.0, peak_mb=64, machine="2 cores", date="2026-11-27"),),
    "whisper-base": (Speed("whisper-base", "cpu", 360.0, padded_seconds=30.0, machine="2 cores", date="2026-11-27"),),
    "jukebox": (
        Speed("jukebox", "cpu", 3600.0, 25.0, None, 36, 100.0, 6000, "3 layers measured", "2 cores", "2026-11-27"),
        Speed("jukebox", GPU, 36.0, 25.0, machine="a GPU", date="2026-11-27"),
    ),
    "stemjepa": (Speed("stemjepa", "cpu", 4.0, machine="2 cores", date="2026-11-27"),),
    "stemjepa-base": (Speed("stemjepa-base", "cpu", 240.0, machine="2 cores", date="2026-11-27"),),
}


@pytest.fixture
def cache(tmp_path):
    """100 clips of 45 s are processed; what lies beside vectors of datasets is none."""
    cache = Cache(tmp_path / "cache")
    (cache.root / "representations" / ".hidden").mkdir(parents=True)
    write_json(cache.processed("mine") / "meta.json", {})
    write_records(cache.processed("mine"), 100, audio_seconds=45.0)
    return cache


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    monkeypatch.setattr(speeds, "read", lambda: SPEEDS)


def write_records(folder, count, **fields):
    (folder / ".records").mkdir(parents=True, exist_ok=True)
    common = {"status": "done", "digest": "e" * 64, "seconds": 0.1, "signature": "d" * 16, "time": 1e9}
    lines = [common | {"input": f"{fields.get('device')}{index}.wav"} | fields for index in range(count)]
    with open(folder / ".records" / "all.jsonl", "a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def one(cache, name, **options):
    (row,) = estimates.estimate(["mine"], [name] if "layers" not in options else [], cache, **options).rows
    (amount,) = estimates.estimate(["mine"], ["mfcc"], cache).amounts
    return row, amount


@pytest.mark.parametrize(
    ("name", "core_hours", "gpu_hours"),
    [
        ("mfcc", 100 * 45 / 3600 * 36 / 3600, None),
        ("whisper-base", 100 * 60 / 3600 * 360 / 3600, None),  # two pieces of 30 s
        ("jukebox", 100 * 25 / 3600 * 3600 / 3600, 100 * 25 / 3600 * 36 / 3600),
        ("jukebox@layer=72", 100 * 25 / 3600 * (3600 + 36 * 100) / 3600, 100 * 25 / 3600 * 36 / 3600),
        ("stemjepa-untrained", 100 * 45 / 3600 * 4 / 3600, None),
        ("chroma", None, None),
    ],
)
def test_hours_are_audio_times_speed(cache, name, core_hours, gpu_hours):
    row, amount = one(cache, name)
    assert row.hours(amount) == (None if core_hours is None else pytest.approx(core_hours))
    assert row.hours(amount, gpu=True) == (None if gpu_hours is None else pytest.approx(gpu_hours))


def test_a_recipe_has_the_speed_of_its_size(cache):
    pytest.importorskip("hydra", reason="needs the extra [train]")
    assert [one(cache, f"stemjepa-{recipe}")[0].speeds[0].seconds for recipe in ("reproduce", "paper")] == [4.0, 240.0]
    assert [one(cache, f"stemjepa-{recipe}")[0].dimension for recipe in ("reproduce", "paper")] == [256, 3840]


@pytest.mark.parametrize(("name", "numbers"), [("mfcc", 120), ("mert-330m", 1024), ("ast@layer=3@pool=mean+std", 1536), ("musicnn", 4194)])
def test_vectors_are_as_long_as_the_representation_says(cache, name, numbers):
    row, amount = one(cache, name)
    assert row.vector_bytes(amount) == 100 * (128 + 4 * numbers)


def test_all_layers_are_one_pass_and_a_vector_each(cache):
    row, amount = one(cache, "jukebox", layers=["jukebox"])
    assert row.hours(amount) == pytest.approx(100 * 25 / 3600 * (3600 + 36 * 100) / 3600)  # to the last layer
    assert row.vector_bytes(amount) == 73 * 100 * (128 + 4 * 4800)
    assert one(cache, "stemjepa", layers=["stemjepa"])[0].layers == 5


def test_records_of_this_cache_count_instead(cache):
    write_records(cache.representation("mine", "mfcc"), 50, audio_seconds=45.0, seconds=4.5)
    row, amount = one(cache, "mfcc")
    assert row.speeds == (Speed("mfcc", "cpu", 360.0, peak_mb=64, is_own=True),)
    assert row.hours(amount) == pytest.approx(100 * 45 / 3600 * 360 / 3600)


def test_records_of_a_few_clips_do_not_count(cache):
    write_records(cache.representation("mine", "mfcc"), 19, audio_seconds=45.0, seconds=4.5)
    assert one(cache, "mfcc")[0].speeds == SPEEDS["mfcc"]
    write_records(cache.representation("mine", "mfcc"), 20, audio_seconds=45.0, seconds=4.5)
    assert one(cache, "mfcc")[0].speeds[0].is_own


def test_records_of_a_gpu_are_hours_of_it_and_say_nothing_of_the_processor(cache):
    write_records(cache.representation("mine", "jukebox"), 40, audio_seconds=45.0, seconds=2.5, device="NVIDIA A40")
    row, amount = one(cache, "jukebox")
    assert [(speed.device, speed.seconds, speed.is_own) for speed in row.speeds] == [("cpu", 3600.0, False), ("NVIDIA A40", 360.0, True)]
    assert row.hours(amount, gpu=True) == pytest.approx(100 * 25 / 3600 * 360 / 3600)


def test_records_of_both_are_kept_apart(cache):
    write_records(cache.representation("mine", "mfcc"), 40, audio_seconds=45.0, seconds=4.5, device="cpu")
    for number in range(2):  # which of several alike it was is no other speed
        write_records(cache.representation("mine", "mfcc"), 20, audio_seconds=45.0, seconds=0.45, device=f"cuda:{number} ({GPU})")
    assert {speed.device: speed.seconds for speed in one(cache, "mfcc")[0].speeds} == pytest.approx({"cpu": 360.0, GPU: 36.0})


def test_vectors_from_elsewhere_say_nothing_of_this_machine(cache):
    folder = cache.representation("mine", "mfcc")
    write_records(folder, 40, audio_seconds=45.0, seconds=4.5)
    write_json(folder / origin.ORIGIN_FILE, origin.Origin("mfcc.zip", "0" * 64).to_json())
    assert one(cache, "mfcc")[0].speeds == SPEEDS["mfcc"]


def test_records_of_layers_are_shares_of_one_pass(cache):
    for layer in range(7):
        write_records(cache.representation("mine", f"whisper-base@layer={layer}"), 40, audio_seconds=45.0, seconds=1.0, layers_together=7)
    row, _ = one(cache, "whisper-base", layers=["whisper-base"])
    assert row.speeds[0].seconds == pytest.approx(3600 * 7 * 1.0 / 60)  # an hour of what is computed, padding included
    assert row.speeds[0].is_own


def test_sums_leave_out_what_was_not_measured_and_count_weights_once(cache):
    made = estimates.estimate(["mine", "gtzan_ff"], ["mfcc", "chroma", "clmr", "clmr-59049"], cache)
    hours = 100 * 45 / 3600 + 930 * 30 / 3600
    assert made.core_hours == pytest.approx(hours * 36 / 3600)
    assert made.not_measured == ["chroma", "clmr", "clmr-59049"]
    assert made.weights == 4 * cards.read("clmr").parameters
    assert made.vectors == 1030 * (4 * 128 + 4 * (120 + 72 + 512 + 512))


def test_published_vectors_are_downloaded_and_not_computed(cache):
    made = estimates.estimate(["gtzan_ff", "emomusic"], ["jukebox-jukemir"], cache)
    sizes = [published.asset(dataset, "jukebox").size for dataset in ("gtzan_ff", "emomusic")]
    assert made.rows[0].archives == dict(zip(("gtzan_ff", "emomusic"), sizes, strict=True))
    assert made.core_hours == 0
    assert "published vectors" in cost_table.table(made)
    with pytest.raises(RequestError, match="no vectors of dataset 'giantsteps' were published"):
        estimates.estimate(["giantsteps"], ["jukebox-jukemir"], cache)


def test_where_none_is_named_all_are_in_the_table(cache):
    made = estimates.estimate([], [], cache)
    assert [amount.dataset for amount in made.amounts] == ["gtzan_ff", "giantsteps", "magnatagatune", "emomusic"]
    assert {"mfcc", "stemjepa", *cards.names()} <= {row.name for row in made.rows}


@pytest.mark.parametrize(
    ("dataset", "name", "layers", "message"),
    [
        ("nosuch", "mfcc", [], "unknown dataset 'nosuch'"),
        ("mine", "nosuch", [], "unknown representation 'nosuch'"),
        ("mine", "mfcc@layer=1", [], "mfcc has no layers or pools"),
        ("mine", "choi@layer=1", [], "choi has no layers or pools"),
        ("mine", "ast@layer=13", [], "ast has no layer 13: choose one of 0 … 12"),
        ("mine", "stemjepa@layer=9", [], "stemjepa has no layer 9"),
        ("mine", "stemjepa-nosuch", [], "no weights are called 'nosuch'"),
        ("mine", "hf:a/b", [], "hf:a/b is not in the cache"),
        ("mine", "mfcc", ["mfcc"], "mfcc has no layers: leave it out of LAYERS"),
        ("mine", "mfcc", ["ast@layer=1"], "names a layer already"),
    ],
)
def test_an_unknown_name_is_one_line(cache, dataset, name, layers, message):
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        estimates.estimate([dataset], [name], cache, layers=layers)
    assert "\n" not in str(caught.value)


def test_the_table_says_what_is_known_from_where(cache):
    write_records(cache.representation("mine", "mfcc"), 50, audio_seconds=45.0, seconds=4.5)
    text = cost_table.table(estimates.estimate(["mine", "emomusic"], ["mfcc", "jukebox", "chroma"], cache))
    rows = {cells[0]: cells[1:] for line in text.splitlines() if len(cells := re.split(r" {2,}", line.strip())) > 1}
    assert rows["mine"] == ["100", "1.2", "none", "none", "its records"]
    assert rows["emomusic"] == ["744", "9.3", "–", "3.0 GB", "its declaration"]
    # 1.25 h and 9.3 h of audio at 360 s an hour; 100 and 744 beginnings of 25 s at an hour an hour
    assert rows["mfcc"] == ["360", "0.12", "0.93", "1.1", "–", "64", "none", "513.2 kB", "here"]
    assert rows["jukebox"] == ["3,600", "0.69", "5.2", "5.9", "0.059", "6,000", "10.3 GB", "16.3 MB", IN_PART]
    assert rows["chroma"][:5] == ["–", "–", "–", "–", "–"]
    assert rows["all"][:4] == ["0.82", "6.1", "6.9", "0.059"]
    assert "jukebox: 3 layers measured." in text
    assert "Not measured, and not in the sums: chroma." in text
    assert "elsewhere: measured for this package on 2 cores (2026-11-27), a GPU (2026-11-27)" in text
    assert max(map(len, text.splitlines())) < 200
