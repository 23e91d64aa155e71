"""The truncated power law p(x) ~ x^-alpha e^(-Lambda x): a tail that ends.

Its normaliser on x >= xmin is Z = xmin^(1 - alpha) e^-z E, z = Lambda xmin, where

    E = integral_1^inf u^-a e^(-z(u - 1)) du = z^(a-1) e^z Gamma(1 - a, z) = z^(a-1) U(a, a, z),   a = alpha.

Library functions for these fail at small z and large a, or take milliseconds. With u = e^v the integrand is smooth and
falls off fast whatever a and z, so that one Gauss-Legendre rule gives E and all its derivatives, to 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from .._arrays import Array, as_values
from .search import log_ratio

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_GAP_NODES, _GAP_WEIGHTS = (np.polynomial.legendre.leggauss(6)[0] + 1) / 2, np.polynomial.legendre.leggauss(6)[1] / 2
_DEEP = 40.0  # the integrand is left out below e^-40 of its peak
_HUGE = 650.0  # e^650 = 1e282: no z above 1e-280 tells such values from infinity, and their sums stay finite


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedPowerLawFit:
    """A truncated power law fitted to the values from ``xmin`` up; made by :func:`fit_truncated_power_law`.

    Attributes
    ----------
    alpha : float
        Exponent; with Lambda > 0 it may be 1 or less.
    Lambda : float
        Rate of the cut-off, 1/(scale of x); 0 where the tail does not end, and alpha is that of the pure power law.
    xmin, xmax : float
        Smallest and largest value of the tail.
    D : float
        Kolmogorov-Smirnov distance, by the same one-sided step as :func:`rmt_lab.fit_power_law`.
    n_tail : int
    sigma, sigma_Lambda : float
        Standard errors of alpha and Lambda for the given xmin, from the Fisher information; of alpha alone at Lambda =
        0.
    R : float
        Log-likelihood ratio of the pure power law to this one, for the same tail; never above 0.
    p : float
        Of the pure power law against this one: chance of an R as small, chi^2 with one degree of freedom (Wilks), as
        the powerlaw package takes it for nested laws. Small where the tail ends.
    x : array
        All values, ascending.
    """

    alpha: float
    Lambda: float
    xmin: float
    xmax: float
    D: float
    n_tail: int
    sigma: float
    sigma_Lambda: float
    R: float
    p: float
    x: Array

    @property
    def scaled_D(self) -> float:
        """The misfit D sqrt(n_tail), to compare tails of different sizes by."""
        return self.D * float(np.sqrt(self.n_tail))

    def logpdf(self, x: npt.ArrayLike) -> Array:
        """Log density -alpha ln x - Lambda x - ln Z of the tail; -inf below xmin."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # below xmin, where the figures are not used
            v = np.maximum(log_ratio(x, self.xmin), 0.0)
        c, z = self._rates()
        log_density = -c[0] * v - z[0] * _q(v) - v - _moments(c, z)[0][0] - np.log(self.xmin)
        return np.where(x < self.xmin, -np.inf, log_density)

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density of the tail; 0 below xmin."""
        return np.exp(self.logpdf(x))

    def sf(self, x: npt.ArrayLike) -> Array:
        """Fraction Z(x)/Z of the tail beyond x; 1 below xmin."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # x <= 0
            v = np.fmax(log_ratio(x.ravel(), self.xmin), 0.0)
        c, z = self._rates()
        # beyond u the law is of the same kind, with z u for z
        u = np.exp(np.minimum(v, _HUGE))
        beyond = _moments(c - z + z * u, z * u)[0] - c * v - z * _q(v)
        values: Array = np.exp(beyond - _moments(c, z)[0]).reshape(x.shape)
        return values

    def _rates(self) -> tuple[Array, Array]:
        z = np.array([self.Lambda * self.xmin])
        return self.alpha - 1 + z, z

    def __repr__(self) -> str:
        return (
            f"TruncatedPowerLawFit(alpha={self.alpha:.3f} +- {self.sigma:.3f}, Lambda={self.Lambda:.4g} +- "
            f"{self.sigma_Lambda:.2g}, xmin={self.xmin:.4g}, D={self.D:.4f}, n_tail={self.n_tail} of {len(self.x)})"
        )


