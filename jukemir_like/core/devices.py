"""Processors and GPUs that nets are computed on: how many GPUs there are, which one a worker has, how it computes, how much room it has.

Torch is imported by what computes, in the worker. A parent that is to start workers only counts GPUs, and lets another process ask: CUDA
does not survive a fork.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jukemir_like.core.errors import RequestError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("32", "bf16", "16")
"""What matrix products and convolutions are computed in: float32, bfloat16, float16."""

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable with the GPUs that a process may use, as schedulers set it."""

_DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))  # of CUDA, of CUDA in WSL, of ROCm
_ASK_SECONDS = 120.0  # torch and its driver take seconds, on a slow file system more
_ASK = """\
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
reasons = [str(warning.message) for warning in caught if "cuda" in str(warning.message).lower()]
if not (torch.version.cuda or torch.version.hip):
    reasons = [f"torch {torch.__version__} is built for processors alone"]
print(json.dumps([count, " ".join("; ".join(reasons).split())]))
"""
# What messages say, of CUDA, ROCm and their libraries. Behind the first three it is said by what needed room and did not get it.
_NO_ROOM_ON_GPU = (
    *("cublasCreate(", "cudnnCreate(", "Unable to find a valid cuDNN algorithm"),
    *("CUDA error: out of memory", "HIP error: out of memory", "STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED"),
)
_NO_ROOM_HERE = ("can't allocate memory",)
_GPU_FAULTS = (
    *("CUDA error", "CUDA driver error", "No CUDA GPUs are available", "Cannot re-initialize CUDA", "NVRTC_ERROR"),
    *("cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "cuFFT error", "CUFFT_", "cusolver error", "CUSOLVER_STATUS_", "CUSPARSE_STATUS_"),
    *("HIP error", "HIPBLAS_STATUS_", "hipFFT error", "MIOpen Error", "miopenStatus"),
)


def visible_ids(variable: str | None) -> list[str] | None:
    """What the value of :data:`VISIBLE_VARIABLE` names: numbers or identifiers of GPUs, up to the first word that is none; None: all.

    >>> visible_ids(None), visible_ids("2"), visible_ids("0,GPU-8932f937,-1,3"), visible_ids(""), visible_ids("NoDevFiles")
    (None, ['2'], ['0', 'GPU-8932f937'], [], [])
    """
    if variable is None:
        return None
    words = [word.strip() for word in variable.split(",")]
    return list(itertools.takewhile(lambda word: word.isdigit() or word.startswith(("GPU-", "MIG-")), words))


def may_have_gpu(device: str | None = None) -> bool:
    """Whether a net that is asked to compute on ``device`` may have a GPU. Asks nobody, and may be wrong where a driver does not work."""
    return device != "cpu" and visible_ids(os.environ.get(VISIBLE_VARIABLE)) != [] and any(file.exists() for file in _DEVICE_FILES)


def gpu_count(*, here: bool = False) -> int:
    """Number of GPUs that torch can use; ``CUDA_VISIBLE_DEVICES`` limits them.

    Args:
        here: whether this process may ask, since it computes with torch itself; else another one is asked, once.
    """
    if not may_have_gpu():
        return 0
    if here:
        import torch

        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return _ask_elsewhere(os.environ.get(VISIBLE_VARIABLE))[0]


def why_no_gpu() -> str:
    """Why torch has no GPU to compute on, in a few words; empty where it has one."""
    variable = os.environ.get(VISIBLE_VARIABLE)
    if visible_ids(variable) == []:
        return f"{VISIBLE_VARIABLE} is {variable!r}"
    if not may_have_gpu():
        return "there is no GPU here"
    count, reason = _ask_elsewhere(variable)
    return "" if count else reason or "torch cannot use the GPU here"


@cache
def _ask_elsewhere(variable: str | None) -> tuple[int, str]:  # noqa: ARG001 -- the answer depends on it
    """Number of GPUs, and why there is none, in torch's own words where it has any."""
    try:
        asked = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=False, timeout=_ASK_SECONDS)
    except subprocess.TimeoutExpired:
        return 0, f"torch does not answer within {_ASK_SECONDS:g} s: does the driver hang?"
    try:
        count, reason = json.loads(asked.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return 0, (asked.stderr.strip().splitlines() or ["torch does not answer"])[-1]
    return int(count), str(reason)


def gpus_of(device: str | None) -> int:
    """Number of GPUs that ``device`` means: of ``cuda``, and of None where there is any, all of them; of ``cuda:1`` one; of ``cpu`` none.

    >>> gpus_of("cpu"), gpus_of("cuda:1")
    (0, 1)
    """
    if device is None or device == "cuda":
        return gpu_count()
    return int(device.startswith("cuda:"))


def name_in_worker(device: str | None) -> str:
    """The device that this process has of those that ``device`` means: the first worker has the first GPU, the second the next.

    >>> name_in_worker("cpu"), name_in_worker("cuda:1")
    ('cpu', 'cuda:1')
    """
    if device is None or device == "cuda":
        from jukemir_like.core.parallel import worker_index  # imports tqdm, which names of representations do without

        gpus = gpu_count(here=True)
        return f"cuda:{worker_index() % gpus}" if gpus else device or "cpu"
    return device


def open_device(device: str | None = None) -> torch.device:
    """The torch device of this process.

    Args:
        device: None: a GPU where there is one, else the processor; ``cuda``: in each worker another GPU; or any name that torch knows.

    Raises:
        RequestError: torch cannot use it.

    >>> open_device("cpu")
    device(type='cpu')
    """
    name = name_in_worker(device)
    if name.startswith("cuda") and not gpu_count(here=True):
        raise RequestError(f"there is no GPU that torch can use ({why_no_gpu()}): choose the device cpu")
    if name.partition(":")[0] == "meta":
        raise RequestError("the device meta has shapes and no numbers: choose another, such as cpu")
    try:
        return _open(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise RequestError(f"device {name!r} cannot be used by torch ({reason}): choose another, such as cpu") from error


def _open(name: str) -> torch.device:
    import torch

    opened = torch.device(name)
    torch.empty(0, device=opened)
    if opened.type == "cuda":
        torch.cuda.set_device(opened)
    return opened


def check_precision(device: torch.device, precision: str) -> None:
    """Checks that ``device`` can compute in ``precision``.

    Raises:
        RequestError: it cannot.
    """
    import torch

    if device.type == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise RequestError(f"{device} has no bfloat16: choose --precision 16 or 32")


@contextmanager
def computing(device: torch.device, precision: str = "32") -> Iterator[None]:
    """Within it torch computes without gradients, in one of :data:`PRECISIONS`; float32 has all its bits on a GPU too."""
    import torch

    dtype = {"bf16": torch.bfloat16, "16": torch.float16}.get(precision)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype, enabled=dtype is not None),
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),  # else cuDNN rounds factors to ten bits
    ):
        yield


