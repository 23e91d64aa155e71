"""The law at high temperature: against Tricomi's function, its moments, its limits, and samples of the ensemble."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import gamma, hyperu

from rmt_lab.ensembles import laguerre_spectrum
from rmt_lab.laws import HighTemperatureMarchenkoPastur, InverseHighTemperatureMarchenkoPastur, MarchenkoPastur
from rmt_lab.tails import fit_power_law, hill

CASES = [(2.0, 1.0), (1.0, 1.0), (1.2, 3.3), (4.0, 0.37), (3.0, 0.5), (2.0, 20.0)]  # Q, c


@settings(max_examples=12, deadline=None)
@given(log_Q=st.floats(0, 6), log_c=st.floats(-4, 2), p=st.floats(0.01, 0.99))
def test_the_mass_from_below_and_from_above_is_one(log_Q, log_c, p):
    law = HighTemperatureMarchenkoPastur(10**log_Q, 10**log_c)
    x = law.ppf(p)
    if x > 1e-290:
        assert law.cdf(x) + law.sf(x) == pytest.approx(1, abs=1e-6)


def average(law, f):
    """E f(x) by quadrature in log x."""
    low, high = math.log(max(law.ppf(1e-15), 1e-304)), math.log(law.ppf(1 - 1e-15))
    knots = np.linspace(low, high, 30)
    parts = [
        quad(lambda t: f(math.exp(t)) * law.pdf(math.exp(t)) * math.exp(t), a, b, epsrel=1e-9)[0]
        for a, b in pairwise(knots)
    ]
    return math.fsum(parts)


@pytest.mark.parametrize(("Q", "c"), CASES)
def test_the_density_is_that_of_tricomis_function(Q, c):
    mpmath = pytest.importorskip("mpmath")
    law, k = HighTemperatureMarchenkoPastur(Q, c, sigma=1.5), c * (Q - 1)
    for x in (1e-30, 1e-10, 1e-3, 0.1, 0.7, 1.0, 3.0, 8.0):
        L = mpmath.mpf(x) * c * Q / 1.5**2
        size = abs(mpmath.hyperu(c, 1 - k, -L))
        expected = L**k * mpmath.exp(-L) / (mpmath.gamma(c + 1) * mpmath.gamma(c + k) * size**2) / x
        if expected > 1e-250:
            assert law.pdf(x) == pytest.approx(float(expected), rel=2e-7)


@pytest.mark.parametrize(("Q", "c"), CASES)
def test_the_stieltjes_transform_is_a_ratio_of_tricomis_functions(Q, c):
    """E 1/(x + y), by quadrature of the density, against scipy's function of a positive argument."""
    law, k = HighTemperatureMarchenkoPastur(Q, c), c * (Q - 1)
    for y in (0.2, 2.0):
        expected = c * Q * hyperu(c + 1, 2 - k, c * Q * y) / hyperu(c, 1 - k, c * Q * y)
        lost = law.cdf(1e-304) / y if Q == 1 else 0  # mass below what float64 can hold
        assert average(law, lambda x, y=y: 1 / (x + y)) + lost == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("Q", "c"), [case for case in CASES if case[0] > 1])
def test_total_moments_and_cdf(Q, c):
    law = HighTemperatureMarchenkoPastur(Q, c, sigma=0.5)
    assert average(law, lambda x: 1.0) == pytest.approx(1, abs=1e-7)
    for j in range(1, 6):
        assert average(law, lambda x, j=j: x**j) == pytest.approx(law.moment(j), rel=1e-6)
    assert law.moment(1) == pytest.approx(law.mean())
    assert law.moment(2) == pytest.approx(law.var() + law.mean() ** 2)
    x = law.ppf([1e-9, 0.01, 0.3, 0.8, 1 - 1e-9])
    np.testing.assert_allclose(law.cdf(x), [1e-9, 0.01, 0.3, 0.8, 1 - 1e-9], rtol=1e-6)
    np.testing.assert_allclose(law.sf(x)[:4], 1 - law.cdf(x)[:4], rtol=1e-6)
    h = 1e-4 * x[1:4]
    np.testing.assert_allclose((law.cdf(x[1:4] + h) - law.cdf(x[1:4] - h)) / (2 * h), law.pdf(x[1:4]), rtol=1e-5)


@settings(max_examples=8, deadline=None)
@given(Q=st.floats(1, 20), log_c=st.floats(-3, 2), log_sigma=st.floats(-3, 3), p=st.floats(0.001, 0.999))
def test_the_law_scales_and_inverts(Q, log_c, log_sigma, p):
    c, sigma = 10**log_c, 10**log_sigma
    law, scaled = HighTemperatureMarchenkoPastur(Q, c), HighTemperatureMarchenkoPastur(Q, c, sigma)
    x = law.ppf(p)
    assert scaled.ppf(p) == pytest.approx(sigma**2 * x, rel=1e-9)
    if x > 1e-290:
        assert law.cdf(x) == pytest.approx(p, rel=1e-5)
        inverse = InverseHighTemperatureMarchenkoPastur(Q, c)
        assert inverse.cdf(1 / x) == pytest.approx(1 - p, abs=1e-6)
        assert inverse.pdf(1 / x) == pytest.approx(x**2 * law.pdf(x), rel=1e-9)


