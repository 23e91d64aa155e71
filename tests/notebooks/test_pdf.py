"""The course on paper: nothing is missing, nothing runs out of a page, and no solution is in it."""

import io
import re

import numpy as np
import pytest
from course import NOTEBOOKS, cells, tagged

typst = pytest.importorskip("typst", reason='a PDF needs pip install -e ".[pdf]"')
pytest.importorskip("pypandoc", reason='the course as PDF needs pip install -e ".[site]"')

import make_pdf  # noqa: E402

MOST_MEGABYTES = 15
PPI = 36
EDGE = 15  # millimetres of paper at both sides that nothing may be printed on
BELOW = 6  # and at the foot, below the number of the page


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    """The folder that typst reads."""
    folder = tmp_path_factory.mktemp("pdf")
    make_pdf.gather(folder)
    return folder


@pytest.fixture(scope="module")
def main(gathered):
    return (gathered / "main.typ").read_text(encoding="utf-8")


def words(text):
    """A text without its signs, so that the same words in Markdown and in typst are the same."""
    return " ".join(re.findall(r"[^\W_]+", text.replace("\\n", " ")))


def leaks(path, paper):
    """The lines of solutions and answers that are on paper, other than those that the notebook shows elsewhere."""
    folded = [*tagged(path, "solution"), *tagged(path, "answers")]
    open_ = words("\n".join(cell.source for cell in cells(path) if cell not in folded))
    lines = [words(line) for cell in folded for line in cell.source.splitlines()]
    return [line for line in lines if len(line) > 20 and line in paper and line not in open_]


@pytest.mark.slow
def test_compiles_without_a_warning(gathered):
    paper, warnings = typst.compile_with_warnings(gathered / "main.typ", ignore_system_fonts=True)
    assert [warning.message for warning in warnings] == []
    assert paper.startswith(b"%PDF")
    assert len(paper) < MOST_MEGABYTES * 1e6
    assert b"/Lang" in paper


@pytest.mark.slow
def test_nothing_runs_out_of_a_page(gathered):
    image = pytest.importorskip("PIL.Image")
    pages = typst.compile(gathered / "main.typ", format="png", ppi=PPI, ignore_system_fonts=True)
    edge, below = (round(mm / 25.4 * PPI) for mm in (EDGE, BELOW))
    out = []
    for number, png in enumerate(pages, start=1):
        paper = np.asarray(image.open(io.BytesIO(png)).convert("L"))
        strips = paper[:, :edge], paper[:, -edge:], paper[:below], paper[-below:]
        out += [number] * any((strip < 250).any() for strip in strips)
    assert len(pages) > 5 * len(NOTEBOOKS)
    assert out == []


@pytest.mark.slow
def test_every_notebook_is_in_the_outline(main):
    titles = [words(cells(path)[0].source.partition("\n")[0]) for path in NOTEBOOKS]
    assert [words(line) for line in re.findall(r"^== (.*)$", main, re.MULTILINE)] == titles
    for path in NOTEBOOKS:
        assert main.count(f"\n<{path.stem}>") == 1, path.stem
    assert "#link(<01_the_law_of_noise>)[`01_the_law_of_noise`]" in main


@pytest.mark.slow
def test_outputs_are_there_and_places_for_a_pen(gathered, main):
    for call, tag in (("prediction", "prediction"), ("written", "written"), ("exercise", "exercise")):
        assert main.count(f"#{call}(") == sum(len(tagged(path, tag)) for path in NOTEBOOKS), tag
    outputs = [output for path in NOTEBOOKS for cell in cells(path) for output in cell.outputs]
    pictures = re.findall(r'^#picture\("([^"]+)", (".*"), [\d.]+\)$', main, re.MULTILINE)
    assert len(pictures) == sum("image/png" in output.get("data", {}) for output in outputs)
    assert all((gathered / name).is_file() and len(alt) > 15 for name, alt in pictures)
    sources = "".join(cell.source for path in NOTEBOOKS for cell in cells(path) if cell.kind == "markdown")
    assert main.count("#numbered(") == sources.count(r"\tag{")


@pytest.mark.slow
def test_what_is_for_a_screen_is_left_out(main):
    for words_ in ("badge", "google.colab", "No prediction was recorded", "no answer given", "<details>", "</"):
        assert words_ not in main


@pytest.mark.slow
def test_no_solution_is_on_paper(main):
    assert {path.stem: leaks(path, words(main)) for path in NOTEBOOKS} == {path.stem: [] for path in NOTEBOOKS}


def test_a_solution_on_paper_would_be_found(tmp_path, monkeypatch):
    path = next(path for path in NOTEBOOKS if tagged(path, "solution"))
    assert not leaks(path, words("\n".join(make_pdf.markdown(path, tmp_path))))
    monkeypatch.setattr(make_pdf, "LEFT_OUT", set())
    assert leaks(path, words("\n".join(make_pdf.markdown(path, tmp_path))))


def test_a_table_keeps_its_cells():
    reader = make_pdf.Table()
    reader.feed(
        "<style>td {}</style><table><caption><b>A &amp; B</b></caption><thead><tr><th></th><th>x</th></tr></thead>"
        "<tbody><tr><th>one</th><td>1 <i>(2)</i></td></tr></tbody></table>"
    )
    assert (reader.title, reader.head, reader.rows) == ("A & B", [["", "x"]], [["one", "1 (2)"]])


def test_no_word_is_a_command():
    assert make_pdf.quoted('a "b" \\ #c $') == r'"a \"b\" \\ #c $"'
    assert make_pdf.said("x  y\nThe five words are one sentence.") == [
        'columns-of("x  y")',
        'sentences("The five words are one sentence.")',
    ]
