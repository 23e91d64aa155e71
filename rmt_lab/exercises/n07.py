"""Exercises of notebook 07, heavy tails."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import exercise
from .answers import agrees, choice, close, near, number


@exercise(
    "07-predict-signs",
    hint="In the derivation of the law, which property of the entries was used?",
    why="Only the variance matters: the sum over many independent entries forgets the rest. Run the next cell.",
    wrong=["smaller", "larger", "equal", 2.9],
)
def predict_signs(answer: Any) -> str | None:
    """Prediction: the largest eigenvalue of random signs, against normal numbers."""
    answer = choice(answer, ["smaller", "the same", "larger"])
    if answer == "smaller":
        return "no entry of it is large, that is true, but no single entry makes the largest eigenvalue"
    return None if answer == "the same" else "where would the excess come from, if no entry is larger than 1?"


def _growth(mu: float) -> float:
    return 4 / mu - 1


@exercise(
    "07-growth",
    hint="How many of the N^2 entries exceed t, on average? Set that to 1 and solve for t; then square, divide by N.",
    why="The exponent changes its sign at tail index 4: below it single entries outgrow the noise, above it none does.",
    wrong=[
        lambda mu: 2 / mu,
        lambda mu: 4 / mu,
        lambda mu: 2 / mu - 1,
        lambda mu: 1 - 4 / mu,
        lambda mu: 1 / mu,
        lambda mu: mu / 2 + 1,
        1 / 3,
    ],
)
def growth(answer: Any) -> str | None:
    """The power of N with which the largest squared entry over N grows."""
    inputs = [(mu,) for mu in (0.5, 1.0, 2.5, 3.0, 5.0, 8.0)]
    mistakes = {
        "that is how the largest entry itself grows; it is to be squared and divided by N": lambda mu: 2 / mu,
        "the division by N is missing": lambda mu: 4 / mu,
        "the matrix has N^2 entries, not N": lambda mu: 2 / mu - 1,
        "the sign is the wrong way round": lambda mu: 1 - 4 / mu,
    }
    return agrees(answer, _growth, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@exercise(
    "07-count-tail",
    hint="Number of entries times the probability of one. The entries are c times a Pareto variable, c = sqrt(1/3), "
    "so |w| > t means that the variable exceeds t / c.",
    why="A handful of eigenvalues is all the tail there is: nothing that an exponent could be read off.",
    wrong=[1e6 * 1000**-0.75, 31.6, 60, 1e6 * 3**-0.5 * 1000**-1.5, 6.09e-6, 1e6],
)
def count_tail(answer: Any) -> str | None:
    """Entries that stand out as signals, in a 1000 x 1000 matrix of tail index 3."""
    x, t = number(answer), 1000**0.5
    right = 1e6 * (t * np.sqrt(3)) ** -3
    texts = {
        1e6 * t**-3: "the scale is missing: the entries were brought to variance 1",
        right / 1e6: "that is the probability for one entry, and there are a million",
        1e6 * t**-3 / np.sqrt(3): "the scale belongs inside of the power",
    }
    for mistake, text in texts.items():
        if close(x, mistake):
            return text
    return near(x, right, rtol=0.02)


@exercise(
    "07-mystery",
    hint="Shuffling destroys one of the two causes and leaves the other. Look at the phase before and after.",
    why="Its tail survives the shuffle, so it is in the sizes of the entries; the other one has correlated rows.",
    wrong=["A", "both", "neither"],
)
def mystery(answer: Any) -> str | None:
    """Which of two heavy-tailed spectra comes from heavy-tailed entries."""
    answer = choice(answer, ["A", "B", "both", "neither"])
    texts = {
        "A": "shuffle it and look again",
        "both": "one of them loses its tail when its entries are shuffled",
        "neither": "one of them keeps its tail when its entries are shuffled",
    }
    return texts.get(answer)
