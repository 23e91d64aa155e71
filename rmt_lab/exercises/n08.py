"""Exercises of notebook 08, a network in training: spikes, their directions, batch sizes, and memorised labels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..ensembles.spectra import gaussian_spectrum
from ..tails.power_law import fit_power_law
from . import exercise
from .answers import Array, agrees, choice, close, near, number, whole


def _gradient(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = np.tanh(x @ W.T)
    error = (h @ A - y) / len(x)
    return np.asarray(((error @ A.T) * (1 - h**2)).T @ x)


def _not_averaged(x: Array, y: Array, W: Array, A: Array) -> Array:
    return len(x) * _gradient(x, y, W, A)


def _no_slope(x: Array, y: Array, W: Array, A: Array) -> Array:
    error = (np.tanh(x @ W.T) @ A - y) / len(x)
    return np.asarray((error @ A.T).T @ x)


def _wrong_slope(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = np.tanh(x @ W.T)
    error = (h @ A - y) / len(x)
    return np.asarray(((error @ A.T) * (1 - h)).T @ x)


@exercise(
    "08-gradient",
    hint="Go backward from the outputs: the error of an example, through A to the hidden values, times the slope of "
    "tanh there, and then on to the inputs. Shapes help: the result has that of W.",
    why="An outer product of what comes back to the hidden layer and what went in, averaged over the examples: a "
    "matrix whose rank is at most their number.",
    wrong=[
        _not_averaged,
        _no_slope,
        _wrong_slope,
        lambda x, y, W, A: -_gradient(x, y, W, A),
        lambda x, y, W, A: _gradient(x, y, W, A).T,
        lambda x, y, W, A: np.tanh(x @ W.T).T @ (np.tanh(x @ W.T) @ A - y) / len(x),
        0.5,
    ],
)
def gradient(answer: Any) -> str | None:
    """A function for the gradient of the loss with respect to the hidden weights."""
    rng = np.random.default_rng(110)
    shapes = [(6, 4, 5, 3), (1, 3, 7, 2)]  # examples, inputs, hidden, outputs
    inputs = [
        (rng.normal(size=(n, m)), rng.normal(size=(n, c)), rng.normal(size=(k, m)), rng.normal(size=(k, c)))
        for n, m, k, c in shapes
    ]
    mistakes = {
        "that is the gradient of a sum over the examples, and the loss is their mean": _not_averaged,
        "the slope of tanh is missing": _no_slope,
        "the slope of tanh is not that: differentiate it once more": _wrong_slope,
        "the size is right, the sign is not: a gradient points uphill": lambda x, y, W, A: -_gradient(x, y, W, A),
        "that is transposed: it has the shape of W turned around": lambda x, y, W, A: _gradient(x, y, W, A).T,
    }
    return agrees(answer, _gradient, inputs, mistakes=mistakes)


@exercise(
    "08-predict-count",
    hint="The outputs depend on the inputs only through some of their directions. How many are there to learn?",
    why="What there is to learn are directions of the input, and each becomes a spike once it is strong enough.",
    wrong=["one an output", "most of them", 4],
)
def predict_count(answer: Any) -> str | None:
    """Prediction: how many eigenvalues training drives out of the noise."""
    answer = choice(answer, ["one a direction", "one an output", "most of them"])
    if answer == "one an output":
        return "the outputs are many mixtures of few things, and the hidden weights see the inputs"
    return None if answer == "one a direction" else "most of the input does not matter for this task"


def _found(W: Array, T: Array) -> Array:
    V = np.linalg.svd(W, full_matrices=False)[2][: T.shape[1]]
    return np.asarray(((V @ T) ** 2).sum(axis=1))


def _lengths(W: Array, T: Array) -> Array:
    return np.sqrt(_found(W, T))


def _one_by_one(W: Array, T: Array) -> Array:
    V = np.linalg.svd(W, full_matrices=False)[2][: T.shape[1]]
    return np.asarray(np.einsum("km,mk->k", V, T) ** 2)


def _weakest(W: Array, T: Array) -> Array:
    V = np.linalg.svd(W, full_matrices=False)[2][-T.shape[1] :]
    return np.asarray(((V @ T) ** 2).sum(axis=1))


def _columns(W: Array, T: Array) -> Array:
    Vt = np.linalg.svd(W, full_matrices=False)[2]
    return np.asarray(((Vt[:, : T.shape[1]].T @ T) ** 2).sum(axis=1))


@exercise(
    "08-overlap",
    hint="numpy's svd returns the right singular vectors as rows, the strongest first. The columns of T are "
    "orthonormal, so a squared length within their span is a sum of squared scalar products.",
    why="1 for a vector within the teacher's directions, and about r/M, next to nothing, for a random one.",
    wrong=[
        _lengths,
        _one_by_one,
        _weakest,
        _columns,
        lambda W, T: _found(W, T).mean(),
        lambda W, T: np.ones(T.shape[1]),
        0.99,
    ],
)
def overlap(answer: Any) -> str | None:
    """A function for how much of the leading singular vectors lies in the teacher's directions."""
    rng = np.random.default_rng(111)
    inputs = []
    for hidden, M, r in ((9, 6, 2), (30, 12, 3)):
        T = np.linalg.qr(rng.normal(size=(M, r)))[0]
        inputs.append((rng.normal(size=(hidden, M)) + 2 * rng.normal(size=(hidden, r)) @ T.T, T))
    mistakes = {
        "these are lengths, and squared lengths are asked for": _lengths,
        "each vector is compared with one column of T only: a vector between two of them is found, too": _one_by_one,
        "these are the weakest singular vectors": _weakest,
        "the rows of what svd returns are the singular vectors, not the columns": _columns,
    }
    return agrees(answer, _found, inputs, mistakes=mistakes)


