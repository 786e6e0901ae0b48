"""Files as the original code writes them: names and shapes are its own, and numbers that it computed are what has to come out.

``fixtures/stemjepa_original_tiny.npz`` holds the names and shapes of its state dicts (JSON in ``config``) and, for two contexts and two
targets, parts of what its encoders and predictors gave: every tenth time step, every eighth channel, every eighth mel band.
"""

import functools
import json
import math
import os
import pathlib
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.conversion import convert
from jukemir_like.stemjepa.model import predictive_loss

FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures" / "stemjepa_original_tiny.npz"
SOURCES = ("bass", "drums", "other", "vocals")
SMALLER = {192: 32, 384: 64, 576: 96, 768: 128, 1024: 48, 512: 64, 1536: 192, 2048: 256, 50: 10}
WIDTH, HIDDEN, HEADS, BANDS, STEPS = 32, 48, 4, 5, 10


@pytest.fixture(scope="module")
def oracle():
    with np.load(FIXTURE, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def shapes(oracle):
    return json.loads(str(oracle["config"]))["shapes"]


@pytest.fixture(params=["mlp", "trf"])
def kind(request):
    return request.param


@pytest.fixture
def small(shapes, kind):
    """The state dict of a smaller network: all names but those of later blocks, every size a smaller one."""
    return small_state(shapes[kind])


def small_state(shapes):
    later = tuple(f"{part}.blocks.{block}." for part in ("encoder", "target_encoder") for block in (2, 3))
    later += tuple(f"predictor.blocks.{block}.{layer}" for block in range(2, 8) for layer in ("norm", "attn", "mlp"))
    return state_dict({key: [SMALLER.get(size, size) for size in shape] for key, shape in shapes.items() if not key.startswith(later)})


def state_dict(shapes):
    """Weights as those of the oracle; its positions were no random numbers, and are computed."""
    random = np.random.default_rng(1)
    state = {}
    for key in sorted(shapes):
        shape = shapes[key]
        if key.endswith("pos_embed"):
            values = sines(*shape[1:], time_first=True)
        elif len(shape) > 1:
            values = random.standard_normal(shape).astype(np.float32) * np.float32(np.prod(shape[1:]) ** -0.5)
        else:
            values = np.float32(0.1) * random.standard_normal(shape).astype(np.float32) + np.float32(key.endswith("weight"))
        state[key] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def sines(bands, steps, width, time_first):
    """One position after the other, from the definition: sine and cosine of the index over 10,000^(i / n), half the channels an axis."""
    quarter = width // 4

    def axis(index):
        angles = [index / 10_000 ** (i / quarter) for i in range(quarter)]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    table = [[axis(step) + axis(band) if time_first else axis(band) + axis(step) for step in range(steps)] for band in range(bands)]
    return np.array(table, np.float32)[None]


def audio():
    """What the oracle's networks heard: a tone with its octave, and noise, ``(4, 128000)``: two contexts, two targets."""
    random, time, clips = np.random.default_rng(7), np.arange(128_000) / 16_000, []
    for _ in range(4):
        frequency = 440 * 2 ** ((random.integers(45, 81) - 69) / 12)
        tone = 0.2 * np.sin(2 * np.pi * frequency * time) + 0.1 * np.sin(4 * np.pi * frequency * time)
        clips.append(tone + 0.02 * random.standard_normal(len(time)))
    return torch.from_numpy(np.array(clips, np.float32))


@torch.no_grad()
def test_converted_weights_compute_what_the_original_code_computed(oracle, shapes, kind, tmp_path):
    torch.save({"state_dict": state_dict(shapes[kind])}, tmp_path / "last.ckpt")
    convert(tmp_path / "last.ckpt").save(tmp_path / "ours.safetensors")
    network = checkpoint.load(tmp_path / "ours.safetensors").network
    clips = audio()
    views = network(context=clips[:2], target=clips[2:], source=torch.tensor([0, 2]))
    for part, patches in (("encoder", views.context), ("target", views.target), ("prediction", views.prediction)):
        ours = patches.view(2, 5, 50, 192)[:, :, ::10, ::8].numpy()
        np.testing.assert_allclose(ours, oracle[f"{kind}.{part}"], rtol=0, atol=1e-4)
    assert predictive_loss(views.prediction, views.target).mean().item() == pytest.approx(float(oracle[f"{kind}.loss"]), abs=1e-5)
    np.testing.assert_allclose(network.frontend(clips[:2])[:, ::8, ::40].numpy(), oracle["log_mel"][..., :20], rtol=0, atol=1e-4)


def compiled(state):
    """The names that torch.compile gives, part by part."""
    return {key.replace(".", "._orig_mod.", 1): tensor for key, tensor in state.items()}


def lightning(state, path, names=compiled):
    """A checkpoint of Lightning: the optimiser's choice is an object, and its state has tensors as well."""
    choices = {"optimizer": functools.partial(torch.optim.AdamW, lr=3e-4), "folder": pathlib.Path("data"), "stems": {"bass"}}
    moments = {"state": {0: {"step": torch.tensor(100.0), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 3e-4, "params": [0]}]}
    loops = {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 4}}}}
    counters = {"epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.1.0"}
    everything = {"state_dict": names(state), "loops": loops, "optimizer_states": [moments], "hyper_parameters": choices}
    torch.save(counters | everything, path)


