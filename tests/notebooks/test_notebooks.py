"""The committed notebooks: run in order, with outputs, small; and a check that nbval would notice a change.

nbval itself runs them (``make test``); it passes vacuously on a notebook without outputs, so that is ruled out here.
"""

import json
import re
import subprocess
import sys

import nbconvert
import nbformat
import pytest
from course import CORE, EXTRAS, NOTEBOOKS, PLANNED, ROOT, UNFINISHED, prefix

LONGEST = 50  # minutes, a core notebook
WORDS, LINES = 130, 8  # read in a minute, and understood in a minute
MINUTES = {"exercise": 3, "written": 3, "prediction": 1}
SLIDER = 4  # minutes
FEWEST_OUTPUTS = 3  # compared by nbval, a notebook
MOST_EXEMPTED = 2  # cells that nbval does not compare, a notebook
MOST_GIVEN_WHOLE = 5  # whole numbers of the text that are definitions, references or quotations, a notebook
MOST_GIVEN = 3  # numbers of the text with a decimal point that are definitions or quotations, a notebook
WIDGET = "application/vnd.jupyter.widget-view+json"


def tags_of(cell):
    return cell["metadata"].get("tags", [])


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_cells(path):
    return [c for c in cells_of(path) if c["cell_type"] == "code" and "".join(c["source"]).strip()]


def test_there_are_notebooks():
    assert [prefix(p) for p in CORE] == [f"{i:02}" for i in range(11)]
    folder = ROOT / "notebooks"
    assert sorted(folder.rglob("*.ipynb")) == sorted(NOTEBOOKS), "a notebook is called NN_slug, or xN_slug in extras"


def test_notebooks_that_are_named_are_there():
    there = {p.stem for p in NOTEBOOKS}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "binder" / "README.md", *(ROOT / "docs").glob("*.md")]
    texts = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in pages}
    texts |= {p.stem: "\n".join("".join(c["source"]) for c in cells_of(p)) for p in NOTEBOOKS}
    for name, text in texts.items():
        named = set(re.findall(r"`((?:\d\d|x\d+)_[a-z_]+)`|\b((?:\d\d|x\d+)_[a-z_]+)\.ipynb", text))
        assert {a or b for a, b in named} <= there | PLANNED, name
    assert there == set(re.findall(r"^\| `(\w+)` \|", texts["README.md"], re.MULTILINE)) & (there | PLANNED)


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
    folded = [cell["metadata"].pop("jupyter") for cell in notebook["cells"] if "install" in tags_of(cell)]
    assert folded == [{"source_hidden": True}]
    assert {key for cell in notebook["cells"] for key in cell["metadata"]} <= {"tags"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_without_jupyterlab_shows_every_picture(path):
    """As on GitHub and nbviewer, where no slider runs: what stands instead of an explorer is its picture.

    A widget that has no picture leaves a line.
    """
    bundles = [o["data"] for c in code_cells(path) for o in c["outputs"] if "data" in o]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.read(path, as_version=4))
    widgets = [bundle for bundle in bundles if WIDGET in bundle]
    lines = ["".join(bundle["text/html"]) for bundle in widgets if "text/html" in bundle]
    assert [line for line in lines if line not in page] == []
    explorers = [bundle for bundle in widgets if "text/html" not in bundle]
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
    assert texts[0].startswith(f"# {prefix(path)} ")
    for opening in ("**The question.** ", "**You will be able to** ", "**You need** ", "**Time:** "):
        assert opening in texts[0]
    closing = texts[-1].partition("## In this notebook, we learnt\n")[2]
    assert closing.count("\n- ") >= 3
    following = re.search(r"^\*\*Next:\*\* .*`(\d\d)_\w+`", closing, re.MULTILINE)
    assert path == CORE[-1] or path in EXTRAS or int(following[1]) == int(prefix(path)) + 1


def minutes_named(path):
    """The time that a notebook states in its first cell."""
    return int(re.search(r"\*\*Time:\*\* (\d+) minutes", "".join(cells_of(path)[0]["source"]))[1])


def minutes_counted(cells):
    """The time that cells take, by their words, lines of code, exercises and sliders; folded cells do not count."""
    minutes = 0.0
    for cell in cells:
        text, tags = "".join(cell["source"]), set(tags_of(cell))
        if cell["cell_type"] == "markdown" and not tags & {"solution", "answers"}:
            open_text = re.sub(r"<details>.*?</details>|^\[!\[.*$", "", text, flags=re.DOTALL | re.MULTILINE)
            minutes += len(re.findall(r"\S*\w\S*", open_text)) / WORDS
        if cell["cell_type"] == "code" and "install" not in tags:
            minutes += len([line for line in text.splitlines() if line.strip()]) / LINES
            minutes += sum(MINUTES[tag] for tag in tags & set(MINUTES)) + SLIDER * ("Explorer(" in text)
    return minutes


