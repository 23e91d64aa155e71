"""Exercises of notebook x0, Gaussian matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spectrum import Spectrum
from . import exercise
from .answers import Array, agrees, choice, close, near, number


def _eigenvalues(W: Array) -> Array:
    return Spectrum.from_matrix(W, method="svd").eigenvalues


def _tall(W: Array) -> Array:
    return W if W.shape[0] >= W.shape[1] else W.T


@exercise(
    "x0-eigenvalues",
    hint="Make the matrix tall, multiply it with its transpose, divide by the number of rows, and take eigvalsh.",
    why="It agrees with the library on tall, wide and square matrices.",
    wrong=[
        lambda W: np.linalg.eigvalsh(W.T @ W / W.shape[0]),
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W)),
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W) / min(W.shape)),
        lambda W: np.linalg.svd(W, compute_uv=False)[::-1],
        lambda W: _eigenvalues(W)[::-1],
        lambda W: np.linalg.eigvals(W),
        np.ones((3, 2)),
    ],
)
def eigenvalues(answer: Any) -> str | None:
    """Eigenvalues of W'W / N, for a matrix of any shape."""
    rng = np.random.default_rng(101)
    inputs = [(rng.normal(size=shape),) for shape in ((5, 3), (2, 6), (4, 4), (40, 30))]
    mistakes = {
        "these are singular values, and eigenvalues are asked for": lambda W: np.sqrt(_eigenvalues(W) * max(W.shape)),
        "the product is not divided by N": lambda W: _eigenvalues(W) * max(W.shape),
        "the product is divided by the smaller side": lambda W: _eigenvalues(W) * max(W.shape) / min(W.shape),
        "the eigenvalues are in descending order": lambda W: _eigenvalues(W)[::-1],
    }
    return agrees(answer, _eigenvalues, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@exercise(
    "x0-predict-count",
    hint="Do the five lines of the right panel above differ as much as five independent samples would?",
    why="Eigenvalues repel each other and stand almost as evenly as the ticks of a ruler. Run the next cell.",
    wrong=["about 16", "about 160", 16, "one"],
)
def predict_count(answer: Any) -> str | None:
    """Prediction: how the count of eigenvalues below 0.75 varies."""
    answer = choice(answer, ["about 160", "about 16", "about 1"])
    if answer == "about 160":
        return "that is even more than independent numbers would vary"
    return None if answer == "about 1" else "that would be so if the eigenvalues knew nothing of each other"


@exercise(
    "x0-scales",
    hint="Find the row of WeightWatcher in the table. Which of the two sides is N?",
    why="Eigenvalues of W'W are N times those of W'W / N, and N is the larger side.",
    wrong=[88.19 / 384, 88.19, 88.19 * 1536, 88.19 / 1536**2, (88.19 / 1536) ** 0.5, 88.19**0.5, "88.19 / N"],
)
def scales(answer: Any) -> str | None:
    """WeightWatcher's largest eigenvalue, on the scale of this course."""
    x, right = number(answer), 88.19 / 1536
    texts = {
        88.19 / 384: "that is divided by M, the smaller side",
        88.19: "that is WeightWatcher's own scale",
        right**0.5: "that is a singular value, of W over the root of N",
    }
    for mistake, text in texts.items():
        if close(x, mistake):
            return text
    return near(x, right, rtol=2e-3)


@exercise(
    "x0-cauchy",
    hint="The mean eigenvalue is the mean of the squared entries. What would it have to settle on?",
    why="The mean square of the entries is infinite, so there is nothing for the mean eigenvalue to settle on.",
    wrong=["too few draws", "dependent entries", 1.0],
)
def cauchy(answer: Any) -> str | None:
    """Why the spectrum of Cauchy entries does not settle."""
    answer = choice(answer, ["too few draws", "dependent entries", "no variance"])
    if answer == "too few draws":
        return "with more draws the means get larger, not more alike"
    return None if answer == "no variance" else "every entry was drawn on its own"
