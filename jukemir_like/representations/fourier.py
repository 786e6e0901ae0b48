"""The real Fourier transform of many rows: SciPy's, without the fifth of a second that importing :mod:`scipy.fft` takes.

That is half of the start-up of a process that extracts mfcc or chroma, and workers cannot share it. So SciPy's compiled part is loaded by
itself from SciPy's folder. It is not a public interface: where it is not found or has changed, :func:`scipy.fft.rfft` does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import numpy as np

_FORWARD, _UNSCALED, _ONE_THREAD = True, 0, 1


def rfft(rows: np.ndarray) -> np.ndarray:
    """Spectra of real rows.

    Args:
        rows: float32 or float64, shape ``(rows, samples)``.

    Returns:
        complex64 or complex128, shape ``(rows, 1 + samples // 2)``.
    """
    return _transform()(rows)


@cache
def _transform() -> Callable[[np.ndarray], np.ndarray]:
    return _compiled_part() or _public


def _public(rows: np.ndarray) -> np.ndarray:
    import scipy.fft

    return np.asarray(scipy.fft.rfft(rows, axis=1, workers=1))


def _compiled_part() -> Callable[[np.ndarray], np.ndarray] | None:
    """The transform from SciPy's extension module; None where that is not as expected."""
    package = find_spec("scipy")
    if package is None or package.origin is None:
        return None
    spec = PathFinder.find_spec("pypocketfft", [str(Path(package.origin).parent / "fft" / "_pocketfft")])
    if spec is None or spec.loader is None:
        return None
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        r2c = module.r2c
        impulse = np.eye(1, 4, dtype=np.float32)
        if not np.array_equal(r2c(impulse, (1,), _FORWARD, _UNSCALED, None, _ONE_THREAD), np.ones((1, 3), np.complex64)):
            return None
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return lambda rows: np.asarray(r2c(rows, (1,), _FORWARD, _UNSCALED, None, _ONE_THREAD))
