"""alpha of short tails, with and without its bias."""

import numpy as np
import pytest
from scipy import stats

from rmt_lab.tails import compare, fit_power_law


def pareto(n, alpha, rng):
    return np.sort((1 - rng.random(n)) ** (-1 / (alpha - 1)))


@pytest.mark.parametrize(("given", "raw"), [(True, 2.5 + 1.5 / 7), (False, 2.5 + 2 * 1.5 / 6)])
def test_eight_values_of_exponent_2_5(given, raw):
    """2.5 stays 2.5, where 1 + n/S gives 2.71 for a given xmin and 3.0 where it is the smallest of the eight."""
    rng = np.random.default_rng(0)
    xmin = 1.0 if given else None
    samples = [pareto(8, 2.5, rng) for _ in range(6000)]
    plain = np.array([fit_power_law(x, xmin=xmin, min_tail=8).alpha for x in samples])
    fits = [fit_power_law(x, xmin=xmin, min_tail=8, bias_corrected=True) for x in samples]
    alphas = np.array([f.alpha for f in fits])
    assert abs(plain.mean() - raw) < 4 * plain.std() / 6000**0.5
    assert abs(alphas.mean() - 2.5) < 4 * alphas.std() / 6000**0.5
    relative = np.array([f.sigma / (f.alpha - 1) for f in fits])
    assert np.all(relative == pytest.approx(1 / (6 if given else 5) ** 0.5))
    assert alphas.std() == pytest.approx(1.5 * relative[0], rel=0.08)  # sigma is the spread it claims


def test_only_alpha_and_sigma_change():
    x = np.r_[np.random.default_rng(0).beta(2, 2, 60), pareto(60, 3, np.random.default_rng(1))]
    for xmin, lost in ((None, 2), ((0.5, 2), 2), (1.0, 1)):
        raw, fit = (fit_power_law(x, xmin=xmin, bias_corrected=b) for b in (False, True))
        assert (fit.xmin, fit.xmax, fit.D, fit.n_tail) == (raw.xmin, raw.xmax, raw.D, raw.n_tail)
        n = raw.n_tail
        assert fit.alpha - 1 == pytest.approx((raw.alpha - 1) * (n - lost) / n)
        assert fit.sigma == pytest.approx((fit.alpha - 1) / (n - lost - 1) ** 0.5)
        assert (raw.bias_corrected, fit.bias_corrected) == (False, True)


def test_the_scan_and_the_intervals_follow():
    x = pareto(100, 2.5, np.random.default_rng(2))
    raw, fit = (fit_power_law(x, min_tail=8, bias_corrected=b) for b in (False, True))
    scan = fit.scan()
    k = scan.Ds.argmin()
    assert (scan.alphas[k], scan.Ds[k]) == (pytest.approx(fit.alpha), fit.D)
    assert fit.interval(method="asymptotic").bias == 0
    assert raw.interval(method="asymptotic").corrected == pytest.approx(fit.alpha)
    given = fit_power_law(x, xmin=1.0)
    unbiased = fit_power_law(x, xmin=1.0, bias_corrected=True).alpha
    assert given.interval(method="asymptotic").corrected == pytest.approx(unbiased)
    for xmin in (None, 1.0):  # the bootstrap takes the bias off once, not twice
        a, b = (fit_power_law(x, xmin, min_tail=8, bias_corrected=c).interval(rng=0) for c in (False, True))
        assert b.corrected == pytest.approx(a.corrected, abs=0.08 * raw.sigma)


def test_rivals_meet_the_law_at_its_best():
    pytest.importorskip("powerlaw")
    x = pareto(60, 2.5, np.random.default_rng(3))
    a, b = (compare(fit_power_law(x, xmin=1.0, bias_corrected=c)) for c in (False, True))
    assert b.R == pytest.approx(a.R, rel=1e-6)


def test_the_smallest_tails():
    fit = fit_power_law([1.0, 2.0, 8.0], min_tail=3, bias_corrected=True)
    assert fit.alpha == pytest.approx(1 + 1 / np.log(16))
    assert fit.sigma == np.inf  # 1/S of a Gamma variable of 2 has no variance
    with pytest.raises(
        ValueError, match="bias_corrected=True leaves nothing of a tail of 2 values; ask for min_tail=3"
    ):
        fit_power_law([1.0, 2.0], bias_corrected=True)


@pytest.mark.parametrize(("n", "raw", "corrected"), [(10, 1.32, 1.04), (20, 1.24, 1.08), (50, 1.11, 1.04)])
def test_the_table_of_the_search(n, raw, corrected):
    rng = np.random.default_rng(n)
    fits = [fit_power_law(pareto(n, 2.5, rng), min_tail=8) for _ in range(1500)]
    for lost, mean in ((0, raw), (2, corrected)):
        ratio = np.array([(f.alpha - 1) / 1.5 * (1 - lost / f.n_tail) for f in fits])
        assert abs(ratio.mean() - mean) < 0.006 + 4 * stats.sem(ratio)
