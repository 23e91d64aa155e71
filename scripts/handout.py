"""Write the notebooks as they are handed out in a class, into handout/.

    handout/student/            solutions and outputs taken out; everything else as it is
    handout/nbgrader/           a course folder for instructors who use nbgrader: source/ with the solutions between its
                                markers, a locked cell of one point after every exercise, one point to give by hand for
                                every prediction and every written answer, and a configuration file

A student's cell may raise, even fail to compile. So nothing that later cells need stands in it: its imports become a
read-only cell before it, and the cell that gives the point brings its own.

One source: a solution stands folded in its notebook, in a markdown cell tagged "solution", and is taken from there.
Nothing here needs nbgrader; with it, the section on nbgrader in docs/instructors.md goes on.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
Cell = dict[str, Any]

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FOLDED = {"solution", "answers"}  # tags of the cells that students do not get
BADGE = re.compile(r"^\[!\[.*\)\n\n", re.MULTILINE)  # opens the notebook with its solutions
VERBS = {"exercise": "check", "prediction": "predict", "written": "write"}  # tags, and what their cells end with
CALLS = {
    tag: re.compile(rf'^{verb}\("([^"]+)", *(.+)\)$', re.MULTILINE)  # a name, and the answer as it is written
    for tag, verb in VERBS.items()
}
CHECK = CALLS["exercise"]
IMPORTS = re.compile(r"\A(?:(?:from|import) .*\n+)+")  # at the top of a cell
BY_HAND = {
    "prediction": "# graded by hand: a prediction earns the point, whatever came out",
    "written": "# graded by hand: nbgrader autograde shows what a good answer names below this cell",
}

GLOSSARY = re.compile(r"\[([^]]*)\]\((?:\.\./)+docs/glossary\.md#[\w-]+\)")  # docs/ is not handed out

STUB = "# room for more lines, if you need them"  # in place of a solution
CONFIG = f"""# What nbgrader shall do with the notebooks of this folder.
import os

os.environ["RMT_LAB_ANSWERS"] = ""  # predictions are kept in memory, so that no student is shown those of another
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "rmt_lab"
# the stub above this line stays, so that a fresh copy runs from top to bottom
c.ClearSolutions.code_stub = {{"python": "{STUB}"}}
c.OverwriteCells.add_missing_cells = True  # a test that a student has deleted is run all the same
c.Execute.timeout = 120  # seconds for a cell; an endless loop costs its own point and no other
"""

# The cell that gives a point. nbgrader takes anything on stderr for an error, a progress bar, too.
TEST = """from contextlib import redirect_stderr
from io import StringIO

from rmt_lab.exercises import check

with redirect_stderr(StringIO()):
    feedback = check("{name}", {answer})
assert feedback.right, feedback"""


def solution_code(source: str) -> str:
    """The code of a solution: the last fenced block of its markdown cell."""
    return str(re.findall(r"```python\n(.*?)```", source, re.DOTALL)[-1])


def student(notebook: Notebook) -> Notebook:
    """The notebook without solutions and outputs."""
    out = copy.deepcopy(notebook)
    out["metadata"].pop("widgets", None)  # stored state of sliders is an output too
    out["cells"] = [c for c in out["cells"] if not FOLDED & _tags(c)]
    out["cells"][0]["source"] = BADGE.sub("", _source(out["cells"][0]))
    for cell in out["cells"]:
        cell["source"] = GLOSSARY.sub(r"\1", _source(cell))
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return out


def instructor(notebook: Notebook) -> Notebook:
    """The notebook as nbgrader's generate_assignment takes it: one source with solutions, tests and points."""
    solutions = {}
    for cell in notebook["cells"]:
        if "solution" in _tags(cell):
            code = solution_code(_source(cell))
            solutions[CHECK.findall(code)[-1][0]] = CHECK.sub("", code).strip()
    out = student(notebook)
    out["cells"] = [new for cell in out["cells"] for new in _graded(cell, solutions)]
    return out


def _graded(cell: Cell, solutions: dict[str, str]) -> list[Cell]:
    """An exercise as a cell to be solved and one that gives a point for it; other cells as one cell each."""
    tag = next((tag for tag in VERBS if tag in _tags(cell)), None)
    if tag is None:
        return [cell]
    name, answer = CALLS[tag].findall(_source(cell))[-1]
    stub = CALLS[tag].sub("", _source(cell)).strip()
    imports = IMPORTS.match(stub)
    before = []
    if imports:
        before = [_code(f"{cell['id']}-imports", imports[0].strip(), _nbgrader(f"{name}-imports", locked=True))]
        stub = stub[imports.end() :].strip()
    inside = solutions[name] if tag == "exercise" else BY_HAND[tag]
    more = ", points=False" if tag == "written" else ""
    source = f'{stub}\n\n### BEGIN SOLUTION\n{inside}\n### END SOLUTION\n\n{VERBS[tag]}("{name}", {answer}{more})'
    points = {} if tag == "exercise" else {"grade": True, "points": 1}
    solved = cell | {"source": source, "metadata": cell["metadata"] | _nbgrader(name, solution=True, **points)}
    if tag != "exercise":
        return [*before, solved]
    fields = _nbgrader(f"{name}-test", grade=True, locked=True, points=1)
    return [*before, solved, _code(f"{cell['id']}-test", TEST.format(name=name, answer=answer), fields)]


def _code(id: str, source: str, metadata: dict[str, Any]) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": id,
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def _nbgrader(grade_id: str, **fields: Any) -> dict[str, Any]:
    """The metadata of a cell that nbgrader knows, by version 3 of its scheme."""
    plain = {
        "grade": False,
        "grade_id": grade_id,
        "locked": False,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    return {"nbgrader": plain | fields}


def _tags(cell: Cell) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def _source(cell: Cell) -> str:
    return "".join(cell["source"])


def write(folder: Path) -> list[Path]:
    """Write all copies into a folder, and return what was written."""
    written = [folder / "nbgrader" / "nbgrader_config.py"]
    written[0].parent.mkdir(parents=True, exist_ok=True)
    written[0].write_text(CONFIG, encoding="utf-8")
    in_order = ("[0-9][0-9]", "extras/x[0-9]", "extras/x[0-9][0-9]")
    for path in [path for n in in_order for path in sorted(NOTEBOOKS.glob(f"{n}_*.ipynb"))]:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        copies = {
            folder / "student" / path.name: student(notebook),
            folder / "nbgrader" / "source" / path.stem / path.name: instructor(notebook),
        }
        for target, made in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            written.append(target)
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the notebooks as they are handed out in a class.")
    parser.add_argument("--out", type=Path, default=Path("handout"), help="folder to write into (default: handout)")
    for target in write(parser.parse_args().out):
        print(target)
