"""Spectra without matrices, against the matrices they stand for and against exact laws."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rmt_lab.ensembles import gaussian_ensemble_eigenvalues, gaussian_spectrum
from rmt_lab.ensembles.spectra import _bidiagonal_singular_values


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
    found = _bidiagonal_singular_values(d, e, accurate=gk)
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
    s = _bidiagonal_singular_values(d, e, accurate=True)
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
    for beta_ in (1, 2, 4):  # E tr H^2 = sum of E|H_ij|^2 = n (n - 1) + 2 n / beta
        H2 = [np.sum(gaussian_ensemble_eigenvalues(n, beta_, sigma=2.0, rng=rng) ** 2) for _ in range(2000)]
        assert np.mean(H2) == pytest.approx(4 * (n * (n - 1) + 2 * n / beta_), abs=5 * np.std(H2) / 2000**0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_spectrum(0, 5), "N=0"),
        (lambda: gaussian_spectrum(5, 2.5), "M=2.5"),
        (lambda: gaussian_spectrum(5, 2, sigma=0), "sigma=0"),
        (lambda: gaussian_spectrum(5, 2, sigma=np.nan), "sigma=nan"),
        (lambda: gaussian_ensemble_eigenvalues(5, beta=3), "beta=3"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
