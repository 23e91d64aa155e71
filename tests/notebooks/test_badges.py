"""Badges and the cell that installs the course: on every page, and made from the address in pyproject.toml."""

import ast
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import pytest
from course import BINDER, NOTEBOOKS, ROOT, cells, script
from IPython.core.inputtransformer2 import TransformerManager

badges = script("badges")
ADDRESS = "https://github.com/some-one/rmt.lab"
SITE = "https://some-one.github.io/rmt.lab/"


def text(page):
    content = page.read_text(encoding="utf-8")
    return content if page.suffix == ".md" else "".join(json.loads(content)["cells"][0]["source"])


@pytest.mark.parametrize("page", badges.PAGES, ids=lambda p: p.stem)
def test_every_page_has_its_badges_below_the_title(page):
    title, line, _ = text(page).split("\n\n", 2)
    assert title.startswith("# ")
    assert f"{line}\n\n" == badges.badges(page, *badges.addresses()), "run `make badges`"
    pictures = re.findall(r"\((\S+badge-\w+\.svg)\)", text(page))
    assert [path.rpartition("badge-")[2] for path in pictures] == ["binder.svg", "colab.svg", "site.svg"]
    assert all((page.parent / path).exists() for path in pictures)


def test_the_pages_of_an_account_have_no_folder():
    line = badges.badges(badges.PAGES[1], "https://github.com/Some-One/some-one.github.io")
    assert "(https://Some-One.github.io/notebooks/00_start_here.html)" in line


def test_no_notebook_is_forgotten():
    assert badges.PAGES == [ROOT / "README.md", *NOTEBOOKS]


def test_without_an_address_the_badges_name_the_command_and_lead_to_the_page_that_explains_it():
    line = badges.badges(badges.PAGES[0], None)
    assert line.count('(binder/README.md "no address yet: `make badges` sets it")') == 3
    page = (BINDER / "README.md").read_text(encoding="utf-8")
    assert "**You came here by a badge?**" in page
    assert "`make badges`" in page
    assert "badges:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("end", ["", ".git", "/"])
def test_an_address_opens_each_notebook_by_itself(end):
    first, second = (badges.badges(page, ADDRESS + end) for page in badges.PAGES[1:3])
    stem = "notebooks/00_start_here"
    assert re.findall(r"\]\((https:[^)]*)\)", first) == [
        f"https://mybinder.org/v2/gh/some-one/rmt.lab/HEAD?urlpath=lab/tree/{stem}.ipynb",
        f"https://colab.research.google.com/github/some-one/rmt.lab/blob/main/{stem}.ipynb",
        f"{SITE}{stem}.html",
    ]
    assert second == first.replace("00_start_here", "01_the_law_of_noise")
    for new in ("x9_new", "x10_new"):
        extra = badges.badges(ROOT / "notebooks" / "extras" / f"{new}.ipynb", ADDRESS)
        assert extra == first.replace("../", "../../").replace("00_start_here", f"extras/{new}")
    readme = badges.badges(badges.PAGES[0], ADDRESS)
    assert readme == first.replace("../", "").replace(f"{SITE}{stem}.html", SITE)
    assert "(https://here.org/course/)" in badges.badges(badges.PAGES[0], ADDRESS, "https://here.org/course")


def test_another_address_is_refused():
    with pytest.raises(ValueError, match="Repository is 'rmt_lab'; https://github.com/OWNER/NAME is allowed"):
        badges.badges(badges.PAGES[0], "rmt_lab")


def test_badges_replace_those_that_were_there():
    lines = [badges.badges(badges.PAGES[1], address) for address in (None, ADDRESS)]
    found = "# 00 Title\n\n[![Open on Binder](../binder/badge.svg)](../binder/README.md)\n\nText.\n\nMore."
    for line in [*lines, *lines[::-1]]:
        found = badges.with_badges(found, line)
        assert found == f"# 00 Title\n\n{line}Text.\n\nMore."


