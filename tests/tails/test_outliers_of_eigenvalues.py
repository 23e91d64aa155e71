"""Outliers: clumps, equal values, and eigenvalues, which repel each other."""

import numpy as np
import pytest
from scipy import stats

from rmt_lab.tails import fit_power_law
from rmt_lab.tails.fingers import fix_fingers
from rmt_lab.tails.outliers import find_outliers


def pareto(n, alpha, rng):
    return np.sort((1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1)))


def sample(population, N, rng):
    """Eigenvalues of W^T W / N, the columns of W with the given variances."""
    W = np.random.default_rng(rng).standard_normal((N, len(population))) * np.sqrt(population)
    return np.linalg.eigvalsh(W.T @ W / N)


@pytest.mark.parametrize("planted", [11, 25])
def test_a_clump_larger_than_the_maximum_does_not_hide_itself(planted):
    """It was found up to 10 values, and not at all from 11 on."""
    for seed in range(8):
        x = pareto(300, 3.5, seed)
        f = fix_fingers(np.r_[x, x[-1] * np.geomspace(12, 15, planted)], "outliers")
        assert (f.num_fingers, f.reached_limit) == (planted, True)
        assert f.alpha == fit_power_law(x).alpha
        assert len(f.p_values) == len(f.dropped) == planted
        assert set(f.tried) == {*range(11), planted}


def test_the_limit_is_noted():
    x = pareto(300, 3.5, 0)
    for planted, reached in ((0, False), (3, False), (9, False), (10, True)):
        far = x[-1] * np.geomspace(12, 15, planted) if planted else []
        assert fix_fingers(np.r_[x, far], "outliers").reached_limit == reached
    x = np.linalg.eigvalsh(np.cov(np.random.default_rng(1).normal(size=(150, 300))))
    for most in range(4):
        f = fix_fingers(x, max_fingers=most)
        assert f.reached_limit == (0 < most <= f.num_fingers)


def test_a_spectrum_that_has_each_value_twice_is_no_larger_sample():
    """36 % of such power laws had outliers."""
    found = [find_outliers(np.repeat(pareto(75, 3, seed), 2)).k > 0 for seed in range(120)]
    assert stats.binom.sf(sum(found) - 1, 120, 0.06) > 0.01


def test_equal_values_are_dropped_together():
    x = pareto(200, 3, 0)
    once, twice = find_outliers(np.r_[x, 1000]), find_outliers(np.r_[x, 1000, 1000])
    assert (once.k, twice.k) == (1, 2)
    assert twice.p_values.tolist() == [once.p_values[0]] * 2
    assert twice.fits[2].alpha == fit_power_law(x).alpha
    assert find_outliers(np.r_[x, x[-1], x[-1]]).k == 0


def test_the_p_value_says_what_the_level_decides():
    for seed in range(60):
        x = pareto(60, 3, seed)
        r = find_outliers(np.r_[x, x[-1] * np.random.default_rng(seed).uniform(1, 20)])
        assert (r.k > 0) == (r.p_value <= 1 - 0.95 * 0.995)
        assert 0 < r.p_value <= 1


@pytest.mark.slow
def test_with_redraws_the_level_holds_for_eigenvalues():
    """The plain test finds outliers in almost none: eigenvalues repel."""
    p, plain = [], []
    for seed in range(50):
        x = sample(pareto(60, 3, [seed, 1]), 240, [seed, 2])
        p.append(find_outliers(x, N=240, n=19, rng=seed).p_value)
        plain.append(find_outliers(x).p_value)
    for level in (0.1, 0.2, 0.5):
        assert stats.binomtest(int(np.sum(np.array(p) <= level + 1e-9)), 50, level).pvalue > 0.005
    assert np.mean(np.array(plain) <= 0.2) < 0.1


@pytest.mark.slow
def test_with_redraws_planted_eigenvalues_are_found():
    right = 0
    for seed in range(8):
        population = pareto(120, 3, seed)
        x = sample(np.r_[population, population[-1] * np.array([8.0, 9, 10])], 300, seed)
        f = fix_fingers(x, "outliers", N=300, rng=seed)
        right += f.num_fingers == 3
    assert right >= 6


def test_small_samples_and_bad_input():
    x = np.array([1.0, 2.0, 4.0, 9.0])
    assert find_outliers(x, N=10, rng=0).k == 0
    assert find_outliers(x, max_outliers=0, N=10) == (0, pytest.approx(np.empty(0)), {}, 1.0, False)
    x = pareto(50, 3, 0)
    with pytest.raises(ValueError, match="N=20; redraws need the rows of the matrix, at least its 50 eigenvalues"):
        find_outliers(x, N=20)
    with pytest.raises(ValueError, match="n=10; a level of 0.05 needs at least 19 redraws"):
        find_outliers(x, N=100, n=10)