def describe(device: torch.device) -> str:
    """A device as records name it: ``cpu``, or a GPU's number among those that are visible, and its name."""
    if device.type != "cuda":
        return str(device)
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def memory_without_room(error: BaseException) -> Literal["GPU", "processor"] | None:
    """Whose memory had no room, where an exception of torch or of Python says so; None: it says something else.

    >>> memory_without_room(MemoryError()), memory_without_room(ValueError("is odd"))
    ('processor', None)
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return "GPU"
    if isinstance(error, MemoryError):
        return "processor"
    if isinstance(error, RuntimeError):
        text = str(error)
        if any(words in text for words in _NO_ROOM_ON_GPU):
            return "GPU"
        if any(words in text for words in _NO_ROOM_HERE):
            return "processor"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, of torch or of Python, says that there was no room."""
    return memory_without_room(error) is not None


def is_gpu_fault(error: BaseException) -> bool:
    """Whether an exception is a GPU's, its driver's or its libraries', after which this process cannot compute on it any more.

    >>> is_gpu_fault(RuntimeError("CUDA error: an illegal memory access was encountered")), is_gpu_fault(RuntimeError("shapes differ"))
    (True, False)
    """
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    torch = sys.modules.get("torch")
    of_device = getattr(torch, "AcceleratorError", None)  # which torch has since 2.8
    return (of_device is not None and isinstance(error, of_device)) or any(words in str(error) for words in _GPU_FAULTS)


@contextmanager
def faults_end_the_request(what: str) -> Iterator[None]:
    """Turns a fault of the GPU into a :class:`RequestError` of one line that begins with ``what``: no clip is to blame for it."""
    try:
        yield
    except RuntimeError as error:
        if not is_gpu_fault(error):
            raise
        reason = str(error).partition("\n")[0].strip().rstrip(".")
        raise RequestError(
            f"{what}: the GPU has failed ({reason}); what is finished is kept: run again, and if it fails again choose --device cpu"
        ) from error


class GPUMemory:
    """Memory of the GPU that this process computes on.

    Attributes:
        free: bytes that may still be taken, those included that torch keeps and does not use.
    """

    def __init__(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated()
        self.free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - self._before

    def taken(self) -> int:
        """The most bytes that were in use at a time since this object was made, without those in use before."""
        import torch

        return torch.cuda.max_memory_allocated() - self._before


def gpu_memory() -> GPUMemory | None:
    """The memory as it is now; None where this process has not computed on a GPU yet."""
    torch = sys.modules.get("torch")
    return GPUMemory() if torch is not None and torch.cuda.is_initialized() else None


def release_memory() -> None:
    """Gives back what torch keeps of the GPU's memory without using it, after a failure to get more."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
