"""A student's path: a notebook as it is handed out, cell by cell to an exercise, an answer, and what the check says.

In the environment of mybinder.org if ``make binder`` has made it, and else in this one.
"""

import json
import sys
import time

import pytest
from browser import SCREENSHOTS, WAIT, jupyterlab, page
from course import MADE, NOTEBOOKS, ROOT, handout, solution_code, tagged

READY = (MADE / "ready").exists()

pytestmark = [pytest.mark.browser, *([pytest.mark.binder] if READY else [])]

SECONDS = 60  # from the server's first answer to the answer of the check
SOLVED = "00-share-beyond"


def test_an_exercise_is_solved_within_a_minute_after_the_start(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = NOTEBOOKS[0]
    notebook = handout.student(json.loads(path.read_text(encoding="utf-8")))
    (tmp_path / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    solution = next(code for code in map(solution_code, tagged(path, "solution")) if SOLVED in code)
    python = MADE / "bin" / "python" if READY else sys.executable
    with page() as tab, jupyterlab(tmp_path, python) as address:
        start = time.monotonic()
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"{address}/lab/tree/{path.name}?reset")
        tab.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=WAIT)
        tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=WAIT)
        opened = time.monotonic() - start
        tab.locator(".jp-Notebook .jp-Cell").first.click()
        cell = tab.locator(".jp-Cell.jp-mod-active")
        tab.keyboard.press("Escape")
        for _ in notebook["cells"]:  # a reader's way: Shift and Enter, to the exercise
            if SOLVED in cell.inner_text():
                break
            tab.keyboard.press("Shift+Enter")
            tab.wait_for_timeout(100)
        tab.keyboard.press("Enter")
        tab.keyboard.press("Control+a")
        tab.keyboard.insert_text(solution)
        tab.keyboard.press("Control+Enter")
        said = cell.locator(".jp-OutputArea-output")
        said.filter(has_text="Right:").wait_for(timeout=WAIT)
        seconds = time.monotonic() - start
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / "student.png")
    print(f"open after {opened:.1f} s, solved after {seconds:.1f} s")
    assert not errors
    assert seconds < SECONDS
