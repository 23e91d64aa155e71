"""The page of an explorer, made from its class: its idea, a flipbook, its questions, its presets and its code."""

from __future__ import annotations

import re
from typing import Any

from site_notebooks import frame

from rmt_lab.explorers.gallery import KINDS
from rmt_lab.explorers.view import Explorer
from rmt_lab.explorers.words import idea_and_questions, title

__all__ = ["KINDS", "name", "page", "with_pages"]


def name(kind: type[Explorer]) -> str:
    """The file name of an explorer's page: ``heavy_tail``."""
    return title(kind).replace(" ", "_")


def page(kind: type[Explorer], flipbook: str, used: list[tuple[str, str, str]]) -> str:
    """The page in Markdown.

    ``flipbook`` is its address, ``used`` the notebooks in which the explorer stands: file, title and heading.
    """
    explorer = kind()
    idea, questions = idea_and_questions(kind)
    controls = kind.model_class.controls()
    places = [f"- [{heads}](../{path}#{slug(heading)}), *{heading}*" for path, heads, heading in used]
    lines = [
        f"# {kind.__name__}",
        markdown(idea),
        frame(flipbook, kind.__name__),
        "The slider above moves one parameter through pictures that were drawn beforehand. In a notebook every "
        "parameter has a slider, and each picture is computed when you ask for it.",
        "## Questions",
        "\n".join(markdown(question) for question in questions),
        "## Parameters",
        _table(("parameter", "label", "values", "at first"), [_control(explorer.model, n) for n in controls]),
        "## Presets",
        _table(("preset", "what it sets"), [(p, _values(kind, v)) for p, v in kind.model_class.presets.items()]),
        "## The same picture in code",
        f"```python\n{explorer.code()}\n```",
        "With sliders, in a notebook:",
        f"```python\nfrom rmt_lab.explorers import {kind.__name__}\n\n{kind.__name__}()\n```",
        "## Where it is used",
        "\n".join([*places, f"- {{py:class}}`rmt_lab.explorers.{kind.__name__}` in the reference"]),
    ]
    return "\n\n".join(lines) + "\n"


def with_pages(text: str) -> str:
    """A page in whose tables the names of explorers lead to their pages."""
    for kind in KINDS:
        text = text.replace(f"\n| `{kind.__name__}` |", f"\n| [{kind.__name__}](../explorers/{name(kind)}.md) |")
    return text


def markdown(text: str) -> str:
    """A sentence of a docstring in Markdown."""
    return text.replace("``", "`").replace("*", r"\*")


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _control(model: Any, control: str) -> tuple[str, str, str, str]:
    made, trait = model.controls()[control], model.traits()[control]
    values = "on or off"
    if made["control"] == "number":
        values = f"{trait.min:g} to {trait.max:g}"
    elif made["control"] == "choice":
        values = "; ".join(model.options(control))
    return f"`{control}`", made["label"], values, f"{getattr(model, control)}"


def _values(kind: type[Explorer], values: Any) -> str:
    return ", ".join(f"`{k}={v!r}`" for k, v in values.items()) or "the first picture"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
