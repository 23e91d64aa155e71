"""The badges: on README and on every notebook, and all lead to where pyproject.toml says that the project lives."""

import json
import re

import pytest
from course import NOTEBOOKS, ROOT, script

badges = script("badges")


def text(page):
    content = page.read_text(encoding="utf-8")
    return content if page.suffix == ".md" else "".join(json.loads(content)["cells"][0]["source"])


@pytest.mark.parametrize("page", badges.PAGES, ids=lambda p: p.stem)
def test_every_page_has_its_badge_below_the_title(page):
    title, badge, _ = text(page).split("\n\n", 2)
    assert title.startswith("# ")
    assert f"{badge}\n\n" == badges.badge(page, badges.repository()), "run `make badges`"
    assert text(page).count("badge.svg") == 1


def test_no_notebook_is_forgotten_and_what_badges_lead_to_is_there():
    assert badges.PAGES == [badges.ROOT / "README.md", *NOTEBOOKS]
    assert all((badges.ROOT / "binder" / name).exists() for name in ("README.md", "badge.svg"))


@pytest.mark.parametrize("address", ["https://github.com/some-one/rmt.lab", "https://github.com/some-one/rmt.lab.git"])
def test_an_address_opens_each_notebook_by_itself(address):
    first, second = (badges.badge(page, address) for page in badges.PAGES[1:3])
    assert "(https://mybinder.org/v2/gh/some-one/rmt.lab/HEAD?urlpath=lab/tree/notebooks/00_start_here.ipynb)" in first
    assert second == first.replace("00_start_here", "01_the_law_of_noise")
    extra = badges.badge(ROOT / "notebooks" / "extras" / "x9_new.ipynb", address)
    assert extra == first.replace("../", "../../").replace("00_start_here", "extras/x9_new")
    assert badges.badge(badges.PAGES[0], address) == first.replace("../", "")
    assert badges.badge(badges.PAGES[0], None).endswith("(binder/README.md)\n\n")
    again = badges.with_badge(badges.with_badge("# 00 Title\n\nText.\n\nMore.", first), second)
    assert again == f"# 00 Title\n\n{second}Text.\n\nMore."
    with pytest.raises(ValueError, match="Repository is 'rmt_lab'; https://github.com/OWNER/NAME is allowed"):
        badges.badge(badges.PAGES[0], "rmt_lab")


def test_writing_the_badges_that_are_there_changes_nothing(tmp_path):
    for page in badges.PAGES:
        copy = tmp_path / page.name
        copy.write_bytes(page.read_bytes())
        badges.write(copy, badges.repository())
        assert copy.read_bytes() == page.read_bytes(), page.name


def test_jupyterlab_starts_where_the_badge_can_be_seen():
    """Started on a file, it serves nothing above the file's folder unless it is told."""
    for name in ("Makefile", "README.md"):
        (command,) = re.findall(r"jupyter lab .*", (ROOT / name).read_text(encoding="utf-8"))
        assert command == "jupyter lab --ServerApp.root_dir=. notebooks/00_start_here.ipynb"
