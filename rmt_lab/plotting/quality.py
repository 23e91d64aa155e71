"""A measure of the weights against what a network achieves: a dot per run, and rank correlations with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._arrays import Array, Rng
from ..trainings.quality import Coefficient, Ranking, rank_runs
from . import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUALITY_SIZE = (10.0, 6.0)  # inches
SEED = "seed"
_OTHERS = "#cfcfcf"  # runs that are not of the chosen group
_LIGHT_TO_DARK = (2, 0, 3, 1)  # of style.MODELS
_MARKERS = "os^D"


class Quantity(NamedTuple):
    """How a column of a table of runs is shown: its name, its axis, and the factor to the axis' unit."""

    name: str
    axis: str
    scale: float = 1.0
    log: bool = False


#: The columns of :attr:`rmt_lab.trainings.Collection.table` that are drawn here.
QUANTITIES = {
    "alpha": Quantity("alpha", "α, mean over layers"),
    "alpha_fixed": Quantity("alpha, fingers fixed", "α with fingers fixed, mean over layers"),
    "alpha_windowed": Quantity("alpha at a common shape", "α at a common shape, mean over layers"),
    "alpha_first": Quantity("alpha of the first layer", "α of the first layer"),
    "alpha_last": Quantity("alpha of the last layer", "α of the last layer"),
    "alpha_hat": Quantity("alpha-hat", "alpha-hat: α log₁₀ λmax, mean over layers"),
    "log_alpha_norm": Quantity("log alpha norm", "log₁₀ of the alpha norm, mean over layers"),
    "log_norm": Quantity("log norm", "log₁₀ of the squared norm, mean over layers"),
    "log_spectral_norm": Quantity("log spectral norm", "log₁₀ of the largest eigenvalue, mean over layers"),
    "stable_rank": Quantity("stable rank", "stable rank, mean over layers"),
    "share_beyond_noise": Quantity("share beyond noise", "eigenvalues beyond noise, %", 100),
    "train_loss": Quantity("training loss", "training loss, nats", log=True),
    "train_error": Quantity("training error", "training error, %", 100),
    "steps": Quantity("training steps", "training steps", log=True),
    "test_error": Quantity("test error", "test error, %", 100),
    "test_loss": Quantity("test loss", "test loss, nats"),
    "gap_error": Quantity("gap of error", "test - training error, percentage points", 100),
    "gap_loss": Quantity("gap of loss", "test - training loss, nats"),
}


def quantity(column: str) -> Quantity:
    """How a column is shown; one that is not known has its own name.

    Examples
    --------
    >>> quantity("test_error").axis, quantity("sharpness").name
    ('test error, %', 'sharpness')
    """
    return QUANTITIES.get(column, Quantity(column, column))


class Group(NamedTuple):
    """Runs that have something in common: what, and where they stand in the table."""

    name: str
    rows: npt.NDArray[np.intp]


def run_groups(table: pd.DataFrame, factors: Sequence[str], varies: str | None = None) -> list[Group]:
    """The groups of runs in which the same is held fixed.

    Parameters
    ----------
    table : DataFrame
        A row per run.
    factors : sequence of str
        The columns that were varied.
    varies : str, optional
        A factor: groups of runs that agree in all others. ``"seed"``: that agree in all factors. By default one factor
        is held at one level, and all others vary: a group for each level of each factor.

    Returns
    -------
    list of Group
        Those in which something varies.

    Raises
    ------
    ValueError
        If ``varies`` is no factor.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"width": [1, 1, 2, 2], "rate": [3, 5, 3, 5], "seed": [0, 0, 0, 0]})
    >>> [(group.name, group.rows.tolist()) for group in run_groups(runs, ["width", "rate"], "rate")]
    [('width 1', [0, 1]), ('width 2', [2, 3])]
    >>> [group.name for group in run_groups(runs, ["width", "rate"])]
    ['width 1', 'width 2', 'rate 3', 'rate 5']
    """
    if varies is None:
        return [g for factor in factors for g in _agreeing(table, [factor])]
    _check_varies(varies, factors)
    return [g for g in _agreeing(table, [f for f in factors if f != varies]) if _varies(table, g, varies)]


