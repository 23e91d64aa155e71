"""Pages whose tables a command writes: the tables change, and nothing else does. And the pictures beside them."""

import pytest
from PIL import Image

from benchmarks import does_alpha_know, erg, lower_end, pages, steering, traps


@pytest.mark.parametrize("study", [does_alpha_know, erg, lower_end, steering, traps], ids=lambda s: s.PAGE.stem)
def test_the_same_tables_leave_the_page_as_it_is(study, tmp_path):
    page = tmp_path / study.PAGE.name
    text = study.PAGE.read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    before, tables, after = pages.split(page)
    assert before.endswith(f"python -m {study.__name__} --write -->\n")
    assert tables.startswith("#")
    pages.show(page, tables, write=True)
    assert page.read_text(encoding="utf-8") == text
    pages.show(page, "none", write=True)
    assert pages.split(page) == (before, "none", after)


def test_tables_are_printed_where_they_are_not_written(capsys, tmp_path):
    pages.show(tmp_path / "page.md", pages.table(["a", "b"], [["1", "2"]]), write=False)
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.mark.parametrize("path", sorted(pages.DOCS.glob("*.png")), ids=lambda p: p.name)
def test_a_picture_carries_its_words(path):
    with Image.open(path) as picture:
        assert picture.text["Description"].endswith(".")
