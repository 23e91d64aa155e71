"""The largest eigenvalue of noise and its explorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import kstest

from rmt_lab.ensembles import gaussian_spectrum, largest_eigenvalues
from rmt_lab.explorers import EdgeExplorer
from rmt_lab.explorers.edge import EdgeModel
from rmt_lab.laws import TracyWidom, edge_scaling
from rmt_lab.plotting import plot_largest, style


@given(M=st.integers(1, 300), Q=st.floats(1, 10), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_corner_gives_the_largest_eigenvalue_of_the_whole_matrix(M, Q, seed):
    N, rng = round(M * Q), np.random.default_rng(seed)
    whole = [gaussian_spectrum(N, M, rng=rng).eigenvalues[-1] for _ in range(3)]
    assert largest_eigenvalues(N, M, 3, rng=seed) == pytest.approx(whole, rel=1e-12)


def test_and_of_a_matrix_long_enough_for_the_corner_to_be_small():
    N, M = 900, 900
    whole = gaussian_spectrum(N, M, rng=5).eigenvalues[-1]
    assert largest_eigenvalues(N, M, 1, rng=5) == pytest.approx([whole], rel=1e-12)


def test_they_follow_tracy_and_widom():
    mu, s = edge_scaling(800, 400)
    values = (largest_eigenvalues(800, 400, 500, rng=1) - mu) / s
    assert kstest(values, TracyWidom(1).cdf).pvalue > 0.01


@pytest.mark.parametrize("scaled", [False, True])
def test_histogram_and_law_have_area_one_on_either_scale(scaled):
    ax = plot_largest(largest_eigenvalues(60, 30, 500, rng=0), 60, 30, scaled, Figure().subplots())
    heights, edges, _ = ax.patches[0].get_data()
    assert heights @ np.diff(edges) == pytest.approx(1)
    (law,) = (line for line in ax.lines if line.get_color() == style.NOISE)
    assert np.trapezoid(law.get_ydata(), law.get_xdata()) == pytest.approx(1, abs=0.01)
    low, high = ax.get_xlim()
    assert low <= min(edges[0], law.get_xdata()[0])
    assert high >= max(edges[-1], law.get_xdata()[-1])


def test_the_axis_stays_while_the_histogram_narrows():
    fig = Figure()
    views, widths = [], []
    for M in (50, 100, 200, 400):
        model = EdgeModel(M=M)
        model.draw(fig)
        views.append(fig.axes[0].get_xlim())
        widths.append(model.result.largest.std())
    assert views[0] == pytest.approx(views[-1], rel=1e-9)
    slope = np.polyfit(np.log([50, 100, 200, 400]), np.log(widths), 1)[0]
    assert slope == pytest.approx(-2 / 3, abs=0.1)


def test_more_draws_keep_those_there_were():
    few, more = EdgeModel(draws=100).result.largest, EdgeModel(draws=300).result.largest
    assert np.array_equal(few, more[:100])


def test_the_sentence_speaks_of_the_values_in_the_picture():
    shown = EdgeExplorer(M=64)
    largest, _, _, threshold, _ = shown.model.result
    assert f"128 × 64 noise is {largest.mean():.4g} ± {largest.std():.2g}" in shown.sentence
    share = f"{np.mean(largest > threshold):.1%}"
    assert share in shown.sentence
    assert shown.figure().axes[0].get_title("left").startswith(share)
    shown.controls["scaled"].value = True
    assert "over s" in shown.sentence
    assert "centre" in shown.figure().axes[0].get_xlabel()