def _agreeing(table: pd.DataFrame, columns: list[str]) -> list[Group]:
    if not columns:
        return [Group("all runs", np.arange(len(table)))]
    found = table.groupby(columns, sort=True).indices
    levels = [(key if isinstance(key, tuple) else (key,), rows) for key, rows in found.items()]
    return [Group(", ".join(map(level_name, columns, key)), np.asarray(rows)) for key, rows in levels]


def _varies(table: pd.DataFrame, group: Group, column: str) -> bool:
    values = table[column].to_numpy()[group.rows]
    return bool((values != values[0]).any())


def _check_varies(varies: str, factors: Sequence[str]) -> None:
    if varies not in (*factors, SEED):
        raise ValueError(f"varies={varies!r}; allowed are None, {', '.join(map(repr, (*factors, SEED)))}")


def level_name(factor: str, level: Any) -> str:
    """A level of a factor in words.

    Examples
    --------
    >>> level_name("data", 1.0), level_name("optimiser", "sgd")
    ('data 1', 'optimiser sgd')
    """
    return f"{factor} {level}" if isinstance(level, str) else f"{factor} {level:g}"


def group_tau(
    table: pd.DataFrame, ranking: Ranking, group: Group, varies: str | None = None, bootstraps: int = 0, rng: Rng = None
) -> Coefficient:
    """Kendall's tau within one group of :func:`run_groups`, as :func:`rmt_lab.quality.rank_runs` defines it.

    Of all pairs of runs, or, if a factor is named, of those that differ in it. Not defined for runs that differ in the
    seed alone: three of them have no correlation to speak of.

    Examples
    --------
    >>> from rmt_lab import quality, trainings
    >>> runs = trainings.collection("text")
    >>> ranking = quality.rank_runs(runs.table, "alpha", "test_loss", runs.factors, bootstraps=0, permutations=0)
    >>> groups = run_groups(runs.table, runs.factors, "rate")
    >>> psi = np.mean([group_tau(runs.table, ranking, group, "rate").value for group in groups])
    >>> bool(np.isclose(psi, ranking.within["rate"].value))
    True
    """
    part = table.iloc[group.rows]
    factors = [varies] if varies else [f for f in ranking.within if part[f].nunique() > 1]
    if varies == SEED or not factors:
        return Coefficient(np.nan)
    found = rank_runs(
        part, ranking.measure, ranking.outcome, factors, direction=ranking.direction, bootstraps=bootstraps,
        permutations=0, rng=rng,
    )  # fmt: skip
    return found.within[varies] if varies else found.overall


def plot_quality(
    table: pd.DataFrame,
    ranking: Ranking,
    mark: str,
    varies: str | None = None,
    group: int = 0,
    fig: Figure | None = None,
) -> Figure:
    """The outcome of every run against the measure, and beside it all rank correlations with their intervals.

    Colour, from light to dark, and shape of a marker say the level of one factor. Where one factor varies, a line joins
    the runs of each group in the order of its levels, seeds averaged; where the seed varies, lines join the runs of a
    setting with their mean. In the right panel an open marker is a coefficient whose interval holds 0, and the cross
    is that of the chosen group.

    Parameters
    ----------
    table : DataFrame
        A row per run.
    ranking : Ranking
        Of these runs, from :func:`rmt_lab.quality.rank_runs`.
    mark : str
        The factor that the markers show.
    varies : str, optional
        A factor, or ``"seed"``: what varies within a group; see :func:`run_groups`.
    group : int
        The group that is shown before all others, from 1; 0 for none.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its Axes are used again if they are two.

    Raises
    ------
    ValueError
        If ``mark`` or ``varies`` is no factor of the ranking, or there is no such group.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab import quality, trainings
    >>> runs = trainings.collection("text")
    >>> ranking = quality.rank_runs(runs.table, "alpha", "test_loss", runs.factors, rng=0)
    >>> fig = plot_quality(runs.table, ranking, "data", varies="rate", fig=Figure())
    >>> [ax.get_xlabel() for ax in fig.axes]
    ['α, mean over layers', "Kendall's τ, 95 % (○ holds 0)"]
    """
    factors = list(ranking.within)
    if mark not in factors:
        raise ValueError(f"mark={mark!r}; the factors are {', '.join(map(repr, factors))}")
    groups = run_groups(table, factors, varies)
    if not 0 <= group <= len(groups):
        raise ValueError(f"group={group}; there are {len(groups)} groups, and 0 shows them all")
    chosen = groups[group - 1] if group else None
    fig = fig or style.new_figure(QUALITY_SIZE, layout=None)
    runs, coefficients = style.panels(fig, 1.5, 1)
    fig.subplots_adjust(top=0.76, bottom=0.11, wspace=0.43)
    _plot_runs(runs, table, ranking, mark, varies, groups, chosen)
    tau = None if chosen is None else group_tau(table, ranking, chosen, varies)
    _plot_coefficients(coefficients, ranking, varies, tau)
    x, y = quantity(ranking.measure), quantity(ranking.outcome)
    seen = _seen(ranking, varies, chosen, tau)
    described = f"{style.sentence('', y.name)} of {ranking.runs} runs against {x.name}, marked by {mark}. {seen}."
    style.finish(runs, seen, x.axis, y.axis, described)
    clear = sum(not c.holds_zero for c in ranking.within.values())
    seen = f"Clear of 0: {clear or 'none'} of {len(factors)} factors"
    described = f"Kendall's tau with intervals of 95 %, over all runs, for each factor alone, and for seeds. {seen}."
    style.finish(coefficients, seen, "Kendall's τ, 95 % (○ holds 0)", "", described)
    return fig


