"""Hill's estimator against its formula, the power-law fit, and Pareto samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.tails import fit_power_law
from rmt_lab.tails.hill import hill, hill_curve


def pareto(shape, alpha, rng):
    return (1 - np.random.default_rng(rng).random(shape)) ** (-1 / (alpha - 1))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 60), seed=st.integers(0, 999))
def test_the_curve_is_the_formula_for_every_k(n, seed):
    x = np.random.default_rng(seed).lognormal(size=n)
    down = sorted(x.tolist(), reverse=True)
    curve = hill_curve(x)
    assert curve.ks.tolist() == list(range(1, n))
    for k, alpha, error in zip(*curve, strict=True):
        plain = 1 + k / sum(math.log(down[i] / down[k]) for i in range(k))
        assert alpha == pytest.approx(plain, rel=1e-9)
        assert hill(x, int(k)) == pytest.approx(plain, rel=1e-9)
        assert error == pytest.approx((plain - 1) / k**0.5, rel=1e-9)
    assert hill(x) == pytest.approx(curve.alphas[max(n // 2, 1) - 1])


def test_it_is_the_fit_but_for_the_value_at_xmin():
    x = np.sort(pareto(100, 2.5, 0))
    fit = fit_power_law(x, xmin=x[60])  # 40 values, the smallest of which adds ln 1
    assert (hill(x, 39) - 1) * 40 / 39 == pytest.approx(fit.alpha - 1)


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0])
def test_more_values_bring_it_closer(alpha):
    for n in (100, 10_000, 1_000_000):
        k = n // 2
        assert abs(hill(pareto(n, alpha, n)) - alpha) < 4 * (alpha - 1) / k**0.5


@pytest.mark.parametrize("k", [3, 8, 20])
def test_what_has_no_bias_and_what_has(k):
    """1/(alpha - 1) has none; alpha has (alpha - 1)/(k - 1); with k - 1 for k it has none."""
    alphas = np.array([hill(row, k) for row in pareto((20_000, 2 * k), 2.5, k)])
    for estimate, truth in (
        (1 / (alphas - 1), 1 / 1.5),
        (alphas, 2.5 + 1.5 / (k - 1)),
        (1 + (alphas - 1) * (k - 1) / k, 2.5),
    ):
        assert abs(estimate.mean() - truth) < 4 * estimate.std() / len(alphas) ** 0.5


@settings(max_examples=30, deadline=None)
@given(exponent=st.integers(-990, 990), seed=st.integers(0, 99))
def test_the_unit_does_not_matter(exponent, seed):
    x = pareto(50, 2.5, seed)
    np.testing.assert_array_equal(hill_curve(2.0**exponent * x).alphas, hill_curve(x).alphas)
    assert hill(2.0**exponent * x, 20) == hill(x, 20)


def test_the_order_does_not_matter_and_equal_values_are_no_error():
    x = pareto(30, 2.5, 0)
    assert hill(x[::-1], 10) == hill(x, 10)
    assert hill([1.0, 5.0, 5.0], 1) == np.inf
    np.testing.assert_allclose(hill_curve([1.0, 5.0, 5.0]).alphas, [np.inf, 1 + 2 / (2 * np.log(5))])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1.0, 0.0, 2.0],), "x holds 1 of 3 values that are not positive and finite"),
        (([1.0, np.nan],), "x holds 1 of 2"),
        (([1.0],), "x has 1 values; Hill's estimator needs at least 2"),
        (([1.0, 2.0], 2), "k=2; 2 values allow 1 .. 1 upper order statistics"),
        (([1.0, 2.0], 0), "k=0; 2 values allow 1"),
    ],
)
def test_bad_input_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        hill(*arguments)
