"""Level statistics: laws against their integrals, against matrices, and against independent levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import gamma, sici

from rmt_lab.ensembles import (
    ar1,
    gaussian_ensemble_eigenvalues,
    gaussian_spectrum,
    goe,
    gue,
    laguerre_spectrum,
    orthogonal,
)
from rmt_lab.laws import HighTemperatureMarchenkoPastur, MarchenkoPastur, Semicircle
from rmt_lab.laws import spacings as ls
from rmt_lab.spectrum import Spectrum

BETAS = [0, 1, 2, 4]
TEMPERATURES = [0, 0.1, 0.5, 1, 1.7, 2, 4]
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("beta", TEMPERATURES)
def test_the_spacing_law_has_total_and_mean_one(beta):
    law = ls.SpacingLaw(beta)
    low, high = law.support()
    moments = [quad(lambda s, k=k: s**k * law.pdf(s), low, high)[0] for k in range(3)]
    np.testing.assert_allclose(moments, [1, law.mean(), law.var() + 1], rtol=1e-8)
    s = np.linspace(0, 4, 41)
    np.testing.assert_allclose(law.cdf(s), [quad(law.pdf, 0, b)[0] for b in s], atol=1e-8)
    np.testing.assert_allclose(law.cdf(s) + law.sf(s), 1)
    np.testing.assert_allclose(law.cdf(law.ppf(law.cdf(s))), law.cdf(s), atol=1e-12)
    np.testing.assert_array_equal([law.pdf(-1.0), law.cdf(-1.0)], 0)
    assert stats.kstest(law.rvs(1000, rng=0), law.cdf).pvalue > 1e-3
    tiny = 1e-7
    assert law.pdf(2 * tiny) / law.pdf(tiny) == pytest.approx(2**beta, rel=0.01)  # repulsion


@pytest.mark.parametrize("beta", [150, 400, 1e4])
def test_a_strong_repulsion_has_numbers_and_not_nan(beta):
    """Gamma functions overflow from beta = 170 on. Spacings come to a normal law of variance 1 / (2 beta) around 1.

    Ratios come to 1 - |z| with z of variance 4 / (3 beta), from the second derivative of the density's logarithm at 1.
    """
    law, sd = ls.SpacingLaw(beta), (2 * beta) ** -0.5
    moments = [quad(lambda s, k=k: s**k * law.pdf(s), 1 - 9 * sd, 1 + 9 * sd)[0] for k in range(3)]
    np.testing.assert_allclose(moments, [1, 1, 1 + law.var()], rtol=1e-8)
    assert law.var() == pytest.approx(sd**2, rel=2 / beta)
    assert law.cdf(law.ppf(0.5)) == pytest.approx(0.5, rel=1e-9)
    start = 1 - 9 * (4 / (3 * beta)) ** 0.5
    assert quad(ls.ratio_pdf, max(start, 0), 1, args=(beta,))[0] == pytest.approx(1, rel=1e-8)
    assert 1 - ls.mean_ratio(beta) == pytest.approx((8 / (3 * np.pi * beta)) ** 0.5, rel=1 / beta**0.5)


def test_the_surmise_is_wigners_textbook_formula():
    s = np.linspace(0, 3, 31)
    np.testing.assert_allclose(ls.SpacingLaw(1).pdf(s), np.pi / 2 * s * np.exp(-np.pi * s**2 / 4))
    np.testing.assert_allclose(ls.SpacingLaw(2).pdf(s), 32 / np.pi**2 * s**2 * np.exp(-4 * s**2 / np.pi))
    np.testing.assert_allclose(ls.SpacingLaw(0).pdf(s), stats.expon.pdf(s))


@pytest.mark.parametrize(("draw", "beta"), [(goe, 1), (gue, 2)])
def test_the_surmise_is_exact_for_two_levels(draw, beta):
    rng = np.random.default_rng(0)
    s = np.diff(np.linalg.eigvalsh([draw(2, rng=rng) for _ in range(2000)]), axis=1).ravel()
    assert stats.kstest(s / s.mean(), ls.SpacingLaw(beta).cdf).pvalue > 1e-3


@pytest.mark.parametrize("beta", [1, 2, 4])
def test_large_matrices_come_close_to_the_surmise_and_to_no_other(beta):
    s = ls.spacings(gaussian_ensemble_eigenvalues(3000, beta, rng=0))
    assert s.mean() == pytest.approx(1)
    distances = {other: stats.kstest(s, ls.SpacingLaw(other).cdf).statistic for other in BETAS}
    assert min(distances, key=distances.get) == beta
    assert distances[beta] < 0.03


def test_a_noise_spectrum_unfolded_by_its_own_law():
    law = MarchenkoPastur(2.0, sigma=3.0)
    eigenvalues = gaussian_spectrum(4000, 2000, sigma=3.0, rng=0).eigenvalues
    unfolded = ls.unfold(eigenvalues, law)
    np.testing.assert_allclose(unfolded, np.arange(2000) + 0.5, atol=5)  # rigid: levels stay at their places
    by_polynomial = ls.unfold(eigenvalues)
    np.testing.assert_allclose(by_polynomial[200:-200], unfolded[200:-200], atol=5)
    for s in (ls.spacings(eigenvalues, law), ls.spacings(eigenvalues)):
        assert stats.kstest(s, ls.SpacingLaw(1).cdf).statistic < 0.03


def test_independent_levels_are_poisson():
    x = np.random.default_rng(0).normal(size=3000)
    for s in (ls.spacings(x, stats.norm()), ls.spacings(x)):
        assert stats.kstest(s, ls.SpacingLaw(0).cdf).pvalue > 1e-3
        assert stats.kstest(s, ls.SpacingLaw(1).cdf).statistic > 0.1


@pytest.fixture(scope="module")
def bulks():
    """The middle of beta-Hermite spectra, by beta."""
    rng = np.random.default_rng(4)
    return {b: [gaussian_ensemble_eigenvalues(1200, b, rng=rng) for _ in range(8)] for b in (0.1, 0.3, 0.6, 1, 2, 4)}


def test_spacings_of_any_repulsion_are_nearest_to_their_own_law(bulks):
    found = {beta: np.concatenate([ls.spacings(x) for x in spectra]) for beta, spectra in bulks.items()}
    for beta, s in found.items():
        distances = {b: stats.kstest(s, ls.SpacingLaw(b).cdf).statistic for b in (0, *bulks)}
        assert distances[beta] < 0.01 + 0.9 / len(s) ** 0.5  # what the docstring says, and chance
        assert min(distances, key=distances.get) == beta


def test_wigners_surmise_is_not_the_law_of_weak_repulsion(bulks):
    s = np.concatenate([ls.spacings(x) for x in bulks[0.1]])
    wigner = stats.gengamma(a=1.1 / 2, c=2, scale=gamma(0.55) / gamma(1.05))  # a s^0.1 exp(-b s^2) of mean 1
    assert wigner.mean() == pytest.approx(1)
    assert stats.kstest(s, wigner.cdf).statistic > 3 * stats.kstest(s, ls.SpacingLaw(0.1).cdf).statistic


def test_mean_ratios_of_any_repulsion(bulks):
    """Those of three levels lie above those of many, by what the docstring says."""
    means = []
    for beta, spectra in bulks.items():
        r = np.concatenate([ls.spacing_ratios(x[150:-150]) for x in spectra])
        error = 3.5 * r.std() / len(r) ** 0.5
        assert -error - 0.003 < ls.mean_ratio(beta) - r.mean() < 0.02 + error
        means.append(r.mean())
    assert np.all(np.diff(means) > 0.01)


@pytest.mark.parametrize(("Q", "beta"), [(2, 0.1), (3, 0.5), (2, 1.5), (2, 4)])
def test_laguerre_spacings_unfolded_by_their_law(Q, beta):
    M, rng = 300, np.random.default_rng(5)
    law = HighTemperatureMarchenkoPastur(Q, beta * M / 2)
    s = np.concatenate(
        [ls.spacings(laguerre_spectrum(Q * M, M, beta, rng=rng).eigenvalues[30:-30], law) for _ in range(10)]
    )
    assert stats.kstest(s, ls.SpacingLaw(beta).cdf).statistic < 0.01 + 1.2 / len(s) ** 0.5


@pytest.mark.parametrize(("beta", "error"), [(1, 0.003), (2, 0.002), (4, 0.012)])
def test_the_interpolated_number_variance_is_close_to_the_exact_one(beta, error):
    L = np.linspace(1, 60, 500)
    near = np.nextafter(beta, 9)  # not one of the exact ones
    assert np.abs(ls.number_variance(L, near) - ls.number_variance(L, beta)).max() < error
    assert ls.number_variance(1e5, near) == pytest.approx(ls.number_variance(1e5, beta), abs=1e-4)


def test_the_number_variance_of_weak_repulsion_is_that_of_independent_levels():
    L = np.array([0.0, 0.5, 4.0, 30.0])
    np.testing.assert_allclose(ls.number_variance(L, 1e-5), L, rtol=0.01)


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_counts_of_weakly_repelled_levels_have_that_variance(beta):
    M, rng, L = 300, np.random.default_rng(6), 6
    law = HighTemperatureMarchenkoPastur(2.0, beta * M / 2)
    spectra = [laguerre_spectrum(2 * M, M, beta, rng=rng).eigenvalues for _ in range(60)]
    each = np.array([np.mean((ls.window_counts(x, L, law) - L) ** 2) for x in spectra])
    assert abs(each.mean() - ls.number_variance(L, beta)) < 4 * each.std() / len(each) ** 0.5
    assert abs(each.mean() - L * (1 - L / M)) > 6 * each.std() / len(each) ** 0.5


def cluster(r, beta):
    """Dyson's two-level cluster function Y(r) of unfolded levels (Mehta 2004, 6.1, 7.2 and 8.2): 1 at r = 0."""
    a = 2 * r if beta == 4 else r
    s, ds = np.sinc(a), (np.cos(np.pi * a) - np.sinc(a)) / a
    if beta == 1:
        return s**2 + ds * (0.5 - sici(np.pi * a)[0] / np.pi)
    return s**2 - (ds * sici(np.pi * a)[0] / np.pi if beta == 4 else 0)


