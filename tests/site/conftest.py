"""The site, made once for the tests of this folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site: two minutes of a processor, unless RMT_LAB_SITE names one that `make site` has made."""
    if made := os.environ.get("RMT_LAB_SITE"):
        return Path(made).resolve()
    for module in ("sphinx", "myst_nb", "sphinx_book_theme", "numpydoc", "sphinx_design", "sphinx_copybutton"):
        pytest.importorskip(module, reason='the site needs pip install -e ".[site]"')
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "scripts" / "make_site.py", "--out", out / "made", "--source", out / "source"]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return out / "made"
