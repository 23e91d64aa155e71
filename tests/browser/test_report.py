"""The page to hand in, opened from a file in a real browser."""

import contextlib

import pytest
from browser import SCREENSHOTS, listen, page

from rmt_lab.report import write_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_page("minilm", path)
    return path


@contextlib.contextmanager
def opened(report, width=1280, **context):
    """The page, and what went wrong on it or was asked of another place."""
    with page(width, 900) as first:
        tab = first.context.browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
        errors = listen(tab)
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else errors.append(r.url))
        tab.goto(report.as_uri())
        yield tab, errors


def column(tab, number):
    return tab.locator(f"#layers tbody tr:visible > :nth-child({number})").all_inner_texts()


def test_sorting_and_filtering_by_keyboard(report):
    with opened(report) as (tab, errors):
        heads = tab.locator("#layers thead th")
        names = [text.split(" ↕")[0] for text in heads.all_inner_texts()]
        alpha = names.index("α") + 1
        button = heads.nth(alpha - 1).locator("button")
        before = column(tab, 1)
        for direction, sign in (("ascending", 1), ("descending", -1)):
            button.focus()
            tab.keyboard.press("Enter")
            assert heads.nth(alpha - 1).get_attribute("aria-sort") == direction
            values = column(tab, alpha)
            assert values[-1] == "–"  # the layer that failed, whichever way
            numbers = [float(v) for v in values[:-1]]
            assert numbers == sorted(numbers, reverse=sign < 0)
        assert [h.get_attribute("aria-sort") for h in heads.all()].count("none") == len(names) - 1
        heads.first.locator("button").press("Space")
        assert column(tab, 1) == sorted(before, key=lambda name: name.replace("-", " "))
        tab.locator("#filter").fill("QUERY can")
        rows = tab.locator("#layers tbody tr:visible").all_inner_texts()
        assert rows
        assert all("query" in row and "can't tell" in row for row in rows)
        assert tab.locator("#count").inner_text() == f"{len(rows)} of 40 rows"
        tab.locator("#filter").fill("")
        assert len(column(tab, 1)) == 40
        assert not errors


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_nothing_is_asked_of_another_host(report, width, scheme):
    with opened(report, width, color_scheme=scheme) as (tab, errors):
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth)")
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / f"report {width} {scheme}.png", full_page=True)
        assert not errors


def test_without_script_the_table_is_all_there(report):
    with opened(report, java_script_enabled=False) as (tab, errors):
        assert tab.locator("#layers tbody tr").count() == 40
        assert not tab.locator("#filter").is_visible()
        assert not tab.locator("#layers button").count()
        assert not errors
