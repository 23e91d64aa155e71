"""Exercises of notebook 03, signal in noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ensembles.matrices import gaussian
from . import exercise
from .answers import Array, agrees, choice, close, near, number

_N, _M = 800, 400  # of the notebook's noise, drawn with seed 0


@exercise(
    "03-predict-threshold",
    hint="Must the pattern be stronger than the noise's own best direction, if the noise also adds to the pattern's?",
    why="The pattern has the noise's help: it shows at half the edge or earlier, and yet not at any strength.",
    wrong=["at once", "at the edge", "never", 48.3],
)
def predict_threshold(answer: Any) -> str | None:
    """Prediction: when the largest singular value leaves the noise."""
    answer = choice(answer, ["at once", "below the edge", "at the edge"])
    if answer == "at once":
        return "a weak pattern in a random direction is one of very many, and none of them stands out"
    return (
        None if answer == "below the edge" else "that would be so if the pattern stood alone, without the noise on it"
    )


def _strength(s: float, noise_values: Array, N: int) -> float:
    M = len(noise_values)
    phi_M = np.mean(s / (s**2 - noise_values**2))
    return float(1 / np.sqrt(phi_M * (M * phi_M + (N - M) / s) / N))


def _one_side(s: float, noise_values: Array, N: int) -> float:
    return float(1 / np.mean(s / (s**2 - noise_values**2)))


def _no_zeros(s: float, noise_values: Array, N: int) -> float:
    return float(np.sqrt(N / len(noise_values)) * _one_side(s, noise_values, N))


@exercise(
    "03-strength",
    hint="A trace of a function of a matrix is a sum over its eigenvalues. How many has each of the two matrices?",
    why="It finds the strength from any noise spectrum, Marchenko-Pastur or not.",
    wrong=[
        _one_side,
        _no_zeros,
        lambda s, noise_values, N: _strength(s, noise_values, N) ** 2,
        lambda s, noise_values, N: 1 / _strength(s, noise_values, N) ** 2,
        lambda s, noise_values, N: s,
        50.0,
    ],
)
def strength(answer: Any) -> str | None:
    """The strength behind an outlier, from the singular values of the noise."""
    rng = np.random.default_rng(104)
    inputs = [(4.0, np.array([1.0, 2.0, 3.0]), 3), (5.0, np.array([1.0, 2.0]), 6)]
    inputs += [(30.0, np.sort(rng.uniform(0, 25, M)), N) for M, N in ((40, 60), (80, 80))]
    mistakes = {
        "both traces are taken over M: the other matrix has N eigenvalues": _one_side,
        "the zeros of the larger matrix are left out: they are eigenvalues too": _no_zeros,
        "that is the square of the strength": lambda s, x, N: _strength(s, x, N) ** 2,
        "that is upside down": lambda s, x, N: 1 / _strength(s, x, N),
    }
    return agrees(answer, _strength, inputs, mistakes=mistakes)


@exercise(
    "03-samples",
    hint="The threshold is d > sqrt(M/N). Solve it for N.",
    why="Observations go with the inverse square of the excess: half the excess asks for four times the data.",
    wrong=[1600, 400 / 0.2, 400 / 1.2**2, 400 * 0.2**2, 4000, (400 / 0.2) ** 2],
)
def samples(answer: Any) -> str | None:
    """Observations before a direction with 20 % more variance can show."""
    x = number(answer)
    if close(x, 400 / 0.2):
        return "the ratio M/N stands under a root"
    if close(x, 400 / 1.2**2):
        return "d is what the variance has in excess of the others, not the variance itself"
    return near(x, 400 / 0.2**2, rtol=1e-3)


@exercise(
    "03-aligned",
    hint="Write the noise as the sum of its singular components s_k u_k v_k'. Which of them does the pattern change?",
    why="The pattern adds to one singular value and leaves the others alone: there is no threshold for a direction "
    "that was chosen by looking at the noise.",
    wrong=[_N**0.5 + _M**0.5, 48.3, 23.8, 10, 50.0, 1e3],
)
def aligned(answer: Any) -> str | None:
    """The largest singular value, with a pattern along the noise's own direction."""
    x, largest = number(answer), float(np.linalg.norm(gaussian(_N, _M, rng=0), 2))
    if close(x, largest, 1e-4) or close(x, _N**0.5 + _M**0.5, 2e-3):
        return "that would be so for a pattern that knows nothing of the noise"
    if close(x, np.hypot(largest, 10), 1e-3):
        return "lengths add like that at right angles, and these two components are parallel"
    if close(x, (largest + 10) ** 2 / _N, 1e-3):
        return "that is an eigenvalue of W'W / N, and a singular value is asked for"
    return near(x, largest + 10, rtol=2e-3)
