"""Exercises of notebook 10: a page about the reader's own model.

The answers are judged by the reader's own table, whatever model it came from: the notebook hands it over by
:func:`about`. Before that there is nothing to judge by, and the checks say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from . import exercise, prediction, question
from .answers import NotYet, agrees, close, kind, near, number, whole

_COLUMNS = ("status", "num_spikes_first", "rand_num_spikes_first", "bulk_note", "verdict", "p_power_law", "verdict_q")
_HOW = 'make it by analyze(..., randomize="signs", verdict="quick")'
_LEVEL = 0.1  # of the word "refuted" in RULES
_table: list[pd.DataFrame] = []  # the reader's, once it is handed over


def about(details: pd.DataFrame) -> None:
    """Hand over the table that the exercises of this notebook are about; a later one takes its place.

    Parameters
    ----------
    details : DataFrame
        Of ``analyze(..., randomize="signs", verdict="quick")``.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If a column is missing, or no layer could be analysed.

    Examples
    --------
    >>> from rmt_lab import analyze
    >>> about(analyze("minilm", layers=["pooler"], verdict="quick"))
    Traceback (most recent call last):
    ...
    ValueError: details has no column rand_num_spikes_first; make it by analyze(..., randomize="signs", verdict="quick")
    """
    if not isinstance(details, pd.DataFrame):
        raise TypeError(f"details is {kind(details)}; it must be the table of analyze")
    if missing := [c for c in _COLUMNS if c not in details]:
        raise ValueError(f"details has no column {', '.join(missing)}; {_HOW}")
    if not (details["status"] == "success").any():
        raise ValueError("details has no layer that could be analysed; its column status says why")
    _table[:] = [details.copy()]


def _read() -> pd.DataFrame:
    """The layers of the reader's table that could be analysed."""
    if not _table:
        raise NotYet("there is no table yet to judge by: run the cell that says about(details)")
    return _table[0][_table[0]["status"] == "success"]


def _beyond(table: pd.DataFrame) -> tuple[int, int]:
    """Eigenvalues beyond noise in all layers together: of the weights, and with random signs."""
    return int(table["num_spikes_first"].sum()), int(table["rand_num_spikes_first"].sum())


def _share(table: pd.DataFrame) -> float:
    beyond, kept = _beyond(table)
    return kept / max(beyond, 1)


@exercise(
    "10-survivors",
    hint="Sum rand_num_spikes_first over all layers of details, and divide it by the sum of num_spikes_first.",
    why="The sizes of the weights explain this share. Only what is gone needs correlation.",
    wrong=[1, 0, 0.5, -0.1, 360, 152, 42.2, 1 - 152 / 360, 360 / 152, 0.43, 0.41, "two fifths", [25, 12]],
    right=lambda: [
        _share(_read()),
        [_share(_read())],
        np.array([_share(_read())]),
        np.float32(_share(_read())),
        round(_share(_read()), 3),
        np.array([[_share(_read())]]),
    ],
)
def survivors(answer: Any) -> str | None:
    """The share of your eigenvalues beyond noise that remains with random signs."""
    y, table = number(answer), _read()
    beyond, kept = _beyond(table)
    fault = near(y, _share(table), atol=1e-9)
    if fault is None:
        return None
    if close(y, 100 * _share(table)) and kept:
        return "that is in percent, and a share of the whole is asked for"
    if kept and close(y, beyond / kept):
        return "the fraction is upside down"
    if beyond and close(y, 1 - kept / beyond):
        return "that is the share that is gone"
    each = table["rand_num_spikes_first"] / table["num_spikes_first"].clip(lower=1)
    if close(y, float(each.mean())):
        return "that is the mean of the layers' shares; take the share of all of them together"
    return fault


@prediction(
    "10-holds",
    options=["none", "fewer than half", "half or more"],
    why="The word needs a fit that is not refuted, and rivals that are: this is rare in short tails, and never said "
    "where the shape has no test.",
)
def predict_holds(share: float) -> str:
    """In how many of your layers a power law holds."""
    return "none" if share == 0 else "fewer than half" if share < 0.5 else "half or more"


def _belief(prior: float, with_law: float, without: float) -> float:
    return prior * with_law / (prior * with_law + (1 - prior) * without)


def _by_logs(prior: float, with_law: float, without: float) -> float:
    log_odds = np.log(prior) - np.log1p(-prior) + np.log(with_law) - np.log(without)
    return float(1 / (1 + np.exp(-log_odds)))


def _by_counts(*answers: float) -> np.float64:
    prior, with_law, without = (np.float64(a) for a in answers)
    found = np.array([prior * with_law, (1 - prior) * without])
    return (found / found.sum())[0]


_MISTAKES: dict[str, Callable[..., float]] = {
    "the prior plays no part": lambda prior, with_law, without: with_law / (with_law + without),
    "these are odds, and a probability is asked for": lambda prior, with_law, without: (
        prior * with_law / ((1 - prior) * without)
    ),
    "that is the probability that there is no power law": lambda prior, with_law, without: (
        1 - _belief(prior, with_law, without)
    ),
    "both rates have the same weight; a layer without a power law has weight 1 - prior": (
        lambda prior, with_law, without: prior * with_law / (prior * with_law + prior * without)
    ),
}


