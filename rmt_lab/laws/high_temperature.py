"""The Marchenko-Pastur law at high temperature: between pure noise and independent levels.

The eigenvalues x of the beta-Laguerre ensemble (:func:`rmt_lab.ensembles.laguerre_spectrum`), in units in which their
weight is x^(k - 1) exp(-x) prod |x_i - x_j|^beta, have k = beta (N - M + 1) / 2. Let M grow while beta M / 2 -> c and
N / M -> Q: the repulsion fades as 1/M, k -> c (Q - 1), and g(z) = z E 1/(z - x) solves the loop equation

    z g' = (k - z) g + z + c g^2,     moments  m_(j+1) = (j + k) m_j + c sum m_i m_(j-i),  m_0 = 1.

Its root is a logarithmic derivative of Tricomi's function U, so the density is explicit,

    density = x^(k-1) exp(-x) / (Gamma(c+1) Gamma(c+k) |U(c, 1-k, -x)|^2),

that of the associated Laguerre polynomials. Source: Allez, Bouchaud, Majumdar & Vivo (2013), J. Phys. A 46, 015001;
Ismail, Letessier & Valent (1988), J. Approx. Theory 55, 337; Trinh & Trinh (2021), Osaka J. Math. 58, 435.
The mean is c Q: values here are in units of it, so that they are those of X = W^T W / N.

U is not computed. On the real axis the loop equation, with t = log x and g = p - i pi r, is an equation in t for p and
log r, r = x times the density. An error of g grows in proportion to r, so both are found to the accuracy of the solver.
Below x = 1e-18 the terms with x vanish; what is left is solved by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline
from scipy.linalg import eigh_tridiagonal

from .._arrays import Array, Rng

_LOWEST = math.log(1e-18)  # of t: below, x adds nothing to k
_FAINTEST = -700.0  # of log r: beyond, the density is 0 in float64
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class HighTemperatureMarchenkoPastur:
    """The limiting law of the beta-Laguerre ensemble with beta = 2 c / M, in the manner of scipy.stats.

    All x > 0 occur. c -> infinity gives ``MarchenkoPastur(Q, sigma)``, and c -> 0 at fixed k = c (Q - 1) the gamma law
    of shape k: independent levels. Near 0 the density is x^(k - 1), a power law; at the upper end it falls as
    x^(k - 1 + 2c) exp(-c Q x / sigma^2).

    Source and formula: the head of :mod:`rmt_lab.laws.high_temperature`. A table is made on first use and
    kept: 0.1 s of processor time at c = 1, 0.7 s at c = 400, in proportion to c beyond. ``pdf`` was within 1e-7 of the
    formula in 30 digits for c <= 60.

    Parameters
    ----------
    Q : float
        Aspect ratio N / M >= 1.
    c : float
        Repulsion beta M / 2 > 0.
    sigma : float, default 1.0
        Standard deviation of the entries, > 0.

    Raises
    ------
    ValueError
        If Q < 1, or c or sigma is not positive, or one of them not finite.

    Examples
    --------
    >>> law = HighTemperatureMarchenkoPastur(Q=2, c=1)
    >>> law.cdf([0.1, 1.0, 4.0]).round(4)
    array([0.1355, 0.6214, 0.9853])
    >>> law.mean(), law.var(), law.moment(3)
    (1.0, 1.0, 5.5)
    """

    Q: float
    c: float
    sigma: float = 1.0

    def __post_init__(self) -> None:
        _check(self.Q, self.c, self.sigma)

    @property
    def lower_exponent(self) -> float:
        """c (Q - 1) - 1: the density is a power of x near 0, and this is its exponent."""
        return self.c * (self.Q - 1) - 1

    def support(self) -> tuple[float, float]:
        """0 and infinity."""
        return 0.0, float("inf")

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density at x; at x = 0 it is infinite for c (Q - 1) < 1, c Q / sigma^2 for c (Q - 1) = 1, else 0."""
        x = np.asarray(x, dtype=np.float64)
        inside = np.where(x > 0, x, 1.0)
        density = np.exp(_table(self.Q, self.c).log_r(self._t(inside)) - np.log(inside))
        if self.lower_exponent == 0:
            at_zero = self.c * self.Q / self.sigma**2
        else:
            at_zero = np.inf if self.lower_exponent < 0 else 0.0
        return np.where(x > 0, density, np.where(x == 0, at_zero, np.where(x < 0, 0.0, np.nan)))[()]

    def cdf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value <= x; keeps its relative accuracy near 0."""
        x = np.asarray(x, dtype=np.float64)
        inside = np.where(x > 0, x, 1.0)
        return np.where(x > 0, _table(self.Q, self.c).cdf(self._t(inside)), np.where(x <= 0, 0.0, np.nan))[()]

    def sf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value > x; keeps its relative accuracy at the upper end."""
        x = np.asarray(x, dtype=np.float64)
        inside = np.where(x > 0, x, 1.0)
        return np.where(x > 0, _table(self.Q, self.c).sf(self._t(inside)), np.where(x <= 0, 1.0, np.nan))[()]

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The x at which cdf(x) = p, NaN for p outside 0 .. 1."""
        p = np.asarray(p, dtype=np.float64)
        return (self.sigma**2 / (self.c * self.Q) * np.exp(_table(self.Q, self.c).t_of(p, 1 - p)))[()]

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion. The eigenvalues of one matrix repel each other, if weakly."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def mean(self) -> float:
        """sigma^2."""
        return self.sigma**2

    def var(self) -> float:
        """sigma^4 (1 + 1/c) / Q."""
        return self.sigma**4 * (1 + 1 / self.c) / self.Q

    def moment(self, k: int) -> float:
        """E x^k, by the recursion of the loop equation.

        Raises ``ValueError`` if k is not a whole number >= 0.
        """
        if k != int(k) or k < 0:
            raise ValueError(f"k={k!r}: a moment is of a whole order k >= 0")
        m, mean = [1.0], self.c * self.Q
        for j in range(int(k)):  # in units of the mean
            pairs = math.fsum(m[i] * m[j - i] for i in range(j + 1))
            m.append(((j + self.c * (self.Q - 1)) * m[j] + self.c * pairs) / mean)
        return self.sigma ** (2 * int(k)) * m[int(k)]

    def _t(self, x: Array) -> Array:
        values: Array = np.log(x) + math.log(self.c * self.Q / self.sigma**2)
        return values


@dataclass(frozen=True)
class InverseHighTemperatureMarchenkoPastur:
    """The law of 1/x for x of :class:`HighTemperatureMarchenkoPastur`: a power law at the upper end.

    The eigenvalues of the inverse of X, where X is of the beta-Laguerre ensemble with beta = 2 c / M. The density
    follows from that of x at either end, with k = c (Q - 1):

    * upper end: y^-alpha with ``alpha`` = 1 + k, from x^(k - 1) near x = 0. The weaker the repulsion, the heavier;
    * lower end: y^(-k - 1 - 2c) exp(-c Q / (sigma^2 y)), from the upper end of x. This is the end of an inverse gamma
      law and not a power law. The ensemble has a power law at a lower end, too: that of x itself, ``lower_exponent``.

    c -> 0 at fixed k gives the inverse gamma law of shape k, c -> infinity the law of 1/x for x of Marchenko-Pastur,
    with an edge at both ends. The ensemble as a model of heavy tails: Hodgkinson, Wang & Mahoney (2025, arXiv
    2506.03470). The formulas are derived here from the loop equation; the parameters are not named as in that paper.

    Parameters
    ----------
    Q : float
        Aspect ratio N / M >= 1.
    c : float
        Repulsion beta M / 2 > 0.
    sigma : float, default 1.0
        Standard deviation of the entries of W, > 0; the values are those of (W^T W / N)^-1.

    Raises
    ------
    ValueError
        If Q < 1, or c or sigma is not positive, or one of them not finite.

    Examples
    --------
    >>> law = InverseHighTemperatureMarchenkoPastur(Q=2, c=1.5)
    >>> law.alpha
    2.5
    >>> (law.sf(2e6) / law.sf(1e6)).round(4), round(2 ** (1 - law.alpha), 4)
    (np.float64(0.3536), 0.3536)
    """

    Q: float
    c: float
    sigma: float = 1.0

    def __post_init__(self) -> None:
        _check(self.Q, self.c, self.sigma)

    @property
    def alpha(self) -> float:
        """1 + c (Q - 1): the density is y^-alpha at the upper end."""
        return 1 + self.c * (self.Q - 1)

    @property
    def _direct(self) -> HighTemperatureMarchenkoPastur:
        return HighTemperatureMarchenkoPastur(self.Q, self.c, self.sigma)

    def support(self) -> tuple[float, float]:
        """0 and infinity."""
        return 0.0, float("inf")

    def pdf(self, y: npt.ArrayLike) -> Array:
        """Density at y."""
        y = np.asarray(y, dtype=np.float64)
        inside = np.where(y > 0, y, 1.0)
        density = np.exp(_table(self.Q, self.c).log_r(self._t(inside)) - np.log(inside))
        return np.where(y > 0, density, np.where(y <= 0, 0.0, np.nan))[()]

    def cdf(self, y: npt.ArrayLike) -> Array:
        """Probability of a value <= y; keeps its relative accuracy near 0."""
        return self._direct.sf(_inverse(y))

    def sf(self, y: npt.ArrayLike) -> Array:
        """Probability of a value > y; keeps its relative accuracy at the upper end."""
        return self._direct.cdf(_inverse(y))

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The y at which cdf(y) = p, NaN for p outside 0 .. 1; infinite where it is beyond float64."""
        p = np.asarray(p, dtype=np.float64)
        t = _table(self.Q, self.c).t_of(1 - p, p)  # both tails, since 1 - p forgets a small p
        with np.errstate(divide="ignore", over="ignore"):
            return (self.c * self.Q / self.sigma**2 * np.exp(-t))[()]

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion."""
        with np.errstate(divide="ignore"):
            return 1 / self._direct.rvs(size, rng)

    def mean(self) -> float:
        """c Q / (sigma^2 (k - 1)), k = c (Q - 1); infinite for k <= 1."""
        k = self.alpha - 1
        return self.c * self.Q / (self.sigma**2 * (k - 1)) if k > 1 else math.inf

    def var(self) -> float:
        """mean^2 (1 + c) / (k - 2), k = c (Q - 1); infinite for k <= 2 (not defined for k <= 1: NaN)."""
        k = self.alpha - 1
        if k <= 2:
            return math.inf if k > 1 else math.nan
        return self.mean() ** 2 * (1 + self.c) / (k - 2)

    def _t(self, y: Array) -> Array:
        values: Array = math.log(self.c * self.Q / self.sigma**2) - np.log(y)
        return values


def _inverse(y: npt.ArrayLike) -> Array:
    """1/y, infinite for y <= 0, below which no value lies."""
    y = np.asarray(y, dtype=np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(y <= 0, np.inf, 1 / y)


def _check(Q: float, c: float, sigma: float) -> None:
    if not 1 <= Q < math.inf:
        raise ValueError(f"Q={Q!r}: the law at high temperature needs a finite Q >= 1 (exchange the sides)")
    for name, value in (("c", c), ("sigma", sigma)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r}: the law at high temperature needs a finite {name} > 0")


class _Table(NamedTuple):
    """log r, log cdf and log sf over t = log x, x of mean c Q."""

    k: float
    c: float
    t: Array
    log_r_of: Any
    log_cdf_of: Any
    log_sf_of: Any
    g_lowest: complex

    def log_r(self, t: Array) -> Array:
        t = np.asarray(t)
        with np.errstate(divide="ignore"):
            below = np.log(-self._g_below(np.minimum(t, self.t[0])).imag / np.pi)
        inside = self.log_r_of(np.clip(t, self.t[0], self.t[-1]))
        return np.where(t < self.t[0], below, np.where(t > self.t[-1], -np.inf, inside))

    def cdf(self, t: Array) -> Array:
        t = np.asarray(t)
        below = -np.angle(self.k + self.c * self._g_below(np.minimum(t, self.t[0]))) / (np.pi * self.c)
        inside = np.exp(self.log_cdf_of(np.clip(t, self.t[0], self.t[-1])))
        return np.where(t < self.t[0], below, np.minimum(inside, 1.0))

    def sf(self, t: Array) -> Array:
        t = np.asarray(t)
        inside = np.exp(self.log_sf_of(np.clip(t, self.t[0], self.t[-1])))
        return np.where(t < self.t[0], 1 - self.cdf(t), np.where(t > self.t[-1], 0.0, np.minimum(inside, 1.0)))

    def t_of(self, p: Array, q: Array) -> Array:
        """The t at which cdf = p and sf = q: a guess from the table, then Newton's method on the log of the smaller."""
        p = np.where((p >= 0) & (q >= 0), p, np.nan)
        below = _below(p, self)
        low = p <= 0.5
        values: Array = np.full(p.shape, np.nan)
        for here, log_tail, target in ((low, self.log_cdf_of, p), (~low, self.log_sf_of, q)):
            wanted = np.log(np.clip(target, 1e-300, 1.0))
            table = log_tail(self.t)
            order = np.argsort(table, kind="stable")
            t = np.interp(wanted, table[order], self.t[order])
            slope = log_tail.derivative()
            for _ in range(6):
                steep = slope(t)
                step = np.where(steep != 0, (wanted - log_tail(t)) / np.where(steep != 0, steep, 1), 0)
                t = np.clip(t + np.clip(step, -0.5, 0.5), self.t[0], self.t[-1])
            values = np.where(here, t, values)
        values = np.where(np.isnan(p), np.nan, np.where(below < self.t[0], below, values))
        return np.where(q == 0, np.inf, values)

    def _g_below(self, t: Array) -> npt.NDArray[Any]:
        """g where x is negligible: 1/g = (1/g_0 + c/k) exp(-k s) - c/k, a distance s above the lowest node."""
        s = t - self.t[0]
        growth = np.expm1(self.k * s) / self.k if self.k > 0 else s
        values: npt.NDArray[Any] = np.exp(self.k * s) / (1 / self.g_lowest - self.c * growth)
        return values


