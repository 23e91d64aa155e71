"""Many layers, many tests: p-values that know how many there were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def false_discovery_rate(p_values: npt.ArrayLike) -> Array:
    """q-values after Benjamini & Yekutieli: the least rate of false discoveries at which each layer is still rejected.

    Of the m p-values, sorted to p_(1) <= ... <= p_(m),

        q_(i) = min_(j >= i) p_(j) m c / j, at most 1,    c = sum_(j=1..m) 1/j.

    Reject every layer with q <= r, and on average at most a share r of the rejections is false. The factor c makes that
    hold whatever the dependence between the p-values (layers of one model were trained together); Benjamini & Hochberg
    have c = 1 and need independence or something like it. With 250 layers c is 6.1.

    Parameters
    ----------
    p_values : array_like
        Between 0 and 1, of any shape. NaN stands for a layer without a test: it stays NaN and does not count.

    Returns
    -------
    array of the same shape

    Raises
    ------
    ValueError
        If a p-value lies outside 0 .. 1.

    References
    ----------
    Benjamini & Yekutieli (2001), Annals of Statistics 29, 1165-1188, theorem 1.3.

    Examples
    --------
    >>> false_discovery_rate([0.001, np.nan, 0.01, 0.5]).round(4)
    array([0.0055,    nan, 0.0275, 0.9167])
    """
    from scipy.stats import false_discovery_control  # takes half a second to import

    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    wrong = tested & ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ValueError(f"p_values hold {p[wrong][0]:.4g}; a p-value lies between 0 and 1")
    q = np.full(p.shape, np.nan)
    if tested.any():
        q[tested] = false_discovery_control(p[tested], method="by")
    return q
