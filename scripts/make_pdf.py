"""Make the course on paper, build/course.pdf: python scripts/make_pdf.py

The notebooks in their order, with the outputs that they hold. Solutions are left out. Where a notebook asks, there is
room for a pen: a box for a prediction, lines for an answer. A slider stands as its first picture.

Pandoc turns the words into typst, formulas included; what a cell has printed goes beside pandoc, as data. How all of it
looks is said in course.typ.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import struct
import tempfile
import tomllib
from html import unescape
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pypandoc
from handout import BADGE, FOLDED, VERBS
from make_site import offer
from site_notebooks import WIDGET, alt_text

from rmt_lab._files import written_whole
from rmt_lab.report.paper import typst

Cell = dict[str, Any]

ROOT = Path(__file__).parents[1]
TITLE = "Random matrix theory for deep networks: the course"
PARTS = {
    "The course": sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")),
    "Extras": [
        path for n in ("x[0-9]", "x[0-9][0-9]") for path in sorted((ROOT / "notebooks").glob(f"extras/{n}_*.ipynb"))
    ],
}
NAMES = {path.stem for paths in PARTS.values() for path in paths}
LEFT_OUT = FOLDED | {"remove-cell"}
#: Pixels of a figure as wide as the page; narrower ones keep their letters as large as those of the others.
FULL_WIDTH = 1050
FOLD = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
SAID = re.compile(r"\b[Nn]otebook (\d\d|x\d+)\b")  # a notebook by its number
TAG = re.compile(r"\\tag\{(.*?)\}")
MARKDOWN = "commonmark_x-gfm_auto_identifiers"
STRICT = ["--fail-if-warnings"]  # as of a formula that pandoc does not know
FENCE = "`" * 5
LINES = {"five sentences": 7}  # to write an answer on; for two or three sentences 4


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the course on paper.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "course.pdf", help="default: build/course.pdf")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rmt-lab-") as folder:
        gather(Path(folder))
        paper = typst().compile(Path(folder) / "main.typ", ignore_system_fonts=True)
    for place in (out, ROOT / "build" / "site" / "course.pdf"):
        if place.parent.is_dir():
            with written_whole(place) as file:
                file.write(paper)
            print(f"{place}: {len(paper) / 1e6:.1f} MB")
    offer(ROOT / "build" / "site")


def gather(folder: Path) -> None:
    """Everything that typst reads, in a folder; main.typ is where it begins."""
    shutil.copy(ROOT / "scripts" / "course.typ", folder)
    (folder / "paper.typ").write_bytes(resources.files("rmt_lab.report").joinpath("paper.typ").read_bytes())
    parts = []
    for part, paths in PARTS.items():
        parts.append(f"# {part}")
        for path in paths:
            parts += markdown(path, folder)
    tree = json.loads(pypandoc.convert_text("\n\n".join(parts), "json", format=MARKDOWN, extra_args=STRICT))
    body = pypandoc.convert_text(json.dumps(linked(tree)), "typst", format="json", extra_args=[*STRICT, "--wrap=none"])
    (folder / "main.typ").write_text(f'#import "course.typ": *\n{front()}\n{body}', encoding="utf-8")


def front() -> str:
    """The call that sets the title page and the description of the file."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    words = {"title": TITLE} | {name: about[name] for name in ("description", "version", "license")}
    authors = ", ".join(quoted(author["name"]) for author in about["authors"])
    return f"#show: course.with({', '.join(f'{k}: {quoted(v)}' for k, v in words.items())}, authors: ({authors},))"


def markdown(path: Path, folder: Path) -> list[str]:
    """A notebook as Markdown for pandoc, with calls of course.typ between; its pictures go into the folder."""
    numbers = {name.partition("_")[0]: name for name in NAMES}
    parts = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        tags, source = set(cell["metadata"].get("tags", [])), "".join(cell["source"])
        if tags & LEFT_OUT:
            continue
        if cell["cell_type"] == "markdown":
            if number == 0:
                source = BADGE.sub("", source).replace("\n", f" {{#{path.stem}}}\n", 1)
            source = SAID.sub(lambda found: f"[{found[0]}](#{numbers[found[1]]})", source)
            parts.append(FOLD.sub(r"**\1.**\2", source))
        else:
            if tags & VERBS.keys() and not parts[-1].startswith(FENCE):
                words, asked = re.fullmatch(r"(.*\n\n)?(.+?)\s*", parts.pop(), re.DOTALL).groups("")
                parts += [words, *raw("#question["), asked, *raw("]")]
            parts += calls(code(cell, tags, source, f"{path.stem}-{number}", folder))
    # the title of a notebook stands below that of its part
    return [part if part.startswith(FENCE) else re.sub(r"^(?=#+ )", "#", part, flags=re.MULTILINE) for part in parts]


