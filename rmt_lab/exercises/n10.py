"""Exercises of notebook 10: a reading of the reader's own model.

The answers are judged by the reader's own table, whatever model it came from: the notebook hands it over by
:func:`about`. Before that there is nothing to judge by, and the checks say so.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from ..analysis import analyze
from ..ensembles.spectra import matched_noise
from ..spectrum import Spectrum
from . import exercise
from .answers import NotYet, choice, close, kind, near, number, whole

_COLUMNS = ("status", "N", "M", "rf", "num_spikes", "rand_num_spikes", "num_fingers", "clipping", "verdict")
_table: list[pd.DataFrame] = []  # the reader's, once it is handed over


def about(details: pd.DataFrame) -> None:
    """Hand over the table that the exercises of this notebook are about; a later one takes its place.

    Parameters
    ----------
    details : DataFrame
        Of ``analyze(..., randomize=True, fix_fingers="clip_xmax")``, and with a column ``verdict``.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If a column is missing, or no layer could be analysed.

    Examples
    --------
    >>> about(analyze("minilm", layers=["pooler"]))
    Traceback (most recent call last):
    ...
    ValueError: details has no column rand_num_spikes, verdict; make it by analyze(..., randomize=True, \
fix_fingers="clip_xmax"), and add the verdicts
    """
    if not isinstance(details, pd.DataFrame):
        raise TypeError(f"details is {kind(details)}; it must be the table of analyze")
    if missing := [c for c in _COLUMNS if c not in details]:
        how = 'make it by analyze(..., randomize=True, fix_fingers="clip_xmax"), and add the verdicts'
        raise ValueError(f"details has no column {', '.join(missing)}; {how}")
    if not (details["status"] == "success").any():
        raise ValueError("details has no layer that could be analysed; its column status says why")
    _table[:] = [details.copy()]


def _read() -> pd.DataFrame:
    """The layers of the reader's table that could be analysed."""
    if not _table:
        raise NotYet("there is no table yet to judge by: run the cell that says about(details)")
    return _table[0][_table[0]["status"] == "success"]


@exercise(
    "10-predict-plausible",
    hint="Think of docs/what-alpha-means.md, or of notebook 05: on how many eigenvalues do the tails of real layers "
    "stand, and what bends at their ends?",
    why="Judged by your own table. Where a power law is not plausible, an exponent is the answer to a question that "
    "the layer did not pose.",
    wrong=["none", "half or more"],
)
def predict_plausible(answer: Any) -> str | None:
    """Prediction: how many of your layers have a plausible power law."""
    options = ["none", "fewer than half", "half or more"]
    answer = choice(answer, options)
    share = (_read()["verdict"] == "plausible").mean()
    right = 0 if share == 0 else 1 if share < 0.5 else 2
    if answer == options[right]:
        return None
    return f"your table has {'more' if right > options.index(answer) else 'not as many'}"


@exercise(
    "10-survivors",
    hint="Sum rand_num_spikes over all layers of details, and divide it by the sum of num_spikes.",
    why="What survives the shuffle is the work of single huge weights. The rest is in their arrangement, and that may "
    "be correlations or rows of unequal size.",
    wrong=[1, 0.5, 100 / 1919, 1919.0, -0.1],
)
def survivors(answer: Any) -> str | None:
    """The share of your eigenvalues beyond the edge that survives shuffling."""
    y, table = number(answer), _read()
    spikes, kept = int(table["num_spikes"].sum()), int(table["rand_num_spikes"].sum())
    share = kept / max(spikes, 1)
    fault = near(y, share)
    if fault and close(y, 100 * share):
        return "that is in percent, and a share of the whole is asked for"
    if fault and close(y, float((table["rand_num_spikes"] / table["num_spikes"].clip(lower=1)).mean())):
        return "that is the mean of the layers' shares; take the share of all of them together"
    return fault


