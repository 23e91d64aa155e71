"""Exercises of notebook 06, the layers of a BERT against noise of their shapes and against their shuffled weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from ..bulk import fit_bulk
from . import exercise
from .answers import Array, NotYet, agrees, array, choice, holds, kind

_ROLES = ["feed-forward in", "feed-forward out", "query", "key", "value", "attention output"]


@exercise(
    "06-predict-zero",
    hint="Where is the lower edge of the Marchenko-Pastur law, (1 - 1/sqrt(Q))^2, for each of the two shapes?",
    why="The lower edge is at zero for Q = 1 alone; at Q = 4 it is half of sigma sqrt(N).",
    wrong=["feed-forward in", "both", "neither", "key"],
)
def predict_zero(answer: Any) -> str | None:
    """Prediction: the shape whose noise has singular values down to zero."""
    answer = choice(answer, ["query", "feed-forward in", "both", "neither"])
    if answer == "both":
        return "one of the two shapes has rows to spare, and they keep every direction alive"
    if answer == "neither":
        return "one of the two laws has its lower edge at zero"
    return None if answer == "query" else "that shape has four rows for every column: no direction is lost by chance"


def _noise_edges(N: int, M: int, sigma: float) -> tuple[float, float]:
    return sigma * (math.sqrt(N) - math.sqrt(M)), sigma * (math.sqrt(N) + math.sqrt(M))


def _eigenvalue_edges(N: int, M: int, sigma: float) -> tuple[float, float]:
    low, high = _noise_edges(N, M, sigma)
    return low**2 / N, high**2 / N


def _without_N(N: int, M: int, sigma: float) -> tuple[float, float]:
    low, high = _noise_edges(N, M, sigma)
    return low / math.sqrt(N), high / math.sqrt(N)


@exercise(
    "06-noise-edges",
    hint="An eigenvalue of W'W / N is a singular value, squared, over N. The edges of the eigenvalues are "
    "sigma^2 (1 -+ 1/sqrt(Q))^2 with Q = N/M.",
    why="The edges of a singular value are a sum and a difference of two square roots, one a side of the matrix: long "
    "matrices have narrow hills.",
    wrong=[_eigenvalue_edges, _without_N, lambda N, M, sigma: _noise_edges(N, M, sigma)[::-1], lambda N, M, sigma: 2.0],
)
def noise_edges(answer: Any) -> str | None:
    """A function for the edges of the singular values of noise."""
    return agrees(
        answer,
        _noise_edges,
        [(384, 384, 1.0), (1536, 384, 0.05), (1000, 10, 3.0)],
        mistakes={
            "these are the edges of the eigenvalues of W'W / N, and those of the singular values of W are asked for": (
                _eigenvalue_edges
            ),
            "these are the edges of W / sqrt(N), and those of W itself are asked for": _without_N,
        },
    )


@exercise(
    "06-shuffle-survivor",
    hint="Sum rand_num_spikes over the rows of details of each of the six roles that stand in every block.",
    why="Some of these matrices have an entry or two so large that they make an outlier wherever they stand: "
    "what survives a shuffle is the size of single weights.",
    wrong=["query", "key", "value", "feed-forward in", "attention output", "position embedding"],
)
def shuffle_survivor(answer: Any) -> str | None:
    """The role that keeps the most eigenvalues beyond the edge when shuffled."""
    answer = choice(answer, _ROLES)
    kept = {role: sum(_survivors(role)) for role in _ROLES}
    if answer == max(kept, key=kept.__getitem__):
        return None
    return f"{answer!r} keeps {kept[answer]} over all blocks, and another role keeps more"


@cache
def _survivors(role: str) -> tuple[int, ...]:
    """Eigenvalues of each shuffled layer of MiniLM beyond its edge."""
    nulls = (layer.shuffled for layer in atlas.load("minilm").select(role))
    return tuple(fit_bulk(null).num_spikes for null in nulls if null)


@exercise(
    "06-untrained-layer",
    hint="Which row of details has no eigenvalue beyond the edge of its noise, and hardly changes when shuffled?",
    why="None of its eigenvalues lies beyond the edge, its bulk follows the law to within chance, and shuffling "
    "leaves it as it is.",
    wrong=["block 5 attention output", "token-type embedding", "block 0 query", "block 9 query", 39],
)
def untrained_layer(answer: Any) -> str | None:
    """The layer of MiniLM that is pure noise."""
    if not isinstance(answer, str):
        raise NotYet(f"the answer is {kind(answer)}, and the name of a layer is asked for, with its quotes")
    found = next((layer for layer in atlas.load("minilm") if layer.name == answer.strip().lower()), None)
    if found is None:
        return f"MiniLM has no layer of the name {answer[:40]!r}; the names stand in the table's column name"
    if found.spectrum.M < 20:
        return f"{found.name!r} has {found.spectrum.M} eigenvalues, too few to tell anything from noise"
    spikes = fit_bulk(found.spectrum).num_spikes
    return f"{spikes} eigenvalues of {found.name!r} lie beyond the edge of its noise" if spikes else None


def _shuffled_in_place(W: Array, rng: np.random.Generator) -> Array:
    for row in W:
        rng.shuffle(row)
    return W


def _swapped(row: Array, rng: np.random.Generator) -> Array:
    i, j = rng.choice(row.size, 2, replace=False)
    row[i], row[j] = row[j], row[i]
    return row


@exercise(
    "06-row-null",
    hint="numpy's Generator has three methods for this: shuffle, permutation and permuted. One of them treats "
    "every row by itself when it is told the axis.",
    why="Rows keep their sizes and lose all else. The independent matrix of this section keeps what it had beyond "
    "the edge, so a full shuffle destroys more than correlations.",
    wrong=[
        lambda W, rng: rng.permutation(W.ravel()).reshape(W.shape),
        lambda W, rng: rng.permutation(W, axis=1),
        lambda W, rng: rng.permutation(W),
        lambda W, rng: rng.permuted(W, axis=0),
        lambda W, rng: np.sort(W, axis=1),
        lambda W, rng: np.roll(W, 1, axis=1),
        lambda W, rng: np.stack([np.roll(row, rng.integers(1, row.size)) for row in W]),
        lambda W, rng: np.stack([row[::-1] if i % 2 else row for i, row in enumerate(W)]),
        lambda W, rng: W[:, [1, 0, *range(2, W.shape[1])]],
        lambda W, rng: np.stack([_swapped(row, rng) for row in W]),
        lambda W, rng: W[:, rng.permutation(W.shape[1])],
        lambda W, rng: np.hstack([rng.permuted(half, axis=1) for half in np.array_split(W, 2, axis=1)]),
        lambda W, rng: np.random.default_rng(0).permuted(W, axis=1),
        lambda W, rng: np.random.default_rng().permuted(W, axis=1),
        lambda W, rng: rng.choice(W.ravel(), W.shape),
        lambda W, rng: rng.normal(W.mean(axis=1, keepdims=True), W.std(axis=1, keepdims=True), W.shape),
        lambda W, rng: rng.permuted(W, axis=1).T,
        lambda W, rng: W,
        lambda W, rng: W[0],
        lambda W: W,
    ],
    right=[
        lambda W, rng: rng.permuted(W, axis=1),
        lambda W, rng: [rng.permutation(row) for row in W],
        lambda W, rng: np.take_along_axis(W, np.argsort(rng.random(W.shape), axis=1), axis=1),
        lambda W, rng: np.apply_along_axis(rng.permutation, 1, W),
        lambda matrix, generator: generator.permuted(matrix.T, axis=0).T,
        _shuffled_in_place,
    ],
)
def row_null(answer: Any) -> str | None:
    """A function that shuffles every row by itself."""
    draw = np.random.default_rng(8).normal
    matrices = [draw(size=shape) for shape in ((5, 40), (5, 40), (8, 30), (1, 50))]
    inputs = [(W, np.random.default_rng(seed)) for W, seed in zip(matrices, (0, 1, 2, 3), strict=True)]
    again = [(matrices[0], np.random.default_rng(seed)) for seed in (0, 4)]
    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result is W itself, nothing was shuffled": lambda args, A: not np.array_equal(_like(args, A), args[0]),
        "whole rows changed places; inside a row all stands as it stood": lambda args, A: (
            not _same_rows(_like(args, A), args[0])
        ),
        "the rows do not keep their own entries": lambda args, A: np.array_equal(*_sorted_rows(args, A)),
        "every row is in order of size, and a random order is asked for": lambda args, A: bool(
            (np.diff(_like(args, A), axis=1) < 0).any()
        ),
        "the order is not random: many entries stay in their place, or beside their neighbours": lambda args, A: (
            _is_mixed(_places(args, A))
        ),
        "whole columns changed places, and took their correlations with them": lambda args, A: (
            not _rows_move_alike(_places(args, A))
        ),
    }
    together: dict[str, Callable[[list[Any]], bool]] = {
        "two generators give the same result: rng plays no part in it": lambda results: (
            not np.array_equal(results[0], results[-1])
        ),
        "one generator gives two results: the chance must come from rng alone": lambda results: np.array_equal(
            results[0], results[-2]
        ),
    }
    return holds(answer, ["W", "rng"], inputs + again, properties, together)


def _like(args: tuple[Any, ...], result: Any) -> Array:
    return array(result, args[0].shape)


def _sorted_rows(args: tuple[Any, ...], result: Any) -> tuple[Array, Array]:
    return np.sort(_like(args, result), axis=1), np.sort(args[0], axis=1)


def _same_rows(A: Array, W: Array) -> bool:
    return sorted(map(tuple, A)) == sorted(map(tuple, W)) and not np.array_equal(A, W)


def _places(args: tuple[Any, ...], result: Any) -> Array:
    """The old place of each entry in its row; the entries of W all differ."""
    ranks = np.argsort(np.argsort(_like(args, result), axis=1), axis=1)
    return np.take_along_axis(np.argsort(args[0], axis=1).astype(float), ranks, axis=1)


def _rows_move_alike(places: Array) -> bool:
    """Whether two rows share more places than independent permutations do: 1 on average, hardly ever 12."""
    return any(int((a == b).sum()) > 12 for i, a in enumerate(places) for b in places[:i])


def _is_mixed(places: Array) -> bool:
    """Whether places look drawn: per row 1 entry in place and 2 pairs of neighbours on average, and no trend."""
    rows, n = places.shape
    own = np.arange(n)
    steps = (places - np.roll(places, 1, axis=1)) % n
    neighbours = int(((steps == 1) | (steps == n - 1)).sum())
    trend = float(np.mean([np.corrcoef(row, own)[0, 1] for row in places]))
    return (
        int((places == own).sum()) <= rows + 6 * rows**0.5 + 3
        and neighbours <= 2 * rows + 6 * (2 * rows) ** 0.5 + 3
        and abs(trend) < 5 / (rows * n) ** 0.5
    )
