"""What `make reproduce` is asked for: images, jobs of probes, datasets that cannot be deformed."""

import json
from dataclasses import replace

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.launch import reproduction
from jukemir_like.packs import origin


def test_an_encoder_of_the_cache_runs_in_the_image_of_its_family(tmp_path):
    cache = Cache(tmp_path)
    cache.weights("mine").mkdir(parents=True)
    (cache.weights("mine") / cards.RESOLVED).write_text(cards.to_toml(replace(cards.read("musicnn-msd"), name="mine", weights=None)))
    names = [name.partition(":")[0].rpartition("/")[2] for name in reproduction.images_of(["mine@layer=1", "mfcc"], cache)]
    assert names == ["download", "probe", "process", "representations_mfcc", "representations_musicnn"]


def test_images_are_asked_for_where_vectors_are_computed_only(tmp_path):
    cache = Cache(tmp_path)
    for dataset, name in (("a", "clmr"), ("a", "mfcc"), ("b", "mfcc")):
        cache.representation(dataset, name).mkdir(parents=True)
        origin.write(cache.representation(dataset, name), origin.Origin(f"{name}.zip", "0" * 64))
    assert reproduction.computed(["mfcc", "clmr", "chroma"], ["a", "b"], cache) == ["clmr", "chroma"]
    assert reproduction.computed(["mfcc", "clmr", "chroma"], ["a"], cache) == ["chroma"]


def test_seeds_that_are_fitted_together_are_one_job():
    assert reproduction.probe_jobs("lineareval", (42, 43, 44)) == ["lineareval-42+43+44"]
    assert reproduction.probe_jobs("jukemir", (0, 1)) == ["jukemir-0", "jukemir-1"]


@pytest.mark.parametrize(
    ("name", "message"), [("gtzan_ff~mp3-32", "give gtzan_ff in DATASETS and mp3-32 in DEFORM"), ("gtzan_fff", "unknown dataset")]
)
def test_what_is_no_dataset_is_said_before_anything_is_computed(tmp_path, name, message):
    describe(Cache(tmp_path), "mine", tasks=TASK, folds=["1", "2"])
    with pytest.raises(RequestError, match=message):
        reproduction.check_dataset(name, Cache(tmp_path))
    for known in ("mine", "gtzan_ff", "gtzan_ff+artist_folds"):
        reproduction.check_dataset(known, Cache(tmp_path))


TASK = {"t": {"type": "multiclass", "labels": ["x"]}}


def describe(cache, name, **description):
    folder = cache.processed(name)
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text('{"a": {"split": null, "y": "x", "extra": {"fold": "1"}}}')
    (folder / "dataset.json").write_text(json.dumps({"name": name, **description}))


def test_what_deform_passes_over_is_what_has_stems_or_no_labels(tmp_path):
    cache = Cache(tmp_path)
    describe(cache, "mine", tasks=TASK, folds=["1", "2"])
    describe(cache, "parts", tasks=TASK, stems=["bass", "drums"])
    describe(cache, "bare", tasks={})
    cache.processed("new").mkdir()
    found = reproduction.not_deformed(["mine", "parts", "bare", "new", "synthband_stems", "synthband", "gtzan_ff+artist_folds"], cache)
    assert found == {
        "parts": "it has stems, and only mono can be deformed",
        "bare": "it has no labels",
        "synthband_stems": "it has stems and no labels",
    }
