"""A matrix -> its singular values, and the certificate that they are its own."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.linalg.blas import dsymv

from .._arrays import Array
from . import devices, top
from .blocks import SAFE, SAFE32, Blocks
from .certificate import Certificate, certify, gather, probe, rounding_bounds

Solver = Literal["gram", "svd", "gram32", "top"]
#: The names of the methods; errors and help texts are made from here.
METHODS: tuple[Solver, ...] = get_args(Solver)


def singular_values(
    W: npt.NDArray[Any], method: Solver, device: str = "cpu", num_exact: int = 128
) -> tuple[Array, Certificate]:
    """Singular values of a two-dimensional array, unsorted, and their certificate."""
    blocks = Blocks(W, SAFE32 if method == "gram32" else SAFE)
    if blocks.is_zero:
        return np.zeros(blocks.M), Certificate(0.0, 0.0, 0.0, 0.0, *rounding_bounds(blocks.N, blocks.M))
    if device != "cpu":
        s, certificate = devices.singular_values(blocks, method, device)
    elif method == "top":
        s, certificate = top.singular_values(blocks, num_exact)
    else:
        s, certificate = _dense(blocks, method)
    if method == "gram32":  # what is left of a zero eigenvalue is the rounding of the products
        error = (float(np.sqrt(blocks.N)) + 10) * float(np.finfo(np.float32).eps)
        s[s**2 <= error * float(s.max()) ** 2] = 0.0
    return s * blocks.scale, certificate


def _dense(blocks: Blocks, method: Solver) -> tuple[Array, Certificate]:
    gram, entries, probed, x = np.zeros((blocks.M, blocks.M)), 0.0, 0.0, probe(blocks.M)
    for block in blocks.read():
        entries += float(np.vecdot(block, block).sum())
        probed += float(np.sum((block @ x) ** 2))
        if method == "gram32":
            block = block.astype(np.float32)
        gram += block.T @ block

    def product(rows: Array) -> Array:
        result: Array = dsymv(1.0, gram.T, rows[0])[None, :]  # reads half of the matrix
        return result

    known = gather(product, blocks.M, float(np.vecdot(gram, gram).sum()), entries, probed)
    if method == "svd":
        s = scipy.linalg.svdvals(blocks.matrix.astype(np.float64) / blocks.scale)
        values = s**2
    else:
        values = np.linalg.eigvalsh(gram)
        s = np.sqrt(np.clip(values, 0, None))
    eps = float(np.finfo(np.float32 if method == "gram32" else np.float64).eps)
    return s, certify(values, known, rounding_bounds(blocks.N, blocks.M, eps))