def fit_truncated_power_law(x: npt.ArrayLike, xmin: float | None = None, min_tail: int = 10) -> TruncatedPowerLawFit:
    """Fit p(x) ~ x^-alpha e^(-Lambda x), Lambda >= 0, to the upper tail of x, choosing where the tail begins.

    alpha and Lambda maximise the likelihood: those with which ln x and x have the means they have in the sample (the
    law is an exponential family, so Newton's method finds the one maximum). xmin minimises the Kolmogorov-Smirnov
    distance, over every value that leaves ``min_tail``. All candidates are fitted together.

    Parameters
    ----------
    x : array_like of shape (n,)
        Positive values in any order and unit.
    xmin : float, optional
        Where the tail begins. Default: searched.
    min_tail : int, default 10
        Fewest values a tail may have; two parameters fit a shorter one too well.

    Raises
    ------
    ValueError
        If x has more than one dimension or holds values that are not positive and finite, or fewer than ``min_tail``
        values that differ are left.

    References
    ----------
    Clauset, Shalizi & Newman (2009), SIAM Review 51, 661, table 2.1.

    Examples
    --------
    >>> x = np.random.default_rng(0).gamma(0.5, 20, 20000)
    >>> fit_truncated_power_law(x, xmin=1)  # x^(-1/2) e^(-x/20)
    TruncatedPowerLawFit(alpha=0.463 +- 0.014, Lambda=0.05226 +- 0.001, xmin=1, D=0.0045, n_tail=15063 of 20000)
    """
    if min_tail < 3:
        raise ValueError(f"min_tail={min_tail}; two parameters need at least 3 values")
    x = as_values(x)
    starts = np.flatnonzero(np.diff(x, prepend=0) > 0) if xmin is None else np.searchsorted(x, [xmin])
    starts = starts[(len(x) - starts >= min_tail)]
    starts = starts[x[starts] < x[-1]]
    if not len(starts):
        above = len(x) if xmin is None else int(np.count_nonzero(x >= xmin))
        raise ValueError(f"x has {above} values to fit; a truncated power law needs at least {min_tail} that differ")
    low = x[starts] if xmin is None else np.array([float(xmin)])
    n = len(x) - starts
    tails = [log_ratio(x[i:], x0) for i, x0 in zip(starts, low, strict=True)]
    mean = np.array([[v.mean(), _q(v).mean()] for v in tails])
    c, z = _maximise(mean)
    log_I, _, covariance = _moments(c, z)
    k = int(np.argmin([_distance(y, *parameters) for y, *parameters in zip(tails, c, z, log_I, strict=True)]))

    v, q = mean[k]
    R = min(0.0, n[k] * float(c[k] * v + z[k] * q + log_I[k] - 1 - np.log(v))) if z[k] > 0 else 0.0
    if z[k] > 0:
        to_a_and_z = np.array([[1.0, -1.0], [0.0, 1.0]])
        try:
            variance = to_a_and_z @ np.linalg.inv(covariance[k]) @ to_a_and_z.T
        except np.linalg.LinAlgError:
            raise ValueError(f"xmin={low[k]:.4g} lies so far below x that no truncated power law fits") from None
    else:
        variance = np.diag([v**-2, 0.0])
    sigma, sigma_z = np.sqrt(np.diag(variance) / n[k])
    fit = TruncatedPowerLawFit(
        alpha=float(1 + c[k] - z[k]),
        Lambda=float(z[k] / low[k]),
        xmin=float(low[k]),
        xmax=float(x[-1]),
        D=np.nan,
        n_tail=int(n[k]),
        sigma=float(sigma),
        sigma_Lambda=float(sigma_z / low[k]),
        R=R,
        p=float(chdtrc(1, -2 * R)),
        x=x,
    )
    tail = x[starts[k] :]
    below = np.searchsorted(tail, tail) / len(tail)
    return replace(fit, D=float(np.abs(below - 1 + fit.sf(tail)).max()))


