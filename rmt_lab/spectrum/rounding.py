"""What the stored precision of weights can tell: formats, and the largest singular value of rounding errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Matrix, as_numpy

#: Formats of stored weights: bits of the mantissa, and the exponent of the smallest step.
FORMATS = {
    "float64": (52, -1074),
    "float32": (23, -149),
    "float16": (10, -24),
    "bfloat16": (7, -133),
    "float8_e4m3fn": (3, -9),
    "float8_e5m2": (2, -16),
}
_MARGIN = 3.0  # sqrt(N) + sqrt(M) + t is exceeded with a chance below e^(-t^2/2): 1 %
_CHUNK = 2**16  # entries of W that are looked at at a time: with all that is made of them, what a core's cache holds
_EXPONENT = np.uint64(0x7FF << 52)  # the bits of a float64 that hold its exponent


def was_bfloat16(W: Matrix) -> bool:
    """Whether no float32 value uses the 16 bits that bfloat16 has not; zeros and whole numbers alone do not tell."""
    flat = W.ravel("K")  # in the order of the memory, so that nothing is copied
    if (flat[:1000].view(np.uint32) & 0xFFFF).any():  # nearly all matrices are told by their beginning
        return False
    whole_numbers = True
    for i in range(0, len(flat), _CHUNK):
        chunk = flat[i : i + _CHUNK]
        if (chunk.view(np.uint32) & 0xFFFF).any():
            return False
        whole_numbers = whole_numbers and bool((chunk == np.rint(chunk)).all())
    return not whole_numbers


def rounding_edge(W: Any, precision: str | None = None, step: npt.ArrayLike | None = None) -> float:
    """The largest singular value that rounding alone would give to a matrix stored like W.

    With sigma_ij the standard deviation of the rounding error of entry ij,

        edge = max_i sqrt(sum_j sigma_ij^2) + max_j sqrt(sum_i sigma_ij^2) + 3 sigma,

    sigma their root mean square, which is sigma (sqrt(N) + sqrt(M) + 3) where all are equal. What lies below it cannot
    be told from rounding; what lies above was there before. Measured: the largest singular value of the errors lies at
    0.71 to 0.73 of the edge for a product of rank 64 (512 x 256; float16, bfloat16, float32), at 0.77 to 0.85 for
    Gaussian entries with even or uneven rows and columns, at 0.56 to 0.70 for heavy-tailed ones (Pareto times normal).

    Parameters
    ----------
    W : array of two dimensions, on any scale
        The stored values (what was before the rounding differs too little to matter).
    precision : str, optional
        A name in ``FORMATS``. Default: the dtype of W.
    step : array_like, optional
        Instead of a precision, the distance of neighbouring values: of int8 and 4-bit formats the scale, one number
        or one for every entry (or row, or block; it must broadcast to W).

    Returns
    -------
    float
        0 for whole numbers without a ``step``; infinite if an entry is not finite.

    Raises
    ------
    ValueError
        If the precision is not known.

    References
    ----------
    Widrow & Kollar (2008), Quantization Noise, chapters 5 and 12, on the errors. Davidson & Szarek (2001), Handbook of
    the Geometry of Banach Spaces 1, 317, theorem 2.13, and Latala (2005), Proc. AMS 133, 1273, on the norm.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(512, 256))
    >>> edge, error = rounding_edge(W, "float16"), W.astype(np.float16) - W
    >>> round(float(np.linalg.norm(error, 2) / edge), 1)
    0.8
    """
    stored = str(getattr(W, "dtype", "")).removeprefix("torch.")  # bfloat16 and floats of 8 bits are widened
    W = as_numpy(W)
    if step is None:
        precision = precision or (stored if stored in FORMATS else W.dtype.name)
        if np.issubdtype(W.dtype, np.integer) or W.dtype == bool:
            return 0.0
        if precision not in FORMATS:
            raise ValueError(f"precision={precision!r}; known are {', '.join(FORMATS)}, or give the step")
        bits, smallest = FORMATS[precision]
    steps = None if step is None else np.broadcast_to(np.asarray(step, dtype=np.float64), W.shape)
    columns, rows = np.zeros(W.shape[1]), 0.0
    chunk = max(1, _CHUNK // W.shape[1])
    for i in range(0, len(W), chunk):
        if steps is None:
            w = np.asarray(W[i : i + chunk], dtype=np.float64)
            power = (np.ascontiguousarray(w).view(np.uint64) & _EXPONENT).view(np.float64)  # of two, below |w|
            power *= 2.0**-bits
            unit = np.maximum(power, 2.0**smallest, out=power)
            unit[w == 0] = 0
        else:
            unit = steps[i : i + chunk]
        scale = float(unit.max())  # squares of small steps would vanish
        if scale == 0:
            continue
        if scale == np.inf or np.isnan(scale):
            return np.inf
        square = unit / scale
        square *= square
        rows = max(rows, scale * float(np.sqrt(square.sum(axis=1).max())))
        columns = np.hypot(columns, scale * np.sqrt(square.sum(axis=0)))
    sigma = np.linalg.norm(columns) / np.sqrt(W.size)
    return float((rows + columns.max() + _MARGIN * sigma) / np.sqrt(12))
