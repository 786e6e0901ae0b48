"""Weights of strangers: whatever is changed in a file of weights, they are used as they are then, or refused whole, in one line.

The package's own weights are changed field by field. A change is refused where the file no longer holds the tensors of the model that it
describes. What may change are the options that tensors do not depend on (:data:`FREE`), names of the same number, and what is only told.
"""

import copy
import json
import math
import os
import random
import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jukemir_like import extract, representations
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.stemjepa import StemJEPARepresentation
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA

OWN = checkpoint.resolve()
WHOLE = OWN.read_bytes()
HEAD = 8 + int.from_bytes(WHOLE[:8], "little")
TABLE = json.loads(WHOLE[8:HEAD])
METADATA = TABLE.pop("__metadata__")
CLIP = np.random.default_rng(1).uniform(-0.5, 0.5, 30_000).astype(np.float32)

FREE = {f"frontend.{name}" for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "f_min", "f_max", "mean", "std")}
FREE |= {"encoder.heads", "encoder.chunk_seconds", "predictor.heads", "vector.layer"}  # the predictor is an MLP
DEEP = "DEEP"
AS_DEFAULT = FREE | {
    "vector",
    "vector.pool",
    "predictor.kind",
    "predictor.num_sources",
    "predictor.conditioning",
    "encoder.mlp_ratio",
}  # may be left out
VALUES = [
    None,
    True,
    0,
    1,
    -1,
    2,
    8,
    0.5,
    1e-300,
    1e308,
    10**7,
    2**63,
    10**400,
    math.nan,
    math.inf,
    "",
    "x",
    "../../x",
    "a\nb",
    [],
    {},
    DEEP,
]


def text(value):
    return json.dumps(value).replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000)


