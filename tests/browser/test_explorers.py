"""Every explorer in JupyterLab in a real browser: all its controls, by keyboard alone."""

import json

import pytest
from browser import SCREENSHOTS, jupyterlab, listen, move_everything, page, run_all

from rmt_lab import explorers

pytestmark = pytest.mark.browser

NAMES = [name for name in explorers.__all__ if name.endswith("Explorer")]
SOURCE = f"""import ipywidgets
from rmt_lab.explorers import {", ".join(NAMES)}
shown = [{", ".join(f"{name}()" for name in NAMES)}]
ipywidgets.VBox(shown)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A page on which all explorers stand in one cell, what went wrong on it, and the cell's outputs."""
    folder = tmp_path_factory.mktemp("lab")
    cell = {"cell_type": "code", "id": "all", "source": SOURCE, "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = folder / "explorers.ipynb"
    notebook.write_text(json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    with page(1300, 1000) as tab, jupyterlab(folder) as address:
        errors = listen(tab)
        tab.goto(f"{address}/lab/tree/{notebook.name}?reset")
        tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=90_000)  # before, a cell is run by nobody
        outputs = run_all(tab, address, notebook, 1)
        tab.wait_for_function(
            f"document.querySelectorAll('img.rmt-lab-picture').length == {len(NAMES)}", timeout=60_000
        )
        tab.add_style_tag(content=".Toastify { display: none }")  # JupyterLab's own notices, over the screenshots
        yield tab, errors, outputs


@pytest.mark.parametrize("name", NAMES)
def test_every_control_by_keyboard(lab, name):
    tab, errors, outputs = lab
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    root = tab.locator(".rmt-lab-explorer").nth(NAMES.index(name))
    root.scroll_into_view_if_needed()
    move_everything(tab, root, getattr(explorers, name))
    SCREENSHOTS.mkdir(exist_ok=True)
    root.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert not errors
