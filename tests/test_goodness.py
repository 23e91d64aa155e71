"""p-values: uniform where the null holds, small where it does not."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.misfit import quantiles
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fit_power_law, p_value
from rmt_lab.tails.search import MISFIT, all_tails
from rmt_lab.verdict import _heaviest, noise_p


def pareto(n, alpha, rng):
    return (1 - rng.random(n)) ** (-1 / (alpha - 1))


@pytest.mark.parametrize("given", [None, 1.0], ids=["xmin searched", "xmin given"])
def test_p_values_of_power_laws_are_uniform(given):
    rng = np.random.default_rng(0)
    p = [fit_power_law(pareto(80, 2.5, rng), xmin=given).p_value(n=99, rng=rng) for _ in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_p_values_of_a_bulk_with_a_power_law_tail_are_uniform():
    rng = np.random.default_rng(2)
    p = []
    for _ in range(200):
        x = np.r_[rng.beta(2, 2, 60), 0.95 * pareto(60, 3, rng)]
        p.append(fit_power_law(x).p_value(n=99, rng=rng))
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("draw", [np.random.Generator.exponential, np.random.Generator.lognormal])
def test_other_laws_are_rejected_where_the_tail_is_long(draw):
    rng = np.random.default_rng(1)
    x = draw(rng, size=1000)
    assert fit_power_law(x, xmin=np.median(x)).p_value(n=99, rng=rng) == pytest.approx(0.01)


def test_p_value_does_not_depend_on_the_unit():
    x = pareto(100, 2.5, np.random.default_rng(0))
    assert fit_power_law(x).p_value(n=50, rng=0) == pytest.approx(fit_power_law(1e5 * x).p_value(n=50, rng=0), abs=0.04)


def test_all_tails_at_once_are_those_of_the_fits_scan():
    x = np.random.default_rng(0).lognormal(size=300)
    scan = fit_power_law(x).scan()
    exponent, scaled_D = all_tails(np.log(np.sort(x)))
    np.testing.assert_allclose(exponent + 1, scan.alphas, rtol=1e-9)
    np.testing.assert_allclose(scaled_D, scan.Ds * np.sqrt(scan.n_tails), atol=1e-5)
    assert _heaviest(np.sort(x)) == scan.alphas[scan.Ds * np.sqrt(scan.n_tails) <= 0.69].min()


def test_noise_p_of_noise_is_uniform():
    rng = np.random.default_rng(5)
    p = []
    for _ in range(150):
        noise = gaussian_spectrum(96, 48, sigma=rng.lognormal(), rng=rng)
        p.append(noise_p(fit_power_law(noise.eigenvalues), noise))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_heavy_tail_is_not_noise():
    rng = np.random.default_rng(0)
    x = np.sort(np.r_[gaussian_spectrum(400, 60, rng=rng).eigenvalues, 2 * pareto(40, 2.5, rng)])
    layer = Spectrum(np.sqrt(400 * x), 400, 100)
    assert noise_p(fit_power_law(x), layer) == pytest.approx(1 / 200)


def test_other_noise_can_be_given_and_slices_are_pooled():
    rng = np.random.default_rng(0)
    layer = gaussian_spectrum(60, 30, rng=rng)
    fit = fit_power_law(layer.eigenvalues)
    null = [gaussian_spectrum(60, 30, rng=rng) for _ in range(9)]
    as_heavy = sum(_heaviest(s.eigenvalues) <= _heaviest(fit.x) for s in null)
    assert noise_p(fit, layer, null=null) == pytest.approx((1 + as_heavy) / 10)
    pooled = Spectrum(np.r_[layer.singular_values, null[0].singular_values], 60, 30, rf=2)
    assert 0 < noise_p(fit_power_law(pooled.eigenvalues), pooled, n=19) <= 1


def test_bad_input_is_named():
    fit = fit_power_law([1.0, 2.0, 4.0, 5.0])
    with pytest.raises(ValueError, match="n=0; a p-value needs at least 1 sample"):
        p_value(fit, n=0)
    with pytest.raises(ValueError, match="at least one spectrum to compare with"):
        noise_p(fit, gaussian_spectrum(4, 4, rng=0), null=[])


@pytest.mark.parametrize("kind", ["searched", "given"])
def test_the_table_of_misfits_is_what_its_simulation_gives(kind):
    found = quantiles(kind, samples=20_000, seed=1)
    for level, value in MISFIT[kind].items():
        assert found[level] == pytest.approx(value, abs=0.02 if level == 0.99 else 0.01), level