def code(cell: Cell, tags: set[str], source: str, name: str, folder: Path) -> list[str]:
    """A cell of code and what it has put out, as calls of course.typ."""
    kind = re.sub(r",? (?:in|with the) quotes.*", "", (re.findall(r"= \.\.\.  # (.*)", source) or [""])[0])
    if "prediction" in tags:
        return [f"prediction({quoted(kind)})"]
    if "written" in tags:
        return [f"written({quoted(kind)}, {LINES.get(kind, 4)})"]
    if source.startswith("progress("):
        rows = re.findall(r"\[ \] (\S+) +(.*)", plain(cell["outputs"][0]["data"]))
        return [f"open({table(rows)})"]
    if "exercise" in tags:
        hint = "".join(re.findall(r"<summary>Hint</summary>(.*?)</details>", html(cell["outputs"][-1]["data"])))
        made = f"code({quoted(source)}, sticky: true)"
        return [made, f"exercise({quoted(unescape(hint))}, {5 if 'def ' in source else 1})"]
    made, printed = [f"code({quoted(source)})"], ""
    for number, output in enumerate(cell["outputs"]):
        if "text" in output:
            printed += "".join(output["text"])
            continue
        made += [*said(printed), *shown(output["data"], f"{name}-{number}.png", alt_text(cell), folder)]
        printed = ""
    return made + said(printed)


def shown(data: dict[str, Any], name: str, alt: str | None, folder: Path) -> list[str]:
    """One output other than printed text, as calls of course.typ."""
    if "image/png" in data:
        png = base64.b64decode(data["image/png"])
        (folder / name).write_bytes(png)
        pixels = struct.unpack(">I", png[16:20])[0] / (2 if WIDGET in data else 1)
        picture = f"picture({quoted(name)}, {quoted(alt or '')}, {min(1, pixels / FULL_WIDTH):.3f})"
        return [picture, f"slider({quoted(plain(data))})"] if WIDGET in data else [picture]
    if "<table" in html(data) and "You predicted" not in html(data):
        reader = Table()
        reader.feed(html(data))
        return [f"results({quoted(reader.title)}, {table(reader.head)}, {table(reader.rows)})"]
    return said(plain(data).replace("No prediction was recorded. ", ""))


def said(text: str) -> list[str]:
    """Printed text: sentences as sentences, everything else in columns as it stands."""
    groups: list[tuple[str, list[str]]] = []
    for line in text.strip("\n").splitlines():
        sentence = line[:1].isupper() and line.endswith(".") and len(line.split()) > 5 and "  " not in line
        name = "sentences" if sentence else "columns-of"
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        groups[-1][1].append(line)
    return [f"{name}({quoted(chr(10).join(lines))})" for name, lines in groups]


class Table(HTMLParser):
    """The cells of a table in HTML, its head apart, and its title."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.head: list[list[str]] = []
        self.rows: list[list[str]] = []
        self._part, self._text = self.rows, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"thead", "tbody"}:
            self._part = self.head if tag == "thead" else self.rows
        elif tag == "tr":
            self._part.append([])
        elif tag in {"caption", "td", "th"}:
            self._text = ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.title = self._text.strip()
        elif tag in {"td", "th"}:
            self._part[-1].append(self._text.strip())


def linked(tree: Any) -> Any:
    """The tree of pandoc with links to notebooks within the paper, and without those that lead nowhere from there."""
    if isinstance(tree, list):
        return [new for node in tree for new in (_node(node) if isinstance(node, dict) else [linked(node)])]
    return {key: linked(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def _node(node: dict[str, Any]) -> list[Any]:
    kind, content = node.get("t"), node.get("c")
    if kind == "AlignDefault":
        return [{"t": "AlignLeft"}]
    if kind == "Math" and (number := TAG.search(content[1])):
        around = [{"t": "RawInline", "c": ["typst", words]} for words in (f"#numbered({quoted(number[1])})[", "]")]
        return [around[0], node, around[1]]
    if kind == "Code" and content[1] in NAMES:
        return [{"t": "Link", "c": [["", [], []], [node], [f"#{content[1]}", ""]]}]
    if kind == "Link" and not re.match(r"https?:", content[2][0]):
        name = Path(content[2][0].removeprefix("#").partition("#")[0]).stem
        words = linked(content[1])
        return [{"t": "Link", "c": [content[0], words, [f"#{name}", ""]]}] if name in NAMES else words
    return [linked(node)]


def calls(expressions: list[str]) -> list[str]:
    """Calls of functions of course.typ, as they stand in Markdown."""
    return [part for expression in expressions for part in raw(f"#{expression}")]


def raw(typst: str) -> list[str]:
    """What pandoc leaves as it is."""
    return [f"{FENCE}{{=typst}}\n{typst}\n{FENCE}"]


def table(rows: Any) -> str:
    """Rows of words as typst writes them."""
    return "(" + "".join(f"({''.join(quoted(word) + ', ' for word in row)}), " for row in rows) + ")"


def quoted(text: str) -> str:
    """A string as typst writes it, so that no word is taken for a command."""
    return json.dumps(text, ensure_ascii=False)


def plain(data: dict[str, Any]) -> str:
    return "".join(data["text/plain"])


def html(data: dict[str, Any]) -> str:
    return "".join(data.get("text/html", ""))


if __name__ == "__main__":
    main()
