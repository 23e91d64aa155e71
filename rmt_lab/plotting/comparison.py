"""Pictures of what training changed: how much in which layer, and which leading directions are new."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .._arrays import Array
from ..laws.overlaps import SubspaceOverlap
from ..weights.roles import ROLES
from . import style
from .style import GUIDE, LABEL, MEASURED, NOISE, OUTLIER, SMALL, count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


#: What :func:`plot_change` draws: the column of the table, and the words at the axis.
CHANGES = {
    "relative_change": r"relative change $\Vert W - W_0 \Vert / \Vert W_0 \Vert$",
    "change_rank": "rank of the change beyond rounding",
    "change_stable_rank": "stable rank of the change",
}
_WORDS = {
    "relative_change": "relative change",
    "change_rank": "rank of a change",
    "change_stable_rank": "stable rank of a change",
}
_BAND = 0.99  # of random subspaces lie in the band


def plot_change(table: pd.DataFrame, column: str = "relative_change", ax: Axes | None = None) -> Axes:
    """How much each layer changed, against its block; the marker tells the role, the grey line is the block's median.

    Layers outside of blocks stand before the first block, on a logarithmic axis layers without a change are left out.

    Parameters
    ----------
    table : DataFrame
        Of :func:`rmt_lab.compare`.
    column : {"relative_change", "change_rank", "change_stable_rank"}
    ax : Axes, optional

    Raises
    ------
    ValueError
        If the column is another, the table lacks it, or no layer changed.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"name": ["block 0 query", "block 1 query"], "block": [0, 1], "role": "query",
    ...                       "relative_change": [0.01, 0.04]})
    >>> plot_change(table, ax=Figure((8, 5)).subplots()).get_title("left")
    'Largest relative change: 0.04, block 1 query; median 0.025'
    """
    if column not in CHANGES:
        raise ValueError(f"column={column!r}; allowed are {', '.join(map(repr, CHANGES))}")
    shown = _rows(table, "block", "role", "name", column)
    y = shown[column].to_numpy(np.float64)
    changed = y > 0
    if not changed.any():
        raise ValueError(f"no layer of the table has a positive {column}")
    log = column == "relative_change"
    still = int(np.count_nonzero(~changed))
    if log:
        shown, y = shown[changed], y[changed]
    ax = style.new_axes(ax)
    block = shown["block"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    outside = np.isnan(block)
    block[outside] = -1.0
    found = set(shown["role"])
    roles = [role for role in ROLES if role in found] + sorted(found - set(ROLES))
    for role, marker, look in zip(roles, cycle("os^vDP*Xp<>h"), cycle(style.MODELS), strict=False):
        of_role = (shown["role"] == role).to_numpy()
        ax.plot(block[of_role], y[of_role], marker, color=look["color"], markersize=9, markeredgewidth=0.6,
                markeredgecolor="white", label=role)  # fmt: skip
    blocks = np.unique(block[~outside])
    if len(blocks) > 1:
        ax.plot(blocks, [np.median(y[block == b]) for b in blocks], color=GUIDE, linewidth=2.5, label="block median",
                zorder=1.8)  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.xaxis.set_major_formatter(lambda x, _: "outside" if x == -1 and outside.any() else f"{x:g}")
    if log:
        ax.set(yscale="log", ylim=(y.min() / 1.2, y.max() * 1.2))
        style.plain_log_ticks(ax.yaxis)
    else:
        ax.set_ylim(0, 1.05 * y.max())
    most = int(y.argmax())
    words = _WORDS[column]
    seen = f"Largest {words}: {y[most]:.3g}, {shown['name'].iloc[most]}; median {np.median(y):.3g}"
    description = f"{words.capitalize()} of {count(len(y), 'layer')} by block. {seen}."
    if log and still:
        description += f" {count(still, 'layer')} without a change left out."
    style.finish(ax, seen, "block", CHANGES[column], description)
    return ax


def plot_overlap(table: pd.DataFrame, side: Literal["left", "right"] = "left", ax: Axes | None = None) -> Axes:
    """How much the leading singular vectors of each layer have in common before and after, against random subspaces.

    A blue dot is the mean squared cosine of the principal angles. The red band holds 99 % of the overlaps of random
    subspaces of the same dimensions (:class:`rmt_lab.laws.SubspaceOverlap`).

    Parameters
    ----------
    table : DataFrame
        Of :func:`rmt_lab.compare`.
    side : {"left", "right"}
        Left singular vectors, or right ones.
    ax : Axes, optional

    Raises
    ------
    ValueError
        If the side is another, the table lacks a column, or no layer has an overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"name": ["a", "b"], "k": 10, "rows": 384, "left_overlap": [0.9, 0.03]})
    >>> plot_overlap(table, ax=Figure((8, 5)).subplots()).get_title("left")
    '10 leading left directions: 1 of 2 layers keep more than chance'
    """
    if side not in ("left", "right"):
        raise ValueError(f"side={side!r}; allowed are 'left' and 'right'")
    size = "rows" if side == "left" else "columns"
    shown = _rows(table, "name", "k", size, f"{side}_overlap")
    y, k, n = (shown[c].to_numpy(np.float64) for c in (f"{side}_overlap", "k", size))
    laws = [SubspaceOverlap(int(a), int(b)) if b < a else None for a, b in zip(n, k, strict=True)]
    ends = [(1 - _BAND) / 2, (1 + _BAND) / 2]
    band: Array = np.array([law.ppf(ends) if law else (1.0, 1.0) for law in laws])
    ax, x = style.new_axes(ax), np.arange(len(y))
    edges = np.repeat(np.arange(len(y) + 1) - 0.5, 2)[1:-1]
    low, high = (np.repeat(band[:, i], 2) for i in (0, 1))
    ax.fill_between(edges, low, high, color=NOISE, alpha=0.35, linewidth=0, label=f"{_BAND:.0%} of random subspaces")
    ax.plot(edges, high, color=NOISE, linestyle="--", linewidth=1.5)
    ax.plot(x, y, "o", color=MEASURED, markersize=float(np.clip(300 / len(y), 4, 9)), label="measured", zorder=3)
    ax.set(yscale="log", xlim=(-0.5, len(y) - 0.5), ylim=(max(1e-5, 0.8 * min(y.min(), band[:, 0].min())), 1.25))
    style.plain_log_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    above = int(np.count_nonzero(y > band[:, 1]))
    leading = f"{int(k.min())}" if k.min() == k.max() else f"{int(k.min())} to {int(k.max())}"
    seen = f"{leading} leading {side} directions: {above or 'none'} of {count(len(y), 'layer')} "
    seen += f"keep{'s' * (len(y) == 1)} more than chance"
    least = int(y.argmin())
    description = f"Overlap of leading {side} singular vectors before and after, of {count(len(y), 'layer')}. {seen}. "
    description += f"Median {np.median(y):.3g}, least {y[least]:.3g} in {shown['name'].iloc[least]}. "
    description += f"Random subspaces share at most {band[:, 1].max():.3g} (99 % of them, all layers)."
    style.finish(ax, seen, "layer, in the order of the model", "overlap of the subspaces", description)
    return ax


def plot_cosines(cosines: npt.ArrayLike, intruders: npt.ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Absolute cosines between the leading singular vectors after training and those before; new ones in violet frames.

    A diagonal of dark squares says that the directions stayed, and in their order. A row without any is new.

    Parameters
    ----------
    cosines : array_like of shape (k, m)
        ``cosines`` of :func:`rmt_lab.comparison.directions`; the first 2 k columns are drawn.
    intruders : array_like of bool of shape (k,), optional
        Its ``intruders``.
    ax : Axes, optional

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not within 0 .. 1.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_cosines([[0.1, 0.2, 0.1], [0.9, 0.1, 0.2]], [True, False], Figure((8, 5)).subplots())
    >>> ax.get_title("left")
    '1 of 2 leading directions is new: largest cosine 0.2'
    """
    values = np.asarray(cosines, dtype=np.float64)
    marked = np.zeros(len(values), dtype=bool) if intruders is None else np.asarray(intruders, dtype=bool)
    if values.ndim != 2 or not values.size or marked.shape != values.shape[:1]:
        raise ValueError(f"cosines has shape {values.shape}, intruders {marked.shape}; k x m and k are needed")
    if not (values.min() >= 0 and values.max() <= 1 + 1e-9):
        raise ValueError(f"cosines range over {values.min():.3g} .. {values.max():.3g}; absolute cosines lie in 0 .. 1")
    ax, k = style.new_axes(ax), len(values)
    drawn = values[:, : 2 * k]
    image = ax.imshow(drawn, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest",
                      extent=(0.5, drawn.shape[1] + 0.5, k + 0.5, 0.5))  # fmt: skip
    for i, row in enumerate(np.flatnonzero(marked)):
        ax.add_patch(Rectangle((0.5, row + 0.5), drawn.shape[1], 1, fill=False, edgecolor=OUTLIER, linewidth=2.5,
                               label=None if i else "new direction", clip_on=False, zorder=3))  # fmt: skip
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("absolute cosine", fontsize=LABEL)
    bar.ax.tick_params(labelsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    best, new = values.max(axis=1), int(marked.sum())
    if new == 1:
        seen = f"1 of {k} leading directions is new: largest cosine {best[marked][0]:.2g}"
    elif new:
        seen = f"{new} of {k} leading directions are new: largest cosine {best[marked].max():.2g}"
    else:
        seen = f"No new direction among {k}: " if intruders is not None else f"{count(k, 'leading direction')}: "
        seen += f"largest {'cosines' if k > 1 else 'cosine'} from {best.min():.2g} to {best.max():.2g}"
    description = (
        f"Absolute cosines of {k} leading singular vectors after training with the {drawn.shape[1]} first before. "
    )
    description += f"{seen}. Largest cosines by row: {', '.join(f'{x:.2f}' for x in best)}."
    style.finish(ax, seen, "singular vector before", "singular vector after", description)
    return ax


def _rows(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows of a table that have a value in the last of these columns."""
    if missing := [c for c in columns if c not in table]:
        raise ValueError(f"table has no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    shown = table[table[columns[-1]].notna()]
    if not len(shown):
        raise ValueError(f"no layer of the table has a {columns[-1]}")
    return shown
