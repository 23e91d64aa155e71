"""Exercises of notebook 08, the layers of a BERT against noise of their shapes and against their shuffled weights."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from ..bulk import fit_bulk
from . import exercise
from .answers import NoAnswer, NotYet, agrees, array, choice, kind

_ROLES = ["feed-forward in", "feed-forward out", "query", "key", "value", "attention output"]


@exercise(
    "08-predict-zero",
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
    "08-noise-edges",
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
    "08-shuffle-survivor",
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
    "08-untrained-layer",
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


@exercise(
    "08-row-null",
    hint="numpy's Generator has three methods for this: shuffle, permutation and permuted. One of them treats "
    "every row by itself when it is told the axis.",
    why="Rows keep their sizes and lose all else. The independent matrix of this section keeps what it had beyond "
    "the edge, so a full shuffle destroys more than correlations.",
    wrong=[
        lambda W, rng: rng.permutation(W.ravel()).reshape(W.shape),
        lambda W, rng: rng.permutation(W, axis=1),
        lambda W, rng: rng.permutation(W),
        lambda W, rng: W,
        lambda W, rng: W[0],
        lambda W: W,
    ],
)
def row_null(answer: Any) -> str | None:
    """A function that shuffles every row by itself."""
    if not callable(answer) or isinstance(answer, type):
        raise NotYet(f"the answer is {kind(answer)}, and a function is asked for (its name, without brackets)")
    W = np.random.default_rng(8).normal(size=(5, 40))
    try:
        result = answer(W.copy(), np.random.default_rng(0))
    except Exception as error:
        raise NotYet(f"for a W of shape (5, 40) the function raised {type(error).__name__}: {error}"[:200]) from None
    if result is None or result is ...:
        raise NoAnswer
    A = array(result, (5, 40))
    if np.array_equal(A, W):
        return "the result is W itself, nothing was shuffled"
    if np.array_equal(np.sort(A, axis=1), np.sort(W, axis=1)):
        whole_columns = np.array_equal(A[:, np.argsort(A[0])], W[:, np.argsort(W[0])])
        return "whole columns changed places, and took their correlations with them" if whole_columns else None
    if np.array_equal(np.sort(A.sum(axis=1)), np.sort(W.sum(axis=1))):
        return "whole rows changed places; inside a row all stands as it stood"
    return "the rows do not keep their own entries"
