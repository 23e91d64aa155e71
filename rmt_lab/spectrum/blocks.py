"""A matrix that is read a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array

_CHUNK = 2**21  # entries of W that are converted to float64 at a time: 16 MB
SAFE = 2.0**200  # fourth powers of entries within 1/SAFE .. SAFE neither overflow nor vanish in float64
SAFE32 = 2.0**20  # squares, in float32


class Blocks:
    """A matrix with N >= M rows, read in blocks: divided by a power of two, so that its squares are safe.

    Raises
    ------
    ValueError
        If W is not two-dimensional, is empty, or holds NaN or infinite entries.
    """

    def __init__(self, W: npt.NDArray[Any], safe: float) -> None:
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"W has shape {W.shape}; a weight matrix has two dimensions, none of them empty")
        self.matrix = W if W.shape[0] >= W.shape[1] else W.T
        self.N, self.M = self.matrix.shape
        largest = float(max(W.max(), -W.min()))  # NaN or infinite if any entry is
        if not np.isfinite(largest):
            bad = int(W.size - np.isfinite(W).sum())
            raise ValueError(f"W holds {bad} NaN or infinite entries of {W.size}")
        self.is_zero = largest == 0
        self.unit = 1.0 if self.is_zero else float(np.ldexp(1.0, int(np.frexp(largest)[1]) - 1))
        within = self.is_zero or 1 / safe < largest < safe
        self.scale = 1.0 if within else self.unit

    def read(self, entries: int = 0) -> Iterator[Array]:
        """Blocks of rows in float64 with some number of entries; each is overwritten by the next."""
        step = max(1, (entries or _CHUNK) // self.M)
        kept = np.empty((min(step, self.N), self.M))
        for i in range(0, self.N, step):
            rows = self.matrix[i : i + step]
            if self.scale == 1 and rows.dtype == np.float64 and rows.flags.c_contiguous:
                yield rows
                continue
            block = kept[: len(rows)]
            block[...] = rows
            if self.scale != 1:
                block /= self.scale
            yield block
