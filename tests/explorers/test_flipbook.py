"""The page with one slider over pictures that were made before."""

import base64
import html
import io
import json
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmt_lab import explorers
from rmt_lab.explorers import EdgeExplorer, FingerExplorer, PowerLawExplorer, SpikeExplorer, flipbook
from rmt_lab.explorers.flipbook import DPI, webp
from rmt_lab.explorers.sweep import frame

EXPLORERS = [getattr(explorers, name) for name in explorers.__all__ if name.endswith("Explorer")]


def book_of(page):
    return json.loads(re.search(r'<script type="application/json" id="book">(.*?)</script>', page, re.DOTALL)[1])


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def picture_of(shown):
    return pixels(base64.b64decode(shown["picture"].removeprefix("data:image/webp;base64,")))


@pytest.fixture(scope="module")
def fingers(tmp_path_factory):
    path = tmp_path_factory.mktemp("flipbook") / "fingers.html"
    FingerExplorer(seed=0).flipbook("k", path)
    return path.read_text("utf-8")


def test_a_page_that_grows_too_large_has_fewer_frames(fingers, tmp_path, monkeypatch):
    monkeypatch.setattr(flipbook, "LARGEST", len(fingers) - 1)
    monkeypatch.setattr(flipbook, "MOST", (45, 6))
    FingerExplorer(seed=0).flipbook("k", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert book_of(page)["steps"] < book_of(fingers)["steps"]
    assert len(page) < len(fingers)


@pytest.mark.slow
@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
def test_each_explorers_page_is_small_and_asks_nobody(explorer, tmp_path):
    shown = explorer()
    path = tmp_path / "page.html"
    shown.flipbook(shown.model.swept, path)
    assert path.stat().st_size < 1_300_000
    page = path.read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r'data:image/webp;base64,[^"]*|^ *//.*$', "", page, flags=re.MULTILINE))  # fmt: skip  # noqa: E501
    book = book_of(page)
    assert 5 < book["steps"] <= 50
    assert [preset["name"] for preset in book["presets"]] == list(shown.model.presets)
    for preset in book["presets"]:
        there = explorer(**shown.model.preset_values(preset["name"]))
        assert book["frames"][preset["frame"]]["sentence"] == there.sentence


def test_a_frame_has_picture_and_words_of_its_value(fingers):
    book = book_of(fingers)
    assert (book["label"], book["steps"], book["log"]) == ("largest dropped k", 11, False)
    assert [shown["at"] for shown in book["frames"][:11]] == list(range(11))
    for k in (0, 7):
        made = frame(FingerExplorer().model, DPI, k=k)
        shown = book["frames"][k]
        assert shown["sentence"] == made.sentence
        off = np.abs(picture_of(shown) - pixels(made.picture)).max(axis=2)
        assert off.max() <= 25  # of 255, in the soft edges of lines and letters
        assert (off > 16).mean() < 0.002


def test_few_colours_change_no_colour_that_means_something():
    for explorer in EXPLORERS:
        made = frame(explorer().model, DPI)
        before, after = pixels(made.picture), pixels(webp(made.picture))
        off = np.abs(after - before).max(axis=2)
        assert off.max() <= 25, explorer
        assert (off > 16).mean() < 0.002, explorer
        assert len(np.unique(after.reshape(-1, 3), axis=0)) <= 96
        colours, counts = np.unique(before.reshape(-1, 3), axis=0, return_counts=True)
        for colour in colours[counts > 200]:  # what lines, bars and letters are filled with
            filled = (before == colour).all(axis=2)
            assert np.abs(after[filled] - colour).max() <= 20, (explorer, colour)


def test_without_script_and_on_paper_there_is_the_first_picture_and_its_words(fingers):
    shown, book = FingerExplorer(), book_of(fingers)
    first = re.search(r"<img .*?>", fingers, re.DOTALL)[0]
    assert book["frames"][1]["picture"] in first
    assert f'alt="{html.escape(shown.sentence)}"' in first
    assert f'<p class="words" role="status">{html.escape(shown.sentence)}</p>' in fingers
    assert "<noscript><p" in fingers
    assert '<div class="controls" hidden>' in fingers
    assert "<title>Finger: largest dropped k from 0 to 10</title>" in fingers