def _below(p: Array, table: _Table) -> Array:
    """The t below the table at which cdf = p, from tan(pi c p) = -Im(c g) / (k + Re(c g)); +inf where there is none."""
    k, c, turn = table.k, table.c, np.pi * table.c * p
    v = 1 / table.g_lowest
    b = c + k * v  # k + c g = k b / (b - c exp(k s)), a distance s above the lowest node
    with np.errstate(all="ignore"):
        if k > 1e-3:
            s = np.log(abs(b) * np.sin(turn) / (c * np.sin(np.angle(b) + turn))) / k
        else:  # the same, without the difference of two numbers near 1
            s = (v.real - v.imag / np.tan(np.angle(b) + turn)) / c
            s = np.log1p(k * s) / k if k > 0 else s
        return np.where(p < float(table.cdf(table.t[:1])[0]), table.t[0] + s, np.inf)


@lru_cache(maxsize=32)
def _table(Q: float, c: float) -> _Table:
    k, mean = c * (Q - 1), c * Q
    x0, g0 = mean, _g_on_axis(k, c, mean)
    first = [g0.real, math.log(-g0.imag / math.pi)]

    def slope(t: float, y: Array) -> list[float]:
        x = math.exp(t)
        p, log_r = y
        r = math.exp(min(log_r, 300.0))
        return [(k - x) * p + x + c * (p**2 - (math.pi * r) ** 2), k - x + 2 * c * p]

    def faint(_: float, y: Array) -> float:
        return float(y[1]) - _FAINTEST

    faint.terminal = True  # type: ignore[attr-defined]
    # A twentieth of a standard deviation of t, or of the edges, which a strong repulsion makes sharper than that.
    spacing = 0.05 * min(1.0, math.sqrt((1 + c) / mean)) / (1 + c) ** (2 / 3)
    halves = []
    for end in (min(_LOWEST, math.log(x0) - 1), math.log(x0 + 2000 + 40 * mean)):
        at = np.linspace(math.log(x0), end, 2 + int(abs(end - math.log(x0)) / spacing))
        options: dict[str, Any] = {"method": "LSODA", "rtol": 1e-11, "atol": 1e-12}
        half = solve_ivp(slope, (at[0], end), first, events=faint, t_eval=at, **options)
        halves.append((half.t, half.y))
    (left, below), (right, above) = halves
    t, (p, log_r) = np.append(left[:0:-1], right), np.append(below[:, :0:-1], above, axis=1)
    log_r_of = CubicHermiteSpline(t, log_r, k - np.exp(t) + 2 * c * p)
    half_width = np.diff(t) / 2
    inner = ((t[1:] + t[:-1]) / 2)[:, None] + half_width[:, None] * _NODES
    mass = half_width * (np.exp(log_r_of(inner)) @ _WEIGHTS)
    g_lowest = complex(p[0], -math.pi * math.exp(log_r[0]))
    before = -np.angle(k + c * g_lowest) / (math.pi * c)
    after = math.exp(log_r[-1]) / max(math.exp(t[-1]) - k - 2 * c * p[-1], 1.0)  # r falls by this rate in t
    cdf = np.maximum(before + np.concatenate([[0.0], np.cumsum(mass)]), 5e-324)
    sf = np.maximum(after + np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]]), 5e-324)
    r = np.exp(log_r)
    return _Table(
        k,
        c,
        t,
        log_r_of,
        CubicHermiteSpline(t, np.log(cdf), r / cdf),
        CubicHermiteSpline(t, np.log(sf), -r / sf),
        g_lowest,
    )


def _g_on_axis(k: float, c: float, mean: float) -> complex:
    """g at x = mean, from above.

    Where z is far from the axis, E 1/(z - x) is a Gauss quadrature: the Jacobi matrix has n + mean + n + c on the
    diagonal (mean alone for n = 0) and (n + mean)(n + 1 + c) for the squares beside it. The loop equation leads down.
    """
    n = np.arange(400.0)
    high = math.sqrt(mean * (1 + c))  # one standard deviation
    x, vectors = eigh_tridiagonal(2 * n + mean + np.where(n > 0, c, 0), np.sqrt((n + mean) * (n + 1 + c))[:-1])
    z0 = mean + 1j * high
    start = z0 * np.sum(vectors[0] ** 2 / (z0 - x))

    def slope(s: float, g: Array) -> list[float]:
        z = mean + 1j * high * (1 - s)
        at = complex(g[0], g[1])
        down = -1j * high * ((k - z) * at + z + c * at**2) / z
        return [down.real, down.imag]

    path = solve_ivp(slope, (0, 1), [start.real, start.imag], method="LSODA", rtol=1e-11, atol=1e-12)
    return complex(path.y[0, -1], path.y[1, -1])
