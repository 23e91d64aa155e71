"""Heavy-tailed noise and its explorer."""

import numpy as np
import pytest
from drawn import by_color
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.linalg import svdvals

from rmt_lab.ensembles import pareto
from rmt_lab.explorers import HeavyTailExplorer
from rmt_lab.explorers.heavy_tail import HeavyTailModel
from rmt_lab.plotting import style


@given(mu=st.floats(0.8, 6), M=st.integers(20, 80), Q=st.floats(1, 10), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_any_state_draws_and_its_code_gives_the_same_fit(mu, M, Q, seed):
    model, made = HeavyTailModel(mu=mu, M=M, Q=Q, seed=seed), {}
    assert model.draw(Figure(figsize=model.figsize)).axes[1].get_title("left")
    exec(model.code()[: model.code().index("plot_heavy_tail(spectrum")], made)
    assert made["fit"].alpha == pytest.approx(model.result.fit.alpha, rel=1e-9)
    assert made["spectrum"].norm == pytest.approx(made["W"].size * (1 + made["W"].mean() ** 2 / made["W"].var()))


def test_mu_transforms_the_numbers_that_were_drawn():
    heavy, light = pareto(30, 20, 1.0, rng=4), pareto(30, 20, 1.9, rng=4)
    assert light == pytest.approx(np.sign(heavy) * abs(heavy) ** (1 / 1.9))
    spectrum = HeavyTailModel(mu=1.0, M=20, Q=1.5, seed=4).result.spectrum
    assert spectrum.singular_values == pytest.approx(np.sort(svdvals(heavy / heavy.std())), abs=1e-6)


def test_the_exponent_is_that_of_theory_for_heavy_entries_only():
    def alpha(mu):
        return np.mean([HeavyTailModel(mu=mu, M=400, Q=1.0, seed=i).result.fit.alpha for i in range(4)])

    assert alpha(1.0) == pytest.approx(1.5, abs=0.1)
    assert alpha(1.5) == pytest.approx(1.75, abs=0.15)
    assert alpha(3.0) > 2.5 + 1  # far from its limit at the size of a layer


def test_bulk_and_tail_are_held_against_noise_and_theory():
    model = HeavyTailModel(mu=1.0)
    left, right = model.draw(Figure(figsize=model.figsize)).axes
    fit, edge = model.result.fit, model.result.edge
    (noise,), (fitted,) = by_color(right, style.NOISE), by_color(right, style.FIT)
    assert 0.99 * edge < noise.get_xdata()[-1] < edge
    slope = np.diff(np.log(fitted.get_ydata())) / np.diff(np.log(fitted.get_xdata()))
    assert slope == pytest.approx(1 - fit.alpha)
    theory = next(line for line in right.lines if str(line.get_label()).startswith("theory"))
    slope = np.diff(np.log(theory.get_ydata())) / np.diff(np.log(theory.get_xdata()))
    assert slope == pytest.approx(-0.5)
    beyond = np.count_nonzero(model.result.spectrum.eigenvalues > edge)
    assert left.get_title("left").startswith(f"{beyond} of 300")
    model.mu = 5.0
    right = model.draw(left.figure).axes[1]
    assert not [line for line in right.lines if str(line.get_label()).startswith("theory")]


def test_the_sentence_knows_where_theory_ends():
    shown = HeavyTailExplorer()
    fit = shown.model.result.fit
    assert f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} to the largest {fit.n_tail}" in shown.sentence
    assert "= 1.75." in shown.sentence
    before = shown.picture.value
    shown.controls["mu"].value = 5.0
    assert "no such tail" in shown.picture.words
    assert shown.picture.value != before
