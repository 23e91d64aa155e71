"""Exercises of notebook 05, tails with a finger, and what dropping it does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .. import atlas
from ..analysis import analyze
from ..tails.power_law import fit_power_law
from . import exercise, prediction, question
from .answers import choice, close, near, number, whole


@prediction(
    "05-drop-one",
    options=["within its error bar", "about half", "below 3"],
    why="The search for xmin moved to another tail.",
)
def drop_one(alpha: float) -> str:
    """Alpha without the largest of 576 eigenvalues."""
    return "below 3" if alpha < 3 else "about half" if alpha < 10.7 else "within its error bar"


@exercise(
    "05-drop-nothing",
    hint="fit_power_law takes min_tail, the fewest values that a tail may have. Give it x itself, not x[:-1].",
    why="Nothing had to be dropped: a tail of reasonable size gives what clipping gave.",
    wrong=[16.043, 2.0357, 5.0, 12.07],
)
def drop_nothing(answer: Any) -> str | None:
    """Alpha with the finger kept and a tail of 50 values at least."""
    y = number(answer)
    x = atlas.load("smollm2")["block 23 attention output"].spectrum.nonzero_eigenvalues
    if close(y, fit_power_law(x).alpha):
        return "that is the raw fit, which may choose a tail of any size"
    if close(y, fit_power_law(x[:-1]).alpha, rtol=1e-3):
        return "that is the fit without the largest value, and all of x is asked for"
    return near(y, fit_power_law(x, min_tail=50).alpha, rtol=2e-3)


@cache
def _grew(model: str) -> tuple[int, int]:
    """How many layers of a model clip_xmax clips, and in how many the misfit grew."""
    details = analyze(model, fix_fingers="clip_xmax")
    clipped = details[details.num_fingers > 0]
    return len(clipped), int((clipped.D_sqrt_n > clipped.raw_D_sqrt_n).sum())


@exercise(
    "05-misfit-grew",
    hint="Select the rows with num_fingers > 0, and compare D_sqrt_n with raw_D_sqrt_n in them.",
    why="Every layer that was clipped: the rule looks at alpha and never at the fit.",
    wrong=[80, 12, 250, 0, 46],
)
def misfit_grew(answer: Any) -> str | None:
    """The number of clipped layers whose misfit grew."""
    k = whole(answer)
    for model in ("minilm", "smollm2"):
        if k == _grew(model)[1]:
            return f"that is {model} alone, and details holds both models"
    if k == 0:
        return "some fits did get worse; is the comparison the right way round?"
    return near(k, sum(_grew(m)[1] for m in ("minilm", "smollm2")), rtol=0)


@exercise(
    "05-predict-noise",
    hint="Noise ends in a steep edge. Is its raw alpha small or large, and is there room to fall by 1?",
    why="Noise has a steep edge, so its raw alpha is large and jumps as easily as that of a layer.",
    wrong=["none", "one in twenty", "all"],
)
def predict_noise(answer: Any) -> str | None:
    """Prediction: how often clip_xmax finds fingers in noise."""
    answer = choice(answer, ["none", "one in twenty", "about half"])
    if answer == "none":
        return "nothing in the rule asks whether there is a power law at all"
    return None if answer == "about half" else "nobody tuned this rule to be wrong as rarely as that"


@exercise(
    "05-true-outliers",
    hint="alpha = 1 + n / sum ln(x/xmin). What do three huge values add to n, and what to the sum?",
    why="Values far out make the tail heavier, and alpha falls: the opposite of what fingers are accused of.",
    wrong=["larger", "the same", 3.0],
)
def true_outliers(answer: Any) -> str | None:
    """What true outliers do to alpha."""
    answer = choice(answer, ["larger", "smaller", "the same"])
    clean = np.sort((1 - np.random.default_rng(1).random(300)) ** -0.5)
    change = fit_power_law(np.r_[clean, 200, 220, 260]).alpha - fit_power_law(clean).alpha
    right = "the same" if abs(change) <= 0.01 else "larger" if change > 0 else "smaller"
    if answer == right:
        return None
    return "fit both and compare: it moves by more than a hundredth" if answer == "the same" else "it is the other way"


question(
    "05-when-honest",
    "When dropping a point is honest",
    points=[
        "a reason that does not come from the fit",
        "a misfit that gets smaller, not alpha alone",
        "one rule for all layers, fixed before the result is seen",
        "the same rule on noise of the same shape, where it finds next to nothing",
    ],
)
