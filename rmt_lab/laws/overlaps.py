"""How much two random subspaces have in common.

Let U and V be n x k with orthonormal columns. The singular values of U^T V are the cosines of the principal angles
between their spans (Bjorck & Golub 1973), and

    overlap = |U^T V|_F^2 / k

is the mean of their squares: 1 for equal subspaces, 0 for orthogonal ones, k/n on average for random ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from .._arrays import Array, Rng, as_numpy


@dataclass(frozen=True)
class SubspaceOverlap:
    """The law of the overlap of two uniformly random k-dimensional subspaces of R^n, in the manner of scipy.stats.

    The squared cosines of the principal angles are the eigenvalues of a Jacobi (MANOVA) ensemble with k and n - k
    degrees of freedom (Absil, Edelman & Koev 2006, Linear Algebra Appl. 414, 288). k overlap is its trace. Exact are

        mean = k / n,    var = 2 (n - k)^2 / (n^2 (n - 1) (n + 2)),

    the support and ``rvs``, which draws such ensembles. ``pdf``, ``cdf``, ``sf`` and ``ppf`` are those of the beta law
    with this mean, variance and support. For k = 1 and k = n - 1 that is the law itself: the squared cosine has the law
    Beta(1/2, (n - 1)/2). Otherwise it is close: measured on 400000 draws, n = 20 .. 3072, k = 2 .. 15, the probability
    beyond its upper 5 % point is 0.047 to 0.050, beyond the upper 1 % point 0.008 to 0.010. Small subspaces of small
    spaces are farther from it: 0.060 and 0.023 for n = 4, k = 2.

    Parameters
    ----------
    n, k : int
        1 <= k < n.

    Raises
    ------
    ValueError
        If k is not a whole number from 1 to n - 1.

    Examples
    --------
    >>> law = SubspaceOverlap(384, 10)
    >>> f"{law.mean():.4f} +- {law.var() ** 0.5:.4f}, one in a hundred above {law.ppf(0.99):.4f}"
    '0.0260 +- 0.0036, one in a hundred above 0.0351'
    """

    n: int
    k: int

    def __post_init__(self) -> None:
        if not (self.n == int(self.n) and self.k == int(self.k) and 1 <= self.k < self.n):
            raise ValueError(f"n={self.n!r}, k={self.k!r}: whole numbers 1 <= k < n are needed")

    def support(self) -> tuple[float, float]:
        """From max(0, 2 - n/k), since two subspaces of more than n/2 dimensions meet, to 1."""
        return max(0.0, 2 - self.n / self.k), 1.0

    def mean(self) -> float:
        """k / n."""
        return self.k / self.n

    def var(self) -> float:
        """2 (n - k)^2 / (n^2 (n - 1) (n + 2))."""
        n, k = self.n, self.k
        return 2 * (n - k) ** 2 / (n**2 * (n - 1) * (n + 2))

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density at x, of the beta law."""
        return np.asarray(self._beta().pdf(x))[()]

    def cdf(self, x: npt.ArrayLike) -> Array:
        """Probability of an overlap <= x, of the beta law."""
        return np.asarray(self._beta().cdf(x))[()]

    def sf(self, x: npt.ArrayLike) -> Array:
        """Probability of an overlap > x, of the beta law: the p-value of a measured overlap."""
        return np.asarray(self._beta().sf(x))[()]

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The x at which cdf(x) = p."""
        return np.asarray(self._beta().ppf(p))[()]

    def rvs(self, size: int = 1, rng: Rng = None) -> Array:
        """Exact draws: trace((A + B)^-1 A) / k, A and B Wishart matrices of k and n - k degrees of freedom."""
        rng = np.random.default_rng(rng)
        k = min(self.k, self.n - self.k)  # the complements of both have the same angles
        X = rng.normal(size=(size, k, k))
        A = X.mT @ X
        T = np.triu(rng.normal(size=(size, k, k)), 1)  # Bartlett (1933): T^T T is Wishart
        T[:, range(k), range(k)] = np.sqrt(rng.chisquare(self.n - k - np.arange(k), size=(size, k)))
        trace = np.trace(np.linalg.solve(A + T.mT @ T, A), axis1=1, axis2=2)
        overlap: Array = (self.k - k + trace) / self.k  # k > n/2: 2 k - n directions are common to all
        return overlap

    def _beta(self) -> Any:
        low, high = self.support()
        width = high - low
        mean, var = (self.mean() - low) / width, self.var() / width**2
        total = mean * (1 - mean) / var - 1
        return stats.beta(mean * total, (1 - mean) * total, loc=low, scale=width)


def subspace_overlap(U: npt.ArrayLike, V: npt.ArrayLike) -> float:
    """|U^T V|_F^2 / k: the mean squared cosine of the principal angles between the spans of U and V.

    Parameters
    ----------
    U, V : array_like of shape (n, k)
        With orthonormal columns.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> E = np.eye(5)
    >>> subspace_overlap(E[:, :2], E[:, :2]), subspace_overlap(E[:, :2], E[:, 1:3])
    (1.0, 0.5)
    """
    U, V = (np.asarray(as_numpy(X), dtype=np.float64) for X in (U, V))
    if U.ndim != 2 or U.shape != V.shape:
        raise ValueError(f"U has shape {U.shape}, V has shape {V.shape}; both need to be n x k")
    return float(np.square(U.T @ V).sum() / U.shape[1])
