"""The checks of the exercises: nonsense is refused with help, never raised. For the solutions: test_execution.py."""

import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from course import NOTEBOOKS, cells, tagged

from rmt_lab import exercises
from rmt_lab.exercises import answers, check, names, progress

matplotlib.use("Agg")

NUMBERS = [path.name[:2] for path in NOTEBOOKS]
NAMES = [name for number in NUMBERS for name in names(number)]
NONSENSE = [
    None, ..., True, "", "nonsense", b"x", [], {}, set(), object(), int, np.nan, -np.inf, -1e9, 1j, [..., 1],
    {"a": None}, [[1], [2, 3]], np.array([1, 2, 3]), np.zeros((2, 3)), np.array(["a"]), pd.DataFrame({"a": [1.0]}),
    lambda: 1, lambda *args: None, lambda *args: "text", lambda *args: args, lambda *args: 1 / 0, pd.Series([np.nan]),
]  # fmt: skip


class Loud:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("==")

    __hash__ = None


@pytest.fixture(autouse=True)
def session(monkeypatch):
    """A session of its own for every test, and figures that nobody looks at."""
    monkeypatch.setattr(exercises, "_solved", set())
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    yield
    plt.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_is_refused_never_raised(name):
    for answer in [*NONSENSE, Loud()]:
        feedback = check(name, answer)
        assert not feedback.right, f"{answer!r}: {feedback}"
        assert feedback.text
        assert "Traceback" not in repr(feedback)
        assert repr(feedback)
        assert feedback._repr_html_()
    assert progress(name[:2]).exercises == [(n, exercises._registry[n].title, False) for n in names(name[:2])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exercises_stand_in_the_notebook_as_the_framework_asks(path):
    number = path.name[:2]
    stubs, solutions = tagged(path, "exercise"), tagged(path, "solution")
    assert len(stubs) >= 3
    assert [c.checked for c in stubs] == names(number)
    for stub in stubs:
        assert stub.kind == "code"
        texts = ["".join(o["data"]["text/plain"]) for o in stub.outputs if "data" in o]
        assert texts == ["Not yet: no answer given."], stub.source
    assert len(solutions) == len(stubs)
    for solution in solutions:
        assert solution.kind == "markdown"
        assert solution.source.startswith("<details><summary>Solution</summary>\n\n")
        assert solution.source.endswith("</details>")
    assert [c.checked for c in cells(path) if c.kind == "code" and c.checked] == names(number)
    assert [c.source for c in cells(path) if c.kind == "code"][-1] == f'progress("{number}")'


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_title_a_hint_and_a_reason(name):
    found = exercises._registry[name]
    assert min(map(len, (found.title, found.hint, found.why))) > 10
    assert len(found.title) < 90


def test_unknown_names_are_answered_with_close_ones():
    with pytest.raises(ValueError, match="did you mean '00-predict-largest'"):
        check("00-predict-larger", 1)
    with pytest.raises(ValueError, match="no such exercise; did you mean"):
        check("nothing of the kind", 1)
    with pytest.raises(ValueError, match="there are some in 00"):
        progress("99")


def test_an_exercise_is_registered_once_under_a_proper_name():
    for name in ("00-predict-largest", "two", "2-x", "02-Upper"):
        with pytest.raises(ValueError, match="is taken" if name in NAMES else "NN-slug"):
            exercises.exercise(name, "", "", [])


def test_progress_follows_the_session():
    assert repr(progress("00")).startswith("Notebook 00: 0 of ")
    assert "solved</td>" not in progress("00")._repr_html_()
    check("00-predict-largest", "larger")
    assert repr(progress("00")).startswith("Notebook 00: 1 of ")
    assert "[x] 00-predict-largest" in repr(progress("00"))
    check("00-predict-largest", "smaller")  # trying on does not undo it
    assert "&#10003; solved" in progress("00")._repr_html_()


def test_feedback_tells_by_words_and_marks_besides_colour():
    right, wrong, none = (check("00-predict-largest", a) for a in ("larger", "<smaller>", ...))
    assert "&#10003; Right:" in right._repr_html_()
    assert "&#9675; Not yet:" in wrong._repr_html_()
    assert "<smaller>" not in wrong._repr_html_()
    assert "<details><summary>Hint</summary>" in none._repr_html_()
    assert "Hint" not in repr(none)


def square(x, scale):
    return scale * np.asarray(x) ** 2


INPUTS = [(np.array([1.0, 2.0, 3.0]), 2.0), (np.arange(8.0), 0.5)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda x, scale: scale * x,
            r"^for x = \[1., 2., 3.\], scale = 2 the result is not right: 2 of 3 values are off$",
        ),
        (lambda x, scale: scale * x[::-1] ** 2, "their order is not"),
        (lambda x, scale: (scale * x) ** 2, "^the scale is squared too$"),
        (lambda x, scale: scale * x[:3] ** 2, r"for x = an array of shape \(8,\), .* the result has shape \(3,\)"),
        (
            lambda x, scale: x.sum() if len(x) > 3 else scale * x**2,
            r"shape \(\), and an array of shape \(8,\) is asked for",
        ),
        (lambda x, scale: None if len(x) > 3 else scale * x**2, "returns nothing"),
        (lambda x, scale: scale * x**2 * np.nan, "3 of 3 values of the result are NaN or infinite"),
    ],
)
def test_functions_are_told_where_they_differ(answer, text):
    mistakes = {"the scale is squared too": lambda x, scale: (scale * x) ** 2}
    assert re.search(text, answers.agrees(answer, square, INPUTS, mistakes=mistakes))


def test_a_function_that_raises_is_told_the_input():
    with pytest.raises(
        answers.NotYet, match=r"for x = \[1., 2., 3.\], scale = 2 the function raised TypeError: .*argument"
    ):
        answers.agrees(lambda x: x, square, INPUTS)
    with pytest.raises(answers.NotYet, match="its name, without brackets"):
        answers.agrees(3.0, square, INPUTS)


def test_a_function_may_spoil_its_arguments():
    def spoil(x, scale):
        x *= x
        return scale * x

    assert answers.agrees(spoil, square, INPUTS) is None
    assert answers.agrees(square, square, INPUTS) is None


@pytest.mark.parametrize(
    ("answer", "text"),
    [("2", "the text '2', and a number"), (True, "True, and a number"), (1j, "number is asked"), (np.inf, "finite")],
)
def test_what_is_no_number_is_told_so(answer, text):
    with pytest.raises(answers.NotYet, match=text):
        answers.number(answer)


def test_numbers_of_every_kind_are_read():
    assert [answers.number(x) for x in (2, 2.0, np.float32(2), np.array(2), np.array([[2.0]]))] == [2.0] * 5
    assert answers.whole(np.int64(3)) == 3
    with pytest.raises(answers.NotYet, match="a whole number"):
        answers.whole(3.5)
    assert answers.near(2.01, 2.0) is None
    assert answers.near(-2.0, 2.0) == "the size is right, the sign is not"
    assert answers.near(3.0, 2.0) == "3 is too large"
    assert answers.near(0.0, 1e-3, atol=1e-2) is None
