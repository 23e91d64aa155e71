"""The edges of noise whose level is read off the spectrum itself: what is added to the laws of the extreme eigenvalues.

:func:`rmt_lab.bulk.fit_bulk` matches sigma to the bulk of rows x columns noise. These are the error of that sigma, and
what noise exceeds at its upper edge, or falls below at its lower one, with a given probability.
"""

from __future__ import annotations

import math
from functools import cache

from .tracy_widom import TracyWidom, edge_scaling


@cache
def allowance_of(level: float, rf: int) -> float:
    """What the largest of rf noise edges exceeds with probability level, in units of Tracy-Widom."""
    return float(TracyWidom(1).ppf((1 - level) ** (1 / rf)))


def relative_error(rows: float, columns: float, rf: int) -> float:
    """Standard error of sigma over sigma; measured at M = 5 .. 768, Q = 1 .. 8."""
    return (0.76 + 0.09 * columns / rows) / math.sqrt(rows * columns * rf)


def upper_edge_scaling(rows: float, columns: float, sigma: float, rf: int) -> tuple[float, float]:
    """Centre and scale of the largest eigenvalue where sigma comes from the spectrum itself.

    Johnstone's, with corrections that fade like columns^(-1/3) or faster and matter below 50 columns: sigma is low by
    0.155 / rows on average, and 1 / sigma^2 is high by three variances (four keep the level); the error of sigma widens
    the law, less so for its correlation with the largest eigenvalue. All measured at columns = 5 .. 200, Q = 1 .. 8.
    """
    mean, variance = _moments()
    centre, scale = edge_scaling(rows, columns, sigma)
    error = relative_error(rows, columns, rf)
    bias, error = (2 * x * centre / scale for x in (0.155 / rows + 2 * error**2, error))
    correlation = 0.6 * columns ** (-1 / 3) / math.sqrt(rf)
    widening = math.sqrt(1 + max(0.0, error**2 - 2 * correlation * error * math.sqrt(variance)) / variance)
    return centre + scale * (bias + mean * (1 - widening)), scale * widening


@cache
def _moments() -> tuple[float, float]:
    return TracyWidom(1).mean(), TracyWidom(1).var()


def lower_threshold_of(rows: float, columns: float, level: float, rf: int) -> float:
    """What the smallest eigenvalue of W^T W falls below with probability level; W is rows x columns of unit noise.

    Of rf such matrices together; NaN where there is no test: rows - columns a fraction below 2.

    A square matrix has the law 1 - exp(-y/2 - sqrt(y)) of y = columns * eigenvalue in the limit, one more row exactly
    1 - exp(-y/2) (Edelman 1988). From two more rows on, ln of the eigenvalue follows -TW_1 (Ma 2012). Spikes take rows
    and columns alike, so a square matrix stays square.
    """
    more, allowance, level = rows - columns, allowance_of(level, rf), 1 - (1 - level) ** (1 / rf)  # of one matrix
    if abs(more) < 1e-9:
        return (math.sqrt(1 - 2 * math.log1p(-level)) - 1) ** 2 / columns
    if abs(more - 1) < 1e-9:
        return -2 * math.log1p(-level) / columns
    if more < 2 - 1e-9 or columns <= 1:
        return math.nan
    a, b = math.sqrt(rows - 0.5), math.sqrt(columns - 0.5)
    tau = (1 / b - 1 / a) ** (1 / 3) / (a - b)
    return math.exp(2 * math.log(a - b) + tau**2 / 8 - tau * allowance)
