"""Exercises of notebook 05, tails with a finger, what dropping it does, and tests that cannot fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from .._arrays import Array
from ..ensembles.samples import bulk_and_tail, pareto, plant
from ..ensembles.spectra import gaussian_spectrum
from ..tails.fingers import fix_fingers
from ..tails.power_law import fit_power_law
from . import exercise, prediction, question
from .answers import agrees, close, near, number, whole


@prediction(
    "05-drop-one",
    options=["within its error bar", "about half", "below 3"],
    why="The search for xmin moved to another tail.",
)
def drop_one(alpha: float) -> str:
    """Alpha without the largest of 576 eigenvalues."""
    return "below 3" if alpha < 3 else "about half" if alpha < 10.7 else "within its error bar"


def _attention_output(block: int) -> Array:
    return atlas.load("smollm2")[f"block {block} attention output"].spectrum.nonzero_eigenvalues


@exercise(
    "05-drop-nothing",
    hint="fit_power_law takes min_tail, the fewest values that a tail may have. Give it x itself, not x[:-1].",
    why="Nothing had to be dropped: a tail of reasonable size gives what clipping gave.",
    wrong=[16.043, 2.0357, 5.0, 12.07, 1.0281, -2.0281, 157, 0.0577, 3, 50, 0.0826, 15],
    right=lambda: [2.0281, [2.03], np.array([2.0281]), np.float32(2.0281),
                   fit_power_law(_attention_output(23), min_tail=50).alpha,
                   fit_power_law(_attention_output(23), min_tail=50, bias_corrected=True).alpha],
)  # fmt: skip
def drop_nothing(answer: Any) -> str | None:
    """Alpha with the finger kept and a tail of 50 values at least."""
    y, x = number(answer), _attention_output(23)
    if close(y, fit_power_law(x).alpha):
        return "that is the raw fit, which may choose a tail of any size"
    if close(y, fit_power_law(x[:-1]).alpha, rtol=3e-4):
        return "that is the fit without the largest value, and all of x is asked for"
    if close(y, fit_power_law(x, min_tail=50, bias_corrected=True).alpha, rtol=1e-3):
        return None
    return near(y, fit_power_law(x, min_tail=50).alpha, rtol=1e-3)


def _alphas(x: Array) -> list[float]:
    return [fit_power_law(x[: len(x) - k]).alpha for k in range(11)]


def _first(found: list[int]) -> int:
    return found[0] if found else 0


def _clip(x: Array) -> int:
    a = _alphas(x)
    return _first([k for k in range(11) if a[k] < a[0] - 1])


def _against_the_last(x: Array) -> int:
    a = _alphas(x)
    return _first([k for k in range(1, 11) if a[k] < a[k - 1] - 1])


def _without_a_threshold(x: Array) -> int:
    a = _alphas(x)
    return _first([k for k in range(11) if a[k] < a[0]])


def _from_two(x: Array) -> int:
    a = _alphas(x)
    return _first([k for k in range(2, 11) if a[k] < a[0] - 1])


def _larger(x: Array) -> int:
    a = _alphas(x)
    return _first([k for k in range(11) if a[k] > a[0] + 1])


def _smallest_alpha(x: Array) -> int:
    return int(np.argmin(_alphas(x)))


def _how_many(x: Array) -> int:
    a = _alphas(x)
    return sum(b < a[0] - 1 for b in a)


def _from_the_bottom(x: Array) -> int:
    a = [fit_power_law(x[k:]).alpha for k in range(11)]
    return _first([k for k in range(11) if a[k] < a[0] - 1])


def _its_alpha(x: Array) -> float:
    return fix_fingers(x).alpha


_MISTAKES: dict[str, Callable[[Array], float]] = {
    "it finds no finger in any x": lambda x: 0,
    "the alpha without k values is compared with the one before it, and the rule compares with the raw alpha":
        _against_the_last,
    "any fall of alpha is enough for it, and the rule waits for a fall by more than 1": _without_a_threshold,
    "k = 1 is never tried": _from_two,
    "it waits for alpha to rise": _larger,
    "it takes the smallest alpha of all, and the rule stops at the first that is small enough": _smallest_alpha,
    "it counts all k that would do, and the rule stops at the first": _how_many,
    "it drops the smallest values; x is ascending": _from_the_bottom,
    "it returns alpha, and the number of dropped values is asked for": _its_alpha,
    "it drops the same number whatever x is": lambda x: 1,
}  # fmt: skip


@cache
def _inputs() -> list[tuple[Array]]:
    layers = [_attention_output(block) for block in (23, 18, 20)]
    noise = [gaussian_spectrum(200, 100, rng=seed).nonzero_eigenvalues for seed in range(12)]
    tails = [np.sort(bulk_and_tail(200, 2.5, rng=seed)) for seed in range(4)]
    return [(x,) for x in [*layers, *noise, *tails, plant(pareto(200, 3.0, rng=1), 3)]]


@exercise(
    "05-clip",
    hint="Fit x[: len(x) - k] for k = 1, 2, ... 10, and return the first k whose alpha is below the raw alpha minus 1.",
    why="This is all of the rule. It looks at alpha, and at nothing else.",
    wrong=[*_MISTAKES.values(), lambda x: 10, lambda x: min(_clip(x), 5), lambda x: max(_clip(x) - 1, 0), 1],
    right=[_clip, lambda x: fix_fingers(x).num_fingers, lambda x: len(fix_fingers(x).dropped),
           lambda x: float(_clip(x)), lambda x: np.int64(_clip(x)), lambda x: np.array(_clip(np.sort(x)))],
)  # fmt: skip
def clip(answer: Any) -> str | None:
    """The rule clip_xmax as a function."""
    return agrees(answer, _clip_reference, _inputs(), mistakes=_MISTAKES)


def _clip_reference(x: Array) -> int:
    return fix_fingers(x).num_fingers


@prediction(
    "05-misfit-direction",
    options=["falls in most", "rises in most", "about half and half"],
    why="Whether it had to come out so is the question of the next cell.",
)
def misfit_direction(percent: float) -> str:
    """The misfit of the clipped layers after clipping."""
    return "rises in most" if percent > 67 else "falls in most" if percent < 33 else "about half and half"


question(
    "05-what-was-tested",
    "What the count of larger misfits has tested",
    points=[
        "the raw fit has the smallest D of all tails, because the search chose it for that",
        "a smaller alpha comes with a longer tail, so the factor root n grows, too",
        "the count is the same for true power laws and where nothing is dropped: it could hardly come out otherwise",
        "a test needs a case in which the finding would be false",
    ],
)


@prediction(
    "05-fingers-in-noise",
    options=["in none", "in one of twenty", "in about half"],
    why="Noise ends steeply, so its raw alpha is large and has room to fall by more than 1.",
)
def fingers_in_noise(percent: float) -> str:
    """How often clip_xmax finds fingers in Gaussian noise."""
    return "in about half" if percent > 30 else "in none" if percent == 0 else "in one of twenty"


@cache
def _below_eight(N: int, M: int, seeds: tuple[int, int]) -> int:
    spectra = (gaussian_spectrum(N, M, rng=seed) for seed in range(*seeds))
    return sum(fit_power_law(s.nonzero_eigenvalues).alpha < 8 for s in spectra)


@exercise(
    "05-noise-below-eight",
    hint="For each seed: rl.fit_power_law(gaussian_spectrum(576, 576, rng=seed).nonzero_eigenvalues).alpha.",
    why="At this shape 8 lies near the middle of the noise alphas, and not below them.",
    wrong=[0, 60, 31, 29 / 60, 48.3, 20, 9, 8, 28, 30, -29, 61],
    right=[29, 29.0, np.int64(29), [29], np.array([29.0]), (29,)],
)
def noise_below_eight(answer: Any) -> str | None:
    """Of 60 Gaussian matrices of 576 x 576, those with alpha below 8."""
    y = number(answer)
    below = _below_eight(576, 576, (0, 60))
    if close(y, below / 60):
        return "that is the share, and the number of matrices is asked for"
    k = whole(y) if y == round(y) else round(y)
    if k == 60 - below:
        return "those are the matrices at or above 8"
    if k in (_below_eight(1536, 576, (0, 60)), _below_eight(576, 192, (0, 60))):
        return "that is right for another shape"
    if k == _below_eight(576, 576, (60, 120)):
        return "those are other seeds; take 0 to 59"
    return near(y, below, rtol=0)


question(
    "05-when-honest",
    "When dropping an eigenvalue is honest",
    points=[
        "a reason that does not come from the fit, such as one huge weight or a fault of the file",
        "one rule for all layers, fixed before the result is seen",
        "the number of dropped values beside alpha, and the raw alpha, too",
        "the same rule on noise of the same shape, where it finds next to nothing",
        "a test of the tail that is left, with known error rates for clipped tails",
    ],
)
