"""The outlier rule: its level where there is nothing to find, its power where there is, its formula simulated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.tails import find_outliers, fit_power_law, fix_fingers
from rmt_lab.tails.outliers import _surprise


def pareto(n, alpha, rng):
    return np.sort((1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1)))


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 300])
def test_few_clean_power_laws_have_outliers(n):
    found = [find_outliers(pareto(n, 3, seed)).k > 0 for seed in range(300)]
    assert stats.binom.sf(sum(found) - 1, 300, 0.06) > 0.01
    assert sum(found) > 3  # a test that never says yes has no level either


@pytest.mark.parametrize(("N", "M"), [(384, 96), (128, 64), (96, 96)])
def test_gaussian_matrices_have_none(N, M):
    spectra = [gaussian_spectrum(N, M, rng=seed).eigenvalues for seed in range(60)]
    assert np.mean([find_outliers(x).k > 0 for x in spectra]) <= 0.05
    assert np.mean([fix_fingers(x).num_fingers > 0 for x in spectra]) > 0.2  # where clip_xmax finds them


@pytest.mark.parametrize("planted", [1, 3, 10])
def test_planted_fingers_are_found_each_and_only_they(planted):
    """Close together or not: fingers don't hide one another."""
    right = 0
    for seed in range(30):
        x = pareto(300, 3.5, seed)
        fingers = x[-1] * np.geomspace(12, 15, planted)
        found = fix_fingers(np.r_[x, fingers], "outliers")
        right += found.num_fingers == planted
        if found.num_fingers == planted:
            assert found.dropped.tolist() == fingers.tolist()
            assert found.alpha == fit_power_law(x).alpha
    assert right >= 26


def test_gap_p_values_are_uniform_and_independent_for_a_known_xmin():
    p = []
    for seed in range(500):
        x = pareto(40, 2.5, seed)
        p.append([_surprise(x, k, fit_power_law(x[:-k], xmin=x[0]))[0] for k in (1, 2, 5)])
    for column in np.transpose(p):
        assert stats.kstest(column, "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(np.transpose(p)) - np.eye(3)).max() < 0.12


def test_surprise_is_the_share_of_power_laws_that_get_as_far():
    """All three p-values for k = 3, against draws of the exponential gaps themselves, with the rate uncertain."""
    tail = pareto(20, 3, 0)
    x = np.r_[tail, tail[-1] * np.array([1.5, 1.9, 2.5])]
    fit = fit_power_law(tail, xmin=tail[0])
    rng = np.random.default_rng(0)
    y = np.log(tail / tail[0])
    S = y.sum() + 3 * y[-1]
    rate = rng.gamma(19, size=200_000) / S
    beyond = np.sort(rng.exponential(size=(200_000, 3)) / rate[:, None], axis=1)
    share = (beyond >= np.log(x[-3:] / tail[-1])).mean(axis=0)
    np.testing.assert_allclose(_surprise(x, 3, fit), share, atol=0.004)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**4), scale=st.floats(1e-9, 1e9), far=st.floats(2, 40))
def test_what_is_reported_hangs_together(seed, scale, far):
    x = pareto(80, 3, seed)
    x = np.r_[x, x[-1] * far * np.array([1.0, 1.2])]
    f = fix_fingers(x, "outliers")
    assert len(f.dropped) == len(f.p_values) == f.num_fingers
    assert f.fit is f.tried[f.num_fingers]
    assert f.tried[0] is f.raw
    assert np.all((f.p_values >= 0) & (f.p_values <= 1))
    assert fix_fingers(scale * x, "outliers").num_fingers == f.num_fingers


def test_a_further_finger_is_more_surprising():
    x = pareto(200, 3, 0)
    p = [find_outliers(np.r_[x, x[-1] * far]).p_values[0] for far in (50, 100, 200)]
    assert p[0] > p[1] > p[2] > 0


def test_small_samples_and_other_rules():
    x = np.array([1.0, 2.0, 4.0, 9.0])
    assert fix_fingers(x, "outliers").num_fingers == 0
    assert list(fix_fingers(x, "outliers").tried) == [0, 1, 2]
    assert fix_fingers(x, "outliers", max_fingers=0).num_fingers == 0
    assert len(fix_fingers(pareto(50, 2, 0), "clip_xmax").p_values) == 0
