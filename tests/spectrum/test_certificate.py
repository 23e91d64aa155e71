"""A solver that is wrong is caught; one that is right never is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab import Spectrum
from rmt_lab.spectrum.certificate import Certificate

EIGVALSH = np.linalg.eigvalsh


def moved(x, by):
    x[len(x) // 2] += by * x[-1]
    return x


def swapped(x):
    x[10] -= 1e-3 * x[-1]
    x[-10] += 1e-3 * x[-1]
    return x


WRONG = {
    "one moved": lambda x: moved(x, 1e-6),
    "one moved down": lambda x: moved(x, -1e-6),
    "the largest lost": lambda x: np.r_[0.0, x[:-1]],
    "the largest lost, its sum kept": lambda x: x[:-1].sum() / x[:-2].sum() * np.r_[0.0, x[:-1]],
    "two swapped for others of the same sum": swapped,
    "all a little larger": lambda x: x * (1 + 1e-9),
    "not a number": lambda x: np.r_[np.nan, x[1:]],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("shape", [(300, 100), (200, 200)])
@pytest.mark.parametrize("scale", [1.0, 1e150, 1e-150])
def test_a_wrong_solver_is_caught(monkeypatch, wrong, shape, scale):
    W = scale * np.random.default_rng(0).standard_t(3, size=shape)
    Spectrum.from_matrix(W)
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda G: wrong(EIGVALSH(G)))
    with pytest.raises(np.linalg.LinAlgError, match=r"wrong eigenvalues: .*relative error"):
        Spectrum.from_matrix(W)


def test_lanczos_alone_catches_what_keeps_both_sums(monkeypatch):
    def turned(x, angle=1e-3):  # three eigenvalues, about the axis (1, 1, 1)
        mean = x[-3:].mean()
        d = x[-3:] - mean
        x[-3:] = mean + np.cos(angle) * d + np.sin(angle) * (np.roll(d, 1) - np.roll(d, -1)) / np.sqrt(3)
        return x

    monkeypatch.setattr(np.linalg, "eigvalsh", lambda G: turned(EIGVALSH(G)))
    with pytest.raises(np.linalg.LinAlgError, match=r"wrong eigenvalues: the largest eigenvalues are not those"):
        Spectrum.from_matrix(np.diag(np.r_[10.0, np.ones(99)]))


def test_a_wrong_gram_matrix_is_caught_by_the_entries(monkeypatch):
    W = np.random.default_rng(0).normal(size=(300, 100))
    W[:, 3] = 5.0
    zeros = np.zeros

    def spoilt(shape, *rest):
        G = zeros(shape, *rest)
        if shape == (100, 100):  # the Gram matrix, before the first block is added
            G[3, 7] = G[7, 3] = 1e-6 * 300
        return G

    monkeypatch.setattr(np, "zeros", spoilt)
    with pytest.raises(np.linalg.LinAlgError, match="the Gram matrix is not W") as error:
        Spectrum.from_matrix(W)
    assert "Frobenius" not in str(error.value)


def test_the_worst_slice_of_a_kernel_counts(monkeypatch):
    kernel = np.random.default_rng(0).normal(size=(30, 20, 3))
    good = Spectrum.from_matrix(kernel).certificate
    slices = [Spectrum.from_matrix(kernel[:, :, i]).certificate for i in range(3)]
    assert good.frobenius == max(c.frobenius for c in slices)
    assert good.gram == max(c.gram for c in slices)
    calls = []

    def third_wrong(G):
        calls.append(0)
        return moved(EIGVALSH(G), 1e-6 if len(calls) == 3 else 0)

    monkeypatch.setattr(np.linalg, "eigvalsh", third_wrong)
    with pytest.raises(np.linalg.LinAlgError, match="Frobenius"):
        Spectrum.from_matrix(kernel)


KINDS = {
    "noise": lambda g, N, M: g.normal(size=(N, M)),
    "heavy-tailed": lambda g, N, M: g.standard_cauchy((N, M)) ** 3,
    "of low rank": lambda g, N, M: g.normal(size=(N, 1)) @ g.normal(size=(1, M)),
    "nearly of low rank": lambda g, N, M: np.ones((N, M)) + 1e-9 * g.normal(size=(N, M)),
    "badly scaled": lambda g, N, M: g.normal(size=(N, M)) * 10.0 ** g.uniform(-12, 12, M),
    "all equal": lambda g, N, M: np.full((N, M), g.normal()),
    "sparse": lambda g, N, M: g.normal(size=(N, M)) * (g.random((N, M)) < 0.1),
    "whole numbers": lambda g, N, M: g.integers(-3, 4, (N, M)),
    "float16": lambda g, N, M: g.normal(size=(N, M)).astype(np.float16),
    "float32": lambda g, N, M: g.normal(size=(N, M)).astype(np.float32),
    "a kernel": lambda g, N, M: g.normal(size=(N, M, 2, 2)),
}


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    N=st.integers(1, 60),
    M=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1.0, 1e-150, 1e150, 1e-300, 1e60]),
    method=st.sampled_from(["gram", "svd", "gram32"]),
)
def test_a_right_solver_is_never_refused(kind, N, M, seed, scale, method):
    W = KINDS[kind](np.random.default_rng(seed), N, M)
    W = W if W.dtype != np.float64 or scale == 1 else scale * (W / np.abs(W).max(initial=1e-300))
    c = Spectrum.from_matrix(W, method).certificate
    assert c.frobenius <= 0.5 * c.product_bound
    assert max(c.gram, c.largest) <= 0.5 * c.solver_bound


def test_a_scale_does_not_change_the_certificate():
    W = np.random.default_rng(0).normal(size=(60, 40))
    plain = Spectrum.from_matrix(W).certificate
    for power in (-900, -500, 500, 900):
        assert Spectrum.from_matrix(np.ldexp(W, power)).certificate.gram == pytest.approx(plain.gram, abs=1e-15)


def test_a_certificate_shows_itself_and_zero_is_right():
    c = Spectrum.from_matrix(np.zeros((4, 3))).certificate
    assert (c.frobenius, c.product, c.gram, c.largest) == (0, 0, 0, 0)
    assert repr(Certificate(1e-16, None, None, 0.0, 1.0, 1.0)) == (
        "Certificate(frobenius=1.0e-16, largest=0.0e+00, product_bound=1.0e+00, solver_bound=1.0e+00)"
    )
    assert Spectrum([1.0], 1, 1).certificate is None


def test_float32_products_cost_what_is_stated():
    W = np.random.default_rng(0).standard_t(3, size=(600, 300)).astype(np.float32)
    exact, single = (Spectrum.from_matrix(W, m) for m in ("gram", "gram32"))
    np.testing.assert_allclose(single.eigenvalues, exact.eigenvalues, atol=1e-6 * exact.eigenvalues[-1])
    assert np.abs(single.eigenvalues - exact.eigenvalues).max() > 1e-12 * exact.eigenvalues[-1]  # it is float32
    huge = Spectrum.from_matrix(W.astype(np.float64) * 1e100, "gram32")
    np.testing.assert_allclose(huge.singular_values, 1e100 * single.singular_values, rtol=1e-4)


def test_the_rounding_of_float32_products_is_no_rank():
    """A product of rank 20 had rank 100 and more, and a power law of rounding errors."""
    rng = np.random.default_rng(0)
    W = (rng.normal(size=(300, 20)) @ rng.normal(size=(20, 200))).astype(np.float64)
    assert Spectrum.from_matrix(W, "gram32").rank == Spectrum.from_matrix(W).rank == 20
    assert Spectrum.from_matrix(np.outer(W[:, 0], W[0]), "gram32").rank == 1
