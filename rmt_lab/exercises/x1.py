"""Exercises of the extra notebook x1, the resolvent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..laws.marchenko_pastur import MarchenkoPastur
from . import exercise, prediction, question
from .answers import agrees


def _m(z: complex, Q: float, sigma: float) -> complex:
    return complex(MarchenkoPastur(Q, sigma).stieltjes(z))


def _roots(z: complex, Q: float, sigma: float) -> Any:
    return np.roots([sigma**2 * z / Q, z - sigma**2 + sigma**2 / Q, 1])


@prediction(
    "x1-one-row",
    options=["it grows like M", "it grows like the root of M", "it does not grow"],
    why="Without one row each eigenvalue moves past at most one neighbour, so the trace changes by at most 1/η.",
)
def one_row(ratio: float) -> str:
    """How the change of the trace without one row depends on M, from M = 25 to 400."""
    return "it grows like M" if ratio > 8 else "it grows like the root of M" if ratio > 2 else "it does not grow"


question(
    "x1-two-limits",
    "Why η may not be too small for one matrix",
    points=[
        "η far above the mean spacing: every bell covers many eigenvalues, and the curve is that of the law",
        "η far below it: every eigenvalue has a bell of its own, and the curve never comes to the law",
        "M goes to infinity first, and η to 0 afterwards",
    ],
)


@exercise(
    "x1-root",
    hint="The coefficients of m^2, of m and the constant stand in the second form of (4). Which root has Im m > 0?",
    why="The imaginary part of m, over pi, is the density blurred by the distance of z from the real axis.",
    wrong=[
        lambda z, Q, sigma: _m(z, Q, sigma).conjugate(),
        lambda z, Q, sigma: Q / (sigma**2 * z * _m(z, Q, sigma)),
        lambda z, Q, sigma: _roots(z, Q, sigma),
        lambda z, Q, sigma: _roots(z, Q, sigma).mean(),
        lambda z, Q, sigma: _m(z, Q, 1.0),
        lambda z, Q, sigma: _m(z, Q, sigma**2),
        lambda z, Q, sigma: _m(z, 1 / Q, sigma),
        lambda z, Q, sigma: _m(z, Q, sigma).imag,
        lambda z, Q, sigma: _m(z, Q, sigma).imag / np.pi,
        lambda z, Q, sigma: MarchenkoPastur(Q, sigma).pdf(z.real),
        lambda z, Q: z / Q,
        1 + 1j,
    ],
    right=[
        lambda z, Q, sigma: _roots(z, Q, sigma)[np.argmax(_roots(z, Q, sigma).imag)],
        lambda z, Q, sigma: MarchenkoPastur(Q, sigma).stieltjes(z),
        lambda z, Q, sigma: sorted(_roots(z, Q, sigma), key=lambda m: m.imag)[-1],
        lambda z, Q, sigma: next(m for m in _roots(z, Q, sigma) if m.imag > 0),
        lambda z, Q, sigma: np.array(_m(z, Q, sigma)),
        lambda z, Q, sigma: max(_by_hand(z, Q, sigma), key=lambda m: m.imag),
    ],
)
def root(answer: Any) -> str | None:
    """The Stieltjes transform of the law, from its quadratic equation."""
    rng = np.random.default_rng(203)
    x, y, Q, sigma = (rng.uniform(*span, 8).round(2) for span in ((0.2, 4), (0.05, 1), (1.1, 8), (0.5, 2)))
    mistakes = {
        "the imaginary part has the wrong sign": lambda z, Q, sigma: np.conj(_m(z, Q, sigma)),
        "this is the other root of the equation": lambda z, Q, sigma: Q / (sigma**2 * z * _m(z, Q, sigma)),
        "only the imaginary part comes back, and m itself is asked for": lambda z, Q, sigma: _m(z, Q, sigma).imag,
        "sigma plays no part in it": lambda z, Q, sigma: _m(z, Q, 1.0),
    }
    return agrees(answer, _m, list(zip(x + 1j * y, Q, sigma, strict=True)), mistakes=mistakes)


def _by_hand(z: complex, Q: float, sigma: float) -> list[complex]:
    a, b = sigma**2 * z / Q, z - sigma**2 + sigma**2 / Q
    return [(-b + sign * np.sqrt(b * b - 4 * a)) / (2 * a) for sign in (1, -1)]


def _edges(Q: float, sigma: float) -> Any:
    return np.array(MarchenkoPastur(Q, sigma).support())


@exercise(
    "x1-edges",
    hint="Multiply the square out: the discriminant is x^2 + b x + c. Find b and c, then np.roots, and sort.",
    why="Where the discriminant is zero the root becomes real, and the density ends.",
    wrong=[
        lambda Q, sigma: _edges(Q, sigma)[::-1],
        lambda Q, sigma: _edges(Q, 1.0),
        lambda Q, sigma: _edges(Q, sigma) / sigma,
        lambda Q, sigma: _edges(Q, sigma) ** 0.5,
        lambda Q, sigma: _edges(Q, sigma)[1],
        lambda Q, sigma: _edges(1 / Q, sigma),
        lambda Q, sigma: -_edges(Q, sigma),
        lambda Q, sigma: sigma**2 * np.array([1 - 1 / Q, 1 + 1 / Q]),
        lambda Q, sigma: sigma**2 * np.array([1 - 1 / Q, 1 + 1 / Q]) ** 2,
        lambda Q, sigma: np.array([1 - 1 / Q**0.5, 1 + 1 / Q**0.5]),
        lambda Q: _edges(Q, 1.0),
        [0.25, 2.25],
    ],
    right=[
        lambda Q, sigma: np.sort(np.roots([1, -2 * sigma**2 * (1 + 1 / Q), sigma**4 * (1 - 1 / Q) ** 2])),
        lambda Q, sigma: sigma**2 * np.array([1 - Q**-0.5, 1 + Q**-0.5]) ** 2,
        lambda Q, sigma: list(_edges(Q, sigma)),
        lambda Q, sigma: MarchenkoPastur(Q, sigma).support(),
        lambda Q, sigma: (sigma**2 * (1 - 1 / np.sqrt(Q)) ** 2, sigma**2 * (1 + 1 / np.sqrt(Q)) ** 2),
        lambda Q, sigma: sigma**2 * (1 + 1 / Q + np.array([-2, 2]) / np.sqrt(Q)),
    ],
)
def edges(answer: Any) -> str | None:
    """The two edges, as the zeros of the discriminant."""
    rng = np.random.default_rng(204)
    inputs = [(float(Q), float(sigma)) for Q, sigma in rng.uniform((1.1, 0.5), (8, 2), (6, 2)).round(2)]
    mistakes = {
        "the upper edge comes first, and ascending order is asked for": lambda Q, sigma: _edges(Q, sigma)[::-1],
        "sigma plays no part in it": lambda Q, sigma: _edges(Q, 1.0),
        "both signs are wrong: check the sign of the coefficient of x": lambda Q, sigma: -_edges(Q, sigma),
    }
    return agrees(answer, _edges, inputs, mistakes=mistakes)


question(
    "x1-which-step",
    "Where correlated columns break the derivation",
    points=[
        "steps 1 and 2 are identities: they hold for every matrix",
        "step 3: the products of different columns no longer have expectation zero",
        "what stands instead of the trace of G is the trace of G C, with C the covariance of a row",
    ],
)
