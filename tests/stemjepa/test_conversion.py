"""Weights in the original code's layout, beside a vision transformer written here for the purpose."""

import math
import os
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.conversion import convert

WIDTH, HIDDEN, DEPTH, HEADS, BANDS, STEPS = 32, 48, 2, 4, 5, 10
SOURCES = ("bass", "drums", "other", "vocals")


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        each = WIDTH // HEADS
        query, key, value = self.qkv(x).split(WIDTH, dim=-1)
        heads = [slice(each * head, each * (head + 1)) for head in range(HEADS)]
        mixed = [torch.softmax(query[..., at] @ key[..., at].transpose(1, 2) / math.sqrt(each), dim=-1) @ value[..., at] for at in heads]
        return self.proj(torch.cat(mixed, dim=-1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(WIDTH, 3 * WIDTH), nn.GELU(), nn.Linear(3 * WIDTH, WIDTH)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(1, WIDTH, kernel_size=16, stride=16)


class Vit(nn.Module):
    def __init__(self, time_first):
        super().__init__()
        self.patch_embed = Patches()
        self.pos_embed = nn.Parameter(torch.from_numpy(sines(time_first)).float()[None], requires_grad=False)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, log_mel):
        patches = self.patch_embed.proj(log_mel[:, None]).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(patches + self.pos_embed))


class Predictor(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Embedding(len(SOURCES), WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(2 * WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH), nn.LayerNorm(WIDTH)
        )

    def forward(self, patches, source):
        return self.mlp(torch.cat([patches, self.class_embedding(source)[:, None].expand_as(patches)], dim=-1))


class Original(nn.Module):
    def __init__(self, time_first):
        super().__init__()
        self.encoder, self.target_encoder, self.predictor = Vit(time_first), Vit(time_first), Predictor()
        for parameter in self.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.2)


def sines(time_first):
    """One position after the other, from the definition: sine and cosine of the index over 10,000^(i / n), half the channels an axis."""
    quarter = WIDTH // 4

    def axis(index):
        angles = [index / 10_000 ** (i / quarter) for i in range(quarter)]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    rows = [(axis(step), axis(band)) if time_first else (axis(band), axis(step)) for band in range(BANDS) for step in range(STEPS)]
    return np.array([first + second for first, second in rows])


@pytest.fixture(params=[False, True], ids=["frequency first", "time first"])
def time_first(request):
    return request.param


@pytest.fixture
def original(time_first):
    torch.manual_seed(3)
    return Original(time_first).eval()


def lightning(original, path):
    """As Lightning saves a compiled network, with counters beside the weights."""
    names = {"encoder": "encoder._orig_mod", "target_encoder": "target_encoder._orig_mod", "predictor": "predictor._orig_mod"}
    state = {".".join([names[key.partition(".")[0]], key.partition(".")[2]]): tensor for key, tensor in original.state_dict().items()}
    torch.save({"epoch": 3, "global_step": 100, "state_dict": state, "loops": {"fit": {"step": 1}}}, path)


def bare(original, path):
    torch.save(original.state_dict(), path)


def tensors_only(original, path):
    save_file({f"model.{key}": tensor for key, tensor in original.state_dict().items()}, path)


@pytest.mark.parametrize(("write", "name"), [(lightning, "last.ckpt"), (bare, "w.pth"), (tensors_only, "w.safetensors")])
@torch.no_grad()
def test_converted_weights_compute_what_the_original_computes(original, time_first, tmp_path, write, name):
    write(original, tmp_path / name)
    network = convert(tmp_path / name, sources=SOURCES, heads=HEADS)
    log_mel = torch.randn(2, 80, 16 * STEPS)
    source = torch.tensor([2, 0])
    # Where theirs begin with time, each vector of ours has the halves of its channels the other way round.
    half = WIDTH // 2
    order = [*range(half, WIDTH), *range(half)] if time_first else list(range(WIDTH))
    patches = original.encoder(log_mel)
    for ours, theirs in (
        (network.encoder(log_mel), patches),
        (network.teacher(log_mel), original.target_encoder(log_mel)),
        (network.predictor(network.encoder(log_mel), source), original.predictor(patches, source)),
    ):
        torch.testing.assert_close(ours, theirs[..., order], atol=1e-5, rtol=1e-5)