def test_the_limits_are_marchenko_pastur_and_gamma():
    x = np.linspace(0.02, 6, 200)
    cold = [np.abs(HighTemperatureMarchenkoPastur(3.0, c).cdf(x) - MarchenkoPastur(3.0).cdf(x)).max() for c in (4, 60)]
    assert cold[1] < 0.01 < cold[0]
    for shape, c in ((0.3, 1e-5), (5000.0, 1e-6), (2.5, 1e-4)):
        hot = HighTemperatureMarchenkoPastur(1 + shape / c, c)
        np.testing.assert_allclose(hot.cdf(x), stats.gamma(shape, scale=1 / shape).cdf(x), atol=1e-4)
    y = 1 / x
    inverse = InverseHighTemperatureMarchenkoPastur(1 + shape / c, c)
    np.testing.assert_allclose(inverse.cdf(y), stats.invgamma(shape, scale=shape).cdf(y), atol=1e-4)


@pytest.mark.parametrize(("Q", "c"), [(2.0, 0.5), (1.5, 3.0), (4.0, 10.0), (1.0, 2.0)])
def test_the_ensemble_follows_it(Q, c):
    """Levels of hot spectra are nearly independent, so the KS distance of n of them is at most that of n free ones.

    The law of half the repulsion, a wrong one, does not fit.
    """
    M, draws, rng = 500, 8, np.random.default_rng(0)
    x = np.concatenate([laguerre_spectrum(int(Q * M), M, 2 * c / M, 0.7, rng).eigenvalues for _ in range(draws)])
    x = x[x > 0]
    distance = stats.kstest(x, HighTemperatureMarchenkoPastur(Q, c, 0.7).cdf).statistic
    assert distance < 1.63 / len(x) ** 0.5  # 1 %
    assert stats.kstest(x, HighTemperatureMarchenkoPastur(Q, c / 2, 0.7).cdf).statistic > 2 * distance


def test_both_ends_are_those_of_the_docstring():
    Q, c = 2.5, 0.8
    k = c * (Q - 1)
    law, inverse = HighTemperatureMarchenkoPastur(Q, c), InverseHighTemperatureMarchenkoPastur(Q, c)
    assert (law.lower_exponent, inverse.alpha) == pytest.approx((k - 1, k + 1))
    x = 1e-12
    start = (c * Q) ** k * gamma(c * Q) / (gamma(c + 1) * gamma(k) ** 2) * x ** (k - 1)
    assert law.pdf(x) == pytest.approx(start, rel=1e-5)
    assert inverse.pdf(1e12) == pytest.approx(start * 1e-24, rel=1e-5)
    end = np.array([60.0, 120.0])
    slope = np.diff(np.log(law.pdf(end)) + c * Q * end) / np.diff(np.log(end))
    assert slope == pytest.approx(k - 1 + 2 * c, abs=0.02)


def local_alpha(law, y):
    """Hill's exponent of the law itself above y: 1 + 1 / E(log(Y / y) | Y > y)."""
    log_excess = quad(lambda u: law.sf(y * math.exp(u)), 0, 60 / (law.alpha - 1), limit=200)[0] / law.sf(y)
    return 1 + 1 / log_excess


@pytest.mark.parametrize(("Q", "c"), [(2.0, 0.5), (3.0, 0.5), (2.0, 1.0), (2.0, 4.0)])
def test_samples_have_the_power_at_zero_and_the_exponential_at_the_upper_end(Q, c):
    """The upper end of 1/x is a power law of exponent 1 + k; the upper end of x is exponential of rate c Q.

    The first is the lower end of x, where the density is x^(k - 1). A strong repulsion (k = 4) hides it: at the largest
    values of a sample the law has not come to its power yet, and the sample has the exponent that the law has there.
    """
    M, rng, k = 400, np.random.default_rng(1), c * (Q - 1)
    x = np.concatenate([laguerre_spectrum(int(Q * M), M, 2 * c / M, rng=rng).eigenvalues for _ in range(30)])
    y, tail, law = np.sort(1 / x), 150, InverseHighTemperatureMarchenkoPastur(Q, c)
    found = hill(y, tail)
    error = (found - 1) / tail**0.5
    assert abs(found - local_alpha(law, y[-tail])) < 4 * error
    assert local_alpha(law, 1e7) == pytest.approx(law.alpha, rel=1e-3)
    if k <= 1:
        assert abs(found - law.alpha) < 4 * error
        assert abs(found - (1 + c * Q)) > 4 * error  # k is c (Q - 1), not c Q
    assert fit_power_law(y, xmin=float(y[-tail])).alpha == pytest.approx(found, rel=0.02)
    # The mean excess over a high quantile is that of the law.
    direct, top = HighTemperatureMarchenkoPastur(Q, c), np.quantile(x, 0.99)
    excess = x[x > top] - top
    expected = quad(direct.sf, top, top + 60 / (c * Q))[0] / direct.sf(top)
    assert abs(excess.mean() - expected) < 4 * expected / len(excess) ** 0.5


