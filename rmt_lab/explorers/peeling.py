"""Power laws without the largest values, one after another, and their picture."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import style
from ..fingers import FingerFit, Rule, fix_fingers
from ..power_law import Array, PowerLawFit
from ..style import FIT
from ..truncated_power_law import TruncatedPowerLawFit, fit_truncated_power_law
from .base import panels
from .tails import ENDED, plot_fits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGSIZE = (8.0, 6.6)
MOST_DROPPED = 10
PLAUSIBLE = 0.77  # 95 % of true power laws with a searched xmin have D sqrt(n) below this (n = 500)
_REACH = 1.5  # of a planted finger over the next largest value


def plant(x: Array, fingers: int) -> Array:
    """x, ascending, with so many values more, each 1.5 times as large as the one below it.

    Examples
    --------
    >>> plant([1.0, 3.0, 2.0], 2)
    array([1.  , 2.  , 3.  , 4.5 , 6.75])
    """
    x = np.sort(x)
    return np.concatenate([x, x[-1] * _REACH ** np.arange(1, fingers + 1)])


def largest(k: int) -> str:
    """``"the largest"``, ``"the largest 2"``."""
    return "the largest" if k == 1 else f"the largest {k}"


class Peeling(NamedTuple):
    """The fits without the k largest values, by k; made by :func:`peel`.

    ``ruled`` is what the rule makes of the values, None where it fails.
    """

    x: Array
    fits: dict[int, PowerLawFit]
    ruled: FingerFit | None


def peel(x: Array, rule: Rule = "clip_xmax") -> Peeling:
    """Fit a power law without the k = 0 .. 10 largest values, and ask a rule how many should go.

    Raises
    ------
    ValueError
        As :func:`rmt_lab.fix_fingers`, where all values can't be fitted.

    Examples
    --------
    >>> from rmt_lab.explorers.tails import pareto
    >>> peeling = peel(plant(pareto(500, 2.5, rng=0), 2), rule="outliers")
    >>> peeling.ruled.num_fingers
    0
    """
    return _peel(np.asarray(x, dtype=np.float64).tobytes())._replace(ruled=_ruled(x, rule))


@lru_cache(maxsize=4)
def _peel(values: bytes) -> Peeling:
    fits = fix_fingers(np.frombuffer(values)).tried
    return Peeling(fits[0].x, fits, None)


@lru_cache(maxsize=16)
def with_an_end(fit: PowerLawFit) -> TruncatedPowerLawFit | None:
    """The truncated power law on the tail of a fit; None where that has less than three values."""
    if fit.n_tail < 3:
        return None
    return fit_truncated_power_law(fit.x[-fit.n_tail :], fit.xmin, min_tail=min(fit.n_tail, 10))


def _ruled(x: Array, rule: Rule) -> FingerFit | None:
    try:
        return fix_fingers(x, rule)
    except ValueError:  # too few values for it
        return None


def plot_peeling(peeling: Peeling, k: int, name: str = "", fig: Figure | None = None) -> Figure:
    """The tail with all values and without the k largest; alpha and the misfit D sqrt(n) for every k.

    A circle marks k, a violet triangle the choice of the rule, a dark square the truncated power law on the same tail.

    Parameters
    ----------
    peeling : Peeling
    k : int
        How many of the largest values are left out.
    name : str
        What the values are.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its three Axes, if it has three, are used again.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.explorers.tails import pareto
    >>> fig = plot_peeling(peel(plant(pareto(500, 2.5, rng=0), 2)), k=2, fig=Figure())
    >>> fig.axes[0].get_title("left")
    'Without the largest 2: α 2.38 → 2.44, and a worse fit'
    """
    fig = fig or style.new_figure(FIGSIZE)
    if len(fig.axes) != 3:
        _lay_out(fig)
    tail, exponent, misfit = panels(fig, 1, 1, 1)
    x, fits, ruled = peeling
    raw, fit, end = fits[0], fits[k], with_an_end(fits[k])
    shown: dict[str, PowerLawFit | TruncatedPowerLawFit] = {f"fit without {largest(k)}": fit} if k else {}
    shown["fit to all values"] = raw
    if end:
        shown["with an end"] = end
    seen = f"α = {raw.alpha:.2f} ± {raw.sigma:.2f} on {raw.n_tail} of {len(x)} values"
    if k:
        better = "better" if fit.scaled_D < raw.scaled_D else "worse"
        seen = f"Without {largest(k)}: α {raw.alpha:.2f} → {fit.alpha:.2f}, and a {better} fit"
    plot_fits(x, shown, seen, tail, dropped=k)
    tail.set_title(seen, loc="left", fontsize=style.TITLE, pad=44)  # in place, whatever rows the legend has
    tail.set_xlabel(name or "value x", fontsize=style.LABEL)
    ks = list(fits)
    for ax, figure in ((exponent, "alpha"), (misfit, "scaled_D")):
        values = [getattr(f, figure) for f in fits.values()]
        ax.plot(ks, values, "-", color=FIT, linewidth=2)
        if ruled:
            chosen = getattr(ruled.fit, figure)
            ax.plot(len(ruled.dropped), chosen, "^", color=style.OUTLIER, markersize=15, zorder=4)
        ax.plot(k, values[ks.index(k)], "o", color=FIT, markeredgecolor="black", markersize=9, zorder=5)
        ax.set_ylim(0, 1.2 * max(values))
    misfit.set_ylim(0, 1.2 * max(PLAUSIBLE, *(f.scaled_D for f in fits.values())))
    if end:
        misfit.plot(k, end.D * end.n_tail**0.5, "s", color=ENDED, markersize=8, zorder=5)
    style.level(misfit, PLAUSIBLE, "power laws lie below")
    words = f"Below, exponent and misfit without the 0 to {ks[-1]} largest values."
    for ax, label in ((exponent, "exponent α"), (misfit, "misfit D√n")):
        ax.set_ylabel(label, fontsize=style.LABEL)
        style.remember(ax, words)
    if ruled:
        title = f"▲ {ruled.rule} drops {len(ruled.dropped) or 'none'}"
        exponent.set_title(title, loc="left", fontsize=style.SMALL, color=style.OUTLIER, y=1)
    return fig


def _lay_out(fig: Figure) -> None:
    """The tail above; two small panels on the same k beside each other below."""
    fig.clear()
    fig.set_layout_engine("none")
    grid = fig.add_gridspec(
        2, 2, left=0.115, right=0.98, bottom=0.09, top=0.84, hspace=0.4, wspace=0.25, height_ratios=(1.7, 1)
    )
    tail, *small = (fig.add_subplot(grid[place]) for place in ((0, slice(2)), (1, 0), (1, 1)))
    tail.xaxis.set_label_coords(0.5, -0.1)  # to look for room beside the ticks takes half as long as the rest
    tail.yaxis.set_label_coords(-0.085, 0.5)
    for ax in small:
        ax.set_xlim(-0.5, MOST_DROPPED + 0.5)
        ax.set_xticks(range(0, MOST_DROPPED + 1, 5))
        ax.locator_params("y", nbins=3)
        ax.set_xlabel("values dropped, k", fontsize=style.LABEL)
        ax.xaxis.set_label_coords(0.5, -0.2)
        ax.yaxis.set_label_coords(-0.155, 0.5)
        ax.tick_params(labelsize=style.SMALL)
        ax.spines[["top", "right"]].set_visible(False)
