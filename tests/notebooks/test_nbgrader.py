"""nbgrader from the copies of ``make handout`` to the table of grades, by the commands of docs/instructors.md.

Three students: Ada solves everything, Ben every second exercise, and Cem makes mistakes, among them a cell that is no
Python. Every notebook becomes an assignment. Two of them are graded, or all of them with RMT_LAB_GRADE=all.
"""

import csv
import html
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from course import NOTEBOOKS, ROOT, handout, prefix

from rmt_lab.exercises import names
from rmt_lab.exercises.registry import Prediction, Question, find

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("nbgrader"), reason="nbgrader is not installed"),
]

WHICH = os.environ.get("RMT_LAB_GRADE", "01 x2").split()  # short ones; in x2 all imports stand in the first exercise
GRADED = [path.stem for path in NOTEBOOKS if prefix(path) in WHICH or WHICH == ["all"]]
STUDENTS = ["ada", "ben", "cem"]
MARKED = re.compile(r"### BEGIN SOLUTION\n(.*?)\n### END SOLUTION", re.DOTALL)
each_graded = pytest.mark.parametrize("name", GRADED)

# What the command of that name does, for many notebooks in one process: the command spends its time on starting.
GENERATE = """
import sys
from nbgrader.apps import GenerateAssignmentApp

for name in sys.argv[1:]:
    GenerateAssignmentApp.clear_instance()
    app = GenerateAssignmentApp.instance()
    app.initialize([name])
    app.start()
"""

# Every student's automatic points and what waits for a hand, by nbgrader's own classes; then a hand gives all it can.
GRADE = """
import json, sys
from nbgrader.api import Gradebook

with Gradebook("sqlite:///gradebook.db", "rmt_lab") as book:
    told = {}
    for submission in book.assignment_submissions(sys.argv[1]):
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        told[submission.student.id] = {g.name: [g.auto_score, g.needs_manual_grade] for g in grades}
        for grade in grades:
            if grade.needs_manual_grade:
                grade.manual_score, grade.needs_manual_grade = 1, False
    book.db.commit()
print(json.dumps(told))
"""


class Course:
    """The course folder, and what was said there."""

    def __init__(self, folder):
        self.folder = folder / "nbgrader"
        self.answers = folder / "answers.json"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "RMT_LAB_ANSWERS": str(self.answers), "JUPYTER_CONFIG_DIR": str(folder / "jupyter")}
        self.environment = os.environ | settings
        self.told = {}

    def run(self, *command):
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def notebook(self, kind, name):
        """A notebook as source or release, with the source of each cell as one text."""
        found = json.loads((self.folder / kind / name / f"{name}.ipynb").read_text(encoding="utf-8"))
        for cell in found["cells"]:
            cell["source"] = "".join(cell["source"])
        return found

    def feedback(self, student, name):
        """The words of a feedback page."""
        page = (self.folder / "feedback" / student / name / f"{name}.html").read_text(encoding="utf-8")
        return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)))


def commands():
    """The commands of the instructors' page, in their order, as lists of words."""
    section = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8").split("## Grading with nbgrader")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]
    return [line.partition("#")[0].split() for line in block.splitlines()]


def asked(notebook):
    """The cells that a student changes: each with its kind, its name, and the variable that holds the answer."""
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            tag = next(tag for tag in handout.VERBS if tag in cell["metadata"]["tags"])
            name, answer = handout.CALLS[tag].findall(cell["source"])[-1]
            yield cell, tag, name, answer.removesuffix(", points=False")


def fill(cell, lines):
    """Write lines where the stub of a released cell leaves room."""
    assert cell["source"].count(handout.STUB) == 1
    cell["source"] = cell["source"].replace(handout.STUB, lines)


def in_words(tag, name, answer):
    """A prediction that can be recorded, or an answer in words."""
    if tag == "written":
        return f'{answer} = "It depends on the null."'
    options = find(name, Prediction).options
    return f"{answer} = {options[0] if options else 1.0!r}"


def submissions(course, name):
    """What the three students hand in, made from the released notebook."""
    solution = {s[2]: MARKED.search(s[0]["source"])[1] for s in asked(course.notebook("source", name))}
    ada, ben, cem = (course.notebook("release", name) for _ in STUDENTS)
    exercises = names(prefix(name))
    for cell, tag, of, answer in asked(ada):
        fill(cell, solution[of] if tag == "exercise" else in_words(tag, of, answer))
    for cell, _, of, _ in asked(ben):
        if of in exercises[::2]:
            fill(cell, solution[of])
    for number, (cell, tag, of, answer) in enumerate(asked(cem)):
        if number == 0:
            cell["source"] = "this is no Python"
        elif of == exercises[0]:
            fill(cell, "raise RuntimeError")
        elif of == exercises[-1]:
            fill(cell, f"import sys\nprint('a progress bar', file=sys.stderr)\n{solution[of]}")
        elif tag == "exercise":
            registry = "from rmt_lab.exercises.registry import Exercise, find, listed"
            fill(cell, f"{registry}\n{answer} = listed(find({of!r}, Exercise).wrong)[0]")
        else:
            fill(cell, f"{answer} = []")
    return dict(zip(STUDENTS, (ada, ben, cem), strict=True))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """All the way once: assignments, submissions, points by machine and by hand, feedback, the table."""
    made = Course(tmp_path_factory.mktemp("course"))
    handout.write(made.folder.parent)
    made.run(sys.executable, "-c", GENERATE, *[path.stem for path in NOTEBOOKS if path.stem not in GRADED])
    generate, autograde, by_hand, feedback, export = commands()
    assert by_hand == ["jupyter", "lab"]
    for name in GRADED:
        here = {"01_the_law_of_noise": name}
        made.run(*[here.get(word, word) for word in generate])
        for student, notebook in submissions(made, name).items():
            target = made.folder / "submitted" / student / name / f"{name}.ipynb"
            target.parent.mkdir(parents=True)
            target.write_text(json.dumps(notebook), encoding="utf-8")
        made.run(*[here.get(word, word) for word in autograde])
        made.told[name] = json.loads(made.run(sys.executable, "-c", GRADE, name))
        made.run(*[here.get(word, word) for word in feedback])
    made.run(*export)
    return made


