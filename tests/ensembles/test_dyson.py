"""Dyson's Brownian motion against the matrices it stands for, exact moments, and the laws at either end."""

import numpy as np
import pytest
from scipy import stats

from rmt_lab.ensembles import dyson, goe
from rmt_lab.laws import Semicircle
from rmt_lab.laws.spacings import SpacingLaw, spacings

POINTS = np.array([1.0, -0.5, 0.1, 0.15])


def test_it_starts_at_the_points():
    paths = dyson(POINTS, [0.0, 0.0, 0.5], rng=0)
    assert paths.shape == (3, 4)
    np.testing.assert_allclose(paths[:2], [np.sort(POINTS)] * 2)
    assert np.all(np.diff(paths) > 0)
    assert np.abs(paths[2] - np.sort(POINTS)).max() > 0.01
    assert dyson(POINTS, []).shape == (0, 4)


@pytest.mark.parametrize("times", [[0.3], [0.01, 0.02, 0.2, 0.3]])
def test_at_a_time_it_has_the_law_of_points_and_noise(times):
    """Whatever the stops on the way: H = e^-t D + sqrt(1 - e^-2t) G / sqrt(n)."""
    rng, n, sigma, draws = np.random.default_rng(1), len(POINTS), 0.8, 1500
    paths = np.array([dyson(POINTS, times, sigma, rng)[-1] for _ in range(draws)])
    noise = np.sqrt((1 - np.exp(-0.6)) / n)
    dense = np.linalg.eigvalsh([np.exp(-0.3) * np.diag(POINTS) + noise * goe(n, sigma, rng) for _ in range(draws)])
    for i in range(n):
        assert stats.ks_2samp(paths[:, i], dense[:, i]).pvalue > 1e-3
    squares, expected = np.sum(paths**2, axis=1), np.exp(-0.6) * POINTS @ POINTS + (n + 1) * n * (noise * sigma) ** 2
    assert abs(squares.mean() - expected) < 4 * squares.std() / draws**0.5


def test_one_level_is_an_ornstein_uhlenbeck_process():
    """From 0 the covariance at times s < t is 2 sigma^2 (e^-(t - s) - e^-(t + s)): not that of separate draws."""
    rng, draws, times = np.random.default_rng(2), 20000, np.array([0.1, 0.4, 1.5])
    paths = np.array([dyson([0.0], times, 1.5, rng)[:, 0] for _ in range(draws)])
    s, t = np.minimum.outer(times, times), np.maximum.outer(times, times)
    np.testing.assert_allclose(np.cov(paths.T), 2 * 1.5**2 * (np.exp(s - t) - np.exp(-s - t)), atol=0.15)


def test_paths_are_continuous():
    """Over a short time dt a level moves by a normal amount of standard deviation 2 sigma sqrt(dt / n)."""
    n, dt, sigma, rng = 100, 1e-8, 0.5, np.random.default_rng(3)
    points = np.linspace(-1, 1, n)
    paths = dyson(points, [0.0, dt], sigma, rng)
    moved = np.diff(paths, axis=0)[0] / (2 * sigma * np.sqrt(dt / n))
    assert stats.kstest(moved, "norm").pvalue > 1e-3


@pytest.mark.parametrize("points", [np.zeros(300), np.linspace(-5, 5, 300)])
def test_the_end_is_a_semicircle_whatever_the_points(points):
    end = dyson(points, [20.0], sigma=0.7, rng=4)[0]
    assert stats.kstest(end, Semicircle(0.7).cdf).statistic < 0.02


def test_only_the_spacings_of_a_semicircle_change():
    law, n = Semicircle(), 400
    times = np.array([0.0, 30 / n, 20.0])
    paths = dyson(law.rvs(n, rng=5), times, rng=6)
    for levels in paths:
        assert stats.kstest(levels, law.cdf).statistic < 1.5 / n**0.5
    distances = [[stats.kstest(spacings(x, law), SpacingLaw(beta).cdf).statistic for beta in (0, 1)] for x in paths]
    bound = 1.5 / n**0.5
    assert distances[0][0] < bound < distances[0][1]
    for poisson, wigner in distances[1:]:
        assert wigner < bound < poisson


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyson([], [1.0]), "N=0"),
        (lambda: dyson([np.nan], [1.0]), "points has shape"),
        (lambda: dyson([[1.0]], [1.0]), "points has shape"),
        (lambda: dyson([1.0], 1.0), "times has shape"),
        (lambda: dyson([1.0], [np.inf]), "times has shape"),
        (lambda: dyson([1.0], [-1.0, 1.0]), "times=.*ascending"),
        (lambda: dyson([1.0], [1.0, 0.5]), "times=.*ascending"),
        (lambda: dyson([1.0], [1.0], sigma=0.0), "sigma=0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
