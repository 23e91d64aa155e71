"""The last notebook, with a file that a student dropped on it. Not in test_upload.py, whose page stays open."""

import json
from pathlib import Path

import pytest
from browser import SCREENSHOTS, WAIT, jupyterlab, page, run_all
from test_upload import notebook, safetensors, says

pytestmark = pytest.mark.browser

LAST = Path(__file__).parents[2] / "notebooks" / "10_your_model.ipynb"


def test_the_last_notebook_goes_on_with_the_file(tmp_path):
    content = json.loads(LAST.read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    path = notebook(tmp_path, *sources[1:4])  # the box, SOURCE, the first table
    with page(1100, 900) as tab, jupyterlab(tmp_path) as address:
        run_all(tab, address, path, 3)
        tab.locator(".jp-OutputArea-output", has_text="success    12").wait_for(timeout=WAIT)
        file = safetensors(tmp_path / "mine.safetensors", (200, 60), 3, ("intermediate.dense", "output.dense"))
        tab.locator(".rmt-upload input").set_input_files(file)
        says(tab, "mine.safetensors is open, 0.3 MB.")
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / "upload notebook.png")
        tab.locator(".jp-CodeCell .jp-InputPrompt").nth(1).click()
        tab.locator(".lm-MenuBar-item:has-text('Run')").click()
        tab.locator(".lm-Menu-item:has-text('Run Selected Cell and All Below')").click()
        tab.locator(".jp-OutputArea-output", has_text="success    6").wait_for(timeout=WAIT)
