"""The look that all pictures share: colours that mean something, bins by the data, labelled guides, a text for each.

Nothing here touches matplotlib's global settings, and pyplot is imported only where a picture has to open its own
figure.
"""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from .._arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: The colours and what they mean. They differ in lightness as much as in hue, so that they stay apart for a reader who
#: does not see red or green, and on a black-and-white printer.
PALETTE = {
    "measured": "#2a76b8",  # blue
    "noise": "#a80f28",  # red: Marchenko-Pastur, shuffled weights
    "fit": "#d98400",  # orange: the power law
    "outlier": "#4f1591",  # violet: fingers and spikes
    "guide": "#5f5f5f",  # grey: edges, xmin, xmax
}
MEASURED, NOISE, FIT, OUTLIER, GUIDE = PALETTE.values()
#: One look a model, all of them measured: blue, told apart by lightness, line and hatch.
MODELS = (
    {"color": MEASURED, "linestyle": "-", "hatch": ""},
    {"color": "#123250", "linestyle": "--", "hatch": "//"},
    {"color": "#5fa8e0", "linestyle": "-.", "hatch": ".."},
    {"color": "#1d5487", "linestyle": ":", "hatch": "xx"},
)
FIGSIZE = (8.0, 5.0)  # inches; with these letters legible at half a projector's width
TITLE, LABEL, SMALL, GRID = 15.0, 13.5, 12.0, 11.0  # points
EIGENVALUE = "eigenvalue λ of $W^T W / N$"
SINGULAR_VALUE = "singular value $s$ of $W$"
_LETTER = 0.5  # width of a letter over its size, on average
_MOST_BINS = 200
_OUTLINED = [withStroke(linewidth=3, foreground="white")]  # text stays legible where it crosses a curve
_descriptions: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def alt_text(drawn: Any) -> str:
    """What a picture shows, in plain words: its text alternative.

    Parameters
    ----------
    drawn : Axes or Figure
        What a function of :mod:`rmt_lab.plotting` returned, or a figure that holds several of them.

    Returns
    -------
    str
        Empty if nothing here was drawn by this library.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.plotting import plot_tail
    >>> alt_text(plot_tail([1.0, 2.0, 4.0], ax=Figure().subplots()))[:55]
    'Fraction of 3 values at or above x, both axes logarithm'
    """
    parts = [drawn, *getattr(drawn, "axes", [])] if hasattr(drawn, "savefig") else [drawn]
    return " ".join(dict.fromkeys(_descriptions[p] for p in parts if p in _descriptions))


def remember(drawn: Any, description: str) -> None:
    """Keep a picture's description for as long as the picture lives."""
    _descriptions[drawn] = description.replace("α", "alpha").replace(" ± ", " plus or minus ")


def new_axes(ax: Axes | None) -> Axes:
    """The Axes given, or those of a new pyplot figure."""
    return new_figure(FIGSIZE).subplots() if ax is None else ax


