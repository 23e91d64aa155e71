"""Runs and their rank correlations: what is drawn against the table, groups and coefficients against loops."""

import itertools

import numpy as np
import pandas as pd
import pytest
from drawn import by_color, words
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab import quality
from rmt_lab.plotting import alt_text, plot_quality, run_groups, style
from rmt_lab.plotting.quality import QUALITY_SIZE, SEED, group_tau, level_name

FACTORS = ["data", "rate", "kind"]


@pytest.fixture(scope="module")
def runs():
    """Alpha falls with the data and rises with the rate; the error falls with the data and hardly with the rate."""
    rng = np.random.default_rng(0)
    grid = itertools.product((150, 300, 600), (0.1, 1.0, 3.0), ("flat", "deep"), range(3))
    table = pd.DataFrame(grid, columns=[*FACTORS, SEED])
    noise = rng.normal(size=(2, len(table)))
    table["alpha"] = 5 - table.data / 300 + 0.3 * table.rate + 0.2 * noise[0]
    table["test_error"] = 0.4 - table.data / 2000 - 0.01 * table.rate + 0.01 * noise[1]
    return table.sample(frac=1, random_state=1).reset_index(drop=True)


@pytest.fixture(scope="module")
def ranking(runs):
    return quality.rank_runs(runs, "alpha", "test_error", FACTORS, permutations=0, rng=0)


def drawn(runs, ranking, *args, **kwargs):
    return plot_quality(runs, ranking, *args, **kwargs, fig=Figure(figsize=QUALITY_SIZE))


