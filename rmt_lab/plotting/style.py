"""The look that all pictures share: colours that mean something, bins by the data, labelled guides, a text for each.

Nothing here touches matplotlib's global settings, and pyplot is imported only where a picture has to open its own
figure.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D
from matplotlib.markers import TICKUP
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from .._arrays import Array

if TYPE_CHECKING:
    from matplotlib.artist import Artist
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
#: One look per model, all of them measured: blue, told apart by lightness, line and hatch.
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
MOST_TRIANGLES = 20
OUTLINED = [withStroke(linewidth=3, foreground="white")]  # text stays legible where it crosses a curve
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


def finish(ax: Axes, title: str, xlabel: str, ylabel: str, description: str, names: float = 0.0) -> None:
    """Title, legend above the axes, axis labels, letters that can be read from the last row, and the description.

    ``names``: how many points the names at the y axis take, where these are longer than numbers.
    """
    # points; a layout engine makes the Axes a bit wider, or has done so already; the figure's own width is the limit
    width = min(ax.bbox.width * 84, ax.figure.bbox.width * 67.3) / ax.figure.dpi - names
    handles, labels = legend_entries(ax)
    labels = [wrap(label, width - 55, SMALL) for label in labels]
    columns = columns_of(labels, width)
    lines = max((sum(label.count("\n") + 1 for label in c) for c in np.array_split(labels, columns)), default=0)
    if labels:
        legend = ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=SMALL, frameon=False,
            borderaxespad=0.3, columnspacing=1.4, handlelength=2.2, labelspacing=0.3,
        )  # fmt: skip
        legend.set_in_layout(False)  # the title leaves it its room; a layout engine would squeeze the Axes instead
    title = wrap(title, 0.94 * width, TITLE)  # letters are wider where pixels are few
    ax.set_title(title, loc="left", fontsize=TITLE, pad=8 + lines * SMALL * 1.5)
    ax.set_xlabel(xlabel, fontsize=LABEL)
    ax.set_ylabel(ylabel, fontsize=LABEL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    remember(ax, description)


def legend_entries(*axes: Axes) -> tuple[list[Artist], list[str]]:
    """Handles and labels, each label once; ticks that stand on an axis stand in the middle of a legend's line."""
    entries = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    for label, h in entries.items():
        if isinstance(h, Line2D) and h.get_marker() == TICKUP:
            length = min(0.9 * SMALL, h.get_markersize())
            entries[label] = Line2D([], [], linestyle="none", marker="|", color=h.get_color(), markersize=length,
                                    markeredgewidth=h.get_markeredgewidth())  # fmt: skip
    return list(entries.values()), list(entries)


def columns_of(labels: list[str], available: float) -> int:
    """The most columns of a legend in which these labels and their handles fit side by side."""
    widths = [width_of(label, SMALL) + 60 for label in labels]
    for n in range(len(widths), 1, -1):
        if sum(column.max() for column in np.array_split(widths, n)) <= available:  # as a legend fills its columns
            return n
    return 1


def width_of(text: str, size: float) -> float:
    """About how wide the widest line of a text is, in points."""
    return max(map(len, text.split("\n"))) * _LETTER * size


def wrap(text: str, width: float, size: float) -> str:
    """Break text so that letters of this size (points) fit into the width (points)."""
    return textwrap.fill(text, max(16, int(width / (_LETTER * size))), break_on_hyphens=False)


#: What a plot with bars takes: nothing (the rule), a number of bins, or their edges.
Bins = int | npt.ArrayLike | None


def free_width(values: Array) -> float:
    """Width of bins for independent values: 2 IQR n^(-1/3) (Freedman & Diaconis 1981)."""
    q25, q75 = np.quantile(values, [0.25, 0.75]) if len(values) else (0.0, 0.0)
    return float(2 * (q75 - q25) * max(len(values), 1) ** (-1 / 3))


def rigid_width(values: Array) -> float:
    """Width of bins for the values of one spectrum, ascending: see :func:`spectrum_bins`."""
    half = len(values) // 2
    return 2 * float((values[half:] - values[: len(values) - half]).min()) / math.sqrt(len(values)) if half else 0.0


def bin_edges(
    values: Array, low: float, high: float, bins: Bins = None, width: Callable[[Array], float] = rigid_width
) -> Array:
    """Edges low .. high of equal bins: as many as given, the edges that were given, or bins of the width of the rule.

    Where half of all values are equal a rule has no width, and Sturges' log2(n) + 1 bins stand in. At most 200 bins.
    """
    if not high - low > 1e-9 * abs(high):
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    if bins is None:
        wide = width(values)
        if not wide:
            bins = math.ceil(math.log2(max(len(values), 1)) + 1)
        else:
            bins = _MOST_BINS if wide * _MOST_BINS < high - low else math.ceil((high - low) / wide)
    given = np.asarray(bins, dtype=np.float64)
    if given.ndim == 0 and given >= 1 and given == int(given):
        return np.linspace(low, high, int(given) + 1)
    if given.ndim != 1 or len(given) < 2 or not (np.diff(given) > 0).all():
        raise ValueError(f"bins={bins!r}; a number of bins >= 1 or ascending edges are needed")
    return given


