"""noise_p from the shipped table: right for shapes and seeds that it was not made from."""

from importlib.resources import files

import numpy as np
import pytest
from scipy import stats

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fit_power_law
from rmt_lab.verdict import _noise_cdf, noise_p, smallest_alpha

SHAPES = [(12, 12), (50, 13), (30522, 20), (128, 64), (90, 90), (1000, 150)]  # none of them in the table


@pytest.fixture(scope="module")
def p_values():
    """Of 500 Gaussian spectra of each shape."""
    p = {}
    for N, M in SHAPES:
        rng = np.random.default_rng([17, N, M])
        p[N, M] = [
            _noise_cdf(smallest_alpha(gaussian_spectrum(N, M, rng=rng).eigenvalues) - 1, N, M) for _ in range(500)
        ]
    return p


@pytest.mark.parametrize("shape", SHAPES)
def test_p_values_of_noise_are_uniform(p_values, shape):
    assert stats.kstest(p_values[shape], "uniform").pvalue > 0.01


def test_the_level_at_one_percent(p_values):
    below = sum(np.count_nonzero(np.array(p) <= 0.01) for p in p_values.values())
    assert stats.binomtest(below, 500 * len(SHAPES), 0.01).pvalue > 0.01


def test_the_table_and_draws_agree():
    noise = gaussian_spectrum(120, 60, rng=3)
    for scale in (1, 3):  # lengthened tails are less likely noise
        s = Spectrum(noise.singular_values**scale, 120, 60)
        fit = fit_power_law(s.eigenvalues)
        assert noise_p(fit, s) == pytest.approx(noise_p(fit, s, n=999), abs=0.05)


def test_it_falls_with_alpha_and_stays_within_the_table():
    p = [_noise_cdf(a, 800, 200) for a in np.geomspace(0.01, 1000, 200)]
    assert np.all(np.diff(p) >= 0)
    assert (p[0], p[-1]) == (pytest.approx(0.001), pytest.approx(0.999))
    assert _noise_cdf(np.inf, 800, 200) == pytest.approx(0.999)


def test_small_and_pooled_matrices_are_drawn(monkeypatch):
    from rmt_lab import verdict

    asked = []
    monkeypatch.setattr(verdict, "_gaussian_null", lambda N, M, rf, n: asked.append((M, rf, n)) or np.ones(n))
    for M, rf, n in ((8, 1, None), (20, 4, None), (20, 1, 50), (20, 1, None)):
        s = Spectrum(np.geomspace(1, 9, M * rf), 40, M, rf=rf)
        noise_p(fit_power_law(s.eigenvalues), s, n=n)
    assert asked == [(8, 1, 999), (20, 4, 999), (20, 1, 50)]


def test_the_table_is_small():
    assert files("rmt_lab").joinpath("data", "noise.npz").stat().st_size < 100_000
