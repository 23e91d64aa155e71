"""What the site is made from: pages that are right on GitHub, too, and words for every picture."""

import json
import re
import unicodedata

import pytest
from course import NOTEBOOKS, ROOT
from make_site import _flipbook, gather
from site_explorers import slug
from site_notebooks import alt_text, shown, sliders

import rmt_lab as rl
from rmt_lab import explorers

DOCS = sorted((ROOT / "docs").glob("*.md"))


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def headings(path):
    if path.suffix == ".ipynb":
        text = "\n".join("".join(c["source"]) for c in load(path)["cells"] if c["cell_type"] == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return [
        slug(heading)
        for heading in re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    ]


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.stem)
def test_links_of_a_page_lead_somewhere_in_the_repository(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_pictures_of_a_notebook_get_their_words(path):
    for cell in load(path)["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            words = alt_text(cell)
            assert words, cell["source"]
            assert len(words.split()) > 3
            assert not words.startswith("<Figure")


def test_a_slider_becomes_a_flipbook_and_keeps_its_picture_without_one():
    notebook = load(ROOT / "notebooks" / "06_bert_against_noise.ipynb")
    ((said, place),) = sliders(notebook).items()
    assert place.kind == "LayerExplorer"
    assert place.parameters["role"] == "feed-forward out"
    assert repr(explorers.LayerExplorer(**place.parameters)) == said

    def outputs(page):
        return [o["data"] for c in page["cells"] for o in c.get("outputs", []) if "data" in o]

    (made,) = [data for data in outputs(shown(notebook, {said: "book.html"})) if "iframe" in str(data)]
    assert 'src="book.html" title="LayerExplorer:' in made["text/html"]
    (kept,) = [data for data in outputs(shown(notebook, {})) if "".join(data.get("text/plain", "")) == said]
    assert set(kept) == {"text/plain", "image/png"}


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit, match="holds something else"):
        gather(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def with_widget(said):
    data = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": said}
    return {"cells": [{"cell_type": "code", "outputs": [{"data": data}]}]}


@pytest.mark.parametrize("said", ["<SpikeExplorer(>", "f.SpikeExplorer()", "SpikeExplorer(strength=x)"])
def test_an_explorer_that_cannot_be_made_again_is_refused(said):
    with pytest.raises((ValueError, SyntaxError)):
        sliders(with_widget(said))


@pytest.mark.parametrize("said", ["<Figure>", "Upload(no file)"])
def test_another_widget_has_no_slider(said):
    assert sliders(with_widget(said)) == {}


def columns_of(heading):
    text = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    before, after = text.split("## Two checkpoints")
    rows = re.findall(r"^\| (`.*?) \|", after if heading == "compare" else before, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_column_of_the_table_is_explained_and_no_other():
    spectra = [rl.gaussian_spectrum(120, 60, rng=0)]
    weights = {"layers.0.query.weight": rl.ensembles.gaussian(120, 60, rng=0)}
    table = rl.analyze(weights, randomize=True, verdict="quick", erg=True)
    assert sorted(columns_of("analyze")) == sorted(table.columns)
    assert set(rl.analyze(spectra).columns) < set(table.columns)
    changes = rl.compare(weights, {name: W + 0.1 for name, W in weights.items()}, draws=0)
    shared = ["layer_id", "name", "longname", "layer_type", "block", "role", "status"]
    assert sorted([*columns_of("compare"), *shared]) == sorted(changes.columns)


def test_the_glossary_is_in_order_and_explains_every_word_once():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert words == sorted(set(words), key=str.lower)
    asked = [
        "alpha",
        "ESD",
        "finger",
        "spike",
        "Q",
        "misfit",
        "xmin",
        "bulk",
        "edge",
        "Marchenko-Pastur law",
        "stable rank",
    ]
    assert set(asked) < set(words)


def test_the_bibliography_has_the_works_that_the_library_names():
    """Each "Johnstone (2001)" of a docstring or a notebook is a work of that year with an author of that name."""
    text = plain_letters((ROOT / "docs" / "references.bib").read_text(encoding="utf-8"))
    works = {}
    for entry in text.split("\n@"):
        works.setdefault(re.search(r"year = {(\d+)}", entry)[1], []).append(re.search(r"author = {(.*)},", entry)[1])
    files = [*(ROOT / "rmt_lab").rglob("*.py"), *NOTEBOOKS]
    texts = [plain_letters(file.read_text(encoding="utf-8")) for file in files]
    named = set(re.findall(r"([A-Z][a-z]\w*(?:-[A-Z]\w*)?)(?: et al\.)? \((19\d\d|20\d\d)[,)]", "\n".join(texts)))
    assert len(named) > 50
    assert [(name, year) for name, year in sorted(named) if name not in " ".join(works.get(year, []))] == []


def plain_letters(text):
    """A text without accents: Péché is Peche in a docstring."""
    return unicodedata.normalize("NFKD", text.replace("ł", "l")).encode("ascii", "ignore").decode()


def test_a_page_of_frames_goes_through_a_parameter_that_does_something(tmp_path):
    """Time does nothing while the repulsion is not 1, so that the page goes through the repulsion."""
    _flipbook(explorers.RepulsionExplorer, {"beta": 0.1, "draws": 1, "n": 50}, tmp_path / "hot.html")
    text = (tmp_path / "hot.html").read_text(encoding="utf-8")
    assert '<label for="slider">repulsion β' in text