def num_single(values: Array) -> int:
    """How many of the largest of these singular values, ascending, stand alone; see :func:`spectrum_bins`."""
    width = rigid_width(values)
    near = np.flatnonzero(values[2:] - values[:-2] < width)
    end = int(near[-1]) + 2 if len(near) else len(values)  # the last value that has two others close to it
    gaps = np.flatnonzero(np.diff(values[end:]) > 2 * width)
    return len(values) - (end + 1 + int(gaps[0])) if len(gaps) else 0


def spectrum_bins(values: npt.ArrayLike, log: bool = False) -> Array:
    """Edges of bins for the eigenvalues or singular values of one matrix; single large values lie beyond the last edge.

    The width is 2 H n^(-1/2). H is the length of the shortest interval that holds half of the n values (the shorth,
    Rousseeuw & Leroy 1988): it follows the densest part, and values far out do not move it. The exponent balances two
    errors. The slope within a bin of width h costs ~ h^2. Independent values cost ~ 1/(n h) more, which is least at
    h ~ n^(-1/3), the rule of Freedman & Diaconis (1981). Eigenvalues repel each other, the number in a bin varies by
    about one whatever its mean, and the second error is ~ 1/(n h)^2.

    Measured by the integrated squared error of the density: at most 1.9 times that of the best number of bins, for
    Gaussian matrices and matrices with correlated columns, M = 100 .. 1000, Q = 1 .. 16, eigenvalues and singular
    values. Freedman & Diaconis' bins reach 9 times in Gaussian matrices (M = 1000, Q = 1.2, eigenvalues).

    Single values lie beyond a gap of more than two bins, and no three of them lie within one bin: bars would hide them;
    draw them as ticks. They are looked for among the square roots of positive values, because the singular values of
    noise thin out towards their edge less than its eigenvalues do. None of 3600 Gaussian matrices with M = 10 .. 1000
    and Q = 1 .. 8 had one.

    Parameters
    ----------
    values : array_like
        Of one spectrum, in any order.
    log : bool
        Bins of equal width in log(values), for a logarithmic axis.

    Raises
    ------
    ValueError
        If there is no value, or one is not finite, or not positive with ``log``.

    Examples
    --------
    >>> import numpy as np
    >>> from rmt_lab.ensembles import gaussian_spectrum
    >>> x = np.append(gaussian_spectrum(800, 400, rng=0).eigenvalues, 5.0)
    >>> edges = spectrum_bins(x)
    >>> len(edges) - 1, int(sum(x > edges[-1]))
    (38, 1)
    """
    x = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not len(x) or not np.isfinite(x).all():
        raise ValueError(f"values={x!r}; at least one is needed, and all must be finite")
    if log and x[0] <= 0:
        raise ValueError(f"values start at {x[0]:.3g}; log=True needs positive ones")
    x = x[: len(x) - num_single(np.sqrt(x) if x[0] >= 0 else x)]
    return np.exp(_rule(np.log(x))) if log else _rule(x)


def _rule(x: Array) -> Array:
    return bin_edges(x, float(x[0]), float(x[-1]))


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
        va=end, fontsize=SMALL, color=GUIDE, path_effects=OUTLINED, annotation_clip=True,
    )  # fmt: skip


