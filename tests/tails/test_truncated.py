"""The truncated power law: its normaliser against quadrature and library functions, its fit against an optimiser."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.integrate import quad
from scipy.special import expn, hyperu

from rmt_lab.tails import fit_power_law, fit_truncated_power_law
from rmt_lab.tails.truncated import _moments


def truncated(n, alpha, rate, seed):
    """x^-alpha e^(-rate x) above 1, by rejection from the power law (alpha > 1)."""
    rng = np.random.default_rng(seed)
    x = (1 - rng.random(30 * n)) ** (-1 / (alpha - 1))
    return x[rng.random(len(x)) < np.exp(-rate * (x - 1))][:n]


def log_integral(a, z):
    return _moments(np.array([a - 1 + z]), np.array([z]))[0][0]


@settings(max_examples=40, deadline=None)
@given(a=st.floats(-4, 8), log_z=st.floats(-14, 4))
def test_the_normaliser_is_the_integral(a, log_z):
    z = np.exp(log_z)
    u = max((1 - a) / z, 1.0)  # where the integrand, in v = ln u, is largest
    top = (1 - a) * np.log(u) - z * (u - 1)
    f = lambda v: np.exp((1 - a) * v - z * np.expm1(v) - top)  # noqa: E731
    pieces = [quad(f, v0, v1, limit=200)[0] for v0, v1 in itertools.pairwise([*np.linspace(0, np.log1p(800 / z), 13)])]
    assert log_integral(a, z) == pytest.approx(top + np.log(sum(pieces)), abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(a=st.integers(1, 9), z=st.floats(1e-3, 30))
def test_the_normaliser_is_scipys_exponential_integral(a, z):
    assert log_integral(a, z) == pytest.approx(np.log(expn(a, z)) + z, abs=1e-11)


@pytest.mark.parametrize(("a", "z"), [(0.5, 0.3), (-2.0, 1.0), (2.5, 0.1), (1.5, 1.0)])
def test_the_normaliser_is_tricomis_function(a, z):
    """Gamma(1 - a, z) = e^-z U(a, a, z), where scipy's hyperu is good."""
    assert np.exp(log_integral(a, z)) == pytest.approx(z ** (a - 1) * hyperu(a, a, z), rel=1e-9)


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0])
def test_without_a_cut_off_it_is_the_power_law(alpha):
    assert log_integral(alpha, 0.0) == pytest.approx(-np.log(alpha - 1), abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(alpha=st.floats(1.2, 4), rate=st.floats(0.01, 1), seed=st.integers(0, 999))
def test_the_fit_is_the_maximum_of_the_likelihood(alpha, rate, seed):
    x = truncated(300, alpha, rate, seed)
    fit = fit_truncated_power_law(x, xmin=1.0)

    def cost(p):
        z = abs(p[1])
        return p[0] * np.log(x).mean() + z * (x - 1).mean() + log_integral(p[0], z)

    best = optimize.minimize(cost, [alpha, rate], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    assert cost([fit.alpha, fit.Lambda]) <= best.fun + 1e-9
    if fit.Lambda > 0:
        assert fit.alpha == pytest.approx(best.x[0], abs=1e-3)
        assert fit.logpdf(x).mean() == pytest.approx(-best.fun, abs=1e-6)


def test_alpha_and_lambda_are_recovered_within_their_errors():
    z = []
    for seed in range(60):
        fit = fit_truncated_power_law(truncated(800, 1.5, 0.1, seed), xmin=1.0)
        z.append([(fit.alpha - 1.5) / fit.sigma, (fit.Lambda - 0.1) / fit.sigma_Lambda])
    assert np.all(np.abs(np.mean(z, axis=0)) < 0.5)
    assert np.all(np.abs(np.std(z, axis=0) - 1) < 0.35)


def test_alpha_is_free_below_one():
    x = np.random.default_rng(0).gamma(1.7, 10, 20000)  # x^0.7 e^(-x/10): alpha = -0.7
    fit = fit_truncated_power_law(x, xmin=2)
    assert fit.alpha == pytest.approx(-0.7, abs=4 * fit.sigma)
    assert fit.Lambda == pytest.approx(0.1, abs=4 * fit.sigma_Lambda)


def test_a_heavier_tail_than_any_truncated_one_is_the_pure_power_law():
    x = np.r_[truncated(300, 3, 1e-9, 0), 1e3, 1e4]
    fit = fit_truncated_power_law(x, xmin=1.0)
    pure = fit_power_law(x, xmin=1.0)
    assert (fit.Lambda, fit.sigma_Lambda, fit.R, fit.p) == (0, 0, 0, 1)
    assert fit.alpha == pytest.approx(pure.alpha)
    assert fit.sigma == pytest.approx(pure.sigma)
    assert pytest.approx(pure.D) == fit.D


def test_the_density_integrates_and_the_distribution_is_its_integral():
    fit = fit_truncated_power_law(truncated(500, 2.0, 0.2, 1))
    assert quad(fit.pdf, fit.xmin, np.inf)[0] == pytest.approx(1, abs=1e-7)
    for x in (fit.xmin * 1.5, fit.xmin * 6):
        assert fit.sf(x) == pytest.approx(quad(fit.pdf, x, np.inf)[0], abs=1e-7)
    assert fit.sf([0.0, fit.xmin]).tolist() == [1, 1]
    assert fit.pdf(fit.xmin / 2) == 0


def test_the_search_for_xmin_takes_the_smallest_distance():
    x = np.sort(np.r_[np.random.default_rng(0).uniform(0.1, 1, 40), truncated(60, 2.0, 0.2, 2)])
    fit = fit_truncated_power_law(x)
    Ds = {x0: fit_truncated_power_law(x, xmin=x0).D for x0 in x[:-10]}
    assert min(Ds.values()) == pytest.approx(fit.D, abs=1e-4)
    assert Ds[fit.xmin] == pytest.approx(fit.D, abs=1e-9)


def test_the_test_against_the_pure_law_has_its_level_and_power():
    """Lambda = 0 lies on the border, so that half of all samples have R = 0 and p = 1: at most half the level."""
    p = [fit_truncated_power_law(truncated(200, 3, 0, seed), xmin=1.0).p for seed in range(200)]
    assert 0 < np.mean(np.array(p) < 0.2) < 0.17
    p = [fit_truncated_power_law(truncated(200, 2, 0.3, seed), xmin=1.0).p for seed in range(20)]
    assert np.mean(np.array(p) < 0.05) > 0.7


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-9, 1e9))
def test_the_unit_does_not_matter(scale):
    x = truncated(100, 2.0, 0.2, 3)
    a, b = fit_truncated_power_law(x), fit_truncated_power_law(scale * x)
    assert b.alpha == pytest.approx(a.alpha, rel=1e-6)
    assert b.Lambda * scale == pytest.approx(a.Lambda, rel=1e-6)
    assert b.D == pytest.approx(a.D, rel=1e-6)


def test_distance_is_the_one_sided_step_of_kolmogorov_and_smirnov():
    x = np.sort(truncated(100, 2.0, 0.2, 4))
    fit = fit_truncated_power_law(x, xmin=1.0)
    below = np.arange(100) / 100
    assert pytest.approx(np.abs(below - (1 - fit.sf(x))).max()) == fit.D
    assert fit.D <= stats.kstest(x, lambda v: 1 - fit.sf(v)).statistic + 1e-12


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"x": [1.0, -2.0, 3.0]}, "x holds 1 of 3 values that are not positive and finite"),
        ({"x": [1.0, 2.0, 3.0]}, "x has 3 values to fit; a truncated power law needs at least 10 that differ"),
        ({"x": np.ones(20)}, "needs at least 10 that differ"),
        ({"x": np.arange(1.0, 30), "xmin": 25}, "x has 5 values to fit"),
        ({"x": np.arange(1.0, 30), "min_tail": 2}, "min_tail=2; two parameters need at least 3 values"),
    ],
)
def test_bad_input_is_named(kwargs, says):
    with pytest.raises(ValueError, match=says):
        fit_truncated_power_law(**kwargs)
