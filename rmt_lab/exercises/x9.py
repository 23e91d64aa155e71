"""Exercises of notebook x9, the temperature of repulsion."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.special import digamma

from .._arrays import Array
from ..ensembles import correlated, gaussian
from ..laws import InverseHighTemperatureMarchenkoPastur
from ..laws.spacings import spacing_ratios
from ..tails import hill
from . import exercise, prediction, question
from .answers import agrees, holds

_COLD = 1e8  # so cold that a chi variable is the root of its degrees of freedom, to 1e-4
_HOT = 0.1
_SMALL, _DRAWS = (30, 10), {1.0: 150, _HOT: 300}  # a shape of which many matrices are drawn, and how many by beta
_TALL, _COLUMNS = 3000, 300  # of a matrix whose levels are nearly its population


def _two_diagonals(diagonal: Array, beside: Array) -> Array:
    return np.diag(diagonal) + np.diag(beside, 1)


def _degrees(N: int, M: int) -> tuple[Array, Array]:
    """Of freedom at beta = 1, on the diagonal and beside it."""
    return np.arange(N, N - M, -1.0), np.arange(M - 1, 0, -1.0)


def _hot(N: int, M: int, beta: float, rng: Any) -> Array:
    d, e = _degrees(N, M)
    return _two_diagonals(np.sqrt(rng.chisquare(beta * d)), np.sqrt(rng.chisquare(beta * e))) / np.sqrt(beta)


def _frozen(N: int, M: int) -> Array:
    """The matrix at zero temperature, whose entries do not fluctuate."""
    d, e = _degrees(N, M)
    return _two_diagonals(np.sqrt(d), np.sqrt(e))


def _entry_by_entry(N: int, M: int, beta: float, rng: Any) -> list[list[float]]:
    B = [[0.0] * M for _ in range(M)]
    for i in range(M):
        B[i][i] = float(np.sqrt(rng.chisquare(beta * (N - i)) / beta))
        if i + 1 < M:
            B[i][i + 1] = float(np.sqrt(rng.chisquare(beta * (M - 1 - i)) / beta))
    return B


def _by_gamma(N: int, M: int, beta: float, rng: Any) -> Array:
    d, e = _degrees(N, M)
    return _two_diagonals(np.sqrt(2 / beta * rng.gamma(beta * d / 2)), np.sqrt(2 / beta * rng.gamma(beta * e / 2)))


def _with_other_degrees(d_of: Callable[[int, int], Any], e_of: Callable[[int, int], Any]) -> Callable[..., Array]:
    def answer(N: int, M: int, beta: float, rng: Any) -> Array:
        d, e = np.sqrt(rng.chisquare(beta * d_of(N, M))), np.sqrt(rng.chisquare(beta * e_of(N, M)))
        return _two_diagonals(d, e) / np.sqrt(beta)

    return answer


def _without_beta(N: int, M: int, beta: float, rng: Any) -> Array:
    return _hot(N, M, 1.0, rng)


def _squares(N: int, M: int, beta: float, rng: Any) -> Array:
    d, e = _degrees(N, M)
    return _two_diagonals(rng.chisquare(beta * d), rng.chisquare(beta * e)) / np.sqrt(beta)


def _with_whole_degrees(N: int, M: int, beta: float, rng: Any) -> Array:
    d, e = (np.sqrt(rng.chisquare(np.maximum(1, np.round(beta * k)))) for k in _degrees(N, M))
    return _two_diagonals(d, e) / np.sqrt(beta)


def _with_normal_roots(N: int, M: int, beta: float, rng: Any) -> Array:
    """A normal law in place of that of chi, which it is near for many degrees of freedom only."""
    d, e = (np.abs(rng.normal(np.sqrt(beta * k), np.sqrt(0.5))) for k in _degrees(N, M))
    return _two_diagonals(d, e) / np.sqrt(beta)


@cache
def _largest(beta: float) -> tuple[float, float]:
    """Mean and spread of the largest singular value at the small shape; at beta = 1 from full matrices."""
    rng = np.random.default_rng(90)
    draws = [gaussian(*_SMALL, rng=rng) if beta == 1 else _hot(*_SMALL, beta, rng) for _ in range(4000)]
    s = [_singular_values(W)[0] for W in draws]
    return float(np.mean(s)), float(np.std(s))


def _singular_values(B: Any) -> Array:
    return np.asarray(np.linalg.svd(np.asarray(B, dtype=np.float64), compute_uv=False), dtype=np.float64)


def _is_matrix(x: Any, shape: tuple[int, int]) -> bool:
    x = np.asarray(x)
    return x.shape == shape and x.dtype.kind in "if" and bool(np.isfinite(x).all())


@exercise(
    "x9-matrix",
    hint="The degrees of freedom fall by one from entry to entry: from N to N - M + 1 on the diagonal, from M - 1 to 1 "
    "beside it. Multiply them by beta, and take roots of what rng.chisquare draws. The matrix is divided by the root "
    "of beta.",
    why="For beta = 1 its singular values have the law of those of a real Gaussian matrix, at every size.",
    wrong=[
        _squares,
        _without_beta,
        lambda N, M, beta, rng: np.sqrt(beta) * _hot(N, M, beta, rng),
        lambda N, M, beta, rng: _without_beta(N, M, beta, rng) / np.sqrt(beta),
        _with_other_degrees(lambda N, M: np.arange(N, N - M, -1), lambda N, M: np.arange(1, M)),
        _with_other_degrees(lambda N, M: np.arange(N - M + 1, N + 1), lambda N, M: np.arange(M - 1, 0, -1)),
        _with_other_degrees(lambda N, M: np.arange(N, N - M, -1), lambda N, M: np.arange(M, 1, -1)),
        _with_other_degrees(lambda N, M: np.arange(N - 1, N - M - 1, -1) + 1e-9, lambda N, M: np.arange(M - 1, 0, -1)),
        _with_other_degrees(lambda N, M: np.arange(N, N - M, -1), lambda N, M: np.arange(N - 1, N - M, -1)),
        lambda N, M, beta, rng: np.diag(np.diag(_hot(N, M, beta, rng))),
        lambda N, M, beta, rng: _frozen(N, M),
        _with_whole_degrees,
        _with_normal_roots,
        lambda N, M, beta, rng: _hot(N, M, max(beta, 1), rng),
        lambda N, M, beta, rng: _hot(N, M, beta, np.random.default_rng(0)),
        lambda N, M, beta, rng: _hot(N, M, beta, rng) + np.diag(np.diag(_hot(N, M, beta, rng), 1), -1),
        lambda N, M, beta, rng: gaussian(N, M, rng=rng),
        lambda N, M, beta, rng: _hot(N, M, beta, rng) @ _hot(N, M, beta, rng).T,
        lambda N, M, beta, rng: _singular_values(_hot(N, M, beta, rng)),
        1.0,
    ],
    right=[
        _hot,
        _entry_by_entry,
        _by_gamma,
        lambda N, M, beta, rng: _hot(N, M, beta, rng).T,
        lambda n, m, b, generator: _hot(n, m, b, generator)[::-1, ::-1],
        lambda N, M, beta, rng: -_hot(N, M, beta, rng),
    ],
)
def matrix(answer: Any) -> str | None:
    """A matrix with two diagonals whose levels repel each other as beta says."""
    cold = [(50, 20, _COLD), (60, 35, _COLD)]
    inputs = [(*c, np.random.default_rng(seed)) for seed, c in enumerate(cold)]
    small = [beta for beta, draws in _DRAWS.items() for _ in range(draws)]
    inputs += [(*_SMALL, beta, np.random.default_rng([91, seed])) for seed, beta in enumerate(small)]

    def size(args: tuple[Any, ...], x: Any) -> bool:
        N, M, beta, _ = args
        return beta < _COLD or bool(abs(np.sum(np.square(x)) / (N * M) - 1) < 1e-3)

    def shape(args: tuple[Any, ...], x: Any) -> bool:
        N, M, beta, _ = args
        return beta < _COLD or bool(np.allclose(_singular_values(x), _singular_values(_frozen(N, M)), rtol=1e-3))

    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result is not a matrix of finite numbers with M rows and M columns": lambda args, x: _is_matrix(
            x, (args[1], args[1])
        ),
        "the squares of all entries do not add up to N M, nearly (at so large a beta they hardly fluctuate)": size,
        "the singular values are not right: do the degrees of freedom fall along both diagonals?": shape,
    }

    def alive(results: list[Any]) -> bool:
        return not np.allclose(results[-1], results[-2])

    def largest(beta: float) -> Callable[[list[Any]], bool]:
        def right(results: list[Any]) -> bool:
            drawn = [x for x, b in zip(results[len(cold) :], small, strict=True) if b == beta]
            s = np.array([_singular_values(x)[0] for x in drawn])
            mean, spread = _largest(beta)
            return bool(abs(s.mean() - mean) < 4 * spread / len(s) ** 0.5 and 0.75 < s.std() / spread < 1.3)

        return right

    def mean_square(results: list[Any]) -> bool:
        """Their sum has the law of chi-square with beta N M degrees of freedom, over beta."""
        N, M = _SMALL
        total = np.array([np.sum(np.square(x)) for x in results[-_DRAWS[_HOT] :]])
        error = np.sqrt(2 * N * M / _HOT / len(total))
        return bool(abs(total.mean() - N * M) < 4 * error)

    together = {
        "two different generators give the same matrix": alive,
        "at beta = 1 the largest singular value is not that of a real Gaussian matrix": largest(1.0),
        f"at beta = {_HOT} the squares of all entries do not add up to N M on average": mean_square,
        f"at beta = {_HOT} the largest singular value is not right, and at beta = 1 it is": largest(_HOT),
    }
    return holds(answer, ["N", "M", "beta", "rng"], inputs, properties, together)


@prediction(
    "x9-neighbours",
    options=["below 9 %", "9 to 15 %", "above 15 %"],
    why="So weak a repulsion acts only where two levels come very close, far below a quarter of the mean spacing.",
)
def neighbours(share: float) -> str:
    """Small spacings at a tenth of the repulsion."""
    return "below 9 %" if share < 0.09 else "above 15 %" if share > 0.15 else "9 to 15 %"


def _alpha(N: int, M: int, beta: float) -> float:
    return InverseHighTemperatureMarchenkoPastur(N / M, beta * M / 2).alpha


@exercise(
    "x9-alpha",
    hint="The share of y above some value is the share of x below its inverse. Its derivative is the density of y. "
    "Then put in c and Q.",
    why="The difference of the two sides times the repulsion is all that the exponent depends on.",
    wrong=[
        lambda N, M, beta: _alpha(N, M, beta) - 1,
        lambda N, M, beta: _alpha(N, M, beta) - 2,
        lambda N, M, beta: 2 - _alpha(N, M, beta),
        lambda N, M, beta: _alpha(N, M, beta) + 1,
        lambda N, M, beta: 1 + beta * (N - M),
        lambda N, M, beta: 1 + beta * M / 2,
        lambda N, M, beta: 1 + beta * N / 2,
        lambda N, M, beta: 1 + N / M - 1,
        lambda N, M, beta: 1 + beta * (M - N) / 2,
        lambda N, M, beta: 1 + beta * N / 2 * (N / M - 1),
        lambda N, M, beta: 1 + beta * (N - M) / 4,
        lambda N, M: 2.9,
        2.92,
    ],
    right=[
        _alpha,
        lambda N, M, beta: 1 + beta * (N - M) / 2,
        lambda N, M, beta: 1 + beta * (N - M + 1) / 2,  # of a finite matrix, from the joint density
        lambda rows, columns, b: np.float64(b * columns / 2 * (rows / columns - 1) + 1),
        lambda N, M, beta: np.array(_alpha(N, M, beta)),
        lambda *args: float(_alpha(*args)),
    ],
)
def tail_alpha(answer: Any) -> str | None:
    """The exponent of the inverse of hot noise, from its parameters."""
    inputs = [(576, 192, 0.01), (600, 200, 0.0015), (1200, 400, 0.004), (900, 100, 0.02)]
    mistakes = {
        "that is the exponent of the share above y; its density falls faster": lambda N, M, beta: (
            _alpha(N, M, beta) - 1
        ),
        "that is the exponent of x near 0: the density of y needs the derivative of 1/y, too": lambda N, M, beta: (
            _alpha(N, M, beta) - 2
        ),
        "the halves do not add up: c has a factor 1/2": lambda N, M, beta: 1 + beta * (N - M),
        "the sign of the exponent is turned": lambda N, M, beta: 2 - _alpha(N, M, beta),
    }
    return agrees(answer, _alpha, inputs, rtol=0.01, mistakes=mistakes)


@prediction(
    "x9-cold-inverse",
    options=["below 2", "2 to 6", "above 6"],
    why="The search for xmin finds some stretch that is nearly straight in every spectrum.",
)
def cold_inverse(alpha: float) -> str:
    """Fits to the inverse of noise that has an edge"""
    return "below 2" if alpha < 2 else "above 6" if alpha > 6 else "2 to 6"


question(
    "x9-alpha-to-temperature",
    "What a fitted exponent says about the temperature",
    points=[
        "the row of beta = 1: cold noise without any tail gets an alpha in the same range",
        "at beta = 0.01 single fits lie well below the formula, so a single fit gives another temperature",
        "the spacings, on which the temperature acts directly, with an interval",
    ],
)


@prediction(
    "x9-layers",
    options=["below 0.1", "0.1 to 0.8", "above 0.8"],
    why="So far down, spacings forget how a matrix was made: real entries with noise in all of them are enough, "
    "also under a tail of alpha = 1.5.",
)
def layers(beta: float) -> str:
    """What the thermometer reads in trained layers."""
    return "below 0.1" if beta < 0.1 else "above 0.8" if beta > 0.8 else "0.1 to 0.8"


def _population(M: int, alpha: float, rng: Any) -> Array:
    return np.asarray(rng.random(M) ** (-1 / (alpha - 1)))


def _cold_tail(N: int, M: int, alpha: float, rng: Any) -> Array:
    return correlated(N, _population(M, alpha, rng), rng)


def _turned(N: int, M: int, alpha: float, rng: Any) -> Array:
    """The same spectrum with other right singular vectors."""
    U = np.linalg.qr(rng.normal(size=(M, M)))[0]
    return np.asarray(_cold_tail(N, M, alpha, rng) @ U)


def _population_alone(N: int, M: int, alpha: float, rng: Any) -> Array:
    W = np.zeros((N, M))
    W[:M] = np.diag(np.sqrt(N * _population(M, alpha, rng)))
    return W


def _levels(W: Any) -> Array:
    W = np.asarray(W, dtype=np.float64)
    return np.asarray(np.linalg.eigvalsh(W.T @ W) / len(W))


def _gaussian_columns(args: tuple[Any, ...], W: Any) -> bool:
    """Whether fourth moments of columns are those of a normal law: entries with a heavy tail have larger ones."""
    W = np.asarray(W, dtype=np.float64)
    kurtosis = (W**4).mean(axis=0) / (W**2).mean(axis=0) ** 2
    return bool(abs(np.median(kurtosis) - 3) < 0.4)


def _steepness(x: Array) -> float:
    """alpha - 1 from the upper half of the levels of a tall matrix, which are nearly its population."""
    return hill(x, len(x) // 2) - 1


def _spread_below(x: Array) -> float:
    """Logarithm of the median level over the smallest one."""
    return float(np.log(np.median(x) / x[0]))


def _mean_log_of_population(x: Array, N: int) -> float:
    """From the determinant: that of noise is a product of chi-squares of N, N - 1, ... degrees of freedom."""
    noise = digamma((N - np.arange(len(x))) / 2) + np.log(2 / N)
    return float(np.mean(np.log(x)) - np.mean(noise))


def _at_quantiles(N: int, M: int, alpha: float, rng: Any) -> Array:
    return correlated(N, ((np.arange(M) + 0.5) / M) ** (-1 / (alpha - 1)), rng)


@exercise(
    "x9-control",
    hint="If u is uniform and k negative, u^k exceeds p with the probability p^(1/k). Which k makes it p^(1 - alpha)? "
    "Then each column is Gaussian, and its variance is one of the draws.",
    why="The tail comes from the population and the repulsion from the Gaussian rows, so one does not tell the other.",
    wrong=[
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) * _population(M, alpha, rng),
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) * np.sqrt(rng.random(M) ** (-1 / alpha)),
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) * np.sqrt(rng.random(M) ** (alpha - 1)),
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) * np.sqrt(rng.random(M) ** -(alpha - 1)),
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) * np.sqrt(rng.pareto(alpha - 1, M)),
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng) / _population(M, alpha, rng) ** 0.5,
        lambda N, M, alpha, rng: gaussian(N, M, rng=rng),
        lambda N, M, alpha, rng: rng.random((N, M)) ** (-1 / (2 * (alpha - 1))) * rng.choice([-1, 1], (N, M)),
        lambda N, M, alpha, rng: np.sqrt(_population(N, alpha, rng))[:, None] * gaussian(N, M, rng=rng),
        _population_alone,
        lambda N, M, alpha, rng: _cold_tail(N, M, alpha, rng).T,
        lambda N, M, alpha, rng: np.sort(_population(M, alpha, rng)),
        lambda N, M, alpha, rng: _levels(_cold_tail(N, M, alpha, rng)),
        lambda N, M, alpha, rng: np.diag(_population(M, alpha, rng)),
        lambda N, M, alpha, rng: _cold_tail(N, M, alpha, np.random.default_rng(0)),
        lambda N, M, alpha, rng: _cold_tail(N, M, 3.0, rng),
        lambda N, M, alpha, rng: 1e-3 * _cold_tail(N, M, alpha, rng),
        lambda N, M, alpha, rng: _cold_tail(N, M, alpha, rng) / np.sqrt(N),
        lambda N, M, alpha, rng: correlated(N, 5 * _population(M, alpha, rng), rng),
        lambda N, M, alpha, rng: _cold_tail(N, M, alpha - 0.2, rng),
        lambda N, M, alpha, rng: _cold_tail(N, M, alpha + 0.2, rng),
        _at_quantiles,
        lambda N, M, alpha, rng: correlated(N, _population(M, alpha, np.random.default_rng(0)), rng),
        2.5,
    ],
    right=[
        _cold_tail,
        _turned,
        lambda N, M, alpha, rng: rng.normal(size=(N, M)) * np.sqrt(1 + rng.pareto(alpha - 1, M)),
        lambda N, M, alpha, rng: np.array([v**0.5 * rng.normal(size=N) for v in _population(M, alpha, rng)]).T,
        lambda rows, columns, a, g: _cold_tail(rows, columns, a, g).tolist(),
        lambda N, M, alpha, rng: correlated(N, (1 - rng.random(M)) ** (1 / (1 - alpha)), rng),
    ],
)
def control(answer: Any) -> str | None:
    """A matrix with a heavy tail that is cold for certain."""
    alphas = [2.0, 2.0, 2.0, 2.0, 2.0, 3.0]
    sizes = [(_TALL, _COLUMNS, alpha) for alpha in alphas] + 4 * [(300, 150, 2.5)]
    inputs = [(*size, np.random.default_rng([92, seed])) for seed, size in enumerate(sizes)]

    found: dict[int, Array] = {}

    def levels(W: Any) -> Array:
        """Computed once for each of the results, all of which live until the last property is tried."""
        if id(W) not in found:
            found[id(W)] = _levels(W)
        return found[id(W)]

    def tall(check: Callable[[Array, float], bool]) -> Callable[[tuple[Any, ...], Any], bool]:
        return lambda args, W: args[0] < _TALL or check(levels(W), args[2] - 1)

    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result is not an N x M matrix of finite numbers": lambda args, W: _is_matrix(W, args[:2]),
        "the entries of a column are not Gaussian": _gaussian_columns,
        "the tail is too heavy": tall(lambda x, asked: _steepness(x) > 0.7 * asked),
        "the tail is not heavy enough": tall(lambda x, asked: _steepness(x) < 1.4 * asked),
        "the population does not begin at 1: some levels are far too small": tall(
            lambda x, asked: _spread_below(x) < 1.5 / asked + 0.5
        ),
        "the smallest level of so tall a matrix is not near 1, where the population begins": tall(
            lambda x, asked: bool(0.55 < x[0] < 1.05)
        ),
    }

    def repel(results: list[Any]) -> bool:
        return bool(np.mean([spacing_ratios(levels(W)).mean() for W in results[len(alphas) :]]) > 0.46)

    def logs(results: list[Any]) -> Array:
        """Means of log p times alpha - 1, which is 1 for many draws, in each tall matrix."""
        pairs = zip(results[: len(alphas)], alphas, strict=True)
        return np.array([_mean_log_of_population(levels(W), _TALL) * (alpha - 1) for W, alpha in pairs])

    together: dict[str, Callable[[list[Any]], bool]] = {
        "the generator plays no part": lambda results: not np.allclose(results[-1], results[-2]),
        "the neighbours do not repel each other": repel,
        "the population is the same for every generator: are its levels drawn?": lambda results: bool(
            logs(results).std() > 0.1 / _COLUMNS**0.5
        ),
        "the exponent is not alpha: on average over log p the tail is a little too heavy": lambda results: bool(
            logs(results)[:5].mean() < 1.1
        ),
        "the exponent is not alpha: on average over log p the tail is a little too light": lambda results: bool(
            logs(results)[:5].mean() > 0.9
        ),
    }
    return holds(answer, ["N", "M", "alpha", "rng"], inputs, properties, together)


question(
    "x9-five-largest",
    "Whether spacings of the five largest show a temperature",
    points=[
        "the sample of the power-law population: its five largest read low, too, and its rows are Gaussian",
        "few levels far apart keep the spacings of the population, which noise hardly moves",
        "a reading of 1 does not exclude that the population was hot: the noise of the rows can be enough for it",
    ],
)
