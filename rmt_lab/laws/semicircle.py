"""Wigner's semicircle: the spectrum of a symmetric matrix of pure noise.

H is n x n, symmetric or Hermitian, with independent entries of mean 0 and standard deviation sigma above the diagonal.
As n -> infinity the eigenvalues of H / sqrt(n) fill -2 sigma .. 2 sigma. The law is also what Marchenko-Pastur becomes
at Q -> infinity: with x = 2 sigma cos(t), dF = (2/pi) sin(t)^2 dt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array, Rng
from .marchenko_pastur import Size, tail_angle, tail_mass


@dataclass(frozen=True)
class Semicircle:
    """The limiting law of the eigenvalues of H / sqrt(n), H symmetric noise (GOE, GUE), in the manner of scipy.stats.

    Density sqrt(4 sigma^2 - x^2) / (2 pi sigma^2) on -2 sigma .. 2 sigma.

    Source: Wigner (1958), Ann. Math. 67, 325; Anderson, Guionnet & Zeitouni (2010), section 2.1.

    Parameters
    ----------
    sigma : float, default 1.0
        Standard deviation of the entries of H off the diagonal, > 0.

    Raises
    ------
    ValueError
        If sigma is not positive and finite.

    Examples
    --------
    >>> law = Semicircle(sigma=0.5)
    >>> law.support()
    (-1.0, 1.0)
    >>> law.cdf([-1, 0, 0.5]).round(4)
    array([0.    , 0.5   , 0.8045])
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not (self.sigma > 0 and math.isfinite(self.sigma)):
            raise ValueError(f"sigma={self.sigma!r}: the semicircle law needs a finite sigma > 0")

    @property
    def radius(self) -> float:
        """2 sigma."""
        return 2 * self.sigma

    def support(self) -> tuple[float, float]:
        """The two edges, -2 sigma and 2 sigma."""
        return -self.radius, self.radius

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density at x."""
        x = np.asarray(x, dtype=np.float64)
        square = np.clip((self.radius - x) * (self.radius + x), 0, None)
        return (np.sqrt(square) / (2 * np.pi * self.sigma**2))[()]

    def cdf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value <= x: (v - sin(v) cos(v)) / pi, v the angle from the lower edge."""
        x = np.asarray(x, dtype=np.float64)
        tail = self._tail(x)
        return np.where(x < 0, tail, 1 - tail)[()]

    def sf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value > x; keeps its relative accuracy at the upper edge, where 1 - cdf has none."""
        return self.cdf(-np.asarray(x, dtype=np.float64))

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The x at which cdf(x) = p, NaN for p outside 0 .. 1."""
        p = np.asarray(p, dtype=np.float64)
        p = np.where((p >= 0) & (p <= 1), p, np.nan)
        x = self.radius * np.cos(tail_angle(np.minimum(p, 1 - p), 0.0))
        return np.where(p < 0.5, -x, x)[()]

    def rvs(self, size: Size = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion. The eigenvalues of one matrix are not independent: they repel each other."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def mean(self) -> float:
        """0."""
        return 0.0

    def var(self) -> float:
        """sigma^2."""
        return self.sigma**2

    def moment(self, k: int) -> float:
        """E x^k: sigma^k times the Catalan number binom(k, k/2) / (k/2 + 1), 0 for odd k.

        Raises ``ValueError`` if k is not a whole number >= 0.
        """
        if k != int(k) or k < 0:
            raise ValueError(f"k={k!r}: a moment is of a whole order k >= 0")
        k = int(k)
        return 0.0 if k % 2 else self.sigma**k * (math.comb(k, k // 2) // (k // 2 + 1))

    def stieltjes(self, z: Any) -> npt.NDArray[np.complex128]:
        """m(z) = E 1/(x - z) = -2 / (z + sqrt(z^2 - 4 sigma^2)); the limit from above on the real axis.

        The root of sigma^2 m^2 + z m + 1 = 0 with Im m > 0 where Im z > 0 and m -> -1/z at infinity.
        """
        z = np.asarray(z, dtype=np.complex128) + 0.0  # a real z lies on the upper side of the cut
        values: npt.NDArray[np.complex128] = (-2 / (z + np.sqrt(z - self.radius) * np.sqrt(z + self.radius)))[()]
        return values

    def _tail(self, x: Array) -> Array:
        """Mass on the far side of x, away from 0."""
        outer = np.clip(np.abs(x), 0, self.radius)
        return tail_mass(2 * np.arctan2(np.sqrt(self.radius - outer), np.sqrt(self.radius + outer)), 0.0)
