"""Random values with a tail, and the picture of a tail under its fits."""

from __future__ import annotations

import numpy as np

from .._arrays import Array, Rng

_END = 20.0  # where the truncated power law falls off, in units of its smallest value


def pareto(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha from 1 on: (1 - u)^(-1/(alpha - 1)) for uniform u.

    Examples
    --------
    >>> pareto(10_000, 3.0, rng=0).min().round(3)
    np.float64(1.0)
    """
    return (1 - np.random.default_rng(rng).random(n)) ** (-1 / (alpha - 1))


def bulk_and_tail(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha from 1 on and ~ e^(-alpha (x - 1)) below, where density and slope meet.

    Source: Clauset, Shalizi & Newman (2009), equation 3.10.

    Examples
    --------
    >>> x = bulk_and_tail(10_000, 2.5, rng=0)
    >>> (x > 1).mean().round(2)  # a/(a + b), a = 1/(alpha - 1), b = (e^alpha - 1)/alpha
    np.float64(0.13)
    """
    below, above = np.expm1(alpha) / alpha, 1 / (alpha - 1)  # areas
    area = np.random.default_rng(rng).random(n) * (below + above)
    bulk = 1 - np.log(np.exp(alpha) - alpha * np.minimum(area, below)) / alpha
    beyond = np.minimum(below + above - area, above) / above
    return np.where(area < below, bulk, beyond**-above)


def truncated_pareto(n: int, alpha: float, rng: Rng = None) -> Array:
    """n values of density ~ x^-alpha e^(-x/20) from 1 on: Pareto values kept with probability e^(-(x - 1)/20).

    Examples
    --------
    >>> truncated_pareto(10_000, 2.0, rng=0).max() < 200
    np.True_
    """
    rng, x = np.random.default_rng(rng), np.empty(0)
    while len(x) < n:
        more = pareto(2 * n, alpha, rng)
        x = np.concatenate([x, more[rng.random(2 * n) < np.exp(-(more - 1) / _END)]])
    return x[:n]


_REACH = 1.5  # of a planted finger over the next largest value


def plant(x: Array, fingers: int) -> Array:
    """x, ascending, with so many values more, each 1.5 times as large as the one below it.

    Examples
    --------
    >>> plant([1.0, 3.0, 2.0], 2)
    array([1.  , 2.  , 3.  , 4.5 , 6.75])
    """
    x = np.sort(x)
    return np.concatenate([x, x[-1] * _REACH ** np.arange(1, fingers + 1)])
