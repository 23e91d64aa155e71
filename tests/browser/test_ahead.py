"""A slider in JupyterLab in a real browser: its frames are there before the kernel knows that it was moved."""

import json
import os
import signal

import pytest
from browser import WAIT, jupyterlab, listen, page, rest, run_all

from rmt_lab.explorers import SpikeExplorer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here"),
]

SOURCE = "import os\nfrom rmt_lab.explorers import SpikeExplorer\nprint(os.getpid())\nSpikeExplorer()"
WATCH = """root => {
    window.words = root.querySelector('[role=status]');
    window.read = [];
    new MutationObserver(() => window.read.push(window.words.textContent)).observe(window.words, { childList: true });
}"""
KIND = "([root, kind]) => root.querySelector('img').dataset.kind === kind"


def test_a_slider_moves_the_picture_while_the_kernel_stands_still(tmp_path):
    cell = {"cell_type": "code", "id": "a", "source": SOURCE, "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = tmp_path / "spike.ipynb"
    notebook.write_text(json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    with page(1300, 1000) as tab, jupyterlab(tmp_path) as address:
        errors, still = listen(tab), rest(tab)
        tab.goto(f"{address}/lab/tree/{notebook.name}?reset")
        tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=WAIT)
        outputs = run_all(tab, address, notebook, 1)
        pid = int("".join(next(o["text"] for o in outputs if o["output_type"] == "stream")))
        root = tab.locator(".rmt-lab-explorer")
        root.wait_for(timeout=WAIT)
        node = root.element_handle()
        names = [control["label"] for control in SpikeExplorer.model_class.controls().values()]
        for slider in root.get_by_role("slider").all():
            assert slider.get_attribute("aria-label") in names
        slider, box = root.get_by_role("slider", name=names[0]), root.locator("input[type=number]").first
        stops = SpikeExplorer().controls["strength"].stops
        start = stops.index(SpikeExplorer().model.strength)
        tab.evaluate(WATCH, node)
        slider.focus()
        still(2.0)
        os.kill(pid, signal.SIGSTOP)
        try:
            for stop in (start + 1, start + 2, start + 3):
                tab.keyboard.press("ArrowRight")
                words = SpikeExplorer(strength=stops[stop]).sentence
                tab.wait_for_function("words => window.words.textContent === words", arg=words, timeout=WAIT)
                tab.wait_for_function(KIND, arg=[node, "frame"], timeout=WAIT)
                assert float(box.input_value()) == stops[stop]
                assert slider.get_attribute("aria-valuetext").startswith(f"{stops[stop]:g}")
            assert tab.evaluate("window.read.length") == 3
        finally:
            os.kill(pid, signal.SIGCONT)
        tab.wait_for_function(KIND, arg=[node, "exact"], timeout=WAIT)
        still(1.0)  # pictures of the stops between come late, and are not shown
        assert tab.evaluate("window.read.length") == 3
        assert tab.evaluate("root => root.querySelector('[role=status]') === window.words", node)
        assert root.locator("[role=status]").inner_text() == words
        assert float(box.input_value()) == stops[start + 3]
        root.locator("button:has-text('new sample')").click()  # and the frames are of no use any more
        tab.wait_for_function("window.read.length > 3", timeout=WAIT)
        assert tab.evaluate("window.read.at(-1)") == SpikeExplorer(strength=stops[start + 3], seed=1).sentence
        assert not errors
