"""Pictures of single levels: bars and laws of one area, paths that do not cross, words for each."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from rmt_lab.ensembles import dyson, gaussian_ensemble_eigenvalues, laguerre_spectrum
from rmt_lab.laws import HighTemperatureMarchenkoPastur, Semicircle
from rmt_lab.laws.spacings import SpacingLaw, number_variance, spacings, window_counts
from rmt_lab.plotting import (
    alt_text,
    plot_counts,
    plot_level_diagrams,
    plot_paths,
    plot_repulsion,
    plot_spacings,
    plot_temperature,
    style,
)


@pytest.fixture
def ax():
    return Figure(figsize=(8, 5), layout="constrained").subplots()


def curve(ax, color):
    (line,) = [line for line in ax.lines if line.get_color() == color]
    return line.get_xdata(), line.get_ydata()


def test_spacings_and_both_laws(ax):
    s = spacings(gaussian_ensemble_eigenvalues(2000, rng=0))
    plot_spacings(s, ax)
    heights, edges, _ = ax.patches[0].get_data()
    assert heights @ np.diff(edges) == pytest.approx(np.mean(s <= edges[-1]))
    for color, law in ((style.NOISE, stats.rayleigh(scale=(2 / np.pi) ** 0.5)), (style.GUIDE, stats.expon)):
        x, y = curve(ax, color)
        np.testing.assert_allclose(y, law.pdf(x), atol=1e-9)
    assert ax.get_title("left") == f"{np.mean(s < 0.25):.0%} of the spacings are below 0.25"
    assert "Wigner's surmise" in alt_text(ax)


def test_counts_and_both_laws(ax):
    n, width = 400, 6
    counts = window_counts(gaussian_ensemble_eigenvalues(n, rng=1), width)
    plot_counts(counts, width, n, ax)
    heights, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(heights, [np.mean(counts == k) for k in edges[:-1] + 0.5])
    assert heights.sum() == pytest.approx(1)
    k, y = curve(ax, style.GUIDE)
    np.testing.assert_allclose(y, stats.binom(n, width / n).pmf(k), rtol=1e-9)
    k, y = curve(ax, style.NOISE)
    assert y.sum() == pytest.approx(1)
    assert y @ (k - width) ** 2 == pytest.approx(number_variance(width, 1) + 1 / 12, abs=0.01)  # Sheppard: rounded
    assert ax.get_title("left") == f"Windows of 6 hold {counts.min()} to {counts.max()} levels"


def test_counts_far_from_both_laws_are_in_the_picture(ax):
    plot_counts(np.array([0, 99]), 10, 100, ax)
    low, high = ax.get_xlim()
    assert low < 0
    assert high > 99


def test_paths_do_not_cross_and_stop_at_the_present(ax):
    times = np.geomspace(1e-4, 1, 9)
    levels = 50 * Semicircle().cdf(dyson(Semicircle().rvs(50, rng=0), times, rng=1))
    plot_paths(times, levels, 0.01, 20, ax)
    future, past = [line for line in ax.lines if line.get_color() == style.MEASURED]
    assert future.get_alpha() < 1
    assert past.get_alpha() is None
    for line, end in ((future, 1.0), (past, 0.01)):
        x, y = (np.asarray(v)[:-1] for v in line.get_data())
        gaps = np.flatnonzero(np.isnan(y))
        assert np.nanmax(x) == pytest.approx(end)
        paths = np.split(y, gaps)
        paths = np.array([paths[0], *(p[1:] for p in paths[1:])])
        assert np.all(np.diff(paths, axis=0) > 0)
    y = levels - 25
    held = np.sum(np.abs(y) < 10, axis=1)
    assert ax.get_title("left") == f"{held[0]} in the window at first, {held[-1]} at last"


def test_the_figure_shows_either_view():
    law, times = Semicircle(), np.array([0.001, 1.0, 100.0])
    paths = dyson(law.rvs(60, rng=0), times / 60, rng=1)
    made = [
        plot_repulsion(times, paths, 100.0, paths[-1:], law, 10, view, Figure())
        for view in ("spacings", "counts in windows")
    ]
    labels = [fig.axes[1].get_xlabel() for fig in made]
    assert labels == ["spacing / mean spacing", "levels in a window"]
    for fig in made:
        assert "Paths of levels" in alt_text(fig)
    with pytest.raises(ValueError, match="view='paths'; allowed are 'spacings', 'counts in windows'"):
        plot_repulsion(times, paths, 1.0, paths[-1:], law, view="paths", fig=Figure())


def test_levels_side_by_side_are_where_they_are(ax):
    levels = np.array([np.arange(30) + 0.5, np.arange(30) * 1.1])
    plot_level_diagrams(levels, 10, ax)
    y = levels - 15
    drawn = [line for line in ax.lines if line.get_color() == style.MEASURED]
    for i, line in enumerate(drawn):
        x, heights = np.asarray(line.get_data())
        np.testing.assert_allclose(heights[::3], y[i][np.abs(y[i]) < 7])
        assert np.nanmin(x) == pytest.approx(i - 0.4)
        assert np.nanmax(x) == pytest.approx(i + 0.4)
    held = np.sum(np.abs(y) < 5, axis=1)
    assert ax.get_title("left") == f"The window holds {held.min()} to {held.max()} levels"


def test_the_red_law_is_that_of_the_temperature():
    law = HighTemperatureMarchenkoPastur(2, 10)
    matrices = np.array([laguerre_spectrum(80, 40, 0.5, rng=i).eigenvalues for i in range(6)])
    for view, label in (("spacings", "spacing / mean spacing"), ("counts in windows", "levels in a window")):
        fig = plot_temperature(matrices, law, 0.5, 5, view, Figure())
        assert fig.axes[1].get_xlabel() == label
        (red,) = [line for line in fig.axes[1].lines if line.get_color() == style.NOISE]
        assert red.get_label() == "β = 0.5"
        if view == "spacings":
            np.testing.assert_allclose(red.get_ydata(), SpacingLaw(0.5).pdf(red.get_xdata()))
        else:
            k, p = red.get_data()
            assert np.sum(p * (k - 5) ** 2) == pytest.approx(number_variance(5, 0.5) + 1 / 12, rel=0.02)  # and rounding
    with pytest.raises(ValueError, match="view='paths'"):
        plot_temperature(matrices, law, 0.5, view="paths", fig=Figure())
