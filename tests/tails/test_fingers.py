"""The finger rules against their definitions, step by step."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rmt_lab import Spectrum
from rmt_lab.tails import fingers, fit_power_law, fix_fingers


def noise(seed, n=150):
    W = np.random.default_rng(seed).normal(size=(2 * n, n))
    return np.linalg.eigvalsh(W.T @ W / len(W))


def clip_xmax_of_weightwatcher(x, thresh=1.0):
    """What WeightWatcher 0.7 does, step by step; it always uses max_fingers = 10."""
    x = np.sort(x)
    first = fit_power_law(x)
    for k in range(2, 10):
        fit = fit_power_law(x[:-k])
        if fit.alpha + thresh < first.alpha:
            return fit, k - 1
        if fit.alpha <= 2.0:
            break
    return first, 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**4), thresh=st.sampled_from([0.3, 1.0, 2.0]))
def test_clip_xmax_keeps_the_first_fit_that_falls_far_enough(seed, thresh):
    x = noise(seed)
    f = fix_fingers(x, finger_thresh=thresh)
    assert f.raw.alpha == fit_power_law(x).alpha
    alphas = [fit_power_law(x[: len(x) - k]).alpha for k in range(11)]
    accepted = [k for k in range(1, 11) if alphas[k] + thresh < alphas[0]]
    assert f.num_fingers == (accepted[0] if accepted else 0)
    assert f.alpha == alphas[f.num_fingers]
    assert f.dropped.tolist() == x[len(x) - f.num_fingers :].tolist()
    assert [f.tried[k].alpha for k in range(11)] == alphas


def test_only_the_fits_that_may_show_a_fall_are_made(monkeypatch):
    made = []
    monkeypatch.setattr(fingers, "fit_power_law", lambda x, **given: made.append(len(x)) or fit_power_law(x, **given))
    x = (1 - np.random.default_rng(0).random(400)) ** (-1 / 1.5)
    f = fix_fingers(x)
    assert (f.num_fingers, made) == (0, [400])  # the raw fit alone
    assert list(f.tried) == list(range(11))  # asked for, the others are made
    assert made == list(range(400, 389, -1))


@settings(max_examples=50, deadline=None)
@given(
    x=st.lists(st.integers(1, 40), min_size=4, max_size=40).filter(lambda x: len(set(x)) > 1),
    thresh=st.sampled_from([0.0, 0.3, 1.0]),
    min_tail=st.integers(2, 5),
)
def test_the_first_fall_is_found_among_equal_values_too(x, thresh, min_tail):
    """The shortcut against the definition; whole numbers give ties, of values and of distances."""
    x = np.sort(x).astype(float)
    try:
        f = fix_fingers(x, finger_thresh=thresh, min_tail=min_tail)
    except ValueError:
        assume(False)
    for k in range(1, 11):
        try:
            fit = fit_power_law(x[: len(x) - k], min_tail=min_tail)
        except ValueError:
            break
        assert f.tried[k].alpha == fit.alpha
        if fit.alpha + thresh < f.raw.alpha:
            assert (f.num_fingers, f.alpha) == (k, fit.alpha)
            return
    assert f.num_fingers == 0


@pytest.mark.parametrize("rule", ["clip_xmax", "clip_xmax_ww"])
def test_noise_has_fingers_by_every_clipping_rule(rule):
    """A warning rather than a feature: the rules find something to clip in a good part of pure Gaussian matrices."""
    found = [fix_fingers(noise(seed), rule).num_fingers > 0 for seed in range(30)]
    assert 5 <= sum(found) <= 25


def test_no_rule_changes_nothing():
    f = fix_fingers(noise(3), rule=None)
    assert (f.fit, f.num_fingers, f.rule, f.tried) == (f.raw, 0, None, {0: f.raw})
    assert len(f.dropped) == 0
    assert "no rule" in f._repr_html_()


def test_weightwatchers_cut_is_the_rules_own_and_needs_a_scale():
    W = np.random.default_rng(0).normal(size=(60, 50)) * 4.5e-4  # eigenvalues of W^T W around 1e-5
    s = Spectrum.from_matrix(W)
    squares = s.singular_values**2
    kept = squares[squares > 1e-5] / s.N
    assert 10 < len(kept) < 50
    assert fix_fingers(s, "clip_xmax_ww").raw.x == pytest.approx(kept)
    assert len(fix_fingers(s.eigenvalues, "clip_xmax_ww").raw.x) == 50
    assert len(fix_fingers(s, "clip_xmax").raw.x) == 50


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**4))
def test_clip_xmax_ww_is_weightwatchers_loop(seed):
    x = noise(seed)
    f = fix_fingers(x, rule="clip_xmax_ww")
    fit, num_fingers = clip_xmax_of_weightwatcher(x)
    assert (f.alpha, f.num_fingers) == (fit.alpha, num_fingers)
    assert len(f.dropped) == (num_fingers + 1 if num_fingers else 0)
    assert 1 not in f.tried


def test_where_the_two_clipping_rules_differ():
    """One eigenvalue alone is tried by ours, never by WeightWatcher's, and counts as one."""
    x = next(x for x in map(noise, range(60)) if fix_fingers(x).num_fingers == 1)
    assert len(fix_fingers(x).dropped) == 1
    assert 1 not in fix_fingers(x, rule="clip_xmax_ww").tried


def test_weightwatchers_loop_stops_at_two_and_ours_goes_on():
    rng = np.random.default_rng(0)
    x = (1 - rng.random(300)) ** (-1 / 0.8)  # alpha 1.8: nothing to fix, WeightWatcher stops at k = 2
    assert list(fix_fingers(x, rule="clip_xmax_ww").tried) == [0, 2]
    assert list(fix_fingers(x).tried) == list(range(11))


def test_xmin_peak_looks_around_the_peak():
    rng = np.random.default_rng(1)
    x = np.r_[rng.lognormal(0, 0.4, 800), 40, 60]
    f = fix_fingers(x, rule="xmin_peak")
    assert 0.7 < f.fit.xmin < 1.7  # the mode of the log is at 1
    assert f.num_fingers == 0
    assert len(f.dropped) == 0
    assert f.fit.D >= f.raw.D


def test_max_fingers_and_small_samples():
    x = noise(3)
    assert list(fix_fingers(x, max_fingers=0).tried) == [0]
    assert list(fix_fingers(x, max_fingers=3).tried) == [0, 1, 2, 3]
    assert list(fix_fingers([1.0, 2.0, 4.0, 9.0]).tried) == [0, 1, 2]


def test_results_show_themselves():
    f = fix_fingers(noise(3))
    assert f"num_fingers={f.num_fingers}" in repr(f)
    assert "clip_xmax" in f._repr_html_()
    assert "alpha" in f.raw._repr_html_()


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"rule": "clip"}, "rule='clip'; allowed are None, 'clip_xmax', 'xmin_peak', 'clip_xmax_ww', 'outliers'"),
        ({"max_fingers": -1}, "max_fingers=-1"),
        ({"finger_thresh": -0.5}, "finger_thresh=-0.5"),
    ],
)
def test_bad_input_is_named(kwargs, says):
    with pytest.raises(ValueError, match=says):
        fix_fingers([1.0, 2.0, 3.0], **kwargs)