def _seen(ranking: Ranking, varies: str | None, chosen: Group | None, tau: Coefficient | None) -> str:
    """The title: what is seen among the runs that are shown before the others."""
    if chosen is not None and tau is not None:
        if varies == SEED:
            return f"{len(chosen.rows)} seeds of one setting"
        who = f"Where only {varies} varies, one group" if varies else f"Only {chosen.name}"
        return f"{who}: {told(tau)}; over all runs: {told(ranking.overall)}"
    if varies is None:
        return f"All {ranking.runs} runs at once: {told(ranking.overall)}"
    c = ranking.seeds if varies == SEED else ranking.within[varies]
    varying = "the seed" if varies == SEED else varies
    return f"Where only {varying} varies: {told(c)}; over all runs: {told(ranking.overall)}"


def told(c: Coefficient) -> str:
    """A coefficient without its interval, in one piece: ``"τ = 0.31"``.

    Examples
    --------
    >>> told(Coefficient(0.312, 0.2, 0.4)).split(" "), told(Coefficient(float("nan")))
    (['τ\xa0=\xa00.31'], 'τ is not defined')
    """
    return "τ is not defined" if np.isnan(c.value) else f"τ\u00a0=\u00a0{c.value:.2f}"  # no line ends within


def _plot_runs(
    ax: Axes,
    table: pd.DataFrame,
    ranking: Ranking,
    mark: str,
    varies: str | None,
    groups: list[Group],
    chosen: Group | None,
) -> None:
    first, second = quantity(ranking.measure), quantity(ranking.outcome)
    x = first.scale * table[ranking.measure].to_numpy(np.float64)
    y = second.scale * table[ranking.outcome].to_numpy(np.float64)
    front = np.ones(len(table), dtype=bool)
    if chosen is not None:
        front[:] = False
        front[chosen.rows] = True
        ax.plot(x[~front], y[~front], "o", color=_OTHERS, markersize=3, markeredgewidth=0, label="other runs")
    if varies is not None:
        lines = [_path(table, x, y, group, varies) for group in groups]
        label = "seeds joined" if varies == SEED else f"only {varies} varies"
        behind = style.GUIDE if chosen is None else _OTHERS
        ax.plot(*np.concatenate(lines, axis=1), "-", color=behind, linewidth=0.8, label=label, zorder=2)
    one_line = chosen is not None and varies is not None
    levels = np.unique(table[mark].to_numpy()[np.isfinite(x + y)]).tolist()
    for i, level in enumerate(levels):
        these = front & (table[mark].to_numpy() == level)
        ax.plot(
            x[these], y[these], _MARKERS[i % 4], color=style.MODELS[_LIGHT_TO_DARK[i % 4]]["color"], linestyle="none",
            markersize=9 if one_line else 5.5, markeredgecolor="white", markeredgewidth=0.4,
            label=level_name(mark, level), zorder=4 if one_line else 3,
        )  # fmt: skip
    if chosen is not None and varies is not None:
        ax.plot(*_path(table, x, y, chosen, varies), "-", color="black", linewidth=2, zorder=5, label="this group")
    for axis, q, values in (("x", first, x), ("y", second, y)):
        _limits(ax, axis, values[np.isfinite(values)], q.log)


