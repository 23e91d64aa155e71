"""Exercises of notebook 06, the layers of a BERT against noise of their shapes and against three nulls."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from ..bulk import fit_bulk
from ..ensembles import NULLS
from ..ensembles.matrices import Null
from . import exercise, prediction, question
from .answers import Array, NotYet, agrees, array, holds, kind, whole

_FEWEST = 20  # eigenvalues of a layer that can be told from noise


@prediction(
    "06-predict-zero",
    options=["query", "feed-forward in", "both", "neither"],
    why="The lower edge of the singular values is sigma (sqrt(N) - sqrt(M)). It is 0 for a square matrix only.",
)
def predict_zero(found: str) -> str:
    """The shape whose noise has singular values below a hundredth of the largest."""
    return "both" if " and " in found else found or "neither"


question(
    "06-same-shape",
    "What the share of the strongest tenth says about two roles",
    points=[
        "the two roles have different shapes",
        "noise of the square shape already has the larger share",
        "each role is compared with noise of its own shape",
    ],
)


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
    why="Rows keep their sizes and lose all else. The matrix with uneven rows keeps what it had beyond the noise, so a "
    "full shuffle destroys more than correlation.",
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


@prediction(
    "06-predict-signs",
    options=["none", "fewer than half", "more than half"],
    why="Rows and columns of unequal size are enough for some of them. The others need correlation, or small blocks.",
)
def predict_signs(share: float) -> str:
    """The queries' eigenvalues beyond noise that are left under random signs."""
    return "none" if share == 0 else "fewer than half" if share < 0.5 else "more than half"


@cache
def _above(role: str, null: Null) -> int:
    """Eigenvalues of MiniLM's layers of a role above the largest one of the same layer's null, over all blocks."""
    layers = atlas.load("minilm").select(role)
    counts = [int((x.spectrum.eigenvalues > x.null(null).eigenvalues[-1]).sum()) for x in layers]
    return sum(counts)


@exercise(
    "06-above-signs",
    hint='For each query layer: its own layer.null("signs").eigenvalues[-1] is the bound. Count the eigenvalues of '
    "layer.spectrum above it, and sum over the blocks.",
    why="These eigenvalues are larger than anything that the sizes of the weights explain by themselves.",
    wrong=[118, 21, 118 - 21, 131, 92, 69, 81, 125, 45, 0, 0.8, 6, "many"],
    right=[[95], 95.0, np.int64(95), np.array([95]), np.array(95.0), (95,)],
)
def above_signs(answer: Any) -> str | None:
    """How many eigenvalues of the queries exceed the largest one under random signs."""
    n = whole(answer)
    if n == _above("query", "signs"):
        return None
    if n in {_above("query", null) for null in NULLS if null != "signs"}:
        return "that is the count above the largest eigenvalue of another null"
    beyond = sum(fit_bulk(x.spectrum).num_spikes_first for x in atlas.load("minilm").select("query"))
    left = sum(fit_bulk(x.null("signs")).num_spikes_first for x in atlas.load("minilm").select("query"))
    if n == beyond:
        return "these lie beyond noise, and those above the null with random signs are asked for"
    if n in (left, beyond - left):
        return "no difference of counts is asked for: compare each eigenvalue of a layer with the largest of its null"
    return f"{n} is too {'large' if n > _above('query', 'signs') else 'small'}"


question(
    "06-may-be-said",
    "What may be said about feed-forward out, and on which evidence",
    points=[
        "many eigenvalues lie beyond noise of the same shape and variance",
        "hardly any lie above the largest one under random signs",
        "so the sizes of rows, columns and entries are enough for most of the tail",
        "correlation is claimed for the few above it only, or not at all",
    ],
)


@exercise(
    "06-untrained-layer",
    hint="Which row of details has no eigenvalue beyond the noise, and an empty bulk_note?",
    why="None of its eigenvalues lies beyond the edge, and its bulk follows the Marchenko-Pastur law.",
    wrong=[
        "block 5 attention output",
        "block 5 value",
        "block 0 query",
        "block 3 key",
        "position embedding",
        "embedding",
        "token-type embedding",
        "block 9 query",
        "attention output",
        "noise",
        4,
    ],
    right=["Pooler", " pooler ", ["pooler"], np.str_("POOLER"), np.array(["pooler"], dtype=object), "pooler.dense"],
)
def untrained_layer(answer: Any) -> str | None:
    """The layer of MiniLM that is pure noise."""
    while isinstance(answer, list | tuple | np.ndarray) and np.size(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, str):
        raise NotYet(f"the answer is {kind(answer)}, and the name of a layer is asked for, with its quotes")
    names = answer.strip().lower()
    found = next((x for x in atlas.load("minilm") if names in (x.name.lower(), x.longname.lower())), None)
    if found is None:
        return f"MiniLM has no layer of the name {answer[:40]!r}; the names stand in the table's column name"
    if found.spectrum.M < _FEWEST:
        return f"{found.name!r} has {found.spectrum.M} eigenvalues, too few to tell anything from noise"
    beyond = fit_bulk(found.spectrum).num_spikes_first
    return f"{beyond} eigenvalues of {found.name!r} lie beyond noise of its variance" if beyond else None


def _split(c_attn: Array) -> Array:
    return np.stack(np.split(np.asarray(c_attn), 3, axis=1))


def _folded(c_attn: Array) -> Array:
    d = len(c_attn)
    return np.asarray(c_attn).reshape(3, d, d)


def _interleaved(c_attn: Array) -> Array:
    return np.stack([c_attn[:, i::3] for i in range(3)])


def _transposed(c_attn: Array) -> Array:
    return _split(c_attn).transpose(0, 2, 1)


def _slices(c_attn: Array) -> list[Array]:
    return [c_attn[:, i * len(c_attn) : (i + 1) * len(c_attn)] for i in range(3)]


_FUSED = [np.random.default_rng(9).normal(size=(d, 3 * d)).round(3) for d in (2, 6)]


@exercise(
    "06-split",
    hint="The matrix is stored input x output: each of the three has all the rows, and its own third of the columns.",
    why="Three square matrices, each with noise of its own shape and variance.",
    wrong=[
        _folded,
        _interleaved,
        _transposed,
        lambda c_attn: np.split(c_attn, 3),
        lambda c_attn: np.split(c_attn, 3, axis=1)[::-1],
        lambda c_attn: np.split(c_attn, 3, axis=1)[0],
        lambda c_attn: _split(c_attn)[:2],
        lambda c_attn: c_attn.T.reshape(3, len(c_attn), len(c_attn)),
        lambda c_attn: [c_attn[:, : len(c_attn)]] * 3,
        lambda c_attn: np.hsplit(c_attn, 2),
        lambda c_attn: c_attn,
    ],
    right=[
        _split,
        _slices,
        lambda c_attn: tuple(np.hsplit(c_attn, 3)),
        lambda fused: fused.reshape(len(fused), 3, len(fused)).swapaxes(0, 1),
        lambda c_attn: [part.tolist() for part in _slices(c_attn)],
    ],
)
def split(answer: Any) -> str | None:
    """A function that takes a fused attention matrix apart."""
    return agrees(
        answer,
        _split,
        [(c_attn,) for c_attn in _FUSED],
        mistakes={
            "reshape reads row by row, and so cuts every row in three": _folded,
            "every third column goes to the same part, and the three stand next to each other": _interleaved,
            "the parts are right, and each of them is transposed": _transposed,
        },
    )
