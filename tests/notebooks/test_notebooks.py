"""The committed notebooks: run in order, with outputs, small; and a check that nbval would notice a change.

nbval itself runs them (``make test``); it passes vacuously on a notebook without outputs, so that is ruled out here.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbconvert
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
FEWEST_OUTPUTS = 3  # compared by nbval, a notebook
MOST_EXEMPTED = 2  # cells that nbval does not compare, a notebook
MOST_GIVEN = 3  # numbers of the text with a decimal point that are definitions or quotations, a notebook
WIDGET = "application/vnd.jupyter.widget-view+json"


def tags_of(cell):
    return cell["metadata"].get("tags", [])


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_cells(path):
    return [c for c in cells_of(path) if c["cell_type"] == "code" and "".join(c["source"]).strip()]


def test_there_are_notebooks():
    assert NOTEBOOKS[0].name == "00_start_here.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_run_top_to_bottom_with_outputs_that_nbval_compares(path):
    cells = code_cells(path)
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    tags = [tag for c in cells for tag in tags_of(c)]
    sources = ["".join(c["source"]) for c in cells]
    exempted = [t for t in tags if t.startswith("nbval-")] + [s for s in sources if "NBVAL_" in s]
    assert len(exempted) <= MOST_EXEMPTED
    texts = [o for o in outputs if "text" in o or "text/plain" in o.get("data", {})]
    assert len(texts) >= FEWEST_OUTPUTS
    assert path.stat().st_size < 1e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_stored_but_sources_tags_and_outputs(path):
    """State of sliders hides their pictures from pages made without JupyterLab; times differ in every run."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert {key for cell in notebook["cells"] for key in cell["metadata"]} <= {"tags"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_without_jupyterlab_shows_every_picture(path):
    """As on GitHub and nbviewer, where no slider runs: what stands instead of an explorer is its picture."""
    bundles = [o["data"] for c in code_cells(path) for o in c["outputs"] if "data" in o]
    explorers = [bundle for bundle in bundles if WIDGET in bundle]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.read(path, as_version=4))
    assert bool(explorers) == any("Explorer(" in "".join(c["source"]) for c in code_cells(path))
    assert all("image/png" in bundle for bundle in explorers)
    pictures = ["".join(bundle["image/png"]).strip() for bundle in bundles if "image/png" in bundle]
    assert pictures
    assert [picture for picture in pictures if picture not in page] == []
    words = ["".join(bundle["text/plain"]).partition("=")[0] for bundle in explorers]
    assert [word for word in words if f"{word}=" in page] == []
    assert WIDGET not in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_opens_with_what_it_is_for_and_closes_with_what_was_learnt(path):
    texts = ["".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "markdown"]
    assert texts[0].startswith(f"# {path.name[:2]} ")
    for opening in ("**The question.** ", "**You will be able to** ", "**You need** ", "**Time:** "):
        assert opening in texts[0]
    closing = texts[-1].partition("## In this notebook, we learnt\n")[2]
    assert closing.count("\n- ") >= 3
    following = re.search(r"^\*\*Next:\*\* .*`(\d\d)_\w+`", closing, re.MULTILINE)
    assert path == NOTEBOOKS[-1] or int(following[1]) == int(path.name[:2]) + 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_its_sections_fit_into_the_time_it_names(path):
    texts = ["".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "markdown"]
    named = int(re.search(r"\*\*Time:\*\* (\d+) minutes", texts[0])[1])
    sections = re.findall(r"^## .*\((\d+) minutes?\)$", "\n".join(texts), re.MULTILINE)  # those without "optional"
    assert 25 <= named <= 45
    assert sum(map(int, sections)) == pytest.approx(named, abs=3)


def decimals(text):
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_numbers_of_the_text_are_printed_by_a_cell(path):
    """Or round to what is printed, or stand in the code."""
    folded = {"solution", "answers"}
    prose = [c for c in cells_of(path) if c["cell_type"] == "markdown" and folded.isdisjoint(tags_of(c))]
    outputs = [o for c in code_cells(path) for o in c["outputs"]]
    texts = [o["text"] if "text" in o else o["data"]["text/plain"] for o in outputs]
    printed = decimals(" ".join("".join(text) for text in [*texts, *(c["source"] for c in code_cells(path))]))
    stated = {number for c in prose for number in decimals("".join(c["source"]))}
    given = {n for n in stated if not any(f"{float(p):.{len(n.partition('.')[2])}f}" == n for p in printed)}
    assert len(given) <= MOST_GIVEN, given


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_picture_comes_with_words(path):
    drawn = [c for c in code_cells(path) if any("image/png" in o.get("data", {}) for o in c["outputs"])]
    assert drawn
    for cell in drawn:  # a widget's words are its repr
        words = [o.get("text") or o["data"].get("text/plain", "") for o in cell["outputs"]]
        said = [w for w in map("".join, words) if not w.startswith("<Figure")]
        assert len(" ".join(said)) > 40, "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_thoughts(path):
    for cell in code_cells(path):
        assert len("".join(cell["source"]).splitlines()) < 15
        assert not "".join(cell["source"]).rstrip().endswith(";")  # nbval ignores it and fails


@pytest.mark.slow
def test_nbval_notices_a_changed_number(tmp_path):
    """In the first cell that prints numbers: the cells before it pass, and it fails."""
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    sources = ["".join(c["source"]) for c in notebook["cells"]]
    changed = next(i for i, source in enumerate(sources) if "sigma=layer.entry_std" in source)
    notebook["cells"] = notebook["cells"][: changed + 1]
    notebook["cells"][changed]["source"] = sources[changed].replace("sigma=layer", "sigma=1.01 * layer")
    mutated = tmp_path / "mutated.ipynb"
    mutated.write_text(json.dumps(notebook), encoding="utf-8")
    before = sum(c["cell_type"] == "code" for c in notebook["cells"][:changed])
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, "--rootdir", str(tmp_path), str(mutated)], capture_output=True, text=True)
    assert run.returncode == 1
    assert before > 0
    assert f"1 failed, {before} passed in " in run.stdout
