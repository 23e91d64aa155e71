"""Exercises of notebook 04, what an exponent is worth: estimate, distance, error bar, p-value, noise and settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._arrays import Array
from . import exercise
from .answers import agrees, choice, close, near, number


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


@exercise(
    "04-hill",
    hint="Keep the values from xmin on; n is how many those are. Then the formula, with the natural logarithm.",
    why="This is the maximum of the likelihood, and the line that every power-law package contains.",
    wrong=[
        _hill_of_all,
        _hill_without_one,
        _hill_upside_down,
        _hill_in_decades,
        _hill_not_divided,
        lambda x, xmin: x[x >= xmin],
        lambda x: 2.5,
        2.5,
    ],
)
def hill(answer: Any) -> str | None:
    """A function for the exponent by maximum likelihood."""
    x = np.random.default_rng(6).pareto(1.5, 200) + 1.0
    mistakes: dict[str, Callable[..., Any]] = {
        "values below xmin have been counted; the tail begins at xmin": _hill_of_all,
        "the 1 of the formula is missing": _hill_without_one,
        "the mean of the logarithms stands on top, and it belongs below": _hill_upside_down,
        "that is the logarithm to the base 10, and the natural one is asked for": _hill_in_decades,
        "the values have to be divided by xmin before the logarithm is taken": _hill_not_divided,
    }
    return agrees(answer, _hill, [(x, 1.2), (x, float(x[3])), (5 * x, 8.0)], mistakes=mistakes)


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


@exercise(
    "04-distance",
    hint="np.arange(n) / n are the fractions below the values of an ascending tail. Subtract the law; abs; max.",
    why="This is the distance of powerlaw and WeightWatcher, and what the search for xmin makes small.",
    wrong=[
        _distance_after,
        _distance_both,
        _distance_signed,
        _distance_to_sf,
        _distance_mean,
        lambda tail, alpha: np.abs(np.arange(len(tail)) / len(tail) - _law(tail, alpha)),
        0.05,
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
    }
    inputs = [(tails[0], 2.5), (tails[0], 1.6), (tails[1], 4.2), (tails[2], 3.0)]
    return agrees(answer, _distance, inputs, mistakes=mistakes)


@exercise(
    "04-predict-coverage",
    hint="The formula takes xmin for known. Here xmin is chosen, and from the same values.",
    why="The choice of xmin moves alpha as well, and the formula leaves that out.",
    wrong=["about 95", "about 50", 95, "50 %"],
)
def predict_coverage(answer: Any) -> str | None:
    """Prediction: how many of 100 textbook error bars hold the truth."""
    answer = choice(answer, ["about 95", "about 80", "about 50"])
    if answer == "about 95":
        return "that would be so if somebody had told us where the tail begins"
    return None if answer == "about 80" else "it is not as bad as that: most of the error is in the formula"


@exercise(
    "04-tail-size",
    hint="Set 1.96 (alpha - 1)/sqrt(n) to 0.1 and solve for n.",
    why="More than most layers have eigenvalues: a second decimal of alpha says nothing.",
    wrong=[400, 39.2, 3457, 40, 38416, 154, 0.1],
)
def tail_size(answer: Any) -> str | None:
    """How many values an error bar of a tenth takes."""
    n, right = number(answer), (1.96 * 2 / 0.1) ** 2
    texts = {
        (2 / 0.1) ** 2: "that is one standard error; the error bar of 95 % is 1.96 of them",
        1.96 * 2 / 0.1: "that is the square root of it",
        (1.96 * 3 / 0.1) ** 2: "the formula has alpha - 1, not alpha",
    }
    for mistake, text in texts.items():
        if close(n, mistake):
            return text
    return near(n, right)


@exercise(
    "04-p-means",
    hint="Read again what was simulated, and what was counted.",
    why="It compares the data with data for which the power law is true, and says nothing of other laws.",
    wrong=["A", "C", "none"],
)
def p_means(answer: Any) -> str | None:
    """What a p-value of 0.66 says."""
    answer = choice(answer, ["A", "B", "C"])
    texts = {
        "A": "no probability of a law was computed: the law was true in every one of the simulations",
        "C": "no other law took part: what would it have been?",
    }
    return texts.get(answer)


@exercise(
    "04-predict-noise",
    hint="The search may take any tail, however short. How badly can a power law fit a short tail?",
    why="The search retreats to a tail so short that the power law cannot be told from anything else.",
    wrong=["hardly any", "nearly all", 0.5],
)
def predict_noise(answer: Any) -> str | None:
    """Prediction: how much pure noise passes for a power law."""
    answer = choice(answer, ["hardly any", "about half", "nearly all"])
    if answer == "hardly any":
        return "a test refutes what it has enough values to refute, and the search decides how many it gets"
    return None if answer == "about half" else "some tails remain long enough to be caught"


@exercise(
    "04-predict-version",
    hint="Not the largest alpha allowed is looked for, but the best-fitting one of those tails that are allowed.",
    why="Pure noise reads like a well-trained layer, and nothing but a default has changed.",
    wrong=["still about 12", "exactly 3", 3.0],
)
def predict_version(answer: Any) -> str | None:
    """Prediction: the exponent of noise by the rules of another version."""
    answer = choice(answer, ["still about 12", "exactly 3", "below 3"])
    if answer == "exactly 3":
        return "that happens where every tail is steeper than the limit, and the lower part of this spectrum is flat"
    return None if answer == "below 3" else "a tail of that exponent may no longer be chosen"
