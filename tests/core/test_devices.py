"""Devices without any GPU here: what torch would say of GPUs is faked, the rest is not."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from jukemir_like.core import devices, parallel, workers
from jukemir_like.core.errors import RequestError
from jukemir_like.core.parallel import map_unordered


@pytest.fixture
def gpus(monkeypatch):
    """A function that sets how many GPUs there are; torch itself has none."""

    def fake(count):
        monkeypatch.setattr(devices, "gpu_count", lambda here=False: count)

    return fake


def names(wait):
    time.sleep(wait)  # so that each worker has an item
    return parallel.worker_index(), devices.name_in_worker(None), devices.name_in_worker("cuda"), devices.name_in_worker("cuda:1")


@pytest.mark.parametrize("number", [2, 3])
def test_each_worker_has_a_gpu_of_its_own(gpus, number, monkeypatch):
    gpus(2)
    # Workers are forked, and have what was set here, also where another test has left a thread in this process.
    monkeypatch.setattr(workers.threading, "active_count", lambda: 1)
    found = {result for _, result in map_unordered(names, [0.3] * number, number)}
    assert found == {(index, f"cuda:{index % 2}", f"cuda:{index % 2}", "cuda:1") for index in range(number)}


def test_without_workers_it_is_the_first_gpu(gpus):
    gpus(2)
    assert [result for _, result in map_unordered(names, [0], 1)] == [(0, "cuda:0", "cuda:0", "cuda:1")]


@pytest.mark.parametrize(("count", "expected"), [(0, [0, 0, 1, 0]), (1, [1, 1, 1, 0]), (4, [4, 4, 1, 0])])
def test_how_many_gpus_a_device_means(gpus, count, expected):
    gpus(count)
    assert [devices.gpus_of(device) for device in (None, "cuda", "cuda:3", "cpu")] == expected


def test_a_machine_without_device_files_asks_nobody(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path / "none",))
    monkeypatch.setattr(subprocess, "run", None)
    assert devices.gpu_count() == devices.gpu_count(here=True) == 0
    assert not devices.may_have_gpu()


def test_elsewhere_another_process_asks_torch(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,))
    devices._ask_elsewhere.cache_clear()
    assert devices.gpu_count() == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert devices.may_have_gpu()
    assert not devices.may_have_gpu("cpu")


OLD_DRIVER = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."


@pytest.mark.parametrize(
    ("code", "count", "reason"),
    [
        ("print('[3, \"\"]')", 3, ""),
        (f"print('a line of another'); print('[0, \"{OLD_DRIVER}\"]')", 0, OLD_DRIVER),
        ("print('[0, \"\"]')", 0, "torch cannot use the GPU here"),
        ("raise SystemExit('no torch')", 0, "no torch"),
        ("raise SystemExit(1)", 0, "torch does not answer"),
    ],
)
def test_the_count_is_what_torch_says_there_and_where_there_is_none_its_reason(monkeypatch, tmp_path, code, count, reason):
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,))
    monkeypatch.setattr(devices, "_ASK", code)
    devices._ask_elsewhere.cache_clear()
    assert devices.gpu_count() == devices.gpu_count() == count
    assert devices.why_no_gpu() == reason
    devices._ask_elsewhere.cache_clear()


@pytest.mark.parametrize("built", [None, "13.0"])
def test_the_words_of_torch_s_own_warning_are_the_reason(monkeypatch, tmp_path, built):
    """A torch that warns and counts none, as with an old driver; and one that is built without CUDA."""
    (tmp_path / "torch.py").write_text(
        "import types, warnings\n"
        f"__version__, version = '2.13.0+cpu', types.SimpleNamespace(cuda={built!r}, hip=None)\n"
        f"def is_available(): warnings.warn({OLD_DRIVER!r}); return False\n"
        "cuda = types.SimpleNamespace(is_available=is_available)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,))
    devices._ask_elsewhere.cache_clear()
    assert devices.why_no_gpu() == (OLD_DRIVER if built else "torch 2.13.0+cpu is built for processors alone")
    devices._ask_elsewhere.cache_clear()


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_a_variable_that_hides_all_gpus_means_none_and_asks_nobody(monkeypatch, tmp_path, value):
    monkeypatch.setattr(devices, "_DEVICE_FILES", (tmp_path,))
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert (devices.may_have_gpu(), devices.gpu_count(), devices.gpu_count(here=True)) == (False, 0, 0)
    assert devices.why_no_gpu() == f"CUDA_VISIBLE_DEVICES is {value!r}"


def test_counting_leaves_torch_and_cuda_alone():
    code = "import sys; from jukemir_like.core import devices; devices.gpus_of(None); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_device_that_cannot_be_is_one_line(gpus):
    assert devices.open_device("cpu") == torch.device("cpu")
    with pytest.raises(RequestError, match=r"device 'gpu' cannot be used by torch \(.*\): choose another, such as cpu$"):
        devices.open_device("gpu")
    gpus(0)
    for name in ("cuda", "cuda:1"):
        with pytest.raises(RequestError, match=r"there is no GPU that torch can use \(.*\): choose the device cpu"):
            devices.open_device(name)
    assert devices.open_device(None) == torch.device("cpu")
    if not torch.cuda.is_available():
        gpus(1)
        with pytest.raises(RequestError, match="device 'cuda:0' cannot be used by torch"):
            devices.open_device("cuda")


def test_bfloat16_is_refused_where_a_gpu_has_none(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append(including_emulation))
    with pytest.raises(RequestError, match="cuda:1 has no bfloat16: choose --precision 16 or 32"):
        devices.check_precision(torch.device("cuda:1"), "bf16")
    devices.check_precision(torch.device("cuda:1"), "16")
    devices.check_precision(torch.device("cpu"), "bf16")
    assert asked == [False]


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("bf16", torch.bfloat16), ("16", torch.float16)])
def test_products_are_in_the_precision_and_without_gradients(precision, dtype):
    net = torch.nn.Linear(3, 2)
    before = torch.backends.cudnn.allow_tf32
    with devices.computing(torch.device("cpu"), precision):
        output = net(torch.ones(1, 3))
        assert not torch.backends.cudnn.allow_tf32
    assert (output.dtype, output.requires_grad, torch.backends.cudnn.allow_tf32) == (dtype, False, before)


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_half_precision_stays_within_a_hundredth(precision):
    """A small net with convolutions, normalisation and attention, on noise: relative to the length of the vector."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    net = torch.nn.Sequential(torch.nn.Conv1d(1, 32, 20, 10), torch.nn.GELU(), torch.nn.BatchNorm1d(32), torch.nn.Conv1d(32, 32, 3)).eval()
    waveforms = torch.randn(3, 1, 4000)

    def vectors(precision):
        with devices.computing(torch.device("cpu"), precision):
            return layer.eval()(net(waveforms).transpose(1, 2)).float().mean(1).numpy()

    exact, rounded = vectors("32"), vectors(precision)
    assert 0 < np.linalg.norm(rounded - exact) < 1e-2 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_which_errors_say_that_there_is_no_room(error, expected):
    assert devices.is_out_of_memory(error) is expected


def test_memory_is_measured_from_where_it_was(monkeypatch):
    numbers = {"memory_allocated": 100, "memory_reserved": 150, "max_memory_allocated": 400}
    for name, number in numbers.items():
        monkeypatch.setattr(torch.cuda, name, lambda number=number: number)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 2000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    memory = devices.gpu_memory()
    assert (memory.free, memory.taken()) == (1050, 300)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert devices.gpu_memory() is None


def test_a_process_that_has_used_a_gpu_does_not_fork(monkeypatch):
    assert not workers._uses_gpu()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert dict(map_unordered(abs, [-1, -2], 2)) == {-1: 1, -2: 2}
    assert workers._uses_gpu()


def test_a_driver_that_hangs_is_waited_for_no_longer_than_it_should(monkeypatch):
    monkeypatch.setattr(devices, "_ASK", "import time; time.sleep(60)")
    monkeypatch.setattr(devices, "_ASK_SECONDS", 0.5)
    devices._ask_elsewhere.cache_clear()
    try:
        assert devices._ask_elsewhere("hangs") == (0, "torch does not answer within 0.5 s: does the driver hang?")
    finally:
        devices._ask_elsewhere.cache_clear()