def new_figure(size: tuple[float, float], layout: Literal["constrained"] | None = "constrained") -> Figure:
    """A figure that pyplot knows, so that a notebook shows it by itself; ``layout=None`` for one with fixed margins."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout=layout)


def stacked(ax: Axes) -> tuple[Axes, Axes]:
    """Two Axes, one above the other with a common x axis, in the place of one, which becomes the upper."""
    spec, box = ax.get_subplotspec(), ax.get_position()
    if spec is None:
        height = 0.47 * box.height
        ax.set_position((box.x0, box.y1 - height, box.width, height))
        return ax, ax.figure.add_axes((box.x0, box.y0, box.width, height), sharex=ax)
    rows = spec.subgridspec(2, 1, hspace=0.08)
    ax.set_subplotspec(rows[0])
    return ax, ax.figure.add_subplot(rows[1], sharex=ax)


def finish(ax: Axes, title: str, xlabel: str, ylabel: str, description: str) -> None:
    """Title, legend above the axes, axis labels, letters that can be read from the last row, and the description."""
    # points; a layout engine makes the Axes a bit wider, or has done so already; the figure's own width is the limit
    width = min(ax.bbox.width * 84, ax.figure.bbox.width * 67.3) / ax.figure.dpi
    handles, labels = ax.get_legend_handles_labels()
    labels = [wrap(label, width - 55, SMALL) for label in labels]
    columns = _columns([_width(label, SMALL) + 60 for label in labels], width)
    lines = max((sum(label.count("\n") + 1 for label in c) for c in np.array_split(labels, columns)), default=0)
    if labels:
        legend = ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=SMALL, frameon=False,
            borderaxespad=0.3, columnspacing=1.4, handlelength=2.2, labelspacing=0.3,
        )  # fmt: skip
        legend.set_in_layout(False)  # the title leaves it its room; a layout engine would squeeze the Axes instead
    ax.set_title(wrap(title, width, TITLE), loc="left", fontsize=TITLE, pad=8 + lines * SMALL * 1.5)
    ax.set_xlabel(xlabel, fontsize=LABEL)
    ax.set_ylabel(ylabel, fontsize=LABEL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    remember(ax, description)


def _columns(widths: list[float], available: float) -> int:
    """The most columns in which entries of these widths fit side by side."""
    for n in range(len(widths), 1, -1):
        if sum(column.max() for column in np.array_split(widths, n)) <= available:  # as a legend fills its columns
            return n
    return 1


def _width(text: str, size: float) -> float:
    """About how wide the widest line of a text is, in points."""
    return max(map(len, text.split("\n"))) * _LETTER * size


def wrap(text: str, width: float, size: float) -> str:
    """Break text so that letters of this size (points) fit into the width (points)."""
    return textwrap.fill(text, max(16, int(width / (_LETTER * size))), break_on_hyphens=False)


def bin_edges(values: Array, low: float, high: float) -> Array:
    """Edges low .. high of bins as wide as Freedman & Diaconis (1981) say: 2 IQR n^(-1/3), IQR and n of the values.

    Where half of all values are equal the IQR says nothing, and Sturges' log2(n) + 1 bins stand in. At most 200 bins.
    """
    if not high > low:
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    q25, q75 = np.quantile(values, [0.25, 0.75]) if len(values) else (0.0, 0.0)
    width = 2 * (q75 - q25) * max(len(values), 1) ** (-1 / 3)
    bins = (high - low) / width if width * _MOST_BINS > high - low else math.log2(max(len(values), 1)) + 1
    return np.linspace(low, high, max(1, math.ceil(bins)) + 1)


def density(values: Array, edges: Array, total: int) -> Array:
    """Heights of a histogram whose area is the fraction of ``total`` values that lie between the edges."""
    counts, _ = np.histogram(values, edges)
    return counts / (total * np.diff(edges))


def view(values: Array, low: float, high: float) -> tuple[float, float]:
    """The part of the axis to draw: low .. high and the values around it, though not everything that is far out.

    Values farther than one width below or two above low .. high are left out, unless they are more than one in twenty.
    """
    width, (q05, q95) = high - low, np.quantile(values, [0.05, 0.95])
    start, end = max(values.min(), min(q05, low - width)), min(values.max(), max(q95, high + 2 * width))
    return min(start, low), max(end, high)


def guide(ax: Axes, x: float, label: str, side: str = "left", end: str = "top") -> None:
    """A grey vertical line with its label along it, on the left or the right, at the top or the bottom end."""
    ax.axvline(x, color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
    ax.annotate(
        label, (x, float(end == "top")), xycoords=("data", "axes fraction"), textcoords="offset points", rotation=90,
        xytext=(-3 if side == "left" else 3, -4 if end == "top" else 5), ha="right" if side == "left" else "left",
        va=end, fontsize=SMALL, color=GUIDE, path_effects=_OUTLINED, annotation_clip=True,
    )  # fmt: skip


def level(ax: Axes, y: float, label: str) -> None:
    """A grey horizontal line with its label over its right end."""
    ax.axhline(y, color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
    ax.annotate(label, (1, y), xycoords=("axes fraction", "data"), xytext=(-3, 3), textcoords="offset points",
                ha="right", fontsize=SMALL, color=GUIDE, path_effects=_OUTLINED)  # fmt: skip


def beyond(ax: Axes, text: str, y: float = 0.3, size: float = SMALL) -> None:
    """Say at the right margin what lies outside of the picture, with an arrow that points there."""
    ax.text(0.995, y, f"{text} →", transform=ax.transAxes, va="bottom", ha="right", fontsize=size, color=OUTLIER,
            path_effects=_OUTLINED)  # fmt: skip


def outliers(ax: Axes, x: Array, label: str | None = None, size: float = 9.0) -> None:
    """Violet triangles that stand on the axis, one for each outlier; small ones where they crowd."""
    crowd = len(x) > 20
    ax.plot(x, np.full(len(x), 0.025), linestyle="none", marker="^", markersize=size * (0.6 if crowd else 1),
            color=OUTLIER, label=label, transform=ax.get_xaxis_transform(), zorder=4)  # fmt: skip


def plain_log_ticks(axis: Any) -> None:
    """Plain numbers on a logarithmic axis: 1, 2, 5 of every decade, or what suits the span."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    sparse = LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,))
    axis.set_major_locator(sparse if decades > 1 else MaxNLocator(4))
    axis.set_minor_locator(LogLocator(subs=range(2, 10)) if 1 < decades < 8 else NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: _plain(x)))
    axis.set_minor_formatter(NullFormatter())


