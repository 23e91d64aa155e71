"""Exercises of notebook 09, GPT models beside their own initialisation, and two that differ in their data alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .. import atlas, trainings
from ..analysis import analyze
from ..tails.power_law import fit_power_law
from . import exercise
from .answers import Array, agrees, choice, close, near, number


@cache
def _raw_alphas(initial: bool) -> Array:
    """The raw alphas of SmolLM2's layers, or of its initialisation."""
    layers = atlas.load("smollm2").layers
    spectra = [x.initialisation(rng=i) if initial else x.spectrum for i, x in enumerate(layers)]
    return np.array([fit_power_law(s.nonzero_eigenvalues).alpha for s in spectra])


@exercise(
    "09-predict-start",
    hint="What does a power law fitted to the steep end of noise look like, as in notebook 05?",
    why="Noise ends in a cliff, and a power law fitted to a cliff is steep: large alphas are where training starts.",
    wrong=["none", "fewer"],
)
def predict_start(answer: Any) -> str | None:
    """Prediction: alphas above 8 before training, compared with after it."""
    answer = choice(answer, ["none", "fewer", "more"])
    start, end = (int(np.sum(_raw_alphas(initial) > 8)) for initial in (True, False))
    right = "none" if start == 0 else "fewer" if start < end else "more"
    if answer == right:
        return None
    return "a fit always gives a number, to noise too" if answer == "none" else "the steep end of noise is overlooked"


@cache
def _raw_tails() -> tuple[float, float, float]:
    """Median size of a raw tail in SmolLM2: where alpha is above 8, in all layers, and after clipping where it was."""
    raw, clipped = (analyze("smollm2", fix_fingers=rule) for rule in (None, "clip_xmax"))
    high = raw.alpha > 8
    return tuple(float(t.num_pl_spikes.median()) for t in (raw[high], raw, clipped[high]))  # type: ignore[return-value]


@exercise(
    "09-standing-on",
    hint="num_pl_spikes is the number of eigenvalues in the tail of a layer's fit. Take it from raw, in the rows with "
    "alpha above 8.",
    why="A few more or less, and alpha is another number: that is what a large alpha stands on.",
    wrong=[576, 26, 62, 45, 211],
)
def standing_on(answer: Any) -> str | None:
    """The median number of eigenvalues under an alpha above 8."""
    y = number(answer)
    right, of_all, after = _raw_tails()
    if close(y, right):
        return None
    if close(y, of_all):
        return "that is the median over all layers, and those with alpha above 8 are asked for"
    if close(y, after):
        return "that is after clipping, and the raw fits are asked for"
    return near(y, right)


def _median_alpha(name: str) -> float:
    training = trainings.load(name)
    return float(analyze(training.at(training.steps[-1])).alpha.median())


@exercise(
    "09-predict-data",
    hint="What would the usual reading say, in which a large alpha means bad training? Then see whether it holds.",
    why="Less than a tenth apart, and on new text one model is lost while the other is not.",
    wrong=["little", "much"],
)
def predict_data(answer: Any) -> str | None:
    """Prediction: the model that ends with the larger median alpha."""
    answer = choice(answer, ["little", "much", "the same"])
    little, much = _median_alpha("little"), _median_alpha("much")
    right = "the same" if abs(much - little) < 0.1 else "little" if little > much else "much"
    return None if answer == right else "the recorded models do otherwise, and the cells below show how"


def _split(c_attn: Array) -> Array:
    d = len(c_attn)
    return np.stack([c_attn[:, i * d : (i + 1) * d] for i in range(3)])


def _folded(c_attn: Array) -> Array:
    d = len(c_attn)
    return c_attn.reshape(3, d, d)


def _interleaved(c_attn: Array) -> Array:
    return np.stack([c_attn[:, i::3] for i in range(3)])


def _transposed(c_attn: Array) -> Array:
    return _split(c_attn).transpose(0, 2, 1)


_FUSED = [np.random.default_rng(9).normal(size=(d, 3 * d)).round(3) for d in (2, 6)]


@exercise(
    "09-split",
    hint="The matrix is stored input x output: each of the three has all the rows, and its own third of the columns.",
    why="Three square matrices, each with its own law; spectra of the fused one belong to none of them.",
    wrong=[_folded, _interleaved, _transposed, lambda c_attn: np.split(c_attn, 3), lambda c_attn: c_attn[:2]],
)
def split(answer: Any) -> str | None:
    """A function that takes a fused attention matrix apart."""
    return agrees(
        answer,
        _split,
        [(c_attn,) for c_attn in _FUSED],
        mistakes={
            "reshape reads row by row, and so cuts every row in three": _folded,
            "every third column goes to the same part, and the three stand next to each other": _interleaved,
            "the parts are right, and each of them is transposed": _transposed,
        },
    )


@exercise(
    "09-predict-blur",
    hint="Notebook 05: one eigenvalue of 576 was left out, and alpha fell from 16 to 2. How much does it take?",
    why="Not the tail moved but the choice of the tail: two valleys of D were nearly equally deep.",
    wrong=["less than 0.1", "about 1"],
)
def predict_blur(answer: Any) -> str | None:
    """Prediction: the largest change of an alpha when weights are rounded to 4 bits."""
    answer = choice(answer, ["less than 0.1", "about 1", "more than 3"])
    if answer == "less than 0.1":
        return "that holds for most layers, and the one that changes most is asked for"
    return None if answer == "more than 3" else "it is not the tail that has to move, only the choice of it"
