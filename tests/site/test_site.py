"""The folder of the site: it is whole, it needs no other host, and it says what the notebooks say."""

import importlib
import json
import re

import pytest
from checker import broken, foreign, pages, read
from course import CORE, NOTEBOOKS, ROOT
from make_site import offer
from site_notebooks import sliders

import rmt_lab
from rmt_lab.explorers.gallery import KINDS

pytestmark = pytest.mark.slow


def page_of(site, path):
    return site / path.relative_to(ROOT).with_suffix(".html")


def test_every_link_leads_somewhere(site):
    assert broken(site) == []


def test_nothing_comes_from_another_host(site):
    assert foreign(site) == []
    assert (site / "_static" / "mathjax" / "tex-svg.js").stat().st_size > 1e6


def test_it_is_small_enough_to_carry(site):
    assert sum(p.stat().st_size for p in site.rglob("*") if p.is_file()) < 60e6


def test_every_flipbook_is_small(site):
    sizes = {p.name: p.stat().st_size for p in (site / "flipbooks").glob("*.html")}
    assert len(sizes) > len(KINDS)
    assert max(sizes.values()) <= 1_300_000, sizes


def test_what_lies_beside_the_site_is_named_once_it_is_there(tmp_path):
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    offer(tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == text
    (tmp_path / "lite").mkdir()
    for name in ("course.pdf", "lite/index.html"):
        (tmp_path / name).touch()
        offer(tmp_path)
    links = read(tmp_path / "index.html").links
    assert [link for link in links if link in {"course.pdf", "lite/index.html"}] == ["course.pdf", "lite/index.html"]


def test_the_landing_page_leads_to_everything(site):
    links = {link.partition("#")[0] for link in read(site / "index.html").links}
    assert {page_of(site, path).relative_to(site).as_posix() for path in NOTEBOOKS} <= links
    assert {f"docs/{p.stem}.html" for p in (ROOT / "docs").glob("*.md")} - {"docs/index.html"} <= links
    assert len([link for link in links if re.fullmatch(r"explorers/\w+\.html", link)]) == len(KINDS)
    assert {"api/index.html", "CHANGELOG.html", "course.html"} <= links
    assert '<iframe class="flipbook" src="flipbooks/spike.html"' in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_has_its_pictures_with_words_and_flipbooks_for_sliders(site, path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    text = page_of(site, path).read_text(encoding="utf-8")
    places = sliders(notebook)
    frames = re.findall(r'<iframe class="flipbook" src="([^"]+)" title="(\w+):', text)
    assert [kind for _, kind in frames] == [place.kind for place in places.values()]
    assert all((page_of(site, path).parent / address).resolve().exists() for address, _ in frames)
    assert "jupyter.widget" not in text
    drawn = [c for c in notebook["cells"] if any("image/png" in o.get("data", {}) for o in c.get("outputs", []))]
    pictures = {
        src: alt for src, alt in read(page_of(site, path)).pictures.items() if "_images" in src and "badge" not in alt
    }
    shown = [alt for src, alt in pictures.items() if src.endswith(".png")]
    assert len(shown) == len(drawn) - len(places)
    assert all(len(alt.split()) > 3 for alt in shown), shown


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_an_explorer_has_a_page(site, kind):
    (path,) = [p for p in (site / "explorers").glob("*.html") if f"<title>{kind.__name__} " in p.read_text("utf-8")]
    text = path.read_text(encoding="utf-8")
    page = read(path)
    assert {"questions", "parameters", "presets", "the-same-picture-in-code", "where-it-is-used"} <= page.anchors
    assert any(link.endswith(f"#rmt_lab.explorers.{kind.__name__}") for link in page.links)
    assert f'src="../flipbooks/{path.name}"' in text
    used = [p for p in NOTEBOOKS if f"{kind.__name__}(" in p.read_text(encoding="utf-8")]
    assert all(any(f"{p.stem}.html#" in link for link in page.links) for p in used)


def test_the_reference_has_every_public_name(site):
    anchors = set().union(*(page.anchors for path, page in pages(site).items() if path.parent.name == "api"))
    for name in rmt_lab.__all__:
        named = getattr(rmt_lab, name)
        if hasattr(named, "__qualname__"):
            assert any(a.endswith(f".{named.__qualname__}") for a in anchors), name
    for room in ("tails", "laws", "ensembles", "spectrum", "plotting", "explorers", "weights"):
        module = importlib.import_module(f"rmt_lab.{room}")
        missing = [n for n in module.__all__ if callable(getattr(module, n)) and f"rmt_lab.{room}.{n}" not in anchors]
        assert missing == []


def test_the_course_is_in_order(site):
    links = [link for link in read(site / "course.html").links if re.fullmatch(r"notebooks/\d\d_\w+\.html", link)]
    assert list(dict.fromkeys(links)) == [page_of(site, path).relative_to(site).as_posix() for path in CORE]
