"""The course as its tests see it: the notebooks, their exercises, and the solutions that stand in them."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
MADE = ROOT / ".venv-binder"  # by `make binder`
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def script(name):
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


handout = script("handout")


class Cell(NamedTuple):
    """A cell of a notebook."""

    kind: str
    source: str
    tags: list[str]
    outputs: list[dict]

    @property
    def checked(self):
        """The exercise that the cell checks, or None."""
        found = handout.CHECK.findall(self.source)
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


def solution_code(cell):
    """The code of a solution cell."""
    return handout.solution_code(cell.source)
