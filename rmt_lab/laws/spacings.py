"""How levels repel each other and how vectors spread: the fine structure of a random matrix.

Levels here are eigenvalues (or singular values) in any unit. Unfolded, so that their mean spacing is 1, those of a
random matrix have spacings that follow Wigner's surmise whatever the density is, where independent levels have an
exponential law: levels that repel each other are no sign of structure. Levels are also rigid: the number of them in a
window of L mean spacings has a variance that grows as log L, where that of independent levels is L. The eigenvectors of
a random matrix spread over all components alike (Porter-Thomas).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.special import digamma, gammainc, gammaincc, gammaincinv, gammaln, polygamma, sici, xlogy

from .._arrays import Array, Rng, as_numpy

_STRONGEST = 1e4  # repulsion: here the variance of spacings is known to 1e-7, as the difference of two numbers near 1


def unfold(x: npt.ArrayLike, law: Any = None, degree: int = 9) -> Array:
    """Levels on a scale where their mean spacing is 1: n F(x), ascending.

    F is the cdf of the given law, for instance ``MarchenkoPastur(Q, sigma)``, outside of whose support levels pile up
    at 0 or n; without a law a polynomial fitted to the staircase of the n levels themselves, of a degree far below n,
    or it would follow every spacing.

    Parameters
    ----------
    x : array of n levels, in any order
    law : object with a method ``cdf``, optional
    degree : int, default 9
        Of the polynomial; not used with a law.

    Raises
    ------
    ValueError
        If x is not a list of at least 3 finite levels, or without a law has no more than 2 * degree of them.

    Examples
    --------
    >>> unfold([0.1, 0.4, 0.7, 0.9], law=SpacingLaw(beta=0)).round(2)
    array([0.38, 1.32, 2.01, 2.37])
    """
    x = _levels(x)
    if law is not None:
        return np.asarray(len(x) * law.cdf(x))
    if len(x) <= 2 * degree:
        raise ValueError(f"x holds {len(x)} levels; a polynomial of degree={degree} needs more than {2 * degree}")
    staircase = np.arange(len(x)) + 0.5
    return np.polynomial.Chebyshev.fit(x, staircase, degree)(x)


def spacings(x: npt.ArrayLike, law: Any = None, degree: int = 9) -> Array:
    """Nearest-neighbour spacings of the unfolded levels, of mean 1, in the order of the levels; see :func:`unfold`.

    Without a law the outer tenth of the levels at either end is left out, where a polynomial follows them badly.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_ensemble_eigenvalues
    >>> s = spacings(gaussian_ensemble_eigenvalues(2000, rng=0))
    >>> (s < 0.5).mean().round(2), SpacingLaw(beta=1).cdf(0.5).round(2), SpacingLaw(beta=0).cdf(0.5).round(2)
    (np.float64(0.2), np.float64(0.18), np.float64(0.39))
    """
    unfolded = unfold(x, law, degree)
    if law is None:
        cut = len(unfolded) // 10
        unfolded = unfolded[cut : len(unfolded) - cut]
    s = np.diff(unfolded)
    if not s.mean() > 0:
        raise ValueError("the levels of x coincide after unfolding: do they lie in the support of law?")
    values: Array = s / s.mean()
    return values


@dataclass(frozen=True)
class SpacingLaw:
    """The law of unfolded spacings s: a s^beta exp(-b s^w) with w = 2 from beta = 1 on, below it w = 1 + sqrt(beta).

    a and b make the total and the mean 1. w = 2 is Wigner's surmise, exact for two levels and to a few per cent for
    many: a = pi/2, b = pi/4 for beta = 1. For beta = 0 it is exp(-s), the exact law of independent levels (Poisson).
    Wigner's surmise at beta = 0 would be half a normal law, that of two independent levels in a well; of many it is
    wrong. So w goes from 1 to 2. Distribution functions of spacings in the bulk of large spectra (beta = 0.1, 0.3, 0.5,
    0.8, 1, 2, 4) were within 0.01 of this law; with w = 2 they are off by 0.05, 0.03, 0.02 at the first three.

    Source: Wigner (1957); Mehta (2004), section 1.5; the law with w between, Le Caer, Male & Delannay (2007), Physica A
    383, 190. The form 1 + sqrt(beta) is a fit to spectra, made here.

    Parameters
    ----------
    beta : float
        Repulsion >= 0: 0 for independent levels, 1 for real symmetric matrices (also W^T W of a real W), 2 for complex
        Hermitian and 4 for symplectic ones; any other for the ensembles of ``laguerre_spectrum``.

    Raises
    ------
    ValueError
        If beta is negative or above 10 000, where digits are lost.

    Examples
    --------
    >>> SpacingLaw(beta=1).pdf([0.0, 1.0]).round(4)
    array([0.    , 0.7162])
    """

    beta: float

    def __post_init__(self) -> None:
        _check_repulsion(self.beta, _STRONGEST)

    @property
    def _power(self) -> float:
        return 1 + math.sqrt(min(self.beta, 1.0))

    @property
    def _b(self) -> float:
        k = self._power
        return math.exp(k * (gammaln((self.beta + 2) / k) - gammaln((self.beta + 1) / k)))

    def pdf(self, s: npt.ArrayLike) -> Array:
        """Density at s."""
        k, b, s = self._power, self._b, np.asarray(s, dtype=np.float64)
        log_a = math.log(k) + (self.beta + 1) / k * math.log(b) - gammaln((self.beta + 1) / k)
        positive = np.clip(s, 0, None)
        density = np.exp(log_a + xlogy(self.beta, positive) - b * positive**k)  # its factors overflow for a large beta
        return np.where(s < 0, 0.0, density)[()]

    def cdf(self, s: npt.ArrayLike) -> Array:
        """Probability of a spacing <= s."""
        values: Array = gammainc((self.beta + 1) / self._power, self._b * np.clip(s, 0, None) ** self._power)[()]
        return values

    def sf(self, s: npt.ArrayLike) -> Array:
        """Probability of a spacing > s."""
        values: Array = gammaincc((self.beta + 1) / self._power, self._b * np.clip(s, 0, None) ** self._power)[()]
        return values

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The s at which cdf(s) = p."""
        values: Array = ((gammaincinv((self.beta + 1) / self._power, p) / self._b) ** (1 / self._power))[()]
        return values

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def support(self) -> tuple[float, float]:
        """0 and infinity."""
        return 0.0, float("inf")

    def mean(self) -> float:
        """1."""
        return 1.0

    def var(self) -> float:
        """Gamma((beta+3)/k) Gamma((beta+1)/k) / Gamma((beta+2)/k)^2 - 1, k = 1 + sqrt(min(beta, 1))."""
        beta, k = self.beta, self._power
        return math.expm1(gammaln((beta + 3) / k) + gammaln((beta + 1) / k) - 2 * gammaln((beta + 2) / k))


