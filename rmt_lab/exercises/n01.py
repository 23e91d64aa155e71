"""Exercises of notebook 01, the Marchenko-Pastur law."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..laws.marchenko_pastur import MarchenkoPastur
from . import exercise
from .answers import agrees, choice, close, near, number


@exercise(
    "01-predict-shape",
    hint="An entry of W'W / N is a mean over N rows. What does a mean do as N grows?",
    why="Means over more rows vary less, so W'W / N comes closer to its expectation, the identity matrix.",
    wrong=["wider", "shift", "smaller"],
)
def predict_shape(answer: Any) -> str | None:
    """Prediction: what more rows do to the interval of eigenvalues."""
    answer = choice(answer, ["wider", "narrower", "shift"])
    if answer == "shift":
        return "the mean eigenvalue is the variance of the entries, whatever the number of rows: it stays where it is"
    return None if answer == "narrower" else "W'W itself grows with N, but it is divided by N"


@exercise(
    "01-four-times",
    hint="Take the square root of both edges. Their ratio must be 2.",
    why="(1 + r) / (1 - r) = 2 for r = 1/3, and r is 1/sqrt(Q).",
    wrong=[25 / 9, 3, 1 / 9, 4, 1 / 3, "nine", [9, 1]],
)
def four_times(answer: Any) -> str | None:
    """The Q at which the upper edge is four times the lower one."""
    Q = number(answer)
    if close(Q, 25 / 9):  # (1 + r) / (1 - r) = 4
        return "at this Q the roots of the edges have the ratio 4, and so the edges the ratio 16"
    if close(Q, 3):
        return "that is the root of Q"
    if Q <= 0:
        return f"Q = {Q:g} is no shape: Q is positive"
    if Q < 1:
        return "a matrix with Q below 1 has fewer rows than columns; give the one with Q above 1"
    return near(Q, 9.0)


@exercise(
    "01-resolvent",
    hint="The coefficients of m^2, of m and the constant stand in the second form of (4).",
    why="The imaginary part of m, over pi, is the density blurred by the distance of z from the real axis.",
    wrong=[
        lambda z, Q, sigma: _m(z, Q, sigma).conjugate(),
        lambda z, Q, sigma: Q / (sigma**2 * z * _m(z, Q, sigma)),
        lambda z, Q, sigma: np.roots([sigma**2 * z / Q, z - sigma**2 + sigma**2 / Q, 1]),
        lambda z, Q, sigma: _m(z, Q, 1.0),
        lambda z, Q, sigma: _m(z, Q, sigma).imag,
        lambda z, Q: z / Q,
        lambda z, Q, sigma: MarchenkoPastur(Q, sigma).pdf(z.real),
        1 + 1j,
    ],
)
def resolvent(answer: Any) -> str | None:
    """The Stieltjes transform, from its quadratic equation."""
    rng = np.random.default_rng(203)
    x, y, Q, sigma = (rng.uniform(*span, 8).round(2) for span in ((0.2, 4), (0.05, 1), (1.1, 8), (0.5, 2)))
    mistakes = {
        "the imaginary part has the wrong sign": lambda z, Q, sigma: np.conj(_m(z, Q, sigma)),
        "this is the other root of the equation": lambda z, Q, sigma: Q / (sigma**2 * z * _m(z, Q, sigma)),
        "only the imaginary part comes back, and m itself is asked for": lambda z, Q, sigma: _m(z, Q, sigma).imag,
        "sigma plays no part in it": lambda z, Q, sigma: _m(z, Q, 1.0),
    }
    return agrees(answer, _m, list(zip(x + 1j * y, Q, sigma, strict=True)), mistakes=mistakes)


@exercise(
    "01-gpt2-edge",
    hint="The edge of the law is an eigenvalue of W'W / N; a singular value s of W has s^2 = N times that.",
    why="The largest singular value of noise is sigma (sqrt(N) + sqrt(M)), give or take a little.",
    wrong=[0.03, 0.0009, 83.14, 0.832, 2.765, 0.02, 1.109, "1.6"],
)
def gpt2_edge(answer: Any) -> str | None:
    """The largest singular value of a fresh feed-forward matrix of GPT-2."""
    s = number(answer)
    law, N, M = MarchenkoPastur(3072 / 768, 0.02), 3072, 768
    texts = {
        law.upper_edge: "that is an eigenvalue of W'W / N, and a singular value of W is asked for",
        law.upper_edge**0.5: "that is the root of an eigenvalue of W'W / N: one factor is missing",
        (N * law.upper_edge) ** 0.5 / 0.02: "that is for weights of standard deviation 1",
        (M * law.upper_edge) ** 0.5: "N and M are mixed up: N is the larger side",
        N * law.upper_edge: "that is an eigenvalue of W'W, the square of what is asked for",
    }
    for mistake, text in texts.items():
        if close(s, mistake):
            return text
    return near(s, (N * law.upper_edge) ** 0.5, rtol=0.02)


@exercise(
    "01-which-step",
    hint="Two of the steps hold for every matrix. Which one uses that entries have nothing to do with each other?",
    why="Products of different columns no longer have expectation zero, so the quadratic form is not a trace of G.",
    wrong=["step 1", "step 2", "step 4", "step 5", 1, "the third"],
)
def which_step(answer: Any) -> str | None:
    """Where correlated columns break the derivation."""
    answer = choice(answer, ["step 1", "step 2", "step 3", "step 4", "step 5"])
    if answer in ("step 1", "step 2"):
        return "that is an identity: it holds for every matrix, whatever its entries"
    if answer in ("step 4", "step 5"):
        return "that only puts together what came before; something is wrong earlier"
    return None


def _m(z: complex, Q: float, sigma: float) -> complex:
    return complex(MarchenkoPastur(Q, sigma).stieltjes(z))
