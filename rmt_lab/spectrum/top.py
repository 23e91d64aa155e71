"""The largest singular values exactly, the others by quadrature: for matrices whose Gram matrix is too large."""

from __future__ import annotations

import numpy as np
import scipy.sparse.linalg

from .._arrays import Array
from .blocks import Blocks
from .certificate import SEED, Certificate
from .lanczos import Ritz, lanczos

_VECTORS = 8  # starting vectors of the quadrature
_IN_CACHE = 2**18  # entries of W that are widened at a time: a product is limited by memory
_STEPS = 64  # and its nodes for each of them
_TOLERANCE = 1e-9  # of a residual, relative to its eigenvalue
_EXACT = 1e-6  # relative error of an exact eigenvalue at most
_SMALL = 1e-6  # relative to the largest: a smaller one has the absolute error that this one has


def singular_values(blocks: Blocks, num_exact: int) -> tuple[Array, Certificate]:
    """All M singular values, ascending: the last ``num_exact`` exact, see :meth:`Spectrum.from_matrix`.

    The exact ones are Lanczos's with implicit restarts (ARPACK), on v -> W^T (W v), and each one's residual is
    checked. What is left of W^T W beside their vectors, P = I - U U^T, is P W^T W P. Lanczos from random vectors v
    there gives the Gauss quadrature of v's spectral measure, the mean of which over all v is the distribution of the
    other M - num_exact eigenvalues. Their quantiles at (i - 1/2)/(M - num_exact) stand for them, brought to the sum of
    the squared entries of W and cut at the smallest exact one. Nothing of size M x M is formed.

    Raises
    ------
    numpy.linalg.LinAlgError
        If ARPACK does not converge, a residual is too large, or the quadrature finds an eigenvalue that ARPACK missed.

    References
    ----------
    Lehoucq, Sorensen & Yang (1998), ARPACK Users' Guide. Ubaru, Chen & Saad (2017), SIAM J. Matrix Anal. Appl. 38,
    1075, on the quadrature; Chen, Trogdon & Ubaru (2021), ICML, on its distribution function.
    """
    unit = (blocks.unit / blocks.scale) ** 2  # brings eigenvalues far above ARPACK's zero, which is absolute
    M, rng = blocks.M, np.random.default_rng(SEED)
    k = min(num_exact, M // 2)

    def product(rows: Array) -> Array:
        result = np.zeros(rows.shape)
        for block in blocks.read(_IN_CACHE):
            result += (block @ rows.T).T @ block
        result /= unit
        return result

    operator = scipy.sparse.linalg.LinearOperator(
        (M, M), matvec=lambda v: product(v.reshape(1, M))[0], dtype=np.dtype(np.float64)
    )
    try:
        values, U = scipy.sparse.linalg.eigsh(operator, k, tol=_TOLERANCE, v0=rng.standard_normal(M))
    except scipy.sparse.linalg.ArpackError as error:
        raise np.linalg.LinAlgError(f"the largest {k} eigenvalues: {error}") from None
    values, U = np.clip(values, 0, None), U.T
    residuals = np.linalg.norm(product(U) - values[:, None] * U, axis=1)

    def deflated(rows: Array) -> Array:
        rows = product(rows - (rows @ U.T) @ U)
        return rows - (rows @ U.T) @ U

    start = rng.standard_normal((_VECTORS, M))
    ritz = lanczos(deflated, start - (start @ U.T) @ U, min(_STEPS, M - k))
    missed = np.maximum(ritz.values.max() - values, 0.0)
    entries = sum(float(np.vecdot(block, block).sum()) for block in blocks.read()) / unit
    rest = _to_sum(_quantiles(ritz, M - k, M), max(entries - float(values.sum()), 0.0), float(values.min()))
    eigenvalues = np.concatenate([rest, np.sort(values)])
    certificate = Certificate(
        frobenius=abs(float(eigenvalues.sum()) - entries) / entries,
        product=None,
        gram=None,
        largest=float((np.maximum(residuals, missed) / np.maximum(values, _SMALL * values.max())).max()),
        product_bound=_EXACT,
        solver_bound=_EXACT,
    )
    return np.sqrt(unit * eigenvalues), certificate


def _quantiles(ritz: Ritz, count: int, M: int) -> Array:
    """``count`` quantiles of the mean distribution of the quadratures, at (i - 1/2)/count."""
    top = float(ritz.values.max())
    zero = M * float(np.finfo(np.float64).eps) * top
    grid = np.unique(np.clip(ritz.values, 0, None))
    cdf = np.zeros(len(grid))
    for nodes, weights, complete in zip(np.clip(ritz.values, 0, None), ritz.weights, ritz.complete, strict=True):
        below = np.cumsum(weights)
        if complete:  # the nodes are eigenvalues, and the distribution a stair
            cdf += np.r_[0.0, below][np.searchsorted(nodes, grid, side="right")]
        else:  # between two nodes it rises steadily; what lies at zero is an atom
            middle = np.where(nodes <= zero, below, below - weights / 2)
            cdf += np.interp(grid, nodes, middle, left=0.0, right=1.0)
    cdf = np.maximum.accumulate(cdf / len(ritz.values))
    p = (np.arange(count) + 0.5) / count
    if ritz.complete.all():
        return grid[np.minimum(np.searchsorted(cdf, p), len(grid) - 1)]
    return np.interp(p, cdf, grid)


def _to_sum(values: Array, total: float, most: float) -> Array:
    """f times ascending values, cut at ``most``, with the f that brings them to a sum."""
    positive = values[values > 0]
    n, below = len(positive), np.cumsum(positive)
    sums = most / positive * below + most * (n - 1 - np.arange(n))  # if f brings positive[j] to ``most``
    uncut = int(np.count_nonzero(sums >= total))
    if not uncut:
        return np.where(values > 0, min(most, total / n) if n else 0.0, 0.0)
    f = (total - most * (n - uncut)) / below[uncut - 1]
    return np.minimum(f * values, most)
