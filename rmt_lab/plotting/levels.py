"""Pictures of single levels: the spacings between them, how many lie in a window, and their paths in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import NullLocator
from scipy.special import gammaln, ndtr

from .._arrays import Array
from ..laws.spacings import SpacingLaw, number_variance, spacings, window_counts
from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL_SPACING = 0.25  # of the mean: what a title counts as small


def plot_spacings(s: npt.ArrayLike, ax: Axes | None = None, beta: float = 1.0) -> Axes:
    """Histogram of unfolded spacings over Wigner's surmise (real random matrix) and e^-s (independent levels).

    Parameters
    ----------
    s : array
        Of mean 1, as from ``laws.spacings.spacings``. Spacings are nearly independent, so that bins are Freedman &
        Diaconis'.
    ax : Axes, optional
    beta : float, default 1
        Repulsion of the law in red, see ``laws.spacings.SpacingLaw``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import gaussian_ensemble_eigenvalues
    >>> plot_spacings(spacings(gaussian_ensemble_eigenvalues(1000, rng=0)), Figure().subplots()).get_title("left")
    '4% of the spacings are below 0.25'
    """
    ax, s = style.new_axes(ax), np.asarray(s, dtype=np.float64)
    high = max(3.5, float(np.quantile(s, 0.995)))
    edges = style.bin_edges(s[s <= high], 0.0, high, width=style.free_width)
    heights, x = style.density(s, edges, len(s)), np.linspace(0, high, 200)
    style.bars(ax, heights, edges, label=f"{len(s)} spacings")
    name = "Wigner's surmise" if beta == 1 else f"β = {beta:.3g}"
    ax.plot(x, SpacingLaw(beta).pdf(x), color=style.NOISE, linewidth=2.5, label=name)
    ax.plot(x, SpacingLaw(0).pdf(x), "--", color=style.GUIDE, linewidth=2.2, label="independent")
    ax.set(xlim=(0, high), ylim=(0, 1.08 * max(1.0, heights.max())))
    seen = f"{np.mean(s < SMALL_SPACING):.0%} of the spacings are below {SMALL_SPACING}"
    xlabel = "spacing / mean spacing"
    style.finish(ax, seen, xlabel, "density", f"Histogram of spacings over {name} and exp(-s). {seen}.")
    return ax


def plot_counts(counts: npt.ArrayLike, width: float, n: int, ax: Axes | None = None, beta: float = 1.0) -> Axes:
    """How many levels windows hold, over the laws of independent levels and of a real random matrix.

    Of n independent levels a window of L mean spacings holds a binomial number, of variance L (1 - L/n). Of a random
    matrix it is nearly normal with the variance :func:`rmt_lab.laws.spacings.number_variance` (Costin & Lebowitz 1995,
    Phys. Rev. Lett. 75, 69).

    Parameters
    ----------
    counts : array of whole numbers
        As from ``laws.spacings.window_counts``.
    width : float
        Of the windows, L.
    n : int
        How many levels there are.
    ax : Axes, optional
    beta : float, default 1
        Repulsion of the law in red.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import gaussian_ensemble_eigenvalues
    >>> from rmt_lab.laws.spacings import window_counts
    >>> counts = window_counts(gaussian_ensemble_eigenvalues(1000, rng=0), width=10)
    >>> plot_counts(counts, 10, 1000, Figure().subplots()).get_title("left")
    'Windows of 10 hold 7 to 13 levels'
    """
    ax, counts = style.new_axes(ax), np.asarray(counts)
    spread = 3.5 * np.sqrt(width * (1 - width / n)) + 1
    low, high = max(0, int(width - spread)), int(width + spread) + 1
    k = np.arange(min(low, counts.min()), max(high, counts.max()) + 1)
    heights = np.bincount(counts - k[0], minlength=len(k)) / len(counts)
    style.bars(ax, heights, np.append(k, k[-1] + 1) - 0.5, label=style.count(len(counts), "window"))
    sd = np.sqrt(number_variance(width, beta))
    matrix = ndtr((k + 0.5 - width) / sd) - ndtr((k - 0.5 - width) / sd)
    p, name = width / n, "random matrix" if beta == 1 else f"β = {beta:.3g}"
    independent = np.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * np.log(p) + (n - k) * np.log1p(-p))
    ax.plot(k, matrix, "o-", color=style.NOISE, linewidth=2, markersize=5, label=name)
    ax.plot(k, independent, "s--", color=style.GUIDE, linewidth=1.8, markersize=4, label="independent")
    ax.set(xlim=(k[0] - 0.5, k[-1] + 0.5), ylim=(0, 1.08 * max(heights.max(), matrix.max())))
    seen = f"Windows of {width:g} hold {counts.min()} to {counts.max()} levels"
    description = f"Histogram of counts over those of a random matrix and of independent levels. {seen}."
    style.finish(ax, seen, "levels in a window", "share of the windows", description)
    return ax


def plot_paths(times: npt.ArrayLike, levels: Array, now: float, width: float, ax: Axes | None = None) -> Axes:
    """Paths of unfolded levels against time, around a window in the middle of the spectrum.

    Parameters
    ----------
    times : array of shape (T,)
        > 0, on a logarithmic axis.
    levels : array of shape (T, n)
        Unfolded: of mean spacing 1.
    now : float
        The time of a grey line; later parts of the paths are pale.
    width : float
        Of the window, in mean spacings.
    ax : Axes, optional

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> levels = np.arange(20) + np.array([[0.3], [0.5]])
    >>> plot_paths([0.1, 1.0], levels, 0.5, 10, Figure().subplots()).get_title("left")
    '10 in the window at first, 10 at last'
    """
    ax, times, levels = style.new_axes(ax), np.asarray(times, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    y = levels - levels.shape[1] / 2
    reach = max(0.7 * width, 3.0)
    near = y[:, (np.abs(y) < 1.1 * reach).any(axis=0)].T
    held = (np.abs(y) < width / 2).sum(axis=1)
    thin = min(1.8, 30 / max(width, 15))
    _plot_lines(ax, times, near, color=style.MEASURED, alpha=0.35, linewidth=thin, label="levels of one matrix")
    if now > times[0]:
        past = np.append(times[times < now], min(now, times[-1]))
        until = np.array([np.interp(np.log(past), np.log(times), path) for path in near])
        _plot_lines(ax, past, until, color=style.MEASURED, linewidth=thin)
    for edge, label in ((-width / 2, f"a window of {width:g}"), (width / 2, None)):
        ax.axhline(edge, color=style.GUIDE, linestyle="--", linewidth=1.8, zorder=3, label=label)
    style.guide(ax, now, "now", "left" if now > np.sqrt(times[0] * times[-1]) else "right")
    ax.set(xscale="log", xlim=(times[0], times[-1]), ylim=(-reach, reach))
    style.plain_log_ticks(ax.xaxis)
    ax.xaxis.set_minor_locator(NullLocator())  # ticks take longer to draw than the paths
    seen = f"{held[0]} in the window at first, {held[-1]} at last"
    description = f"Paths of levels around a window of {width:g} mean spacings against time. {seen}."
    style.finish(ax, seen, "time, in $1 / n$", "level / mean spacing", description)
    return ax


def _plot_lines(ax: Axes, x: Array, y: Array, **look: Any) -> None:
    """Each row of y against x, all in one line with gaps, which is drawn much faster than one line a row."""
    gap = np.full((len(y), 1), np.nan)
    ax.plot(np.tile(np.append(x, np.nan), len(y)), np.hstack([y, gap]).ravel(), **look)


REPULSION_SIZE = (10.0, 5.0)  # inches
REPULSION_VIEWS = ("spacings", "counts in windows")


def plot_repulsion(
    times: npt.ArrayLike,
    paths: Array,
    now: float,
    matrices: Array,
    law: Any,
    width: float = 10.0,
    view: str = REPULSION_VIEWS[0],
    fig: Figure | None = None,
) -> Figure:
    """Paths of the eigenvalues of one matrix, beside the spacings, or the counts in windows, of several at one time.

    Parameters
    ----------
    times : array of shape (T,)
    paths : array of shape (T, n)
        Eigenvalues at these times, as from ``ensembles.dyson``.
    now : float
        The time of the matrices, which is marked at the paths.
    matrices : array of shape (K, n)
        Eigenvalues of each matrix.
    law : object with a method ``cdf``
        Of the density of the eigenvalues, to unfold them with.
    width : float, default 10
        Of a window, in mean spacings.
    view : {"spacings", "counts in windows"}
    fig : Figure, optional

    Raises
    ------
    ValueError
        If the view is not known.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import dyson
    >>> from rmt_lab.laws import Semicircle
    >>> paths = dyson(Semicircle().rvs(100, rng=0), [1e-5, 1e-3, 10], rng=1)
    >>> fig = plot_repulsion([1e-5, 1e-3, 10], paths, 10, paths[-1:], Semicircle(), fig=Figure((10, 5)))
    >>> [ax.get_title("left") for ax in fig.axes]
    ['9 in the window at first, 11 at last', '8% of the spacings are below 0.25']
    """
    unfolded = len(paths[0]) * law.cdf(np.asarray(paths))
    return _beside(lambda ax: plot_paths(times, unfolded, now, width, ax), matrices, law, width, view, fig)


def plot_level_diagrams(levels: Array, width: float, ax: Axes | None = None) -> Axes:
    """Unfolded levels of several matrices side by side, each level a short line, around a window in the middle.

    Parameters
    ----------
    levels : array of shape (K, n)
        Unfolded: of mean spacing 1.
    width : float
        Of the window, in mean spacings.
    ax : Axes, optional

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> levels = np.arange(20.0) + np.array([[0.3], [0.5]])
    >>> plot_level_diagrams(levels, 10, Figure().subplots()).get_title("left")
    'The window holds 10 levels'
    """
    ax, levels = style.new_axes(ax), np.asarray(levels, dtype=np.float64)
    y = levels - levels.shape[1] / 2
    reach = max(0.7 * width, 3.0)
    for i, column in enumerate(y):
        near = column[np.abs(column) < reach]
        x = np.tile([i - 0.4, i + 0.4, np.nan], len(near))
        ax.plot(x, np.repeat(near, 3), color=style.MEASURED, linewidth=min(1.8, 30 / max(width, 15)))
    for edge, label in ((-width / 2, f"a window of {width:g}"), (width / 2, None)):
        ax.axhline(edge, color=style.GUIDE, linestyle="--", linewidth=1.8, zorder=3, label=label)
    ax.set(xscale="linear", xticks=[], xlim=(-0.6, len(y) - 0.4), ylim=(-reach, reach))
    held = (np.abs(y) < width / 2).sum(axis=1)
    low, high = held.min(), held.max()
    seen = f"The window holds {low}{'' if low == high else f' to {high}'} levels"
    description = f"Levels of {len(y)} matrices around a window of {width:g} spacings. {seen}."
    style.finish(ax, seen, "matrices, side by side", "level / mean spacing", description)
    return ax


def plot_temperature(
    matrices: Array,
    law: Any,
    beta: float,
    width: float = 10.0,
    view: str = REPULSION_VIEWS[0],
    fig: Figure | None = None,
) -> Figure:
    """Levels of several matrices of one repulsion, beside their spacings, or their counts in windows.

    Parameters
    ----------
    matrices : array of shape (K, n)
        Eigenvalues of each matrix, as from ``ensembles.laguerre_spectrum``.
    law : object with a method ``cdf``
        Of the density of the eigenvalues, to unfold them with.
    beta : float
        Repulsion, of the law in red.
    width : float, default 10
        Of a window, in mean spacings.
    view : {"spacings", "counts in windows"}
    fig : Figure, optional

    Raises
    ------
    ValueError
        If the view is not known.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import laguerre_spectrum
    >>> from rmt_lab.laws import HighTemperatureMarchenkoPastur
    >>> x = [laguerre_spectrum(200, 100, beta=0.1, rng=i).eigenvalues for i in range(5)]
    >>> fig = plot_temperature(np.array(x), HighTemperatureMarchenkoPastur(Q=2, c=5), 0.1, fig=Figure((10, 5)))
    >>> len(fig.axes)
    2
    """
    unfolded = len(matrices[0]) * law.cdf(np.asarray(matrices))
    return _beside(lambda ax: plot_level_diagrams(unfolded, width, ax), matrices, law, width, view, fig, beta)


def _beside(
    draw: Callable[[Axes], Axes],
    matrices: Array,
    law: Any,
    width: float,
    view: str,
    fig: Figure | None,
    beta: float = 1.0,
) -> Figure:
    """What ``draw`` draws, and beside it the spacings, or the counts in windows, of the matrices."""
    if view not in REPULSION_VIEWS:
        raise ValueError(f"view={view!r}; allowed are {', '.join(map(repr, REPULSION_VIEWS))}")
    fig = fig or style.new_figure(REPULSION_SIZE, layout=None)
    left, right = style.panels(fig, 1, 1)
    draw(left)
    if view == REPULSION_VIEWS[0]:
        plot_spacings(np.concatenate([spacings(x, law) for x in matrices]), right, beta)
    else:
        counts = np.concatenate([window_counts(x, width, law) for x in matrices])
        plot_counts(counts, width, len(matrices[0]), right, beta)
    for ax in (left, right):
        ax.set_title(ax.get_title("left"), loc="left", fontsize=style.TITLE, pad=44)
    return fig
