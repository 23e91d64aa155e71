"""Vuong's test against scipy's likelihoods and its own formula."""

import sys

import numpy as np
import pytest
from scipy import stats

from rmt_lab.tails import Rivals, compare, fit_power_law, fit_truncated_power_law
from rmt_lab.tails.rivals import RIVALS

powerlaw = pytest.importorskip("powerlaw")


def draws(kind, n=1500, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "power law": lambda: (1 - rng.random(n)) ** -0.5,
        "steep power law": lambda: (1 - rng.random(n)) ** (-1 / 6),  # alpha = 7, beyond powerlaw's own range
        "exponential": lambda: 1 + rng.exponential(size=n),
        "lognormal": lambda: np.exp(np.abs(rng.normal(size=n))),
        "stretched_exponential": lambda: (1 + rng.exponential(size=n) * 0.9) ** (1 / 0.6),
    }[kind]()


@pytest.mark.parametrize("kind", ["exponential", "lognormal", "stretched_exponential"])
def test_the_law_that_made_the_data_beats_the_power_law(kind):
    rivals = compare(fit_power_law(draws(kind), xmin=1.0))
    assert rivals.R[kind] < 0
    assert rivals.p[kind] < 1e-3
    assert rivals.best()


@pytest.mark.parametrize("kind", ["power law", "steep power law"])
def test_no_rival_beats_a_power_law(kind):
    rivals = compare(fit_power_law(draws(kind), xmin=1.0))
    assert set(rivals.R) == set(RIVALS)
    assert rivals.best(0.01) == ""
    assert rivals.R["exponential"] > 2


def test_vuongs_ratio_is_the_formula():
    """R = sum of log-likelihood differences / (sqrt(n) their standard deviation), with the exponential from xmin on."""
    x = draws("exponential", 300)
    fit = fit_power_law(x, xmin=1.0)
    rate = 1 / (x - 1).mean()
    d = np.log(fit.pdf(x)) - (np.log(rate) - rate * (x - 1))
    R = d.sum() / (np.sqrt(len(d)) * d.std())
    rivals = compare(fit)
    assert rivals.R["exponential"] == pytest.approx(R, abs=1e-3)
    assert rivals.p["exponential"] == pytest.approx(2 * stats.norm.sf(abs(R)), rel=0.02)


def test_the_truncated_law_is_ours_and_its_test_is_of_nested_laws():
    x = draws("exponential", 100)
    rivals = compare(fit_power_law(x, xmin=1.0))
    truncated = fit_truncated_power_law(x, xmin=1.0)
    assert rivals.p["truncated_power_law"] == pytest.approx(truncated.p, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_ours_is_at_least_as_likely_as_powerlaws_truncated_law():
    x = draws("power law", 300)
    x = x[x < 8]
    theirs = powerlaw.Fit(x, xmin=1.0, verbose=0).truncated_power_law.loglikelihoods(x).sum()
    assert fit_truncated_power_law(x, xmin=1.0).logpdf(x).sum() >= theirs - 1e-6


def test_the_unit_does_not_matter():
    x = draws("lognormal", 200)
    a, b = compare(fit_power_law(x, xmin=1.0)), compare(fit_power_law(1e-6 * x, xmin=1e-6))
    assert list(b.R.values()) == pytest.approx(list(a.R.values()), rel=1e-4)


@pytest.mark.parametrize("x", [[1.0, 2.0], [1.0, 2.0, 4.0]])
def test_tiny_tails_are_no_trouble(x):
    assert compare(fit_power_law(x)).best() == ""


def test_best_takes_the_clearest_and_minds_the_level():
    rivals = Rivals({"a": -2.0, "b": -1.0, "c": 4.0}, {"a": 0.04, "b": 0.3, "c": 1e-9})
    assert (rivals.best(), rivals.best(0.01), rivals.best(0.5)) == ("a", "", "a")
    assert "a: R=-2.00 (p=0.04)" in repr(rivals)
    assert "R = -2.00" in rivals._repr_html_()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "powerlaw", None)
    with pytest.raises(ImportError, match=r"pip install rmt-lab\[rivals\]"):
        compare(fit_power_law([1.0, 2.0, 5.0, 7.0]))
