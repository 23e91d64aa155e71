"""Exercises of the extra x4, batch size: the rate that goes with a batch, and steps at equal shares of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import exercise, prediction, question
from .answers import agrees, close, near, number


@exercise(
    "x4-rate",
    hint="A batch four times as large makes a quarter of the steps. How long must each step be, to get as far in all?",
    why="The steps are as many times longer as they are fewer: the ratio of learning rate and batch size is kept.",
    wrong=[0.05, 0.0125, 0.1, 0.8, 4, 0, 0.025, 0.00625, 16, -0.2, 0.4],
    right=[[0.2], np.array([0.2]), np.float32(0.2), 1 / 5, 0.05 * 80 / 20, ((0.2,),)],
)
def rate(answer: Any) -> str | None:
    """The learning rate with which the larger batch does the same."""
    x = number(answer)
    if close(x, 0.05):
        return "with that one it goes a quarter of the way in as many epochs"
    if close(x, 0.05 / 4):
        return "that is the other way round: the larger batch makes fewer steps"
    if close(x, 0.05 * 2):
        return "a square root is another rule (for other optimisers); count how far the steps lead in all"
    return near(x, 0.05 * 80 / 20)


@prediction(
    "x4-equal-updates",
    options=["lower in most layers", "higher in most layers"],
    why="At this point both runs had made the same number of updates at nearly the same learning rate.",
)
def equal_updates(lower: float) -> str:
    """Alpha of the small batch beside the large one, after equally many updates"""
    return "lower in most layers" if lower > 0.5 else "higher in most layers"


def _same_share(step: int, steps: int, recorded: Sequence[int]) -> int:
    return min(recorded, key=lambda t: abs(t / recorded[-1] - step / steps))


def _same_step(step: int, steps: int, recorded: Sequence[int]) -> int:
    return min(recorded, key=lambda t: abs(t - step))


def _index(step: int, steps: int, recorded: Sequence[int]) -> int:
    return list(recorded).index(_same_share(step, steps, recorded))


def _by_array(step: int, steps: int, recorded: Sequence[int]) -> Any:
    t = np.asarray(recorded)
    return t[np.argmin(np.abs(t / t[-1] - step / steps))]


def _next(step: int, steps: int, recorded: Sequence[int]) -> int:
    return min(t for t in recorded if t / recorded[-1] >= step / steps)


def _before(step: int, steps: int, recorded: Sequence[int]) -> int:
    return max(t for t in recorded if t / recorded[-1] <= step / steps)


def _other_way(step: int, steps: int, recorded: Sequence[int]) -> int:
    return min(recorded, key=lambda t: abs(t / steps - step / recorded[-1]))


def _exact(step: int, steps: int, recorded: Sequence[int]) -> float:
    return step / steps * recorded[-1]


def _own_steps(step: int, steps: int, recorded: Sequence[int]) -> int:
    return min(recorded, key=lambda t: abs(t / steps - step / steps))


def _by_place(step: int, steps: int, recorded: Sequence[int]) -> int:
    return recorded[round(step / steps * (len(recorded) - 1))]


def _share(step: int, steps: int, recorded: Sequence[int]) -> float:
    return _same_share(step, steps, recorded) / recorded[-1]


@exercise(
    "x4-same-share",
    hint="The share of the first run is step / steps. The share of a recorded step t of the other run is "
    "t / recorded[-1]. Take the t with the smallest difference of both.",
    why="At equal shares both cosines stand at the same height.",
    wrong=[
        _same_step,
        _index,
        _next,
        _before,
        _other_way,
        _exact,
        _own_steps,
        _by_place,
        _share,
        lambda step, steps, recorded: recorded[-1],
        lambda step, steps, recorded: step,
        lambda step, steps, recorded: [step, _same_share(step, steps, recorded)],
    ],
    right=[
        _same_share,
        _by_array,
        lambda step, steps, recorded: float(_same_share(step, steps, recorded)),
        lambda step, steps, recorded: sorted(recorded, key=lambda t: (t * steps - step * recorded[-1]) ** 2)[0],
        lambda s, n, r: np.array(_same_share(s, n, r)),
    ],
)
def same_share(answer: Any) -> str | None:
    """A function for the recorded step of another run at the same share of its schedule."""
    recorded = [0, 4, 10, 25, 60, 150, 400, 1000]
    inputs = [
        (0, 250, recorded),
        (15, 250, recorded),
        (90, 250, recorded),
        (50, 250, recorded),
        (250, 250, recorded),
        (30, 200, recorded),
    ]
    mistakes = {
        "that is the nearest step, and the nearest share is asked for": _same_step,
        "that is the place of the step in the list; give the step": _index,
        "that is the next recorded step; the one before may be nearer": _next,
        "that is the recorded step before; the next one may be nearer": _before,
        "both shares have the wrong run below: each step belongs over its own run's last step": _other_way,
        "nothing was recorded at that step: take the nearest one": _exact,
        "each run has its own number of steps": _own_steps,
        "steps are not recorded at equal distances": _by_place,
        "that is the share of the step; give the step": _share,
    }
    return agrees(answer, _same_share, inputs, mistakes=mistakes)


question(
    "x4-clock",
    "Which clock would you use to compare two batch sizes",
    points=[
        "equal epochs: the smaller batch makes more updates",
        "equal updates: the larger batch sees more text, and the schedules differ",
        "equal sums of learning rates, or an equal ratio of rate and batch, are further choices",
        "the clock belongs in the report, because the answer depends on it",
    ],
)

question(
    "x4-missing-run",
    "Which runs are missing to tell what the batch size does",
    points=[
        "the small batch with the learning rate scaled down, and as many updates",
        "the large batch with as many updates as the small one",
        "several seeds of each setting, for an error bar",
    ],
)
