"""A notebook as the site shows it: pictures with words, and a flipbook where a slider stands."""

from __future__ import annotations

import ast
import copy
import re
from html import escape
from typing import Any, NamedTuple

Notebook = dict[str, Any]
Cell = dict[str, Any]

WIDGET = "application/vnd.jupyter.widget-view+json"


class Placed(NamedTuple):
    """An explorer in a notebook: its class, its parameters, and the heading that it stands under."""

    kind: str
    parameters: dict[str, Any]
    heading: str


def shown(notebook: Notebook, flipbooks: dict[str, str]) -> Notebook:
    """The notebook as the site shows it.

    ``flipbooks`` has the address of a flipbook by the output that stands for the slider. A slider without one keeps
    its picture.
    """
    page = copy.deepcopy(notebook)
    for cell in page["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.pop(WIDGET, None) is not None:
                said = "".join(data["text/plain"])
                if said in flipbooks:
                    output["data"] = {"text/html": frame(flipbooks[said], said)}
        if words := alt_text(cell):
            cell["metadata"]["mystnb"] = {"image": {"alt": words}}
    return page


def frame(address: str, said: str) -> str:
    """The flipbook of an explorer within a page."""
    title = f"{said.partition('(')[0]}: one slider over drawn pictures"
    return f'<iframe class="flipbook" src="{escape(address)}" title="{escape(title)}" loading="lazy"></iframe>'


def sliders(notebook: Notebook) -> dict[str, Placed]:
    """The explorers of a notebook by what their outputs say: the call that makes them again, with all parameters."""
    found, heading = {}, ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            heading = (re.findall(r"^#+ (.*)", source(cell), re.MULTILINE) or [heading])[-1]
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                said = "".join(output["data"]["text/plain"])
                if "Explorer(" in said:  # and no other widget, the box for a file, say
                    kind, parameters = _call(said)
                    found[said] = Placed(kind, parameters, heading)
    return found


def _call(said: str) -> tuple[str, dict[str, Any]]:
    """The name of the class and the parameters in ``SpikeExplorer(strength=1.5, M=200)``."""
    call = ast.parse(said, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError(f"the output of a slider is {said!r}; a call of an explorer with its parameters is allowed")
    return call.func.id, {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def alt_text(cell: Cell) -> str | None:
    """The words of a cell's picture: the sentences that the cell prints, or the title in its code."""
    outputs = cell.get("outputs", [])
    pictures = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    if not pictures:
        return None
    said = "".join(pictures[0].get("text/plain", ""))
    if "Explorer(" in said:
        return f"The first picture of {said}"
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    sentences = [line for line in printed.splitlines() if line.endswith(".") and len(line.split()) > 5]
    titles = re.findall(r'(?:finish\(\w+|title)\([^"]*"([^"]+)"|, "([^"]+)"', source(cell))
    title = next((a or b for a, b in titles if len((a or b).split()) > 3), None)
    return sentences[0] if sentences else title


def source(cell: Cell) -> str:
    """The text of a cell."""
    return "".join(cell["source"])
