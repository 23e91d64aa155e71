"""Pictures of one layer: they carry the data, say what is seen, and survive extreme spectra."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import area, by_color, guides, only, planted, words
from matplotlib.figure import Figure

from rmt_lab import atlas
from rmt_lab.bulk import fit_bulk
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.plotting import alt_text, plot_against, plot_layer_grid, plot_scan, plot_spectrum, plot_tail, style
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fix_fingers


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


@pytest.mark.parametrize("singular_values", [False, True])
def test_spectrum_under_its_law(ax, singular_values):
    s = planted([45, 50, 55])
    fit = fit_bulk(s)
    assert plot_spectrum(s, ax=ax, singular_values=singular_values) is ax
    values = s.singular_values if singular_values else s.eigenvalues
    assert area(ax.patches[0]) == pytest.approx(297 / 300)  # the three are ticks
    edges = ax.patches[0].get_data().edges
    assert edges[0] == pytest.approx(values[0])
    assert values[-4] <= edges[-1] < values[-3]
    x, y = only(by_color(ax, style.NOISE)).get_data()
    law = fit.law.singular_values(s.N) if singular_values else fit.law
    assert y == pytest.approx(law.pdf(x) * 297 / 300)
    assert np.trapezoid(y, x) == pytest.approx(297 / 300, rel=1e-3)
    for marks in by_color(ax, style.OUTLIER):  # triangles, and the ticks that stand on them
        assert marks.get_xdata() == pytest.approx(values[-3:])
    assert len(by_color(ax, style.OUTLIER)) == 2
    threshold = np.sqrt(s.N * fit.threshold) if singular_values else fit.threshold
    assert guides(ax) == pytest.approx(sorted([*law.support(), threshold]))
    assert ax.get_title("left") == "planted: 3 spikes stand above the noise edge"
    assert f"edge {law.support()[1]:.3g}" in words(ax)
    assert f"threshold {threshold:.3g}" in words(ax)
    assert ("singular value" if singular_values else "eigenvalue") in ax.get_xlabel()
    assert "3 spikes" in alt_text(ax)
    assert "; 3 values stand alone beyond the bars" in alt_text(ax)


def test_noise_has_nothing_above_it_and_a_given_law_is_drawn_as_it_is(ax):
    s, law = gaussian_spectrum(900, 300, sigma=2, rng=3), MarchenkoPastur(3, 2)
    plot_spectrum(s, law, ax=ax)
    x, y = only(by_color(ax, style.NOISE)).get_data()
    assert y == pytest.approx(law.pdf(x))
    assert ax.get_title("left") == "No eigenvalue stands above the noise edge"
    assert not by_color(ax, style.OUTLIER)
    assert "threshold" in " ".join(words(ax))


def test_a_given_law_too_small_lets_many_values_stand_out(ax):
    s = gaussian_spectrum(900, 300, sigma=2, rng=3)
    plot_spectrum(s, MarchenkoPastur(3, 1), ax=ax)
    n = len(only(by_color(ax, style.OUTLIER)).get_xdata())
    assert n == np.count_nonzero(s.eigenvalues > guides(ax)[-1]) > 150
    assert ax.get_title("left").startswith(f"{n} of 300 eigenvalues stand above")
    ax.clear()
    heavy = Spectrum(np.geomspace(0.01, 100, 300), 900, 300)
    assert "there is no noise bulk" in plot_spectrum(heavy, ax=ax).get_title("left").replace("\n", " ")


def test_far_spikes_leave_the_bulk_room_and_are_counted(ax):
    s = planted([45, 900, 1500])
    plot_spectrum(s, ax=ax)
    low, high = ax.get_xlim()
    edges = fit_bulk(s).law.support()
    assert (edges[1] - edges[0]) / (high - low) > 0.25
    assert f"2 more, up to {s.eigenvalues[-1]:.3g} →" in words(ax)
    assert [len(marks.get_xdata()) for marks in by_color(ax, style.OUTLIER)] == [3, 3]
    assert area(ax.patches[0]) == pytest.approx(297 / 300)


@pytest.mark.parametrize("bins", [5, 100, np.linspace(0, 60, 31)])
def test_bins_can_be_chosen(ax, bins):
    s = planted([45, 900, 1500])
    wanted = style.bin_edges(s.singular_values, 0, 1, bins)
    for draw in (
        lambda ax: plot_spectrum(s, ax=ax, singular_values=True, bins=bins),
        lambda ax: plot_against(s, gaussian_spectrum(600, 300, rng=1), ax=ax, bins=bins),
        lambda ax: plot_layer_grid([s, s], fig=ax.figure, bins=bins),
    ):
        ax.figure.clear()
        ax = ax.figure.subplots()
        draw(ax)
        bars = next(a for a in ax.figure.axes if a.patches).patches[0].get_data()
        inside = np.count_nonzero(s.singular_values[:297] <= bars.edges[-1]) / 300
        assert area(next(a for a in ax.figure.axes if a.patches).patches[0]) == pytest.approx(inside)
        if np.ndim(bins):
            assert bars.edges == pytest.approx(wanted[: len(bars.edges)])
        else:  # of the whole axis, which reaches beyond the bars
            assert len(bars.edges) <= bins + 1
            assert np.diff(bars.edges) == pytest.approx(np.full(len(bars.edges) - 1, bars.edges[1] - bars.edges[0]))


def test_single_values_are_ticks_in_either_view_and_in_the_legend_where_spikes_crowd(ax):
    s = atlas.load("minilm")["block 3 feed-forward in"].spectrum
    for singular in (False, True):
        ax.clear()
        plot_spectrum(s, ax=ax, singular_values=singular)
        values = s.singular_values if singular else s.eigenvalues
        tall = max(by_color(ax, style.OUTLIER), key=lambda line: line.get_markersize())
        assert tall.get_xdata() == pytest.approx(values[-2:])
        assert "2 single values" in words(ax)
        assert area(ax.patches[0]) == pytest.approx(np.mean(values <= ax.patches[0].get_data().edges[-1]))


def test_zero_eigenvalues_are_said_not_drawn(ax):
    rng = np.random.default_rng(0)
    s = Spectrum.from_matrix(rng.normal(size=(300, 40)) @ rng.normal(size=(40, 100)))
    plot_spectrum(s, ax=ax)
    assert area(ax.patches[0]) <= 0.4 + 1e-9
    assert "60 of 100 are zero" in ax.get_title("left")


# extreme spectra: none of them may warn

EXTREMES = {
    "one value": Spectrum([2.0], 5, 1),
    "three values": Spectrum([1.0, 2.0, 3.0], 5, 3),
    "all equal": Spectrum(np.ones(50), 100, 50),
    "all equal but one": Spectrum([*np.ones(49), 1000.0], 100, 50),
    "all zero": Spectrum(np.zeros(20), 40, 20),
    "one above zero": Spectrum([*np.zeros(19), 1.0], 40, 20),
    "huge spike": planted([1e8]),
    "tiny scale": Spectrum(1e-12 * planted([90]).singular_values, 600, 300),
    "square": gaussian_spectrum(200, 200, rng=0),
    "tall": gaussian_spectrum(30522, 384, rng=0),
    "kernel": Spectrum(np.linspace(1, 2, 90), 60, 10, rf=9),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_draw_without_a_warning(name):
    s = EXTREMES[name]
    fig = Figure((9, 4), layout="constrained")
    left, right = fig.subplots(1, 2)
    plot_spectrum(s, ax=left)
    plot_spectrum(s, ax=right, singular_values=True)
    fig.draw_without_rendering()
    assert left.get_title("left")
    plot_layer_grid([s, s], [s, None], fig=Figure(layout="constrained")).draw_without_rendering()
    values = s.nonzero_eigenvalues
    if not len(values):
        with pytest.raises(ValueError, match="0 values"):
            plot_tail(s, ax=Figure().subplots())
        return
    fig = Figure((9, 4), layout="constrained")
    left, right = fig.subplots(1, 2)
    plot_tail(s, ax=left)
    if values[0] < values[-1]:
        fit = fix_fingers(values)
        plot_tail(s, fit, ax=left)
        plot_scan(fit, ax=right)
    else:
        assert "there is no tail" in left.get_title("left").replace("\n", " ")
    fig.draw_without_rendering()
