"""Probes of all layers: the choice beside a plain one from the predictions, ties, what is recorded, and requests that cannot be."""

import json

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.packs import origin
from jukemir_like.probes import runs
from jukemir_like.probes.layers import CHOICES, choose, find_layers, probe_layers
from jukemir_like.probes.stage import probe_dataset

NOISE = {"0": 20.0, "1": 6.0, "2": 0.2, "10": 3.0}
"""Of the vectors of each layer: the third knows most."""


def write_layer(cache, name, noise, seed):
    random = np.random.default_rng(seed)
    source, target = cache.representation("toy", "rep"), cache.representation("toy", name)
    for path in sorted(source.rglob("*.npy")):
        vector = np.load(path)
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        np.save(copy, (vector + noise * random.standard_normal(len(vector))).astype(np.float32))


@pytest.fixture
def cache(make_dataset):
    made = make_dataset(tasks=("genre", "emotion"), sizes=(80, 40, 40))
    for layer, noise in NOISE.items():
        write_layer(made, f"rep@layer={layer}", noise, int(layer))
    return made


def accuracy(run, split):
    predictions = run.predictions(split)
    return float((predictions.scores.argmax(1) == predictions.y).mean())


def r2(run, split):
    predictions = run.predictions(split)
    error = ((predictions.y - predictions.scores.astype(float)) ** 2).sum(0)
    return float(np.mean(1 - error / ((predictions.y - predictions.y.mean(0)) ** 2).sum(0)))


def test_the_layer_is_the_best_on_validation_and_every_layer_is_a_run_of_its_own(cache):
    probed = probe_layers(cache, "toy", "rep")
    assert list(probed.layers) == ["0", "1", "2", "10"]
    assert [choice.task for choice in probed.choices] == ["emotion", "genre"]
    for choice, value in zip(probed.choices, (r2, accuracy), strict=True):
        own = {layer: runs.find_runs(cache, "toy", f"rep@layer={layer}") for layer in NOISE}
        (expected,) = ({layer: value(run, "valid") for layer, of in own.items() for run in of if run.task.name == choice.task},)
        assert choice.valid == pytest.approx(expected)
        assert choice.layer == max(expected, key=expected.get) == "2"
        assert {run.representation for of in own.values() for run in of} == {f"rep@layer={layer}" for layer in NOISE}
    recorded = json.loads((cache.probe("toy", "rep") / CHOICES).read_text())
    assert recorded == {
        "format": 1,
        "dataset": "toy",
        "representation": "rep",
        "choices": [
            {
                "task": choice.task,
                "metric": choice.metric,
                "protocol": "linear",
                "configuration_hash": choice.configuration_hash,
                "seeds": [0],
                "valid": choice.valid,
                "layer": "2",
            }
            for choice in probed.choices
        ],
    }
    assert (cache.probe("toy", "rep@layer=10") / "results.csv").is_file()


def test_a_layer_is_probed_as_if_it_were_alone_and_finished_runs_are_kept(cache):
    alone = probe_dataset(cache, "toy", "rep@layer=1").runs
    before = {run.folder: (run.folder / runs.RUN).stat().st_mtime_ns for run in alone}
    probe_layers(cache, "toy", "rep")
    again = probe_layers(cache, "toy", "rep", "0,1")
    assert list(again.layers) == ["0", "1"]
    assert list(again.choices[0].valid) == ["0", "1", "2", "10"]  # all that are probed
    assert {folder: (folder / runs.RUN).stat().st_mtime_ns for folder in before} == before


def test_of_equal_layers_the_lowest_is_chosen(cache):
    for name in ("rep@layer=3", "rep@layer=2"):
        write_layer(cache, name, 0.2, 2)
    choices = probe_layers(cache, "toy", "rep").choices
    assert all(choice.valid["2"] == choice.valid["3"] for choice in choices)
    assert {choice.layer for choice in choices} == {"2"}