@exercise(
    "08-predict-law",
    hint="The law holds for an update that knows nothing of the noise it is added to. Which neurons does training use?",
    why="Training uses the neurons that lean towards a direction by chance, and so adds where there was some already.",
    wrong=["on the law", "below the law", 1.0],
)
def predict_law(answer: Any) -> str | None:
    """Prediction: where the spikes stand, measured against the law of an independent update."""
    answer = choice(answer, ["below the law", "on the law", "beyond the law"])
    if answer == "on the law":
        return "that would be so if the update had been chosen without a look at the initial weights"
    return None if answer == "beyond the law" else "training looks at the noise, and does not work against it"


@cache
def _well_trained() -> int:
    alphas = [fit_power_law(gaussian_spectrum(400, 200, rng=k).nonzero_eigenvalues).alpha for k in range(100)]
    return sum(2 <= alpha <= 6 for alpha in alphas)


@exercise(
    "08-alpha-of-noise",
    hint="fit_power_law(gaussian_spectrum(400, 200, rng=k).nonzero_eigenvalues).alpha for every k, and count.",
    why="No training at all, and yet every so often an alpha in the range that is called well trained.",
    wrong=[0, 100, 5],
)
def alpha_of_noise(answer: Any) -> str | None:
    """The number of untrained matrices with an alpha from 2 to 6."""
    k = whole(answer)
    if not 0 <= k <= 100:
        return "it is a count among 100 matrices"
    return near(k, _well_trained(), rtol=0)


@exercise(
    "08-learning-rate",
    hint="A batch four times as large makes a quarter of the steps. How long must each be, to get as far in all?",
    why="Steps as many times longer as they are fewer: the ratio of learning rate and batch size stays as it was.",
    wrong=[0.05, 0.0125, 0.1, 0.8, 4],
)
def learning_rate(answer: Any) -> str | None:
    """The learning rate with which the larger batch does the same."""
    x = number(answer)
    if close(x, 0.05):
        return "with that one it makes a quarter of the way in as many epochs"
    if close(x, 0.05 / 4):
        return "that is the other way round: the larger batch makes fewer steps"
    if close(x, 0.05 * 2):
        return "a square root is another rule (for other optimisers); count how far the steps lead in all"
    return near(x, 0.05 * 80 / 20)


@exercise(
    "08-predict-random",
    hint="True labels share a few directions. How many directions do random ones have in common?",
    why="Every example has to be learnt by itself, and that takes more weight than a rule.",
    wrong=["less far", "as far", 2.0],
)
def predict_random(answer: Any) -> str | None:
    """Prediction: how far the weights move for random labels."""
    answer = choice(answer, ["less far", "as far", "farther"])
    if answer == "less far":
        return "there is less to learn from, and more to learn"
    return None if answer == "farther" else "a rule and a list of exceptions do not cost the same"
