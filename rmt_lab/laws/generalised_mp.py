"""The generalised Marchenko-Pastur law: what pure noise with correlated rows looks like.

W = Z Sigma^(1/2) is N x M, Z of independent entries with mean 0 and standard deviation sigma, and sigma^2 Sigma has
eigenvalues tau_k with weights w_k. As N, M -> infinity at Q = N/M = 1/c, the Stieltjes transform m of the eigenvalues
of W W^T / N solves z = -1/m + c sum w tau / (1 + tau m) (Marchenko & Pastur 1967; Silverstein & Choi 1995). In
zeta = -1/m = p + iq, q >= 0, that reads

    z(zeta) = zeta (1 - c + c sum w zeta / (zeta - tau)),     density of X = W^T W / N:  (Q / pi) q / (p^2 + q^2).

z is real on the curve g = c sum w tau^2 / ((p - tau)^2 + q^2) = 1. It has one q for each p at which g >= 1 for q = 0:
so p parametrises the support (Ledoit & Wolf 2015), and the ends of these stretches are its edges. Integrating m dz
along the curve gives the distribution function in closed form:

    P(x > z) = ((Q - 1) arg(zeta) + sum w arg(zeta - tau) + Im sum w tau / (zeta - tau)) / pi.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigvalsh_tridiagonal

from .._arrays import Array, Rng

Complex = npt.NDArray[Any]  # complex128
_BLOCK = 2**20  # how many terms of sums over the population are held at a time


class GeneralisedMarchenkoPastur:
    """The limiting law of the eigenvalues of X = W^T W / N, W = Z Sigma^(1/2), in the manner of scipy.stats.

    For population = [1] it is ``MarchenkoPastur(Q, sigma)``. For Q < 1 there is an atom of mass 1 - Q at 0: ``pdf`` is
    then the continuous part, of mass Q; ``cdf``, ``sf``, ``ppf``, ``rvs``, ``mean`` and ``var`` include the atom.

    Parameters
    ----------
    Q : float
        Aspect ratio N / M > 0.
    population : array of shape (K,)
        Eigenvalues of the population covariance Sigma, > 0, in any order.
    weights : array of shape (K,), optional
        Their weights, > 0, in any unit (they are brought to the sum 1); all equal by default.
    sigma : float, default 1.0
        Standard deviation of the entries of Z, > 0.

    Attributes
    ----------
    intervals : array of shape (n, 2)
        The intervals that carry the continuous part, ascending: several where the population has wide gaps.

    Raises
    ------
    ValueError
        If Q, sigma, an eigenvalue or a weight is not positive and finite, or population and weights differ in shape.

    Examples
    --------
    >>> law = GeneralisedMarchenkoPastur(Q=10, population=[1.0, 8.0])
    >>> law
    GeneralisedMarchenkoPastur(Q=10, population=2 values in 1 .. 8, support 0.56 .. 12.03)
    >>> law.intervals.round(3)
    array([[ 0.56 ,  1.425],
           [ 4.882, 12.033]])
    >>> law.cdf([1.0, 3.0, 20.0]).round(3)
    array([0.303, 0.5  , 1.   ])
    """

    def __init__(
        self, Q: float, population: npt.ArrayLike, weights: npt.ArrayLike | None = None, sigma: float = 1.0
    ) -> None:
        tau = np.atleast_1d(np.asarray(population, dtype=np.float64))
        w = np.ones(tau.shape) if weights is None else np.atleast_1d(np.asarray(weights, dtype=np.float64))
        for name, value in {"Q": np.array(Q), "sigma": np.array(sigma), "population": tau, "weights": w}.items():
            if not np.all((value > 0) & (value < np.inf)):
                raise ValueError(f"{name}={value}; positive and finite is needed")
        if tau.ndim != 1 or tau.shape != w.shape or tau.size == 0:
            raise ValueError(f"population has shape {tau.shape}, weights {w.shape}; two lists of one length are needed")
        tau, place = np.unique(tau, return_inverse=True)
        self.Q, self.sigma = float(Q), float(sigma)
        self._tau, self._w = sigma**2 * tau, np.bincount(place, w) / w.sum()
        self._p = self._edges()
        self.intervals: Array = self._z(self._p + 0j).real

    def support(self) -> tuple[float, float]:
        """Smallest and largest value: the outermost edges, or 0 (the atom) and the upper edge for Q < 1."""
        return (float(self.intervals[0, 0]) if self.Q >= 1 else 0.0), float(self.intervals[-1, 1])

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density of the continuous part at x; infinite at x = 0 for Q = 1."""
        x = np.asarray(x, dtype=np.float64)
        return np.where((x == 0) & (self.Q == 1), np.inf, self._density(self._zeta(x)))[()]

    def cdf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value <= x."""
        return 1 - self.sf(x)

    def sf(self, x: npt.ArrayLike) -> Array:
        """Probability of a value > x."""
        x = np.asarray(x, dtype=np.float64)
        return np.where(x < 0, 1.0, self._sf(self._zeta(x)))[()]

    def ppf(self, p: npt.ArrayLike) -> Array:
        """The x at which cdf(x) = p (0 within the atom), NaN for p outside 0 .. 1."""
        p = np.asarray(p, dtype=np.float64)
        p = np.where((p >= 0) & (p <= 1), p, np.nan)
        powers = 1 if self.Q == 1 else 1 / 3, 1 / 3
        scale = self.Q / np.pi  # d cdf = (Q / pi) Im(m dz), m = -1 / zeta
        zeta = self._solve(np.nan_to_num(p), lambda s: 1 - self._sf(s), lambda s: scale / (1j * s.conj()), powers)
        x = np.where(p <= max(0.0, 1 - self.Q), self.support()[0], self._z(zeta).real)
        return np.where(np.isnan(p), p, x)[()]

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: Rng = None) -> Array:
        """Independent draws, by inversion. The eigenvalues of one matrix are not independent: they repel each other."""
        return self.ppf(np.random.default_rng(rng).random(size))

    def mean(self) -> float:
        """sum w tau."""
        return float(self._w @ self._tau)

    def var(self) -> float:
        """sum w tau^2 - (1 - 1/Q) (sum w tau)^2."""
        return float(self._w @ self._tau**2 - (1 - 1 / self.Q) * self.mean() ** 2)

    def __repr__(self) -> str:
        low, high = self.support()
        tau = f"{len(self._tau)} values in {self._tau[0]:.4g} .. {self._tau[-1]:.4g}"
        return f"GeneralisedMarchenkoPastur(Q={self.Q:.4g}, population={tau}, support {low:.4g} .. {high:.4g})"

    def _average(self, term: Callable[[Any, Array], Any], zeta: Any) -> Any:
        """sum w term(zeta, tau) for every zeta, in blocks that fit the cache."""
        flat, step = zeta.reshape(-1, 1), max(1, _BLOCK // len(self._tau))
        parts = [term(flat[i : i + step], self._tau) @ self._w for i in range(0, len(flat), step)]
        return np.concatenate(parts).reshape(zeta.shape) if parts else np.zeros(zeta.shape)

    def _z(self, zeta: Complex) -> Complex:
        values: Complex = zeta * (1 - 1 / self.Q + self._average(lambda s, tau: s / (s - tau), zeta) / self.Q)
        return values

    def _dz(self, zeta: Complex) -> Complex:
        """dz / dzeta = 1 - c sum w tau^2 / (zeta - tau)^2, written so that nothing cancels at zeta = 0, c = 1."""
        values: Complex = (
            1 - 1 / self.Q + self._average(lambda s, tau: s * (s - 2 * tau) / (s - tau) ** 2, zeta) / self.Q
        )
        return values

    def _density(self, zeta: Complex) -> Array:
        return self.Q / np.pi * zeta.imag / np.where(zeta.imag > 0, np.abs(zeta) ** 2, 1)

    def _sf(self, zeta: Complex) -> Array:
        mean = self._average(lambda s, tau: np.angle(s - tau) + (tau / (s - tau)).imag, zeta)
        values: Array = np.clip(((self.Q - 1) * np.angle(zeta) + mean) / np.pi, 0, 1)
        return values

    def _zeta(self, x: Array) -> Complex:
        """The zeta at which z = x; that of an edge where x is outside the support."""
        zeta = self._solve(x, lambda s: self._z(s).real, np.ones_like, (1 / 2, 1 / 2))
        return np.where(np.isnan(x), complex(np.nan, np.nan), zeta)

    def _solve(
        self,
        target: Array,
        value: Callable[[Complex], Array],
        gradient: Callable[[Complex], Complex],
        powers: tuple[float, float],
    ) -> Complex:
        """The zeta on the curve at which a value, increasing in x, is target.

        ``gradient`` is a + ib in d value = a d(Re z) + b d(Im z). The value's distance from either edge, to the given
        ``powers``, grows in proportion to the angle t of p = p- + (p+ - p-) sin(t/2)^2. A table in t gives the first
        guess, Newton's method on Im z = 0 and value = target the rest; the root off the real axis is unique.
        """
        shape, target = target.shape, target.ravel()
        values = value(self._nodes)
        k = np.searchsorted(values[:, -1], target).clip(max=len(values) - 1)
        t, q = np.empty(target.shape), np.empty(target.shape)
        for j in np.unique(k):
            here = k == j
            wanted, table = ((v - values[j, 0]) / np.ptp(values[j]) for v in (target[here], values[j]))
            t[here] = np.interp(_two_sided(wanted, powers), _two_sided(table, powers), self._t)
            q[here] = np.interp(t[here], self._t, self._nodes[j].imag)
        zeta = self._at_angle(k, t) + 1j * q
        todo = np.flatnonzero(q > 0)  # the others lie at an edge or outside
        with np.errstate(all="ignore"):  # a guess that leads nowhere is left to the bisection
            for _ in range(20):
                at = zeta[todo]
                slope, up = gradient(at), -self._z(at).imag
                step = ((target[todo] - value(at) - slope.imag * up) / slope.real + 1j * up) / self._dz(at)
                zeta[todo] = at = (at + step).real + 1j * np.abs((at + step).imag)
                todo = todo[~(np.abs(step) <= 1e-7 * at.imag)]
                if not todo.size:
                    return zeta.reshape(shape)
        low, high = np.zeros(todo.shape), np.full(todo.shape, np.pi)  # bisection, for the few that are left
        for _ in range(55):
            t = (low + high) / 2
            zeta[todo] = self._on_curve(self._at_angle(k[todo], t))
            below = value(zeta[todo]) < target[todo]
            low, high = np.where(below, t, low), np.where(below, high, t)
        return zeta.reshape(shape)

    @property
    def _t(self) -> Array:
        return np.linspace(0, np.pi, 1 + max(16, 256 // len(self._p)))

    @cached_property
    def _nodes(self) -> Complex:
        """zeta at the angles _t of every interval, of shape (n, len(_t))."""
        p = self._at_angle(np.arange(len(self._p))[:, None], self._t)
        zeta = self._on_curve(p)
        zeta[:, [0, -1]] = self._p  # where q is 0
        return zeta

    def _at_angle(self, k: npt.NDArray[np.intp], t: Array) -> Array:
        values: Array = self._p[k, 0] + (self._p[k, 1] - self._p[k, 0]) * np.sin(t / 2) ** 2
        return values

    def _on_curve(self, p: Array) -> Complex:
        """p + iq with g = c sum w tau^2 / ((p - tau)^2 + q^2) = 1: Newton on 1/g, concave in q^2, from below."""
        k = np.searchsorted(self._tau, p)
        near = np.stack([(k - 1).clip(min=0), k.clip(max=len(self._tau) - 1)])
        q2 = np.max(self._w[near] * self._tau[near] ** 2 / self.Q - (p - self._tau[near]) ** 2, axis=0).clip(min=0)
        for _ in range(60):
            s = p + 1j * np.sqrt(q2)
            excess = self._average(lambda s, tau: (2 * tau * s.real - np.abs(s) ** 2) / np.abs(s - tau) ** 2, s)
            excess = (excess + (1 - self.Q)) / self.Q  # g - 1, written so that nothing cancels at zeta = 0, c = 1
            fall = self._average(lambda s, tau: tau**2 / np.abs(s - tau) ** 4, s) / self.Q  # -dg / d(q^2)
            last, q2 = q2, np.clip(q2 + (1 + excess) * excess / fall, 0, None)
            if np.all(np.abs(q2 - last) <= 1e-8 * q2):
                break
        values: Complex = p + 1j * np.sqrt(q2)
        return values

    def _edges(self) -> Array:
        """Where dz, for real zeta = p, changes sign: the ends of the stretches with dz <= 0, one a row."""
        tau = self._tau
        alone = tau * np.sqrt(self._w / self.Q)  # how far from tau its own term of g is 1
        far = np.sqrt(self._w @ tau**2 / self.Q)

        def dz(p: Array) -> Array:
            return self._dz(p + 0j).real

        first = _root(lambda p: -dz(p), tau[:1] - far, tau[:1] - alone[:1]) * (self.Q != 1)  # exactly 0 for Q = 1
        last = _root(dz, tau[-1:] + alone[-1:], tau[-1:] + far)
        # Between two neighbours g is convex; it can drop below 1 only if their own two terms leave room for that.
        gap = np.diff(tau) ** 2 > (alone[:-1] ** (2 / 3) + alone[1:] ** (2 / 3)) ** 3
        left, right = (tau + alone)[:-1][gap], (tau - alone)[1:][gap]
        bottom = _root(lambda p: self._average(lambda s, tau: (tau / (tau - s)) ** 2 / (tau - s), p), left, right)
        gap = dz(bottom) > 0
        ends = _root(dz, left[gap], bottom[gap])
        starts = _root(lambda p: -dz(p), bottom[gap], right[gap])
        return np.stack([np.concatenate([first, starts]), np.concatenate([ends, last])], axis=1)


def _two_sided(r: Array, powers: tuple[float, float]) -> Array:
    """From 0 at r = 0 to 1 at r = 1, in proportion to r and 1 - r to the given powers there."""
    r = np.clip(r, 0, 1)
    low, high = r ** powers[0], (1 - r) ** powers[1]
    return low / (low + high)


def _root(f: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Bisection: where f, elementwise, goes from negative to positive between low and high."""
    for _ in range(80):
        middle = (low + high) / 2
        below = f(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high


def ar1_population(M: int, rho: float) -> Array:
    """Eigenvalues, ascending, of the M x M covariance rho^|i-j|, that of the rows of :func:`rmt_lab.ensembles.ar1`.

    Found from its inverse, which is tridiagonal. For large M they fill (1 - rho^2) / (1 - 2 rho cos t + rho^2), t
    uniform in 0 .. pi (Kac, Murdock & Szego 1953).

    Raises
    ------
    ValueError
        If M is not a positive integer or rho is not in -1 < rho < 1.

    Examples
    --------
    >>> ar1_population(2, 0.5).round(12)
    array([0.5, 1.5])
    """
    if M != int(M) or M < 1:
        raise ValueError(f"M={M}; a side is a positive integer")
    if not -1 < rho < 1:
        raise ValueError(f"rho={rho}; a stationary AR(1) series has -1 < rho < 1")
    if M == 1:
        return np.ones(1)
    diagonal = np.full(M, 1 + rho**2)
    diagonal[[0, -1]] = 1
    return np.sort((1 - rho**2) / eigvalsh_tridiagonal(diagonal, np.full(M - 1, -rho)))