def write(path, metadata=METADATA, table=TABLE, data=None):
    """A file of weights; without ``data`` all their numbers are 0, and take no place on the disk."""
    told = {key: value if isinstance(value, str) else text(value) for key, value in metadata.items()}
    encoded = text({"__metadata__": told} | table).encode()
    with open(path, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        if data is None:
            file.truncate(8 + len(encoded) + len(WHOLE) - HEAD)
        else:
            file.write(data)
    return path


def vector(path):
    """The vector of a clip, or why these weights are refused."""
    try:
        made = StemJEPARepresentation(weights=path, device="cpu")([CLIP])
    except RequestError as error:
        return one_line(error, path)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    return made


def one_line(error, path):
    assert "\n" not in str(error)
    assert str(path) in str(error)
    assert len(str(error)) < 1000
    return str(error)


def fields(values, names=()):
    """The names that lead to each part of JSON values."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ():
        yield (*names, name)
        yield from fields(value, (*names, name))


def changed(values, names, value):
    """The same values with another at one place; without that place for ``...``."""
    made = copy.deepcopy(values)
    at = made
    for name in names[:-1]:
        at = at[name]
    if value is ...:
        del at[names[-1]]
    else:
        at[names[-1]] = value
    return made


def original(values, names):
    for name in names:
        values = values[name]
    return values


def same(one, other):
    """As numbers are in JSON: 4 is 4.0, but true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


NO_NAMES = ("../x", "/x", "", "a\nb", "\0", "\ud800", "x" * 200)
MODEL = json.loads(METADATA["model"])
MODEL_CHANGES = [(names, value) for names in fields(MODEL) for value in (*VALUES, ...)]


def check_model(changes, path):
    for names, value in changes:
        outcome = vector(write(path, METADATA | {"model": changed(MODEL, names, value)}))
        option = ".".join(names)
        free = option in (AS_DEFAULT if value is ... or value == {} else FREE)  # a section without options has their defaults
        if not free and not same(value, original(MODEL, names)):
            assert isinstance(outcome, str), (names, value)


def test_options_of_the_model_a_sample(tmp_path):
    check_model(random.Random(0).sample(MODEL_CHANGES, 60), tmp_path / "w.safetensors")


@pytest.mark.slow
def test_options_of_the_model_each_with_each_value(tmp_path):
    check_model(MODEL_CHANGES, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("key", "change", "outcome"),
    [
        ("sources", lambda told: told[::-1], None),
        ("sources", lambda told: [*told[:3], "voice 2"], None),
        ("sources", lambda told: told[:3], "the model has 4"),
        ("sources", lambda told: [*told, "strings"], "the model has 4"),
        ("sources", lambda told: [*told[:3], "bass"], "the model has 4"),
        ("sources", lambda told: [*told[:3], 5], "give a list of names"),
        ("sources", lambda told: '"abcd"', "give a list of names"),
        ("sources", lambda told: dict.fromkeys(told, 1), "give a list of names"),
        *(("sources", lambda told, name=name: [*told[:3], name], "cannot be the name") for name in NO_NAMES),
        ("provenance", lambda told: {}, None),
        ("provenance", lambda told: told | {"steps": "many", "more": [None, {}]}, None),
        ("provenance", lambda told: [], "describes no Stem-JEPA"),
        ("provenance", lambda told: {"loss": math.nan}, "describes no Stem-JEPA"),
        ("provenance", lambda told: {"loss": DEEP}, "describes no Stem-JEPA"),
        ("provenance", lambda told: '{"a": 1, "a": 2}', "describes no Stem-JEPA"),
        ("versions", lambda told: {}, None),
        ("versions", lambda told: {"torch": 2}, "describes no Stem-JEPA"),
        ("versions", lambda told: None, "describes no Stem-JEPA"),
        ("model", lambda told: [told], "describes no Stem-JEPA"),
        ("model", lambda told: told | {"a\nb" * 1000: {}}, "unknown section"),
        ("model", lambda told: changed(told, ("encoder", "_target_"), "os.system"), "unknown option encoder._target_"),
        ("format", lambda told: "jukemir-like stemjepa 2", "this version reads"),
        ("format", lambda told: "x\n" * 10_000, "this version reads"),
    ],
)  # fmt: skip
def test_what_the_header_tells_beside_the_model(tmp_path, key, change, outcome):
    told = METADATA[key] if key == "format" else json.loads(METADATA[key])
    made = vector(write(tmp_path / "w.safetensors", METADATA | {key: change(told)}, data=WHOLE[HEAD:]))
    if outcome is None:
        np.testing.assert_array_equal(made, vector(OWN))
    else:
        assert outcome in made


@pytest.mark.parametrize("key", ["model", "sources", "format", "provenance", "versions"])
def test_a_key_of_the_header_that_is_missing(tmp_path, key):
    made = vector(write(tmp_path / "w.safetensors", {name: value for name, value in METADATA.items() if name != key}, data=WHOLE[HEAD:]))
    if key in ("provenance", "versions"):  # no more than told
        np.testing.assert_array_equal(made, vector(OWN))
    else:
        assert isinstance(made, str)


TABLE_CHANGES = [(names, value) for names in fields(TABLE) for value in (*VALUES, ..., "F32", "I16", "BOOL", 1536)]


def check_table(changes, path):
    for names, value in changes:
        with pytest.raises(RequestError) as caught:
            checkpoint.header(write(path, table=changed(TABLE, names, value)))
        one_line(caught.value, path)


def differing(changes):
    return [(names, value) for names, value in changes if not same(value, original(TABLE, names))]


def test_the_table_of_tensors_a_sample(tmp_path):
    check_table(differing(random.Random(1).sample(TABLE_CHANGES, 250)), tmp_path / "w.safetensors")


@pytest.mark.slow
def test_the_table_of_tensors_each_field_with_each_value(tmp_path):
    check_table(differing(TABLE_CHANGES)[::6], tmp_path / "w.safetensors")


def check_bytes(seed, count, path):
    """Changes at any place: a cut is refused, other bits may make another file of weights, whose digest is another too."""
    source = random.Random(seed)
    own = checkpoint.header(OWN).digest
    for _ in range(count):
        content = bytearray(WHOLE)
        kind = source.choice(["cut", "header", "header", "numbers"])
        if kind == "cut":
            del content[source.choice([source.randrange(len(content)), source.randrange(HEAD)]) :]
        else:
            place = source.randrange(HEAD) if kind == "header" else source.randrange(HEAD, len(content))
            content[place] ^= 1 << source.randrange(8)
        path.write_bytes(content)
        made = vector(path)
        if kind == "cut":
            assert isinstance(made, str)
        elif not isinstance(made, str):
            assert checkpoint.header(path).digest != own


def test_bytes_a_sample(tmp_path):
    check_bytes(0, 25, tmp_path / "w.safetensors")


@pytest.mark.slow
def test_bytes_many(tmp_path):
    check_bytes(1, 120, tmp_path / "w.safetensors")


def with_model(path, **options):
    return write(path, METADATA | {"model": {name: MODEL[name] | options.get(name, {}) for name in MODEL}})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"encoder": {"depth": 10**7}}, "lacks tensor encoder.blocks.4.norm1.weight"),
        ({"predictor": {"depth": 10**7}}, "lacks tensor|is of size"),
        ({"encoder": {"width": 4 * 10**9, "heads": 1}}, "is of size"),
        ({"encoder": {"mlp_ratio": 1e12}}, "is of size"),
        ({"encoder": {"chunk_seconds": 1e9}}, "the limit is"),
        ({"encoder": {"chunk_seconds": 8.0 * 60 * 60}}, "the limit is"),
        ({"frontend": {"n_fft": 10**9}}, "at most"),
        ({"frontend": {"n_mels": 192 * 10**6}}, "at most"),
        ({"frontend": {"hop_length": 10**12}, "encoder": {"chunk_seconds": 8e12 / 22050}}, "the limit is"),
        ({"frontend": {"hop_length": 1}}, "the limit is"),
        ({"frontend": {"sample_rate": 10**12}}, "at most"),
    ],
)
def test_a_header_that_claims_terabytes_costs_no_memory(tmp_path, options, word):
    path = with_model(tmp_path / "w.safetensors", **options)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match=word):
            checkpoint.header(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_weights_whose_net_gives_no_numbers_are_refused_and_not_the_clips(tmp_path):
    model = METADATA["model"].replace('"std": 5.21293403582299', '"std": 1e-300')
    path = write(tmp_path / "w.safetensors", METADATA | {"model": model}, data=WHOLE[HEAD:])
    made = StemJEPARepresentation(weights=path, device="cpu")
    for _ in range(2):
        with pytest.raises(RequestError, match="vectors that are not finite for every input"):
            made([CLIP])
    with pytest.raises(RequestError, match="not finite"):
        StemJEPA.from_pretrained(path, "cpu")


def with_tensor(path, name, change):
    tensors = load_file(OWN)
    save_file(tensors | {name: change(tensors[name])}, path, METADATA)


def with_entry(path, name, **values):
    write(path, table=TABLE | {name: TABLE[name] | values})


FAULTS = {
    "cut short": (lambda path: path.write_bytes(WHOLE[:-1000]), "is cut short or damaged"),
    "of integers": (lambda path: with_tensor(path, "encoder.norm.bias", lambda old: old.to(torch.int16)), "is of type I16"),
    "of truth values": (lambda path: with_tensor(path, "predictor.norm.weight", lambda old: old.bool()), "is of type BOOL"),
    "of another shape": (lambda path: with_tensor(path, "teacher.norm.bias", lambda old: torch.ones(7)), "is of size"),
    "not finite": (lambda path: with_tensor(path, "encoder.norm.weight", lambda old: old * torch.nan), "infinite or NaN"),
    "too deep": (lambda path: with_model(path, encoder={"depth": 10**7}), "lacks tensor encoder.blocks.4"),
    "nested": (lambda path: write(path, table={"a": DEEP}), "is not a safetensors file"),
    "overlapping": (
        lambda path: with_entry(path, "encoder.norm.bias", data_offsets=TABLE["encoder.norm.weight"]["data_offsets"]),
        "damaged",
    ),
    "a named pipe": (os.mkfifo, "is a named pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "a folder": (lambda path: path.mkdir(), "is a folder, not a file"),
}


@pytest.fixture
def used(tmp_path, write_audio, monkeypatch):
    """A cache with good weights called ``mine``, and the vectors of two clips that they gave: weights, clips, vectors."""
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    weights = tmp_path / "cache" / "checkpoints" / "mine.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(WHOLE)
    for index in range(2):
        write_audio(tmp_path / "in" / f"{index}.wav", seed=index)
    extract.extract("stemjepa-mine", tmp_path / "in", tmp_path / "out")
    return weights, tmp_path / "in", tmp_path / "out"


def everything(folder):
    return {str(path): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_weights_touch_nothing(used, fault):
    weights, inputs, output = used
    before = everything(output)
    assert sum(path.endswith(".npy") for path in before) == 2
    weights.unlink()
    make, word = FAULTS[fault]
    make(weights)
    with pytest.raises(RequestError, match=word) as caught:
        extract.extract("stemjepa-mine", inputs, output)
    assert "\n" not in str(caught.value)
    assert str(weights) in str(caught.value)
    assert everything(output) == before


@pytest.mark.parametrize("fault", ["cut short", "of integers", "a named pipe"])
def test_faulty_weights_on_the_command_line(used, command, fault):
    weights, inputs, output = used
    before = everything(output)
    weights.unlink()
    make, word = FAULTS[fault]
    make(weights)
    done = command("extract", "stemjepa-mine", inputs, output, "--workers", "2")
    assert done.returncode == 2
    assert done.stderr.startswith("jukemir-like: ")
    assert done.stderr.count("\n") == 1
    assert word in done.stderr
    assert everything(output) == before
    listed = command("list")
    assert "mine (unusable)" in listed.stdout or fault == "of integers", listed.stdout + listed.stderr
    assert listed.returncode == 0


@pytest.mark.slow
def test_the_other_commands_that_read_weights(used, command, tmp_path):
    weights, inputs, _ = used
    FAULTS["not finite"][0](weights)
    search = ("retrieve", "--context", inputs / "0.wav", "--instrument", "bass", "--library", inputs)
    for words in (search, ("evaluate-retrieval", "--data", inputs, "--output", tmp_path / "scores")):
        done = command(*words, "--weights", "mine")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "infinite or NaN" in done.stderr
    assert not (tmp_path / "scores").exists()


@pytest.mark.slow
def test_results_stay_in_the_folder_of_results(used, command, tmp_path):
    weights, inputs, _ = used
    (weights.parent / "...safetensors").write_bytes(WHOLE)
    before = everything(tmp_path / "cache")
    for words in (
        ("--data", "/"),
        ("--dataset", "../x"),
        ("--dataset", ""),
        ("--data", inputs, "--weights", weights.parent / "...safetensors"),
    ):
        done = command("evaluate-retrieval", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "cannot be the name of a folder of results" in done.stderr
    assert everything(tmp_path / "cache") == before


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a\0b", "a\nb", "x" * 300, "x" * 5000, "\ud800"])
def test_names_that_weights_cannot_have_are_one_line(tmp_path, monkeypatch, name):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for hidden in (".safetensors", "...safetensors", ".hidden.safetensors"):
        (tmp_path / "checkpoints" / hidden).write_bytes(WHOLE[:100])
    for ask in (lambda: checkpoint.resolve(name), lambda: representations.load("stemjepa", weights=name)):
        with pytest.raises(RequestError, match=r"no weights are called|cannot be the name of|file name too long") as caught:
            ask()
        assert "\n" not in str(caught.value)
        str(caught.value).encode()  # any terminal can show it
    with pytest.raises(RequestError, match=r"no weights|cannot be the name of|file name too long"):
        representations.load(f"stemjepa-{name}")


@pytest.mark.parametrize("path", ["a/\0", "x" * 300 + "/y", "/dev/null", "/", ".", "/etc/passwd/x"])
def test_paths_that_are_no_weights_are_one_line(path):
    with pytest.raises(RequestError, match="the file of weights") as caught:
        StemJEPARepresentation(weights=path if "/" in path else f"{path}/")
    assert "\n" not in str(caught.value)
