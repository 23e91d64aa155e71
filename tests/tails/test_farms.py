"""Exponents through windows of one shape."""

import numpy as np
import pytest

from rmt_lab.tails import hill, windowed_alpha

rng = np.random.default_rng(0)
W = rng.normal(size=(90, 60))


def test_the_pool_holds_the_eigenvalues_of_every_window():
    found = windowed_alpha(W, (40, 30), steps=(3, 2))
    places = [(i, j) for i in (0, 25, 50) for j in (0, 30)]
    windows = [W[i : i + 40, j : j + 30] for i, j in places]
    expected = np.sort(np.concatenate([np.linalg.svd(A, compute_uv=False) ** 2 / 40 for A in windows]))
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-8)
    assert found.windows == 6
    assert found.alpha == pytest.approx(hill(expected))


def test_one_window_that_is_the_whole_matrix():
    whole = windowed_alpha(W, (90, 60))
    assert whole.windows == 1
    assert whole.alpha == pytest.approx(hill(np.linalg.svd(W, compute_uv=False) ** 2))


def test_the_orientation_and_the_unit_do_not_matter():
    for other in (W.T, 1e6 * W, 1e-6 * W):
        assert windowed_alpha(other, (30, 20)).alpha == pytest.approx(windowed_alpha(W, (30, 20)).alpha)


def test_noise_of_all_shapes_looks_the_same_through_one_window():
    alphas = [windowed_alpha(rng.normal(size=(N, 300)), (200, 100)).alpha for N in (300, 600, 1200, 2400)]
    assert np.ptp(alphas) < 0.1
    whole = [hill(np.linalg.svd(rng.normal(size=(N, 300)), compute_uv=False) ** 2) for N in (300, 2400)]
    assert whole[1] - whole[0] > 1


@pytest.mark.parametrize(
    ("window", "steps", "says"),
    [
        ((91, 10), (5, 5), r"window=\(91, 10\) does not fit into a matrix of 90 x 60"),
        ((70, 61), (5, 5), "does not fit"),
        ((10, 20), (5, 5), "rows >= columns"),
        ((10, 0), (5, 5), "rows >= columns"),
        ((10, 10), (0, 5), "at least one step"),
    ],
)
def test_a_window_that_does_not_fit_is_an_error(window, steps, says):
    with pytest.raises(ValueError, match=says):
        windowed_alpha(W, window, steps)


def test_kernels_are_no_matrices():
    with pytest.raises(ValueError, match=r"shape \(4, 4, 3, 3\)"):
        windowed_alpha(np.ones((4, 4, 3, 3)), (2, 2))


def test_it_shows_itself():
    found = windowed_alpha(W, (30, 20))
    assert repr(found).startswith("WindowedAlpha(alpha=")
    assert "30 x 20" in found._repr_html_()
