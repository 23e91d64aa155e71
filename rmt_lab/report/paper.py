"""The page on paper: a PDF of A4 pages, set by typst, which draws words and tables and needs no browser."""

from __future__ import annotations

import importlib
import json
import tempfile
from importlib import resources
from pathlib import Path
from types import ModuleType

from .content import Content


def typst() -> ModuleType:
    """The package that sets the page, or an ImportError that says how to get it."""
    try:
        return importlib.import_module("typst")
    except ImportError:
        raise ImportError('a page as PDF needs the package typst: pip install "rmt-lab[pdf]"', name="typst") from None


def pdf(content: Content) -> bytes:
    """The page as PDF.

    Raises
    ------
    ImportError
        If typst is not installed.
    """
    compiler = typst()
    with tempfile.TemporaryDirectory(prefix="rmt-lab-") as place:
        folder = Path(place)
        sections, number = [], 0
        for section in content.sections:
            pictures = []
            for picture in section.pictures:
                (folder / f"{number}.png").write_bytes(picture.png)
                pictures.append({"file": f"{number}.png", "alt": picture.alt, "caption": picture.caption})
                number += 1
            plain = {"title": section.title, "paragraphs": section.paragraphs, "facts": section.facts}
            sections.append(plain | {"pictures": pictures, "table": section.has_table})
        columns = [
            {"head": c.head, "meaning": c.meaning, "number": c.is_number, "cells": [text for text, _ in c.cells]}
            for c in content.columns
        ]
        # all words travel as data, so that none of them is taken for a command
        words = {"title": content.title, "lead": content.lead, "sections": sections, "columns": columns}
        (folder / "content.json").write_text(json.dumps(words), encoding="utf-8")
        for name in ("paper.typ", "page.typ"):
            (folder / name).write_bytes(resources.files(__package__).joinpath(name).read_bytes())
        return bytes(compiler.compile(folder / "page.typ", root=folder))