def dots(ax):
    """The points of each label that has markers alone."""
    return {line.get_label(): line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"}


def line_of(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line.get_xydata()


def tau_by_loops(part, varies):
    """Kendall's tau-b of the pairs that differ in one column, by its definition."""
    rows = part.to_dict("records")
    signs = [
        (np.sign(a["alpha"] - b["alpha"]), np.sign(a["test_error"] - b["test_error"]))
        for a, b in itertools.combinations(rows, 2)
        if varies is None or a[varies] != b[varies]
    ]
    x, y = np.transpose(signs)
    return (x @ y) / np.sqrt((x @ x) * (y @ y))


@pytest.mark.parametrize("mark", FACTORS)
def test_every_run_is_a_dot_and_the_marker_its_level(runs, ranking, mark):
    ax = drawn(runs, ranking, mark).axes[0]
    found = dots(ax)
    assert list(found) == [level_name(mark, level) for level in sorted(runs[mark].unique())]
    for label, points in found.items():
        there = runs[[level_name(mark, level) == label for level in runs[mark]]]
        np.testing.assert_allclose(points, np.transpose([there.alpha, 100 * there.test_error]))
    looks = {(line.get_marker(), line.get_color()) for line in ax.lines}
    assert len({marker for marker, _ in looks}) == len({color for _, color in looks}) == len(found)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("α, mean over layers", "test error, %")


@pytest.mark.parametrize("varies", FACTORS)
def test_a_line_joins_the_means_of_a_group_in_the_order_of_its_levels(runs, ranking, varies):
    ax = drawn(runs, ranking, "data", varies).axes[0]
    path = line_of(ax, f"only {varies} varies")
    pieces = [piece[np.isfinite(piece[:, 0])] for piece in np.split(path, np.flatnonzero(np.isnan(path[:, 0])))]
    pieces = sorted(piece.tolist() for piece in pieces if len(piece) and np.isfinite(piece).all())
    wanted = []
    others = [f for f in FACTORS if f != varies]
    for levels in itertools.product(*(sorted(runs[f].unique()) for f in others)):
        group = runs[(runs[others] == list(levels)).all(axis=1)]
        parts = [group[group[varies] == level] for level in sorted(runs[varies].unique())]
        wanted.append([[part.alpha.mean(), 100 * part.test_error.mean()] for part in parts])
    assert len(pieces) == len(wanted)
    for piece, other in zip(pieces, sorted(wanted), strict=True):
        np.testing.assert_allclose(piece, other)


def test_seeds_are_joined_with_their_mean(runs, ranking):
    ax = drawn(runs, ranking, "data", SEED).axes[0]
    path = line_of(ax, "seeds joined").reshape(-1, 3, 2)[: 3 * 18]  # the mean, a run, a gap
    assert np.isnan(path[:, 2]).all()
    np.testing.assert_allclose(sorted(path[:, 1, 0]), sorted(runs.alpha))
    means = runs.groupby(FACTORS).alpha.mean()
    np.testing.assert_allclose(np.unique(path[:, 0, 0].round(9)), np.unique(means.round(9)))


@pytest.mark.parametrize(("varies", "group"), [(None, 1), (None, 7), ("rate", 4), ("kind", 9), (SEED, 11)])
def test_a_group_stands_before_all_others(runs, ranking, varies, group):
    fig = drawn(runs, ranking, "data", varies, group)
    chosen = run_groups(runs, FACTORS, varies)[group - 1]
    found = dots(fig.axes[0])
    np.testing.assert_allclose(np.sort(found.pop("other runs")[:, 0]), np.sort(runs.alpha.drop(chosen.rows)))
    front = np.concatenate([points for points in found.values() if len(points)])
    np.testing.assert_allclose(np.sort(front[:, 0]), np.sort(runs.alpha[chosen.rows]))
    crosses = [line for line in fig.axes[1].lines if line.get_marker() == "x"]
    title = fig.axes[0].get_title("left").replace("\n", " ").replace("\u00a0", " ")
    if varies == SEED:
        assert title == "3 seeds of one setting"
        assert not crosses
        return
    tau = tau_by_loops(runs.iloc[chosen.rows], varies)
    assert crosses[0].get_xdata() == pytest.approx([tau])
    assert f"τ = {tau:.2f}; over all runs: τ = {ranking.overall.value:.2f}" in title
    bold = [label for label in fig.axes[1].get_yticklabels() if label.get_fontweight() == "bold"]
    assert [label.get_text() for label in bold] == [f"only {varies}" if varies else "all runs"]
    assert crosses[0].get_ydata()[0] == bold[0].get_position()[1]


def test_the_axes_stay_from_group_to_group(runs, ranking):
    fig = Figure(figsize=QUALITY_SIZE)
    limits = set()
    for group in range(len(run_groups(runs, FACTORS, "rate")) + 1):
        ax = plot_quality(runs, ranking, "data", "rate", group, fig).axes[0]
        limits.add((ax.get_xlim(), ax.get_ylim()))
    assert len(limits) == 1
    (low, high), (bottom, top) = limits.pop()
    assert low < runs.alpha.min() < runs.alpha.max() < high
    assert bottom < 100 * runs.test_error.min() < 100 * runs.test_error.max() < top
    assert len(fig.axes) == 2


def test_the_coefficients_are_those_of_the_ranking(runs, ranking):
    ax = drawn(runs, ranking, "kind").axes[1]
    names = ["all runs", *(f"only {f}" for f in FACTORS), "mean of factors", "only the seed"]
    wanted = [ranking.overall, *ranking.within.values(), ranking.granulated, ranking.seeds]
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    points = [line for line in ax.lines if line.get_marker() in "oD"]
    bars = [line for line in ax.lines if line.get_linestyle() == "-" and line.get_linewidth() == 2 and line.get_marker() == "None"]  # noqa: E501  # fmt: skip
    assert len(points) == len(bars) == len(wanted)
    for point, bar, c, y in zip(points, bars, wanted, ax.get_yticks(), strict=True):
        assert (point.get_xdata(), point.get_ydata()) == ([c.value], [y])
        np.testing.assert_array_equal(bar.get_xdata(), [c.low, c.high])
        assert (point.get_markerfacecolor() == "white") == c.holds_zero
    assert {c.holds_zero for c in wanted} == {True, False}  # both kinds are there
    clear = sum(not c.holds_zero for c in ranking.within.values())
    assert ax.get_title("left") == f"Clear of 0: {clear} of 3 factors"


def test_a_coefficient_that_is_not_defined_is_told(runs):
    table = runs.assign(alpha=runs.data)  # the same for all runs of one amount of data
    ranking = quality.rank_runs(table, "alpha", "test_error", FACTORS, permutations=0, rng=0)
    fig = drawn(table, ranking, "data", "rate")
    assert words(fig.axes[1]).count("not defined") == 3  # rate, kind, the seed
    assert "Where only rate varies: τ is not defined" in fig.axes[0].get_title("left").replace("\n", " ")


def test_runs_without_a_value_are_left_out(runs, ranking):
    table = runs.copy()
    table.loc[table.data == 600, "alpha"] = np.nan
    found = quality.rank_runs(table, "alpha", "test_error", FACTORS, permutations=0, rng=0)
    ax = drawn(table, found, "data", "rate").axes[0]
    assert list(dots(ax)) == ["data 150", "data 300"]
    assert ax.get_xlim()[0] < table.alpha.min()


def test_losses_of_many_decades_have_a_logarithmic_axis_unless_one_is_zero(runs):
    table = runs.assign(train_loss=np.exp(4 * runs.alpha))
    for loss, scale in ((table.train_loss, "log"), (table.train_loss.where(table.index != 3, 0.0), "linear")):
        table = table.assign(train_loss=loss)
        found = quality.rank_runs(table, "train_loss", "test_error", FACTORS, permutations=0, bootstraps=10, rng=0)
        ax = drawn(table, found, "data").axes[0]
        assert ax.get_xscale() == scale
        assert ax.get_xlim()[0] < loss.min() < loss.max() < ax.get_xlim()[1]


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from([None, *FACTORS, SEED]), st.integers(8, 54))
def test_groups_agree_in_what_is_held_fixed_and_miss_no_pair(runs, data, varies, n):
    table = runs.iloc[data.draw(st.permutations(range(len(runs))))[:n]].reset_index(drop=True)
    groups = run_groups(table, FACTORS, varies)
    pairs = {frozenset(p) for g in groups for p in itertools.combinations(g.rows.tolist(), 2)}
    rows = table.to_dict("records")
    for i, j in itertools.combinations(range(n), 2):
        same = [f for f in FACTORS if rows[i][f] == rows[j][f]]
        wanted = same if varies is None else len(same) == 3 if varies == SEED else {*same, varies} == {*FACTORS}
        if varies in FACTORS and len(same) == 3:  # two seeds of a setting are in the group, if it has other settings
            continue
        assert (frozenset((i, j)) in pairs) == bool(wanted)


def test_the_mean_of_the_groups_is_the_coefficient_of_the_factor(runs, ranking):
    for varies in FACTORS:
        groups = run_groups(runs, FACTORS, varies)
        assert len(groups) == ranking.groups[varies]
        taus = [tau_by_loops(runs.iloc[group.rows], varies) for group in groups]
        assert np.mean(taus) == pytest.approx(ranking.within[varies].value)
        found = [group_tau(runs, ranking, group, varies).value for group in groups]
        np.testing.assert_allclose(found, taus)


def test_one_level_of_a_factor_has_an_interval_of_its_own(runs, ranking):
    group = run_groups(runs, FACTORS)[0]
    assert group.name == "data 150"
    c = group_tau(runs, ranking, group, bootstraps=200, rng=0)
    assert c.value == pytest.approx(tau_by_loops(runs[runs.data == 150], None))
    assert c.low < c.value < c.high
    assert np.isnan(group_tau(runs, ranking, run_groups(runs, FACTORS, SEED)[0], SEED).value)


def test_the_picture_in_words(runs, ranking):
    fig = drawn(runs, ranking, "kind", "rate")
    assert "Test error of 54 runs against alpha, marked by kind. Where only rate varies" in alt_text(fig)
    assert len(by_color(fig.axes[1], style.MEASURED)) > 5


def test_what_is_not_known_is_named(runs, ranking):
    with pytest.raises(ValueError, match="mark='width'; the factors are 'data', 'rate', 'kind'"):
        drawn(runs, ranking, "width")
    with pytest.raises(ValueError, match="varies='width'; allowed are None, 'data', 'rate', 'kind', 'seed'"):
        drawn(runs, ranking, "data", "width")
    with pytest.raises(ValueError, match="group=7; there are 6 groups, and 0 shows them all"):
        drawn(runs, ranking, "data", "rate", 7)
    with pytest.raises(ValueError, match="group=-1; there are 8 groups"):
        drawn(runs, ranking, "data", None, -1)
