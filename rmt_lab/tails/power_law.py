"""A tail and its power law, after Clauset, Shalizi & Newman (SIAM Review 51, 2009).

Above xmin the density is p(x) = (alpha - 1)/xmin (x/xmin)^-alpha. The exponent has the closed maximum-likelihood form
alpha = 1 + n / sum ln(x_i/xmin), and xmin is the observed value for which the Kolmogorov-Smirnov distance D between
the tail and its fit is smallest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array, as_values
from .._repr import html_table
from ..spectrum import Spectrum
from . import bootstrap, rivals
from .bootstrap import Interval, Method
from .rivals import Rivals
from .search import Scan, Tails, log_ratio

_EQUAL = 1e-12  # relative: the eigenvalues of an orthogonal matrix differ by less, from rounding alone


def differ(x: Array) -> bool:
    """Whether ascending values differ by more than rounding, without which there is no power law to fit.

    Examples
    --------
    >>> differ(np.array([1.0, 2.0])), differ(np.array([1.0, 1.0 + 1e-15]))
    (True, False)
    """
    return len(x) > 1 and bool(x[-1] - x[0] > _EQUAL * x[-1])


@dataclass(frozen=True, eq=False, repr=False)
class PowerLawFit:
    """A power law fitted to the values from ``xmin`` to ``xmax``; made by :func:`fit_power_law`.

    Attributes
    ----------
    alpha : float
        Exponent of the density, > 1.
    xmin, xmax : float
        Smallest and largest value of the tail, on the scale of the data.
    D : float
        Kolmogorov-Smirnov distance between the tail and the fit.
    sigma : float
        (alpha - 1)/sqrt(n_tail), the asymptotic standard error for a given xmin; the choice of xmin adds to it. With
        ``bias_corrected`` the exact one, (alpha - 1)/sqrt(n_tail - 3), or n_tail - 2 for a given xmin.
    n_tail : int
        How many values lie in the tail.
    x : array
        All values that were looked at, ascending.
    min_tail : int
        Fewest values that a tail might have.
    searched : tuple of two floats, or None
        Where xmin was looked for; None where it was given.
    """

    alpha: float
    xmin: float
    xmax: float
    D: float
    sigma: float
    n_tail: int
    x: Array
    min_tail: int = 2
    searched: tuple[float, float] | None = (0.0, np.inf)
    bias_corrected: bool = False

    @property
    def scaled_D(self) -> float:
        """The misfit D sqrt(n_tail), to compare tails of different sizes by: see ``rmt_lab.tails.search.MISFIT``."""
        return self.D * float(np.sqrt(self.n_tail))

    def pdf(self, x: npt.ArrayLike) -> Array:
        """Density (alpha - 1)/xmin (x/xmin)^-alpha of the tail; 0 below xmin."""
        x = np.asarray(x, dtype=np.float64)
        return np.where(x < self.xmin, 0.0, (self.alpha - 1) / self.xmin * self._ratio(x) ** -self.alpha)

    def sf(self, x: npt.ArrayLike) -> Array:
        """Fraction (x/xmin)^(1 - alpha) of the tail beyond x; 1 below xmin."""
        return self._ratio(np.asarray(x, dtype=np.float64)) ** (1 - self.alpha)

    def _ratio(self, x: Array) -> Array:
        with np.errstate(over="ignore"):  # x/xmin beyond 1e308 leaves a density of 0
            return np.maximum(x / self.xmin, 1.0)

    def scan(self) -> Scan:
        """alpha and D for every candidate xmin, in O(n^2): for pictures, the fit itself does not need it."""
        tails = Tails(self.x, self.min_tail)
        i = tails.candidates
        Ds = np.array([tails.distances(int(k)).max() for k in i])
        n = len(self.x) - i
        return Scan(self.x[i], 1 + tails.exponent[i] * self.unbiased(n), Ds, n)

    def unbiased(self, n: Any) -> Any:
        """What alpha - 1 of a tail of n values is multiplied by: 1, or what takes its bias off."""
        return 1.0 if not self.bias_corrected else 1 - (1 if self.searched is None else 2) / n

    def interval(
        self,
        level: float = 0.95,
        method: Method = "bootstrap",
        n: int | None = None,
        rng: np.random.Generator | int | None = None,
        N: int | None = None,
    ) -> Interval:
        """Error bar of alpha, by three methods for two questions: see :func:`rmt_lab.tails.interval`."""
        return bootstrap.interval(self, level, method, n, rng, N)

    def p_value(self, n: int = 1000, rng: np.random.Generator | int | None = None) -> float:
        """Goodness of fit if the values are independent: see :func:`rmt_lab.tails.p_value`, also for eigenvalues."""
        return bootstrap.p_value(self, n, rng)

    def compare(self) -> Rivals:
        """Four other laws for the same tail, by Vuong's test: see :func:`rmt_lab.tails.compare`."""
        return rivals.compare(self)

    def __repr__(self) -> str:
        return (
            f"PowerLawFit(alpha={self.alpha:.3f} +- {self.sigma:.3f}, xmin={self.xmin:.4g}, xmax={self.xmax:.4g}, "
            f"D={self.D:.4f}, n_tail={self.n_tail} of {len(self.x)})"
        )

    def _repr_html_(self) -> str:
        rows = {
            "alpha": f"{self.alpha:.3f} +- {self.sigma:.3f}",
            "xmin .. xmax": f"{self.xmin:.4g} .. {self.xmax:.4g}",
            "values in the tail": f"{self.n_tail} of {len(self.x)}",
            "KS distance D": f"{self.D:.4f}",
        }
        return html_table("Power law", rows)