def test_the_configuration_is_told_by_the_shapes_and_what_is_converted_can_be_saved(original, tmp_path):
    bare(original, tmp_path / "w.pth")
    network = convert(tmp_path / "w.pth", sources=SOURCES, heads=HEADS, frontend=config.Frontend(mean=-7.0, std=3.0))
    model = network.settings
    assert (model.encoder.size, model.encoder.width, model.encoder.depth, model.encoder.heads) == ("custom", WIDTH, DEPTH, HEADS)
    assert (model.encoder.mlp_ratio, model.encoder.patch_mels, model.encoder.patch_frames) == (3.0, 16, 16)
    assert model.encoder.chunk_seconds == pytest.approx(STEPS * 0.16)
    assert (model.predictor.width, model.predictor.depth, model.predictor.num_sources) == (HIDDEN, 2, 4)
    assert model.frontend.mean == -7.0
    checkpoint.save(tmp_path / "ours.safetensors", network, sources=SOURCES, provenance={"converted": True})
    assert checkpoint.load(tmp_path / "ours.safetensors").model == model


def test_a_full_size_encoder_has_the_heads_of_its_width(tmp_path):
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in Original(False).state_dict().items() if "pos_embed" not in key}
    state = {key: torch.zeros([192 if size == WIDTH else size for size in shape]) for key, shape in shapes.items()}
    for key, tensor in state.items():  # widths that are multiples of the token's
        factors = {"qkv.weight": (576, 192), "qkv.bias": (576,), "fc1.weight": (768, 192), "fc1.bias": (768,), "fc2.weight": (192, 768)}
        factors["predictor.mlp.0.weight"] = (HIDDEN, 384)
        state[key] = next((torch.zeros(shape) for name, shape in factors.items() if key.endswith(name)), tensor)
    torch.save(state, tmp_path / "w.pth")
    assert convert(tmp_path / "w.pth", sources=SOURCES).settings.encoder.heads == 3
    assert convert(tmp_path / "w.pth", sources=SOURCES).settings.encoder.chunk_seconds == 8.0  # the file does not tell


