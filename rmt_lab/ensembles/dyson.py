"""Dyson's Brownian motion: how the eigenvalues of a matrix move while its entries do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._arrays import Array, Rng, as_numpy, check_shape
from .matrices import goe


def dyson(points: npt.ArrayLike, times: npt.ArrayLike, sigma: float = 1.0, rng: Rng = None) -> Array:
    """Eigenvalues of a symmetric matrix whose entries are Brownian, from given points to a random matrix.

    The matrix H starts as diag(points). A time s later it is e^(-s) H + sqrt(1 - e^(-2s)) G / sqrt(n), with a new G of
    the GOE. So at time t it has the law of e^(-t) diag(points) + sqrt(1 - e^(-2t)) G / sqrt(n), and the eigenvalues
    move as charges on a line that repel each other:

        d lambda_i = -lambda_i dt + (2 sigma^2 / n) sum_(j != i) dt / (lambda_i - lambda_j) + 2 sigma db_i / sqrt(n)

    with independent Brownian motions b_i. No time step is approximated: the law is exact at the given times.

    Law: ``Semicircle(sigma)`` as t -> infinity. Points from ``Semicircle(sigma)`` keep this density at every t, and
    only their order changes from independent to that of a random matrix: that of neighbours on the scale of times 1/n,
    that of L levels on the scale L/n.

    Parameters
    ----------
    points : array of shape (n,)
        Eigenvalues at time 0.
    times : array of shape (T,)
        Ascending, >= 0.
    sigma : float, default 1
        Standard deviation of the entries of G off the diagonal.
    rng : Generator, int or None

    Returns
    -------
    array of shape (T, n)
        The eigenvalues at each of the times, ascending.

    Raises
    ------
    ValueError
        If points or times are not a list of finite numbers, times are negative or descend, or sigma is not positive.

    References
    ----------
    Dyson (1962), J. Math. Phys. 3, 1191; Anderson, Guionnet & Zeitouni (2010), section 4.3.

    Examples
    --------
    >>> dyson([-1.0, 0.0, 0.0, 1.0], times=[0.0, 0.01, 10.0], rng=0).round(2)
    array([[-1.  ,  0.  ,  0.  ,  1.  ],
           [-0.98, -0.07,  0.04,  0.93],
           [-1.31, -0.15,  0.26,  1.11]])
    """
    points, times = _list("points", points), _list("times", times)
    if len(times) and (times[0] < 0 or np.any(np.diff(times) < 0)):
        raise ValueError(f"times={times}; ascending times >= 0 are allowed")
    check_shape(N=len(points), sigma=sigma)
    rng, n = np.random.default_rng(rng), len(points)
    H, paths = np.diag(points), np.empty((len(times), n))
    for k, step in enumerate(np.diff(times, prepend=0.0)):
        if step > 0:
            H = np.exp(-step) * H + np.sqrt(-np.expm1(-2 * step) / n) * goe(n, sigma, rng)
        paths[k] = np.linalg.eigvalsh(H)
    return paths


def _list(name: str, values: npt.ArrayLike) -> Array:
    array = np.asarray(as_numpy(values), dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {array.shape}; a list of finite numbers is needed")
    return array
