"""What ``import rmt_lab`` promises."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rmt_lab
from rmt_lab.plotting import plot_fingers, plot_training
from rmt_lab.tails.search import MISFIT


def test_the_import_is_light():
    heavy = "torch transformers matplotlib.pyplot ipywidgets powerlaw pandas scipy.stats safetensors gguf"
    code = f"import rmt_lab, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_mathematics_needs_no_models_plots_or_widgets():
    heavy = "torch transformers matplotlib ipywidgets powerlaw pandas"
    mathematics = "Spectrum MarchenkoPastur fit_bulk fit_power_law fix_fingers".split()
    code = f"from rmt_lab import {', '.join(mathematics)}; import sys; "
    code += f"print([m for m in {heavy.split()} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    for name in rmt_lab.__all__:
        assert getattr(rmt_lab, name).__doc__, name
        assert name in dir(rmt_lab)
    assert not hasattr(rmt_lab, "no_such_name")


def test_few_entries_under_the_package():
    package = Path(rmt_lab.__file__).parent
    assert len([p for p in package.iterdir() if p.name != "__pycache__"]) <= 24


ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
SOURCES = [*(ROOT / "rmt_lab").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]


def private_reads(path, imports_only=False):
    """What a file takes from others that begins with an underscore: names it imports, attributes it never sets."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if re.match("_[a-z]", alias.name, re.IGNORECASE)]
            yield from (n for n in names if not (ROOT / "rmt_lab" / f"{n}.py").exists())
        elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not imports_only and not of_itself and node.attr not in own:
                yield ast.unparse(node)


FOREIGN = {"_replace", "_forward_pre_hooks"}  # of a named tuple, and of a torch module


@pytest.mark.parametrize("path", sorted((ROOT / "rmt_lab").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_reads_what_is_private_to_another(path):
    assert [n for n in private_reads(path) if n.rpartition(".")[2] not in FOREIGN] == []


@pytest.mark.parametrize("folder", ["scripts", "benchmarks"])
def test_scripts_and_studies_import_public_names(folder):
    assert {p.name: n for p in (ROOT / folder).glob("*.py") for n in private_reads(p, imports_only=True)} == {}


def resolves(name):
    """Whether a dotted name is a module or something in one."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=lambda p: str(p.relative_to(ROOT)))
def test_names_and_files_that_texts_mention_exist(path):
    text = path.read_text(encoding="utf-8")
    names = {n.rstrip(".") for n in re.findall(r"(?<![\w./])rmt_lab(?:\.\w+)+", text)}
    files = set(re.findall(r"(?<![\w./])((?:rmt_lab|docs|benchmarks|scripts|tests)/[\w/]+\.(?:py|md))", text))
    assert [n for n in sorted(names) if not n.endswith((".git", ".py")) and not resolves(n)] == []
    assert [f for f in sorted(files) if not (ROOT / f).exists()] == []


def test_texts_quote_the_table_of_misfits():
    from rmt_lab.trainings.phases import __doc__ as phases

    assert f"D sqrt(n_tail) <= {MISFIT['searched'][0.99]:.2f} and" in phases
    for draw in (plot_fingers, plot_training):
        assert f" {MISFIT['searched'][0.95]:.2f}" in draw.__doc__
