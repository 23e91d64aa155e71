"""Spectra without matrices, against the matrices they stand for and against exact laws."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rmt_lab.ensembles import gaussian_ensemble_eigenvalues, gaussian_spectrum, laguerre_spectrum
from rmt_lab.ensembles.spectra import bidiagonal_singular_values
from rmt_lab.laws import HighTemperatureMarchenkoPastur, MarchenkoPastur
from rmt_lab.laws.spacings import SpacingLaw, spacings


@settings(max_examples=25, deadline=None)
@given(
    N=st.integers(1, 60),
    M=st.integers(1, 60),
    log_sigma=st.floats(-6, 6),
    seed=st.integers(0, 2**32 - 1),
    gk=st.booleans(),
)
def test_both_solvers_give_the_singular_values_of_the_bidiagonal_matrix(N, M, log_sigma, seed, gk):
    rng = np.random.default_rng(seed)
    d, e = rng.chisquare(3, M) * 10**log_sigma, rng.chisquare(3, M - 1) * 10**log_sigma
    expected = np.linalg.svd(np.diag(d) + np.diag(e, 1), compute_uv=False)[::-1]
    found = bidiagonal_singular_values(d, e, accurate=gk)
    tolerance = 1e-12 if gk else 1e-7  # the square root of eps, in units of the largest
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * expected[-1])


@settings(max_examples=25, deadline=None)
@given(N=st.integers(1, 50), M=st.integers(1, 50), log_sigma=st.floats(-3, 3), seed=st.integers(0, 2**32 - 1))
def test_shape_scale_and_seed(N, M, log_sigma, seed):
    one = gaussian_spectrum(N, M, rng=seed)
    assert (one.N, one.M) == (max(N, M), min(N, M))
    scaled = gaussian_spectrum(M, N, sigma=10**log_sigma, rng=seed)
    np.testing.assert_allclose(scaled.singular_values, 10**log_sigma * one.singular_values)


@pytest.mark.parametrize(("N", "M"), [(5, 1), (6, 6), (40, 10), (11, 10)])
def test_the_squared_norm_is_chi_square_with_NM_degrees(N, M):
    rng = np.random.default_rng(1)
    norms = [gaussian_spectrum(N, M, sigma=0.5, rng=rng).norm / 0.25 for _ in range(500)]
    assert stats.kstest(norms, stats.chi2(N * M).cdf).pvalue > 0.01


@pytest.mark.parametrize(("N", "M"), [(8, 8), (30, 10), (12, 11)])
def test_each_eigenvalue_has_the_law_that_matrices_give_it(N, M):
    rng, draws = np.random.default_rng(2), 2000
    without = np.array([gaussian_spectrum(N, M, rng=rng).singular_values for _ in range(draws)])
    dense = np.linalg.svd(rng.normal(size=(draws, N, M)), compute_uv=False)[:, ::-1]
    for i in range(M):
        assert stats.ks_2samp(without[:, i], dense[:, i]).pvalue > 1e-3


def test_smallest_eigenvalue_of_a_square_matrix_follows_edelman():
    """n times the smallest eigenvalue of W^T W has cdf 1 - exp(-x/2 - sqrt(x)) in the limit (Edelman 1988)."""
    rng, n = np.random.default_rng(3), 100
    x = [n * gaussian_spectrum(n, n, rng=rng).singular_values[0] ** 2 for _ in range(500)]
    assert stats.kstest(x, lambda t: 1 - np.exp(-t / 2 - np.sqrt(t))).pvalue > 0.01


def test_a_tiny_singular_value_survives_golub_kahan():
    """det B = prod d fixes the smallest singular value when the others are known; B^T B would lose it below 1e-8."""
    d, e = np.array([1.0, 1.0, 1e-11]), np.array([1.0, 1.0])
    s = bidiagonal_singular_values(d, e, accurate=True)
    assert s[0] == pytest.approx(d.prod() / (s[1] * s[2]), rel=1e-4)


class Counting(np.random.Generator):
    """Counts the chi-square variables that are drawn; normal ones are not to be had."""

    drawn = 0
    normal = standard_normal = None

    def chisquare(self, df, size=None):
        values = super().chisquare(df, size)
        self.drawn += np.size(values)
        return values


def test_draws_2M_numbers_and_holds_no_matrix():
    """Counted, not timed: of N M random numbers, and of the N M floats that a matrix takes."""
    N, M = 3072, 768
    rng = Counting(np.random.PCG64(0))
    tracemalloc.start()
    try:
        s = gaussian_spectrum(N, M, rng=rng)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rng.drawn == 2 * M - 1
    assert peak < N * M * 8 / 100
    np.testing.assert_array_equal(s.singular_values, gaussian_spectrum(N, M, rng=0).singular_values)


@pytest.mark.parametrize("beta", [1, 2])
def test_gaussian_ensembles_against_their_matrices(beta):
    rng, n = np.random.default_rng(4), 9

    def dense():
        A = rng.normal(size=(n, n)) + (1j * rng.normal(size=(n, n)) if beta == 2 else 0)
        return np.linalg.eigvalsh((A + A.conj().T) / np.sqrt(2 * beta))

    matrices = np.array([dense() for _ in range(600)])
    without = np.array([gaussian_ensemble_eigenvalues(n, beta, rng=rng) for _ in range(600)])
    for i in (0, 4, 8):
        assert stats.ks_2samp(matrices[:, i], without[:, i]).pvalue > 0.01
    for beta_ in (0.3, 1, 2, 4):  # E tr H^2 = sum of E|H_ij|^2 = n (n - 1) + 2 n / beta
        H2 = [np.sum(gaussian_ensemble_eigenvalues(n, beta_, sigma=2.0, rng=rng) ** 2) for _ in range(2000)]
        assert np.mean(H2) == pytest.approx(4 * (n * (n - 1) + 2 * n / beta_), abs=5 * np.std(H2) / 2000**0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_spectrum(0, 5), "N=0"),
        (lambda: gaussian_spectrum(5, 2.5), "M=2.5"),
        (lambda: gaussian_spectrum(5, 2, sigma=0), "sigma=0"),
        (lambda: gaussian_spectrum(5, 2, sigma=np.nan), "sigma=nan"),
        (lambda: gaussian_ensemble_eigenvalues(5, beta=0), "beta=0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("beta", [1, 2])
def test_each_eigenvalue_of_the_laguerre_ensemble_has_the_law_that_matrices_give_it(beta):
    rng, draws, N, M = np.random.default_rng(7), 2000, 9, 5
    without = np.array([laguerre_spectrum(M, N, beta, rng=rng).eigenvalues for _ in range(draws)])
    W = rng.normal(size=(draws, N, M)) + (1j * rng.normal(size=(draws, N, M)) if beta == 2 else 0)
    dense = np.linalg.svd(W / beta**0.5, compute_uv=False)[:, ::-1] ** 2 / N
    for i in range(M):
        assert stats.ks_2samp(without[:, i], dense[:, i]).pvalue > 1e-3


def test_the_laguerre_ensemble_of_beta_one_is_the_gaussian_matrix():
    for N, M in ((6, 6), (40, 10)):
        one = laguerre_spectrum(N, M, 1, sigma=2.0, rng=3).singular_values
        np.testing.assert_allclose(one, gaussian_spectrum(N, M, 2.0, rng=3).singular_values, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1, 2.5, 4])
def test_two_levels_have_the_joint_density_of_the_docstring(beta):
    """The smaller over the larger of two levels has a density in proportion to (1-r)^beta r^q / (1+r)^(2q+2+beta).

    q is the exponent of the weight; the scale integrates out.
    """
    N, M, rng = 5, 2, np.random.default_rng(8)
    q = beta * (N - M + 1) / 2 - 1
    levels = np.array([laguerre_spectrum(N, M, beta, rng=rng).eigenvalues for _ in range(1500)])
    power = 2 * q + 2 + beta
    grid = np.linspace(0, 1, 4001) ** 2
    middle = (grid[1:] + grid[:-1]) / 2
    mass = middle**q * (1 - middle) ** beta / (1 + middle) ** power * np.diff(grid)
    cdf = np.append(0, np.cumsum(mass)) / mass.sum()
    assert stats.kstest(levels[:, 0] / levels[:, 1], lambda r: np.interp(r, grid, cdf)).pvalue > 1e-3


@pytest.mark.parametrize("beta", [0.1, 0.5, 1, 3, 4])
def test_moments_of_the_laguerre_ensemble_are_exact_at_finite_size(beta):
    """E tr X / M = 1 and E tr X^2 / M = 1 + (M - 1)/N + 2/(beta N), by hand from the chi variables."""
    N, M, rng, sigma = 30, 12, np.random.default_rng(9), 1.5
    x = np.array([laguerre_spectrum(N, M, beta, sigma, rng).eigenvalues for _ in range(1000)]) / sigma**2
    for power, expected in ((1, 1), (2, 1 + (M - 1) / N + 2 / (beta * N))):
        each = (x**power).mean(axis=1)
        assert abs(each.mean() - expected) < 4.5 * each.std() / len(each) ** 0.5


@pytest.mark.parametrize("beta", [0.1, 0.5, 1, 2, 4])
def test_edges_of_the_laguerre_ensemble(beta):
    """Both extreme levels come to the edges of Marchenko-Pastur at every beta, and from the outside for a small one."""
    law, rng = MarchenkoPastur(2.0), np.random.default_rng(10)

    def outside(M):
        x = np.array([laguerre_spectrum(2 * M, M, beta, rng=rng).eigenvalues[[0, -1]] for _ in range(20)])
        return (x.mean(axis=0) - law.support()) * (-1, 1)

    small, large = np.abs(outside(50)), np.abs(outside(400))
    assert np.all(large < [0.06, 0.6 if beta < 0.5 else 0.12])
    if beta < 0.5:
        assert np.all(large < small)


def test_independent_levels_are_the_limit_of_weak_repulsion():
    """Of a hot spectrum the spacings come to e^-s; those of beta = 1 do not."""
    M, rng, c = 2000, np.random.default_rng(11), 1.0
    hot = laguerre_spectrum(2 * M, M, 2 * c / M, rng=rng).eigenvalues
    s = spacings(hot, HighTemperatureMarchenkoPastur(2.0, c))
    assert stats.kstest(s, SpacingLaw(0).cdf).pvalue > 1e-3
    cold = spacings(laguerre_spectrum(2 * M, M, 1, rng=rng).eigenvalues, MarchenkoPastur(2.0))
    assert stats.kstest(cold, SpacingLaw(0).cdf).pvalue < 1e-6


@settings(max_examples=25, deadline=None)
@given(
    N=st.integers(1, 40),
    M=st.integers(1, 40),
    log_beta=st.floats(-3, 2),
    log_sigma=st.floats(-3, 3),
    seed=st.integers(0, 99),
)
def test_the_laguerre_ensemble_scales_and_takes_either_side_first(N, M, log_beta, log_sigma, seed):
    beta = 10**log_beta
    one, scaled = laguerre_spectrum(N, M, beta, rng=seed), laguerre_spectrum(M, N, beta, 10**log_sigma, seed)
    assert one.eigenvalues.shape == (min(N, M),)
    np.testing.assert_allclose(scaled.singular_values, 10**log_sigma * one.singular_values)
    assert np.all(np.isfinite(one.eigenvalues))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, 3, 1), "N=0"), ((4, 3, 0), "beta=0"), ((4, 3, np.inf), "beta=inf"), ((4, 3, 1, 0), "sigma")],
)
def test_laguerre_errors_name_the_argument(arguments, named):
    with pytest.raises(ValueError, match=named):
        laguerre_spectrum(*arguments)