@pytest.mark.parametrize("beta", [1, 2, 4])
@pytest.mark.parametrize("L", [0.05, 0.7, 3.0, 12.5])
def test_the_number_variance_is_the_integral_of_the_cluster_function(beta, L):
    loss = quad(lambda r: (L - r) * cluster(r, beta), 1e-12, L, limit=500, epsabs=1e-11)[0]
    assert ls.number_variance(L, beta) == pytest.approx(L - 2 * loss, abs=1e-8)


def test_the_number_variance_grows_as_the_textbooks_logarithm():
    L = np.array([30.0, 300.0, 3e6])
    log = np.log(2 * np.pi * L) + np.euler_gamma + 1
    for beta, expected in {1: 2 * (log - np.pi**2 / 8), 2: log, 4: (log + np.log(2) + np.pi**2 / 8) / 2}.items():
        assert np.all(np.abs(ls.number_variance(L, beta) - expected / np.pi**2) < 0.2 / L + 1e-9)
    np.testing.assert_array_equal(ls.number_variance(L, 0), L)
    np.testing.assert_array_equal([ls.number_variance(0.0, beta) for beta in BETAS], 0)
    assert ls.number_variance([1e-6], 1) == pytest.approx([1e-6], rel=1e-4)  # hardly ever two in one window


