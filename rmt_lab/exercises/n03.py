"""Exercises of notebook 03, signal in noise."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from ..ensembles.matrices import gaussian
from . import exercise, prediction, question
from .answers import Array, agrees, close, near, number

_N, _M = 800, 400  # of the notebook's noise, drawn with seed 0


@prediction(
    "03-predict-threshold",
    options=["at once", "below the edge", "at the edge"],
    why="In its own direction the pattern has the help of the noise, so it need not be stronger than the noise alone.",
)
def predict_threshold(theta: float) -> str:
    """At which strength the largest singular value leaves the noise."""
    return "at once" if theta < 8 else "below the edge" if theta < _N**0.5 + _M**0.5 - 4 else "at the edge"


@prediction(
    "03-predict-half",
    options=None,
    why="For a square matrix, half the edge is the threshold itself, and detection only begins there.",
)
def predict_half(found: float) -> float:
    """In how many of 40 matrices a pattern of half the edge is found."""
    return found


question(
    "03-no-outlier",
    "What follows when no eigenvalue stands out",
    points=[
        "a pattern below the threshold may be there, and more than one",
        "also above the threshold a small matrix may miss it",
        "the strength that would have been seen at this shape and level",
    ],
)


def _strength(s: float, noise_values: Array, N: int) -> float:
    M = len(noise_values)
    phi_M = np.mean(s / (s**2 - noise_values**2))
    return float(1 / np.sqrt(phi_M * (M * phi_M + (N - M) / s) / N))


def _one_side(s: float, noise_values: Array, N: int) -> float:
    return float(1 / np.mean(s / (s**2 - noise_values**2)))


def _no_zeros(s: float, noise_values: Array, N: int) -> float:
    return float(np.sqrt(N / len(noise_values)) * _one_side(s, noise_values, N))


def _all_values(s: float, noise_values: Array, N: int) -> Array:
    return np.r_[noise_values, np.zeros(N - len(noise_values))]


@exercise(
    "03-strength",
    hint="A trace of a function of a matrix is a sum over its eigenvalues. How many has each of the two matrices?",
    why="It finds the strength from any noise spectrum, Marchenko-Pastur or not.",
    wrong=[
        _one_side,
        _no_zeros,
        lambda s, noise_values, N: _strength(s, noise_values, N) ** 2,
        lambda s, noise_values, N: 1 / _strength(s, noise_values, N),
        lambda s, noise_values, N: 1 / _strength(s, noise_values, N) ** 2,
        lambda s, noise_values, N: _strength(s, np.sqrt(noise_values), N),
        lambda s, noise_values, N: _strength(s, noise_values, len(noise_values)),
        lambda s, noise_values, N: _strength(s, noise_values[1:], N),
        lambda s, noise_values, N: s / (s**2 - noise_values**2),
        lambda s, noise_values, N: s - noise_values[-1],
        lambda s, noise_values, N: np.sqrt(s**2 - noise_values[-1] ** 2),
        lambda s, noise_values, N: s,
        lambda s, noise_values: s,
        50.0,
    ],
    right=[
        _strength,
        lambda *given: np.float64(_strength(*given)),
        lambda s, x, N: (np.mean(s / (s**2 - x**2)) * np.sum(s / (s**2 - _all_values(s, x, N) ** 2)) / N) ** -0.5,
        lambda s, x, N: float(
            np.sqrt(
                len(x) * N / (sum(s / (s**2 - v**2) for v in x) * sum(s / (s**2 - v**2) for v in _all_values(s, x, N)))
            )
        ),
        lambda s, x, N: np.exp(-0.5 * np.log(_strength(s, x, N) ** -2)),
        lambda s, x, N: _strength(1.0, np.divide(x, s), N) * s,
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
        "that is the outlier itself, which overstates the strength": lambda s, x, N: s,
    }
    return agrees(answer, _strength, inputs, mistakes=mistakes)


question(
    "03-weak-direction",
    "What a direction just above the threshold is worth",
    points=[
        "the squared overlap at that strength, from the law",
        "which part of the vector is noise, and that the longer vector is worse",
        "a check on other data or another matrix before the direction is interpreted",
    ],
)


@exercise(
    "03-samples",
    hint="The threshold is d > sqrt(M/N). Solve it for N.",
    why="Observations go with the inverse square of the excess: half the excess asks for four times the data.",
    wrong=[
        1600,
        400 / 0.2,
        400 / 1.2**2,
        400 * 0.2**2,
        4000,
        (400 / 0.2) ** 2,
        0.2**2 / 400,
        1e5,
        480,
        0,
        -1e4,
        "1600",
    ],
    right=[400 / 0.2**2, [10000], np.array([1e4]), 10001, Decimal(10000), (np.float32(10000),), 1e4],
)
def samples(answer: Any) -> str | None:
    """Observations before a direction with 20 % more variance can show."""
    x = number(answer)
    if close(x, 400 / 0.2):
        return "the ratio M/N stands under a root"
    if close(x, 400 / 1.2**2):
        return "d is what the variance has in excess of the others, not the variance itself"
    if close(x, 400 * 0.2**2) or close(x, 0.2**2 / 400):
        return "a smaller excess needs more observations, not fewer"
    return near(x, 400 / 0.2**2, rtol=1e-3)


@cache
def _largest() -> float:
    return float(np.linalg.norm(gaussian(_N, _M, rng=0), 2))


@exercise(
    "03-aligned",
    hint="Write the noise as the sum of its singular components s_k u_k v_kᵀ. Which of them does the pattern change?",
    why="The pattern adds to one singular value and leaves the others alone: there is no threshold for a direction "
    "that was chosen by looking at the noise.",
    wrong=lambda: [
        _N**0.5 + _M**0.5,
        48.3,
        23.8,
        10,
        50.0,
        1e3,
        _largest(),
        np.hypot(_largest(), 10),
        (_largest() + 10) ** 2 / _N,
        _largest() - 10,
        10 * _largest(),
        -_largest() - 10,
    ],
    right=lambda: [
        _largest() + 10,
        [_largest() + 10],
        np.array([_largest() + 10]),
        np.float32(_largest() + 10),
        (round(_largest() + 10, 2),),
        Fraction(round(_largest() + 10, 3)),
        np.array([[_largest() + 10]]),
    ],
)
def aligned(answer: Any) -> str | None:
    """The largest singular value, with a pattern along the noise's own direction."""
    x, largest = number(answer), _largest()
    if close(x, largest, 1e-4) or close(x, _N**0.5 + _M**0.5, 2e-3):
        return "that would be so for a pattern that is independent of the noise"
    if close(x, np.hypot(largest, 10), 1e-3):
        return "lengths add like that at right angles, and these two components are parallel"
    if close(x, (largest + 10) ** 2 / _N, 1e-3):
        return "that is an eigenvalue of WᵀW / N, and a singular value is asked for"
    return near(x, largest + 10, rtol=2e-3)
