"""The page to hand in: what it says, that it needs nothing else, and that names are text."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from effort import calls

import rmt_lab.report.content as content_module
from rmt_lab import analyze
from rmt_lab.cli import main
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.report import write_page
from rmt_lab.report.content import MEANINGS, content_of
from rmt_lab.spectrum import Spectrum
from rmt_lab.verdict import RULES

EVIL = '</script><img src=x onerror="alert(1)"> & "quoted" $_{$'


class Reader(HTMLParser):
    """The elements of a page, its words, and whatever it would load."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.loads, self.pictures, self.attributes = [], [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append(tag)
        self.attributes |= set(attrs)
        self.loads += [attrs[a] for a in ("src", "href", "action", "srcset") if a in attrs]
        if tag == "img":
            self.pictures.append(attrs)

    def handle_data(self, data):
        self.words.append(data)


def page(path):
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    rng = np.random.default_rng(0)
    state = {f"h.{i}.attn.q_proj.weight": rng.normal(size=(60, 40)) for i in range(3)}
    state |= {f"h.{i}.mlp.c_fc.weight": rng.standard_t(2.2, size=(40, 120)) for i in range(3)}
    state |= {"bad.weight": np.full((30, 20), np.nan), f"{EVIL}.weight": rng.normal(size=(30, 20))}
    path = tmp_path_factory.mktemp("page") / "model.npz"
    np.savez(path, **state)
    return path


@pytest.fixture(scope="module")
def written(checkpoint):
    path = checkpoint.with_name("report.html")
    write_page(checkpoint, path)
    return path


def test_the_sections_in_their_order(written):
    found = re.findall(r"<h2[^>]*>(.*?)</h2>", written.read_text())
    assert found == [
        "What this page can and cannot say",
        "Verdicts",
        "Against noise",
        "Alpha against depth",
        "Layers against noise",
        "Fingers",
        "All layers",
        "Layers without an answer",
        "Where this comes from",
    ]


def test_nothing_is_loaded_from_anywhere(written):
    for address in page(written).loads:
        assert address.startswith(("data:", "#"))
    text = written.read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttp", text)


def test_names_from_files_are_text(written):
    seen = page(written)
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert seen.elements.count("script") == 1
    assert any(EVIL in words for words in seen.words)


def test_a_name_without_end_leaves_room_for_the_panel(tmp_path):
    write_page({"x" * 900: np.random.default_rng(0).normal(size=(40, 30))}, tmp_path / "report.html")  # no warning
    assert "x" * 900 in (tmp_path / "report.html").read_text()


def test_every_picture_has_words_and_a_caption(written):
    seen = page(written)
    assert len(seen.pictures) >= 4
    assert all(len(picture["alt"]) > 40 for picture in seen.pictures)
    assert seen.elements.count("figcaption") == len(seen.pictures)


def test_the_table_and_the_failed_layer(written, checkpoint):
    text = written.read_text()
    assert text.count('<th scope="row"') == 8
    assert "W holds 600 NaN or infinite entries" in text
    assert "7 of 8 layers" in text
    details = analyze(checkpoint, fix_fingers="clip_xmax", verdict="quick")
    for alpha in details["alpha"].dropna():
        assert f">{alpha:.2f}</td>" in text


def test_the_options_in_it_make_the_table_again(written, checkpoint):
    content = content_of(checkpoint)
    facts = dict(content.sections[-1].facts)
    again = analyze(checkpoint, **json.loads(facts["options"]))
    pd.testing.assert_frame_equal(again, content.details[again.columns])


def test_copies_are_compared_by_the_same_analysis():
    """Of Gaussian noise, copies differ from the layers by chance alone; and they do differ."""
    spectra = [gaussian_spectrum(120, 60, rng=i) for i in range(40)]
    details = content_of(spectra).details
    raw, null = details["raw_alpha"], details["null_raw_alpha"]
    assert null.notna().all()
    assert (raw != null).all()  # no layer is its own copy, whose seed is its place in the list
    assert 10 <= int((raw < null).sum()) <= 30
    assert abs(details["max_eval"].mean() / details["null_max_eval"].mean() - 1) < 0.03


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("entries", 0.38, 0.62), ("signs", 0.38, 0.62), ("scaled", 0.15, 0.38)]
)
def test_the_page_says_what_noise_gives(kind, low, high):
    """The largest eigenvalue of 200 Gaussian matrices against that of their copies, made as the page makes them."""
    rng = np.random.default_rng(5)
    details = content_of(
        {f"h.{i}.q.weight": rng.normal(size=(60, 30)) for i in range(200)}, randomize=kind, verdict=False
    ).details
    assert low < (details["max_eval"] > details["null_max_eval"]).mean() < high
    assert ("half" in content_module._OF_NOISE[kind]) == (kind != "scaled")


