"""Exercises of notebook x2, rivals: p-value, Vuong's test, and what a limit of alpha does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import atlas
from .._arrays import Array
from ..tails.power_law import fit_power_law
from . import exercise, prediction, question
from .answers import agrees, close, near, number


def _p(simulated: Array, observed: float) -> float:
    return float((1 + np.count_nonzero(simulated >= observed)) / (len(simulated) + 1))


def _p_without_one(simulated: Array, observed: float) -> float:
    return float(np.mean(simulated >= observed))


def _p_of_smaller(simulated: Array, observed: float) -> float:
    return float((1 + np.count_nonzero(simulated <= observed)) / (len(simulated) + 1))


def _p_strict(simulated: Array, observed: float) -> float:
    return float((1 + np.count_nonzero(simulated > observed)) / (len(simulated) + 1))


def _p_above_only(simulated: Array, observed: float) -> float:
    return float((1 + np.count_nonzero(simulated >= observed)) / len(simulated))


@exercise(
    "x2-p-value",
    hint="Count the simulated misfits that are at least as large, add 1, and divide by their number plus 1.",
    why="A small p says that true power laws rarely fit as badly as the data.",
    wrong=[
        _p_without_one,
        _p_of_smaller,
        _p_strict,
        _p_above_only,
        lambda simulated, observed: 1 - _p(simulated, observed),
        lambda simulated, observed: np.count_nonzero(simulated >= observed),
        lambda simulated, observed: np.count_nonzero(simulated >= observed) / (len(simulated) + 1),
        lambda simulated, observed: simulated >= observed,
        lambda simulated, observed: observed / simulated.mean(),
        lambda simulated, observed: 2 * _p(simulated, observed),
        0.1,
    ],
    right=[
        _p,
        lambda simulated, observed: (1 + sum(s >= observed for s in simulated)) / (1 + len(simulated)),
        lambda simulated, observed: np.mean(np.append(simulated, observed) >= observed),
        lambda simulated, observed: np.array([1 - np.mean(np.append(simulated, observed) < observed)])[0],
        lambda simulated, observed: (
            1 - np.searchsorted(np.sort(simulated), observed, side="left") / (len(simulated) + 1)
        ),
    ],
)
def p_value(answer: Any) -> str | None:
    """A function for the p-value of a misfit."""
    rng = np.random.default_rng(8)
    rows: list[Array] = [rng.gamma(9, 0.06, n) for n in (99, 20, 400)]
    inputs = [(rows[0], 0.62), (rows[1], float(rows[1][4])), (rows[2], 3.0), (rows[2], 0.01)]
    mistakes: dict[str, Callable[..., Any]] = {
        "the data count as one more sample, above and below": _p_without_one,
        "large misfits speak against the power law, so the larger ones are counted": _p_of_smaller,
        "a simulated misfit that equals that of the data counts, too": _p_strict,
        "the 1 belongs below as well: the data are one more sample": _p_above_only,
    }
    return agrees(answer, _p, inputs, mistakes=mistakes)


@prediction(
    "x2-lognormal",
    options=None,
    why="The search moves xmin to the right until the tail is short and looks straight.",
)
def lognormal(count: float) -> float:
    """How many of 100 lognormal samples are refuted when xmin is searched."""
    return count


question(
    "x2-not-rejected",
    "What a power law that was not rejected has shown",
    points=[
        "60 values give the test little power: many other laws would pass as well",
        "xmin was searched, which makes passing easier",
        "no rival was tried, and p is not the probability of the power law",
    ],
)


def _vuong(log_p: Array, log_q: Array) -> float:
    d = log_p - log_q
    return float(d.sum() / (len(d) ** 0.5 * d.std()))


def _vuong_reversed(log_p: Array, log_q: Array) -> float:
    return -_vuong(log_p, log_q)


def _vuong_sum(log_p: Array, log_q: Array) -> float:
    return float((log_p - log_q).sum())


def _vuong_mean(log_p: Array, log_q: Array) -> float:
    return float((log_p - log_q).mean() / (log_p - log_q).std())


def _vuong_variance(log_p: Array, log_q: Array) -> float:
    return float((log_p - log_q).sum() / (len(log_p) ** 0.5 * (log_p - log_q).var()))


def _vuong_without_root(log_p: Array, log_q: Array) -> float:
    return float((log_p - log_q).sum() / (log_p - log_q).std())


@exercise(
    "x2-vuong",
    hint="Subtract the logarithms value by value; then their sum, the root of how many they are, and np.std of them.",
    why="It is the mean difference in units of its standard error. Its sign names the law that is nearer.",
    wrong=[
        _vuong_reversed,
        _vuong_sum,
        _vuong_mean,
        _vuong_variance,
        _vuong_without_root,
        lambda log_p, log_q: abs(_vuong(log_p, log_q)),
        lambda log_p, log_q: log_p - log_q,
        lambda log_p, log_q: log_p.sum() / log_q.sum(),
        lambda log_p, log_q: _vuong(np.exp(log_p), np.exp(log_q)),
        lambda log_p, log_q: (log_p - log_q).sum() / len(log_p) ** 0.5,
        2.0,
    ],
    right=[
        _vuong,
        lambda log_p, log_q: np.sqrt(len(log_p)) * np.mean(log_p - log_q) / np.std(log_p - log_q),
        lambda log_p, log_q: np.sum(log_p - log_q) / np.linalg.norm((log_p - log_q) - np.mean(log_p - log_q)),
        lambda log_p, log_q: -((log_q - log_p).mean()) / ((log_q - log_p).var() / len(log_q)) ** 0.5,
        lambda log_p, log_q: np.float64(sum(log_p) - sum(log_q)) / np.sqrt(len(log_p) * np.var(log_q - log_p)),
    ],
)
def vuong(answer: Any) -> str | None:
    """A function for Vuong's ratio of two laws."""
    rng = np.random.default_rng(9)
    inputs = [(rng.normal(m, 1, n), rng.normal(0, 2, n)) for m, n in ((0.3, 40), (-0.2, 150), (1.0, 12))]
    mistakes: dict[str, Callable[..., Any]] = {
        "R is positive where the power law is the likelier": _vuong_reversed,
        "the sum has to be divided by its standard deviation under no difference": _vuong_sum,
        "that is the mean in units of s; it has to grow with the number of values": _vuong_mean,
        "s is the standard deviation, not the variance": _vuong_variance,
        "the root of the number of values is missing below": _vuong_without_root,
    }
    return agrees(answer, _vuong, inputs, mistakes=mistakes)


