"""Exercises of notebook 00, a first look at a layer beside noise."""

from __future__ import annotations

from typing import Any

from .. import atlas
from ..bulk import fit_bulk
from . import exercise
from .answers import choice, close, near, number


@exercise(
    "00-predict-largest",
    hint="Both matrices have the same norm. Noise prefers none of its 384 directions; does training?",
    why="Training has put more of the same norm into a few directions.",
    wrong=["smaller", "the same", "bigger", 2.5],
)
def predict_largest(answer: Any) -> str | None:
    """Prediction: the largest singular value of the layer, against noise."""
    answer = choice(answer, ["smaller", "the same", "larger"])
    if answer == "the same":
        return "equal norms do not make equal extremes: the norm sums over all directions"
    return None if answer == "larger" else "that would mean that training spreads its work more evenly than chance does"


@exercise(
    "00-share-beyond",
    hint="The cell above does it for block 3. Load the other block, and divide its num_spikes by its M.",
    why="Even the first block, the one nearest to the word embeddings, is far from noise.",
    wrong=[156 / 384, 72, 18.75, 72 / 1536],
)
def share_beyond(answer: Any) -> str | None:
    """The share of the eigenvalues of block 0 that lie beyond the noise edge."""
    x = number(answer)
    if close(x, _share("block 3 feed-forward in")):
        return "that is block 3, not block 0"
    share = _share("block 0 feed-forward in")
    if 1 < x <= 100 and close(x / 100, share):
        return "that is in percent, and a share between 0 and 1 is asked for"
    if not 0 <= x <= 1:
        return f"{x:.4g} is not a share: a share lies between 0 and 1"
    return near(x, share)


@exercise(
    "00-one-large-weight",
    hint="What does shuffling change about a matrix, and what does it leave as it is?",
    why="Shuffling keeps every weight and moves it elsewhere. One huge weight is a direction of its own wherever it "
    "stands, so what survives shuffling tells of the weights one by one, not of how they stand together.",
    wrong=["arrangement", "chance", "norm"],
)
def one_large_weight(answer: Any) -> str | None:
    """Why one huge weight survives shuffling."""
    answer = choice(answer, ["arrangement", "size", "chance"])
    if answer == "chance":
        return "try other seeds: it survives every time"
    return None if answer == "size" else "shuffling destroys that, and yet the spike is still there"


def _share(layer: str) -> float:
    """Eigenvalues beyond the noise edge, over all, of a layer of MiniLM."""
    spectrum = atlas.load("minilm")[layer].spectrum
    return fit_bulk(spectrum).num_spikes / spectrum.M
