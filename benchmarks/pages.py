"""Pages under docs/ whose tables are written by a command, between two comments."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- tables: ", "<!-- end of the tables -->"  # the first goes on with the command, to the end of its line


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: float, low: float, high: float) -> str:
    """A coefficient with its interval, bold where that is clear of 0; empty for NaN."""
    if np.isnan(value):
        return ""
    if np.isnan(low):
        return f"{value:.2f} (no interval)"
    mark = "" if low <= 0 <= high else "**"
    return f"{mark}{value:.2f}{mark} ({low:.2f} to {high:.2f})"


def split(page: Path) -> tuple[str, str, str]:
    """What stands on a page before its tables, with the comment; the tables; and what stands after them."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    command, _, rest = rest.partition("\n")
    tables, after = rest.split(END)
    return f"{before}{BEGIN}{command}\n", tables.strip(), END + after


def parser(page: Path, description: str | None) -> argparse.ArgumentParser:
    """The command's options: ``--write``."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true", help=f"write them into docs/{page.name}")
    return made


def show(page: Path, tables: str, write: bool) -> None:
    """Print the tables, or put them into the page."""
    if not write:
        print(tables)
        return
    before, _, after = split(page)
    page.write_text(f"{before}\n{tables}\n\n{after}", encoding="utf-8")
