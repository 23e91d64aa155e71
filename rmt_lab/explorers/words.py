"""What the docstring of an explorer says to a reader: its name, its idea and its questions."""

from __future__ import annotations

import inspect
import re


def title(kind: type) -> str:
    """The name of an explorer in words.

    Examples
    --------
    >>> from rmt_lab.explorers import HeavyTailExplorer
    >>> title(HeavyTailExplorer)
    'heavy tail'
    """
    return re.sub(r"(?<=.)([A-Z])", r" \1", kind.__name__.removesuffix("Explorer")).lower()


def idea_and_questions(kind: type) -> tuple[str, list[str]]:
    """The idea of an explorer, and what it asks.

    Examples
    --------
    >>> from rmt_lab.explorers import EdgeExplorer
    >>> idea, questions = idea_and_questions(EdgeExplorer)
    >>> idea[:51], len(questions)
    ('The largest eigenvalue of noise does not stop at th', 3)
    """
    text = (inspect.getdoc(kind) or "").split("\nParameters\n")[0].split("\nExamples\n")[0]
    idea, *rest = text.strip().split("\n\n")
    questions = re.split(r"\n(?=\d\. )", "\n".join(part for part in rest if part.startswith("1. ")))
    return " ".join(idea.split()), [" ".join(question.split()) for question in questions]