def test_writing_what_is_there_changes_nothing(tmp_path):
    for page in badges.PAGES:
        copy = tmp_path / page.name
        copy.write_bytes(page.read_bytes())
        badges.write(copy, *badges.addresses())
        assert copy.read_bytes() == page.read_bytes(), page.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_code_cell_of_every_notebook_installs_the_course(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    made = badges.install_cell(badges.addresses()[0])
    assert notebook["cells"][1] | {"execution_count": None} == made, "run `make badges`"
    assert [cell.kind for cell in cells(path)[:2]] == ["markdown", "code"]
    assert sum("install" in cell.tags for cell in cells(path)) == 1


def test_a_notebook_without_the_cell_gets_it_and_is_counted_anew():
    result = nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=7)
    code = [nbformat.v4.new_code_cell("1", execution_count=7, outputs=[result]), nbformat.v4.new_code_cell(" ")]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), *code])
    badges.with_install_cell(made, ADDRESS)
    assert [cell.get("execution_count") for cell in made.cells] == [None, 1, 2, None]
    assert made.cells[2].outputs[0].execution_count == 2
    fresh = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell("1")])
    badges.with_install_cell(fresh, ADDRESS)
    assert [cell.get("execution_count") for cell in fresh.cells] == [None, None, None]


@pytest.mark.parametrize("address", [None, ADDRESS])
def test_the_cell_does_nothing_here_and_the_right_thing_elsewhere(address, monkeypatch):
    """IPython turns its %pip lines into calls, which are taken down here instead of run."""
    source = "".join(badges.install_cell(address)["source"])
    assert len(source.splitlines()) < 15
    code = compile(ast.parse(TransformerManager().transform_cell(source)), "cell", "exec")

    class Shell:
        def run_line_magic(self, name, line):
            asked.append(f"{name} {line}")

    class Output:
        def enable_custom_widget_manager(self):
            asked.append("widgets")

    space = {"get_ipython": Shell}
    asked = []
    exec(code, space)
    assert asked == []
    with monkeypatch.context() as colab:
        for name in ("google", "google.colab"):
            colab.setitem(sys.modules, name, type(sys)(name))
        sys.modules["google.colab"].output = Output()
        if address:
            exec(code, space)
            assert asked == [f'pip install --quiet "rmt-lab[rivals] @ git+{ADDRESS}"', "widgets"]
        else:
            with pytest.raises(RuntimeError, match="binder/README.md says how to set it"):
                exec(code, space)
    asked = []
    monkeypatch.setattr(sys, "platform", "emscripten")
    tqdm = type(sys)("tqdm")
    tqdm.tqdm = Output
    monkeypatch.setitem(sys.modules, "tqdm", tqdm)
    exec(code, space)
    assert asked == ["pip install --quiet rmt-lab[rivals]"]
    assert Output.monitor_interval == 0


@pytest.mark.parametrize("path", sorted(BINDER.glob("badge-*.svg")), ids=lambda p: p.stem)
def test_pictures_are_small_and_have_words(path):
    assert path.stat().st_size < 1000
    assert len(ElementTree.fromstring(path.read_text(encoding="utf-8")).attrib["aria-label"]) > 10


def test_ruff_has_nothing_against_the_cell(tmp_path):
    for number, address in enumerate([None, ADDRESS]):
        notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
        badges.with_install_cell(notebook, address)
        (tmp_path / f"{number}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    for command in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *command, f"--config={ROOT / 'pyproject.toml'}", str(tmp_path)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


def test_jupyterlab_starts_where_the_badge_can_be_seen():
    """Started on a file, it serves nothing above the file's folder unless it is told."""
    for name in ("Makefile", "README.md"):
        (command,) = re.findall(r"jupyter lab .*", (ROOT / name).read_text(encoding="utf-8"))
        assert command == "jupyter lab --ServerApp.root_dir=. notebooks/00_start_here.ipynb"
