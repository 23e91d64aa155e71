"""The gallery in a real browser, in JupyterLab and as the web page that Voila serves: every tab, by keyboard alone."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browser import SCREENSHOTS, WAIT, copy_cleared, jupyterlab, listen, move_everything, page

from rmt_lab.explorers.gallery import KINDS
from rmt_lab.explorers.words import idea_and_questions, title

pytestmark = pytest.mark.browser

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "explorers.ipynb"
KINDS = {title(kind): kind for kind in KINDS}
TAB = ".widget-tab .lm-TabBar-tab"


@contextlib.contextmanager
def voila(notebook):
    """The address of the page that Voila makes of a notebook on this machine."""
    pytest.importorskip("voila")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(480):
            try:
                urllib.request.urlopen(f"{address}/voila/static/", timeout=5).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail("Voila did not answer within two minutes")
        yield address
    finally:
        server.terminate()
        server.wait(20)


@contextlib.contextmanager
def in_voila(_):
    with page(800, 1300) as tab, voila(NOTEBOOK) as address:
        # Voila's own icons come from the web; without it the page does without them
        tab.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
        errors = listen(tab)
        tab.goto(address)
        yield tab, errors


@contextlib.contextmanager
def in_jupyterlab(folder):
    copy_cleared(NOTEBOOK, folder)
    with page(1300, 1500) as tab, jupyterlab(folder) as address:
        errors = listen(tab)
        tab.goto(f"{address}/lab/tree/{NOTEBOOK.name}?reset")
        tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=WAIT)  # before, a cell is run by nobody
        tab.locator(".lm-MenuBar-item:has-text('Run')").click()
        tab.locator(".lm-Menu-item:has-text('Run All Cells')").first.click()
        tab.add_style_tag(content=".Toastify { display: none }")  # JupyterLab's own notices, over the screenshots
        yield tab, errors
        assert not tab.locator("[data-mime-type$='stderr'], [data-mime-type$='error']").count()


@pytest.mark.parametrize("where", [in_voila, in_jupyterlab], ids=["voila", "jupyterlab"])
def test_every_tab_and_its_controls_by_keyboard(where, tmp_path):
    SCREENSHOTS.mkdir(exist_ok=True)
    with where(tmp_path) as (tab, errors):
        tab.wait_for_selector(f"{TAB} >> nth=0", timeout=WAIT)
        assert tab.locator(TAB).all_inner_texts() == list(KINDS)
        cut = "labels => labels.filter(l => l.scrollWidth > l.clientWidth + 1).map(l => l.textContent)"
        assert tab.locator(f"{TAB} .lm-TabBar-tabLabel").evaluate_all(cut) == []
        for i, (name, kind) in enumerate(KINDS.items()):
            tab.locator(TAB).nth(i).focus()
            tab.keyboard.press("Enter")
            tab.locator(f"h3:visible:text-is('{idea_and_questions(kind)[0]}')").wait_for(timeout=WAIT)
            root = tab.locator(".rmt-lab-explorer:visible")
            assert root.locator("[role=status]").inner_text() == kind().sentence
            root.scroll_into_view_if_needed()
            tab.screenshot(path=SCREENSHOTS / f"gallery {name} {where.__name__}.png")
            if where is in_voila:  # in JupyterLab test_explorers.py does
                move_everything(tab, root, kind)
            assert not errors, name
