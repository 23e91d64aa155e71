"""Exercises of notebook 08, what training does: the gradient, the directions that were found, and the schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import exercise, prediction, question
from .answers import Array, agrees


def _gradient(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = np.tanh(x @ W.T)
    error = (h @ A - y) / len(x)
    return np.asarray(((error @ A.T) * (1 - h**2)).T @ x)


def _one_by_one(x: Array, y: Array, W: Array, A: Array) -> Array:
    total = np.zeros_like(W)
    for i in range(len(x)):
        total += _gradient(x[i : i + 1], y[i : i + 1], W, A) / len(x)
    return total


def _not_averaged(x: Array, y: Array, W: Array, A: Array) -> Array:
    return len(x) * _gradient(x, y, W, A)


def _over_outputs(x: Array, y: Array, W: Array, A: Array) -> Array:
    return _gradient(x, y, W, A) / y.shape[1]


def _no_slope(x: Array, y: Array, W: Array, A: Array) -> Array:
    error = (np.tanh(x @ W.T) @ A - y) / len(x)
    return np.asarray((error @ A.T).T @ x)


def _wrong_slope(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = np.tanh(x @ W.T)
    error = (h @ A - y) / len(x)
    return np.asarray(((error @ A.T) * (1 - h)).T @ x)


def _slope_of_input(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = x @ W.T
    error = (np.tanh(h) @ A - y) / len(x)
    return np.asarray(((error @ A.T) * (1 - h**2)).T @ x)


def _no_tanh(x: Array, y: Array, W: Array, A: Array) -> Array:
    return np.asarray((((x @ W.T) @ A - y) / len(x) @ A.T).T @ x)


@exercise(
    "08-gradient",
    hint="Go backward from the outputs: the error of an example, through A to the hidden values, times the slope of "
    "tanh there, and then on to the inputs. Shapes help: the result has that of W.",
    why="It is an outer product of what comes back to the hidden layer and what went in, averaged over the examples.",
    wrong=[
        _not_averaged,
        _over_outputs,
        _no_slope,
        _wrong_slope,
        _slope_of_input,
        _no_tanh,
        lambda x, y, W, A: -_gradient(x, y, W, A),
        lambda x, y, W, A: _gradient(x, y, W, A).T,
        lambda x, y, W, A: 2 * _gradient(x, y, W, A),
        lambda x, y, W, A: np.tanh(x @ W.T).T @ (np.tanh(x @ W.T) @ A - y) / len(x),
        lambda x, y, W, A: W - _gradient(x, y, W, A),
        lambda x, y, W, A: _gradient(x, np.zeros_like(y), W, A),
    ],
    right=[
        _gradient,
        _one_by_one,
        lambda x, y, W, A: _gradient(x, y, W, A).tolist(),
        lambda x, y, W, A: np.einsum("nh,ni->hi", _back(x, y, W, A), x) / len(x),
        lambda *args: np.float32(1) * _gradient(*args),
        lambda x, y, W, A: np.cosh(x @ W.T).T ** -2.0 * (A @ (np.tanh(x @ W.T) @ A - y).T) @ x / len(x),
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
        "the loss is not divided by the number of outputs": _over_outputs,
        "the slope of tanh is missing": _no_slope,
        "the slope of tanh is another one: differentiate it once more": _wrong_slope,
        "the size is right, the sign is not: a gradient points uphill": lambda x, y, W, A: -_gradient(x, y, W, A),
        "that is transposed: it has the shape of W turned around": lambda x, y, W, A: _gradient(x, y, W, A).T,
        "that is twice as large: the loss has a factor 1/2": lambda x, y, W, A: 2 * _gradient(x, y, W, A),
    }
    return agrees(answer, _gradient, inputs, mistakes=mistakes)


def _back(x: Array, y: Array, W: Array, A: Array) -> Array:
    h = np.tanh(x @ W.T)
    return np.asarray(((h @ A - y) @ A.T) * (1 - h**2))


@prediction("08-count", options=None, why="Each direction that is strong enough becomes one spike.")
def count(spikes: int) -> int:
    """The number of 200 eigenvalues beyond the noise edge after training"""
    return spikes


def _vectors(W: Array, T: Array) -> Array:
    return np.asarray(np.linalg.svd(W, full_matrices=False)[2][: T.shape[1]])


def _found(W: Array, T: Array) -> Array:
    return np.asarray(((_vectors(W, T) @ T) ** 2).sum(axis=1))


def _lengths(W: Array, T: Array) -> Array:
    return np.sqrt(_found(W, T))


def _each_with_its_own(W: Array, T: Array) -> Array:
    return np.asarray(np.einsum("km,mk->k", _vectors(W, T), T) ** 2)


def _weakest(W: Array, T: Array) -> Array:
    V = np.linalg.svd(W, full_matrices=False)[2][-T.shape[1] :]
    return np.asarray(((V @ T) ** 2).sum(axis=1))


def _columns(W: Array, T: Array) -> Array:
    Vt = np.linalg.svd(W, full_matrices=False)[2]
    return np.asarray(((Vt[:, : T.shape[1]].T @ T) ** 2).sum(axis=1))


def _of_the_teacher(W: Array, T: Array) -> Array:
    return np.asarray(((_vectors(W, T) @ T) ** 2).sum(axis=0))


def _by_eigenvectors(W: Array, T: Array) -> Array:
    V = np.linalg.eigh(W.T @ W)[1][:, ::-1][:, : T.shape[1]]
    return np.asarray(((T.T @ V) ** 2).sum(axis=0))


@exercise(
    "08-overlap",
    hint="numpy's svd returns the right singular vectors as rows, the strongest first. The columns of T are "
    "orthonormal, so a squared length within their span is a sum of squared scalar products.",
    why="It is 1 for a vector within the teacher's directions, and about r/M, next to nothing, for a random one.",
    wrong=[
        _lengths,
        _each_with_its_own,
        _weakest,
        _columns,
        _of_the_teacher,
        lambda W, T: _found(W, T).mean(),
        lambda W, T: _found(W, T)[::-1],
        lambda W, T: np.ones(T.shape[1]),
        lambda W, T: (_vectors(W, T) @ T).sum(axis=1) ** 2,
        lambda W, T: np.abs(_vectors(W, T) @ T).max(axis=1),
        lambda W, T: _vectors(W, T) @ T,
        lambda W, T: np.sum((np.linalg.svd(W, full_matrices=False)[2] @ T) ** 2, axis=1),
    ],
    right=[
        _found,
        _by_eigenvectors,
        lambda W, T: list(_found(W, T)),
        lambda W, T: np.diag(_vectors(W, T) @ T @ T.T @ _vectors(W, T).T),
        lambda W, T: np.linalg.norm(T.T @ _vectors(W, T).T, axis=0) ** 2,
        lambda W, T: 1 - np.sum((_vectors(W, T) - _vectors(W, T) @ T @ T.T) ** 2, axis=1),
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
        "each vector is compared with one column of T only: a vector between two of them is found, too":
            _each_with_its_own,
        "these are the weakest singular vectors": _weakest,
        "the rows of what svd returns are the singular vectors, not the columns": _columns,
        "that is how much of each column of T lies within the singular vectors; ask it the other way round":
            _of_the_teacher,
    }  # fmt: skip
    return agrees(answer, _found, inputs, mistakes=mistakes)


@prediction(
    "08-law",
    options=["below the law", "on the law", "beyond the law"],
    why="The law asks for an update that does not depend on the noise, and training starts from that noise.",
)
def law(ratio: float) -> str:
    """The spikes of the trained matrix, measured against the law of an independent update"""
    return "below the law" if ratio < 0.97 else "on the law" if ratio < 1.03 else "beyond the law"


def _share(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (0.55 + 0.45 * np.cos(np.pi * step / steps)))


def _to_zero(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * step / steps)))


def _whole_wave(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (0.55 + 0.45 * np.cos(2 * np.pi * step / steps)))


def _quarter_wave(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (0.1 + 0.9 * np.cos(np.pi * step / steps / 2)))


def _no_warmup(step: int, steps: int) -> float:
    return float(0.55 + 0.45 * np.cos(np.pi * step / steps))


def _unbounded(step: int, steps: int) -> float:
    return float((step + 1) / 100 * (0.55 + 0.45 * np.cos(np.pi * step / steps)))


def _linear(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (1 - 0.9 * step / steps))


def _in_degrees(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) * (0.55 + 0.45 * np.cos(180 * step / steps)))


def _added(step: int, steps: int) -> float:
    return float(min(1.0, (step + 1) / 100) + 0.55 + 0.45 * np.cos(np.pi * step / steps))


def _always_2400(step: int, steps: int) -> float:
    return _share(min(step, 2400), 2400)


@exercise(
    "08-schedule",
    hint="A cosine from 1 to -1 over half a wave is cos(pi * step / steps). Stretch and lift it so that it runs from 1 "
    "to 0.1. Then multiply by the warm-up, which is never more than 1.",
    why="The rate at a step depends on the number of steps that were planned.",
    wrong=[
        _to_zero,
        _whole_wave,
        _quarter_wave,
        _no_warmup,
        _unbounded,
        _linear,
        _in_degrees,
        _added,
        _always_2400,
        lambda step, steps: _share(steps - step, steps),
        lambda step, steps: 1e-3 * _share(step, steps),
        lambda step, steps: 0.1,
    ],
    right=[
        _share,
        lambda step, steps: np.array([_share(step, steps)])[0],
        lambda step, steps: min(step + 1, 100) / 100 * (0.1 + 0.9 * np.cos(np.pi * step / steps / 2) ** 2),
        lambda step, steps: np.clip((step + 1) / 100, 0, 1) * (1 - 0.9 * np.sin(np.pi * step / (2 * steps)) ** 2),
        lambda step, steps: (1.0 if step > 98 else (step + 1) / 100) * (0.55 + 0.45 * np.cos(np.pi * step / steps)),
        lambda s, total: np.float64(0.1 + 0.9 * (1 + np.cos(np.pi * s / total)) / 2) * min(1, (s + 1) / 100),
    ],
)
def schedule(answer: Any) -> str | None:
    """A function for the learning rate of a step, as a share of the peak."""
    inputs = [(0, 1000), (37, 1000), (99, 1000), (700, 1000), (1000, 1000), (2400, 5000), (4000, 5000)]
    mistakes = {
        "the cosine ends at 0, and a tenth is asked for": _to_zero,
        "the rate falls and rises again: take half a wave": _whole_wave,
        "that is a quarter of a wave; half a wave starts and ends flat": _quarter_wave,
        "the warm-up is missing": _no_warmup,
        "the warm-up grows beyond 1": _unbounded,
        "that is a straight line, and a cosine is asked for": _linear,
        "np.cos takes radians": _in_degrees,
        "both factors are multiplied, not added": _added,
        "the number of steps must be the argument": _always_2400,
    }
    return agrees(answer, _share, inputs, mistakes=mistakes)


@prediction(
    "08-layers",
    options=None,
    why="The loss falls as soon as directions work together, long before most of them stand out.",
)
def layers(count: int) -> int:
    """Matrices with a value beyond noise when the loss has fallen half of its way"""
    return count


question(
    "08-no-spike",
    "What a spectrum without a spike says about learning",
    points=[
        "a direction below the threshold of notebook 03 does not show in the largest eigenvalue",
        "the student: most of the loss was gone while one spike stood outside",
        "the loss on new examples tells whether something was learnt, and the spectrum does not",
        "what can be said: no direction is strong, compared with noise of this size",
    ],
)

question(
    "08-same-step",
    "How to compare a run of 2400 steps with one of 9600",
    points=[
        "at step 2400 the learning rates differ: one run is at a tenth of its peak, the other near its peak",
        "equal shares of the schedule have equal rates, but different numbers of updates",
        "equal updates early in both runs have nearly equal rates, but different shares of the schedule",
        "no choice makes all three equal, so the choice belongs in the report",
    ],
)