@prediction(
    "x2-version",
    options=["the same", "exactly 3", "below 3"],
    why="Farther down in the bulk some tail is flat enough for the limit, and the search goes there.",
)
def version(alpha: float) -> str:
    """The exponent of noise by a rule that allows alpha up to 3."""
    return "the same" if alpha > 3 else "exactly 3" if alpha == 3 else "below 3"


@cache
def _pooler(limit: float) -> float:
    """alpha of the tail of MiniLM's pooler with the smallest D among those whose alpha is below the limit."""
    x: npt.NDArray[np.float64] = atlas.load("minilm")["pooler"].spectrum.nonzero_eigenvalues
    scan = fit_power_law(x, min_tail=3).scan()
    allowed = scan.alphas < limit
    return float(scan.alphas[allowed][scan.Ds[allowed].argmin()])


@exercise(
    "x2-up-to-six",
    hint="Call alpha_by with the pooler's eigenvalues and another limit.",
    why="The search takes the best tail among those that are flat enough, so each limit gives another alpha.",
    wrong=[6, 12.35, 2.97, 3, 4.24, 0, -6, 3.41, 12.96, 100],
    right=lambda: [
        _pooler(6),
        [_pooler(6)],
        np.array(_pooler(6)),
        np.float32(_pooler(6)),
        round(_pooler(6), 2),
        np.array([[_pooler(6)]]),
    ],
)
def up_to_six(answer: Any) -> str | None:
    """Alpha of the pooler where alpha may be at most 6."""
    alpha = number(answer)
    if close(alpha, _pooler(np.inf), rtol=1e-3):
        return "that is the alpha without a limit"
    if close(alpha, _pooler(3), rtol=1e-3):
        return "that is the alpha with the limit of the package"
    if alpha == 6:
        return "the limit itself is taken only where no tail is flatter"
    return near(alpha, _pooler(6), rtol=1e-3)


question(
    "x2-settings",
    "What must be the same before two alphas are compared",
    points=[
        "package and version, and the range in which alpha may lie",
        "how xmin was searched, and which distance was made small",
        "whether xmax was given, and which values were left out",
        "the shape of the matrix, as alpha depends on it",
    ],
)
