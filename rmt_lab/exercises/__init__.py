'''What the notebooks ask: exercises, which are judged; predictions and written answers, which are recorded.

One file a notebook, loaded on first use: ``n02.py`` holds what is named ``02-...``, and ``x1.py`` what is named
``x1-...`` in the extras. Texts and solutions stand in the notebook itself. Here stands how an answer is judged, how an
experiment's outcome is named, and what a good written answer names. The order in the file is the order in the notebook.

How to write an exercise
------------------------
In ``n02.py``, a function of the answer that returns what is wrong with it, or None if it is right. Its docstring is the
title in :func:`progress`. The readers in :mod:`rmt_lab.exercises.answers` refuse what is not a number, a choice, an
array or a function::

    @exercise(
        "02-upper-edge",
        hint="The edge belongs to eigenvalues, not to singular values.",
        why="sigma^2 (1 + 1/sqrt(Q))^2, and nothing else about the matrix matters.",
        wrong=[0.25, 1.5, 5 / 4, 9, ...],         # at least ten mistakes; a test holds that each is refused with help
        right=[[2.25], np.array([2.25]), 9 / 4],  # at least five right answers in unusual forms; each is accepted
    )
    def upper_edge(answer):
        """The upper edge for Q = 4."""
        x = number(answer)
        if close(x, 0.25):
            return "that is the lower edge"
        return near(x, MarchenkoPastur(4).upper_edge)

``wrong`` and ``right`` may also be functions without arguments that return the answers, where these take computing.
No feedback names the right value: a test compares it with ``right[0]`` and with the solution's lines.

Readers: ``number`` (also takes ``[9]`` and arrays of one value), ``whole``, ``choice`` (drops case, spaces and
punctuation; where options differ by their number only, such as ``"step 1"`` and ``"step 2"``, the number is enough),
``array``, ``agrees`` (a function beside a reference, on hidden inputs) and ``holds`` (a function that has no single
right result, by its properties; the first user is the shuffle within rows, ``row_null``). At most a quarter of all
exercises may read their answer by ``choice``: prefer a number or a function.

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

``tests/notebooks/test_execution.py`` runs every solution after its notebook's own cells. Folded answers to questions
that are not checked carry the tag ``answers``. A notebook ends with ``progress("02")``.

How to write a prediction
-------------------------
In ``n05.py``, a function from what the experiment measures to the option that it is. Its docstring is the title::

    @prediction(
        "05-drop-one",
        options=["within its error bar", "about half", "below 3"],
        why="The search for xmin moved to another tail.",  # one sentence, shown by the reveal only
    )
    def drop_one(alpha):
        """Alpha without the largest of 576 eigenvalues."""
        return "below 3" if alpha < 3 else "about half" if alpha < 12 else "within its error bar"

With ``options=None`` a number is predicted. The function then returns the number that came out, and the reveal says by
how much they differ. A function without parameters, or with a default, can be revealed without a value.

In the notebook: a markdown cell with the question; a code cell, tagged ``prediction``, that ends with the call; later
the experiment, in a cell that ends with the reveal, and no solution cell::

    prediction = ...  # "within its error bar", "about half" or "below 3"
    predict("05-drop-one", prediction)

    without_one = rl.fit_power_law(x[:-1])
    print(without_one)
    reveal("05-drop-one", without_one.alpha)

The committed outputs are "No prediction yet." and "It came out: below 3 (2.04). No prediction was recorded. ...". The
text after the reveal does not repeat its sentence.

How to write a question
-----------------------
Two a notebook. In ``n05.py``::

    question(
        "05-when-honest",
        "When dropping a point is honest",
        points=["a reason that does not come from the fit", "the same rule on noise", "the number of values dropped"],
    )

In the notebook: a markdown cell with the question, and a code cell, tagged ``written``, that ends with the call::

    text = ...  # two or three sentences, in quotes; three quotes at both ends allow several lines
    write("05-when-honest", text)

The committed output is "No answer yet.". The points are shown once something was written. ``make handout`` makes of
predictions and questions cells that nbgrader gives to a person to grade.

Where they are kept
-------------------
Predictions and written answers are kept in ``.rmt_lab_answers.json`` in the working folder. The environment variable
``RMT_LAB_ANSWERS`` names another file; if it is empty, they are kept in memory only, as in all tests and in
``make notebooks``.
'''

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

