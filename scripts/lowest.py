"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

    python scripts/lowest.py > build/lowest.txt
    pip install --constraint build/lowest.txt --editable ".[models,rivals]"

Only what the library and its extras name is held at its bound; what those need in turn is pip's choice. The tools of
``dev``, ``site`` and ``lite`` are left out: nobody who installs the library meets them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = {"dev", "site", "lite"}  # extras of who works on the project
BOUND = re.compile(r"([\w-]+)>=([\d.]+)(?:,<\d+)?")


def lowest(project: dict) -> list[str]:
    """The lower bounds of the table ``[project]``, one ``name==version`` per requirement.

    Raises
    ------
    ValueError
        If a requirement has no lower bound.
    """
    extras = project["optional-dependencies"]
    lines = []
    for text in [*project["dependencies"], *(line for name in extras if name not in TOOLS for line in extras[name])]:
        found = BOUND.fullmatch(text)
        if not found:
            raise ValueError(f"a requirement is {text!r}; NAME>=VERSION and NAME>=VERSION,<NEXT are allowed")
        lines.append(f"{found[1]}=={found[2]}")
    return lines


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print("\n".join(lowest(project)))
