"""Write the badge that opens the course on mybinder.org into README.md and into every notebook, under its title.

It leads to the repository that pyproject.toml names, ``Repository`` under ``[project.urls]``: set it once, when there
is a public one, and run this again (``make badges``). While there is none, it leads to binder/README.md, which says so.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
PAGES = [ROOT / "README.md", *sorted(FOLDER.glob("[0-9][0-9]_*.ipynb")), *sorted(FOLDER.glob("extras/x[0-9]_*.ipynb"))]
BADGE = re.compile(r"\[!\[[^]]*\]\([^)]*badge[^)]*\)\]\([^)]*\)\n\n")


def repository() -> str | None:
    """The repository's address, if the project has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository")


def badge(page: Path, address: str | None) -> str:
    """The badge of a page, which opens that notebook, or the first one from README.md.

    Raises
    ------
    ValueError
        If the address is not that of a repository on GitHub.
    """
    extra = "extras/" if re.match(r"x\d_", page.name) else ""
    folder = "binder" if page.suffix == ".md" else "../../binder" if extra else "../binder"
    target = f"{folder}/README.md"
    if address:
        found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", address)
        if not found:
            raise ValueError(f"Repository is {address!r}; https://github.com/OWNER/NAME is allowed")
        name = page.name if page.suffix == ".ipynb" else "00_start_here.ipynb"
        target = f"https://mybinder.org/v2/gh/{found[1]}/HEAD?urlpath=lab/tree/notebooks/{extra}{name}"
    return f"[![Open on Binder]({folder}/badge.svg)]({target})\n\n"


def with_badge(text: str, line: str) -> str:
    """A text that begins with a title, with this badge below it and no other."""
    title, _, rest = BADGE.sub("", text).partition("\n\n")
    return f"{title}\n\n{line}{rest}"


def write(page: Path, address: str | None) -> None:
    """Write the badge into a page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        page.write_text(with_badge(text, badge(page, address)), encoding="utf-8")
        return
    notebook = json.loads(text)
    first = notebook["cells"][0]
    first["source"] = with_badge("".join(first["source"]), badge(page, address)).splitlines(keepends=True)
    page.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        write(page, repository())
    print(f"{len(PAGES)} badges lead to {repository() or 'binder/README.md: pyproject.toml names no Repository'}")