@exercise(
    "10-belief",
    hint="Take 1000 such layers. How many have a power law and get the word? How many get the word altogether?",
    why="Bayes' rule: a word shifts a belief by the ratio of its two rates, and by no more.",
    wrong=[
        *_MISTAKES.values(),
        lambda prior, with_law, without: prior * with_law,
        lambda prior, with_law, without: with_law / without,
        lambda prior, with_law, without: with_law,
        lambda prior, with_law, without: _belief(prior, without, with_law),
        lambda prior, with_law, without: _belief(1 - prior, with_law, without),
        lambda prior, with_law, without: prior * with_law / (prior * with_law + without),
        lambda prior, with_law, without: 0.81,
        lambda with_law, without: with_law,
        0.81,
    ],
    right=[
        _belief,
        _by_logs,
        _by_counts,
        lambda p, a, b: 1 / (1 + (1 - p) / p * b / a),
        lambda prior, with_law, without: np.array(_belief(prior, with_law, without)),
        lambda *rates: _belief(*rates),
    ],
)
def belief(answer: Any) -> str | None:
    """The probability of a power law after a word, as a function."""
    rng = np.random.default_rng(10)
    inputs = [(0.5, 0.4, 0.2), *(tuple(rng.uniform(0.05, 0.95, 3)) for _ in range(5))]
    return agrees(answer, _belief, inputs, mistakes=_MISTAKES)


def _by_chance(table: pd.DataFrame) -> float:
    return _LEVEL * int(table["verdict_q"].notna().sum())


@exercise(
    "10-by-chance",
    hint="Each tested layer has p_power_law < 0.1 with probability 0.1 then. The tested layers have a verdict_q.",
    why="A number of refuted layers says something only as far as it exceeds this number.",
    wrong=[10, 12, 0, 0.1, 1.2, 3, 9, -1, 2, 0.083, 100],
    right=lambda: [
        _by_chance(_read()),
        [_by_chance(_read())],
        np.array([_by_chance(_read())]),
        np.float32(_by_chance(_read())),
        sum(0.1 for q in _read()["verdict_q"] if q == q),
    ],
)
def by_chance(answer: Any) -> str | None:
    """How many of your layers the test would refute if all had a power law."""
    y, table = number(answer), _read()
    fault = near(y, _by_chance(table), rtol=1e-3, atol=1e-6)
    if fault is None:
        return None
    if close(y, 10 * _by_chance(table)) and y:
        return "that is the number of layers tested, and each is refuted with a small probability only"
    if close(y, _LEVEL * len(table)):
        return "some of your layers were not tested: they have no verdict_q"
    if close(y, float((table["p_power_law"] < _LEVEL).sum())):
        return "that is how many are refuted in fact"
    return fault


@prediction(
    "10-clipped",
    options=["more often in the layers", "more often in noise", "equally often"],
    why="The rule compares two alphas and asks nothing else, and noise has alphas that are large and jump.",
)
def predict_clipped(counts: Any) -> str:
    """Where clip_xmax finds fingers more often: in your layers or in noise."""
    layers, noise = (whole(x) for x in counts)
    if layers == noise:
        return "equally often"
    return "more often in the layers" if layers > noise else "more often in noise"


def _carried(table: pd.DataFrame) -> dict[int, tuple[bool, str]]:
    """For each sentence of the notebook: whether the table carries it, and what is wrong with it if not."""
    beyond, kept = _beyond(table)
    return {
        1: (bool((table["num_spikes_first"] > 0).all()), "a layer of your table has nothing beyond noise"),
        2: (bool((table["bulk_note"] == "").all()), "the bulk of a layer of your table has a note"),
        3: (2 * kept < beyond, "half or more of what lies beyond noise remains with random signs"),
        4: (bool((table["verdict"] == "holds").any()), "no verdict of your table is 'holds'"),
        5: (bool((table["verdict_q"] <= _LEVEL).any()), "no verdict_q of your table is 0.1 or less"),
        6: (False, '"can\'t tell" means that the test has no answer for this layer'),
        7: (False, "no alpha was compared with any test error"),
        8: (False, "the data were not looked at: labels drawn at random would leave a mark as well"),
    }


def _right_sentences() -> list[Any]:
    found = [k for k, (holds, _) in _carried(_read()).items() if holds]
    forms = [found, tuple(found), set(found), found[::-1], [float(k) for k in found], found + found[:1]]
    return [*forms, np.array(found)]


@exercise(
    "10-sentences",
    hint="For each sentence ask which column of details would look different if it were false. Where there is none, "
    "the table cannot carry the sentence.",
    why="These your table carries, and no more. The others may be true; they need another experiment.",
    wrong=[[], [1], [4], [2], [5], [6], [7], [8], [9], [1, 3], [1, 3, 4, 7], list(range(1, 9)), 6, "1, 3", [1.5]],
    right=_right_sentences,
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


question(
    "10-five-sentences",
    "Five honest sentences about your model",
    points=[
        "what was read: the file, its precision, which layers, and by which rule they were chosen",
        "how many eigenvalues lie beyond noise of the same shape and variance, and how many of them need correlation",
        "how often each of the four words was said, and how many layers had no test",
        "an exponent only where a power law holds, with its interval and its number of eigenvalues",
        "what these spectra do not show",
    ],
)

question(
    "10-next-experiment",
    "A claim that your page does not carry, and the experiment that would",
    points=[
        "the claim, and the column that would have to look different if it were false",
        "a comparison where the truth is known: another seed, labels drawn at random, the weights before training",
        "an outcome that would prove the claim wrong, named before the experiment",
    ],
)
