"""The scan against trying every candidate, against scipy, and against the powerlaw package."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rmt_lab.tails import fit_power_law, search


def pareto(n, alpha, rng):
    return (1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1))


def every_candidate(x):
    """xmin, alpha, D by the plain loop, as WeightWatcher 0.7 has it: one fit for every value but the last."""
    x = np.sort(x)
    best = (np.nan, np.nan, np.inf)
    for i in range(len(x) - 1):
        tail, n = x[i:], len(x) - i
        alpha = 1 + n / np.log(tail / x[i]).sum()
        D = np.abs(1 - (tail / x[i]) ** (1 - alpha) - np.arange(n) / n).max()
        if D < best[2]:
            best = (x[i], alpha, D)
    return best


def samples(kind, n, seed):
    rng = np.random.default_rng(seed)
    return {
        "pareto": lambda: pareto(n, 2.5, rng),
        "lognormal": lambda: rng.lognormal(size=n),
        "bulk": lambda: rng.beta(2, 2, n) + 0.1,
        "truncated": lambda: rng.gamma(0.3, 1, n) + 0.05,
        "bulk and tail": lambda: np.r_[rng.beta(2, 2, n - n // 4), 0.9 * pareto(n // 4, 3, rng)],
        "fingers": lambda: np.r_[rng.gamma(0.5, 1, n - 3) + 0.01, 50, 80, 200],
        "log-uniform": lambda: np.exp(np.linspace(0, 9, n)) * (1 + 1e-6 * rng.random(n)),
    }[kind]()


their_deprecations = pytest.mark.filterwarnings("ignore::DeprecationWarning:powerlaw")
KINDS = ["pareto", "lognormal", "bulk", "truncated", "bulk and tail", "fingers", "log-uniform"]


@settings(max_examples=120, deadline=None)
@given(kind=st.sampled_from(KINDS), n=st.integers(8, 400), seed=st.integers(0, 10**6))
def test_the_search_finds_what_trying_every_candidate_finds(kind, n, seed):
    x = samples(kind, n, seed)
    fit = fit_power_law(x)
    xmin, alpha, D = every_candidate(x)
    assert fit.D == pytest.approx(D, rel=1e-9)
    if fit.xmin != xmin:  # two tails as good as each other, to rounding
        assert fit.scan().Ds[np.searchsorted(fit.scan().xmins, xmin)] == pytest.approx(D, rel=1e-9)
    else:
        assert fit.alpha == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_search_looks_at_few_tails(kind, monkeypatch):
    """Near-linear time, without a clock: the tails evaluated whole stay a handful as n grows."""
    looked = []
    whole = search.Tails.distances
    monkeypatch.setattr(search.Tails, "distances", lambda self, i: looked.append(i) or whole(self, i))
    for n in (300, 3000, 30000):
        looked.clear()
        fit_power_law(samples(kind, n, 3))
        assert len(looked) < (4 * n**0.5 if kind == "log-uniform" else 60)  # log-uniform: all tails fit equally well


@their_deprecations
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [50, 200])
def test_agrees_with_the_powerlaw_package(kind, n):
    powerlaw = pytest.importorskip("powerlaw")
    x = samples(kind, n, 7)
    theirs = powerlaw.Fit(x, parameter_ranges={"alpha": [1.001, 500]}, verbose=0)
    ours = fit_power_law(x)
    assert ours.xmin == pytest.approx(theirs.xmin, rel=1e-6)
    assert ours.alpha == pytest.approx(theirs.power_law.alpha, rel=1e-6)
    assert pytest.approx(theirs.power_law.D, rel=1e-6) == ours.D


@settings(max_examples=40, deadline=None)
@given(alpha=st.floats(1.2, 9), seed=st.integers(0, 999))
def test_fixed_xmin_is_the_maximum_of_the_likelihood(alpha, seed):
    x = pareto(400, alpha, seed)
    fit = fit_power_law(x, xmin=1.0)
    shape, _, _ = stats.pareto.fit(x, floc=0, fscale=1)
    assert fit.alpha - 1 == pytest.approx(shape, rel=1e-6)
    assert abs(fit.alpha - alpha) < 5 * fit.sigma
    assert fit.sigma == pytest.approx((fit.alpha - 1) / 20)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-12, 1e12), seed=st.integers(0, 999))
def test_the_unit_does_not_matter(scale, seed):
    x = samples("bulk and tail", 200, seed)
    a, b = fit_power_law(x), fit_power_law(x * scale)
    assert b.D == pytest.approx(a.D, rel=1e-6)
    assert b.alpha == pytest.approx(a.alpha, rel=1e-6)
    assert b.xmin == pytest.approx(a.xmin * scale, rel=1e-9)


def test_the_fitted_law_integrates_and_matches_scipy():
    fit = fit_power_law(pareto(3000, 2.5, 0))
    law = stats.pareto(fit.alpha - 1, scale=fit.xmin)
    x = np.geomspace(fit.xmin / 3, 100 * fit.xmin, 50)
    np.testing.assert_allclose(fit.pdf(x), law.pdf(x), rtol=1e-10)
    np.testing.assert_allclose(fit.sf(x), law.sf(x), rtol=1e-10)


def test_scan_holds_the_choice():
    fit = fit_power_law(samples("bulk and tail", 300, 1))
    scan = fit.scan()
    k = scan.Ds.argmin()
    assert (scan.xmins[k], scan.alphas[k], scan.Ds[k], scan.n_tails[k]) == (fit.xmin, fit.alpha, fit.D, fit.n_tail)
    assert len(scan.xmins) == 299


@their_deprecations
def test_ties_count_as_the_powerlaw_package_counts_them():
    powerlaw = pytest.importorskip("powerlaw")
    x = np.repeat(pareto(60, 2.2, 5), np.random.default_rng(0).integers(1, 4, 60))
    theirs = powerlaw.Fit(x, parameter_ranges={"alpha": [1.001, 500]}, verbose=0)
    ours = fit_power_law(x)
    assert (ours.xmin, ours.D) == (pytest.approx(theirs.xmin), pytest.approx(theirs.power_law.D, rel=1e-6))


def test_ranges_of_xmin_and_xmax_and_min_tail():
    x = pareto(500, 2.5, 3)
    assert 2 <= fit_power_law(x, xmin=(2, 3)).xmin <= 3
    assert fit_power_law(x, xmax=5).xmax <= 5
    assert fit_power_law(x, min_tail=400).n_tail >= 400
    short = fit_power_law(samples("fingers", 300, 1))
    assert fit_power_law(short.x, min_tail=short.n_tail + 1).n_tail > short.n_tail


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"x": [1.0, 2.0, 0.0]}, "x holds 1 of 3 values that are not positive and finite"),
        ({"x": [1.0, np.nan]}, "x holds 1 of 2"),
        ({"x": [1.0, np.inf]}, "x holds 1 of 2"),
        ({"x": []}, "x has 0 values; a power law needs at least 2"),
        ({"x": [3.0, 3.0, 3.0]}, "x has 3 values; a power law needs at least 2 that differ"),
        ({"x": [1.0, 2.0, 3.9], "xmin": 3.2}, r"xmin=3.2 leaves 1 values .* \(largest value 3.9\)"),
        ({"x": [1.0, 2.0, 3.9], "xmax": 1.5}, "x has 1 values up to xmax=1.5"),
        ({"x": [1.0, 2.0, 3.9], "xmin": (5, 6)}, r"xmin=\(5, 6\) holds no value"),
        ({"x": [1.0, 2.0, 3.9], "min_tail": 1}, "min_tail=1; a power law needs at least 2"),
    ],
)
def test_bad_input_is_named(kwargs, says):
    with pytest.raises(ValueError, match=says):
        fit_power_law(**kwargs)
