import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import semicircular

from rmt_lab.laws import MarchenkoPastur, Semicircle

few = settings(max_examples=25, deadline=None)
sigmas = st.floats(1e-3, 1e3)


@few
@given(sigmas)
def test_agrees_with_scipy(sigma):
    law, peer = Semicircle(sigma), semicircular(scale=2 * sigma)
    x = 2 * sigma * np.linspace(-1.2, 1.2, 48)  # not the edges, where rounding shows
    np.testing.assert_allclose(law.pdf(x), peer.pdf(x), atol=1e-14 / sigma)
    np.testing.assert_allclose(law.cdf(x), peer.cdf(x), atol=1e-14)
    np.testing.assert_allclose(law.sf(x), peer.sf(x), atol=1e-14)
    p = np.linspace(0.01, 0.99, 11)
    np.testing.assert_allclose(law.ppf(p), peer.ppf(p), atol=1e-8 * sigma)
    assert law.support() == pytest.approx(peer.support())
    assert (law.mean(), law.var()) == pytest.approx(peer.stats("mv"))


@few
@given(sigmas, st.integers(0, 9))
def test_moments_are_integrals(sigma, k):
    # x = 2 sigma cos(t)
    moment = quad(lambda t: 2 / np.pi * np.sin(t) ** 2 * (2 * np.cos(t)) ** k, 0, np.pi, epsabs=1e-11)[0]
    assert Semicircle(sigma).moment(k) / sigma**k == pytest.approx(moment, abs=1e-9)


@few
@given(sigmas)
def test_ppf_inverts_cdf(sigma):
    law = Semicircle(sigma)
    p = np.r_[0, 10.0 ** np.arange(-9, 0), np.linspace(0.1, 1, 19)]
    np.testing.assert_allclose(law.cdf(law.ppf(p)), p, atol=2e-15)
    np.testing.assert_allclose(law.ppf([0, 0.5, 1]), [-2 * sigma, 0, 2 * sigma], atol=1e-15 * sigma)
    assert np.isnan(law.ppf([-0.1, 1.1, np.nan])).all()


def test_tail_keeps_its_digits():
    gap = np.array([1e-14, 1e-10, 1e-6])  # near the edge x = 1 of radius 1: mass (4 sqrt(2) / (3 pi)) gap^(3/2)
    law = Semicircle(0.5)
    exact = 1 - (1 - gap)  # the gap that is left after rounding
    np.testing.assert_allclose(law.sf(1 - gap), 4 * np.sqrt(2) / (3 * np.pi) * exact**1.5, rtol=1e-6)
    np.testing.assert_allclose(law.cdf(gap - 1), 4 * np.sqrt(2) / (3 * np.pi) * exact**1.5, rtol=1e-6)


@few
@given(sigmas, st.floats(-4, 4), st.floats(1e-2, 4))
def test_stieltjes_is_the_integral(sigma, real, imag):
    law, z = Semicircle(sigma), complex(real, imag)
    f = lambda t: 2 / np.pi * np.sin(t) ** 2 / (2 * np.cos(t) - z)  # noqa: E731
    parts = [quad(lambda t, p=p: getattr(f(t), p), 0, np.pi, epsabs=1e-11, limit=200)[0] for p in ("real", "imag")]
    m = law.stieltjes(sigma * z) * sigma
    assert m == pytest.approx(complex(*parts), rel=1e-8)
    assert m.imag > 0
    assert law.stieltjes(sigma * z.conjugate()) * sigma == pytest.approx(m.conjugate())


def test_stieltjes_at_infinity_and_on_the_cut():
    law = Semicircle(1.5)
    for z in (1e9j, 1e9, -1e9):
        assert z * law.stieltjes(z) == pytest.approx(-1, rel=1e-8)
    x = np.linspace(-2.9, 2.9, 13)
    np.testing.assert_allclose(law.stieltjes(x).imag / np.pi, law.pdf(x), rtol=1e-12)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_law_of_a_sampled_matrix(field):
    rng, n, sigma = np.random.default_rng(0), 300, 0.7
    A = rng.normal(size=(n, n)) + (1j * rng.normal(size=(n, n)) if field == "complex" else 0)
    H = (A + A.conj().T) / (2 if field == "complex" else np.sqrt(2))
    x = np.linalg.eigvalsh(sigma * H / np.sqrt(n))
    assert np.max(np.abs(Semicircle(sigma).cdf(x) - (np.arange(n) + 0.5) / n)) < 3 / n


def test_limit_of_marchenko_pastur():
    y = np.linspace(-1.9, 1.9, 9)
    errors = [np.max(np.abs(MarchenkoPastur(Q).cdf(1 + y / np.sqrt(Q)) - Semicircle().cdf(y))) for Q in (1e4, 1e6, 1e8)]
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)  # 1/sqrt(Q)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)


def test_rvs():
    law = Semicircle(3.0)
    x = law.rvs((100, 100), rng=1)
    assert x.shape == (100, 100)
    assert x.std() == pytest.approx(3, rel=0.03)
    np.testing.assert_array_equal(x, law.rvs((100, 100), rng=np.random.default_rng(1)))


def test_bad_arguments_are_named():
    for sigma in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="sigma="):
            Semicircle(sigma)
    with pytest.raises(ValueError, match="k=-2"):
        Semicircle().moment(-2)
