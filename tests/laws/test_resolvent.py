"""The Stieltjes transform of a sample against inverses, integrals and the limiting law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from rmt_lab.ensembles import gaussian, gaussian_spectrum
from rmt_lab.laws import MarchenkoPastur, stieltjes
from rmt_lab.laws import resolvent as module

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 12), real=st.floats(-3, 3), imag=st.floats(0.01, 10), seed=SEEDS)
def test_it_is_the_mean_diagonal_entry_of_the_resolvent(n, real, imag, seed):
    A = np.random.default_rng(seed).normal(size=(n, n))
    A, z = A + A.T, complex(real, imag)
    m = stieltjes(np.linalg.eigvalsh(A), z)
    assert m == pytest.approx(np.trace(np.linalg.inv(A - z * np.eye(n))) / n, rel=1e-7, abs=1e-9)
    assert 0 < m.imag <= 1 / imag * (1 + 1e-12)
    assert stieltjes(np.linalg.eigvalsh(A), z.conjugate()) == pytest.approx(m.conjugate())


def test_the_blurred_density_has_area_one_and_the_mean_of_the_eigenvalues():
    x, eta = np.array([0.3, 0.35, 2.0]), 0.05
    area = quad(lambda e: stieltjes(x, e + 1j * eta).imag / np.pi, -200, 200, points=[0.3, 0.35, 2.0], limit=800)[0]
    assert area == pytest.approx(1 - 2 * eta / (200 * np.pi), abs=1e-6)  # the Cauchy tails beyond
    between = quad(lambda e: stieltjes(x, e + 1j * eta).imag / np.pi, -1, 1, points=[0.3, 0.35], limit=400)[0]
    expected = np.mean(np.arctan((1 - x) / eta) - np.arctan((-1 - x) / eta)) / np.pi
    assert between == pytest.approx(expected, abs=1e-9)
    z = 1e4j  # m = -1/z - mean / z^2 - ...
    assert z**2 * (stieltjes(x, z) + 1 / z) == pytest.approx(-x.mean(), abs=1e-3)


def test_a_spectrum_gives_its_eigenvalues_and_z_its_shape():
    spectrum = gaussian_spectrum(30, 20, rng=0)
    z = np.array([[0.5 + 0.1j, 1.0 + 1j], [7.0, -1.0]])
    m = stieltjes(spectrum, z)
    assert m.shape == z.shape
    np.testing.assert_array_equal(m, stieltjes(spectrum.eigenvalues, z))
    assert isinstance(stieltjes(spectrum, 1j), complex)
    assert stieltjes(spectrum, np.array([])).shape == (0,)


def test_long_lists_of_points_are_taken_in_blocks(monkeypatch):
    x, z = np.arange(10.0), np.linspace(0, 9, 57) + 0.1j
    whole = stieltjes(x, z)
    monkeypatch.setattr(module, "_BLOCK", 40)
    np.testing.assert_array_equal(stieltjes(x, z), whole)


@pytest.mark.parametrize("Q", [1.0, 2.0, 5.0])
def test_a_large_matrix_has_the_root_of_the_equation(Q):
    law, eta = MarchenkoPastur(Q), 0.05
    z = np.linspace(law.lower_edge - 0.2, law.upper_edge + 0.2, 50) + 1j * eta
    apart = [
        np.abs(stieltjes(gaussian_spectrum(round(Q * M), M, rng=1), z) - law.stieltjes(z)).max() for M in (50, 2000)
    ]
    assert apart[1] < 3 / (2000 * eta)
    assert apart[1] < apart[0] / 10


@settings(max_examples=30, deadline=None)
@given(N=st.integers(2, 40), M=st.integers(1, 20), log_eta=st.floats(-3, 1), scale=st.floats(0.1, 100), seed=SEEDS)
def test_one_row_changes_the_trace_by_at_most_one_over_eta(N, M, log_eta, scale, seed):
    W, eta = gaussian(N, M, rng=seed), 10**log_eta
    W[0] *= scale
    x, without = (np.linalg.eigvalsh(A.T @ A / N) for A in (W, W[1:]))
    z = np.linspace(-1, x[-1] + 1, 200) + 1j * eta
    change = np.abs(M * (stieltjes(x, z) - stieltjes(without, z)))
    assert change.max() <= 1 / eta * (1 + 1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stieltjes([], 1j), "x has shape"),
        (lambda: stieltjes([[1.0]], 1j), "x has shape"),
        (lambda: stieltjes([1.0, np.nan], 1j), "finite eigenvalues"),
        (lambda: stieltjes([1.0, 2.0], [1j, 2.0]), "imaginary part"),
        (lambda: stieltjes([1.0], complex(np.inf, 1)), "z="),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