def measured_variance(levels, L):
    """Mean square of (count - L) over all windows of several lists of levels, with its error from list to list."""
    each = np.array([np.mean((ls.window_counts(x, L, Semicircle()) - L) ** 2) for x in levels])
    return each.mean(), each.std() / len(each) ** 0.5


@pytest.mark.parametrize("L", [0.5, 4, 25])
@pytest.mark.parametrize("beta", [1, 2])
def test_the_counts_of_a_matrix_have_that_variance(beta, L):
    rng, n = np.random.default_rng(1), 500
    levels = [gaussian_ensemble_eigenvalues(n, beta, rng=rng) / n**0.5 for _ in range(40)]
    found, error = measured_variance(levels, L)
    assert abs(found - ls.number_variance(L, beta)) < 4 * error
    assert all(abs(found - ls.number_variance(L, other)) > 5 * error for other in (0, 3 - beta) if L > 1)


def test_the_counts_of_independent_levels_are_binomial():
    n, L, law = 500, 25, Semicircle()
    found, error = measured_variance(law.rvs((200, n), rng=0), L)
    assert abs(found - L * (1 - L / n)) < 4 * error
    assert error < 0.1 * L


@settings(max_examples=50, deadline=None)
@given(n=st.integers(3, 60), share=st.floats(0.01, 0.8), seed=SEEDS)
def test_counts_are_those_of_windows_within_the_middle(n, share, seed):
    x, width = np.random.default_rng(seed).random(n), share * n
    counts = ls.window_counts(x, width, stats.uniform())
    step, starts = min(1.0, width / 2), len(counts)
    first = (n - width - (starts - 1) * step) / 2
    assert first >= 0.1 * n - 1e-6
    assert first - step < 0.1 * n  # no further one fits on both sides
    expected = [np.sum((a <= n * x) & (n * x < a + width)) for a in first + step * np.arange(starts)]
    np.testing.assert_array_equal(counts, expected)


