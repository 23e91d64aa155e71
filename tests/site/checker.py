"""What a folder of web pages promises: its links, their anchors, and no other host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

#: What a browser loads by itself, and the attributes that say where from.
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "video": "src",
    "audio": "src",
}
STAYS = ("data:", "mailto:", "javascript:")


class Page(NamedTuple):
    """The names that links may lead to, the links, what is loaded, and the pictures with their words."""

    anchors: set[str]
    links: list[str]
    loaded: list[str]
    pictures: dict[str, str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page(set(), [], [], {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.page.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.page.links.append(found["href"])
        if tag in LOADED and LOADED[tag] in found:
            self.page.loaded.append(found[LOADED[tag]])
        if tag == "img":
            self.page.pictures[found.get("src", "")] = found.get("alt", "")


def read(path: Path) -> Page:
    """A page."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def pages(folder: Path) -> dict[Path, Page]:
    """All pages of a folder."""
    return {path: read(path) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}


def broken(folder: Path) -> list[str]:
    """The links of a folder that lead nowhere in it."""
    found, wrong = pages(folder), []
    for path, page in found.items():
        for link in [*page.links, *page.loaded]:
            if _foreign(link) or link.startswith(STAYS):
                continue
            place, _, anchor = link.partition("#")
            place = unquote(place.partition("?")[0])
            target = (path.parent / place).resolve() if place else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                wrong.append(f"{path.relative_to(folder)}: {link}")
            elif anchor and target in found and unquote(anchor) not in found[target].anchors:
                wrong.append(f"{path.relative_to(folder)}: no anchor {link}")
    return wrong


def foreign(folder: Path) -> list[str]:
    """What pages and style sheets load from another host."""
    wrong = [f"{p.relative_to(folder)}: {x}" for p, page in pages(folder).items() for x in page.loaded if _foreign(x)]
    for path in folder.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        loads = re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", text)
        wrong += [f"{path.relative_to(folder)}: {x}" for x in loads]
    return wrong


def _foreign(link: str) -> bool:
    return bool(re.match(r"(https?:)?//", link))
