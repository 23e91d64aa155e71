"""Arrays: what may come in, how it becomes a numpy array, and how many threads work on it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

Array = npt.NDArray[np.float64]
Matrix = npt.NDArray[Any]
Rng = np.random.Generator | int | None


def as_numpy(values: Any) -> Matrix:
    """Anything array-like as a numpy array in native byte order, without a copy where possible.

    A torch tensor is detached and brought to the CPU; bfloat16, which numpy has not, is widened to float32. Masked
    entries become NaN. What was given is never changed.
    """
    if type(values) is np.ndarray and values.dtype == np.float64:  # the usual case, and a fit takes 0.2 ms
        return values
    if hasattr(values, "detach"):  # a torch tensor, told by its methods so that torch is never imported here
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else values.data
    array = np.asarray(values)
    if array.dtype.name == "bfloat16":
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


def one_blas_thread() -> Any:
    """A context with one BLAS thread: two gain a third on an idle machine and lose a factor of 40 on a busy one.

    The limit belongs to the process. Of several threads each would put back what it found, and the first to leave would
    lift the limit for the others: so what starts threads enters here first, and is its one owner.
    """
    return _controller("scipy.linalg" in sys.modules, "torch" in sys.modules).limit(limits=1, user_api="blas")


@cache
def _controller(*_: bool) -> ThreadpoolController:
    """The BLAS libraries that are loaded; looked for anew (2 ms) when a package has been imported that brings one."""
    return ThreadpoolController()