def window_counts(x: npt.ArrayLike, width: float, law: Any = None, degree: int = 9) -> npt.NDArray[np.int64]:
    """How many of the unfolded levels lie in each of several windows of a width: in the mean, as many as it is wide.

    The mean square of (count - width) estimates the number variance, see :func:`number_variance`. The windows begin one
    mean spacing apart, or half a width if that is less, so wide ones overlap: their counts are not independent. The
    outer tenth of the levels at either end is left out, since edges have statistics of their own. Unfolding is that of
    :func:`unfold`.

    Parameters
    ----------
    x : array of n levels, in any order
    width : float
        In mean spacings, > 0.
    law : object with a method ``cdf``, optional
    degree : int, default 9

    Raises
    ------
    ValueError
        If x is not a list of levels, see :func:`unfold`, or the width is not positive or above 4n/5.

    Examples
    --------
    >>> window_counts(np.arange(100), width=76, degree=1)
    array([76, 76, 76, 76, 76])
    """
    unfolded = unfold(x, law, degree)
    room = 0.8 * len(unfolded)
    if not 0 < width <= room * (1 + 1e-9):
        raise ValueError(f"width={width}; of {len(unfolded)} levels windows of a width in 0 < width <= {room:g} fit")
    step = min(1.0, width / 2)
    windows = 1 + int((room - width) / step + 1e-9)
    start = (len(unfolded) - width - (windows - 1) * step) / 2 + np.arange(windows) * step
    counts: npt.NDArray[np.int64] = np.searchsorted(unfolded, start + width) - np.searchsorted(unfolded, start)
    return counts


