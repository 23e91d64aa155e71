"""The Marchenko-Pastur law: the spectrum of a matrix of pure noise.

W is N x M with independent entries of mean 0 and standard deviation sigma. As N, M -> infinity at Q = N/M, the
eigenvalues of X = W^T W / N fill the interval sigma^2 (1 -+ 1/sqrt(Q))^2 with the density below. Everything here
follows from one picture: with r = 1/sqrt(Q) and an angle t in 0 .. pi,

    x = sigma^2 |1 + r e^(it)|^2        dF = (2/pi) sin(t)^2 / |1 + r e^(it)|^2 dt        (r <= 1)

so that the square root at either edge disappears and narrow supports (Q = 1000) cost no digits.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import hyp2f1

from .._arrays import Array, Rng

Size = int | tuple[int, ...] | None
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)


@dataclass(frozen=True)
class MarchenkoPastur:
    """The limiting law of the eigenvalues of X = W^T W / N for W of pure noise, in the manner of scipy.stats.

    Density Q / (2 pi sigma^2 x) sqrt((x+ - x)(x - x-)) between the edges x-+ = sigma^2 (1 -+ 1/sqrt(Q))^2. For Q < 1,
    when W has fewer rows than columns, X has zero eigenvalues: the law has an atom of mass 1 - Q at 0. ``pdf`` is then
    the continuous part, of mass Q; ``cdf``, ``sf``, ``ppf``, ``rvs``, ``mean``, ``var``, ``moment`` include the atom.

    Source: Marchenko & Pastur (1967), Math. USSR Sbornik 1, 457; Bai & Silverstein (2010), chapter 3.

    Parameters
    ----------
    Q : float
        Aspect ratio N / M > 0.
    sigma : float, default 1.0
        Standard deviation of the entries of W, > 0.

    Raises
    ------
    ValueError
        If Q or sigma is not positive and finite.

    Examples
    --------
    >>> law = MarchenkoPastur(Q=4)
    >>> law.support()
    (0.25, 2.25)
    >>> law.cdf([0.25, 1.0, 2.25]).round(4)
    array([0.    , 0.5534, 1.    ])
    """

    Q: float
    sigma: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("Q", self.Q), ("sigma", self.sigma)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value!r}: the Marchenko-Pastur law needs a finite {name} > 0")

    @property
    def lower_edge(self) -> float:
        """sigma^2 (1 - 1/sqrt(Q))^2, where the continuous part begins."""
        return self.sigma**2 * ((self.Q - 1) / (self.Q + math.sqrt(self.Q))) ** 2  # no cancellation at Q = 1

    @property
    def upper_edge(self) -> float:
        """sigma^2 (1 + 1/sqrt(Q))^2."""
        return self.sigma**2 * (1 + 1 / math.sqrt(self.Q)) ** 2

    def support(self) -> tuple[float, float]:
        """Smallest and largest value: the two edges, or 0 (the atom) and the upper edge for Q < 1."""
        return (self.lower_edge if self.Q >= 1 else 0.0), self.upper_edge

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density of the continuous part at x; infinite at x = 0 for Q = 1."""
        x = np.asarray(x, dtype=np.float64)
        root = np.sqrt(np.clip((self.upper_edge - x) * (x - self.lower_edge), 0, None))
        density = np.divide(self.Q * root, 2 * np.pi * self.sigma**2 * x, out=np.zeros_like(x), where=root != 0)
        return np.where((x == 0) & (self.Q == 1), np.inf, density)[()]

    def cdf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value <= x, in closed form; for Q < 1 it starts with 1 - Q at x = 0."""
        lower, upper = self._tails(x)
        mass = min(1.0, self.Q)
        body = np.where(lower <= upper, (1 - mass) + mass * lower, 1 - mass * upper)
        return np.where(np.asarray(x) < 0, 0.0, body)[()]

    def sf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value > x; keeps its relative accuracy at the upper edge, where 1 - cdf has none."""
        lower, upper = self._tails(x)
        mass = min(1.0, self.Q)
        return np.where(np.asarray(x) < 0, 1.0, mass * np.where(lower <= upper, 1 - lower, upper))[()]

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The x at which cdf(x) = p (0 within the atom), NaN for p outside 0 .. 1; to a few eps in p."""
        p = np.asarray(p, dtype=np.float64)
        mass = min(1.0, self.Q)
        p = np.where((p >= 0) & (p <= 1), p, np.nan)
        lower, upper = np.clip((p - (1 - mass)) / mass, 0, None), (1 - p) / mass
        low = lower <= upper
        x = np.empty_like(p)
        span = self.upper_edge - self.lower_edge
        x[low] = self.lower_edge + span * np.sin(tail_angle(lower[low], -self._r) / 2) ** 2
        x[~low] = self.upper_edge - span * np.sin(tail_angle(upper[~low], self._r) / 2) ** 2
        return np.where(p <= 1 - mass, self.support()[0], x)[()]

    def rvs(self, size: Size = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion. The eigenvalues of one matrix are not independent: they repel each other."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def mean(self) -> float:
        """sigma^2."""
        return self.sigma**2

    def var(self) -> float:
        """sigma^4 / Q."""
        return self.sigma**4 / self.Q

    def moment(self, k: int) -> float:
        """E x^k = sigma^(2k) sum_j binom(k, j) binom(k-1, j) / (j+1) Q^-j, j = 0 .. k-1: Narayana's numbers.

        Raises ``ValueError`` if k is not a whole number >= 0. Source: Bai & Silverstein (2010), lemma 3.1.
        """
        if k != int(k) or k < 0:
            raise ValueError(f"k={k!r}: a moment is of a whole order k >= 0")
        k = int(k)
        narayana = (math.comb(k, j) * math.comb(k - 1, j) // (j + 1) / self.Q**j for j in range(k))
        return self.sigma ** (2 * k) * math.fsum(narayana) if k else 1.0

    def stieltjes(self, z: Any) -> npt.NDArray[np.complex128]:
        """m(z) = E 1/(x - z): Im m > 0 where Im z > 0, m -> -1/z at infinity; the limit from above on the real axis.

        The root of sigma^2 z m^2 / Q + (z - sigma^2 (1 - 1/Q)) m + 1 = 0 with these two properties; Im m(x) / pi is the
        density. Source: Bai & Silverstein (2010), lemma 3.11.
        """
        z = np.asarray(z, dtype=np.complex128) + 0.0  # a real z lies on the upper side of the cut
        b = z - self.sigma**2 * (1 - 1 / self.Q)
        s = np.sqrt(z - self.lower_edge) * np.sqrt(z - self.upper_edge)  # the branch that is about z at infinity
        stable = np.abs(b + s) >= np.abs(b - s)  # either form of the root, whichever does not cancel
        a = 2 * self.sigma**2 * z / self.Q
        values: npt.NDArray[np.complex128] = np.divide(np.where(stable, -2, s - b), np.where(stable, b + s, a))[()]
        return values

    def singular_values(self, N: float = 1.0) -> SingularValueLaw:
        """The law of s = sqrt(N x), the singular values of W itself; N = 1 gives those of W / sqrt(N)."""
        return SingularValueLaw(self, N)

    @property
    def _r(self) -> float:
        return 1 / math.sqrt(max(self.Q, 1 / self.Q))  # Q and 1/Q have the same continuous part, but for scale and mass

    def _tails(self, x: npt.ArrayLike) -> tuple[Array, Array]:
        """Mass of the continuous part, normalised to 1, below and above x; the larger one of them by subtraction."""
        x = np.clip(np.asarray(x, dtype=np.float64), self.lower_edge, self.upper_edge)
        above, below = np.sqrt(self.upper_edge - x), np.sqrt(x - self.lower_edge)
        low = below < above  # an angle under pi/2 from the lower edge
        angle = 2 * np.arctan2(np.minimum(above, below), np.maximum(above, below))
        tail = np.empty_like(angle)
        tail[low], tail[~low] = tail_mass(angle[low], -self._r), tail_mass(angle[~low], self._r)
        return np.where(low, tail, 1 - tail), np.where(low, 1 - tail, tail)


@dataclass(frozen=True)
class SingularValueLaw:
    """The law of the singular values s = sqrt(N x) of W, where x follows a Marchenko-Pastur law: x = s^2 / N.

    Density Q / (pi sigma^2 s) sqrt((x+ - x)(x - x-)); for Q = 1 the quarter circle of radius 2 sigma sqrt(N). For Q < 1
    there is an atom at 0 as in :class:`MarchenkoPastur`, which makes one of these by ``singular_values(N)``.

    Parameters
    ----------
    law : MarchenkoPastur
        Of the eigenvalues of X = W^T W / N.
    N : float
        Rows of W, > 0; 1 for the scale of W / sqrt(N).

    Raises
    ------
    ValueError
        If N is not positive and finite.

    Examples
    --------
    >>> MarchenkoPastur(Q=4).singular_values(N=400).support()
    (10.0, 30.0)
    """

    law: MarchenkoPastur
    N: float = 1.0

    def __post_init__(self) -> None:
        if not (self.N > 0 and math.isfinite(self.N)):
            raise ValueError(f"N={self.N!r}: the number of rows is finite and > 0")

    def support(self) -> tuple[float, float]:
        """Smallest and largest singular value."""
        low, high = self.law.support()
        return math.sqrt(self.N * low), math.sqrt(self.N * high)

    def pdf(self, s: npt.ArrayLike) -> Array:
        """Density of the continuous part at s; finite everywhere."""
        s = np.asarray(s, dtype=np.float64)
        x, low, high = s**2 / self.N, self.law.lower_edge, self.law.upper_edge
        gap = 1 - np.divide(low, x, out=np.full_like(x, float(low > 0)), where=x > 0)
        root = np.sqrt(np.clip(high - x, 0, None) * np.clip(gap, 0, None))
        return np.where(s < 0, 0.0, self.law.Q * root / (np.pi * self.law.sigma**2 * math.sqrt(self.N)))[()]

    def cdf(self, s: npt.ArrayLike) -> Array:
        """Probability of a value <= s."""
        return self.law.cdf(self._eigenvalue(s))

    def sf(self, s: npt.ArrayLike) -> Array:
        """Probability of a value > s."""
        return self.law.sf(self._eigenvalue(s))

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The s at which cdf(s) = p."""
        return np.sqrt(self.N * self.law.ppf(p))

    def rvs(self, size: Size = None, rng: Rng = None) -> Array:
        """Independent draws."""
        return np.sqrt(self.N * self.law.rvs(size, rng))

    def mean(self) -> float:
        """sigma sqrt(N) 2F1(-1/2, 1/2; 2; 1/Q), for Q < 1 sigma sqrt(N Q) 2F1(-1/2, 1/2; 2; Q)."""
        scale = self.law.sigma * math.sqrt(self.N * min(1.0, self.law.Q))
        return scale * float(hyp2f1(-0.5, 0.5, 2.0, self.law._r**2))

    def var(self) -> float:
        """N sigma^2 - mean^2."""
        return self.N * self.law.mean() - self.mean() ** 2

    def _eigenvalue(self, s: npt.ArrayLike) -> Array:
        s = np.asarray(s, dtype=np.float64)
        values: Array = s * np.abs(s) / self.N  # a negative s stays below the support
        return values


