"""Exercises of notebook 02, the edge of the noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..laws.tracy_widom import TracyWidom, edge_scaling
from . import exercise
from .answers import agrees, choice, close, near, number


@exercise(
    "02-predict-spread",
    hint="Between two eigenvalues in the middle of the spectrum the distance goes like 1/M. The edge is less crowded.",
    why="The spread goes like M to the power -2/3: neither that of a mean, nor that of neighbours in the middle.",
    wrong=["2.8 times", "8 times", 2.8, "four"],
)
def predict_spread(answer: Any) -> str | None:
    """Prediction: how the spread of the largest eigenvalue shrinks."""
    answer = choice(answer, ["2.8 times", "4 times", "8 times"])
    if answer == "2.8 times":
        return "that is how a mean of independent numbers behaves, and eigenvalues are not independent"
    return None if answer == "4 times" else "that is the distance between neighbours in the middle of the spectrum"


def _p_value(lambda_max: float, N: int, M: int, sigma: float) -> float:
    mu, s = edge_scaling(N, M, sigma)
    return float(TracyWidom(1).sf((lambda_max - mu) / s))


@exercise(
    "02-p-value",
    hint="Bring lambda_max to the units of the law: how many scales is it above the centre? Mind sigma.",
    why="Centre and scale carry all that is particular about the matrix; the law itself is always the same.",
    wrong=[
        lambda lambda_max, N, M, sigma: 1 - _p_value(lambda_max, N, M, sigma),
        lambda lambda_max, N, M, sigma: _p_value(lambda_max, N, M, 1.0),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(lambda_max),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(lambda_max - edge_scaling(N, M, sigma)[0]),
        lambda lambda_max, N, M, sigma: TracyWidom(2).sf(
            (lambda_max - edge_scaling(N, M, sigma)[0]) / edge_scaling(N, M, sigma)[1]
        ),
        lambda lambda_max, N, M: 0.01,
        0.01,
    ],
)
def p_value(answer: Any) -> str | None:
    """The p-value of a largest eigenvalue."""
    rng = np.random.default_rng(302)
    inputs = []
    for N, M, sigma, x in zip(
        (3072, 800, 50, 400), (768, 400, 40, 30), (1.0, 0.5, 2.0, 0.02), (-1, 0, 1, 3), strict=True
    ):
        mu, s = edge_scaling(N, M, sigma)
        inputs.append((float(f"{mu + s * (x + rng.uniform(-0.5, 0.5)):.5g}"), N, M, sigma))
    mistakes = {
        "this is the probability of staying below": lambda lambda_max, N, M, sigma: (
            1 - _p_value(lambda_max, N, M, sigma)
        ),
        "sigma plays no part in it": lambda lambda_max, N, M, sigma: _p_value(lambda_max, N, M, 1.0),
        "the eigenvalue is not divided by the scale": lambda lambda_max, N, M, sigma: TracyWidom(1).sf(
            lambda_max - edge_scaling(N, M, sigma)[0]
        ),
        "the eigenvalue is not brought to the units of the law": lambda lambda_max, N, M, sigma: TracyWidom(1).sf(
            lambda_max
        ),
    }
    return agrees(answer, _p_value, inputs, rtol=1e-5, mistakes=mistakes)


@exercise(
    "02-many-layers",
    hint="What is the probability that the first layer gives no alarm? And the first two, if they are independent?",
    why="With many layers a false alarm is more likely than not. The level must fall as the number of tests grows.",
    wrong=[0.72, 0.99**72, 0.01, 0.01 / 72, 0.01**72, 51.5, 1.0],
)
def many_layers(answer: Any) -> str | None:
    """The probability of at least one false alarm in 72 layers."""
    p, right = number(answer), 1 - 0.99**72
    if close(p, 0.99**72):
        return "that is the probability of no alarm at all"
    if close(p, 0.72):
        return "that is the expected number of alarms; with 200 layers it would be 2, which is no probability"
    if close(p / 100, right):
        return "that is in percent, and a probability between 0 and 1 is asked for"
    if not 0 <= p <= 1:
        return f"{p:.4g} is no probability"
    return near(p, right)


@exercise(
    "02-heavy-edge",
    hint="The mean of |w|^k is an integral over |w|^(k - 1 - μ). For which k is it finite when μ is 3?",
    why="The bulk needs two moments, the edge four: without them the largest entries outgrow the edge.",
    wrong=["variance", "symmetry", 4, "second moment"],
)
def heavy_edge(answer: Any) -> str | None:
    """What heavy-tailed entries lack, that the edge needs."""
    answer = choice(answer, ["variance", "fourth moment", "symmetry"])
    if answer == "variance":
        return "with μ = 3 it exists, and the entries were brought to variance 1; that is why the bulk is in place"
    return None if answer == "fourth moment" else "their density depends on |w| only"
