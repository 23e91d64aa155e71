"""Random values with a tail, and the picture of a tail under its fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator

from .. import style
from ..ensembles import Rng
from ..power_law import Array, PowerLawFit
from ..truncated_power_law import TruncatedPowerLawFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDED = "#6e4300"  # of power laws with an end: a dark orange, as of the fits and told apart by lightness
_END = 20.0  # where the truncated power law falls off, in units of its smallest value


def pareto(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha from 1 on: (1 - u)^(-1/(alpha - 1)) for uniform u.

    Examples
    --------
    >>> pareto(10_000, 3.0, rng=0).min().round(3)
    np.float64(1.0)
    """
    return (1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1))


def bulk_and_tail(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha from 1 on and ~ e^(-alpha (x - 1)) below, where density and slope meet.

    Source: Clauset, Shalizi & Newman (2009), equation 3.10.

    Examples
    --------
    >>> x = bulk_and_tail(10_000, 2.5, rng=0)
    >>> (x > 1).mean().round(2)  # a/(a + b), a = 1/(alpha - 1), b = (e^alpha - 1)/alpha
    np.float64(0.13)
    """
    below, above = np.expm1(alpha) / alpha, 1 / (alpha - 1)  # areas
    area = np.random.default_rng(rng).random(n) * (below + above)
    bulk = 1 - np.log(np.exp(alpha) - alpha * np.minimum(area, below)) / alpha
    beyond = np.minimum(below + above - area, above) / above
    return np.where(area < below, bulk, beyond**-above)


def truncated_pareto(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha e^(-x/20) from 1 on: Pareto values kept with probability e^(-(x - 1)/20).

    Examples
    --------
    >>> truncated_pareto(10_000, 2.0, rng=0).max() < 200
    np.True_
    """
    rng, x = np.random.default_rng(rng), np.empty(0)
    while len(x) < n:
        more = pareto(2 * n, alpha, rng)
        x = np.concatenate([x, more[rng.random(2 * n) < np.exp(-(more - 1) / _END)]])
    return x[:n]


def plot_fits(
    x: Array, fits: Mapping[str, PowerLawFit | TruncatedPowerLawFit], seen: str, ax: Axes, dropped: int = 0
) -> Axes:
    """The fraction of values at or above x, and fits by their labels: the first solid, others dashed, an end dotted.

    ``seen`` becomes the title. The ``dropped`` largest values are violet.
    """
    n, at_or_above = len(x), 1 - np.searchsorted(x, x) / len(x)
    kept = n - dropped
    ax.plot(x[:kept], at_or_above[:kept], ".", color=style.MEASURED, markersize=7, label=f"{kept} values")
    if dropped:
        ax.plot(x[kept:], at_or_above[kept:], "^", color=style.OUTLIER, markersize=10, label=f"{dropped} dropped")
    first = next(iter(fits.values()))
    for label, fit in fits.items():
        u = np.geomspace(fit.xmin, fit.xmax, 2 if isinstance(fit, PowerLawFit) else 60)
        if isinstance(fit, TruncatedPowerLawFit):
            line: dict[str, Any] = {"color": ENDED, "linestyle": ":", "linewidth": 2.2}
        else:
            dash, width = ("-", 3) if fit is first else ("--", 2.5)
            line = {"color": style.FIT, "linestyle": dash, "linewidth": width}
            ax.axvline(fit.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
        ax.plot(u, np.mean(x >= fit.xmin) * fit.sf(u), label=label, zorder=3, **line)
    style.guide(ax, first.xmin, f"xmin {first.xmin:.3g}", end="bottom")
    left = max(x[0], min(*(fit.xmin for fit in fits.values()), np.median(x)) / 10)
    ax.set(xscale="log", yscale="log", xlim=(left / 1.2, 1.2 * x[-1]), ylim=(0.5 / n, 1.6))
    for axis in (ax.xaxis, ax.yaxis):
        style.plain_log_ticks(axis)
        axis.set_minor_locator(NullLocator())  # minor ticks take as long as all that is measured
    style.finish(ax, seen, "", "fraction of values ≥ x", f"Fraction of {n} values at or above x. {seen}.")
    return ax
