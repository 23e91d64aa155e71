"""Pictures of whole models: the spectra of many layers side by side, and their exponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from .._arrays import Array
from ..spectrum import Spectrum
from ..weights.roles import ROLES
from . import style
from .spectra import Null, noise_behind, values_above_zero
from .style import GRID, LABEL, NOISE, SMALL, TITLE, count, sentence

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
) -> Figure:
    """Singular values of many layers, one small panel each on common axes, every one over its null.

    Bars have the area of what is in the picture; a layer's largest values that are not are counted at the margin.

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
    columns = n if n < 4 else round((1.3 * n) ** 0.5)
    rows = -(-n // columns)
    if fig is None:
        width = min(max(10.0 / columns, 1.75), 2.8)
        fig = style.new_figure((max(width * columns, 6), 0.72 * width * rows + 1.7))
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    measured = [values_above_zero(s, True) for s in spectra]
    noises = [noise_behind(s, null, True) if null else None for s, null in zip(spectra, nulls, strict=True)]
    pooled = np.concatenate([*measured, *(noise.edges for noise in noises if noise)])
    low, high = (float(pooled.min()), 1.15 * float(np.quantile(pooled, 0.99))) if len(pooled) else (0.0, 1.0)
    high, tops = (high if high > low else low + 1), []
    for ax, s, null, noise, values, title in zip(grid, spectra, nulls, noises, measured, titles, strict=False):
        edges = style.bin_edges(values[(low <= values) & (values <= high)], low, high)
        heights = style.density(values, edges, len(s.singular_values))
        style.bars(ax, heights, edges, "measured")
        if isinstance(null, Spectrum):
            of_null = style.density(values_above_zero(null, True), edges, len(null.singular_values))
            ax.stairs(of_null, edges, color=NOISE, linestyle="--", linewidth=1.6, label="null", zorder=3)
        elif noise:
            ax.plot(noise.x, noise.density, color=NOISE, linewidth=2, label="noise")
        if noise and len(noise.spikes):
            style.outliers(ax, noise.spikes, "beyond the noise", size=6)
        if n_out := np.count_nonzero(values > high):
            style.beyond(ax, f"{n_out} up to {values[-1]:.3g}", y=0.8, size=GRID)
        ax.set_title(title, loc="left", fontsize=GRID, pad=3)
        tops.append(heights.max())
        ax.tick_params(labelsize=GRID)
        ax.spines[["top", "right"]].set_visible(False)
    beyond = [len(noise.spikes) > 0 for noise in noises if noise]
    for ax in grid[n:]:
        ax.remove()
    for ax in grid[max(n - columns, 0) : n]:  # also those above a missing panel
        ax.tick_params(labelbottom=True)
    grid[0].set(xlim=(low, high), ylim=(0, 1.25 * min(max(tops), 3 * float(np.median(tops))) or 1))
    if beyond:
        seen = f"in {sum(beyond)} of {count(len(beyond), 'layer')} singular values stand beyond the noise"
    else:
        ends = [float(v[-1]) for v in measured if len(v)] or [0.0]
        seen = f"the largest singular values of {count(n, 'layer')} are {min(ends):.3g} to {max(ends):.3g}"
    entries = {label: handle for ax in grid[:n] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.suptitle(
        style.wrap(sentence(role, seen), fig.bbox.width / fig.dpi * 72, TITLE), x=0.01, ha="left", fontsize=TITLE
    )
    fig.supxlabel(style.SINGULAR_VALUE, x=0.01, ha="left", fontsize=LABEL)
    fig.supylabel("density", fontsize=LABEL)
    fig.legend(entries.values(), entries, loc="outside lower right", ncols=len(entries), fontsize=SMALL, frameon=False)
    style.remember(
        fig, f"Histograms of the singular values of {count(n, 'layer')}, one panel each. {sentence(role, seen)}."
    )
    return fig


def _panel_titles(names: list[str]) -> tuple[list[str], str]:
    """Short titles for panels, and the words in which all names end: "block 0", "block 1" and "query"."""
    words = [name.split() for name in names]
    common: list[str] = []
    while len(words) > 1 and all(len(w) > 1 and w[-1] == words[0][-1] for w in words):
        common = [words[0][-1], *common]
        words = [w[:-1] for w in words]
    return [" ".join(w) or f"layer {i}" for i, w in enumerate(words)], " ".join(common)


def plot_alphas(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame], ax: Axes | None = None, by_depth: bool = False
) -> Axes:
    """The exponents of a model's layers, or of several models: their histograms, or each layer against its depth.

    The grey lines are WeightWatcher's: below 2 it calls a layer over-trained, above 6 under-trained. Histograms have
    area one, less the layers that are counted at the margin, and common bins.

    Parameters
    ----------
    tables : DataFrame or mapping of str to DataFrame
        Tables of :func:`rmt_lab.analyze` by the name of their model; column ``alpha``, for the depth also ``block`` and
        ``role``. Layers without an alpha are left out, and against depth those outside of any block.
        ``{"raw": t.assign(alpha=t.raw_alpha), "fixed": t}`` compares before and after.
    ax : Axes, optional
    by_depth : bool
        Alpha against block, a marker for each role, and the median of each block as a line.

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
    (_alphas_by_depth if by_depth else _alpha_histograms)({k: t for k, t in tables.items() if len(t)}, ax)
    return ax


def _alpha_histograms(tables: Mapping[str, pd.DataFrame], ax: Axes) -> None:
    alphas = {name: table["alpha"].to_numpy(np.float64) for name, table in tables.items()}
    pooled = np.concatenate(list(alphas.values()))
    low, high = style.view(pooled, *np.quantile(pooled, [0.1, 0.9]))
    high = max(high, min(pooled.max(), 6.5))  # the axis reaches 6.5 in any case
    edges = style.bin_edges(pooled[(low <= pooled) & (pooled <= high)], low, high)
    tops = []
    for (name, a), look in zip(alphas.items(), cycle(style.MODELS)):
        heights = style.density(a, edges, len(a))
        tops.append(heights.max())
        _model_bars(ax, heights, edges, f"{name}, {count(len(a), 'layer')}".removeprefix(", "), look)
    start, end = min(edges[0], 1.0), max(edges[-1], 6.5)
    ax.set(xlim=(start, end + 0.06 * (end - start)), ylim=(0, 1.12 * max(tops)))
    for x, label in _READINGS.items():
        style.guide(ax, x, label, "left" if x < 4 else "right")
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
    trends = []
    for (name, table), look in zip(tables.items(), cycle(style.MODELS)):
        for role, marker in zip(roles, cycle("os^vDP*Xp<>h")):
            of_role = table[table["role"] == role]
            ax.plot(of_role["block"].to_numpy(float), of_role["alpha"].to_numpy(float), marker, color=look["color"],
                    markersize=8, alpha=0.75, markerfacecolor=None if not look["hatch"] else "none",
                    label=None if look["hatch"] else role)  # fmt: skip
        medians = table.groupby(table["block"].astype(float))["alpha"].median()
        ax.plot(medians.index, medians, look["linestyle"], color=look["color"], linewidth=2.5,
                label=f"block median {name}".strip(), zorder=1.8)  # fmt: skip
        trends.append(_trend(table, name))
    alphas = np.concatenate([table["alpha"].to_numpy(float) for table in tables.values()])
    ax.set(yscale="log", ylim=(alphas.min() / 1.15, alphas.max() * 1.15))
    style.plain_log_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for y, label in _READINGS.items():
        if alphas.min() / 1.15 < y < alphas.max() * 1.15:
            style.level(ax, y, label)
    seen = f"α with depth: {', '.join(trends)}"
    style.finish(ax, seen, "block", "exponent α of a layer", f"Exponents α of {len(alphas)} layers by block. {seen}.")


def _trend(table: pd.DataFrame, name: str) -> str:
    """Whether alpha rises or falls from block to block, by Spearman's rank correlation at the level 0.01."""
    block, alpha = table["block"].to_numpy(float), table["alpha"].to_numpy(float)
    rho, p = (0.0, 1.0) if len(alpha) < 3 or np.ptp(block) == 0 or np.ptp(alpha) == 0 else spearmanr(block, alpha)
    trend = "no trend" if p >= 0.01 else "rises" if rho > 0 else "falls"
    return f"{trend}{f' in {name}' * bool(name)} (rank correlation {rho:.2f})"
