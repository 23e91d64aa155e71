"""Power laws fitted to many samples at once: the engine of every bootstrap here.

One fit costs a handful of microseconds of arithmetic and a hundred of calls; a thousand resamples are therefore fitted
together, one per row, by the search of :func:`rmt_lab.fit_power_law` carried out on all rows in step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._arrays import Array
from .search import TailFit

f32 = np.float32  # single precision halves the time, and a distance is wanted to 1e-6 at most
_BLOCK = 2**14  # values that are worked on together: what stays in a core's cache


class Replicates(NamedTuple):
    """The fits of many samples: arrays of equal length. ``exponent`` is alpha - 1."""

    exponent: Array
    D: Array
    n_tail: npt.NDArray[np.int64]

    @property
    def scaled_D(self) -> Array:
        """D sqrt(n_tail): the distance on a scale that does not depend on the size of the tail."""
        return self.D * np.sqrt(self.n_tail)


def refit(draw: Callable[[int], Array], n: int, fit: TailFit) -> Replicates:
    """Fit n samples in the way ``fit`` was made; ``draw(k)`` gives k of them as ascending rows of ln x.

    Where ``fit`` searched for xmin every sample is searched anew, over the same range; where xmin was given it stays.
    A sample that leaves nothing to fit gives NaN. D is right to 1e-6 (single precision).
    """
    rows = max(1, _BLOCK // len(fit.x))
    parts = []
    for k in [rows] * (n // rows) + [n % rows] * (n % rows > 0):
        y = draw(k)
        if fit.searched is None:
            parts.append(_fit_given(y, np.log(fit.xmin)))
        else:
            with np.errstate(divide="ignore"):
                low, high = np.log(fit.searched)
            parts.append(_fit_rows(y, fit.min_tail, low, high, np.log(fit.xmin)))
    return Replicates(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def _fit_given(y: Array, y0: float) -> Replicates:
    """The fit of every row for a given ln xmin."""
    t = y - y0
    tail = t >= 0
    n_tail = np.count_nonzero(tail, axis=1)
    t = np.where(tail, t, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = n_tail / t.sum(axis=1)
        first = np.diff(y, axis=1, prepend=-np.inf) > 0
        below = np.maximum.accumulate(np.where(first, np.arange(y.shape[1]), 0), axis=1)  # how many lie below each
        rank = (below - (y.shape[1] - n_tail)[:, None]) / n_tail[:, None]
        D = np.where(tail, np.abs(rank + np.expm1(-exponent[:, None] * t)), 0.0).max(axis=1)
    ok = np.isfinite(exponent) & (n_tail > 1)
    return Replicates(np.where(ok, exponent, np.nan), np.where(ok, D, np.nan), n_tail)


def _fit_rows(y: Array, min_tail: int, low: float, high: float, guess: float) -> Replicates:
    """The fit of every row, by cutting planes: see ``search.Tails.closest``, whose steps these are.

    Each row begins with the tail from ``guess`` on. Distances are in single precision.
    """
    rows, n = y.shape
    gaps = np.diff(y, axis=1)
    logs = np.zeros((rows, n))  # sum_j (y_j - y_i) over tail i, all terms positive
    np.cumsum((gaps * np.arange(n - 1, 0, -1))[:, ::-1], axis=1, out=logs[:, -2::-1])
    first = np.ones((rows, n), dtype=bool)  # of equal values one is enough, and only the first begins a tail
    np.greater(gaps, 0, out=first[:, 1:])
    where, real = _pack(first)
    below = where - n * np.arange(rows)[:, None]  # how many values lie below each
    t, S = y.take(where), logs.take(where)
    bound = np.where(real & (n - below >= min_tail) & (S > 0) & (t >= low) & (t <= high), f32(0), f32(np.inf))
    k = np.minimum(np.count_nonzero(t < guess, axis=1), t.shape[1] - 1)
    exponent = ((n - below) / np.maximum(S, 1e-30)).astype(f32)
    Y, W = (t - y[:, -1:]).astype(f32), below.astype(f32)

    best, D_best = np.zeros(rows, dtype=np.int64), np.full(rows, np.inf, dtype=f32)
    row = np.flatnonzero(np.isfinite(bound.min(axis=1)))  # the rows whose search goes on
    k, Y, W, bound, start, y0, e = k[row], Y[row], W[row], bound[row], W[row], Y[row], exponent[row]
    r = np.arange(len(row))
    k = np.where(np.isfinite(bound[r, k]), k, bound.argmin(axis=1))
    columns = np.arange(bound.shape[1])
    for quarter in (0.25, 0.75):  # two cheap first cuts
        j = columns + (quarter * (len(columns) - columns)).astype(np.int64)
        np.maximum(bound, _distance(Y.take(j, axis=1) - Y, e, W.take(j, axis=1), W, n), out=bound)
    with np.errstate(over="ignore"):  # beyond the ends of a tail, where the figures are not used
        while len(row):
            i = start[r, k, None]
            d = _distance(Y - y0[r, k, None], e[r, k, None], W, i, n)
            np.copyto(d, 0, where=W < i)
            worst = d.argmax(axis=1)
            D = d[r, worst]
            better = (D < D_best[row]) & (bound[r, k] < np.inf)  # a finished row may be waiting for the others
            best[row[better]], D_best[row[better]] = i[better, 0], D[better]
            w = W[r, worst, None]
            d = _distance(Y[r, worst, None] - y0, e, w, start, n)
            np.copyto(d, 0, where=start > w)
            np.maximum(bound, d, out=bound)
            bound[r, k] = np.inf
            alive = bound < D_best[row, None]
            count = np.count_nonzero(alive, axis=1)
            if count.max() < 0.5 * alive.shape[1] or np.count_nonzero(count) < 0.8 * len(count):
                go = count > 0  # on with the rows and candidates that are still alive, these packed to the left
                row, Y, W = row[go], Y[go], W[go]
                if not len(row):
                    break
                where, real = _pack(alive[go])
                start, y0, e, bound = (a[go].take(where) for a in (start, y0, e, bound))
                bound[~real] = np.inf
                cut = int(np.count_nonzero(W < start[:, :1], axis=1).min())  # columns that no tail needs any longer
                Y, W = Y[:, cut:], W[:, cut:]
                r = np.arange(len(row))
            k = bound.argmin(axis=1)
    none = np.isinf(D_best)
    with np.errstate(divide="ignore"):
        alphas = (n - best) / logs[np.arange(rows), best]
    D = D_best.astype(np.float64)
    return Replicates(np.where(none, np.nan, alphas), np.where(none, np.nan, D), np.where(none, 0, n - best))


def _pack(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Flat indices of the true entries of every row, packed to the left, the last one repeated; and which are real."""
    flat = np.flatnonzero(mask)
    count = np.count_nonzero(mask, axis=1)
    place = np.arange(count.max())
    end = np.cumsum(count)[:, None]
    index = end - count[:, None] + place
    return flat[np.minimum(index, end - 1)], place < count[:, None]


def _distance(t: Any, exponent: Any, below: Any, i: Any, n: int) -> Any:
    """|empirical - fitted| distribution function of tail i at the value with ln(x/xmin) = t; t is overwritten."""
    t *= -exponent
    np.exp(t, out=t)
    t += (below - i) / (n - i)
    t -= 1
    return np.abs(t, out=t)
