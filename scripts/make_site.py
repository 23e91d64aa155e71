"""Make the site, a folder to put onto a web server or to open as it is: python scripts/make_site.py

Pages are gathered in build/site-source/ and made by Sphinx into build/site/. They keep the places that they have in the
repository, so that a relative link leads to the same page on GitHub and on the site. What the repository does not hold
is written here: the page of each explorer, the reference, and the course's table of contents.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import site_api
import site_explorers
from badges import owner_and_name
from site_notebooks import Notebook, Placed, frame, shown, sliders

from rmt_lab.explorers.view import Explorer

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
EXTRAS = [path for n in ("x[0-9]", "x[0-9][0-9]") for path in sorted((ROOT / "notebooks").glob(f"extras/{n}_*.ipynb"))]
GUIDES = ["instructors", "columns", "large-models", "families"]
STUDIES = [
    "nulls", "error-bars", "erg", "what-alpha-means", "does-alpha-know", "trainings", "temperature", "traps",
    "steering", "lower-end", "gallery",
]  # fmt: skip
BESIDE = ["CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "binder/README.md"]
#: What the first page says in place of a comment of this name, once the file is there.
BESIDE_IT = {
    "course.pdf": 'On paper: <a href="course.pdf">the course as a PDF</a>, without solutions.',
    "lite/index.html": 'Without Binder: <a href="lite/index.html">the course in your browser</a>, an experiment. '
    "It works on a web server, not from a folder on a disk.",
}
#: Names for the side of a page, where the heading is too long or says too little.
SHORT = {
    "course": "Overview", "docs/explorers": "Overview",
    "benchmarks/README": "Speed and agreement", "binder/README": "On Binder",
    "docs/families": "Families of models", "docs/trainings": "Three trainings",
    "docs/does-alpha-know": "Does alpha know?", "api/index": "Library",
    "docs/references": "Bibliography", "CONTRIBUTING": "Contributing",
}  # fmt: skip
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")
_ADDRESS = (
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {}).get("Repository")
)
REPOSITORY = _ADDRESS and f"https://github.com/{'/'.join(owner_and_name(_ADDRESS))}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the site.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="where to (default: build/site)")
    parser.add_argument("--source", type=Path, default=ROOT / "build" / "site-source", help="where pages are gathered")
    options = parser.parse_args()
    gather(options.source)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-j", "auto"]
    doctrees = options.source.with_name(options.source.name + "-doctrees")
    subprocess.run([*command, "-d", str(doctrees), str(options.source), str(options.out)], check=True)
    mend_listings(options.out)
    if (paper := options.out.with_name("course.pdf")).is_file():  # `make pdf` came first
        shutil.copy(paper, options.out)
    offer(options.out)
    size = sum(p.stat().st_size for p in options.out.rglob("*") if p.is_file())
    print(f"{options.out}: {len(list(options.out.rglob('*.html')))} pages, {size / 1e6:.0f} MB; open index.html")


def gather(source: Path) -> None:
    """Everything that Sphinx reads, in a folder."""
    if any(source.glob("*")) and not (source / "conf.py").is_file():
        raise SystemExit(f"--source {source} holds something else, which would be removed")
    shutil.rmtree(source, ignore_errors=True)
    for name in ("docs", "binder"):
        shutil.copytree(
            ROOT / name,
            source / name,
            ignore=shutil.ignore_patterns("_static", "conf.py", "*.yml", "postBuild", "start"),
        )
    shutil.copytree(ROOT / "docs" / "_static", source / "_static")
    shutil.copy(ROOT / "docs" / "conf.py", source)
    for name in BESIDE:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    notebooks = {path: json.loads(path.read_text(encoding="utf-8")) for path in [*CORE, *EXTRAS]}
    placed = {path: sliders(notebook) for path, notebook in notebooks.items()}
    addresses = make_flipbooks(source / "extra" / "flipbooks", placed)
    for path, notebook in notebooks.items():
        up = "../" * len(path.relative_to(ROOT).parents[:-1])
        page = source / path.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        books = {said: f"{up}flipbooks/{address}" for said, address in addresses.items()}
        page.write_text(json.dumps(shown(notebook, books)), encoding="utf-8")
    for kind in site_explorers.KINDS:
        used = [
            (path.relative_to(ROOT).as_posix(), title(notebooks[path]), place.heading)
            for path, places in placed.items() for place in places.values() if place.kind == kind.__name__
        ]  # fmt: skip
        text = site_explorers.page(kind, f"../flipbooks/{site_explorers.name(kind)}.html", used)
        write(source / "explorers" / f"{site_explorers.name(kind)}.md", text)
    for name, text in site_api.pages().items():
        write(source / "api" / f"{name}.rst", text)
    overview = source / "docs" / "explorers.md"
    overview.write_text(site_explorers.with_pages(overview.read_text(encoding="utf-8")), encoding="utf-8")
    add(source / "docs" / "references.md", "```{bibliography}\n:all:\n```")
    write(source / "course.md", course(notebooks))
    landing(source)
    for page in source.rglob("*.md"):
        page.write_text(
            with_links(page.read_text(encoding="utf-8"), page.relative_to(source), source), encoding="utf-8"
        )
    (source / "_static" / "mathjax").mkdir()
    shutil.copy(mathjax(), source / "_static" / "mathjax")


def offer(site: Path) -> None:
    """Name on the first page what `make pdf` and `make lite` have put beside it."""
    page = site / "index.html"
    if not page.is_file():
        return
    text = page.read_text(encoding="utf-8")
    for place, words in BESIDE_IT.items():
        if (site / place).is_file():
            text = text.replace(f"<!-- {place} -->", f"<p>{words}</p>")
    page.write_text(text, encoding="utf-8")


def mend_listings(out: Path) -> None:
    """Links from a listing of source code back to the reference, whose pages are named by the module that they show.

    Sphinx keeps one such module for each file, and here a name stands in its room or in its file.
    """
    for page in (out / "_modules" / "rmt_lab").rglob("*.html"):
        module = ".".join(page.relative_to(out / "_modules").with_suffix("").parts)
        room = ".".join(module.split(".")[:2])

        def link(found: re.Match[str], known: tuple[str, ...] = (f"{module}.", f"{room}.")) -> str:
            name = found[3].removeprefix(next((k for k in known if found[3].startswith(k)), ""))
            return f"{found[1]}{found[2]}.html#{found[2]}.{name}"

        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"(/api/)(rmt_lab[\w.]*?)\.html#(rmt_lab[\w.]+)", link, text), encoding="utf-8")


def make_flipbooks(folder: Path, placed: dict[Path, dict[str, Placed]]) -> dict[str, str]:
    """A flipbook for every explorer and every slider of a notebook; the files of the latter, by what the sliders say.

    A slider that stands where the explorer's own one stands shares its page.
    """
    folder.mkdir(parents=True)
    first = {repr(kind()): f"{site_explorers.name(kind)}.html" for kind in site_explorers.KINDS}
    kinds = {kind.__name__: kind for kind in site_explorers.KINDS}
    files = {name: (kind, {}) for kind, name in zip(site_explorers.KINDS, first.values(), strict=True)}
    addresses = {}
    for path, places in placed.items():
        for said, place in places.items():
            kind = kinds[place.kind]
            if said in first:
                addresses[said] = first[said]
            else:
                addresses[said] = f"{site_explorers.name(kind)}-{path.stem.partition('_')[0]}.html"
                files[addresses[said]] = kind, place.parameters
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(_flipbook, *zip(*[(kind, p, folder / file) for file, (kind, p) in files.items()], strict=True)))
    return addresses


def _flipbook(kind: type[Explorer], parameters: dict[str, Any], path: Path) -> None:
    explorer = kind(**parameters)
    model = explorer.model
    working = [name for name in (model.swept, *model.controls()) if name not in model.idle()]
    explorer.flipbook(working[0], path)


def landing(source: Path) -> None:
    """docs/index.md as the first page of the site, with the tables of contents that stand at its side."""
    text = with_links(
        (source / "docs" / "index.md").read_text(encoding="utf-8"), Path("docs/index.md"), source, to=Path("index.md")
    )
    (source / "docs" / "index.md").unlink()
    book = "flipbooks/spike.html"
    text = text.replace("<!-- flipbook -->", frame(book, "SpikeExplorer"))
    parts = {
        "Course": ["course", *(beside(path) for path in CORE)],
        "Extras": [beside(path) for path in EXTRAS],
        "Explorers": ["docs/explorers", *(f"explorers/{site_explorers.name(kind)}" for kind in site_explorers.KINDS)],
        "Guides": [f"docs/{name}" for name in GUIDES],
        "Studies": [*(f"docs/{name}" for name in STUDIES), "benchmarks/README"],
        "Reference": ["api/index", "docs/glossary", "docs/references", "CHANGELOG", "CONTRIBUTING", "binder/README"],
    }
    for caption, pages in parts.items():
        lines = "\n".join(f"{SHORT[page]} <{page}>" if page in SHORT else page for page in pages)
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"
    write(source / "index.md", text)


def beside(path: Path) -> str:
    """A notebook at the side of a page: what stands in its title before the colon, and its place."""
    name, colon, _ = title(json.loads(path.read_text(encoding="utf-8"))).partition(":")
    page = path.relative_to(ROOT).with_suffix("").as_posix()
    return f"{name} <{page}>" if colon else page


def course(notebooks: dict[Path, Notebook]) -> str:
    """The course in its order: what each notebook asks, and how long it takes."""
    text = "# The course\n\nOne idea a notebook. Each opens with the question that it answers.\n\n"
    for heading, paths in (("In order", CORE), ("Extras", EXTRAS)):
        listed = []
        for path in paths:
            first = "".join(notebooks[path]["cells"][0]["source"])
            asked = " ".join(re.search(r"\*\*The question\.\*\* (.*?)\n\n", first, re.DOTALL)[1].split())
            minutes = re.search(r"\*\*Time:\*\* (\d+) minutes", first)[1]
            listed.append(
                f":::{{grid-item-card}} {title(notebooks[path])}\n"
                f":link: {path.relative_to(ROOT).with_suffix('').as_posix()}\n:link-type: doc\n\n"
                f"{asked} *{minutes} minutes.*\n:::"
            )
        text += f"## {heading}\n\n{cards(listed)}\n\n"
    return text


def cards(made: Iterable[str]) -> str:
    """Cards side by side, one below the other on a telephone."""
    return "::::{grid} 1 1 2 2\n:gutter: 3\n\n" + "\n\n".join(made) + "\n\n::::"


def title(notebook: Notebook) -> str:
    """The heading of a notebook."""
    return str("".join(notebook["cells"][0]["source"]).partition("\n")[0].removeprefix("# "))


def with_links(text: str, page: Path, source: Path, to: Path | None = None) -> str:
    """A page whose links to what is not on the site lead to the repository or, while it has no address, are text.

    ``to``: where the page moves to; its links and pictures then start from there.
    """

    def link(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return found[0]
        place = Path(os.path.normpath(page.parent / path))
        if (source / place).exists():
            return f"{picture}[{text}]({os.path.relpath(place, (to or page).parent)}{hash_}{anchor})"
        if not (ROOT / place).exists():
            raise ValueError(f"{page} links to {target!r}, which is neither on the site nor in the repository")
        return f"[{text}]({REPOSITORY}/blob/HEAD/{place.as_posix()})" if REPOSITORY else text

    return LINK.sub(link, text)


def mathjax() -> Path:
    """The one file of MathJax that holds everything a formula needs."""
    (folder,) = find_spec("sphinx-mathjax-offline").submodule_search_locations
    return Path(folder) / "static" / "mathjax" / "tex-svg.js"


def add(page: Path, text: str) -> None:
    """Put a text at the end of a page."""
    page.write_text(page.read_text(encoding="utf-8") + f"\n{text}\n", encoding="utf-8")


def write(page: Path, text: str) -> None:
    """Write a page, and the folder that it stands in."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
