"""Exercises of notebook 09, alpha and the quality of a model: pairs that agree, factors, errors, and seeds."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np

from . import exercise, prediction, question
from .answers import Array, agrees


@prediction(
    "09-little-much",
    options=["little", "much", "closer than 0.1"],
    why="Both had the same start, the same number of updates and the same schedule.",
)
def little_much(gap: float) -> str:
    """Which of two models ends with the larger median alpha"""
    return "closer than 0.1" if abs(gap) < 0.1 else "little" if gap > 0 else "much"


@prediction(
    "09-all-runs",
    options=["smaller alpha, smaller error", "smaller alpha, larger error", "no clear sign"],
    why="Runs that differ in everything at once are compared, and one factor alone can decide such a comparison.",
)
def all_runs(tau: Any) -> str:
    """Over all runs of digits, what a smaller alpha goes with"""
    if tau.holds_zero:
        return "no clear sign"
    return "smaller alpha, smaller error" if tau.value > 0 else "smaller alpha, larger error"


def _agreement(alpha: Array, loss: Array) -> float:
    pairs = combinations(range(len(alpha)), 2)
    signs = [np.sign(alpha[i] - alpha[j]) * np.sign(loss[i] - loss[j]) for i, j in pairs]
    return float((1 + np.mean(signs)) / 2)


def _matrix(alpha: Array, loss: Array) -> float:
    a, b = (np.sign(np.subtract.outer(np.asarray(x), np.asarray(x))) for x in (alpha, loss))
    n = len(a)
    return float(0.5 + np.sum(a * b) / (2 * n * (n - 1)))


def _counted(alpha: Array, loss: Array) -> float:
    total, count = 0.0, 0
    for i in range(len(alpha)):
        for j in range(i):
            product = (alpha[i] - alpha[j]) * (loss[i] - loss[j])
            total += 1 if product > 0 else 0.5 if product == 0 else 0
            count += 1
    return total / count


def _tau(alpha: Array, loss: Array) -> float:
    return 2 * _agreement(alpha, loss) - 1


def _ties_lost(alpha: Array, loss: Array) -> float:
    pairs = list(combinations(range(len(alpha)), 2))
    return float(np.mean([(alpha[i] - alpha[j]) * (loss[i] - loss[j]) > 0 for i, j in pairs]))


def _ties_won(alpha: Array, loss: Array) -> float:
    pairs = list(combinations(range(len(alpha)), 2))
    return float(np.mean([(alpha[i] - alpha[j]) * (loss[i] - loss[j]) >= 0 for i, j in pairs]))


def _with_itself(alpha: Array, loss: Array) -> float:
    a, b = (np.subtract.outer(np.asarray(x), np.asarray(x)) for x in (alpha, loss))
    return float(np.mean(np.where(a * b > 0, 1.0, np.where(a * b == 0, 0.5, 0.0))))


def _neighbours(alpha: Array, loss: Array) -> float:
    return float(np.mean((1 + np.sign(np.diff(alpha) * np.diff(loss))) / 2))


def _sum_of_pairs(alpha: Array, loss: Array) -> float:
    return _agreement(alpha, loss) * len(alpha) * (len(alpha) - 1) / 2


def _twice(alpha: Array, loss: Array) -> float:
    return 2 * _agreement(alpha, loss)


def _correlation(alpha: Array, loss: Array) -> float:
    return float(np.corrcoef(alpha, loss)[0, 1])


def _scaled_correlation(alpha: Array, loss: Array) -> float:
    return float((1 + np.corrcoef(alpha, loss)[0, 1]) / 2)


@exercise(
    "09-agreement",
    hint="For a pair i, j look at the sign of (alpha[i] - alpha[j]) * (loss[i] - loss[j]): positive is 1, zero is 1/2, "
    "negative is 0. Average over all pairs of different i and j, each taken once.",
    why="It is 1 where alpha always points to the lower loss, about 1/2 for a coin, and 0 where it points away.",
    wrong=[
        _tau,
        _ties_lost,
        _ties_won,
        _with_itself,
        _neighbours,
        _sum_of_pairs,
        _twice,
        _correlation,
        _scaled_correlation,
        lambda alpha, loss: 1 - _agreement(alpha, loss),
        lambda alpha, loss: 0.5,
        lambda alpha, loss: 1.0,
    ],
    right=[
        _agreement,
        _matrix,
        _counted,
        lambda alpha, loss: np.array(_agreement(alpha, loss)),
        lambda alpha, loss: _agreement(loss, alpha),
        lambda alpha, loss: _agreement(-np.asarray(alpha), -np.asarray(loss)),
    ],
)
def agreement(answer: Any) -> str | None:
    """A function for the share of pairs in which the lower alpha goes with the lower loss."""
    rng = np.random.default_rng(91)
    inputs = [
        (np.array([7.0, 4.0, 2.0, 1.5]), np.array([5.0, 3.0, 2.5, 3.5])),
        (np.array([3.0, 3.0, 1.0, 2.0, 5.0]), np.array([1.0, 2.0, 2.0, 0.5, 0.7])),
        (rng.normal(size=9), rng.normal(size=9)),
    ]
    mistakes = {
        "that is Kendall's tau, which runs from -1 to 1; a share runs from 0 to 1": _tau,
        "a pair with a tie counts one half": _ties_lost,
        "a pair with a tie counts one half, not one": _ties_won,
        "each step is compared with itself, too": _with_itself,
        "only neighbouring steps are compared, and all pairs are asked for": _neighbours,
        "that is a number of pairs, and their share is asked for": _sum_of_pairs,
        "that is a correlation: a share of pairs needs no size of a difference, only its sign": _correlation,
        "that is the share of pairs that disagree": lambda alpha, loss: 1 - _agreement(alpha, loss),
    }
    return agrees(answer, _agreement, inputs, mistakes=mistakes)


@prediction(
    "09-factors",
    options=None,
    why="A factor may move alpha and the error in the same direction or in opposite ones; each has its own.",
)
def factors(count: int) -> int:
    """Of eight factors, how many make a smaller alpha go with a smaller error, clear of 0"""
    return count


def _difference(a: Array, b: Array) -> Array:
    error = math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    return np.array([np.mean(a) - np.mean(b), error])


def _with_error(error: Any) -> Any:
    """The same difference with another error."""
    return lambda a, b: (np.mean(a) - np.mean(b), error(np.asarray(a), np.asarray(b)))


_OF_N = _with_error(lambda a, b: math.sqrt(np.var(a) / len(a) + np.var(b) / len(b)))
_OF_ONE_RUN = _with_error(lambda a, b: math.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1)))
_ADDED = _with_error(lambda a, b: np.std(a, ddof=1) / len(a) ** 0.5 + np.std(b, ddof=1) / len(b) ** 0.5)
_SUBTRACTED = _with_error(lambda a, b: abs(np.var(a, ddof=1) / len(a) - np.var(b, ddof=1) / len(b)) ** 0.5)
_VARIANCE = _with_error(lambda a, b: np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
_FIRST_ONLY = _with_error(lambda a, b: np.std(a, ddof=1) / len(a) ** 0.5)
_MIXED = _with_error(lambda a, b: np.std(np.r_[a, b], ddof=1) / (len(a) + len(b)) ** 0.5)
_BY_N = _with_error(lambda a, b: np.std(a, ddof=1) / len(a) + np.std(b, ddof=1) / len(b))


@exercise(
    "09-difference",
    hint="Variances of independent means add. The variance of a mean of n values is var / n, with np.var(a, ddof=1).",
    why="This is the error bar that a comparison needs, and with one run per setting it cannot be computed.",
    wrong=[
        _OF_N,
        _OF_ONE_RUN,
        _ADDED,
        _SUBTRACTED,
        _VARIANCE,
        _FIRST_ONLY,
        _MIXED,
        _BY_N,
        lambda a, b: -_difference(a, b) * [1, -1],
        lambda a, b: _difference(a, b)[::-1],
        lambda a, b: _difference(a, b)[0],
        lambda a, b: _difference(a, b) * [1, 2],
        lambda a, b: (np.median(a) - np.median(b), _difference(a, b)[1]),
        lambda a, b: np.abs(_difference(a, b)),
    ],
    right=[
        _difference,
        lambda a, b: tuple(_difference(a, b)),
        lambda a, b: list(_difference(a, b)),
        lambda a, b: (
            sum(a) / len(a) - sum(b) / len(b),
            np.hypot(*(np.std(x, ddof=1) / len(x) ** 0.5 for x in (a, b))),
        ),
        lambda a, b: (np.mean(a) - np.mean(b), np.sqrt(np.cov(a) / len(a) + np.cov(b) / len(b))),
        lambda a, b: (np.mean(a) - np.mean(b), (np.var(a) / (len(a) - 1) + np.var(b) / (len(b) - 1)) ** 0.5),
    ],
)
def difference(answer: Any) -> str | None:
    """A function for the difference of two means and its standard error."""
    rng = np.random.default_rng(92)
    inputs = [
        (np.array([2.0, 3.0, 4.0]), np.array([1.0, 5.0])),
        (rng.normal(4, 1, size=6), rng.normal(3, 2, size=9)),
        (np.array([1.0, 2.0, 1.5]), np.array([4.0, 5.0, 4.2, 6.0])),
    ]
    mistakes = {
        "that variance divides by n; with few runs divide by n - 1 (ddof=1)": _OF_N,
        "that is the spread of a difference of two single runs; the means are less uncertain": _OF_ONE_RUN,
        "standard errors do not add; variances do": _ADDED,
        "the variance of a difference is the sum of both variances": _SUBTRACTED,
        "that is a variance: the root is missing": _VARIANCE,
        "the second group is uncertain, too": _FIRST_ONLY,
        "both groups are mixed: their difference then counts as noise": _MIXED,
        "that is the mean of b minus the mean of a": lambda a, b: -_difference(a, b) * [1, -1],
        "the difference comes first, then the error": lambda a, b: _difference(a, b)[::-1],
        "that is twice the standard error": lambda a, b: _difference(a, b) * [1, 2],
    }
    return agrees(answer, _difference, inputs, mistakes=mistakes)


def _runs_needed(d: float, sd: float) -> int:
    return math.ceil(8 * sd**2 / d**2)


def _one_group(d: float, sd: float) -> int:
    return math.ceil(4 * sd**2 / d**2)


def _one_error(d: float, sd: float) -> int:
    return math.ceil(2 * sd**2 / d**2)


def _not_squared(d: float, sd: float) -> int:
    return math.ceil(8 * sd / d)


def _rounded_down(d: float, sd: float) -> int:
    return math.floor(8 * sd**2 / d**2)


def _upside_down(d: float, sd: float) -> int:
    return math.ceil(8 * d**2 / sd**2)


def _in_all(d: float, sd: float) -> int:
    return 2 * _runs_needed(d, sd)


def _searched(d: float, sd: float) -> int:
    n = 1
    while d < 2 * sd * (2 / n) ** 0.5:
        n += 1
    return n


@exercise(
    "09-runs",
    hint="Solve d = 2 sd sqrt(2 / n) for n, and round up.",
    why="Half the difference needs four times as many runs.",
    wrong=[
        _one_group,
        _one_error,
        _not_squared,
        _rounded_down,
        _upside_down,
        _in_all,
        lambda d, sd: 8 * sd**2 / d**2,
        lambda d, sd: math.ceil(8 * sd**2 / d),
        lambda d, sd: math.ceil(16 * sd**2 / d**2),
        lambda d, sd: math.ceil(2.83 * sd / d),
        lambda d, sd: _runs_needed(d, sd) + 1,
        lambda d, sd: 3,
    ],
    right=[
        _runs_needed,
        _searched,
        lambda d, sd: float(np.ceil(2 * (2 * sd / d) ** 2)),
        lambda d, sd: np.array([math.ceil((sd / d * 8**0.5) ** 2)])[0],
        lambda d, sd: int(-(-8 * sd**2 // d**2)),
        lambda diff, spread: next(n for n in range(1, 10**6) if diff >= 2 * (spread**2 / n + spread**2 / n) ** 0.5),
    ],
)
def runs(answer: Any) -> str | None:
    """A function for the number of runs per setting that a difference needs."""
    inputs = [(0.3, 0.4), (0.06, 0.1), (0.5, 0.3), (0.02, 0.075), (0.25, 1.1)]
    mistakes = {
        "both settings are uncertain, and so the variance of a difference is 2 sd^2 / n": _one_group,
        "that is one standard error, and two are asked for": _one_error,
        "an error falls with the root of n": _not_squared,
        "that many runs are one too few: round up": _rounded_down,
        "that is upside down: a small difference needs many runs": _upside_down,
        "that is the number in both settings together": _in_all,
        "a number of runs is whole: round up": lambda d, sd: 8 * sd**2 / d**2,
    }
    return agrees(answer, _runs_needed, inputs, mistakes=mistakes)


question(
    "09-counterexample",
    "What the pair little and much shows, and what it does not",
    points=[
        "a counterexample: nearly equal alphas do not mean nearly equal losses on new text",
        "it does not show that data never move alpha: one architecture, one size, one pair",
        "38 layers of one model are not 38 trials",
        "many trainings say the same: where only the data vary, alpha moves less than between two seeds",
    ],
)

question(
    "09-convince",
    "What would convince you that alpha knows the better model",
    points=[
        "several seeds per setting, and an error bar over seeds",
        "schedules that are equal, or a comparison at equal shares",
        "models that differ in one thing, over a range of losses",
        "alpha beside a simple rival, such as the number of updates or the norm",
        "a rule that was fixed before the models were looked at, tried on new models",
    ],
)