def test_the_instructors_page_has_five_commands():
    steps = "generate_assignment autograde lab generate_feedback export"
    assert [command[1] for command in commands()] == steps.split()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_becomes_an_assignment_without_its_solutions(path, course):
    source, release = (course.notebook(kind, path.stem) for kind in ("source", "release"))
    assert len(release["cells"]) == len(source["cells"])
    given = json.dumps(release)
    assert "SOLUTION" not in given
    for whole, cell in zip(asked(source), asked(release), strict=True):
        assert MARKED.sub(handout.STUB, whole[0]["source"]) == cell[0]["source"]


@each_graded
def test_each_solved_exercise_has_its_point_and_no_other(name, course):
    """Also after a cell that raises or is no Python, and beside a progress bar."""
    exercises = names(prefix(name))
    solved = {"ada": exercises, "ben": exercises[::2], "cem": exercises[-1:]}
    for student, right in solved.items():
        points = {e: course.told[name][student][f"{e}-test"] for e in exercises}
        assert points == {e: [float(e in right), False] for e in exercises}, student


@each_graded
def test_predictions_and_answers_in_words_wait_for_a_hand_unless_nobody_touched_them(name, course):
    words = [*names(prefix(name), "prediction"), *names(prefix(name), "question")]
    assert words
    for student in STUDENTS:
        found = {w: course.told[name][student][w] for w in words}
        assert found == {w: [0.0, False] if student == "ben" else [None, True] for w in words}, student


def test_the_table_has_all_points(course):
    with (course.folder / "grades.csv").open(encoding="utf-8") as file:
        table = {(row["assignment"], row["student_id"]): row for row in csv.DictReader(file)}
    for name in GRADED:
        exercises = names(prefix(name))
        whole = len(exercises) + len(names(prefix(name), "prediction")) + len(names(prefix(name), "question"))
        expected = {"ada": whole, "ben": len(exercises[::2]), "cem": whole - len(exercises) + 1}
        for student, score in expected.items():
            assert float(table[name, student]["score"]) == score, (name, student)
            assert float(table[name, student]["max_score"]) == whole
    assert len(table) == len(NOTEBOOKS) * len(STUDENTS)  # who handed in nothing has 0 points
    assert {row["score"] for (name, _), row in table.items() if name not in GRADED} <= {"0.0"}


@each_graded
def test_feedback_helps_and_gives_no_solution_away(name, course):
    handed_out = "\n".join(cell["source"] for cell in course.notebook("release", name)["cells"])
    solution = {s[2]: MARKED.search(s[0]["source"])[1] for s in asked(course.notebook("source", name))}
    ada, ben, cem = (course.feedback(student, name) for student in STUDENTS)
    exercises = names(prefix(name))
    for words, unsolved in ((ben, exercises[1::2]), (cem, exercises[:-1])):
        lines = [line.strip() for e in unsolved for line in solution[e].splitlines()]
        secret = [line for line in lines if len(line) > 7 and line not in handed_out]
        assert secret
        assert [line for line in secret if line in words] == []
    assert "Not yet: no answer given" in ben
    assert ("Hint: " in cem) == (len(exercises) > 2)  # the first one raises, and the last one is solved
    assert "invalid syntax" in cem
    points = [point for q in names(prefix(name), "question") for point in find(q, Question).points]
    assert [point for point in points if point not in ada] == []
    assert [point for point in points if point in ben or point in handed_out] == []


def test_a_loop_a_deleted_test_and_a_check_of_ones_own_change_no_other_point(course):
    """Also if imports were deleted. The assignment is what is graded in a notebook, and no more: it is quick."""
    name = "odd"
    notebook = course.notebook("source", "01_the_law_of_noise")
    cells = [c for c in notebook["cells"] if "nbgrader" in c["metadata"] or "import rmt_lab as rl" in c["source"]]
    target = course.folder / "source" / name / f"{name}.ipynb"
    target.parent.mkdir()
    target.write_text(json.dumps(notebook | {"cells": cells}), encoding="utf-8")
    course.run("nbgrader", "generate_assignment", name)
    solution = {s[2]: MARKED.search(s[0]["source"])[1] for s in asked(course.notebook("source", name))}
    released = course.notebook("release", name)
    loops, deleted, own = names("01")
    lines = {
        loops: "import time\ndef edges(*given):\n    while True:\n        time.sleep(0.1)",
        own: "def check(*given):\n    feedback.right = True\n    return feedback",
    }
    for cell, tag, of, _ in asked(released):
        if tag == "exercise":
            fill(cell, lines.get(of, solution[of]))
    gone = {f"{deleted}-test", "01-predict-shape-imports"}
    kept = [c for c in released["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") not in gone]
    assert len(kept) == len(released["cells"]) - len(gone)
    released["cells"] = kept
    target = course.folder / "submitted" / "dan" / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(released), encoding="utf-8")
    course.run("nbgrader", "autograde", name, "--Execute.timeout=15")
    told = json.loads(course.run(sys.executable, "-c", GRADE, name))["dan"]
    assert {e: told[f"{e}-test"] for e in names("01")} == {loops: [0, False], deleted: [1, False], own: [0, False]}


def test_no_student_is_shown_the_predictions_of_another(course):
    assert not course.answers.exists()
    assert not list(course.folder.rglob("*rmt_lab_answers*"))
