"""Exercises of notebook x3, local statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from .._arrays import Array
from ..ensembles import gaussian_ensemble_eigenvalues, gaussian_spectrum
from ..laws import MarchenkoPastur, Semicircle
from ..laws.spacings import SpacingLaw, spacing_ratios, spacings, window_counts
from ..trainings.phases import phase
from . import exercise, prediction, question
from .answers import agrees, holds, near, whole


def _unfolded(x: Array, law: Any) -> Array:
    return np.diff(np.sort(len(x) * law.cdf(x)))


@exercise(
    "x3-unfold",
    hint="Three steps: sort, unfold by n F, take differences of neighbours. n is the number of levels.",
    why="The spacings have mean 1 wherever the levels lie, so spectra of all densities can be pooled.",
    wrong=[
        lambda x, law: np.diff(np.sort(law.cdf(x))),
        lambda x, law: np.diff(len(x) * law.cdf(x)),
        lambda x, law: np.diff(np.sort(x)),
        lambda x, law: np.sort(len(x) * law.cdf(x)),
        lambda x, law: len(x) * law.cdf(np.diff(np.sort(x))),
        lambda x, law: np.diff(np.sort(len(x) * law.pdf(x))),
        lambda x, law: np.diff(np.sort((len(x) - 1) * law.cdf(x))),
        lambda x, law: np.diff(np.sort(len(x) * law.cdf(x)))[::-1],
        lambda x, law: np.diff(np.sort(x)) / np.diff(np.sort(x)).mean(),
        lambda x, law: len(x) * np.diff(np.sort(x)),
        lambda x, law: np.diff(np.sort(len(x) * law.cdf(x))).mean(),
        lambda x, law: np.diff(np.sort(x)) / law.pdf(np.sort(x)[1:]),
        1.0,
    ],
    right=[
        _unfolded,
        lambda x, law: np.diff(len(x) * law.cdf(np.sort(x))),
        lambda x, law: len(x) * np.diff(law.cdf(np.sort(x))),
        lambda x, law: _unfolded(x, law).tolist(),
        lambda x, law: -len(x) * np.diff(1 - law.cdf(np.sort(x))),
        lambda x, law: np.ediff1d(np.array(sorted(len(x) * law.cdf(x)))),
        lambda values, F: _unfolded(np.asarray(values), F),
    ],
)
def unfold(answer: Any) -> str | None:
    """Spacings of unfolded levels."""
    rng = np.random.default_rng(31)
    inputs = [
        (rng.permutation(gaussian_spectrum(80, 40, rng=1).eigenvalues), MarchenkoPastur(2)),
        (rng.permutation(gaussian_spectrum(90, 30, 0.5, rng=2).eigenvalues), MarchenkoPastur(3, 0.5)),
        (Semicircle().rvs(25, rng), Semicircle()),
    ]
    mistakes = {
        "the number of levels is missing: the mean spacing is to be 1": lambda x, law: np.diff(np.sort(law.cdf(x))),
        "the levels come in any order: sort them first": lambda x, law: np.diff(len(x) * law.cdf(x)),
        "these spacings are not unfolded": lambda x, law: np.diff(np.sort(x)),
        "these are the levels, and their spacings are asked for": lambda x, law: np.sort(len(x) * law.cdf(x)),
        "that is the density, and the distribution function is asked for": lambda x, law: np.diff(
            np.sort(len(x) * law.pdf(x))
        ),
    }
    return agrees(answer, _unfolded, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@prediction(
    "x3-spread",
    options=["below 0.1", "about a half", "about 1"],
    why="Neighbours repel each other at short distance only; beyond that their spacings vary much.",
)
def spread(deviation: float) -> str:
    """Standard deviation of the unfolded spacings of Gaussian matrices."""
    return "below 0.1" if deviation < 0.1 else "about 1" if deviation > 0.75 else "about a half"


def _repelled(n: int, rng: Any) -> Array:
    return np.cumsum(SpacingLaw(1).rvs(n, rng))


@exercise(
    "x3-repelled",
    hint="Draw the spacings independently of each other. The levels are their running sums.",
    why="Neighbours repel each other, and deviations of the spacings add up: the counts vary as those of no matrix.",
    wrong=[
        lambda n, rng: np.sort(rng.uniform(0, n, n)),
        lambda n, rng: np.arange(n),
        lambda n, rng: np.sort(np.arange(n) + rng.uniform(-3, 3, n)),
        lambda n, rng: np.arange(n) + rng.uniform(-0.4, 0.4, n),
        lambda n, rng: n * Semicircle().cdf(gaussian_ensemble_eigenvalues(n, rng=rng)),
        lambda n, rng: SpacingLaw(1).rvs(n, rng),
        lambda n, rng: np.sort(SpacingLaw(1).rvs(n, rng)),
        lambda n, rng: np.cumsum(SpacingLaw(0).rvs(n, rng)),
        lambda n, rng: np.cumsum(SpacingLaw(4).rvs(n, rng)),
        lambda n, rng: np.cumsum(SpacingLaw(1).rvs(n, 0)),
        lambda n, rng: _repelled(n, rng)[::-1],
        lambda n, rng: _repelled(n - 1, rng),
        lambda n, rng: np.cumsum(rng.normal(size=n)),
        lambda n, rng: _repelled(n, rng).mean(),
    ],
    right=[
        _repelled,
        lambda n, rng: np.cumsum(SpacingLaw(1).ppf(rng.random(n))),
        lambda n, rng: np.cumsum(rng.rayleigh(size=n)),
        lambda n, rng: _repelled(n, rng).tolist(),
        lambda n, rng: 100 + 0.01 * _repelled(n, rng),
        lambda n, rng: np.r_[0, _repelled(n - 1, rng)],
        lambda n, rng: -_repelled(n, rng)[::-1],
    ],
)
def repelled(answer: Any) -> str | None:
    """Levels that repel each other as in a random matrix, and are not rigid."""
    inputs = [(n, np.random.default_rng(seed)) for n, seed in ((2000, 1), (2000, 2), (3000, 3))]

    def numbers(args: tuple[Any, ...], x: Any) -> bool:
        x = np.asarray(x)
        return x.shape == (args[0],) and x.dtype.kind in "if" and bool(np.isfinite(x).all())

    def normal(x: Any) -> Array:
        s: Array = np.diff(np.asarray(x, dtype=np.float64))
        return np.asarray(s / s.mean())

    def rigid(x: Any) -> bool:
        counts = window_counts(np.asarray(x, dtype=np.float64), 40, degree=1)
        return bool(np.mean((counts - 40) ** 2) < 6)

    properties: dict[str, Callable[[tuple[Any, ...], Any], bool]] = {
        "the result is not a list of n finite numbers": numbers,
        "the levels do not ascend": lambda args, x: bool(np.all(np.diff(x) > 0)),
        "the levels are rigid: in a wide window their count hardly varies": lambda args, x: not rigid(x),
        "the spacings do not vary as much as Wigner's surmise says": lambda args, x: normal(x).std() > 0.46,
        "the spacings vary more than Wigner's surmise says": lambda args, x: normal(x).std() < 0.6,
        "too many spacings are small: the levels do not repel each other": lambda args, x: bool(
            np.mean(normal(x) < 0.25) < 0.08
        ),
    }
    together = {"the generator plays no part": lambda r: not np.allclose(r[0], r[1])}
    return holds(answer, ["n", "rng"], inputs, properties, together)


question(
    "x3-histogram",
    "Why one histogram of eigenvalues shows the law so well",
    points=[
        "rigidity: the count in a bar hardly varies, however wide the bar is",
        "the row of levels that only repel each other: their counts in a wide window vary ten times as much",
    ],
)


@prediction(
    "x3-trained-bulk",
    options=["as in noise", "between", "as for independent levels"],
    why="Local statistics are universal: they forget how the matrix was made.",
)
def trained_bulk(share: float) -> str:
    """Share of small spacings in the bulks of trained layers."""
    return "as in noise" if share < 0.06 else "between" if share < 0.2 else "as for independent levels"


def _mean_ratio(x: Array) -> float:
    return float(spacing_ratios(x).mean())


@exercise(
    "x3-ratio",
    hint="Take the spacings, and set each of them beside the next one: the smaller over the larger. Then average.",
    why="Both spacings are in the same unit, so the ratio needs no unfolding.",
    wrong=[
        lambda x: np.mean(np.diff(x)[1:] / np.diff(x)[:-1]),
        lambda x: 1 / _mean_ratio(x),
        lambda x: spacing_ratios(x),
        lambda x: np.median(spacing_ratios(x)),
        lambda x: np.mean(x[:-1] / x[1:]),
        lambda x: np.diff(x).min() / np.diff(x).max(),
        lambda x: np.mean(np.maximum(np.diff(x)[1:], np.diff(x)[:-1]) / np.minimum(np.diff(x)[1:], np.diff(x)[:-1])),
        lambda x: spacing_ratios(x).sum() / len(x),
        lambda x: (
            np.minimum(np.diff(x)[1:], np.diff(x)[:-1]).mean() / np.maximum(np.diff(x)[1:], np.diff(x)[:-1]).mean()
        ),
        lambda x: spacings(x, degree=1).std(),
        lambda x: spacing_ratios(x)[::2].mean(),
        0.53,
    ],
    right=[
        _mean_ratio,
        lambda x: spacing_ratios(np.sort(x)).mean(),
        lambda x: np.array([_mean_ratio(x)])[0],
        lambda x: sum(min(a, b) / max(a, b) for a, b in zip(np.diff(x), np.diff(x)[1:], strict=False)) / (len(x) - 2),
        lambda x: np.exp(-np.abs(np.diff(np.log(np.diff(x))))).mean(),
        lambda x: spacing_ratios(7 * np.asarray(x) + 3).mean(),
    ],
)
def ratio(answer: Any) -> str | None:
    """Mean ratio of consecutive spacings."""
    rng = np.random.default_rng(33)
    inputs = [(np.sort(rng.exponential(size=size)),) for size in (30, 41, 60)]

    def upside_down(x: Array) -> float:
        return float(np.mean(1 / spacing_ratios(x)))

    mistakes = {
        "that is the larger over the smaller": upside_down,
        "these are the single ratios, and their mean is asked for": spacing_ratios,
        "that is each spacing over the one before it": lambda x: np.mean(np.diff(x)[1:] / np.diff(x)[:-1]),
        "that is a ratio of levels, and a ratio of spacings is asked for": lambda x: np.mean(x[:-1] / x[1:]),
    }
    return agrees(answer, _mean_ratio, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@cache
def _heavy(null: str) -> int:
    """MiniLM's matrices in blocks that are heavy-tailed as trained, or under a null."""
    layers = [layer for layer in atlas.load("minilm") if layer.block is not None]
    spectra = [layer.spectrum if null == "trained" else layer.null(null) for layer in layers]  # type: ignore[arg-type]
    return sum(phase(spectrum).name == "heavy-tailed" for spectrum in spectra)


