"""Checks for the exercises of the notebooks: right, or what differs and a hint, and never the answer.

One file a notebook, loaded on first use: ``n02.py`` holds the exercises whose names begin with ``02-``. Texts and
solutions stand in the notebook itself; here stands how an answer is judged.

How to write an exercise
------------------------
In ``n02.py``, a function of the answer that returns what is wrong with it, or None if it is right. Its docstring is the
title in :func:`progress`. The readers in :mod:`rmt_lab.exercises.answers` refuse what is not a number, a choice, an
array or a function::

    @exercise(
        "02-upper-edge",
        hint="The edge belongs to eigenvalues, not to singular values.",
        why="sigma^2 (1 + 1/sqrt(Q))^2, and nothing else about the matrix matters.",
        wrong=[0.25, 1.5],                   # common mistakes; a test holds that each of them is refused
    )
    def upper_edge(answer):
        '''The upper edge for Q = 4.'''
        x = number(answer)
        if close(x, 0.25):
            return "that is the lower edge"
        return near(x, MarchenkoPastur(4).upper_edge)

In the notebook: a markdown cell with the question; a code cell, tagged ``exercise``, that ends with the check of a
stub (``upper_edge = ...``, or a function that says ``return ...``)::

    upper_edge = ...  # your number
    check("02-upper-edge", upper_edge)

and a markdown cell, tagged ``solution``, with a folded, complete solution that ends with the same check::

    <details><summary>Solution</summary>

    ```python
    upper_edge = (1 + 1 / 4**0.5) ** 2
    check("02-upper-edge", upper_edge)
    ```

    A sentence on why.
    </details>

``tests/notebooks/test_execution.py`` runs every solution after its notebook's own cells, and every mistake, through
its check, and holds that no feedback on a mistake names the right value. A notebook ends with ``progress("02")``.
Folded answers to questions that are not checked carry the tag ``answers``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from .answers import NoAnswer, NotYet, is_open, kind

__all__ = ["Feedback", "Progress", "check", "exercise", "names", "progress"]

Judge = Callable[[Any], str | None]


@dataclass(frozen=True)
class Exercise:
    """How an answer is judged, what helps, why the right one is right, and mistakes to expect."""

    name: str
    judge: Judge
    title: str
    hint: str
    why: str
    wrong: Sequence[Any]


@dataclass(frozen=True, repr=False)
class Feedback:
    """What :func:`check` says. ``right`` tells programs; the rest is for the reader.

    Examples
    --------
    >>> Feedback("02-example", False, "it is too small", "Look at the units.")
    Not yet: it is too small. Hint: Look at the units.
    >>> Feedback("02-example", True, "The edges are sharp.")
    Right: The edges are sharp.
    """

    name: str
    right: bool
    text: str
    hint: str = ""

    def __repr__(self) -> str:
        if self.right:
            return f"Right: {_stop(self.text)}"
        hint = f" Hint: {self.hint}" if self.hint and self.text != NoAnswer.TEXT else ""
        return f"Not yet: {_stop(self.text)}{hint}"

    def _repr_html_(self) -> str:
        colour, mark = ("#1b6e3c", "&#10003; Right:") if self.right else ("#8a4b00", "&#9675; Not yet:")
        hint = f"<details><summary>Hint</summary>{escape(self.hint)}</details>" if self.hint and not self.right else ""
        return (
            f'<div role="status" style="border-left: 4px solid {colour}; padding: 4px 10px">'
            f'<b style="color: {colour}">{mark}</b> {escape(_stop(self.text))}{hint}</div>'
        )


@dataclass(frozen=True, repr=False)
class Progress:
    """Which exercises of a notebook are solved in this session, in the notebook's order."""

    notebook: str
    exercises: Sequence[tuple[str, str, bool]]  # name, title, solved

    def __repr__(self) -> str:
        width = max((len(name) for name, _, _ in self.exercises), default=0)
        rows = [f"  [{'x' if done else ' '}] {name:{width}}  {title}" for name, title, done in self.exercises]
        return "\n".join([self._headline(), *rows])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'&#10003; solved' if done else '&#9675; open'}</td>"
            f'<td style="text-align:left"><code>{escape(name)}</code></td>'
            f'<td style="text-align:left">{escape(title)}</td></tr>'
            for name, title, done in self.exercises
        )
        return (
            f'<table><caption style="text-align:left"><b>{self._headline()}</b></caption><tbody>{rows}</tbody></table>'
        )

    def _headline(self) -> str:
        solved = sum(done for _, _, done in self.exercises)
        return f"Notebook {self.notebook}: {solved} of {len(self.exercises)} exercises solved"


