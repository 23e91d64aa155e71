"""A signal in noise and its explorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from rmt_lab.explorers import SpikeExplorer
from rmt_lab.explorers.spike import SpikeModel
from rmt_lab.laws import spike_eigenvalue, spike_overlaps
from rmt_lab.plotting import style


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1, user_api="blas"):  # several lose much on a busy machine
        yield


@given(strength=st.floats(0, 2.5), M=st.integers(20, 80), Q=st.floats(1, 10), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_gram_matrix_gives_what_the_code_gets_from_the_matrix(strength, M, Q, seed):
    model, made = SpikeModel(strength=strength, M=M, Q=Q, seed=seed), {}
    exec(model.code()[: model.code().index("plot_spike(Spectrum")], made)
    assert made["theta"] == pytest.approx(model.result.theta)
    squares = model.result.spectrum.singular_values**2
    assert squares == pytest.approx(made["s"][::-1] ** 2, rel=1e-9, abs=1e-12 * squares[-1])
    assert model.result.overlaps == pytest.approx(made["overlaps"], abs=1e-6)


def test_theta_moves_the_signal_and_leaves_the_noise():
    weak, strong = SpikeModel(strength=0.5).result, SpikeModel(strength=2.5).result
    # Weyl and Cauchy: a change of rank one interlaces the singular values
    a, b = weak.spectrum.singular_values, strong.spectrum.singular_values
    assert (b[:-2] <= a[1:-1] * (1 + 1e-9)).all()
    assert (b[2:] >= a[1:-1] * (1 - 1e-9)).all() or (b[1:-1] >= a[:-2] * (1 - 1e-9)).all()
    assert b[-1] > 1.2 * a[-1]


@pytest.mark.parametrize("strength", [1.5, 2.0, 2.5])
def test_the_signal_is_where_theory_says(strength):
    results = [SpikeModel(strength=strength, M=300, seed=i).result for i in range(5)]
    expected = spike_eigenvalue(results[0].theta, 600, 300)
    assert np.mean([r.spectrum.eigenvalues[-1] for r in results]) == pytest.approx(expected, rel=0.05)
    assert np.mean([r.overlaps for r in results], axis=0) == pytest.approx(
        spike_overlaps(results[0].theta, 600, 300), abs=0.08
    )


def test_bulk_and_axis_stay_while_the_spike_moves():
    fig, views = Figure(figsize=SpikeModel.figsize), []
    for strength in (0.0, 1.0, 2.0):
        SpikeModel(strength=strength).draw(fig)
        views.append(fig.axes[0].get_xlim())
    assert views[0] == pytest.approx(views[1])
    assert views[0] == pytest.approx(views[2])


def test_predicted_and_actual_outlier_stand_side_by_side():
    def drawn(strength):
        model = SpikeModel(strength=strength, M=300)
        left, right = model.draw(Figure(figsize=SpikeModel.figsize)).axes
        lines = [line for line in left.lines if line.get_color() == style.OUTLIER]
        points = [line for line in right.lines if line.get_color() == style.MEASURED]
        assert [p.get_xdata()[0] for p in points] == pytest.approx([strength, strength])
        assert [p.get_ydata()[0] for p in points] == pytest.approx(model.result.overlaps)
        return {line.get_linestyle(): line.get_xdata()[0] for line in lines}

    above = drawn(2.0)
    assert above["--"] == pytest.approx(float(spike_eigenvalue(2 * (600 * 300) ** 0.25, 600, 300)))
    assert above["None"] == pytest.approx(above["--"], rel=0.1)
    assert drawn(0.5) == {}


def test_the_sentence_tells_shown_from_hidden():
    shown = SpikeExplorer(strength=2.0)
    assert "stands beyond" in shown.sentence
    before = shown.picture.value
    shown.controls["strength"].value = 0.5
    assert "lies within" in shown.sentence
    assert "0.00 and 0.00" in shown.picture.words
    assert shown.picture.value != before
