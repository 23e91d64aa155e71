"""Exercises of the extra x5, alpha and the shape of the matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import exercise, prediction, question
from .answers import agrees


@prediction(
    "x5-square",
    options=["below 3", "about 3.5", "above 4"],
    why="The matrix has as many rows as columns, so its eigenvalues stray far from those of the population.",
)
def square(alpha: float) -> str:
    """Alpha of a square matrix whose population has the exponent 3.5."""
    return "below 3" if alpha < 3 else "above 4" if alpha > 4 else "about 3.5"


def _lifted(alpha: float, c: float, x: float) -> float:
    return 1 + (alpha - 1) * x / (x - c)


@exercise(
    "x5-lifted",
    hint="Take the logarithm of S, then the derivative: d ln(x - c) / d ln x = x / (x - c).",
    why="Every lift makes a power law look steeper, most of all where its values are small.",
    wrong=[
        lambda alpha, c, x: alpha,
        lambda alpha, c, x: (alpha - 1) * x / (x - c),
        lambda alpha, c, x: alpha * x / (x - c),
        lambda alpha, c, x: 1 + (alpha - 1) * (x - c) / x,
        lambda alpha, c, x: 1 + (alpha - 1) * x / (x + c),
        lambda alpha, c, x: 1 - (alpha - 1) * x / (x - c),
        lambda alpha, c, x: 1 + (alpha - 1) / (x - c),
        lambda alpha, c, x: 1 + alpha * x / (x - c),
        lambda alpha, c, x: alpha + c,
        lambda alpha, c, x: (x - c) ** (1 - alpha),
        lambda alpha, c, x: _lifted(alpha, x, c),
        4.0,
    ],
    right=[
        _lifted,
        lambda a, lift, at: a + (a - 1) * lift / (at - lift),
        lambda alpha, c, x: np.array(1 + (alpha - 1) / (1 - c / x)),
        lambda *args: (args[0] * args[2] - args[1]) / (args[2] - args[1]),
        lambda alpha, c, x, h=1e-7: 1 - (1 - alpha) * (math.log(x * (1 + h) - c) - math.log(x * (1 - h) - c)) / (2 * h),
    ],
)
def lifted(answer: Any) -> str | None:
    """A function for the local exponent of a lifted power law."""
    return agrees(
        answer,
        _lifted,
        [(2.5, 1.0, 4.0), (3.5, 0.4, 1.5), (5.0, 0.0, 2.0), (3.0, 2.0, 7.0)],
        rtol=1e-4,
        mistakes={
            "this is the slope of S; the exponent is 1 more": lambda alpha, c, x: (alpha - 1) * x / (x - c),
            "this is the slope of the density, and that of S is asked for": lambda alpha, c, x: alpha * x / (x - c),
            "a lifted tail is steeper, and this exponent is smaller": lambda alpha, c, x: 1 + (alpha - 1) * (x - c) / x,
        },
    )


question(
    "x5-reviewer",
    "What to ask of a table that compares the alphas of two roles",
    points=[
        "whether the roles have the same shape",
        "what noise, or one population, gives at both shapes",
        "an exponent of the population with its interval, or windows of one shape",
    ],
)


@prediction(
    "x5-windows",
    options=["2.5, as the populations do", "about 1", "less than 0.5"],
    why="A window sees few columns, and half of its eigenvalues count as tail. Both hide the tail of the population.",
)
def windows(spread: float) -> str:
    """The windowed alphas of populations with exponents 2.5 and 5: how far apart."""
    return "less than 0.5" if spread < 0.5 else "about 1" if spread < 1.75 else "2.5, as the populations do"


def _common(shapes: Sequence[tuple[int, int]], Q: int) -> tuple[int, int]:
    columns = min(min(min(shape), max(shape) // Q) for shape in shapes)
    return Q * columns, columns


@exercise(
    "x5-window",
    hint="A layer of sides a >= b takes windows with at most b columns and at most a rows, and rows = Q columns.",
    why="The narrowest layer decides: FARMS looks at every layer through the window that fits all.",
    wrong=[
        lambda shapes, Q: (min(map(min, shapes)), min(map(min, shapes)) // Q),
        lambda shapes, Q: (Q * min(map(min, shapes)), min(map(min, shapes))),
        lambda shapes, Q: (Q * min(b for _, b in shapes), min(b for _, b in shapes)),
        lambda shapes, Q: _common(shapes, Q)[::-1],
        lambda shapes, Q: _common(shapes[:1], Q),
        lambda shapes, Q: _common(shapes[-1:], Q),
        lambda shapes, Q: _common(shapes, Q)[1],
        lambda shapes, Q: (max(map(max, shapes)), max(map(max, shapes)) // Q),
        lambda shapes, Q: (min(map(max, shapes)), min(map(max, shapes)) // Q),
        lambda shapes, Q: (min(map(max, shapes)), min(map(min, shapes))),
        lambda shapes, Q: min(shapes),
        (384, 192),
    ],
    right=[
        _common,
        lambda shapes, Q: [x * min(min(*s, max(s) // Q) for s in shapes) for x in (Q, 1)],
        lambda sides, ratio: next(
            (ratio * c, c) for c in range(5000, 0, -1) if all(c <= min(s) and ratio * c <= max(s) for s in sides)
        ),
        lambda shapes, Q: np.array([Q, 1]) * np.min([[min(s), max(s) // Q] for s in shapes]),
        lambda shapes, Q: tuple(float(x) for x in _common(shapes, Q)),
    ],
)
def window(answer: Any) -> str | None:
    """A function for the largest window of one shape that fits all layers."""
    inputs = [
        ([(576, 576), (576, 192), (1536, 576)], 2),
        ([(384, 384), (1536, 384)], 1),
        ([(100, 100), (60, 300)], 4),
        ([(300, 60), (90, 90), (1000, 80)], 3),
        ([(70, 50)], 3),
    ]
    return agrees(
        answer,
        _common,
        inputs,
        mistakes={
            "these are columns and rows, and rows come first": lambda shapes, Q: _common(shapes, Q)[::-1],
            "this window has too many rows for one of the layers": lambda shapes, Q: (
                Q * min(map(min, shapes)),
                min(map(min, shapes)),
            ),
        },
    )


question(
    "x5-which-way",
    "Which of the two ways to take, and what it cannot tell",
    points=[
        "windows need the weights, the exponent of the population needs the spectrum only",
        "windows remove the shape, but their number is not the exponent of the population",
        "the exponent of the population has a wide interval, and supposes a power law",
    ],
)
