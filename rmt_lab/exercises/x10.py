"""Exercises of the extra x10, traps: how often noise has one, how many components carry a vector, a fair control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from .._arrays import Array
from . import exercise, prediction, question
from .answers import agrees, holds


@prediction(
    "x10-survives",
    options=["the entry", "the entry and the row", "all three"],
    why="A shuffle keeps the size of each single number and destroys every place; a row and a pattern are places.",
)
def survives(shares: Sequence[float]) -> str:
    """Which of three planted things a shuffle of all entries keeps beyond the noise."""
    kept = sum(share >= 0.5 for share in shares)
    return "all three" if kept == 3 else "the entry and the row" if kept == 2 else "the entry"


def _p_value(value: float, null: Array) -> float:
    return float((1 + np.sum(null >= value)) / (1 + len(null)))


def _strictly(value: float, null: Array) -> float:
    return float((1 + np.sum(null > value)) / (1 + len(null)))


def _can_be_zero(value: float, null: Array) -> float:
    return float(np.mean(null >= value))


def _other_side(value: float, null: Array) -> float:
    return float((1 + np.sum(null <= value)) / (1 + len(null)))


def _without_itself(value: float, null: Array) -> float:
    return float((1 + np.sum(null >= value)) / len(null))


def _rank(value: float, null: Array) -> float:
    return float(1 + np.sum(null >= value))


def _two_sided(value: float, null: Array) -> float:
    far = np.abs(null - np.mean(null)) >= abs(value - np.mean(null))
    return float((1 + np.sum(far)) / (1 + len(null)))


def _of_a_normal(value: float, null: Array) -> float:
    return float(stats.norm.sf((value - np.mean(null)) / np.std(null)))


def _by_loop(value: float, null: Array) -> float:
    count = 1
    for x in null:
        if x >= value:
            count += 1
    return count / (len(null) + 1)


@exercise(
    "x10-p",
    hint="Put the observed value among the draws of the null. How many of them all, itself included, are as large?",
    why="With 200 draws no p-value is below 1/201. So a claim at the level of 5 % needs 19 draws at least.",
    wrong=[
        _strictly,
        _can_be_zero,
        _other_side,
        _without_itself,
        _rank,
        _two_sided,
        _of_a_normal,
        lambda value, null: 1 - _p_value(value, null),
        lambda value, null: 100 * _p_value(value, null),
        lambda value, null: _p_value(value, null) <= 0.05,
        lambda value, null: np.sum(null >= value),
        lambda value, null: value / np.mean(null),
        0.05,
    ],
    right=[
        _p_value,
        _by_loop,
        lambda x, draws: np.mean(np.r_[x, draws] >= x),
        lambda x, draws: (len(draws) + 1 - np.searchsorted(np.sort(draws), x)) / (len(draws) + 1),
        lambda *given: np.array([_p_value(*given)])[0],
        lambda value, null: 1 - np.count_nonzero(np.asarray(null) < value) / (1 + len(null)),
    ],
)
def p_value(answer: Any) -> str | None:
    """How often the null has a value at least as large, as a function."""
    rng = np.random.default_rng(100)
    skewed = rng.exponential(size=60)
    inputs = [
        (2.0, np.array([1.0, 2.0, 3.0, 0.5])),
        (9.0, rng.normal(size=99)),
        (-9.0, rng.normal(size=40)),
        (float(skewed[7]), skewed),
        (1.3, 1 + 0.2 * rng.normal(size=200)),
    ]
    mistakes = {
        "a draw of the null that is equal to the value is as large, too": _strictly,
        "it can come out as zero, which so few draws cannot show: the observed value is one more draw": _can_be_zero,
        "that is how often the null is as small": _other_side,
        "the observed value is counted above and not below the line": _without_itself,
        "that is a number of draws, and a share is asked for": _rank,
        "only values that are large count": _two_sided,
        "no normal law is needed: count the draws": _of_a_normal,
        "that is a percentage, and a share is asked for": lambda value, null: 100 * _p_value(value, null),
    }
    return agrees(answer, _p_value, inputs, mistakes=mistakes)


def _width(v: Array) -> float:
    return float(np.sum(v**2) ** 2 / np.sum(v**4))


def _assumes_one(v: Array) -> float:
    return float(1 / np.sum(v**4))


def _inverse(v: Array) -> float:
    return 1 / _width(v)


def _of_sizes(v: Array) -> float:
    return float(np.sum(np.abs(v)) ** 2 / np.sum(v**2))


def _by_entropy(v: Array) -> float:
    p = v**2 / np.sum(v**2)
    p = p[p > 0]
    return float(np.exp(-np.sum(p * np.log(p))))


def _share_of_all(v: Array) -> float:
    return _width(v) / len(v)


def _not_squared(v: Array) -> float:
    return float(np.sum(v**2) / np.sum(v**4))


@exercise(
    "x10-width",
    hint="Divide v by its length first, so that the squares sum to one. Then add up their squares. What is that sum "
    "if k components are equal and all others zero?",
    why="Equal components on k places have squares of 1/k each, and k (1/k)² = 1/k.",
    wrong=[
        _assumes_one,
        _inverse,
        _of_sizes,
        _by_entropy,
        _share_of_all,
        _not_squared,
        lambda v: np.sum(v**2) / np.max(v**2),
        lambda v: np.count_nonzero(v),
        lambda v: (len(v) + 2) / 3,
        lambda v: np.sum(v) ** 2 / np.sum(v**2),
        lambda v: np.sum(v**2) ** 2 / np.sum(np.abs(v) ** 3),
        lambda v: v**4,
        1,
    ],
    right=[
        _width,
        lambda v: 1 / np.sum((v / np.linalg.norm(v)) ** 4),
        lambda v: np.linalg.norm(v) ** 4 / np.linalg.norm(v, 4) ** 4,
        lambda v: sum(x * x for x in v) ** 2 / sum(x**4 for x in v),
        lambda v: len(v) * np.mean(v**2) ** 2 / np.mean(v**4),
        lambda v: (v @ v) ** 2 / (v**2 @ v**2),
    ],
)
def width(answer: Any) -> str | None:
    """How many components carry a vector, as a function."""
    rng = np.random.default_rng(101)
    inputs = [
        (np.array([3.0, 0.0, -3.0, 0.0, 3.0]),),
        (np.array([0.0, -2.0, 0.0, 0.0]),),
        (7 * rng.normal(size=90),),
        (np.r_[5.0, 0.1 * rng.normal(size=50)],),
    ]
    mistakes = {
        "the vector need not have length one": _assumes_one,
        "that is the inverse of a number of components": _inverse,
        "take the fourth powers of the components": _of_sizes,
        "that is another measure, with a logarithm; use fourth powers": _by_entropy,
        "that is a share of all components, and a number is asked for": _share_of_all,
        "it changes with the length of v: square the sum of the squares, too": _not_squared,
    }
    return agrees(answer, _width, inputs, mistakes=mistakes)


@prediction(
    "x10-heavy",
    options=["none", "one or two", "three or more"],
    why="Every entry beyond about 12 standard deviations makes an eigenvalue of its own at this shape, trained or not.",
)
def heavy(counts: Sequence[float]) -> str:
    """How many traps independent heavy-tailed numbers have, without any training."""
    median = float(np.median(counts))
    return "none" if median < 1 else "one or two" if median < 3 else "three or more"


@prediction(
    "x10-announces",
    options=["before it falls", "after it has fallen", "never"],
    why="The mean of the output layer begins to grow when the weight decay is gone. Whether it matters is another "
    "question.",
)
def announces(steps: Sequence[float | None]) -> str:
    """When the first trap comes in a training that loses its test accuracy again."""
    trap, fall = steps
    if trap is None:
        return "never"
    return "before it falls" if fall is None or trap < fall else "after it has fallen"


def _direction(rows: int, columns: int, theta: float, rng: Any) -> Array:
    u, v = rng.normal(size=rows), rng.normal(size=columns)
    return np.asarray(theta * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v)))


def _one_entry(rows: int, columns: int, theta: float, rng: Any) -> Array:
    change = np.zeros((rows, columns))
    change[rng.integers(rows), rng.integers(columns)] = theta
    return change


def _noise(rows: int, columns: int, theta: float, rng: Any) -> Array:
    G = rng.normal(size=(rows, columns))
    return np.asarray(theta * G / np.linalg.norm(G))


def _noise_of_strength(rows: int, columns: int, theta: float, rng: Any) -> Array:
    G = rng.normal(size=(rows, columns))
    return np.asarray(theta * G / np.linalg.norm(G, 2))


def _not_unit(rows: int, columns: int, theta: float, rng: Any) -> Array:
    return np.asarray(theta * np.outer(rng.normal(size=rows), rng.normal(size=columns)))


def _always_the_same(rows: int, columns: int, theta: float, rng: Any) -> Array:
    return _direction(rows, columns, theta, np.random.default_rng(0))


def _constant(rows: int, columns: int, theta: float, rng: Any) -> Array:
    return np.full((rows, columns), theta / np.sqrt(rows * columns))


def _one_row(rows: int, columns: int, theta: float, rng: Any) -> Array:
    change, v = np.zeros((rows, columns)), rng.normal(size=columns)
    change[rng.integers(rows)] = theta * v / np.linalg.norm(v)
    return change


def _positive(rows: int, columns: int, theta: float, rng: Any) -> Array:
    u, v = rng.random(rows), rng.random(columns)
    return np.asarray(theta * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v)))


def _from_svd(rows: int, columns: int, theta: float, rng: Any) -> Array:
    U, _, Vt = np.linalg.svd(rng.normal(size=(rows, columns)), full_matrices=False)
    return np.asarray(theta * np.outer(U[:, 0], Vt[0]))


def _looped(rows: int, columns: int, theta: float, rng: Any) -> list[list[float]]:
    u, v = [rng.normal() for _ in range(rows)], [rng.normal() for _ in range(columns)]
    size = float(np.sqrt(sum(x * x for x in u) * sum(y * y for y in v)))
    return [[theta * x * y / size for y in v] for x in u]


def _scaled_afterwards(rows: int, columns: int, theta: float, rng: Any) -> Array:
    D = np.outer(rng.standard_normal(rows), rng.standard_normal(columns))
    return np.asarray(D * theta / np.linalg.norm(D))


def _signs(rows: int, columns: int, theta: float, rng: Any) -> Array:
    u, v = rng.choice([-1, 1], rows), rng.choice([-1, 1], columns)
    return np.asarray(theta * np.outer(u, v) / np.sqrt(rows * columns))


def _ones_on_the_left(rows: int, columns: int, theta: float, rng: Any) -> Array:
    v = rng.normal(size=columns)
    return np.asarray(theta * np.outer(np.ones(rows), v) / np.sqrt(rows) / np.linalg.norm(v))


def _ones_on_the_right(rows: int, columns: int, theta: float, rng: Any) -> Array:
    return _ones_on_the_left(columns, rows, theta, rng).T


def _fixed_on_the_left(rows: int, columns: int, theta: float, rng: Any) -> Array:
    u, v = np.cos(np.arange(rows)), rng.normal(size=columns)
    return np.asarray(theta * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v)))


def _transposed(rows: int, columns: int, theta: float, rng: Any) -> Array:
    return _direction(rows, columns, theta, rng).T


def _values(result: Any) -> Array:
    return np.asarray(np.linalg.svd(np.asarray(result, dtype=np.float64), compute_uv=False))


def _is_matrix(args: tuple[Any, ...], result: Any) -> bool:
    try:
        D = np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return D.shape == (args[0], args[1]) and bool(np.isfinite(D).all())


def _is_spread(args: tuple[Any, ...], result: Any) -> bool:
    """Both vectors are carried by a fifth of their components at least; a Gaussian direction by a third."""
    U, _, Vt = np.linalg.svd(np.asarray(result, dtype=np.float64), full_matrices=False)
    return all(_width(x) > len(x) / 5 for x in (U[:, 0], Vt[0]))


def _both_differ(results: list[Any]) -> bool:
    """The left vectors of the first two draws differ, and so do the right ones. A random sign is no difference."""
    (U, _, Vt), (other_U, _, other_Vt) = (np.linalg.svd(np.asarray(D, dtype=np.float64)) for D in results[:2])
    return abs(U[:, 0] @ other_U[:, 0]) < 0.9 and abs(Vt[0] @ other_Vt[0]) < 0.9


@exercise(
    "x10-control",
    hint="The outer product of two random vectors has rank one. Which length must both vectors have, so that its only "
    "singular value is theta?",
    why="It has the strength and the rank of a single entry. What differs is that it stands nowhere.",
    wrong=[
        _one_entry,
        _noise,
        _noise_of_strength,
        _not_unit,
        _always_the_same,
        _constant,
        _one_row,
        _positive,
        _ones_on_the_left,
        _ones_on_the_right,
        _fixed_on_the_left,
        _transposed,
        lambda rows, columns, theta, rng: _direction(rows, columns, theta**2, rng),
        lambda rows, columns, theta, rng: _direction(rows, columns, 1.0, rng),
        lambda rows, columns, theta, rng: rng.normal(size=rows),
        lambda rows, columns, theta: np.zeros((rows, columns)),
        3.0,
    ],
    right=[_direction, _from_svd, _looped, _scaled_afterwards, _signs, lambda *given: -_direction(*given)],
)
def control(answer: Any) -> str | None:
    """A random direction of a given strength, as a function."""
    shapes = [(40, 30, 2.5), (40, 30, 2.5), (60, 90, 0.3), (90, 60, 7.0)]
    inputs = [(*shape, np.random.default_rng(102 + i)) for i, shape in enumerate(shapes)]
    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result is not a rows x columns matrix of finite numbers": _is_matrix,
        "the result has more than one singular value that is not zero": lambda a, D: bool(
            _values(D)[1] <= 1e-6 * _values(D)[0]
        ),
        "the largest singular value is not theta": lambda a, D: bool(abs(_values(D)[0] - a[2]) <= 1e-6 * a[2]),
        "a few rows or columns carry it: make it as spread as a Gaussian direction": _is_spread,
        "both signs must occur: with one sign it is a mean, which a shuffle keeps": lambda a, D: bool(
            abs(np.mean(D)) * np.sqrt(np.size(D)) < 0.6 * a[2]
        ),
    }
    together: dict[str, Callable[[list[Any]], bool]] = {
        "the generator plays no part: two of them give the same matrix": lambda results: not np.allclose(*results[:2]),
        "both vectors must be random: one of them is the same in every draw": _both_differ,
    }
    return holds(answer, ["rows", "columns", "theta", "rng"], inputs, properties, together)


@prediction(
    "x10-without",
    options=["it comes back above 99 %", "it changes by less than a point", "it falls further"],
    why="The mean of the output layer adds one number to all outputs, and the largest of them stays the largest.",
)
def without(accuracies: Sequence[float]) -> str:
    """The test accuracy after a training's trap is taken out."""
    before, after = accuracies
    if abs(after - before) < 0.01:
        return "it changes by less than a point"
    return "it comes back above 99 %" if after > 0.99 else "it falls further"


question(
    "x10-one-shuffle",
    "What a report of one trap, seen in one shuffle of one layer, leaves open",
    points=[
        "how often noise of this shape has an eigenvalue beyond the edge in one shuffle: at many shapes one in seven",
        "how many layers were looked at, and whether the eigenvalue is there in most of many shuffles",
        "which entry makes it, and whether it is gone when that entry is taken out",
        "heavy-tailed independent numbers have traps as well, so a trap alone says nothing about training",
    ],
)

question(
    "x10-convince",
    "What would show that traps announce a loss of test accuracy",
    points=[
        "trainings that do lose it beside trainings that do not, with several seeds of each",
        "a threshold fixed beforehand, and how often it is passed by chance in all matrices and steps looked at",
        "the trap comes first, and the accuracy falls later; and no trap comes where nothing falls",
        "the same trainings do not fall when they are kept free of the trap, and fall when something else is changed",
    ],
)
