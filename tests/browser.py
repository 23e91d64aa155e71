"""A JupyterLab server and a headless Chromium for the browser tests, which skip where there is no Chromium."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SCREENSHOTS = Path(__file__).parents[1] / "screenshots"


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab server on this machine that shows a folder."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            time.sleep(0.25)
        else:
            pytest.fail("JupyterLab did not answer within a minute")
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
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000, state="attached")
    for _ in range(3):  # on a busy machine the first click may come before the notebook listens
        page.locator(".lm-MenuBar-item:has-text('Run')").click()
        page.locator(".lm-Menu-item:has-text('Run All Cells')").first.click()
        with contextlib.suppress(Exception):
            page.wait_for_selector(".jp-Cell.jp-CodeCell .jp-InputPrompt:has-text(']:')", timeout=20_000)
            break
    # cells that are out of sight leave the page, so wait for the last one by its number
    page.wait_for_selector(f".jp-InputPrompt:has-text('[{cells}]:')", timeout=timeout * 1000)
    page.keyboard.press("Control+s")
    for _ in range(100):
        content = json.loads(notebook.read_text(encoding="utf-8"))
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        if code[-1]["execution_count"] == cells:
            return [output for cell in code for output in cell["outputs"]]
        time.sleep(0.1)
    pytest.fail(f"{notebook.name} was not saved with its outputs")
