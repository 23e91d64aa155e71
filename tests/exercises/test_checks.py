"""The checks of the exercises: right answers are taken in any form, wrong ones and nonsense refused with help.

For the solutions: test_execution.py. For predictions and written answers: test_records.py.
"""

import re
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from course import NOTEBOOKS, UNFINISHED, cells, leaks, prefix, solution_code, tagged

import rmt_lab as rl
from rmt_lab import exercises
from rmt_lab.exercises import answers, check, n10, names, predict, progress, reveal, write
from rmt_lab.exercises.records import Records
from rmt_lab.exercises.registry import Exercise, entries, find, listed

matplotlib.use("Agg")

NUMBERS = [prefix(path) for path in NOTEBOOKS]
NAMES = [name for number in NUMBERS for name in names(number)]
FEWEST = {True: (1, 0), False: (10, 5)}  # wrong and right answers of an exercise; True: the notebook is unfinished
MOST_CHOICES = 1 / 4
UNREADABLE = "cannot be read as an answer"
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
    monkeypatch.setattr(exercises, "_records", Records(None))
    monkeypatch.setattr(n10, "_table", [])
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
    assert not any(item.done for item in progress(name.partition("-")[0]).items)


@pytest.fixture
def table(session):
    """The reader's own table, by which the exercises of the last notebook judge."""
    layers = ["feed-forward in", "feed-forward out"]
    n10.about(rl.analyze("minilm", layers=layers, randomize="signs", verdict="quick"))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_are_refused_with_help_and_without_the_answer(name, table):
    found = find(name, Exercise)
    wrong, right = listed(found.wrong), listed(found.right)
    assert len(wrong) >= FEWEST[name.partition("-")[0] in UNFINISHED][0]
    for answer in wrong:
        feedback = check(name, answer)
        assert not feedback.right, f"{answer!r} is taken for right"
        assert UNREADABLE not in feedback.text, f"{answer!r}: {feedback}"
        assert len(feedback.text) > 10
        assert found.hint in repr(feedback)
        for code in map(solution_code, solutions_of(name)):
            assert not right or leaks(repr(feedback), bare(right[0]), code) == [], feedback


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_accepted_in_unusual_forms(name, table):
    right = listed(find(name, Exercise).right)
    assert len(right) >= FEWEST[name.partition("-")[0] in UNFINISHED][1]
    for answer in right:
        assert check(name, answer).right, f"{answer!r}: {check(name, answer)}"


def solutions_of(name):
    path = next(p for p in NOTEBOOKS if prefix(p) == name.partition("-")[0])
    return [c for c in tagged(path, "solution") if c.checked == name]


def bare(answer):
    """An answer as ``leaks`` takes it: its word, its values, or None for a function."""
    if callable(answer) or isinstance(answer, str):
        return None if callable(answer) else answer
    return np.ravel(np.asarray(list(answer) if isinstance(answer, set) else answer, dtype=float)).tolist()


def test_few_exercises_are_multiple_choice():
    choices = [name for name in NAMES if find(name, Exercise).is_choice]
    assert "00-share-beyond" not in choices
    assert replace(find("00-share-beyond", Exercise), judge=lambda answer: answers.choice(answer, ["yes"])).is_choice
    assert len(choices) <= MOST_CHOICES * len(NAMES), choices


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exercises_stand_in_the_notebook_as_the_framework_asks(path):
    number = prefix(path)
    stubs, solutions = tagged(path, "exercise"), tagged(path, "solution")
    assert len(stubs) >= 2
    assert [c.checked for c in stubs] == names(number)
    for stub in stubs:
        assert stub.kind == "code"
        assert said(stub) == ["Not yet: no answer given."], stub.source
    assert len(solutions) == len(stubs)
    for solution in solutions:
        assert solution.kind == "markdown"
        assert solution.source.startswith("<details><summary>Solution</summary>\n\n")
        assert solution.source.endswith("</details>")
    assert [c.checked for c in cells(path) if c.kind == "code" and c.checked] == names(number)
    assert [c.source for c in cells(path) if c.kind == "code"][-1] == f'progress("{number}")'


