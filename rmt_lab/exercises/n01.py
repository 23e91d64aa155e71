"""Exercises of notebook 01, the Marchenko-Pastur law."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from ..laws.marchenko_pastur import MarchenkoPastur
from . import exercise, prediction, question
from .answers import agrees, close, near, number


@prediction(
    "01-predict-shape",
    options=["wider", "narrower", "the same width"],
    why="An entry of WᵀW / N is a mean over N rows. A mean over more rows varies less.",
)
def predict_shape(ratio: float) -> str:
    """What more rows do to the interval of eigenvalues."""
    return "narrower" if ratio < 0.9 else "wider" if ratio > 1.1 else "the same width"


def _edges(N: int, M: int, sigma: float) -> tuple[float, float]:
    return MarchenkoPastur(N / M, sigma).support()


def _singular(N: int, M: int, sigma: float) -> tuple[float, float]:
    return sigma * (N**0.5 - M**0.5), sigma * (N**0.5 + M**0.5)


@exercise(
    "01-edges",
    hint="First Q from N and M. Then the two edges of the text, with a minus sign and with a plus sign.",
    why="Shape and level decide where the eigenvalues of noise end; nothing else about the matrix is needed.",
    wrong=[
        lambda N, M, sigma: _edges(N, M, sigma)[::-1],
        lambda N, M, sigma: _edges(N, M, sigma**0.5),
        lambda N, M, sigma: _edges(N, M, 1.0),
        lambda N, M, sigma: _edges(M, N, sigma),
        lambda N, M, sigma: _edges(N * N, M * M, sigma),
        lambda N, M, sigma: np.sqrt(_edges(N, M, sigma)),
        _singular,
        lambda N, M, sigma: N * np.array(_edges(N, M, sigma)),
        lambda N, M, sigma: _edges(N, M, sigma)[1],
        lambda N, M, sigma: (sigma**2 * (1 - M / N), sigma**2 * (1 + M / N)),
        lambda N, M: (0.25, 2.25),
        (0.25, 2.25),
    ],
    right=[
        lambda N, M, sigma: (sigma**2 * (1 - (M / N) ** 0.5) ** 2, sigma**2 * (1 + (M / N) ** 0.5) ** 2),
        lambda N, M, sigma: list(MarchenkoPastur(N / M, sigma).support()),
        lambda N, M, sigma: sigma**2 * (1 + np.array([-1, 1]) / np.sqrt(N / M)) ** 2,
        lambda N, M, sigma: np.square(_singular(N, M, sigma)) / N,
        lambda N, M, sigma: tuple(np.float32(x) for x in _edges(N, M, sigma)),
        lambda N, M, sigma: sorted([sigma**2 * (1 + M / N + k * 2 * (M / N) ** 0.5) for k in (1, -1)]),
    ],
)
def edges(answer: Any) -> str | None:
    """A function for both edges, from shape and level."""
    rng = np.random.default_rng(204)
    M, Q = rng.integers(20, 900, 6), [1, 1.5, 4, 10, 2.25, 80]
    inputs = [(int(m * q), int(m), s) for m, q, s in zip(M * 4, Q, (1.0, 0.02, 2.0, 0.5, 3.0, 1.4), strict=True)]
    mistakes = {
        "the upper edge comes first": lambda N, M, sigma: _edges(N, M, sigma)[::-1],
        "sigma enters the edges as a square": lambda N, M, sigma: _edges(N, M, sigma**0.5),
        "sigma plays no part in it": lambda N, M, sigma: _edges(N, M, 1.0),
        "N and M are mixed up: Q is at least one": lambda N, M, sigma: _edges(M, N, sigma),
        "the root of Q is missing": lambda N, M, sigma: _edges(N * N, M * M, sigma),
        "those are edges of singular values of W, and eigenvalues are asked for": _singular,
        "those are the square roots of the edges": lambda N, M, sigma: np.sqrt(_edges(N, M, sigma)),
        "those are eigenvalues without the division by N": lambda N, M, sigma: N * np.array(_edges(N, M, sigma)),
    }
    return agrees(answer, _edges, inputs, atol=1e-9, rtol=1e-5, mistakes=mistakes)


@exercise(
    "01-four-times",
    hint="Take the square root of both edges. Their ratio must be 2.",
    why="(1 + r) / (1 - r) = 2 for r = 1/3, and r is 1/sqrt(Q).",
    wrong=[25 / 9, 3, 1 / 9, 4, 1 / 3, 16, 2, 0, -9, 8.5, "nine", [9, 1]],
    right=[9, [9], np.array([9.0]), (np.float32(9),), Fraction(9), Decimal("9.0"), np.array(9)],
)
def four_times(answer: Any) -> str | None:
    """The Q at which the upper edge is four times the lower one."""
    Q = number(answer)
    if close(Q, 25 / 9):  # (1 + r) / (1 - r) = 4
        return "at this Q the roots of the edges have the ratio 4, and so the edges the ratio 16"
    if close(Q, 3):
        return "that is the root of Q"
    if Q <= 0:
        return f"Q = {Q:g} is not a shape: Q is positive"
    if Q < 1:
        return "a matrix with Q below 1 has fewer rows than columns; give the one with Q above 1"
    return near(Q, 9.0)


@exercise(
    "01-gpt2-edge",
    hint="The edge of the law is an eigenvalue of WᵀW / N; a singular value s of W has s^2 = N times that.",
    why="The largest singular value of noise is about sigma (sqrt(N) + sqrt(M)).",
    wrong=[0.03, 0.0009, 83.14, 0.832, 2.765, 0.02, 1.109, 0.55, 55.4, 1.2, "1.6", [1.6, 0.5]],
    right=[
        0.02 * (3072**0.5 + 768**0.5),
        [1.66],
        np.array([1.663]),
        1.65,
        np.float32(1.67),
        np.array([[1.6628]]),
        Fraction(166, 100),
    ],
)
def gpt2_edge(answer: Any) -> str | None:
    """The largest singular value of a fresh feed-forward matrix of GPT-2."""
    s = number(answer)
    law, N, M = MarchenkoPastur(3072 / 768, 0.02), 3072, 768
    texts = {
        law.upper_edge: "that is an eigenvalue of WᵀW / N, and a singular value of W is asked for",
        law.upper_edge**0.5: "that is the root of an eigenvalue of WᵀW / N: one factor is missing",
        (N * law.upper_edge) ** 0.5 / 0.02: "that is for weights of standard deviation 1",
        (M * law.upper_edge) ** 0.5: "N and M are mixed up: N is the larger side",
        N * law.upper_edge: "that is an eigenvalue of WᵀW, the square of what is asked for",
        (N * law.lower_edge) ** 0.5: "that is the smallest singular value",
    }
    for mistake, text in texts.items():
        if close(s, mistake):
            return text
    return near(s, (N * law.upper_edge) ** 0.5, rtol=0.02)


question(
    "01-what-to-know",
    "What must be known before the red curve is drawn",
    points=[
        "the shape of the matrix, N and M",
        "the level of the noise, and where that number comes from",
        "that the entries are independent, with mean 0 and one variance",
        "that the matrix is large enough for a limit to say something",
    ],
)


@prediction(
    "01-predict-break",
    options=["correlated columns", "heavy tails"],
    why="A few very large entries make a few large eigenvalues; correlated columns move all eigenvalues.",
)
def predict_break(D: float) -> str:
    """Which kind of noise is farther from the law, by the ratio of both D."""
    return "correlated columns" if D > 1 else "heavy tails"


question(
    "01-beyond-edge",
    "What 43 eigenvalues beyond the edge say",
    points=[
        "the weights are not independent noise of this level",
        "correlated noise without any signal does the same",
        "a comparison that keeps the correlation, or a law made for it",
    ],
)
