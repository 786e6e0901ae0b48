"""Where the tensors of every representation are and in what they are computed, without a GPU: on torch's meta device, by dispatch modes.

A tensor of the meta device has a shape and no numbers. It stands for one on a GPU: where a tensor of the processor meets it, a GPU would
refuse. What is copied to the processor is zeros.
"""

from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jukemir_like.core import devices
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import encoder, weights
from jukemir_like.representations import base
from jukemir_like.representations.base import encode

from . import tiny_models
from .test_transformers_models import load, prepared, repositories  # noqa: F401 -- fixtures

aten = torch.ops.aten
META = torch.device("meta")
PUBLISHED = ["choi", "clmr", "crepe-tiny", "jukebox", "musicnn-msd"]
QUICK = ["hubert-base", "muq", "clap-music"]  # one of each kind of input
STEMJEPA = ["stemjepa", "stemjepa@layer=1", "stemjepa@layer=1@pool=mean+std", "stemjepa-untrained"]


class Operations(TorchDispatchMode):
    """Each operation that is not made of others goes through :meth:`run`."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        with self:
            composed = function.decompose(*arguments, **options)
        return self.run(function, arguments, options) if composed is NotImplemented else composed


class OneDevice(Operations):
    """Refuses operations on tensors of different devices, as a GPU does; a number (no dimensions) of the processor may be anywhere.

    Attributes:
        operations: how many there were on the meta device.
    """

    operations = 0

    def run(self, function, arguments, options):
        tensors = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, torch.Tensor)]
        if function is aten._to_copy.default:
            if tensors[0].device == META and options.get("device") == torch.device("cpu"):
                return torch.zeros(tensors[0].shape, dtype=options.get("dtype") or tensors[0].dtype)
            return function(*arguments, **options)
        kinds = {tensor.device.type for tensor in tensors if tensor.dim() or tensor.device == META}
        assert len(kinds) < 2, f"{function} has tensors of {sorted(kinds)}"
        self.operations += "meta" in kinds
        return function(*arguments, **options)


def test_the_mode_sees_a_mixture():
    with OneDevice() as mode:
        far = torch.ones(3, device=META) * torch.tensor(2.0)
        assert far.cpu().tolist() == [0, 0, 0]
        assert (far + torch.ones(3).to(META)).device == META
        with pytest.raises(AssertionError, match=r"aten\.mm\.default has tensors of \['cpu', 'meta'\]"):
            torch.ones(2, 3, device=META) @ torch.ones(3, 2)
    assert mode.operations == 2  # those that have tensors


@pytest.fixture
def on_meta(monkeypatch):
    """Nets are opened on the meta device."""
    monkeypatch.setattr(devices, "open_device", lambda device=None: META)
    monkeypatch.setattr(devices, "computing", lambda device, precision="32": torch.inference_mode())
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which the meta device has not


@pytest.fixture
def without_weights(monkeypatch):
    """Published nets of their own size, whose weights have shapes only; of Jukebox three layers."""
    header = SimpleNamespace(digest="0", sources={}, path=Path("none"))
    monkeypatch.setattr(encoder, "_read_header", lambda *_: header)
    monkeypatch.setattr(weights, "load", lambda _, shapes: {name: torch.empty(shape, device=META) for name, shape in shapes.items()})


def clips_of(sample_rate, *seconds):
    random = np.random.default_rng(0)
    return [random.uniform(-0.5, 0.5, round(length * sample_rate)).astype(np.float32) for length in seconds]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_encoders_compute_on_one_device(name, on_meta, without_weights):
    found = encoder.encoder_class(cards.read(name))(cards.read(name))
    if name == "jukebox":
        found = encoder.encoder_class(cards.read(name))(cards.read(name), name="jukebox@layer=1")
        # Its model stays in the mapped file; a layer at a time comes to the device.
        net = found.net
        net.prior = materialised(net.prior)
    with OneDevice() as mode:
        vectors = found(clips_of(found.sample_rate, 4.5, 3.2))
    assert vectors.shape == (2, found.dimension)
    assert mode.operations > 10


def materialised(prior):
    """On the processor: with one layer, as the others are not wanted."""
    prior.layers = prior.layers[:1]
    return prior.to_empty(device="cpu")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in tiny_models.ALL])
def test_transformers_models_compute_on_one_device(name, load, on_meta):  # noqa: F811
    found = load(name)
    clips = clips_of(found.sample_rate, 2.3, 1.2)
    if name == "encodec":  # a shape depends on numbers: no further
        with OneDevice(), pytest.raises(RuntimeError, match=r"Tensor\.item\(\) cannot be called on meta tensors"):
            found(clips)
        return
    with OneDevice() as mode:
        assert found(clips).shape == (2, found.dimension)
    assert mode.operations > 10


@pytest.mark.parametrize("name", STEMJEPA)
def test_stemjepa_computes_on_one_device(name, on_meta, monkeypatch):
    monkeypatch.setattr("jukemir_like.stemjepa.inference.StemJEPA._is_finite", lambda _: True)
    found = base.load(name)
    with OneDevice() as mode:
        vectors = found(clips_of(found.sample_rate, 9, 0.5, 20))
    assert vectors.shape == (3, found.dimension)
    assert mode.operations > 10


def test_predictions_and_rankings_are_computed_on_one_device(on_meta, monkeypatch):
    from jukemir_like.stemjepa.inference import StemJEPA

    monkeypatch.setattr(StemJEPA, "_is_finite", lambda _: True)
    model = StemJEPA.from_pretrained()
    with OneDevice():
        assert model.predict(clips_of(16000, 3, 9), ["bass", "drums"]).shape == (2, model.dimension)
        assert len(model.rank(clips_of(16000, 1, 2), clips_of(16000, 3)[0], "bass")) == 2


# Precision


class Dtypes(Operations):
    """Notes the floating-point types of the tensors that operations take and give, by the operation's name."""

    def __init__(self):
        super().__init__()
        self.dtypes = defaultdict(set)

    def run(self, function, arguments, options):
        result = function(*arguments, **options)
        tensors = [leaf for leaf in tree_leaves((arguments, options, result)) if isinstance(leaf, torch.Tensor)]
        self.dtypes[function.overloadpacket.__name__] |= {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        return result


PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "convolution", "_scaled_dot_product_flash_attention_for_cpu"}
MEASURES = {"_fft_r2c", "log", "log10", "sum", "mean", "var_mean"}  # and on GPUs the softmax, where autocast has other rules