@exercise(
    "10-noise-in-range",
    hint="Select the rows of noise whose alpha lies from 2 to 6 (between), and count them.",
    why="Whoever calls 2 to 6 well trained calls these well trained, too; and nobody has trained them.",
    wrong=[-1, 1000, 2.5],
)
def noise_in_range(answer: Any) -> str | None:
    """How many of your layers' noise doubles have alpha from 2 to 6."""
    k, table = whole(answer), _read()
    alphas = [_noise_alpha(int(N), int(M), int(rf), i) for i, (N, M, rf) in enumerate(_shapes(table))]
    if not 0 <= k <= len(alphas):
        return f"there are {len(alphas)} noise matrices, one for each layer"
    return near(k, sum(2 <= a <= 6 for a in alphas), rtol=0)


def _shapes(table: pd.DataFrame) -> Any:
    return zip(table["N"], table["M"], table["rf"], strict=True)


@cache
def _noise_alpha(N: int, M: int, rf: int, seed: int) -> float:
    """The clipped exponent of noise of a shape; the unit plays no part."""
    shape = Spectrum(np.ones(M * rf), N, M, rf)
    return float(analyze([matched_noise(shape, rng=seed)], fix_fingers="clip_xmax", min_evals=2)["alpha"].iloc[0])


_CLIPPING = ["nothing was clipped", "better in all", "better in some", "better in none"]


@exercise(
    "10-clipping",
    hint="The column clipping says of each layer with num_fingers > 0 whether its misfit fell or only its alpha.",
    why="An alpha that fell while the misfit grew is no correction. It does not go on the page without that remark.",
    wrong=["nothing was clipped", "better in all", "better in some"],
)
def clipping(answer: Any) -> str | None:
    """Whether dropping fingers made your fits better."""
    answer, table = choice(answer, _CLIPPING), _read()
    clipped = table[table["num_fingers"] > 0]
    better = int((clipped["clipping"] == "better fit").sum())
    right = _CLIPPING[0 if clipped.empty else 1 if better == len(clipped) else 2 if better else 3]
    if answer == right:
        return None
    if clipped.empty or answer == _CLIPPING[0]:
        return "count the rows with num_fingers > 0 first"
    return "compare the number of clipped layers with the number of those whose clipping says 'better fit'"


def _carried(table: pd.DataFrame) -> dict[int, tuple[bool, str]]:
    """For each sentence of the notebook: whether the table carries it, and what is wrong with it if not."""
    spikes, kept = table["num_spikes"].sum(), table["rand_num_spikes"].sum()
    plausible, clipped = table["verdict"] == "plausible", table[table["num_fingers"] > 0]
    better = (clipped["clipping"] == "better fit").all() and not clipped.empty
    return {
        1: (bool((table["num_spikes"] > 0).all()), "a layer of your table has nothing beyond its edge"),
        2: (bool(2 * kept < spikes), "half or more of what lies beyond the edge survives the shuffle"),
        3: (bool(plausible.all()), "not every verdict is plausible"),
        4: (bool(plausible.any()), "no verdict is plausible"),
        5: (bool(better), "the misfit did not fall in each layer that was clipped, or none was"),
        6: (False, "noise has alphas in that range, too, and no alpha was compared with any test error"),
        7: (False, "the shuffle also destroys rows of unequal size, which are no correlations"),
        8: (False, "nobody looked at the data: labels drawn at random would leave a mark as well"),
    }


@exercise(
    "10-sentences",
    hint="For each sentence ask which column of details would look different if it were false. Where there is none, "
    "the table cannot carry the sentence.",
    why="These your table carries, and no more. The others may be true; they need another experiment.",
    wrong=[[6], [7, 8], [3, 5], [9], list(range(1, 9)), 6],
)
def sentences(answer: Any) -> str | None:
    """The sentences that your table carries."""
    if not isinstance(answer, list | tuple | set | np.ndarray):
        raise NotYet(f"the answer is {kind(answer)}, and a list of the numbers of sentences is asked for")
    chosen, carried = {whole(x) for x in answer}, _carried(_read())
    if not chosen <= set(carried):
        return "there are eight sentences, and a number in the list is none of theirs"
    wrong = sorted(k for k in chosen if not carried[k][0])
    if wrong:
        return f"not sentence {wrong[0]}: {carried[wrong[0]][1]}"
    return None if chosen == {k for k, (holds, _) in carried.items() if holds} else "one more is carried, at least"
