"""The course as its tests see it: the notebooks, their exercises, and the solutions that stand in them."""

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
MADE = ROOT / ".venv-binder"  # by `make binder`
CORE = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
EXTRAS = [path for n in ("x[0-9]", "x[0-9][0-9]") for path in sorted((ROOT / "notebooks").glob(f"extras/{n}_*.ipynb"))]
NOTEBOOKS = [*CORE, *EXTRAS]


def prefix(notebook):
    """The first letters of a notebook's name, as its exercises have them: ``"00"`` or ``"x10"``."""
    return Path(notebook).name.partition("_")[0]


def script(name):
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


handout = script("handout")

# Notebooks whose second edition is not written yet, by prefix. Take a prefix out when you finish the notebook. Then its
# exercises need ten wrong and five right answers each, it asks two questions in words, and it keeps its budget.
UNFINISHED: set[str] = set()

# Extras of the second edition that texts may name before they are there.
PLANNED: set[str] = set()


class Cell(NamedTuple):
    """A cell of a notebook."""

    kind: str
    source: str
    tags: list[str]
    outputs: list[dict]

    @property
    def checked(self):
        """The exercise that the cell checks, or None."""
        return self.asked("exercise")

    def asked(self, tag):
        """The name in the call that a cell of that tag ends with, or None."""
        found = handout.CALLS[tag].findall(self.source)
        return found[-1][0] if found else None


@cache
def cells(path):
    """The cells of a notebook."""
    return [
        Cell(c["cell_type"], "".join(c["source"]), c["metadata"].get("tags", []), c.get("outputs", []))
        for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def tagged(path, tag):
    """The cells with that tag."""
    return [c for c in cells(path) if tag in c.tags]


def leaks(text, answer, code):
    """What a text says about the right answer: its word, its values or, of a function (None), a line of its code."""
    if isinstance(answer, str):
        return [] if " one of '" in text else re.findall(rf"\b{re.escape(answer)}\b", text, re.IGNORECASE)
    if answer is None:
        bare = re.sub(r"\s", "", text)
        lines = [re.sub(r"\s", "", line).removeprefix("return") for line in code.splitlines()]
        return [line for line in lines if len(line) > 7 and line in bare]
    said = [float(x) for x in re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)]
    found = [v for v in answer if any(abs(v - s) <= 5e-3 * abs(v) for s in said)]
    return found if len(found) == len(answer) else []


def solution_code(cell):
    """The code of a solution cell."""
    return handout.solution_code(cell.source)
