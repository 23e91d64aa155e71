"""Exercises of the extra x8, the ERG tail: counting it, the gap of a power law alone, and where two tails meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import pareto

from .._arrays import Array
from ..laws import MarchenkoPastur
from ..tails.erg import count_erg
from . import exercise, prediction, question
from .answers import agrees, close, near, number

_MEETS = {0.05: 1.55, 0.1: 1.68, 0.2: 1.85, 0.3: 1.98, 0.5: 2.26}  # alpha by the length of the power law, 4000 x 1000
_ASKED = 0.1


def _crossing(values: npt.NDArray[Any], bound: float) -> int:
    """How many it takes until the value is below the bound; 1 where it never is, as ``argmax`` has it."""
    return int(np.argmax(values < bound)) + 1


def _by_products(x: Array) -> int:
    with np.errstate(over="ignore"):
        return _crossing(np.cumprod(x[::-1] / x.mean()), 1)


def _by_slices(x: Array) -> int:
    y = x / x.mean()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return next((k for k in range(1, len(y)) if np.prod(y[-k:]) < 1), len(y))


def _one_fewer(x: Array) -> int:
    return count_erg(x) - 1


def _unscaled(x: Array) -> int:
    return _crossing(np.cumsum(np.log(x[::-1])), 0)


def _smallest_first(x: Array) -> int:
    return _crossing(np.cumsum(np.log(x / x.mean())), 0)


def _above_mean(x: Array) -> int:
    return int(np.sum(x > x.mean()))


def _without_logarithm(x: Array) -> int:
    return _crossing(np.cumsum(x[::-1] / x.mean() - 1), 0)


def _one_by_one(x: Array) -> int:
    total, mean = 0.0, sum(x) / len(x)
    for k, value in enumerate(reversed(x), 1):
        total += math.log(value / mean)
        if total < 0:
            return k
    return len(x)


@exercise(
    "x8-count",
    hint="Divide by the mean, and begin with the largest value. A product of thousands of numbers leaves the range of "
    "a float. What may you add up instead?",
    why="The logarithm of a product is a sum, which stays small. It changes its sign once, so there is one answer.",
    wrong=[
        _by_products,
        _by_slices,
        _one_fewer,
        _unscaled,
        _smallest_first,
        _above_mean,
        _without_logarithm,
        lambda x: _crossing(np.cumsum(np.log(x[::-1] / x[-1])), 0),
        lambda x: _crossing(np.cumsum(np.log(x[::-1] / np.median(x))), 0),
        lambda x: count_erg(x) / len(x),
        lambda x: x[-count_erg(x)],
        lambda x: np.cumsum(np.log(x[::-1] / x.mean())),
        lambda x: len(x),
        lambda x, k: 1,
        3,
    ],
    right=[
        count_erg,
        _one_by_one,
        lambda x: _crossing(np.cumsum(np.log10(x[::-1] / x.mean())), 0),
        lambda x: np.count_nonzero(np.cumsum(np.log2(np.sort(x)[::-1] / np.mean(x))) >= 0) + 1,
        lambda x: float(1 + sum(s >= 0 for s in accumulate(np.log(x[::-1]) - np.log(x.mean())))),
        lambda x: next(k for k in range(1, len(x) + 1) if np.mean(np.log(x[-k:])) < np.log(np.mean(x))),
    ],
)
def count(answer: Any) -> str | None:
    """The number of values in the ERG tail, as a function."""
    rng = np.random.default_rng(80)
    inputs = [
        (np.array([0.01, 0.02, 3.0, 6.0, 17.0]),),
        (0.3 * _quantiles(100, 50),),
        (np.sort(rng.lognormal(0, 2, 80)) * 1e-4,),
        (np.sort((1 - rng.random(60)) ** (-1 / 1.5)) * 1e6,),
        (0.002 * _quantiles(4000, 4000),),
    ]
    lost = "the product of floats is lost in a spectrum of 4000 values: add up something smaller"
    mistakes = {
        lost: _by_products,
        f"{lost}, for every k": _by_slices,
        "the value that takes the product below one counts, too": _one_fewer,
        "the mean of the values is not one: divide by it first": _unscaled,
        "begin with the largest value": _smallest_first,
        "these are the values above the mean, where the product is largest; go on until it is below one": _above_mean,
        "these are sums of the values, and a product is asked for": _without_logarithm,
        "that is a share, and a whole number is asked for": lambda x: count_erg(x) / len(x),
    }
    return agrees(answer, count_erg, inputs, mistakes=mistakes)


def _quantiles(N: int, M: int) -> Array:
    """As many values as a noise matrix of that shape has, in ascending order: quantiles of the Marchenko-Pastur law."""
    return np.asarray(MarchenkoPastur(N / M).ppf((np.arange(M) + 0.5) / M), dtype=np.float64)


@prediction(
    "x8-noise",
    options=["the number of eigenvalues alone", "Q alone", "both", "neither"],
    why="The eigenvalues of noise follow the Marchenko-Pastur law, which has no other shape parameter.",
)
def what_decides(shares: Sequence[float]) -> str:
    """What decides how much of a noise spectrum the ERG tail takes."""
    square, larger, longer = shares
    by_size, by_shape = (abs(share - square) > 0.01 for share in (larger, longer))
    if by_size and by_shape:
        return "both"
    return "the number of eigenvalues alone" if by_size else "Q alone" if by_shape else "neither"


def _tail(n: int, alpha: float) -> Array:
    return np.asarray((1 - (np.arange(n) + 0.5) / n) ** (-1 / (alpha - 1)), dtype=np.float64)


def _gap_alone(noise: Array, n: int, alpha: float) -> float:
    x = np.r_[noise, _tail(n, alpha)]
    return abs(n - count_erg(x)) / len(x)


def _signed(noise: Array, n: int, alpha: float) -> float:
    x = np.r_[noise, _tail(n, alpha)]
    return (n - count_erg(x)) / len(x)


def _wrong_exponent(noise: Array, n: int, alpha: float) -> float:
    return _gap_alone(noise, n, alpha + 1)


def _without_noise(noise: Array, n: int, alpha: float) -> float:
    return abs(n - count_erg(_tail(n, alpha))) / n


def _of_tail(noise: Array, n: int, alpha: float) -> float:
    return _gap_alone(noise, n, alpha) * (len(noise) + n) / n


def _of_noise(noise: Array, n: int, alpha: float) -> float:
    return _gap_alone(noise, n, alpha) * (len(noise) + n) / len(noise)


def _upside_down(noise: Array, n: int, alpha: float) -> float:
    x = np.r_[noise, 1 / _tail(n, alpha)]
    return abs(n - count_erg(x)) / len(x)


def _erg_share(noise: Array, n: int, alpha: float) -> float:
    x = np.r_[noise, _tail(n, alpha)]
    return count_erg(x) / len(x)


def _looped(noise: Array, n: int, alpha: float) -> float:
    values = sorted([*noise, *((1 - (i - 0.5) / n) ** (1 / (1 - alpha)) for i in range(1, n + 1))])
    return abs(n - _one_by_one(np.array(values))) / len(values)


@exercise(
    "x8-alone",
    hint="Make the n values of the formula, put them and the noise into one array, and count its ERG tail. The gap is "
    "the difference of two whole numbers, without its sign, as a share of all values.",
    why="A length, an alpha and noise went in, and that the power law has no end. What this gap explains is no "
    "evidence for anything else.",
    wrong=[
        _signed,
        _wrong_exponent,
        _without_noise,
        _of_tail,
        _of_noise,
        _upside_down,
        _erg_share,
        lambda noise, n, alpha: _gap_alone(noise, n, alpha) * (len(noise) + n),
        lambda noise, n, alpha: 100 * _gap_alone(noise, n, alpha),
        lambda noise, n, alpha: n / (len(noise) + n),
        lambda noise, n, alpha: count_erg(noise) / (len(noise) + n),
        lambda noise, n, alpha: np.r_[noise, _tail(n, alpha)],
        lambda noise, n: 0.5,
        0.2,
    ],
    right=[
        _gap_alone,
        _looped,
        lambda noise, n, alpha: abs(_signed(noise, n, alpha)),
        lambda x, n, a: (lambda y: np.abs(count_erg(y) - n) / y.size)(
            np.concatenate([pareto(a - 1).ppf((np.arange(n) + 0.5) / n)[::-1], x[::-1]])
        ),
        lambda *args: np.array(_gap_alone(*args)),
        lambda noise, n, alpha: _gap_alone(1e3 * noise / 1e3, n, alpha),
    ],
)
def gap_alone(answer: Any) -> str | None:
    """The gap of a power law on top of noise and of nothing else, as a function."""
    inputs = []
    for M, n, alpha in ((80, 20, 2.0), (200, 20, 3.0), (100, 50, 1.7), (250, 150, 1.6), (210, 10, 5.0)):
        noise = _quantiles(3 * M, M - n)
        inputs.append((noise / noise[-1], n, alpha))
    mistakes = {
        "the size of the gap is asked for, without its sign": _signed,
        "a density x^-alpha has the exponent -1/(alpha - 1) in its quantiles": _wrong_exponent,
        "the noise plays no part": _without_noise,
        "that is a share of the tail, and a share of all values is asked for": _of_tail,
        "that is a share of the noise, and a share of all values is asked for": _of_noise,
        "the power law lies below the noise: mind the sign of the exponent": _upside_down,
        "that is the share of the ERG tail; how far is it from the power law?": _erg_share,
        "that is a number of values, and a share of all is asked for": lambda noise, n, alpha: (
            _gap_alone(noise, n, alpha) * (len(noise) + n)
        ),
    }
    return agrees(answer, _gap_alone, inputs, mistakes=mistakes)


@prediction(
    "x8-near-two",
    options=["none", "one or two", "three or four"],
    why="A tail's few largest values decide the mean, and so the ERG tail. The layers' tails end far below the largest "
    "values of a power law without end, with which none is closer. With the same end the gaps are nearly the same.",
)
def closer_than_alone(count: int) -> str:
    """How many of four layers near alpha 2 are closer than a power law that ends where they do."""
    return "none" if count == 0 else "one or two" if count <= 2 else "three or four"


@prediction(
    "x8-meet",
    options=["at 2 for all lengths", "the longer, the larger is alpha", "the longer, the smaller is alpha"],
    why="A longer power law needs a longer ERG tail to meet it, and a lighter tail makes the ERG tail longer. All of "
    "these power laws have no end.",
)
def where_they_meet(alphas: Sequence[float]) -> str:
    """Where the two tails of a power law meet, from short ones to long ones."""
    if max(alphas) - min(alphas) < 0.1:
        return "at 2 for all lengths"
    return "the longer, the larger is alpha" if alphas[-1] > alphas[0] else "the longer, the smaller is alpha"


@exercise(
    "x8-meets",
    hint="Compute the gap for many alphas between 1.5 and 2.5, and take the alpha with the smallest one.",
    why="Only a heavy tail raises the mean so far that a tenth of all values has a product of one.",
    wrong=[2, 1.55, 1.85, 1.98, 2.26, 1.5, 1.75, 0.1, 100, -1.68, 2.68, 0.68, "two", 0],
    right=[_MEETS[_ASKED], 1.675, [1.68], np.array([1.685]), np.float32(1.69), 1.7],
)
def meets(answer: Any) -> str | None:
    """The alpha at which the tails meet if a tenth of all values is a power law."""
    x = number(answer)
    for length, alpha in _MEETS.items():
        if length != _ASKED and close(x, alpha):
            return "that is where they meet for another length of the power law"
    if close(x, _MEETS[_ASKED] - 1):
        return "that is alpha - 1, the exponent of the share beyond x"
    return near(x, _MEETS[_ASKED], rtol=0, atol=0.03)


@prediction(
    "x8-loss",
    options=["little", "much", "within 0.05 of each other"],
    why="The gap is made of two counts of eigenvalues, which do not know the held-out text.",
)
def smaller_gap(gaps: Sequence[float]) -> str:
    """Which of two recorded trainings ends with the smaller gap."""
    little, much = gaps
    return "within 0.05 of each other" if abs(little - much) < 0.05 else "little" if little < much else "much"


question(
    "x8-published",
    "What a picture of gaps that fall with alpha must be compared with",
    points=[
        "spectra with a power law of the same length and the same alpha, and otherwise nothing but noise",
        "and with the same largest value: a power law without end has a few huge values, which shorten the ERG tail",
        "the ERG tail of another layer of the same shape, in place of its own",
        "the gap on both sides of 2: is it smallest there, or does it go on falling?",
        "four layers of one model are few, and they were trained together",
    ],
)

question(
    "x8-convince",
    "What would show that a small gap means a good layer",
    points=[
        "an outcome that is not read off the spectrum, such as a loss on held-out data",
        "a comparison at the same alpha and the same length of the power law, which is cheaper to know",
        "one factor at a time, the amount of data among them, and several seeds",
        "a layer chosen before its outcome is seen, in models that did not suggest the rule",
    ],
)
