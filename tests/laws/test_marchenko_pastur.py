from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from rmt_lab.laws import MarchenkoPastur
from rmt_lab.laws.marchenko_pastur import tail_angle, tail_mass

ratios = st.one_of(st.just(1.0), st.floats(1, 1000), st.floats(1, 1.001), st.floats(0.02, 1))
sigmas = st.floats(0.01, 100)
few = settings(max_examples=25, deadline=None)


def integral(law, g, low, high):
    """Integral of g(x) pdf(x) over low .. high, in the angle u of x = x- + (x+ - x-) sin(u/2)^2: smooth edges.

    Near Q = 1 the density has a needle of width 1 - 1/sqrt(Q) in u, so the interval is cut on that scale.
    """
    a, b = law.lower_edge, law.upper_edge
    start, end = (2 * np.arcsin(np.sqrt(np.clip((x - a) / (b - a), 0, 1))) for x in (low, high))
    needle = abs(law.Q - 1) * np.array([0.1, 1, 10, 100, 1000])
    cuts = [start, *[c for c in needle if start < c < end], end]

    def f(u):
        x = a + (b - a) * np.sin(u / 2) ** 2
        return g(x) * law.pdf(x) * (b - a) / 2 * np.sin(u)

    return sum(quad(f, *cut, epsabs=1e-11, epsrel=1e-10, limit=400)[0] for cut in pairwise(cuts))


@few
@given(ratios, sigmas, st.floats(0.001, 0.999))
def test_cdf_is_the_integral_of_the_pdf(Q, sigma, where):
    law = MarchenkoPastur(Q, sigma)
    low, high = law.lower_edge, law.upper_edge
    x = low + where * (high - low)
    one = lambda x: 1.0  # noqa: E731
    assert integral(law, one, low, high) == pytest.approx(min(1, Q), abs=1e-9)
    assert law.cdf(x) == pytest.approx(max(0, 1 - Q) + integral(law, one, low, x), abs=2e-10)
    assert law.sf(x) == pytest.approx(integral(law, one, x, high), abs=2e-10)


@few
@given(ratios, sigmas, st.integers(0, 5))
def test_moments_are_integrals(Q, sigma, k):
    law = MarchenkoPastur(Q, sigma)
    atom = max(0, 1 - Q) * (k == 0)
    expected = atom + integral(law, lambda x: (x / sigma**2) ** k, law.lower_edge, law.upper_edge)
    assert law.moment(k) / sigma ** (2 * k) == pytest.approx(expected, rel=1e-8)
    assert law.mean() == pytest.approx(law.moment(1))
    assert law.var() == pytest.approx(law.moment(2) - law.moment(1) ** 2, rel=1e-6)


@few
@given(ratios, sigmas)
def test_ppf_inverts_cdf(Q, sigma):
    law = MarchenkoPastur(Q, sigma)
    p = np.linspace(0, 1, 401)
    x = law.ppf(p)
    assert np.all(np.diff(x) >= 0)
    # x itself carries a rounding error: what that is in probability is the density times it
    rounding = 4 * np.finfo(float).eps * x * np.where(np.isfinite(law.pdf(x)), law.pdf(x), 0)
    assert np.all(np.abs(law.cdf(x) - np.maximum(p, 1 - min(1, Q))) <= 1e-13 + rounding)
    assert (x[0], x[-1]) == pytest.approx(law.support(), rel=1e-14)


@pytest.mark.parametrize("rho", [-1, -1 + 1e-12, -0.99, -0.5, -0.03, -1e-4, 0, 1e-4, 0.03, 0.5, 0.99, 1])
def test_tails_keep_their_digits_down_to_nothing(rho):
    p = np.array([1e-60, 1e-30, 1e-12, 1e-6, 1e-3, 0.1, 0.5])
    v = tail_angle(p, rho)
    np.testing.assert_allclose(tail_mass(v, rho), p, rtol=1e-12)
    density = lambda u: 2 / np.pi * np.sin(u) ** 2 / abs(1 + rho * np.exp(1j * u)) ** 2  # noqa: E731
    for v_i, p_i in zip(v[2:], p[2:], strict=True):
        # the density varies on the scale 1 + rho, which quad must be told
        points = [q for q in (1 + rho, 10 * (1 + rho)) if 0 < q < v_i] or None
        assert quad(density, 0, v_i, epsabs=0, epsrel=1e-11, points=points)[0] == pytest.approx(p_i, rel=1e-9)


def test_quarter_circle_at_q_1():
    law = MarchenkoPastur(1.0, 0.5).singular_values()
    s = np.linspace(0, 1, 101)
    np.testing.assert_allclose(law.pdf(s), 4 / np.pi * np.sqrt(1 - s**2), atol=1e-15)
    np.testing.assert_allclose(law.cdf(s), 2 / np.pi * (s * np.sqrt(1 - s**2) + np.arcsin(s)), atol=1e-15)
    assert law.mean() == pytest.approx(4 / (3 * np.pi))
    assert law.var() == pytest.approx(0.25 - law.mean() ** 2)


