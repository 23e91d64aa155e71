"""Random matrices: the nulls that a weight matrix is compared with.

Every function draws an N x M matrix, in whichever orientation it is asked for, whose entries have variance sigma^2
where the variance exists. For N >= M the eigenvalues of X = W^T W / N then follow ``MarchenkoPastur(N / M, sigma)`` in
the limit of large matrices, unless the docstring names another law. ``rng`` is a numpy Generator, a seed or None.
All raise ``ValueError`` if a side is not a positive integer or sigma is not positive and finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dlaswp, slaswp

from .._arrays import Array, Rng, as_real, check_shape

Null = Literal["entries", "signs", "scaled"]
#: What a given matrix can be randomised by: :func:`shuffled`, :func:`signs`, :func:`scaled`.
NULLS: tuple[Null, ...] = get_args(Null)

_TOLERANCE = 1e-6  # of the standardised rows' mean squares, where scales() stops
_MOST_ROUNDS = 1000
_CHUNK = 2**15  # random numbers that are drawn at a time
_MOST_ENTRIES = 2**31 - 1  # that LAPACK counts


def gaussian(N: int, M: int, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries from the normal law N(0, sigma^2), of shape (N, M).

    Law: Marchenko-Pastur (Marchenko & Pastur 1967). :func:`rmt_lab.ensembles.gaussian_spectrum` draws the
    spectrum without the matrix.

    Examples
    --------
    >>> gaussian(3, 2, rng=0).round(2)
    array([[ 0.13, -0.13],
           [ 0.64,  0.1 ],
           [-0.54,  0.36]])
    """
    check_shape(N=N, M=M, sigma=sigma)
    return np.random.default_rng(rng).normal(0.0, sigma, (N, M))


