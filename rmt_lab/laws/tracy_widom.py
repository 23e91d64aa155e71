"""The Tracy-Widom laws: how far the largest eigenvalue of a noise matrix strays from the edge of the spectrum.

For W of N x M Gaussian noise the largest eigenvalue of X = W^T W / N is mu + s x, with x of the law TW_1 up to an error
of order M^(-2/3) and mu, s from :func:`edge_scaling`. Complex noise gives TW_2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial.chebyshev import chebder, chebval

from .._arrays import Array

_ZETA_PRIME = -0.16542114370045092  # zeta'(-1), the derivative of Riemann's zeta function
_RANGE = (-18.0, 60.0)  # beyond, a tail is below 1e-113; ppf stops there


@dataclass(frozen=True)
class TracyWidom:
    """The Tracy-Widom law of index beta = 1 (real matrices) or 2 (complex ones), in the manner of scipy.stats.

    F2(s) = det(1 - K), K the Airy kernel on (s, inf); F1(s) = det(1 - B), B(x, y) = Ai(x + y + s) on (0, inf). Read
    from a table of 3 kB that ``scripts/make_tracy_widom.py`` makes: error of cdf 4e-14, of pdf 1e-11; ``sf`` keeps ten
    digits until it underflows. Below s = -7.5 (beta 1) and -6.5 (beta 2), where cdf < 2e-10, the asymptotic series
    stands in, to a relative 1e-5.

    Source: Tracy & Widom (1996), Commun. Math. Phys. 177, 727; Bornemann (2010), Math. Comp. 79, 871; for the left tail
    Baik, Buckingham & DiFranco (2008), Commun. Math. Phys. 280, 463.

    Parameters
    ----------
    beta : {1, 2}

    Raises
    ------
    ValueError
        If beta is neither 1 nor 2.

    Examples
    --------
    >>> TracyWidom(1).ppf([0.5, 0.95, 0.99]).round(4)
    array([-1.2686,  0.9793,  2.0234])
    """

    beta: int = 1

    def __post_init__(self) -> None:
        if self.beta not in (1, 2):
            raise ValueError(f"beta={self.beta!r}; the Tracy-Widom law is tabulated for beta 1 and 2")

    def pdf(self, s: npt.ArrayLike) -> Array:
        """Density at s."""
        return self._evaluate(s)[2]

    def cdf(self, s: npt.ArrayLike) -> Array:
        """Probability of a value <= s."""
        return self._evaluate(s)[0]

    def sf(self, s: npt.ArrayLike) -> Array:
        """Probability of a value > s, without the cancellation of 1 - cdf."""
        return self._evaluate(s)[1]

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The s at which cdf(s) = p; NaN for p outside 0 .. 1.

        Newton's method on log cdf for p <= 1/2, on log sf above: both are concave, so it converges from the median.
        """
        p = np.asarray(p, dtype=np.float64)
        inside = (p > 0) & (p < 1)
        q, s = np.where(inside, p, 0.5), np.full(p.shape, -1.5)
        for _ in range(60):
            cdf, sf, pdf = self._evaluate(s)
            step = np.where(q <= 0.5, -np.log(cdf / q) * cdf, np.log(sf / (1 - q)) * sf) / pdf
            s = np.clip(s + step, *_RANGE)
            if not np.any(np.abs(step) > 1e-8):  # what is left is its square
                break
        return np.where(inside, s, np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan)))[()]

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: np.random.Generator | int | None = None) -> Array:
        """Independent draws, by inversion."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def support(self) -> tuple[float, float]:
        """The whole line."""
        return -math.inf, math.inf

    def mean(self) -> float:
        """-1.2065 (beta 1), -1.7711 (beta 2)."""
        return float(_table(self.beta)["moments"][0])

    def var(self) -> float:
        """1.6078 (beta 1), 0.8132 (beta 2)."""
        return float(_table(self.beta)["moments"][1])

    def _evaluate(self, s: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """cdf, sf and pdf at s."""
        s = np.clip(np.asarray(s, dtype=np.float64), -100, 300)  # where the tails have underflown
        low, high = _table(self.beta)["body_range"]
        values = np.full((3, *s.shape), np.nan)
        for part, law in ((s < low, self._left), ((s >= low) & (s <= high), self._body), (s > high, self._right)):
            if part.any():
                values[:, part] = law(s[part])
        return values[0][()], values[1][()], values[2][()]

    def _body(self, s: Array) -> tuple[Array, Array, Array]:
        """From the table."""
        table = _table(self.beta)
        low, high = table["body_range"]
        t = (2 * s - low - high) / (high - low)
        cdf = chebval(t, table["body"])
        return cdf, 1 - cdf, chebval(t, table["body_slope"]) * 2 / (high - low)

    def _right(self, s: Array) -> tuple[Array, Array, Array]:
        """For s >= 2: log sf = -(2 beta/3) s^(3/2) - (3 beta/4) log s + h(s^(-3/2)), h from the table."""
        table, beta = _table(self.beta), self.beta
        low, high = table["tail_range"]
        t = (2 * np.maximum(s**-1.5, low) - low - high) / (high - low)
        sf = np.exp(-2 * beta / 3 * s**1.5 - 3 * beta / 4 * np.log(s) + chebval(t, table["tail"]))
        slope = chebval(t, table["tail_slope"]) * 2 / (high - low)
        hazard = beta * np.sqrt(s) + 3 * beta / (4 * s) + 1.5 * s**-2.5 * slope
        return 1 - sf, sf, sf * hazard

    def _left(self, s: Array) -> tuple[Array, Array, Array]:
        """The asymptotic series of log cdf at s -> -inf, Baik, Buckingham & DiFranco (2008), theorem 1."""
        a = -s
        log2 = -(a**3) / 12 - np.log(a) / 8 + math.log(2) / 24 + _ZETA_PRIME + 3 / (64 * a**3)
        slope2 = a**2 / 4 + 1 / (8 * a) + 9 / (64 * a**4)
        if self.beta == 2:
            cdf, slope = np.exp(log2), slope2
        else:  # F1 = sqrt(F2) exp(-E), E half the integral of the Painleve transcendent over (s, inf)
            root = math.sqrt(2)
            cdf = np.exp(log2 / 2 - a**1.5 / (3 * root) - math.log(2) / 4 - 1 / (24 * root * a**1.5))
            slope = slope2 / 2 + np.sqrt(a) / (2 * root) - 1 / (16 * root * a**2.5)
        return cdf, 1 - cdf, cdf * slope


def edge_scaling(N: float, M: float, sigma: float = 1.0) -> tuple[float, float]:
    """Centre mu and scale s of the largest eigenvalue of X = W^T W / N for W of N x M real noise: it is mu + s TW_1.

    mu = sigma^2/N (sqrt(N-1) + sqrt(M))^2,  s = sigma^2/N (sqrt(N-1) + sqrt(M)) (1/sqrt(N-1) + 1/sqrt(M))^(1/3).

    Source: Johnstone (2001), Ann. Statist. 29, 295, there for W^T W.

    Raises
    ------
    ValueError
        If N < 2, M < 1 or sigma is not positive.

    Examples
    --------
    >>> mu, s = edge_scaling(3072, 768)
    >>> round(mu, 4), round(s, 4)
    (2.2495, 0.0102)
    """
    if not (N >= 2 and M >= 1 and sigma > 0):
        raise ValueError(f"N={N}, M={M}, sigma={sigma}: the edge scaling needs N >= 2, M >= 1, sigma > 0")
    a, b = math.sqrt(N - 1), math.sqrt(M)
    return sigma**2 / N * (a + b) ** 2, sigma**2 / N * (a + b) * (1 / a + 1 / b) ** (1 / 3)


def largest_eigenvalue_p_value(lambda_max: npt.ArrayLike, N: float, M: float, sigma: float = 1.0, rf: int = 1) -> Array:
    """Is this largest eigenvalue more than noise? The probability that noise alone reaches it.

    p = 1 - F1((lambda_max - mu) / s)^rf, mu and s from :func:`edge_scaling`. ``fit_bulk(spectrum).p_value`` is this
    with the sigma that it finds.

    Parameters
    ----------
    lambda_max : float or array
        Largest eigenvalue of X = W^T W / N.
    N, M : int
        Shape of W.
    sigma : float, default 1.0
        Standard deviation of the noise, > 0.
    rf : int, default 1
        Number of independent N x M matrices of which lambda_max is the largest (slices of a convolution kernel).

    Raises
    ------
    ValueError
        If rf is not a whole number of 1 or more, or as :func:`edge_scaling`.

    Examples
    --------
    >>> float(largest_eigenvalue_p_value(2.30, N=3072, M=768).round(6))
    2.7e-05
    """
    if rf != int(rf) or rf < 1:
        raise ValueError(f"rf={rf!r}; a number of matrices is allowed, 1 or more")
    mu, s = edge_scaling(N, M, sigma)
    sf = TracyWidom(1).sf((np.asarray(lambda_max, dtype=np.float64) - mu) / s)
    with np.errstate(divide="ignore"):  # log1p(-1) = -inf gives p = 1
        values: Array = -np.expm1(rf * np.log1p(-sf))
        return values


@cache
def _table(beta: int) -> dict[str, Any]:
    """Chebyshev coefficients of one beta: body, tail, their derivatives and ranges, and the moments."""
    with files("rmt_lab").joinpath("data/tracy_widom.npz").open("rb") as file, np.load(file) as stored:
        table = {key[:-1]: stored[key] for key in stored.files if key.endswith(str(beta))}
    return table | {f"{part}_slope": chebder(table[part]) for part in ("body", "tail")}
