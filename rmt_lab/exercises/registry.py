"""What the notebooks ask, by name: exercises, predictions and questions; one file a notebook, loaded on first use."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Judge = Callable[[Any], str | None]
Outcome = Callable[..., Any]
Answers = Sequence[Any] | Callable[[], Sequence[Any]]


@dataclass(frozen=True)
class Exercise:
    """How an answer is judged, what helps, why the right one is right, and answers to expect."""

    name: str
    title: str
    judge: Judge
    hint: str
    why: str
    wrong: Answers
    right: Answers

    verb = "check"

    @property
    def is_choice(self) -> bool:
        """Whether it is multiple choice: its judge reads the answer by :func:`.answers.choice`."""
        return "choice" in self.judge.__code__.co_names


@dataclass(frozen=True)
class Prediction:
    """What may be predicted (a number where there are no options), and how a measured value is named."""

    name: str
    title: str
    outcome: Outcome
    options: Sequence[str] | None
    why: str

    verb = "predict"


@dataclass(frozen=True)
class Question:
    """A question that is answered in words, and what a good answer names."""

    name: str
    title: str
    points: Sequence[str]

    verb = "write"


Entry = Exercise | Prediction | Question
Kind = TypeVar("Kind", Exercise, Prediction, Question)

entries: dict[str, Entry] = {}  # of the notebooks that have been loaded


def exercise(name: str, hint: str, why: str, wrong: Answers, right: Answers = ()) -> Callable[[Judge], Judge]:
    """Register the decorated function as the judge of an exercise.

    Parameters
    ----------
    name : str
        ``NN-slug``, NN the prefix of the notebook.
    hint : str
        A sentence or two that help without giving the answer.
    why : str
        Shown with a right answer.
    wrong : sequence, or function that returns one
        Mistakes to expect, as answers; a test holds that each of them is refused with help.
    right : sequence, or function that returns one
        Right answers in unusual forms; a test holds that each of them is accepted.

    Raises
    ------
    ValueError
        If the name is not of the form NN-slug, or is taken.
    """
    _allow(name)

    def register(judge: Judge) -> Judge:
        entries[name] = Exercise(name, _title(judge), judge, hint, why, wrong, right)
        return judge

    return register


def prediction(name: str, options: Sequence[str] | None, why: str) -> Callable[[Outcome], Outcome]:
    """Register the decorated function as what names the outcome of an experiment.

    Parameters
    ----------
    name : str
        ``NN-slug``, NN the prefix of the notebook.
    options : sequence of str, or None
        What may be predicted. None asks for a number.
    why : str
        One sentence that explains the outcome. It is shown by the reveal, not before.

    Raises
    ------
    ValueError
        If the name is not of the form NN-slug, or is taken.
    """
    _allow(name)

    def register(outcome: Outcome) -> Outcome:
        entries[name] = Prediction(name, _title(outcome), outcome, options, why)
        return outcome

    return register


def question(name: str, title: str, points: Sequence[str]) -> None:
    """Register a question that is answered in words.

    Parameters
    ----------
    name : str
        ``NN-slug``, NN the prefix of the notebook.
    title : str
        The question in a few words, for :func:`progress`.
    points : sequence of str
        What a good answer names. The points are shown after an answer was written, not before.

    Raises
    ------
    ValueError
        If the name is not of the form NN-slug, or is taken.
    """
    _allow(name)
    entries[name] = Question(name, title, points)


def of_notebook(notebook: str) -> list[Entry]:
    """All that a notebook asks, in its order."""
    if notebook not in notebooks():
        raise ValueError(f"notebook={notebook!r} has no exercises; there are some in {', '.join(notebooks())}")
    importlib.import_module(f"{__package__}.{_module(notebook)}")
    return [entry for name, entry in entries.items() if name.startswith(f"{notebook}-")]


def notebooks() -> list[str]:
    """The prefixes of the notebooks that have a file here."""
    found = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])]
    found = [m.removeprefix("n") for m in found if re.fullmatch(r"n\d\d|x\d+", m)]
    return sorted(found, key=lambda m: (m.startswith("x"), int(m.lstrip("x"))))


def find(name: str, kind: type[Kind]) -> Kind:
    """The exercise, prediction or question of that name, its notebook's file loaded if need be.

    Raises
    ------
    ValueError
        If there is none; the text suggests close names, or the right function.
    """
    notebook = str(name).partition("-")[0]
    asked = [e for nb in notebooks() if nb == notebook or notebook not in notebooks() for e in of_notebook(nb)]
    found = next((e for e in asked if e.name == name), None)
    if isinstance(found, kind):
        return found
    if found is not None:
        raise ValueError(f"name={name!r}: call {found.verb}, not {kind.verb}, for this {type(found).__name__.lower()}")
    known = [e.name for e in asked if isinstance(e, kind)]
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or known
    noun = kind.__name__.lower()
    meant = f"; did you mean {' or '.join(map(repr, close[:3]))}?" if close else ""
    raise ValueError(f"name={name!r}: there is no such {noun}{meant}")


def listed(answers: Answers) -> list[Any]:
    """Answers to expect, computed if they are given as a function."""
    return list(answers() if callable(answers) else answers)


def _module(notebook: str) -> str:
    return notebook if notebook.startswith("x") else f"n{notebook}"


def _allow(name: str) -> None:
    if not re.fullmatch(r"(\d\d|x\d+)(-[a-z0-9]+)+", name):
        raise ValueError(f"name={name!r}; it must be NN-slug, such as '02-upper-edge', or xN-slug in an extra")
    if name in entries:
        raise ValueError(f"name={name!r} is taken")


def _title(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").strip().split("\n")[0].rstrip(".")