def number_variance(width: npt.ArrayLike, beta: float) -> Array:
    """Variance of the number of unfolded levels in a window of L mean spacings, for large matrices.

    It is L for independent levels (beta = 0), and for a random matrix it grows as a logarithm only:

        beta = 1:  (2 / pi^2) (ln(2 pi L) + gamma + 1 - pi^2 / 8) + O(1/L)
        beta = 2:  (1 / pi^2) (ln(2 pi L) + gamma + 1) + O(1/L)
        beta = 4:  (1 / (2 pi^2)) (ln(4 pi L) + gamma + 1 + pi^2 / 8) + O(1/L)

    with Euler's gamma = 0.577. The values returned are the whole function of L, from the integrals Si and Ci:

        V_2 = (ln(2 pi L) + gamma + 1 - cos(2 pi L) - Ci(2 pi L)) / pi^2 + L (1 - 2 Si(2 pi L) / pi)
        V_1 = 2 V_2 + (Si(pi L) / pi)^2 - Si(pi L) / pi,     V_4(L) = V_2(2L) / 2 + (Si(2 pi L) / (2 pi))^2

    Source: Dyson & Mehta (1963), J. Math. Phys. 4, 701; Mehta (2004), chapter 16. Measured by :func:`window_counts`.

    For any other beta an interpolation between two limits, with x = pi beta L and Si and Ci of x:

        V = (2 / (pi^2 beta)) (gamma + ln x - Ci cos x + (pi/2 - Si) sin x + d x^2 / (1 + x^2)).

    Without d it is exact as beta -> 0: levels that screen each other as charges (Debye and Hueckel), of form factor
    k / (k + pi beta). d makes it right as L -> infinity: with h = beta / 2, gamma + ln x + d = ln(2 pi L) +
    lim (sum_(j<n) h psi'(1 + h j) - ln n), from the variance of the phase of a characteristic polynomial of the
    circular ensemble. At beta = 1, 2 and 4 it is within 0.003, 0.002 and 0.012 of the exact values for L >= 1.

    Raises
    ------
    ValueError
        If a width is negative or not finite, or beta is negative or not finite.

    Examples
    --------
    >>> number_variance([1, 10, 100], beta=0), number_variance([1, 10, 100], beta=1).round(2)
    (array([  1.,  10., 100.]), array([0.45, 0.91, 1.38]))
    """
    _check_repulsion(beta)
    L = np.asarray(width, dtype=np.float64)
    if not np.all((L >= 0) & (L < np.inf)):
        raise ValueError(f"width={width!r}; finite widths >= 0 are allowed")
    if beta == 0:
        variance = L
    elif beta == 1:
        si = sici(np.pi * L)[0] / np.pi
        variance = 2 * _gue_number_variance(L) + si**2 - si
    elif beta == 2:
        variance = _gue_number_variance(L)
    elif beta != 4:
        variance = _interpolated_number_variance(L, beta)
    else:
        variance = _gue_number_variance(2 * L) / 2 + (sici(2 * np.pi * L)[0] / (2 * np.pi)) ** 2
    return variance[()]


def _gue_number_variance(L: Array) -> Array:
    x = 2 * np.pi * np.where(L > 0, L, 1.0)
    si, ci = sici(x)
    variance = (np.log(x) + np.euler_gamma + 1 - np.cos(x) - ci) / np.pi**2 + L * (1 - 2 * si / np.pi)
    return np.where(L > 0, variance, 0.0)


def _interpolated_number_variance(L: Array, beta: float) -> Array:
    """Between weak repulsion and wide windows; see :func:`number_variance`."""
    h, j = beta / 2, np.arange(50)
    end = 1 + h * len(j)  # Euler & Maclaurin's formula for what is left of the sum
    rest = -digamma(end) + h / 2 * polygamma(1, end) - h**2 / 12 * polygamma(2, end)
    d = h * polygamma(1, 1 + h * j).sum() + rest - np.euler_gamma
    x = np.pi * beta * np.where(L > 0, L, 1.0)
    si, ci = sici(x)
    screened = np.euler_gamma + np.log(x) - ci * np.cos(x) + (np.pi / 2 - si) * np.sin(x)
    return np.where(L > 0, 2 / (np.pi**2 * beta) * (screened + d * x**2 / (1 + x**2)), 0.0)


