"""Write the course for JupyterLite, Python in the browser without a server, into build/site/lite/.

    python scripts/make_lite.py                   # Pyodide is then loaded from its own host, the version below
    python scripts/make_lite.py --pyodide FOLDER  # from the folder, for a room without a network

JupyterLite's core and its Pyodide kernel belong together: both are pinned in constraints.txt. What Pyodide does not
have is downloaded from PyPI in the versions of constraints.txt, as wheels of pure Python. The folder works by itself
under any address, over http.
"""

from __future__ import annotations

import argparse
import html
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyterlite_pyodide_kernel.constants import PYODIDE_PYTHON_VERSION, PYODIDE_VERSION
from make_site import offer

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "@jupyterlite" / "pyodide-kernel-extension"
WHEELS = ["powerlaw", "ipywidgets", "jupyterlab_widgets", "comm", "anywidget", "psygnal"]  # Pyodide has the others
WITH_VIEW = ["jupyterlab_widgets-", "anywidget-"]  # wheels that bring a part of JupyterLab
OLD_FONTS = {".svg", ".eot", ".ttf"}  # for browsers without woff2, which have no WebAssembly, either: 2.5 MB
APPS = ["lab", "notebooks"]  # the second one has a single notebook on its page, for a narrow screen


def make(out: Path, pyodide: Path | None = None) -> Path:
    """Write the folder anew, and return it."""
    if any(out.glob("*")) and not (out / "jupyter-lite.json").is_file():
        raise SystemExit(f"--out {out} holds something else, which would be removed")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".lite-") as work:
        lite = Path(work) / "lite"
        shutil.copytree(NOTEBOOKS, lite / "contents" / "notebooks", ignore=shutil.ignore_patterns(".*", "my_model.*"))
        (lite / "contents" / "binder").mkdir()
        for path in [ROOT / "binder" / "README.md", *(ROOT / "binder").glob("badge-*.svg")]:
            shutil.copy(path, lite / "contents" / "binder")  # the badges of the notebooks
        if pyodide:
            shutil.copytree(pyodide, lite / "static" / "pyodide")
        wheels = download(lite / "wheels")
        (lite / "jupyter_lite_config.json").write_text(json.dumps(config(wheels)), encoding="utf-8")
        command = [sys.executable, "-m", "jupyterlite_core", "build"]
        subprocess.run(command, cwd=lite, check=True, stdout=subprocess.DEVNULL)
        for path in (lite / "made" / "build").glob("fa-*"):
            if path.suffix in OLD_FONTS:
                path.unlink()
        (lite / "made" / "index.html").write_text(landing_page(), encoding="utf-8")
        if out.exists():
            out.rename(Path(work) / "old")
        (lite / "made").rename(out)
    offer(out.parent)
    return out


def download(folder: Path) -> list[Path]:
    """The wheels that Pyodide does not have: this package, made here, and others from PyPI."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pure = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    pure += [f"--python-version={PYODIDE_PYTHON_VERSION}", f"--constraint={ROOT / 'constraints.txt'}"]
    subprocess.run([*pip, "wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT)], check=True)
    subprocess.run([*pip, "download", "--no-deps", f"--dest={folder}", *pure, *WHEELS], check=True)
    return sorted(folder.glob("*.whl"))


def config(wheels: list[Path]) -> dict[str, dict[str, object]]:
    """What JupyterLite builds: its applications, and of the extensions that are installed here only the kernel's."""
    views = [str(wheel) for wheel in wheels if wheel.name.startswith(tuple(WITH_VIEW))]
    return {
        "LiteBuildConfig": {
            "output_dir": "made",
            "contents": ["contents"],
            "apps": APPS,
            "no_sourcemaps": True,
            "no_unused_shared_packages": True,
            "ignore_sys_prefix": ["federated_extensions"],
            "federated_extensions": [str(KERNEL), *views],
        },
        "PipliteAddon": {"piplite_urls": [str(wheel) for wheel in wheels]},
    }


def landing_page() -> str:
    """The first page: what was checked, and the notebooks."""
    links = []
    in_order = ("[0-9][0-9]", "extras/x[0-9]", "extras/x[0-9][0-9]")
    for path in [path for n in in_order for path in sorted(NOTEBOOKS.glob(f"{n}_*.ipynb"))]:
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        title = html.escape(first.partition("\n")[0].removeprefix("# "))
        place = path.relative_to(ROOT).as_posix()
        links.append(f'<li><a href="notebooks/index.html?path={place}">{title}</a></li>')
    page = (ROOT / "scripts" / "lite.html").read_text(encoding="utf-8")
    return page.replace("<!-- notebooks -->", "\n".join(links)).replace("PYODIDE_VERSION", PYODIDE_VERSION)


def megabytes(folder: Path) -> float:
    """The size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the course for JupyterLite.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "site" / "lite", help="folder (default: build/site/lite)"
    )
    parser.add_argument("--pyodide", type=Path, help="a folder with a Pyodide distribution, copied into --out")
    asked = parser.parse_args()
    made = make(asked.out, asked.pyodide)
    print(f"{made}: {megabytes(made):.0f} MB; serve it with: python -m http.server --directory {made}")
