"""Eigenvalues as a gas of charges: the picture and its explorer."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rmt_lab.explorers import RepulsionExplorer
from rmt_lab.explorers.repulsion import RepulsionModel
from rmt_lab.laws import HighTemperatureMarchenkoPastur, Semicircle
from rmt_lab.laws.spacings import SpacingLaw, number_variance, spacings, window_counts
from rmt_lab.plotting import style


def variance(model):
    return np.mean((model.result.counts - model.width) ** 2)


def test_spacings_and_counts_are_those_of_the_matrices():
    model = RepulsionModel(time=3.0, width=15, n=150, draws=4, seed=2)
    paths, matrices, s, counts = model.result
    assert matrices.shape == (4, 150)
    assert paths.shape[1] == 150
    law = Semicircle()
    np.testing.assert_array_equal(s, np.concatenate([spacings(x, law) for x in matrices]))
    np.testing.assert_array_equal(counts, np.concatenate([window_counts(x, 15, law) for x in matrices]))


def test_repulsion_comes_before_rigidity():
    """Of neighbours at time 10 / n; of 40 levels only later. At either end both agree with their law."""

    def state(time):
        return RepulsionModel(time=time, width=40, draws=20)

    first, middle, last = state(0.001), state(10.0), state(1000.0)
    small = [np.mean(m.result.spacings < 0.25) for m in (first, middle, last)]
    assert small == pytest.approx(
        [SpacingLaw(0).cdf(0.25), SpacingLaw(1).cdf(0.25), SpacingLaw(1).cdf(0.25)], abs=0.025
    )
    matrix, independent = number_variance(40, 1), 40 * (1 - 40 / 100)
    assert variance(first) == pytest.approx(independent, rel=0.5)
    assert 3 * matrix < variance(middle) < independent
    assert variance(last) == pytest.approx(matrix, rel=0.5)
    assert last.result.spacings.std() == pytest.approx(0.53, abs=0.02)


def test_the_window_moves_and_the_levels_stay():
    narrow, wide = RepulsionModel(width=4).result, RepulsionModel(width=30).result
    assert np.array_equal(narrow.paths, wide.paths)
    assert np.array_equal(narrow.matrices, wide.matrices)
    assert narrow.counts.mean() == pytest.approx(4, abs=1)
    assert wide.counts.mean() == pytest.approx(30, abs=3)


def test_the_present_is_marked_and_the_past_is_strong():
    def drawn(time):
        left, right = RepulsionModel(time=time).draw(Figure(figsize=RepulsionModel.figsize)).axes
        blue = [line for line in left.lines if line.get_color() == style.MEASURED]
        (now,) = [line for line in left.lines if line.get_linestyle() == ":"]
        assert now.get_xdata() == pytest.approx([time, time])
        assert [t.get_text() for t in left.texts] == ["now"]
        assert {line.get_color() for line in right.lines} == {style.NOISE, style.GUIDE}
        assert all(
            np.nanmax(line.get_xdata()) == pytest.approx(end) for line, end in zip(blue, (1000, time), strict=False)
        )
        return len(blue)

    assert drawn(10.0) == 2
    assert drawn(1000.0) == 2
    assert drawn(0.001) == 1  # there is no past yet


def test_the_sentence_speaks_of_what_the_picture_shows():
    shown = RepulsionExplorer(time=2.0, width=8, draws=5)
    result = shown.model.result
    assert f"{np.mean(result.spacings < 0.25):.1%} of 495 spacings" in shown.sentence
    assert "a quarter of the mean (22.1%, 4.8%)" in shown.sentence
    assert f"variance {variance(shown.model):.2g} (7.4, {number_variance(8, 1):.2g})" in shown.sentence
    assert f"is {result.spacings.std():.2f} of their mean (1, 0.52)" in shown.sentence
    assert (
        shown.figure().axes[1].get_title("left")
        == f"{np.mean(result.spacings < 0.25):.0%} of the spacings are below 0.25"
    )
    shown.controls["view"].value = "counts in windows"
    held = f"hold {result.counts.min()} to {result.counts.max()} levels"
    assert held in shown.sentence
    assert held in shown.figure().axes[1].get_title("left")


def at_rest(**values):
    return RepulsionModel(**{"draws": 20, "width": 4, **values})


def test_weaker_repulsion_lets_more_levels_come_close():
    small = [np.mean(at_rest(beta=beta).result.spacings < 0.25) for beta in (0.1, 0.5, 2.0, 4.0)]
    expected = [SpacingLaw(beta).cdf(0.25) for beta in (0.1, 0.5, 2.0, 4.0)]
    assert small == pytest.approx(expected, abs=0.02)
    assert np.all(np.diff(small) < 0)


def test_counts_at_rest_have_the_variance_of_their_temperature():
    for beta in (0.1, 0.5, 4.0):
        model = at_rest(beta=beta)
        assert variance(model) == pytest.approx(number_variance(4, beta), rel=0.25)
        assert variance(model) < 0.9 * 4 * (1 - 4 / 100)


def test_at_rest_time_is_idle_and_the_picture_and_sentence_follow_beta():
    model = at_rest(beta=0.3, seed=3)
    assert list(model.idle()) == ["time"]
    assert list(RepulsionModel().idle()) == []
    assert model.result.paths is None
    assert np.array_equal(model.result.spacings, at_rest(beta=0.3, seed=3, time=100.0).result.spacings)
    left, right = model.draw(Figure(figsize=RepulsionModel.figsize)).axes
    held = np.sum(np.abs(100 * HighTemperatureMarchenkoPastur(2, 15).cdf(model.result.matrices) - 50) < 2, axis=1)
    assert left.get_title("left") == f"The window holds {held.min()} to {held.max()} levels"
    (law,) = [line for line in right.lines if line.get_color() == style.NOISE]
    np.testing.assert_allclose(law.get_ydata(), SpacingLaw(0.3).pdf(law.get_xdata()))
    assert law.get_label() == "β = 0.3"
    said = model.sentence()
    assert said.startswith("β = 0.3, at rest; in parentheses the law of independent levels, then that of this β.")
    assert f"a quarter of the mean (22.1%, {SpacingLaw(0.3).cdf(0.25):.1%})" in said
    assert f"({4 * (1 - 4 / 100):.2g}, {number_variance(4, 0.3):.2g})" in said
