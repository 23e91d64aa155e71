import base64
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from rmt_lab import explorers
from rmt_lab.explorers import gallery
from rmt_lab.explorers.gallery import KINDS as TABS
from rmt_lab.explorers.words import idea_and_questions, title

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "explorers.ipynb"
KINDS = [getattr(explorers, name) for name in explorers.__all__ if name.endswith("Explorer")]


def test_every_explorer_has_a_tab_and_is_made_when_it_is_opened():
    shown = gallery()
    assert sorted(shown.names) == sorted(map(title, KINDS))
    assert list(shown.titles) == shown.names
    assert list(shown.explorers) == shown.names[:1]
    for i, name in enumerate(shown.names):
        assert bool(shown.children[i].children) == (i == 0)
        shown.selected_index = i
        assert list(shown.explorers) == shown.names[: i + 1]
        assert shown.explorers[name] in shown.children[i].children[1].children
    made = dict(shown.explorers)
    for i in (0, None, 2):
        shown.selected_index = i
    assert shown.explorers == made
    assert {type(explorer) for explorer in made.values()} == set(KINDS)


def test_the_order_is_that_of_the_course():
    names = gallery().names
    course = ["bulk", "repulsion", "resolvent", "edge", "spike", "heavy tail", "power law", "finger", "layer"]
    assert names == [*course, "training", "quality"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_idea_and_every_question_are_told(kind):
    idea, questions = idea_and_questions(kind)
    doc = " ".join(kind.__doc__.split())
    assert doc.startswith(idea)
    assert idea.endswith(".")
    assert [q[:3] for q in questions] == [f"{i + 1}. " for i in range(len(questions))]
    assert len(questions) >= 2
    assert all(q in doc and ">>>" not in q and "---" not in q for q in questions)


def test_words_stand_around_the_open_explorer():
    shown = gallery()
    shown.selected_index = shown.names.index("power law")
    above, row = shown.children[shown.selected_index].children
    explorer, beside = row.children
    idea, questions = idea_and_questions(type(explorer))
    assert idea in unescape(above.value)
    assert all(q in unescape(beside.value) for q in questions)


def test_where_widgets_do_not_run_there_is_a_picture_of_the_open_tab():
    shown = gallery()
    assert repr(shown) == shown._repr_mimebundle_()["text/plain"] == "gallery()"
    first = shown._repr_mimebundle_()["image/png"]
    shown.selected_index = 1
    bundle = shown._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == shown.explorers[shown.names[1]].picture.value
    assert bundle["image/png"] != first
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_page_holds_one_cell_that_shows_the_gallery():
    (cell,) = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not cell["outputs"]
    *lines, last = "".join(cell["source"]).splitlines()
    exec("\n".join(lines), space := {})
    assert isinstance(eval(last, space), type(gallery()))


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_explorers_opens_that_page():
    command = ["make", "--dry-run", "--no-print-directory", "explorers"]  # or `make test` around this would speak, too
    run = subprocess.run(command, cwd=NOTEBOOK.parents[1], capture_output=True, text=True)
    *command, notebook = run.stdout.splitlines()[-1].split()
    assert Path(command[0]).name == "voila"
    assert NOTEBOOK.parents[1] / notebook == NOTEBOOK
    assert "--no-browser" not in command


def test_the_page_about_explorers_names_each_of_them_and_its_code_runs():
    page = (NOTEBOOK.parents[1] / "docs" / "explorers.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [kind.__name__ for kind in TABS]
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    exec("".join(blocks), space := {})
    assert space["explorer"].model.strength == 1.5
