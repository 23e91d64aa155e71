"""Lanczos: what a few products of a symmetric matrix with vectors tell about its eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._arrays import Array


class Ritz(NamedTuple):
    """What Lanczos knows after some steps, one row per starting vector; arrays of shape (vectors, steps).

    ``values`` are the Ritz values theta, ascending. ``weights`` are the squared first components of their vectors: with
    them the Ritz values are the Gauss quadrature of the starting vector's spectral measure. Within ``residuals`` of
    theta there is an eigenvalue, to rounding. A row that ran out of directions (an invariant subspace) is ``complete``;
    its missing values are 0, with weight 0.
    """

    values: Array
    weights: Array
    residuals: Array
    complete: Array


def lanczos(product: Callable[[Array], Array], start: Array, steps: int) -> Ritz:
    """Lanczos with full reorthogonalisation, from several vectors at a time.

    From v_1, a unit vector, A v_j = b_(j-1) v_(j-1) + a_j v_j + b_j v_(j+1). The eigenvalues theta of the tridiagonal
    matrix T of the a and b approach those of A from within, the largest first. With y the eigenvector of T that belongs
    to theta, ||A x - theta x|| = b_m |y_m| for the Ritz vector x = (v_1 .. v_m) y.

    Parameters
    ----------
    product : function
        From an array of shape (vectors, M) to the same shape: each row times the symmetric matrix A.
    start : array of shape (vectors, M)
        Starting vectors, not zero.
    steps : int
        At least 1; products of A with every vector.

    References
    ----------
    Golub & Meurant (2010), Matrices, Moments and Quadrature, chapters 4 and 6; Parlett (1998), The Symmetric Eigenvalue
    Problem, chapters 4 and 13.

    Examples
    --------
    >>> A = np.diag([1.0, 2.0, 3.0])
    >>> lanczos(lambda x: x @ A, np.ones((1, 3)), 3).values.round(6)
    array([[1., 2., 3.]])
    """
    count, M = start.shape
    V = np.zeros((count, steps, M))
    V[:, 0] = start / np.linalg.norm(start, axis=1, keepdims=True)
    T = np.zeros((count, steps, steps))
    floor = np.zeros(count)
    for j in range(steps):
        w, basis = product(V[:, j]), V[:, : j + 1]
        length = np.sqrt(np.vecdot(w, w))
        floor = np.maximum(floor, M * np.finfo(np.float64).eps * length)
        T[:, j, j] = np.vecdot(w, V[:, j])
        for _ in range(2):  # after one pass the errors grow from step to step: Parlett, section 6.9
            w = w - (basis.mT @ (basis @ w[:, :, None]))[:, :, 0]
        beta = np.sqrt(np.vecdot(w, w))
        beta[beta <= floor] = 0.0  # what is left is rounding
        if j + 1 < steps:
            np.divide(w, beta[:, None], out=V[:, j + 1], where=beta[:, None] > 0)
            T[:, j, j + 1] = T[:, j + 1, j] = beta
    values, vectors = np.linalg.eigh(T)
    complete = (np.diagonal(T, 1, 1, 2) == 0).any(axis=1) | (beta == 0)
    return Ritz(values, vectors[:, 0] ** 2, beta[:, None] * np.abs(vectors[:, -1]), complete)
