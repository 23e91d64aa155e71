"""The search for where a power law begins, and how badly true power laws fit.

Every tail x_i >= xmin of a sample has its exponent and its Kolmogorov-Smirnov distance D; the search finds the tail
with the smallest D, after Clauset, Shalizi & Newman (SIAM Review 51, 2009).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .._arrays import Array

#: Quantiles of the misfit D sqrt(n) of true power laws of independent values, n = 500: what so many of them stay below,
#: where xmin was searched and where it was given. ``python -m benchmarks.misfit`` makes them again. Eigenvalues repel,
#: so that power laws of spectra lie lower.
MISFIT = {
    "searched": {0.90: 0.70, 0.95: 0.76, 0.99: 0.89},
    "given": {0.90: 0.97, 0.95: 1.06, 0.99: 1.26},
}


class TailFit(Protocol):
    """What error bars, p-values and rivals ask of a power-law fit."""

    @property
    def alpha(self) -> float: ...
    @property
    def xmin(self) -> float: ...
    @property
    def sigma(self) -> float: ...
    @property
    def n_tail(self) -> int: ...
    @property
    def scaled_D(self) -> float: ...
    @property
    def x(self) -> Array: ...
    @property
    def min_tail(self) -> int: ...
    @property
    def searched(self) -> tuple[float, float] | None: ...
    @property
    def bias_corrected(self) -> bool: ...
    def unbiased(self, n: Any) -> Any: ...


class Scan(NamedTuple):
    """The curves behind the choice of xmin: for every candidate in ``xmins`` its alpha, D and number of values."""

    xmins: Array
    alphas: Array
    Ds: Array
    n_tails: npt.NDArray[np.int64]


class Tails:
    """Every tail x[i:] of an ascending sample, its exponent alpha - 1, and the search for the one that fits best."""

    def __init__(self, x: Array, min_tail: int) -> None:
        n = len(x)
        with np.errstate(over="ignore"):
            gaps = np.diff(x) / x[:-1]
        wide = not x[0] > 1e-300 * x[-1]  # values may lie too far apart for their quotients
        steps = np.where(gaps < np.inf, np.log1p(gaps), np.diff(np.log(x))) if wide else np.log1p(gaps)
        y = log_ratio(x, x[-1]) if wide else np.log(x / x[-1])
        below = np.arange(n) if gaps.all() else np.searchsorted(x, x)  # how many values lie strictly below
        begins = np.flatnonzero(below == np.arange(n))  # of equal values only the first begins a tail
        self.steps, self.y, self.below, self.min_tail = steps, y, below, min_tail
        # sum_j ln(x_j/x_i), built from the gaps upward: all terms positive, so short tails lose no digits
        self.size = np.arange(n, 1, -1)
        logs = np.cumsum((steps * (self.size - 1))[::-1])[::-1]
        # a tail has values that differ, and so many
        self.candidates = begins[: begins.searchsorted(min(int(below[-1]), n - min_tail + 1))]
        with np.errstate(divide="ignore"):
            self.exponent = self.size / logs

    def distance(self, i: Any, j: Any) -> Array:
        """|empirical - fitted| distribution function of tail i at x_j."""
        return _misfit((self.below[j] - i) / self.size[i], self.exponent[i], self.y[j] - self.y[i])

    def distances(self, i: int) -> Array:
        """:meth:`distance` of tail i at each of its values."""
        return self.distance(i, slice(i, None))

    def closest(self) -> tuple[int, float]:
        """The candidate i with the smallest D_i = max_j distance(i, j), and D_i.

        A minimax problem, solved by cutting planes: the distance at any one point j bounds D_i from below for all i
        at once. Evaluate the candidate whose bound is lowest, let the point where it was worst tighten the bounds
        of all others (neighbouring tails are worst at the same place), and stop when no bound is below the best D.
        Some 10 tails are evaluated whole, whatever n; a few sqrt(n) if all tails fit equally well.
        """
        alive = self.candidates
        middle = alive + (self.size[alive] * np.array([[0.25], [0.75]])).astype(np.intp)  # two cheap first cuts
        bound = self.distance(alive, middle).max(axis=0)
        best, D_best = int(alive[0]), np.inf
        while len(alive):
            k = int(bound.argmin())
            i = int(alive[k])
            d = self.distances(i)
            worst = i + int(d.argmax())
            D = float(d[worst - i])
            if D < D_best:
                best, D_best = i, D
            before = slice(alive.searchsorted(worst, side="right"))
            np.maximum(bound[before], self.distance(alive[before], worst), out=bound[before])
            bound[k] = np.inf
            keep = bound < D_best
            alive, bound = alive[keep], bound[keep]
        return best, D_best


class Clipped:
    """The tails of a sample without its k largest values, for several k at once: which k has a flat one that fits?

    Flat is an exponent below ``most``; such a tail has to fit better than every tail given to :meth:`beat`. Flat tails
    are worst at the same points for every k, so that the cuts of :meth:`Tails.closest` are made for all k together.
    """

    def __init__(self, tails: Tails, ks: range, most: float) -> None:
        self.tails, self.ks, self.ends = tails, ks, len(tails.y) - np.array(ks)
        self.limits, ends = np.full(len(ks), np.inf), self.ends[:, None]
        size = np.maximum(ends - np.arange(len(tails.steps)), 0)
        logs = np.cumsum((tails.steps * np.maximum(size - 1, 0))[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(divide="ignore", invalid="ignore"):  # where no value is left
            self.exponent = size / logs
        self.last = np.minimum(tails.below[ends - 1], ends - tails.min_tail + 1)
        begins = tails.candidates
        self.flat = (self.exponent[:, begins] < most) & (begins < self.last)

    def beat(self, i: int) -> None:
        """From now on count only tails that fit better than tail i."""
        y, below, ends = self.tails.y[i:], self.tails.below[i:], self.ends[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # where no value is left
            d = _misfit((below - i) / (ends - i), self.exponent[:, i, None], y - y[0])
        d[np.arange(i, i + len(y)) >= ends] = 0
        D = np.where(i < self.last[:, 0], d.max(axis=1), np.inf)
        self.limits = np.minimum(self.limits, D * (1 + 1e-9))  # with room for rounding

    def better(self) -> Iterator[int]:
        """Every k with such a tail, in ascending order; others may be given to :meth:`beat` meanwhile."""
        y, below = self.tails.y, self.tails.below
        row, i = np.nonzero(self.flat)
        i = self.tails.candidates[i]
        e = self.exponent[row, i]
        while len(row):
            m = int(row.searchsorted(row[0], side="right")) // 2  # a tail of the smallest k
            tail = slice(i[m], self.ends[row[m]])
            d = _misfit((below[tail] - i[m]) / (tail.stop - i[m]), e[m], y[tail] - y[i[m]])
            if d.max() < self.limits[row[m]]:
                yield self.ks[row[m]]
                keep = row > row[m]
            else:
                j, end = int(i[m] + d.argmax()), self.ends[row]
                d = _misfit((below[j] - i) / (end - i), e, np.maximum(y[j] - y[i], 0))
                keep = (d < self.limits[row]) | (j < i) | (j >= end)
            row, i, e = row[keep], i[keep], e[keep]


def _misfit(share: Any, exponent: Any, t: Any) -> Array:
    """|empirical - fitted| distribution function, a share of the tail lying below the value with ln(x/xmin) = t."""
    values: Array = np.abs(share + np.expm1(-exponent * t))
    return values


def log_ratio(x: Array, x0: Any) -> Array:
    """ln(x/x0) of positive values: of the quotient, which keeps all digits, or ln x - ln x0 where that has no room.

    No unit is too small or too large, and values may lie more than 308 decades apart.
    """
    with np.errstate(over="ignore", under="ignore"):
        ratio = x / x0
    if ratio.min(initial=1.0) > 1e-300 and ratio.max(initial=1.0) < np.inf:
        return np.asarray(np.log(ratio))
    fits = (ratio > 1e-300) & (ratio < np.inf)
    values: Array = np.where(fits, np.log(np.where(fits, ratio, 1.0)), np.log(x) - np.log(x0))
    return values
