"""Traps in a picture: the largest eigenvalue of a matrix and of its shuffles, before the edge of the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..traps import Traps
from . import style
from .style import MEASURED, NOISE, OUTLIER, SMALL, count, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = {
    "entries": "entries shuffled",
    "signs": "signs flipped",
    "scaled": "scaled shuffle",
    "rows": "within rows",
    "columns": "within columns",
}


def plot_traps(found: Traps, name: str = "", ax: Axes | None = None) -> Axes:
    r"""The largest eigenvalues of a matrix, and below them the largest one of each of its shuffles.

    One row for each kind of shuffle, one tick for each draw. What stands beyond the threshold in the matrix alone was
    made by correlations; what stays there when the entries are shuffled is a trap, and the other shuffles tell which
    kind: a large row survives where each row is shuffled for itself, a mean does not survive random signs.

    Parameters
    ----------
    found : Traps
        What :func:`rmt_lab.traps.find_traps` gave.
    name : str, optional
        Of the layer, for the title.
    ax : Axes, optional

    Raises
    ------
    TypeError
        If found is no Traps.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.traps import find_traps
    >>> W = np.random.default_rng(0).normal(size=(60, 40))
    >>> W[3, 5] = 25
    >>> plot_traps(find_traps(W, shuffles=50), "layer 1", ax=Figure().subplots()).get_title("left").replace("\n", " ")
    'layer 1: 1 trap survives the shuffle, entry (3, 5) of size 25'
    """
    if not isinstance(found, Traps):
        raise TypeError(f"found is a {type(found).__name__}; what find_traps gives is allowed")
    ax = style.new_axes(ax)
    kinds = list(found.largest)
    own = found.eigenvalues / found.edge
    ax.plot(own, np.zeros(len(own)), "o", color=MEASURED, markersize=7, label=f"{len(own)} largest of the matrix")
    draws = count(found.shuffles, "shuffle") + " of each kind, the largest"
    for i, kind in enumerate(kinds, 1):
        x = found.largest[kind] / found.edge
        ax.plot(x, np.full(len(x), i), "|", color=NOISE, markersize=14, alpha=0.5, label=draws)
        ax.annotate(f"{found.rates[kind]:.0%}", (1, i), xycoords=("axes fraction", "data"), xytext=(-4, 0),
                    textcoords="offset points", ha="right", va="center", fontsize=SMALL, color=style.GUIDE,
                    path_effects=style.OUTLINED)  # fmt: skip
    if surviving := [trap.strength for trap in found.surviving]:
        label = f"{count(len(surviving), 'trap')}, median of the shuffles"
        at = np.full(len(surviving), kinds.index("entries") + 1)
        ax.plot(surviving, at, "^", color=OUTLIER, markersize=10, zorder=4, label=label)
    # its label has a row of its own: along the line it would lie on the shuffles, which gather there
    ax.axvline(found.threshold / found.edge, color=style.GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
    ax.annotate(f"{found.level:.0%} threshold", (found.threshold / found.edge, len(kinds) + 1), xytext=(5, 0),
                textcoords="offset points", ha="left", va="center", fontsize=SMALL, color=style.GUIDE)  # fmt: skip
    left = min(0.9, *(float(x.min()) / found.edge for x in found.largest.values()))
    right = max(1.2, float(own[0]), *(float(x.max()) / found.edge for x in found.largest.values()))
    ax.set(xscale="log", xlim=(left / 1.05, 1.25 * right), ylim=(len(kinds) + 1.5, -0.7))
    ax.set_yticks(range(len(kinds) + 1), ["as it is", *(_ROWS[kind] for kind in kinds)])
    style.plain_log_ticks(ax.xaxis)
    seen = _seen(found)
    shares = ", ".join(f"{_ROWS[kind]} {found.rates[kind]:.0%}" for kind in kinds)
    told = "; ".join(f"{trap.where}, {trap.strength:.2f} times the edge" for trap in found.traps) or "none"
    rows, columns = found.shape
    description = (
        f"Largest eigenvalues of a {rows} by {columns} matrix over the edge of its noise, and the largest of "
        f"{count(found.shuffles, 'shuffle')} of each kind. Beyond the {found.level:.0%} threshold: {shares}. "
        f"Beyond the noise in the matrix: {told}."
    )
    xlabel = "eigenvalue over the upper edge of the noise"
    style.finish(ax, sentence(name, seen), xlabel, "", description, names=style.width_of("entries shuffled", SMALL))
    return ax


def _seen(found: Traps) -> str:
    first = max(found.surviving, key=lambda trap: trap.strength, default=None)
    if first is not None:
        verb = "survives" if found.num_traps == 1 else "survive"
        more = "" if found.num_traps == 1 else "the largest "
        return f"{count(found.num_traps, 'trap')} {verb} the shuffle, {more}{first.where}"
    if found.traps:
        return f"no trap survives the shuffle; beyond the noise is {found.traps[0].where.split(', gone')[0]}"
    return "no trap, and nothing beyond the noise"
