import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.linalg import eigh_tridiagonal, svdvals
from scipy.special import airy
from scipy.stats import kstest

from rmt_lab.laws import TracyWidom, edge_scaling, largest_eigenvalue_p_value


@pytest.fixture(scope="module")
def painleve():
    """(s, F1, F2, f1, f2) by the Hastings-McLeod solution of Painleve II, q'' = s q + 2 q^3, q(s) ~ Ai(s) at infinity.

    With I = int_s^inf q and J = int_s^inf (x - s) q(x)^2 dx: F2 = exp(-J), F1 = exp(-(I + J)/2), J'' = q^2. Tracy &
    Widom (1996). Integrated downwards, where the solution is unstable: trust it for s > -5.
    """
    start = 9.0
    ai, aip = airy(start)[:2]
    tail = quad(lambda x: airy(x)[0], start, 20, epsrel=1e-12)[0]
    slope = -quad(lambda x: airy(x)[0] ** 2, start, 20, epsrel=1e-12)[0]  # J' = -int q^2
    J = quad(lambda x: (x - start) * airy(x)[0] ** 2, start, 20, epsrel=1e-12)[0]

    def rhs(s, y):
        q, dq, _, _, dJ = y
        return [dq, s * q + 2 * q**3, -q, dJ, q**2]

    s = np.linspace(8.9, -5, 140)
    solution = solve_ivp(rhs, (start, s[-1]), [ai, aip, tail, J, slope], "DOP853", s, rtol=1e-13, atol=1e-30)
    q, _, I, J, dJ = solution.y
    F1, F2 = np.exp(-(I + J) / 2), np.exp(-J)
    return s, {1: F1, 2: F2}, {1: F1 * (q - dJ) / 2, 2: -F2 * dJ}, {1: -np.expm1(-(I + J) / 2), 2: -np.expm1(-J)}


@pytest.mark.parametrize("beta", [1, 2])
def test_agrees_with_painleve(painleve, beta):
    s, cdf, pdf, sf = painleve
    law = TracyWidom(beta)
    inner = s > -3.5  # further left the error of the integration grows beyond what is tested
    np.testing.assert_allclose(law.cdf(s)[inner], cdf[beta][inner], atol=1e-10)
    np.testing.assert_allclose(law.pdf(s)[inner], pdf[beta][inner], atol=1e-9)
    np.testing.assert_allclose(law.cdf(s), cdf[beta], atol=1e-7)
    right = s > 0
    np.testing.assert_allclose(law.sf(s)[right], sf[beta][right], rtol=1e-9)


def test_beta_2_is_the_airy_kernel_determinant():
    """det(1 - K) with K(x, y) = (Ai(x) Ai'(y) - Ai'(x) Ai(y)) / (x - y) on (s, inf): not the kernel of the table."""
    nodes, weights = np.polynomial.legendre.leggauss(50)
    for s in (-6.4, -5.0, -3.0, -1.0, 0.5, 1.9, 2.1):
        half = (14 - s) / 2
        x, w = s + half * (nodes + 1), np.sqrt(half * weights)
        ai, aip = airy(x)[:2]
        with np.errstate(divide="ignore", invalid="ignore"):
            K = (np.outer(ai, aip) - np.outer(aip, ai)) / (x[:, None] - x)
        np.fill_diagonal(K, aip**2 - x * ai**2)
        assert TracyWidom(2).cdf(s) == pytest.approx(np.linalg.det(np.eye(50) - w[:, None] * K * w), abs=3e-13)


@pytest.mark.parametrize(
    ("beta", "mean", "var"), [(1, -1.206533574582, 1.607781034581), (2, -1.771086807411, 0.8131947928329)]
)
def test_moments_as_published(beta, mean, var):
    """Bornemann (2010), On the numerical evaluation of distributions in random matrix theory, table 10."""
    law = TracyWidom(beta)
    assert law.mean() == pytest.approx(mean, abs=2e-12)
    assert law.var() == pytest.approx(var, abs=2e-12)
    for k, expected in ((0, 1), (1, mean), (2, var + mean**2)):
        moment = sum(quad(lambda s, k=k: s**k * law.pdf(s), a, b, epsabs=1e-12)[0] for a, b in [(-12, -2), (-2, 12)])
        assert moment == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("beta", "p", "quantile"),
    [
        *[(1, p, q) for p, q in [(0.01, -3.8954), (0.05, -3.1804), (0.1, -2.7824), (0.9, 0.4501), (0.95, 0.9793)]],
        (1, 0.99, 2.0234),
        *[(2, p, q) for p, q in [(0.95, -0.2325), (0.99, 0.4776)]],
    ],
)
def test_quantiles_as_published(beta, p, quantile):
    """Bejan (2005), Largest eigenvalues and sample covariance matrices: Tracy-Widom and Painleve II, tables."""
    assert TracyWidom(beta).ppf(p) == pytest.approx(quantile, abs=6e-5)


