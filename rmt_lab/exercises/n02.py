"""Exercises of notebook 02, the edge of the noise."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from ..laws.tracy_widom import TracyWidom, edge_scaling, largest_eigenvalue_p_value
from . import exercise, prediction, question
from .answers import agrees, close, near, number


@prediction(
    "02-predict-spread",
    options=None,
    why="The spread goes like M to the power -2/3, and 8 to the power 2/3 is 4.",
)
def predict_spread(factor: float) -> float:
    """By which factor the spread shrinks from 100 to 800 columns."""
    return factor


def _p_value(lambda_max: float, N: int, M: int, sigma: float) -> float:
    mu, s = edge_scaling(N, M, sigma)
    return float(TracyWidom(1).sf((lambda_max - mu) / s))


def _units(lambda_max: float, N: int, M: int, sigma: float) -> float:
    mu, s = edge_scaling(N, M, sigma)
    return (lambda_max - mu) / s


@exercise(
    "02-p-value",
    hint="Bring lambda_max to the units of the law: how many scales is it above the centre? Mind sigma.",
    why="Centre and scale carry all that is particular about the matrix; the law itself is always the same.",
    wrong=[
        lambda lambda_max, N, M, sigma: 1 - _p_value(lambda_max, N, M, sigma),
        lambda lambda_max, N, M, sigma: _p_value(lambda_max, N, M, 1.0),
        lambda lambda_max, N, M, sigma: _p_value(lambda_max, M, N, sigma),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(lambda_max),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(lambda_max - edge_scaling(N, M, sigma)[0]),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(lambda_max / edge_scaling(N, M, sigma)[1]),
        lambda lambda_max, N, M, sigma: TracyWidom(1).pdf(_units(lambda_max, N, M, sigma)),
        lambda lambda_max, N, M, sigma: TracyWidom(2).sf(_units(lambda_max, N, M, sigma)),
        _units,
        lambda lambda_max, N, M, sigma: edge_scaling(N, M, sigma),
        lambda lambda_max, N, M: 0.01,
        0.01,
    ],
    right=[
        _p_value,
        largest_eigenvalue_p_value,
        lambda *given: 1 - TracyWidom(1).cdf(_units(*given)),
        lambda lambda_max, N, M, sigma: [_p_value(lambda_max, N, M, sigma)][0],
        lambda lambda_max, N, M, sigma: np.float64(_p_value(lambda_max / sigma**2, N, M, 1.0)),
        lambda lambda_max, N, M, sigma: TracyWidom(1).sf(np.subtract(_units(lambda_max, N, M, sigma), 0)),
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
        "N and M are exchanged": lambda lambda_max, N, M, sigma: _p_value(lambda_max, M, N, sigma),
        "the eigenvalue is not divided by the scale": lambda lambda_max, N, M, sigma: TracyWidom(1).sf(
            lambda_max - edge_scaling(N, M, sigma)[0]
        ),
        "the centre is not subtracted": lambda lambda_max, N, M, sigma: TracyWidom(1).sf(
            lambda_max / edge_scaling(N, M, sigma)[1]
        ),
        "the eigenvalue is not brought to the units of the law": lambda lambda_max, N, M, sigma: TracyWidom(1).sf(
            lambda_max
        ),
        "this is the eigenvalue in the units of the law, and a probability is asked for": _units,
        "this is a density, and a probability is asked for": lambda *given: TracyWidom(1).pdf(_units(*given)),
    }
    return agrees(answer, _p_value, inputs, rtol=1e-5, mistakes=mistakes)


@prediction(
    "02-predict-many",
    options=None,
    why="A model has 72 chances of a false alarm, and a chance of 1 % each adds up to about one half.",
)
def predict_many(share: float) -> float:
    """Of 100 models of 72 layers of noise, how many have an alarm at 1 %."""
    return 100 * share


def _any_alarm(level: float, layers: int) -> float:
    return 1 - (1 - level) ** layers


@exercise(
    "02-many-layers",
    hint="What is the probability that the first layer gives no alarm? And the first two, if they are independent?",
    why="The level of a single test must fall as the number of tests grows.",
    wrong=[
        lambda level, layers: level * layers,
        lambda level, layers: min(1.0, level * layers),
        lambda level, layers: (1 - level) ** layers,
        lambda level, layers: level**layers,
        lambda level, layers: level / layers,
        lambda level, layers: 1 - level**layers,
        lambda level, layers: 1 - (1 - level / layers) ** layers,
        lambda level, layers: 100 * _any_alarm(level, layers),
        lambda level, layers: 1 - (1 - level) ** (layers - 1),
        lambda level, layers: layers * level * (1 - level) ** (layers - 1),
        lambda level: 0.515,
        0.515,
    ],
    right=[
        _any_alarm,
        lambda level, layers: -np.expm1(layers * np.log1p(-level)),
        lambda level, layers: 1 - np.prod(np.full(layers, 1 - level)),
        lambda level, layers: sum(level * (1 - level) ** k for k in range(layers)),
        lambda level, layers: float(1 - Fraction(1 - level) ** layers),
        lambda p, n: np.float64(1 - pow(1 - p, n)),
    ],
)
def many_layers(answer: Any) -> str | None:
    """The probability of at least one false alarm in many layers."""
    inputs = [(0.01, 72), (0.05, 1), (0.05, 10), (0.001, 400), (0.2, 3), (0.02, 2)]
    mistakes = {
        "that is the expected number of alarms, which can be larger than 1": lambda level, layers: level * layers,
        "that is the bound of Bonferroni, and the probability itself is asked for": lambda level, layers: min(
            1.0, level * layers
        ),
        "that is the probability of no alarm at all": lambda level, layers: (1 - level) ** layers,
        "that is the probability that all layers give an alarm": lambda level, layers: level**layers,
        "that is the probability that not all layers give an alarm": lambda level, layers: 1 - level**layers,
        "that is in percent, and a probability between 0 and 1 is asked for": lambda level, layers: (
            100 * _any_alarm(level, layers)
        ),
        "that is the probability of exactly one alarm": lambda level, layers: (
            layers * level * (1 - level) ** (layers - 1)
        ),
    }
    return agrees(answer, _any_alarm, inputs, rtol=1e-6, mistakes=mistakes)


question(
    "02-smallest-p",
    "What the smallest of many p-values shows",
    points=[
        "how many layers were tested, and that the smallest p-value was chosen from them",
        "the probability that noise gives so small a p-value somewhere in the model",
        "a level per layer that falls with the number of layers, fixed before looking",
    ],
)


question(
    "02-which-sigma",
    "Where the noise level of a real layer comes from",
    points=[
        "what each choice assumes: no outlier, little signal, or a noise bulk",
        "a small error in sigma changes the p-value by orders of magnitude",
        "whether there is a noise bulk at all: the note of fit_bulk",
    ],
)


@exercise(
    "02-heavy-edge",
    hint="Put the order of the largest entry into w^2 / N. For which μ is the power of N positive?",
    why="The edge needs a finite mean of w^4, which exists only beyond this μ. The bulk needs the variance alone.",
    wrong=[2, 1, 3, 8, 0.25, 0.5, 5, 0, -4, 1e9, "four", [4, 2]],
    right=[4, 4.0, [4], np.array([4.0]), (np.int64(4),), Decimal(4), Fraction(4)],
)
def heavy_edge(answer: Any) -> str | None:
    """The tail index below which single entries outgrow the edge."""
    mu = number(answer)
    texts = {
        2: "at this μ the entry itself is of order N; its square is divided by N once, not its first power",
        1: "below this μ the entries do not even have a mean",
        0.25: "that is upside down",
    }
    for mistake, text in texts.items():
        if close(mu, mistake):
            return text
    return near(mu, 4.0)