def said(cell):
    return ["".join(o["data"]["text/plain"]) for o in cell.outputs if "data" in o]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_prediction_is_asked_once_and_revealed_once_later(path):
    number = prefix(path)
    stubs = tagged(path, "prediction")
    assert [c.asked("prediction") for c in stubs] == names(number, "prediction")
    assert [c for c in cells(path) if c.kind == "code" and c.asked("prediction") and c not in stubs] == []
    revealed = [re.findall(r'^reveal\("([^"]+)".*\)\Z', c.source, re.MULTILINE) for c in cells(path)]
    assert sorted(name for found in revealed for name in found) == sorted(names(number, "prediction"))
    for stub in stubs:
        assert said(stub) == ["No prediction yet."]
        place = revealed.index([stub.asked("prediction")])
        assert place > cells(path).index(stub)
        (text,) = said(cells(path)[place])
        assert re.match(r"It came out: .*\. No prediction was recorded\. ", text)
        assert "Exercise" not in cells(path)[cells(path).index(stub) + 1].source.partition("```")[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_question_is_asked_once_and_two_in_a_finished_notebook(path):
    number = prefix(path)
    stubs = tagged(path, "written")
    assert [c.asked("written") for c in stubs] == names(number, "question")
    assert [said(c) for c in stubs] == [["No answer yet."]] * len(stubs)
    assert len(stubs) == 2 or number in UNFINISHED


@pytest.mark.parametrize("number", NUMBERS)
def test_predictions_and_questions_have_all_that_is_shown(number):
    for name in names(number, "prediction"):
        found = entries[name]
        assert 10 < len(found.title) < 90
        assert len(found.why) > 20
        assert found.options is None or len(found.options) >= 2
        assert not found.options or leaks(found.title, "|".join(found.options), "") == []
        for option in found.options or ():
            assert predict(name, option.upper()).recorded
        assert not any(predict(name, answer).recorded for answer in NONSENSE if not isinstance(answer, float))
    for name in names(number, "question"):
        found = entries[name]
        assert 10 < len(found.title) < 90
        assert len(found.points) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_title_a_hint_and_a_reason(name):
    found = find(name, Exercise)
    assert min(map(len, (found.title, found.hint, found.why))) > 10
    assert len(found.title) < 90


def test_unknown_names_are_answered_with_close_ones():
    with pytest.raises(ValueError, match="did you mean '00-share-beyond'"):
        check("00-share-behind", 1)
    with pytest.raises(ValueError, match="no such exercise; did you mean"):
        check("nothing of the kind", 1)
    with pytest.raises(ValueError, match="there are some in 00"):
        progress("99")
    for function, name, text in (
        (check, "05-drop-one", "call predict, not check, for this prediction"),
        (reveal, "05-drop-nothing", "call check, not predict, for this exercise"),
        (write, "05-drop-one", "call predict, not write"),
        (write, "05-wen-honest", "no such question; did you mean '05-when-honest'"),
    ):
        with pytest.raises(ValueError, match=text):
            function(name, "...")


def test_an_exercise_is_registered_once_under_a_proper_name():
    for name in ("00-share-beyond", "two", "2-x", "02-Upper", "x-y"):
        with pytest.raises(ValueError, match="is taken" if name in NAMES else "NN-slug"):
            exercises.exercise(name, "", "", [])
        with pytest.raises(ValueError, match="is taken" if name in NAMES else "NN-slug"):
            exercises.question(name, "", [])


def test_progress_follows_the_session():
    assert repr(progress("00")).startswith("Notebook 00: 0 of ")
    assert "solved</td>" not in progress("00")._repr_html_()
    check("00-share-beyond", 25 / 384)
    assert repr(progress("00")).startswith("Notebook 00: 1 of ")
    assert "[x] 00-share-beyond" in repr(progress("00"))
    check("00-share-beyond", 0.5)  # trying on does not undo it
    assert "&#10003; solved" in progress("00")._repr_html_()


def test_feedback_tells_by_words_and_marks_besides_colour():
    right, wrong, none = (check("00-share-beyond", a) for a in (25 / 384, "<small>", ...))
    assert "&#10003; Right:" in right._repr_html_()
    assert "&#9675; Not yet:" in wrong._repr_html_()
    assert "<small>" not in wrong._repr_html_()
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
    forms = (2, 2.0, np.float32(2), np.array(2), np.array([[2.0]]), np.array([2]), [2], (2.0,), [[2]], [np.array([2])])
    assert [answers.number(x) for x in forms] == [2.0] * len(forms)
    assert answers.whole(np.int64(3)) == 3
    with pytest.raises(answers.NotYet, match="a whole number"):
        answers.whole(3.5)
    assert answers.near(2.01, 2.0) is None
    assert answers.near(-2.0, 2.0) == "the size is right, the sign is not"
    assert answers.near(3.0, 2.0) == "3 is too large"
    assert answers.near(0.0, 1e-3, atol=1e-2) is None


@pytest.mark.parametrize(
    "answer", ["Feed-Forward Out", "feed forward out", " feedforward  out. ", "'feed-forward out'"]
)
def test_choices_are_read_without_case_spaces_and_punctuation(answer):
    assert answers.choice(answer, ["feed-forward in", "feed-forward out"]) == "feed-forward out"


@pytest.mark.parametrize("answer", ["step 3", "Step 3", "step3", "3", 3, 3.0, np.int64(3), "3."])
def test_a_number_is_enough_where_options_differ_by_their_number_only(answer):
    assert answers.choice(answer, ["step 1", "step 2", "step 3"]) == "step 3"


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (3, ["exactly 3", "below 3"]),
        (3, ["about 1", "more than 3"]),
        (0.3, ["step 0", "step 3"]),
        (True, ["step 1", "step 2"]),
        ("", ["step 1", "step 2"]),
        ("feed-forward", ["feed-forward in", "feed-forward out"]),
        (["larger"], ["larger", "smaller"]),
        (np.nan, ["step 1", "step 2"]),
    ],
)
def test_no_choice_is_guessed(answer, options):
    with pytest.raises(answers.NotYet, match="one of"):
        answers.choice(answer, options)


