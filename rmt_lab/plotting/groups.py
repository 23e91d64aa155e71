"""Pictures of groups: how the values of several groups are distributed, and two values of each layer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array, as_numpy
from . import style
from .style import GUIDE, MEASURED, MODELS, NOISE, SMALL, count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


_NAMED = 30  # layers at most that have their names at the axis
_MARKED = 8  # markers along a curve
#: Groups of noise: red, with lines and markers of their own.
_NOISY = tuple(
    {"color": NOISE, "linestyle": line, "marker": marker}
    for line, marker in (((0, (1, 1)), "X"), ("-.", "P"), ("-", "o"), ("--", "s"))
)
_STILL = 1e-9  # relative change of a value that stays


def plot_ecdf(
    groups: Mapping[str, npt.ArrayLike],
    ax: Axes | None = None,
    xlabel: str = "value $x$",
    noun: str = "value",
    noise: Collection[str] = (),
    guides: Mapping[str, float] | None = None,
    log: bool = False,
) -> Axes:
    """Empirical distribution functions of several groups: the fraction of each that lies at or below x.

    F(x) = #{x_i <= x} / n. It needs no bins, and curves lie beside each other where histograms cover each other. A
    group's median is where its curve passes the grey level 1/2. NaNs are left out.

    Parameters
    ----------
    groups : mapping of str to array_like
        Values by the name of their group.
    ax : Axes, optional
    xlabel : str
        What the values are, with their unit.
    noun : str
        What has a value, in the singular: "layer".
    noise : collection of str
        Names of the groups that are noise; these are red.
    guides : mapping of str to float, optional
        Grey vertical lines, by their labels.
    log : bool
        Logarithmic axis.

    Raises
    ------
    ValueError
        If there is no group, a group has no finite value, ``noise`` names none of the groups, or a value is not
        positive on a logarithmic axis.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_ecdf({"raw": [2.0, 5.0, 9.0], "fixed": [2.0, 3.0, 4.0]}, Figure().subplots(), noun="layer")
    >>> ax.get_title("left")
    'Median: 5 in raw, 3 in fixed'
    """
    values = {name: _finite(name, group, log) for name, group in groups.items()}
    if not values or (unknown := set(noise) - set(values)):
        raise ValueError(f"noise={sorted(unknown)}; the groups are {', '.join(map(repr, groups))}" if values else
                         "groups is empty; at least one group of values is needed")  # fmt: skip
    ax = style.new_axes(ax)
    shown = np.concatenate(list(values.values()))
    low, high = _axis(shown, log)
    ax.set(xscale="log" if log else "linear", xlim=(low, high))
    looks = {True: cycle(_NOISY), False: _measured()}
    for name, x in values.items():
        look = next(looks[name in noise])
        at = np.r_[low, x, high]
        fraction = np.r_[0.0, np.arange(1, len(x) + 1) / len(x), 1.0]
        marks = np.unique(np.linspace(1, len(x), min(_MARKED, len(x))).astype(int))
        ax.step(at, fraction, where="post", color=look["color"], linestyle=look["linestyle"], linewidth=2.3,
                marker=look["marker"], markersize=7, markevery=marks.tolist(), markeredgecolor="white",
                label=f"{name}, {count(len(x), noun)}")  # fmt: skip
    ax.set_ylim(0, 1.03)
    style.level(ax, 0.5, "median")
    style.guides(ax, guides or {}, 1.0)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    if out := np.count_nonzero(shown > high):
        style.beyond(ax, f"{out} more, up to {shown.max():.3g}", y=0.04)
    if log:
        style.plain_log_ticks(ax.xaxis)
    seen = "Median: " + ", ".join(f"{np.median(x):.3g} in {name}" for name, x in values.items())
    quartiles = "; ".join(
        "{}: half of {} between {:.3g} and {:.3g}".format(name, len(x), *np.quantile(x, [0.25, 0.75]))
        for name, x in values.items()
    )
    words = f"Fractions of {noun}s at or below x, for {count(len(values), 'group')}. {seen}. {quartiles}."
    style.finish(ax, seen, xlabel, f"fraction of {noun}s ≤ x", words)
    return ax


def _measured() -> Iterator[dict[str, Any]]:
    """Shades and lines of MODELS; the markers repeat later."""
    return ({**look, "marker": marker} for look, marker in zip(cycle(MODELS), cycle("os^Dv*h"), strict=False))


def _finite(name: str, group: npt.ArrayLike, log: bool) -> Array:
    x = np.asarray(as_numpy(group), dtype=np.float64).ravel()
    x = np.sort(x[np.isfinite(x)])
    if not len(x):
        raise ValueError(f"groups[{name!r}] has no finite value")
    if log and x[0] <= 0:
        raise ValueError(f"groups[{name!r}] holds {x[0]:.3g}; log=True needs positive values")
    return x


def _axis(x: Array, log: bool) -> tuple[float, float]:
    """From the smallest value to the largest; on a linear axis, without the last twentieth if that is far out."""
    low, high = float(x.min()), float(x.max())
    if log:
        return low / 1.15, high * 1.15
    q05, q95 = np.quantile(x, [0.05, 0.95])
    if high > q95 + 0.7 * (q95 - q05):
        high = float(q95 + 0.3 * (q95 - q05))
    pad = 0.04 * (high - low) or abs(low) / 10 or 1.0
    return low - pad, high + pad


def plot_pairs(
    table: pd.DataFrame,
    before: str,
    after: str,
    ax: Axes | None = None,
    xlabel: str | None = None,
    labels: tuple[str, str] | None = None,
    log: bool = False,
) -> Axes:
    """Two values of each layer as two dots on a line of its own, sorted by the first: what changed, and in which layer.

    An open square is before, a full circle after; the grey line between them is the change, and a layer without change
    has the circle alone. A layer that lacks one of the values is left out.

    Parameters
    ----------
    table : DataFrame
        Of :func:`rmt_lab.analyze`, or any other; names of layers are in the column ``name`` or the index.
    before, after : str
        Columns: ``"raw_alpha"`` and ``"alpha"``.
    ax : Axes, optional
    xlabel : str, optional
        What the values are, with their unit; default: the names of both columns.
    labels : tuple of two str, optional
        Both columns in the words of the legend; default: their names.
    log : bool
        Logarithmic axis.

    Raises
    ------
    ValueError
        If a column is missing, no layer has both values, or one is not positive on a logarithmic axis.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"name": ["a", "b", "c"], "raw": [9.0, 3.0, 2.0], "fixed": [4.0, 3.0, 2.5]})
    >>> plot_pairs(table, "raw", "fixed", Figure((9, 4)).subplots()).get_title("left")
    'From raw to fixed: 1 of 3 falls, 1 rises; median 3 → 3'
    """
    if missing := [c for c in (before, after) if c not in table]:
        raise ValueError(f"table has no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    pairs = table[[before, after]].astype(np.float64)
    kept = np.isfinite(pairs.to_numpy()).all(axis=1)
    if not kept.any():
        raise ValueError(f"no row of table has finite values of both {before} and {after}")
    names = table["name"] if "name" in table else table.index.astype(str)
    a, b = pairs.to_numpy()[kept].T
    if log and min(a.min(), b.min()) <= 0:
        raise ValueError(f"{before} and {after} go down to {min(a.min(), b.min()):.3g}; log=True needs positive values")
    order = np.argsort(a, kind="stable")
    a, b, names = a[order], b[order], np.asarray(names)[kept][order]
    ax, n, words = style.new_axes(ax), len(a), labels or (before, after)
    y, moved = np.arange(n), np.abs(b - a) > _STILL * np.abs(a)
    size = float(np.clip(220 / n, 3.5, 9.0))
    ax.hlines(y[moved], a[moved], b[moved], color=GUIDE, linewidth=max(0.8, size / 5), alpha=0.6, zorder=1.5)
    ax.plot(a[moved], y[moved], "s", color=MODELS[1]["color"], markerfacecolor="white", markersize=size, label=words[0],
            markeredgewidth=max(0.8, size / 6))  # fmt: skip
    ax.plot(b, y, "o", color=MEASURED, markersize=size, label=words[1], zorder=1.8)
    ax.set(xscale="log" if log else "linear", ylim=(-1, n))
    both = np.concatenate([a, b])
    low, high = float(both.min()), float(both.max())
    pad = 0.04 * (high - low) or abs(low) / 10 or 1.0
    ax.set_xlim((low / 1.1, high * 1.1) if log else (low - pad, high + pad))
    if log:
        style.plain_log_ticks(ax.xaxis)
    falls, rises = (int(np.count_nonzero(moved & which)) for which in (b < a, b > a))
    seen = f"From {words[0]} to {words[1]}: {falls or 'none'} of {n} fall{'s' * (falls == 1)}, "
    seen += f"{rises or 'none'} rise{'s' * (rises == 1)}; median {np.median(a):.3g} → {np.median(b):.3g}"
    most = int(np.argmax(np.abs(b - a)))
    description = f"Two values of {count(n, 'layer')}, sorted by the first. {seen}. "
    description += f"The largest change is that of {names[most]}: {a[most]:.3g} to {b[most]:.3g}."
    if left_out := len(table) - n:
        description += f" {count(left_out, 'layer')} lacking a value left out."
    named = SMALL if n <= 16 else style.GRID - 2
    margin = max(style.width_of(str(name), named) for name in names) if n <= _NAMED else 0.0
    style.finish(ax, seen, xlabel or f"{before} and {after}", "", description.replace("→", "to"), margin)
    if n <= _NAMED:
        ax.set_yticks(y, names, fontsize=named)
    else:
        ax.set_ylabel(f"{n} layers, sorted", fontsize=style.LABEL)
        ax.set_yticks([])
    return ax