@exercise(
    "x3-signs",
    hint='layer.null("signs") is the spectrum under random signs. Count as the cell above does.',
    why="Scales are enough for the tail of these layers. The other heavy tails need correlations.",
    wrong=lambda: [_heavy("trained"), _heavy("scaled"), _heavy("entries"), 36, 30, 20, 12, 5, 7, 1.5, -6, 1 / 6, "six"],
    right=lambda: [
        _heavy("signs"),
        [_heavy("signs")],
        float(_heavy("signs")),
        np.int64(6),
        np.array([6]),
        np.array(6.0),
    ],
)
def signs(answer: Any) -> str | None:
    """MiniLM's heavy-tailed matrices under random signs."""
    x = whole(answer)
    texts = {
        _heavy("trained"): "that is the number as trained",
        _heavy("scaled"): "that is the number under the scaled shuffle",
        _heavy("entries"): "that is the number after the shuffle of entries",
        36: "that is the number of all matrices",
    }
    return texts.get(x) or near(x, _heavy("signs"), rtol=0, atol=0.1)


question(
    "x3-throw-away",
    "What spacings that follow Wigner's surmise show about a bulk",
    points=[
        "trained layers have the same spacings and counts as noise, so the spacings cannot tell the two apart",
        "correlated matrices, such as the one built for bulk-decay, have them, too",
        "the loss of the model when the directions of the bulk are removed, or the fit of the bulk to the noise law",
    ],
)
