"""Random matrices: the nulls that a weight matrix is compared with.

Every function draws an N x M matrix, in whichever orientation it is asked for, whose entries have variance sigma^2
where the variance exists. For N >= M the eigenvalues of X = W^T W / N then follow ``MarchenkoPastur(N / M, sigma)`` in
the limit of large matrices, unless the docstring names another law. ``rng`` is a numpy Generator, a seed or None.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rng = np.random.Generator | int | None


def gaussian(N: int, M: int, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries from the normal law N(0, sigma^2), of shape (N, M).

    Law: Marchenko-Pastur (Marchenko & Pastur 1967); the joint law of the eigenvalues is exact at every size (Wishart
    1928, beta = 1). :func:`rmt_lab.gaussian_spectra.gaussian_spectrum` draws the spectrum without the matrix.

    Raises
    ------
    ValueError
        If a side is not a positive integer or sigma is not positive.

    Examples
    --------
    >>> gaussian(3, 2, rng=0).round(2)
    array([[ 0.13, -0.13],
           [ 0.64,  0.1 ],
           [-0.54,  0.36]])
    """
    _check(N=N, M=M, sigma=sigma)
    return np.random.default_rng(rng).normal(0.0, sigma, (N, M))


def _check(N: int, M: int = 1, **positive: float) -> None:
    """Sides are positive integers; every other argument is positive and finite."""
    for name, side in {"N": N, "M": M}.items():
        if side != int(side) or side < 1:
            raise ValueError(f"{name}={side}; a side is a positive integer")
    for name, value in positive.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name}={value}; it must be positive and finite")
