"""Exercises of notebook 04, what an exponent is worth: estimate and distance; coverage, noise and true spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._arrays import Array
from ..tails.power_law import fit_power_law
from . import exercise, prediction, question
from .answers import agrees


def _hill(x: Array, xmin: float) -> float:
    tail = x[x >= xmin]
    return 1 + len(tail) / float(np.log(tail / xmin).sum())


def _hill_of_all(x: Array, xmin: float) -> float:
    return 1 + len(x) / float(np.log(x / xmin).sum())


def _hill_without_one(x: Array, xmin: float) -> float:
    return _hill(x, xmin) - 1


def _hill_upside_down(x: Array, xmin: float) -> float:
    return 1 + float(np.log(x[x >= xmin] / xmin).mean())


def _hill_in_decades(x: Array, xmin: float) -> float:
    tail = x[x >= xmin]
    return 1 + len(tail) / float(np.log10(tail / xmin).sum())


def _hill_not_divided(x: Array, xmin: float) -> float:
    tail = x[x >= xmin]
    return 1 + len(tail) / float(np.log(tail).sum())


def _hill_beyond(x: Array, xmin: float) -> float:
    tail = x[x > xmin]
    return 1 + len(tail) / float(np.log(tail / xmin).sum())


def _hill_unbiased(x: Array, xmin: float, lost: int) -> float:
    return 1 + (_hill(x, xmin) - 1) * (1 - lost / np.count_nonzero(x >= xmin))


def _hill_by_loop(x: Array, xmin: float) -> list[Any]:
    logs = [np.log(float(v)) - np.log(xmin) for v in x if v >= xmin]
    return [1 + 1 / (sum(logs) / len(logs))]


@exercise(
    "04-hill",
    hint="Keep the values from xmin on; n is how many those are. Then the formula, with the natural logarithm.",
    why="This is the maximum of the likelihood. Every power-law package contains it, with or without its bias.",
    wrong=[
        _hill_of_all,
        _hill_without_one,
        _hill_upside_down,
        _hill_in_decades,
        _hill_not_divided,
        _hill_beyond,
        lambda x, xmin: 1 + float(np.log(x[x >= xmin] / xmin).sum()),
        lambda x, xmin: 1 + 1 / float(np.log(x[x >= xmin].mean() / xmin)),
        lambda x, xmin: _hill_unbiased(x, xmin, 3),
        lambda x, xmin: (_hill(x, xmin) - 1) / np.count_nonzero(x >= xmin) ** 0.5,
        lambda x, xmin: x[x >= xmin],
        lambda x: 2.5,
        2.5,
    ],
    right=[
        _hill,
        _hill_by_loop,
        lambda x, xmin: fit_power_law(x, xmin=xmin).alpha,
        lambda x, xmin: fit_power_law(x, xmin=xmin, bias_corrected=True).alpha,
        lambda x, xmin: _hill_unbiased(x, xmin, 2),
        lambda x, xmin: np.array([1 + 1 / np.log(np.sort(x)[np.sort(x) >= xmin] / xmin).mean()]),
    ],
)
def hill(answer: Any) -> str | None:
    """A function for the exponent by maximum likelihood."""
    x = np.random.default_rng(6).pareto(1.5, 200) + 1.0
    inputs = [(x, 1.2), (x, float(x[3])), (5 * x, 8.0)]
    mistakes: dict[str, Callable[..., Any]] = {
        "values below xmin have been counted; the tail begins at xmin": _hill_of_all,
        "the 1 of the formula is missing": _hill_without_one,
        "the mean of the logarithms stands on top, and it belongs below": _hill_upside_down,
        "that is the logarithm to the base 10, and the natural one is asked for": _hill_in_decades,
        "the values have to be divided by xmin before the logarithm is taken": _hill_not_divided,
        "a value that equals xmin belongs to the tail": _hill_beyond,
    }

    def scalar(x: Array, xmin: float) -> Any:
        result = answer(x, xmin)
        return np.ravel(result)[0] if np.size(result) == 1 else result

    tried = scalar if callable(answer) and not isinstance(answer, type) else answer
    fault = agrees(tried, _hill, inputs, mistakes=mistakes)
    for lost in (1, 2):  # without the bias, for a given xmin and for one that is a value of the sample
        if fault:
            right = agrees(tried, lambda x, xmin, lost=lost: _hill_unbiased(x, xmin, lost), inputs) is None
            fault = None if right else fault
    return fault


def _law(tail: Array, alpha: float) -> Array:
    return 1 - (tail / tail[0]) ** (1 - alpha)


def _distance(tail: Array, alpha: float) -> float:
    return float(np.abs(np.arange(len(tail)) / len(tail) - _law(tail, alpha)).max())


def _distance_after(tail: Array, alpha: float) -> float:
    return float(np.abs(np.arange(1, len(tail) + 1) / len(tail) - _law(tail, alpha)).max())


def _distance_both(tail: Array, alpha: float) -> float:
    return max(_distance(tail, alpha), _distance_after(tail, alpha))


def _distance_signed(tail: Array, alpha: float) -> float:
    return float((np.arange(len(tail)) / len(tail) - _law(tail, alpha)).max())


def _distance_to_sf(tail: Array, alpha: float) -> float:
    return float(np.abs(np.arange(len(tail)) / len(tail) - (tail / tail[0]) ** (1 - alpha)).max())


def _distance_mean(tail: Array, alpha: float) -> float:
    return float(np.abs(np.arange(len(tail)) / len(tail) - _law(tail, alpha)).mean())


def _distance_squared(tail: Array, alpha: float) -> float:
    return _distance(tail, alpha) ** 2


def _distance_of_densities(tail: Array, alpha: float) -> float:
    return float(np.abs(np.arange(len(tail)) / len(tail) - (1 - (tail / tail[0]) ** -alpha)).max())


def _distance_by_loop(tail: Array, alpha: float) -> float:
    return max(abs(j / len(tail) - 1 + (value / tail[0]) ** (1 - alpha)) for j, value in enumerate(tail))


def _distance_counted(tail: Array, alpha: float) -> Any:
    below = np.array([(tail < value).mean() for value in tail])
    return np.linalg.norm(below + np.expm1((1 - alpha) * np.log(tail / tail.min())), np.inf)


@exercise(
    "04-distance",
    hint="np.arange(n) / n are the fractions below the values of an ascending tail. Subtract the law; abs; max.",
    why="This is the distance of powerlaw and WeightWatcher. The search for xmin makes it as small as possible.",
    wrong=[
        _distance_after,
        _distance_both,
        _distance_signed,
        _distance_to_sf,
        _distance_mean,
        _distance_squared,
        _distance_of_densities,
        lambda tail, alpha: _distance(tail, alpha) * len(tail) ** 0.5,
        lambda tail, alpha: fit_power_law(tail, xmin=tail[0]).D,
        lambda tail, alpha: np.abs(np.arange(len(tail)) / len(tail) - _law(tail, alpha)),
        0.05,
    ],
    right=[
        _distance,
        _distance_by_loop,
        _distance_counted,
        lambda tail, alpha: np.ptp(np.r_[0, np.abs(np.arange(len(tail)) / len(tail) - _law(tail, alpha))]),
        lambda tail, alpha: np.float32(1) * np.sort(np.abs(_law(tail, alpha) - np.arange(len(tail)) / len(tail)))[-1],
    ],
)
def distance(answer: Any) -> str | None:
    """A function for the largest distance between a tail and its power law."""
    rng = np.random.default_rng(16)
    tails = [np.sort(rng.pareto(a, n) + 1.0) * s for a, n, s in ((1.5, 40, 1.0), (3.0, 25, 0.01), (1.2, 300, 7.0))]
    mistakes: dict[str, Callable[..., Any]] = {
        "the fraction below the smallest value is 0, since nothing lies below it": _distance_after,
        "that is the textbook distance, of both ends of every step; here one end is asked for": _distance_both,
        "the law may lie above the fraction, too: is the sign taken off?": _distance_signed,
        "the power is the fraction of the law beyond x, and the fraction below x is asked for": _distance_to_sf,
        "that is the mean distance, and the largest is asked for": _distance_mean,
        "alpha is the density's exponent; that of the fraction beyond x is alpha - 1": _distance_of_densities,
        "the distance is not squared": _distance_squared,
    }
    inputs = [(tails[0], 2.5), (tails[0], 1.6), (tails[1], 4.2), (tails[2], 3.0)]
    return agrees(answer, _distance, inputs, mistakes=mistakes)


@prediction(
    "04-coverage",
    options=None,
    why="The formula takes xmin as known, and the search moves xmin from sample to sample.",
)
def coverage(share: float) -> float:
    """How many of 100 asymptotic error bars hold the truth."""
    return share


@prediction(
    "04-noise-passes",
    options=["hardly any", "about half", "nearly all"],
    why="Any smooth curve is close to a power law over a short stretch, and the search finds that stretch.",
)
def noise_passes(share: float) -> str:
    """How many Gaussian matrices pass for power laws."""
    return "hardly any" if share < 0.2 else "nearly all" if share > 0.8 else "about half"


@prediction(
    "04-true-spectra",
    options=["far fewer", "about 4", "far more"],
    why="Eigenvalues repel, so they lie closer to their law than independent values do.",
)
def true_spectra(count: int) -> str:
    """How often a test for independent values refutes true power laws of eigenvalues."""
    return "far fewer" if count < 3 else "far more" if count > 8 else "about 4"


question(
    "04-p-says",
    "What a p-value of a power law says",
    points=[
        "p is computed under the power law, so it is not the probability of the power law",
        "of samples that do follow a power law, 66 % have a larger misfit",
        "a large p-value does not exclude other laws, above all on a short tail",
    ],
)

question(
    "04-report",
    "An alpha, reported with what it is worth",
    points=[
        "the number of eigenvalues in the tail, and xmin",
        "an interval that contains the search for xmin, and the question that it answers",
        "the word of the verdict, and how often it is said without a power law",
        "the shape of the matrix, or the alpha of the population",
        "package, version and settings of the fit",
    ],
)
