"""Ensembles: entries against their laws, spectra against Marchenko-Pastur, directions against Haar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import toeplitz

from rmt_lab import ensembles as en
from rmt_lab.ensembles import gaussian_ensemble_eigenvalues, gaussian_spectrum, matrices
from rmt_lab.ensembles import initialisations as init
from rmt_lab.ensembles.matrices import _unit_scale
from rmt_lab.laws import MarchenkoPastur, Semicircle
from rmt_lab.spectrum import Spectrum

SEEDS = st.integers(0, 2**32 - 1)
NOISE = {
    "gaussian": en.gaussian,
    "uniform": en.uniform,
    "rademacher": en.rademacher,
    "student_t": lambda N, M, sigma, rng: en.student_t(N, M, 9.0, sigma, rng),
    "pareto": lambda N, M, sigma, rng: en.pareto(N, M, 9.0, sigma, rng),
    "sparse": lambda N, M, sigma, rng: en.sparse(N, M, 0.3, sigma, rng),
}


@pytest.mark.parametrize("name", NOISE)
@settings(max_examples=6, deadline=None)
@given(Q=st.floats(1.0, 8.0), log_sigma=st.floats(-3, 3), seed=SEEDS)
def test_the_spectrum_of_noise_is_marchenko_pastur(name, Q, log_sigma, seed):
    """Eigenvalues are stiffer than independent draws: 200 of them lie well inside the KS band of a sample."""
    M, sigma = 200, 10**log_sigma
    N = round(Q * M)
    W = NOISE[name](N, M, sigma=sigma, rng=seed)
    assert W.shape == (N, M)
    D = stats.kstest(Spectrum.from_matrix(W, method="svd").eigenvalues, MarchenkoPastur(N / M, sigma).cdf).statistic
    assert D < 1.0 / np.sqrt(M)


def test_the_distance_to_the_law_falls_as_one_over_M():
    """Rigidity (Goetze & Tikhomirov 2016): D ~ 1/M up to logarithms, where independent draws have 1/sqrt(M)."""

    def distance(M):
        spectra = (gaussian_spectrum(2 * M, M, rng=seed) for seed in range(20))
        return np.mean([stats.kstest(s.eigenvalues, MarchenkoPastur(2.0).cdf).statistic for s in spectra])

    exponent = np.log(distance(100) / distance(800)) / np.log(8)
    assert 0.8 < exponent < 1.1


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda rng: en.gaussian(200, 50, 2.0, rng), stats.norm(0, 2)),
        (lambda rng: en.uniform(200, 50, 2.0, rng), stats.uniform(-2 * 3**0.5, 4 * 3**0.5)),
        (lambda rng: en.student_t(200, 50, 1.5, 2.0, rng), stats.t(1.5, scale=2)),
        (lambda rng: en.student_t(200, 50, 4.0, 2.0, rng), stats.t(4, scale=2**0.5)),
        (lambda rng: np.abs(en.pareto(200, 50, 1.5, 2.0, rng)), stats.pareto(1.5, scale=2)),
        (lambda rng: np.abs(en.pareto(200, 50, 4.0, 2.0, rng)), stats.pareto(4, scale=2**0.5)),
    ],
)
def test_entries_follow_their_law(draw, law):
    assert stats.kstest(draw(np.random.default_rng(0)).ravel(), law.cdf).pvalue > 1e-3


@settings(max_examples=10, deadline=None)
@given(mu=st.floats(2.01, 50.0), sigma=st.floats(0.01, 100.0))
def test_heavy_tailed_entries_have_unit_variance_where_it_exists(mu, sigma):
    assert (sigma * _unit_scale(mu)) ** 2 * mu / (mu - 2) == pytest.approx(sigma**2)
    assert stats.t(mu).var() == pytest.approx(mu / (mu - 2))
    assert stats.pareto(mu).moment(2) == pytest.approx(mu / (mu - 2))


def test_pareto_and_sparse_entries_have_random_signs():
    for W in (en.pareto(300, 300, 3.0, rng=0), en.sparse(300, 300, 0.5, rng=0)):
        nonzero = W[W != 0]
        assert stats.binomtest(int((nonzero > 0).sum()), len(nonzero)).pvalue > 1e-3


@pytest.mark.parametrize("draw", [en.student_t, en.pareto])
def test_very_heavy_tails_make_the_largest_eigenvalue_the_largest_entry(draw):
    """mu < 2: lambda_max / max w^2 -> 1 in units of W^T W (Auffinger, Ben Arous & Peche 2009), unlike for noise."""
    ratios = []
    for seed in range(10):
        W = draw(300, 200, 0.8, rng=seed)
        ratios.append(np.linalg.norm(W, 2) / np.abs(W).max())
    assert 1 <= min(ratios)
    assert np.median(ratios) < 1.02
    W = en.gaussian(300, 200, rng=0)
    assert np.linalg.norm(W, 2) / np.abs(W).max() > 5


@settings(max_examples=10, deadline=None)
@given(N=st.integers(1, 30), M=st.integers(1, 30), seed=SEEDS)
def test_orthogonal_matrices_are_orthogonal(N, M, seed):
    W = en.orthogonal(N, M, rng=seed)
    assert W.shape == (N, M)
    gram = W.T @ W if N >= M else W @ W.T
    np.testing.assert_allclose(gram, np.eye(min(N, M)), atol=1e-12)


def test_orthogonal_matrices_are_haar():
    """Any entry w of a Haar matrix has (1 + w)/2 ~ Beta((n-1)/2, (n-1)/2): a coordinate of a point on the sphere."""
    rng, n = np.random.default_rng(0), 5
    draws = np.array([en.orthogonal(n, 3, rng) for _ in range(3000)])
    law = stats.beta((n - 1) / 2, (n - 1) / 2)
    for i in range(n):
        for j in range(3):
            assert stats.kstest((1 + draws[:, i, j]) / 2, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("draw", "beta"), [(en.goe, 1), (en.gue, 2)])
def test_goe_and_gue_have_the_eigenvalues_of_the_tridiagonal_model(draw, beta):
    rng, n = np.random.default_rng(0), 7
    H = [draw(n, 1.5, rng) for _ in range(600)]
    assert all((h == h.conj().T).all() for h in H)
    dense = np.linalg.eigvalsh(H)
    without = np.array([gaussian_ensemble_eigenvalues(n, beta, 1.5, rng) for _ in range(600)])
    for i in range(n):
        assert stats.ks_2samp(dense[:, i], without[:, i]).pvalue > 1e-3
    variances = np.mean(np.abs(H) ** 2, axis=0) / 1.5**2
    expected = 1 + (2 / beta - 1) * np.eye(n)
    np.testing.assert_allclose(variances, expected, rtol=6 * (2 / 600) ** 0.5)


@pytest.mark.parametrize("draw", [en.goe, en.gue])
def test_goe_and_gue_follow_the_semicircle(draw):
    n, sigma = 300, 0.7
    D = stats.kstest(np.linalg.eigvalsh(draw(n, sigma, rng=0)) / n**0.5, Semicircle(sigma).cdf).statistic
    assert D < 0.02


@settings(max_examples=10, deadline=None)
@given(rho=st.floats(-0.95, 0.95), sigma=st.floats(0.1, 10), seed=SEEDS)
def test_ar1_rows_have_the_covariance_they_promise(rho, sigma, seed):
    N, M = 4000, 4
    sample = np.cov(en.ar1(N, M, rho, sigma, rng=seed).T) / sigma**2
    np.testing.assert_allclose(sample, toeplitz(rho ** np.arange(M)), atol=7 / N**0.5)


def test_correlated_columns_have_the_variances_they_promise():
    population = np.array([9.0, 0.0, 1.0, 0.25])
    sample = np.cov(en.correlated(5000, population, rng=0).T)
    np.testing.assert_allclose(sample, np.diag(population), atol=6 * 9 * (2 / 5000) ** 0.5)


@settings(max_examples=15, deadline=None)
@given(N=st.integers(2, 30), M=st.integers(2, 30), seed=SEEDS)
def test_low_rank_plus_noise_is_the_noise_plus_the_signal(N, M, seed):
    theta, rng = np.array([5.0, 3.0]), np.random.default_rng(seed)
    U, V = en.orthogonal(N, 2, rng), en.orthogonal(M, 2, rng)
    noise = en.low_rank_plus_noise(N, M, [0.0, 0.0], U, V, rng=seed)
    np.testing.assert_array_equal(noise, en.gaussian(N, M, rng=seed))
    signal = en.low_rank_plus_noise(N, M, theta, U, V, rng=seed) - noise
    np.testing.assert_allclose(np.linalg.svd(signal, compute_uv=False)[:2], theta)
    np.testing.assert_allclose(U.T @ signal @ V, np.diag(theta), atol=1e-12)
    one = en.low_rank_plus_noise(N, M, 4.0, rng=seed) - noise  # random directions
    assert np.linalg.matrix_rank(one, tol=1e-9) == 1
    assert np.linalg.norm(one) == pytest.approx(4.0)


@settings(max_examples=15, deadline=None)
@given(N=st.integers(1, 20), M=st.integers(1, 20), seed=SEEDS)
def test_shuffling_keeps_the_entries(N, M, seed):
    W = en.gaussian(N, M, rng=seed).astype(np.float32)
    S = en.shuffled(W, rng=seed)
    assert (S.shape, S.dtype) == (W.shape, W.dtype)
    np.testing.assert_array_equal(np.sort(S.ravel()), np.sort(W.ravel()))


def test_shuffling_destroys_a_spectrum():
    W = np.random.default_rng(0).choice([-1.0, 1.0], (400, 1)) * np.random.default_rng(1).choice([-1.0, 1.0], (1, 200))
    assert Spectrum.from_matrix(W).rank == 1
    D = stats.kstest(Spectrum.from_matrix(en.shuffled(W, rng=0)).eigenvalues, MarchenkoPastur(2.0).cdf).statistic
    assert D < 0.05


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_initialisations_are_torchs(shape):
    torch = pytest.importorskip("torch", reason="torch is the reference here")
    torch.manual_seed(0)
    nn = torch.nn
    theirs = {
        init.glorot_normal: nn.init.xavier_normal_,
        init.glorot_uniform: nn.init.xavier_uniform_,
        init.he_normal: lambda W: nn.init.kaiming_normal_(W, nonlinearity="relu"),
        init.he_uniform: lambda W: nn.init.kaiming_uniform_(W, nonlinearity="relu"),
    }
    for ours, fill in theirs.items():
        assert stats.ks_2samp(ours(*shape, rng=0).ravel(), fill(torch.empty(shape)).numpy().ravel()).pvalue > 1e-3


def test_gpt2_scales_its_residual_projections_with_depth():
    flat, deep = init.gpt2(300, 400, rng=0), init.gpt2(300, 400, n_layer=18, rng=0)
    np.testing.assert_allclose(deep * 6, flat)  # sqrt(2 * 18)
    assert stats.kstest(flat.ravel(), stats.norm(0, 0.02).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: en.gaussian(-1, 5), "N=-1"),
        (lambda: en.uniform(5, 0), "M=0"),
        (lambda: en.rademacher(5, 5, sigma=-2.0), "sigma=-2.0"),
        (lambda: en.student_t(5, 5, mu=0.1), "mu=0.1"),
        (lambda: en.pareto(5, 5, mu=np.inf), "mu=inf"),
        (lambda: en.sparse(5, 5, density=0.0), "density=0.0"),
        (lambda: en.ar1(5, 5, rho=1.0), "rho=1.0"),
        (lambda: en.correlated(5, [1.0, -1.0]), "population="),
        (lambda: en.low_rank_plus_noise(5, 5, theta=-1.0), "theta="),
        (lambda: en.low_rank_plus_noise(5, 2, theta=[3.0, 2.0, 1.0]), "at most min"),
        (lambda: en.low_rank_plus_noise(5, 5, theta=1.0, U=np.ones(5)), "U has shape"),
        (lambda: en.low_rank_plus_noise(5, 5, theta=1.0, V=np.eye(5)), "V has shape"),
        (lambda: init.he_normal(5, 0), "M=0"),
        (lambda: init.gpt2(5, 5, n_layer=0), "n_layer=0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_every_order_is_equally_likely(dtype, monkeypatch):
    monkeypatch.setattr(matrices, "_CHUNK", 3)  # of the four values, the last is drawn with the next chunk
    rng, W = np.random.default_rng(0), np.arange(4, dtype=dtype)
    orders, counts = np.unique([en.shuffled(W, rng) for _ in range(6000)], axis=0, return_counts=True)
    assert len(orders) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    np.testing.assert_array_equal(W, np.arange(4))  # what was given stays as it was


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_values_keep_their_type_and_every_bit(dtype):
    W = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 0.1, np.finfo(dtype).smallest_subnormal], dtype=dtype)
    S = en.shuffled(np.tile(W, (1000, 1)), rng=0)
    assert S.dtype == dtype
    np.testing.assert_array_equal(np.sort(S, axis=None), np.sort(np.tile(W, 1000)))
    assert np.count_nonzero(np.signbit(S)) == 2000


def test_a_matrix_with_more_entries_than_lapack_counts_is_shuffled_too(monkeypatch):
    monkeypatch.setattr(matrices, "_MOST_ENTRIES", 10)
    S = en.shuffled(np.arange(12.0), rng=0)
    assert (S != np.arange(12)).any()
    np.testing.assert_array_equal(np.sort(S), np.arange(12))


def test_no_value_leaves_the_matrix_when_the_largest_random_number_is_drawn():
    class Largest(np.random.Generator):
        def random(self, size):
            return np.full(size, 1 - 2.0**-53)

    for n in (1, 2, 3, 7, 2**15, 2**15 + 1, 100_003):
        S = matrices._shuffle(np.arange(float(n)), Largest(np.random.PCG64(0)))
        np.testing.assert_array_equal(np.sort(S), np.arange(n))