def test_the_null_is_the_best_at_hand_or_the_one_asked_for(checkpoint):
    def noise(source, **options):
        return dict(content_of(source, **options).sections[-1].facts)["noise of this page"]

    assert noise(checkpoint) == "entries shuffled within the scales of rows and columns"
    assert noise(checkpoint, randomize="signs") == "signs flipped at random"
    assert noise(iter([gaussian_spectrum(60, 30, rng=0)])).startswith("Gaussian noise")


def test_matrices_are_solved_once(checkpoint, monkeypatch):
    import rmt_lab.spectrum.spectrum as module

    solved, solve = [], module.singular_values
    monkeypatch.setattr(module, "singular_values", lambda W, *how: (solved.append(W.shape), solve(W, *how))[1])
    content_of(checkpoint, layers=["query"], verdict=False)
    assert len(solved) == 2 * 3  # each layer and its copy


def test_every_verdict_has_a_meaning():
    assert list(MEANINGS) == list(RULES)


def test_without_verdicts_fingers_and_blocks():
    content = content_of({"a": np.random.default_rng(0).normal(size=(60, 30))}, verdict=False, fix_fingers=None)
    words = " ".join(p for s in content.sections for p in s.paragraphs)
    for said in ("No verdicts were asked for", "No rule for fingers", "tell no blocks", "All layers could be analysed"):
        assert said in words


def test_convolutions_and_their_pooled_spectra():
    state = {"conv.weight": np.random.default_rng(0).normal(size=(24, 12, 3, 3))}
    for source in (state, [Spectrum.from_matrix(state["conv.weight"])]):
        content = content_of(source)
        assert (content.details["status"] == "success").all()
        assert any(s.title == "Layers against noise" for s in content.sections)


def test_a_page_of_failed_layers_alone(tmp_path):
    write_page({"bad": np.full((30, 20), np.nan)}, tmp_path / "report.html")
    assert "0 of 1 layers" in (tmp_path / "report.html").read_text()


def test_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ValueError, match=r"path='.*report.txt'; a page ends in .html or .pdf"):
        write_page("minilm", tmp_path / "report.txt")
    monkeypatch.setattr(content_module, "analyze", lambda *a, **k: pytest.fail("the work began"))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_page("minilm", tmp_path / "no" / "report.html")
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="minillm"):
        write_page("./minillm", path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_pdf_holds_the_same_words(checkpoint, tmp_path):
    pytest.importorskip("typst")
    write_page(checkpoint, tmp_path / "report.pdf", layers=["query", EVIL])
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert data.count(b"/Figure") >= 3  # tagged, with their text alternatives


def test_pdf_without_typst_says_what_to_install(tmp_path, monkeypatch, checkpoint):
    monkeypatch.setitem(sys.modules, "typst", None)
    monkeypatch.setattr(content_module, "analyze", lambda *a, **k: pytest.fail("the work began"))
    with pytest.raises(ImportError, match=r"typst.*rmt-lab\[pdf\]"):
        write_page(checkpoint, tmp_path / "report.pdf")


def test_from_the_command_line(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(checkpoint), "--fix-fingers", "outliers"]) == 0
    assert "The rule outliers" in (tmp_path / "report.html").read_text()
    assert main(["report", "minilm", "--format", "pdf", "--out", "page.html"]) == 1
    assert "does not end in .pdf" in capsys.readouterr().err
    assert main(["describe", str(checkpoint), "--split-qkv"]) == 0
    assert "8 layers to analyse, 0 tensors skipped" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("model", ["minilm", "smollm2"])
def test_work_and_bytes_of_the_atlas(model, tmp_path):
    path = tmp_path / "report.html"

    def work(**options):
        return calls(lambda: write_page(model, path, **options))

    write_page(model, path, layers=[0])  # imports and fonts
    three = work(layers=[0, 1, 2])
    assert work() < 20 * three  # 8 and 12 times, for 13 and 70 times as many layers
    assert path.stat().st_size < 3e6


def test_the_imports_are_light():
    code = "import rmt_lab.report.page, sys; print([m for m in ('matplotlib.pyplot', 'typst') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert {"page.css", "page.js", "page.typ"} < {p.name for p in Path(content_module.__file__).parent.iterdir()}
