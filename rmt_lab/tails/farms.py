"""An exponent at a common shape: windows of one size slide over W, and their eigenvalues are pooled.

The alpha of a spectrum depends on the aspect ratio Q of the matrix. FARMS (fixed-aspect-ratio matrix subsampling) looks
at all layers through windows of the same sides, so that exponents of different layers can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, as_real
from .._repr import html_table
from ..spectrum import Spectrum
from .hill import hill


@dataclass(frozen=True, eq=False, repr=False)
class WindowedAlpha:
    """Hill's exponent of the pooled eigenvalues of all windows; made by :func:`windowed_alpha`.

    Attributes
    ----------
    alpha : float
        Hill's exponent of the upper half of the pooled eigenvalues. It has no error bar: windows overlap, and the
        eigenvalues of one window repel each other.
    window : tuple of int
        Rows and columns of every window.
    windows : int
        How many there are.
    eigenvalues : array
        Pooled, ascending, of A^T A / rows for every window A.
    """

    alpha: float
    window: tuple[int, int]
    windows: int
    eigenvalues: Array

    def __repr__(self) -> str:
        return f"WindowedAlpha(alpha={self.alpha:.3f}, window={self.window}, windows={self.windows})"

    def _repr_html_(self) -> str:
        sides = f"{self.window[0]} x {self.window[1]}"
        rows = {"alpha": f"{self.alpha:.3f}", "window": sides, "windows": f"{self.windows}"}
        return html_table("Exponent at a common shape", rows)


def windowed_alpha(W: Any, window: tuple[int, int], steps: tuple[int, int] = (5, 5)) -> WindowedAlpha:
    """Hill's exponent of the eigenvalues of windows of one shape, pooled over their places in W.

    Windows of ``window`` = (rows, columns), rows >= columns, stand at ``steps`` places along the longer and the shorter
    side of W, evenly spread from one end to the other. For each window A the eigenvalues of A^T A / rows are taken;
    the k largest of all n, k = n // 2, give 1 + k / sum ln(x_i / x_(k+1)).

    The published code clips a window that is larger than a side, without a word, which gives layers different shapes
    again; here that is an error.

    Parameters
    ----------
    W : array or torch tensor of two dimensions
        In either orientation.
    window : tuple of two ints
        Rows and columns of the windows; rows >= columns.
    steps : tuple of two ints, default (5, 5)
        How many places along the longer and the shorter side.

    Raises
    ------
    ValueError
        If W is not a matrix, a window does not fit into it, or a side or a number of steps is not positive.

    References
    ----------
    Hu et al. (2025), Eigenspectrum analysis of neural networks without aspect ratio bias, arXiv 2506.06280. Hill
    (1975), Annals of Statistics 3, 1163.

    Examples
    --------
    Of pure noise Hill's exponent depends on the shape; through one window it does not.

    >>> rng = np.random.default_rng(0)
    >>> square, long = rng.normal(size=(400, 400)), rng.normal(size=(1600, 400))
    >>> [round(hill(Spectrum.from_matrix(W).eigenvalues), 1) for W in (square, long)]
    [2.1, 3.4]
    >>> [round(windowed_alpha(W, window=(200, 100)).alpha, 1) for W in (square, long)]
    [2.7, 2.7]
    """
    W = as_real(W)
    if W.ndim != 2:
        raise ValueError(f"W has shape {W.shape}; windows slide over a matrix of two dimensions")
    W = W if W.shape[0] >= W.shape[1] else W.T
    rows, columns = window
    if not 1 <= columns <= rows or min(steps) < 1:
        raise ValueError(f"window={window}, steps={steps}; rows >= columns >= 1 and at least one step are allowed")
    if rows > W.shape[0] or columns > W.shape[1]:
        raise ValueError(f"window={window} does not fit into a matrix of {W.shape[0]} x {W.shape[1]}")
    down, across = (
        np.unique(np.linspace(0, side - width, n).round().astype(int))
        for side, width, n in zip(W.shape, window, steps, strict=True)
    )
    spectra = [Spectrum.from_matrix(W[i : i + rows, j : j + columns]) for i in down for j in across]
    pooled = np.sort(np.concatenate([s.nonzero_eigenvalues for s in spectra]))
    return WindowedAlpha(hill(pooled), (rows, columns), len(spectra), pooled)