def test_decimal_points_are_no_punctuation():
    assert answers.choice(2.8, ["2.8 times", "28 times"]) == "2.8 times"
    assert answers.choice("28 times", ["2.8 times", "28 times"]) == "28 times"


SHAPES = [(np.ones(3), np.random.default_rng(seed)) for seed in (0, 0, 1)]
POSITIVE = {"a value is negative": lambda args, y: bool(np.all(np.asarray(y) >= 0))}
TOGETHER = {"the generator plays no part": lambda results: not np.array_equal(results[1], results[2])}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x, rng: x * rng.random(), None),
        (lambda x, rng: x, "the generator plays no part"),
        (lambda x, rng: -x, "for x = [1., 1., 1.], rng = a random generator a value is negative"),
        (
            lambda x, rng: x if rng.random() > 0.6 else None,
            "for x = [1., 1., 1.], rng = a random generator the function returns nothing (is a return missing?)",
        ),
    ],
)
def test_functions_are_judged_by_properties(answer, text):
    assert answers.holds(answer, ["x", "rng"], SHAPES, POSITIVE, TOGETHER) == text


def test_properties_are_asked_of_functions_that_return():
    with pytest.raises(answers.NoAnswer):
        answers.holds(lambda x, rng: None, ["x", "rng"], SHAPES, POSITIVE)
    with pytest.raises(answers.NotYet, match="the function raised ZeroDivisionError"):
        answers.holds(lambda x, rng: 1 / 0, ["x", "rng"], SHAPES, POSITIVE)
