"""The blurred spectrum, the root of the quadratic equation, and their explorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab.ensembles import gaussian
from rmt_lab.explorers import ResolventExplorer
from rmt_lab.explorers.resolvent import ResolventModel
from rmt_lab.plotting import style


@given(M=st.integers(20, 60), Q=st.floats(1, 6), log_eta=st.floats(-2.5, 0), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_curves_and_change_are_those_of_inverse_matrices(M, Q, log_eta, seed):
    model = ResolventModel(M=M, Q=Q, eta=10**log_eta, leave=True, seed=seed)
    z, m, root, change = model.result
    W, at = gaussian(model.N, M, rng=seed), len(z) // 3
    traces = [np.trace(np.linalg.inv(A.T @ A / model.N - z[at] * np.eye(M))) for A in (W, W[1:])]
    assert m[at] == pytest.approx(traces[0] / M, rel=1e-8)
    assert change[at] == pytest.approx(traces[0] - traces[1], rel=1e-6, abs=1e-8)
    q = model.N / M
    equation = z * root**2 / q + (z - 1 + 1 / q) * root + 1
    assert np.abs(equation).max() < 1e-10 * (1 + np.abs(root).max() ** 2)
    assert np.all(root.imag > 0)


def test_no_peak_falls_between_two_points():
    model = ResolventModel(eta=0.003, M=20)
    z, m, *_ = model.result
    assert np.diff(z.real).max() < model.eta
    assert m.imag.max() / np.pi > 0.8 / (np.pi * 20 * 0.003)  # of a peak that stands alone


def test_the_curves_meet_where_eta_is_wide_and_part_where_it_is_narrow():
    def apart(eta, M):
        result = ResolventModel(eta=eta, M=M).result
        return np.abs(result.m.imag - result.root.imag).max() / np.pi

    assert apart(1.0, 200) < apart(0.1, 200) / 5 < apart(0.01, 200) / 25
    assert apart(0.1, 300) < apart(0.1, 20) / 4


def test_a_row_does_the_same_to_large_and_small_matrices_and_nothing_to_a_large_mean():
    small, large = (
        [np.abs(ResolventModel(M=M, leave=True, seed=i).result.change).max() for i in range(8)] for M in (20, 300)
    )
    assert max(small + large) < 10
    assert 1 < np.median(large)
    assert np.median(large) / 300 < np.median(small) / 20 / 5


def test_the_second_panel_is_there_when_a_row_is_left_out():
    fig = Figure(figsize=ResolventModel.figsize)
    (ax,) = ResolventModel().draw(fig).axes
    assert ax.get_title("left").startswith("The two curves differ by at most")
    model = ResolventModel(leave=True, eta=0.2)
    left, right = model.draw(fig).axes
    curve, bound = right.lines
    assert np.array_equal(curve.get_ydata(), np.abs(model.result.change))
    assert bound.get_ydata()[0] == pytest.approx(1 / 0.2)
    assert [t.get_text() for t in right.texts] == ["bound 1 / η = 5"]
    looks = {line.get_color(): line.get_linestyle() for line in left.lines}
    assert looks == {style.GUIDE: ":", style.MEASURED: "-", style.NOISE: "--"}
    assert len(ResolventModel().draw(fig).axes) == 1


def test_peaks_beyond_the_axis_are_said():
    (ax,) = ResolventModel(eta=0.003, M=20).draw(Figure(figsize=ResolventModel.figsize)).axes
    (text,) = ax.texts
    assert text.get_text() == f"up to {ResolventModel(eta=0.003, M=20).result.m.imag.max() / np.pi:.2g} ↑"
    assert not ResolventModel(eta=0.5).draw(Figure(figsize=ResolventModel.figsize)).axes[0].texts


def test_the_sentence_speaks_of_what_the_picture_shows():
    shown = ResolventExplorer(eta=0.2, M=100)
    z, m, root, _ = shown.model.result
    apart = np.abs(m.imag - root.imag) / np.pi
    assert f"differ by at most {apart.max():.2g}, at x = {z.real[apart.argmax()]:.2f}" in shown.sentence
    assert f"{apart.max():.2g}" in shown.figure().axes[0].get_title("left")
    assert "row" not in shown.sentence
    shown.controls["leave"].value = True
    most = np.abs(shown.model.result.change).max()
    assert f"changes by at most {most:.2g}; the bound is 1/η = 5." in shown.sentence
    assert f"is at most {most / 100:.2g}, where |m| reaches {np.abs(m).max():.2g}" in shown.sentence
    assert shown.figure().axes[1].get_title("left").endswith(f"{most:.2g}")