def test_test_items_have_no_part_in_the_choice(cache):
    before = [(choice.valid, choice.layer) for choice in probe_layers(cache, "toy", "rep").choices]
    for path in (cache.representation("toy", "rep@layer=2") / "test").glob("*.npy"):
        np.save(path, -np.load(path))
    assert [(choice.valid, choice.layer) for choice in probe_layers(cache, "toy", "rep").choices] == before


def test_seeds_are_averaged_and_only_those_that_all_layers_have_count(cache):
    for layer, seeds in (("0", (0, 1)), ("1", (0, 1, 2))):
        for run in probe_dataset(cache, "toy", f"rep@layer={layer}", tasks=["genre"], seeds=seeds).runs:
            # Protocol linear has no random numbers: another seed's value is put in.
            value = {("0", 1): 0.9, ("1", 2): 1.0}.get((layer, run.seed), 0.5)
            run.record["metrics"]["valid"]["accuracy"] = value
            (run.folder / runs.RUN).write_text(json.dumps(run.record))
    found = [
        runs.Run(folder, json.loads((folder / runs.RUN).read_text()))
        for layer in ("0", "1")
        for folder in runs.run_folders(cache, "toy", f"rep@layer={layer}")
    ]
    (choice,) = choose(found)
    assert choice.seeds == (0, 1)
    assert choice.valid == pytest.approx({"0": 0.7, "1": 0.5})
    assert choice.layer == "0"


def test_layers_of_a_pool_are_others(cache):
    write_layer(cache, "rep@layer=0@pool=max", 1.0, 1)
    write_layer(cache, "rep@layer=1@pool=mean+std", 1.0, 1)
    write_layer(cache, "rep2@layer=0", 1.0, 1)
    assert find_layers(cache, "toy", "rep") == ["0", "1", "2", "10"]
    assert find_layers(cache, "toy", "rep@pool=max") == ["0"]
    assert find_layers(cache, "toy", "rep@pool=mean+std") == ["1"]
    probed = probe_layers(cache, "toy", "rep@pool=max", tasks=["genre"])
    assert probed.choices[0].runs["0"][0].representation == "rep@layer=0@pool=max"
    assert probed.path == cache.probe("toy", "rep@pool=max") / CHOICES


@pytest.mark.parametrize(
    ("name", "layers", "reason"),
    [
        ("rep@layer=1", "all", "rep@layer=1 names a layer already"),
        ("trivial", "all", "trivial has no layers"),
        ("nosuch", "all", "no vectors of layers of nosuch for toy in .*extract nosuch --dataset toy --layers all"),
        ("rep", "", "list of layers '' is empty, or has an empty name"),
        ("rep", "0,,1", "list of layers '0,,1' is empty, or has an empty name"),
        ("rep", "0,7", "no vectors of rep@layer=7 for toy"),
    ],
)
def test_requests_that_cannot_be_are_one_line(cache, name, layers, reason):
    with pytest.raises(RequestError, match=reason) as caught:
        probe_layers(cache, "toy", name, layers)
    assert "\n" not in str(caught.value)
    assert not list(cache.root.rglob(CHOICES))


@pytest.mark.parametrize("split", ["train", "valid"])
def test_layers_with_vectors_of_different_items_are_not_compared(cache, split):
    next((cache.representation("toy", "rep@layer=1") / split).glob("*.npy")).unlink()
    with pytest.raises(RequestError, match="the layers of rep on emotion of toy, protocol linear, were probed on different items"):
        probe_layers(cache, "toy", "rep")


def relabel(cache):
    """The dataset is processed again: an item of train is none any more."""
    path = cache.processed("toy") / "meta.json"
    items = json.loads(path.read_text())
    del items[next(uid for uid, item in items.items() if item["split"] == "train")]
    path.write_text(json.dumps(items))