def standard_errors(x, beta):
    """Of the mean ratio from what Atas et al. measured; neighbouring ratios are nearly uncorrelated."""
    r = ls.spacing_ratios(x)
    return abs(r.mean() - ls.MEAN_RATIO[beta]) / (r.std() / len(r) ** 0.5)


@pytest.mark.parametrize("beta", [1, 2, 4])
def test_mean_ratio_of_matrices(beta):
    x = gaussian_ensemble_eigenvalues(5000, beta, rng=0)
    assert standard_errors(x, beta) < 3.5
    assert all(standard_errors(x, other) > 8 for other in BETAS if other != beta)


def test_mean_ratio_needs_no_unfolding():
    poisson = np.random.default_rng(1).pareto(1.5, 5000)  # any density
    assert standard_errors(poisson, 0) < 3.5
    correlated = Spectrum.from_matrix(ar1(1500, 1000, 0.8, rng=0)).eigenvalues
    assert standard_errors(correlated, 1) < 3.5
    assert standard_errors(np.log(correlated), 1) < 3.5


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 50), shift=st.floats(-5, 5), scale=st.floats(0.01, 100), seed=SEEDS)
def test_ratios_do_not_depend_on_unit_origin_or_order(n, shift, scale, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    r = ls.spacing_ratios(x)
    assert r.shape == (n - 2,)
    assert np.all((r >= 0) & (r <= 1))
    np.testing.assert_allclose(ls.spacing_ratios(rng.permutation(shift + scale * x)), r, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_the_ratio_density_integrates_to_one_and_to_the_mean(beta):
    for b in (beta, beta + 0.3):
        assert quad(ls.ratio_pdf, 0, 1, args=(b,))[0] == pytest.approx(1)
    mean = quad(lambda r: r * ls.ratio_pdf(r, beta), 0, 1)[0]
    assert mean == pytest.approx(ls.MEAN_RATIO[beta], rel=0.011)  # the surmise; exact for beta = 0
    np.testing.assert_array_equal(ls.ratio_pdf([-0.5, 1.5], beta), 0)


def test_the_ratio_density_is_exact_for_three_levels_and_for_independent_ones():
    rng = np.random.default_rng(0)
    r = [ls.spacing_ratios(gaussian_ensemble_eigenvalues(3, 1, rng=rng))[0] for _ in range(2000)]
    grid = np.linspace(0, 1, 101)
    cdf = np.array([quad(ls.ratio_pdf, 0, b, args=(1,))[0] for b in grid])
    assert stats.kstest(r, lambda x: np.interp(x, grid, cdf)).pvalue > 1e-3
    assert stats.kstest(ls.spacing_ratios(rng.random(3000)), lambda x: 2 * x / (1 + x)).pvalue > 1e-3


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), k=st.integers(1, 30), scale=st.floats(-200, 200))
def test_participation_counts_the_components(n, k, scale):
    v = np.where(np.arange(n) < min(n, k), 10.0**scale, 0.0)
    assert ls.participation_ratio(v) == pytest.approx(min(n, k))
    assert ls.participation_ratio(1j * v) == pytest.approx(min(n, k))


