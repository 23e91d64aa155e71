"""Exercises of notebook x11, steering by alpha."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .._arrays import Array
from . import exercise, prediction, question
from .answers import agrees


def _prune(W: Array, share: float) -> Array:
    flat = W.ravel().copy()
    flat[np.abs(flat).argsort()[: round(share * len(flat))]] = 0
    return flat.reshape(W.shape)


def _by_threshold(W: Array, share: float) -> Array:
    k = round(share * W.size)
    threshold = np.sort(np.abs(W), axis=None)[k - 1] if k else -1.0
    return np.where(np.abs(W) <= threshold, 0.0, W)


def _smallest_values(W: Array, share: float) -> Array:
    flat = W.ravel().copy()
    flat[flat.argsort()[: round(share * len(flat))]] = 0
    return flat.reshape(W.shape)


def _largest(W: Array, share: float) -> Array:
    flat = W.ravel().copy()
    flat[np.abs(flat).argsort()[len(flat) - round(share * len(flat)) :]] = 0
    return flat.reshape(W.shape)


def _row_by_row(W: Array, share: float) -> Array:
    return np.array([_prune(row, share) for row in W])


@exercise(
    "x11-prune",
    hint="Sort the absolute values of all entries. How many entries are that share? Set these to zero in a copy.",
    why="Pruning by magnitude needs no data. What differs between methods is the share of each matrix alone.",
    wrong=[
        _smallest_values,
        _largest,
        _row_by_row,
        lambda W, share: _prune(W, 1 - share),
        lambda W, share: np.where(np.abs(W) < share, 0, W),
        lambda W, share: np.where(np.abs(W) < share * np.abs(W).max(), 0, W),
        lambda W, share: _prune(W, share) != 0,
        lambda W, share: W * (1 - share),
        lambda W, share: np.abs(_prune(W, share)),
        lambda W, share: _prune(W, share).ravel(),
        lambda W, share: np.sort(np.abs(W), axis=None)[round(share * W.size)],
        lambda W: W,
        0.5,
    ],
    right=[
        _prune,
        _by_threshold,
        lambda W, share: W * (np.abs(W).argsort(axis=None).argsort().reshape(W.shape) >= round(share * W.size)),
        lambda W, share: _prune(W.T, share).T,
        lambda W, share: _prune(W, share).astype(np.float64).tolist(),
    ],
)
def prune(answer: Any) -> str | None:
    """The smallest entries of a matrix set to zero, as a function."""
    rng = np.random.default_rng(110)
    inputs = [(rng.normal(size=shape), share) for shape, share in (((8, 5), 0.5), ((6, 10), 0.2), ((4, 25), 0.83))]
    mistakes = {
        "negative entries count as small; their size is what matters": _smallest_values,
        "these are the largest entries": _largest,
        "this share is left, and it should go": lambda W, share: _prune(W, 1 - share),
        "that is row by row; one threshold holds for the whole matrix": _row_by_row,
        "a mask is returned, and the matrix is asked for": lambda W, share: _prune(W, share) != 0,
    }
    return agrees(answer, _prune, inputs, mistakes=mistakes)


def _allocate(scores: Array, sizes: Array, mean: float, low: float, high: float) -> Array:
    shares = low + (high - low) * (scores - scores.min()) / np.ptp(scores)
    found: Array = shares * mean * sizes.sum() / (sizes @ shares)
    return found


def _unweighted(scores: Array, sizes: Array, mean: float, low: float, high: float) -> Array:
    return _allocate(scores, np.ones(len(scores)), mean, low, high)


def _raw(scores: Array, sizes: Array, mean: float, low: float, high: float) -> Array:
    return low + (high - low) * (scores - scores.min()) / np.ptp(scores)


@exercise(
    "x11-allocate",
    hint="First a straight line from low to high. Then one factor for all: the sum of sizes times shares must be mean "
    "times the sum of the sizes.",
    why="A method that prunes more in total is no rival for one that prunes less. The factor makes them equal.",
    wrong=[
        _unweighted,
        _raw,
        lambda scores, sizes, mean, low, high: _allocate(-scores, sizes, mean, low, high),
        lambda scores, sizes, mean, low, high: mean * _raw(scores, sizes, mean, low, high),
        lambda scores, sizes, mean, low, high: mean * scores * sizes.sum() / (sizes @ scores),
        lambda scores, sizes, mean, low, high: np.full(len(scores), mean),
        lambda scores, sizes, mean, low, high: _allocate(scores * sizes, sizes, mean, low, high),
        lambda scores, sizes, mean, low, high: _allocate(scores.argsort().argsort() * 1.0, sizes, mean, low, high),
        lambda scores, sizes, mean, low, high: sizes * _allocate(scores, sizes, mean, low, high),
        lambda scores, sizes, mean, low, high: (
            _raw(scores, sizes, mean, low, high)
            + mean
            - np.average(_raw(scores, sizes, mean, low, high), weights=sizes)
        ),
        lambda scores, sizes, mean: scores,
        0.5,
    ],
    right=[
        _allocate,
        lambda s, n, mean, low, high: (
            mean * _raw(s, n, mean, low, high) / np.average(_raw(s, n, mean, low, high), weights=n)
        ),
        lambda s, n, mean, low, high: (
            np.interp(s, [min(s), max(s)], [low, high])
            * mean
            * sum(n)
            / np.dot(n, np.interp(s, [min(s), max(s)], [low, high]))
        ),
        lambda *args: list(_allocate(*args)),
        lambda s, n, mean, low, high: _allocate(2 * s + 3, 10 * n, mean, low, high),
    ],
)
def allocate(answer: Any) -> str | None:
    """Shares that follow a score and have a given mean, as a function."""
    rng = np.random.default_rng(111)
    inputs = [
        (rng.normal(3, 1, 6), rng.integers(1, 9, 6) * 100.0, mean, low, high)
        for mean, low, high in ((0.5, 0.7, 1.3), (0.3, 0.9, 1.1), (1.0, 0.67, 3.0))
    ]
    mistakes = {
        "the matrices count alike; weigh them by their sizes": _unweighted,
        "the line is right, and the mean over all entries is not": _raw,
        "the mean is over all entries, so that one factor is needed, found from the sizes": (
            lambda scores, sizes, mean, low, high: mean * _raw(scores, sizes, mean, low, high)
        ),
        "a larger score should have a larger share": (
            lambda scores, sizes, mean, low, high: _allocate(-scores, sizes, mean, low, high)
        ),
    }
    return agrees(answer, _allocate, inputs, mistakes=mistakes)


@prediction(
    "x11-alpha",
    options=["lower by more than 0.01", "within 0.01", "higher by more than 0.01"],
    why="Here alpha spares matrices that the network needs, whatever the reason is.",
)
def alpha_against_uniform(difference: float) -> str:
    """The loss at half the entries: allocation by alpha minus uniform."""
    if abs(difference) <= 0.01:
        return "within 0.01"
    return f"{'lower' if difference < 0 else 'higher'} by more than 0.01"


@prediction(
    "x11-orders",
    options=["1", "2 to 8", "more than 8"],
    why="What they share is the first block. The order of the other three hardly matters.",
)
def orders_as_good(count: int) -> str:
    """How many of the 24 orders of the block values do as well as alpha's."""
    return "1" if count <= 1 else "2 to 8" if count <= 8 else "more than 8"


