"""What the notebooks say to an answer, as text and as HTML: feedback, notes, outcomes of experiments, progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from .answers import NoAnswer

_RIGHT, _OPEN, _PLAIN = "#1b6e3c", "#8a4b00", "#555555"


@dataclass(frozen=True, repr=False)
class Feedback:
    """What :func:`check` says. ``right`` tells programs; the rest is for the reader.

    Examples
    --------
    >>> Feedback("02-example", False, "it is too small", "Look at the units.")
    Not yet: it is too small. Hint: Look at the units.
    >>> Feedback("02-example", True, "The edges are sharp.")
    Right: The edges are sharp.
    """

    name: str
    right: bool
    text: str
    hint: str = ""

    def __repr__(self) -> str:
        if self.right:
            return f"Right: {_stop(self.text)}"
        hint = f" Hint: {self.hint}" if self.hint and self.text != NoAnswer.TEXT else ""
        return f"Not yet: {_stop(self.text)}{hint}"

    def _repr_html_(self) -> str:
        colour, mark = (_RIGHT, "&#10003; Right:") if self.right else (_OPEN, "&#9675; Not yet:")
        hint = f"<details><summary>Hint</summary>{escape(self.hint)}</details>" if self.hint and not self.right else ""
        return _box(colour, f'<b style="color: {colour}">{mark}</b> {escape(_stop(self.text))}{hint}')


@dataclass(frozen=True, repr=False)
class Note:
    """What :func:`predict` and :func:`write` say: whether something was recorded, and never whether it is right.

    Examples
    --------
    >>> Note("02-example", True, "Recorded: 'larger'. Run the next cell.")
    Recorded: 'larger'. Run the next cell.
    >>> Note("02-example", True, "Recorded: 12 words. A good answer names:", ["the units", "the sign"])
    Recorded: 12 words. A good answer names:
      - the units
      - the sign
    """

    name: str
    recorded: bool
    text: str
    points: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n  - ".join([_end(self.text), *self.points])

    def _repr_html_(self) -> str:
        points = f"<ul>{''.join(f'<li>{escape(p)}</li>' for p in self.points)}</ul>" if self.points else ""
        return _box(_PLAIN if self.recorded else _OPEN, f"{escape(_end(self.text))}{points}")


@dataclass(frozen=True, repr=False)
class Outcome:
    """What :func:`reveal` says: the prediction beside what came out, and one sentence on why.

    Examples
    --------
    >>> Outcome("02-example", "larger", "smaller (0.4)", "", "A mean varies less.")
    You predicted: larger. It came out: smaller (0.4). A mean varies less.
    """

    name: str
    predicted: str | None
    came_out: str
    difference: str
    why: str

    def __repr__(self) -> str:
        came_out = f"It came out: {self.came_out}."
        if self.predicted is None:
            return f"{came_out} No prediction was recorded. {_stop(self.why)}"
        return " ".join(filter(None, [f"You predicted: {self.predicted}.", came_out, self.difference, _stop(self.why)]))

    def _repr_html_(self) -> str:
        predicted = "no prediction was recorded" if self.predicted is None else self.predicted
        rows = "".join(
            f'<tr><td style="text-align:left">{label}</td><td style="text-align:left"><b>{escape(value)}</b></td></tr>'
            for label, value in (("You predicted:", predicted), ("It came out:", self.came_out))
        )
        after = " ".join(filter(None, [self.difference, _stop(self.why)]))
        return _box(_PLAIN, f"<table><tbody>{rows}</tbody></table>{escape(after)}")


class Item(NamedTuple):
    """A line of :class:`Progress`: an exercise, a prediction or a question, and what was done about it."""

    kind: str
    name: str
    title: str
    done: bool
    said: str  # solved; predicted: larger; 12 words


@dataclass(frozen=True, repr=False)
class Progress:
    """What is solved in this session, predicted and written, in the notebook's order."""

    notebook: str
    items: Sequence[Item]

    def __repr__(self) -> str:
        width = max((len(item.name) for item in self.items), default=0)
        return "\n".join([self._headline(), *(self._row(item, width) for item in self.items)])

    def _row(self, item: Item, width: int) -> str:
        said = f" ({item.said})" if item.done and item.kind != "exercise" else ""
        return f"  [{'x' if item.done else ' '}] {item.name:{width}}  {item.title}{said}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left">{f"&#10003; {escape(i.said)}" if i.done else "&#9675; open"}</td>'
            f'<td style="text-align:left"><code>{escape(i.name)}</code></td>'
            f'<td style="text-align:left">{escape(i.title)}</td></tr>'
            for i in self.items
        )
        return (
            f'<table><caption style="text-align:left"><b>{self._headline()}</b></caption><tbody>{rows}</tbody></table>'
        )

    def _headline(self) -> str:
        parts = []
        for kind, what in (
            ("exercise", "exercises solved"),
            ("prediction", "predictions recorded"),
            ("question", "answers written"),
        ):
            done = [item.done for item in self.items if item.kind == kind]
            if done:
                parts.append(f"{sum(done)} of {len(done)} {what}")
        return f"Notebook {self.notebook}: {', '.join(parts)}"


def _box(colour: str, inside: str) -> str:
    return f'<div role="status" style="border-left: 4px solid {colour}; padding: 4px 10px">{inside}</div>'


def _stop(text: str) -> str:
    """The text with a full stop, if it has no end of its own."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _end(text: str) -> str:
    return text if text.endswith(":") else _stop(text)