@pytest.mark.parametrize("beta", [1, 2])
def test_pieces_meet(beta):
    law = TracyWidom(beta)
    join, eps = {1: -7.5, 2: -6.5}[beta], 1e-9
    for f, rel in ((law.cdf, 2e-5), (law.pdf, 1e-3)):  # where the series takes over, cdf is 1e-10
        assert f(join - eps) == pytest.approx(float(f(join + eps)), rel=rel)
    for f in (law.cdf, law.sf, law.pdf):
        assert f(2 - eps) == pytest.approx(float(f(2 + eps)), rel=1e-7)


@pytest.mark.parametrize(("beta", "constant"), [(1, 4 * np.sqrt(np.pi)), (2, 16 * np.pi)])
def test_right_tail(beta, constant):
    """sf -> exp(-(2 beta/3) s^(3/2)) / (4 sqrt(pi) s^(3/4)) or / (16 pi s^(3/2)): what one Airy function leaves."""
    s = np.array([20.0, 40.0])
    leading = np.exp(-2 * beta / 3 * s**1.5) / (constant * s ** (0.75 * beta))
    error = TracyWidom(beta).sf(s) / leading - 1
    assert np.all(np.abs(error) < 2 / s**1.5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([1, 2]), st.floats(1e-50, 1 - 1e-12))
def test_ppf_inverts(beta, p):
    law = TracyWidom(beta)
    s = law.ppf(p)
    assert law.cdf(s) == pytest.approx(p, rel=1e-10)
    assert law.sf(s) == pytest.approx(1 - p, rel=1e-3, abs=1e-13)


def test_ends_and_shapes():
    law = TracyWidom()
    np.testing.assert_array_equal(law.ppf([0, 1]), [-np.inf, np.inf])
    assert np.isnan(law.ppf([-1, 2, np.nan])).all()
    np.testing.assert_array_equal(law.cdf([-np.inf, np.inf]), [0, 1])
    np.testing.assert_array_equal(law.pdf([-np.inf, np.inf]), [0, 0])
    assert np.isnan(law.cdf(np.nan))
    assert law.pdf(np.zeros((2, 3))).shape == (2, 3)
    s = np.linspace(-30, 80, 2000)
    assert np.all(np.diff(law.cdf(s)) >= 0)
    assert np.all(np.diff(law.sf(s)) <= 0)
    with pytest.raises(ValueError, match="beta=4"):
        TracyWidom(4)


def test_rvs():
    law = TracyWidom(2)
    x = law.rvs(20_000, rng=0)
    assert kstest(x, law.cdf).pvalue > 0.01
    np.testing.assert_array_equal(x, law.rvs(20_000, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("beta", [1, 2])
def test_largest_eigenvalue_of_the_beta_hermite_ensemble(beta):
    """The tridiagonal model of Dumitriu & Edelman (2002): n^(1/6) (sqrt(2/beta) lambda_max - 2 sqrt(n)) -> TW_beta."""
    rng, n, trials = np.random.default_rng(beta), 400, 500
    x = np.empty(trials)
    for i in range(trials):
        off = np.sqrt(rng.chisquare(beta * np.arange(n - 1, 0, -1)) / 2)
        top = eigh_tridiagonal(rng.normal(size=n), off, eigvals_only=True, select="i", select_range=(n - 1, n - 1))
        x[i] = n ** (1 / 6) * (np.sqrt(2 / beta) * top[0] - 2 * np.sqrt(n))
    law, other = TracyWidom(beta), TracyWidom(3 - beta)
    assert kstest(x, law.cdf).statistic < 0.07  # 0.06 is the 5 % point, and n is finite
    assert kstest(x, other.cdf).statistic > 0.2


@pytest.mark.parametrize(("N", "M"), [(60, 30), (40, 40)])
def test_johnstones_edge_scaling_on_samples(N, M):
    rng, sigma = np.random.default_rng(4), 0.3
    top = np.array([svdvals(sigma * rng.normal(size=(N, M)))[0] ** 2 / N for _ in range(600)])
    mu, s = edge_scaling(N, M, sigma)
    assert kstest((top - mu) / s, TracyWidom(1).cdf).statistic < 0.07
    p = largest_eigenvalue_p_value(top, N, M, sigma)
    assert kstest(p, "uniform").statistic < 0.07


def test_p_value():
    assert largest_eigenvalue_p_value(3.0, 3072, 768) < 1e-30
    assert largest_eigenvalue_p_value(0.0, 3072, 768) == 1
    one = largest_eigenvalue_p_value(2.28, 3072, 768)
    assert largest_eigenvalue_p_value(2.28, 3072, 768, rf=9) == pytest.approx(1 - (1 - one) ** 9)
    # on another scale it is the same question
    assert largest_eigenvalue_p_value(9e4 * 2.28, 3072, 768, sigma=300) == pytest.approx(one)
    with pytest.raises(ValueError, match="N=1"):
        edge_scaling(1, 1)


def test_edge_scaling_approaches_the_edge_of_the_law():
    gaps = [edge_scaling(4 * m, m)[0] - 2.25 for m in (100, 10_000)]
    assert 0 > gaps[1] > gaps[0] > -0.01
    scales = [edge_scaling(4 * m, m)[1] for m in (1000, 8000)]
    assert scales[0] / scales[1] == pytest.approx(4, rel=1e-3)  # M^(-2/3)
