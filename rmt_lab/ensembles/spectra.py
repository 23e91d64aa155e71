"""Spectra of Gaussian matrices, drawn without the matrices.

Householder reflections turn a Gaussian matrix into a bidiagonal one whose entries are independent chi variables
(Dumitriu & Edelman, J. Math. Phys. 43, 2002, "Matrix models for beta ensembles"): O(M) random numbers and an O(M^2)
solver instead of N M numbers and O(N M^2) work. Exact in law at every size, not only in the limit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from .._arrays import Array, Rng, check_shape
from ..spectrum import Spectrum
from .matrices import Null, student_t


def gaussian_spectrum(N: int, M: int, sigma: float = 1.0, rng: Rng = None) -> Spectrum:
    """The spectrum of an N x M matrix of independent N(0, sigma^2) entries, without the matrix.

    The singular values are those of sigma B, B bidiagonal with chi_N, chi_{N-1}, ..., chi_{N-M+1} on the diagonal and
    chi_{M-1}, ..., chi_1 beside it, all independent (N >= M; the sides are exchanged if need be).

    The squares come from the tridiagonal B^T B, and from the tridiagonal matrix of twice the size that has the singular
    values themselves (Golub & Kahan 1965) when Q < 1.1. Measured on one 768 x 768 and one 2000 x 2000 sample, the
    smallest singular value is right to 6e-12 and 2e-10 by the first route, to 2e-13 and 2e-12 by the second, which is
    four times slower; for Q >= 2 both reach 1e-14. A 3072 x 768 spectrum took 7 ms, 4000 x 2000 took 42 ms.

    Parameters
    ----------
    N, M : int
        Sides of the matrix.
    sigma : float, default 1
        Standard deviation of the entries.
    rng : Generator, int or None

    Raises
    ------
    ValueError
        If a side is not a positive integer or sigma is not positive.

    Examples
    --------
    >>> gaussian_spectrum(4000, 2000, rng=0)
    Spectrum(N=4000, M=2000, Q=2, rank=2000, lambda_max=2.906)
    """
    check_shape(N=N, M=M, sigma=sigma)
    N, M = max(N, M), min(N, M)
    d, e = _bidiagonal(N, M, 1.0, np.random.default_rng(rng))
    return Spectrum(sigma * bidiagonal_singular_values(d, e, accurate=N < 1.1 * M), N, M)


def laguerre_spectrum(N: int, M: int, beta: float, sigma: float = 1.0, rng: Rng = None) -> Spectrum:
    """The spectrum of the beta-Laguerre (beta-Wishart) ensemble: noise whose levels repel each other as beta says.

    The eigenvalues x_i of X = W^T W / N have the joint density

        const prod_(i<j) |x_i - x_j|^beta prod_i x_i^(a - p) exp(-beta N x_i / (2 sigma^2)),
        a = beta N / 2,  p = 1 + beta (M - 1) / 2,

    which is that of a real (beta = 1), complex (2) or quaternion (4) Gaussian W with E|W_ij|^2 = sigma^2. For any other
    beta > 0 there is no such W; there is the bidiagonal matrix sigma B / sqrt(beta), B with chi_{beta N}, ...,
    chi_{beta (N-M+1)} on the diagonal and chi_{beta (M-1)}, ..., chi_beta beside it, all independent.

    Law: ``MarchenkoPastur(N / M, sigma)`` as N and M grow at a fixed beta, ``HighTemperatureMarchenkoPastur(N / M,
    beta M / 2, sigma)`` as they grow at a fixed beta M. Spacings: ``laws.spacings.SpacingLaw(beta)``. As beta -> 0 the
    repulsion fades; levels that are wholly independent, beta = 0, have no scale in these units: draw them from a law.

    The singular values come from the tridiagonal matrix of twice the size and are right to rounding in units of the
    largest; those below 1e-16 of it, which occur where beta (N - M + 1) is below 1, have no correct digit.

    Parameters
    ----------
    N, M : int
        Sides; exchanged if N < M.
    beta : float
        Repulsion, > 0.
    sigma : float, default 1
    rng : Generator, int or None

    Raises
    ------
    ValueError
        If a side is not a positive integer, or beta or sigma is not positive and finite.

    References
    ----------
    Dumitriu & Edelman (2002), J. Math. Phys. 43, 5830, section 3.

    Examples
    --------
    >>> hot, cold = laguerre_spectrum(400, 200, beta=0.02, rng=0), laguerre_spectrum(400, 200, beta=4, rng=0)
    >>> hot.eigenvalues.mean().round(2), cold.eigenvalues.mean().round(2)
    (np.float64(0.98), np.float64(1.0))
    >>> hot.eigenvalues.max().round(1), cold.eigenvalues.max().round(1)
    (np.float64(3.6), np.float64(2.8))
    """
    check_shape(N=N, M=M, beta=beta, sigma=sigma)
    N, M = max(N, M), min(N, M)
    d, e = _bidiagonal(N, M, float(beta), np.random.default_rng(rng))
    return Spectrum(sigma / math.sqrt(beta) * bidiagonal_singular_values(d, e, accurate=True), N, M)


def _bidiagonal(N: int, M: int, beta: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Diagonal and superdiagonal of the beta-Laguerre ensemble, N >= M."""
    d = np.sqrt(rng.chisquare(beta * np.arange(N, N - M, -1)))
    e = np.sqrt(rng.chisquare(beta * np.arange(M - 1, 0, -1)))
    return d, e