def fit_power_law(
    x: npt.ArrayLike,
    xmin: float | tuple[float, float] | None = None,
    xmax: float | None = None,
    min_tail: int = 2,
    bias_corrected: bool = False,
) -> PowerLawFit:
    """Fit a power law to the upper tail of x, choosing where the tail begins.

    alpha(xmin) = 1 + n / sum ln(x_i/xmin) over the n values x_i >= xmin, and xmin minimises
    D = max_j |(j - 1)/n - (1 - (x_j/xmin)^(1 - alpha))|, the largest distance between the fit and the fraction of the
    tail below its j-th value. This one-sided step is that of the powerlaw package and of WeightWatcher; the textbook
    distance also looks at j/n, and picks another xmin on many real spectra. The minimum is exact, the same as from
    trying every value, but found in near-linear time (see :meth:`PowerLawFit.scan` for the whole curve).

    Parameters
    ----------
    x : array_like of shape (n,)
        Positive values in any order and unit; for a layer, ``Spectrum.tail_eigenvalues``.
    xmin : float or (low, high), optional
        Where the tail begins, or the range in which to look for it. Default: any value of x.
    xmax : float, optional
        Values above it are left out; the fit is not renormalised for that. Default: keep all.
    min_tail : int, default 2
        Fewest values a tail may have. 2 is what WeightWatcher and powerlaw scan; a tail that short says nothing.
    bias_corrected : bool, default False
        Take the bias off alpha, which 1 + n/S, S = sum ln(x_i/xmin), has on short tails: 1 + (n - 2)/S where xmin was
        searched (it is itself the smallest value of the tail, so that n - 1 exponential gaps make up S), 1 + (n - 1)/S
        where it was given. xmin, D and the tail are those of 1 + n/S; only alpha and sigma change.

    Returns
    -------
    PowerLawFit

    Raises
    ------
    ValueError
        If x has more than one dimension (a matrix W has eigenvalues, and is not fitted itself), holds values that are
        not positive and finite, no xmin leaves ``min_tail`` values that differ, or ``bias_corrected`` leaves nothing of
        a tail of 2.

    Notes
    -----
    The bias, measured: mean of alpha - 1 over its truth, for Pareto samples of n values (40 000 per row, 10 000 from
    n = 200 on; errors below 0.005, of the search below 0.01; the same for every alpha). "given": xmin is where the law
    begins. "smallest": it is the smallest of the n values. "searched": the best of all that leave 8 values. The search
    prefers tails that look steep, a bias of its own that no formula takes off.

    ====  =====  =========  ========  =========  ========  =========
    n     given  corrected  smallest  corrected  searched  corrected
    ====  =====  =========  ========  =========  ========  =========
    5     1.26   1.00       1.67      1.00       -         -
    8     1.14   1.00       1.33      1.00       -         -
    10    1.11   1.00       1.25      1.00       1.32      1.04
    20    1.05   1.00       1.11      1.00       1.24      1.08
    50    1.02   1.00       1.04      1.00       1.11      1.04
    100   1.01   1.00       1.02      1.00       1.05      1.02
    200   1.00   1.00       1.01      1.00       1.02      1.01
    500   1.00   1.00       1.00      1.00       1.01      1.00
    ====  =====  =========  ========  =========  ========  =========

    References
    ----------
    Clauset, Shalizi & Newman (2009), SIAM Review 51, 661-703, equations 3.1, 3.2 and 3.9.

    Examples
    --------
    >>> import numpy as np
    >>> x = (1 - np.random.default_rng(0).random(2000)) ** (-1 / 1.5)  # Pareto, alpha = 2.5
    >>> fit_power_law(x, xmin=1)
    PowerLawFit(alpha=2.502 +- 0.034, xmin=1, xmax=159, D=0.0091, n_tail=2000 of 2000)
    """
    if min_tail < 2:
        raise ValueError(f"min_tail={min_tail}; a power law needs at least 2 values")
    x = as_values(x)
    if xmax is not None:
        x = x[x <= xmax]
    if len(x) < min_tail or not differ(x):
        kept = f"x has {len(x)} values" + ("" if xmax is None else f" up to xmax={xmax:.4g}")
        raise ValueError(f"{kept}; a power law needs at least {min_tail} that differ by more than rounding")
    if xmin is not None and np.ndim(xmin) == 0:
        if isinstance(xmin, str | bytes | complex) or not xmin > 0:  # type: ignore[operator]
            raise ValueError(f"xmin={xmin!r}; a positive number or a range (low, high) is allowed")
        start = int(np.searchsorted(x, xmin))
        n = len(x) - start
        if n < min_tail or x[start] == x[-1]:
            raise ValueError(
                f"xmin={xmin:.4g} leaves {n} values at or above it; "
                f"a power law needs at least {min_tail} that differ (largest value {x[-1]:.4g})"
            )
        return fixed_xmin(x, start, float(xmin), min_tail, bias_corrected)  # type: ignore[arg-type]
    tails = Tails(x, min_tail)
    if xmin is not None:
        low, high = xmin  # type: ignore[misc]
        tails.candidates = tails.candidates[(x[tails.candidates] >= low) & (x[tails.candidates] <= high)]
        if not len(tails.candidates):
            raise ValueError(f"xmin=({low:.4g}, {high:.4g}) holds no value that leaves {min_tail} values in the tail")
    i, D = tails.closest()
    searched = (0.0, np.inf) if xmin is None else (float(low), float(high))
    return _result(x, i, float(x[i]), float(tails.exponent[i]), D, min_tail, searched, bias_corrected)


