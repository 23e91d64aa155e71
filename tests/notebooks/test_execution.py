"""Every notebook from top to bottom and, in the same execution, its solutions after its last cell.

In the environment of mybinder.org if ``make binder`` has made it: without torch, with the outputs that the notebook was
committed with, and in the memory that mybinder.org gives. Without that environment: in this one. nbval runs each
notebook once more (``make test``).
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from course import BINDER, MADE, NOTEBOOKS, ROOT, cells, leaks, prefix, solution_code, tagged

from benchmarks.notebooks import MOST_MEGABYTES, run
from rmt_lab.exercises import check, names
from rmt_lab.exercises.registry import Exercise, find, listed

ABSENT = ["torch", "transformers", "safetensors", "gguf"]  # what only opt-in cells may ask for
UNREADABLE = "cannot be read as an answer"
READY = (MADE / "ready").exists()

pytestmark = [pytest.mark.slow, *([pytest.mark.binder] if READY else [])]
made = pytest.mark.skipif(not READY, reason="`make binder` makes the environment")
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)

# Cells around the solutions: a check that takes down what it says, and what it has taken down.
LISTEN = """
import json as _json
import numpy as _numpy
from rmt_lab.exercises import check as _check

_taken = []

def check(name, answer):
    feedback = _check(name, answer)
    if not isinstance(answer, str):
        answer = None if callable(answer) else _numpy.ravel(_numpy.asarray(answer, dtype=float)).tolist()
    said = {"right": feedback.right, "text": feedback.text, "repr": repr(feedback)}
    _taken.append({"name": name, "answer": answer} | said)
    return feedback
"""
TELL = "print(_json.dumps(_taken))"


@pytest.fixture(scope="module")
def python():
    """The interpreter that runs the notebooks: that of Binder's environment, after postBuild, or this one."""
    if not READY:
        return sys.executable
    path = f"{MADE / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([BINDER / "postBuild"], cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
    return MADE / "bin" / "python"


@pytest.fixture(scope="module")
def runs(python):
    """Every notebook on its way, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(run, path, python, [LISTEN, *solutions(path), TELL]) for path in NOTEBOOKS}


def solutions(path):
    return [solution_code(cell) for cell in tagged(path, "solution")]


@pytest.fixture
def solved(path, runs):
    """What the check said to each solution of a notebook, in their order."""
    return json.loads(texts(runs[path].result().cells[-1].outputs))


@made
def test_the_environment_is_complete_and_has_no_torch(python):
    subprocess.run([python, "-m", "pip", "check"], check=True)
    for tool in ("jupyterlab", "voila"):
        subprocess.run([python, "-m", tool, "--version"], check=True)
    code = f"from importlib.util import find_spec; print([name for name in {ABSENT} if find_spec(name)])"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@made
@each_notebook
def test_every_notebook_runs_there_with_its_outputs(path, runs):
    done = runs[path].result()
    compared = 0
    own = len(cells(path))
    assert len(done.cells) == own + len(solutions(path)) + 2
    for before, after in zip(cells(path), done.cells[:own], strict=True):
        if before.kind == "code" and "nbval-ignore-output" not in before.tags and not opts_in(before):
            assert texts(after.outputs) == texts(before.outputs), before.source
            compared += bool(texts(before.outputs))
    assert compared > 3
    assert done.megabytes < MOST_MEGABYTES


def opts_in(cell):
    """Whether a cell asks for a package that is not there."""
    return any(re.search(rf"\b{name}\b", cell.source) for name in ABSENT)


def texts(outputs):
    """What a cell printed and showed, in words, in one piece."""
    found = [o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"] for o in outputs]
    return re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", "".join("".join(text) for text in found))


@each_notebook
def test_every_solution_passes_its_check(path, solved):
    assert [said["name"] for said in solved] == names(prefix(path))
    assert [said["name"] for said in solved if not said["right"]] == []
    for said in solved:
        assert said["repr"].startswith("Right: ")
        assert len(said["text"]) > 20, said["name"]


@each_notebook
def test_mistakes_are_refused_with_help_and_without_the_answer(path, solved):
    for said, code in zip(solved, solutions(path), strict=True):
        name, answer = said["name"], said["answer"]
        found = find(name, Exercise)
        assert listed(found.wrong), f"{name} expects no mistake"
        for mistake in listed(found.wrong):
            feedback = check(name, mistake)
            assert not feedback.right, f"{name} takes {mistake!r} for right"
            assert UNREADABLE not in feedback.text, f"{name} fails on {mistake!r}"
            assert len(feedback.text) > 10
            assert found.hint in repr(feedback)
            assert leaks(repr(feedback), answer, code) == [], f"{name} gives itself away: {feedback}"
        assert leaks(found.title, answer, code) == [], name


@pytest.mark.parametrize(
    ("text", "answer", "leak"),
    [
        ("it is Larger than that", "larger", True),
        ("enlarger", "larger", False),
        ("it is 2.25, nearly", [2.251], True),
        ("3 of 4 values are off", [2.251], False),
        ("the edges are 0.25 and 2.25", [0.25, 2.25], True),
        ("the lower edge is 0.25", [0.25, 2.25], False),
        ("try (1 + Q**-0.5) ** 2 instead", None, True),
        ("try the other sign", None, False),
    ],
)
def test_a_leak_is_seen(text, answer, leak):
    assert bool(leaks(text, answer, "def edge(Q):\n    return (1 + Q**-0.5) ** 2\n")) == leak