def test_moments_of_the_inverse():
    for Q, c in ((4.0, 1.5), (2.0, 8.0)):
        law = InverseHighTemperatureMarchenkoPastur(Q, c, sigma=1.3)
        assert average(law, lambda y: y) == pytest.approx(law.mean(), rel=1e-5)
        assert average(law, np.square) - law.mean() ** 2 == pytest.approx(law.var(), rel=1e-3)
    assert InverseHighTemperatureMarchenkoPastur(2.0, 1.0).mean() == math.inf
    assert InverseHighTemperatureMarchenkoPastur(2.0, 2.0).var() == math.inf
    assert math.isnan(InverseHighTemperatureMarchenkoPastur(2.0, 0.5).var())


def test_outside_and_at_zero():
    for Q, c, at_zero in ((3.0, 1.0, 0.0), (2.0, 1.0, 2.0), (1.5, 1.0, np.inf)):
        law = HighTemperatureMarchenkoPastur(Q, c)
        np.testing.assert_array_equal(law.pdf([-1.0, 0.0, np.nan]), [0.0, at_zero, np.nan])
        np.testing.assert_array_equal(law.cdf([-1.0, 0.0, np.inf]), [0, 0, 1])
        np.testing.assert_array_equal(law.sf([-1.0, 0.0, np.inf]), [1, 1, 0])
        np.testing.assert_array_equal(law.ppf([-0.1, 0.0, 1.0, 1.1]), [np.nan, 0, np.inf, np.nan])
    assert HighTemperatureMarchenkoPastur(2.0, 1.0).pdf(1e-9) == pytest.approx(2.0, rel=1e-5)
    sample = HighTemperatureMarchenkoPastur(2.0, 1.0).rvs(1000, rng=0)
    assert stats.kstest(sample, HighTemperatureMarchenkoPastur(2.0, 1.0).cdf).pvalue > 1e-3
    inverse = InverseHighTemperatureMarchenkoPastur(2.0, 1.0)
    assert stats.kstest(inverse.rvs(1000, rng=0), inverse.cdf).pvalue > 1e-3
    np.testing.assert_allclose(inverse.cdf(inverse.ppf([0.01, 0.5, 0.99])), [0.01, 0.5, 0.99], rtol=1e-6)


def test_quantiles_of_the_inverse_far_below():
    """A p that 1 - p cannot hold. Checked by the end of the density, y^(-k - 1 - 2c) exp(-c Q / y)."""
    Q, c = 2.0, 1.5
    inverse, p = InverseHighTemperatureMarchenkoPastur(Q, c), np.array([1e-200, 1e-40, 1e-17, 1e-16, 1e-10, 0.3])
    y = inverse.ppf(p)
    assert np.all(np.diff(y) > 0)
    assert y[0] > 0
    np.testing.assert_allclose(inverse.cdf(y), p, rtol=1e-6)
    end = inverse.ppf([1e-200, 1e-190])
    power = (
        c * (Q - 1) - 1 + 2 * c
    )  # of x in the upper end of x^power exp(-c Q x), whose integral is that times 1/(c Q)
    logs = [-power * math.log(v) - c * Q / v - math.log(1 - power * v / (c * Q)) for v in end]
    assert logs[1] - logs[0] == pytest.approx(10 * math.log(10), abs=0.01)
    np.testing.assert_array_equal(inverse.ppf([0.0, 1.0, -0.1, 1.1, np.nan]), [0, np.inf, np.nan, np.nan, np.nan])
    assert InverseHighTemperatureMarchenkoPastur(Q, c, 0.5).ppf(1e-17) == pytest.approx(4 * y[2], rel=1e-9)


@pytest.mark.parametrize("law", [HighTemperatureMarchenkoPastur, InverseHighTemperatureMarchenkoPastur])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0.5, 1.0), "Q=0.5"), ((2.0, 0.0), "c=0"), ((2.0, 1.0, -1.0), "sigma=-1"), ((math.nan, 1.0), "Q=nan")],
)
def test_errors_name_the_argument(law, arguments, named):
    with pytest.raises(ValueError, match=named):
        law(*arguments)


def test_an_order_that_is_none():
    with pytest.raises(ValueError, match="k=1.5"):
        HighTemperatureMarchenkoPastur(2.0, 1.0).moment(1.5)