def fixed_xmin(x: Array, start: int, xmin: float, min_tail: int, bias_corrected: bool = False) -> PowerLawFit:
    """The fit to ascending x[start:] for a given xmin, without any check."""
    t = log_ratio(x[start:], xmin)
    exponent = len(t) / float(t.sum())
    below = np.searchsorted(x[start:], x[start:]) / len(t)
    D = float(np.abs(below + np.expm1(-exponent * t)).max())
    return _result(x, start, xmin, exponent, D, min_tail, None, bias_corrected)


def _result(
    x: Array,
    start: int,
    xmin: float,
    exponent: float,
    D: float,
    min_tail: int,
    searched: tuple[float, float] | None = None,
    bias_corrected: bool = False,
) -> PowerLawFit:
    n = len(x) - start
    fit = PowerLawFit(1 + exponent, xmin, float(x[-1]), D, exponent / np.sqrt(n), n, x, min_tail, searched)
    if not bias_corrected:
        return fit
    free = n - (1 if searched is None else 2)  # S is a Gamma variable of free + 1, so that free/S is right on average
    if free < 1:
        raise ValueError(f"bias_corrected=True leaves nothing of a tail of {n} values; ask for min_tail=3 or more")
    exponent *= free / n
    sigma = exponent / np.sqrt(free - 1) if free > 1 else np.inf
    return replace(fit, alpha=1 + exponent, sigma=float(sigma), bias_corrected=True)


#: The exact part of a spectrum is long enough for a tail that takes this much of it at most.
EXACT_SHARE = 0.8


def large_spectrum(W: Any, name: str = "", precision: str | None = None, top: int = 128) -> Spectrum:
    """The spectrum of a large matrix by ``method="top"``, with as many exact eigenvalues as its power law needs.

    Where the tail begins is the choice of the fit, and only known once the eigenvalues are. A fit to all of them,
    estimated ones included, tells how long the tail is. Where it is longer than 0.8 times the exact part, that part is
    made at least twice as long, and the search begins anew; half of all M eigenvalues is the most. A tail that is
    longer still is fitted to that half, and its alpha is not that of the whole spectrum.

    Parameters
    ----------
    W, name, precision
        See :meth:`rmt_lab.Spectrum.from_matrix`.
    top : int, default 128
        Exact eigenvalues to begin with.

    Returns
    -------
    Spectrum
        ``num_exact`` says how many are exact; ``tail_eigenvalues`` are these.

    Examples
    --------
    >>> W = np.random.default_rng(0).standard_t(3, size=(600, 400))
    >>> spectrum = large_spectrum(W, top=20)
    >>> spectrum.num_exact, round(fit_power_law(spectrum.tail_eigenvalues).alpha, 2)
    (42, 6.77)
    >>> round(fit_power_law(Spectrum.from_matrix(W).tail_eigenvalues).alpha, 2)
    6.77
    """
    while True:
        spectrum = Spectrum.from_matrix(W, "top", name, precision, top=top)
        exact, x = len(spectrum.tail_eigenvalues), spectrum.nonzero_eigenvalues
        tail = fit_power_law(x).n_tail if differ(x) else 0
        if tail <= EXACT_SHARE * exact or 2 * exact >= spectrum.M - 1:
            return spectrum
        top = max(2 * top, round(1.25 * tail))
