"""Exercises of notebook 07, heavy tails."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._arrays import Array
from ..bulk import fit_bulk
from ..ensembles import gaussian, orthogonal, pareto, scaled, shuffled, signs
from ..spectrum import Spectrum
from . import exercise, prediction, question
from .answers import agrees, choice, close, holds, near, number

_WAYS = ["large entries", "uneven scales", "correlations"]


def _growth(mu: float) -> float:
    return 4 / mu - 1


@exercise(
    "07-growth",
    hint="How many of the N^2 entries exceed t, on average? Set that to 1 and solve for t; then square, divide by N.",
    why="The power changes its sign at tail index 4: below it single entries outgrow the noise, above it none does.",
    wrong=[
        lambda mu: 2 / mu,
        lambda mu: 4 / mu,
        lambda mu: 2 / mu - 1,
        lambda mu: 1 - 4 / mu,
        lambda mu: 1 / mu,
        lambda mu: mu / 2 + 1,
        lambda mu: 4 / mu - 2,
        lambda mu: 4 / (mu - 1),
        lambda mu: mu / 4 - 1,
        lambda mu: 1000 ** (4 / mu - 1),
        lambda mu: round(4 / mu - 1),
        1 / 3,
    ],
    right=[
        lambda mu: 4 / mu - 1,
        lambda m: (4 - m) / m,
        lambda mu: 2 * (2 / mu) - 1,
        lambda mu: np.array([4 / mu - 1])[0],
        lambda mu: -1 + 4 * mu**-1,
        lambda *args: 4 / args[0] - 1,
    ],
)
def growth(answer: Any) -> str | None:
    """The power of N with which the largest squared entry over N grows."""
    inputs = [(mu,) for mu in (0.5, 1.0, 2.5, 3.0, 5.0, 8.0)]
    mistakes = {
        "that is how the largest entry itself grows; it is to be squared and divided by N": lambda mu: 2 / mu,
        "the division by N is missing": lambda mu: 4 / mu,
        "the matrix has N^2 entries, not N": lambda mu: 2 / mu - 1,
        "the sign is the wrong way round": lambda mu: 1 - 4 / mu,
    }
    return agrees(answer, _growth, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@prediction(
    "07-exponent-at-3",
    options=["below 3", "3 to 5", "above 5"],
    why="A handful of entries stand out; the fit describes the upper end of the bulk.",
)
def exponent_at_3(alpha: float) -> str:
    """Alpha fitted to a 1000 x 1000 matrix of Pareto entries with tail index 3."""
    return "below 3" if alpha < 3 else "3 to 5" if alpha <= 5 else "above 5"


@exercise(
    "07-count-tail",
    hint="Number of entries times the probability of one. The entries are c times a Pareto variable, c = sqrt(1/3), "
    "so |w| > t means that the variable exceeds t / c.",
    why="A handful of eigenvalues is all the tail there is. No exponent can be read off so few.",
    wrong=[
        1e6 * 1000**-0.75,
        31.6,
        60,
        1e6 * 3**-0.5 * 1000**-1.5,
        6.09e-6,
        1e6,
        1e6 * (1000 * 3**0.5) ** -3,
        1e3 * (1000**0.5 * 3**0.5) ** -3,
        1e6 * (1000**0.5 * 3) ** -3,
        1e6 * (1000**0.5 * 3**0.5) ** -2,
        1e6 * (1000**0.5 / 3**0.5) ** -3,
        0,
        -6.09,
    ],
    right=[
        1e6 * (3000**0.5) ** -3,
        6.09,
        [6.09],
        np.array([[6.0858]]),
        np.float32(6.1),
        1000**2 * (1000**0.5 / (1 / 3) ** 0.5) ** -3,
    ],
)
def count_tail(answer: Any) -> str | None:
    """Entries that stand out as signals, in a 1000 x 1000 matrix of tail index 3."""
    x, t = number(answer), 1000**0.5
    right = 1e6 * (t * np.sqrt(3)) ** -3
    texts = {
        1e6 * t**-3: "the scale is missing: the entries were brought to variance 1",
        right / 1e6: "that is the probability for one entry, and there are a million",
        1e6 * t**-3 / np.sqrt(3): "the scale belongs inside of the power",
    }
    for mistake, text in texts.items():
        if close(x, mistake):
            return text
    return near(x, right, rtol=0.02)


def _rotated(W: Array, rng: Any) -> Array:
    return W @ orthogonal(W.shape[1], W.shape[1], rng=rng)


def _from_the_left(W: Array, rng: Any) -> Array:
    return orthogonal(W.shape[0], W.shape[0], rng=rng) @ W


@exercise(
    "07-rotate",
    hint="Multiply from the right. W has M columns, so the matrix is M x M; give it the generator.",
    why="The singular values stay, and every new column is a mixture of all old ones.",
    wrong=[
        lambda W, rng: W,
        _from_the_left,
        lambda W, rng: W[:, np.random.default_rng(rng).permutation(W.shape[1])],
        lambda W, rng: W * np.random.default_rng(rng).choice([-1, 1], W.shape[1]),
        lambda W, rng: signs(W, rng=rng),
        lambda W, rng: shuffled(W, rng=rng),
        lambda W, rng: W @ gaussian(W.shape[1], W.shape[1], rng=rng),
        lambda W, rng: W @ orthogonal(W.shape[1], W.shape[1], rng=0),
        lambda W, rng: orthogonal(W.shape[1], W.shape[1], rng=rng),
        lambda W, rng: 2 * _rotated(W, rng),
        lambda W, rng: _rotated(W, rng).T,
        lambda W, rng: _rotated(W, rng)[:, :-1],
        lambda W, rng: np.linalg.svd(W, compute_uv=False),
        lambda W, rng: W @ W.T @ W,
    ],
    right=[
        _rotated,
        lambda W, rng: W @ orthogonal(W.shape[1], W.shape[1], rng=rng).T,
        lambda W, rng: (orthogonal(W.shape[1], W.shape[1], rng=rng) @ W.T).T,
        lambda W, rng: np.dot(W, np.linalg.qr(rng.normal(size=(W.shape[1], W.shape[1])))[0]),
        lambda W, rng: _rotated(W, rng).tolist(),
        lambda W, rng: W @ np.linalg.svd(np.random.default_rng(rng).normal(size=(W.shape[1], W.shape[1])))[0],
        lambda W, rng: -_rotated(W, rng),
    ],
)
def rotate(answer: Any) -> str | None:
    """A matrix with its columns mixed by a random rotation."""
    draws = [np.random.default_rng(seed) for seed in (70, 71, 72)]
    matrices = [draws[0].normal(size=(60, 30)) * np.geomspace(1, 20, 30), draws[1].normal(size=(40, 40))]
    matrices[1] *= np.geomspace(1, 50, 40)
    inputs = [(W, np.random.default_rng(seed)) for W in matrices for seed in (1, 2)]

    def real(W: Array, V: Any) -> bool:
        V = np.asarray(V)
        return V.shape == W.shape and V.dtype.kind == "f" and bool(np.isfinite(V).all())

    def kept(W: Array, V: Any) -> bool:
        s, t = (np.linalg.svd(np.asarray(A), compute_uv=False) for A in (W, V))
        return bool(np.allclose(s, t, rtol=1e-8))

    def spread(W: Array, V: Any) -> float:
        norms = np.linalg.norm(np.asarray(V), axis=0)
        return float(norms.max() / norms.min())

    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result has another shape than W, or holds something else than finite numbers": lambda a, V: real(a[0], V),
        "the singular values are not those of W": lambda a, V: kept(a[0], V),
        "the rows have other lengths than before: a rotation of the columns acts on W from the right": lambda a, V: (
            np.allclose(np.linalg.norm(a[0], axis=1), np.linalg.norm(np.asarray(V), axis=1))
        ),
        "the columns still have very unequal norms: each new one is to be a mixture of all old ones": lambda a, V: (
            spread(a[0], V) < 8
        ),
    }
    together = {"the generator plays no part": lambda V: not np.allclose(V[0], V[1])}
    return holds(answer, ["W", "rng"], inputs, properties, together)


@prediction(
    "07-survivors",
    options=["none", "one", "two", "all"],
    why="The shuffle keeps the sizes of single entries, and nothing else.",
)
def survivors(tails: int) -> str:
    """How many of the three tails survive the shuffle of entries."""
    return ("none", "one", "two", "all")[tails]


question(
    "07-shuffle-argument",
    "What a tail that vanishes under the shuffle shows",
    points=[
        "the shuffle also destroys the scales of rows and columns, so the tail may come from scales alone",
        "correlations, or scales, can be there without any training",
        "the same count under random signs or the scaled shuffle, and for the layer before training",
    ],
)


def _beyond(W: Array) -> int:
    return fit_bulk(Spectrum.from_matrix(W)).num_spikes_first


def _way(W: Array) -> str:
    if _beyond(shuffled(W, rng=0)) > _beyond(W) / 2:
        return _WAYS[0]
    return _WAYS[1] if _beyond(signs(W, rng=0)) > _beyond(W) / 2 else _WAYS[2]


@cache
def _fresh() -> tuple[tuple[str, Array], ...]:
    """Matrices by the way in which they were made; the units differ, and so do shapes and exponents."""
    made = []
    for seed, (N, M, alpha, unit) in enumerate(((400, 200, 3.0, 1.0), (300, 240, 3.5, 0.02))):
        tau = ((np.arange(M) + 0.5) / M) ** (-1 / (alpha - 1))
        uneven = gaussian(N, M, rng=100 + seed) * np.sqrt(np.random.default_rng(seed).permutation(tau))
        made.append((_WAYS[2], unit * _rotated(uneven, 110 + seed)))
        made.append((_WAYS[0], unit * pareto(N, M, mu=1.5 + seed / 2, rng=120 + seed)))
        made.append((_WAYS[1], unit * uneven))
    return tuple(made)


def _large(W: Array) -> bool:
    """Whether one entry is far larger than those of a Gaussian or of a few scales."""
    return bool(np.abs(W).max() > 40 * np.median(np.abs(W)))


@exercise(
    "07-which-way",
    hint="One null destroys two of the three tails, another one destroys one. Ask the first one first. "
    "Compare counts before and after.",
    why="The nulls tell apart what the spectrum cannot: two of the three have the same eigenvalues.",
    wrong=[
        lambda W: "correlations",
        lambda W: "large entries",
        lambda W: "uneven scales",
        lambda W: "large entries" if _beyond(signs(W, rng=0)) > _beyond(W) / 2 else "correlations",
        lambda W: "uneven scales" if _beyond(signs(W, rng=0)) > _beyond(W) / 2 else "correlations",
        lambda W: "correlations" if _beyond(shuffled(W, rng=0)) < _beyond(W) / 2 else "large entries",
        lambda W: "uneven scales" if _beyond(shuffled(W, rng=0)) < _beyond(W) / 2 else "large entries",
        lambda W: "large entries" if W.max() > 30 else "uneven scales" if W.max() > 10 else "correlations",
        lambda W: {"large entries": "correlations", "correlations": "large entries"}.get(_way(W), "uneven scales"),
        lambda W: {"uneven scales": "correlations", "correlations": "uneven scales"}.get(_way(W), "large entries"),
        lambda W: _WAYS[_beyond(W) % 3],
        lambda W: "noise",
        lambda W: _beyond(W),
    ],
    right=[
        _way,
        lambda W: _way(W).upper(),
        lambda W: _way(W.T),
        lambda W: _way(W / W.std()).replace(" ", "-"),
        lambda W: _WAYS[0] if _large(W) else _WAYS[2 if _beyond(scaled(W, rng=1)) < _beyond(W) / 2 else 1],
        lambda W: (
            _WAYS[2]
            if _beyond(signs(W, rng=3)) < _beyond(W) / 2
            else _WAYS[1 if _beyond(shuffled(W, rng=3)) < _beyond(W) / 2 else 0]
        ),
        lambda W: np.str_(_way(W)),
    ],
)
def which_way(answer: Any) -> str | None:
    """A function that tells which of the three ways a matrix was made."""

    def is_right(args: tuple[Any, ...], word: Any) -> bool:
        return choice(word, _WAYS) == next(way for way, W in _fresh() if np.array_equal(W, args[0]))

    return holds(answer, ["W"], [(W,) for _, W in _fresh()], {"the answer is another one": is_right})


question(
    "07-real-tails",
    "What alpha = 3 and the verdict 'holds' say about a layer",
    points=[
        "known: the tail is heavier than noise, and a power-law population fits it where the rivals do not",
        "not known: whether scales or correlations make it, and whether training made either of them",
        "the same figures under random signs or the scaled shuffle, and for the layer at its initialisation",
    ],
)
