"""Spikes: closed forms against the master equation, limits, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from rmt_lab.ensembles import correlated, gaussian, low_rank_plus_noise, orthogonal
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.laws import spiked as sp

SIZES = st.integers(5, 5000)
SIGMA = st.floats(0.01, 100)
ABOVE = st.floats(1.01, 30.0)  # strength in units of the threshold


def resolvent(law, z, power):
    """Integral of (z - x)^-power over a law on an interval, the square roots at its ends removed by a cosine."""
    low, high = law.support()
    mid, half = (high + low) / 2, (high - low) / 2

    def integrand(t):
        x = mid - half * np.cos(t)
        return law.pdf(x) * half * np.sin(t) / (z - x) ** power

    return quad(integrand, 0, np.pi, epsabs=0, epsrel=1e-10)[0]


@settings(max_examples=25, deadline=None)
@given(Q=st.floats(1.05, 20.0), sigma=st.floats(0.1, 10.0), ratio=st.floats(1.1, 10.0))
def test_low_rank_closed_forms_solve_the_master_equation(Q, sigma, ratio):
    """Benaych-Georges & Nadakuditi 2012, theorems 2.9 and 2.10: with G_M(x) = int dMP / (x - t) and the companion G_N,
    D(x) = x G_M G_N = N / theta^2 at the outlier, and the squared overlaps are -G N / (theta^2 D') with either G.
    """
    M = 1000
    N, law = round(Q * M), MarchenkoPastur(round(Q * M) / M, sigma)
    theta = ratio * sp.spike_threshold(N, M, sigma)
    x, c = float(sp.spike_eigenvalue(theta, N, M, sigma)), M / N
    G_M, dG_M = resolvent(law, x, 1), -resolvent(law, x, 2)
    G_N, dG_N = c * G_M + (1 - c) / x, c * dG_M - (1 - c) / x**2  # N - M more zeros
    assert x * G_M * G_N == pytest.approx(N / theta**2, rel=1e-8)
    dD = G_M * G_N + x * (dG_M * G_N + G_M * dG_N)
    left, right = sp.spike_overlaps(theta, N, M, sigma)
    assert left == pytest.approx(-G_N * N / (theta**2 * dD), rel=1e-7)
    assert right == pytest.approx(-G_M * N / (theta**2 * dD), rel=1e-7)


@settings(max_examples=25, deadline=None)
@given(Q=st.floats(1.05, 20.0), sigma=st.floats(0.1, 10.0), ratio=st.floats(1.1, 10.0))
def test_covariance_closed_forms_solve_the_master_equation(Q, sigma, ratio):
    """W W^T / N = noise + ell w w^T: the outlier solves G(x) = 1/ell, G of the companion law; overlap -1/(ell^2 G')."""
    law = MarchenkoPastur(Q, sigma)
    ell = sigma**2 + ratio * (sp.covariance_threshold(Q, sigma) - sigma**2)
    x, c = float(sp.covariance_eigenvalue(ell, Q, sigma)), 1 / Q
    assert c * resolvent(law, x, 1) + (1 - c) / x == pytest.approx(1 / ell, rel=1e-8)
    slope = c * resolvent(law, x, 2) + (1 - c) / x**2
    assert sp.covariance_overlaps(ell, Q, sigma)[0] == pytest.approx(1 / (ell**2 * slope), rel=1e-7)


@settings(max_examples=40, deadline=None)
@given(N=SIZES, M=SIZES, sigma=SIGMA, ratio=ABOVE)
def test_from_the_strength_to_the_outlier_and_back(N, M, sigma, ratio):
    theta = ratio * sp.spike_threshold(N, M, sigma)
    assert sp.spike_strength(sp.spike_eigenvalue(theta, N, M, sigma), N, M, sigma) == pytest.approx(theta, rel=1e-9)
    Q = N / M
    ell = sigma**2 + theta**2 / N
    outlier = sp.covariance_eigenvalue(ell, Q, sigma)
    assert outlier == pytest.approx(sp.spike_eigenvalue(theta, N, M, sigma))  # the same excess, the same outlier
    assert sp.covariance_strength(outlier, Q, sigma) == pytest.approx(ell, rel=1e-9)
    np.testing.assert_allclose(sp.spike_overlaps(theta, N, M, sigma), sp.spike_overlaps(theta, M, N, sigma)[::-1])


@settings(max_examples=40, deadline=None)
@given(N=SIZES, M=SIZES, sigma=SIGMA, ratio=st.floats(0.0, 0.999))
def test_up_to_the_threshold_there_is_nothing_to_see(N, M, sigma, ratio):
    edge = MarchenkoPastur(N / M, sigma).upper_edge
    theta = ratio * sp.spike_threshold(N, M, sigma)
    ell = ratio * sp.covariance_threshold(N / M, sigma)
    assert sp.spike_eigenvalue(theta, N, M, sigma) == pytest.approx(edge)
    assert sp.covariance_eigenvalue(ell, N / M, sigma) == pytest.approx(edge)
    np.testing.assert_allclose(sp.spike_overlaps(theta, N, M, sigma), 0, atol=1e-12)
    np.testing.assert_allclose(sp.covariance_overlaps(ell, N / M, sigma), 0, atol=1e-12)
    assert np.isnan(sp.spike_strength(ratio * edge, N, M, sigma))
    assert np.isnan(sp.covariance_strength(ratio * edge, N / M, sigma))


def test_a_strong_signal_is_seen_as_it_is():
    theta = 1e6
    assert sp.spike_eigenvalue(theta, 300, 100) * 300 == pytest.approx(theta**2)
    np.testing.assert_allclose(sp.spike_overlaps(theta, 300, 100), 1)
    np.testing.assert_allclose(sp.covariance_overlaps(1e9, 3.0), 1)
    assert sp.shrink(theta, 300, 100) == pytest.approx(theta)


@pytest.mark.parametrize(("N", "M"), [(900, 300), (300, 900), (500, 500)])
def test_low_rank_signals_in_simulation(N, M):
    sigma, rng = 0.5, np.random.default_rng(0)
    theta = np.array([3.0, 1.6]) * sp.spike_threshold(N, M, sigma)
    found = []
    for _ in range(4):
        U, V = orthogonal(N, 2, rng), orthogonal(M, 2, rng)
        left, s, right = np.linalg.svd(low_rank_plus_noise(N, M, theta, U, V, sigma, rng), full_matrices=False)
        overlaps = [np.sum(U * left[:, :2], axis=0) ** 2, np.sum(V * right[:2].T, axis=0) ** 2]
        found.append([s[:2] ** 2 / N, *overlaps])
    eigenvalues, *overlaps = np.mean(found, axis=0)
    np.testing.assert_allclose(eigenvalues, sp.spike_eigenvalue(theta, N, M, sigma), rtol=0.05)
    np.testing.assert_allclose(overlaps, sp.spike_overlaps(theta, N, M, sigma), atol=0.05)


def test_spiked_covariance_in_simulation():
    N, M, sigma, rng = 1200, 300, 2.0, np.random.default_rng(0)
    ell = sigma**2 * np.array([4.0, 2.0])
    found = []
    for _ in range(4):
        W = correlated(N, np.r_[ell, np.full(M - 2, sigma**2)], rng)
        left, s, right = np.linalg.svd(W, full_matrices=False)
        scores = W[:, :2] / np.linalg.norm(W[:, :2], axis=0)
        found.append([s[:2] ** 2 / N, np.sum(scores * left[:, :2], axis=0) ** 2, np.diag(right[:2, :2]) ** 2])
    eigenvalues, *overlaps = np.mean(found, axis=0)
    np.testing.assert_allclose(eigenvalues, sp.covariance_eigenvalue(ell, N / M, sigma), rtol=0.05)
    np.testing.assert_allclose(overlaps, sp.covariance_overlaps(ell, N / M, sigma), atol=0.05)


@settings(max_examples=40, deadline=None)
@given(N=SIZES, M=SIZES, sigma=SIGMA, ratio=ABOVE)
def test_shrinkage_is_the_strength_times_both_cosines(N, M, sigma, ratio):
    theta = ratio * sp.spike_threshold(N, M, sigma)
    s = np.sqrt(N * sp.spike_eigenvalue(theta, N, M, sigma))
    cosines = np.sqrt(np.prod(sp.spike_overlaps(theta, N, M, sigma), axis=0))
    assert sp.shrink(s, N, M, sigma) == pytest.approx(theta * cosines, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(N=SIZES, M=SIZES, sigma=SIGMA)
def test_the_hard_threshold_is_where_keeping_costs_what_dropping_does(N, M, sigma):
    """|theta u v - s u' v'|^2 = theta^2 means s = 2 theta cos cos, and theta cos cos is what shrink gives."""
    s = sp.hard_threshold(N, M, sigma)
    assert s == pytest.approx(2 * sp.shrink(s, N, M, sigma))
    assert sp.shrink(sigma * (np.sqrt(N) + np.sqrt(M)) * 0.999, N, M, sigma) == 0


@pytest.mark.parametrize(("N", "M"), [(600, 200), (200, 600)])
def test_denoising_reaches_the_error_that_theory_promises(N, M):
    sigma, rng = 0.1, np.random.default_rng(0)
    theta = np.array([3.0, 2.0, 1.5]) * sp.spike_threshold(N, M, sigma)
    U, V = orthogonal(N, 3, rng), orthogonal(M, 3, rng)
    signal = (U * theta) @ V.T
    W = signal + gaussian(N, M, sigma, rng)
    error = np.sum((sp.denoise(W, sigma) - signal) ** 2)
    promised = np.sum(theta**2 * (1 - np.prod(sp.spike_overlaps(theta, N, M, sigma), axis=0)))
    assert error == pytest.approx(promised, rel=0.1)
    left, s, right = np.linalg.svd(W, full_matrices=False)
    kept = np.where(s > sp.hard_threshold(N, M, sigma), s, 0)
    assert error < 0.95 * np.sum(((left * kept) @ right - signal) ** 2)
    assert error < 0.2 * np.sum((W - signal) ** 2)
    for factor in (0.8, 1.2):  # no common rescaling of the shrunk values does better
        assert error < np.sum((factor * sp.denoise(W, sigma) - signal) ** 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sp.spike_threshold(0, 5), "N=0"),
        (lambda: sp.spike_eigenvalue(-1.0, 5, 5), "theta=-1.0"),
        (lambda: sp.covariance_eigenvalue(-1.0, 5.0), "ell=-1.0"),
        (lambda: sp.covariance_threshold(-1.0), "Q=-1.0"),
        (lambda: sp.shrink([1.0], 5, 5, sigma=0.0), "sigma=0.0"),
        (lambda: sp.denoise(np.ones(3), 1.0), "shape"),
        (lambda: sp.denoise([[np.nan]], 1.0), "finite"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
