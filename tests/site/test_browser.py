"""The site in Chromium, from a server and from the disk."""

import contextlib
import functools
import http.server
import re
import threading

import pytest
from axe import findings
from browser import listen, page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SOME = [
    "index", "course", "notebooks/00_start_here", "notebooks/03_signal_in_noise", "notebooks/extras/x1_resolvent",
    "explorers/spike", "docs/explorers", "docs/columns", "docs/glossary", "docs/references", "docs/gallery",
    "api/index", "api/rmt_lab.tails", "search",
]  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request, site):
    if request.param == "file":
        yield site.as_uri()
        return
    with served(site) as at:
        yield at


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
def test_pages_open_without_an_error_or_another_host(address, width, theme):
    with page(width, 1000) as tab:
        tab.emulate_media(color_scheme=theme)
        errors, requests = listen(tab), []
        tab.on("request", lambda request: requests.append(request.url))
        for name in SOME:
            tab.goto(f"{address}/{name}.html")
            tab.wait_for_load_state("networkidle")
            assert tab.locator("html").get_attribute("data-theme") == theme
            wider = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{name} is {wider} pixels wider than {width}"
        assert errors == []
        assert len(requests) > len(SOME)
        assert [url for url in requests if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize(
    "name", ["index", "notebooks/03_signal_in_noise", "explorers/spike", "api/rmt_lab.laws", "docs/glossary"]
)
def test_axe_finds_nothing_serious(address, name):
    with page(1280, 1000) as tab:
        tab.goto(f"{address}/{name}.html")
        tab.wait_for_load_state("networkidle")
        # Sphinx lists the parameters of a long signature as <dl> without <dt>
        assert [rule for rule, _ in findings(tab) if "definition-list" not in rule] == []


def test_formulas_are_set(address):
    with page() as tab:
        errors = listen(tab)
        tab.goto(f"{address}/docs/glossary.html")
        tab.locator("#marchenko-pastur-law mjx-container[display=true] svg").wait_for()
        assert errors == []


@pytest.mark.parametrize(
    ("words", "found"),
    [("Marchenko", "01 Marchenko-Pastur"), ("fix_fingers", "rmt_lab.tails"), ("BulkExplorer", "BulkExplorer")],
)
def test_search_finds(address, words, found):
    with page() as tab:
        errors = listen(tab)
        tab.goto(f"{address}/search.html?q={words}")
        tab.locator("#search-results li a", has_text=found).first.wait_for(timeout=30_000)
        tab.wait_for_load_state("networkidle")
        assert errors == []


def test_a_click_and_a_key_to_a_moved_slider(address):
    with page() as tab:
        errors = listen(tab)
        tab.goto(f"{address}/index.html")
        tab.get_by_role("link", name="Move a signal through noise").click()  # to the slider of the same page
        frame = tab.frame_locator("iframe.flipbook")
        slider, words = frame.locator("input[type=range]"), frame.locator("[role=status]")
        before = words.inner_text()
        slider.focus()
        tab.keyboard.press("Home")
        assert words.inner_text() != before
        assert "No signal" in words.inner_text()
        assert errors == []


def test_flipbooks_follow_the_theme_and_are_as_high_as_they_say(address):
    with page() as tab:
        tab.emulate_media(color_scheme="light")
        tab.goto(f"{address}/explorers/spike.html")
        frame = tab.frame_locator("iframe.flipbook")
        ink = "getComputedStyle(document.body).color"
        light = frame.locator("body").evaluate(f"() => {ink}")
        tab.get_by_role("button", name="Color mode").click()
        tab.locator(".theme-change-button[data-mode=dark]").click()
        frame.locator("html[style*='dark']").wait_for(state="attached")
        assert frame.locator("body").evaluate(f"() => {ink}") != light
        inner = frame.locator(".flipbook").evaluate("e => Math.ceil(e.getBoundingClientRect().height)")
        assert abs(tab.locator("iframe.flipbook").evaluate("e => e.clientHeight") - inner) <= 2


def test_words_can_be_read_in_the_dark(address):
    """Of every box in a notebook's outputs, and in the flipbook, which shows what is behind it: 4.5 to 1 or more."""
    with page() as tab:
        tab.emulate_media(color_scheme="dark")
        tab.goto(f"{address}/notebooks/03_signal_in_noise.html")
        boxes = tab.locator(".cell_output .text_html")
        assert boxes.count() > 5
        assert all(contrast(box) >= 4.5 for box in boxes.locator("b").all())
        tab.locator("iframe.flipbook").scroll_into_view_if_needed()
        words = tab.frame_locator("iframe.flipbook").locator("[role=status]")
        words.wait_for()
        tab.frame_locator("iframe.flipbook").locator("html[style*='dark']").wait_for(state="attached")
        ink = words.evaluate("e => getComputedStyle(e).color")
        assert ratio(ink, tab.locator("iframe.flipbook").evaluate(BEHIND)) >= 4.5


BEHIND = """e => { for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
} return "rgb(255, 255, 255)"; }"""


def contrast(element):
    return ratio(element.evaluate("e => getComputedStyle(e).color"), element.evaluate(BEHIND))


def ratio(*colours):
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour):
        parts = [float(x) / 255 for x in re.findall(r"[\d.]+", colour)[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted(map(luminance, colours))
    return (light + 0.05) / (dark + 0.05)