import numpy as np

from . import records
from .answers import NoAnswer, NotYet, choice, is_open, kind, number
from .feedback import Feedback, Item, Note, Outcome, Progress
from .registry import Entry, Exercise, Prediction, Question, exercise, find, of_notebook, prediction, question

__all__ = [
    "Feedback",
    "Note",
    "Outcome",
    "Progress",
    "check",
    "exercise",
    "names",
    "predict",
    "prediction",
    "progress",
    "question",
    "reveal",
    "write",
]

_FEWEST_WORDS = 3
_GRADING = "NBGRADER_EXECUTION"  # what nbgrader says in the environment of the notebooks that it runs

_solved: set[str] = set()  # in this session
_records = records.default()


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
    >>> check("00-share-beyond", ...)
    Not yet: no answer given.
    """
    found = find(name, Exercise)
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


def predict(name: str, answer: Any) -> Note:
    """Record a prediction, without judging it. :func:`reveal` puts it beside what came out.

    Parameters
    ----------
    name : str
        Of the prediction, such as ``"05-drop-one"``.
    answer : str or float
        One of the options, or a number where there are none. A later prediction takes the place of an earlier one.

    Returns
    -------
    Note
        With ``recorded``, and a text that says what was recorded or what is asked for.

    Raises
    ------
    ValueError
        If there is no prediction of that name; the text suggests close ones.

    Examples
    --------
    >>> predict("05-drop-one", "Below 3")
    Recorded: 'below 3'. Run the next cell.
    >>> predict("05-drop-one", "rises")
    Not recorded: the answer is the text 'rises', which is not one of 'within its error bar', 'about half', 'below 3'.
    """
    found = find(name, Prediction)
    if is_open(answer):
        earlier = _predicted(found)
        kept = "" if earlier is None else f" {_quoted(found, earlier)} stays recorded."
        return Note(name, False, f"No {'new ' if kept else ''}prediction yet.{kept}")
    try:
        value = _read(found, answer)
    except NotYet as refusal:
        return Note(name, False, f"Not recorded: {refusal}")
    except Exception:  # as in check
        return Note(name, False, f"Not recorded: {kind(answer)} cannot be read as a prediction")
    _records.put(name, value)
    return Note(name, True, f"Recorded: {_quoted(found, value)}. Run the next cell.")


def reveal(name: str, value: Any = None) -> Outcome:
    """The recorded prediction beside what came out, and one sentence on why.

    Parameters
    ----------
    name : str
        Of the prediction.
    value : optional
        What the experiment measured. It can be left out where the outcome is computed by the prediction itself.

    Returns
    -------
    Outcome
        With ``predicted`` (None if nothing was recorded) and ``came_out``.

    Raises
    ------
    ValueError
        If there is no prediction of that name, or the value is missing.

    Examples
    --------
    >>> predict("05-drop-one", "about half")
    Recorded: 'about half'. Run the next cell.
    >>> reveal("05-drop-one", 2.036)
    You predicted: about half. It came out: below 3 (2.04). The search for xmin moved to another tail.
    """
    found = find(name, Prediction)
    if value is None and any(p.default is p.empty for p in inspect.signature(found.outcome).parameters.values()):
        raise ValueError(f"value is missing; call reveal({name!r}, value) with what the experiment measured")
    outcome = found.outcome() if value is None else found.outcome(value)
    predicted = _predicted(found)
    said = None if predicted is None else _plain(predicted)
    if found.options is None:
        x = number(outcome)
        gap = 0.0 if predicted is None else float(predicted) - x
        difference = f"The prediction is {_plain(abs(gap))} {'larger' if gap > 0 else 'smaller'}." if gap else ""
        return Outcome(name, said, _plain(outcome), difference, found.why)
    if outcome not in found.options:
        allowed = ", ".join(map(repr, found.options))
        raise ValueError(f"the outcome of {name!r} is {outcome!r}; it must be one of {allowed}")
    measured = "" if value is None or isinstance(value, str) else f" ({_plain(value)})"
    return Outcome(name, said, f"{outcome}{measured}", "", found.why)


def write(name: str, text: Any, points: bool = True) -> Note:
    """Keep an answer in words, and show what a good answer names.

    Parameters
    ----------
    name : str
        Of the question, such as ``"05-when-honest"``.
    text : str
        The answer. A later one takes the place of an earlier one.
    points : bool
        Whether to show what a good answer names. Copies for nbgrader say False: the points appear when the answer is
        graded, below it.

    Returns
    -------
    Note
        With ``recorded``, and the points once something was written.

    Raises
    ------
    ValueError
        If there is no question of that name; the text suggests close ones.

    Examples
    --------
    >>> write("05-when-honest", ...)
    No answer yet.
    """
    found = find(name, Question)
    if text is None or text is ... or (isinstance(text, str) and not text.strip(" .\n\t")):
        kept = " The earlier one is kept." if _written(found) is not None else ""
        return Note(name, False, f"No {'new ' if kept else ''}answer yet.{kept}")
    if not isinstance(text, str):
        return Note(name, False, f"Not kept: the answer is {kind(text)}, and a text in quotes is asked for")
    words = len(text.split())
    if words < _FEWEST_WORDS:
        return Note(name, False, f"Not kept: the answer has {_words(words)}, and two or three sentences are asked for")
    _records.put(name, text)
    if not points and os.environ.get(_GRADING) != "autograde":
        return Note(name, True, f"Kept: {_words(words)}. What a good answer names is shown after grading.")
    return Note(name, True, f"Kept: {_words(words)}. A good answer names:", found.points)


def progress(notebook: str) -> Progress:
    """What of a notebook is solved in this session, predicted and written.

    Parameters
    ----------
    notebook : str
        Its prefix, such as ``"02"`` or ``"x1"``.

    Raises
    ------
    ValueError
        If that notebook has no exercises.
    """
    return Progress(notebook, [_item(entry) for entry in of_notebook(notebook)])


def names(notebook: str, kind: str = "exercise") -> list[str]:
    """The names of a notebook's exercises, predictions or questions, in their order.

    Parameters
    ----------
    notebook : str
        Its prefix, such as ``"02"`` or ``"x1"``.
    kind : {"exercise", "prediction", "question"}
        What to name.

    Examples
    --------
    >>> names("05", "prediction")
    ['05-drop-one', '05-misfit-direction', '05-fingers-in-noise']
    """
    return [entry.name for entry in of_notebook(notebook) if _kind(entry) == kind]


def _item(entry: Entry) -> Item:
    if isinstance(entry, Exercise):
        done, said = entry.name in _solved, "solved"
    elif isinstance(entry, Prediction):
        predicted = _predicted(entry)
        done, said = predicted is not None, f"predicted: {_plain(predicted)}"
    else:
        text = _written(entry)
        done, said = text is not None, f"written, {_words(len((text or '').split()))}"
    return Item(_kind(entry), entry.name, entry.title, done, said)


def _kind(entry: Entry) -> str:
    return type(entry).__name__.lower()


def _read(found: Prediction, answer: Any) -> str | float:
    return number(answer) if found.options is None else choice(answer, found.options)


def _predicted(found: Prediction) -> str | float | None:
    """What was predicted, if it can still be predicted: options may have changed since."""
    answer = _records.get(found.name)
    try:
        return None if answer is None else _read(found, answer)
    except NotYet:
        return None


def _written(found: Question) -> str | None:
    text = _records.get(found.name)
    return text if isinstance(text, str) else None


def _quoted(found: Prediction, value: str | float) -> str:
    return repr(value) if found.options else _plain(value)


def _words(number: int) -> str:
    return "1 word" if number == 1 else f"{number} words"


def _plain(value: Any) -> str:
    """A value as it stands in a sentence; numbers with three digits, or as many as they have before the point."""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(_plain, value)) if np.ndim(value) else _plain(np.asarray(value).item())
    if isinstance(value, float | np.floating):
        value = float(value)
        return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"
    return str(value)
