"""Predictions and written answers: recorded and not judged, kept over a restart, and never a reason to crash."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from rmt_lab import exercises
from rmt_lab.exercises import names, predict, prediction, progress, question, records, registry, reveal, write
from rmt_lab.exercises.records import Records

FIRST = "05-leave-one-out"  # none of the course's own names, which may change


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """A few things to ask, for one test, and no records."""
    registry.of_notebook("05")  # loaded before the copy, or it would be lost with it
    monkeypatch.setattr(registry, "entries", dict(registry.entries))
    monkeypatch.setattr(exercises, "_records", Records(None))

    options = ["within its error bar", "about half", "below 3"]

    @prediction(FIRST, options=options, why="The search for xmin moved to another tail.")
    def leave_one_out(alpha):
        """Alpha without the largest of 576 eigenvalues."""
        return "below 3" if alpha < 3 else "within its error bar"

    @prediction("05-count", options=None, why="Half of them are.")
    def count(value=61):
        """How many of 100 matrices have fingers."""
        return value

    @prediction("05-size", options=["<small>", "large"], why="It has to be.")
    def size(value):
        """Whether it is large."""
        return {0: "<small>", 1: "large"}.get(value, "medium")

    question("05-reason", "Why it moves", points=["two <valleys>", "one point decides"])


@pytest.mark.parametrize("answer", ["below 3", " Below  3. ", "'below 3'", "BELOW 3"])
def test_a_prediction_is_recorded_and_not_judged(answer):
    note = predict(FIRST, answer)
    assert repr(note) == "Recorded: 'below 3'. Run the next cell."
    assert repr(predict(FIRST, "about half")) == "Recorded: 'about half'. Run the next cell."
    assert note._repr_html_().count("Recorded: &#x27;below 3&#x27;. Run the next cell.") == 1


def test_the_reveal_puts_the_prediction_beside_what_came_out():
    predict(FIRST, "about half")
    outcome = reveal(FIRST, 2.0357)
    why = "The search for xmin moved to another tail."
    assert repr(outcome) == f"You predicted: about half. It came out: below 3 (2.04). {why}"
    assert (outcome.predicted, outcome.came_out) == ("about half", "below 3 (2.04)")
    for part in ("You predicted:", "<b>about half</b>", "It came out:", "<b>below 3 (2.04)</b>", why):
        assert part in outcome._repr_html_()


def test_without_a_prediction_the_reveal_says_so():
    outcome = reveal(FIRST, 16.0)
    assert repr(outcome).startswith("It came out: within its error bar (16). No prediction was recorded. The search")
    assert "<b>no prediction was recorded</b>" in outcome._repr_html_()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (30, "You predicted: 30. It came out: 61. The prediction is 31 smaller. Half of them are."),
        ([61.5], "You predicted: 61.5. It came out: 61. The prediction is 0.5 larger. Half of them are."),
        (61, "You predicted: 61. It came out: 61. Half of them are."),
        (np.float32(5000), "You predicted: 5000. It came out: 61. The prediction is 4939 larger. Half of them are."),
    ],
)
def test_a_number_is_told_by_how_much_it_differs(answer, text):
    assert predict("05-count", answer).recorded
    assert repr(reveal("05-count")) == text


def test_an_outcome_needs_its_value_and_is_an_option():
    with pytest.raises(ValueError, match=r"value is missing; call reveal\('05-size', value\)"):
        reveal("05-size")
    with pytest.raises(ValueError, match="is 'medium'; it must be one of '<small>', 'large'"):
        reveal("05-size", 2)
    assert "<small>" not in reveal("05-size", 0)._repr_html_()


@pytest.mark.parametrize(
    ("name", "answer", "text"),
    [
        (FIRST, ..., "No prediction yet."),
        (FIRST, None, "No prediction yet."),
        (FIRST, "smaller", "Not recorded: the answer is the text 'smaller', which is not one of 'within its error"),
        (FIRST, 2.04, "Not recorded: the answer is the number 2.04, and one of"),
        (FIRST, object(), "Not recorded: the answer is a object, and one of"),
        ("05-count", "many", "Not recorded: the answer is the text 'many', and a number is asked for."),
        ("05-count", np.nan, "Not recorded: the answer is nan, and a finite number is asked for."),
        ("05-reason", ..., "No answer yet."),
        ("05-reason", "...", "No answer yet."),
        ("05-reason", " \n", "No answer yet."),
        ("05-reason", 3, "Not kept: the answer is the number 3, and a text in quotes is asked for."),
        ("05-reason", "luck", "Not kept: the answer has 1 word, and two or three sentences are asked for."),
    ],
)
def test_nonsense_is_refused_and_leaves_what_was_recorded(name, answer, text):
    ask, good = (
        (write, "D has two valleys.") if name == "05-reason" else (predict, 30 if "count" in name else "below 3")
    )
    note = ask(name, answer)
    assert not note.recorded
    assert repr(note).startswith(text)
    assert "two <valleys>" not in repr(note)
    assert ask(name, good).recorded
    assert ("stays recorded." if name != "05-reason" else "The earlier one is kept.") in repr(ask(name, ...))
    ask(name, answer)
    assert {i.name: i.done for i in progress("05").items}[name]


def test_points_wait_for_the_grading_where_they_shall(monkeypatch):
    text = "D has two valleys, and one point decides between them."
    for when, shown in ((None, False), ("validate", False), ("autograde", True)):
        monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
        if when:
            monkeypatch.setenv("NBGRADER_EXECUTION", when)
        note = write("05-reason", text, points=False)
        assert note.recorded
        assert bool(note.points) == shown == ("one point decides" in repr(note))
    assert write("05-reason", text).points


def test_points_are_shown_after_an_answer_was_written():
    note = write("05-reason", "D has two valleys, and one point decides between them.")
    assert repr(note) == "Kept: 10 words. A good answer names:\n  - two <valleys>\n  - one point decides"
    assert "<li>two &lt;valleys&gt;</li>" in note._repr_html_()


def test_progress_shows_what_was_predicted_and_written():
    checks, predictions, questions = (len(names("05", kind)) for kind in ("exercise", "prediction", "question"))
    assert f"0 of {predictions} predictions recorded, 0 of {questions} answers written" in repr(progress("05"))
    predict(FIRST, "about half")
    write("05-reason", "one two three")
    said = repr(progress("05"))
    start = f"Notebook 05: 0 of {checks} exercises solved"
    assert said.startswith(f"{start}, 1 of {predictions} predictions recorded, 1 of {questions} answers written\n")
    assert re.search(r"\[x\] 05-leave-one-out +Alpha without the largest .* \(predicted: about half\)", said)
    assert re.search(r"\[x\] 05-reason +Why it moves \(written, 3 words\)", said)
    assert "&#10003; predicted: about half" in progress("05")._repr_html_()


def restart(monkeypatch, path):
    monkeypatch.setattr(exercises, "_records", Records(path))


def test_records_survive_a_restart_and_are_shared_by_the_notebooks_of_a_folder(tmp_path, monkeypatch):
    path = tmp_path / ".rmt_lab_answers.json"
    restart(monkeypatch, path)
    assert predict(FIRST, "below 3").recorded
    Records(path).put("00-other", 3.5)  # by another kernel
    assert write("05-reason", "α has two valleys \ud800").recorded
    restart(monkeypatch, path)
    assert reveal(FIRST, 2.0).predicted == "below 3"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        FIRST: "below 3", "00-other": 3.5, "05-reason": "α has two valleys ?",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_a_prediction_that_is_no_option_any_more_does_not_count(tmp_path, monkeypatch):
    path = tmp_path / "records.json"
    path.write_text(json.dumps({FIRST: "far away", "05-count": "many", "05-reason": 3.0}))
    restart(monkeypatch, path)
    assert reveal(FIRST, 2.0).predicted is None
    assert not any(item.done for item in progress("05").items)


DAMAGE = [
    b"", b"{", b"\xff\x00", b"[1]",
    b'{"a": [1]}', b'{"a": NaN}', b'{"a": true}', b"[" * 100_000, b'{"a": 1%d}' % 10**400,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: d[:10].decode(errors="replace"))
def test_a_damaged_file_is_told_and_set_aside(damage, tmp_path, monkeypatch):
    path = tmp_path / ".rmt_lab_answers.json"
    path.write_bytes(damage)
    restart(monkeypatch, path)
    with pytest.warns(UserWarning, match="is damaged. It is now called .rmt_lab_answers.damaged, and a new file"):
        assert predict(FIRST, "below 3").recorded
    assert (tmp_path / ".rmt_lab_answers.damaged").read_bytes() == damage
    restart(monkeypatch, path)
    assert reveal(FIRST, 2.0).predicted == "below 3"


@pytest.mark.parametrize("name", ["missing/records.json", "."])
def test_a_folder_that_cannot_be_used_is_told_once_and_answers_stay_in_memory(name, tmp_path, monkeypatch):
    restart(monkeypatch, tmp_path / name)
    with pytest.warns(UserWarning, match="kept until the kernel stops, and not longer"):
        assert predict(FIRST, "below 3").recorded
    assert predict("05-count", 3).recorded  # a second warning would be an error
    assert reveal(FIRST, 2.0).predicted == "below 3"


def test_a_file_that_cannot_be_written_is_told_once(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(records, "written_whole", refuse)
    restart(monkeypatch, tmp_path / "records.json")
    with pytest.warns(UserWarning, match="Permission denied"):
        predict(FIRST, "below 3")
    predict(FIRST, "about half")
    assert reveal(FIRST, 2.0).predicted == "about half"


@pytest.mark.slow
def test_the_working_folder_keeps_them_unless_the_environment_says_otherwise(tmp_path):
    code = "from rmt_lab.exercises import predict, reveal\nprint(reveal('05-drop-one', 2.0).predicted)"
    record = f"{code}\npredict('05-drop-one', 'below 3')"

    def said(code, **more):
        plain = {k: v for k, v in os.environ.items() if k != "RMT_LAB_ANSWERS"}
        paths = os.pathsep.join(p for p in sys.path if p)
        run = [sys.executable, "-c", code]
        done = subprocess.run(
            run, capture_output=True, text=True, check=True, cwd=tmp_path, env=plain | {"PYTHONPATH": paths} | more
        )
        return done.stdout.strip()

    assert said(record, RMT_LAB_ANSWERS="") == "None"
    assert list(tmp_path.iterdir()) == []
    assert said(record) == "None"
    assert [p.name for p in tmp_path.iterdir()] == [records.FILE]
    assert said(code) == "below 3"
    assert said(code, RMT_LAB_ANSWERS="") == "None"
    assert said(record, RMT_LAB_ANSWERS="other.json") == "None"
    assert said(code, RMT_LAB_ANSWERS="other.json") == "below 3"


def test_nothing_is_read_or_left_by_the_tests():
    """By conftest.py at the root, which nbval's runs of the notebooks find, too."""
    assert os.environ["RMT_LAB_ANSWERS"] == ""
    assert records.default()._path is None