def _plain(x: float) -> str:
    if 1e-4 <= x < 1e5 or x == 0:
        return f"{x:g}"
    digits, exponent = f"{x:.0e}".split("e")
    return f"${digits} \\cdot 10^{{{int(exponent)}}}$".replace("1 \\cdot ", "")


def bars(ax: Axes, heights: Array, edges: Array, label: str | None = None) -> None:
    """A histogram of what was measured: filled blue steps with an outline."""
    ax.stairs(heights, edges, fill=True, facecolor=MEASURED, alpha=0.45, label=label)
    ax.stairs(heights, edges, color=MEASURED, linewidth=1.2)


def count(n: int, noun: str) -> str:
    """``"1 spike"``, ``"3 spikes"``, ``"no spike"``."""
    return f"{n or 'no'} {noun}" + ("s" if n > 1 else "")


def sentence(name: str, text: str) -> str:
    """``"block 3 query: 3 spikes ..."``, or the text alone with a capital."""
    return f"{name}: {text}" if name else text if text.startswith("α") else text[:1].upper() + text[1:]


def axes(fig: Figure) -> Axes:
    """The only Axes of a figure, emptied, with fixed margins."""
    return panels(fig, 1)[0]


def panels(fig: Figure, *widths: float) -> list[Axes]:
    """Axes side by side, of these relative widths, emptied, with fixed margins.

    Axis and ticks stay, which take matplotlib as long to make as all else; a layout engine would take longer than both.
    So have the labels: to look for room beside the ticks takes time, and a label that moves draws the eye.
    """
    if len(fig.axes) != len(widths):
        fig.clear()
        fig.subplots_adjust(left=0.92 / fig.get_figwidth(), right=0.98, bottom=0.13, top=0.8, wspace=0.3)
        for ax in np.atleast_1d(fig.subplots(1, len(widths), width_ratios=widths)):
            ax.locator_params(nbins=5)
            width, height = ax.get_position().size * fig.get_size_inches()
            ax.xaxis.set_label_coords(0.5, -0.34 / height)
            ax.yaxis.set_label_coords(-0.7 / width, 0.5)
    for ax in fig.axes:
        for artist in [*ax.lines, *ax.patches, *ax.collections, *ax.texts, *ax.child_axes, ax.get_legend()]:
            if artist:
                artist.remove()
        ax.relim()
        ax.set_autoscale_on(True)
    return fig.axes
