"""The picture of a tail as its largest values are taken away, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from . import style
from .fingers import FingerFit
from .style import FIT, GUIDE, OUTLIER, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLAUSIBLE = 0.77  # 95 % of true power laws with a searched xmin have D sqrt(n) below this (n = 500)


def plot_fingers(fit: FingerFit, fig: Figure | None = None) -> Figure:
    """alpha, D sqrt(n) and the size of the tail against the number of largest values dropped.

    The accepted number is marked in violet. Whether dropping helped is told by the second panel: a power law fits
    where D sqrt(n) is small, and a true one stays below 0.77 nineteen times out of twenty.

    Parameters
    ----------
    fit : FingerFit
        Of :func:`rmt_lab.fix_fingers`.
    fig : Figure, optional
        Where to draw; by default a pyplot figure.

    Returns
    -------
    Figure
        Its three Axes, from the top, are ``fig.axes``.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.fingers import fix_fingers
    >>> x = np.r_[np.linspace(1, 3, 60) ** 2, 80, 95]
    >>> len(plot_fingers(fix_fingers(x), fig=Figure()).axes)
    3
    """
    fig = fig or style.new_figure((8.0, 7.0))
    panels = fig.subplots(3, 1, sharex=True)
    ks = list(fit.tried)
    chosen = len(fit.dropped)
    curves = {
        "exponent α": [f.alpha for f in fit.tried.values()],
        "misfit D√n": [f.D * f.n_tail**0.5 for f in fit.tried.values()],
        "values in the tail": [f.n_tail for f in fit.tried.values()],
    }
    seen = _in_words(fit, chosen)
    description = f"Exponent, misfit and size of the tail for {ks[0]} to {ks[-1]} largest values dropped. {seen}."
    for ax, (label, values) in zip(panels, curves.items(), strict=True):
        ax.plot(ks, values, "o-", color=FIT, linewidth=2, markersize=7)
        ax.axvline(chosen, color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
        ax.plot(chosen, values[ks.index(chosen)], "^", color=OUTLIER, markersize=13, zorder=4)
        ax.set_ylim(0, 1.15 * max(values))
        style.finish(ax, seen if ax is panels[0] else "", "", label, description)
    panels[1].set_ylim(0, 1.15 * max(_PLAUSIBLE, *curves["misfit D√n"]))
    style.level(panels[1], _PLAUSIBLE, "95 % of true power laws stay below")
    panels[2].set_xlabel("largest values dropped, $k$", fontsize=style.LABEL)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig


def _in_words(fit: FingerFit, chosen: int) -> str:
    if not chosen:
        return f"No fingers: α stays {fit.raw.alpha:.2f}, whatever is dropped falls short"
    before, after = (f.D * f.n_tail**0.5 for f in (fit.raw, fit.fit))
    better = "fits better" if after < before else "fits worse"
    return (
        f"Without {count(chosen, 'finger')} α is {fit.fit.alpha:.2f} instead of {fit.raw.alpha:.2f}, "
        f"and the tail {better}: D√n from {before:.2f} to {after:.2f}"
    )
