"""The overlap of random subspaces against draws of such subspaces."""

import numpy as np
import pytest
from scipy import stats

from rmt_lab.laws import SubspaceOverlap, subspace_overlap

DRAWS = 3000


def drawn(n, k, rng, draws=DRAWS):
    """Overlaps of random subspaces with a fixed one, by the QR factorisation of Gaussian matrices."""
    U = np.linalg.qr(rng.normal(size=(draws, n, k)))[0]
    return np.array([subspace_overlap(np.eye(n)[:, :k], u) for u in U])


@pytest.mark.parametrize(("n", "k"), [(12, 1), (12, 3), (30, 10), (12, 9), (12, 11)])
def test_random_subspaces_follow_the_law(n, k):
    law, x = SubspaceOverlap(n, k), drawn(n, k, np.random.default_rng(n + k))
    assert x.mean() == pytest.approx(law.mean(), abs=4.5 * np.sqrt(law.var() / DRAWS))
    assert x.var() == pytest.approx(law.var(), rel=4.5 * np.sqrt(stats.kurtosis(x, fisher=False) / DRAWS))
    assert law.support()[0] - 1e-12 <= x.min()
    assert x.max() <= 1 + 1e-12
    assert stats.kstest(x, law.cdf).statistic < 2 / np.sqrt(DRAWS)
    assert stats.kstest(law.rvs(DRAWS, rng=0), x).pvalue > 1e-4
    for p in (0.1, 0.02):
        assert np.mean(x > law.ppf(1 - p)) == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / DRAWS))


@pytest.mark.parametrize("n", [2, 5, 400])
def test_one_dimension_is_exact(n):
    law, exact = SubspaceOverlap(n, 1), stats.beta(0.5, (n - 1) / 2)
    x = np.linspace(0.01, 0.99, 7)
    for method in ("pdf", "cdf", "sf"):
        np.testing.assert_allclose(getattr(law, method)(x), getattr(exact, method)(x), rtol=1e-9)
    np.testing.assert_allclose(law.ppf(x), exact.ppf(x), rtol=1e-9)


def test_the_leading_vectors_of_two_random_matrices_have_nothing_in_common():
    rng = np.random.default_rng(0)
    law = SubspaceOverlap(40, 6)
    pairs = [[np.linalg.svd(rng.normal(size=(40, 30)))[0][:, :6] for _ in range(2)] for _ in range(300)]
    p = [law.sf(subspace_overlap(U, V)) for U, V in pairs]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("n", "k"), [(3, 0), (3, 3), (3, 1.5), (1, 1)])
def test_other_dimensions_are_refused(n, k):
    with pytest.raises(ValueError, match=f"n={n}, k={k}"):
        SubspaceOverlap(n, k)


def test_only_two_bases_of_one_size_have_an_overlap():
    with pytest.raises(ValueError, match="both need to be n x k"):
        subspace_overlap(np.eye(3), np.eye(3)[:, :2])
