"""Hill's estimator: the exponent of the k largest values, for every k, without a choice of xmin by distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._arrays import Array, as_values
from .search import log_ratio


class HillCurve(NamedTuple):
    """Hill's estimate for every number k of upper order statistics: the data of a stability plot.

    ``errors`` are (alpha - 1)/sqrt(k), the standard errors for independent values. Estimates of neighbouring k share
    nearly all of their values, so that the curve wanders: a flat stretch may be chance.
    """

    ks: npt.NDArray[np.int64]
    alphas: Array
    errors: Array


def hill(x: npt.ArrayLike, k: int | None = None) -> float:
    """Hill's estimate of the exponent of p(x) ~ x^-alpha from the k largest values of x.

    With x_1 >= x_2 >= ... >= x_n,

        alpha = 1 + k / sum_(i=1..k) ln(x_i / x_(k+1)),

    the maximum likelihood for a power law that begins at x_(k+1). It has no unit, and stays the same for c x. For
    independent values of a true power law, 1/(alpha - 1) has no bias, and alpha has one of (alpha - 1)/(k - 1):
    1 + (k - 1)/sum ln(x_i / x_(k+1)) has none. The standard error is about (alpha - 1)/sqrt(k). Eigenvalues are not
    independent; their alpha depends on the shape of the matrix, too.

    This is :func:`rmt_lab.fit_power_law` for xmin = x_(k+1), except that x_(k+1) does not count as a value of the tail:
    k + 1 values there, k here.

    Parameters
    ----------
    x : array_like of shape (n,)
        Positive values in any order and unit; for a layer, ``Spectrum.nonzero_eigenvalues``.
    k : int, optional
        How many of the largest values, 1 .. n - 1. Default: n // 2, as FARMS takes it; look at :func:`hill_curve`
        before you believe it.

    Returns
    -------
    float
        Infinite where the k + 1 largest values are all equal.

    Raises
    ------
    ValueError
        If x holds values that are not positive and finite, or k is not one of 1 .. n - 1.

    References
    ----------
    Hill (1975), Annals of Statistics 3, 1163-1174.

    Examples
    --------
    >>> round(hill([1, 2, 4, 8], k=2), 4)  # 1 + 2 / (ln 4 + ln 2)
    1.9618
    >>> x = (1 - np.random.default_rng(0).random(2000)) ** (-1 / 1.5)  # Pareto, alpha = 2.5
    >>> round(hill(x), 2)
    2.49
    """
    x = _check(x)
    k = len(x) // 2 if k is None else k
    if not 1 <= k < len(x):
        raise ValueError(f"k={k}; {len(x)} values allow 1 .. {len(x) - 1} upper order statistics")
    with np.errstate(divide="ignore"):
        return float(1 + np.float64(k) / log_ratio(x[len(x) - k :], x[len(x) - k - 1]).sum())


def hill_curve(x: npt.ArrayLike) -> HillCurve:
    """Hill's estimate for k = 1 .. n - 1, in O(n) after the sort: where the curve is flat, a power law may hold.

    The sums are S_k = S_(k-1) + k ln(x_k / x_(k+1)), all terms positive, so that no digit is lost.

    Parameters
    ----------
    x : array_like of shape (n,)
        Positive values in any order and unit.

    Returns
    -------
    HillCurve
        ks, alphas and their standard errors (alpha - 1)/sqrt(k). alpha is infinite where the k + 1 largest values are
        all equal.

    Raises
    ------
    ValueError
        If x holds values that are not positive and finite, or fewer than 2.

    References
    ----------
    Hill (1975), Annals of Statistics 3, 1163-1174. Drees, de Haan & Resnick (2000), Annals of Statistics 28, 254-274,
    on the plot and its alternatives.

    Examples
    --------
    >>> curve = hill_curve([1, 2, 4, 8])
    >>> curve.ks, curve.alphas.round(3)
    (array([1, 2, 3]), array([2.443, 1.962, 1.721]))
    """
    x = _check(x)
    ks = np.arange(1, len(x))
    steps = log_ratio(x[1:], x[:-1])[::-1]
    with np.errstate(divide="ignore"):
        alphas = 1 + ks / np.cumsum(ks * steps)
    return HillCurve(ks, alphas, (alphas - 1) / np.sqrt(ks))


def _check(x: npt.ArrayLike) -> Array:
    values = as_values(x)
    if len(values) < 2:
        raise ValueError(f"x has {len(values)} values; Hill's estimator needs at least 2")
    return values