def spacing_ratios(x: npt.ArrayLike) -> Array:
    """r_i = min(s_i, s_{i+1}) / max(s_i, s_{i+1}) of consecutive spacings s_i: between 0 and 1, without unfolding.

    The mean over a large spectrum is :data:`MEAN_RATIO`: 0.386 for independent levels, 0.531 for a real random matrix;
    :func:`mean_ratio` for any repulsion.
    Source: Oganesyan & Huse (2007); Atas, Bogomolny, Giraud & Roux (2013).

    Raises
    ------
    ValueError
        If x is not a list of at least 3 finite levels, or three of them coincide (zero eigenvalues are to be left out).

    Examples
    --------
    >>> spacing_ratios([1.0, 2.0, 4.0, 5.0])
    array([0.5, 0.5])
    """
    s = np.diff(_levels(x))
    larger = np.maximum(s[1:], s[:-1])
    if not larger.all():
        raise ValueError(f"x holds {(larger == 0).sum() + 2} or more equal levels; ratios need distinct ones")
    return np.minimum(s[1:], s[:-1]) / larger


MEAN_RATIO = {0: 2 * math.log(2) - 1, 1: 0.5307, 2: 0.5996, 4: 0.6744}
"""Mean of the spacing ratio by beta, as in :class:`SpacingLaw`; measured by Atas et al. (2013), exact for beta = 0."""


def mean_ratio(beta: float) -> float:
    """Mean of the spacing ratio under :func:`ratio_pdf`: exact for three levels, a little high for many.

    In the bulk of large spectra it was measured lower by 0.02 at beta = 0.1 to 0.3, by 0.01 at 0.5 and 0.006 at 1, and
    the same to 0.003 from 2 on. Raises ``ValueError`` if beta is negative or above 10 000.

    Examples
    --------
    >>> [round(mean_ratio(beta), 3) for beta in (0, 0.5, 1, 4)]
    [0.386, 0.485, 0.536, 0.676]
    """
    return float(quad(lambda r: r * ratio_pdf(r, beta), 0, 1)[0])


def ratio_pdf(r: npt.ArrayLike, beta: float) -> Array:
    """Density of the spacing ratio on 0 .. 1: 2 (r + r^2)^beta / (Z (1 + r + r^2)^(1 + 3 beta / 2)), 0 outside.

    Z = 2 pi Gamma(1 + beta) / (3^(3 (1 + beta) / 2) Gamma(1 + beta/2)^2). Exact for 3 x 3 Gaussian matrices, close for
    large ones; 2 / (1 + r)^2 for independent levels (beta = 0), exactly. Unlike :class:`SpacingLaw` it does not go over
    into that as beta -> 0. Source: Atas, Bogomolny, Giraud & Roux (2013), equation 7. Raises ``ValueError`` if beta is
    negative or above 10 000.

    Examples
    --------
    >>> ratio_pdf([0.0, 1.0], beta=1).round(3), ratio_pdf([0.0, 1.0], beta=0)
    (array([0.   , 0.866]), array([2. , 0.5]))
    """
    _check_repulsion(beta, _STRONGEST)
    r = np.asarray(r, dtype=np.float64)
    inside = np.where((r >= 0) & (r <= 1), r, 0)
    if beta == 0:
        density = 2 / (1 + inside) ** 2
    else:
        log_norm = math.log(2 * np.pi) + gammaln(1 + beta) - 1.5 * (1 + beta) * math.log(3) - 2 * gammaln(1 + beta / 2)
        both = inside + inside**2
        density = 2 * np.exp(xlogy(beta, both) - (1 + 1.5 * beta) * np.log1p(both) - log_norm)
    return np.where(inside == r, density, 0.0)[()]


def participation_ratio(V: npt.ArrayLike) -> Array:
    """How many components each vector spreads over: (sum |v|^2)^2 / sum |v|^4, from 1 to n.

    A random real vector has (n + 2) / 3 in the sense of 1 / mean(sum v^4), a complex one (n + 1) / 2. V has shape
    (n, k), vectors as columns as ``numpy.linalg.eigh`` returns them, or (n,). Raises ``ValueError`` if a vector is zero
    or not finite.

    Examples
    --------
    >>> participation_ratio([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    array([1., 4.])
    """
    v2 = _squares(V)
    values: Array = (1 / np.sum(v2**2, axis=0))[()]
    return values