def guides(ax: Axes, lines: Mapping[str, float], top: float) -> None:
    """Grey vertical lines by their labels, which stand side by side in rows above ``top``, the top of what is drawn.

    Call it when the x axis has its limits; it sets those of the y axis, which begins at 0.
    """
    wide, high = (72 * side / ax.figure.dpi for side in (ax.bbox.width, ax.bbox.height))  # points
    start, end = ax.get_xlim()
    axis = ax.xaxis.get_transform().transform
    share = {label: np.diff(axis([start, x, end])) for label, x in lines.items() if start <= x <= end}
    at = {label: float(wide * left / (left + right)) for label, (left, right) in share.items()}
    rows: list[list[tuple[float, float]]] = [[] for _ in at]
    for label, x in at.items():
        ax.axvline(lines[label], color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
        left, row = _place(
            x, 1.08 * width_of(label, SMALL) + 4, wide, rows, [other for other in at.values() if other != x]
        )
        ax.annotate(
            label, (lines[label], 1), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
            xytext=(-4 if left else 4, -3 - 1.25 * SMALL * row), ha="right" if left else "left",
            fontsize=SMALL, color=GUIDE, path_effects=OUTLINED, annotation_clip=True,
        )  # fmt: skip
    room = (5 + 1.25 * SMALL * sum(map(bool, rows))) / (0.8 * high)
    ax.set_ylim(0, 1.03 * top / (1 - min(room, 0.5)) or 1)


def _place(
    x: float, size: float, width: float, rows: list[list[tuple[float, float]]], others: list[float]
) -> tuple[bool, int]:
    """Left or right of x, and in which row, a label of this size hits no other; better, it crosses no line either."""
    sides = {left: (x - size, x) if left else (x, x + size) for left in (True, False)}
    for lines in (others, []):
        for row, taken in enumerate(rows):
            for left, (a, b) in sides.items():
                hits = any(a < d and c < b for c, d in taken) or any(a < line < b for line in lines)
                if a >= 0 and b <= width + 8 and not hits:
                    taken.append((a, b))
                    return left, row
    rows[-1].append(sides[x > width / 2])
    return x > width / 2, len(rows) - 1


def level(ax: Axes, y: float, label: str, at: Literal[0, 1] = 1) -> None:
    """A grey horizontal line with its label over its right end, or over its left one (``at`` = 0)."""
    ax.axhline(y, color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
    ax.annotate(
        label, (at, y), xycoords=("axes fraction", "data"), xytext=(3 - 6 * at, 3), textcoords="offset points",
        ha="right" if at else "left", fontsize=SMALL, color=GUIDE, path_effects=OUTLINED,
    )  # fmt: skip


def beyond(ax: Axes, text: str, y: float = 0.3, size: float = SMALL) -> None:
    """Say at the right margin what lies outside of the picture, with an arrow that points there."""
    ax.text(0.995, y, f"{text} →", transform=ax.transAxes, va="bottom", ha="right", fontsize=size, color=OUTLIER,
            path_effects=OUTLINED)  # fmt: skip


def outliers(ax: Axes, x: Array, label: str | None = None, size: float = 9.0) -> None:
    """Violet triangles that stand on the axis, one for each outlier; short ticks where they crowd."""
    if len(x) > MOST_TRIANGLES:
        short_ticks(ax, x, label, 0.6 * size)
        return
    ax.plot(x, np.full(len(x), 0.025), linestyle="none", marker="^", markersize=size,
            color=OUTLIER, label=label, transform=ax.get_xaxis_transform(), zorder=4)  # fmt: skip


def short_ticks(ax: Axes, x: Array, label: str | None = None, size: float = 5.0, width: float = 1.0) -> None:
    """Violet ticks that stand on the axis, of this length and width in points."""
    ax.plot(x, np.zeros(len(x)), linestyle="none", marker=TICKUP, markersize=size, markeredgewidth=width,
            color=OUTLIER, label=label, transform=ax.get_xaxis_transform(), zorder=4)  # fmt: skip


def single_ticks(ax: Axes, x: Array, label: str | None = None, size: float = 15.0) -> None:
    """Tall violet ticks on the axis, one for each single value; see :func:`spectrum_bins`."""
    if len(x):
        short_ticks(ax, x, label, size, 1.6)


def plain_log_ticks(axis: Any) -> None:
    """Plain numbers on a logarithmic axis: 1, 2, 5 of each decade, or what suits the span."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    subs = (1,) if decades > 2.5 else (1, 2, 5) if decades > 1 else (1, 2, 3, 5, 7)
    powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    inside = np.count_nonzero((low <= np.outer(powers, subs)) & (np.outer(powers, subs) <= high))
    axis.set_major_locator(LogLocator(subs=subs) if decades > 1 or inside > 2 else MaxNLocator(4))
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


def outline(ax: Axes, values: Array, edges: Array, total: int, label: str) -> Array:
    """A histogram of noise over the bars of what was measured: a red dashed outline. Returns its heights."""
    heights = density(values, edges, total)
    end = int(np.flatnonzero(heights)[-1]) + 1 if heights.any() else 1
    ax.stairs(heights[:end], edges[: end + 1], color=NOISE, linestyle=(0, (5, 1)), linewidth=1.6, label=label, zorder=3)
    return heights


class Drawn(NamedTuple):
    """What :func:`spectrum_bars` has drawn: heights and edges of the bars, and the values that stand alone."""

    heights: Array
    edges: Array
    single: Array


def spectrum_bars(ax: Axes, values: Array, single: int, edges: Array, total: int, label: str | None = None) -> Drawn:
    """The histogram of a spectrum, ascending, on the edges of the whole picture, without its largest single values.

    The area of the bars is the fraction of ``total`` values that they stand for; :func:`single_ticks` draws the others.
    """
    dense = values[: len(values) - single]
    if len(dense):  # no baseline beyond the last bar
        edges = edges[: max(2, int(np.searchsorted(edges, dense[-1])) + 1)]
    heights = density(dense, edges, total)
    bars(ax, heights, edges, label)
    return Drawn(heights, edges, values[len(dense) :])


def stand_alone(n: int) -> str:
    """``""``, or ``"; 3 values stand alone beyond the bars"``, for a description."""
    return f"; {count(n, 'value')} stand{'s' * (n == 1)} alone beyond the bars" if n else ""


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