def uniform(N: int, M: int, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries, uniform on -sqrt(3) sigma .. sqrt(3) sigma, of shape (N, M).

    Law: Marchenko-Pastur; only the variance of the entries matters (Bai & Silverstein 2010, theorem 3.6).

    Examples
    --------
    >>> bool(abs(uniform(50, 40, sigma=2.0, rng=0)).max() < 2 * 3**0.5)
    True
    """
    check_shape(N=N, M=M, sigma=sigma)
    width = np.sqrt(3.0) * sigma
    return np.random.default_rng(rng).uniform(-width, width, (N, M))


def rademacher(N: int, M: int, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries, sigma or -sigma with equal probability, of shape (N, M).

    Law: Marchenko-Pastur (Bai & Silverstein 2010, theorem 3.6).

    Examples
    --------
    >>> rademacher(2, 3, sigma=0.5, rng=0)
    array([[ 0.5,  0.5,  0.5],
           [-0.5, -0.5, -0.5]])
    """
    check_shape(N=N, M=M, sigma=sigma)
    return np.random.default_rng(rng).choice([-sigma, sigma], (N, M))


def student_t(N: int, M: int, mu: float, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries from Student's t law with mu degrees of freedom, of shape (N, M): P(|w| > t) ~ t^-mu.

    They are scaled to variance sigma^2 for mu > 2; for mu <= 2 there is no variance, and they are sigma times t.

    Law as N, M -> infinity. mu > 4: Marchenko-Pastur, and the largest eigenvalue stays at its edge. 2 < mu <= 4:
    Marchenko-Pastur for the bulk, but the largest eigenvalues are those of the largest squared entries (Auffinger, Ben
    Arous & Peche 2009). mu < 2: a law of unbounded support whose density falls as x^-(1 + mu/2) (Belinschi, Dembo &
    Guionnet 2009). At the sizes of a layer convergence is slow: the tail fits steeper than that from mu = 1.5 on.

    Raises
    ------
    ValueError
        If mu is below 0.2, where squares of float64 entries come close to overflow, or not finite.

    Examples
    --------
    >>> abs(student_t(1000, 1000, mu=1.0, rng=0)).max() > 1e4  # Cauchy: a million draws reach about a million
    np.True_
    """
    check_shape(N=N, M=M, sigma=sigma)
    return sigma * _unit_scale(mu) * np.random.default_rng(rng).standard_t(mu, (N, M))


def pareto(N: int, M: int, mu: float, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries from the symmetric Pareto law, of shape (N, M): P(|w| > t) = t^-mu for t >= 1.

    Scaling, law and what is raised: as :func:`student_t`, which has the same tails. The entries of the heavy-tailed
    models of Martin & Mahoney (JMLR 22, 2021).

    Examples
    --------
    >>> abs(pareto(100, 100, mu=1.5, rng=0)).min().round(3)
    np.float64(1.0)
    """
    check_shape(N=N, M=M, sigma=sigma)
    scale, rng = sigma * _unit_scale(mu), np.random.default_rng(rng)
    return scale * (1 - rng.random((N, M))) ** (-1 / mu) * rng.choice([-1.0, 1.0], (N, M))  # 1 - u lies in (0, 1]


def sparse(N: int, M: int, density: float, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Independent entries, 0 with probability 1 - density, else N(0, sigma^2 / density); a dense array (N, M).

    Law: Marchenko-Pastur as long as density * M grows without bound (Lindeberg's condition, Bai & Silverstein 2010,
    theorem 3.10); with a fixed number of entries per row it is another, with atoms and a longer tail.
    Raises ``ValueError`` if density is not in 0 < density <= 1.

    Examples
    --------
    >>> (sparse(100, 100, density=0.1, rng=0) == 0).mean()
    np.float64(0.8967)
    """
    check_shape(N=N, M=M, sigma=sigma)
    if not 0 < density <= 1:
        raise ValueError(f"density={density}; the fraction of entries that are not zero lies in 0 < density <= 1")
    rng = np.random.default_rng(rng)
    return np.where(rng.random((N, M)) < density, rng.normal(0.0, sigma / np.sqrt(density), (N, M)), 0.0)


def orthogonal(N: int, M: int, rng: Rng = None) -> Array:
    """Orthonormal columns (rows, if N < M), uniform among all such matrices (Haar), of shape (N, M).

    Law: every singular value is 1; entries have variance 1 / max(N, M). Source: Mezzadri (2007), Notices AMS 54, 592.
    Also the orthogonal initialisation of deep networks (Saxe, McClelland & Ganguli 2014), with gain 1.

    Examples
    --------
    >>> W = orthogonal(5, 2, rng=0)
    >>> (W.T @ W).round(12) + 0
    array([[1., 0.],
           [0., 1.]])
    """
    check_shape(N=N, M=M)
    Q, R = np.linalg.qr(gaussian(max(N, M), min(N, M), rng=rng))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)  # with R's diagonal positive, the factorisation is unique and Q is Haar
    return Q if N >= M else Q.T


def goe(n: int, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Gaussian orthogonal ensemble: symmetric n x n, variance sigma^2 off the diagonal and 2 sigma^2 on it.

    Law: ``Semicircle(sigma)`` for the eigenvalues over sqrt(n) (Wigner 1958; Mehta 2004).

    Examples
    --------
    >>> (np.linalg.eigvalsh(goe(400, rng=0))[[0, -1]] / 400**0.5).round(2)
    array([-1.95,  1.98])
    """
    A = gaussian(n, n, sigma / np.sqrt(2), rng)
    return A + A.T


def gue(n: int, sigma: float = 1.0, rng: Rng = None) -> npt.NDArray[np.complex128]:
    """Gaussian unitary ensemble: complex Hermitian n x n with E|H_ij|^2 = sigma^2, on the diagonal too.

    Law: ``Semicircle(sigma)`` for the eigenvalues over sqrt(n) (Wigner 1958; Mehta 2004).

    Examples
    --------
    >>> H = gue(400, rng=0)
    >>> bool((H == H.conj().T).all()), (np.linalg.eigvalsh(H)[[0, -1]] / 400**0.5).round(2)
    (True, array([-1.98,  1.96]))
    """
    rng = np.random.default_rng(rng)
    A = gaussian(n, n, sigma / 2, rng) + 1j * gaussian(n, n, sigma / 2, rng)
    return A + A.conj().T


def correlated(N: int, population: npt.ArrayLike, rng: Rng = None) -> Array:
    """Gaussian rows whose covariance matrix has the given eigenvalues: W = Z diag(population)^(1/2), of shape (N, M).

    M = len(population), and W^T W is a Wishart matrix. The spectrum is that of any covariance with these eigenvalues;
    multiply W from the right by an orthogonal matrix to give it other eigenvectors.

    Law: ``GeneralisedMarchenkoPastur(N / M, population)`` (Marchenko & Pastur 1967; Silverstein 1995).
    Raises ``ValueError`` if population is not a list of numbers that are finite and >= 0.

    Examples
    --------
    >>> correlated(1000, [4.0, 1.0, 0.25], rng=0).std(axis=0).round(1)
    array([2. , 1. , 0.5])
    """
    population = np.asarray(population, dtype=np.float64)
    if population.ndim != 1 or population.size == 0 or not np.all((population >= 0) & (population < np.inf)):
        raise ValueError(f"population={population}; eigenvalues of a covariance are a list of finite numbers >= 0")
    return gaussian(N, len(population), rng=rng) * np.sqrt(population)


def ar1(N: int, M: int, rho: float, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Gaussian rows that are stationary AR(1) series: covariance of columns i and j sigma^2 rho^|i-j|, of shape (N, M).

    w_j = rho w_{j-1} + sigma sqrt(1 - rho^2) z_j along each row. Law: ``GeneralisedMarchenkoPastur(N / M,
    ar1_population(M, rho), sigma=sigma)``, both in :mod:`rmt_lab.laws.generalised_mp` (Silverstein 1995).

    Raises
    ------
    ValueError
        If rho is not in -1 < rho < 1.

    Examples
    --------
    >>> np.corrcoef(ar1(10000, 3, rho=0.5, rng=0).T).round(2)
    array([[1.  , 0.5 , 0.26],
           [0.5 , 1.  , 0.5 ],
           [0.26, 0.5 , 1.  ]])
    """
    if not -1 < rho < 1:
        raise ValueError(f"rho={rho}; a stationary AR(1) series has -1 < rho < 1")
    W = gaussian(N, M, sigma, rng)
    W[:, 1:] *= np.sqrt(1 - rho**2)
    for j in range(1, M):
        W[:, j] += rho * W[:, j - 1]
    return W


def low_rank_plus_noise(
    N: int,
    M: int,
    theta: npt.ArrayLike,
    U: npt.ArrayLike | None = None,
    V: npt.ArrayLike | None = None,
    sigma: float = 1.0,
    rng: Rng = None,
) -> Array:
    """A signal of low rank in Gaussian noise: W = U diag(theta) V^T + noise, of shape (N, M).

    theta holds the r singular values of the signal on the scale of W; U is N x r and V is M x r with orthonormal
    columns, uniformly random where not given. Law: Marchenko-Pastur, and an eigenvalue beyond its edge for every
    theta_k > sigma (N M)^(1/4), see :mod:`rmt_lab.laws.spiked` (Benaych-Georges & Nadakuditi 2012).

    Raises
    ------
    ValueError
        If theta holds negative or infinite values or more of them than min(N, M), or if U or V has another shape or
        columns that are not orthonormal.

    Examples
    --------
    >>> W = low_rank_plus_noise(400, 100, theta=[60.0, 40.0], rng=0)
    >>> np.linalg.svd(W, compute_uv=False)[:3].round(1)
    array([64.8, 45.3, 29.4])
    """
    rng, theta = np.random.default_rng(rng), np.atleast_1d(np.asarray(theta, dtype=np.float64))
    if theta.ndim != 1 or len(theta) > min(N, M) or not np.all((theta >= 0) & (theta < np.inf)):
        raise ValueError(f"theta={theta}; singular values are finite, >= 0 and at most min(N, M)={min(N, M)} in number")
    W = gaussian(N, M, sigma, rng)
    U = orthogonal(N, len(theta), rng) if U is None else _orthonormal("U", U, (N, len(theta)))
    V = orthogonal(M, len(theta), rng) if V is None else _orthonormal("V", V, (M, len(theta)))
    return W + (U * theta) @ V.T


def shuffled(W: Any, rng: Rng = None) -> npt.NDArray[Any]:
    """The entries of a given matrix in random order: same shape, same entries, no correlations.

    W is an array or a torch tensor of any shape. Law: Marchenko-Pastur with sigma the standard deviation of the
    entries, plus one eigenvalue when their mean is not zero (theta = |mean| sqrt(N M)) and one for each huge entry. The
    null that Martin & Mahoney (JMLR 22, 2021) call randomized. It also destroys the scales of rows and columns: see
    :func:`signs` and :func:`scaled`, which keep them.

    Examples
    --------
    >>> shuffled([[1, 2], [3, 4]], rng=0)
    array([[3., 2.],
           [1., 4.]])
    """
    W = as_real(W)
    return _shuffle(W.flatten(), np.random.default_rng(rng)).reshape(W.shape)


def signs(W: Any, rng: Rng = None) -> npt.NDArray[Any]:
    """A given matrix whose entries have random signs: V_ij = +-W_ij, independent, with equal probability.

    W is an array or a torch tensor of any shape. Every |W_ij| stays in its place, and with it the norm of every row and
    of every column; correlations of the signed entries and a mean that is not zero are gone. Law: that of independent
    entries with the variance profile W_ij^2, which is not Marchenko-Pastur where rows or columns have unequal norms.

    What it does not destroy: single large entries, rows or columns, and small blocks of large entries.

    Source: Hong, Sheng & Dobriban (2020), arXiv 2012.02985, who flip signs to count the components of data whose noise
    has unequal variances.

    Examples
    --------
    >>> signs([[1, 2], [3, 4]], rng=2)
    array([[ 1., -2.],
           [-3., -4.]])
    """
    W = as_real(W)
    return np.where(np.random.default_rng(rng).integers(0, 2, W.shape, dtype=bool), W, -W)


def scaled(W: Any, rng: Rng = None) -> Array:
    """The scaled shuffle of a given matrix: the scales of rows and columns stay, the entries between them are shuffled.

    W_ij = r_i c_j Z_ij with the scales r and c of :func:`scales`. The entries of Z are put in random order, and the
    result is r_i c_j Z'_ij, in float64. Z has the same entries as before, and r and c are the same; the norms of rows
    and columns are so on average. Law: that of independent entries with the variances r_i^2 c_j^2, plus one eigenvalue
    for each huge entry of Z. Entries are shuffled only among rows and columns that are not zero; those stay zero.

    W is an array or a torch tensor of two or more dimensions. A convolution kernel (out, in, window) is taken as its
    matrix out x (in window): an output has one scale, and an input has one for each position of the window.

    What it does not destroy: single large entries. Unlike :func:`signs` it destroys blocks of large entries.

    Raises
    ------
    ValueError
        If W has fewer than two dimensions, or holds NaN or infinite entries.

    Examples
    --------
    >>> W = gaussian(10_000, 3, rng=0) * [1, 2, 3]
    >>> scaled(W, rng=1).std(axis=0).round(1), shuffled(W, rng=1).std(axis=0).round(1)
    (array([1., 2., 3.]), array([2.2, 2.2, 2.2]))
    """
    W = as_real(W)
    r, c = scales(W)
    A = W.reshape(len(W), -1)
    inner = np.ix_(r > 0, c > 0)
    Z = _divided(A[inner], r[r > 0], c[c > 0])
    Z = _shuffle(Z.flatten(), np.random.default_rng(rng)).reshape(Z.shape)
    Z *= r[r > 0, None]
    Z *= c[c > 0]
    V = np.zeros(A.shape)
    V[inner] = Z
    return V.reshape(W.shape)


def scales(W: Any) -> tuple[Array, Array]:
    """The scales of rows and columns: r and c such that W_ij / (r_i c_j) has root mean square 1 in each of them.

    Rows and columns are divided by their root mean squares in turn, until the mean squares of all rows are 1 within
    1e-6; those of the columns are then 1 exactly. On squared entries that is the iteration of Sinkhorn & Knopp. A row
    or a column of zeros has scale 0 and is left out of all means. c has root mean square 1 where it is not 0.

    If the zeros of W leave no such scales, as in [[1, 0], [1, 1]], the iteration has no limit; entries near zero make
    it slow where there are few. It stops after 1000 rounds: the rows are then exact, and the columns are not. The
    layers of the atlas took 7 rounds (median) and at most 29.

    Parameters
    ----------
    W : array or torch tensor
        Of shape (N, M), or a convolution kernel (out, in, window), which is taken as its matrix out x (in window).

    Returns
    -------
    r, c : arrays of shape (N,) and (M,)

    Raises
    ------
    ValueError
        If W has fewer than two dimensions, or holds NaN or infinite entries.

    References
    ----------
    Sinkhorn & Knopp (1967), Pacific J. Math. 21, 343; Olshen & Rajaratnam (2010), Ann. Statist. 38, 1638.

    Examples
    --------
    >>> r, c = scales(np.outer([1, 2, 0], [1, 7]))
    >>> r.round(3), c.round(3)
    (array([ 5., 10.,  0.]), array([0.2, 1.4]))
    """
    W = as_real(W)
    if W.ndim < 2:
        raise ValueError(f"W has shape {W.shape}; rows and columns have scales, so two dimensions or more are allowed")
    A = W.reshape(len(W), -1)
    r, c = np.zeros(len(A)), np.zeros(A.shape[1])
    if W.size == 0:
        return r, c
    largest = np.abs(A).max(axis=1)
    if not np.isfinite(largest).all():
        raise ValueError(f"W holds {W.size - np.isfinite(W).sum()} NaN or infinite entries of {W.size}")
    rows, columns = largest > 0, A.any(axis=0)
    A = A[np.ix_(rows, columns)]
    # largest entries first, so that no square overflows, and none that matters vanishes
    left = largest[rows].astype(np.float64)
    right = (np.abs(A) / left[:, None]).max(axis=0, initial=0.0)
    squares = _divided(A, left, right) ** 2
    N, M = squares.shape
    u, v = np.ones(N), np.ones(M)  # 1 / r^2 and 1 / c^2
    for _ in range(_MOST_ROUNDS if squares.size else 0):
        v = N / (u @ squares)
        mean = squares @ v / M
        if np.abs(u * mean - 1).max() < _TOLERANCE:
            break
        u = 1 / mean
    inner_r, inner_c = left / np.sqrt(u), right / np.sqrt(v)
    size = np.sqrt(np.mean(inner_c**2)) if len(inner_c) else 1.0
    r[rows], c[columns] = inner_r * size, inner_c / size
    return r, c


def null_matrix(W: Any, null: Null, rng: Rng = None) -> npt.NDArray[Any]:
    """A given matrix randomised by one of :data:`NULLS`: "entries" :func:`shuffled`, "signs", or "scaled".

    Raises
    ------
    ValueError
        If there is no such null, or W has NaN or infinite entries to scale.

    Examples
    --------
    >>> null_matrix([[1, 2], [3, 4]], "signs", rng=2)
    array([[ 1., -2.],
           [-3., -4.]])
    """
    functions: dict[Null, Callable[[Any, Rng], npt.NDArray[Any]]]
    functions = {"entries": shuffled, "signs": signs, "scaled": scaled}
    if null not in functions:
        raise ValueError(f"null={null!r}; allowed are {', '.join(map(repr, NULLS))}")
    return functions[null](W, rng)


def layer_stream(seed: int, layer_id: int) -> np.random.Generator:
    """The random numbers of one layer of a model, whichever other layers are randomised.

    Each null of a layer begins its stream anew, so that it does not depend on which nulls were made before.

    Examples
    --------
    >>> layer_stream(0, 3).random() == layer_stream(0, 3).random() != layer_stream(0, 4).random()
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(layer_id,)))


def _shuffle(x: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Float values in random order, in place where LAPACK has their type: the algorithm of Fisher & Yates.

    For i = 0, 1, ... value i changes places with one drawn from i, ..., n - 1. LAPACK's ``laswp`` makes such a list of
    exchanges, which it knows as the pivots of a matrix with n rows. ``rng.shuffle`` takes two to three times as long.
    """
    n = len(x)
    if x.dtype == np.float16:  # float32 holds the same values
        return _shuffle(x.astype(np.float32), rng).astype(np.float16)
    exchange = {np.dtype(np.float32): slaswp, np.dtype(np.float64): dlaswp}.get(x.dtype)
    if exchange is None or n > _MOST_ENTRIES:
        rng.shuffle(x)
        return x
    column = x.reshape(n, 1)
    for i in range(0, n, _CHUNK):
        place = np.arange(min(_CHUNK, n - i), dtype=np.int32)  # counted from i
        partner = place + (rng.random(len(place)) * (n - i - place)).astype(np.int32)
        exchange(column[i:], partner, overwrite_a=True)
    return x


def _divided(A: npt.NDArray[Any], r: Array, c: Array) -> Array:
    """A_ij / (r_i c_j), in float64."""
    Z = A / r[:, None]
    Z /= c
    return np.asarray(Z, dtype=np.float64)


def _unit_scale(mu: float) -> float:
    """What brings the variance mu / (mu - 2), common to Student's t and the Pareto law, to 1 where it exists."""
    if not 0.2 <= mu < np.inf:
        raise ValueError(f"mu={mu}; a tail index is finite and at least 0.2")
    return float(np.sqrt((mu - 2) / mu)) if mu > 2 else 1.0


def _orthonormal(name: str, given: npt.ArrayLike, shape: tuple[int, int]) -> Array:
    U = np.asarray(given, dtype=np.float64)
    U = U[:, None] if U.ndim == 1 else U
    if U.shape != shape or not np.allclose(U.T @ U, np.eye(shape[1])):
        raise ValueError(f"{name} has shape {np.shape(given)}; directions are orthonormal columns, here {shape}")
    return U
