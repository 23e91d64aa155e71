"""Copies for a class: students get no solution; nbgrader gets what it reads, and every solution earns its point."""

import json
import re
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
from course import NOTEBOOKS, ROOT, cells, handout, prefix, solution_code, tagged

from rmt_lab.exercises import names

matplotlib.use("Agg")

KEYS = {"grade", "grade_id", "locked", "schema_version", "solution", "task"}  # nbgrader's scheme, version 3


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def without_imports(source):
    return handout.IMPORTS.sub("", source)


def outside(source):
    """What stands around the markers."""
    return re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", source, flags=re.DOTALL)


def graded(notebook):
    return [c for c in notebook["cells"] if "nbgrader" in c["metadata"]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_student_copies_hold_everything_but_solutions_and_outputs(path):
    original = load(path)
    copy = handout.student(original)
    nbformat.validate(copy)
    text = json.dumps(copy)
    assert "<summary>Solution" not in text
    assert not re.search(r"\bfolded", text)  # nothing is
    assert "glossary.md" in json.dumps(original)
    assert "glossary.md" not in text  # docs/ is not handed out
    assert "badge" not in text  # it would open the notebook with its solutions
    assert not [c for c in copy["cells"] if c.get("outputs") or c.get("execution_count")]
    kept = [c["id"] for c in original["cells"] if not {"solution", "answers"} & set(c["metadata"].get("tags", []))]
    assert [c["id"] for c in copy["cells"]] == kept
    assert len(kept) <= len(original["cells"]) - len(tagged(path, "solution"))
    assert original == load(path), "the original was changed"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_instructor_copies_are_what_nbgrader_reads(path):
    made = handout.instructor(load(path))
    nbformat.validate(made)
    found = [c["metadata"]["nbgrader"] for c in graded(made)]
    assert all(set(m) == KEYS | ({"points"} if m["grade"] else set()) for m in found)
    ids = [m["grade_id"] for m in found]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", i) for i in ids)
    by_hand = [m["grade_id"] for m in found if m["solution"] and m["grade"]]
    assert sorted(by_hand) == sorted(n for kind in ("prediction", "question") for n in names(prefix(path), kind))
    assert [m["grade_id"] for m in found if m["solution"] and not m["grade"]] == names(prefix(path))
    assert [m["grade_id"] for m in found if m["grade"] and m["locked"]] == [f"{n}-test" for n in names(prefix(path))]
    assert sum(m.get("points", 0) for m in found) == len(names(prefix(path))) + len(by_hand)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_between_the_markers_stands_the_solution_and_around_them_the_students_cell(path):
    made = handout.instructor(load(path))
    checked = {"grade": False, "solution": True}
    solved = [c["source"] for c in graded(made) if checked.items() <= c["metadata"]["nbgrader"].items()]
    for source, stub, solution in zip(solved, tagged(path, "exercise"), tagged(path, "solution"), strict=True):
        before, inside, after = re.split(r"### (?:BEGIN|END) SOLUTION\n", source)
        code = solution_code(solution)
        assert inside.split() == handout.CHECK.sub("", code).split()
        assert (before + after).split() == without_imports(stub.source).split()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_is_graded_by_hand_keeps_its_cell_around_the_markers(path):
    """nbgrader takes out what stands between the markers; of a cell without markers it would take all."""
    made = handout.instructor(load(path))
    wanted = {"grade": True, "solution": True}
    by_hand = [c["source"] for c in graded(made) if wanted.items() <= c["metadata"]["nbgrader"].items()]
    asked = [c for c in cells(path) if {"prediction", "written"} & set(c.tags)]
    for source, cell in zip(by_hand, asked, strict=True):
        before, inside, after = re.split(r"### (?:BEGIN|END) SOLUTION\n", source)
        assert (before + after.replace(", points=False)", ")")).split() == without_imports(cell.source).split()
        assert inside.startswith("# graded by hand")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_later_cells_need_stands_in_no_cell_of_the_students(path):
    """A cell that raises would take the points of the cells after it."""
    made = handout.instructor(load(path))
    students = [outside(c["source"]) for c in graded(made) if c["metadata"]["nbgrader"]["solution"]]
    assert not [source for source in students if re.search(r"^(import|from) ", source, re.MULTILINE)]
    moved = [c["source"] for c in graded(made) if c["metadata"]["nbgrader"]["grade_id"].endswith("-imports")]
    asked = [c.source for c in cells(path) if {"exercise", "prediction", "written"} & set(c.tags)]
    assert "".join(moved).split() == "".join(s.removesuffix(without_imports(s)) for s in asked).split()


def test_there_is_something_to_grade_by_hand():
    assert any(names(prefix(path), kind) for path in NOTEBOOKS for kind in ("prediction", "question"))


def test_a_fresh_copy_runs_without_points_and_a_solved_one_earns_them_all(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    made = handout.instructor(load(NOTEBOOKS[0]))
    for solved in (False, True):
        namespace, said = {"__name__": "__main__"}, []
        for cell in made["cells"]:
            if cell["cell_type"] != "code" or cell.get("id") == "install":  # which is no plain Python
                continue
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if not solved:
                source = outside(source)
            if not {"grade": True, "locked": True}.items() <= cell["metadata"].get("nbgrader", {}).items():
                exec(source, namespace)
                continue
            try:
                exec(source, namespace)
                said.append("a point")
            except AssertionError as error:
                said.append(str(error))
        assert said == ["a point" if solved else "Not yet: no answer given."] * len(names("00"))


def test_the_command_writes_both_kinds_into_a_folder(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "handout.py"), "--out", str(tmp_path / "out")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(said) == sorted(str(p) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert {p.name for p in (tmp_path / "out" / "student").iterdir()} == {p.name for p in NOTEBOOKS}
    assert len(list((tmp_path / "out" / "nbgrader" / "source").glob("*/*.ipynb"))) == len(NOTEBOOKS)
    compile((tmp_path / "out" / "nbgrader" / "nbgrader_config.py").read_text(), "nbgrader_config.py", "exec")
    assert "handout/" in (ROOT / ".gitignore").read_text().splitlines()
