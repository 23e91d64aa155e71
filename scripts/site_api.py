"""The pages of the reference: one for each room of the library, and one for what its files hold beside that."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / "rmt_lab"
#: The rooms in the order of a reader, who comes with a model or with a matrix.
ROOMS = [
    "analysis", "verdict", "comparison", "spectrum", "bulk", "tails", "laws", "ensembles", "weights", "atlas",
    "trainings", "traps", "plotting", "explorers", "exercises", "report", "cli",
]  # fmt: skip


def pages() -> dict[str, str]:
    """The text of every page, in reStructuredText, by its name below ``api/``."""
    rooms = {
        p.stem for p in PACKAGE.iterdir() if p.name[0] != "_" and (p.suffix == ".py" or (p / "__init__.py").exists())
    }
    if rooms != set(ROOMS):
        raise ValueError(f"ROOMS of {Path(__file__).name} is {sorted(ROOMS)}; the package has {sorted(rooms)}")
    made = {"index": _index()}
    for room in ROOMS:
        module, path = f"rmt_lab.{room}", PACKAGE / room
        if not path.is_dir():
            made[module] = _page(module, [f"{module}.{n}" for n in _defined(path.with_suffix(".py"))])
            continue
        exported, inner = _exported(path), []
        for file in sorted(path.glob("[a-z]*.py")):
            rest = [n for n in _defined(file) if n not in exported]
            if rest and not (room == "exercises" and file.stem[-1].isdigit()):  # they hold the answers of a notebook
                inner.append(f"{module}.{file.stem}")
                made[inner[-1]] = _page(inner[-1], [f"{inner[-1]}.{n}" for n in rest])
        names = [
            f"{module}.{n}" if callable(_get(f"{module}.{n}")) else f"{module}.{f}.{n}"
            for n, f in exported.items()
            if f
        ]
        made[module] = _page(module, names, inner)
    return made


def _index() -> str:
    """The first page: the names of ``rmt_lab`` itself, and its rooms."""
    names = [f"rmt_lab.{n}" for n, file in _exported(PACKAGE).items() if file]
    rows = [f"   * - :py:obj:`{n}`\n     - {_first_line(_get(n))}" for n in names]
    rooms = [f"   * - :doc:`rmt_lab.{r}`\n     - {_first_line(importlib.import_module(f'rmt_lab.{r}'))}" for r in ROOMS]
    table = ".. list-table::\n   :widths: 35 65\n   :class: names\n\n"
    return (
        "Reference\n=========\n\nEvery public name, with its source. "
        "``import rmt_lab as rl`` gives what is used most:\n\n"
        + table + "\n".join(rows) + "\n\nThe rooms\n---------\n\n" + table + "\n".join(rooms)
        + "\n\n.. toctree::\n   :hidden:\n\n" + "\n".join(f"   rmt_lab.{room}" for room in ROOMS) + "\n"
    )  # fmt: skip


def _page(module: str, names: list[str], inner: list[str] | None = None) -> str:
    text = f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n"
    room, _, last = module.rpartition(".")
    # a file that is called like its function is found by the name of the function
    text += (
        "   :no-index:\n\n" if inner is None and callable(getattr(importlib.import_module(room), last, None)) else "\n"
    )
    for name in names:
        kind = "class" if isinstance(_get(name), type) else "function" if callable(_get(name)) else "data"
        text += f".. auto{kind}:: {name}\n" + ("   :members:\n\n" if kind == "class" else "\n")
    if inner:
        text += "Files\n-----\n\nWhat the files of this room hold beside the names above.\n\n"
        text += ".. toctree::\n   :maxdepth: 1\n\n" + "\n".join(f"   {name}" for name in inner) + "\n"
    return text


def _get(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


@cache
def _exported(package: Path) -> dict[str, str]:
    """The public names of a package, file by file, each with its file; "" for a file that is public itself."""
    stub = package / "__init__.pyi"
    tree = ast.parse((stub if stub.exists() else package / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


@cache
def _defined(file: Path) -> list[str]:
    """The public functions, classes and explained constants of a file, in its order."""
    text = file.read_text(encoding="utf-8")
    lines, found = text.splitlines(), []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and lines[node.lineno - 2].startswith("#:"):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            found += [target.id] if isinstance(target, ast.Name) else []
    return [name for name in found if not name.startswith("_")]