def test_runs_of_other_labels_have_no_part_in_the_choice(cache):
    before = probe_layers(cache, "toy", "rep", seeds=[0, 1])
    assert ({choice.seeds for choice in before.choices}, before.outdated) == ({(0, 1)}, [])
    relabel(cache)
    probed = probe_layers(cache, "toy", "rep", seeds=[1])
    assert {choice.seeds for choice in probed.choices} == {(1,)}
    assert all(run.seed == 1 for choice in probed.choices for of_layer in choice.runs.values() for run in of_layer)
    (note,) = [note for note in probed.notes if "not compared" in note]
    assert note.endswith(", ".join(sorted(f"rep@layer={layer}" for layer in NOISE)))
    some = probe_layers(cache, "toy", "rep", "0,2", seeds=[0])
    assert {layer for choice in some.choices for layer in choice.valid} == set(NOISE)  # those of seed 1, of the same labels
    assert probe_layers(cache, "toy", "rep", seeds=[0, 1]).outdated == []


def test_layers_that_were_not_probed_since_the_labels_changed_are_left_out_and_named(cache):
    probe_layers(cache, "toy", "rep")
    relabel(cache)
    probed = probe_layers(cache, "toy", "rep", "0,1")
    assert {tuple(choice.valid) for choice in probed.choices} == {("0", "1")}
    assert probed.outdated == ["rep@layer=10", "rep@layer=2"]


def test_runs_of_other_vectors_are_not_averaged_with_those_of_the_present_ones(cache):
    probe_layers(cache, "toy", "rep", tasks=["genre"], seeds=[0, 1])
    write_layer(cache, "rep@layer=2", 30.0, 7)
    (choice,) = probe_layers(cache, "toy", "rep", tasks=["genre"], seeds=[1]).choices
    assert choice.seeds == (1,)
    (new,) = [run for run in runs.find_runs(cache, "toy", "rep@layer=2") if run.seed == 1]
    assert choice.valid["2"] == pytest.approx(accuracy(new, "valid"))
    with pytest.raises(RequestError, match=r"have runs of different vectors of layer 2: probe them with all seeds \(0, 1\) again"):
        choose(runs.find_runs(cache, "toy"))


def test_layers_computed_here_are_not_compared_with_those_taken_over(cache):
    origin.write(cache.representation("toy", "rep@layer=1"), origin.Origin("x.zip", "0" * 64, "Ada"))
    with pytest.raises(RequestError, match=r"layers of rep on emotion of toy, .* were computed here or taken over, some of each"):
        probe_layers(cache, "toy", "rep")
    for layer in NOISE:
        origin.write(cache.representation("toy", f"rep@layer={layer}"), origin.Origin(f"{layer}.zip", layer * 64, "Ada"))
    assert probe_layers(cache, "toy", "rep").choices[0].layer == "2"


def test_names_of_the_hub_have_folders_that_are_read_again(cache):
    write_layer(cache, "hf:org/net@layer=0", 1.0, 1)
    (run,) = probe_dataset(cache, "toy", "hf:org/net@layer=0", tasks=["genre"]).runs
    assert run.folder.parts[-3] == "hf--org--net.layer0"
    assert [found.representation for found in runs.find_runs(cache, "toy", "hf:org/net@layer=0")] == ["hf:org/net@layer=0"]
    assert probe_layers(cache, "toy", "hf:org/net", tasks=["genre"]).choices[0].representation == "hf:org/net"


def test_the_command_prints_all_layers_and_marks_the_chosen(cache, command):
    finished = command("probe", "toy", "rep", "--layers", "all", "--cache", cache.root)
    assert finished.returncode == 0, finished.stderr
    (marked,) = [line for line in finished.stdout.splitlines() if line.count("*") == 2]
    assert marked.startswith("2 ")
    assert f"written: {cache.probe('toy', 'rep') / CHOICES}" in finished.stdout
    refused = command("probe", "toy", "rep@layer=2", "--layers", "all", "--cache", cache.root)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