@few
@given(ratios, sigmas, st.floats(1, 5000))
def test_singular_values_are_roots_of_eigenvalues(Q, sigma, N):
    law = MarchenkoPastur(Q, sigma)
    roots = law.singular_values(N)
    x = law.ppf(np.linspace(0.01, 0.99, 21))
    x = x[x > 0]
    s = np.sqrt(N * x)
    np.testing.assert_allclose(roots.pdf(s), law.pdf(x) * 2 * s / N, rtol=1e-6)
    np.testing.assert_allclose(roots.cdf(s), law.cdf(x), atol=1e-9)
    np.testing.assert_allclose(roots.sf(s), law.sf(x), atol=1e-9)
    assert roots.support() == pytest.approx(tuple(np.sqrt(N * np.array(law.support()))))
    mean = integral(law, lambda x: np.sqrt(N * x), law.lower_edge, law.upper_edge)
    assert roots.mean() == pytest.approx(mean, rel=1e-9)
    assert roots.var() == pytest.approx(N * sigma**2 - mean**2, rel=1e-4, abs=1e-9 * N * sigma**2)
    assert roots.cdf(-1.0) == 0
    assert roots.pdf(-1.0) == 0


@few
@given(ratios, sigmas, st.floats(-3, 8), st.floats(0.05, 10))
def test_stieltjes_is_the_integral(Q, sigma, real, imag):
    law = MarchenkoPastur(Q, sigma)
    z = sigma**2 * complex(real, imag)
    m = law.stieltjes(z)
    atom = max(0, 1 - Q) / (0 - z)
    parts = [
        integral(law, lambda x, p=p: getattr(1 / (x - z), p), *[law.lower_edge, law.upper_edge])
        for p in ("real", "imag")
    ]
    assert m == pytest.approx(atom + complex(*parts), rel=1e-6)
    assert m.imag > 0
    assert law.stieltjes(z.conjugate()) == pytest.approx(m.conjugate())


@pytest.mark.parametrize("Q", [0.3, 1.0, 2.5, 1000.0])
def test_stieltjes_at_infinity_on_the_cut_and_at_the_atom(Q):
    law = MarchenkoPastur(Q, 1.5)
    assert 1e9j * law.stieltjes(1e9j) == pytest.approx(-1, rel=1e-8)
    x = law.lower_edge + (law.upper_edge - law.lower_edge) * np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(law.stieltjes(x).imag / np.pi, law.pdf(x), rtol=1e-9)
    if Q < 1:
        assert -1e-9 * law.stieltjes(1e-9 + 0j) == pytest.approx(1 - Q, rel=1e-6)


@pytest.mark.parametrize(("N", "M"), [(600, 600), (900, 300), (300, 900)])
def test_law_of_a_sampled_matrix(N, M):
    W = 2 * np.random.default_rng(3).normal(size=(N, M))
    eigenvalues = np.linalg.eigvalsh(W.T @ W / N)
    law = MarchenkoPastur(N / M, 2.0)
    i = np.arange(M)
    cdf = law.cdf(np.where(i < M - N, 0, eigenvalues))
    expected = np.where(i < M - N, 1 - N / M, (i + 0.5) / M)
    assert np.max(np.abs(cdf - expected)) < 3 / min(N, M)  # eigenvalues are rigid: not 1/sqrt(M)


def test_rvs_follow_the_law_and_the_seed():
    law = MarchenkoPastur(0.5, 3.0)
    x = law.rvs((200, 200), rng=5)
    assert x.shape == (200, 200)
    assert np.mean(x == 0) == pytest.approx(0.5, abs=0.01)
    assert x.mean() == pytest.approx(law.mean(), rel=0.05)
    np.testing.assert_array_equal(x, law.rvs((200, 200), rng=np.random.default_rng(5)))
    np.testing.assert_array_equal(law.singular_values(4).rvs(7, rng=1), 2 * np.sqrt(law.rvs(7, rng=1)))
    assert np.ndim(law.rvs(rng=0)) == 0


@few
@given(ratios, sigmas)
def test_outside_the_support(Q, sigma):
    law = MarchenkoPastur(Q, sigma)
    x = np.array([-1, law.upper_edge * 1.001, np.inf])
    np.testing.assert_array_equal(law.cdf(x), [0, 1, 1])
    np.testing.assert_array_equal(law.sf(x), [1, 0, 0])
    np.testing.assert_array_equal(law.pdf(x[:2]), [0, 0])
    assert np.isnan(law.cdf(np.nan))
    assert np.isnan(law.ppf([np.nan, -0.1, 1.1])).all()


def test_narrow_support_approaches_the_semicircle():
    Q = 1e8  # (x - 1) sqrt(Q) / 2 then follows the semicircle of radius 1
    law = MarchenkoPastur(Q)
    y = np.linspace(-0.9, 0.9, 7)
    semicircle = 0.5 + (y * np.sqrt(1 - y**2) + np.arcsin(y)) / np.pi
    np.testing.assert_allclose(law.cdf(1 + 2 * y / np.sqrt(Q)), semicircle, atol=2e-4)


@pytest.mark.parametrize(
    "bad", [{"Q": 0}, {"Q": -1}, {"Q": np.nan}, {"Q": np.inf}, {"Q": 1, "sigma": 0}, {"Q": 1, "sigma": -2}]
)
def test_bad_arguments_are_named(bad):
    name, value = list(bad.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={value}"):
        MarchenkoPastur(**bad)
    with pytest.raises(ValueError, match=r"k=1\.5"):
        MarchenkoPastur(1).moment(1.5)
    with pytest.raises(ValueError, match="N=0"):
        MarchenkoPastur(1).singular_values(0)
