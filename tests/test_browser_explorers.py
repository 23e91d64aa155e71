"""Every explorer in JupyterLab in a real browser: all its controls, by keyboard alone."""

import json

import pytest
from browser import SCREENSHOTS, jupyterlab, page, run_all

from rmt_lab import explorers

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
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.goto(f"{address}/lab/tree/{notebook.name}?reset")
        tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=90_000)  # before, a cell is run by nobody
        outputs = run_all(tab, address, notebook, 1)
        tab.wait_for_function(f"document.querySelectorAll('img.widget-image').length == {len(NAMES)}", timeout=60_000)
        tab.add_style_tag(content=".Toastify { display: none }")  # JupyterLab's own notices, over the screenshots
        yield tab, errors, outputs


@pytest.mark.parametrize("name", NAMES)
def test_every_control_by_keyboard(lab, name):
    tab, errors, outputs = lab
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    root = tab.locator(f"img.widget-image >> nth={NAMES.index(name)} >> xpath=..")
    root.scroll_into_view_if_needed()
    image, sentence = root.locator("img.widget-image"), root.locator("[role=status]")

    def press(control, *keys):
        """Keys on a control, then wait for another picture and another sentence."""
        before = image.get_attribute("src"), sentence.inner_text()
        control.focus()
        for key in keys:
            tab.keyboard.press(key)
            tab.wait_for_timeout(50)  # for a list to open
        changed = "([root, src, text]) => root.querySelector('img').src != src"
        changed += " && root.querySelector('[role=status]').innerText != text"
        tab.wait_for_function(changed, arg=[root.element_handle(), *before], timeout=20_000)

    model = getattr(explorers, name).model_class
    kinds = [control["control"] for control in model.controls().values()]
    assert root.locator(".noUi-handle").count() == root.locator("input[type=number]").count() == kinds.count("number")
    for i in range(kinds.count("number")):
        slider, box = root.locator(".noUi-handle").nth(i), root.locator("input[type=number]").nth(i)
        value = float(box.input_value())
        away, back = (
            ("ArrowRight", "ArrowUp") if value < float(box.get_attribute("max")) else ("ArrowLeft", "ArrowDown")
        )
        press(slider, away)
        assert float(box.input_value()) != value
        press(box, back, "Enter")
    for select in root.locator("select").all():
        last = select.evaluate("e => e.selectedIndex == e.options.length - 1")
        press(
            select, "Space", "ArrowUp" if last else "ArrowDown", "Enter"
        )  # JupyterLab takes arrows from a closed list
    for box in root.locator("input[type=checkbox]").all():
        press(box, "Space")
    for preset in root.locator(".widget-toggle-button").all():
        if "mod-active" not in (preset.get_attribute("class") or ""):
            press(preset, "Enter")
            tab.wait_for_function("e => e.classList.contains('mod-active')", arg=preset.element_handle())
    press(root.locator("button:has-text('new sample')"), "Enter")
    root.locator("button:has-text('code')").last.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("root => root.querySelector('pre')", arg=root.element_handle())
    tab.keyboard.press("Enter")
    press(root.locator("button:has-text('reset')"), "Enter")
    SCREENSHOTS.mkdir(exist_ok=True)
    root.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert not errors