def _sign_flip(d: Array) -> float:
    flips = np.array(list(itertools.product((1, -1), repeat=len(d))))
    return float(np.mean(np.abs(flips @ d) >= abs(d.sum()) - 1e-12))


def _one_by_one(d: Array) -> float:
    count = 0
    for i in range(2 ** len(d)):
        total = sum(x if i >> j & 1 else -x for j, x in enumerate(d))
        count += abs(total) >= abs(sum(d)) - 1e-12
    return count / 2 ** len(d)


def _one_sided(d: Array) -> float:
    flips = np.array(list(itertools.product((1, -1), repeat=len(d))))
    return float(np.mean(flips @ d >= d.sum() - 1e-12))


def _strict(d: Array) -> float:
    flips = np.array(list(itertools.product((1, -1), repeat=len(d))))
    return float(np.mean(np.abs(flips @ d) > abs(d.sum()) + 1e-12))


@exercise(
    "x11-signs",
    hint="itertools.product((1, -1), repeat=len(d)) gives all choices of signs. The observed one is among them. "
    "Take absolute means, and leave room for rounding where two are equal.",
    why="If the method changes nothing, each difference could as well have the other sign. With five seeds there are "
    "32 choices, so that no p-value is below 2/32.",
    wrong=[
        _one_sided,
        _strict,
        lambda d: 1 - _sign_flip(d),
        lambda d: float(np.mean(d > 0)),
        lambda d: 1 / 2 ** len(d),
        lambda d: 2 / 2 ** len(d),
        lambda d: _sign_flip(d) / 2,
        lambda d: _sign_flip(np.sign(d)),
        lambda d: abs(d.mean()) / d.std(),
        lambda d: 0.05,
        lambda d: [0.5, 0.5],
        lambda: 0.0625,
        0.0625,
    ],
    right=[
        _sign_flip,
        _one_by_one,
        lambda d: _sign_flip(-d),
        lambda d: np.array(_sign_flip(d)),
        lambda d: np.float64(_one_by_one(3 * d)),
    ],
)
def signs(answer: Any) -> str | None:
    """The p-value of the sign-flip test, as a function."""
    rng = np.random.default_rng(112)
    inputs = [(rng.normal(0.5, 1, n),) for n in (5, 5, 4, 6)] + [(np.array([0.3, 0.1, 0.2, 0.5, 0.4]),)]
    mistakes = {
        "that is one-sided; a mean far below 0 counts as well": _one_sided,
        "the choice of signs that was observed counts, too": _strict,
        "only the signs are used; the sizes of the differences count, too": lambda d: _sign_flip(np.sign(d)),
    }
    return agrees(answer, _sign_flip, inputs, mistakes=mistakes)


@prediction(
    "x11-decay",
    options=["0 or 1", "2 or 3", "4 or 5"],
    why="Every training differs from the next by chance, too, and five seeds are few.",
)
def seeds_below_uniform(count: int) -> str:
    """In how many of five seeds weight decay by alpha ends below uniform decay."""
    return "0 or 1" if count <= 1 else "2 or 3" if count <= 3 else "4 or 5"


question(
    "x11-controls",
    "Which controls an allocation by alpha needs",
    points=[
        "the same shares at other layers: all orders, or many at random",
        "a rule without any spectrum that does the same, such as sparing the first block, or the shape alone",
        "several networks, each with its own seed, and differences within a network",
    ],
)

question(
    "x11-five",
    "What five seeds can show",
    points=[
        "a seed is the unit, and differences are taken within seeds",
        "an interval, and the smallest p-value that is possible",
        "no difference seen is not no difference: how large a one would have been seen?",
    ],
)
