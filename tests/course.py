"""The course as its tests see it: the notebooks, their exercises, and the solutions that stand in them."""

import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))

CHECKED = re.compile(r'^check\("([^"]+)", *(.+)\)$', re.MULTILINE)


class Cell(NamedTuple):
    """A cell of a notebook."""

    kind: str
    source: str
    tags: list[str]
    outputs: list[dict]

    @property
    def checked(self):
        """The exercise that the cell checks, or None."""
        found = CHECKED.findall(self.source)
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
    """The code of a solution cell: its last fenced block, which holds the whole solution."""
    return re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)[-1]