def _limits(ax: Axes, axis: str, values: Array, log: bool) -> None:
    """The same limits whatever is chosen; logarithmic where all values are positive."""
    log = log and len(values) > 0 and bool(values.min() > 0)
    getattr(ax, f"set_{axis}scale")("log" if log else "linear")
    if not len(values):
        return
    low, high = (float(v) for v in (np.log(values) if log else values)[[values.argmin(), values.argmax()]])
    pad = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    ends = np.array([low - pad, high + pad])
    getattr(ax, f"set_{axis}lim")(np.exp(ends) if log else ends)
    if log:
        style.plain_log_ticks(getattr(ax, f"{axis}axis"))
    else:
        ax.locator_params(axis, nbins=5)  # type: ignore[arg-type]


def _path(table: pd.DataFrame, x: Array, y: Array, group: Group, varies: str) -> Array:
    """The line of a group, and a gap: means of the seeds, level by level; or from the mean to every seed."""
    rows = group.rows[np.isfinite(x[group.rows]) & np.isfinite(y[group.rows])]
    points = np.array([x[rows], y[rows]])
    gap = np.full((2, 1), np.nan)
    if not len(rows):
        return gap
    if varies == SEED:
        mean = points.mean(axis=1)[:, None]
        return np.concatenate([part for k in range(len(rows)) for part in (mean, points[:, k : k + 1], gap)], axis=1)
    level = table[varies].to_numpy()[rows]
    means = [points[:, level == one].mean(axis=1) for one in np.unique(level)]
    return np.concatenate([np.transpose(means), gap], axis=1)


def _plot_coefficients(ax: Axes, ranking: Ranking, varies: str | None, chosen: Coefficient | None) -> None:
    """Intervals, from the top: all runs; every factor alone and the mean of the factors; the seed alone."""
    rows = {"all runs": ranking.overall, **ranking.within}
    rows |= {"mean of factors": ranking.granulated, "only the seed": ranking.seeds}
    at = -np.arange(len(rows), dtype=np.float64)
    at[1:] -= 0.4  # a gap
    at[-1] -= 0.4
    bold = {None: "all runs", SEED: "only the seed"}.get(varies, varies)
    ax.axvline(0, color=style.GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
    for y, (name, c) in zip(at, rows.items(), strict=True):
        if np.isnan(c.value):
            ax.text(0.05, y, "not defined", va="center", fontsize=style.SMALL, color=style.GUIDE)
            continue
        color = "black" if name == bold else style.MEASURED
        ax.plot([c.low, c.high], [y, y], "-", color=color, linewidth=2)
        marker = "D" if name in ("all runs", "mean of factors") else "o"
        ax.plot(c.value, y, marker, color=color, markerfacecolor="white" if c.holds_zero else color, markersize=7)
    if chosen is not None and not np.isnan(chosen.value):
        y = at[list(rows).index(str(bold))]
        ax.plot(chosen.value, y, "x", color="black", markersize=10, markeredgewidth=2.5, zorder=5)
        ax.annotate("this group", (chosen.value, y), (0, 7), textcoords="offset points", fontsize=style.SMALL, zorder=6,
                    ha="left" if chosen.value < -0.6 else "right" if chosen.value > 0.6 else "center",
                    path_effects=style.OUTLINED)  # fmt: skip
    ax.set(xlim=(-1.05, 1.05), ylim=(at[-1] - 0.6, 0.6))
    ax.set_xticks([-1, -0.5, 0, 0.5, 1], ["-1", "-0.5", "0", "0.5", "1"])
    ax.set_yticks(at, [f"only {name}" if name in ranking.within else name for name in rows])
    for label, name in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if name == bold else "normal")
    ax.tick_params(axis="y", length=0)
