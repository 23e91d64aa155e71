"""The ends of the numbers: a cut-off that goes to 0, and units in which x/xmin has no room."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.tails import fit_power_law
from rmt_lab.tails.truncated import _maximise, _moments, _q, fit_truncated_power_law


def pareto(n, alpha, rng):
    return np.sort((1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1)))


@pytest.mark.parametrize(
    ("alpha", "n", "seed"), [(2.0, 50, 11), (2.0, 200, 35), (2.0, 1000, 134), (2.5, 200, 61), (2.5, 1000, 26)]
)
def test_the_search_for_lambda_does_not_stop_short(alpha, n, seed):
    """Here the best Lambda is 0 or too small to matter; the search stopped at 1e-103, alpha off by up to 0.9 sigma."""
    x = pareto(n, alpha, [seed, n])
    fit, pure = fit_truncated_power_law(x, xmin=1.0), fit_power_law(x, xmin=1.0)
    v, q = np.log(x).mean(), _q(np.log(x)).mean()
    log_I, mean, covariance = _moments(np.array([fit.alpha - 1 + fit.Lambda]), np.array([fit.Lambda]))
    likelihood = -(fit.alpha - 1 + fit.Lambda) * v - fit.Lambda * q - log_I[0]
    assert likelihood >= np.log(pure.alpha - 1) - 1 - 1e-12  # that of the pure law, - (alpha - 1) v + ln(alpha - 1)
    if fit.Lambda > 0:
        slope = mean[0] - [v, q]
        assert slope @ np.linalg.solve(covariance[0], slope) < 1e-12
    assert abs(fit.alpha - pure.alpha) < 0.05 * pure.sigma


def test_pure_power_laws_end_at_a_maximum_every_time():
    """400 Paretos at once: the slope is 0 where Lambda > 0, and where it is 0 no other Lambda is likelier."""
    x = [np.log(pareto(100, alpha, [seed, 7])) for alpha in (1.8, 2.1, 2.5, 4.0) for seed in range(100)]
    mean = np.array([[v.mean(), _q(v).mean()] for v in x])
    c, z = _maximise(mean)
    inside = z > 0
    _, m, H = _moments(c[inside], z[inside])
    slope = m - mean[inside]
    assert np.einsum("ri,ri->r", slope, np.linalg.solve(H, slope[..., None])[..., 0]).max() < 1e-12
    v, q = mean[~inside].T
    np.testing.assert_allclose(c[~inside], 1 / v)
    pure = -1 - np.log(v)
    for rate in np.geomspace(1e-12, 0.1, 8) / (v + q).min():
        rates, best = np.full(len(v), rate), 1 / v
        for _ in range(20):  # the best c for this Lambda
            _, m, H = _moments(best, rates)
            best = best + np.clip((m[:, 0] - v) / H[:, 0, 0], -0.5, 0.5)
        assert np.all(-best * v - rates * q - _moments(best, rates)[0] <= pure + 1e-12)
    assert 0.1 < np.mean(~inside) < 0.5


@settings(max_examples=40, deadline=None)
@given(exponent=st.integers(-300, 300), given=st.booleans())
def test_no_unit_is_too_small_or_too_large(exponent, given):
    x = pareto(80, 2.5, 0)
    scale = 2.0 ** round(exponent * np.log2(10))  # exact, so that every figure stays as it is
    xmin = x[0] if given else None
    a, b = fit_power_law(x, xmin=xmin), fit_power_law(scale * x, xmin=xmin and scale * xmin)
    assert (b.alpha, b.D, b.n_tail, b.xmin) == (a.alpha, a.D, a.n_tail, scale * a.xmin)
    assert b.sf(scale * x[60]) == a.sf(x[60])
    a, b = fit_truncated_power_law(x, xmin), fit_truncated_power_law(scale * x, xmin and scale * xmin)
    assert b.alpha == pytest.approx(a.alpha, rel=1e-9)
    assert b.Lambda * scale == pytest.approx(a.Lambda, rel=1e-9)
    assert pytest.approx(a.D, rel=1e-9) == b.D


@pytest.mark.parametrize("xmin", [None, 1e-308])
def test_values_may_lie_further_apart_than_the_largest_number(xmin):
    """ln x even over 616 decades: x/xmin is no number, the fit that of the same law in another unit of ln x."""
    y = np.sort(np.random.default_rng(0).exponential(size=200))
    y *= 1417 / y[-1]  # ln(1e308) - ln(1e-308) is 1418.5
    x = np.exp(y + np.log(1e-308))
    fit = fit_power_law(x, xmin=xmin)
    tail = y[-fit.n_tail :]
    start = 0.0 if xmin else tail[0]
    assert fit.alpha == pytest.approx(1 + fit.n_tail / (tail - start).sum(), rel=1e-9)
    assert 0 < fit.D < 0.2
    ended = fit_truncated_power_law(x, xmin=xmin)
    assert np.isfinite([ended.alpha, ended.D, ended.sigma]).all()
    assert np.isfinite(fit.scan().Ds).all()