def change(state, **changed):
    return {key: tensor for key, tensor in state.items() if changed.get(key, tensor) is not None} | {
        key: tensor for key, tensor in changed.items() if tensor is not None
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"encoder.pos_embed": torch.randn(1, BANDS * STEPS, WIDTH)}, "positions learnt"),
        ({"encoder.pos_embed": torch.zeros(1, BANDS * STEPS + 1, WIDTH)}, "pos_embed is of shape"),
        ({"encoder.cls_token": torch.zeros(1, 1, WIDTH)}, "class token"),
        (
            {"encoder.blocks.1.mlp.fc2.weight": torch.zeros(7, 7)},
            r"encoder\.blocks\.1\.mlp\.fc2\.weight is \(7, 7\), expected is \(32, 96\)",
        ),
        ({"target_encoder.norm.bias": None}, r"teacher\.norm\.bias is missing"),
        ({"encoder.blocks.0.ls1.gamma": torch.ones(WIDTH)}, r"encoder\.blocks\.0\.ls1\.gamma is \(32,\), expected is none"),
        ({"encoder.patch_embed.proj.weight": torch.zeros(WIDTH, 256)}, "convolution"),
        ({"predictor.mlp.5.weight": None, "predictor.mlp.5.bias": None}, "0 norms"),
        ({"predictor.mlp.4.weight": torch.zeros(16, HIDDEN)}, r"predictor\.layers\.2\.weight is \(16, 48\), expected is \(32, 48\)"),
        ({"predictor.blocks.0.norm1.weight": torch.ones(WIDTH)}, "is a transformer"),
        ({"predictor.class_embedding.weight": torch.zeros(6, WIDTH)}, "knows 6 instruments, 4 were named"),
        ({"other_encoder.patch_embed.proj.weight": torch.zeros(WIDTH, 1, 16, 16)}, "found are .*other_encoder"),
    ],
)
@pytest.mark.parametrize("time_first", [False], indirect=True)
def test_what_is_not_known_is_refused_in_one_line_that_names_it(original, tmp_path, changed, reason):
    torch.save(change(original.state_dict(), **changed), tmp_path / "w.pth")
    with pytest.raises(RequestError, match=reason) as caught:
        convert(tmp_path / "w.pth", sources=SOURCES, heads=HEADS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("time_first", [False], indirect=True)
def test_the_number_of_heads_is_asked_for_where_no_size_tells_it(original, tmp_path):
    bare(original, tmp_path / "w.pth")
    with pytest.raises(RequestError, match="attention heads of width 32 is unknown: give heads"):
        convert(tmp_path / "w.pth", sources=SOURCES)


class Trap:
    """Unpickling one runs code."""

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_with_code_in_it_is_not_run(tmp_path):
    trap = Trap()
    trap.path = str(tmp_path / "sprung")
    torch.save({"state_dict": {}, "hyper_parameters": trap}, tmp_path / "w.ckpt")
    with pytest.raises(RequestError, match="is not run: save its state_dict alone"):
        convert(tmp_path / "w.ckpt", sources=SOURCES)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("no.ckpt", None, "is missing"),
        ("w.safetensors", b"abc", "cannot be read as weights"),
        ("w.ckpt", b"PK\x03\x04 torn", "torn|cannot be read"),
    ],
)
def test_a_file_that_is_not_weights_is_one_line(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=reason) as caught:
        convert(tmp_path / name, sources=SOURCES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder"])
@pytest.mark.parametrize("name", ["w.ckpt", "w.safetensors"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind, name):
    make = {"a named pipe": os.mkfifo, "a device": lambda path: path.symlink_to("/dev/zero"), "a folder": os.mkdir}[kind]
    make(tmp_path / name)
    with pytest.raises(RequestError, match=f"is {kind}, not a file"):
        convert(tmp_path / name, sources=SOURCES)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"encoder.norm.bias": torch.ones(WIDTH, dtype=torch.int64)}, r"tensor norm\.bias is of torch\.int64"),
        ({"predictor.mlp.0.bias": torch.ones(HIDDEN, dtype=torch.bool)}, r"tensor layers\.0\.bias is of torch\.bool"),
        ({"encoder.norm.bias": torch.ones(WIDTH, dtype=torch.complex64)}, r"tensor norm\.bias is of torch\.complex64"),
        ({"target_encoder.norm.bias": torch.full((WIDTH,), torch.nan)}, r"tensor norm\.bias holds numbers that are infinite"),
        ({"encoder.pos_embed": torch.full((1, BANDS * STEPS, WIDTH), torch.nan)}, r"tensor pos_embed holds numbers that are infinite"),
        ({"encoder.norm.bias": torch.ones(1).expand(10**12)}, "is not stored number by number"),
        ({"encoder.norm.bias": torch.ones(WIDTH).to_sparse()}, "is not stored number by number"),
        ({"encoder.patch_embed.proj.weight": torch.zeros(10**6, 1, 1, 1)}, "10000+|positions|expected"),
        ({"encoder.patch_embed.proj.weight": torch.zeros(0, 1, 16, 16)}, "expected is a convolution"),
        ({"encoder.patch_embed.proj.weight": torch.zeros(WIDTH, 1, 7, 16)}, "do not divide"),
        ({"encoder.pos_embed": torch.zeros(BANDS * STEPS * WIDTH)}, "pos_embed is of shape"),
        ({"encoder.pos_embed": torch.zeros(0, WIDTH)}, "pos_embed is of shape"),
    ],
)
@pytest.mark.parametrize("time_first", [False], indirect=True)
def test_tensors_that_are_no_weights_are_named(original, tmp_path, changed, reason):
    torch.save(change(original.state_dict(), **changed), tmp_path / "w.pth")
    with pytest.raises(RequestError, match=reason) as caught:
        convert(tmp_path / "w.pth", sources=SOURCES, heads=HEADS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("time_first", [False], indirect=True)
def test_counters_beside_the_weights_may_be_whole_numbers(original, tmp_path):
    torch.save(original.state_dict() | {"num_batches_tracked": torch.tensor(5)}, tmp_path / "w.pth")
    assert convert(tmp_path / "w.pth", sources=SOURCES, heads=HEADS).settings.encoder.depth == DEPTH


@pytest.mark.parametrize("time_first", [False], indirect=True)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (WIDTH + 1,), (WIDTH, WIDTH + 1), (1, 1, 1)])
def test_each_tensor_in_another_shape_is_refused_in_one_line(original, tmp_path, shape):
    state = original.state_dict()
    for key, tensor in state.items():
        torch.save(state | {key: torch.zeros(shape, dtype=tensor.dtype)}, tmp_path / "w.pth")
        with pytest.raises(RequestError) as caught:
            convert(tmp_path / "w.pth", sources=SOURCES, heads=HEADS)
        assert "\n" not in str(caught.value)


def test_a_state_dict_in_itself_is_none(tmp_path):
    values = {"epoch": 1}
    values["state_dict"] = values
    torch.save(values, tmp_path / "w.ckpt")
    with pytest.raises(RequestError, match="holds no state dict"):
        convert(tmp_path / "w.ckpt", sources=SOURCES)


@pytest.mark.parametrize("time_first", [False], indirect=True)
def test_a_compressed_archive_is_refused(original, tmp_path):
    bare(original, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as whole, zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small:
        for member in whole.infolist():
            small.writestr(member.filename, whole.read(member))
    with pytest.raises(RequestError, match="is a compressed archive"):
        convert(tmp_path / "small.pth", sources=SOURCES, heads=HEADS)
