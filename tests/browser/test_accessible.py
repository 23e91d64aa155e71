"""axe-core finds nothing serious of ours: in Voila, in JupyterLab's output area, on a report's page."""

import pytest
from axe import findings
from browser import WAIT, page
from test_gallery import TAB, in_jupyterlab, in_voila

from rmt_lab.explorers import gallery
from rmt_lab.report.page import write_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("where", [in_voila, in_jupyterlab], ids=["voila", "jupyterlab"])
def test_every_explorer(where, tmp_path):
    with where(tmp_path) as (tab, _):
        tab.wait_for_selector(f"{TAB} >> nth=0", timeout=WAIT)
        found = {}
        titles = tab.locator(TAB).all_inner_texts()
        for i, title in enumerate(titles):
            tab.locator(TAB).nth(i).click()
            tab.locator("[role=status]:visible").first.wait_for(timeout=WAIT)
            found |= {(title, rule): nodes for rule, nodes in findings(tab, [".rmt-lab-gallery"])}
        assert len(titles) == len(gallery().names)
        assert not found


def test_a_report(tmp_path):
    path = tmp_path / "report.html"
    write_page("minilm", path, layers=[0, 1, 2])
    with page(1280, 900) as tab:
        tab.goto(path.as_uri())
        assert findings(tab) == []


def test_what_has_no_name_is_found(tmp_path):
    with page() as tab:
        tab.set_content("<main><h1>Test</h1><input type=range><img src=x></main>")
        rules = [rule.split(": ")[1] for rule, _ in findings(tab)]
        assert {"label", "image-alt"} <= set(rules)