def test_minutes_are_counted():
    def cell(kind, text, *tags):
        return {"cell_type": kind, "source": [text], "metadata": {"tags": list(tags)}}

    folded = cell("markdown", "word " * 300, "solution"), cell("markdown", "<details>" + "word " * 300 + "</details>")
    assert minutes_counted(folded) == 0
    assert (
        minutes_counted([cell("markdown", "# A\n\n" + "one, two - " * 64 + "\n\n[![Open](a.svg)](b.md)")])
        == 129 / WORDS
    )
    assert minutes_counted([cell("code", "a = 1\n\n\nb = 2"), cell("code", "c = 3", "install")]) == 2 / LINES
    asked = [cell("code", "f()", tag) for tag in ("exercise", "written", "prediction")]
    assert minutes_counted([*asked, cell("code", "BulkExplorer()")]) == 3 + 3 + 1 + 4 + 4 / LINES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_keeps_the_time_that_it_names(path):
    named, counted = minutes_named(path), minutes_counted(cells_of(path))
    assert named >= 20
    assert named <= LONGEST or path in EXTRAS
    assert prefix(path) in UNFINISHED or counted <= named, f"{counted:.1f} minutes by its words, lines and exercises"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_minutes_of_its_sections_add_up(path):
    texts = ["".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "markdown"]
    sections = re.findall(r"^## .*\((\d+) minutes?\)$", "\n".join(texts), re.MULTILINE)  # those without "optional"
    assert not sections or sum(map(int, sections)) == pytest.approx(minutes_named(path), abs=3)


def decimals(text):
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", text)


def wholes(text):
    """Whole numbers of two digits or more, but years and the names of notebooks."""
    found = re.findall(r"(?<![\w.,/\-^{])\d{2,}(?![\w.]*\d)(?!\w)", text)
    return [n for n in found if not re.fullmatch(r"0\d|10|(19|20)\d\d", n)]


def printed_by(path):
    """What the cells print and say, the code of the solutions, and what the checks of the exercises hold."""
    outputs = [o for c in code_cells(path) for o in c["outputs"]]
    texts = [o["text"] if "text" in o else o["data"]["text/plain"] for o in outputs]
    solutions = re.findall(r"```python\n(.*?)```", text_of(path, FOLDED), re.DOTALL)
    return " ".join("".join(text) for text in [*texts, *(c["source"] for c in code_cells(path)), *solutions])


FOLDED = {"solution", "answers"}


def text_of(path, tags=None):
    """The prose of a notebook: the open one, or that of cells with these tags."""
    cells = [c for c in cells_of(path) if c["cell_type"] == "markdown"]
    chosen = [c for c in cells if (tags & set(tags_of(c)) if tags else FOLDED.isdisjoint(tags_of(c)))]
    return "\n".join("".join(c["source"]) for c in chosen)


def given(stated, path, *more):
    """The decimals that no cell prints, or rounds to."""
    printed = [n for text in (printed_by(path), *more) for n in decimals(text)]
    return {n for n in stated if not any(f"{float(p):.{len(n.partition('.')[2])}f}" == n for p in printed)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_numbers_of_the_text_are_printed_by_a_cell(path):
    """Or round to what is printed, or stand in the code. Folded answers may also use what the checks hold."""
    found = given(set(decimals(text_of(path))), path)
    assert len(found) <= MOST_GIVEN, found
    number = prefix(path)
    checks = (ROOT / "rmt_lab" / "exercises" / f"{'n' if number.isdigit() else ''}{number}.py").read_text("utf-8")
    prose = re.sub(r"```python\n.*?```", "", text_of(path, FOLDED), flags=re.DOTALL)
    assert given(set(decimals(prose)), path, checks) == set()
    text = re.sub(
        r"```.*?```|`[^`]*`|\$[^$]*\$|https?://\S+|\*\*Time:.*?minutes|arXiv \S+", "", text_of(path), flags=re.DOTALL
    )
    said = set(wholes(printed_by(path))) | set(wholes(checks))
    assert len({n for n in wholes(text) if n not in said}) <= MOST_GIVEN_WHOLE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_numbers_of_the_instructors_guide_are_the_notebooks(path):
    number = prefix(path)
    sections = re.split(r"^#{2,3} ", (ROOT / "docs" / "instructors.md").read_text("utf-8"), flags=re.MULTILINE)
    (section,) = [s for s in sections if s.startswith(f"{number} ")]
    checks = (ROOT / "rmt_lab" / "exercises" / f"{'n' if number.isdigit() else ''}{number}.py").read_text("utf-8")
    found = given(set(decimals(section)), path, checks, text_of(path))
    assert len(found) <= MOST_GIVEN, found


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
