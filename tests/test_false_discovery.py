"""False discovery rates: the definition, scipy, and what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from rmt_lab.verdict import false_discovery_rate


@settings(max_examples=60, deadline=None)
@given(p=st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=40))
def test_it_is_the_definition_and_nan_does_not_count(p):
    p = np.array(p, dtype=float)
    q = false_discovery_rate(p)
    known = np.sort(p[~np.isnan(p)])
    m, c = len(known), sum(1 / j for j in range(1, len(known) + 1))
    for p_i, q_i in zip(p, q, strict=True):
        if np.isnan(p_i):
            assert np.isnan(q_i)
        else:
            plain = min(known[j] * m * c / (j + 1) for j in range(m) if known[j] >= p_i)
            assert q_i == pytest.approx(min(plain, 1), rel=1e-9)


def test_it_is_scipys_and_keeps_the_shape():
    p = np.random.default_rng(0).random((4, 5)) ** 3
    q = false_discovery_rate(p)
    assert q.shape == (4, 5)
    np.testing.assert_allclose(q.ravel(), false_discovery_control(p.ravel(), method="by"))
    assert false_discovery_rate([]).shape == (0,)
    assert false_discovery_rate(0.03) == pytest.approx(0.03)
    assert np.isnan(false_discovery_rate([np.nan, np.nan])).all()


@pytest.mark.parametrize("dependence", [0.0, 0.8])
def test_few_of_the_rejections_are_false(dependence):
    """20 of 100 layers are no power law; of those rejected at q <= 0.1 at most a tenth is true, dependent or not."""
    from scipy.special import ndtr

    rng = np.random.default_rng(0)
    false, found = [], []
    for _ in range(400):
        z = dependence**0.5 * rng.normal() + (1 - dependence) ** 0.5 * rng.normal(size=100)
        z[:20] -= 4
        rejected = false_discovery_rate(ndtr(z)) <= 0.1
        false.append(rejected[20:].sum() / max(rejected.sum(), 1))
        found.append(rejected[:20].mean())
    assert np.mean(false) <= 0.1
    assert np.mean(found) > 0.5


@pytest.mark.parametrize("p", [[0.5, 1.2], [-0.1], [np.inf]])
def test_bad_input_is_named(p):
    with pytest.raises(ValueError, match="a p-value lies between 0 and 1"):
        false_discovery_rate(p)