FORMS = {
    "Lightning, compiled": (lightning, "last.ckpt"),
    "Lightning": (functools.partial(lightning, names=dict), "epoch=3-step=100.ckpt"),
    "Lightning, compiled as a whole": (
        functools.partial(lightning, names=lambda state: {f"_orig_mod.{key}": tensor for key, tensor in state.items()}),
        "last.ckpt",
    ),
    "weights only": (lambda state, path: torch.save({"state_dict": state}, path), "weights.ckpt"),
    "weights only, compiled": (lambda state, path: torch.save({"state_dict": compiled(state)}, path), "weights.ckpt"),
    "bare": (torch.save, "w.pth"),
    "bare, compiled": (lambda state, path: torch.save(compiled(state), path), "w.pt"),
    "bare, in a module": (lambda state, path: torch.save({f"model.{key}": tensor for key, tensor in state.items()}, path), "w.pt"),
    "before PyTorch 1.6": (functools.partial(torch.save, _use_new_zipfile_serialization=False), "w.pth"),
    "safetensors": (save_file, "w.safetensors"),
    "safetensors, compiled": (lambda state, path: save_file(compiled(state), path), "w.safetensors"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_weights(small, tmp_path, form):
    write, name = FORMS[form]
    write(small, tmp_path / name)
    converted = convert(tmp_path / name, heads=HEADS)
    ours = converted.network.state_dict()
    kept = {key: tensor for key, tensor in small.items() if not key.endswith("pos_embed")}
    assert len(ours) == len(kept)
    for key, tensor in kept.items():
        name = key.replace("target_encoder.", "teacher.").replace("source_embed", "sources")
        name = name.replace("predictor_embed", "embed").replace("predictor_pred", "head")
        part, blocks, number, *rest = (*name.split("."), "", "")[:4]
        if (part, blocks) == ("predictor", "blocks") and rest[0] in ("weight", "bias"):
            name = f"predictor.layers.{int(number) // 2}.{rest[0]}"
        torch.testing.assert_close(ours[name], tensor.reshape(ours[name].shape), rtol=0, atol=0)
    assert converted.provenance["file"] == (tmp_path / FORMS[form][1]).name
    counters = {"epoch": 3, "global_step": 100} if form.startswith("Lightning") else {}
    assert {key: converted.provenance[key] for key in ("epoch", "global_step") if key in converted.provenance} == counters


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
def test_layer_10_of_the_predictor_is_its_last(small, tmp_path):
    """Sorted as text, ``blocks.10`` would come before ``blocks.2``; between, all layers have one shape."""
    save_file(small, tmp_path / "w.safetensors")
    ours = convert(tmp_path / "w.safetensors", heads=HEADS).network.state_dict()
    for layer, block in enumerate((0, 2, 4, 6, 8, 10)):
        torch.testing.assert_close(ours[f"predictor.layers.{layer}.bias"], small[f"predictor.blocks.{block}.bias"], rtol=0, atol=0)


def test_the_configuration_is_told_by_the_shapes(small, kind, tmp_path):
    torch.save(small, tmp_path / "w.pth")
    converted = convert(tmp_path / "w.pth", heads=HEADS, frontend=config.Frontend(mean=-7.0, std=3.0))
    model = converted.network.settings
    assert (model.encoder.size, model.encoder.width, model.encoder.depth, model.encoder.heads) == ("custom", WIDTH, 2, HEADS)
    assert (model.encoder.mlp_ratio, model.encoder.patch_mels, model.encoder.patch_frames) == (4.0, 16, 16)
    assert model.encoder.positions == "time-first"
    assert (model.bands, model.steps) == (BANDS, STEPS)  # of the four dimensions of pos_embed, the last but one is time
    assert model.encoder.chunk_seconds == pytest.approx(STEPS * 0.16)
    assert (model.predictor.kind, model.predictor.num_sources) == ("mlp" if kind == "mlp" else "transformer", 4)
    assert (model.predictor.width, model.predictor.depth) == ((HIDDEN, 5) if kind == "mlp" else (64, 2))
    assert (model.frontend.mean, model.frontend.std) == (-7.0, 3.0)
    converted.save(tmp_path / "ours.safetensors")
    loaded = checkpoint.load(tmp_path / "ours.safetensors")
    assert (loaded.model, loaded.sources, loaded.provenance) == (model, SOURCES, converted.provenance)


def test_chunks_of_the_original_are_8_seconds_and_heads_those_of_the_width(shapes, tmp_path):
    torch.save(state_dict(shapes["mlp"]), tmp_path / "w.pth")
    model = convert(tmp_path / "w.pth").network.settings
    assert (model.encoder.chunk_seconds, model.encoder.heads) == (8.0, 3)


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
def test_what_the_file_does_not_tell_is_said(small, tmp_path):
    torch.save(small | {"criterion.steps": torch.tensor(5)}, tmp_path / "w.pth")
    statistics, names, left_out = convert(tmp_path / "w.pth", heads=HEADS).notes
    assert "-9.453 and 3.569" in statistics
    assert "bass, drums, other, vocals" in names
    assert "1 tensors (criterion.steps)" in left_out
    told = convert(tmp_path / "w.pth", heads=HEADS, sources=["a", "b", "c", "d"], frontend=config.Frontend())
    assert (told.sources, told.notes) == (("a", "b", "c", "d"), (left_out,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read(small, tmp_path, dtype):
    torch.save({key: tensor.to(dtype) for key, tensor in small.items()}, tmp_path / "w.pth")
    ours = convert(tmp_path / "w.pth", heads=HEADS).network.state_dict()
    assert ours["encoder.norm.bias"].dtype == torch.float32
    torch.testing.assert_close(ours["encoder.norm.bias"], small["encoder.norm.bias"].to(dtype).float(), rtol=0, atol=0)


def change(state, changed):
    return {key: tensor for key, tensor in (state | changed).items() if tensor is not None}


ZEROS = torch.zeros


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"encoder.pos_embed": torch.randn(1, BANDS, STEPS, WIDTH)}, r"encoder\.pos_embed .* positions learnt"),
        ({"target_encoder.pos_embed": torch.randn(1, BANDS, STEPS, WIDTH)}, r"teacher\.pos_embed .* positions learnt"),
        ({"encoder.pos_embed": torch.from_numpy(sines(BANDS, STEPS, WIDTH, time_first=False))}, "positions learnt"),
        ({"encoder.pos_embed": ZEROS(1, BANDS * STEPS, WIDTH)}, r"encoder\.pos_embed is of shape \(1, 50, 32\)"),
        ({"encoder.pos_embed": None}, r"encoder\.pos_embed is missing"),
        ({"target_encoder.pos_embed": None}, r"teacher\.pos_embed is missing"),
        ({"encoder.pos_embed": torch.full((1, BANDS, STEPS, WIDTH), torch.nan)}, r"encoder\.pos_embed holds numbers that are infinite"),
        ({"predictor.pos_embed": ZEROS(1, BANDS, STEPS, WIDTH)}, r"predictor\.pos_embed is of shape .* expected is none"),
        ({"encoder.cls_token": ZEROS(1, 1, WIDTH)}, r"encoder\.cls_token is \(1, 1, 32\), expected is none"),
        ({"encoder.blocks.1.mlp.fc2.weight": ZEROS(7, 7)}, r"encoder\.blocks\.1\.mlp\.fc2\.weight is \(7, 7\), expected is \(32, 128\)"),
        ({"target_encoder.norm.bias": None}, r"teacher\.norm\.bias is missing"),
        ({"target_encoder.patch_embed.proj.weight": ZEROS(WIDTH, 2, 8, 16)}, r"teacher\.patch_embed\.proj\.weight is \(32, 2, 8, 16\)"),
        ({"encoder.blocks.0.ls1.gamma": torch.ones(WIDTH)}, r"encoder\.blocks\.0\.ls1\.gamma is \(32,\), expected is none"),
        ({"encoder.patch_embed.proj.weight": ZEROS(WIDTH, 256)}, "convolution"),
        ({"encoder.patch_embed.proj.weight": ZEROS(0, 1, 16, 16)}, "convolution"),
        ({"encoder.patch_embed.proj.weight": ZEROS(WIDTH, 1, 7, 16)}, "5 bands of 7 mel bands are not the front-end's 80"),
        ({"encoder.patch_embed.proj.weight": None}, "one tensor .* was expected, found: none"),
        ({"other.encoder.patch_embed.proj.weight": ZEROS(WIDTH, 1, 16, 16)}, r"found: encoder\..*, other\.encoder\."),
        ({"encoder._orig_mod.norm.bias": ZEROS(WIDTH)}, r"holds encoder\.norm\.bias twice"),
        ({"predictor.norm.weight": None}, r"predictor\.norm\.weight is missing"),
        ({"predictor.blocks.4.weight": ZEROS(16, HIDDEN)}, r"predictor\.layers\.2\.weight is \(16, 48\), expected is \(48, 48\)"),
        ({"predictor.blocks.0.norm1.weight": torch.ones(WIDTH)}, r"predictor\.blocks\.0\.norm1\.weight is \(32,\), expected is none"),
        ({"predictor.source_embed.weight": None}, r"lacks the predictor's source_embed\.weight"),
        ({f"predictor.blocks.{n}.{k}": None for n in range(0, 12, 2) for k in ("weight", "bias")}, "neither MLP nor Transformer"),
        ({"encoder.norm.bias": torch.ones(WIDTH, dtype=torch.int64)}, r"encoder\.norm\.bias is of torch\.int64"),
        ({"predictor.blocks.0.bias": torch.ones(HIDDEN, dtype=torch.bool)}, r"predictor\.layers\.0\.bias is of torch\.bool"),
        ({"encoder.norm.bias": torch.ones(WIDTH, dtype=torch.complex64)}, r"encoder\.norm\.bias is of ComplexFloatStorage"),
        ({"target_encoder.norm.bias": torch.full((WIDTH,), torch.nan)}, r"teacher\.norm\.bias holds numbers that are infinite"),
        ({"encoder.norm.bias": torch.ones(1).expand(10**12)}, "is not stored number by number"),
        ({"encoder.norm.bias": torch.ones(WIDTH).to_sparse()}, r"encoder\.norm\.bias is missing"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line_that_names_it(small, tmp_path, changed, reason):
    torch.save(change(small, changed), tmp_path / "w.pth")
    with pytest.raises(RequestError, match=reason) as caught:
        convert(tmp_path / "w.pth", heads=HEADS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (WIDTH + 1,), (WIDTH, WIDTH + 1), (1, 1, 1), (1, 1, 1, 1)])
def test_each_tensor_in_another_shape_is_refused_in_one_line(small, tmp_path, shape):
    for key, tensor in small.items():
        torch.save(small | {key: torch.zeros(shape, dtype=tensor.dtype)}, tmp_path / "w.pth")
        with pytest.raises(RequestError) as caught:
            convert(tmp_path / "w.pth", heads=HEADS)
        assert "\n" not in str(caught.value)


def test_each_tensor_is_needed(small, tmp_path):
    for key in small:
        torch.save(change(small, {key: None}), tmp_path / "w.pth")
        with pytest.raises(RequestError):
            convert(tmp_path / "w.pth", heads=HEADS)


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
def test_the_number_of_heads_is_asked_for_where_no_size_tells_it(small, tmp_path):
    torch.save(small, tmp_path / "w.pth")
    with pytest.raises(RequestError, match="attention heads of width 32 is unknown: give --heads"):
        convert(tmp_path / "w.pth")
    with pytest.raises(RequestError, match="the model has 4, give as many"):
        convert(tmp_path / "w.pth", heads=HEADS, sources=["a", "b"])


class Trap:
    """Unpickling one calls ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("module", ["builtins", "os"])
def test_code_in_a_pickle_is_not_run(small, tmp_path, module, is_zip):
    trap = Trap(open, str(tmp_path / "sprung"), "w") if module == "builtins" else Trap(os.mkdir, str(tmp_path / "sprung"))
    torch.save({"state_dict": small, "hyper_parameters": trap}, tmp_path / "w.ckpt", _use_new_zipfile_serialization=is_zip)
    assert convert(tmp_path / "w.ckpt", heads=HEADS).network.settings.encoder.depth == 2  # an object that does nothing is in its place
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("no.ckpt", None, "is missing"),
        ("w.safetensors", b"abc", "cannot be read as weights"),
        ("w.ckpt", b"PK\x03\x04 torn", "torn|cannot be read"),
        ("w.ckpt", b"", "cannot be read"),
    ],
)
def test_a_file_that_is_not_weights_is_one_line(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=reason) as caught:
        convert(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_one_line(small, tmp_path, share):
    torch.save(small, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(RequestError, match="cannot be read"):
        convert(tmp_path / "w.pth", heads=HEADS)


@pytest.mark.parametrize("what", ["a named pipe", "a device", "a folder"])
@pytest.mark.parametrize("name", ["w.ckpt", "w.safetensors"])
def test_what_is_no_file_is_not_waited_for(tmp_path, what, name):
    make = {"a named pipe": os.mkfifo, "a device": lambda path: path.symlink_to("/dev/zero"), "a folder": os.mkdir}[what]
    make(tmp_path / name)
    with pytest.raises(RequestError, match=f"is {what}, not a file"):
        convert(tmp_path / name)


@pytest.mark.parametrize("values", [{"epoch": 1}, [1, 2], {"state_dict": {"a": 1}}])
def test_a_file_without_tensors_holds_no_state_dict(tmp_path, values):
    torch.save(values, tmp_path / "w.ckpt")
    with pytest.raises(RequestError, match="holds no state dict"):
        convert(tmp_path / "w.ckpt")


def test_a_state_dict_in_itself_is_none(tmp_path):
    values = {"epoch": 1}
    values["state_dict"] = values
    torch.save(values, tmp_path / "w.ckpt")
    with pytest.raises(RequestError, match="holds no state dict"):
        convert(tmp_path / "w.ckpt")


@pytest.mark.parametrize("kind", ["mlp"], indirect=True)
def test_a_compressed_archive_is_refused(small, tmp_path):
    torch.save(small, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as whole, zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    with pytest.raises(RequestError, match="is a compressed archive"):
        convert(tmp_path / "small.pth", heads=HEADS)