def bidiagonal_singular_values(d: Array, e: Array, accurate: bool) -> Array:
    """Singular values, ascending, of the upper bidiagonal matrix with diagonal d and superdiagonal e."""
    M = len(d)
    if accurate:  # [[0, B], [B^T, 0]], rows and columns interleaved, has the eigenvalues +-s
        beside = np.zeros(2 * M - 1)
        beside[::2], beside[1::2] = d, e
        values = eigvalsh_tridiagonal(np.zeros(2 * M), beside, lapack_driver="sterf")[M:]
        return np.asarray(np.abs(values))
    diagonal = d**2
    diagonal[1:] += e**2
    squares = eigvalsh_tridiagonal(diagonal, d[:-1] * e, lapack_driver="sterf")
    return np.sqrt(np.clip(squares, 0, None))


def gaussian_ensemble_eigenvalues(n: int, beta: float = 1, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Eigenvalues, ascending, of an n x n matrix of the GOE (beta = 1), the GUE (beta = 2) or between and beyond.

    Those of the tridiagonal matrix sigma T / sqrt(beta) with N(0, 2) on the diagonal of T and chi_{beta (n-1)}, ...,
    chi_beta beside it, all independent (Dumitriu & Edelman 2002). Off the diagonal the full matrix has E|H_ij|^2 =
    sigma^2, so that the eigenvalues over sqrt(n) follow the semicircle of radius 2 sigma.

    Parameters
    ----------
    n : int
        Number of eigenvalues.
    beta : float, default 1
        Exponent of level repulsion, > 0; 4 is the symplectic ensemble (each eigenvalue once).
    sigma : float, default 1
    rng : Generator, int or None

    Raises
    ------
    ValueError
        If n is not a positive integer, or sigma or beta is not positive and finite.

    Examples
    --------
    >>> gaussian_ensemble_eigenvalues(1000, rng=0)[[0, -1]] / 1000**0.5
    array([-1.99216983,  1.99667031])
    """
    check_shape(N=n, sigma=sigma, beta=beta)
    rng = np.random.default_rng(rng)
    diagonal = rng.normal(0.0, np.sqrt(2.0), n)
    beside = np.sqrt(rng.chisquare(beta * np.arange(n - 1, 0, -1)))
    return np.asarray(sigma / np.sqrt(beta) * eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf"))


def largest_eigenvalues(N: int, M: int, draws: int, rng: Rng = None) -> Array:
    """Largest eigenvalues of X = W^T W / N for matrices of N x M independent N(0, 1) entries, N >= M.

    The same random numbers, and to rounding the same values, as from ``gaussian_spectrum(N, M, rng=rng)`` called
    ``draws`` times with one generator. The eigenvector of the largest eigenvalue of the tridiagonal B^T B fades within
    some M^(1/3) entries from its corner (Edelman & Persson 2005, "Numerical methods for eigenvalue distributions of
    random matrices"), so the first 10 M^(1/3) rows are enough: 400 matrices of 768 x 768 took 36 ms.

    Examples
    --------
    >>> largest_eigenvalues(200, 100, draws=3, rng=0).round(3)
    array([2.898, 2.785, 2.831])
    """
    rng, k = np.random.default_rng(rng), min(M, int(10 * M ** (1 / 3)))
    largest = np.empty(draws)
    for i in range(draws):
        d, e = rng.chisquare(np.arange(N, N - M, -1)), rng.chisquare(np.arange(M - 1, 0, -1))
        diagonal, beside = d[:k], np.sqrt(d[: k - 1] * e[: k - 1])
        diagonal[1:] += e[: k - 1]
        (largest[i],) = eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(k - 1, k - 1))
    return largest / N


#: The nulls in words, and in the words of the title what the values stand above.
NULL_TITLES = {
    "shuffled entries": "its shuffled entries",
    "random signs": "its entries with random signs",
    "shuffled within scales": "its entries shuffled within scales",
    "Gaussian": "Gaussian noise",
    "initialisation": "its initialisation",
    "heavy-tailed, μ = 4": "heavy-tailed noise, μ = 4",
    "heavy-tailed, μ = 3": "heavy-tailed noise, μ = 3",
    "heavy-tailed, μ = 2": "heavy-tailed noise, μ = 2",
}
#: Those of them that are made of the layer itself, as ``Layer.null`` calls them.
OF_LAYER: dict[str, Null] = {
    "shuffled entries": "entries",
    "random signs": "signs",
    "shuffled within scales": "scaled",
}
MU = {null: float(null[-1]) if "μ" in null else math.inf for null in NULL_TITLES}
MOST_ENTRIES = 4e6  # of a heavy-tailed matrix, which is made in full: seconds and hundreds of MB beyond


def matched_noise(spectrum: Spectrum, mu: float = math.inf, rng: Rng = None) -> Spectrum:
    """The spectrum of noise with the shape and the Frobenius norm of a layer: Gaussian, or Student t of tail index mu.

    Raises
    ------
    ValueError
        If mu is below 0.2.

    Examples
    --------
    >>> from rmt_lab import atlas
    >>> layer = atlas.load("minilm")["block 3 query"].spectrum
    >>> noise = matched_noise(layer, mu=3, rng=0)
    >>> noise.N, noise.M, bool(np.isclose(noise.norm, layer.norm))
    (384, 384, True)
    """
    return scaled_to(_noise(spectrum.N, spectrum.M, spectrum.rf, mu, np.random.default_rng(rng)), spectrum)


def _noise(N: int, M: int, rf: int, mu: float, rng: np.random.Generator) -> Array:
    """Singular values of rf pooled slices of noise."""
    if mu == math.inf:
        slices = [gaussian_spectrum(N, M, rng=rng) for _ in range(rf)]
    else:
        slices = [Spectrum.from_matrix(student_t(N, M, mu, rng=rng)) for _ in range(rf)]
    return np.concatenate([s.singular_values for s in slices])


@lru_cache(maxsize=16)
def noise_of_seed(N: int, M: int, rf: int, mu: float, seed: int) -> Array:
    """Drawn once for all layers of a shape."""
    return _noise(N, M, rf, mu, np.random.default_rng(seed))


def scaled_to(values: Array, spectrum: Spectrum) -> Spectrum:
    """Singular values brought to the Frobenius norm of a spectrum."""
    values = values * math.sqrt(spectrum.norm / float(values @ values))
    return Spectrum(values, spectrum.N, spectrum.M, spectrum.rf, spectrum.name)
