"""Write the badges and the cell that installs the course into README.md and into every notebook.

The badges stand under the title. They open the page on mybinder.org, on Colab and on the course's site. The cell is the
first one with code: it installs the package on Colab and in JupyterLite, where a notebook opens without it. Elsewhere
it does nothing.

Both come from one address in pyproject.toml, ``Repository`` under ``[project.urls]``: set it once, when there is a
public repository, and run this again (``make badges``). The site is expected where GitHub Pages puts it, or where
``Documentation`` says. While there is no address, all badges lead to binder/README.md, which says so.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
_IN_ORDER = ("[0-9][0-9]", "extras/x[0-9]", "extras/x[0-9][0-9]")
PAGES = [ROOT / "README.md", *(path for n in _IN_ORDER for path in sorted(FOLDER.glob(f"{n}_*.ipynb")))]
LINE = re.compile(r"(?:\[!\[[^]]*\]\([^)]*badge[^)]*\)\]\([^)]*\) ?)+\n\n")
UNSET = "no address yet: `make badges` sets it"  # shown where the mouse rests on a badge
INSTALL = ["install", "remove-cell"]  # tags of the cell; the second one keeps it out of pages made by Sphinx
CELL = """\
# On Colab and in JupyterLite, this cell installs the course. Elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    {colab}
if sys.platform == "emscripten":
    %pip install --quiet rmt-lab[rivals]
    import tqdm

    tqdm.tqdm.monitor_interval = 0  # threads do not start there"""
COLAB = """\
%pip install --quiet "rmt-lab[rivals] @ git+{}"
    from google.colab import output

    output.enable_custom_widget_manager()"""  # Colab's own widgets are those of ipywidgets 7
NOWHERE = 'raise RuntimeError("This copy does not know its repository. binder/README.md says how to set it.")'


def addresses() -> tuple[str | None, str | None]:
    """The addresses of the repository and of the site, as pyproject.toml states them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project.get("urls", {})
    return urls.get("Repository"), urls.get("Documentation")


def owner_and_name(repository: str) -> tuple[str, str]:
    """The two names in the address of a repository on GitHub.

    Raises
    ------
    ValueError
        If the address is not that of a repository on GitHub.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", repository)
    if not found:
        raise ValueError(f"Repository is {repository!r}; https://github.com/OWNER/NAME is allowed")
    return found[1], found[2]


def badges(page: Path, repository: str | None, site: str | None = None) -> str:
    """The badges of a page. They open that notebook, or from README.md the first notebook and the site's first page.

    Raises
    ------
    ValueError
        If the address is not that of a repository on GitHub.
    """
    extra = "extras/" if re.match(r"x\d+_", page.name) else ""
    folder = "binder" if page.suffix == ".md" else "../../binder" if extra else "../binder"
    if repository is None:
        targets = [f'{folder}/README.md "{UNSET}"'] * 3
    else:
        owner, name = owner_and_name(repository)
        stem = f"notebooks/{extra}{'00_start_here' if page.suffix == '.md' else page.stem}"
        own = name.lower() == f"{owner}.github.io".lower()  # whose pages have no folder
        site = (site or f"https://{owner}.github.io/{'' if own else name}").rstrip("/") + "/"
        targets = [
            f"https://mybinder.org/v2/gh/{owner}/{name}/HEAD?urlpath=lab/tree/{stem}.ipynb",
            f"https://colab.research.google.com/github/{owner}/{name}/blob/main/{stem}.ipynb",
            site if page.suffix == ".md" else f"{site}{stem}.html",
        ]
    words = {"binder": "Open on Binder", "colab": "Open on Colab", "site": "Read on the site"}
    made = [
        f"[![{text}]({folder}/badge-{key}.svg)]({to})" for (key, text), to in zip(words.items(), targets, strict=True)
    ]
    return " ".join(made) + "\n\n"


def with_badges(text: str, line: str) -> str:
    """A text that begins with a title, with these badges below it and no others."""
    title, _, rest = LINE.sub("", text).partition("\n\n")
    return f"{title}\n\n{line}{rest}"


def install_cell(repository: str | None) -> dict[str, Any]:
    """The cell that installs the package where a notebook opens without it. It is folded, and has no output."""
    if repository:
        owner, name = owner_and_name(repository)
        colab = COLAB.format(f"https://github.com/{owner}/{name}")
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "install",
        "metadata": {"jupyter": {"source_hidden": True}, "tags": INSTALL},
        "outputs": [],
        "source": CELL.format(colab=colab if repository else NOWHERE).splitlines(keepends=True),
    }


def with_install_cell(notebook: dict[str, Any], repository: str | None) -> None:
    """Put the cell under the title, and count the cells anew if they were run: nothing else depends on it."""
    cells = [cell for cell in notebook["cells"] if cell.get("id") != "install"]
    notebook["cells"] = [cells[0], install_cell(repository), *cells[1:]]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    if all(cell["execution_count"] is None for cell in code):
        return
    for number, cell in enumerate(code, start=1):
        cell["execution_count"] = number
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = number


def write(page: Path, repository: str | None, site: str | None = None) -> None:
    """Write the badges and, into a notebook, the cell."""
    text = page.read_text(encoding="utf-8")
    line = badges(page, repository, site)
    if page.suffix == ".md":
        page.write_text(with_badges(text, line), encoding="utf-8")
        return
    notebook = json.loads(text)
    first = notebook["cells"][0]
    first["source"] = with_badges("".join(first["source"]), line).splitlines(keepends=True)
    with_install_cell(notebook, repository)
    page.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        write(page, *addresses())
    print(f"badges on {len(PAGES)} pages: {addresses()[0] or 'binder/README.md, pyproject.toml names no Repository'}")
