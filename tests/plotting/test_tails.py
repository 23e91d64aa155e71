"""Pictures of tails: the points are the data, the lines the fits, and the words their figures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import by_color, fingered, guides, only
from matplotlib.figure import Figure

from rmt_lab import atlas
from rmt_lab.plotting import alt_text, plot_erg, plot_fingers, plot_scan, plot_tail, style
from rmt_lab.tails import erg, fit_power_law, fix_fingers


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


def test_tail_points_line_and_fingers(ax):
    x, fit = fingered()
    assert fit.num_fingers
    plot_tail(x, fit, ax=ax)
    points, outliers = only(by_color(ax, style.MEASURED)), only(by_color(ax, style.OUTLIER))
    assert np.r_[points.get_xdata(), outliers.get_xdata()] == pytest.approx(np.sort(x))
    assert np.r_[points.get_ydata(), outliers.get_ydata()] == pytest.approx([np.mean(x >= v) for v in np.sort(x)])
    assert outliers.get_xdata() == pytest.approx(fit.dropped)
    raw, fixed = by_color(ax, style.FIT)
    assert (raw.get_linestyle(), fixed.get_linestyle()) == ("--", "-")
    for line, f in ((raw, fit.raw), (fixed, fit.fit)):
        (x0, x1), (y0, y1) = line.get_data()
        assert (x0, x1, y0) == pytest.approx((f.xmin, f.xmax, np.mean(x >= f.xmin)))
        assert np.log(y1 / y0) / np.log(x1 / x0) == pytest.approx(1 - f.alpha)
        assert f"α = {f.alpha:.2f} ± {f.sigma:.2f}" in line.get_label()
    assert guides(ax) == pytest.approx([fit.fit.xmin, fit.fit.xmax])
    assert f"{fit.alpha:.2f} instead of {fit.raw.alpha:.2f}" in ax.get_title("left").replace("\n", " ")
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_tail_titles_weigh_the_fit(ax):
    rng = np.random.default_rng(0)
    pareto = (1 - rng.random(1000)) ** (-1 / 1.5)
    assert "no power law" not in plot_tail(pareto, ax=ax).get_title("left")
    ax.clear()
    exponential = rng.exponential(size=1000) + 1
    title = plot_tail(exponential, fit_power_law(exponential, xmin=1), ax=ax).get_title("left")
    assert "no power law" in title.replace("\n", " ")
    ax.clear()
    few = plot_tail(pareto, fit_power_law(pareto, xmin=np.sort(pareto)[-12]), ax=ax).get_title("left")
    assert "only 12 of 1000 values" in few


def test_xmin_peak_shows_both_fits(ax):
    x = np.random.default_rng(1).lognormal(0, 0.4, 400)
    plot_tail(x, fix_fingers(x, rule="xmin_peak"), ax=ax)
    assert len(by_color(ax, style.FIT)) == 2
    assert not by_color(ax, style.OUTLIER)
    assert "xmin near the peak" in ax.get_title("left")


def test_scan_draws_every_candidate(ax):
    fit = fingered()[1]
    upper, lower = plot_scan(fit, ax=ax)
    assert upper is ax
    for f, i in ((fit.raw, 0), (fit.fit, 3)):  # curve, chosen point, guide
        scan = f.scan()
        assert upper.lines[i].get_ydata() == pytest.approx(scan.Ds)
        assert lower.lines[i].get_ydata() == pytest.approx(scan.alphas)
        assert upper.lines[i].get_xdata() == pytest.approx(scan.xmins)
        assert upper.lines[i + 1].get_data() == ([f.xmin], [f.D])
        assert lower.lines[i + 1].get_data() == ([f.xmin], [f.alpha])
    assert guides(upper) == guides(lower) == sorted([fit.raw.xmin, fit.fit.xmin])
    top = only(a for a in upper.child_axes)
    for x_tick, label in zip(top.get_xticks(), top.get_xticklabels(), strict=True):
        assert np.count_nonzero(fit.fit.x >= x_tick) == int(label.get_text())
    assert f"α from {fit.raw.alpha:.3g} to {fit.alpha:.3g}" in upper.get_title("left").replace("\n", " ")
    upper.figure.draw_without_rendering()
    assert upper.get_window_extent().y0 > lower.get_window_extent().y1


def test_scan_says_when_xmin_was_given():
    ax = Figure().add_axes((0.1, 0.1, 0.8, 0.8))  # without a grid to share out
    fit = fit_power_law(np.arange(1.0, 50), xmin=2)
    upper, lower = plot_scan(fit, ax=ax)
    assert "D is not smallest at xmin = 2: 48 values" in upper.get_title("left")
    assert upper.get_position().y0 > lower.get_position().y1


@pytest.mark.parametrize("rule", ["clip_xmax", "xmin_peak", "clip_xmax_ww"])
@pytest.mark.parametrize("name", ["block 4 value", "block 3 query"])
def test_points_are_the_fits_that_were_tried(name, rule):
    fit = fix_fingers(atlas.load("minilm")[name].spectrum.nonzero_eigenvalues, rule=rule)
    fig = plot_fingers(fit, fig=Figure(figsize=(8, 7)))
    curves = [ax.lines[0].get_xydata() for ax in fig.axes]
    for curve, value in zip(
        curves, (lambda f: f.alpha, lambda f: f.D * f.n_tail**0.5, lambda f: f.n_tail), strict=True
    ):
        np.testing.assert_allclose(curve, [(k, value(f)) for k, f in fit.tried.items()])
    marked = [ax.lines[2].get_xdata()[0] for ax in fig.axes]
    assert set(marked) == {len(fit.dropped)}


def test_the_words_say_whether_dropping_helped():
    fit = fix_fingers(atlas.load("minilm")["block 4 value"].spectrum.nonzero_eigenvalues)
    fig = plot_fingers(fit, fig=Figure(figsize=(8, 7)))
    assert fit.num_fingers == 1
    assert f"{fit.fit.alpha:.2f} instead of {fit.raw.alpha:.2f}" in alt_text(fig)
    assert "D√n goes from 0.33 to 1.06" in alt_text(fig)
    assert "No fingers" in alt_text(plot_fingers(fix_fingers([1.0, 2.0, 4.0, 9.0, 11.0]), fig=Figure()))


def test_erg_crosses_one_where_the_count_says(ax):
    s = atlas.load("minilm")["block 3 query"].spectrum
    plot_erg(s, ax=ax)
    e = erg(s)
    x, mean_log = only(by_color(ax, style.MEASURED)).get_data()
    n = e.num_evals
    assert len(x) == n == len(only(by_color(ax, style.NOISE)).get_xdata())
    assert mean_log[e.num_erg - 2] >= 0 > mean_log[e.num_erg - 1]
    product = np.prod((x / np.mean(x))[:40])
    assert mean_log[39] * n == pytest.approx(np.log(product))
    assert len(only(by_color(ax, style.FIT)).get_xdata()) == e.num_pl_spikes
    scale = s.nonzero_eigenvalues.mean()
    assert sorted(guides(ax)) == pytest.approx(sorted([e.lambda_erg / scale, e.lambda_pl / scale]))
    assert f"takes {e.num_pl_spikes} of {n} values, the ERG tail {e.num_erg}" in ax.get_title("left").replace("\n", " ")
    assert f"after {e.num_erg} of {n}" in alt_text(ax)
