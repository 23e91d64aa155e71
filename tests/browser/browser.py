"""JupyterLab and a headless Chromium for the browser tests, which skip where there is no Chromium."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WAIT = 90_000  # ms, for what takes a tenth of a second on a machine that does nothing else
FOREIGN = ("@jupyterlite/", "@jupyter/nbgrader/", "@jupyter-notebook/")  # extensions that do not suit every page
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"


@contextlib.contextmanager
def jupyterlab(folder: Path, python: Path | str = sys.executable) -> Iterator[str]:
    """The address of a JupyterLab server on this machine that shows a folder, in the environment of an interpreter."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [str(python), "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(480):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            time.sleep(0.25)
        else:
            pytest.fail("JupyterLab did not answer within two minutes")
        yield address
    finally:
        server.terminate()
        server.wait(20)


@contextlib.contextmanager
def page(width: int = 1500, height: int = 1000) -> Iterator[Any]:
    """A new page of a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def copy_cleared(notebook: Path, folder: Path) -> int:
    """Copy a notebook without its outputs; the number of its code cells."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        cell.update(outputs=[], execution_count=None)
    (folder / notebook.name).write_text(json.dumps(content), encoding="utf-8")
    return len(code)


def run_all(page: Any, address: str, notebook: Path, cells: int, timeout: float = 180) -> list[dict[str, Any]]:
    """Open a notebook in JupyterLab, run all cells, save it, and give its outputs."""
    page.goto(f"{address}/lab/tree/{notebook.name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=90_000)  # before, a cell is run by nobody
    for _ in range(3):  # on a busy machine the first click may come before the notebook listens
        page.locator(".lm-MenuBar-item:has-text('Run')").click()
        page.locator(".lm-Menu-item:has-text('Run All Cells')").first.click()
        with contextlib.suppress(Exception):
            page.locator(".jp-InputPrompt", has_text=re.compile(r"\[[*\d]")).first.wait_for(timeout=20_000)
            break
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:  # by the saved file, since cells that are out of sight leave the page
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        try:
            content = json.loads(notebook.read_text(encoding="utf-8"))
        except json.JSONDecodeError:  # it is being written just now
            continue
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        outputs = [output for cell in code for output in cell["outputs"]]
        finished = code[-1]["execution_count"] == cells and code[-1]["outputs"]
        if finished or any(output["output_type"] == "error" for output in outputs):
            return outputs
    pytest.fail(f"{notebook.name} did not come to its end")


def listen(page: Any) -> list[str]:
    """What goes wrong on a page from now on."""
    errors: list[str] = []

    def heard(text: str) -> None:
        if not any(name in text for name in FOREIGN):
            errors.append(text)

    page.on("pageerror", lambda error: heard(f"{error} {error.stack}"))
    page.on("console", lambda message: heard(message.text) if message.type == "error" else None)
    return errors


def rest(page: Any) -> Callable[[float], None]:
    """A function that waits until nothing has come from the server for so many seconds; before the page is opened."""
    heard = [time.monotonic()]
    page.on("websocket", lambda s: s.on("framereceived", lambda _: heard.append(time.monotonic())))

    def still(seconds: float) -> None:
        page.wait_for_timeout(1e3 * seconds)
        while time.monotonic() - heard[-1] < seconds:
            page.wait_for_timeout(50)

    return still


EXACT = "root => (root.querySelector('img').dataset.kind ?? 'exact') == 'exact'"


def press(page: Any, root: Any, control: Any, *keys: str, says: bool = True) -> None:
    """Keys on a control of an explorer, then wait for another picture and, if it says so, another sentence.

    On a busy machine a key may reach the page before the control listens (seen once in some thousand presses): what
    had no effect in a third of the time is pressed once more.
    """
    before = root.locator("img").get_attribute("src"), root.locator("[role=status]").inner_text()
    changed = "([root, src, text]) => root.querySelector('img').src != src"
    changed += " && root.querySelector('[role=status]').innerText != text" if says else ""
    for timeout in (WAIT / 3, WAIT):
        control.focus()
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(50)  # for a list to open
        try:
            page.wait_for_function(changed, arg=[root.element_handle(), *before], timeout=timeout)
            # until the kernel has answered: a button's click may otherwise overtake what a slider still has to send
            page.wait_for_function(EXACT, arg=root.element_handle(), timeout=timeout)
            return
        except Exception:
            if timeout == WAIT:
                raise


def move_everything(page: Any, root: Any, explorer: Any) -> None:
    """Every control of an explorer by keyboard alone, each from the first state."""
    reset, new_sample = (root.locator(f"button:has-text('{name}')") for name in ("reset", "new sample"))
    sliders, boxes = root.locator("input[type=range]"), root.locator("input[type=number]")
    controls = explorer.model_class.controls().values()
    assert sliders.count() == boxes.count() == sum(c["control"] == "number" for c in controls)
    for slider, box in zip(sliders.all(), boxes.all(), strict=True):
        value = float(box.input_value())
        up = value < float(box.get_attribute("max"))
        press(page, root, slider, "ArrowRight" if up else "ArrowLeft")
        assert (float(box.input_value()) > value) == up
        press(page, root, reset, "Enter")
        press(page, root, box, "ArrowUp" if up else "ArrowDown", "Enter")
        press(page, root, reset, "Enter")
    for control in [*root.locator("input").all(), *root.locator("select").all()]:
        assert control.evaluate("e => e.ariaLabel || [...e.labels].map(label => label.innerText).join('')")
    for select in root.locator("select:has(option:nth-child(2))").all():
        last = select.evaluate("e => e.selectedIndex == e.options.length - 1")
        # JupyterLab takes arrows from a closed list
        press(page, root, select, "Space", "ArrowUp" if last else "ArrowDown", "Enter")
        press(page, root, reset, "Enter")
    for box in root.locator("input[type=checkbox]").all():
        press(page, root, box, "Space")
        press(page, root, reset, "Enter")
    for preset in root.locator(".widget-toggle-button").all()[1:]:
        press(page, root, preset, "Enter")
        page.wait_for_function("e => e.classList.contains('mod-active')", arg=preset.element_handle(), timeout=WAIT)
    root.locator("button:enabled:has-text('new sample')").wait_for(timeout=WAIT)  # the last preset is a random one
    press(page, root, new_sample, "Enter", says=False)
    press(page, root, reset, "Enter")
    code = root.locator("button:text-is('code')")
    code.focus()
    page.keyboard.press("Enter")
    root.locator("pre:has-text('import')").wait_for(timeout=WAIT)
    page.keyboard.press("Enter")
    root.locator("pre").wait_for(state="hidden", timeout=WAIT)
    if root.locator("button:has-text('evidence')").count():
        root.locator("button:has-text('evidence')").focus()
        page.keyboard.press("Enter")
        root.locator("table:has-text('lognormal')").wait_for(timeout=WAIT)
        press(page, root, sliders.first, "ArrowRight")
        root.locator("table").wait_for(state="detached", timeout=WAIT)
        press(page, root, reset, "Enter")
