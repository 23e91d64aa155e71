"""Spectrum against LAPACK, torch and definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rmt_lab.spectrum import Spectrum, kernel_matrices

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(40, 40), (7, 90), (90, 7), (1, 5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gram_and_svd_give_the_singular_values_of_lapack(shape, dtype):
    W = rng.normal(size=shape).astype(dtype)
    expected = np.sort(np.linalg.svd(W.astype(np.float64), compute_uv=False))
    for method in ("gram", "svd"):
        s = Spectrum.from_matrix(W, method=method)
        assert (s.N, s.M) == (max(shape), min(shape))
        np.testing.assert_allclose(s.singular_values, expected, atol=1e-6 * expected[-1])
        np.testing.assert_allclose(s.singular_values[-1], expected[-1], rtol=1e-13)


def test_blocks_do_not_change_the_gram_matrix(monkeypatch):
    W = rng.normal(size=(500, 20))
    whole = Spectrum.from_matrix(W).singular_values
    monkeypatch.setattr("rmt_lab.spectrum.blocks._CHUNK", 20 * 7)
    np.testing.assert_allclose(Spectrum.from_matrix(W).singular_values, whole, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    W=arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.floats(-1e3, 1e3)),
    scale=st.sampled_from([1e-250, 1e-30, 1e-3, 7.0, 1e40, 1e250]),
)
def test_scaling_a_matrix_scales_its_values_and_nothing_else(W, scale):
    W[np.abs(W) < 1e-3] = 0
    a, b = Spectrum.from_matrix(W), Spectrum.from_matrix(W * scale)
    top = a.singular_values[-1]
    np.testing.assert_allclose(b.singular_values / scale, a.singular_values, atol=3e-7 * top)
    if 1e-100 < scale < 1e100:
        assert np.isnan([a.stable_rank, b.stable_rank]).all() or np.isclose(a.stable_rank, b.stable_rank)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(3, 30), m=st.integers(3, 30), rank=st.integers(0, 3), seed=st.integers(0, 99))
def test_rank_of_a_product(n, m, rank, seed):
    g = np.random.default_rng(seed)
    s = Spectrum.from_matrix(g.normal(size=(n, rank)) @ g.normal(size=(rank, m)))
    assert s.rank == rank
    assert len(s.nonzero_eigenvalues) == rank


def test_norms_and_ranks_are_those_of_the_matrix():
    W = rng.normal(size=(30, 50))
    s = Spectrum.from_matrix(W)
    assert s.Q == pytest.approx(5 / 3)
    assert s.norm == pytest.approx(np.linalg.norm(W) ** 2)
    assert s.spectral_norm == pytest.approx(np.linalg.norm(W, 2) ** 2)
    assert s.stable_rank == pytest.approx(s.norm / s.spectral_norm)
    assert s.entry_std == pytest.approx(np.sqrt(np.mean(W**2)))
    np.testing.assert_allclose(s.eigenvalues, np.linalg.eigvalsh(W @ W.T / 50), rtol=1e-9)


def test_entropy_is_one_for_equal_values_and_falls_with_concentration():
    assert Spectrum(np.ones(20), 30, 20).entropy == pytest.approx(1)
    assert Spectrum(np.r_[np.full(19, 1e-3), 1.0], 30, 20).entropy < 0.01
    assert Spectrum.from_matrix(np.ones((5, 4))).entropy == 0
    assert np.isnan(Spectrum.from_matrix(np.zeros((5, 4))).entropy)


def test_kernel_slices_are_pooled():
    kernel = rng.normal(size=(6, 4, 3, 2))
    s = Spectrum.from_matrix(kernel)
    slices = list(kernel_matrices(kernel))
    assert (s.N, s.M, s.rf, len(s.singular_values)) == (6, 4, 6, 24)
    np.testing.assert_array_equal(slices[3], kernel[:, :, 1, 1])
    expected = np.sort(np.concatenate([np.linalg.svd(A, compute_uv=False) for A in slices]))
    np.testing.assert_allclose(s.singular_values, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_torch_tensors_of_every_float_type(dtype):
    torch = pytest.importorskip("torch")
    W = torch.randn(20, 30, generator=torch.Generator().manual_seed(0), requires_grad=True).to(getattr(torch, dtype))
    expected = torch.linalg.svdvals(W.detach().double()).numpy()[::-1]
    np.testing.assert_allclose(Spectrum.from_matrix(W).singular_values, expected, rtol=1e-9)


def test_a_spectrum_cannot_be_changed_and_shows_itself():
    s = Spectrum([2.0, 1.0], 3, 2, name="a layer")
    assert s.singular_values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        s.singular_values[0] = 5
    assert "a layer" in repr(s)
    assert "a layer" in s._repr_html_()


@pytest.mark.parametrize(
    ("W", "error", "says"),
    [
        ([[1.0, np.nan]], ValueError, "W holds 1 NaN or infinite entries of 2"),
        ([[1.0, np.inf], [0, -np.inf]], ValueError, "W holds 2 NaN"),
        (np.zeros((0, 3)), ValueError, r"shape \(0, 3\)"),
        (np.zeros(3), ValueError, r"shape \(3,\)"),
        (np.zeros((1,) * 6), ValueError, "3 to 5 dimensions"),
        (np.zeros((2, 2), complex), TypeError, "complex128; real numbers are allowed"),
        ([["a"]], TypeError, "real numbers are allowed"),
    ],
)
def test_what_is_not_a_weight_matrix(W, error, says):
    with pytest.raises(error, match=says):
        Spectrum.from_matrix(W)


@pytest.mark.parametrize(
    ("values", "N", "M", "says"),
    [
        ([1.0, 2.0], 1, 2, "N >= M"),
        ([1.0], 3, 2, "has shape"),
        ([-1.0, 1.0], 3, 2, ">= 0"),
        ([1, np.nan], 3, 2, "finite"),
    ],
)
def test_what_is_not_a_spectrum(values, N, M, says):
    with pytest.raises(ValueError, match=says):
        Spectrum(values, N, M)


def test_unknown_method():
    with pytest.raises(ValueError, match="method='qr'; allowed are 'gram', 'svd', 'gram32', 'top'"):
        Spectrum.from_matrix(np.eye(3), method="qr")


def test_norms_and_their_squares():
    W = np.random.default_rng(0).normal(size=(9, 5))
    s = Spectrum.from_matrix(W)
    assert s.frobenius_norm == pytest.approx(np.linalg.norm(W))
    assert s.operator_norm == pytest.approx(np.linalg.norm(W, 2))
    assert (s.norm, s.spectral_norm) == (pytest.approx(s.frobenius_norm**2), pytest.approx(s.operator_norm**2))