@pytest.mark.parametrize("name", ["stemjepa", "hubert-base", "mert-330m", "musicfm"])
def test_in_half_precision_products_are_rounded_and_spectra_sums_and_pools_are_not(name, load):  # noqa: F811
    options = {"device": "cpu", "precision": "bf16"}
    found = base.load(name, **options) if name == "stemjepa" else load(name, **options)
    with Dtypes() as mode:
        found(clips_of(found.sample_rate, 2.5))
    low = {name for name, dtypes in mode.dtypes.items() if torch.bfloat16 in dtypes}
    assert low & PRODUCTS
    mixed = {name: mode.dtypes[name] for name in low & MEASURES}
    assert mixed == {}


# Memory


class Full(Operations):
    """Raises as a GPU without room does, from an operation on; a number of times.

    Attributes:
        seen: operations so far.
    """

    def __init__(self, at, times, error):
        super().__init__()
        self.at, self.times, self.error, self.seen = at, times, error, 0

    def run(self, function, arguments, options):
        self.seen += 1
        if self.seen >= self.at and self.times > 0:
            self.times -= 1
            raise self.error()
        return function(*arguments, **options)


ERRORS = {
    "torch": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "driver": lambda: RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    "cuBLAS": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("stemjepa", "torch"),
        ("stemjepa@pool=max", "driver"),
        ("hubert-base", "torch"),
        ("hubert-base", "cuBLAS"),
        ("whisper-base", "driver"),
    ],
)
def test_wherever_there_is_no_room_batches_are_halved_and_at_last_the_request_ends(name, error, load, monkeypatch):  # noqa: F811
    monkeypatch.setattr(devices, "open_device", lambda device=None: torch.device("cpu"))

    def fresh():
        found = base.load(name, device="cpu") if name.startswith("stemjepa") else load(name, device="cpu")
        found(clips_of(found.sample_rate, 0.5))  # so that it has its net
        return found

    clips = clips_of(fresh().sample_rate, 1.0, 1.5, 1.0)
    expected = encode(fresh(), clips)
    counted = fresh()
    with Full(1 << 60, 0, None) as count:
        encode(counted, clips)
    for place in np.linspace(1, count.seen, 4).astype(int):
        found = fresh()
        with Full(int(place), 1, ERRORS[error]):
            vectors = encode(found, clips)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
        found = fresh()
        with Full(int(place), 1 << 60, ERRORS[error]), pytest.raises(RequestError, match=r"the GPU has no room for one clip of 1\.\d s"):
            encode(found, clips)
