"""Arrays: what may come in, how it becomes a numpy array, and how many threads work on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

Array = npt.NDArray[np.float64]
Matrix = npt.NDArray[Any]
Rng = np.random.Generator | int | None


def as_numpy(values: Any) -> Matrix:
    """Anything array-like as a numpy array in native byte order, without a copy where possible.

    A torch tensor is detached and brought to the CPU; bfloat16 and floats of 8 bits, which numpy has not, are widened
    to float32. Masked entries become NaN. What was given is never changed.
    """
    if type(values) is np.ndarray and values.dtype == np.float64:  # the usual case, and a fit takes 0.2 ms
        return values
    if hasattr(values, "detach"):  # a torch tensor, told by its methods so that torch is never imported here
        values = values.detach().cpu()
        narrow = str(values.dtype).startswith(("torch.bfloat16", "torch.float8"))
        values = (values.float() if narrow else values).numpy()
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else values.data
    array = np.asarray(values)
    if array.dtype.name.startswith(("bfloat16", "float8")):  # of the package ml_dtypes
        return array.astype(np.float32)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def as_real(W: Any, name: str = "W") -> Matrix:
    """A real array of any float type; whole numbers and truth values become float64.

    Raises
    ------
    TypeError
        If W is not real.
    """
    array = as_numpy(W)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {array.dtype}; real numbers are allowed")
    return array


def as_values(x: Any, name: str = "x") -> Array:
    """Positive values in ascending order, as a float64 array of their own: what a tail is fitted to.

    Masked entries are left out.

    Raises
    ------
    ValueError
        If x has more than one dimension, or holds values that are not positive and finite.
    TypeError
        If x is not real.
    """
    if isinstance(x, np.ma.MaskedArray):
        x = x.compressed() if x.ndim == 1 else x
    array = as_real(x, name).astype(np.float64, copy=False)
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}; values of one dimension are allowed. "
            "The eigenvalues of a weight matrix W are Spectrum.from_matrix(W).nonzero_eigenvalues"
        )
    array = np.sort(array)
    if len(array) and not (array[0] > 0 and np.isfinite(array[-1])):
        bad = int(len(array) - np.count_nonzero((array > 0) & np.isfinite(array)))
        raise ValueError(
            f"{name} holds {bad} of {len(array)} values that are not positive and finite; a power law has none"
        )
    return array


def check_shape(N: int, M: int = 1, **positive: float) -> None:
    """Sides are positive integers; every other argument is positive and finite.

    Raises
    ------
    ValueError
        If one is not; the message names it.
    """
    for name, side in {"N": N, "M": M}.items():
        if side != int(side) or side < 1:
            raise ValueError(f"{name}={side}; a side is a positive integer")
    for name, value in positive.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name}={value}; it must be positive and finite")


class _BlasLimit:
    """The limit of one BLAS thread: the first who enters sets it, the last who leaves puts back what was before."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0
        self.of_process: Any = None
        self.before: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        of_process, of_thread = _controllers("scipy.linalg" in sys.modules, "torch" in sys.modules)
        with self.lock:
            if not self.inside:
                self.of_process = of_process
                with _control(of_process):
                    self.before = of_process.limit(limits=1, user_api="blas")
            self.inside += 1
        try:
            with of_thread.limit(limits=1, user_api="blas"):
                yield
        finally:
            with self.lock:
                self.inside -= 1
                if not self.inside:
                    with _control(self.of_process):
                        self.before.restore_original_limits()


_BLAS_LIMIT = _BlasLimit()


def one_blas_thread() -> AbstractContextManager[None]:
    """A context with one BLAS thread: two gain a third on an idle machine and lose a factor of 40 on a busy one.

    The limit belongs to the process. If each of several threads put back what it found, the last to leave would often
    put back the limit of another, for good: so all contexts share one limit. (Where BLAS runs on OpenMP it belongs to
    the thread, and each context has its own.) Python in a browser has a single thread anyway.
    """
    return nullcontext() if sys.platform == "emscripten" else _BLAS_LIMIT()


@contextmanager
def _control(controller: ThreadpoolController) -> Iterator[None]:
    """Since version 3.8 threadpoolctl lets one thread set limits, and passes over the others without a word."""
    clear = [x.clear_controlling_thread for x in controller.lib_controllers if hasattr(x, "clear_controlling_thread")]
    for each in clear:
        each(force=True)
    yield
    for each in clear:
        each(force=True)


@cache
def _controllers(*_: bool) -> tuple[ThreadpoolController, ThreadpoolController]:
    """The BLAS libraries that are loaded: those with a limit of the process, and those with one of each thread.

    They are looked for anew (2 ms) when a package has been imported that brings one.
    """
    found = ThreadpoolController()
    by_thread = [x.filepath for x in found.lib_controllers if getattr(x, "threading_layer", None) == "openmp"]
    others = [x.filepath for x in found.lib_controllers if x.filepath not in by_thread]
    return found.select(filepath=others), found.select(filepath=by_thread)
