"""Processors and GPUs that nets are computed on: how many GPUs there are, which one a worker has, how it computes, how much room it has.

Torch is imported by what computes, in the worker. A parent that is to start workers only counts GPUs, and lets another process ask: CUDA
does not survive a fork.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jukemir_like.core.errors import RequestError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("32", "bf16", "16")
"""What matrix products and convolutions are computed in: float32, bfloat16, float16."""

_DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))  # of CUDA, of CUDA in WSL, of ROCm
_COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
_ALLOCATION_FAILURES = ("can't allocate memory", "STATUS_ALLOC_FAILED")  # of a processor's memory, of cuDNN and cuBLAS


def may_have_gpu(device: str | None = None) -> bool:
    """Whether a net that is asked to compute on ``device`` may have a GPU. Asks nobody, and may be wrong where a driver does not work."""
    return device != "cpu" and any(file.exists() for file in _DEVICE_FILES)


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
    return _count_elsewhere()


@cache
def _count_elsewhere() -> int:
    asked = subprocess.run([sys.executable, "-c", _COUNT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return int(asked.stdout) if asked.returncode == 0 else 0


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
    import torch

    name = name_in_worker(device)
    if name.startswith("cuda") and not gpu_count(here=True):
        raise RequestError("there is no GPU that torch can use: choose the device cpu")
    try:
        opened = torch.device(name)
        torch.empty(0, device=opened)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise RequestError(f"device {name!r} cannot be used by torch ({reason}): choose another, such as cpu") from error
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, of torch or of Python, says that there was no room."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATION_FAILURES)


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