def test_random_vectors_have_the_participation_that_is_stated():
    n = 60
    V = orthogonal(n, 40, rng=0)
    H = np.linalg.eigh(gue(300, rng=0))[1]
    assert 1 / np.mean(1 / ls.participation_ratio(V)) == pytest.approx((n + 2) / 3, rel=0.05)
    assert 1 / np.mean(1 / ls.participation_ratio(H)) == pytest.approx(301 / 2, rel=0.02)


@pytest.mark.parametrize("n", [2, 5, 100])
def test_localisation_is_standardised_for_random_directions(n):
    z = ls.localisation(np.random.default_rng(0).normal(size=(n, 20000)))
    assert z.mean() == pytest.approx(0, abs=5 / 20000**0.5)
    assert z.std() == pytest.approx(1, abs=0.1)


def test_localisation_tells_a_localised_vector():
    z = ls.localisation(np.linalg.eigh(goe(200, rng=0))[1])
    assert np.abs(z).max() < 6
    assert ls.localisation(np.eye(200)[0]) > 100
    assert ls.localisation(np.ones(200)) < -5


@pytest.mark.parametrize(("draw", "beta"), [(goe, 1), (gue, 2)])
def test_components_of_eigenvectors_are_porter_thomas(draw, beta):
    n = 200
    V = np.linalg.eigh(draw(n, rng=0))[1]
    x = n * np.abs(V[:, ::10]).ravel() ** 2
    assert stats.kstest(x, lambda t: ls.porter_thomas_cdf(t, beta)).pvalue > 1e-3
    assert stats.kstest(x, lambda t: ls.porter_thomas_cdf(t, 3 - beta)).pvalue < 1e-6


@pytest.mark.parametrize("beta", [1, 2])
def test_porter_thomas_is_chi_square_of_mean_one(beta):
    x, law = np.linspace(-1, 8, 50), stats.chi2(beta, scale=1 / beta)
    np.testing.assert_allclose(ls.porter_thomas_pdf(x, beta), law.pdf(x))
    np.testing.assert_allclose(ls.porter_thomas_cdf(x, beta), law.cdf(x))
    assert law.mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ls.SpacingLaw(-1), "beta=-1"),
        (lambda: ls.SpacingLaw(np.nan), "beta=nan"),
        (lambda: ls.SpacingLaw(1e5), "beta=100000.0; a repulsion of 0 to 10000"),
        (lambda: ls.mean_ratio(-0.5), "beta=-0.5"),
        (lambda: ls.mean_ratio(1e6), "beta=1000000.0; a repulsion of 0 to 10000"),
        (lambda: ls.ratio_pdf(0.5, beta=-3), "beta=-3"),
        (lambda: ls.porter_thomas_pdf(0.5, beta=4), "beta=4"),
        (lambda: ls.porter_thomas_cdf(0.5, beta=0), "beta=0"),
        (lambda: ls.unfold([1.0, 2.0]), "shape"),
        (lambda: ls.unfold([1.0, 2.0, np.inf]), "finite"),
        (lambda: ls.unfold(np.arange(18.0)), "degree=9"),
        (lambda: ls.spacings([5.0, 6.0, 7.0], MarchenkoPastur(2.0)), "support"),
        (lambda: ls.window_counts([5.0, 6.0, 7.0], 3, stats.norm()), "width=3; of 3 levels .* 0 < width <= 2.4"),
        (lambda: ls.window_counts([5.0, 6.0, 7.0], 0, stats.norm()), "width=0"),
        (lambda: ls.window_counts([5.0, 6.0], 1, stats.norm()), "shape"),
        (lambda: ls.number_variance(1.0, beta=np.inf), "beta=inf"),
        (lambda: ls.number_variance([1.0, -1.0], beta=1), "width=.*-1"),
        (lambda: ls.number_variance(np.inf, beta=0), "width=inf"),
        (lambda: ls.spacing_ratios([0.0, 0.0, 0.0, 1.0]), "3 or more equal"),
        (lambda: ls.participation_ratio([0.0, 0.0]), "not zero"),
        (lambda: ls.participation_ratio(np.ones((0, 2))), "V has shape"),
        (lambda: ls.localisation([1.0]), "single component"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
