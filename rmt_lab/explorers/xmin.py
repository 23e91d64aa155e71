"""The fit to a tail that begins where a hand says, beside that of the smallest Kolmogorov-Smirnov distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import style
from ..power_law import Array, PowerLawFit, Scan, fit_power_law
from ..style import FIT
from ..truncated_power_law import TruncatedPowerLawFit, fit_truncated_power_law
from .base import panels
from .tails import plot_fits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGSIZE = (8.0, 6.4)


class Choice(NamedTuple):
    """The fit by hand, the one with the smallest distance D, all of them, and one with an end on the tail by hand."""

    by_hand: PowerLawFit
    chosen: PowerLawFit
    scan: Scan
    truncated: TruncatedPowerLawFit | None


def choose(x: Array, size: int) -> Choice:
    """Fit a power law to the ``size`` largest values, by hand, and to the tail with the smallest distance D.

    Where the largest values are equal the nearest size at which a tail can begin is taken.

    Raises
    ------
    ValueError
        As :func:`rmt_lab.fit_power_law`.

    Examples
    --------
    >>> from rmt_lab.explorers.tails import pareto
    >>> choose(pareto(1000, 2.5, rng=0), 100).by_hand
    PowerLawFit(alpha=2.467 +- 0.147, xmin=4.545, xmax=159, D=0.0561, n_tail=100 of 1000)
    """
    chosen = fit_power_law(x)
    return beside(chosen, chosen.scan(), size)


def beside(chosen: PowerLawFit, scan: Scan, size: int) -> Choice:
    """Beside the smallest distance D, which was searched already, the fit to about the ``size`` largest values."""
    i = int(np.abs(scan.n_tails - size).argmin())
    xmin, n = float(scan.xmins[i]), int(scan.n_tails[i])
    ended = fit_truncated_power_law(chosen.x, xmin, min_tail=min(n, 10)) if n >= 3 else None
    return Choice(fit_power_law(chosen.x, xmin), chosen, scan, ended)


def plot_choice(found: Choice, truncated: bool = True, alpha: float | None = None, fig: Figure | None = None) -> Figure:
    """The tail and its fits; below, the distance D and the exponent for every xmin.

    The band around the exponent is 1.96 (alpha - 1)/sqrt(n) wide on either side, which takes xmin for granted.

    Parameters
    ----------
    found : Choice
    truncated : bool
        Draw the truncated power law, too.
    alpha : float, optional
        The true exponent, where it is known.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its three Axes, if it has three, are used again.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.explorers.tails import pareto
    >>> fig = plot_choice(choose(pareto(1000, 2.5, rng=0), 100), fig=Figure())
    >>> fig.axes[0].get_title("left")
    'By hand α = 2.47 ± 0.15, by the smallest D α = 2.55 ± 0.07'
    """
    by_hand, chosen, scan, ended = found
    fig = fig or style.new_figure(FIGSIZE)
    if len(fig.axes) != 3:
        fig.clear()
        fig.set_layout_engine("none")
        margins = {"left": 0.115, "right": 0.98, "bottom": 0.09, "top": 0.89, "hspace": 0.1}
        axes = fig.subplots(3, sharex=True, height_ratios=(2.2, 1, 1), gridspec_kw=margins)
        for ax in axes:
            ax.xaxis.set_visible(ax is axes[-1])
            ax.yaxis.set_label_coords(-0.085, 0.5)  # to look for room beside the ticks takes half as long as the rest
        ax.xaxis.set_label_coords(0.5, -0.26)
    tail, distance, exponent = panels(fig, 1, 1, 1)
    fits: dict[str, PowerLawFit | TruncatedPowerLawFit] = {"by hand": by_hand, "smallest D": chosen}
    if truncated and ended:
        fits["with an end"] = ended
    seen = f"By hand α = {by_hand.alpha:.2f} ± {by_hand.sigma:.2f}, "
    seen += f"by the smallest D α = {chosen.alpha:.2f} ± {chosen.sigma:.2f}"
    plot_fits(chosen.x, fits, seen, tail)
    distance.plot(scan.xmins, scan.Ds, color=FIT, linewidth=2)
    error = 1.96 * (scan.alphas - 1) / np.sqrt(scan.n_tails)
    exponent.fill_between(scan.xmins, scan.alphas - error, scan.alphas + error, color=FIT, alpha=0.25, linewidth=0)
    exponent.plot(scan.xmins, scan.alphas, color=FIT, linewidth=2)
    for ax, values in ((distance, (chosen.D, by_hand.D)), (exponent, (chosen.alpha, by_hand.alpha))):
        for fit, value, marker in zip((chosen, by_hand), values, "so", strict=True):
            ax.axvline(fit.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
            ax.plot(fit.xmin, value, marker, color=FIT, markeredgecolor="black", markersize=9, zorder=4)
    if alpha:
        style.level(exponent, alpha, f"true α = {alpha:g}")
    Ds = scan.Ds[scan.xmins >= tail.get_xlim()[0]]
    distance.set_ylim(0, 1.15 * float(Ds.max(initial=by_hand.D)))
    exponent.set_ylim(1, 2 ** np.ceil(np.log2(1.3 * max(by_hand.alpha, chosen.alpha))))  # an axis that rarely moves
    words = f"Below, for every xmin the distance D, smallest at {chosen.xmin:.3g}, and the exponent with its error bar."
    for ax, label in ((distance, "distance D"), (exponent, "exponent α")):
        ax.set_ylabel(label, fontsize=style.LABEL)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=style.SMALL)
        style.remember(ax, words)
    exponent.set_xlabel("value x, and every xmin", fontsize=style.LABEL)
    return fig