def _distance(v: Array, c: float, z: float, log_I: float) -> float:
    """D of one tail with logarithms v, to 1e-4, to choose xmin by: the distribution summed up from gap to gap."""
    edges = np.concatenate([[0.0], v])
    gaps = np.diff(edges)
    t = edges[:-1, None] + gaps[:, None] * _GAP_NODES
    cdf = np.cumsum(gaps * (np.exp(-c * t - z * _q(t) - log_I) @ _GAP_WEIGHTS))
    below = np.searchsorted(v, v) / len(v)
    return float(np.abs(below - cdf).max())


def _moments(c: Array, z: Array) -> tuple[Array, Array, Array]:
    """Of the density e^(-c v - z q), q = e^v - 1 - v, on v = ln u >= 0: ln of its integral, means, covariance.

    This is u^-a e^(-z (u - 1)) with c = a - 1 + z; v and q stay apart where u - 1 and ln u are nearly the same.
    """
    end = _end(c, z)
    cut = z > 0
    end[cut] = np.maximum(end[cut], _end(c[cut] - 2, z[cut]))  # as far as q^2 matters: at small z far beyond the mass
    v = end[:, None] * (1 + _NODES) / 2
    t = np.stack([v, _q(v)], axis=1)
    log_f = -c[:, None] * v - z[:, None] * t[:, 1]
    top = log_f.max(axis=1)
    f = np.exp(log_f - top[:, None]) * _WEIGHTS / 2
    mass = f.sum(axis=1)
    f /= mass[:, None]
    mean = np.einsum("rik,rk->ri", t, f)
    d = t - mean[..., None]
    return top + np.log(mass * end), mean, np.einsum("rik,rjk,rk->rij", d, d, f)


def _q(v: Array) -> Array:
    """e^v - 1 - v, without cancellation at small v; that of v = 650 beyond, as e^v has no end."""
    return np.where(v < 1e-4, v * v * (0.5 + v / 6), np.expm1(np.minimum(v, _HUGE)) - v)


def _end(c: Array, z: Array) -> Array:
    """Where c v + z (e^v - 1 - v) has risen by 40 above its minimum: the end of the integral."""
    with np.errstate(divide="ignore"):
        low = np.log1p(np.maximum(-c, 0) / np.where(c < 0, z, 1.0))
        high: Array = low + np.minimum(np.log1p(2 * _DEEP / z) + 3, np.where(c > z, _DEEP / (c - z), np.inf))
    floor = c * low + z * _q(low) + _DEEP
    for _ in range(40):
        middle = (low + high) / 2
        up = c * middle + z * _q(middle) > floor
        low, high = np.where(up, low, middle), np.where(up, middle, high)
    return high


def _maximise(mean: Array) -> tuple[Array, Array]:
    """c and z >= 0 for which v and q have the given means (rows): damped Newton steps, for all tails at once.

    z = 0 where no z > 0 has a greater likelihood.
    """
    v, q = mean.T
    c, z = 1 / v, np.zeros(len(v))
    a = c + 1
    with np.errstate(divide="ignore"):  # at z = 0 the slope of the likelihood is E q - q, infinite for a <= 2
        todo = np.flatnonzero((a <= 2) | (1 / (a - 2) - 1 / (a - 1) > q))
    z[todo] = 0.1 / (v + q)[todo]
    for _ in range(100):
        if not len(todo):
            break
        _, m, H = _moments(c[todo], z[todo])
        g = m - mean[todo]
        step = np.linalg.solve(H, g[..., None])[..., 0]
        decrement = np.sqrt(np.maximum((step * g).sum(axis=1), 0.0))
        t = np.where(decrement < 0.3, 1.0, 1 / (1 + decrement))
        c[todo] += t * step[:, 0]
        # z alone is held back from 0: a shorter step for both would leave c behind, and then z never comes back
        z[todo] = np.maximum(z[todo] + t * step[:, 1], np.maximum(0.1 * z[todo], 1e-280))
        todo = todo[decrement > 1e-9]
    gain = np.log(1 / v) - 1 + c * v + z * q + _moments(c, z)[0]  # of the pure law, which has c = 1/v, over this one
    pure = ~(gain < -1e-13)  # no gain beyond rounding: the maximum lies at z = 0, or nothing tells it from there
    c[pure], z[pure] = 1 / v[pure], 0.0
    return c, z
