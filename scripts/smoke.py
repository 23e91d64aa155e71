"""Install a wheel with the newest dependencies, without constraints, on every Python at hand, and use it there.

    python scripts/smoke.py dist/rmt_lab-*.whl

Every Python that pyproject.toml names is looked for on PATH, then among those of pyenv; one that is not there is
skipped by name. Warnings of the imports are errors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT = """
import importlib, rmt_lab
for name in rmt_lab.__all__:
    getattr(rmt_lab, name)
for room in ("exercises", "explorers", "plotting", "report", "weights"):
    importlib.import_module(f"rmt_lab.{room}")
"""
DOCTEST = """
import doctest, importlib, sys
modules = map(importlib.import_module, sys.argv[1:])
tried = [doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE) for module in modules]
sys.exit(any(t.failed for t in tried) or not all(t.attempted for t in tried))
"""


def pythons() -> list[str]:
    """The versions of Python that the project says it supports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    head = "Programming Language :: Python :: "
    return [c.removeprefix(head) for c in project["classifiers"] if c.startswith(f"{head}3.")]


def interpreter(version: str) -> str | None:
    """The path of a Python of this version that runs, None where there is none."""
    name = f"python{version}"
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for path in [shutil.which(name), *map(str, kept)]:
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


def smoke(python: str, wheel: Path, version: str) -> None:
    """Install the wheel into a fresh environment and use it.

    Raises
    ------
    SystemExit
        If a command fails, or ``rmt-lab`` tells another version than the wheel's name.
    """
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:  # also the place to stand: no source of the repository in reach
        environment = Path(folder) / "environment"
        bin_ = environment / ("Scripts" if sys.platform == "win32" else "bin")

        def run(*command: str | Path) -> str:
            done = subprocess.run(command, cwd=folder, env=plain, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise SystemExit(f"{done.stdout}\nPython {python}: {' '.join(map(str, command))[:200]} failed")
            return done.stdout

        run(python, "-m", "venv", environment)
        run(bin_ / "python", "-m", "pip", "install", "--quiet", wheel.resolve())
        run(bin_ / "python", "-W", "error", "-c", IMPORT)
        if (told := run(bin_ / "rmt-lab", "--version").strip()) != f"rmt-lab {version}":
            raise SystemExit(f"rmt-lab --version says {told!r}; the wheel is {wheel.name}")
        analyze = "analyze minilm --layers query --fix-fingers clip_xmax --out table.csv"
        run(bin_ / "rmt-lab", *analyze.split())
        rows = (Path(folder) / "table.csv").read_text(encoding="utf-8").count("\n") - 1
        run(bin_ / "python", "-W", "error", "-c", DOCTEST, "rmt_lab.laws.marchenko_pastur", "rmt_lab.tails.power_law")
        names = ("numpy", "scipy", "pandas", "matplotlib", "ipywidgets")
        code = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {names}), sep=', ')"
        print(f"Python {python}: {rows} layers analysed; {run(bin_ / 'python', '-c', code).strip()}", flush=True)


def main(wheel: Path) -> int:
    """Try the wheel everywhere; 1 if no Python was found."""
    at_hand = {version: interpreter(version) for version in pythons()}
    for version, python in at_hand.items():
        if python is None:
            print(f"Python {version}: skipped, it is not at hand", flush=True)
        else:
            smoke(python, wheel, wheel.name.split("-")[1])
    return 0 if any(at_hand.values()) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
