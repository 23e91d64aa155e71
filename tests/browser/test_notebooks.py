"""Notebooks in JupyterLab in a real browser."""

from pathlib import Path

import pytest
from browser import SCREENSHOTS, copy_cleared, jupyterlab, page, run_all

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


# with a slider each; the last over the atlas, and the longest
@pytest.mark.parametrize("name", ["00_start_here.ipynb", "01_the_law_of_noise.ipynb", "06_bert_against_noise.ipynb"])
def test_run_all_ends_without_an_error(name, tmp_path):
    cells = copy_cleared(NOTEBOOKS / name, tmp_path)
    with page() as tab, jupyterlab(tmp_path) as address:
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        outputs = run_all(tab, address, tmp_path / name, cells)
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / f"{Path(name).stem}.png")
    assert not errors
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)
