"""The generalised law: against Marchenko-Pastur, Silverstein's equation, its own integrals, and simulation."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.linalg import toeplitz

from rmt_lab.ensembles import ar1, correlated
from rmt_lab.laws import GeneralisedMarchenkoPastur, MarchenkoPastur, ar1_population
from rmt_lab.laws.spiked import covariance_eigenvalue
from rmt_lab.spectrum import Spectrum

QS = st.one_of(st.just(1.0), st.floats(0.2, 0.95), st.floats(1.05, 500.0))
POPULATIONS = st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(0.05, 1.0)), min_size=1, max_size=5)
CASES = {
    "three close": GeneralisedMarchenkoPastur(3.0, [1.0, 2.0, 3.0], [0.5, 0.3, 0.2]),
    "two far": GeneralisedMarchenkoPastur(8.0, [0.1, 1.0], [3, 1], sigma=2.0),
    "square": GeneralisedMarchenkoPastur(1.0, [0.2, 1.0]),
    "wide": GeneralisedMarchenkoPastur(0.5, [1.0, 20.0]),
    "AR(1)": GeneralisedMarchenkoPastur(2.0, ar1_population(60, 0.6)),
}


def law_of(Q, population):
    log_tau, weights = np.transpose(population)
    return GeneralisedMarchenkoPastur(Q, 10**log_tau, weights)


def integral(law, f, interval):
    """Of f(x) dF over an interval between edges, whose square roots x = low + (high - low) sin(t/2)^2 takes away."""
    (low, high), (nodes, weights) = interval, np.polynomial.legendre.leggauss(300)
    t = np.pi * (1 + nodes) / 2
    dx = np.pi / 2 * weights * (high - low) * np.sin(t) / 2
    x = low + (high - low) * np.sin(t / 2) ** 2
    return np.sum(f(x) * law.pdf(x) * dx)


@settings(max_examples=25, deadline=None)
@given(Q=QS, sigma=st.floats(0.01, 100.0), tau=st.floats(0.01, 100.0), copies=st.integers(1, 3))
def test_one_population_eigenvalue_gives_marchenko_pastur(Q, sigma, tau, copies):
    law, mp = GeneralisedMarchenkoPastur(Q, np.full(copies, tau), sigma=sigma), MarchenkoPastur(Q, sigma * tau**0.5)
    np.testing.assert_allclose(law.intervals, [[mp.lower_edge, mp.upper_edge]], rtol=1e-10)
    np.testing.assert_allclose(law.support(), mp.support(), rtol=1e-10)
    np.testing.assert_allclose([law.mean(), law.var()], [mp.mean(), mp.var()], rtol=1e-12)
    x = mp.lower_edge + (mp.upper_edge - mp.lower_edge) * np.linspace(0.001, 0.999, 101)
    x = np.r_[-1.0, 0.5 * mp.lower_edge, x, 2 * mp.upper_edge, np.inf]
    np.testing.assert_allclose(law.pdf(x[1:]), mp.pdf(x[1:]), rtol=1e-9)
    np.testing.assert_allclose(law.cdf(x), mp.cdf(x), atol=1e-12)
    p = np.linspace(0, 1, 51)
    np.testing.assert_allclose(law.ppf(p), mp.ppf(p), rtol=1e-9, atol=1e-12 * mp.upper_edge)


@settings(max_examples=25, deadline=None)
@given(Q=QS, population=POPULATIONS)
def test_ppf_inverts_the_cdf_and_the_cdf_rises_from_0_to_1(Q, population):
    law = law_of(Q, population)
    p = np.r_[0, 1e-9, np.linspace(0.001, 0.999, 101), 1 - 1e-9, 1]
    x = law.ppf(p)
    assert np.all(np.diff(x) >= 0)
    np.testing.assert_allclose(law.cdf(x), np.maximum(p, 1 - Q), atol=1e-12)
    np.testing.assert_allclose(law.sf(x) + law.cdf(x), 1)
    low, high = law.support()
    np.testing.assert_allclose(law.cdf([-1e-9, high, 2 * high]), [0, 1, 1], atol=1e-15)
    assert law.cdf(low) == pytest.approx(max(0, 1 - Q), abs=1e-12)
    assert np.all(law.intervals[1:, 0] > law.intervals[:-1, 1])


@settings(max_examples=25, deadline=None)
@given(Q=QS, population=POPULATIONS)
def test_gaps_separate_the_population_exactly(Q, population):
    """Bai & Silverstein (1999): the mass below a gap is that of the population eigenvalues it comes from; Q >= 1."""
    law = law_of(max(Q, 1.0), population)
    order = np.argsort([t for t, _ in population])
    shares = np.cumsum(np.array([w for _, w in population])[order])
    gaps = (law.intervals[1:, 0] + law.intervals[:-1, 1]) / 2
    for below in law.cdf(gaps):
        assert np.min(np.abs(shares / shares[-1] - below)) < 1e-12
    np.testing.assert_array_equal(law.pdf(gaps), 0)


@pytest.mark.parametrize("law", CASES.values(), ids=CASES)
def test_the_density_has_the_mass_and_the_moments_that_the_law_states(law):
    total = [sum(integral(law, lambda x, k=k: x**k, i) for i in law.intervals) for k in range(3)]
    assert total[0] == pytest.approx(min(1, law.Q), abs=1e-8)
    assert total[1] == pytest.approx(law.mean(), rel=1e-7)
    assert total[2] == pytest.approx(law.var() + law.mean() ** 2, rel=1e-7)
    a, b = law.intervals[0]
    c, d = a + (b - a) * 0.3, a + (b - a) * 0.6
    assert quad(law.pdf, c, d)[0] == pytest.approx(law.cdf(d) - law.cdf(c), abs=1e-9)


@pytest.mark.parametrize("law", CASES.values(), ids=CASES)
def test_the_stieltjes_transform_solves_silversteins_equation(law):
    """Off the real axis the equation has a fixed-point solution that knows nothing of edges and curves."""
    z, c = law.mean() * (1 + 0.7j), 1 / law.Q
    m = -1 / z
    for _ in range(2000):
        m = -1 / (z - c * np.sum(law._w * law._tau / (1 + law._tau * m)))
    part = [sum(integral(law, lambda x, f=f: f(1 / (x - z)), i) for i in law.intervals) for f in (np.real, np.imag)]
    mean = complex(*part) - max(0, 1 - law.Q) / z  # the atom
    assert c * mean - (1 - c) / z == pytest.approx(m, rel=1e-7)


@settings(max_examples=15, deadline=None)
@given(Q=st.floats(1.0, 20.0), ratio=st.floats(1.3, 20.0))
def test_a_vanishing_weight_is_a_spike(Q, ratio):
    ell = 1 + ratio / Q**0.5
    law = GeneralisedMarchenkoPastur(Q, [1.0, ell], [1.0, 1e-10])
    assume(len(law.intervals) == 2)
    np.testing.assert_allclose(law.intervals[1], covariance_eigenvalue(ell, Q), rtol=1e-3)


def distance(W, law):
    return stats.kstest(Spectrum.from_matrix(W).eigenvalues, law.cdf).statistic


@pytest.mark.parametrize("rho", [0.5, -0.8])
def test_ar1_rows_in_simulation(rho):
    N, M = 900, 300
    W = ar1(N, M, rho, sigma=2.0, rng=0)
    assert distance(W, GeneralisedMarchenkoPastur(N / M, ar1_population(M, rho), sigma=2.0)) < 0.02
    assert distance(W, MarchenkoPastur(N / M, sigma=2.0)) > 0.1


def test_a_population_with_two_groups_in_simulation():
    N, M = 2000, 200
    law = GeneralisedMarchenkoPastur(N / M, [1.0, 8.0], [0.25, 0.75])
    W = correlated(N, np.r_[np.full(50, 1.0), np.full(150, 8.0)], rng=0)
    assert distance(W, law) < 0.02
    eigenvalues = Spectrum.from_matrix(W).eigenvalues
    assert len(law.intervals) == 2
    middle = law.intervals[0, 1] / 2 + law.intervals[1, 0] / 2
    assert (eigenvalues < middle).sum() == 50
    np.testing.assert_allclose(eigenvalues[[0, 49, 50, 199]], law.intervals.ravel(), rtol=0.03)


def test_draws_follow_the_law():
    law = CASES["two far"]
    assert stats.kstest(law.rvs(2000, rng=0), law.cdf).pvalue > 1e-3
    atoms = CASES["wide"].rvs((50, 40), rng=0)
    assert atoms.shape == (50, 40)
    assert stats.binomtest(int((atoms == 0).sum()), 2000, 0.5).pvalue > 1e-3


def test_points_at_which_there_is_no_answer_or_a_limit():
    law, square = CASES["two far"], CASES["square"]
    assert np.isnan(law.pdf(np.nan))
    assert np.isnan(law.ppf([-0.1, 1.1, np.nan])).all()
    assert law.pdf([]).shape == (0,)
    assert square.pdf(0.0) == np.inf
    x = 1e-6 * square.support()[1]  # the hard edge: cdf ~ sqrt(x)
    assert square.cdf(x) / square.cdf(x / 100) == pytest.approx(10, rel=1e-3)


@settings(max_examples=15, deadline=None)
@given(M=st.integers(1, 60), rho=st.floats(-0.99, 0.99))
def test_ar1_population_is_the_spectrum_of_the_covariance(M, rho):
    expected = np.linalg.eigvalsh(toeplitz(rho ** np.arange(M)))
    np.testing.assert_allclose(ar1_population(M, rho), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GeneralisedMarchenkoPastur(0.0, [1.0]), "Q=0.0"),
        (lambda: GeneralisedMarchenkoPastur(2.0, [1.0], sigma=np.inf), "sigma=inf"),
        (lambda: GeneralisedMarchenkoPastur(2.0, [1.0, 0.0]), "population="),
        (lambda: GeneralisedMarchenkoPastur(2.0, []), "population has shape"),
        (lambda: GeneralisedMarchenkoPastur(2.0, [1.0], weights=[0.0]), "weights="),
        (lambda: GeneralisedMarchenkoPastur(2.0, [1.0], weights=[0.5, 0.5]), "weights"),
        (lambda: ar1_population(0, 0.5), "M=0"),
        (lambda: ar1_population(5, 1.0), "rho=1.0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