def test_presets_move_the_slider_or_have_a_picture_of_their_own(fingers):
    book = book_of(fingers)
    numbers = {preset["name"]: preset["frame"] for preset in book["presets"]}
    assert (numbers["one finger"], numbers["raw"]) == (1, 0)
    assert sorted(n for n in numbers.values() if n >= book["steps"]) == [11, 12, 13, 14]
    planted = book["frames"][numbers["planted"]]
    assert (planted["at"], planted["value"]) == (3, "3")
    assert planted["note"].startswith("This picture is not one of the slider's. It has values: minilm instead of smol")
    assert "fingers planted: 3 instead of 0" in planted["note"]
    assert not any(shown["note"] for shown in book["frames"][: book["steps"]])


def test_the_other_parameters_keep_their_values(tmp_path):
    path = tmp_path / "edge.html"
    EdgeExplorer(Q=4.0, draws=100, scaled=True, seed=3).flipbook("Q", path)
    book = book_of(path.read_text("utf-8"))
    number = [shown["value"] for shown in book["frames"]].index("4")
    assert book["frames"][number]["sentence"] == EdgeExplorer(Q=4.0, draws=100, scaled=True, seed=3).sentence
    assert book["frames"][0]["state"] == (
        "columns M: 100 · matrices drawn: 100 · in units of Tracy-Widom: on · sample no. 3"
    )


def test_a_list_and_a_switch_can_be_swept(tmp_path):
    path = tmp_path / "page.html"
    FingerExplorer().flipbook("rule", path)
    book = book_of(path.read_text("utf-8"))
    assert [shown["at"] for shown in book["frames"][: book["steps"]]] == list(range(book["steps"]))
    assert book["frames"][1]["value"] == FingerExplorer().model.options("rule")[1]
    EdgeExplorer(draws=100).flipbook("scaled", path)
    assert [shown["value"] for shown in book_of(path.read_text("utf-8"))["frames"][:2]] == ["off", "on"]


def test_what_cannot_be_swept_is_told_before_the_work(tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match="name='colour'; SpikeModel has the controls strength, M, Q"):
        SpikeExplorer().flipbook("colour", path)
    with pytest.raises(ValueError, match=r"page.pdf'; a flipbook ends in \.html"):
        SpikeExplorer().flipbook("strength", tmp_path / "page.pdf")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        SpikeExplorer().flipbook("strength", tmp_path / "nowhere" / "page.html")
    with pytest.raises(ValueError, match="name='alpha'; it changes nothing while values: MiniLM"):
        PowerLawExplorer(data="MiniLM: block 3 query").flipbook("alpha", path)
    assert not list(tmp_path.iterdir())


def test_words_from_a_source_are_text_and_never_markup(tmp_path):
    rng = np.random.default_rng(0)
    name = "</script><b>&.weight"
    source = {f"h.{i}.{name}": rng.normal(size=(40, 30)) for i in range(2)}
    path = tmp_path / "page.html"
    explorers.LayerExplorer(source).flipbook("block", path)
    page = path.read_text("utf-8")
    assert page.count("</script>") == 2
    assert "<b>" not in page
    assert any("<b>" in shown["sentence"] for shown in book_of(page)["frames"])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling builds the wheel; it is not installed")
def test_script_and_style_are_in_the_wheel(tmp_path):
    root = Path(explorers.__file__).parents[2]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=root,
                   check=True, capture_output=True)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    folder = Path(explorers.__file__).parent
    shipped = {f"rmt_lab/explorers/{p.name}" for p in folder.iterdir() if p.suffix in {".js", ".css"}}
    assert {"rmt_lab/explorers/frames.js", "rmt_lab/explorers/frames.css"} <= shipped <= packed
