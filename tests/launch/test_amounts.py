"""How much audio a dataset has: by the records of a cache that stands in, else as declared; declarations agree with themselves."""

import json

import pytest

from jukemir_like import datasets
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.downloads import declarations
from jukemir_like.launch.amounts import amount_of
from jukemir_like.packs import published


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def write_records(folder, records):
    (folder / ".records").mkdir(parents=True)
    lines = [{"status": "done", "digest": "e" * 64, "seconds": 0.1, "signature": "d" * 16, "time": 1e9} | record for record in records]
    (folder / ".records" / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("dataset", [name for name in datasets.names() if name != "medley_solos_db"])
def test_every_dataset_says_how_much_audio_it_has(dataset, cache):
    amount = amount_of(dataset, cache)
    declared = json.loads((declarations.declaration_folder(datasets.assets(dataset)) / "dataset.json").read_text())
    clip = declared["clip"][dataset]
    assert clip["source"]
    assert amount.hours == pytest.approx(amount.count * clip["seconds"] / 3600)
    assert amount.wav == amount.count * clip["seconds"] * clip["sample_rate"] * clip["channels"] * 2
    assert amount.known_from == "its declaration"


def test_a_dataset_of_which_no_count_is_published_is_known_once_it_is_processed(cache):
    with pytest.raises(RequestError, match="nothing says how much audio medley_solos_db has: process it first"):
        amount_of("medley_solos_db", cache)
    write_json(cache.processed("medley_solos_db") / "meta.json", {})
    write_records(cache.processed("medley_solos_db"), [{"input": "a", "audio_seconds": 3.0}])
    assert amount_of("medley_solos_db", cache).count == 1


def test_counts_are_those_of_the_published_vectors(cache):
    assert {dataset: amount_of(dataset, cache).count for dataset in published.ITEMS} == published.ITEMS
    assert amount_of("magnatagatune+tagged_only", cache).count == 15247 + 1529 + 4332


def test_what_is_processed_is_counted_by_its_records(cache):
    folder = cache.processed("gtzan_ff")
    write_json(folder / "meta.json", {})
    failed = {"input": "d.wav", "status": "failed", "reason": "is empty", "audio_seconds": 0.0}
    done = [{"input": f"{index}.wav", "audio_seconds": seconds} for index, seconds in enumerate((30.0, 30.0, 12.5))]
    write_records(folder, [*done, failed])
    (folder / "wav").mkdir()
    (folder / "wav" / "a.wav").write_bytes(bytes(1044))
    amount = amount_of("gtzan_ff", cache)
    assert (amount.clips, amount.count, amount.known_from, amount.wav) == ({30.0: 2, 12.5: 1}, 3, "its records", 1044)
    assert amount.hours == pytest.approx(72.5 / 3600)


def test_a_users_own_dataset_is_known_once_it_is_processed(cache):
    with pytest.raises(RequestError, match="unknown dataset 'mine'"):
        amount_of("mine", cache)
    write_json(cache.processed("mine") / "meta.json", {})
    write_records(cache.processed("mine"), [{"input": "a", "audio_seconds": 8.0}])
    assert (amount_of("mine", cache).count, amount_of("mine", cache).download) == (1, 0)


def test_a_download_has_a_size_where_all_assets_have_one(cache, tmp_path, monkeypatch):
    declared = json.loads((declarations.declaration_folder("gtzan") / "dataset.json").read_text())
    total = sum(asset.get("size") or 0 for asset in declared["assets"] if "only_for" not in asset)  # lists of labels may have none
    assert amount_of("gtzan_ff", cache).download == total
    audio = next(asset for asset in declared["assets"] if asset["kind"] == "audio")
    of_audio, audio["size"] = audio["size"], None
    write_json(tmp_path / "declarations" / "gtzan" / "dataset.json", declared)
    monkeypatch.setenv(declarations.ENVIRONMENT_VARIABLE, str(tmp_path / "declarations"))
    assert amount_of("gtzan_ff", cache).download is None
    path = cache.dataset("gtzan") / audio["path"]
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1000))
    assert amount_of("gtzan_ff", cache).download == 1000 + total - of_audio
    assert amount_of("synthband", cache, songs=7).download == 0


def test_the_embedded_dataset_has_as_many_songs_as_are_asked_for(cache):
    assert amount_of("synthband", cache, songs=7).clips == {30.0: 7}


def test_a_declaration_that_does_not_say_it_is_one_line(cache, tmp_path, monkeypatch):
    write_json(tmp_path / "declarations" / "gtzan" / "dataset.json", {"assets": [], "clip": {"gtzan_ff": {"seconds": "30"}}})
    monkeypatch.setenv(declarations.ENVIRONMENT_VARIABLE, str(tmp_path / "declarations"))
    with pytest.raises(RequestError, match="nothing says how much audio gtzan_ff has: process it first"):
        amount_of("gtzan_ff", cache)
