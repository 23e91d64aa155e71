"""Pictures of whole models: the spectra of many layers side by side, and their exponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from .._arrays import Array
from ..spectrum import Spectrum
from ..weights.roles import ROLES
from . import style
from .spectra import Null, noise_behind, values_above_zero
from .style import GRID, LABEL, MEASURED, NOISE, OUTLIER, SMALL, TITLE, Bins, count, sentence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: How WeightWatcher reads an alpha. It is no statement about noise: where that falls depends on the size of the matrix.
_READINGS = {2: "2, below: “over-trained”", 6: "6, above: “under-trained”"}


def plot_layer_grid(
    spectra: Sequence[Spectrum],
    nulls: Sequence[Null | None] | None = None,
    titles: Sequence[str] | None = None,
    fig: Figure | None = None,
    bins: Bins = None,
    noise: str = "noise",
) -> Figure:
    """Singular values of many layers, one small panel each on common axes, every one over its null.

    Bars have the area of what they stand for. Short violet ticks are values beyond the noise, tall ones single values,
    whose number and largest are told. Values outside of the picture are told with an arrow.

    Parameters
    ----------
    spectra : sequence of Spectrum
    nulls : sequence, optional
        One for each layer: a Spectrum (shuffled weights, a Gaussian matrix of the same shape), whose histogram is
        outlined in red, a law or a bulk fit, drawn as a red curve, or None.
    titles : sequence of str, optional
        Default: the names of the spectra; the words in which all of them end go to the title of the figure.
    fig : Figure, optional
        Where to draw; by default a pyplot figure of a size that suits the number of panels.
    bins : int or array_like, optional
        Number of bins of the picture or their edges, the same in all panels; default: those of each layer, see
        :func:`spectrum_bins`.
    noise : str
        What the nulls are, in the words of the legend: "Gaussian noise, same shape and variance", "entries shuffled",
        "signs flipped".

    Returns
    -------
    Figure
        Its Axes are ``fig.axes``, in the order of the spectra.

    Raises
    ------
    ValueError
        If there are no spectra, or not as many nulls or titles as spectra.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> layers, nulls = ([gaussian_spectrum(200, 100, rng=i) for i in j] for j in (range(6), range(6, 12)))
    >>> fig = plot_layer_grid(layers, nulls, fig=Figure())
    >>> len(fig.axes)
    6
    """
    spectra, n = list(spectra), len(spectra)
    nulls = [None] * n if nulls is None else list(nulls)
    titles, role = _panel_titles([s.name for s in spectra]) if titles is None else (list(titles), "")
    if not n or not n == len(nulls) == len(titles):
        raise ValueError(
            f"{n} spectra, {len(nulls)} nulls, {len(titles)} titles; one of each is needed for every layer"
        )
    columns = n if n < 4 else min((round((1.3 * n) ** 0.5) + i for i in (0, 1)), key=lambda c: (-n % c, c))
    rows = -(-n // columns)
    if fig is None:
        width = max(min(max(10.2 / columns, 1.75), 3.4), 6.4 / columns)
        fig = style.new_figure((width * columns, max(0.6 * width, 1.2) * rows + 1.5))
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    room = 0.84 * fig.bbox.width / fig.dpi * 72 / columns  # points across a panel
    measured = [values_above_zero(s, True) for s in spectra]
    noises = [noise_behind(s, null, True) if null else None for s, null in zip(spectra, nulls, strict=True)]
    low, high = _common_axis([*measured, *(np.array(x.edges) for x in noises if x)])
    drawn, behinds = [], []
    for ax, s, null, behind, values, title in zip(grid, spectra, nulls, noises, measured, titles, strict=False):
        edges = style.bin_edges(values, low, high, bins)
        alone = style.num_single(values)
        drawn.append(style.spectrum_bars(ax, values, alone, edges, len(s.singular_values), "measured"))
        if isinstance(null, Spectrum):
            heights = style.outline(ax, values_above_zero(null, True), edges, len(null.singular_values), noise)
            behinds.append((edges[1:], heights))
        elif behind:
            ax.plot(behind.x, behind.density, color=NOISE, linewidth=2, label=noise)
            behinds.append((behind.x, behind.density))
        else:
            behinds.append((edges[1:], np.zeros(1)))
        if behind and len(behind.spikes):
            style.short_ticks(ax, behind.spikes, "beyond the noise", 6)
        style.single_ticks(ax, drawn[-1].single, "single value", size=14)
        ax.set_title(style.wrap(title, room, GRID), loc="left", fontsize=GRID, pad=3)
        ax.tick_params(labelsize=GRID)
        ax.spines[["top", "right"]].set_visible(False)
    beyond = [len(x.spikes) > 0 for x in noises if x]
    for ax in grid[n:]:
        ax.remove()
    for ax in grid[max(n - columns, 0) : n]:  # also those above a missing panel
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(style.SINGULAR_VALUE, fontsize=GRID)
    tops = [d.heights.max() for d in drawn]
    top = 1.15 * min(max(tops), 2 * float(np.median(tops))) or 1
    grid[0].set(xlim=(low, high), ylim=(0, top))
    for ax, d, (x, law), values in zip(grid, drawn, behinds, measured, strict=False):
        cut = d.heights.max() > top
        for right, heights, color in ((d.edges[1:], d.heights, MEASURED), (x, law, NOISE)):
            if heights.max() > top:  # told at the right of what does not fit
                ax.annotate(
                    f"↑ {heights.max():.2g}", (float(right[np.flatnonzero(heights > top)[-1]]), 1), va="top",
                    xycoords=("data", "axes fraction"), xytext=(3, -2), textcoords="offset points",
                    fontsize=GRID, color=color,
                )  # fmt: skip
        _tell_single(ax, values, len(d.single), high, columns > 4, 0.76 if cut else 0.97)
    if beyond:
        seen = f"in {sum(beyond)} of {count(len(beyond), 'layer')} singular values stand beyond the noise"
    else:
        ends = [float(v[-1]) for v in measured if len(v)] or [0.0]
        seen = f"the largest singular values of {count(n, 'layer')} are {min(ends):.3g} to {max(ends):.3g}"
    handles, labels = style.legend_entries(*grid[:n])
    wide = 0.97 * fig.bbox.width / fig.dpi * 72
    title = style.wrap(sentence(role, seen), wide, TITLE)
    fig.suptitle(title, x=0.01, ha="left", fontsize=TITLE)
    fig.supylabel("density", fontsize=LABEL)
    fig.legend(handles, labels, loc="outside lower center", fontsize=SMALL, frameon=False,
               ncols=style.columns_of(labels, wide), columnspacing=1.4)  # fmt: skip
    alone = sum(len(d.single) for d in drawn)
    words = f"Histograms of the singular values of {count(n, 'layer')}, one panel each{style.stand_alone(alone)}"
    style.remember(fig, f"{words}. {sentence(role, seen)}.")
    return fig


def _common_axis(values: list[Array]) -> tuple[float, float]:
    """From the smallest value to the largest, if that is less than twice the 99 % quantile of all; or to that."""
    pooled = np.concatenate(values)
    if not len(pooled):
        return 0.0, 1.0
    low, high, most = float(pooled.min()), 1.04 * float(pooled.max()), 2 * float(np.quantile(pooled, 0.99))
    high = min(high, most)
    return low, high if high > low else low + 1


def _tell_single(ax: Axes, values: Array, single: int, high: float, short: bool, y: float) -> None:
    """The number of single values and the largest, with an arrow if that is outside of the picture."""
    out = np.count_nonzero(values > high)
    if not single and not out:
        return
    n, what = max(single, out), "" if short else " single" if single >= out else " more"
    words = f"{n}{what} at" if n == 1 else f"{n}{what}{',' * bool(what)} up to"
    words += f" {values[-1]:.3g}{' →' * bool(out)}"
    ax.text(0.99, y, words, transform=ax.transAxes, ha="right", va="top", fontsize=GRID, color=OUTLIER)


def _panel_titles(names: list[str]) -> tuple[list[str], str]:
    """Short titles for panels, and the words in which all names end: "block 0", "block 1" and "query"."""
    words = [name.split() for name in names]
    common: list[str] = []
    while len(words) > 1 and all(len(w) > 1 and w[-1] == words[0][-1] for w in words):
        common = [words[0][-1], *common]
        words = [w[:-1] for w in words]
    return [" ".join(w) or f"layer {i}" for i, w in enumerate(words)], " ".join(common)


def plot_alphas(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame],
    ax: Axes | None = None,
    by_depth: bool = False,
    bins: Bins = None,
) -> Axes:
    """The exponents of a model's layers, or of several models: their histograms, or each layer against its depth.

    The grey lines are WeightWatcher's: below 2 it calls a layer over-trained, above 6 under-trained. Histograms have
    area one, less the layers that are counted at the margin, and common bins. More than two are told apart better by
    :func:`plot_ecdf`; :func:`plot_pairs` shows two exponents of each layer.

    Parameters
    ----------
    tables : DataFrame or mapping of str to DataFrame
        Tables of :func:`rmt_lab.analyze` by the name of their model; column ``alpha``, for the depth also ``block`` and
        ``role``. Layers without an alpha are left out, and against depth those outside of any block.
        ``{"raw": t.assign(alpha=t.raw_alpha), "fixed": t}`` compares before and after.
    ax : Axes, optional
    by_depth : bool
        Alpha against block, a marker and a shade for each role, and the median of each block as a line.
    bins : int or array_like, optional
        Number of bins or their edges; default: those of Freedman & Diaconis, for independent values.

    Raises
    ------
    ValueError
        If a table lacks a column that is needed, or no layer has an alpha.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> tables = {"a": pd.DataFrame({"alpha": [2.0, 3.0, 4.0]}), "b": pd.DataFrame({"alpha": [5.0, 6.0, 7.0]})}
    >>> plot_alphas(tables, ax=Figure().subplots()).get_title("left")
    'Median α: 3.00 in a, 6.00 in b'
    """
    tables = cast("dict[str, pd.DataFrame]", {"": tables} if hasattr(tables, "columns") else dict(tables))
    needed = ["alpha", "block", "role"] if by_depth else ["alpha"]
    for name, table in tables.items():
        if missing := [c for c in needed if c not in table]:
            raise ValueError(f"table {name!r} has no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    tables = {name: table.dropna(subset=needed[:2]) for name, table in tables.items()}
    if not sum(map(len, tables.values())):
        raise ValueError(f"no layer of {', '.join(map(repr, tables)) or 'no table'} has an alpha")
    ax = style.new_axes(ax)
    tables = {k: t for k, t in tables.items() if len(t)}
    if by_depth:
        _alphas_by_depth(tables, ax)
    else:
        _alpha_histograms(tables, ax, bins)
    return ax


def _alpha_histograms(tables: Mapping[str, pd.DataFrame], ax: Axes, bins: Bins) -> None:
    alphas = {name: table["alpha"].to_numpy(np.float64) for name, table in tables.items()}
    pooled = np.concatenate(list(alphas.values()))
    q10, q90, q95 = np.quantile(pooled, [0.1, 0.9, 0.95])
    high = max(min(pooled.max(), q95 + 0.5 * (q90 - q10)), min(pooled.max(), 6.5))  # a few layers do not stretch it
    low = float(pooled.min())
    edges = style.bin_edges(pooled[pooled <= high], low, high, bins, style.free_width)
    start, end = min(edges[0], 1.0), max(edges[-1], 2.5)
    ax.set_xlim(start, end + 0.03 * (end - start))
    tops = []
    for (name, a), look in zip(alphas.items(), cycle(style.MODELS)):
        heights = style.density(a, edges, len(a))
        tops.append(heights.max())
        _model_bars(ax, heights, edges, f"{name}, {count(len(a), 'layer')}".removeprefix(", "), look)
    style.guides(ax, {label: x for x, label in _READINGS.items()}, max(tops))
    if out := np.count_nonzero(pooled > edges[-1]):
        style.beyond(ax, f"{out} more, up to {pooled.max():.3g}")
    medians = ", ".join(f"{np.median(a):.2f}{f' in {name}' * bool(name)}" for name, a in alphas.items())
    if len(alphas) > 1:
        seen = f"Median α: {medians}"
    else:
        inside = np.count_nonzero((pooled >= 2) & (pooled <= 6))
        seen = f"Median α: {medians}; {inside} of {count(len(pooled), 'layer')} lie in 2 .. 6"
    sizes = ", ".join(f"{len(a)} layers {name}".strip() for name, a in alphas.items())
    style.finish(ax, seen, "exponent α of a layer", "density", f"Histogram of the exponents α of {sizes}. {seen}.")


def _model_bars(ax: Axes, heights: Array, edges: Array, label: str, look: Mapping[str, str]) -> None:
    if not look["hatch"]:
        style.bars(ax, heights, edges, label)
        return
    ax.stairs(heights, edges, fill=True, facecolor="none", edgecolor=look["color"], linestyle=look["linestyle"],
              hatch=look["hatch"], linewidth=2.2, label=label)  # fmt: skip


def _alphas_by_depth(tables: Mapping[str, pd.DataFrame], ax: Axes) -> None:
    found = {role for table in tables.values() for role in table["role"]}
    roles = [role for role in ROLES if role in found] + sorted(found - set(ROLES))
    shades = cycle(look["color"] for look in style.MODELS)
    trends = []
    for i, ((name, table), look) in enumerate(zip(tables.items(), cycle(style.MODELS))):
        for role, marker, shade in zip(
            roles, cycle("os^vDP*Xp<>h"), shades if len(tables) == 1 else cycle([look["color"]])
        ):
            of_role = table[table["role"] == role]
            ax.plot(of_role["block"].to_numpy(float), of_role["alpha"].to_numpy(float), marker, color=shade,
                    markersize=9, markerfacecolor="none" if i % 2 else shade, markeredgewidth=1.5 if i % 2 else 0.6,
                    markeredgecolor=shade if i % 2 else "white", label=None if i else role)  # fmt: skip
        medians = table.groupby(table["block"].astype(float))["alpha"].median()
        ax.plot(medians.index, medians, look["linestyle"], color=style.GUIDE if len(tables) == 1 else look["color"],
                linewidth=2.5, label=f"block median {name}".strip(), zorder=1.8)  # fmt: skip
        trends.append(_trend(table, name))
    alphas = np.concatenate([table["alpha"].to_numpy(float) for table in tables.values()])
    ax.set(yscale="log", ylim=(alphas.min() / 1.15, alphas.max() * 1.15))
    style.plain_log_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    blocks = np.concatenate([table["block"].to_numpy(float) for table in tables.values()])
    for y, label in _READINGS.items():
        if alphas.min() / 1.15 < y < alphas.max() * 1.15:
            style.level(ax, y, label, _emptiest(blocks[(y < alphas) & (alphas < 1.25 * y)]))
    seen = f"α with depth: {', '.join(trends)}"
    style.finish(ax, seen, "block", "exponent α of a layer", f"Exponents α of {len(alphas)} layers by block. {seen}.")


def _emptiest(x: Array) -> Literal[0, 1]:
    """The end of the axis, right if in doubt, at which fewer of these values lie: 1 or 0."""
    middle = (x.min() + x.max()) / 2 if len(x) else 0.0
    return 1 if np.count_nonzero(x > middle) <= np.count_nonzero(x < middle) else 0


def _trend(table: pd.DataFrame, name: str) -> str:
    """Whether alpha rises or falls from block to block, by Spearman's rank correlation at the level 0.01."""
    block, alpha = table["block"].to_numpy(float), table["alpha"].to_numpy(float)
    rho, p = (0.0, 1.0) if len(alpha) < 3 or np.ptp(block) == 0 or np.ptp(alpha) == 0 else spearmanr(block, alpha)
    trend = "no trend" if p >= 0.01 else "rises" if rho > 0 else "falls"
    return f"{trend}{f' in {name}' * bool(name)} (rank correlation {rho:.2f})"