_registry: dict[str, Exercise] = {}
_solved: set[str] = set()  # in this session


def exercise(name: str, hint: str, why: str, wrong: Sequence[Any]) -> Callable[[Judge], Judge]:
    """Register the decorated function as the judge of an exercise.

    Parameters
    ----------
    name : str
        ``NN-slug``, NN the number of the notebook.
    hint : str
        A sentence or two that help without giving the answer.
    why : str
        Shown with a right answer.
    wrong : sequence
        Mistakes to expect, as answers; the test refuses an exercise that has none.

    Raises
    ------
    ValueError
        If the name is not of the form NN-slug, or is taken.
    """
    if not re.fullmatch(r"\d\d(-[a-z0-9]+)+", name):
        raise ValueError(f"name={name!r}; an exercise is called NN-slug, such as '02-upper-edge'")
    if name in _registry:
        raise ValueError(f"name={name!r} is taken")

    def register(judge: Judge) -> Judge:
        title = (judge.__doc__ or "").strip().split("\n")[0].rstrip(".")
        _registry[name] = Exercise(name, judge, title, hint, why, wrong)
        return judge

    return register


def check(name: str, answer: Any) -> Feedback:
    """Judge an answer.

    Parameters
    ----------
    name : str
        Of the exercise, such as ``"02-upper-edge"``.
    answer
        Whatever the exercise asks for. Anything may come; what cannot be an answer is told so.

    Returns
    -------
    Feedback
        With ``right``, and a text that says why, or what differs and a hint.

    Raises
    ------
    ValueError
        If there is no exercise of that name; the text suggests close ones.

    Examples
    --------
    >>> check("00-predict-largest", ...)
    Not yet: no answer given.
    """
    found = _find(name)
    try:
        if is_open(answer):
            raise NoAnswer
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fault = found.judge(answer)
    except NotYet as refusal:
        fault = str(refusal)
    except Exception:  # an answer may be any object at all; its faults are not the reader's to debug
        fault = f"{kind(answer)} cannot be read as an answer to this question"
    if fault is None:
        _solved.add(name)
        return Feedback(name, True, found.why)
    return Feedback(name, False, fault, found.hint)


def progress(notebook: str) -> Progress:
    """Which exercises of a notebook, named by its number such as ``"02"``, are solved in this session.

    Raises
    ------
    ValueError
        If that notebook has no exercises.
    """
    found = [_registry[name] for name in names(notebook)]
    return Progress(notebook, [(e.name, e.title, e.name in _solved) for e in found])


def names(notebook: str) -> list[str]:
    """The exercises of a notebook, in their order."""
    module = f"{__name__}.n{notebook}"
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"notebook={notebook!r} has no exercises; there are some in {', '.join(_notebooks())}")
    importlib.import_module(module)
    return [name for name in _registry if name.startswith(f"{notebook}-")]


def _notebooks() -> list[str]:
    return sorted(m.name[1:] for m in pkgutil.iter_modules(__path__) if re.fullmatch(r"n\d\d", m.name))


def _find(name: str) -> Exercise:
    """The exercise of that name, its notebook's file loaded if need be."""
    notebook = str(name)[:2]
    known = names(notebook) if notebook in _notebooks() else [n for nb in _notebooks() for n in names(nb)]
    if name in known:
        return _registry[name]
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or known
    raise ValueError(f"name={name!r}: there is no such exercise; did you mean {' or '.join(map(repr, close[:3]))}?")


def _stop(text: str) -> str:
    """The text with a full stop, if it has no end of its own."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