def localisation(V: npt.ArrayLike) -> Array:
    """How much more localised each real vector is than random ones, in their standard deviations.

    z = (P - 3 / (n + 2)) / sqrt(24 (n - 1) / ((n + 2)^2 (n + 4) (n + 6))), P = sum v^4 of a vector of length 1, with
    the exact mean and variance of P for a uniformly random direction. V has shape (n, k), vectors as columns, or (n,).
    Raises ``ValueError`` if a vector is zero, not finite or has a single component.

    Examples
    --------
    >>> from rmt_lab.ensembles import orthogonal
    >>> localisation(np.c_[orthogonal(100, 2, rng=0), np.eye(100)[0]]).round(1)
    array([ -0.5,  -1.1, 213.2])
    """
    v2 = _squares(V)
    n = len(v2)
    if n < 2:
        raise ValueError(f"V has shape {np.shape(V)}; a vector with a single component has nowhere to spread to")
    sd = np.sqrt(24 * (n - 1) / ((n + 2) ** 2 * (n + 4) * (n + 6)))
    values: Array = ((np.sum(v2**2, axis=0) - 3 / (n + 2)) / sd)[()]
    return values


def porter_thomas_pdf(x: npt.ArrayLike, beta: int = 1) -> Array:
    """Density of x = n |v_i|^2, v_i a component of a random unit vector, as n -> infinity: chi-square scaled to mean 1.

    exp(-x/2) / sqrt(2 pi x) for real vectors (beta = 1), exp(-x) for complex ones (beta = 2). Source: Porter & Thomas
    (1956). Raises ``ValueError`` if beta is neither.

    Examples
    --------
    >>> porter_thomas_pdf([0.5, 1.0]).round(3)
    array([0.439, 0.242])
    """
    _check_vectors(beta)
    x = np.asarray(x, dtype=np.float64)
    positive = np.where(x > 0, x, np.nan)
    density = np.exp(-positive / 2) / np.sqrt(2 * np.pi * positive) if beta == 1 else np.exp(-positive)
    return np.where(x > 0, density, 0.0)[()]


def porter_thomas_cdf(x: npt.ArrayLike, beta: int = 1) -> Array:
    """Probability of a component n |v_i|^2 <= x, see :func:`porter_thomas_pdf`.

    Examples
    --------
    >>> porter_thomas_cdf(1.0).round(4), porter_thomas_cdf(1.0, beta=2).round(4)
    (np.float64(0.6827), np.float64(0.6321))
    """
    _check_vectors(beta)
    values: Array = gammainc(beta / 2, beta * np.clip(x, 0, None) / 2)[()]
    return values


def _check_vectors(beta: int) -> None:
    if beta not in (1, 2):
        raise ValueError(f"beta={beta!r}; allowed are 1 (real vectors) and 2 (complex ones)")


def _check_repulsion(beta: float, largest: float = math.inf) -> None:
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta={beta!r}; a finite repulsion >= 0 is allowed: 0 (Poisson), 1 (GOE), 2 (GUE), 4 (GSE)")
    if beta > largest:
        raise ValueError(f"beta={beta!r}; a repulsion of 0 to {largest:g} is allowed: beyond, digits are lost")


def _levels(x: npt.ArrayLike) -> Array:
    x = np.asarray(as_numpy(x), dtype=np.float64)
    if x.ndim != 1 or len(x) < 3 or not np.isfinite(x).all():
        raise ValueError(f"x has shape {x.shape}; a list of at least 3 finite levels is needed")
    return np.sort(x)


def _squares(V: npt.ArrayLike) -> Array:
    """|v|^2 of every component, each column divided by its sum."""
    size = np.abs(as_numpy(V))
    largest = size.max(axis=0, initial=0)
    if size.ndim not in (1, 2) or not np.all((largest > 0) & (largest < np.inf)):
        raise ValueError(f"V has shape {size.shape}; columns that are finite and not zero are needed")
    v2 = (size / largest) ** 2  # cannot overflow
    values: Array = v2 / v2.sum(axis=0)
    return values