def tail_density(v: Array, rho: float) -> Array:
    """(2/pi) sin(v)^2 / |1 + rho e^(iv)|^2, v > 0 the angle from an edge: rho = r at the upper, -r at the lower."""
    h = np.sin(v / 2) ** 2
    values: Array = 8 / np.pi * h * (1 - h) / ((1 + rho) ** 2 - 4 * rho * h)
    return values


def tail_mass(v: Array, rho: float) -> Array:
    """Integral of :func:`tail_density` from 0 to v: (v - sin(v)/rho + (1/rho^2 - 1) arg(1 + rho e^(iv))) / pi.

    At a small angle the three terms cancel down to v^3, so there the integral itself is taken, by Gauss-Legendre: it is
    exact to rounding well inside the distance of the poles of the density, v = +-i log(-1/rho).
    """
    v = np.asarray(v, dtype=np.float64)
    near = v < (abs(cmath.log(-rho)) / 2 if rho else np.inf)
    mass = np.empty_like(v)
    half = v[near] / 2
    mass[near] = half * (tail_density(half[:, None] * (1 + _NODES), rho) @ _WEIGHTS)
    far = v[~near]
    if far.size:
        arg = np.arctan2(rho * np.sin(far), 1 + rho - 2 * rho * np.sin(far / 2) ** 2)
        mass[~near] = (far - np.sin(far) / rho + (1 / rho**2 - 1) * arg) / np.pi
    return mass


def tail_angle(p: Array, rho: float) -> Array:
    """The angle v at which tail_mass(v, rho) = p: Newton's method for log p as a function of log v.

    That function is concave, with a slope between 3 (at the edge) and 1, so Newton converges from any start.
    """
    v = np.ones_like(p)
    inner = p > 0
    target, u = p[inner], v[inner]
    for _ in range(100):
        mass = tail_mass(u, rho)
        step = np.clip(np.log(target / mass) * mass / (u * tail_density(u, rho)), -50, 50)
        u = np.clip(u * np.exp(step), 1e-100, np.pi)  # smaller angles would underflow
        if not np.any(np.abs(step) > 1e-8):  # what is left is its square
            break
    v[inner] = u
    return np.where(p > 0, v, p)  # 0 at p = 0, NaN stays NaN
